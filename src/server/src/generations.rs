//! Knows, for each alias, the generation that is served: follows the alias, opens what it points at, refuses what does
//! not fit and keeps the one before. A request takes a generation once and holds it to its end.
//! Never moves an alias.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::Snapshot;
use lectern_schema::fingerprint::Encoding;
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::error::{OpenError, SearchError};
use lectern_search::{Collection, Search};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// An open generation, shared by the requests that it serves.
pub type Served = Arc<dyn Collection>;

/// Why an alias has no generation that can be served.
#[derive(Debug, thiserror::Error)]
pub enum NotServed {
    /// Nothing was ever published under it.
    #[error("alias `{0}` does not exist")]
    Unknown(AliasName),
    /// What it points at cannot be served, and there is no generation from before.
    #[error("{0}")]
    Refused(String),
    /// The store did not say.
    #[error("the generation of alias `{alias}` is not known yet")]
    Unavailable {
        /// The alias.
        alias: AliasName,
        /// What the store answered.
        #[source]
        source: SearchError,
    },
}

/// The generations that this server serves.
#[derive(Debug)]
pub struct Generations {
    store: Arc<dyn Search>,
    encoding: Encoding,
    metrics: Arc<Metrics>,
    slots: RwLock<HashMap<AliasName, Arc<Slot>>>,
    /// Why the aliases could not be followed the last time, `None` when they could.
    trouble: ArcSwapOption<String>,
}

#[derive(Debug)]
struct Slot {
    alias: AliasName,
    served: ArcSwapOption<Served>,
    refusal: ArcSwapOption<Refusal>,
    /// One refresh at a time; others wait for it instead of asking the store again.
    refreshing: tokio::sync::Mutex<()>,
}

/// A generation that the alias points at and that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The generation.
    pub generation: GenerationId,
    /// Why.
    pub reason: String,
}

/// What an alias serves and what it should.
#[derive(Debug)]
pub struct Status {
    /// The alias.
    pub alias: AliasName,
    /// The generation that answers come from.
    pub served: Option<Served>,
    /// The newer one that was refused.
    pub refused: Option<Arc<Refusal>>,
}

impl Generations {
    /// Longest that one look at an alias, with opening what it points at, may take.
    const REFRESH_BUDGET: Duration = Duration::from_secs(30);
    /// Longest that the store may take to say where an alias points. It takes milliseconds: a store that needs longer is as
    /// good as down, and readiness has to say so before the load balancer's patience ends.
    const RESOLVE_BUDGET: Duration = Duration::from_secs(5);

    /// Serves from `store` what fits `encoding`.
    pub fn new(store: Arc<dyn Search>, encoding: Encoding, metrics: Arc<Metrics>) -> Self {
        Self { store, encoding, metrics, slots: RwLock::default(), trouble: ArcSwapOption::empty() }
    }

    /// The generation to serve a request with. Asks the store only for an alias that is not served yet.
    pub async fn served(&self, alias: &AliasName, deadline: Deadline) -> Result<Served, NotServed> {
        if let Some(served) = self.slot(alias).and_then(|slot| slot.current()) {
            return Ok(served);
        }
        self.refresh(alias, deadline).await
    }

