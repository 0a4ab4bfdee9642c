//! What each command does, one function per command.
//! Never prints: it returns what is to be printed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lectern_boot::database::SqlSection;
use lectern_boot::shutdown::Shutdown;
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::query::Mode;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::cli::arguments::{Command, Delete, Eval, Force, GoldenFile, Paths, Publish, Run, Undelete};
use crate::cli::outcome::{CommandError, Exit, Outcome};
use crate::cli::progress::shown;
use crate::cli::{json, text};
use crate::config::Config;
use crate::evaluate::Evaluator;
use crate::examine::golden::Golden;
use crate::examine::{Care, Examiner};
use crate::extract::source::Sources;
use crate::gather::{self, Inputs};
use crate::lifecycle::canary::Withdrawn;
use crate::lifecycle::gate::Verdict;
use crate::lifecycle::lease::{Holder, Lease};
use crate::lifecycle::prune::{Fate, Retention};
use crate::lifecycle::publish::{Contest, Examined, Published, Reason, Terms};
use crate::lifecycle::selection::Selection;
use crate::lifecycle::{Lifecycle, LifecycleError};
use crate::partition::Partition;
use crate::pipeline::build::Built;
use crate::pipeline::{Encoder, Ingest};
use crate::registry::Registry;
use crate::registry::runs::{RunEnd, RunOutcome};
use crate::store::WriteStore;

/// A command's surroundings.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) alias: AliasName,
    pub(super) shutdown: Shutdown,
}

impl Session {
    /// Does what was asked for.
    pub(super) async fn perform(&self, command: Command) -> Result<Outcome, CommandError> {
        match command {
            Command::Run(run) => match run.divided.assignment(&self.alias) {
                Some(assignment) => self.run_part(run, &assignment).await,
                None => self.run(run).await,
            },
            Command::Plan(paths) => self.plan(paths).await,
            Command::Build(build) => match build.divided.assignment(&self.alias) {
                Some(assignment) => self.build_part(build, &assignment).await,
                None => self.build(build.paths, &build.undelete).await,
            },
            Command::Gate(gate) => self.gate(&gate.generation.generation, &gate.golden).await,
            Command::Publish(publish) => self.publish(publish).await,
            Command::Promote(promote) => self.promote(&promote.force).await,
            Command::Withdraw(withdraw) => self.withdraw(withdraw.reason).await,
            Command::Rollback(rollback) => self.rollback(rollback.to.as_ref()).await,
            Command::List => self.list().await,
            Command::Prune(prune) => self.prune(prune.keep).await,
            Command::Delete(delete) => self.delete(delete).await,
            Command::Verify => self.verify().await,
            Command::Eval(eval) => self.eval(eval).await,
        }
    }

    async fn run(&self, run: Run) -> Result<Outcome, CommandError> {
        let mut terms = self.terms(&run.force)?;
        // Before anything is built: who mistyped a line should not wait for that.
        let questions = self.questions(&run.golden).await?;
        let parts = self.parts().await?;
        let (built, encoder, lease) = self.built(&parts, run.paths, &run.undelete).await?;
        let generation = &built.manifest.generation;
        let published =
            self.judged_and_published(&parts, &encoder, generation, (&questions, &mut terms)).await;
        parts.finish(&built, outcome_of(&published)).await?;
        lease.release().await;
        ran_or_refused(&built, published)
    }

    pub(super) async fn judged_and_published(
        &self,
        parts: &Parts,
        encoder: &Encoder,
        generation: &GenerationId,
        (questions, terms): (&[Golden], &mut Terms),
    ) -> Result<Published, CommandError> {
        let lifecycle = parts.lifecycle();
        let contest = lifecycle.contest(generation).await?;
        if !contest.is_moot() {
            terms.examined = Some(self.examined(parts, encoder, &contest, questions).await?);
        }
        Ok(lifecycle.publish(generation, terms).await?)
    }

