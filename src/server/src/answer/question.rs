//! The question, checked. The first step of the pipeline.
//! Never changes the wording beyond white space at the ends.

/// A user's question: trimmed, non-empty, at most [`Question::MAX_CHARS`] characters, without NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question(String);

/// Why a text is not a question that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// Too long to be a question.
    #[error("must have at most {} characters", Question::MAX_CHARS)]
    TooLong,
    /// NUL and other control characters never come from a person.
    #[error("must not contain control characters")]
    Control,
}

impl Question {
    /// Longest question in characters: several pages of text, far more than the embedder reads.
    pub const MAX_CHARS: usize = 4_000;

    /// Trims and checks a text.
    pub fn parse(raw: &str) -> Result<Self, BadQuestion> {
        let text = raw.trim();
        if text.is_empty() {
            return Err(BadQuestion::Empty);
        }
        if text.chars().count() > Self::MAX_CHARS {
            return Err(BadQuestion::TooLong);
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(BadQuestion::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as asked.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with white space folded: equal for questions that differ in nothing else.
    pub fn folded(&self) -> String {
        self.0.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_text_and_no_control_characters() {
        assert_eq!(Question::parse(" \n "), Err(BadQuestion::Empty));
        assert_eq!(Question::parse("a\0b"), Err(BadQuestion::Control));
        assert_eq!(Question::parse(&"\0".repeat(10)), Err(BadQuestion::Control));
        assert_eq!(Question::parse("  why?\n").unwrap().as_str(), "why?");
    }

    #[test]
    fn the_limit_counts_characters_not_bytes() {
        assert!(Question::parse(&"ü".repeat(Question::MAX_CHARS)).is_ok());
        assert_eq!(Question::parse(&"a".repeat(Question::MAX_CHARS + 1)), Err(BadQuestion::TooLong));
    }

    #[test]
    fn questions_that_differ_in_white_space_fold_to_the_same_text() {
        assert_eq!(Question::parse("a  b\nc").unwrap().folded(), "a b c");
    }
}
