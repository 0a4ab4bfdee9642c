//! Earlier questions that meant the same, found by the nearness of their vectors. Opt-in: near is not equal, and the
//! response says which question was answered and how near it is.
//! Never looks beyond its partition: all that the answer depends on but the wording is equal.

use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use lectern_schema::embedding::DenseVector;
use serde::Serialize;

use crate::cache::answers::{AnswerKey, PartitionKey};
use crate::config::CacheSection;

/// Questions that were answered lately, up to a size in bytes. A scan finds the nearest: ten thousand vectors take about a
/// millisecond, which is little beside the answer that it saves.
#[derive(Debug)]
pub struct SemanticCache {
    asked: RwLock<Lately>,
    threshold: f32,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Lately {
    /// Oldest first.
    questions: VecDeque<Asked>,
    bytes: usize,
}

#[derive(Debug)]
struct Asked {
    partition: PartitionKey,
    vector: DenseVector,
    question: String,
    key: AnswerKey,
}

/// The earlier question that was answered instead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resembled {
    /// Cosine of the two questions' vectors.
    pub similarity: f32,
    /// The earlier question.
    pub question: String,
}

impl SemanticCache {
    /// The cache that the section asks for, if it does.
    pub fn of(section: &CacheSection) -> Option<Self> {
        let capacity = usize::try_from(section.semantic_bytes).unwrap_or(usize::MAX);
        section.semantic_threshold.map(|threshold| Self { asked: RwLock::default(), threshold, capacity })
    }

    /// The nearest earlier question of the partition, if it is near enough, and the key of its answer.
    pub fn nearest(&self, partition: &PartitionKey, vector: &DenseVector) -> Option<(AnswerKey, Resembled)> {
        let lately = self.asked.read().unwrap_or_else(PoisonError::into_inner);
        let (earlier, similarity) = lately
            .questions
            .iter()
            .filter(|earlier| earlier.partition == *partition)
            .map(|earlier| (earlier, cosine(earlier.vector.as_slice(), vector.as_slice())))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .filter(|(_, similarity)| *similarity >= self.threshold)?;
        Some((earlier.key.clone(), Resembled { similarity, question: earlier.question.clone() }))
    }

    /// Remembers a question that was answered.
    pub fn remember(&self, partition: PartitionKey, vector: DenseVector, question: &str, key: AnswerKey) {
        let asked = Asked { partition, vector, question: question.to_owned(), key };
        let mut lately = self.write();
        lately.forget(&asked.key);
        lately.bytes += asked.size();
        lately.questions.push_back(asked);
        while lately.bytes > self.capacity {
            let Some(oldest) = lately.questions.pop_front() else { break };
            lately.bytes -= oldest.size();
        }
    }

    /// Forgets a question whose answer is not kept any more.
    pub fn forget(&self, key: &AnswerKey) {
        self.write().forget(key);
    }

    /// Questions and bytes that are kept.
    pub fn size(&self) -> (usize, usize) {
        let lately = self.asked.read().unwrap_or_else(PoisonError::into_inner);
        (lately.questions.len(), lately.bytes)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.write() = Lately::default();
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lately> {
        self.asked.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lately {
    fn forget(&mut self, key: &AnswerKey) {
        self.questions.retain(|asked| asked.key != *key);
        self.bytes = self.questions.iter().map(Asked::size).sum();
    }
}

impl Asked {
    fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(self.vector.as_slice()) + self.question.len()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if a.len() == b.len() && lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::question::Question;
    use crate::cache::answers::AnswerKeyParts;
    use lectern_schema::identifiers::{GenerationId, TenantId};
    use lectern_search::query::{Limit, Mode};

    fn keys(tenant: &str, question: &str) -> (PartitionKey, AnswerKey) {
        let parts = AnswerKeyParts {
            tenant: &TenantId::parse(tenant).unwrap(),
            generation: &GenerationId::parse("docs@20261121T101500Z").unwrap(),
            question: &Question::parse(question).unwrap(),
            history: "",
            mode: Mode::Hybrid,
            limit: Limit::parse(5).unwrap(),
            filter: "",
            model: "m",
        };
        (PartitionKey::of(&parts).unwrap(), AnswerKey::of(&parts))
    }

    fn vector(elements: [f32; 2]) -> DenseVector {
        DenseVector::parse(elements.to_vec()).unwrap()
    }

    fn cache(bytes: u64) -> SemanticCache {
        let section =
            CacheSection { semantic_threshold: Some(0.9), semantic_bytes: bytes, ..CacheSection::default() };
        SemanticCache::of(&section).unwrap()
    }

    fn remember(cache: &SemanticCache, tenant: &str, question: &str, elements: [f32; 2]) -> AnswerKey {
        let (partition, key) = keys(tenant, question);
        cache.remember(partition, vector(elements), question, key.clone());
        key
    }

    #[test]
    fn the_nearest_question_above_the_threshold_is_found() {
        let cache = cache(10_000);
        remember(&cache, "acme", "far", [0.0, 1.0]);
        remember(&cache, "acme", "near", [1.0, 0.3]);
        let nearest = remember(&cache, "acme", "nearest", [1.0, 0.1]);
        let (key, resembled) = cache.nearest(&keys("acme", "asked").0, &vector([2.0, 0.0])).unwrap();
        assert_eq!((key, resembled.question.as_str()), (nearest, "nearest"));
        assert!((resembled.similarity - 0.995).abs() < 0.001, "{resembled:?}");
        assert_eq!(cache.nearest(&keys("acme", "asked").0, &vector([1.0, -1.0])), None);
    }

    #[test]
    fn another_tenant_s_question_is_never_found() {
        let cache = cache(10_000);
        remember(&cache, "acme", "same", [1.0, 0.0]);
        assert_eq!(cache.nearest(&keys("other", "same").0, &vector([1.0, 0.0])), None);
    }

    #[test]
    fn the_oldest_questions_make_room_and_forgotten_ones_are_gone() {
        let cache = cache(1_000);
        for n in 0..50 {
            remember(&cache, "acme", &format!("question {n}"), [1.0, 0.0]);
        }
        let (questions, bytes) = cache.size();
        assert!((1..50).contains(&questions) && bytes <= 1_000, "{questions} {bytes}");
        let last = keys("acme", "question 49");
        assert_eq!(cache.nearest(&last.0, &vector([1.0, 0.0])).unwrap().0, last.1);
        cache.forget(&last.1);
        assert_ne!(cache.nearest(&last.0, &vector([1.0, 0.0])).map(|found| found.0), Some(last.1));
    }
}
