//! Tells whether a question can be understood without what was said before it.
//! Knows words, not meaning: it looks for the marks that follow-ups usually bear, in English, German, French, Spanish and
//! Italian. A question that bears one by chance ("that" in "the key that expires") costs a rewriting that changes nothing;
//! one that leans on the conversation without a mark ("Which limits apply on Windows?"), or in another language, is
//! taken for a stand-alone one unless it is very short.

use lectern_models::extractive::content_words;

/// Openings that carry on: the question begins with these words.
const OPENINGS: &[&[&str]] = &[
    // English
    &["and"],
    &["or"],
    &["but"],
    &["so"],
    &["then"],
    &["also"],
    &["what", "about"],
    &["how", "about"],
    &["what", "if"],
    &["what", "else"],
    // German
    &["und"],
    &["oder"],
    &["aber"],
    &["auch"],
    &["was", "ist", "mit"],
    &["wie", "sieht", "es"],
    // French
    &["et"],
    &["ou"],
    &["mais"],
    &["alors"],
    &["qu", "en", "est"],
    // Spanish
    &["y"],
    &["o"],
    &["pero"],
    &["entonces"],
    // Italian
    &["e"],
    &["ed"],
    &["ma"],
];

/// Words that stand for something said before.
const REFERENCES: &[&str] = &[
    // English
    "it",
    "its",
    "itself",
    "they",
    "them",
    "their",
    "theirs",
    "this",
    "that",
    "these",
    "those",
    "he",
    "him",
    "his",
    "she",
    "her",
    "hers",
    "one",
    "ones",
    "same",
    "former",
    "latter",
    "above",
    "previous",
    "earlier",
    "otherwise",
    "instead",
    "else",
    // German
    "er",
    "ihn",
    "ihm",
    "sie",
    "ihr",
    "ihre",
    "ihrer",
    "es",
    "dies",
    "diese",
    "dieser",
    "dieses",
    "diesem",
    "diesen",
    "davon",
    "dafür",
    "damit",
    "daran",
    "darauf",
    "darin",
    "dort",
    "sonst",
    "stattdessen",
    // French
    "il",
    "elle",
    "ils",
    "elles",
    "cela",
    "ça",
    "celui",
    "celle",
    "ceux",
    "celles",
    "lui",
    "leur",
    // Spanish
    "él",
    "ella",
    "ellos",
    "ellas",
    "eso",
    "esto",
    "ese",
    "esa",
    "ello",
    "allí",
    // Italian
    "esso",
    "essa",
    "essi",
    "quello",
    "quella",
    "questo",
    "questa",
    "lì",
];

/// Fewer words that carry meaning than this are a follow-up ("Why?", "How long?"), or as good as one.
const FEWEST_CONTENT_WORDS: usize = 2;

/// Whether the question can be understood alone.
pub fn stands_alone(question: &str) -> bool {
    let words: Vec<String> = question
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let opens = |opening: &&[&str]| {
        opening.len() <= words.len() && opening.iter().zip(&words).all(|(mark, word)| mark == word)
    };
    !OPENINGS.iter().any(opens)
        && !words.iter().any(|word| REFERENCES.contains(&word.as_str()))
        && content_words(question).len() >= FEWEST_CONTENT_WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follow_ups_are_told_by_their_marks() {
        for question in [
            "And its port?",
            "What about metrics in the staging cluster?",
            "Why?",
            "How long?",
            "How do I rotate them before the deadline?",
            "Does this apply to service accounts?",
            "Und wie lange gilt der Schlüssel?",
            "Wo kann ich ihn verlängern lassen?",
            "Et pour les comptes de service ?",
            "¿Y cuánto dura la clave?",
            "E per quanto tempo vale?",
        ] {
            assert!(!stands_alone(question), "{question}");
        }
    }

    #[test]
    fn whole_questions_stand_alone() {
        for question in [
            "On which port does the gateway listen?",
            "When do API keys expire?",
            "Auf welchem Port lauscht das Gateway?",
            "Quand expirent les clés de l'API ?",
            "¿En qué puerto escucha la pasarela?",
            "Quando scadono le chiavi API?",
            "List all error codes of the billing service",
        ] {
            assert!(stands_alone(question), "{question}");
        }
    }
}
