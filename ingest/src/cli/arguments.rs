//! What can be written on the command line, and what its help says.
//! Never does any of it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lectern_schema::canary::Share;
use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};
use lectern_search::query::Mode;

use crate::lifecycle::selection::FilterText;
use crate::partition::{Assignment, JobName, Partition};
use crate::reading::COMMAND;

/// Turns folders of documents into a searchable generation and publishes it.
///
/// Settings come from built-in defaults, then the configuration file, then environment variables such as
/// `LECTERN_STORE__PATH`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 published nothing because a gate refused,
/// 4 done but some documents were skipped (each is named with its reason). Of several workers with `--partition` only the
/// last one ends with 3 or 4.
#[derive(Debug, Parser)]
#[command(name = "lectern-ingest", version, propagate_version = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Entry,
}

#[derive(Debug, Subcommand)]
pub(super) enum Entry {
    #[command(flatten)]
    Asked(Command),
    /// Read documents for the program that started this one
    #[command(name = COMMAND, hide = true)]
    ReadDocuments,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Configuration file in TOML
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Alias to work on, instead of `store.alias` of the configuration
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) alias: Option<AliasName>,
    /// Print one JSON object on standard output instead of text; progress goes to standard error
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build a generation from documents, ask the gates, and publish it: all in one go
    Run(Run),
    /// Say what a run would change and what it would cost; writes nothing
    Plan(Paths),
    /// Build a staging generation from documents, and print its name; publishes nothing
    Build(Build),
    /// Print what the gates say about a generation, compared with the live one; `list` shows it from then on
    Gate(Gate),
    /// Point the alias at a generation, or give it a share of the traffic as a canary, if the gates let it through
    ///
    /// Moving the alias to another generation than the canary ends the canary.
    Publish(Publish),
    /// Point the alias at its canary, which then serves all traffic
    ///
    /// The gates that compare counts are asked again; the others were asked when the canary began.
    Promote(Promote),
    /// End the canary: all traffic goes to the live generation; the other one stays as it is
    Withdraw(Withdraw),
    /// Point the alias back at the generation that was live before; ends the canary, if there is one
    Rollback(Rollback),
    /// List the generations of the alias: counts, age, fingerprint, what the gates said, which one is live and which the canary
    List,
    /// Delete generations that nobody needs any more
    Prune(Prune),
    /// Erase documents from the live generation, from every kept one and from builds in progress
    ///
    /// They stay away: later runs that still find them skip them, until `run --undelete ID`. A generation of the embedded
    /// store is replaced by a successor without them. Cached vectors, which cannot be read as text, stay.
    Delete(Delete),
    /// Compare the store with the registry and say what to do about each difference
    Verify,
    /// Measure retrieval on a judged collection: nDCG@10, recall@100 and MRR@10 per mode
    Eval(Eval),
}

#[derive(Debug, Args)]
pub(super) struct Paths {
    /// Folders and files to ingest; `-` for JSON Lines on standard input; addresses of sitemaps and pages, whose hosts
    /// must be in `ingest.web.hosts`. Left out are hidden files and those that `.gitignore`, `.lecternignore` or
    /// `ingest.ignore` name
    #[arg(required_unless_present = "urls", value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// File with one address of a sitemap or page per line
    #[arg(long, value_name = "FILE")]
    pub(super) urls: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Build {
    #[command(flatten)]
    pub(super) paths: Paths,
    #[command(flatten)]
    pub(super) divided: Divided,
    #[command(flatten)]
    pub(super) undelete: Undelete,
}

#[derive(Debug, Args)]
pub(super) struct Divided {
    /// Write only part I (from 0) of N of the documents: N workers, at the same time or not, write one generation, which
    /// the last of them completes. Needs Qdrant, and a registry that all of them reach
    #[arg(long, value_name = "I/N")]
    partition: Option<Partition>,
    /// Name of the build that the worker belongs to, such as the UID of a Kubernetes Job; used once. Without it the workers
    /// of the one unfinished build without a name find each other
    #[arg(long, value_name = "NAME", requires = "partition")]
    job: Option<JobName>,
}

impl Divided {
    /// What one of several workers does for `alias`; `None` for one that does everything.
    pub(super) fn assignment(&self, alias: &AliasName) -> Option<Assignment> {
        let partition = self.partition?;
        Some(Assignment { alias: alias.clone(), job: self.job.clone(), partition })
    }
}

#[derive(Debug, Args)]
pub(super) struct Undelete {
    /// Ingest a document again that was deleted; can be given several times
    #[arg(long, value_name = "ID")]
    pub(super) undelete: Vec<DocumentId>,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Document to erase, as searches name it; can be given several times
    #[arg(long, required_unless_present = "filter", value_name = "ID")]
    pub(super) document: Vec<DocumentId>,
    /// Documents of which a chunk passes this filter, written as for searches: '{"tenant": "acme"}'
    #[arg(long, value_name = "JSON")]
    pub(super) filter: Option<FilterText>,
    /// Why, for the record and for whoever finds the document skipped
    #[arg(long, value_name = "REASON", default_value = "by command")]
    pub(super) reason: String,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) paths: Paths,
    #[command(flatten)]
    pub(super) divided: Divided,
    #[command(flatten)]
    pub(super) undelete: Undelete,
    #[command(flatten)]
    pub(super) golden: GoldenFile,
    #[command(flatten)]
    pub(super) force: Force,
}

