//! The canary: which requests it serves, and what is seen of it beside the live generation.
//! Never begins or ends one: the store says which generation is the canary, and with which share.

pub mod comparison;
pub mod figures;
pub mod lot;
pub mod trial;

/// As what a generation serves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The alias points at it.
    Live,
    /// It serves a share beside the live one.
    Canary,
}

impl Role {
    /// The role's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Canary => "canary",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Something was found, or answered.
    Found,
    /// Nothing was found that answers it.
    NotFound,
    /// It failed.
    Failed,
}

impl Ending {
    /// Of a request that found this many things.
    pub fn of(found: usize) -> Self {
        if found == 0 { Self::NotFound } else { Self::Found }
    }

    /// The ending's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
        }
    }
}
