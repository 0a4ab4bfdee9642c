//! Answers without a model: the sentences of the evidence that answer the question best.
//! Never writes a word of its own.

use std::collections::{BTreeMap, BTreeSet};

mod sentences;
mod words;

use sentences::Sentence;
use words::terms;

/// A piece of evidence to choose sentences from.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The evidence's text.
    pub text: &'a str,
    /// Headings that stand above the text and are not part of it, outermost first. They tell what it is about.
    pub headings: &'a [String],
}

/// A chosen sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// Index of the passage it stands in.
    pub passage: usize,
    /// The sentence, a substring of the passage.
    pub text: String,
}

/// The sentences to answer `question` with, best first, at most `most`; none when no passage shares a word with it.
pub fn answer(question: &str, passages: &[Passage<'_>], most: usize) -> Vec<Extract> {
    let candidates = candidates(passages);
    let asked = known_names_whole(&terms(question), &candidates);
    let mut weights = weights(&asked, &candidates);
    let mut chosen: Vec<&Candidate<'_>> = Vec::new();
    let mut best = 0.0_f64;
    while chosen.len() < most {
        let fresh =
            candidates.iter().filter(|candidate| !chosen.iter().any(|other| candidate.repeats(other)));
        // The first of equals wins: the better passage, then the earlier sentence.
        let (score, next) = fresh.map(|candidate| (candidate.score(&weights), candidate)).fold(
            (0.0, None),
            |(score, kept), (other, candidate)| {
                if other > score { (other, Some(candidate)) } else { (score, kept) }
            },
        );
        best = best.max(score);
        let Some(next) = next.filter(|_| score >= best * WORTH_SAYING) else { break };
        for (_, weight) in weights.iter_mut().filter(|(term, _)| next.own.contains(*term)) {
            *weight *= SAID_BEFORE;
        }
        chosen.push(next);
    }
    chosen.into_iter().map(Candidate::extract).collect()
}

/// The sentences of a text's prose and the rows of its tables, in their order: headings, code and tags are left out.
pub fn sentences(text: &str) -> Vec<&str> {
    sentences::sentences(text).into_iter().map(|sentence| sentence.text).collect()
}

/// The distinct words of a text that carry meaning, in the form in which they are compared.
pub fn content_words(text: &str) -> BTreeSet<String> {
    terms(text)
}

/// Gives `take` each of these words, as often as it stands there, with the byte at which it begins.
pub fn each_content_word(text: &str, take: impl FnMut(usize, &str)) {
    words::each_term(text, take);
}

/// A sentence with less than this part of the best one's score pads the answer instead of adding to it.
const WORTH_SAYING: f64 = 0.45;
/// What a word still counts once a chosen sentence has it, so that the next one says something else.
const SAID_BEFORE: f64 = 0.6;
/// What a word in a heading above counts: it says what the sentence is about, not what it says.
const IN_HEADING: f64 = 0.4;
/// What each rank of the passage costs: little, the retriever judged passages, not sentences.
const RANK_COST: f64 = 0.04;
/// How far a sentence of twice the usual length is marked down (BM25's `b`, at half its usual value).
const LENGTH_COST: f64 = 0.35;
/// Words of a usual sentence in documentation.
const USUAL_WORDS: f64 = 18.0;

/// A sentence that could be chosen.
#[derive(Debug)]
struct Candidate<'a> {
    passage: usize,
    sentence: Sentence<'a>,
    own: BTreeSet<String>,
    heading: BTreeSet<String>,
}

fn candidates<'a>(passages: &[Passage<'a>]) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for (passage, Passage { text, headings }) in passages.iter().enumerate() {
        let above: BTreeSet<String> = headings.iter().flat_map(|heading| terms(heading)).collect();
        for sentence in sentences::sentences(text) {
            let own = terms(sentence.text);
            let mut heading = above.clone();
            heading.extend(terms(sentence.heading));
            found.push(Candidate { passage, sentence, own, heading });
        }
    }
    found
}

/// The words of the question, without the parts of a name (`crates.io`) that the evidence has as a whole:
/// three words for one name would drown the others.
fn known_names_whole(asked: &BTreeSet<String>, candidates: &[Candidate<'_>]) -> BTreeSet<String> {
    let is_known = |name: &&String| candidates.iter().any(|candidate| candidate.own.contains(*name));
    let names = asked.iter().filter(|term| term.contains(|c: char| !c.is_alphanumeric()));
    let parts: BTreeSet<String> = names
        .filter(is_known)
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()).flat_map(terms))
        .collect();
    asked.difference(&parts).cloned().collect()
}

