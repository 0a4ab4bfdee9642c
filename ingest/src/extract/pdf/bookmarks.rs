//! Reads the bookmarks of a PDF file: its headings as its writer states them.
//! Never follows them to their pages: the text tells where they are.

use std::collections::HashMap;

use hayro_syntax::Pdf;
use hayro_syntax::object::{Dict, String as Text};

use crate::extract::pdf::strings::decoded;

/// Books have a few thousand.
const MOST: usize = 10_000;
/// Headings deeper than this are no headings.
const DEEPEST: u8 = 6;

/// Levels of headings by their folded text, 1 the outermost.
pub(super) type Bookmarks = HashMap<String, u8>;

/// The bookmarks of a file.
pub(super) fn read(pdf: &Pdf) -> Bookmarks {
    let mut found = Bookmarks::new();
    let root = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id());
    let outlines = root.and_then(|root| root.get::<Dict<'_>>("Outlines"));
    let mut open: Vec<(Dict<'_>, u8)> = Vec::new();
    open.extend(outlines.and_then(|outlines| outlines.get("First")).map(|first| (first, 1)));
    // A ring of bookmarks ends by being counted.
    for _ in 0..MOST {
        let Some((bookmark, level)) = open.pop() else { break };
        if let Some(title) = bookmark.get::<Text<'_>>("Title") {
            let title = folded(&decoded(title.as_bytes()));
            if !title.is_empty() {
                found.entry(title).or_insert(level);
            }
        }
        open.extend(bookmark.get("Next").map(|next| (next, level)));
        if level < DEEPEST {
            open.extend(bookmark.get("First").map(|first| (first, level + 1)));
        }
    }
    found
}

/// A heading without what bookmarks and pages write differently: spaces, case, numbers before it.
pub(super) fn folded(heading: &str) -> String {
    let unnumbered = heading.trim_start_matches(|c: char| c.is_numeric() || c == '.' || c.is_whitespace());
    let heading = if unnumbered.is_empty() { heading } else { unnumbered };
    heading.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
