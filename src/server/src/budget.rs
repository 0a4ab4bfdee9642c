//! How the time of one request is shared between its stages: each gets what is left minus what later stages need.
//! Reads no clock: "now" is an argument.

use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;

use crate::timings::Stage;

/// The time of one request.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    deadline: Deadline,
    began: Instant,
    total: Duration,
    stages: &'static [Need],
}

/// The share of the whole time that a stage needs at least, in percent.
type Need = (Stage, u32);

impl Budget {
    // The shares are chosen by hand for what the stages take when nothing is wrong: a language model takes seconds, an
    // embedder and a store a few hundredths of that, so that 10 percent of any deadline that an answer fits into is ample.
    const SEARCH: &[Need] = &[(Stage::Queue, 0), (Stage::Embed, 20), (Stage::Search, 30)];
    const ASK: &[Need] = &[
        (Stage::Queue, 0),
        (Stage::Rewrite, 10),
        (Stage::Embed, 10),
        (Stage::Search, 10),
        (Stage::Prompt, 0),
        (Stage::Llm, 40),
    ];
    /// What is kept for answering in another way when the last stage was late, for saving the turn, and for putting the answer
    /// on the wire: a busy machine and a busy database need more than their usual few milliseconds.
    const TO_RESPOND: Duration = Duration::from_millis(200);

    /// The budget of a search that must end by `deadline`.
    pub fn for_search(deadline: Deadline, now: Instant) -> Self {
        Self { deadline, began: now, total: deadline.remaining(now), stages: Self::SEARCH }
    }

    /// The budget of an ask that must end by `deadline`.
    pub fn for_ask(deadline: Deadline, now: Instant) -> Self {
        Self { deadline, began: now, total: deadline.remaining(now), stages: Self::ASK }
    }

    /// When the whole request must have ended.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// When `stage` must have ended, so that those after it have what they need.
    pub fn until(&self, stage: Stage) -> Deadline {
        let later = self.stages.iter().rev().take_while(|(other, _)| *other != stage);
        let percent: u32 = later.map(|(_, percent)| percent).sum();
        let respond = Self::TO_RESPOND.min(self.total / 20);
        self.deadline.leaving(self.began, self.total * percent / 100 + respond)
    }

    /// Whether an optional stage may still begin: what it needs itself is there beside what later stages need.
    pub fn allows(&self, stage: Stage, now: Instant) -> bool {
        let own = self.stages.iter().find(|(other, _)| *other == stage).map_or(0, |(_, percent)| *percent);
        self.until(stage).remaining(now) >= self.total * own / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_of(seconds: u64) -> (Instant, Budget) {
        let now = Instant::now();
        (now, Budget::for_ask(Deadline::after(now, Duration::from_secs(seconds)), now))
    }

    #[test]
    fn each_stage_ends_early_enough_for_those_after_it() {
        let (now, budget) = ask_of(10);
        let ends: Vec<u128> = [Stage::Queue, Stage::Rewrite, Stage::Embed, Stage::Search, Stage::Llm]
            .map(|stage| budget.until(stage).remaining(now).as_millis())
            .to_vec();
        assert_eq!(ends, [2_800, 3_800, 4_800, 5_800, 9_800]);
    }

    #[test]
    fn a_search_needs_nothing_for_a_language_model() {
        let now = Instant::now();
        let budget = Budget::for_search(Deadline::after(now, Duration::from_secs(1)), now);
        assert_eq!(budget.until(Stage::Search).remaining(now), Duration::from_millis(950));
        assert_eq!(budget.until(Stage::Queue).remaining(now), Duration::from_millis(450));
    }

    #[test]
    fn an_optional_stage_is_skipped_when_it_would_eat_the_time_of_later_ones() {
        let (now, budget) = ask_of(10);
        assert!(budget.allows(Stage::Rewrite, now + Duration::from_millis(2_700)));
        assert!(!budget.allows(Stage::Rewrite, now + Duration::from_secs(3)));
    }
}
