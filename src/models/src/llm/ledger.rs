//! Counts what answers cost: as the provider reports it, and by an estimate where it does not.
//! Never decides whether a call may be made.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{ChatEvent, ChatRequest, Usage};

/// Characters per token of English text in the tokenizers in wide use; texts in other scripts have fewer. An estimate
/// stands only until the provider reports what it counted.
const CHARS_PER_TOKEN: u64 = 4;

/// Tokens of all answers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    prompt: AtomicU64,
    completion: AtomicU64,
    given_up: AtomicU64,
}

/// Tokens of all answers so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenCounts {
    /// Of the prompts of whole answers.
    pub prompt: u64,
    /// Of the texts of whole answers.
    pub completion: u64,
    /// Of the prompts and texts of answers that began and did not become whole: given up by who asked, or broken off.
    pub given_up: u64,
}

impl Ledger {
    pub(super) fn read(&self) -> TokenCounts {
        TokenCounts {
            prompt: self.prompt.load(Ordering::Relaxed),
            completion: self.completion.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }

    /// An answer became whole.
    pub(super) fn whole(&self, bill: &Bill) {
        let usage = bill.usage();
        self.prompt.fetch_add(usage.prompt_tokens, Ordering::Relaxed);
        self.completion.fetch_add(usage.completion_tokens, Ordering::Relaxed);
    }

    /// An answer did not become whole.
    pub(super) fn given_up(&self, bill: &Bill) {
        self.given_up.fetch_add(bill.so_far(), Ordering::Relaxed);
    }
}

/// What one answer has cost so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    prompt_estimate: u64,
    chars: u64,
    reported: Option<Usage>,
}

impl Bill {
    pub(super) fn open(request: &ChatRequest) -> Self {
        let chars: u64 = request.messages.iter().map(|message| chars(&message.content)).sum();
        Self { prompt_estimate: chars.div_ceil(CHARS_PER_TOKEN), chars: 0, reported: None }
    }

    /// What the call may cost at most, for the ceilings: providers count what may be generated, too, until they know.
    pub(super) fn at_most(&self, max_tokens: u32) -> u64 {
        self.prompt_estimate.saturating_add(max_tokens.into())
    }

    pub(super) fn note(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Delta(text) => self.chars = self.chars.saturating_add(chars(text)),
            ChatEvent::Usage(usage) => self.reported = Some(*usage),
            ChatEvent::Finished(_) => {}
        }
    }

    /// The reported numbers; where nothing is reported yet, or less than what has come, the estimate.
    fn usage(&self) -> Usage {
        let reported = self.reported.unwrap_or_default();
        let estimate = self.chars.div_ceil(CHARS_PER_TOKEN);
        Usage {
            prompt_tokens: Some(reported.prompt_tokens).filter(|n| *n > 0).unwrap_or(self.prompt_estimate),
            completion_tokens: Some(reported.completion_tokens).filter(|n| *n > 0).unwrap_or(estimate),
        }
    }

    /// All tokens of a whole answer.
    pub(super) fn total(&self) -> u64 {
        let usage = self.usage();
        usage.prompt_tokens.saturating_add(usage.completion_tokens)
    }

    /// All tokens of an answer that is not whole: what was reported at its beginning is no count of what came since.
    pub(super) fn so_far(&self) -> u64 {
        let usage = self.usage();
        let completion = usage.completion_tokens.max(self.chars.div_ceil(CHARS_PER_TOKEN));
        usage.prompt_tokens.saturating_add(completion)
    }
}

fn chars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Delivery, Message, Role};

    fn bill() -> Bill {
        let messages = vec![Message { role: Role::User, content: "x".repeat(398) }];
        let delivery = Delivery::Streamed;
        Bill::open(&ChatRequest { messages, max_tokens: 50, temperature: 0.0, delivery })
    }

    #[test]
    fn what_is_not_reported_is_estimated_from_the_characters() {
        let mut bill = bill();
        assert_eq!(bill.at_most(50), 150);
        bill.note(&ChatEvent::Delta("größer als".into()));
        assert_eq!(bill.usage(), Usage { prompt_tokens: 100, completion_tokens: 3 });
        bill.note(&ChatEvent::Usage(Usage { prompt_tokens: 7, completion_tokens: 0 }));
        assert_eq!(bill.usage(), Usage { prompt_tokens: 7, completion_tokens: 3 });
        bill.note(&ChatEvent::Usage(Usage { prompt_tokens: 7, completion_tokens: 2 }));
        assert_eq!(bill.usage(), Usage { prompt_tokens: 7, completion_tokens: 2 });
    }

    #[test]
    fn whole_answers_and_others_are_counted_apart() {
        let ledger = Ledger::default();
        let mut bill = bill();
        bill.note(&ChatEvent::Delta("four".into()));
        ledger.whole(&bill);
        ledger.given_up(&bill);
        assert_eq!(ledger.read(), TokenCounts { prompt: 100, completion: 1, given_up: 101 });
    }
}
