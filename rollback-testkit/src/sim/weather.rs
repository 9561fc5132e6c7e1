use super::{Class, Draw, Swarm};
use crate::invariants::Seen;
use crate::life::Log;
use core::time::Duration;
use rollback_core::Label;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// A fake that is broken on purpose: a simulator that does not find it finds nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a test names the one it plants")]
pub enum Canary {
    /// The CD system says that it fenced, and did not.
    FenceLies,
    /// The audit log says that it kept a record, and did not.
    SinkLies,
    /// The store lets anybody write under any claim.
    StoreForgetsClaims,
}

/// What goes wrong in a world, and what was seen of it.
#[derive(Debug)]
pub struct Weather {
    swarm: Swarm,
    canary: Option<Canary>,
    log: Log,
    healed: AtomicBool,
    /// Orders that are on their way to the CD system, whatever became of who sent them.
    on_their_way: AtomicUsize,
    streams: Mutex<BTreeMap<Class, Draw>>,
    outages: Mutex<BTreeMap<Class, Instant>>,
    counts: Mutex<BTreeMap<Class, u64>>,
    /// The messages of which a request reached the chat when its sender's time for it was up.
    late: Mutex<BTreeSet<Label>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Weather {
    /// The weather of a swarm.
    #[must_use]
    pub fn new(swarm: Swarm, canary: Option<Canary>) -> Self {
        Self {
            swarm,
            canary,
            log: Log::default(),
            healed: AtomicBool::new(false),
            on_their_way: AtomicUsize::new(0),
            streams: Mutex::default(),
            outages: Mutex::default(),
            counts: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// The swarm.
    #[must_use]
    pub const fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Whether this canary is planted.
    #[must_use]
    pub fn sings(&self, canary: Canary) -> bool {
        self.canary == Some(canary)
    }

    /// Nothing goes wrong from now on; what is on its way arrives.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    /// Whether it has healed.
    #[must_use]
    pub fn healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Whether this class strikes now.
    #[must_use]
    pub fn strikes(&self, class: Class) -> bool {
        if self.healed() {
            return false;
        }
        let rate = self.swarm.rate(class);
        if rate == 0 || self.draw(class, |draw| draw.below(10_000)) >= u64::from(rate) {
            return false;
        }
        *locked(&self.counts).entry(class).or_default() += 1;
        true
    }

    /// Whether what this class is about is out of order now. A strike puts it out of order for a
    /// while.
    #[must_use]
    pub fn is_out(&self, class: Class) -> bool {
        if self.healed() || !self.swarm.has(class) {
            return false;
        }
        let now = Instant::now();
        if locked(&self.outages).get(&class).is_some_and(|until| now < *until) {
            return true;
        }
        let struck = self.strikes(class);
        if struck {
            let most = self.draw(class, |draw| draw.one_of(&[3, 20, 90]));
            let lasts = self.wait(class, Duration::from_secs(most));
            locked(&self.outages).insert(class, now + lasts);
        }
        struck
    }

    /// A number from the stream of a class.
    pub fn draw<T>(&self, class: Class, draw: impl FnOnce(&mut Draw) -> T) -> T {
        let mut streams = locked(&self.streams);
        let number = 1 + Class::ALL.iter().take_while(|one| **one != class).count();
        let number = u64::try_from(number).unwrap_or(0);
        draw(streams.entry(class).or_insert_with(|| Draw::stream(self.swarm.seed, number)))
    }

    /// A time below `most` from the stream of a class.
    #[must_use]
    pub fn wait(&self, class: Class, most: Duration) -> Duration {
        self.draw(class, |draw| draw.within(most))
    }

    /// How often each class struck.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Class, u64> {
        locked(&self.counts).clone()
    }

    /// Everything that was seen below the engines.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn saw(&self, seen: Seen) {
        self.log.push(seen);
    }

    pub(super) fn landed_late(&self, key: &Label) {
        locked(&self.late).insert(key.clone());
    }

    /// The messages of which a request reached the chat after the time for which its sender had the
    /// notice: it stood still, or died, with the request on its way.
    #[must_use]
    pub fn late(&self) -> BTreeSet<Label> {
        locked(&self.late).clone()
    }

    pub(super) fn departs(&self) {
        self.on_their_way.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn arrives(&self) {
        self.on_their_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many orders are on their way to the CD system.
    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.on_their_way.load(Ordering::Relaxed)
    }
}
