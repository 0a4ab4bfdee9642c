//! Whether a collection lacks an index that its size calls for, from the numbers that both engines report.
//! Never asks an engine.

/// A collection in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) points: u64,
    /// Vectors in an index, as the engine counts them: a chunk's sparse vector always, its dense one once its segment has
    /// an index for it.
    pub(super) indexed: u64,
    pub(super) segments: u64,
    pub(super) dimension: u64,
}

impl Shape {
    /// What is missing, where segments larger than `threshold` KiB are to have an index. Engines leave smaller ones without
    /// one on purpose, and 0 switches indexes off: whoever did that does not wait for one.
    pub(super) fn lack(self, threshold: u64) -> Option<String> {
        const KIB: u64 = 1_024;
        const FLOAT_BYTES: u64 = 4;
        // Chunks without terms have no sparse vector, and so look as if they lacked an index: few of them are none.
        const FEW: u64 = 10;
        let Self { points, indexed, segments, dimension } = self;
        // Sparse vectors are always in an index of theirs: what goes beyond them is dense.
        let plain = points.saturating_mul(2).saturating_sub(indexed).min(points);
        let plain_size = plain.saturating_mul(dimension).saturating_mul(FLOAT_BYTES) / KIB;
        let allowed = threshold.saturating_mul(segments.max(1));
        let lacking = threshold > 0 && allowed < plain_size && points < plain.saturating_mul(FEW);
        lacking
            .then(|| format!("{plain} of {points} points, {plain_size} KiB of vectors, are without an index"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(points: u64, indexed: u64) -> Option<String> {
        Shape { points, indexed, segments: 2, dimension: 384 }.lack(10_000)
    }

    #[test]
    fn small_segments_need_no_index_and_large_ones_do() {
        assert_eq!(lack(5_000, 0), None);
        assert!(lack(20_000, 0).is_some());
        assert_eq!(lack(20_000, 40_000), None);
    }

    #[test]
    fn an_index_of_sparse_vectors_alone_is_none() {
        assert!(lack(20_000, 20_000).is_some());
        assert!(lack(100_000, 150_000).is_some());
    }

    #[test]
    fn chunks_without_terms_are_no_lack() {
        assert_eq!(lack(10_000_000, 19_500_000), None);
    }

    #[test]
    fn who_switched_indexes_off_lacks_none() {
        assert_eq!(Shape { points: 1_000_000, indexed: 0, segments: 1, dimension: 384 }.lack(0), None);
    }
}
