//! Reports, lists and verdicts as text for people.
//! Never leaves out that something is skipped or refused.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::evaluate::Evaluation;
use crate::extract::Skipped;
use crate::lifecycle::canary::Withdrawn;
use crate::lifecycle::erase::Erased;
use crate::lifecycle::gate::Verdict;
use crate::lifecycle::prune::Fate;
use crate::lifecycle::publish::Published;
use crate::lifecycle::shelf::{Condition, Listed, Shelf};
use crate::partition::Partition;
use crate::pipeline::forecast::Forecast;
use crate::pipeline::report::{Changes, Report};
use crate::registry::divisions::{Division, Turn};
use crate::registry::examinations::Examination;
use lectern_schema::identifiers::{DocumentId, GenerationId};

/// Skipped documents that are named: what one screen holds.
const SKIPPED_SHOWN: usize = 20;

pub(super) fn report(report: &Report) -> String {
    let part = report.partition.map_or_else(String::new, |partition| format!("partition {partition} of "));
    let parts = report.partitions.map_or_else(String::new, |number| format!(" in {number} partitions"));
    let built = report.generation.as_ref();
    let built = built.map_or_else(String::new, |name| format!("built {part}{name}{parts}\n"));
    let resumed = report.resumed.map_or_else(String::new, |documents| {
        format!("went on with an interrupted build, in which {documents} documents were written already\n")
    });
    let content = format!(
        "{} documents ({}), {} chunks: {} embedded ({}), {} reused\n",
        report.documents,
        changes(report.changes),
        report.chunks,
        report.embedded,
        tokens(report.tokens_embedded, report.cost),
        report.reused
    );
    let times = format!(
        "{} in all; reading {}, embedding {}, writing {}, building the index {}\n",
        seconds(report.times.total_ms),
        seconds(report.times.read_ms),
        seconds(report.times.embed_ms),
        seconds(report.times.write_ms),
        seconds(report.times.seal_ms)
    );
    built + &resumed + &content + &times + &left_out(&report.skipped, &report.unsupported)
}

/// What a worker that is not the last has to say of the build.
pub(super) fn part(division: &Division, turn: Turn, partition: Partition) -> String {
    let generation = &division.generation;
    match turn {
        Turn::Over(outcome) => {
            let outcome = outcome.as_str();
            format!(
                "the build of {generation} has ended, {outcome}: nothing is left for partition {partition}\n"
            )
        }
        Turn::Finish => format!("another worker completes {generation}\n"),
        Turn::Write | Turn::Wait => {
            let missing = Partition::named(&division.missing());
            format!(
                "partition {partition} of {generation} is done, {missing} not yet: the last completes it\n"
            )
        }
    }
}

pub(super) fn forecast(forecast: &Forecast) -> String {
    let text = format!(
        "{} documents ({}), {} chunks: {} to embed ({}), {} reused\n",
        forecast.documents,
        changes(forecast.changes),
        forecast.chunks,
        forecast.to_embed,
        tokens(forecast.tokens_to_embed, forecast.cost),
        forecast.chunks.saturating_sub(forecast.to_embed)
    );
    text + &left_out(&forecast.skipped, &forecast.unsupported)
}

fn tokens(tokens: u64, cost: Option<f64>) -> String {
    let cost = cost.map_or_else(String::new, |cost| format!(", about {cost:.4} at the price set"));
    format!("{tokens} tokens{cost}")
}

fn changes(changes: Changes) -> String {
    let Changes { new, changed, unchanged, gone } = changes;
    format!("{new} new, {changed} changed, {unchanged} unchanged, {gone} gone")
}

