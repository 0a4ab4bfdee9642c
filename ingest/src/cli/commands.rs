//! What each command does, one function per command.
//! Never prints: it returns what is to be printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lectern_boot::database::SqlSection;
use lectern_boot::shutdown::Shutdown;
use lectern_schema::canary::{Canary, Share};
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::query::Mode;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::cli::arguments::{Command, Eval, Force};
use crate::cli::outcome::{CommandError, Exit, Outcome};
use crate::cli::progress::shown;
use crate::cli::text;
use crate::config::Config;
use crate::evaluate::Evaluator;
use crate::extract::source::{self, Sources};
use crate::lifecycle::canary::Withdrawn;
use crate::lifecycle::gate::Verdict;
use crate::lifecycle::lease::Holder;
use crate::lifecycle::prune::{Fate, Retention};
use crate::lifecycle::publish::{Published, Reason, Terms};
use crate::lifecycle::shelf::{Listed, Shelf};
use crate::lifecycle::{Lifecycle, LifecycleError};
use crate::pipeline::build::Built;
use crate::pipeline::error::BuildError;
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
            Command::Run(run) => self.run(run.paths.paths, &run.force).await,
            Command::Plan(paths) => self.plan(paths.paths).await,
            Command::Build(paths) => self.build(paths.paths).await,
            Command::Gate(gate) => self.gate(&gate.generation).await,
            Command::Publish(publish) => {
                self.publish(&publish.generation.generation, publish.canary, &publish.force).await
            }
            Command::Promote(promote) => self.promote(&promote.force).await,
            Command::Withdraw(withdraw) => self.withdraw(withdraw.reason).await,
            Command::Rollback(rollback) => self.rollback(rollback.to.as_ref()).await,
            Command::List => self.list().await,
            Command::Prune(prune) => self.prune(prune.keep).await,
            Command::Verify => self.verify().await,
            Command::Eval(eval) => self.eval(eval).await,
        }
    }

    async fn run(&self, paths: Vec<PathBuf>, force: &Force) -> Result<Outcome, CommandError> {
        let terms = self.terms(force)?;
        let parts = self.parts().await?;
        let built = self.built(&parts, paths).await?;
        let generation = &built.manifest.generation;
        let published = parts.lifecycle().publish(generation, &terms).await;
        let ended = match &published {
            Ok(_) => RunOutcome::Published,
            Err(LifecycleError::Gated { .. }) => RunOutcome::Refused,
            Err(_) => RunOutcome::Built,
        };
        parts.finish(&built, ended).await?;
        match published {
            Ok(published) => Ok(ran(&built, &published)),
            Err(LifecycleError::Gated { generation, verdicts }) => {
                Ok(refused(&built, &generation, &verdicts))
            }
            Err(error) => {
                tracing::warn!(%generation, "generation built but not published");
                Err(error.into())
            }
        }
    }

    async fn plan(&self, paths: Vec<PathBuf>) -> Result<Outcome, CommandError> {
        let parts = self.parts().await?;
        let ingest = parts.ingest(self).await?;
        let sources = found(paths).await?;
        let forecasting = shown(ingest.progress(), ingest.forecast(&self.alias, sources));
        let forecast = self.unless_stopped(forecasting).await??;
        let exit = if forecast.skipped.is_empty() { Exit::Done } else { Exit::Skipped };
        Ok(Outcome { exit, text: text::forecast(&forecast), json: json!(forecast) })
    }

    async fn build(&self, paths: Vec<PathBuf>) -> Result<Outcome, CommandError> {
        let parts = self.parts().await?;
        let built = self.built(&parts, paths).await?;
        parts.finish(&built, RunOutcome::Built).await?;
        Ok(Outcome {
            exit: exit(&built),
            text: text::report(&built.report),
            json: Value::Object(built_json(&built)),
        })
    }

    async fn built(&self, parts: &Parts, paths: Vec<PathBuf>) -> Result<Built, CommandError> {
        // The folders come first: who mistyped one should not wait for a model.
        let sources = found(paths).await?;
        let ingest = parts.ingest(self).await?;
        let building = Box::pin(ingest.build(&self.alias, sources, &self.shutdown));
        Ok(shown(ingest.progress(), building).await?)
    }

    async fn gate(&self, generation: &GenerationId) -> Result<Outcome, CommandError> {
        let lifecycle = self.parts().await?.lifecycle();
        let verdicts = lifecycle.gate(generation, self.config.ingest.least_percent).await?;
        let passed = verdicts.iter().all(|verdict| verdict.passed);
        Ok(Outcome {
            exit: if passed { Exit::Done } else { Exit::Refused },
            text: text::verdicts(&verdicts),
            json: json!({ "generation": generation, "passed": passed, "verdicts": verdicts }),
        })
    }

    async fn publish(
        &self,
        generation: &GenerationId,
        canary: Option<Share>,
        force: &Force,
    ) -> Result<Outcome, CommandError> {
        let terms = Terms { share: canary, ..self.terms(force)? };
        let published = self.parts().await?.lifecycle().publish(generation, &terms).await?;
        Ok(Outcome::done(text::published(&published), Value::Object(published_json(&published))))
    }

    async fn promote(&self, force: &Force) -> Result<Outcome, CommandError> {
        let terms = self.terms(force)?;
        let published = self.parts().await?.lifecycle().promote(&self.alias, &terms).await?;
        Ok(Outcome::done(text::published(&published), Value::Object(published_json(&published))))
    }

    async fn withdraw(&self, reason: Option<String>) -> Result<Outcome, CommandError> {
        let withdrawn = self.parts().await?.lifecycle().withdraw(&self.alias, reason).await?;
        let Withdrawn { canary, live } = &withdrawn;
        let json = json!({ "withdrawn": canary.generation, "percent": canary.share, "live": live });
        Ok(Outcome::done(text::withdrawn(&withdrawn), json))
    }

    async fn rollback(&self, to: Option<&GenerationId>) -> Result<Outcome, CommandError> {
        let published = self.parts().await?.lifecycle().rollback(&self.alias, to).await?;
        Ok(Outcome::done(text::published(&published), Value::Object(published_json(&published))))
    }

    async fn list(&self) -> Result<Outcome, CommandError> {
        let found = self.parts().await?.lifecycle().list(&self.alias).await?;
        Ok(Outcome::done(text::shelf(&found), shelf_json(&found)))
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

    async fn parts(&self) -> Result<Parts, CommandError> {
        let store = crate::store::connect(&self.config.store, &self.config.ingest.qdrant)?;
        let registry = Registry::open(&self.config.sql).await?;
        Ok(Parts { store, registry })
    }

    fn terms(&self, force: &Force) -> Result<Terms, CommandError> {
        let force = force.force.as_deref().map(Reason::parse).transpose()?;
        Ok(Terms { smallest: self.config.ingest.least_percent, verdicts: Vec::new(), force, share: None })
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
struct Parts {
    store: Arc<dyn WriteStore>,
    registry: Registry,
}

impl Parts {
    fn lifecycle(&self) -> Lifecycle {
        Lifecycle::new(Arc::clone(&self.store), self.registry.clone(), Holder::this_process())
    }

    async fn ingest(&self, session: &Session) -> Result<Ingest, CommandError> {
        let encoder = Encoder::load(&session.config).await?;
        let settings = session.config.ingest.clone();
        Ok(Ingest::new(Arc::clone(&self.store), self.registry.clone(), encoder, settings))
    }

    async fn finish(&self, built: &Built, outcome: RunOutcome) -> Result<(), CommandError> {
        let now = self.registry.now().await?;
        let end = RunEnd { outcome, counts: built.report.run_counts(), report: json!(built.report) };
        Ok(self.registry.finish_run(built.run, &end, now).await?)
    }
}

async fn found(paths: Vec<PathBuf>) -> Result<Sources, CommandError> {
    let found = tokio::task::spawn_blocking(move || source::find(&paths)).await?;
    Ok(found.map_err(BuildError::from)?)
}

fn ran(built: &Built, published: &Published) -> Outcome {
    let mut json = built_json(built);
    json.extend(published_json(published));
    let text = text::report(&built.report) + &text::published(published);
    Outcome { exit: exit(built), text, json: Value::Object(json) }
}

/// The report is told in full: what was skipped may be why a gate refuses.
fn refused(built: &Built, generation: &GenerationId, verdicts: &[Verdict]) -> Outcome {
    let mut json = built_json(built);
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

fn built_json(built: &Built) -> Map<String, Value> {
    match json!(built.report) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn published_json(published: &Published) -> Map<String, Value> {
    let (from, to, moved, verdicts): (_, _, _, &[Verdict]) = match published {
        Published::Moved { from, to, verdicts } => (from.as_ref(), to, true, verdicts),
        Published::AlreadyLive(generation) => (Some(generation), generation, false, &[]),
        Published::Sharing { live, verdicts, .. } => (Some(live), live, false, verdicts),
    };
    let canary = match published {
        Published::Sharing { canary, .. } => Some(("canary", canary_json(canary))),
        Published::Moved { .. } | Published::AlreadyLive(_) => None,
    };
    let fields =
        [("from", json!(from)), ("to", json!(to)), ("moved", json!(moved)), ("verdicts", json!(verdicts))];
    let fields = fields.into_iter().chain(canary);
    fields.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn canary_json(canary: &Canary) -> Value {
    json!({ "generation": canary.generation, "percent": canary.share })
}

fn shelf_json(shelf: &Shelf) -> Value {
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
            "holder": listed.holder,
        })
    };
    let generations: Vec<Value> = shelf.generations.iter().map(generation).collect();
    let canary = shelf.canary.as_ref().filter(|canary| !shelf.is_live(&canary.generation)).map(canary_json);
    json!({ "alias": shelf.alias, "live": shelf.live, "canary": canary, "generations": generations })
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
