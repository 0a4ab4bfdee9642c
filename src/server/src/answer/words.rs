//! The content words of texts, as they are compared when a citation is judged.
//! Never gives a word back: it holds hashes.

use std::hash::{DefaultHasher, Hasher};

use lectern_models::extractive::each_content_word;

use crate::answer::polarity::negated;

/// Distinct content words that are no numbers, as hashes in their order: they are compared, and never shown.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<u64>);

impl Words {
    /// These words, each once.
    pub(super) fn of(words: impl Iterator<Item = u64>) -> Self {
        let mut words: Vec<u64> = words.collect();
        words.sort_unstable();
        words.dedup();
        Self(words)
    }

    /// The words of a text, each with the byte at which it begins.
    pub(super) fn placed(text: &str) -> Vec<(usize, u64)> {
        let mut words = Vec::with_capacity(text.len() / 6);
        each_content_word(text, |at, word| {
            if word.chars().any(char::is_alphabetic) {
                words.push((at, hash(word)));
            }
        });
        words
    }

    /// Those of a text.
    pub(super) fn in_text(text: &str) -> Self {
        Self::of(Self::placed(text).into_iter().map(|(_, word)| word))
    }

    /// Those that a negation reaches.
    pub(super) fn negated_in(text: &str) -> Self {
        Self::of(negated(text).iter().map(|word| hash(word)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, word: u64) -> bool {
        self.0.binary_search(&word).is_ok()
    }

    /// Those that stand in both.
    pub(super) fn shared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u64> + 'a {
        self.iter().filter(|word| other.has(*word))
    }
}

fn hash(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(word.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one_and_numbers_none() {
        assert_eq!(Words::in_text("Keys, key and KEY 12.5").len(), 1);
    }

    #[test]
    fn words_are_placed_where_they_begin() {
        let placed: Vec<usize> = Words::placed("The keys expire").into_iter().map(|(at, _)| at).collect();
        assert_eq!(placed, [4, 9]);
    }

    #[test]
    fn what_a_negation_reaches_is_shared_with_the_text_that_it_stands_in() {
        let negated = Words::negated_in("It does not retry writes.");
        assert_eq!(negated.shared(&Words::in_text("Writes are retried.")).count(), 2);
    }
}
