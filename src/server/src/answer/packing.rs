//! Chooses what goes into a budget when not all of it fits.
//! Knows no texts: only ranks and costs.

/// The ranks to keep, in order, of items that cost so much and are listed best first. The best one is always kept.
///
/// What an item is worth falls with its rank as in nDCG (`1 / log2(rank + 1)`, Järvelin and Kekäläinen 2002): retrieval
/// scores say nothing across searches, their order does. The rest of the budget is filled by worth per token, the greedy
/// rule for the knapsack problem (Dantzig 1957), so that a long item does not take the place of several short ones that
/// are worth more together. Items of one size are taken in their order.
pub(super) fn pack(costs: &[u32], budget: u32) -> Vec<usize> {
    let mut left = budget.saturating_sub(costs.first().copied().unwrap_or_default());
    let mut rest: Vec<(usize, u32)> = costs.iter().copied().enumerate().skip(1).collect();
    let total: u64 = rest.iter().map(|(_, cost)| u64::from(*cost)).sum();
    if total > u64::from(left) {
        // Stable: of equals, the better rank stays before.
        rest.sort_by(|a, b| density(*b).total_cmp(&density(*a)));
    }
    let mut kept: Vec<usize> = (0..costs.len().min(1)).collect();
    for (rank, cost) in rest {
        if cost <= left {
            left -= cost;
            kept.push(rank);
        }
    }
    kept.sort_unstable();
    kept
}

fn density((rank, cost): (usize, u32)) -> f64 {
    let rank = u32::try_from(rank).map_or(f64::from(u32::MAX), f64::from);
    1.0 / ((rank + 2.0).log2() * f64::from(cost.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_whole_and_in_order() {
        assert_eq!(pack(&[10, 90, 1, 50], 151), [0, 1, 2, 3]);
        assert_eq!(pack(&[], 100), [0; 0]);
    }

    #[test]
    fn a_large_item_does_not_push_out_several_small_ones() {
        assert_eq!(pack(&[10, 90, 30, 30, 30], 100), [0, 2, 3, 4]);
    }

    #[test]
    fn items_of_one_size_are_taken_in_their_order() {
        assert_eq!(pack(&[20; 10], 100), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_little_shorter_does_not_beat_a_much_better_rank() {
        assert_eq!(pack(&[10, 50, 49, 48, 47, 46, 45], 60), [0, 1]);
    }

    #[test]
    fn the_best_is_kept_whatever_it_costs() {
        assert_eq!(pack(&[500, 10], 100), [0]);
    }

    #[test]
    fn the_budget_is_never_exceeded_by_the_rest() {
        for budget in 0..400 {
            let costs = [40, 7, 120, 33, 8, 90, 61, 5];
            let spent: u32 = pack(&costs, budget).iter().map(|rank| costs[*rank]).sum();
            assert!(spent <= budget.max(40), "{spent} of {budget}");
        }
    }
}