    async fn examined(
        &self,
        parts: &Parts,
        encoder: &Encoder,
        contest: &Contest,
        questions: &[Golden],
    ) -> Result<Examined, CommandError> {
        tracing::info!(generation = %contest.candidate.generation, "generation is examined");
        let reader = lectern_search::connect(&self.config.store, &self.config.retry).await?;
        let care = Care::new(self.config.gates.clone(), &self.config.ingest);
        let (store, registry) = (Arc::clone(&parts.store), parts.registry.clone());
        let examiner = Examiner::new(reader, store, registry, encoder.clone(), care);
        Ok(self.unless_stopped(Box::pin(examiner.examine(contest, questions))).await??)
    }

    async fn plan(&self, paths: Paths) -> Result<Outcome, CommandError> {
        let parts = self.parts().await?;
        let ingest = parts.ingest(self, Encoder::load(&self.config).await?);
        let sources = self.gathered(paths, Partition::whole()).await?;
        let forecasting = shown(ingest.progress(), ingest.forecast(&self.alias, sources));
        let forecast = self.unless_stopped(forecasting).await??;
        let exit = if forecast.skipped.is_empty() { Exit::Done } else { Exit::Skipped };
        Ok(Outcome { exit, text: text::forecast(&forecast), json: json!(forecast) })
    }

    async fn build(&self, paths: Paths, undelete: &Undelete) -> Result<Outcome, CommandError> {
        let parts = self.parts().await?;
        let (built, _, lease) = self.built(&parts, paths, undelete).await?;
        parts.finish(&built, RunOutcome::Built).await?;
        lease.release().await;
        Ok(built_only(&built))
    }

    async fn built(
        &self,
        parts: &Parts,
        paths: Paths,
        undelete: &Undelete,
    ) -> Result<(Built, Encoder, Lease), CommandError> {
        // The folders come first: who mistyped one should not wait for a model.
        let sources = self.gathered(paths, Partition::whole()).await?;
        let encoder = Encoder::load(&self.config).await?;
        let ingest = parts.ingest(self, encoder.clone());
        parts.lifecycle().allow(&self.alias, &undelete.undelete).await?;
        let building = Box::pin(ingest.build(&self.alias, sources, &self.shutdown));
        let (built, lease) = shown(ingest.progress(), building).await?;
        Ok((built, encoder, lease))
    }

    pub(super) async fn gathered(&self, paths: Paths, partition: Partition) -> Result<Sources, CommandError> {
        let inputs = Inputs { paths: paths.paths, urls: paths.urls, partition };
        let gathering = self.config.gathering();
        Ok(self.unless_stopped(gather::gather(&inputs, &gathering)).await??)
    }

    async fn gate(&self, generation: &GenerationId, golden: &GoldenFile) -> Result<Outcome, CommandError> {
        let questions = self.questions(golden).await?;
        let parts = self.parts().await?;
        let lifecycle = parts.lifecycle();
        let contest = lifecycle.contest(generation).await?;
        let encoder = Encoder::load(&self.config).await?;
        let examined = Some(self.examined(&parts, &encoder, &contest, &questions).await?);
        let terms = Terms { smallest: self.config.ingest.least_percent, examined, ..Terms::default() };
        let verdicts = lifecycle.gate(generation, &terms).await?;
        let passed = verdicts.iter().all(|verdict| verdict.passed);
        Ok(Outcome {
            exit: if passed { Exit::Done } else { Exit::Refused },
            text: text::verdicts(&verdicts),
            json: json!({ "generation": generation, "passed": passed, "verdicts": verdicts }),
        })
    }

    async fn publish(&self, publish: Publish) -> Result<Outcome, CommandError> {
        let generation = &publish.generation.generation;
        let mut terms = Terms { share: publish.canary, ..self.terms(&publish.force)? };
        let questions = self.questions(&publish.golden).await?;
        let parts = self.parts().await?;
        let lifecycle = parts.lifecycle();
        // What does not exist or is not whole is told before a model is loaded.
        let contest = lifecycle.contest(generation).await?;
        if !contest.is_moot() {
            let encoder = Encoder::load(&self.config).await?;
            terms.examined = Some(self.examined(&parts, &encoder, &contest, &questions).await?);
        }
        let published = lifecycle.publish(generation, &terms).await?;
        Ok(Outcome::done(text::published(&published), Value::Object(json::published(&published))))
    }

