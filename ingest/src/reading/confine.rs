//! Takes from the running process what reading documents does not need.
//! Never loosens anything, and never looks at a document.

use std::io;

/// Limits of the running process could not be set.
#[derive(Debug, thiserror::Error)]
#[error("the limits of a reader cannot be set")]
pub struct Unconfined(#[source] io::Error);

/// Closes what the program that started this one had open and forgot to keep to itself, but for the standard streams.
/// Must be called before anything is opened.
#[cfg(target_os = "linux")]
pub fn close_inherited() {
    /// The highest of the standard streams.
    const STANDARD_ERROR: i32 = 2;

    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > STANDARD_ERROR) {
        // The one that the folder itself was read by is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Elsewhere the system offers no list of what is open.
#[cfg(not(target_os = "linux"))]
pub fn close_inherited() {}

/// Bounds memory to what is taken already and `more_bytes`, and forbids to write, to connect and to start programs: the first by the kernel's limits, all of it
/// by Landlock where the kernel has it. Must be called before there is a second thread.
#[cfg(target_os = "linux")]
pub fn confine(more_bytes: u64) -> Result<(), Unconfined> {
    use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

    /// Descriptors that reading takes, with room to spare.
    const DESCRIPTORS: u64 = 64;
    /// 0 would still feed a core dump to a program of the system's; 1 is refused there and too little for a file.
    const CORE_BYTES: u64 = 1;

    let confined = || -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let bytes = own_bytes()?.saturating_add(more_bytes);
        let limits = [
            (Resource::Data, bytes),
            (Resource::Core, CORE_BYTES),
            (Resource::Fsize, 0),
            (Resource::Nofile, DESCRIPTORS),
        ];
        for (resource, most) in limits {
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        Ok(())
    };
    confined().map_err(Unconfined)?;
    lock_land();
    Ok(())
}

/// Elsewhere only time is bounded.
#[cfg(not(target_os = "linux"))]
pub fn confine(_: u64) -> Result<(), Unconfined> {
    Ok(())
}

/// What counts against the limit of data already: the program's own variables and its allocator's reserve.
#[cfg(target_os = "linux")]
fn own_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmData:")?.strip_suffix("kB")?.trim().parse().ok());
    Ok(kib.unwrap_or(0_u64).saturating_mul(1024))
}

/// What a kernel does not have, it cannot lock: the limits above stand in any case.
#[cfg(target_os = "linux")]
fn lock_land() {
    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, Scope};

    let locked = || -> Result<(), RulesetError> {
        Ruleset::default()
            .handle_access(AccessFs::from_write(ABI::V5) | AccessFs::Execute)?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .restrict_self()?;
        Ok(())
    };
    let _ = locked();
}
