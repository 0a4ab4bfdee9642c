//! Judges whether a cited text says what a sentence says: by shared words, by numbers, by negations and opposites.
//! Never understands either: a restatement in quite other words is `weak` at best, and that is the safe side.
//!
//! The bounds were set by hand on the 40 pairs of `fixtures/verdicts.json`; a test fixes what they make of them.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::slice;

use lectern_models::extractive::sentences;
use serde::{Deserialize, Serialize};

use crate::answer::evidence::Piece;
use crate::answer::polarity::Opposites;
use crate::answer::words::Words;

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
pub(super) struct Cited<'a> {
    piece: &'a Piece,
    /// Of its text, and of the title and headings above it.
    words: Words,
    sentences: Vec<(&'a str, Words)>,
    /// Most sentences have no number to look for.
    numbers: OnceCell<BTreeSet<String>>,
}

impl<'a> Cited<'a> {
    /// Reads a piece of evidence.
    pub(super) fn read(piece: &'a Piece) -> Self {
        let placed = Words::placed(&piece.text);
        let mut from = 0;
        let of_sentence = |text: &'a str| {
            let rest = piece.text.get(from..).unwrap_or_default();
            let begin = from + rest.find(text).unwrap_or_default();
            from = begin + text.len();
            let [first, behind] = [begin, from].map(|byte| placed.partition_point(|(at, _)| *at < byte));
            let inside = placed.get(first..behind).unwrap_or_default();
            (text, Words::of(inside.iter().map(|(_, word)| *word)))
        };
        let sentences = sentences(&piece.text).into_iter().map(of_sentence).collect();
        let above = piece.above().flat_map(Words::placed);
        let words = Words::of(placed.iter().copied().chain(above).map(|(_, word)| word));
        Self { piece, words, sentences, numbers: OnceCell::new() }
    }

    fn has_number(&self, number: &str) -> bool {
        let read = || {
            let texts = self.piece.above().chain([self.piece.text.as_str()]);
            texts.flat_map(|text| numbers(text, true)).collect()
        };
        self.numbers.get_or_init(read).contains(number)
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
pub(super) fn judge(claim: &str, cited: &[&Cited<'_>]) -> Vec<Judgement> {
    let claim = Sentence::read(claim);
    let sources: Vec<Source<'_>> = cited.iter().map(|cited| claim.closest(cited)).collect();
    let together = claim.verdict(&sources);
    let alone = |source: &Source<'_>| {
        let verdict = claim.verdict(slice::from_ref(source));
        let verdict = if verdict == Verdict::Weak { verdict.max(together) } else { verdict };
        let quote = source.closest.map_or("", |(text, _)| text);
        Judgement { quote: quote.to_owned(), verdict }
    };
    sources.iter().map(alone).collect()
}

/// A cited text, as it is looked at for one sentence.
struct Source<'a> {
    cited: &'a Cited<'a>,
    /// Its sentence that has most of that one's words; of equals the one that says least else.
    closest: Option<&'a (&'a str, Words)>,
}

/// The sentence that is judged.
struct Sentence {
    words: Words,
    numbers: BTreeSet<String>,
    negated: Words,
    opposites: Opposites,
}

impl Sentence {
    fn read(text: &str) -> Self {
        Self {
            words: Words::in_text(text),
            numbers: numbers(text, false),
            negated: Words::negated_in(text),
            opposites: Opposites::of(text),
        }
    }

    fn verdict(&self, sources: &[Source<'_>]) -> Verdict {
        if self.words.len() < 2 && self.numbers.is_empty() {
            // "Yes." is neither there nor missing.
            return Verdict::Weak;
        }
        let share = self.share(|word| sources.iter().any(|source| source.cited.words.has(word)));
        let closest = || sources.iter().filter_map(|source| source.closest);
        let near = self.share(|word| closest().any(|(_, words)| words.has(word)));
        let has = |number: &String| sources.iter().any(|source| source.cited.has_number(number));
        if share < Verdict::WEAK_FROM || closest().any(|(text, words)| self.contradicts(text, words)) {
            Verdict::Unsupported
        } else if share >= Verdict::SUPPORTED_FROM
            && near >= Verdict::NEAR_FROM
            && self.numbers.iter().all(has)
        {
            Verdict::Supported
        } else {
            Verdict::Weak
        }
    }

    fn closest<'a>(&self, cited: &'a Cited<'a>) -> Source<'a> {
        let common = |words: &Words| self.words.shared(words).count();
        let sentences = cited.sentences.iter().rev();
        let closest = sentences.max_by_key(|(_, words)| (common(words), Reverse(words.len())));
        Source { cited, closest }
    }

    /// Whether a sentence speaks of the same things and says the opposite, or another number.
    fn contradicts(&self, text: &str, words: &Words) -> bool {
        if self.share(|word| words.has(word)) < Verdict::NEAR_FROM {
            return false;
        }
        let denied = Words::of(self.negated.shared(words));
        let denied_there = Words::of(Words::negated_in(text).shared(&self.words));
        let agrees = denied.shared(&denied_there).next().is_some();
        let turned = denied.len() + denied_there.len() > 0 && !agrees;
        turned || self.has_other_number(text) || self.opposites.are_in(text)
    }

    /// Whether both have numbers, and none in common.
    fn has_other_number(&self, text: &str) -> bool {
        if self.numbers.is_empty() {
            return false;
        }
        let there = numbers(text, true);
        !there.is_empty() && self.numbers.is_disjoint(&there)
    }

    fn share(&self, is_there: impl Fn(u64) -> bool) -> f64 {
        let common = self.words.iter().filter(|word| is_there(*word)).count();
        ratio(common, self.words.len())
    }
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

    use lectern_search::query::Hit;
    use serde::Deserialize;

    use super::*;
    use crate::answer::evidence::Evidence;
    use crate::answer::evidence::example::hit;

    fn verdicts(claim: &str, sources: &[&str]) -> Vec<Verdict> {
        let hits: Vec<Hit> = sources.iter().map(|text| hit(text, 20)).collect();
        let evidence = Evidence::select(&hits, 10_000);
        let cited: Vec<Cited<'_>> = evidence.pieces().iter().map(Cited::read).collect();
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
