//! Reads the directives of reStructuredText and Sphinx: remarks, code, pictures, tables, descriptions.
//! Never opens the file that a directive names.

use crate::extract::rst::line::{field, indentation, item};
use crate::extract::rst::{Reader, table};

/// Directives of which a reader sees nothing here: what they include, list or configure stands elsewhere.
pub(super) const LEFT_OUT: [&str; 19] = [
    "toctree",
    "contents",
    "raw",
    "include",
    "literalinclude",
    "index",
    "highlight",
    "meta",
    "role",
    "default-role",
    "sectnum",
    "header",
    "footer",
    "currentmodule",
    "module",
    "tabularcolumns",
    "program",
    "autosummary",
    "title",
];
/// Directives that hold text to be kept as it is.
const CODE: [&str; 10] = [
    "code-block",
    "code",
    "sourcecode",
    PARSED,
    "productionlist",
    "math",
    "doctest",
    "prompt",
    "testcode",
    "graphviz",
];
/// Directives that say what kind of remark their text is.
const REMARKS: [(&str, &str); 13] = [
    ("note", "Note:"),
    ("warning", "Warning:"),
    ("tip", "Tip:"),
    ("hint", "Hint:"),
    ("important", "Important:"),
    ("caution", "Caution:"),
    ("danger", "Danger:"),
    ("attention", "Attention:"),
    ("error", "Error:"),
    ("seealso", "See also:"),
    ("deprecated", "Deprecated since version"),
    ("versionchanged", "Changed in version"),
    ("versionadded", "New in version"),
];
/// The directive whose text keeps its lines and has marks nevertheless.
pub(super) const PARSED: &str = "parsed-literal";

impl<'a> Reader<'a> {
    /// Reads a directive whose name and argument are known.
    pub(super) fn directive(&mut self, name: &'a str, argument: &'a str, indent: usize) {
        self.end_lists(indent);
        self.at += 1;
        let options = self.options(indent);
        let end = self.body_end(indent);
        let option = |name: &str| options.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        match name {
            _ if CODE.contains(&name) => {
                let language = match name {
                    "code-block" | "code" | "sourcecode" => argument,
                    PARSED => PARSED,
                    _ => "",
                };
                if language != argument {
                    self.paragraph_of(argument);
                }
                self.code(language, end, indent);
            }
            "image" | "figure" => self.paragraph_of(option("alt").unwrap_or_default()),
            "list-table" | "csv-table" => {
                self.paragraph_of(argument);
                let body = self.lines.get(self.at..end).unwrap_or_default();
                let rows = if name == "list-table" {
                    table::list(body)
                } else {
                    table::separated(option("header"), body)
                };
                self.rows(rows);
                self.at = end;
            }
            "only" | "container" | "class" | "rst-class" | "tabs" | "hlist" | "centered" => {}
            _ => self.remark(name, argument, indent),
        }
    }

    /// A remark, or the description of what the argument names.
    fn remark(&mut self, name: &str, argument: &str, indent: usize) {
        let Some((_, word)) = REMARKS.iter().find(|(known, _)| *known == name) else {
            return self.paragraph_of(argument);
        };
        format!("{word} {argument}").trim_end().clone_into(&mut self.paragraph);
        let is_text = |line: &&str| {
            indentation(line) > indent && item(line.trim()).is_none() && !line.trim().starts_with("..")
        };
        let blank = self.lines.iter().skip(self.at).take_while(|line| line.is_empty()).count();
        // Text below a remark's word goes on behind it.
        if (argument.is_empty() || !word.ends_with(':') || blank == 0)
            && self.lines.get(self.at + blank).is_some_and(is_text)
        {
            self.at += blank;
            self.indent = indentation(self.peek(0));
            let colon = if word.ends_with(':') { "\n" } else { ":\n" };
            self.paragraph.push_str(colon);
        }
    }

    fn paragraph_of(&mut self, text: &str) {
        self.write(text);
        self.outline.end_block();
    }

    /// The options below a directive.
    fn options(&mut self, indent: usize) -> Vec<(&'a str, &'a str)> {
        let mut options = Vec::new();
        while let Some(option) =
            field(self.peek(0).trim_start()).filter(|_| indentation(self.peek(0)) > indent)
        {
            options.push(option);
            self.at += 1;
        }
        options
    }
}
