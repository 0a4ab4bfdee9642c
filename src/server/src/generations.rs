//! Knows, for each alias, the generation that is served: follows the alias, opens what it points at, refuses what does
//! not fit and keeps the one before; serves a canary's share beside it. A request takes a generation once and holds it to
//! its end.
//! Never moves an alias.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::Snapshot;
use lectern_schema::canary::Canary;
use lectern_schema::fingerprint::Encoding;
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::error::{OpenError, SearchError};
use lectern_search::query::{Hit, Query};
use lectern_search::{Collection, Resolved, Search};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::canary::comparison::Comparisons;
use crate::canary::lot::Lot;
use crate::canary::trial::Trial;
use crate::canary::{Ending, Role};
use crate::metrics::Metrics;

/// The generation that one request was given, and as what it serves: shared by the requests that it serves.
#[derive(Debug, Clone)]
pub struct Served {
    collection: Arc<dyn Collection>,
    role: Role,
    /// While a canary runs.
    trial: Option<Arc<Trial>>,
    metrics: Arc<Metrics>,
}

impl Deref for Served {
    type Target = dyn Collection;

    fn deref(&self) -> &Self::Target {
        self.collection.as_ref()
    }
}

impl Served {
    /// A request ended that this generation was given to.
    pub fn ended(&self, ending: Ending) {
        self.metrics.roles.ended(self.role, ending);
        self.trial.iter().for_each(|trial| trial.ended(self.role, ending));
    }

    /// The generation was searched for a request. With room to spare, what a canary found is compared.
    pub fn searched(&self, query: &Query, hits: &Arc<Vec<Hit>>, took: Duration, spare_room: bool) {
        self.metrics.roles.searched(self.role, took);
        let Some(trial) = &self.trial else { return };
        trial.searched(self.role, took);
        if self.role == Role::Canary && spare_room {
            trial.compare(query, hits, took);
        }
    }
}

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
    comparisons: Arc<Comparisons>,
    slots: RwLock<HashMap<AliasName, Arc<Slot>>>,
    /// Why the aliases could not be followed the last time, `None` when they could.
    trouble: ArcSwapOption<String>,
}

#[derive(Debug)]
struct Slot {
    alias: AliasName,
    route: ArcSwapOption<Route>,
    refusal: ArcSwapOption<Refusal>,
    canary_refusal: ArcSwapOption<Refusal>,
    /// One refresh at a time; others wait for it instead of asking the store again.
    refreshing: tokio::sync::Mutex<()>,
}

/// Where the requests of an alias go. Replaced as a whole, so that no request sees a canary beside another generation than
/// the one that it is compared with.
#[derive(Debug, Clone)]
struct Route {
    live: Arc<dyn Collection>,
    trial: Option<Arc<Trial>>,
}

impl Route {
    fn live(&self) -> &GenerationId {
        &self.live.manifest().generation
    }

    fn canary(&self) -> Option<&Canary> {
        self.trial.as_ref().map(|trial| trial.canary())
    }
}

/// A generation that the store points at and that cannot be served.
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
    pub served: Option<Arc<dyn Collection>>,
    /// The newer one that was refused.
    pub refused: Option<Arc<Refusal>>,
    /// The canary beside it.
    pub trial: Option<Arc<Trial>>,
    /// The canary that was refused.
    pub canary_refused: Option<Arc<Refusal>>,
}

impl Generations {
    /// Longest that one look at an alias, with opening what it points at, may take.
    const REFRESH_BUDGET: Duration = Duration::from_secs(30);
    /// Longest that the store may take to say where an alias points. It takes milliseconds: a store that needs longer is as
    /// good as down, and readiness has to say so before the load balancer's patience ends.
    const RESOLVE_BUDGET: Duration = Duration::from_secs(5);
    /// Longest that opening a canary may take: the next look at the aliases waits for it.
    const CANARY_BUDGET: Duration = Duration::from_secs(5);

    /// Serves from `store` what fits `encoding`; compares canaries on `runtime`.
    pub fn new(store: Arc<dyn Search>, encoding: Encoding, metrics: Arc<Metrics>, runtime: Handle) -> Self {
        let comparisons = Arc::new(Comparisons::new(runtime));
        let (slots, trouble) = (RwLock::default(), ArcSwapOption::empty());
        Self { store, encoding, metrics, comparisons, slots, trouble }
    }

