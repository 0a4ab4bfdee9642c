//! Judges whether a cited text says what a sentence says: by shared words, by numbers, by negations and opposites.
//! Never understands either: a restatement in quite other words is `weak` at best, and that is the safe side.
//!
//! The bounds were set by hand on the 40 pairs of `fixtures/verdicts.json`; a test fixes what they make of them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use lectern_models::extractive::{content_words, sentences};
use serde::{Deserialize, Serialize};

use crate::answer::evidence::Piece;
use crate::answer::polarity::{Opposites, negated};

/// How well cited text supports a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The text speaks of something else, or says the opposite.
    Unsupported,
    /// The text speaks of the same things; whether it says this cannot be told, or a number is not in it.
    Weak,
    /// Most of the sentence's words are the text's, most of them near each other, and each number is in it.
    Supported,
}

impl Verdict {
    /// The verdict's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Weak => "weak",
            Self::Supported => "supported",
        }
    }

    /// Share of the sentence's words that stand in the cited text.
    const SUPPORTED_FROM: f64 = 0.7;
    const WEAK_FROM: f64 = 0.3;
    /// Share of them that stand in one sentence of it: words gathered from all over a page say nothing together.
    const NEAR_FROM: f64 = 0.4;
}

/// A cited text, read once for all sentences that cite it.
#[derive(Debug)]
pub(super) struct Cited {
    all: Facts,
    sentences: Vec<(String, Facts)>,
}

/// What is compared of a text.
#[derive(Debug, Default)]
struct Facts {
    words: BTreeSet<String>,
    numbers: BTreeSet<String>,
    negated: BTreeSet<String>,
}

impl Facts {
    fn of(text: &str) -> Self {
        Self { words: words(text), numbers: numbers(text, true), negated: negated(text) }
    }
}

impl Cited {
    /// Reads a piece of evidence: its text, and the title and headings above it.
    pub(super) fn read(piece: &Piece) -> Self {
        let above = [&piece.payload.title].into_iter().chain(&piece.payload.heading_path);
        let mut all = Facts::of(&piece.payload.text);
        for heading in above {
            all.words.extend(words(heading));
            all.numbers.extend(numbers(heading, true));
        }
        let sentences = sentences(&piece.payload.text).into_iter();
        Self { all, sentences: sentences.map(|text| (text.to_owned(), Facts::of(text))).collect() }
    }
}

/// What one of the cited texts contributes to a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The sentence of the cited text that comes closest, to the letter; empty when it has none.
    pub(super) quote: String,
    /// Whether it supports the claim.
    pub(super) verdict: Verdict,
}

/// Judges a sentence by each of the texts that it cites. One that supports a part is not held against what the others
/// say: where all together support the sentence, each that speaks of the same things does.
pub(super) fn judge(claim: &str, cited: &[&Cited]) -> Vec<Judgement> {
    let facts = Facts { numbers: numbers(claim, false), ..Facts::of(claim) };
    let claim = Sentence { facts, opposites: Opposites::of(claim) };
    let together = claim.verdict(cited);
    let alone = |one: &&Cited| {
        let verdict = claim.verdict(&[one]);
        let verdict = if verdict == Verdict::Weak { verdict.max(together) } else { verdict };
        Judgement { quote: claim.closest(one).map(|(quote, _)| quote.clone()).unwrap_or_default(), verdict }
    };
    cited.iter().map(alone).collect()
}

/// The sentence that is judged.
struct Sentence {
    facts: Facts,
    opposites: Opposites,
}

impl Sentence {
    fn verdict(&self, cited: &[&Cited]) -> Verdict {
        if self.facts.words.len() < 2 && self.facts.numbers.is_empty() {
            // "Yes." is neither there nor missing.
            return Verdict::Weak;
        }
        let share = self.share(|word| cited.iter().any(|one| one.all.words.contains(word)));
        let closest: Vec<&(String, Facts)> = cited.iter().filter_map(|one| self.closest(one)).collect();
        let near = self.share(|word| closest.iter().any(|(_, facts)| facts.words.contains(word)));
        let has = |number: &String| cited.iter().any(|one| one.all.numbers.contains(number));
        let has_numbers = self.facts.numbers.iter().all(has);
        if share < Verdict::WEAK_FROM || closest.iter().any(|(text, facts)| self.contradicts(text, facts)) {
            Verdict::Unsupported
        } else if share >= Verdict::SUPPORTED_FROM && near >= Verdict::NEAR_FROM && has_numbers {
            Verdict::Supported
        } else {
            Verdict::Weak
        }
    }

