//! Puts small neighbouring sections together, so that no chunk is too short to be found.
//! Never moves text across another section, and keeps every heading as a path or as text.

use serde_json::{Map, Value};

use crate::extract::Section;

/// Below this, a section stands by itself only where nothing is next to it: three words answer no question.
const LONELY_TOKENS: usize = 16;

/// Sections that are cut as one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The headings that all of it shares.
    pub(super) heading_path: Vec<String>,
    /// The text, with the headings that not all of it shares.
    pub(super) text: String,
    /// The fields that all of it shares.
    pub(super) metadata: Map<String, Value>,
}

/// Groups sections of the same fields while one of two neighbours is below `small` tokens and both fit into `most`.
pub(super) fn grouped(
    sections: &[Section],
    small: usize,
    most: usize,
    measure: &dyn Fn(&str) -> usize,
) -> Vec<Group> {
    let mut groups: Vec<Open<'_>> = Vec::new();
    for section in sections {
        let next =
            Open { path: &section.heading_path, tokens: measure(&section.text), members: vec![section] };
        match groups.last_mut() {
            Some(open) if open.takes(&next, small, most) => open.add(next),
            _ => groups.push(next),
        }
    }
    groups.iter().map(Open::close).collect()
}

struct Open<'a> {
    path: &'a [String],
    tokens: usize,
    members: Vec<&'a Section>,
}

impl Open<'_> {
    /// Room for a heading that becomes text.
    const HEADING_TOKENS: usize = 8;

    fn takes(&self, next: &Self, small: usize, most: usize) -> bool {
        if self.metadata() != next.metadata() {
            return false;
        }
        let smaller = self.tokens.min(next.tokens);
        let shared = shared(self.path, next.path).len();
        let are_siblings = shared + 1 >= self.path.len().max(next.path.len());
        let fit = self.tokens.saturating_add(next.tokens).saturating_add(Self::HEADING_TOKENS) <= most;
        fit && ((smaller < small && are_siblings) || smaller < LONELY_TOKENS)
    }

    fn add(&mut self, next: Self) {
        self.path = shared(self.path, next.path);
        self.tokens = self.tokens.saturating_add(next.tokens).saturating_add(Self::HEADING_TOKENS);
        self.members.extend(next.members);
    }

    fn close(&self) -> Group {
        let mut text = String::new();
        let mut above: &[String] = self.path;
        for section in &self.members {
            let known = shared(above, &section.heading_path).len().max(self.path.len());
            for (depth, heading) in section.heading_path.iter().enumerate().skip(known) {
                append(&mut text, &format!("{} {heading}", "#".repeat((depth + 2).min(6))));
            }
            append(&mut text, &section.text);
            above = &section.heading_path;
        }
        let metadata = self.metadata().cloned().unwrap_or_default();
        Group { heading_path: self.path.to_vec(), text, metadata }
    }

    fn metadata(&self) -> Option<&Map<String, Value>> {
        self.members.first().map(|section| &section.metadata)
    }
}

fn append(text: &mut String, block: &str) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(block);
}

fn shared<'a>(a: &'a [String], b: &[String]) -> &'a [String] {
    let length = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(sections: &[(&[&str], usize)]) -> Vec<(String, String)> {
        let sections: Vec<Section> = sections
            .iter()
            .map(|(path, words)| Section {
                heading_path: path.iter().map(|h| (*h).to_owned()).collect(),
                text: "w ".repeat(*words).trim().to_owned(),
                ..Section::default()
            })
            .collect();
        let measure = |text: &str| text.split_whitespace().count();
        let groups = grouped(&sections, 40, 100, &measure);
        groups
            .into_iter()
            .map(|group| {
                let text =
                    group.text.split_whitespace().filter(|word| *word != "w").collect::<Vec<_>>().join(" ");
                (group.heading_path.join("/"), text)
            })
            .collect()
    }

    fn named(path: &str, headings: &str) -> (String, String) {
        (path.to_owned(), headings.to_owned())
    }

    #[test]
    fn small_siblings_share_a_chunk_and_keep_their_headings() {
        assert_eq!(
            groups(&[(&["Install", "Linux"], 20), (&["Install", "Mac"], 20), (&["Install", "BSD"], 20)]),
            [named("Install", "### Linux ### Mac ### BSD")]
        );
    }

    #[test]
    fn an_introduction_joins_its_first_section() {
        assert_eq!(groups(&[(&["A"], 10), (&["A", "B"], 60)]), [named("A", "### B")]);
    }

    #[test]
    fn large_or_unrelated_sections_stay_apart() {
        assert_eq!(
            groups(&[(&["A"], 50), (&["B"], 45), (&["B", "C", "D"], 20), (&["E", "F"], 20)]),
            [named("A", ""), named("B", ""), named("B/C/D", ""), named("E/F", "")]
        );
    }

    #[test]
    fn three_words_never_stand_alone_where_there_is_a_neighbour() {
        assert_eq!(groups(&[(&["A", "B"], 3), (&["C"], 50)]), [named("", "## A ### B ## C")]);
    }
}
