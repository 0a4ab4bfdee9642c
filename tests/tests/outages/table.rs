//! The table: what a cell says, what two faults add up to, and what the README must show.

use std::fmt;
use std::path::Path;

use lectern_tests::lectern::Reply;

use crate::outage::{Dependency, Outage};
use crate::scene::{Endpoint, Row};

const BEGIN: &str = "<!-- outages:begin -->\n";
const END: &str = "<!-- outages:end -->\n";
/// Set to anything, it has the README rewritten instead of compared.
const UPDATE: &str = "LECTERN_UPDATE";

/// What a client sees: the status, and what is said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) status: u16,
    /// Whether the status is told by the last event of a stream, behind a 200.
    is_event: bool,
    words: Vec<String>,
}

impl Cell {
    pub(crate) fn ok() -> Self {
        Self::of(200, vec![])
    }

    pub(crate) fn of(status: u16, words: Vec<String>) -> Self {
        Self { status, is_event: false, words }
    }

    /// An answer with what is degraded; a failure with its code, or the stage that was late.
    pub(crate) fn of_reply(reply: &Reply) -> Self {
        let text = |name: &str| reply.body[name].as_str().map(str::to_owned);
        let status = reply.status.as_u16();
        let Some(code) = text("code") else {
            let degraded = reply.body["degraded"].as_array().unwrap();
            return Self::of(status, degraded.iter().map(|word| word.as_str().unwrap().to_owned()).collect());
        };
        let told = u16::try_from(reply.body["status"].as_u64().unwrap()).unwrap();
        Self { status: told, is_event: status != told, words: vec![text("stage").unwrap_or(code)] }
    }

    /// Readiness with what it names.
    pub(crate) fn of_ready(reply: &Reply, mut culprits: Vec<String>) -> Self {
        culprits.sort();
        Self::of(reply.status.as_u16(), culprits)
    }

    pub(crate) fn is_good(&self) -> bool {
        self.status == 200
    }

    /// What two faults add up to, the one that a request meets first before the other: the first failure is what is seen; where
    /// there is none, what is left out adds up.
    fn and(&self, later: &Self) -> Self {
        if !self.is_good() {
            self.clone()
        } else if !later.is_good() {
            later.clone()
        } else {
            Self::of(200, [self.words.clone(), later.words.clone()].concat())
        }
    }

    /// Readiness names all.
    fn beside(&self, other: &Self) -> Self {
        let mut words = [self.words.clone(), other.words.clone()].concat();
        words.sort();
        Self::of(self.status.max(other.status), words)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words.iter().map(|word| format!("`{word}`")).collect();
        let event = if self.is_event { "event: " } else { "" };
        write!(f, "{event}{} {}", self.status, words.join(" "))
    }
}

/// What must not be in a row: what was seen amiss, Redis being seen at all, and a pair that is not the sum of its parts.
pub(crate) fn amiss(row: &Row, rows: &[Row]) -> Vec<String> {
    let mut amiss = row.amiss.clone();
    let is_redis = |(dependency, _): &_| *dependency == Dependency::Redis;
    if row.outage.0.iter().all(is_redis) && row.cells != rows[0].cells {
        amiss.push(format!("{}: what is only a cache is seen: {:?}", row.outage, row.cells));
    }
    if let [first, second] = row.outage.0[..] {
        let alone = |fault| rows.iter().find(|row| row.outage == Outage(vec![fault])).unwrap();
        let parts = alone(first).cells.iter().zip(&alone(second).cells);
        for ((endpoint, seen), (first, second)) in Endpoint::ALL.iter().zip(&row.cells).zip(parts) {
            let sum = if *endpoint == Endpoint::Ready { first.beside(second) } else { first.and(second) };
            if *seen != sum {
                amiss.push(format!("{}: {endpoint:?}: {seen}, and its parts add up to {sum}", row.outage));
            }
        }
    }
    amiss
}

/// The rows as Markdown.
pub(crate) fn markdown<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let head = "| fails | search, hybrid | dense | sparse | ask | ask, streamed | ask, cached | ask in a session | `/ready` | `/live` |\n\
                | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    let line = |row: &Row| {
        let cells: Vec<String> =
            row.cells.iter().map(|cell| cell.to_string().trim_end().to_owned()).collect();
        format!("| {} | {} |\n", row.outage, cells.join(" | "))
    };
    rows.map(line).fold(head.to_owned(), |table, line| table + &line)
}

/// Compares the README's table with this one, or replaces it.
pub(crate) fn check_readme(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, [before, BEGIN, table, END, after].concat()).unwrap();
    } else {
        assert_eq!(
            shown, table,
            "what clients see is not what README.md says; when it is meant to be so, rewrite it with \
             `{UPDATE}=1 cargo nextest run --workspace -E 'binary(outages)'` and look at the difference"
        );
    }
}
