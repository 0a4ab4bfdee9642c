//! Finds text that tries to instruct a language model: by phrases, by the tokens of chat formats, by forged fences, by
//! addresses that would carry a conversation away.
//! Deterministic and incomplete: a flag is a warning and proves nothing, its absence less. It refuses nothing.
//!
//! What it finds and what it takes for more than it is: `fixtures/instruction_like.json`, whose counts a test fixes. Not
//! seen: encodings (base64, rot13), images, languages that the phrases do not cover, and requests in polite prose.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

mod folding;
mod markup;
mod phrases;

use folding::Folded;
use phrases::{PHRASES, Phrase, UNSPACED};

/// By what a text was found to be like an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Asks to ignore the rules.
    Override,
    /// Asks to be somebody else.
    Persona,
    /// Asks for the prompt.
    Leak,
    /// Speaks to a model.
    Address,
    /// Would carry the conversation away by an address.
    Exfiltration,
    /// Has the tokens of a chat format.
    RoleTag,
    /// Ends a fence of its own.
    Forgery,
    /// Hides characters.
    Hidden,
}

impl Kind {
    /// The kind's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Persona => "persona",
            Self::Leak => "leak",
            Self::Address => "address",
            Self::Exfiltration => "exfiltration",
            Self::RoleTag => "role_tag",
            Self::Forgery => "forgery",
            Self::Hidden => "hidden",
        }
    }
}

/// All kinds that a text without hidden characters is.
pub(super) fn inspect(text: &str) -> BTreeSet<Kind> {
    let folded = Folded::of(text);
    let mut found = BTreeSet::new();
    for (at, word) in folded.words().enumerate().filter(|(_, word)| may_begin(word)) {
        let begun = STARTS.get(word).map(Vec::as_slice).unwrap_or_default();
        found.extend(begun.iter().filter(|phrase| follows(phrase, &folded, at)).map(|phrase| phrase.kind));
    }
    if folded.is_unspaced
        && UNSPACED.iter().any(|(first, then, within)| is_near(folded.text(), first, then, *within))
    {
        found.insert(Kind::Override);
    }
    if is_spelled_out(&folded) {
        found.insert(Kind::Override);
    }
    markup::inspect(text, &mut found);
    found
}

/// The phrases by their first words.
static STARTS: LazyLock<HashMap<&'static str, Vec<&'static Phrase>>> = LazyLock::new(|| {
    let mut starts: HashMap<_, Vec<_>> = HashMap::new();
    for phrase in PHRASES {
        for first in phrase.first {
            starts.entry(*first).or_default().push(phrase);
        }
    }
    starts
});

/// For each mixture of a first and a last byte, the lengths of such first words, as bits: most words are told by these.
static LENGTHS: LazyLock<[u32; 256]> = LazyLock::new(|| {
    let mut lengths = [0; 256];
    for word in STARTS.keys() {
        if let Some(bits) = lengths.get_mut(ends(word)) {
            *bits |= 1 << word.len().min(31);
        }
    }
    lengths
});

fn may_begin(word: &str) -> bool {
    LENGTHS.get(ends(word)).is_some_and(|bits| bits & (1 << word.len().min(31)) != 0)
}

fn ends(word: &str) -> usize {
    let (first, last) = (word.as_bytes().first(), word.as_bytes().last());
    let [first, last] = [first, last].map(|byte| byte.copied().unwrap_or_default());
    usize::from(first.wrapping_mul(31).wrapping_add(last))
}

/// Whether the words behind `at` go on as the phrase does, within one sentence.
fn follows(phrase: &Phrase, folded: &Folded, at: usize) -> bool {
    let mut at = at;
    for (within, words) in phrase.steps {
        let ahead = (at + 1..=at + within).map(|next| (next, folded.word(next).unwrap_or(Folded::END)));
        let mut sentence = ahead.take_while(|(_, word)| *word != Folded::END);
        match sentence.find(|(_, word)| words.contains(word)) {
            Some((next, _)) => at = next,
            None => return false,
        }
    }
    true
}

/// Whether one of `then` begins within so many characters behind one of `first`.
fn is_near(text: &str, first: &[&str], then: &[&str], within: usize) -> bool {
    first.iter().flat_map(|first| text.match_indices(first)).any(|(at, first)| {
        let behind: String = text.get(at + first.len()..).unwrap_or_default().chars().take(within).collect();
        then.iter().any(|then| behind.contains(then))
    })
}

/// Whether single letters spell the beginning of an override: `i g n o r e  p r e v i o u s`.
fn is_spelled_out(folded: &Folded) -> bool {
    const FEWEST: usize = 12;
    let mut spelled = String::new();
    for word in folded.words().chain([Folded::END]) {
        if word.len() == 1 && word != Folded::END {
            spelled.push_str(word);
            continue;
        }
        if spelled.len() >= FEWEST
            && ["ignore", "disregard", "forget"].iter().any(|verb| spelled.contains(verb))
        {
            return true;
        }
        spelled.clear();
    }
    false
}

#[cfg(test)]
mod tests;