    /// The sentence of a cited text that has most of this one's words; of equals the one that says least else.
    fn closest<'a>(&self, cited: &'a Cited) -> Option<&'a (String, Facts)> {
        let common = |facts: &Facts| facts.words.intersection(&self.facts.words).count();
        cited.sentences.iter().rev().max_by_key(|(_, facts)| (common(facts), Reverse(facts.words.len())))
    }

    /// Whether a sentence speaks of the same things and says the opposite, or another number.
    fn contradicts(&self, text: &str, facts: &Facts) -> bool {
        if self.share(|word| facts.words.contains(word)) < Verdict::NEAR_FROM {
            return false;
        }
        let denied: BTreeSet<_> = self.facts.negated.intersection(&facts.words).collect();
        let denies_there: BTreeSet<_> = facts.negated.intersection(&self.facts.words).collect();
        let turned = denied.is_disjoint(&denies_there) && !(denied.is_empty() && denies_there.is_empty());
        let other_number = !self.facts.numbers.is_empty()
            && !facts.numbers.is_empty()
            && self.facts.numbers.is_disjoint(&facts.numbers);
        turned || other_number || self.opposites.are_in(text)
    }

    fn share(&self, is_there: impl Fn(&String) -> bool) -> f64 {
        let common = self.facts.words.iter().filter(|word| is_there(word)).count();
        ratio(common, self.facts.words.len())
    }
}

/// The content words of a text that are no numbers.
fn words(text: &str) -> BTreeSet<String> {
    let mut words = content_words(text);
    words.retain(|word| word.chars().any(char::is_alphabetic));
    words
}

/// The numbers of a text, in one spelling each. A source's "one" may be a number; a claim's rarely is.
fn numbers(text: &str, one_counts: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    for part in text.split(|c: char| !is_number(c)) {
        let digits = part.trim_matches(['.', ',']);
        if !digits.is_empty() {
            found.insert(spelling(digits));
        }
    }
    let values = text.split(|c: char| !c.is_alphabetic()).filter_map(number_word);
    found.extend(values.filter(|value| one_counts || *value != "1").map(str::to_owned));
    found
}

fn number_word(word: &str) -> Option<&'static str> {
    let first = word.bytes().next()?;
    // Asked of every word of every text: most are told by their first letter and their length.
    let may_be_one = matches!(first | 0x20, b'd'..=b'f' | b'h' | b'n' | b'o' | b's' | b't' | b'z')
        && (3..=9).contains(&word.len());
    if !may_be_one {
        return None;
    }
    NUMBER_WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// `8,080` and `08080` as `8080`, `3,5` and `3.50` as `3.5`; versions (`1.2.3`) as they are.
fn spelling(digits: &str) -> String {
    let groups: Vec<&str> = digits.split(',').collect();
    let is_grouped =
        groups.iter().skip(1).all(|group| group.split('.').next().is_some_and(|whole| whole.len() == 3));
    let plain = if is_grouped { groups.concat() } else { digits.replace(',', ".") };
    let short = if plain.matches('.').count() == 1 {
        plain.trim_end_matches('0').trim_end_matches('.')
    } else {
        &plain
    };
    let bare = short.trim_start_matches('0');
    if bare.is_empty() || bare.starts_with('.') { format!("0{bare}") } else { bare.to_owned() }
}

