//! `run` and `build` for one of several workers: its part, and for the last of them what comes after all parts.
//! Never prints: it returns what is to be printed.

use std::path::Path;

use lectern_search::config::StoreKind;
use serde_json::{Map, Value, json};

use crate::cli::arguments::{Build, Paths, Run, Undelete};
use crate::cli::commands::{Parts, Session, built_only, outcome_of, ran_or_refused};
use crate::cli::outcome::{CommandError, Exit, Outcome};
use crate::cli::progress::shown;
use crate::cli::{json, text};
use crate::lifecycle::LifecycleError;
use crate::lifecycle::lease::Lease;
use crate::partition::{Assignment, Partition};
use crate::pipeline::Encoder;
use crate::pipeline::build::Built;
use crate::pipeline::finish::Finish;
use crate::pipeline::report::Report;
use crate::registry::divisions::{Division, Turn};
use crate::registry::runs::RunOutcome;

/// What one worker came to.
enum Part {
    /// Its part is done, and nothing else is to be done by it.
    Done(Outcome),
    /// It finishes the build.
    Last(Box<Last>),
}

/// What the last worker goes on with.
struct Last {
    built: Built,
    encoder: Encoder,
    lease: Lease,
}

impl Session {
    /// `run` as one of several workers.
    pub(super) async fn run_part(&self, run: Run, assignment: &Assignment) -> Result<Outcome, CommandError> {
        self.refuse_undivided(&run.paths)?;
        let mut terms = self.terms(&run.force)?;
        let questions = self.questions(&run.golden).await?;
        let parts = self.parts().await?;
        let Last { built, encoder, lease } =
            match self.part(&parts, run.paths, &run.undelete, assignment).await? {
                Part::Done(outcome) => return Ok(outcome),
                Part::Last(last) => *last,
            };
        let generation = &built.manifest.generation;
        let published =
            self.judged_and_published(&parts, &encoder, generation, (&questions, &mut terms)).await;
        let ended = outcome_of(&published);
        parts.finish(&built, ended).await?;
        if published.as_ref().err().is_none_or(is_final) {
            parts.end(&built, ended).await?;
        }
        lease.release().await;
        ran_or_refused(&built, published)
    }

    /// `build` as one of several workers.
    pub(super) async fn build_part(
        &self,
        build: Build,
        assignment: &Assignment,
    ) -> Result<Outcome, CommandError> {
        self.refuse_undivided(&build.paths)?;
        let parts = self.parts().await?;
        let last = match self.part(&parts, build.paths, &build.undelete, assignment).await? {
            Part::Done(outcome) => return Ok(outcome),
            Part::Last(last) => last,
        };
        parts.finish(&last.built, RunOutcome::Built).await?;
        parts.end(&last.built, RunOutcome::Built).await?;
        last.lease.release().await;
        Ok(built_only(&last.built))
    }

    fn refuse_undivided(&self, paths: &Paths) -> Result<(), CommandError> {
        if self.config.store.kind != StoreKind::Qdrant {
            return Err(CommandError::OneWriter);
        }
        if paths.paths.iter().any(|path| path == Path::new("-")) {
            return Err(CommandError::OneReader);
        }
        Ok(())
    }

    async fn part(
        &self,
        parts: &Parts,
        paths: Paths,
        undelete: &Undelete,
        assignment: &Assignment,
    ) -> Result<Part, CommandError> {
        let known = parts.registry.division(&assignment.alias, assignment.job.as_ref()).await?;
        let turn = known.as_ref().map(|division| division.turn_of(assignment)).transpose()?;
        match (known, turn) {
            (Some(division), Some(Turn::Finish)) => {
                let encoder = Encoder::load(&self.config).await?;
                self.finished(parts, encoder, &division, (assignment.partition, None)).await
            }
            (Some(division), Some(turn @ (Turn::Wait | Turn::Over(_)))) => {
                Ok(Part::Done(done(&division, turn, assignment.partition, None)))
            }
            _ => self.written(parts, paths, undelete, assignment).await,
        }
    }

