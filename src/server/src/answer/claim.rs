//! Cuts an answer into sentences as it comes, with the markers that each of them carries.
//! Never sees the evidence. A marker belongs to the sentence that it stands in or directly behind; at the beginning of a
//! line, to the one that follows.

/// A sentence, and what it cites.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Claim {
    /// The sentence without its markers.
    pub(super) text: String,
    /// The markers, in their order, each once.
    pub(super) markers: Vec<u32>,
}

/// The sentence that is being written.
#[derive(Debug, Default)]
pub(super) struct Claims {
    open: Claim,
    ended: Option<Ended>,
    previous: String,
}

/// The open sentence has met its full stop; what comes next shows whether it was one.
#[derive(Debug, Clone, Copy)]
struct Ended {
    by: char,
    is_spaced: bool,
    is_cited: bool,
}

impl Claims {
    /// Takes the next character of text; returns the cited sentence that it shows to be over.
    pub(super) fn push(&mut self, c: char) -> Option<Claim> {
        let closed = if c == '\n' || self.begins_another(c) { self.close() } else { None };
        match &mut self.ended {
            Some(ended) if c.is_whitespace() => ended.is_spaced = true,
            Some(ended) if is_mark(c) && !ended.is_spaced => ended.by = c,
            Some(ended) if is_closing(c) && !ended.is_spaced => {}
            Some(_) => self.ended = None,
            None if is_mark(c) && has_words(&self.open.text) => {
                self.ended = Some(Ended { by: c, is_spaced: false, is_cited: false });
            }
            None => {}
        }
        if !(self.open.text.is_empty() && c.is_whitespace()) {
            self.open.text.push(c);
        }
        closed
    }

    /// Takes a marker.
    pub(super) fn cite(&mut self, marker: u32) {
        if !self.open.markers.contains(&marker) {
            self.open.markers.push(marker);
        }
        if let Some(ended) = &mut self.ended {
            ended.is_cited = true;
        }
    }

    /// Ends the open sentence; returns it if it cites.
    pub(super) fn close(&mut self) -> Option<Claim> {
        self.ended = None;
        if !has_words(&self.open.text) {
            // Markers alone: they wait for the sentence that follows.
            self.open.text.clear();
            return None;
        }
        let mut claim = std::mem::take(&mut self.open);
        claim.text.truncate(claim.text.trim_end().len());
        self.previous.clone_from(&claim.text);
        (!claim.markers.is_empty()).then_some(claim)
    }

    /// Ends the answer. Markers that no sentence followed belong to the last one.
    pub(super) fn finish(&mut self) -> Option<Claim> {
        let closed = self.close();
        let left = std::mem::take(&mut self.open.markers);
        let stray = || Claim { text: std::mem::take(&mut self.previous), markers: left };
        closed.or_else(|| Some(stray()).filter(|claim| !claim.markers.is_empty()))
    }

    /// Whether `c` cannot belong to the open sentence any more.
    fn begins_another(&self, c: char) -> bool {
        let Some(ended) = self.ended else { return false };
        if c.is_whitespace() || (!ended.is_spaced && (is_mark(c) || is_closing(c))) {
            return false;
        }
        let is_ideographic = matches!(ended.by, '。' | '！' | '？');
        // A dot within `3.5` or `e.g. this` ends nothing (Unicode annex 29, SB6 to SB8).
        let goes_on = if ended.is_spaced { ended.by == '.' && c.is_lowercase() } else { !is_ideographic };
        ended.is_cited || !goes_on
    }
}

fn is_mark(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '।' | '؟' | '۔')
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '*' | '_' | '`' | '」')
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer in which `{1}` stands for a marker.
    fn claims(answer: &str) -> Vec<(String, Vec<u32>)> {
        let mut claims = Claims::default();
        let mut found = Vec::new();
        let mut characters = answer.chars();
        while let Some(c) = characters.next() {
            if c == '{' {
                let number: String = characters.by_ref().take_while(|c| *c != '}').collect();
                claims.cite(number.parse().unwrap());
            } else {
                found.extend(claims.push(c));
            }
        }
        found.extend(claims.finish());
        found.into_iter().map(|claim| (claim.text, claim.markers)).collect()
    }

    fn one(text: &str, markers: &[u32]) -> (String, Vec<u32>) {
        (text.to_owned(), markers.to_vec())
    }

    #[test]
    fn a_marker_belongs_to_the_sentence_that_it_stands_in_or_behind() {
        let expected = [one("It retries.", &[1]), one("Then it stops.", &[2])];
        assert_eq!(claims("It retries {1}. Then it stops {2}.").len(), 2);
        assert_eq!(claims("It retries.{1} Then it stops.{2}"), expected);
        assert_eq!(claims("It retries. {1} Then it stops. {2}"), expected);
    }

    #[test]
    fn a_sentence_is_judged_whole_wherever_its_marker_stands() {
        assert_eq!(
            claims("According to {1}, it retries three times."),
            [one("According to , it retries three times.", &[1])]
        );
        assert_eq!(claims("Both {1}{2} say so{1}."), [one("Both  say so.", &[1, 2])]);
    }

    #[test]
    fn a_dot_within_a_number_or_an_abbreviation_ends_nothing() {
        assert_eq!(
            claims("Use 3.5 volts, e.g. from v1.2.3 on {1}. Next."),
            [one("Use 3.5 volts, e.g. from v1.2.3 on .", &[1])]
        );
    }

    #[test]
    fn a_line_s_first_marker_belongs_to_what_follows_and_the_last_one_to_what_was() {
        assert_eq!(
            claims("Said.\n{2} It stops.\n- A point{1}\n"),
            [one("It stops.", &[2]), one("- A point", &[1])]
        );
        assert_eq!(claims("It stops.\n\n{2}"), [one("It stops.", &[2])]);
        assert_eq!(claims("{1}"), [one("", &[1])]);
    }

    #[test]
    fn other_scripts_and_quotation_marks_end_sentences_too() {
        assert_eq!(claims("密钥过期。{1}之后更新。{2}"), [one("密钥过期。", &[1]), one("之后更新。", &[2])]);
        assert_eq!(
            claims("He said \"stop.\" {1} Why?{2}"),
            [one("He said \"stop.\"", &[1]), one("Why?", &[2])]
        );
    }
}
