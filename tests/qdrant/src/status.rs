//! The statuses that Qdrant answers failures with: the same code and the same wording for the same fault.
//! Never decides whether something is a fault.

use qdrant_edge::OperationError;
use tonic::Status;

/// The request does not fit the collection, or not the protocol.
pub(crate) fn wrong_input(description: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("Wrong input: {description}"))
}

/// A field is outside of what it may be.
pub(crate) fn bad_value(field: &str, reason: &str) -> Status {
    Status::invalid_argument(format!("Validation error in body: [{field}: {reason}]"))
}

/// Neither a collection nor an alias has this name.
pub(crate) fn no_collection(name: &str) -> Status {
    Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"))
}

/// The server itself failed: disk, lock, panic.
pub(crate) fn internal(cause: impl std::fmt::Display) -> Status {
    Status::internal(format!("Service internal error: {cause}"))
}

/// What this server does not implement, it names instead of leaving it out silently.
pub(crate) fn unsupported(feature: &str) -> Status {
    Status::unimplemented(format!("the test server does not implement {feature}"))
}

/// Refuses a feature that is not implemented when a request asks for it.
pub(crate) fn refuse(feature: &str, asked: bool) -> Result<(), Status> {
    if asked { Err(unsupported(feature)) } else { Ok(()) }
}

/// A failure of the engine, split as Qdrant splits it: the caller's faults, a missing point, lateness, its own.
pub(crate) fn engine(error: &OperationError) -> Status {
    match error {
        OperationError::PointIdError { .. } => Status::not_found(format!("Not found: {error}")),
        OperationError::Timeout { .. } => Status::deadline_exceeded(format!("Timeout: {error}")),
        OperationError::ServiceError { .. }
        | OperationError::InconsistentStorage { .. }
        | OperationError::OutOfMemory { .. }
        | OperationError::Cancelled { .. } => internal(error),
        OperationError::WrongVectorDimension { .. }
        | OperationError::VectorNameNotExists { .. }
        | OperationError::TypeError { .. }
        | OperationError::TypeInferenceError { .. }
        | OperationError::ValidationError { .. }
        | OperationError::WrongSparse
        | OperationError::WrongMulti
        | OperationError::MissingRangeIndexForOrderBy { .. }
        | OperationError::MissingMapIndexForFacet { .. }
        | OperationError::VariableTypeError { .. }
        | OperationError::NonFiniteNumber { .. } => wrong_input(error),
    }
}