    /// The generation to serve a request with: the canary, when the request's lot falls to it, else the live one. Asks the
    /// store only for an alias that is not served yet.
    pub async fn served(
        &self,
        alias: &AliasName,
        lot: &Lot<'_>,
        deadline: Deadline,
    ) -> Result<Served, NotServed> {
        let Some(route) = self.slot(alias).and_then(|slot| slot.route()) else {
            return self.refresh(alias, deadline).await;
        };
        match route.trial.as_ref().filter(|trial| lot.falls_to(trial.canary())) {
            Some(trial) => Ok(self.pinned(Arc::clone(&trial.collection), Role::Canary, &route)),
            None => Ok(self.pinned(Arc::clone(&route.live), Role::Live, &route)),
        }
    }

    fn pinned(&self, collection: Arc<dyn Collection>, role: Role, route: &Route) -> Served {
        Served { collection, role, trial: route.trial.clone(), metrics: Arc::clone(&self.metrics) }
    }

    /// Looks at the alias now and serves what it points at. A generation from before is kept when the new one is refused,
    /// and for later requests when the store does not answer. Begins no canary: a request does not wait for one.
    pub async fn refresh(&self, alias: &AliasName, deadline: Deadline) -> Result<Served, NotServed> {
        let slot = self.slot(alias).unwrap_or_else(|| Arc::new(Slot::new(alias)));
        let _turn = slot.turn(deadline).await?;
        let resolved = self.resolved(alias, deadline).await?;
        let (_, route) = self.serve_live(&slot, resolved.live, deadline).await?;
        Ok(self.pinned(Arc::clone(&route.live), Role::Live, &route))
    }

    /// As [`Self::refresh`], the canary included.
    async fn look_at(&self, alias: &AliasName, deadline: Deadline) -> Result<(), NotServed> {
        let slot = self.slot(alias).unwrap_or_else(|| Arc::new(Slot::new(alias)));
        let _turn = slot.turn(deadline).await?;
        let Resolved { live, canary } = self.resolved(alias, deadline).await?;
        // What was promoted is a canary no more, whether or not its pointer is gone already.
        let canary = canary.filter(|canary| canary.generation != live);
        let (slot, route) = self.serve_live(&slot, live, deadline).await?;
        let deadline = deadline.at_most(Instant::now(), Self::CANARY_BUDGET);
        self.serve_canary(&slot, &route, canary, deadline).await;
        Ok(())
    }

    async fn resolved(&self, alias: &AliasName, deadline: Deadline) -> Result<Resolved, NotServed> {
        let resolving = deadline.at_most(Instant::now(), Self::RESOLVE_BUDGET);
        match self.store.resolve(alias, resolving).await {
            Ok(resolved) => Ok(resolved),
            Err(SearchError::UnknownAlias(alias)) => Err(NotServed::Unknown(alias)),
            Err(source) => Err(NotServed::Unavailable { alias: alias.clone(), source }),
        }
    }

    async fn serve_live(
        &self,
        slot: &Arc<Slot>,
        target: GenerationId,
        deadline: Deadline,
    ) -> Result<(Arc<Slot>, Arc<Route>), NotServed> {
        if let Some(route) = slot.route().filter(|route| *route.live() == target) {
            slot.refusal.store(None);
            return Ok((Arc::clone(slot), route));
        }
        match self.store.open(&target, &self.encoding, deadline).await {
            Ok(opened) => {
                let slot = self.keep(Arc::clone(slot));
                let route = slot.serve(Route { live: opened, trial: None }, &self.metrics);
                slot.refusal.store(None);
                tracing::info!(alias = %slot.alias, generation = %target, "generation served");
                Ok((slot, route))
            }
            Err(OpenError::Store(source)) => {
                Err(NotServed::Unavailable { alias: slot.alias.clone(), source })
            }
            Err(refused) => {
                let slot = self.keep(Arc::clone(slot));
                slot.refuse(&slot.refusal, target, refused.to_string(), &self.metrics);
                let route = slot.route().ok_or_else(|| NotServed::Refused(refused.to_string()))?;
                Ok((slot, route))
            }
        }
    }

