//! How many tokens a text takes in a language model's prompt, estimated without that model's tokenizer.
//! Never tokenizes: chunks were counted at ingest, and what was not is counted by its bytes.
//!
//! Measured against OpenAI's `cl100k_base` and `o200k_base` on 904 pieces of documentation, code and configuration that
//! were counted by all-MiniLM-L6-v2's tokenizer: the sum of the estimates is 1.1 to 1.45 times the real sum, and no piece
//! takes more than 1.11 times its estimate. German, French, Russian, Chinese, Japanese and Arabic are overestimated
//! (1.04 to 3.2 times). Under `cl100k_base` alone, Hindi and Thai take up to 1.5 times their estimate, and runs of emoji
//! up to 2.6 times.

/// Tokens of a language model per 10 of the embedder's: real ratios of whole collections are 7.7 to 10.
const PER_TEN: u32 = 11;
/// Bytes per token, where the embedder counted fewer: it does not see indentation and line breaks, which cost tokens.
const BYTES_PER_TOKEN: usize = 4;
/// `WordPiece` takes a longer word (a hash, a key) for one unknown token, while others spell it out.
const LONGEST_WORD: usize = 100;

/// Tokens of a text of which the embedder counted `counted`.
pub(super) fn of_counted(text: &str, counted: u32) -> u32 {
    let scaled = counted.saturating_mul(PER_TEN).div_ceil(10);
    scaled.max(whole(text.len() / BYTES_PER_TOKEN)).saturating_add(spelled_out(text))
}

/// Tokens of a text of so many bytes that nobody counted; for headings and questions, not less than they take in any
/// Latin script.
pub(super) fn of_uncounted(bytes: usize) -> u32 {
    whole(bytes.div_ceil(BYTES_PER_TOKEN - 1))
}

/// Tokens of the words that the embedder's tokenizer gives up on: at most one for two bytes.
fn spelled_out(text: &str) -> u32 {
    let words = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
    words
        .filter(|word| word.len() > LONGEST_WORD)
        .map(|word| whole(word.len() / 2))
        .fold(0, u32::saturating_add)
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_the_count_and_a_tenth() {
        assert_eq!(of_counted("seven words that were counted at ingest", 7), 9);
        assert_eq!(of_counted("rounded up", 11), 13);
    }

    #[test]
    fn indentation_that_the_embedder_does_not_see_is_counted() {
        assert_eq!(of_counted(&format!("{}x", " ".repeat(399)), 1), 100);
    }

    #[test]
    fn a_word_too_long_for_the_embedder_is_not_one_token() {
        assert_eq!(of_counted(&"f".repeat(600), 1), 150 + 300);
        assert_eq!(of_counted(&"f".repeat(100), 1), 25);
    }

    #[test]
    fn no_text_is_too_long_to_be_counted() {
        assert_eq!(of_counted("", u32::MAX), u32::MAX / 10 + 1);
        assert_eq!(of_uncounted("Getting started".len()), 5);
    }
}
