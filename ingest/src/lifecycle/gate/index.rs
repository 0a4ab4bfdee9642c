//! The index gate: whether the vector index is really built, which a store that is merely `green` does not say.
//! Never waits for an index.

use super::Verdict;
use crate::store::IndexState;

/// Whether the engine has nothing left to do for the index.
pub fn index(state: &IndexState) -> Verdict {
    let IndexState { points, indexed, segments, unfinished } = state;
    let shape = format!("{points} points in {segments} segments, {indexed} vectors in an index");
    let detail = match unfinished {
        None => format!("{shape}; nothing that is large enough for an index lacks one"),
        Some(reason) => format!("{shape}; {reason}"),
    };
    Verdict::new("index_built", unfinished.is_none(), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_not_finished_is_refused_with_the_engine_s_reason() {
        let built = IndexState { points: 9, indexed: 9, segments: 1, unfinished: None };
        assert!(index(&built).passed);
        let verdict = index(&IndexState { unfinished: Some("its status is yellow".to_owned()), ..built });
        assert!(!verdict.passed && verdict.detail.contains("status is yellow"), "{verdict}");
    }
}
