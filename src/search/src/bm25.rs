//! Text to sparse BM25 vectors, by Qdrant's own tokenizer, for both stores and both sides.
//! Never applies IDF: the store does, since it alone knows the collection.

use lectern_schema::embedding::SparseVector;
use lectern_schema::fingerprint::Sparse;
use qdrant_edge::bm25_embed::{EdgeBm25, EdgeBm25Config};
use qdrant_edge::external::ordered_float::NotNan;

/// Turns texts into the sparse vectors of Qdrant's BM25. IDF is applied by the store.
#[derive(Debug)]
pub struct Bm25 {
    model: EdgeBm25,
}

/// The settings name a language or numbers that BM25 cannot work with.
#[derive(Debug, thiserror::Error)]
#[error("sparse settings cannot be used: {0}")]
pub struct BadSparse(String);

impl Bm25 {
    /// Prepares the tokenizer.
    pub fn new(settings: &Sparse) -> Result<Self, BadSparse> {
        let number = |name: &str, value: f64| {
            NotNan::new(value).map_err(|_| BadSparse(format!("`{name}` is not a number")))
        };
        let config = EdgeBm25Config {
            k: number("k1", settings.k1)?,
            b: number("b", settings.b)?,
            avg_len: number("average_length", settings.average_length)?,
            language: Some(settings.language.clone()),
            ..EdgeBm25Config::default()
        };
        let model = EdgeBm25::new(config).map_err(|fault| BadSparse(fault.to_string()))?;
        Ok(Self { model })
    }

    /// Weights of a chunk's terms.
    pub fn document(&self, text: &str) -> SparseVector {
        parsed(self.model.embed_document(text))
    }

    /// Weights of a question's terms.
    pub fn question(&self, text: &str) -> SparseVector {
        parsed(self.model.embed_query(text))
    }
}

/// The model gives each term once and a finite weight; were that to change, no words are better than wrong ones.
fn parsed(vector: qdrant_edge::SparseVector) -> SparseVector {
    SparseVector::parse(vector.indices, vector.values).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english() -> Bm25 {
        Bm25::new(&Sparse::default()).unwrap()
    }

    #[test]
    fn a_question_and_a_document_share_the_terms_that_they_share() {
        let (question, document) = (english().question("running dogs"), english().document("The dog runs."));
        assert_eq!(question.indices(), document.indices());
        assert_eq!(question.indices().len(), 2);
    }

    #[test]
    fn a_text_of_stop_words_has_no_terms() {
        assert!(english().question("to be or not to be").is_empty());
        assert!(english().document("").is_empty());
    }

    #[test]
    fn a_term_weighs_more_the_more_often_it_occurs_but_less_than_in_proportion() {
        let weight = |text: &str| english().document(text).values()[0];
        assert!(weight("dog") < weight("dog dog"));
        assert!(weight("dog dog") < 2.0 * weight("dog"));
    }

    #[test]
    fn a_long_text_keeps_all_its_terms() {
        let words: Vec<String> = (0..20_000).map(|n| format!("term{n}")).collect();
        assert!(english().document(&words.join(" ")).indices().len() > 19_900);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |sparse: Sparse| Bm25::new(&sparse).unwrap_err().to_string();
        assert!(refused(Sparse { language: "klingon".into(), ..Sparse::default() }).contains("klingon"));
        assert!(refused(Sparse { k1: f64::NAN, ..Sparse::default() }).contains("k1"));
        assert!(refused(Sparse { average_length: 0.0, ..Sparse::default() }).contains("avg_doc_len"));
    }
}
