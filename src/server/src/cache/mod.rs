//! What need not be done twice: whole answers, retrievals, the vectors of questions. Every key holds all that its value
//! depends on, the generation among it, so that a swap is an exact invalidation.
//! Never decides who may see what: the tenant is part of the keys.

pub mod answers;
pub mod retrievals;
pub mod semantic;
pub mod shared;
pub mod vectors;

/// What the caches may do for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePolicy {
    /// Answer from them, and keep the result.
    #[default]
    Use,
    /// Do the work anew, and keep the result.
    Refresh,
    /// Neither.
    Off,
}

impl CachePolicy {
    /// Whether what was kept may be used.
    pub fn reads(self) -> bool {
        self == Self::Use
    }

    /// Whether the result may be kept.
    pub fn writes(self) -> bool {
        self != Self::Off
    }
}
