//! Remembers answers: bounded in number, used only up to the age that a caller allows, and asked for
//! once however many callers wait.
//!
//! A question may wait for the rate limit before it is sent. Callers that arrive in the meantime share
//! its answer: an answer to a question that was sent after a caller arrived is as fresh as its own.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::ports::{Clock, Freshness};
use rollback_core::{Fact, Timestamp};

/// An answer, or why there is none.
#[derive(Clone, Debug)]
struct Answer<V> {
    /// Drawn when the question was sent; a question of somebody with a lower number came before.
    asked: u64,
    observed_at: Timestamp,
    value: Result<V, Unheard>,
}

/// One key. Whoever holds the lock asks; the others wait for the answer.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Answer<V>>>>;

struct Entry<V> {
    slot: Slot<V>,
    used: u64,
    /// What was heard last, however long ago. Says what is likely and decides nothing.
    last: Option<V>,
}

/// When a question was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    turn: u64,
    at: Timestamp,
}

impl Sent {
    /// The same for an answer that was observed at another moment.
    pub(super) const fn observed_at(self, at: Timestamp) -> Self {
        Self { turn: self.turn, at }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Unheard {
    /// The source does not know what was asked about: it answered.
    NotKnown(String),
    /// Our own pace, or the source's, held the question back.
    HeldBack(String),
    /// The source did not answer.
    Failed(String),
}

impl Unheard {
    pub(super) fn why(&self) -> &str {
        match self {
            Self::NotKnown(why) | Self::HeldBack(why) | Self::Failed(why) => why,
        }
    }
}

pub(super) struct Cache<K, V> {
    entries: Mutex<HashMap<K, Entry<V>>>,
    entries_max: usize,
    turns: AtomicU64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("entries_max", &self.entries_max).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash + Send + Sync, V: Clone + Send> Cache<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: Mutex::default(), entries_max, turns: AtomicU64::new(0) }
    }

    /// Notes that a question is sent now.
    pub(super) fn sent(&self, clock: &dyn Clock) -> Sent {
        Sent { turn: self.turn(), at: clock.now() }
    }

    /// Notes that a caller arrives; see [`Self::fact`].
    pub(super) fn comes(&self) -> u64 {
        self.turn()
    }

    /// What was heard last about `key`, however long ago.
    pub(super) fn last(&self, key: &K) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key)?.last.clone()
    }

    /// What is remembered about `key` and at most so old.
    pub(super) async fn known(
        &self,
        key: &K,
        age_max: Duration,
        clock: &dyn Clock,
    ) -> Option<(V, Timestamp)> {
        let slot = self.slot(key, self.comes());
        let held = slot.lock().await;
        let answer = held.as_ref()?;
        let value = answer.value.as_ref().ok()?;
        let is_young = is_young(answer.observed_at, clock.now(), age_max);
        is_young.then(|| (value.clone(), answer.observed_at))
    }

    /// What is known about `key` to somebody who `came`: remembered where `freshness` allows it, asked
    /// otherwise. The age of an answer counts from when the question was sent.
    pub(super) async fn fact(
        &self,
        key: &K,
        came: u64,
        freshness: Freshness,
        clock: &dyn Clock,
        ask: impl Future<Output = (Sent, Result<V, Unheard>)> + Send,
    ) -> Result<(V, Timestamp), Unheard> {
        let slot = self.slot(key, came);
        let mut held = slot.lock().await;
        if let Some(answer) = held.as_ref() {
            let enough = match (&answer.value, freshness) {
                // An answer to a question that was sent after the caller arrived is as fresh as its
                // own, a failure too: while Slack is down nobody waits for everybody before them.
                _ if answer.asked > came => true,
                (Ok(_), Freshness::AtMost(age)) => is_young(answer.observed_at, clock.now(), age),
                (Ok(_), Freshness::Now) | (Err(_), _) => false,
            };
            if enough {
                return told(answer.clone());
            }
        }
        // Gone before the question: who drops this future must not leave the old answer as new.
        *held = None;
        let (sent, value) = ask.await;
        let answer = Answer { asked: sent.turn, observed_at: sent.at, value };
        *held = Some(answer.clone());
        if let Ok(value) = &answer.value {
            self.remember(key, value);
        }
        told(answer)
    }

    fn remember(&self, key: &K, value: &V) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(key) {
            entry.last = Some(value.clone());
        }
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn slot(&self, key: &K, used: u64) -> Slot<V> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(key) {
            entry.used = used;
            return Arc::clone(&entry.slot);
        }
        if entries.len() >= self.entries_max {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                entries.remove(&key);
            }
        }
        let slot = Slot::default();
        entries.insert(key.clone(), Entry { slot: Arc::clone(&slot), used, last: None });
        slot
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Whether an answer is at most so old. One from the future, by a clock that was put back, would never
/// grow old, and nobody could decide anything on it.
fn is_young(observed_at: Timestamp, now: Timestamp, age_max: Duration) -> bool {
    observed_at <= now && now.since(observed_at) <= age_max
}

fn told<V>(answer: Answer<V>) -> Result<(V, Timestamp), Unheard> {
    answer.value.map(|value| (value, answer.observed_at))
}