#[derive(Debug, Args)]
pub(super) struct Gate {
    #[command(flatten)]
    pub(super) generation: Generation,
    #[command(flatten)]
    pub(super) golden: GoldenFile,
}

#[derive(Debug, Args)]
pub(super) struct GoldenFile {
    /// Questions that the generation must answer as well as the live one: one JSON object per line, `{"question": "...",
    /// "expected": ["document id", ...]}`; instead of `ingest.golden` of the configuration
    #[arg(long, value_name = "FILE")]
    pub(super) golden: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Publish {
    #[command(flatten)]
    pub(super) generation: Generation,
    /// Serve only this share of the traffic from it, 1 to 50, beside the live generation, and compare the two; the alias
    /// does not move
    #[arg(long, value_name = "PERCENT")]
    pub(super) canary: Option<Share>,
    #[command(flatten)]
    pub(super) golden: GoldenFile,
    #[command(flatten)]
    pub(super) force: Force,
}

#[derive(Debug, Args)]
pub(super) struct Promote {
    #[command(flatten)]
    pub(super) force: Force,
}

#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// Why, for the record
    #[arg(long, value_name = "REASON")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Force {
    /// Publish although a gate refuses, for this reason, which is recorded
    #[arg(long, value_name = "REASON")]
    pub(super) force: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Generation {
    /// Name of the generation, as `list` prints it
    #[arg(value_name = "GENERATION")]
    pub(super) generation: GenerationId,
}

#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// Generation to go back to, instead of the newest one before the live one
    #[arg(long, value_name = "GENERATION")]
    pub(super) to: Option<GenerationId>,
}

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Superseded generations to keep, instead of `ingest.keep` of the configuration
    #[arg(long, value_name = "N")]
    pub(super) keep: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Eval {
    /// Folder in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv
    #[arg(long, value_name = "DIR")]
    pub(super) dataset: PathBuf,
    /// Judgements to use
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    pub(super) split: String,
    /// Mode to measure; can be given several times; all by default
    #[arg(long, value_enum, value_name = "MODE")]
    pub(super) mode: Vec<Searched>,
    /// SQLite file that keeps the vectors for the next time, instead of the registry
    #[arg(long, value_name = "FILE")]
    pub(super) cache: Option<PathBuf>,
}

/// A mode of searching, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Searched {
    /// By meaning
    Dense,
    /// By words
    Sparse,
    /// By both
    Hybrid,
}

impl From<Searched> for Mode {
    fn from(searched: Searched) -> Self {
        match searched {
            Searched::Dense => Self::Dense,
            Searched::Sparse => Self::Sparse,
            Searched::Hybrid => Self::Hybrid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_work_before_and_after_the_command() {
        for line in [
            ["lectern-ingest", "--alias", "news", "list", "--json"],
            ["lectern-ingest", "list", "--json", "--alias", "news"],
        ] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert!(arguments.common.json);
            assert_eq!(arguments.common.alias.unwrap().as_str(), "news");
        }
        assert!(Arguments::try_parse_from(["lectern-ingest", "run"]).is_err());
        assert!(Arguments::try_parse_from(["lectern-ingest", "publish", "nonsense"]).is_err());
        let canary = |percent| {
            let line = ["lectern-ingest", "publish", "docs@20261121T101500Z", "--canary", percent];
            Arguments::try_parse_from(line)
        };
        let part = |options: &[&str]| {
            Arguments::try_parse_from([&["lectern-ingest", "run", "docs"], options].concat())
        };
        assert!(part(&["--partition", "2/3", "--job", "a"]).is_ok());
        assert!(part(&["--partition", "3/3"]).is_err() && part(&["--job", "a"]).is_err());
        assert!(canary("50").is_ok() && canary("0").is_err() && canary("51").is_err());
    }
}