    /// Looks at the alias now and serves what it points at. A generation from before is kept when the new one is refused,
    /// and for later requests when the store does not answer.
    pub async fn refresh(&self, alias: &AliasName, deadline: Deadline) -> Result<Served, NotServed> {
        let slot = self.slot(alias).unwrap_or_else(|| Arc::new(Slot::new(alias)));
        let until = tokio::time::Instant::from_std(deadline.instant());
        let unavailable = |source| NotServed::Unavailable { alias: alias.clone(), source };
        let Ok(_turn) = tokio::time::timeout_at(until, slot.refreshing.lock()).await else {
            return Err(unavailable(SearchError::Late));
        };
        let resolving = deadline.at_most(Instant::now(), Self::RESOLVE_BUDGET);
        let target = match self.store.resolve(alias, resolving).await {
            Ok(target) => target,
            Err(SearchError::UnknownAlias(alias)) => return Err(NotServed::Unknown(alias)),
            Err(error) => return Err(unavailable(error)),
        };
        if let Some(current) = slot.current().filter(|served| served.manifest().generation == target) {
            slot.refusal.store(None);
            return Ok(current);
        }
        match self.store.open(&target, &self.encoding, deadline).await {
            Ok(opened) => {
                let slot = self.keep(Arc::clone(&slot));
                let before = slot.current().map(|served| served.manifest().generation.clone());
                slot.serve(Arc::clone(&opened));
                self.metrics.generation_served(alias, before.as_ref(), &target);
                tracing::info!(%alias, generation = %target, "generation served");
                Ok(opened)
            }
            Err(OpenError::Store(error)) => Err(unavailable(error)),
            Err(refused) => {
                let slot = self.keep(Arc::clone(&slot));
                slot.refuse(target, refused.to_string(), &self.metrics);
                slot.current().ok_or_else(|| NotServed::Refused(refused.to_string()))
            }
        }
    }

    /// Follows the aliases until `stop`: every `interval` looks where each of them points, `default` among them.
    pub async fn follow(&self, default: AliasName, interval: Duration, stop: CancellationToken) {
        loop {
            self.look_at_all(&default).await;
            let wait = stop.run_until_cancelled(tokio::time::sleep(interval));
            if wait.await.is_none() {
                return;
            }
        }
    }

    async fn look_at_all(&self, default: &AliasName) {
        let deadline = Deadline::after(Instant::now(), Self::REFRESH_BUDGET);
        let mut trouble = None;
        for alias in self.aliases(default) {
            if let Err(error @ NotServed::Unavailable { .. }) = self.refresh(&alias, deadline).await {
                trouble = Some(crate::api::error::chain(&error));
            }
        }
        if let (Some(error), true) = (&trouble, self.trouble.load().is_none()) {
            tracing::warn!(error, "aliases not resolved");
        }
        self.trouble.store(trouble.map(Arc::new));
    }

    /// Whether the store said where the aliases point when it was asked last.
    pub fn is_followed(&self) -> bool {
        self.trouble.load().is_none()
    }

    /// What the store looks like from here; none when it is in the process.
    pub fn upstream(&self) -> Option<Snapshot> {
        self.store.upstream()
    }

    /// What every alias serves, by name.
    pub fn status(&self) -> Vec<Status> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let status = |slot: &Arc<Slot>| Status {
            alias: slot.alias.clone(),
            served: slot.current(),
            refused: slot.refusal.load_full(),
        };
        let mut all: Vec<Status> = slots.values().map(status).collect();
        all.sort_by(|a, b| a.alias.cmp(&b.alias));
        all
    }

    fn aliases(&self, default: &AliasName) -> Vec<AliasName> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<AliasName> = slots.keys().cloned().collect();
        if !slots.contains_key(default) {
            all.push(default.clone());
        }
        all
    }

    fn slot(&self, alias: &AliasName) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(alias).cloned()
    }

    /// Remembers an alias that exists. Names that do not exist leave no trace, so that nobody fills the memory with them.
    /// Two that meet an alias for the first time at once end up with the same slot.
    fn keep(&self, slot: Arc<Slot>) -> Arc<Slot> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(slot.alias.clone()).or_insert(slot))
    }
}

impl Slot {
    fn new(alias: &AliasName) -> Self {
        Self {
            alias: alias.clone(),
            served: ArcSwapOption::empty(),
            refusal: ArcSwapOption::empty(),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    fn current(&self) -> Option<Served> {
        self.served.load().as_deref().cloned()
    }

    fn serve(&self, opened: Served) {
        self.refusal.store(None);
        self.served.store(Some(Arc::new(opened)));
    }

    fn refuse(&self, generation: GenerationId, reason: String, metrics: &Metrics) {
        let refusal = Refusal { generation, reason };
        if self.refusal.load().as_deref() == Some(&refusal) {
            return;
        }
        tracing::error!(alias = %self.alias, generation = %refusal.generation, reason = %refusal.reason, "generation refused");
        metrics.generation_refused(&self.alias);
        self.refusal.store(Some(Arc::new(refusal)));
    }
}