    /// The golden questions of the command line, else those of the configuration; none when neither names any.
    pub(super) async fn questions(&self, golden: &GoldenFile) -> Result<Vec<Golden>, CommandError> {
        let Some(file) = golden.golden.clone().or_else(|| self.config.ingest.golden.clone()) else {
            return Ok(Vec::new());
        };
        Ok(tokio::task::spawn_blocking(move || Golden::load(&file)).await??)
    }

    async fn promote(&self, force: &Force) -> Result<Outcome, CommandError> {
        let terms = self.terms(force)?;
        let published = self.parts().await?.lifecycle().promote(&self.alias, &terms).await?;
        Ok(Outcome::done(text::published(&published), Value::Object(json::published(&published))))
    }

    async fn withdraw(&self, reason: Option<String>) -> Result<Outcome, CommandError> {
        let withdrawn = self.parts().await?.lifecycle().withdraw(&self.alias, reason).await?;
        let Withdrawn { canary, live } = &withdrawn;
        let json = json!({ "withdrawn": canary.generation, "percent": canary.share, "live": live });
        Ok(Outcome::done(text::withdrawn(&withdrawn), json))
    }

    async fn rollback(&self, to: Option<&GenerationId>) -> Result<Outcome, CommandError> {
        let published = self.parts().await?.lifecycle().rollback(&self.alias, to).await?;
        Ok(Outcome::done(text::published(&published), Value::Object(json::published(&published))))
    }

    async fn list(&self) -> Result<Outcome, CommandError> {
        let found = self.parts().await?.lifecycle().list(&self.alias).await?;
        Ok(Outcome::done(text::shelf(&found), json::shelf(&found)))
    }

    async fn prune(&self, keep: Option<usize>) -> Result<Outcome, CommandError> {
        let keep = keep.unwrap_or(self.config.ingest.keep);
        let retention = Retention { keep, ..Retention::default() };
        let fates = self.parts().await?.lifecycle().prune(&self.alias, &retention).await?;
        let told = |(generation, fate): &(GenerationId, Fate)| match fate {
            Fate::Deleted => json!({ "generation": generation, "deleted": true }),
            Fate::Kept(why) => json!({ "generation": generation, "deleted": false, "why": why.to_string() }),
        };
        let json = json!({ "alias": self.alias, "generations": fates.iter().map(told).collect::<Vec<_>>() });
        Ok(Outcome::done(text::fates(&fates), json))
    }

    async fn delete(&self, delete: Delete) -> Result<Outcome, CommandError> {
        let lifecycle = self.parts().await?.lifecycle();
        let Delete { document: documents, filter, reason } = delete;
        let (documents, erased) =
            lifecycle.erase(&self.alias, &Selection { documents, filter, reason }).await?;
        let json = json!({ "alias": self.alias, "documents": documents, "generations": erased });
        Ok(Outcome::done(text::erased(&documents, &erased), json))
    }

    async fn verify(&self) -> Result<Outcome, CommandError> {
        let findings = self.parts().await?.lifecycle().verify(&self.alias).await?;
        let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let text = if told.is_empty() { "store and registry agree".to_owned() } else { told.join("\n") };
        let exit = if told.is_empty() { Exit::Done } else { Exit::Failed };
        Ok(Outcome { exit, text, json: json!({ "alias": self.alias, "findings": told }) })
    }

    async fn eval(&self, eval: Eval) -> Result<Outcome, CommandError> {
        let cache = match &eval.cache {
            None => self.config.sql.clone(),
            Some(file) => SqlSection {
                url: SecretString::from(format!("sqlite:{}", file.display())),
                ..self.config.sql.clone()
            },
        };
        let cache = Registry::open(&cache).await?;
        let patience = self.patience();
        let evaluator = Evaluator::new(Encoder::load(&self.config).await?, cache, patience);
        let modes: Vec<Mode> = if eval.mode.is_empty() {
            vec![Mode::Dense, Mode::Sparse, Mode::Hybrid]
        } else {
            eval.mode.into_iter().map(Mode::from).collect()
        };
        let evaluating = Box::pin(evaluator.evaluate(&eval.dataset, &eval.split, &modes));
        let evaluation = self.unless_stopped(shown(evaluator.progress(), evaluating)).await??;
        Ok(Outcome::done(text::evaluation(&evaluation), json!(evaluation)))
    }

