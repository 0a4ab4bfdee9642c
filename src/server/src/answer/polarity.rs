//! What turns a statement into its opposite: negations, and words that come in opposite pairs.
//! Never understands a sentence: it looks at words and at what follows them.

use std::collections::BTreeSet;

use lectern_models::extractive::content_words;

/// Whether a word negates; English, German, French, Spanish, Italian.
pub(super) fn is_negation(word: &str) -> bool {
    const NEGATIONS: [&str; 18] = [
        "cannot", "kein", "keine", "keinen", "keiner", "never", "nicht", "nie", "niemals", "no", "non",
        "none", "nor", "not", "nothing", "nunca", "pas", "without",
    ];
    let Some(first) = word.bytes().next() else { return false };
    let ends_in_nt = word.len() > 3 && (word.ends_with("n't") || word.ends_with("n’t"));
    // Asked of every word of every text: most are told by their first letter.
    let may_be_one = matches!(first | 0x20, b'c' | b'k' | b'n' | b'p' | b'w') && word.len() <= 7;
    ends_in_nt || may_be_one && NEGATIONS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Content words that stand within the reach of a negation: the next four, up to the end of the clause. (`NegEx`, Chapman
/// and others 2001, takes up to five words.)
pub(super) fn negated(text: &str) -> BTreeSet<String> {
    const REACH: usize = 4;
    let mut found = BTreeSet::new();
    let mut left = 0;
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if is_negation(bare) {
            left = REACH;
            continue;
        }
        if left > 0 {
            let words = content_words(bare);
            left -= usize::from(!words.is_empty());
            found.extend(words);
        }
        if word.ends_with([',', ';', ':', '.', '!', '?']) || matches!(bare, "but" | "and" | "aber" | "mais") {
            left = 0;
        }
    }
    found
}

/// Words of which one text has the one and the other text the other, as they are written, in lower case.
const OPPOSITES: [(&[&str], &[&str]); 14] = [
    (&["enabled", "enable", "enables"], &["disabled", "disable", "disables"]),
    (&["always"], &["never", "sometimes"]),
    (&["before"], &["after"]),
    (&["minimum", "least"], &["maximum", "most"]),
    (
        &["more", "longer", "higher", "greater", "above"],
        &["less", "fewer", "shorter", "lower", "smaller", "below"],
    ),
    (
        &["increase", "increases", "increased", "raises"],
        &["decrease", "decreases", "decreased", "lowers", "reduces"],
    ),
    (
        &["allowed", "allow", "allows", "permitted"],
        &["forbidden", "forbid", "forbids", "denied", "prohibited"],
    ),
    (&["accepts", "accepted", "accept"], &["rejects", "rejected", "reject", "refuses", "refused"]),
    (&["succeeds", "succeeded", "success"], &["fails", "failed", "failure"]),
    (&["required", "mandatory"], &["optional"]),
    (&["first"], &["last"]),
    (&["open", "opens", "opened"], &["close", "closed", "closes"]),
    (&["starts", "start", "started"], &["stops", "stop", "stopped"]),
    (&["included", "includes"], &["excluded", "excludes"]),
];

/// The pairs of which a claim has one side only.
#[derive(Debug)]
pub(super) struct Opposites {
    /// What the claim has, and what it would have to have in order to say the opposite.
    sides: Vec<(&'static [&'static str], &'static [&'static str])>,
}

impl Opposites {
    /// Reads a claim.
    pub(super) fn of(claim: &str) -> Self {
        let has = has_any(claim);
        let turns = OPPOSITES.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]);
        Self { sides: turns.filter(|(one, other)| has(one) && !has(other)).collect() }
    }

    /// Whether a source has the other side of one of them, and not the same one.
    pub(super) fn are_in(&self, source: &str) -> bool {
        if self.sides.is_empty() {
            return false;
        }
        let has = has_any(source);
        self.sides.iter().any(|(one, other)| has(other) && !has(one))
    }
}

/// Whether any of the words stands in a text, as they are written.
fn has_any(text: &str) -> impl Fn(&[&str]) -> bool {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    move |side| side.iter().any(|known| words.iter().any(|word| known.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negation_reaches_to_the_end_of_its_clause() {
        let words: Vec<String> =
            negated("It does not retry writes, reads work. Never delete keys").into_iter().collect();
        assert_eq!(words, ["delet", "key", "retri", "write"]);
    }

    #[test]
    fn short_forms_negate() {
        for word in ["don't", "isn’t", "Never", "cannot", "nicht"] {
            assert!(is_negation(word), "{word}");
        }
        for word in ["note", "know", "nt", "ant"] {
            assert!(!is_negation(word), "{word}");
        }
    }

    fn is_opposed(claim: &str, source: &str) -> bool {
        Opposites::of(claim).are_in(source)
    }

    #[test]
    fn opposites_are_seen_in_either_direction() {
        assert!(is_opposed("It is enabled by default", "The cache is disabled by default."));
        assert!(is_opposed("Close the valve after the test", "Close the valve before the test"));
        assert!(!is_opposed("It is enabled", "It can be enabled or disabled."));
        assert!(!is_opposed("It is blue", "It can be disabled."));
    }
}
