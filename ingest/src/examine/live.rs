//! The live generation's side of an examination: looked at now where it can be, else as it was recorded.
//! Never holds up an examination because the live generation is out of reach: it says so instead.

use std::sync::Arc;
use std::time::Instant;

use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_search::bm25::Bm25;
use lectern_search::error::SearchError;
use lectern_search::{Collection, Search};

use super::golden::Golden;
use super::measured::Measured;
use super::{BOUND, ExamineError, OpenError, ask, scan};
use crate::lifecycle::gate::Live;
use crate::lifecycle::gate::golden::Score;
use crate::lifecycle::gate::latency::Latency;
use crate::lifecycle::gate::sources::Tally;
use crate::lifecycle::publish::Contest;
use crate::registry::Registry;

/// What can be known of the live generation.
pub(super) struct LiveSide {
    /// Open, or why it is not.
    reach: Result<Arc<dyn Collection>, String>,
    /// Whether it can be asked with the vectors of the candidate, or why not.
    same_language: Result<(), String>,
    recorded: Option<Measured>,
    /// Whether there is anything to know.
    exists: bool,
}

impl LiveSide {
    /// Opens the live generation, if there is one that can be opened.
    pub(super) async fn open(
        reader: &dyn Search,
        registry: &Registry,
        contest: &Contest,
    ) -> Result<Self, ExamineError> {
        let Some(manifest) = &contest.live_manifest else {
            let reason = match &contest.live {
                None => "nothing is live to compare with".to_owned(),
                Some(live) => format!("`{live}` is live, but not whole"),
            };
            return Ok(Self { reach: Err(reason), same_language: Ok(()), recorded: None, exists: false });
        };
        let encoding = &manifest.fingerprint.encoding;
        let deadline = Deadline::after(Instant::now(), BOUND);
        let reach = match reader.open(&manifest.generation, encoding, deadline).await {
            Ok(collection) => Ok(collection),
            Err(OpenError::Held { holder, .. }) => Err(format!("the live generation is held by {holder}")),
            Err(OpenError::Store(SearchError::Gone(_))) => Err("the live generation is gone".to_owned()),
            Err(error) => return Err(error.into()),
        };
        let same = contest.candidate.fingerprint.encoding.mismatches(encoding).is_empty();
        let other = || format!("the live generation was built with `{}`", encoding.embedding.model);
        let same_language = if same { Ok(()) } else { Err(other()) };
        let recorded = registry.measured(&manifest.generation).await?;
        Ok(Self { reach, same_language, recorded, exists: true })
    }

    /// The live generation, when it can be asked what the candidate is asked.
    pub(super) fn comparable(&self) -> Option<&dyn Collection> {
        self.same_language.as_ref().ok()?;
        self.reach.as_deref().ok()
    }

    /// What it holds. A record counts as long as the store holds as many chunks: only deletions change a generation.
    pub(super) async fn tally(&self) -> Result<Live<Tally>, ExamineError> {
        let recorded = self.recorded.as_ref().map(|measured| &measured.tally);
        let collection = match &self.reach {
            Ok(collection) => collection,
            Err(reason) => return Ok(self.recorded_or(reason, |measured| Some(measured.tally.clone()))),
        };
        let chunks = collection.count(Deadline::after(Instant::now(), BOUND)).await?;
        match recorded.filter(|tally| tally.total().chunks == chunks) {
            Some(tally) => Ok(Live::Now(tally.clone())),
            None => Ok(Live::Now(scan::scan(collection.as_ref(), 0).await?.tally)),
        }
    }

    /// How well it answers the questions.
    pub(super) async fn scores(
        &self,
        bm25: &Bm25,
        asked: &[(&Golden, DenseVector)],
    ) -> Result<Live<Vec<Option<Score>>>, ExamineError> {
        if let Some(live) = self.comparable() {
            let rankings = ask::rankings(live, bm25, asked).await?;
            let scores =
                asked.iter().map(|(question, _)| Some(question.score(rankings.get(&question.key())?)));
            return Ok(Live::Now(scores.collect()));
        }
        Ok(self.recorded_or(self.reason(), |measured| {
            let scores = asked.iter().map(|(question, _)| {
                let ranking = measured.rankings.get(&question.key())?;
                Some(question.score(ranking))
            });
            let scores: Vec<Option<Score>> = scores.collect();
            scores.iter().any(Option::is_some).then_some(scores)
        }))
    }

    /// How long its searches take: as just measured, or as recorded.
    pub(super) fn latency(&self, now: Option<Latency>) -> Live<Latency> {
        match now {
            Some(now) => Live::Now(now),
            None => self.recorded_or(self.reason(), |measured| measured.latency),
        }
    }

    /// Why it is not asked now.
    fn reason(&self) -> &str {
        let unreached = self.reach.as_ref().err();
        unreached.or(self.same_language.as_ref().err()).map_or("it was not asked", String::as_str)
    }

    fn recorded_or<T>(&self, reason: &str, of: impl FnOnce(&Measured) -> Option<T>) -> Live<T> {
        match self.recorded.as_ref().and_then(of) {
            Some(known) => Live::Recorded(known),
            None if self.exists => Live::Unknown(format!("{reason}, and nothing was recorded of it")),
            None => Live::Unknown(reason.to_owned()),
        }
    }
}
