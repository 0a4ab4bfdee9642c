//! Reads test collections in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`.
//! Never judges anything: it only knows what others have judged.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use lectern_schema::identifiers::{BadIdentifier, DocumentId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A test collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Its documents that have text.
    pub documents: Vec<Document>,
    /// The judged questions, by id.
    pub questions: Vec<Question>,
}

/// A document of the collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Its title; may be empty.
    pub title: String,
    /// Title and text: what is embedded, undivided, as the published figures are made.
    pub content: String,
}

/// A judged question.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its text.
    pub text: String,
    /// Grades above zero of the documents that answer it.
    pub grades: HashMap<DocumentId, f64>,
}

/// Why a folder is no test collection.
#[derive(Debug, thiserror::Error)]
pub enum BadDataset {
    /// A file is missing or cannot be read.
    #[error(
        "cannot read `{path}`: a folder in BEIR's layout has corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("`{path}` line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No question is left.
    #[error("`{0}` judges no question of queries.jsonl: is it the right split?")]
    Nothing(PathBuf),
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

impl Dataset {
    /// Reads a folder. Blocks while it reads.
    pub fn load(folder: &Path, split: &str) -> Result<Self, BadDataset> {
        let qrels = folder.join("qrels").join(format!("{split}.tsv"));
        let mut judged = judgements(&qrels)?;
        let queries: Vec<Entry> = entries(&folder.join("queries.jsonl"))?;
        let questions: Vec<Question> = queries
            .into_iter()
            .filter_map(|query| Some(Question { grades: judged.remove(&query.id)?, text: query.text }))
            .collect();
        if questions.is_empty() {
            return Err(BadDataset::Nothing(qrels));
        }
        let path = folder.join("corpus.jsonl");
        let corpus: Vec<Entry> = entries(&path)?;
        let documents: Result<Vec<Document>, _> = corpus
            .into_iter()
            .enumerate()
            .map(|(index, entry)| document(entry).map_err(|error| at(&path, index, &error)))
            .collect();
        let documents = documents?.into_iter().filter(|document| !document.content.is_empty()).collect();
        Ok(Self { documents, questions })
    }
}

fn document(entry: Entry) -> Result<Document, BadIdentifier> {
    let content = format!("{} {}", entry.title, entry.text).trim().to_owned();
    Ok(Document { id: DocumentId::parse(&entry.id)?, title: entry.title, content })
}

fn judgements(path: &Path) -> Result<BTreeMap<String, HashMap<DocumentId, f64>>, BadDataset> {
    let mut judged: BTreeMap<String, HashMap<DocumentId, f64>> = BTreeMap::new();
    // The first line names the columns.
    for (index, line) in lines(path)?.into_iter().enumerate().skip(1) {
        let mut columns = line.split('\t');
        let (Some(query), Some(document), Some(grade)) = (columns.next(), columns.next(), columns.next())
        else {
            return Err(at(path, index, &"three columns are expected, with tabs between"));
        };
        let grade: f64 = grade.trim().parse().map_err(|error| at(path, index, &error))?;
        let document = DocumentId::parse(document).map_err(|error| at(path, index, &error))?;
        if grade > 0.0 {
            judged.entry(query.to_owned()).or_default().insert(document, grade);
        }
    }
    Ok(judged)
}

fn entries<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, BadDataset> {
    let lines = lines(path)?.into_iter().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| serde_json::from_str(&line).map_err(|error| at(path, index, &error))).collect()
}

fn lines(path: &Path) -> Result<Vec<String>, BadDataset> {
    let failed = |source| BadDataset::File { path: path.to_owned(), source };
    BufReader::new(File::open(path).map_err(failed)?).lines().collect::<Result<_, _>>().map_err(failed)
}

fn at(path: &Path, index: usize, reason: &dyn std::fmt::Display) -> BadDataset {
    BadDataset::Line { path: path.to_owned(), line: index + 1, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(qrels: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("qrels")).unwrap();
        std::fs::write(folder.path().join("qrels/test.tsv"), qrels).unwrap();
        let corpus = "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"x\"}\n{\"_id\":\"d2\",\"title\":\"\",\"text\":\" \"}\n";
        std::fs::write(folder.path().join("corpus.jsonl"), corpus).unwrap();
        std::fs::write(folder.path().join("queries.jsonl"), "{\"_id\":\"q1\",\"text\":\"?\"}\n").unwrap();
        folder
    }

    #[test]
    fn judged_questions_and_documents_with_text_are_read() {
        let folder = folder("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq9\td1\t1\n");
        let dataset = Dataset::load(folder.path(), "test").unwrap();
        assert_eq!(dataset.documents.len(), 1);
        assert_eq!(dataset.documents[0].content, "T x");
        let grades: Vec<f64> = dataset.questions[0].grades.values().copied().collect();
        assert_eq!(grades, [2.0]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let broken = folder("query-id\tcorpus-id\tscore\nq1\td1\tmany\n");
        let error = Dataset::load(broken.path(), "test").unwrap_err().to_string();
        assert!(error.contains("qrels/test.tsv` line 2: invalid float"), "{error}");
        assert!(matches!(Dataset::load(broken.path(), "dev"), Err(BadDataset::File { .. })));
        let unjudged = folder("query-id\tcorpus-id\tscore\n");
        assert!(matches!(Dataset::load(unjudged.path(), "test"), Err(BadDataset::Nothing(_))));
    }
}
