//! The answer cache: whole answers by everything that they depend on, the generation among it, so that a swap makes
//! every older answer unreachable in the same instant.
//! Never holds a part of an answer, and never an answer that something was missing from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_schema::identifiers::{ContentHash, GenerationId, TenantId};
use lectern_search::query::{Limit, Mode};
use moka::sync::Cache;

use crate::answer::event::Answer;
use crate::answer::prompt::Prompt;
use crate::answer::question::Question;
use crate::config::CacheSection;

/// What decides whether two asks may share an answer, as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey(ContentHash);

/// Everything that an answer depends on.
#[derive(Debug)]
pub struct AnswerKeyParts<'a> {
    /// Whose documents may be seen.
    pub tenant: &'a TenantId,
    /// The generation that is asked.
    pub generation: &'a GenerationId,
    /// The question.
    pub question: &'a Question,
    /// What was said before it, as a digest; empty when nothing was.
    pub history: &'a str,
    /// How it is searched.
    pub mode: Mode,
    /// How many chunks are retrieved.
    pub limit: Limit,
    /// The filter in its canonical form, empty when there is none.
    pub filter: &'a str,
    /// The model that writes.
    pub model: &'a str,
}

impl AnswerKeyParts<'_> {
    /// The hash of all parts but the question, under the current prompt.
    fn rest(&self) -> ContentHash {
        ContentHash::of(&[
            self.tenant.as_str(),
            self.generation.as_str(),
            self.history,
            self.mode.name(),
            &self.limit.get().to_string(),
            self.filter,
            self.model,
            &Prompt::VERSION.to_string(),
        ])
    }
}

/// All that an answer depends on but the question, as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey(ContentHash);

impl PartitionKey {
    /// Where questions may be taken for each other: all that the answer depends on beside the question is equal. None with
    /// a history, which gives equal words another meaning.
    pub fn of(parts: &AnswerKeyParts<'_>) -> Option<Self> {
        parts.history.is_empty().then(|| Self(parts.rest()))
    }
}

impl AnswerKey {
    /// The key of these parts under the current prompt.
    pub fn of(parts: &AnswerKeyParts<'_>) -> Self {
        Self(ContentHash::of(&[&parts.rest().to_string(), &parts.question.folded()]))
    }

    /// The hash.
    pub fn hash(&self) -> &ContentHash {
        &self.0
    }
}

/// Whole answers, most recently used, up to a size in bytes.
#[derive(Debug, Clone)]
pub struct AnswerCache {
    answers: Cache<AnswerKey, Kept>,
    fresh_for: Duration,
}

/// An answer and its age.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The answer.
    pub answer: Arc<Answer>,
    made: Instant,
}

impl Kept {
    /// How long ago the answer was made.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made)
    }
}

impl AnswerCache {
    /// As large as the section says.
    pub fn new(section: &CacheSection) -> Self {
        let answers = Cache::builder()
            .max_capacity(section.answers_bytes)
            .weigher(|_, kept: &Kept| kept.answer.weight())
            .time_to_live(section.answers_ttl)
            .build();
        Self { answers, fresh_for: section.answers_fresh }
    }

    /// The answer, if it is there.
    pub fn get(&self, key: &AnswerKey) -> Option<Kept> {
        self.answers.get(key)
    }

    /// Whether an answer is so old that it should be made anew behind the client's back.
    pub fn is_stale(&self, kept: &Kept, now: Instant) -> bool {
        kept.age(now) >= self.fresh_for
    }

    /// Keeps an answer that nothing was missing from.
    pub fn keep(&self, key: AnswerKey, answer: Arc<Answer>) {
        if answer.degraded.is_empty() {
            self.answers.insert(key, Kept { answer, made: Instant::now() });
        }
    }

    /// Answers and bytes that are kept.
    pub fn size(&self) -> (u64, u64) {
        self.answers.run_pending_tasks();
        (self.answers.entry_count(), self.answers.weighted_size())
    }

    /// Forgets all answers.
    pub fn clear(&self) {
        self.answers.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_key() {
        let (tenant, other_tenant) = (TenantId::public(), TenantId::parse("acme").unwrap());
        let generation = GenerationId::parse("docs@20261121T101500Z").unwrap();
        let next = generation.next();
        let (question, other) = (Question::parse("a  b").unwrap(), Question::parse("a c").unwrap());
        let folded = Question::parse("a b").unwrap();
        let base = || AnswerKeyParts {
            tenant: &tenant,
            generation: &generation,
            question: &question,
            history: "",
            mode: Mode::Hybrid,
            limit: Limit::parse(5).unwrap(),
            filter: "",
            model: "m",
        };
        let key = AnswerKey::of(&base());
        assert_eq!(key, AnswerKey::of(&AnswerKeyParts { question: &folded, ..base() }));
        let others = [
            AnswerKeyParts { tenant: &other_tenant, ..base() },
            AnswerKeyParts { generation: &next, ..base() },
            AnswerKeyParts { question: &other, ..base() },
            AnswerKeyParts { history: "h", ..base() },
            AnswerKeyParts { mode: Mode::Dense, ..base() },
            AnswerKeyParts { limit: Limit::parse(6).unwrap(), ..base() },
            AnswerKeyParts { filter: "{}", ..base() },
            AnswerKeyParts { model: "n", ..base() },
        ];
        for parts in &others {
            assert_ne!(key, AnswerKey::of(parts), "{parts:?}");
        }
    }
}
