use super::{Class, Weather};
use async_trait::async_trait;
use core::time::Duration;
use rollback_core::ports::{Clock, Queued};
use rollback_core::{Label, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest time for which a process stands still: several leases.
const PAUSE_MAX: Duration = Duration::from_secs(90);

/// For how long an engine takes a notice. A request that reaches the chat later than that may meet
/// one of whoever has the notice by then: nobody can call it back.
const HOLD: Duration = Duration::from_secs(20);

const ALIVE: u8 = 0;
const PAUSED: u8 = 1;
const DEAD: u8 = 2;

/// One process, from its start to its death. What the dead would do never happens; who stands still
/// goes on later as if nothing had happened.
#[derive(Clone, Debug)]
pub struct Process {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    weather: Arc<Weather>,
    now: AtomicU8,
    /// The notices that it took to deliver them, and when.
    took: Mutex<BTreeMap<Label, Instant>>,
    /// Wakes those who wait in the order in which they began to; a watch channel would not.
    changed: Notify,
}

impl Process {
    /// A process in this weather.
    #[must_use]
    pub fn new(weather: &Arc<Weather>) -> Self {
        let shared = Shared {
            weather: Arc::clone(weather),
            now: AtomicU8::new(ALIVE),
            took: Mutex::default(),
            changed: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The weather it is in.
    #[must_use]
    pub fn weather(&self) -> &Arc<Weather> {
        &self.shared.weather
    }

    /// It took these notices to deliver them.
    pub(super) fn took(&self, queued: &[Queued]) {
        let mut took = self.shared.took.lock().unwrap_or_else(PoisonError::into_inner);
        took.extend(queued.iter().map(|queued| (queued.key.clone(), Instant::now())));
    }

    /// What it delivers under this key reaches the chat now.
    pub(super) fn delivers(&self, key: &Label) {
        let took = self.shared.took.lock().unwrap_or_else(PoisonError::into_inner);
        if took.get(key).is_none_or(|at| at.elapsed() > HOLD) {
            self.shared.weather.landed_late(key);
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.shared.now.load(Ordering::Relaxed) == DEAD
    }

    fn becomes(&self, now: u8) {
        if !self.is_dead() {
            self.shared.now.store(now, Ordering::Relaxed);
            self.shared.changed.notify_waiters();
        }
    }

    /// Kills it now.
    pub fn kill(&self) {
        self.becomes(DEAD);
    }

    /// Completes when it is dead.
    pub async fn ended(&self) {
        self.is(DEAD).await;
    }

    /// Completes at once while it lives, later while it stands still, and never when it is dead.
    pub(super) async fn alive(&self) {
        self.is(ALIVE).await;
    }

    async fn is(&self, wanted: u8) {
        while self.shared.now.load(Ordering::Relaxed) != wanted {
            // Whoever is the only thread changes it only while this waits.
            self.shared.changed.notified().await;
        }
    }

    /// A moment at which it may be killed, or be stopped for a while.
    pub(super) async fn moment(&self) {
        self.alive().await;
        let weather = &self.shared.weather;
        if weather.swarm().has(Class::Dropped) {
            // Here whoever asked may be gone.
            tokio::task::yield_now().await;
        }
        if weather.strikes(Class::Crash) {
            self.becomes(DEAD);
        } else if weather.strikes(Class::Pause) {
            self.stands_still(weather.wait(Class::Pause, PAUSE_MAX));
        }
        self.alive().await;
    }

    /// Stops it for so long, whoever waits meanwhile or is dropped.
    pub(super) fn stands_still(&self, lasts: Duration) {
        self.becomes(PAUSED);
        let process = self.clone();
        drop(tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            process.becomes(ALIVE);
        }));
    }
}

/// The clock of one process: right, or wrong by the same amount for as long as the process lives.
#[derive(Debug)]
pub struct ProcessClock {
    process: Process,
    right: Arc<dyn Clock>,
    ahead: Duration,
    behind: Duration,
}

impl ProcessClock {
    /// A clock that is right, unless the weather sets it wrong.
    #[must_use]
    pub fn new(process: &Process, right: &Arc<dyn Clock>) -> Self {
        let weather = process.weather();
        let (mut ahead, mut behind) = (Duration::ZERO, Duration::ZERO);
        if weather.strikes(Class::Clock) {
            let most = weather.draw(Class::Clock, |draw| draw.one_of(&[1, 20, 600]));
            let wrong = weather.wait(Class::Clock, Duration::from_secs(most));
            let side = weather.draw(Class::Clock, |draw| draw.one_in(2));
            *(if side { &mut ahead } else { &mut behind }) = wrong;
        }
        Self { process: process.clone(), right: Arc::clone(right), ahead, behind }
    }

    /// What the right clock shows when this one shows `at`.
    #[must_use]
    pub fn to_right(&self, at: Timestamp) -> Timestamp {
        let ahead = u64::try_from(self.ahead.as_millis()).unwrap_or(0);
        Timestamp::from_millis(at.after(self.behind).as_millis().saturating_sub(ahead))
    }

    /// What this clock shows when the right one shows `at`.
    #[must_use]
    pub fn from_right(&self, at: Timestamp) -> Timestamp {
        let behind = u64::try_from(self.behind.as_millis()).unwrap_or(0);
        Timestamp::from_millis(at.after(self.ahead).as_millis().saturating_sub(behind))
    }
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        self.from_right(self.right.now())
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.right.sleep_until(self.to_right(at)).await;
        // Who is dead or stands still does not even wake up.
        self.process.alive().await;
    }

    async fn sleep(&self, wait: Duration) {
        self.right.sleep(wait).await;
        self.process.alive().await;
    }
}
