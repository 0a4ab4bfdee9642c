//! Where a request's time went, by stage.
//! Reads the clock only in [`Stopwatch`].

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The stages that a request can go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for a place.
    Queue,
    /// Rewriting a follow-up to a question that stands alone.
    Rewrite,
    /// Turning the question into vectors.
    Embed,
    /// Searching the generation.
    Search,
    /// Choosing evidence and building the prompt.
    Prompt,
    /// From the call of the language model to its last token.
    Llm,
}

impl Stage {
    /// All stages, in the order of the pipeline.
    pub const ALL: [Self; 6] =
        [Self::Queue, Self::Rewrite, Self::Embed, Self::Search, Self::Prompt, Self::Llm];

    /// The stage's name in responses, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Rewrite => "rewrite",
            Self::Embed => "embed",
            Self::Search => "search",
            Self::Prompt => "prompt",
            Self::Llm => "llm",
        }
    }
}

/// Time by stage, and in total once the request has ended. Serialises as an object of milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    stages: Vec<(Stage, Duration)>,
    total: Option<Duration>,
}

impl Timings {
    /// Adds the time of a stage.
    pub fn record(&mut self, stage: Stage, took: Duration) {
        self.stages.push((stage, took));
    }

    /// Adds the stages of work that this request caused.
    pub fn extend(&mut self, other: &Self) {
        self.stages.extend_from_slice(&other.stages);
    }

    /// Sets the time of the whole request.
    #[must_use]
    pub fn with_total(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// The stages that were gone through.
    pub fn stages(&self) -> &[(Stage, Duration)] {
        &self.stages
    }

    /// Milliseconds spent in a stage, `None` when it was not gone through.
    pub fn stage_ms(&self, stage: Stage) -> Option<f64> {
        let took: Duration = self.stages.iter().filter(|(s, _)| *s == stage).map(|(_, took)| *took).sum();
        self.stages.iter().any(|(s, _)| *s == stage).then(|| milliseconds(took))
    }
}

impl Serialize for Timings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for stage in Stage::ALL {
            if let Some(ms) = self.stage_ms(stage) {
                map.serialize_entry(stage.name(), &ms)?;
            }
        }
        if let Some(total) = self.total {
            map.serialize_entry("total", &milliseconds(total))?;
        }
        map.end()
    }
}

/// A duration in milliseconds, to the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// Measures one stage after the other.
#[derive(Debug)]
pub struct Stopwatch {
    last: Instant,
    timings: Timings,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { last: Instant::now(), timings: Timings::default() }
    }

    /// Ends the stage that began at the start or at the end of the one before.
    pub fn lap(&mut self, stage: Stage) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.last);
        self.last = now;
        self.timings.record(stage, took);
        took
    }

    /// What was measured.
    pub fn into_timings(self) -> Timings {
        self.timings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_an_object_of_milliseconds_in_pipeline_order() {
        let mut timings = Timings::default();
        timings.record(Stage::Search, Duration::from_micros(1_500));
        timings.record(Stage::Embed, Duration::from_millis(2));
        timings.record(Stage::Search, Duration::from_micros(500));
        let json = serde_json::to_string(&timings.with_total(Duration::from_millis(5))).unwrap();
        assert_eq!(json, r#"{"embed":2.0,"search":2.0,"total":5.0}"#);
    }
}
