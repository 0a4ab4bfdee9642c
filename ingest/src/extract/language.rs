//! Tells which language a text is in, where the document does not say it.
//! Never guesses: a text that is too short, or could be of several languages, stays without one.

use whatlang::Lang;

use crate::extract::Section;

/// Characters that are looked at: more of them change nothing.
const LOOKED_AT: usize = 2_000;
/// Fewest characters that tell languages of the same alphabet apart. The languages with writing of their own need few.
const FEWEST: usize = 200;
const FEWEST_OWN: usize = 20;

/// The language as a BCP 47 tag.
pub(super) fn detected(sections: &[Section]) -> Option<String> {
    let sample = sample(sections);
    let length = sample.chars().count();
    if length < FEWEST_OWN {
        return None;
    }
    let found = whatlang::detect(&sample).filter(whatlang::Info::is_reliable)?;
    let has_own_writing = matches!(
        found.lang(),
        Lang::Jpn | Lang::Kor | Lang::Cmn | Lang::Ell | Lang::Tha | Lang::Hye | Lang::Kat
    );
    let fewest = if has_own_writing { FEWEST_OWN } else { FEWEST };
    (length >= fewest).then(|| tag(found.lang()).to_owned())
}

/// Prose from the beginning: code and tables are in no language.
fn sample(sections: &[Section]) -> String {
    let mut sample = String::new();
    let mut left = LOOKED_AT;
    let mut in_code = false;
    for line in sections.iter().flat_map(|section| section.text.lines()) {
        let is_fence = line.starts_with("```");
        in_code ^= is_fence;
        if !in_code && !is_fence && !line.starts_with('|') {
            sample.extend(line.chars().take(left).chain([' ']));
            left = left.saturating_sub(line.len());
        }
        if left == 0 {
            break;
        }
    }
    sample
}

/// The shortest code of a language, as BCP 47 wants it; its code of three letters where there is no shorter one.
fn tag(language: Lang) -> &'static str {
    const SHORT: [(&str, &str); 70] = [
        ("afr", "af"),
        ("aka", "ak"),
        ("amh", "am"),
        ("ara", "ar"),
        ("aze", "az"),
        ("bel", "be"),
        ("ben", "bn"),
        ("bul", "bg"),
        ("cat", "ca"),
        ("ces", "cs"),
        ("cmn", "zh"),
        ("cym", "cy"),
        ("dan", "da"),
        ("deu", "de"),
        ("ell", "el"),
        ("eng", "en"),
        ("epo", "eo"),
        ("est", "et"),
        ("fin", "fi"),
        ("fra", "fr"),
        ("guj", "gu"),
        ("heb", "he"),
        ("hin", "hi"),
        ("hrv", "hr"),
        ("hun", "hu"),
        ("hye", "hy"),
        ("ind", "id"),
        ("ita", "it"),
        ("jav", "jv"),
        ("jpn", "ja"),
        ("kan", "kn"),
        ("kat", "ka"),
        ("khm", "km"),
        ("kor", "ko"),
        ("lat", "la"),
        ("lav", "lv"),
        ("lit", "lt"),
        ("mal", "ml"),
        ("mar", "mr"),
        ("mkd", "mk"),
        ("mya", "my"),
        ("nep", "ne"),
        ("nld", "nl"),
        ("nob", "nb"),
        ("ori", "or"),
        ("pan", "pa"),
        ("pes", "fa"),
        ("pol", "pl"),
        ("por", "pt"),
        ("ron", "ro"),
        ("rus", "ru"),
        ("sin", "si"),
        ("slk", "sk"),
        ("slv", "sl"),
        ("sna", "sn"),
        ("spa", "es"),
        ("srp", "sr"),
        ("swe", "sv"),
        ("tam", "ta"),
        ("tel", "te"),
        ("tgl", "tl"),
        ("tha", "th"),
        ("tuk", "tk"),
        ("tur", "tr"),
        ("ukr", "uk"),
        ("urd", "ur"),
        ("uzb", "uz"),
        ("vie", "vi"),
        ("yid", "yi"),
        ("zul", "zu"),
    ];
    let code = language.code();
    SHORT.iter().find(|(long, _)| *long == code).map_or(code, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(text: &str) -> Option<String> {
        detected(&[Section { text: text.to_owned(), ..Section::default() }])
    }

    #[test]
    fn prose_of_some_length_has_a_language() {
        let english = "The pump moves water from the tank to the filter, and the filter keeps what is larger than a grain of sand. Before you open the housing, switch off the power and wait until the pressure has gone down to zero.";
        let german = "Die Pumpe fördert Wasser aus dem Behälter in den Filter, und der Filter hält alles zurück, was größer ist als ein Sandkorn. Bevor Sie das Gehäuse öffnen, schalten Sie den Strom ab und warten Sie, bis der Druck gefallen ist.";
        assert_eq!(language(english).as_deref(), Some("en"));
        assert_eq!(language(german).as_deref(), Some("de"));
        assert_eq!(language("開発者の名前は日本語で書かれています。テストです。").as_deref(), Some("ja"));
    }

    #[test]
    fn code_and_short_texts_have_none() {
        assert_eq!(language("ok"), None);
        assert_eq!(language(&format!("```\n{}\n```", "the quick brown fox and the dog ".repeat(20))), None);
    }
}
