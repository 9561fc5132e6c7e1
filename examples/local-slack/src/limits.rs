//! Slack's rate limits: posts per channel, calls per method and minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::options::Rate;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Limits {
    posts: Option<Rate>,
    per_minute: BTreeMap<String, u32>,
    buckets: BTreeMap<String, Bucket>,
    windows: BTreeMap<String, Vec<Instant>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limits {
    pub(crate) fn new(posts: Option<Rate>, per_minute: BTreeMap<String, u32>) -> Self {
        Self { posts, per_minute, buckets: BTreeMap::new(), windows: BTreeMap::new() }
    }

    /// Admits a call of `method`, or says for how many seconds it must wait.
    pub(crate) fn call(&mut self, method: &str, now: Instant) -> Result<(), u32> {
        let Some(limit) = self.per_minute.get(method) else { return Ok(()) };
        let window = self.windows.entry(method.to_owned()).or_default();
        window.retain(|at| now.duration_since(*at) < MINUTE);
        if window.len() < usize::try_from(*limit).unwrap_or(usize::MAX) {
            window.push(now);
            return Ok(());
        }
        let oldest = window.first().map_or(Duration::ZERO, |at| now.duration_since(*at));
        Err(whole_seconds(MINUTE.saturating_sub(oldest).as_secs_f64()))
    }

    /// Admits a post to `channel`, or says for how many seconds it must wait.
    pub(crate) fn post(&mut self, channel: &str, now: Instant) -> Result<(), u32> {
        let Some(rate) = self.posts else { return Ok(()) };
        let full = f64::from(rate.burst);
        let bucket =
            self.buckets.entry(channel.to_owned()).or_insert(Bucket { tokens: full, at: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * f64::from(rate.per_second);
        bucket.tokens = (bucket.tokens + gained).min(full);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(whole_seconds((1.0 - bucket.tokens) / f64::from(rate.per_second)))
    }
}

/// Rounds up; at least 1, as Slack never says 0.
fn whole_seconds(seconds: f64) -> u32 {
    let whole = Duration::from_secs_f64(seconds.max(0.0).ceil()).as_secs();
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_takes_its_burst_and_then_one_post_a_second() {
        let start = Instant::now();
        let mut limits = Limits::new(Some(Rate { per_second: 1, burst: 3 }), BTreeMap::new());
        for _ in 0..3 {
            assert_eq!(limits.post("C1", start), Ok(()));
        }
        assert_eq!(limits.post("C1", start), Err(1));
        assert_eq!(limits.post("C2", start), Ok(()), "another channel has its own bucket");
        assert_eq!(limits.post("C1", start + Duration::from_secs(1)), Ok(()));
        assert_eq!(limits.post("C1", start + Duration::from_secs(1)), Err(1));
    }

    #[test]
    fn a_method_is_free_again_a_minute_after_its_oldest_call() {
        let start = Instant::now();
        let mut limits = Limits::new(None, BTreeMap::from([("x".to_owned(), 2)]));
        assert_eq!(limits.call("x", start), Ok(()));
        assert_eq!(limits.call("x", start + Duration::from_secs(20)), Ok(()));
        assert_eq!(limits.call("x", start + Duration::from_secs(25)), Err(35));
        assert_eq!(limits.call("y", start + Duration::from_secs(25)), Ok(()));
        assert_eq!(limits.call("x", start + Duration::from_secs(60)), Ok(()));
    }
}
