//! Says in a person's words why a file in a binary or packed format cannot be read.
//! Knows no format: what is said of all of them stands here once.

/// Why a file in a binary or packed format cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is another format than its name promises.
    #[error("is not {format}: {found}")]
    NotFormat {
        /// What its name promises.
        format: &'static str,
        /// What it seems to be instead.
        found: String,
    },
    /// Its content cannot be seen without a password.
    #[error("is encrypted: {0}")]
    Encrypted(&'static str),
    /// Its compressed parts are too large together.
    #[error("expands to more than `ingest.max_expanded_bytes` = {0}")]
    Expands(u64),
    /// It breaks the rules of its format.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It is made as no program makes documents, but as attacks are made.
    #[error("is refused: {0}")]
    Hostile(String),
    /// It shows nothing but pictures.
    #[error("has no text layer: it may be a scan; run text recognition (OCR) on it first")]
    NoTextLayer,
}
