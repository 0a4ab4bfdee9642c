//! Which documents are to be erased: named, or found by a filter.
//! Never looks for them: [`crate::lifecycle::erase`] does.

use std::fmt;
use std::str::FromStr;

use lectern_schema::identifiers::DocumentId;
use lectern_search::filter::{BadFilter, Filter};

/// A filter as it was written, so that it can be kept and read again.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterText {
    text: String,
    filter: Filter,
}

/// Why a text is no filter.
#[derive(Debug, thiserror::Error)]
pub enum NoFilter {
    /// It is no JSON.
    #[error("is not JSON, such as '{{\"tenant\": \"acme\"}}'")]
    Json(#[from] serde_json::Error),
    /// It is no filter.
    #[error(transparent)]
    Filter(#[from] BadFilter),
}

impl FilterText {
    /// What it says.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

impl FromStr for FilterText {
    type Err = NoFilter;

    fn from_str(text: &str) -> Result<Self, NoFilter> {
        let filter = Filter::parse(&serde_json::from_str(text)?)?;
        Ok(Self { text: text.to_owned(), filter })
    }
}

impl fmt::Display for FilterText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is to be erased, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Documents by name.
    pub documents: Vec<DocumentId>,
    /// Documents of which a chunk passes.
    pub filter: Option<FilterText>,
    /// Why, for the record.
    pub reason: String,
}
