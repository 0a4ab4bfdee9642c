//! Reads the manifest of a generation and decides whether the generation can be served.
//! Never repairs one: a manifest that cannot be read belongs to a generation that cannot be trusted.

use lectern_schema::fingerprint::Encoding;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::GenerationId;

use crate::error::OpenError;

/// Why a text is not the manifest that it should be.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    /// Not the JSON of a manifest.
    #[error("the manifest of `{0}` cannot be read")]
    Torn(GenerationId, #[source] serde_json::Error),
    /// Copied from elsewhere.
    #[error("the manifest of `{place}` belongs to `{owner}`")]
    Foreign {
        /// The generation that it is stored with.
        place: String,
        /// The generation that it names.
        owner: String,
    },
}

/// Reads the manifest that is stored with `generation`.
pub fn parse(generation: &GenerationId, json: &[u8]) -> Result<Manifest, BadManifest> {
    let manifest: Manifest =
        serde_json::from_slice(json).map_err(|cause| BadManifest::Torn(generation.clone(), cause))?;
    if manifest.generation == *generation {
        Ok(manifest)
    } else {
        Err(BadManifest::Foreign { place: generation.to_string(), owner: manifest.generation.into() })
    }
}

/// Refuses a generation that is not whole, or that was built for other questions than `encoding` makes.
pub(crate) fn check(manifest: &Manifest, encoding: &Encoding) -> Result<(), OpenError> {
    let generation = &manifest.generation;
    if manifest.counts().is_none() {
        return Err(OpenError::Incomplete(generation.clone()));
    }
    let mismatches = manifest.fingerprint.encoding.mismatches(encoding);
    if mismatches.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Mismatched { generation: generation.clone(), mismatches })
    }
}
