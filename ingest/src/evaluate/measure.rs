//! Measures of a ranking against judgements, as `trec_eval` and BEIR compute them.
//! Never looks at scores: the order is all that counts.

use std::collections::HashMap;

use lectern_schema::identifiers::DocumentId;
use serde::Serialize;

/// Measures, averaged over questions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Measures {
    /// Normalised discounted cumulative gain of the first ten, with linear gains.
    pub ndcg_at_10: f64,
    /// Share of the relevant documents that are among the first hundred.
    pub recall_at_100: f64,
    /// Reciprocal rank of the first relevant document, 0 beyond the tenth.
    pub mrr_at_10: f64,
}

impl Measures {
    /// Measures one ranking.
    pub fn of(ranking: &[DocumentId], grades: &HashMap<DocumentId, f64>) -> Self {
        let gains: Vec<f64> = ranking.iter().map(|id| grades.get(id).copied().unwrap_or_default()).collect();
        let mut ideal: Vec<f64> = grades.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let found = gains.iter().take(100).filter(|gain| **gain > 0.0).count();
        let first = gains.iter().take(10).position(|gain| *gain > 0.0);
        Self {
            ndcg_at_10: ratio(discounted(&gains), discounted(&ideal)),
            recall_at_100: ratio(number(found), number(grades.len())),
            mrr_at_10: first.map_or(0.0, |index| 1.0 / number(index + 1)),
        }
    }

    /// The average.
    pub fn mean(all: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> f64| ratio(all.iter().map(of).sum(), number(all.len()));
        Self {
            ndcg_at_10: sum(|one| one.ndcg_at_10),
            recall_at_100: sum(|one| one.recall_at_100),
            mrr_at_10: sum(|one| one.mrr_at_10),
        }
    }
}

fn discounted(gains: &[f64]) -> f64 {
    gains.iter().take(10).enumerate().map(|(index, gain)| gain / number(index + 2).log2()).sum()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DocumentId {
        DocumentId::parse(text).unwrap()
    }

    #[test]
    fn measures_are_those_of_the_textbook() {
        let grades = HashMap::from([(id("a"), 2.0), (id("b"), 1.0)]);
        let measures = Measures::of(&[id("x"), id("b"), id("a")], &grades);
        let ideal = 2.0 + 1.0 / 3f64.log2();
        assert!((measures.ndcg_at_10 - (1.0 / 3f64.log2() + 2.0 / 2.0) / ideal).abs() < 1e-12);
        assert!((measures.recall_at_100 - 1.0).abs() < 1e-12);
        assert!((measures.mrr_at_10 - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_ranking_is_one_and_an_empty_one_zero() {
        let grades = HashMap::from([(id("a"), 1.0)]);
        let perfect = Measures { ndcg_at_10: 1.0, recall_at_100: 1.0, mrr_at_10: 1.0 };
        assert_eq!(Measures::of(&[id("a")], &grades), perfect);
        assert_eq!(Measures::of(&[], &grades), Measures::default());
        assert!((Measures::mean(&[perfect, Measures::default()]).ndcg_at_10 - 0.5).abs() < 1e-12);
    }

    #[test]
    fn only_the_first_ten_count_for_gain_and_rank() {
        let mut ranking: Vec<DocumentId> = (0..10).map(|n| id(&format!("x{n}"))).collect();
        ranking.push(id("a"));
        let measures = Measures::of(&ranking, &HashMap::from([(id("a"), 1.0)]));
        assert_eq!(measures, Measures { recall_at_100: 1.0, ..Measures::default() });
    }
}
