//! One canary beside one live generation, from when this server began to serve it to when it ceased: counted, measured,
//! compared.
//! Never changes what a request is answered with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_schema::canary::Canary;
use lectern_search::Collection;
use lectern_search::query::{Hit, Query};

use crate::canary::comparison::{Comparisons, overlap};
use crate::canary::figures::{Figures, PairFigures, Pairs, Tally};
use crate::canary::{Ending, Role};
use crate::metrics::Metrics;

/// A canary on trial.
#[derive(Debug)]
pub struct Trial {
    canary: Canary,
    /// The generation of the canary.
    pub collection: Arc<dyn Collection>,
    live: Arc<dyn Collection>,
    comparisons: Arc<Comparisons>,
    metrics: Arc<Metrics>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    live: Tally,
    canary: Tally,
    pairs: Pairs,
}

impl Seen {
    fn tally(&mut self, role: Role) -> &mut Tally {
        match role {
            Role::Live => &mut self.live,
            Role::Canary => &mut self.canary,
        }
    }
}

/// What was seen of a trial so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// What the live generation did meanwhile.
    pub live: Figures,
    /// What the canary did.
    pub canary: Figures,
    /// What both made of the same searches.
    pub pairs: PairFigures,
}

impl Trial {
    /// Begins: `collection` is the canary's generation.
    pub fn new(
        canary: Canary,
        collection: Arc<dyn Collection>,
        live: Arc<dyn Collection>,
        comparisons: Arc<Comparisons>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { canary, collection, live, comparisons, metrics, seen: Mutex::default() }
    }

    /// The canary.
    pub fn canary(&self) -> &Canary {
        &self.canary
    }

    /// What was seen so far.
    pub fn findings(&self) -> Findings {
        let seen = self.seen();
        Findings { live: seen.live.figures(), canary: seen.canary.figures(), pairs: seen.pairs.figures() }
    }

    /// A request ended that one of the two served.
    pub fn ended(&self, role: Role, ending: Ending) {
        self.seen().tally(role).ended(ending);
    }

    /// One of the two was searched for a request.
    pub fn searched(&self, role: Role, took: Duration) {
        self.seen().tally(role).searched(took);
    }

    /// Makes a search of the canary's once more in the live generation, when it is time for a comparison.
    pub fn compare(self: &Arc<Self>, query: &Query, hits: &Arc<Vec<Hit>>, took: Duration) {
        self.comparisons.begin(Instant::now(), || {
            let (trial, query, hits) = (Arc::clone(self), query.clone(), Arc::clone(hits));
            async move {
                let began = Instant::now();
                let found = trial.live.search(&query, Deadline::after(began, Comparisons::BUDGET)).await;
                trial.compared(found.ok().as_deref(), &hits, (began.elapsed(), took));
            }
        });
    }

    fn compared(&self, live: Option<&[Hit]>, canary: &[Hit], (live_took, canary_took): (Duration, Duration)) {
        let overlap = live.map(|live| overlap(live, canary));
        self.metrics.roles.compared(overlap);
        let pairs = &mut self.seen().pairs;
        match overlap {
            Some(overlap) => pairs.compared(overlap, live_took, canary_took),
            None => pairs.failed(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
