//! The id of a session: 122 random bits, so that knowing one says nothing of another.
//! Never derived from anything that a caller could know.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

/// Names a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

/// The text is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a session id, as `POST /v1/sessions` gives it")]
pub struct BadSessionId;

impl SessionId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Result<Self, BadSessionId> {
        let uuid = Uuid::try_parse(text).map_err(|_| BadSessionId)?;
        let id = Self(uuid);
        // One spelling per id: it is compared as text in the database.
        (id.to_string() == text).then_some(id).ok_or(BadSessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = SessionId::random();
        let text = id.to_string();
        assert_eq!(SessionId::parse(&text), Ok(id));
        for other in [text.replace('-', ""), text.to_uppercase(), format!("{{{text}}}"), String::new()] {
            // An id without a letter has the same upper case.
            assert!(other == text || SessionId::parse(&other) == Err(BadSessionId), "{other}");
        }
    }
}
