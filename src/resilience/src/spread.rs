//! In which order equal and lesser endpoints are asked.
//! Draws by the function it is given, and knows nothing of the endpoints but their weights.

/// The places of all endpoints, first choice first. Those with a weight above 0 come in an order drawn by weight, so that
/// each is first as often as its share says; those without come after them, as they are listed.
pub fn order(weights: &[u32], mut draw: impl FnMut(u64) -> u64) -> Vec<usize> {
    let (mut sharing, rest): (Vec<_>, Vec<_>) =
        weights.iter().copied().enumerate().partition(|(_, weight)| *weight > 0);
    let mut order = Vec::with_capacity(weights.len());
    while sharing.len() > 1 {
        let all = sharing.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = draw(all);
        let drawn = sharing.iter().position(|(_, weight)| {
            let hit = left < u64::from(*weight);
            left = left.saturating_sub(u64::from(*weight));
            hit
        });
        order.push(sharing.remove(drawn.unwrap_or_default()).0);
    }
    order.extend(sharing.into_iter().chain(rest).map(|(place, _)| place));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_without_a_weight_come_last_in_their_order() {
        assert_eq!(order(&[1, 0, 0], |_| panic!("nothing to draw")), [0, 1, 2]);
        assert_eq!(order(&[0, 0, 5], |_| panic!("nothing to draw")), [2, 0, 1]);
        assert_eq!(order(&[0, 0], |_| panic!("nothing to draw")), [0, 1]);
        assert_eq!(order(&[2, 0, 1], |_| 2), [2, 0, 1]);
    }

    #[test]
    fn each_is_first_as_often_as_its_weight_says() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut first = [0; 3];
        for _ in 0..6_000 {
            first[order(&[1, 2, 3], |all| random.u64(0..all))[0]] += 1;
        }
        for (count, expected) in first.iter().zip([1_000, 2_000, 3_000]) {
            assert!((expected - 150..expected + 150).contains(count), "{first:?}");
        }
    }
}
