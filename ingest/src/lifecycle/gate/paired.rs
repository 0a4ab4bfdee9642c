//! The paired randomisation test: whether a difference between two systems on the same questions is more than chance.
//! Never draws by the clock: the same differences always give the same answer.

use super::number;

/// Up to so many differences all assignments of signs are tried, of which there are then 16,384 at most.
const EXACT: usize = 14;
/// Assignments drawn beyond that: the estimate of a chance of 0.025 is then good to 0.001.
const DRAWN: u32 = 20_000;
/// Any fixed number will do.
const SEED: u64 = 20_070_611;

/// How likely a loss of at least this size is when the two systems do not differ: if they do not, each question's
/// difference could as well have had the other sign. One-sided; exact for few differences.
///
/// It assumes nothing of how measures are distributed, and decides as the bootstrap and the t-test do, unlike the sign and
/// Wilcoxon tests: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
/// evaluation", CIKM 2007.
pub fn chance_of_loss(differences: &[f64]) -> f64 {
    // What does not differ has no sign to change.
    let differing: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    let observed: f64 = differing.iter().sum();
    if differing.len() <= EXACT { exact(&differing, observed) } else { drawn(&differing, observed) }
}

fn exact(differences: &[f64], observed: f64) -> f64 {
    let assignments = 1_u32 << differences.len().min(EXACT);
    let worse =
        (0..assignments).filter(|signs| at_most(signed(differences, u64::from(*signs)), observed)).count();
    number(worse) / f64::from(assignments)
}

fn drawn(differences: &[f64], observed: f64) -> f64 {
    let mut random = fastrand::Rng::with_seed(SEED);
    let worse = (0..DRAWN).filter(|_| {
        let sum: f64 = differences.iter().map(|it| if random.bool() { *it } else { -it }).sum();
        at_most(sum, observed)
    });
    // The observed assignment is one of all, so that the chance is never 0.
    (number(worse.count()) + 1.0) / (f64::from(DRAWN) + 1.0)
}

fn signed(differences: &[f64], signs: u64) -> f64 {
    differences.iter().enumerate().map(|(bit, it)| if signs >> bit & 1 == 0 { *it } else { -it }).sum()
}

/// At most `observed`, but for what adding in another order makes of the same numbers.
fn at_most(sum: f64, observed: f64) -> bool {
    sum <= observed + 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_of_equal_losses_is_that_of_throwing_heads_each_time() {
        for n in [1_u32, 5, 10] {
            let differences = vec![-0.25; usize::try_from(n).unwrap()];
            assert!(
                (chance_of_loss(&differences) - 0.5_f64.powi(n.try_into().unwrap())).abs() < 1e-12,
                "{n}"
            );
        }
    }

    #[test]
    fn no_difference_is_certainly_chance_and_a_gain_is_no_loss() {
        assert!((chance_of_loss(&[0.0; 30]) - 1.0).abs() < 1e-12);
        assert!(chance_of_loss(&[0.5; 30]) > 0.99);
    }

    #[test]
    fn drawing_agrees_with_trying_all() {
        let few: Vec<f64> =
            (0..14_i32).map(|n| f64::from(n % 5 - 3) / 10.0).filter(|it| *it != 0.0).collect();
        let observed: f64 = few.iter().sum();
        assert!((exact(&few, observed) - drawn(&few, observed)).abs() < 0.01);
    }

    #[test]
    fn a_few_large_losses_among_many_equal_questions_are_told_from_noise() {
        let mut losses = vec![0.0; 50];
        losses.iter_mut().take(8).for_each(|it| *it = -0.6);
        assert!(chance_of_loss(&losses) < 0.01);
        losses.iter_mut().take(4).for_each(|it| *it = 0.6);
        assert!(chance_of_loss(&losses) > 0.4);
    }
}
