//! Answers without a model: the sentences of the evidence that answer the question best.
//! Never writes a word of its own.

/// A piece of evidence to choose sentences from.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The evidence's text.
    pub text: &'a str,
}

/// A chosen sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// Index of the passage it stands in.
    pub passage: usize,
    /// The sentence, a substring of the passage.
    pub text: String,
}

/// The sentences to answer `question` with, best first, at most `most`; none when no passage shares a word with it.
pub fn answer(question: &str, passages: &[Passage<'_>], most: usize) -> Vec<Extract> {
    todo!()
}
