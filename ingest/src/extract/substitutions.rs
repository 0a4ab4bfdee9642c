//! Texts that stand for others in a document: attributes, substitutions.
//! Never lets a document grow without bound: beyond one, names stand for themselves.

use std::cell::Cell;
use std::collections::HashMap;

/// Most bytes that all replacements of a document add to it together. A text that stands for itself a million times is
/// an attack.
const MOST_BYTES: usize = 1024 * 1024;

/// Texts by the names that stand for them.
#[derive(Debug)]
pub(super) struct Substitutions {
    texts: HashMap<String, String>,
    left: Cell<usize>,
}

impl Substitutions {
    /// Sets what a name stands for.
    pub(super) fn set(&mut self, name: &str, text: String) {
        self.texts.insert(name.to_owned(), text);
    }

    /// Lets a name stand for itself again.
    pub(super) fn unset(&mut self, name: &str) {
        self.texts.remove(name);
    }

    /// Whether a name stands for something.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.texts.contains_key(name)
    }

    /// What a name stands for, to be put in its place.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.texts.get(name)?;
        self.left.set(self.left.get().checked_sub(text.len())?);
        Some(text)
    }
}

impl Default for Substitutions {
    fn default() -> Self {
        Self { texts: HashMap::new(), left: Cell::new(MOST_BYTES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_their_texts_up_to_a_bound() {
        let mut substitutions = Substitutions::default();
        substitutions.set("a", "x".repeat(MOST_BYTES / 2));
        assert!(substitutions.is_set("a"));
        assert_eq!([1, 2, 3].map(|_| substitutions.text("a").is_some()), [true, true, false]);
        substitutions.unset("a");
        assert!(!substitutions.is_set("a"));
    }
}
