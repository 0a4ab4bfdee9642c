//! The history that a question sees: the newest turns of its session that fit a token budget, oldest first.
//! Reads no database: it is made of what was read.

use lectern_schema::identifiers::ContentHash;

/// An answered turn as a later question sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    question: String,
    standalone: Option<String>,
    answer: String,
}

impl Past {
    /// A turn. Markers are taken out of the answer: they point at evidence that a later prompt does not have.
    pub fn new(question: String, standalone: Option<String>, answer: &str) -> Self {
        Self { question, standalone, answer: without_markers(answer) }
    }

    /// The question as it was asked.
    pub fn question(&self) -> &str {
        &self.question
    }

    /// The question as it stands alone.
    pub fn meant(&self) -> &str {
        self.standalone.as_deref().unwrap_or(&self.question)
    }

    /// The answer without markers.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    fn tokens(&self) -> usize {
        tokens(&self.question) + tokens(&self.answer)
    }

    /// The same with an answer of at most `most` tokens.
    fn cut(mut self, most: usize) -> Self {
        if most < tokens(&self.answer) {
            self.answer = self.answer.chars().take(most * CHARS_PER_TOKEN).chain(['…']).collect();
        }
        self
    }
}

/// Characters that count as a token: the usual mean of English text in current tokenizers. Other languages take more
/// tokens: their histories are larger than the budget says, at most by a factor of three.
const CHARS_PER_TOKEN: usize = 4;

fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(CHARS_PER_TOKEN)
}

/// What was said before, oldest first. Empty for the first question, and for one without a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<Past>);

impl History {
    /// The newest turns without a gap that fit `budget` tokens. The newest one always stays, its answer cut to what fits:
    /// it is what a follow-up refers to.
    pub fn newest(newest_first: impl IntoIterator<Item = Past>, budget: u32) -> Self {
        let mut left = usize::try_from(budget).unwrap_or(usize::MAX);
        let mut kept: Vec<Past> = Vec::new();
        for past in newest_first.into_iter().take_while(|_| budget > 0) {
            let past = if kept.is_empty() {
                let room = left.saturating_sub(tokens(&past.question));
                past.cut(room)
            } else if past.tokens() <= left {
                past
            } else {
                break;
            };
            left = left.saturating_sub(past.tokens());
            kept.push(past);
        }
        kept.reverse();
        Self(kept)
    }

    /// The turns, oldest first.
    pub fn turns(&self) -> &[Past] {
        &self.0
    }

    /// Whether nothing was said before.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The turn before.
    pub fn last(&self) -> Option<&Past> {
        self.0.last()
    }

    /// Equal for equal histories alone; empty when nothing was said before.
    pub fn digest(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let parts: Vec<&str> =
            self.0.iter().flat_map(|past| [past.question(), past.meant(), past.answer()]).collect();
        ContentHash::of(&parts).to_string()
    }
}

/// The text without `[1]`, `[23]`: other brackets stay.
fn without_markers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once(']') {
            Some((inside, behind)) if !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit()) => {
                out.truncate(out.trim_end_matches(' ').len());
                rest = behind;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(n: usize, answer: &str) -> Past {
        Past::new(format!("question {n}"), None, answer)
    }

    fn questions(history: &History) -> Vec<&str> {
        history.turns().iter().map(Past::question).collect()
    }

    #[test]
    fn the_newest_turns_that_fit_are_kept_oldest_first_and_without_a_gap() {
        // Three tokens for the question, ten for the answer.
        let answer = "a".repeat(40);
        let turns = |long: usize| {
            [4, 3, 2, 1].map(|n| past(n, &if n == long { "a".repeat(400) } else { answer.clone() }))
        };
        assert_eq!(questions(&History::newest(turns(0), 26)), ["question 3", "question 4"]);
        assert_eq!(questions(&History::newest(turns(0), 25)), ["question 4"]);
        assert_eq!(questions(&History::newest(turns(2), 100)), ["question 3", "question 4"]);
        assert!(History::newest(turns(0), 0).is_empty());
    }

    #[test]
    fn a_last_answer_that_is_too_long_is_cut() {
        let history = History::newest([past(1, &"a".repeat(400))], 13);
        assert_eq!(history.last().unwrap().answer(), format!("{}…", "a".repeat(40)));
    }

    #[test]
    fn markers_go_and_other_brackets_stay() {
        let past = past(1, "It is 7443 [1][12]. See [docs], a[0] and [.");
        assert_eq!(past.answer(), "It is 7443. See [docs], a and [.");
    }

    #[test]
    fn every_word_changes_the_digest() {
        let of = |turns: &[Past]| History::newest(turns.to_vec(), 1_000).digest();
        let base = of(&[past(1, "a")]);
        assert_eq!(of(&[]), "");
        let rewritten = Past::new("question 1".into(), Some("else".into()), "a");
        for other in
            [of(&[past(2, "a")]), of(&[past(1, "b")]), of(&[past(1, "a"), past(1, "a")]), of(&[rewritten])]
        {
            assert_ne!(other, base);
        }
    }
}
