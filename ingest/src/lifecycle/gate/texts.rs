//! The texts gate: whether stored chunks are what was cut and embedded: whole, under their own id, counted right.
//! Never repairs a text.

use super::Verdict;

/// What was found wrong with one sampled chunk, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// It is what was embedded.
    Whole,
    /// The payload cannot be read.
    Unreadable,
    /// Its text, title or headings do not give the hash that is stored with it: cut short, or changed.
    Altered,
    /// Its content belongs to another chunk's id.
    Misfiled,
    /// Its tokens are not as many as it says.
    Miscounted,
}

impl Text {
    const FAULTS: [(Self, &str); 4] = [
        (Self::Unreadable, "cannot be read"),
        (Self::Altered, "are not what was embedded: truncated or altered"),
        (Self::Misfiled, "are stored under the id of another chunk"),
        (Self::Miscounted, "do not have the tokens that they are stored with"),
    ];
}

/// Whether all sampled chunks are whole. `Err` tells why they could not be checked.
pub fn texts(sample: &Result<Vec<Text>, String>) -> Verdict {
    const GATE: &str = "texts_whole";
    let sample = match sample {
        Ok(sample) => sample,
        Err(reason) => return Verdict::new(GATE, true, reason.as_str()),
    };
    let told: Vec<String> = Text::FAULTS
        .into_iter()
        .map(|(fault, name)| (sample.iter().filter(|text| **text == fault).count(), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} of {} texts {name}", sample.len()))
        .collect();
    let detail = if told.is_empty() {
        format!("{} texts are what was cut and embedded", sample.len())
    } else {
        told.join("; ")
    };
    Verdict::new(GATE, told.is_empty(), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_refuses_and_is_counted() {
        assert!(texts(&Ok(vec![Text::Whole; 3])).passed);
        for (fault, name) in Text::FAULTS {
            let verdict = texts(&Ok(vec![Text::Whole, fault, fault]));
            assert!(!verdict.passed);
            assert_eq!(verdict.detail, format!("2 of 3 texts {name}"));
        }
    }

    #[test]
    fn what_cannot_be_checked_is_said() {
        let verdict = texts(&Err("cut by another version".to_owned()));
        assert!(verdict.passed && verdict.detail == "cut by another version");
    }
}