/// What each word of the question is worth: much when few sentences have it.
fn weights(asked: &BTreeSet<String>, candidates: &[Candidate<'_>]) -> BTreeMap<String, f64> {
    let all = count(candidates.len());
    let weight = |term: &String| {
        let with = count(candidates.iter().filter(|candidate| candidate.own.contains(term)).count());
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    };
    asked.iter().map(|term| (term.clone(), weight(term))).collect()
}

impl Candidate<'_> {
    fn score(&self, weights: &BTreeMap<String, f64>) -> f64 {
        let sum = |terms: &BTreeSet<String>| -> f64 {
            weights.iter().filter(|(term, _)| terms.contains(*term)).map(|(_, weight)| weight).sum()
        };
        let only_above: BTreeSet<String> = self.heading.difference(&self.own).cloned().collect();
        let matched = sum(&self.own) + IN_HEADING * sum(&only_above);
        let length = 1.0 - LENGTH_COST + LENGTH_COST * count(self.own.len()).max(4.0) / USUAL_WORDS;
        let rank = 1.0 + RANK_COST * count(self.passage);
        matched * self.sentence.fitness() / (length * rank)
    }

    /// Whether the two say nearly the same: the shorter one's words are nearly all in the longer one.
    fn repeats(&self, other: &Self) -> bool {
        let shared = count(self.own.intersection(&other.own).count());
        let shorter = count(self.own.len().min(other.own.len()));
        shared >= 0.8 * shorter
    }

    fn extract(&self) -> Extract {
        Extract { passage: self.passage, text: self.sentence.text.to_owned() }
    }
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(question: &str, texts: &[&str], most: usize) -> Vec<(usize, String)> {
        let passages: Vec<_> = texts.iter().map(|text| Passage { text, headings: &[] }).collect();
        answer(question, &passages, most).into_iter().map(|extract| (extract.passage, extract.text)).collect()
    }

    const LIMITS: &str = "# Limits\n\nA request may have at most ten filters. Larger requests are refused.\n\n\
        ## Rates\n\nEach key may send 60 requests per minute. Beyond it, the server answers 429.";
    const KEYS: &str =
        "Keys are created by the administrator. A key expires after ninety days unless it is renewed.";

    #[test]
    fn the_sentence_with_the_questions_rare_words_comes_first() {
        let answer = chosen("When does a key expire?", &[LIMITS, KEYS], 1);
        assert_eq!(answer, [(1, "A key expires after ninety days unless it is renewed.".to_owned())]);
    }

    #[test]
    fn a_heading_brings_in_a_sentence_that_does_not_repeat_it() {
        let text = "Everything here may be used freely, also in products. Birds sing in the morning sun.";
        let license = ["License".to_owned()];
        let passages = [Passage { text, headings: &license }];
        let answer = answer("Which license is it?", &passages, 1);
        assert_eq!(answer[0].text, "Everything here may be used freely, also in products.");
    }

    #[test]
    fn every_extract_is_a_substring_of_its_passage() {
        let texts = [LIMITS, KEYS];
        let answer = chosen("How many requests may a key send per minute?", &texts, 5);
        assert!(!answer.is_empty());
        for (passage, text) in answer {
            assert!(texts[passage].contains(&text), "{text}");
        }
    }

    #[test]
    fn a_name_counts_once_and_not_by_its_parts() {
        let text = "Each crate has an io module of its own. The levels of crates.io are debug and info.";
        let answer = chosen("Which levels has crates.io?", &[text], 1);
        assert_eq!(answer[0].1, "The levels of crates.io are debug and info.");
        assert_eq!(chosen("Which levels has crates.io?", &[text], 2).len(), 1);
    }

    #[test]
    fn the_same_sentence_is_not_said_twice() {
        let twin = "A key expires after ninety days, unless it is renewed!";
        assert_eq!(chosen("When does a key expire?", &[KEYS, twin], 5).len(), 1);
    }

    #[test]
    fn of_equal_sentences_the_better_passage_gives_it() {
        assert_eq!(chosen("When does a key expire?", &[KEYS, KEYS], 1)[0].0, 0);
    }

    #[test]
    fn nothing_is_said_when_no_word_is_shared() {
        assert_eq!(chosen("Wer hat das Rad erfunden?", &[LIMITS, KEYS], 5), []);
        assert_eq!(chosen("What is the and of?", &[LIMITS, KEYS], 5), []);
        assert_eq!(chosen("keys?", &[], 5), []);
        assert_eq!(chosen("keys?", &[KEYS], 0), []);
    }
}
