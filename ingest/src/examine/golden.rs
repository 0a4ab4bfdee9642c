//! Golden questions: a file of questions with the documents that answer them, one JSON object per line.
//! Never asks them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use lectern_schema::identifiers::{ContentHash, DocumentId};
use serde::Deserialize;

use crate::evaluate::measure::Measures;
use crate::lifecycle::gate::golden::Score;

/// Documents that are looked at per question.
pub(super) const DEPTH: usize = 10;

/// A question with a known answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// The question.
    pub text: String,
    /// The documents that answer it, at least one.
    pub expected: Vec<DocumentId>,
}

/// Why a file holds no golden questions.
#[derive(Debug, thiserror::Error)]
pub enum BadGolden {
    /// It cannot be read.
    #[error("cannot read the golden questions in `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A line is not a golden question.
    #[error(
        "`{}` line {line}: {reason}; expected is {{\"question\": \"...\", \"expected\": [\"document id\", ...]}}", .path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no question in it.
    #[error("`{}` holds no golden question: write one JSON object per line", .0.display())]
    Nothing(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    question: String,
    expected: Vec<DocumentId>,
}

impl Golden {
    /// Reads a file. Blocks while it reads.
    pub fn load(path: &Path) -> Result<Vec<Self>, BadGolden> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BadGolden::File { path: path.to_owned(), source })?;
        let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut questions = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = |reason| BadGolden::Line { path: path.to_owned(), line: index + 1, reason };
            let question = parse(line).map_err(bad)?;
            if let Some(first) = first_lines.insert(question.text.clone(), index + 1) {
                return Err(bad(format!("the question is that of line {first}")));
            }
            questions.push(question);
        }
        if questions.is_empty() { Err(BadGolden::Nothing(path.to_owned())) } else { Ok(questions) }
    }

    /// Names the question without telling it.
    pub fn key(&self) -> ContentHash {
        ContentHash::of(&[&self.text])
    }

    /// How well a ranking of documents, best first, answers it.
    pub fn score(&self, ranking: &[DocumentId]) -> Score {
        let grades: HashMap<DocumentId, f64> = self.expected.iter().map(|id| (id.clone(), 1.0)).collect();
        let first = ranking.get(..DEPTH).unwrap_or(ranking);
        let found = first.iter().filter(|id| grades.contains_key(*id)).count();
        let findable = grades.len().min(DEPTH);
        Score { ndcg: Measures::of(first, &grades).ndcg_at_10, recall: share(found, findable) }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    number(part) / number(whole.max(1))
}

fn parse(line: &str) -> Result<Golden, String> {
    let line: Line = serde_json::from_str(line).map_err(|fault| fault.to_string())?;
    let text = line.question.trim().to_owned();
    if text.is_empty() {
        return Err("the question is empty".to_owned());
    }
    if line.expected.is_empty() {
        return Err("no document is expected".to_owned());
    }
    Ok(Golden { text, expected: line.expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Result<Vec<Golden>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Golden::load(file.path()).map_err(|fault| fault.to_string())
    }

    fn ids(names: &[&str]) -> Vec<DocumentId> {
        names.iter().map(|name| DocumentId::parse(name).unwrap()).collect()
    }

    #[test]
    fn questions_are_read_line_by_line() {
        let text = "{\"question\": \" Why? \", \"expected\": [\"docs/a.md\"]}\n\n{\"question\": \"How?\", \"expected\": [\"b\", \"c\"]}";
        let questions = loaded(text).unwrap();
        assert_eq!(questions[0], Golden { text: "Why?".to_owned(), expected: ids(&["docs/a.md"]) });
        assert_eq!(questions.len(), 2);
    }

    #[test]
    fn a_bad_line_is_named_with_its_number_and_what_was_expected() {
        for (line, reason) in [
            ("{\"question\": \"x\"}", "missing field `expected`"),
            ("{\"question\": \"x\", \"expected\": []}", "no document is expected"),
            ("{\"question\": \" \", \"expected\": [\"a\"]}", "the question is empty"),
            ("{\"question\": \"x\", \"expected\": [\"a\"], \"note\": 1}", "unknown field `note`"),
            ("{\"question\": \"x\", \"expected\": [\"\"]}", "`` is not a document id"),
            ("Why?", "expected value"),
            ("{\"question\": \"first\", \"expected\": [\"b\"]}", "the question is that of line 1"),
        ] {
            let fault =
                loaded(&format!("{{\"question\": \"first\", \"expected\": [\"a\"]}}\n{line}")).unwrap_err();
            assert!(fault.contains("line 2: ") && fault.contains(reason), "{fault}");
            assert!(fault.contains("{\"question\": \"...\", \"expected\""), "{fault}");
        }
    }

    #[test]
    fn an_empty_file_and_a_missing_one_are_told() {
        assert!(loaded("\n \n").unwrap_err().contains("holds no golden question"));
        let missing = Golden::load(Path::new("/nowhere/golden.jsonl")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/golden.jsonl"));
    }

    #[test]
    fn a_score_is_that_of_the_first_ten_documents() {
        let question = Golden { text: "x".to_owned(), expected: ids(&["a", "b"]) };
        let score = question.score(&ids(&["a", "x", "y"]));
        assert!((score.recall - 0.5).abs() < 1e-12 && 0.6 < score.ndcg && score.ndcg < 0.62, "{score:?}");
        let mut late = vec!["x"; 10];
        late.push("a");
        assert!(question.score(&ids(&late)).recall.abs() < 1e-12);
    }
}
