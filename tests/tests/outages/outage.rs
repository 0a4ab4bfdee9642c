//! What can be wrong: each dependency in each state, alone and in pairs.
//! Never makes anything go wrong: it only names it.

use std::fmt;

/// What Lectern depends on, in the order in which a request meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dependency {
    Sql,
    Redis,
    Embedder,
    Store,
    Llm,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Connections are refused.
    Down,
    /// Connections are taken, and nothing comes back.
    Slow,
    /// Something comes back, and it is not what it should be.
    Lying,
}

/// What is wrong at one time. Two faults at most, in the order in which a request meets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outage(pub(crate) Vec<(Dependency, State)>);

impl Dependency {
    pub(crate) const ALL: [Self; 5] = [Self::Sql, Self::Redis, Self::Embedder, Self::Store, Self::Llm];

    fn name(self) -> &'static str {
        match self {
            Self::Sql => "database",
            Self::Redis => "Redis",
            Self::Embedder => "embedder",
            Self::Store => "vector store",
            Self::Llm => "language model",
        }
    }
}

impl State {
    const ALL: [Self; 3] = [Self::Down, Self::Slow, Self::Lying];

    fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Slow => "slow",
            Self::Lying => "lying",
        }
    }
}

impl Outage {
    pub(crate) fn none() -> Self {
        Self(vec![])
    }

    /// Each dependency in each state.
    pub(crate) fn singles() -> impl Iterator<Item = Self> {
        Self::faults().map(|fault| Self(vec![fault]))
    }

    /// Each two dependencies in each two states.
    pub(crate) fn pairs() -> impl Iterator<Item = Self> {
        let pair = |first: (Dependency, State)| {
            let others = Self::faults().filter(move |second| first.0 < second.0);
            others.map(move |second| Self(vec![first, second]))
        };
        Self::faults().flat_map(pair)
    }

    fn faults() -> impl Iterator<Item = (Dependency, State)> {
        Dependency::ALL.into_iter().flat_map(|dependency| State::ALL.map(|state| (dependency, state)))
    }

    /// Whether it has a row in the README: the other pairs are the sums of their parts, too, and would hide these.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.len() < 2 || self.0.iter().all(|(_, state)| *state == State::Down)
    }

    /// What readiness must name: what does not answer, of what it watches.
    pub(crate) fn culprits(&self) -> Vec<&'static str> {
        let culprit = |(dependency, state): &(Dependency, State)| match (dependency, state) {
            (Dependency::Store, State::Down | State::Slow) => Some("store"),
            (Dependency::Sql, State::Down | State::Slow) => Some("sql"),
            (_, _) => None,
        };
        self.0.iter().filter_map(culprit).collect()
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults =
            self.0.iter().map(|(dependency, state)| format!("{} {}", dependency.name(), state.name()));
        let faults = faults.collect::<Vec<_>>().join(", ");
        f.write_str(if faults.is_empty() { "nothing" } else { &faults })
    }
}
