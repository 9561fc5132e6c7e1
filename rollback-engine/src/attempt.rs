//! Counts attempts to work on a rollback, in the store, before each one: a rollback that crashes the
//! process is not retried for ever.
//!
//! An attempt ends after two complete rounds without a crash. The attempts that were open when a
//! process died mark suspects; suspects are retried one at a time, fewest attempts first, so that only
//! the guilty one is running at the next crash.

use crate::engine::Inner;
use rollback_core::ports::{Claim, StoreError};
use rollback_core::{Label, RollbackId, Timestamp};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How many attempts may crash. One crash may be chance and two a failing machine; after three the
/// rollback is quarantined.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// How many complete rounds without a crash end an attempt: one look, and the one after the wait.
const ROUNDS: u32 = 2;

/// How long the other suspects wait for one. Longer than most looks; waiting for a CD system that hangs
/// crashes nothing.
const TRIAL_MAX: Duration = Duration::from_secs(10);

/// How long a rollback with several open attempts lets the other suspects go first.
const AFTER_OTHERS: Duration = Duration::from_millis(500);

/// One attempt. A step that is stored begins the next one in the same transaction.
#[derive(Debug)]
pub(crate) struct Attempt {
    name: Label,
    counted: Counted,
    pulse: Arc<Pulse>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counted {
    /// It is, and is under way.
    Yes,
    No,
    /// It was, and has ended without a crash.
    Survived,
}

/// Counts the complete rounds of the work.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    rounds: AtomicU32,
    /// Enough rounds are complete.
    over: Notify,
}

impl Pulse {
    /// Another round is complete.
    pub(crate) fn beat(&self) {
        if self.rounds.fetch_add(1, Ordering::AcqRel).saturating_add(1) == ROUNDS {
            self.over.notify_one();
        }
    }

    fn has_come_round(&self) -> bool {
        self.rounds.load(Ordering::Acquire) >= ROUNDS
    }

    /// Completes when enough rounds are complete, once.
    pub(crate) async fn over(&self) {
        self.over.notified().await;
    }
}

impl Attempt {
    pub(crate) fn new(inner: &Inner) -> Self {
        Self { name: inner.new_attempt(), counted: Counted::No, pulse: Arc::default() }
    }

    /// Whatever starts from now on is another attempt.
    pub(crate) fn anew(&mut self, inner: &Inner) {
        if self.counted != Counted::No {
            *self = Self::new(inner);
        }
    }

    /// A step was stored, and the next attempt with it.
    pub(crate) fn goes_on(&mut self) {
        (self.counted, self.pulse) = (Counted::Yes, Arc::default());
    }

    /// Its count of rounds.
    pub(crate) const fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Whether it has ended without a crash, and that is not stored yet.
    pub(crate) fn is_over(&self) -> bool {
        self.counted == Counted::Yes && self.pulse.has_come_round()
    }

    /// Stores that it has ended without a crash.
    pub(crate) async fn survived(
        &mut self,
        inner: &Inner,
        claim: &Claim,
    ) -> Result<(), StoreError> {
        inner.store.survived(claim).await?;
        self.counted = Counted::Survived;
        Ok(())
    }

    /// Counts it, unless it is counted. True when it is one too many: then it must not be made.
    pub(crate) async fn is_one_too_many(
        &mut self,
        inner: &Inner,
        claim: &Claim,
    ) -> Result<bool, StoreError> {
        if self.counted != Counted::No {
            return Ok(false);
        }
        let attempts = inner.store.attempt(claim, &self.name).await?;
        if attempts <= ATTEMPTS_MAX {
            self.counted = Counted::Yes;
        }
        Ok(attempts > ATTEMPTS_MAX)
    }
}

