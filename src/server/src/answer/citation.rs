//! Citations, checked while the answer streams: a marker reaches the client only if it points at a piece of evidence, in
//! the one form `[1]`, and each cited sentence carries the evidence's own words and a verdict on whether they support it.
//! Never adds or rewords text: it can only drop markers that point at nothing, and spell out those that name several.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use lectern_schema::identifiers::{ChunkId, DocumentId};
use serde::{Deserialize, Serialize};

use crate::answer::claim::{Claim, Claims};
use crate::answer::code::Code;
use crate::answer::evidence::{Evidence, Piece};
use crate::answer::marker::{OPENING, Reading, read};
use crate::answer::verdict::{Cited, Judgement, Verdict, judge};

/// A sentence of the answer with one of its markers, resolved.
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
    /// Whether the cited text supports the sentence.
    pub verdict: Verdict,
    /// The sentence of the answer, without its markers.
    pub sentence: String,
}

/// A checked part of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Checked {
    /// Text for the client; its markers all point at evidence.
    Text(String),
    /// A cited sentence is over: one for each of its markers.
    Citation(Citation),
}

/// Checks an answer piece by piece. Holds back what may still become a marker.
#[derive(Debug)]
pub struct CitationCheck<'a> {
    evidence: &'a Evidence,
    held: String,
    claims: Claims,
    code: Code,
    last: Option<char>,
    cited: BTreeMap<u32, Cited<'a>>,
}

impl<'a> CitationCheck<'a> {
    /// Begins an answer to be checked against `evidence`.
    pub fn new(evidence: &'a Evidence) -> Self {
        Self {
            evidence,
            held: String::new(),
            claims: Claims::default(),
            code: Code::default(),
            last: None,
            cited: BTreeMap::new(),
        }
    }

    /// Takes the next piece of generated text; returns what may go out.
    pub fn push(&mut self, delta: &str) -> Vec<Checked> {
        let held = std::mem::take(&mut self.held) + delta;
        let mut out = Vec::new();
        let mut rest = held.as_str();
        while let Some(open) = rest.find(OPENING) {
            let (text, bracketed) = rest.split_at(open);
            self.pass(text, &mut out);
            match read(bracketed) {
                Reading::Whole { numbers, bytes } if !self.is_index() => {
                    self.mark(&numbers, &mut out);
                    rest = bracketed.get(bytes..).unwrap_or_default();
                }
                Reading::Partial if !self.is_index() => {
                    bracketed.clone_into(&mut self.held);
                    return out;
                }
                _ => {
                    let bytes = bracketed.chars().next().map_or(0, char::len_utf8);
                    let (bracket, behind) = bracketed.split_at(bytes);
                    self.pass(bracket, &mut out);
                    rest = behind;
                }
            }
        }
        self.pass(rest, &mut out);
        out
    }

    /// Ends the answer; returns what was held back.
    pub fn finish(mut self) -> Vec<Checked> {
        let mut out = Vec::new();
        let held = std::mem::take(&mut self.held);
        self.pass(&held, &mut out);
        if let Some(claim) = self.claims.finish() {
            self.resolve(&claim, &mut out);
        }
        out
    }

    /// Cites a whole sentence that was chosen together with its source.
    pub fn cite_sentence(&mut self, marker: u32, sentence: &str) -> Vec<Checked> {
        if self.evidence.piece(marker).is_none() {
            return Vec::new();
        }
        let mut out = vec![Checked::Text(format!("[{marker}]"))];
        self.resolve(&Claim { text: sentence.to_owned(), markers: vec![marker] }, &mut out);
        out
    }

    /// Whether a bracket that comes now would be an index in code: `items[0]`.
    fn is_index(&self) -> bool {
        self.code.is_open() && self.last.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ')' | ']'))
    }

    fn pass(&mut self, text: &str, out: &mut Vec<Checked>) {
        // A sentence shows only by what follows it that it was over: its citations go out before that.
        let mut begun = 0;
        for (at, c) in text.char_indices() {
            if let Some(claim) = self.claims.push(c) {
                append(text.get(begun..at).unwrap_or_default(), out);
                begun = at;
                self.resolve(&claim, out);
            }
            self.code.push(c);
            self.last = Some(c);
        }
        append(text.get(begun..).unwrap_or_default(), out);
    }

    fn mark(&mut self, numbers: &[RangeInclusive<u32>], out: &mut Vec<Checked>) {
        let mut known: Vec<u32> = Vec::new();
        for range in numbers {
            // By the evidence, not by the range: its ends are whatever the model wrote.
            let named =
                self.evidence.pieces().iter().map(|piece| piece.marker).filter(|it| range.contains(it));
            let fresh: Vec<u32> = named.filter(|marker| !known.contains(marker)).collect();
            known.extend(fresh);
        }
        for marker in known {
            append(&format!("[{marker}]"), out);
            self.claims.cite(marker);
            self.last = None;
        }
    }

    fn resolve(&mut self, claim: &Claim, out: &mut Vec<Checked>) {
        let evidence = self.evidence;
        let pieces: Vec<&Piece> = claim.markers.iter().filter_map(|marker| evidence.piece(*marker)).collect();
        for piece in &pieces {
            self.cited.entry(piece.marker).or_insert_with(|| Cited::read(piece));
        }
        let cited: Vec<&Cited<'_>> =
            pieces.iter().filter_map(|piece| self.cited.get(&piece.marker)).collect();
        let judgements = judge(&claim.text, &cited);
        let resolved =
            pieces.iter().zip(judgements).map(|(piece, judgement)| citation(piece, claim, judgement));
        out.extend(resolved.map(Checked::Citation));
    }
}

