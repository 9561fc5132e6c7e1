//! The memory of what was already dispatched.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::UnixSeconds;

/// How long an interaction is remembered: twice the signature's window, so that a captured request
/// is forgotten only when its signature is stale. So long by the wall clock, which judges signatures,
/// and so long in passing, since the wall clock may be ahead for a while and come back.
pub(crate) const REPLAY_MEMORY_SECONDS: i64 = 600;
const REPLAY_MEMORY: Duration = Duration::from_secs(600);
/// How many keys are remembered, at two a click: under 2 MB, and 13 clicks a second for the whole
/// time. Only signed requests get here, so no stranger can push an entry out.
pub(crate) const REPLAY_KEYS_MAX: usize = 16_384;

/// What an interaction is recognized by.
#[derive(Hash)]
pub(crate) enum Key<'a> {
    Signature([u8; 32]),
    Trigger(&'a str),
    Envelope(&'a str),
}

/// Whether an interaction was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Not within the memory. `forgotten` entries had to go before their time to make room.
    First {
        forgotten: u64,
    },
    Repeat,
}

/// 16 bytes under two keys of this process.
type Digest = [u64; 2];

/// Remembers digests, not texts.
#[derive(Debug)]
pub(crate) struct ReplayMemory {
    digest: [RandomState; 2],
    began: Instant,
    seen: Mutex<Seen>,
}

/// When an entry may be forgotten: both must have passed.
#[derive(Clone, Copy, Debug)]
struct Until {
    wall: UnixSeconds,
    elapsed: Duration,
}

#[derive(Debug, Default)]
struct Seen {
    keys: HashSet<Digest>,
    by_age: VecDeque<(Until, Digest)>,
}

impl ReplayMemory {
    pub(crate) fn new() -> Self {
        let digest = [RandomState::new(), RandomState::new()];
        Self { digest, began: Instant::now(), seen: Mutex::default() }
    }

    /// Remembers the keys, unless one of them is known already.
    pub(crate) fn see<'a>(&self, keys: &[Option<Key<'a>>], now: UnixSeconds) -> Sight {
        self.see_at(keys, now, self.began.elapsed())
    }

    fn see_at<'a>(&self, keys: &[Option<Key<'a>>], now: UnixSeconds, elapsed: Duration) -> Sight {
        let keys = keys.iter().flatten().map(|key| self.digest_of(key));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget_until(now, elapsed);
        let until = Until {
            wall: now.plus(REPLAY_MEMORY_SECONDS),
            elapsed: elapsed.saturating_add(REPLAY_MEMORY),
        };
        if keys.clone().any(|key| seen.keys.contains(&key)) {
            return Sight::Repeat;
        }
        let mut forgotten = 0;
        for key in keys {
            if seen.keys.len() >= REPLAY_KEYS_MAX && seen.forget_oldest() {
                forgotten += 1;
            }
            if seen.keys.insert(key) {
                seen.by_age.push_back((until, key));
            }
        }
        Sight::First { forgotten }
    }

    fn digest_of(&self, key: &Key<'_>) -> Digest {
        self.digest.each_ref().map(|half| half.hash_one(key))
    }
}

impl Seen {
    fn forget_until(&mut self, now: UnixSeconds, elapsed: Duration) {
        let is_over = |until: &Until| until.wall < now && until.elapsed < elapsed;
        while self.by_age.front().is_some_and(|(until, _)| is_over(until)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        self.by_age.pop_front().is_some_and(|(_, key)| self.keys.remove(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000);
    const FIRST: Sight = Sight::First { forgotten: 0 };

    #[test]
    fn any_known_key_makes_a_repeat() {
        let memory = ReplayMemory::new();
        let click = |signature, trigger| {
            memory.see(&[Some(Key::Signature([signature; 32])), Some(Key::Trigger(trigger))], NOW)
        };
        assert_eq!(click(1, "a"), FIRST);
        assert_eq!(click(1, "b"), Sight::Repeat);
        assert_eq!(click(2, "a"), Sight::Repeat);
        assert_eq!(click(2, "b"), FIRST, "a repeat leaves nothing behind");
    }

    #[test]
    fn keys_of_different_kinds_never_meet() {
        let memory = ReplayMemory::new();
        assert_eq!(memory.see(&[Some(Key::Trigger("x"))], NOW), FIRST);
        assert_eq!(memory.see(&[Some(Key::Envelope("x"))], NOW), FIRST);
    }

    #[test]
    fn an_entry_lives_for_its_time_and_not_a_second_longer() {
        let memory = ReplayMemory::new();
        let at = |seconds: i64| {
            let elapsed = Duration::from_secs(seconds.try_into().unwrap());
            memory.see_at(&[Some(Key::Trigger("x"))], NOW.plus(seconds), elapsed)
        };
        assert_eq!(at(0), FIRST);
        assert_eq!(at(REPLAY_MEMORY_SECONDS), Sight::Repeat);
        assert_eq!(at(REPLAY_MEMORY_SECONDS + 1), FIRST);
    }

    #[test]
    fn a_full_memory_forgets_the_oldest_and_says_so() {
        let memory = ReplayMemory::new();
        for number in 0..REPLAY_KEYS_MAX {
            assert_eq!(memory.see(&[Some(Key::Trigger(&number.to_string()))], NOW), FIRST);
        }
        let one_more = memory.see(&[Some(Key::Trigger("one more"))], NOW);
        assert_eq!(one_more, Sight::First { forgotten: 1 });
        assert_eq!(memory.see(&[Some(Key::Trigger("1"))], NOW), Sight::Repeat);
        assert_eq!(memory.see(&[Some(Key::Trigger("0"))], NOW), Sight::First { forgotten: 1 });
    }

    /// Its request could be sent again otherwise: the signature is good for minutes yet.
    #[test]
    fn a_clock_that_was_an_hour_ahead_and_came_back_has_forgotten_nothing() {
        let memory = ReplayMemory::new();
        assert_eq!(memory.see(&[Some(Key::Trigger("x"))], NOW), FIRST);
        assert_eq!(memory.see(&[Some(Key::Trigger("y"))], NOW.plus(3_600)), FIRST);
        assert_eq!(memory.see(&[Some(Key::Trigger("x"))], NOW.plus(5)), Sight::Repeat);
    }

    #[test]
    fn a_clock_that_steps_back_forgets_nothing() {
        let memory = ReplayMemory::new();
        assert_eq!(memory.see(&[Some(Key::Trigger("x"))], NOW), FIRST);
        assert_eq!(memory.see(&[Some(Key::Trigger("x"))], UnixSeconds(-5)), Sight::Repeat);
    }
}
