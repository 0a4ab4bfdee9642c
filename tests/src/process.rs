//! What the kernel says of a process: its CPU time and its memory.

use std::fs;

/// Ticks per second of the times in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that Rust targets.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that the process has used, in user and kernel mode.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may hold anything: the fields are counted from its end. utime and stime are 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u32>().map(f64::from).unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Largest resident size since the start or since [`forget_peak`], in MiB.
pub fn peak_mib(pid: u32) -> u64 {
    status_mib(pid, "VmHWM:")
}

/// Resident size now, in MiB.
pub fn resident_mib(pid: u32) -> u64 {
    status_mib(pid, "VmRSS:")
}

fn status_mib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

/// Starts counting [`peak_mib`] from the present size.
pub fn forget_peak(pid: u32) {
    // 5 resets the peak, see proc(5). Not every container allows it: then the peak is the whole run's.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}
