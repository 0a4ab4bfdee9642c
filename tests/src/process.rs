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

/// A process and its children, whose memory is looked at again and again while they live.
#[derive(Debug)]
pub struct Family {
    head: u32,
    peak_of_head: u64,
    peak: u64,
    cpu_seconds: f64,
}

impl Family {
    /// The family of a process that runs.
    pub fn of(head: u32) -> Self {
        Self { head, peak_of_head: 0, peak: 0, cpu_seconds: 0.0 }
    }

    /// Looks once. A member that ends meanwhile is left out.
    pub fn look(&mut self) {
        let Some(head) = member(self.head) else { return };
        let others: u64 = children(self.head).into_iter().filter_map(member).sum();
        self.peak_of_head = self.peak_of_head.max(head);
        self.peak = self.peak.max(head + others);
        self.cpu_seconds = cpu_seconds(self.head);
    }

    /// Largest resident size of the process itself that was seen, in MiB.
    pub fn peak_of_head(&self) -> u64 {
        self.peak_of_head
    }

    /// Largest sum of all resident sizes that was seen, in MiB. Pages that they share count for each.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// CPU time of the process itself when it was last looked at.
    pub fn cpu_seconds(&self) -> f64 {
        self.cpu_seconds
    }
}

/// The processes that the threads of a process have started and that have not ended.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Resident size in MiB; `None` when the process has ended.
fn member(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1_024)
}
