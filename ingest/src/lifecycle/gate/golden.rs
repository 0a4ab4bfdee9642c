//! The golden gates: whether questions with known answers are answered as well as by the live generation.
//! Never by one average: question by question, and a loss must be more than chance, or so large that nobody cares.

use super::paired::chance_of_loss;
use super::section::GatesSection;
use super::{Live, Verdict, mean};

/// How likely a refusal may be by chance alone, for each of the two measures: together 1 in 20.
const CHANCE: f64 = 0.025;
/// Fewest questions that can tell a loss from chance at that level: 1/2 to the sixth is below it, to the fifth is not.
const FEWEST: usize = 6;

/// How well one question was answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Normalised discounted cumulative gain of the first ten documents.
    pub ndcg: f64,
    /// Share of the expected documents, ten at most, that are among the first ten.
    pub recall: f64,
}

/// The scores of all golden questions, in their order. The live generation has none for a question that was not asked of
/// it when it was examined.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Of the generation that is examined.
    pub candidate: Vec<Score>,
    /// Of the live one.
    pub live: Live<Vec<Option<Score>>>,
}

/// A measure as the verdicts name it.
struct Measure {
    gate: &'static str,
    name: &'static str,
    of: fn(&Score) -> f64,
}

const NDCG: Measure = Measure { gate: "golden_ndcg", name: "nDCG@10", of: |score| score.ndcg };
const RECALL: Measure = Measure { gate: "golden_recall", name: "recall@10", of: |score| score.recall };

/// Compares with the live generation where that is known, else with the least recall that is configured.
pub fn golden(answered: &Answered, section: &GatesSection) -> Vec<Verdict> {
    let (live, whose) = match answered.live.known() {
        Ok(known) => known,
        Err(reason) => return vec![alone(answered, section, reason)],
    };
    let pairs: Vec<(Score, Score)> =
        answered.candidate.iter().zip(live).filter_map(|(ours, theirs)| Some((*ours, (*theirs)?))).collect();
    if pairs.is_empty() {
        let reason = "none of the questions was asked of the live generation when it was examined";
        return vec![alone(answered, section, reason)];
    }
    [NDCG, RECALL].map(|measure| compared(&measure, &pairs, section, whose)).to_vec()
}

fn alone(answered: &Answered, section: &GatesSection, reason: &str) -> Verdict {
    let recall = mean(&answered.candidate.iter().map(|score| score.recall).collect::<Vec<_>>());
    let least = section.golden_least_recall;
    let detail = format!(
        "recall@10 of {} questions is {recall:.3}, at least {least} is required ({reason})",
        answered.candidate.len()
    );
    Verdict::new(RECALL.gate, least <= recall, detail)
}

fn compared(measure: &Measure, pairs: &[(Score, Score)], section: &GatesSection, whose: &str) -> Verdict {
    let side = |of: fn(&(Score, Score)) -> &Score| -> Vec<f64> {
        pairs.iter().map(|pair| (measure.of)(of(pair))).collect()
    };
    let (ours, theirs) = (side(|pair| &pair.0), side(|pair| &pair.1));
    let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
    let (loss, chance) = (-mean(&differences), chance_of_loss(&differences));
    let can_tell = FEWEST <= pairs.len();
    let too_much = section.golden_most_loss < loss;
    let proven = can_tell && section.golden_margin < loss && chance < CHANCE;
    let why = match (too_much, proven, can_tell) {
        (true, ..) => {
            format!("a loss above {} is refused however likely it is by chance", section.golden_most_loss)
        }
        (_, true, _) => format!("a loss above {} with p below {CHANCE} is refused", section.golden_margin),
        (_, _, false) => format!("fewer than {FEWEST} questions cannot tell a loss from chance"),
        _ => "no proven loss".to_owned(),
    };
    let detail = format!(
        "{} of {} questions is {:.3}, and {:.3} of what is {whose}; difference {:+.3}, p {chance:.3}: {why}",
        measure.name,
        pairs.len(),
        mean(&ours),
        mean(&theirs),
        -loss
    );
    Verdict::new(measure.gate, !too_much && !proven, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(ndcg: &[f64]) -> Vec<Score> {
        ndcg.iter().map(|ndcg| Score { ndcg: *ndcg, recall: 1.0 }).collect()
    }

    fn refusing(ours: &[f64], theirs: &[f64]) -> Vec<String> {
        let live = Live::Now(scores(theirs).into_iter().map(Some).collect());
        let verdicts = golden(&Answered { candidate: scores(ours), live }, &GatesSection::default());
        verdicts.into_iter().filter(|verdict| !verdict.passed).map(|verdict| verdict.gate).collect()
    }

    #[test]
    fn equal_answers_pass_and_better_ones_too() {
        assert_eq!(refusing(&[0.8; 20], &[0.8; 20]), [""; 0]);
        assert_eq!(refusing(&[0.9; 20], &[0.2; 20]), [""; 0]);
    }

    #[test]
    fn a_loss_on_most_questions_is_refused_although_it_is_small() {
        assert_eq!(refusing(&[0.75; 20], &[0.8; 20]), ["golden_ndcg"]);
    }

    #[test]
    fn a_loss_within_the_margin_passes_however_certain_it_is() {
        assert_eq!(refusing(&[0.79; 20], &[0.8; 20]), [""; 0]);
    }

    #[test]
    fn gains_and_losses_that_may_be_chance_pass_although_the_average_fell() {
        let theirs = [0.5; 20];
        let mut ours = [0.5; 20];
        for (at, it) in ours.iter_mut().enumerate() {
            *it = if at % 2 == 0 { 0.2 } else { 0.7 };
        }
        assert_eq!(refusing(&ours, &theirs), [""; 0]);
    }

    #[test]
    fn few_questions_are_judged_by_a_large_loss_alone() {
        assert_eq!(refusing(&[0.9, 0.9, 0.7], &[1.0, 1.0, 0.8]), [""; 0]);
        assert_eq!(refusing(&[0.0, 1.0, 1.0], &[1.0, 1.0, 1.0]), ["golden_ndcg"]);
        let live = Live::Now(vec![Some(Score { ndcg: 1.0, recall: 1.0 }); 3]);
        let verdicts = golden(&Answered { candidate: scores(&[1.0; 3]), live }, &GatesSection::default());
        assert!(verdicts.iter().all(|verdict| verdict.detail.contains("fewer than 6 questions cannot tell")));
    }

    #[test]
    fn the_first_generation_needs_the_least_recall() {
        let judged = |recall| {
            let candidate = vec![Score { ndcg: 1.0, recall }; 4];
            golden(&Answered { candidate, live: Live::nothing() }, &GatesSection::default())
        };
        assert!(judged(0.5)[0].passed);
        assert_eq!((judged(0.49)[0].passed, judged(0.49)[0].gate.as_str()), (false, "golden_recall"));
    }

    #[test]
    fn only_questions_that_both_were_asked_are_compared() {
        let known = Some(Score { ndcg: 1.0, recall: 1.0 });
        let live = Live::Recorded(vec![known, None]);
        let verdicts = golden(&Answered { candidate: scores(&[1.0, 0.0]), live }, &GatesSection::default());
        assert!(verdicts.iter().all(|verdict| verdict.passed && verdict.detail.contains("of 1 questions")));
        let none = Answered { candidate: scores(&[1.0]), live: Live::Recorded(vec![None]) };
        assert!(golden(&none, &GatesSection::default())[0].detail.contains("none of the questions"));
    }
}