    /// Writes the worker's part, and finishes the build if that was the last one.
    async fn written(
        &self,
        parts: &Parts,
        paths: Paths,
        undelete: &Undelete,
        assignment: &Assignment,
    ) -> Result<Part, CommandError> {
        let sources = self.gathered(paths, assignment.partition).await?;
        let encoder = Encoder::load(&self.config).await?;
        let ingest = parts.ingest(self, encoder.clone());
        let writing = ingest.build_part(assignment, sources, &undelete.undelete, &self.shutdown);
        let report = shown(ingest.progress(), Box::pin(writing)).await?;
        let division = match report.as_ref().and_then(|report| report.generation.as_ref()) {
            Some(generation) => {
                let mut divisions = parts.registry.divisions(&assignment.alias).await?.into_iter();
                divisions.find(|division| division.generation == *generation)
            }
            None => parts.registry.division(&assignment.alias, assignment.job.as_ref()).await?,
        };
        let partition = assignment.partition;
        let Some(division) = division else { return Ok(Part::Done(nothing_left(partition))) };
        match division.turn(partition) {
            Turn::Finish => self.finished(parts, encoder, &division, (partition, report.as_ref())).await,
            turn => Ok(Part::Done(done(&division, turn, partition, report.as_ref()))),
        }
    }

    /// Finishes the build, unless another worker does. `report` tells of the worker's part, if it was written now.
    async fn finished(
        &self,
        parts: &Parts,
        encoder: Encoder,
        division: &Division,
        (partition, report): (Partition, Option<&Report>),
    ) -> Result<Part, CommandError> {
        let ingest = parts.ingest(self, encoder.clone());
        let finishing = Box::pin(ingest.finish_division(division, &self.shutdown));
        Ok(match shown(ingest.progress(), finishing).await? {
            Finish::Ours(ours) => {
                let (built, lease) = *ours;
                Part::Last(Box::new(Last { built, encoder, lease }))
            }
            Finish::Others => Part::Done(done(division, Turn::Finish, partition, report)),
        })
    }
}

impl Parts {
    async fn end(&self, built: &Built, outcome: RunOutcome) -> Result<(), CommandError> {
        let now = self.registry.now().await?;
        Ok(self.registry.end_division(&built.manifest.generation, outcome, now).await?)
    }
}

/// Whether another try would fail in the same way.
fn is_final(error: &CommandError) -> bool {
    use LifecycleError::{Gated, Incomplete, Older, Unknown};
    matches!(error, CommandError::Lifecycle(Gated { .. } | Incomplete(_) | Older { .. } | Unknown { .. }))
}

/// What a worker tells that is not the last. What it skipped is told by the last one's exit code: another one than 0 would
/// have the worker started again, or all of them ended.
fn done(division: &Division, turn: Turn, partition: Partition, report: Option<&Report>) -> Outcome {
    let missing = if turn == Turn::Wait { division.missing() } else { Vec::new() };
    let outcome = match turn {
        Turn::Over(outcome) => Some(outcome),
        Turn::Write | Turn::Wait | Turn::Finish => None,
    };
    let mut json = report.map_or_else(Map::new, json::report);
    json.insert("generation".to_owned(), json!(division.generation));
    json.insert("partition".to_owned(), json!(partition));
    json.insert("waiting_for".to_owned(), json!(missing));
    json.insert("outcome".to_owned(), json!(outcome.map(RunOutcome::as_str)));
    // Who was started again because the gates refused should hear that they did.
    let is_refused = report.is_none() && outcome == Some(RunOutcome::Refused);
    Outcome {
        exit: if is_refused { Exit::Refused } else { Exit::Done },
        text: report.map_or_else(String::new, text::report) + &text::part(division, turn, partition),
        json: Value::Object(json),
    }
}

fn nothing_left(partition: Partition) -> Outcome {
    let text = format!("partition {partition} was written by another worker\n");
    Outcome::done(text, json!({ "partition": partition, "waiting_for": [], "outcome": null }))
}