const NUMBER_WORDS: [(&str, &str); 34] = [
    ("zero", "0"),
    ("one", "1"),
    ("once", "1"),
    ("single", "1"),
    ("two", "2"),
    ("twice", "2"),
    ("double", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("dozen", "12"),
    ("thirteen", "13"),
    ("fourteen", "14"),
    ("fifteen", "15"),
    ("sixteen", "16"),
    ("seventeen", "17"),
    ("eighteen", "18"),
    ("nineteen", "19"),
    ("twenty", "20"),
    ("thirty", "30"),
    ("forty", "40"),
    ("fifty", "50"),
    ("sixty", "60"),
    ("seventy", "70"),
    ("eighty", "80"),
    ("ninety", "90"),
    ("hundred", "100"),
];

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(f64::from(u32::MAX), f64::from);
    if whole == 0 { 0.0 } else { number(part) / number(whole) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::answer::evidence::Evidence;
    use crate::answer::evidence::example::hit;

    fn verdicts(claim: &str, sources: &[&str]) -> Vec<Verdict> {
        let evidence = Evidence::select(sources.iter().map(|text| hit(text, 20)).collect(), 10_000);
        let cited: Vec<Cited> = evidence.pieces().iter().map(Cited::read).collect();
        judge(claim, &cited.iter().collect::<Vec<_>>()).into_iter().map(|one| one.verdict).collect()
    }

    #[derive(Debug, Deserialize)]
    struct Pair {
        claim: String,
        source: String,
        truth: String,
    }

    #[test]
    fn the_fixture_s_pairs_are_judged_as_measured() {
        let pairs: Vec<Pair> = serde_json::from_str(include_str!("../../fixtures/verdicts.json")).unwrap();
        let mut table: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for pair in &pairs {
            let verdict = verdicts(&pair.claim, &[&pair.source])[0].name();
            *table.entry((pair.truth.clone(), verdict)).or_default() += 1;
            if verdict != pair.truth {
                println!("{} is judged {verdict}: {} | {}", pair.truth, pair.claim, pair.source);
            }
        }
        println!("{table:#?}");
        let count =
            |truth: &str, verdict| table.get(&(truth.to_owned(), verdict)).copied().unwrap_or_default();
        let row = |truth| ["supported", "weak", "unsupported"].map(|verdict| count(truth, verdict));
        assert_eq!(pairs.len(), 40);
        assert_eq!((row("supported"), row("weak"), row("unsupported")), ([16, 0, 0], [1, 9, 0], [0, 1, 13]));
    }

    #[test]
    fn a_number_that_the_source_has_not_is_never_supported() {
        let source =
            "The server listens on port 8,080 and waits thirty seconds before it gives up on a client.";
        assert_eq!(verdicts("The server listens on port 8080.", &[source]), [Verdict::Supported]);
        assert_eq!(
            verdicts("The server waits 30 seconds before it gives up.", &[source]),
            [Verdict::Supported]
        );
        assert_ne!(verdicts("The server listens on port 9090.", &[source]), [Verdict::Supported]);
        assert_ne!(
            verdicts("The server gives up on a client after 31 seconds.", &[source]),
            [Verdict::Supported]
        );
        let vague = "The server waits some seconds before it gives up on a client.";
        assert_eq!(
            verdicts("The server waits 30 seconds before it gives up on a client.", &[vague]),
            [Verdict::Weak]
        );
    }

    #[test]
    fn the_opposite_is_unsupported() {
        let source = "The client does not retry writes after a timeout.";
        assert_eq!(verdicts("The client retries writes after a timeout.", &[source]), [Verdict::Unsupported]);
        assert_eq!(
            verdicts("Writes are not retried by the client after a timeout.", &[source]),
            [Verdict::Supported]
        );
        let source = "Compression is disabled by default on all listeners.";
        assert_eq!(verdicts("Compression is enabled by default.", &[source]), [Verdict::Unsupported]);
    }

    #[test]
    fn sources_support_together_what_none_supports_alone() {
        let (first, second) =
            ("The gateway encrypts every report.", "Reports are stored for ninety days in Frankfurt.");
        let claim = "Every report is encrypted by the gateway and stored for ninety days in Frankfurt.";
        assert_eq!(verdicts(claim, &[first, second]), [Verdict::Supported, Verdict::Supported]);
        assert_eq!(
            verdicts(claim, &[first, second, "Bananas grow in the tropics."])[2],
            Verdict::Unsupported
        );
    }

    #[test]
    fn words_from_all_over_a_page_do_not_support() {
        let source =
            "The pump starts at noon. The valve is red. Water flows downhill here. Nobody watches the meter.";
        assert_eq!(verdicts("Nobody starts the red pump downhill of the meter.", &[source]), [Verdict::Weak]);
    }

    #[test]
    fn numbers_have_one_spelling() {
        for (text, expected) in [
            ("8,080", "8080"),
            ("3,5", "3.5"),
            ("3.50", "3.5"),
            ("007", "7"),
            ("0.5", "0.5"),
            ("1.2.30", "1.2.30"),
            ("1,234,567.0", "1234567"),
            ("E-117.", "117"),
            ("ninety", "90"),
            ("0", "0"),
            ("100", "100"),
        ] {
            assert_eq!(numbers(text, true).into_iter().collect::<Vec<_>>(), [expected], "{text}");
        }
        assert!(numbers("one of them", false).is_empty());
    }

    #[test]
    fn a_sentence_without_words_of_its_own_is_weak() {
        assert_eq!(verdicts("Yes.", &["Keys expire after ninety days."]), [Verdict::Weak]);
    }
}
