//! What Qdrant's failures mean to a caller.
//! Never shows a status to clients: it travels as the cause.

use lectern_schema::identifiers::GenerationId;
use qdrant_client::QdrantError;

use crate::error::SearchError;

/// What a caller can do about a gRPC status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// What was named is not there.
    Missing,
    /// What was to be made is there.
    Exists,
    /// Time ran out.
    Late,
    /// Down or overloaded: again later.
    Unavailable,
    /// Not accepted: a bug, a wrong key, or another version of Qdrant.
    Refused,
}

/// Reads a gRPC status code, by its number: <https://grpc.io/docs/guides/status-codes/>.
pub fn reaction(code: i32) -> Reaction {
    match code {
        4 => Reaction::Late,
        5 => Reaction::Missing,
        6 => Reaction::Exists,
        // Invalid argument, permission denied, failed precondition, out of range, unimplemented, unauthenticated.
        3 | 7 | 9 | 11 | 12 | 16 => Reaction::Refused,
        // Among them: cancelled, unknown, resource exhausted, aborted, unavailable, and internal, which the client
        // itself uses for a connection that it cannot make.
        _ => Reaction::Unavailable,
    }
}

/// A failure of a call that names no generation.
pub(super) fn of_store(fault: QdrantError) -> SearchError {
    match react(&fault) {
        Reaction::Late => SearchError::Late,
        Reaction::Unavailable => SearchError::unavailable(fault),
        Reaction::Missing | Reaction::Exists | Reaction::Refused => SearchError::refused(fault),
    }
}

/// A failure of a call on a generation.
pub(super) fn of_generation(fault: QdrantError, generation: &GenerationId) -> SearchError {
    match react(&fault) {
        Reaction::Missing => SearchError::Gone(generation.clone()),
        _ => of_store(fault),
    }
}

fn react(fault: &QdrantError) -> Reaction {
    match fault {
        QdrantError::ResponseError { status } => reaction(status.code().into()),
        QdrantError::ResourceExhaustedError { .. } | QdrantError::Io(_) => Reaction::Unavailable,
        _ => Reaction::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_code_has_its_reaction() {
        let expected = [
            (1, Reaction::Unavailable),
            (2, Reaction::Unavailable),
            (3, Reaction::Refused),
            (4, Reaction::Late),
            (5, Reaction::Missing),
            (6, Reaction::Exists),
            (7, Reaction::Refused),
            (8, Reaction::Unavailable),
            (13, Reaction::Unavailable),
            (14, Reaction::Unavailable),
            (16, Reaction::Refused),
            (99, Reaction::Unavailable),
        ];
        for (code, reacted) in expected {
            assert_eq!(reaction(code), reacted, "{code}");
        }
    }
}
