//! Background loops, supervised: one that panics is begun anew after a pause, and counted.

use crate::engine::{Engine, Inner};
use futures_util::FutureExt as _;
use rollback_core::Timestamp;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The pause after the first panic; it doubles with each that follows soon.
const RESTART_MIN: Duration = Duration::from_secs(1);

/// The longest pause: people wait for what the loop does.
const RESTART_MAX: Duration = Duration::from_secs(30);

/// A loop that has not panicked for this long is well again.
const CALM: Duration = Duration::from_secs(300);

/// How a background loop of this process stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LoopStanding {
    /// What it does: `outbox`, `audit export`, …
    pub name: &'static str,
    /// How often it panicked.
    pub panics: u64,
    /// Since when it panics again and again; none while it is well.
    pub failing_since: Option<Timestamp>,
}

/// The background loops, and how often each panicked.
#[derive(Debug, Default)]
pub(crate) struct Loops(Mutex<BTreeMap<&'static str, Panics>>);

#[derive(Clone, Copy, Debug, Default)]
struct Panics {
    count: u64,
    /// Panics one soon after the other, and since when.
    in_a_row: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Panics {
    fn failing_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.first.filter(|_| self.in_a_row > 1 && self.is_recent(now))
    }

    fn is_recent(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| now.since(last) < CALM)
    }
}

impl Loops {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, Panics>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun(&self, name: &'static str) {
        self.locked().entry(name).or_default();
    }

    fn panicked(&self, name: &'static str, now: Timestamp) {
        let mut loops = self.locked();
        let panics = loops.entry(name).or_default();
        if !panics.is_recent(now) {
            (panics.in_a_row, panics.first) = (0, Some(now));
        }
        panics.count = panics.count.saturating_add(1);
        panics.in_a_row = panics.in_a_row.saturating_add(1);
        panics.last = Some(now);
    }

    pub(crate) fn standing(&self, now: Timestamp) -> Vec<LoopStanding> {
        let loops = self.locked();
        let standing = |(name, panics): (&&'static str, &Panics)| LoopStanding {
            name,
            panics: panics.count,
            failing_since: panics.failing_since(now),
        };
        loops.iter().map(standing).collect()
    }
}

impl Engine {
    /// How the background loops of this process stand. One that panics is begun anew after a pause;
    /// while it does so again and again, what it does is late or is not done.
    #[must_use]
    pub fn loops(&self) -> Vec<LoopStanding> {
        self.inner.loops.standing(self.inner.clock.now())
    }
}

/// Runs a loop until it returns, and begins it anew when it panics.
pub(crate) fn spawn<F>(
    inner: &Arc<Inner>,
    name: &'static str,
    run: impl Fn(Arc<Inner>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    inner.loops.begun(name);
    let inner = Arc::clone(inner);
    inner.tasks.clone().spawn(async move {
        let mut pause = RESTART_MIN;
        loop {
            let began = inner.clock.now();
            let Err(panic) = AssertUnwindSafe(run(Arc::clone(&inner))).catch_unwind().await else {
                return;
            };
            let now = inner.clock.now();
            inner.loops.panicked(name, now);
            let what = said(panic.as_ref());
            tracing::error!(%name, %what, "a background loop panicked; it is begun anew after a pause");
            if now.since(began) > CALM {
                pause = RESTART_MIN;
            }
            tokio::select! {
                biased;
                () = inner.stopping.cancelled() => return,
                () = inner.clock.sleep(pause) => {}
            }
            pause = pause.saturating_mul(2).min(RESTART_MAX);
        }
    });
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_loop_that_panics_again_fails_since_its_first_panic_until_it_has_been_calm_for_a_while() {
        let loops = Loops::default();
        loops.begun("outbox");
        let standing = |seconds| {
            let [standing] = loops.standing(at(seconds)).try_into().unwrap();
            let LoopStanding { name, panics, failing_since } = standing;
            assert_eq!(name, "outbox");
            (panics, failing_since)
        };
        assert_eq!(standing(0), (0, None));
        loops.panicked("outbox", at(10));
        assert_eq!(standing(10), (1, None), "one panic, and it is begun anew");
        loops.panicked("outbox", at(200));
        assert_eq!(standing(200), (2, Some(at(10))));
        assert_eq!(standing(499), (2, Some(at(10))));
        assert_eq!(standing(500), (2, None), "calm for five minutes");
        loops.panicked("outbox", at(600));
        assert_eq!(standing(600), (3, None));
        loops.panicked("outbox", at(601));
        assert_eq!(standing(601), (4, Some(at(600))));
    }
}
