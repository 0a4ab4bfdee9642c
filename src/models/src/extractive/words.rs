//! Words as they are compared: lower case, stemmed, without those that carry no meaning.
//! Never needs to know the language: stemming is English, other languages are compared nearly as written.

use std::borrow::Cow;
use std::collections::BTreeSet;

use qdrant_rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// English words that say nothing about what a question asks for; sorted.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "about", "all", "also", "am", "an", "and", "any", "are", "aren", "as", "at", "be", "been",
    "before", "being", "between", "both", "but", "by", "can", "cannot", "could", "did", "didn", "do",
    "does", "doesn", "doing", "don", "done", "for", "from", "get", "give", "had", "has", "hasn", "have",
    "haven", "having", "he", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "isn", "it",
    "its", "just", "ll", "many", "may", "me", "might", "mine", "more", "most", "much", "must", "my", "no",
    "nor", "not", "of", "off", "on", "once", "one", "only", "or", "other", "our", "out", "over", "own",
    "please", "re", "shall", "she", "should", "so", "some", "such", "tell", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "under", "up",
    "upon", "us", "ve", "very", "was", "wasn", "we", "were", "weren", "what", "when", "where", "whether",
    "which", "while", "who", "whom", "whose", "why", "will", "with", "without", "won", "would", "you",
    "your",
];

/// The distinct words of a text that carry meaning; identifiers (`max_tokens`, `api.key`) whole and in parts.
pub(super) fn terms(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each_term(text, |_, term| {
        found.insert(term.to_owned());
    });
    found
}

/// Gives `take` each of these words, as often as it stands there, with the byte at which it begins.
pub(super) fn each_term(text: &str, mut take: impl FnMut(usize, &str)) {
    // English, as the sparse vectors are: the same forms of a word fall together here and there.
    let stemmer = Stemmer::create(Algorithm::English);
    for (at, word) in text.unicode_word_indices() {
        let word = lower_case(word);
        let parts = word.split(|c: char| !c.is_alphanumeric());
        for part in parts.filter(|part| !is_stop_word(part) && (*part == word || part.chars().count() > 1)) {
            take(at, &stemmer.stem(part));
        }
        // The short forms of speech (`don't`) are no identifiers.
        if !word.chars().all(|c| c.is_alphanumeric() || matches!(c, '\'' | '’')) {
            take(at, &word);
        }
    }
}

fn lower_case(word: &str) -> Cow<'_, str> {
    let is_lower = word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) }
}

/// Bytes of the longest of them: most words are told by their length.
const LONGEST_STOP_WORD: usize = 7;

fn is_stop_word(word: &str) -> bool {
    word.len() <= LONGEST_STOP_WORD && STOP_WORDS.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_word_fall_together() {
        for forms in [
            "configure configures configured configuring configuration",
            "install installs installed installing installation",
            "query queries",
            "deploy deploys deployed deploying deployment deployments",
            "document documents documentation",
            "expire expires expired expiring",
            "Key keys key's",
        ] {
            assert_eq!(terms(forms).len(), 1, "{:?}", terms(forms));
        }
    }

    #[test]
    fn stop_words_are_no_terms() {
        assert!(STOP_WORDS.is_sorted());
        assert_eq!(STOP_WORDS.iter().map(|word| word.len()).max(), Some(LONGEST_STOP_WORD));
        assert_eq!(terms("What is the and of?"), BTreeSet::new());
        assert_eq!(terms("I don't"), BTreeSet::new());
    }

    #[test]
    fn an_identifier_is_found_whole_and_by_its_parts() {
        let found: Vec<String> = terms("`max_tokens`").into_iter().collect();
        assert_eq!(found, ["max", "max_tokens", "token"]);
    }
}