/// What was heard, as the core knows it.
pub(super) fn fact<V>(heard: Result<(V, Timestamp), Unheard>) -> Fact<V> {
    match heard {
        Ok((value, observed_at)) => Fact::known(value, observed_at),
        Err(unheard) => Fact::unknown(unheard.why()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    #[derive(Debug)]
    struct Stopped(AtomicU64);

    #[async_trait]
    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        async fn sleep_until(&self, _: Timestamp) {}

        async fn sleep(&self, _: Duration) {}
    }

    fn clock() -> Stopped {
        Stopped(AtomicU64::new(1_000_000))
    }

    const MINUTE: Freshness = Freshness::AtMost(Duration::from_secs(60));

    /// Comes and asks at once.
    async fn said<V: Clone + Send>(
        cache: &Cache<u8, V>,
        key: &u8,
        freshness: Freshness,
        clock: &Stopped,
        says: impl Future<Output = Result<V, String>> + Send,
    ) -> Fact<V> {
        let sent = async {
            let sent = cache.sent(clock);
            (sent, says.await.map_err(Unheard::Failed))
        };
        fact(cache.fact(key, cache.comes(), freshness, clock, sent).await)
    }

    async fn ask(cache: &Cache<u8, u32>, freshness: Freshness, clock: &Stopped, says: u32) -> u32 {
        *said(cache, &1, freshness, clock, async { Ok(says) }).await.value().unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_remembered_as_long_as_the_question_allows() {
        let (cache, clock) = (Cache::new(8), clock());
        assert_eq!(ask(&cache, MINUTE, &clock, 1).await, 1);
        clock.0.fetch_add(60_000, Ordering::Relaxed);
        assert_eq!(ask(&cache, MINUTE, &clock, 2).await, 1, "exactly as old as allowed");
        clock.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(ask(&cache, MINUTE, &clock, 3).await, 3, "older than allowed");
        assert_eq!(ask(&cache, Freshness::Now, &clock, 4).await, 4, "in the same millisecond");
    }

    /// By a clock that was ahead and was put back.
    #[tokio::test]
    async fn an_answer_from_the_future_is_not_handed_out() {
        let (cache, clock) = (Cache::new(8), clock());
        clock.0.fetch_add(3_600_000, Ordering::Relaxed);
        assert_eq!(ask(&cache, MINUTE, &clock, 1).await, 1);
        clock.0.fetch_sub(3_600_000, Ordering::Relaxed);
        assert_eq!(ask(&cache, MINUTE, &clock, 2).await, 2);
    }

    #[tokio::test]
    async fn a_failure_is_unknown_and_is_not_remembered_and_forgets_what_was_known() {
        let (cache, clock) = (Cache::new(8), clock());
        assert_eq!(ask(&cache, MINUTE, &clock, 1).await, 1);
        let failed =
            said(&cache, &1, Freshness::Now, &clock, async { Err("no answer".into()) }).await;
        assert_eq!(failed, Fact::unknown("no answer"));
        assert_eq!(ask(&cache, MINUTE, &clock, 2).await, 2);
    }

    #[tokio::test]
    async fn however_many_ask_at_once_the_source_is_asked_once_for_those_who_waited() {
        let (cache, clock) = (Cache::new(8), clock());
        let times = AtomicU64::new(0);
        let question = || async {
            let answered = said(&cache, &1, Freshness::Now, &clock, async {
                tokio::task::yield_now().await;
                Ok(times.fetch_add(1, Ordering::Relaxed))
            })
            .await;
            *answered.value().unwrap()
        };
        let answers = futures_util::future::join_all((0..10).map(|_| question())).await;
        assert_eq!(answers.first(), Some(&0));
        assert!(answers.iter().skip(1).all(|answer| *answer == 1), "{answers:?}");
        assert_eq!(times.load(Ordering::Relaxed), 2, "one before the others came, one for them");
    }

    /// It is sent after they came, so that it is as good as their own.
    #[tokio::test]
    async fn a_question_that_waits_for_its_turn_is_shared_by_all_who_come_before_it_is_sent() {
        let (cache, clock) = (Cache::<u8, u64>::new(8), clock());
        let times = AtomicU64::new(0);
        let question = || async {
            let waits = async {
                for _its_turn in 0..20 {
                    tokio::task::yield_now().await;
                }
                let sent = cache.sent(&clock);
                (sent, Ok(times.fetch_add(1, Ordering::Relaxed)))
            };
            fact(cache.fact(&1, cache.comes(), Freshness::Now, &clock, waits).await)
        };
        let answers = futures_util::future::join_all((0..10).map(|_| question())).await;
        assert!(answers.iter().all(|answer| answer.value() == Some(&0)), "{answers:?}");
        assert_eq!(times.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_was_heard_last_is_remembered_as_a_hint_through_failures_and_questions() {
        let (cache, clock) = (Cache::<u8, u32>::new(8), clock());
        assert_eq!(cache.last(&1), None);
        assert_eq!(ask(&cache, MINUTE, &clock, 1).await, 1);
        let failed = said(&cache, &1, Freshness::Now, &clock, async { Err("down".into()) }).await;
        assert_eq!((failed.value(), cache.last(&1)), (None, Some(1)));
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_makes_room() {
        let (cache, clock) = (Cache::new(2), clock());
        let remember = async |key: u8, says: u32| {
            *said(&cache, &key, MINUTE, &clock, async { Ok(says) }).await.value().unwrap()
        };
        for (key, says, told) in [(1, 1, 1), (2, 2, 2), (1, 9, 1), (3, 3, 3), (1, 9, 1), (2, 9, 9)]
        {
            assert_eq!(remember(key, says).await, told, "{key}");
        }
        assert_eq!(cache.len(), 2);
    }

    #[tokio::test]
    async fn a_question_that_was_dropped_leaves_nothing_behind() {
        let (cache, clock) = (Cache::<u8, u32>::new(8), clock());
        assert_eq!(ask(&cache, MINUTE, &clock, 1).await, 1);
        let never = said(&cache, &1, Freshness::Now, &clock, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(5), never).await.is_err());
        assert_eq!(ask(&cache, MINUTE, &clock, 2).await, 2);
    }
}
