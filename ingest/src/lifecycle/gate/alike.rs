//! The gate against vectors that are all alike: an embedder that fails often answers every text with the same vector.
//! Never compares a vector with its text.

use super::{Verdict, mean};

/// Fewest vectors that are compared: two texts may well mean the same.
const FEWEST: usize = 4;
/// Most vectors that are compared, each with each: their mean is known to 0.01 by then.
const MOST: usize = 64;

/// Whether the vectors of different texts point in different directions: mean cosine of all pairs below `most`.
pub fn alike(sample: &[&[f32]], most: f64) -> Verdict {
    const GATE: &str = "vectors_differ";
    let sample = sample.get(..MOST).unwrap_or(sample);
    if sample.len() < FEWEST {
        return Verdict::new(GATE, true, format!("{} different texts are too few to compare", sample.len()));
    }
    let pairs = sample
        .iter()
        .enumerate()
        .flat_map(|(at, one)| sample.iter().skip(at + 1).map(move |other| cosine(one, other)));
    let mean = mean(&pairs.collect::<Vec<f64>>());
    let detail = format!(
        "mean cosine of the vectors of {} different texts is {mean:.3}; below {most} is required",
        sample.len()
    );
    // Not a number is not below either.
    Verdict::new(GATE, mean < most, detail)
}

/// Cosine of the angle between two vectors; not a number when one of them has no direction.
pub fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let product =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_vector_is_refused_and_various_ones_pass() {
        let constant: [&[f32]; 4] = [&[0.6, 0.8]; 4];
        assert!(!alike(&constant, 0.98).passed);
        assert!(alike(&[&[1.0, 0.0], &[0.0, 1.0], &[0.6, 0.8], &[0.8, 0.6]], 0.98).passed);
    }

    #[test]
    fn vectors_without_direction_are_not_different() {
        let zeros: [&[f32]; 4] = [&[0.0, 0.0]; 4];
        assert!(!alike(&zeros, 0.98).passed);
    }

    #[test]
    fn a_handful_of_texts_proves_nothing() {
        let few: [&[f32]; 3] = [&[1.0, 0.0]; 3];
        assert!(alike(&few, 0.98).passed);
    }
}