    pub(super) async fn parts(&self) -> Result<Parts, CommandError> {
        let store = crate::store::connect(&self.config.store, &self.config.ingest.qdrant)?;
        let registry = Registry::open(&self.config.sql).await?;
        Ok(Parts { store, registry })
    }

    pub(super) fn terms(&self, force: &Force) -> Result<Terms, CommandError> {
        let force = force.force.as_deref().map(Reason::parse).transpose()?;
        Ok(Terms { smallest: self.config.ingest.least_percent, force, ..Terms::default() })
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.config.ingest.embed_seconds.get()).unwrap_or(u64::MAX))
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, CommandError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.shutdown.requested() => Err(CommandError::Stopped),
        }
    }
}

/// The stores that most commands work on.
pub(super) struct Parts {
    pub(super) store: Arc<dyn WriteStore>,
    pub(super) registry: Registry,
}

impl Parts {
    fn lifecycle(&self) -> Lifecycle {
        Lifecycle::new(Arc::clone(&self.store), self.registry.clone(), Holder::this_process())
    }

    pub(super) fn ingest(&self, session: &Session, encoder: Encoder) -> Ingest {
        let settings = session.config.ingest.clone();
        Ingest::new(Arc::clone(&self.store), self.registry.clone(), encoder, settings)
    }

    pub(super) async fn finish(&self, built: &Built, outcome: RunOutcome) -> Result<(), CommandError> {
        let now = self.registry.now().await?;
        let end = RunEnd { outcome, counts: built.report.run_counts(), report: json!(built.report) };
        Ok(self.registry.finish_run(built.run, &end, now).await?)
    }
}

/// What a built generation came to.
pub(super) fn outcome_of(published: &Result<Published, CommandError>) -> RunOutcome {
    match published {
        Ok(_) => RunOutcome::Published,
        Err(CommandError::Lifecycle(LifecycleError::Gated { .. })) => RunOutcome::Refused,
        Err(_) => RunOutcome::Built,
    }
}

/// What is told of a run, unless it failed.
pub(super) fn ran_or_refused(
    built: &Built,
    published: Result<Published, CommandError>,
) -> Result<Outcome, CommandError> {
    match published {
        Ok(published) => Ok(ran(built, &published)),
        Err(CommandError::Lifecycle(LifecycleError::Gated { generation, verdicts })) => {
            Ok(refused(built, &generation, &verdicts))
        }
        Err(error) => {
            tracing::warn!(generation = %built.manifest.generation, "generation built but not published");
            Err(error)
        }
    }
}

/// What is told of a build that was not to be published.
pub(super) fn built_only(built: &Built) -> Outcome {
    let json = Value::Object(json::report(&built.report));
    Outcome { exit: exit(built), text: text::report(&built.report), json }
}

fn ran(built: &Built, published: &Published) -> Outcome {
    let mut json = json::report(&built.report);
    json.extend(json::published(published));
    let text = text::report(&built.report) + &text::published(published);
    Outcome { exit: exit(built), text, json: Value::Object(json) }
}

/// The report is told in full: what was skipped may be why a gate refuses.
fn refused(built: &Built, generation: &GenerationId, verdicts: &[Verdict]) -> Outcome {
    let mut json = json::report(&built.report);
    json.insert("moved".to_owned(), json!(false));
    json.insert("verdicts".to_owned(), json!(verdicts));
    let text = format!(
        "{}{}published nothing: a gate refuses {generation}; if it is as you want it, run \
         `lectern-ingest publish {generation} --force REASON`\n",
        text::report(&built.report),
        text::verdicts(verdicts)
    );
    Outcome { exit: Exit::Refused, text, json: Value::Object(json) }
}

fn exit(built: &Built) -> Exit {
    if built.report.skipped.is_empty() { Exit::Done } else { Exit::Skipped }
}

/// Reads the configuration, with the alias of the command line in place of its own.
pub(super) fn configured(
    file: Option<&Path>,
    alias: Option<AliasName>,
) -> Result<(Config, AliasName), CommandError> {
    let config = Config::load(file)?;
    let alias = alias.unwrap_or_else(|| config.store.alias.clone());
    Ok((config, alias))
}
