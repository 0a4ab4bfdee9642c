//! Finds out what was embedded of a stored chunk: its text below title and headings, as far as those fitted.
//! Never guesses: the hash that is stored with a chunk says which of the possible headers it was.

use lectern_schema::chunk::ChunkPayload;
use lectern_schema::identifiers::ContentHash;

use super::{HEADER_SHARE, half, headed, longest_title};

/// What was embedded of a chunk that was cut to `max_tokens`. `None` when title, headings and text are not what they were.
pub fn embedded(payload: &ChunkPayload, max_tokens: u32) -> Option<String> {
    let below = |header: String| header + &payload.text;
    let headings = 0..=payload.heading_path.len();
    let whole =
        headings.map(|from| headed(&payload.title, payload.heading_path.get(from..).unwrap_or_default()));
    let most = usize::try_from(max_tokens).unwrap_or(usize::MAX) / HEADER_SHARE;
    let first = Some(longest_title(&payload.title, most));
    let titles = std::iter::successors(first, |title| (!title.is_empty()).then(|| half(title)));
    let shortened = titles.map(|title| headed(&title, &[]));
    whole.chain(shortened).map(below).find(|text| ContentHash::of(&[text]) == payload.content_hash)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use lectern_schema::identifiers::DocumentId;

    use super::*;
    use crate::chunk::Cutter;
    use crate::extract::format::Format;
    use crate::extract::{Extracted, Section};

    /// Chunks of a document with these headings, cut to 60 words.
    fn chunks(title: &str, path: &[&str]) -> Vec<crate::chunk::Chunk> {
        let text: Vec<String> = (0..200).map(|n| format!("word{n}.")).collect();
        let document = Extracted {
            document_id: DocumentId::parse("docs/a.md").unwrap(),
            tenant: None,
            uri: "docs/a.md".to_owned(),
            title: title.to_owned(),
            format: Format::parse("markdown").unwrap(),
            sections: vec![Section {
                heading_path: path.iter().map(|heading| (*heading).to_owned()).collect(),
                text: text.join(" "),
                ..Section::default()
            }],
            metadata: serde_json::Map::new(),
        };
        let words = Arc::new(|text: &str| text.split_whitespace().count());
        let mut chunks = Vec::new();
        let cut = Cutter::new(words, 256, 60, 0).cut(&document, &mut |chunk| {
            chunks.push(chunk);
            ControlFlow::Continue(())
        });
        assert!(cut.is_continue());
        chunks
    }

    #[test]
    fn what_was_embedded_is_found_again_however_much_of_the_header_fitted() {
        let endless = "title ".repeat(10_000);
        let wide = "heading ".repeat(30);
        for (title, path) in [
            ("Manual", &["Use", "Start"][..]),
            ("Manual", &[]),
            ("Manual", &[&wide, "Inner"]),
            ("Manual", &[&wide]),
            (&endless, &["Use"]),
        ] {
            let chunks = chunks(title, path);
            assert!(chunks.len() > 1);
            for chunk in chunks {
                assert_eq!(embedded(&chunk.payload, 60), Some(chunk.embedded));
            }
        }
    }

    #[test]
    fn a_text_that_was_cut_short_is_not_what_was_embedded() {
        let mut payload = chunks("Manual", &["Use"]).remove(0).payload;
        payload.text.pop();
        assert_eq!(embedded(&payload, 60), None);
    }
}
