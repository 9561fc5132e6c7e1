//! Figures: what it cost, and how long it took.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What processes have used.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "figures")]
pub struct Cost {
    /// CPU of all of them.
    pub cpu: Duration,
    /// The memory of the largest.
    pub rss_bytes: u64,
    /// Rollbacks that are open in them.
    pub open: usize,
    /// Rollbacks that they refused to open.
    pub refused: u64,
}

impl Cost {
    /// What this process has used so far.
    #[must_use]
    pub fn so_far() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default();
        Self { cpu, rss_bytes: rss_bytes(), open: 0, refused: 0 }
    }

    /// All of these together.
    #[must_use]
    pub fn of_all(costs: &[Self]) -> Self {
        costs.iter().fold(Self::default(), |all, one| Self {
            cpu: all.cpu + one.cpu,
            rss_bytes: all.rss_bytes.max(one.rss_bytes),
            open: all.open + one.open,
            refused: all.refused + one.refused,
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.rss_bytes / (1 << 20);
        write!(f, "{:.1} s of CPU, {mib} MiB in the largest process", self.cpu.as_secs_f64())
    }
}

/// What is in memory; nothing where the system does not say.
fn rss_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    resident.unwrap_or_default() * 4_096
}

/// How long many things took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "figures")]
pub struct Percentiles {
    /// How many there were.
    pub count: usize,
    /// The middle one.
    pub p50: Duration,
    /// The slowest but one in a hundred.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

impl Percentiles {
    /// Of these.
    #[must_use]
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |percent: usize| {
            let index = (all.len() * percent / 100).min(all.len().saturating_sub(1));
            all.get(index).copied().unwrap_or_default()
        };
        Self { count: all.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (p50, p99, max) = (ms(self.p50), ms(self.p99), ms(self.max));
        write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms of {}", self.count)
    }
}
