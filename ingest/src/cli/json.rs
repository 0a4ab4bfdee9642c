//! Reports, lists and verdicts as JSON for machines.
//! Never leaves out a field: what is not known is null.

use lectern_schema::canary::Canary;
use serde_json::{Map, Value, json};

use crate::cli::text;
use crate::lifecycle::gate::Verdict;
use crate::lifecycle::publish::Published;
use crate::lifecycle::shelf::{Listed, Shelf};
use crate::partition::JobName;
use crate::pipeline::report::Report;
use crate::registry::divisions::Division;
use crate::registry::examinations::Examination;

pub(super) fn report(report: &Report) -> Map<String, Value> {
    match json!(report) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(super) fn published(published: &Published) -> Map<String, Value> {
    let (from, to, moved, verdicts): (_, _, _, &[Verdict]) = match published {
        Published::Moved { from, to, verdicts } => (from.as_ref(), to, true, verdicts),
        Published::AlreadyLive(generation) => (Some(generation), generation, false, &[]),
        Published::Sharing { live, verdicts, .. } => (Some(live), live, false, verdicts),
    };
    let share = match published {
        Published::Sharing { canary: begun, .. } => Some(("canary", canary(begun))),
        Published::Moved { .. } | Published::AlreadyLive(_) => None,
    };
    let fields =
        [("from", json!(from)), ("to", json!(to)), ("moved", json!(moved)), ("verdicts", json!(verdicts))];
    let fields = fields.into_iter().chain(share);
    fields.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn canary(canary: &Canary) -> Value {
    json!({ "generation": canary.generation, "percent": canary.share })
}

pub(super) fn shelf(shelf: &Shelf) -> Value {
    let generation = |listed: &Listed| {
        let counts = listed.counts();
        json!({
            "generation": listed.generation,
            "state": text::state(shelf, listed),
            "live": shelf.is_live(&listed.generation),
            "canary_percent": shelf.canary_share(&listed.generation),
            "documents": counts.map(|counts| counts.documents),
            "chunks": counts.map(|counts| counts.chunks),
            "age_s": listed.age(shelf.read_at).as_secs(),
            "fingerprint": listed.fingerprint(),
            "content": listed.record.as_ref().and_then(|record| record.content.as_ref()),
            "holder": listed.holder,
            "partitions": shelf.division(&listed.generation).map(division),
            "gates": listed.examination.as_ref().map(gates),
        })
    };
    let generations: Vec<Value> = shelf.generations.iter().map(generation).collect();
    let begun = shelf.canary.as_ref().filter(|canary| !shelf.is_live(&canary.generation)).map(canary);
    json!({ "alias": shelf.alias, "live": shelf.live, "canary": begun, "generations": generations })
}

fn division(division: &Division) -> Value {
    let job = division.job.as_ref().map(JobName::as_str);
    json!({ "job": job, "of": division.of, "done": division.done.len(), "missing": division.missing() })
}

fn gates(examination: &Examination) -> Value {
    json!({
        "passed": examination.verdicts.iter().all(|verdict| verdict.passed),
        "at": examination.at,
        "live": examination.live,
        "forced": examination.forced,
        "verdicts": examination.verdicts,
    })
}
