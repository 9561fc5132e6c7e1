//! The clock of the machine, and time-outs on any clock.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use rollback_core::Timestamp;
use rollback_core::ports::{Clock, Query, Store, StoreError};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// How far the wall clock and the counted time may be apart before the wall clock is followed: a
/// clock that is slewed differs by less, and a thread that was not scheduled between two readings is
/// allowed for besides.
const STEP_MIN: Duration = Duration::from_millis(500);

/// How long a sleep lasts at most before the clock is looked at again. Whoever reads a clock that was
/// set wakes all sleepers; this is for a machine on which nobody does.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The machine's wall clock. Between two readings time is counted, so that it does not waver; when
/// somebody sets the clock, or the machine was suspended, it is followed: a deadline is a time of day
/// that people were told. So it may go back; within a rollback time never does.
#[derive(Debug)]
pub struct SystemClock {
    source: Box<dyn Source>,
    /// The wall clock's time, in milliseconds, when counting began.
    began: AtomicI64,
    /// The wall clock was set.
    moved: Notify,
}

/// Where a clock's time comes from.
trait Source: fmt::Debug + Send + Sync {
    /// The time of day, in milliseconds since 1970.
    fn wall(&self) -> i64;
    /// How long this has been counting. Does not go back, and may stand still while the machine is
    /// suspended.
    fn counted(&self) -> Duration;
}

#[derive(Debug)]
struct Machine(std::time::Instant);

impl Source for Machine {
    fn wall(&self) -> i64 {
        millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn counted(&self) -> Duration {
        self.0.elapsed()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl SystemClock {
    /// The clock of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Machine(std::time::Instant::now()))
    }

    fn of(source: impl Source + 'static) -> Self {
        let began = source.wall().saturating_sub(millis(source.counted()));
        Self { source: Box::new(source), began: AtomicI64::new(began), moved: Notify::new() }
    }

    fn millis_now(&self) -> i64 {
        // Whoever is not scheduled in between has not seen the clock being set.
        let before = millis(self.source.counted());
        let wall = self.source.wall();
        let after = millis(self.source.counted());
        let began = self.began.load(Ordering::Acquire);
        let (earliest, latest) = (began.saturating_add(before), began.saturating_add(after));
        let apart = match wall {
            wall if wall < earliest => wall.saturating_sub(earliest),
            wall if wall > latest => wall.saturating_sub(latest),
            _ => 0,
        };
        if apart.saturating_abs() < millis(STEP_MIN) {
            return latest;
        }
        self.follow(began, wall.saturating_sub(after), apart);
        wall
    }

    /// Counts from another time of day on, unless somebody else has seen the same step.
    fn follow(&self, before: i64, began: i64, apart: i64) {
        let order = Ordering::AcqRel;
        if self.began.compare_exchange(before, began, order, Ordering::Relaxed).is_ok() {
            tracing::warn!(
                milliseconds = apart,
                "the machine's clock was set, or the machine was suspended; the new time is followed"
            );
            self.moved.notify_waiters();
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.millis_now()).unwrap_or(0))
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(left.min(LOOK_EVERY)) => {}
                () = moved => {}
            }
        }
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// How far the machine's clock may be behind what was recorded last: other machines' clocks differ.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// What this process knows of clocks that went back.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// Whether the machine's own was behind what was recorded before this process began.
    behind: AtomicBool,
    told: AtomicU64,
}

impl Steps {
    /// How often a clock went back.
    pub(crate) fn back(&self, store: &dyn Store) -> u64 {
        store.clock_steps().back.saturating_add(u64::from(self.behind.load(Ordering::Relaxed)))
    }

    /// Compares the machine's clock with the last record, once, at the start. Claims and deadlines of
    /// the process before this one go by its clock, and end later by this one.
    pub(crate) async fn compare(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut query = Query::all(1);
        query.after = store.head().await?.sequence.saturating_sub(1);
        let Some(last) = store.audit(&query).await?.pop() else { return Ok(()) };
        let behind = last.draft.at.since(now);
        if behind > BEHIND_MAX {
            self.behind.store(true, Ordering::Relaxed);
            tracing::error!(
                seconds = behind.as_secs(),
                "this machine's clock is behind the last audit record; what another process had claimed waits for longer"
            );
        }
        Ok(())
    }

    /// Tells of what the store has seen of its own clock since the last look.
    pub(crate) fn look(&self, store: &dyn Store) {
        let steps = store.clock_steps();
        if self.told.swap(steps.back, Ordering::Relaxed) < steps.back {
            tracing::error!(
                seconds = steps.furthest.as_secs(),
                "the store's clock went back; what a process had claimed that died waits for longer"
            );
        }
    }
}

