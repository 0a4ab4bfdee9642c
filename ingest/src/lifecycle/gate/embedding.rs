//! The embedding gate: whether stored vectors are those of their texts, by the configured embedder.
//! Never embeds: it is given the cosines between what is stored and what should be.

use super::Verdict;

/// What a sample of stored vectors was compared with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Agreement {
    /// Cosines to the vectors that were computed for the same texts earlier.
    pub known: Vec<f64>,
    /// Cosines to the vectors that the embedder gives for the texts now.
    pub now: Vec<f64>,
}

/// Whether every sampled vector has a cosine of at least `least` to what its text should have. `Err` tells why they
/// could not be compared.
pub fn embedding(agreement: &Result<Agreement, String>, least: f64) -> Verdict {
    const GATE: &str = "vectors_match_texts";
    let Agreement { known, now } = match agreement {
        Ok(agreement) => agreement,
        Err(reason) => return Verdict::new(GATE, true, reason.as_str()),
    };
    // What is no number is not counted as enough either.
    let failed = |cosines: &[f64]| cosines.len() - cosines.iter().filter(|cosine| least <= **cosine).count();
    let (known_failed, now_failed) = (failed(known), failed(now));
    let lowest = known.iter().chain(now).copied().fold(f64::INFINITY, f64::min);
    let detail = format!(
        "{now_failed} of {} texts embedded again and {known_failed} of {} embedded earlier have another vector (lowest \
         cosine {lowest:.4}, at least {least} is required)",
        now.len(),
        known.len()
    );
    Verdict::new(GATE, known_failed + now_failed == 0, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(known: &[f64], now: &[f64]) -> Verdict {
        embedding(&Ok(Agreement { known: known.to_vec(), now: now.to_vec() }), 0.99)
    }

    #[test]
    fn one_vector_of_another_text_refuses() {
        assert!(judged(&[1.0, 0.991], &[0.9999]).passed);
        let verdict = judged(&[1.0, 0.3], &[1.0]);
        assert!(!verdict.passed);
        assert!(
            verdict.detail.starts_with("0 of 1 texts embedded again and 1 of 2 embedded earlier"),
            "{verdict}"
        );
    }

    #[test]
    fn a_model_that_changed_behind_its_name_shows_only_when_it_is_asked() {
        let verdict = judged(&[1.0, 1.0], &[0.1, 0.2]);
        assert!(!verdict.passed);
        assert!(verdict.detail.starts_with("2 of 2 texts embedded again"), "{verdict}");
    }

    #[test]
    fn a_vector_without_direction_matches_nothing() {
        assert!(!judged(&[f64::NAN], &[]).passed);
    }
}