/// Adds text to the last part, if that is text.
fn append(text: &str, out: &mut Vec<Checked>) {
    match out.last_mut() {
        _ if text.is_empty() => {}
        Some(Checked::Text(last)) => last.push_str(text),
        _ => out.push(Checked::Text(text.to_owned())),
    }
}

fn citation(piece: &Piece, claim: &Claim, judgement: Judgement) -> Citation {
    Citation {
        marker: piece.marker,
        chunk_id: piece.chunk_id,
        document_id: piece.document_id.clone(),
        uri: piece.uri.clone(),
        title: piece.title.clone(),
        quote: judgement.quote,
        verdict: judgement.verdict,
        sentence: claim.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::evidence::example::hit;

    const RETRIES: &str = "The client retries three times. Each retry waits twice as long as the one before.";
    const PORT: &str = "The server listens on port 8080.";

    fn evidence() -> Evidence {
        Evidence::select(&[hit(RETRIES, 10), hit(PORT, 10)], 1_000)
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
    fn an_answer_is_the_same_in_one_piece_and_in_many() {
        for answer in [
            "It listens on port 8080 [2]. The client retries three times. [1] Bananas grow [2][1].",
            "Unknown [3], [7-9], 【12†source】, (source 4), [99999]; half known [2, 5].",
            "[1] It retries three times.\n[2]\n\n- It listens on 8080 [^2]\n- e.g. port 3.5 [Source 1, 2]",
            "```\nrows[1] = items[2]\n```\n`a[1]` and [1] behind. A [link](http://x/[1]) (see [2])",
            "Hid\u{200b}den \u{202e}text\u{202c} [1\u{200b}] and [1]. 密钥过期。[2]之后更新。【1】",
            "Torn at its end [1",
            "",
        ] {
            let whole = check(answer, usize::MAX);
            for size in 1..9 {
                assert_eq!(check(answer, size), whole, "pieces of {size}: {answer}");
            }
        }
    }

    #[test]
    fn a_marker_that_points_at_nothing_never_goes_out() {
        assert_eq!(check("Wrong [3]. Worse [999999999999]. ", 2).0, "Wrong . Worse [999999999999]. ");
        assert_eq!(check("Wrong [3, 4] [7-9]【5】[^6] (source 8).", 2).0, "Wrong   .");
        assert_eq!(check("Held back [1", 4).0, "Held back [1");
        assert_eq!(check("Held back (sou", 4).0, "Held back (sou");
    }

    #[test]
    fn every_form_becomes_the_one_that_clients_know() {
        let answer =
            "A [1, 2]. B [1-2]. C [0-999]. D 【2】. E [^1]. F (source 2). G [Source 1, 9]. H [2, 2][1].";
        for size in [1, 2, 3, 5, 8, 200] {
            let (text, citations) = check(answer, size);
            assert_eq!(text, "A [1][2]. B [1][2]. C [1][2]. D [2]. E [1]. F [2]. G [1]. H [2][1].");
            assert_eq!(citations.len(), 12);
        }
    }

    #[test]
    fn an_index_in_code_is_not_a_marker() {
        let answer = "Take `items[9]` or\n```\nrows[7](x)[1]\n```\nas said [1] [9].";
        for size in [1, 4, 100] {
            assert_eq!(check(answer, size).0, "Take `items[9]` or\n```\nrows[7](x)[1]\n```\nas said [1] .");
        }
    }

    #[test]
    fn each_cited_sentence_has_its_own_verdict() {
        let (_, citations) =
            check("It listens on port 8080 [2]. It listens on port 9090 [2]. Bananas grow [2][1].", 3);
        let seen: Vec<_> = citations.iter().map(|c| (c.marker, c.verdict, c.sentence.as_str())).collect();
        assert_eq!(
            seen,
            [
                (2, Verdict::Supported, "It listens on port 8080 ."),
                (2, Verdict::Unsupported, "It listens on port 9090 ."),
                (2, Verdict::Unsupported, "Bananas grow ."),
                (1, Verdict::Unsupported, "Bananas grow ."),
            ]
        );
    }

    #[test]
    fn citations_go_out_with_their_sentence_not_at_the_end() {
        let evidence = evidence();
        let mut checking = CitationCheck::new(&evidence);
        let mut parts = checking.push("It listens on port 8080 [2]. The ");
        assert!(matches!(parts.pop(), Some(Checked::Text(text)) if text == "The "));
        assert!(matches!(parts.pop(), Some(Checked::Citation(citation)) if citation.marker == 2));
        assert_eq!(parts, [Checked::Text("It listens on port 8080 [2]. ".to_owned())]);
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
