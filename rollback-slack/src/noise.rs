//! Limits the log lines about unsigned requests, which anybody can send: each is counted, and a few
//! lines a minute say how many there were.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often there is a line.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Counts refused requests between two log lines.
#[derive(Debug, Default)]
pub(crate) struct Noise(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    told_at: Option<Instant>,
    untold: u64,
}

impl Noise {
    /// Counts a refused request. When it is time for a log line, gives the number of requests since the
    /// last one, this one included.
    pub(crate) fn hear(&self, now: Instant) -> Option<u64> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.untold = heard.untold.saturating_add(1);
        let recently = |at: Instant| now.saturating_duration_since(at) < TELL_EVERY;
        if heard.told_at.is_some_and(recently) {
            return None;
        }
        heard.told_at = Some(now);
        Some(std::mem::take(&mut heard.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_noise_is_no_line_each_and_none_of_it_is_forgotten() {
        let (noise, start) = (Noise::default(), Instant::now());
        assert_eq!(noise.hear(start), Some(1), "the first one at once");
        let told = (1..=9_999).filter_map(|n| noise.hear(start + Duration::from_millis(n)));
        assert_eq!(told.count(), 0);
        assert_eq!(noise.hear(start + TELL_EVERY), Some(10_000));
    }
}