    /// Serves a canary beside what the route serves, or ends the one that runs. What cannot be served harms nothing: the
    /// live generation serves everything, and the reason is told.
    async fn serve_canary(&self, slot: &Slot, route: &Route, canary: Option<Canary>, deadline: Deadline) {
        let canary = canary.filter(|canary| canary.generation != *route.live());
        if canary.as_ref() == route.canary() {
            slot.canary_refusal.store(None);
            return;
        }
        let mut trial = None;
        if let Some(canary) = canary {
            match self.store.open(&canary.generation, &self.encoding, deadline).await {
                Ok(opened) => trial = Some(Arc::new(self.trial(canary, opened, route))),
                Err(OpenError::Store(error)) => {
                    tracing::debug!(alias = %slot.alias, %error, "canary not opened yet");
                }
                Err(refused) => {
                    let reason = refused.to_string();
                    slot.refuse(&slot.canary_refusal, canary.generation, reason, &self.metrics);
                }
            }
        } else {
            slot.canary_refusal.store(None);
        }
        if trial.is_some() {
            slot.canary_refusal.store(None);
        }
        if trial.is_some() || route.trial.is_some() {
            slot.serve(Route { live: Arc::clone(&route.live), trial }, &self.metrics);
        }
    }

    fn trial(&self, canary: Canary, opened: Arc<dyn Collection>, route: &Route) -> Trial {
        let (comparisons, metrics) = (Arc::clone(&self.comparisons), Arc::clone(&self.metrics));
        Trial::new(canary, opened, Arc::clone(&route.live), comparisons, metrics)
    }

    /// Gives up the comparisons that are under way and waits for their end. None begins afterwards.
    pub async fn end_comparisons(&self) {
        self.comparisons.end().await;
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
            if let Err(error @ NotServed::Unavailable { .. }) = self.look_at(&alias, deadline).await {
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
            served: slot.route().map(|route| Arc::clone(&route.live)),
            refused: slot.refusal.load_full(),
            trial: slot.route().and_then(|route| route.trial.clone()),
            canary_refused: slot.canary_refusal.load_full(),
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
            route: ArcSwapOption::empty(),
            refusal: ArcSwapOption::empty(),
            canary_refusal: ArcSwapOption::empty(),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    fn route(&self) -> Option<Arc<Route>> {
        self.route.load_full()
    }

    async fn turn(&self, deadline: Deadline) -> Result<tokio::sync::MutexGuard<'_, ()>, NotServed> {
        let until = tokio::time::Instant::from_std(deadline.instant());
        let turn = tokio::time::timeout_at(until, self.refreshing.lock()).await;
        turn.map_err(|_| NotServed::Unavailable { alias: self.alias.clone(), source: SearchError::Late })
    }

    /// Sends requests another way from here on.
    fn serve(&self, route: Route, metrics: &Metrics) -> Arc<Route> {
        let route = Arc::new(route);
        let before = self.route.swap(Some(Arc::clone(&route)));
        let (alias, before) = (&self.alias, before.as_deref());
        metrics.generation_served((alias, Role::Live), before.map(Route::live), Some(route.live()));
        let generation = |canary: &Canary| canary.generation.clone();
        let ended = before.and_then(Route::canary).map(generation);
        let begun = route.canary().map(generation);
        metrics.generation_served((alias, Role::Canary), ended.as_ref(), begun.as_ref());
        if let Some(generation) = ended {
            tracing::info!(%alias, %generation, "canary ended");
        }
        if let Some(Canary { generation, share }) = route.canary() {
            tracing::info!(%alias, %generation, percent = share.percent(), "canary served");
        }
        route
    }

    fn refuse(
        &self,
        known: &ArcSwapOption<Refusal>,
        generation: GenerationId,
        reason: String,
        metrics: &Metrics,
    ) {
        let refusal = Refusal { generation, reason };
        if known.load().as_deref() == Some(&refusal) {
            return;
        }
        tracing::error!(alias = %self.alias, generation = %refusal.generation, reason = %refusal.reason, "generation refused");
        metrics.generation_refused(&self.alias);
        known.store(Some(Arc::new(refusal)));
    }
}
