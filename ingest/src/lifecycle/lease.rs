//! Leases that are kept: taken, renewed in the background while the work runs, released at its end.
//! Never decides what a lease is needed for.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::causes::in_one_line;
use crate::lifecycle::process;
use crate::registry::Registry;
use crate::registry::error::RegistryError;
use crate::registry::leases::{Holding, LeaseName, LeaseToken};

/// How long a lease lasts without renewal. A crashed holder blocks others for as long.
/// Long enough for a process on an overloaded machine to be scheduled in between.
pub const LEASE_LENGTH: Duration = Duration::from_secs(15);
/// Renewals per length: two may fail before the lease is in danger.
const RENEWALS_PER_LENGTH: u32 = 3;
/// Looks per length at a lease that somebody else holds.
const LOOKS_PER_LENGTH: u32 = 60;

/// Who holds leases, in words that an operator understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(String);

impl Holder {
    /// This process, by program, version and process id.
    pub fn this_process() -> Self {
        Self(format!("{}, process {}", super::PROGRAM, std::process::id()))
    }

    /// The holder as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A lease that is renewed until it is released or dropped. Dropped without release, it ends by time.
#[derive(Debug)]
pub struct Lease {
    registry: Registry,
    name: LeaseName,
    token: LeaseToken,
    length: Duration,
    lost: CancellationToken,
    renewal: AbortOnDropHandle<()>,
}

impl Lease {
    /// Takes a lease for [`LEASE_LENGTH`] at a time, at once from a holder that is seen to have died on this machine. Waits
    /// for the lease of one that died elsewhere to end, at most twice its length; fails with `Held` as soon as the holder
    /// is seen to be alive, which is when it renews.
    pub async fn take(registry: &Registry, name: LeaseName, holder: &Holder) -> Result<Self, RegistryError> {
        Self::take_for(registry, name, holder, LEASE_LENGTH).await
    }

    /// [`Self::take`] with another length.
    pub async fn take_for(
        registry: &Registry,
        name: LeaseName,
        holder: &Holder,
        length: Duration,
    ) -> Result<Self, RegistryError> {
        let patience = Instant::now() + length * 2;
        let mut seen: Option<Holding> = None;
        loop {
            let found = match attempt(registry, &name, holder, length).await? {
                Attempt::Taken(token) => return Ok(Self::keep(registry, name, token, length)),
                Attempt::Released => continue,
                Attempt::Held(found) => found,
            };
            let alive = seen.as_ref().is_some_and(|seen| *seen != found);
            if alive || patience <= Instant::now() {
                return Err(held(name, found));
            }
            seen = Some(found);
            tokio::time::sleep(length / LOOKS_PER_LENGTH).await;
        }
    }

    /// Takes a lease that nobody holds, without waiting for anybody.
    pub async fn take_now(
        registry: &Registry,
        name: LeaseName,
        holder: &Holder,
    ) -> Result<Self, RegistryError> {
        loop {
            match attempt(registry, &name, holder, LEASE_LENGTH).await? {
                Attempt::Taken(token) => return Ok(Self::keep(registry, name, token, LEASE_LENGTH)),
                Attempt::Released => {}
                Attempt::Held(found) => return Err(held(name, found)),
            }
        }
    }

    fn keep(registry: &Registry, name: LeaseName, token: LeaseToken, length: Duration) -> Self {
        let lost = CancellationToken::new();
        let renewing = renew(registry.clone(), name.clone(), token, length, lost.clone());
        let renewal = AbortOnDropHandle::new(tokio::spawn(renewing));
        Self { registry: registry.clone(), name, token, length, lost, renewal }
    }

    /// Makes sure, right before a step that must not be taken without it, that the lease is still ours.
    pub async fn confirm(&self) -> Result<(), RegistryError> {
        let now = self.registry.now().await?;
        if self.registry.renew_lease(&self.name, self.token, now, self.length).await? {
            Ok(())
        } else {
            Err(RegistryError::Lost { name: self.name.clone() })
        }
    }

    /// Returns when the lease was lost: the work under it must stop. Stays pending while it is ours.
    pub async fn lost(&self) -> RegistryError {
        self.lost.cancelled().await;
        RegistryError::Lost { name: self.name.clone() }
    }

    /// Stops the renewal and gives the lease back. A registry that cannot be reached is only logged: the lease then
    /// ends by time, and the work under it is done.
    pub async fn release(self) {
        self.renewal.abort();
        // Aborted: ends at its next await.
        let _ = self.renewal.await;
        if let Err(error) = self.registry.release_lease(&self.name, self.token).await {
            tracing::warn!(name = %self.name, error = %in_one_line(&error), "lease not released");
        }
    }
}

enum Attempt {
    Taken(LeaseToken),
    Held(Holding),
    /// It was held when we tried, and is free now: try again.
    Released,
}

async fn attempt(
    registry: &Registry,
    name: &LeaseName,
    holder: &Holder,
    length: Duration,
) -> Result<Attempt, RegistryError> {
    let now = registry.now().await?;
    if let Some(token) = registry.take_lease(name, holder.as_str(), now, length).await? {
        if let Some(signature) = process::signature() {
            registry.sign_lease(name, token, &signature).await?;
        }
        return Ok(Attempt::Taken(token));
    }
    let Some(found) = registry.lease_holder(name, now).await? else { return Ok(Attempt::Released) };
    if found.process.as_deref().is_some_and(process::has_died) {
        tracing::info!(%name, holder = %found.holder, "lease of a dead process ended");
        registry.release_lease(name, found.token).await?;
        return Ok(Attempt::Released);
    }
    Ok(Attempt::Held(found))
}

fn held(name: LeaseName, holding: Holding) -> RegistryError {
    RegistryError::Held { name, holder: holding.holder, until: holding.until }
}

async fn renew(
    registry: Registry,
    name: LeaseName,
    token: LeaseToken,
    length: Duration,
    lost: CancellationToken,
) {
    let mut ends = Instant::now() + length;
    loop {
        tokio::time::sleep(length / RENEWALS_PER_LENGTH).await;
        let begun = Instant::now();
        let renewing = async {
            let now = registry.now().await?;
            registry.renew_lease(&name, token, now, length).await
        };
        match timeout_at(ends, renewing).await {
            Ok(Ok(true)) => ends = begun + length,
            Ok(Err(_)) if Instant::now() < ends => tracing::warn!(%name, "lease not renewed, trying again"),
            _ => break,
        }
    }
    tracing::error!(%name, "lease lost");
    lost.cancel();
}
