//! Citations, checked while the answer streams: a marker reaches the client only if it points at a piece of evidence,
//! and each carries the evidence's own words and a verdict on whether they support the sentence.
//! Never adds or rewords text: it can only drop markers that point at nothing.

use std::collections::HashSet;

use lectern_models::extractive::{content_words, sentences};
use lectern_schema::identifiers::{ChunkId, DocumentId};
use serde::{Deserialize, Serialize};

use crate::answer::evidence::{Evidence, Piece};

/// A marker of the answer, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The number between the brackets.
    pub marker: u32,
    /// The chunk that it points at.
    pub chunk_id: ChunkId,
    /// The document that the chunk was cut from.
    pub document_id: DocumentId,
    /// Where the document can be found.
    pub uri: String,
    /// The document's title.
    pub title: String,
    /// The sentence of the chunk that comes closest to the cited one, to the letter.
    pub quote: String,
    /// Whether the quote supports the cited sentence.
    pub verdict: Verdict,
}

/// How well a quote supports a sentence, by the share of the sentence's content words that stand in the chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// At least 0.6: most of the sentence's words are the source's.
    Supported,
    /// At least 0.3: the source speaks of the same things.
    Weak,
    /// Less.
    Unsupported,
}

impl Verdict {
    // Both bounds are chosen by hand: a restatement keeps most of its source's words, another topic shares few of them.
    const SUPPORTED_FROM: f64 = 0.6;
    const WEAK_FROM: f64 = 0.3;

    fn of(share: f64) -> Self {
        if share >= Self::SUPPORTED_FROM {
            Self::Supported
        } else if share >= Self::WEAK_FROM {
            Self::Weak
        } else {
            Self::Unsupported
        }
    }
}

/// A checked part of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Checked {
    /// Text for the client; its markers all point at evidence.
    Text(String),
    /// A marker that occurred for the first time.
    Citation(Citation),
}

/// Checks an answer piece by piece. Holds back what may still become a marker.
#[derive(Debug)]
pub struct CitationCheck<'a> {
    evidence: &'a Evidence,
    held: String,
    sentence: String,
    previous: String,
    cited: HashSet<u32>,
}

impl<'a> CitationCheck<'a> {
    /// Longest marker with its brackets: four digits are more evidence than fits any prompt.
    const MAX_MARKER_BYTES: usize = 6;

    /// Begins an answer to be checked against `evidence`.
    pub fn new(evidence: &'a Evidence) -> Self {
        Self {
            evidence,
            held: String::new(),
            sentence: String::new(),
            previous: String::new(),
            cited: HashSet::new(),
        }
    }

    /// Takes the next piece of generated text; returns what may go out.
    pub fn push(&mut self, delta: &str) -> Vec<Checked> {
        self.held.push_str(delta);
        let mut out = Vec::new();
        while let Some(open) = self.held.find('[') {
            let (text, rest) = self.held.split_at(open);
            let (text, rest) = (text.to_owned(), rest.to_owned());
            self.pass(&text, &mut out);
            match read_marker(&rest) {
                Marker::Whole { number, bytes } => {
                    self.cite(number, &mut out);
                    self.held = rest.get(bytes..).unwrap_or_default().to_owned();
                }
                Marker::Partial if rest.len() < Self::MAX_MARKER_BYTES => {
                    self.held = rest;
                    return out;
                }
                Marker::Partial | Marker::Other => {
                    self.pass("[", &mut out);
                    self.held = rest.get(1..).unwrap_or_default().to_owned();
                }
            }
        }
        let text = std::mem::take(&mut self.held);
        self.pass(&text, &mut out);
        out
    }

    /// Ends the answer; returns what was held back.
    pub fn finish(mut self) -> Vec<Checked> {
        let mut out = Vec::new();
        let text = std::mem::take(&mut self.held);
        self.pass(&text, &mut out);
        out
    }

    fn pass(&mut self, text: &str, out: &mut Vec<Checked>) {
        if text.is_empty() {
            return;
        }
        for c in text.chars() {
            self.sentence.push(c);
            if matches!(c, '.' | '!' | '?' | '\n' | '。' | '！' | '？') && has_words(&self.sentence) {
                self.previous = std::mem::take(&mut self.sentence);
            }
        }
        append(text, out);
    }

    /// Cites a whole sentence that was chosen together with its source.
    pub fn cite_sentence(&mut self, marker: u32, sentence: &str) -> Vec<Checked> {
        let mut out = Vec::new();
        sentence.clone_into(&mut self.sentence);
        self.cite(marker, &mut out);
        out
    }

