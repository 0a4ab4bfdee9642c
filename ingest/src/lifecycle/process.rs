//! Tells whether a process that signed something on this machine has died, so that nobody waits for a dead one's lease.
//! Never guesses: a process that cannot be looked at from here counts as alive.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// What names a process of this machine, now and for ever: machine and boot, namespace, user, number, beginning.
pub(super) fn signature() -> Option<String> {
    let process = std::process::id();
    Some(format!("{} {process} {}", place()?, beginning(process)?))
}

/// Whether the process that signed this way ran here and is there no more.
pub(super) fn has_died(signature: &str) -> bool {
    let Some(rest) = place().and_then(|place| signature.strip_prefix(&format!("{place} "))) else {
        return false;
    };
    let Some((process, begun)) = rest.split_once(' ') else { return false };
    process.parse().is_ok_and(|process| beginning(process).is_none_or(|found| found != begun))
}

/// Where processes see each other: one boot of one machine, one namespace of it. The user belongs to it since the system
/// can hide other users' processes.
fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let user = fs::metadata("/proc/self").ok()?.uid();
    Some(format!("{} {} {user}", boot.trim(), namespace.display()))
}

/// When a process began, in the system's own ticks; `None` when it is not there, or dead and not buried.
fn beginning(process: u32) -> Option<String> {
    /// Place of the beginning among the fields behind the program's name: field 22 of proc(5), which counts from 1.
    const BEGINNING: usize = 19;
    let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything.
    let (_, fields) = status.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let begun = fields.nth(BEGINNING.checked_sub(1)?)?;
    (!matches!(state, "Z" | "X")).then(|| begun.to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn signature_of(child: &Child) -> String {
        format!("{} {} {}", place().unwrap(), child.id(), beginning(child.id()).unwrap())
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_process_is_alive_until_it_is_killed() {
        assert!(!has_died(&signature().unwrap()));
        let mut child = sleeper();
        let signed = signature_of(&child);
        assert!(!has_died(&signed));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_died(&signed));
    }

    #[test]
    fn another_process_of_the_same_number_is_another_process() {
        let signed = signature().unwrap();
        let (same, _) = signed.rsplit_once(' ').unwrap();
        assert!(has_died(&format!("{same} 1")));
    }

    #[test]
    fn who_cannot_be_seen_from_here_counts_as_alive() {
        let signed = signature().unwrap();
        let elsewhere = signed.replacen(|c: char| c.is_ascii_hexdigit(), "x", 1);
        assert!(!has_died(&elsewhere));
        assert!(!has_died("nonsense"));
        assert!(!has_died(&format!("{} many 1", place().unwrap())));
    }
}