fn left_out(skipped: &[Skipped], unsupported: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = unsupported.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let unsupported = format!("not a supported format: {}", counts.join(", "));
    let unsupported = Some(unsupported).filter(|_| !counts.is_empty());
    let mut by_name: Vec<&Skipped> = skipped.iter().collect();
    by_name.sort_by(|a, b| a.document.cmp(&b.document));
    let told = by_name.iter().take(SKIPPED_SHOWN);
    let told = told.map(|one| format!("skipped {}: {}", one.document, one.reason));
    let more = skipped.len().saturating_sub(SKIPPED_SHOWN);
    let more = (more > 0).then(|| format!("skipped {more} more: `--json` names them all"));
    lines(unsupported.into_iter().chain(told).chain(more))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

fn seconds(millis: u64) -> String {
    format!("{:.1} s", Duration::from_millis(millis).as_secs_f64())
}

pub(super) fn published(published: &Published) -> String {
    match published {
        Published::Moved { from, to, verdicts: said } => {
            let from = from.as_ref().map_or_else(|| "(first)".to_owned(), ToString::to_string);
            format!("{}published {from} -> {to}\n", verdicts(said))
        }
        Published::AlreadyLive(generation) => format!("{generation} is live already: nothing was changed\n"),
        Published::Sharing { live, canary, verdicts: said } => format!(
            "{}{} serves {} % beside {live}; end it with `lectern-ingest promote` or `withdraw`\n",
            verdicts(said),
            canary.generation,
            canary.share
        ),
    }
}

pub(super) fn withdrawn(withdrawn: &Withdrawn) -> String {
    let Withdrawn { canary, live } = withdrawn;
    format!("withdrew {}, which served {} %: {live} serves everything\n", canary.generation, canary.share)
}

pub(super) fn verdicts(verdicts: &[Verdict]) -> String {
    lines(verdicts.iter().map(|verdict| format!("gate {verdict}")))
}

pub(super) fn shelf(shelf: &Shelf) -> String {
    if shelf.generations.is_empty() {
        return format!(
            "alias {} has no generations: `lectern-ingest run PATH` makes the first\n",
            shelf.alias
        );
    }
    let head =
        ["", "GENERATION", "STATE", "DOCUMENTS", "CHUNKS", "AGE", "FINGERPRINT", "GATES"].map(str::to_owned);
    let rows = shelf.generations.iter().map(|listed| row(shelf, listed));
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn row(shelf: &Shelf, listed: &Listed) -> [String; 8] {
    let share = shelf.canary_share(&listed.generation).map(|share| format!("{share} %"));
    let live = if shelf.is_live(&listed.generation) { "*".to_owned() } else { share.unwrap_or_default() };
    let counts = listed.counts();
    let shown = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    [
        live,
        listed.generation.to_string(),
        state(shelf, listed).to_owned() + &progress(shelf, listed),
        shown(counts.map(|counts| counts.documents)),
        shown(counts.map(|counts| counts.chunks)),
        age(listed.age(shelf.read_at)),
        listed.fingerprint().unwrap_or_else(|| "-".to_owned()),
        listed.examination.as_ref().map_or_else(|| "-".to_owned(), gates),
    ]
}

pub(super) fn erased(documents: &[DocumentId], erased: &[Erased]) -> String {
    let line = |one: &Erased| {
        let live = if one.live { " (live)" } else { "" };
        let successor = one.successor.as_ref().map(|name| format!(", which {name} replaces"));
        let open = one.still_open.as_ref();
        let open = open.map(|holder| format!("; still open in {holder}: run `lectern-ingest prune` later"));
        let (successor, open) = (successor.unwrap_or_default(), open.unwrap_or_default());
        format!("erased {} chunks from {}{live}{successor}{open}", one.chunks, one.generation)
    };
    let none = erased.is_empty().then(|| "no complete generation holds them".to_owned());
    let kept_away = format!(
        "{} documents stay away from builds until `lectern-ingest run --undelete ID`",
        documents.len()
    );
    lines(erased.iter().map(line).chain(none).chain([kept_away]))
}

/// What the gates said, in a few words.
fn gates(examination: &Examination) -> String {
    let refused = examination.verdicts.iter().filter(|verdict| !verdict.passed);
    let refused: Vec<&str> = refused.map(|verdict| verdict.gate.as_str()).collect();
    match (refused.is_empty(), &examination.forced) {
        (true, _) => "passed".to_owned(),
        (false, None) => format!("refused by {}", refused.join(", ")),
        (false, Some(reason)) => format!("forced past {} ({reason})", refused.join(", ")),
    }
}

/// The state of a generation in one word, or two.
pub(super) fn state(shelf: &Shelf, listed: &Listed) -> &'static str {
    match &listed.condition {
        Condition::Complete(..) if shelf.is_live(&listed.generation) => "live",
        Condition::Complete(..) if shelf.canary_share(&listed.generation).is_some() => "canary",
        Condition::Complete(..) if listed.is_condemned() => "erased",
        Condition::Complete(..) => "complete",
        Condition::Building(_) if listed.holder.is_some() => "building",
        Condition::Building(_) => "incomplete",
        Condition::Torn => "torn",
        Condition::Missing => "missing",
    }
}

/// How many of its partitions are done, when several workers write it.
fn progress(shelf: &Shelf, listed: &Listed) -> String {
    let division = shelf.division(&listed.generation);
    division.map_or_else(String::new, |division| format!(" {}/{}", division.done.len(), division.of))
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

pub(super) fn fates(fates: &[(GenerationId, Fate)]) -> String {
    if fates.is_empty() {
        return "no generations: nothing to delete\n".to_owned();
    }
    let line = |(generation, fate): &(GenerationId, Fate)| match fate {
        Fate::Deleted => format!("deleted {generation}"),
        Fate::Kept(why) => format!("kept {generation}: {why}"),
    };
    lines(fates.iter().map(line))
}

pub(super) fn evaluation(evaluation: &Evaluation) -> String {
    let mut rows = vec![["MODE", "nDCG@10", "RECALL@100", "MRR@10", "SEARCH"].map(str::to_owned)];
    for scored in &evaluation.modes {
        let measures = scored.measures;
        rows.push([
            format!("{:?}", scored.mode).to_lowercase(),
            format!("{:.4}", measures.ndcg_at_10),
            format!("{:.4}", measures.recall_at_100),
            format!("{:.4}", measures.mrr_at_10),
            format!("{:.2} ms", scored.mean_search_ms),
        ]);
    }
    format!(
        "{} documents, {} questions, {} newly embedded\n{}",
        evaluation.documents,
        evaluation.questions,
        evaluation.embedded,
        table(&rows)
    )
}

/// Columns as wide as their widest cell, two spaces between them.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: Vec<usize> = (0..COLUMNS)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    lines(rows.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "long", "x"], ["bbb", "c", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "a    long  x\nbbb  c\n");
    }

    #[test]
    fn what_is_left_out_is_named() {
        let skipped = [Skipped::new("docs/a.md", "has no text in it")];
        let unsupported = BTreeMap::from([(".pdf".to_owned(), 2)]);
        assert_eq!(
            left_out(&skipped, &unsupported),
            "not a supported format: 2 .pdf\nskipped docs/a.md: has no text in it\n"
        );
    }

    #[test]
    fn many_skipped_documents_are_named_in_part_and_counted() {
        let skipped: Vec<Skipped> =
            (0..25).rev().map(|n| Skipped::new(format!("{n:02}.md"), "has no text in it")).collect();
        let told = left_out(&skipped, &BTreeMap::new());
        assert_eq!(told.lines().next(), Some("skipped 00.md: has no text in it"));
        assert_eq!(told.lines().last(), Some("skipped 5 more: `--json` names them all"));
        assert_eq!(told.lines().count(), 21);
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [5, 119, 7_199, 90_000, 900_000].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(ages, ["5 s", "119 s", "119 min", "25 h", "10 d"]);
    }
}
