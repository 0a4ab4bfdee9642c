//! Takes JSX out of Markdown: imports, exports, comments, and lines that hold nothing but component tags.
//! Never touches fenced code, and keeps what a reader sees: the text between tags, and titles given as attributes.

/// Attributes whose values components show.
const SHOWN_ATTRIBUTES: [&str; 3] = ["title=\"", "label=\"", "summary=\""];

/// The text without JSX. Lines keep their number, so that block structure stays as it is.
pub(super) fn stripped(text: &str, is_mdx: bool) -> String {
    let mut reader = Reader { is_mdx, state: State::Text };
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(&reader.line(line));
        out.push('\n');
    }
    out
}

struct Reader {
    is_mdx: bool,
    state: State,
}

enum State {
    Text,
    /// Within fenced code, until a line that begins with this.
    Code(String),
    /// Within a statement, a comment or a tag that spans lines, until a line that ends it.
    Until(fn(&str) -> bool),
}

impl Reader {
    fn line(&mut self, line: &str) -> String {
        let trimmed = line.trim();
        match &self.state {
            State::Code(fence) => {
                if trimmed.starts_with(fence.as_str()) {
                    self.state = State::Text;
                }
                line.to_owned()
            }
            State::Until(ends) => {
                if ends(trimmed) {
                    self.state = State::Text;
                }
                shown(trimmed)
            }
            State::Text => self.text_line(line, trimmed),
        }
    }

    fn text_line(&mut self, line: &str, trimmed: &str) -> String {
        if let Some(fence) = ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence)) {
            let marks = trimmed.chars().take_while(|c| fence.starts_with(*c)).count();
            self.state = State::Code(fence.chars().cycle().take(marks).collect());
            return line.to_owned();
        }
        if self.is_mdx && (line.starts_with("import ") || line.starts_with("export ")) {
            self.until(trimmed, |line| line.is_empty() || line.ends_with([';', '\'', '"', '}']));
            return String::new();
        }
        if self.is_mdx && trimmed.starts_with("{/*") {
            self.until(trimmed, |line| line.ends_with("*/}"));
            return String::new();
        }
        if !begins_with_component(trimmed) {
            return line.to_owned();
        }
        if !trimmed.contains('>') {
            self.until(trimmed, |line| line.is_empty() || line.ends_with('>'));
            return shown(trimmed);
        }
        if trimmed.ends_with('>') && !trimmed.trim_end_matches('>').contains('>') {
            return shown(trimmed);
        }
        line.to_owned()
    }

    fn until(&mut self, first: &str, ends: fn(&str) -> bool) {
        if !ends(first) {
            self.state = State::Until(ends);
        }
    }
}

/// Components are capitalised, HTML elements are not.
fn begins_with_component(line: &str) -> bool {
    let name = line.strip_prefix("</").or_else(|| line.strip_prefix('<'));
    name.is_some_and(|name| name == ">" || name.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn shown(tag: &str) -> String {
    let found = SHOWN_ATTRIBUTES.iter().filter_map(|attribute| {
        let (_, after) = tag.split_once(attribute)?;
        after.split_once('"').map(|(value, _)| value)
    });
    found.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_and_component_tags_go_and_their_text_stays() {
        let text = "import A from './a'\nimport {\n  B,\n} from 'b';\n\n<Tabs>\n<Tab title=\"Python\">\n\nText.\n\n</Tab>\n</Tabs>\n<Card\n  title=\"More\"\n  href=\"/x\"\n/>\n{/* note */}\nEnd.";
        let left: Vec<String> =
            stripped(text, true).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        assert_eq!(left, ["Python", "Text.", "More", "End."]);
    }

    #[test]
    fn code_prose_and_html_stay_as_they_are() {
        let text = "```jsx\nimport A from 'a'\n<Tabs>\n```\nimport is a word.\n<div>\n<Tip>inline</Tip>\n";
        assert_eq!(stripped(text, false), text);
    }
}
