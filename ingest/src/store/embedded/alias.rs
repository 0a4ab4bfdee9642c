//! Moves and guards aliases and their canaries: a file each, replaced as a whole, compared and moved under a lock.
//! Never points either at a generation that is not whole.

use std::time::Duration;

use lectern_schema::canary::Canary;
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::embedded::layout::Layout;
use lectern_search::embedded::lock::{FileLock, LockError};

use super::files;
use crate::store::StoreError;

/// Longest wait for whoever moves the same alias: that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the lock under which `alias` may be compared and moved, on behalf of `generation`.
pub(super) fn lock(
    layout: &Layout,
    alias: &AliasName,
    generation: &GenerationId,
) -> Result<FileLock, StoreError> {
    files::make_directory(&layout.aliases())?;
    match FileLock::take(&layout.alias_lock(alias), PATIENCE) {
        Ok(lock) => Ok(lock),
        Err(LockError::Held(holder)) => {
            let holder = format!("{holder}, which is moving alias `{alias}`");
            Err(StoreError::Held { generation: generation.clone(), holder })
        }
        Err(LockError::File(fault)) => Err(fault.into()),
    }
}

/// Points `alias` at `to` if it still points at `expected`.
pub(super) fn swap(
    layout: &Layout,
    alias: &AliasName,
    expected: Option<&GenerationId>,
    to: &GenerationId,
) -> Result<(), StoreError> {
    let _lock = lock(layout, alias, to)?;
    let found = layout.alias_target(alias)?;
    if found.as_ref() != expected {
        return Err(StoreError::moved(alias, expected, found));
    }
    refuse_incomplete(layout, to)?;
    files::replace(&layout.alias_file(alias), format!("{to}\n").as_bytes())
}

/// Makes `to` the canary of `alias`, or ends the canary, if it is still `expected`.
pub(super) fn swap_canary(
    layout: &Layout,
    alias: &AliasName,
    expected: Option<&Canary>,
    to: Option<&Canary>,
) -> Result<(), StoreError> {
    let Some(concerned) = to.or(expected) else { return Ok(()) };
    let _lock = lock(layout, alias, &concerned.generation)?;
    let found = layout.canary(alias)?;
    if found.as_ref() != expected {
        return Err(StoreError::canary_moved(alias, expected, found));
    }
    let path = layout.canary_file(alias);
    let Some(to) = to else { return files::remove(&path) };
    refuse_incomplete(layout, &to.generation)?;
    files::replace(&path, format!("{to}\n").as_bytes())
}

fn refuse_incomplete(layout: &Layout, generation: &GenerationId) -> Result<(), StoreError> {
    let manifest = layout.manifest(generation)?.ok_or_else(|| StoreError::Missing(generation.clone()))?;
    if manifest.counts().is_some() { Ok(()) } else { Err(StoreError::incomplete(generation)) }
}

/// Fails when any alias points at `generation`, or its own alias has it for a canary.
pub(super) fn refuse_live(layout: &Layout, generation: &GenerationId) -> Result<(), StoreError> {
    let own = generation.alias();
    if layout.canary(own)?.is_some_and(|canary| canary.generation == *generation) {
        let holder = format!("alias `{own}`, whose canary it is");
        return Err(StoreError::Held { generation: generation.clone(), holder });
    }
    for name in files::names(&layout.aliases())? {
        let Ok(alias) = AliasName::parse(&name) else { continue };
        if layout.alias_target(&alias)?.as_ref() == Some(generation) {
            let holder = format!("alias `{alias}`, which points at it");
            return Err(StoreError::Held { generation: generation.clone(), holder });
        }
    }
    Ok(())
}
