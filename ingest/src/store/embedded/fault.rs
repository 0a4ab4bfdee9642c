//! Turns what goes wrong in the engine, panics included, into errors that name the disk when the disk is the cause.
//! Never lets a panic of the engine out.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lectern_search::embedded::layout::FileFault;
use qdrant_edge::OperationError;

use crate::store::StoreError;

/// Runs a call into the engine. The engine panics where it cannot flush, and states of it that a panic left behind must
/// not be used again: callers give up the shard on any error.
pub(super) fn guarded<T>(
    action: &'static str,
    path: &Path,
    call: impl FnOnce() -> Result<T, OperationError>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fault)) => Err(engine_fault(action, path, fault.to_string())),
        Err(panic) => Err(engine_fault(action, path, message(panic.as_ref()))),
    }
}

/// The engine keeps a system's error only as text, such as `... No space left on device (os error 28)`.
fn engine_fault(action: &'static str, path: &Path, text: String) -> StoreError {
    let number = text.split_once("os error ").map(|(_, rest)| rest);
    let digits = number.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number) => {
            let kind = io::Error::from_raw_os_error(number).kind();
            FileFault::at(action, path)(io::Error::new(kind, text)).into()
        }
        None => StoreError::Refused { action, source: text.into() },
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the engine panicked: {}", text.unwrap_or("without a message"))
}

impl From<FileFault> for StoreError {
    fn from(fault: FileFault) -> Self {
        let FileFault { action, path, source } = fault;
        Self::Disk { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_a_full_disk_is_a_full_disk() {
        let path = Path::new("/data/collections/x");
        let full = "segments flushed: No space left on device (os error 28)";
        let fault = guarded::<()>("flush", path, || panic!("{full}")).unwrap_err();
        let StoreError::Disk { source, path: named, .. } = fault else { panic!("{fault:?}") };
        assert_eq!((source.kind(), named.as_path()), (io::ErrorKind::StorageFull, path));
    }

    #[test]
    fn an_error_that_is_not_the_disks_is_a_refusal() {
        let fault =
            guarded::<()>("write", Path::new("/data"), || Err(OperationError::WrongSparse)).unwrap_err();
        assert!(matches!(fault, StoreError::Refused { action: "write", .. }), "{fault:?}");
    }
}
