//! What is kept of an examination: the live generation may not be at hand when the next one is compared with it.
//! Never holds text of documents or questions.

use std::collections::BTreeMap;

use lectern_schema::identifiers::{ContentHash, DocumentId};
use serde::{Deserialize, Serialize};

use crate::lifecycle::gate::latency::Latency;
use crate::lifecycle::gate::sources::Tally;

/// What was measured of one generation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// What it holds, by tenant and source.
    pub tally: Tally,
    /// The documents that were found for each golden question, best first, by the question's hash.
    pub rankings: BTreeMap<ContentHash, Vec<DocumentId>>,
    /// How long searches took.
    pub latency: Option<Latency>,
}

impl Measured {
    /// Keeps of an earlier examination what this one did not look at.
    #[must_use]
    pub(super) fn or(mut self, earlier: Self) -> Self {
        for (question, ranking) in earlier.rankings {
            self.rankings.entry(question).or_insert(ranking);
        }
        self.latency = self.latency.or(earlier.latency);
        self
    }
}