    fn cite(&mut self, marker: u32, out: &mut Vec<Checked>) {
        let Some(piece) = self.evidence.piece(marker) else { return };
        let claim = if has_words(&self.sentence) { &self.sentence } else { &self.previous };
        let citation = resolve(piece, claim);
        append(&format!("[{marker}]"), out);
        if self.cited.insert(marker) {
            out.push(Checked::Citation(citation));
        }
    }
}

/// Adds text to the last part, if that is text.
fn append(text: &str, out: &mut Vec<Checked>) {
    match out.last_mut() {
        Some(Checked::Text(last)) => last.push_str(text),
        _ => out.push(Checked::Text(text.to_owned())),
    }
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

enum Marker {
    Whole { number: u32, bytes: usize },
    Partial,
    Other,
}

/// Reads `[12]` at the start of a text that begins with `[`.
fn read_marker(text: &str) -> Marker {
    let inside = text.get(1..).unwrap_or_default();
    let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
    match (digits, inside.as_bytes().get(digits)) {
        (_, None) => Marker::Partial,
        (1.., Some(b']')) => inside
            .get(..digits)
            .and_then(|number| number.parse().ok())
            .map_or(Marker::Other, |number| Marker::Whole { number, bytes: digits + 2 }),
        _ => Marker::Other,
    }
}

fn resolve(piece: &Piece, claim: &str) -> Citation {
    let claimed = content_words(claim);
    let share_in = |text: &str| {
        let there = content_words(text);
        let common = claimed.iter().filter(|word| there.contains(*word)).count();
        ratio(common, claimed.len())
    };
    let mut quote = "";
    let mut best = -1.0;
    for sentence in sentences(&piece.payload.text) {
        let share = share_in(sentence);
        if share > best {
            (quote, best) = (sentence, share);
        }
    }
    Citation {
        marker: piece.marker,
        chunk_id: piece.chunk_id,
        document_id: piece.payload.document_id.clone(),
        uri: piece.payload.uri.clone(),
        title: piece.payload.title.clone(),
        quote: quote.to_owned(),
        verdict: Verdict::of(share_in(&piece.payload.text)),
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(f64::from(u32::MAX), f64::from);
    if whole == 0 { 0.0 } else { number(part) / number(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::evidence::example::hit;

    const RETRIES: &str = "The client retries three times. Each retry waits twice as long as the one before.";
    const PORT: &str = "The server listens on port 8080.";

    fn evidence() -> Evidence {
        Evidence::select(vec![hit(RETRIES, 10), hit(PORT, 10)], 1_000)
    }

    /// Pushes the answer cut into pieces of `size` characters; returns the text and the citations.
    fn check(answer: &str, size: usize) -> (String, Vec<Citation>) {
        let evidence = evidence();
        let mut checking = CitationCheck::new(&evidence);
        let characters: Vec<char> = answer.chars().collect();
        let mut parts = Vec::new();
        for piece in characters.chunks(size) {
            parts.extend(checking.push(&piece.iter().collect::<String>()));
        }
        parts.extend(checking.finish());
        let mut text = String::new();
        let mut citations = Vec::new();
        for part in parts {
            match part {
                Checked::Text(piece) => text.push_str(&piece),
                Checked::Citation(citation) => citations.push(citation),
            }
        }
        (text, citations)
    }

    #[test]
    fn markers_survive_however_the_stream_is_cut() {
        let answer = "It listens on port 8080 [2]. The client retries three times.[1] See [docs] and a[0].";
        for size in [1, 2, 3, 7, 100] {
            let (text, citations) = check(answer, size);
            assert_eq!(
                text,
                "It listens on port 8080 [2]. The client retries three times.[1] See [docs] and a."
            );
            assert_eq!(citations.iter().map(|c| c.marker).collect::<Vec<_>>(), [2, 1]);
        }
    }

    #[test]
    fn a_marker_that_points_at_nothing_never_goes_out() {
        assert_eq!(check("Wrong [3]. Worse [999999999999]. ", 2).0, "Wrong . Worse [999999999999]. ");
        assert_eq!(check("Held back [1", 4).0, "Held back [1");
    }

    #[test]
    fn the_quote_is_the_closest_sentence_to_the_letter() {
        let (_, citations) = check("Every retry waits twice as long [1].", 5);
        assert_eq!(citations[0].quote, "Each retry waits twice as long as the one before.");
        assert_eq!(citations[0].verdict, Verdict::Supported);
    }

    #[test]
    fn a_sentence_of_other_words_is_unsupported() {
        let (_, citations) = check("Bananas grow in warm countries [2].", 5);
        assert_eq!(citations[0].verdict, Verdict::Unsupported);
    }
}