/// The rollbacks that were being worked on when a process died, and which of them is retried now.
#[derive(Debug)]
pub(crate) struct Suspects {
    bench: Mutex<Bench>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Bench {
    on_trial: Option<RollbackId>,
    /// Each with its number of open attempts: fewer go first.
    waiting: BTreeSet<(u32, RollbackId)>,
}

impl Default for Suspects {
    fn default() -> Self {
        Self { bench: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Suspects {
    fn bench(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the turn of this one.
    fn admits(&self, id: &RollbackId, attempts: u32) -> bool {
        let mut bench = self.bench();
        if bench.on_trial.as_ref() == Some(id) {
            return true;
        }
        bench.waiting.insert((attempts, id.clone()));
        if bench.on_trial.is_some() || bench.waiting.first().is_none_or(|(_, first)| first != id) {
            return false;
        }
        bench.waiting.remove(&(attempts, id.clone()));
        bench.on_trial = Some(id.clone());
        true
    }

    fn leaves(&self, id: &RollbackId, attempts: u32) {
        let mut bench = self.bench();
        bench.waiting.remove(&(attempts, id.clone()));
        if bench.on_trial.as_ref() == Some(id) {
            bench.on_trial = None;
        }
        drop(bench);
        self.changed.send_replace(());
    }
}

/// A rollback that may have crashed a process, until an attempt has ended without a crash.
#[derive(Debug)]
pub(crate) struct Suspect {
    inner: Arc<Inner>,
    id: RollbackId,
    attempts: u32,
    changed: watch::Receiver<()>,
    /// When it lets others go first no longer.
    from: Timestamp,
    /// Until when the others wait for it; none before it is its turn.
    until: Option<Timestamp>,
}

impl Suspect {
    pub(crate) fn new(inner: &Arc<Inner>, id: &RollbackId, attempts: u32) -> Self {
        let now = inner.clock.now();
        Self {
            inner: Arc::clone(inner),
            id: id.clone(),
            attempts,
            changed: inner.suspects.changed.subscribe(),
            from: if attempts > 1 { now.after(AFTER_OTHERS) } else { now },
            until: None,
        }
    }

    /// Whether it has not had its turn yet.
    pub(crate) const fn waits(&self) -> bool {
        self.until.is_none()
    }

    /// Whether it may be worked on now.
    pub(crate) fn may_go(&mut self) -> bool {
        if self.until.is_some() {
            return true;
        }
        self.changed.mark_unchanged();
        let now = self.inner.clock.now();
        // No longer than it was meant to be, also where the clock was set back.
        self.from = self.from.min(now.after(AFTER_OTHERS));
        if now < self.from || !self.inner.suspects.admits(&self.id, self.attempts) {
            return false;
        }
        self.until = Some(now.after(TRIAL_MAX));
        true
    }

    /// Whether the others have waited long enough.
    pub(crate) fn has_had_its_time(&mut self) -> bool {
        let now = self.inner.clock.now();
        self.until = self.until.map(|until| until.min(now.after(TRIAL_MAX)));
        self.until.is_some_and(|until| now >= until)
    }

    /// Completes when it is worth asking again.
    pub(crate) async fn news(&mut self) {
        let clock = &self.inner.clock;
        match self.until {
            Some(until) => clock.sleep(until.since(clock.now()).min(TRIAL_MAX)).await,
            None if clock.now() < self.from => {
                clock.sleep(self.from.since(clock.now()).min(AFTER_OTHERS)).await;
            }
            // The sender lives as long as the engine.
            None => drop(self.changed.changed().await),
        }
    }
}

impl Drop for Suspect {
    fn drop(&mut self) {
        self.inner.suspects.leaves(&self.id, self.attempts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::fixtures::parsed;

    #[test]
    fn one_suspect_at_a_time_is_admitted_and_whoever_has_fewer_attempts_goes_first() {
        let (a, b, c) = (parsed("rb-a"), parsed("rb-b"), parsed("rb-c"));
        let suspects = Suspects::default();
        assert!(suspects.admits(&b, 1));
        assert!(!suspects.admits(&a, 2), "another one is on trial");
        assert!(!suspects.admits(&c, 1));
        assert!(suspects.admits(&b, 1), "asked again");
        suspects.leaves(&b, 1);
        assert!(!suspects.admits(&a, 2), "it has more");
        assert!(suspects.admits(&c, 1));
        suspects.leaves(&c, 1);
        suspects.leaves(&c, 1);
        assert!(suspects.admits(&a, 2));
    }

    #[test]
    fn work_has_come_round_after_the_second_look() {
        let pulse = Pulse::default();
        pulse.beat();
        assert!(!pulse.has_come_round());
        pulse.beat();
        assert!(pulse.has_come_round());
        pulse.beat();
        assert!(pulse.has_come_round());
    }
}