/// Awaits what an adapter answers for at most `bound`. An adapter that panics has not answered:
/// what waits for it goes on, and so does whatever else its task does.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    bound: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let caught = AssertUnwindSafe(within_or_panic(clock, bound, future)).catch_unwind().await;
    caught.unwrap_or_else(|_panic| {
        tracing::error!("an adapter panicked");
        None
    })
}

/// Awaits `future` for at most `within`, whatever is done to the clock meanwhile.
pub(crate) async fn within_or_panic<T>(
    clock: &dyn Clock,
    within: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = clock.sleep(within) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A machine whose clocks are told what they say.
    #[derive(Clone, Debug)]
    struct Told(Arc<Mutex<(i64, Duration)>>);

    impl Told {
        fn at(wall: i64) -> Self {
            Self(Arc::new(Mutex::new((wall, Duration::ZERO))))
        }

        fn set(&self, wall: i64) {
            self.0.lock().unwrap().0 = wall;
        }

        /// Both go on.
        fn pass(&self, seconds: u64) {
            let mut told = self.0.lock().unwrap();
            told.0 += i64::try_from(seconds).unwrap() * 1_000;
            told.1 += Duration::from_secs(seconds);
        }

        fn wall_moves(&self, millis: i64) {
            self.0.lock().unwrap().0 += millis;
        }
    }

    impl Source for Told {
        fn wall(&self) -> i64 {
            self.0.lock().unwrap().0
        }

        fn counted(&self) -> Duration {
            self.0.lock().unwrap().1
        }
    }

    const NOON: i64 = 1_795_348_800_000;

    fn read(clock: &SystemClock) -> i64 {
        i64::try_from(clock.now().as_millis()).unwrap() - NOON
    }

    #[test]
    fn a_clock_that_is_set_is_followed_forward_and_back() {
        let machine = Told::at(NOON);
        let clock = SystemClock::of(machine.clone());
        machine.pass(10);
        assert_eq!(read(&clock), 10_000);
        machine.wall_moves(3_600_000);
        assert_eq!(read(&clock), 3_610_000, "an hour ahead");
        machine.pass(5);
        assert_eq!(read(&clock), 3_615_000, "and on from there");
        machine.wall_moves(-3_600_000);
        assert_eq!(read(&clock), 15_000, "and back");
        machine.pass(1);
        assert_eq!(read(&clock), 16_000);
    }

    #[test]
    fn a_suspended_machine_has_lost_no_time() {
        let machine = Told::at(NOON);
        let clock = SystemClock::of(machine.clone());
        machine.pass(1);
        // Nothing was counted meanwhile.
        machine.wall_moves(8 * 3_600_000);
        assert_eq!(read(&clock), 8 * 3_600_000 + 1_000);
    }

    #[test]
    fn what_a_daemon_slews_makes_no_jumps_until_it_is_much() {
        let machine = Told::at(NOON);
        let clock = SystemClock::of(machine.clone());
        for _second in 0..4 {
            machine.pass(1);
            machine.wall_moves(-100);
        }
        assert_eq!(read(&clock), 4_000, "less than the bound is not followed");
        machine.wall_moves(-100);
        assert_eq!(read(&clock), 3_500, "more is");
    }

    #[test]
    fn before_1970_it_is_1970() {
        let machine = Told::at(NOON);
        let clock = SystemClock::of(machine.clone());
        machine.set(-5_000);
        assert_eq!(clock.now(), Timestamp::from_millis(0));
        machine.set(NOON);
        assert_eq!(read(&clock), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sleeps_until_a_time_of_day_wakes_when_the_clock_is_set_past_it() {
        let machine = Told::at(NOON);
        let clock = Arc::new(SystemClock::of(machine.clone()));
        let at = clock.now().after(Duration::from_secs(1_800));
        let (sleeper, began) = (Arc::clone(&clock), tokio::time::Instant::now());
        let sleeper = tokio::spawn(async move { sleeper.sleep_until(at).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!sleeper.is_finished());
        machine.wall_moves(3_600_000);
        // Anybody's reading of the clock tells the others.
        let _now = clock.now();
        sleeper.await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sleeps_until_a_time_of_day_sleeps_on_when_the_clock_goes_back() {
        let machine = Told::at(NOON);
        let clock = Arc::new(SystemClock::of(machine.clone()));
        let at = clock.now().after(Duration::from_secs(10));
        let sleeper = Arc::clone(&clock);
        let sleeper = tokio::spawn(async move { sleeper.sleep_until(at).await });
        tokio::task::yield_now().await;
        machine.wall_moves(-3_600_000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!sleeper.is_finished(), "it is an hour too early");
        machine.wall_moves(3_610_000);
        tokio::time::sleep(LOOK_EVERY).await;
        sleeper.await.unwrap();
    }
}
