//! The counts gates: whether a generation is whole and large enough to replace the live one.
//! Never looks at what is counted.

use lectern_schema::generation::Counts;

use super::{Percent, Verdict};

/// What the counts gates compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// What the manifest says that the generation holds.
    pub candidate: Counts,
    /// What the registry recorded of its build, `None` when that was lost.
    pub recorded: Option<Counts>,
    /// What the live generation's manifest says, `None` before the first publish.
    pub live: Option<Counts>,
}

/// Whether the counts allow a generation to go live: not empty, as recorded, not shrunk below `smallest` of the live one.
pub fn counts(measured: &Measured, smallest: Percent) -> Vec<Verdict> {
    let Measured { candidate, recorded, live } = measured;
    vec![not_empty(*candidate), as_recorded(*candidate, *recorded), not_shrunk(*candidate, *live, smallest)]
}

/// Whether the store holds what was sealed. What was lost or added since then is nobody's to overrule.
pub fn as_sealed(found: Counts, unreadable: u64, sealed: Counts) -> Verdict {
    let unread = if unreadable == 0 { String::new() } else { format!(", {unreadable} of them unreadable") };
    let detail = format!("the store holds {}{unread}; sealed were {}", told(found), told(sealed));
    Verdict::new("counts_as_sealed", found == sealed && unreadable == 0, detail).final_word()
}

fn not_empty(candidate: Counts) -> Verdict {
    Verdict::new("not_empty", 0 < candidate.chunks, told(candidate))
}

fn as_recorded(candidate: Counts, recorded: Option<Counts>) -> Verdict {
    let sealed = told(candidate);
    let detail = match recorded {
        None => format!("the manifest says {sealed}; the registry has no record of the build"),
        Some(recorded) => format!(
            "the manifest says {sealed}; the registry recorded {} of {}",
            recorded.chunks, recorded.documents
        ),
    };
    let passed = recorded.is_none_or(|recorded| recorded == candidate);
    Verdict::new("counts_as_recorded", passed, detail).final_word()
}

fn not_shrunk(candidate: Counts, live: Option<Counts>, smallest: Percent) -> Verdict {
    let Some(live) = live else {
        return Verdict::new("not_shrunk", true, "nothing is live to compare with");
    };
    let detail = format!(
        "{} chunks where {} are live, {} documents where {} are; at least {smallest} is required",
        candidate.chunks, live.chunks, candidate.documents, live.documents
    );
    Verdict::new("not_shrunk", keeps(candidate, live, smallest), detail)
}

/// Whether enough is left both of the chunks and of the documents.
pub(super) fn keeps(candidate: Counts, live: Counts, smallest: Percent) -> bool {
    smallest.is_reached(candidate.chunks, live.chunks)
        && smallest.is_reached(candidate.documents, live.documents)
}

fn told(counts: Counts) -> String {
    format!("{} chunks of {} documents", counts.chunks, counts.documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunks: u64) -> Counts {
        Counts { documents: chunks.min(3), chunks }
    }

    fn refusing(measured: Measured) -> Vec<String> {
        let verdicts = counts(&measured, Percent::default());
        verdicts.into_iter().filter(|verdict| !verdict.passed).map(|verdict| verdict.gate).collect()
    }

    #[test]
    fn an_empty_generation_is_refused() {
        let measured = Measured { candidate: chunks(0), recorded: Some(chunks(0)), live: None };
        assert_eq!(refusing(measured), ["not_empty"]);
    }

    #[test]
    fn a_generation_that_says_something_else_than_was_recorded_is_refused_and_cannot_be_forced() {
        let measured = Measured { candidate: chunks(9), recorded: Some(chunks(10)), live: None };
        assert_eq!(refusing(measured), ["counts_as_recorded"]);
        let verdicts = counts(&measured, Percent::default());
        assert!(verdicts.iter().any(|verdict| !verdict.passed && !verdict.forcible));
    }

    #[test]
    fn a_store_that_lost_a_chunk_or_cannot_read_one_is_refused_and_cannot_be_forced() {
        assert!(as_sealed(chunks(10), 0, chunks(10)).passed);
        for verdict in [as_sealed(chunks(9), 0, chunks(10)), as_sealed(chunks(10), 1, chunks(10))] {
            assert!(!verdict.passed && !verdict.forcible, "{verdict}");
        }
    }

    #[test]
    fn a_lost_record_does_not_hold_up_a_whole_generation() {
        assert!(
            refusing(Measured { candidate: chunks(9), recorded: None, live: Some(chunks(9)) }).is_empty()
        );
    }

    #[test]
    fn three_quarters_of_the_live_chunks_pass_and_one_less_does_not() {
        let of = |candidate| Measured {
            candidate: chunks(candidate),
            recorded: Some(chunks(candidate)),
            live: Some(chunks(100)),
        };
        assert!(refusing(of(75)).is_empty());
        assert_eq!(refusing(of(74)), ["not_shrunk"]);
    }

    #[test]
    fn half_of_the_documents_are_missed_even_when_they_were_the_short_ones() {
        let candidate = Counts { documents: 5, chunks: 90 };
        let live = Some(Counts { documents: 10, chunks: 100 });
        assert_eq!(refusing(Measured { candidate, recorded: Some(candidate), live }), ["not_shrunk"]);
    }
}
