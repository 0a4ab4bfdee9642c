//! The vectors gate: whether stored vectors are vectors of this model at all: finite, of its length, normalised.
//! Never asks what they mean.

use super::Verdict;

/// How far a vector's length may be from 1: what sixteen-bit floats lose, and more.
const TOLERANCE: f64 = 0.01;

/// Whether every vector of a sample is finite, has `dimension` elements, and length 1.
pub fn vectors(sample: &[&[f32]], dimension: u32) -> Verdict {
    let dimension = usize::try_from(dimension).unwrap_or(usize::MAX);
    let other_length = sample.iter().filter(|vector| vector.len() != dimension).count();
    let not_finite = sample.iter().filter(|vector| !vector.iter().all(|x| x.is_finite())).count();
    let not_normal = sample.iter().filter(|vector| !is_normal(vector)).count();
    let faults = [
        (other_length, format!("have not {dimension} elements")),
        (not_finite, "hold what is no finite number".to_owned()),
        (not_normal, "are not normalised".to_owned()),
    ];
    let told: Vec<String> = faults
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, fault)| format!("{count} of {} vectors {fault}", sample.len()))
        .collect();
    let detail = if told.is_empty() {
        format!("{} vectors are finite, normalised, and have {dimension} elements", sample.len())
    } else {
        told.join("; ")
    };
    Verdict::new("vectors_sane", told.is_empty(), detail)
}

fn is_normal(vector: &[f32]) -> bool {
    let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    // What is not finite is counted as that, and only as that.
    !square.is_finite() || (square.sqrt() - 1.0).abs() <= TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(sample: &[&[f32]]) -> String {
        let verdict = vectors(sample, 2);
        assert!(!verdict.passed, "{verdict}");
        verdict.detail
    }

    #[test]
    fn sane_vectors_pass() {
        assert!(vectors(&[&[1.0, 0.0], &[0.6, 0.8]], 2).passed);
    }

    #[test]
    fn each_fault_is_counted() {
        assert_eq!(refusal(&[&[1.0, 0.0], &[1.0]]), "1 of 2 vectors have not 2 elements");
        assert_eq!(refusal(&[&[f32::NAN, 0.0], &[0.6, 0.8]]), "1 of 2 vectors hold what is no finite number");
        assert_eq!(refusal(&[&[0.0, 0.0], &[3.0, 4.0]]), "2 of 2 vectors are not normalised");
    }
}
