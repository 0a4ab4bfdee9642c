//! The fingerprint gates: whether a generation speaks the language that questions will be asked in.
//! Never compares vectors: it compares what is said of them.

use lectern_schema::fingerprint::{Encoding, Fingerprint};

use super::Verdict;

/// Whether the generation was encoded as this configuration encodes questions. Servers refuse one that was not.
pub fn as_configured(candidate: &Fingerprint, configured: &Encoding) -> Verdict {
    let differences = differences(&candidate.encoding, configured, "in this configuration");
    let detail = match &differences {
        None => format!("`{}`, as configured", candidate.encoding.embedding.model),
        Some(differences) => differences.clone(),
    };
    Verdict::new("encoding_as_configured", differences.is_none(), detail).final_word()
}

/// Whether the generation is encoded as the live one. A change is named, and golden questions decide whether it is for
/// the better: without them it passes only for a reason.
pub fn as_live(candidate: &Fingerprint, live: Option<&Fingerprint>, has_golden: bool) -> Verdict {
    const GATE: &str = "encoding_as_live";
    let Some(live) = live else { return Verdict::new(GATE, true, "nothing is live to compare with") };
    match differences(&candidate.encoding, &live.encoding, "in the live generation") {
        None => Verdict::new(GATE, true, "as the live generation"),
        Some(change) if has_golden => {
            Verdict::new(GATE, true, format!("{change}; the golden questions decide"))
        }
        Some(change) => {
            let detail =
                format!("{change}; only golden questions can tell whether that is for the better: give some");
            Verdict::new(GATE, false, detail)
        }
    }
}

fn differences(ours: &Encoding, theirs: &Encoding, place: &str) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    let mut compare = |part: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(format!("{part} is {ours}, and {theirs} {place}"));
        }
    };
    compare(
        "the embedding model",
        format!("`{}`", ours.embedding.model),
        format!("`{}`", theirs.embedding.model),
    );
    compare("the dimension", ours.embedding.dimension.to_string(), theirs.embedding.dimension.to_string());
    compare(
        "the pooling",
        format!("{:?}", ours.embedding.pooling),
        format!("{:?}", theirs.embedding.pooling),
    );
    compare("the sparse encoding", format!("{:?}", ours.sparse), format!("{:?}", theirs.sparse));
    compare("the payload version", ours.payload_version.to_string(), theirs.payload_version.to_string());
    (!found.is_empty()).then(|| found.join("; "))
}

#[cfg(test)]
mod tests {
    use lectern_schema::fingerprint::{Chunker, Embedding, Pooling};

    use super::*;

    fn fingerprint(model: &str) -> Fingerprint {
        let embedding = Embedding { model: model.to_owned(), dimension: 384, pooling: Pooling::Mean };
        let chunker = Chunker { version: 1, max_tokens: 256, overlap_tokens: 0 };
        Fingerprint { encoding: Encoding::current(embedding), chunker }
    }

    #[test]
    fn another_configuration_is_refused_and_cannot_be_forced() {
        assert!(as_configured(&fingerprint("a"), &fingerprint("a").encoding).passed);
        let verdict = as_configured(&fingerprint("a"), &fingerprint("b").encoding);
        assert!(!verdict.passed && !verdict.forcible);
        assert_eq!(verdict.detail, "the embedding model is `a`, and `b` in this configuration");
    }

    #[test]
    fn another_model_than_the_live_one_is_named_and_left_to_golden_questions() {
        let (a, b) = (fingerprint("a"), fingerprint("b"));
        let without = as_live(&b, Some(&a), false);
        assert!(!without.passed && without.forcible, "{without}");
        assert!(without.detail.contains("is `b`, and `a` in the live generation"), "{without}");
        assert!(as_live(&b, Some(&a), true).passed);
    }

    #[test]
    fn cutting_documents_otherwise_is_no_other_encoding() {
        let mut smaller = fingerprint("a");
        smaller.chunker.max_tokens = 100;
        assert!(as_live(&smaller, Some(&fingerprint("a")), false).passed);
        assert!(as_live(&smaller, None, false).passed);
    }
}
