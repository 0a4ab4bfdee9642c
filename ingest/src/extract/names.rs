//! Names the documents within a file, so that no two have the same name.
//! Never renames the first of a name: a document keeps its name when others join it.

use std::collections::HashMap;

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// Takes a name, unless it is taken.
    pub(super) fn take(&mut self, name: &str) -> bool {
        let count = self.0.entry(name.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    /// Takes a name, with a number when it is taken.
    pub(super) fn numbered(&mut self, name: &str) -> String {
        if self.take(name) {
            return name.to_owned();
        }
        loop {
            let count = self.0.get(name).copied().unwrap_or_default();
            let numbered = format!("{name} ({count})");
            if self.take(&numbered) {
                return numbered;
            }
            self.take(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_get_numbers() {
        let mut names = Names::default();
        let taken = ["a", "b", "a", "a (2)", "a"].map(|name| names.numbered(name));
        assert_eq!(taken, ["a", "b", "a (2)", "a (2) (2)", "a (3)"]);
    }
}
