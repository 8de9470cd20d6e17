//! What a process uses, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// A look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory in KiB.
    pub resident_kib: usize,
    /// The most resident memory there ever was, in KiB.
    pub peak_kib: usize,
    /// Processor time used so far, in hundredths of a second.
    pub cpu_ticks: u64,
}

impl Usage {
    /// Looks at a process; nothing when it is gone.
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold blanks, the rest may not.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: line(&status, "Threads:")?,
            resident_kib: line(&status, "VmRSS:")?,
            peak_kib: line(&status, "VmHWM:")?,
            cpu_ticks: ticks(11)? + ticks(12)?,
        })
    }
}

fn line(status: &str, name: &str) -> Option<usize> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The share of one processor that a process uses, measured over `time`.
pub(crate) async fn cpu_share(pid: u32, time: Duration) -> Option<f64> {
    let before = Usage::of(pid)?.cpu_ticks;
    tokio::time::sleep(time).await;
    let used = Usage::of(pid)?.cpu_ticks - before;
    Some(used as f64 / 100.0 / time.as_secs_f64())
}
