//! Filters on documents and their metadata, as clients write them:
//! `{"lang": "en", "year": {"$gte": 2020}, "$or": [{"tag": "a"}, {"tag": {"$in": ["b", "c"]}}]}`.
//! Never names a field that clients may not filter on.

/// A checked filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    _todo: (),
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter: {0}")]
pub struct BadFilter(String);

impl Filter {
    /// Checks and bounds a filter.
    pub fn parse(json: &serde_json::Value) -> Result<Self, BadFilter> {
        todo!()
    }

    /// The same text for the same filter, whatever the order of its keys: for cache keys.
    pub fn canonical(&self) -> String {
        todo!()
    }
}
