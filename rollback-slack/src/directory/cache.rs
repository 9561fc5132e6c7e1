//! What was answered before: bounded in number, as old as the question allows, and asked for once
//! however many want to know.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rollback_core::ports::{Clock, Freshness};
use rollback_core::{Fact, Timestamp};

/// An answer, or why there is none.
#[derive(Clone, Debug)]
struct Answer<V> {
    /// Drawn when the question was sent; a question of somebody with a lower number came before.
    asked: u64,
    observed_at: Timestamp,
    value: Result<V, String>,
}

/// One key. Whoever holds the lock asks; the others wait for the answer.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Answer<V>>>>;

struct Entry<V> {
    slot: Slot<V>,
    used: u64,
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

    /// What is known about `key`: remembered where `freshness` allows it, asked otherwise. The age
    /// of an answer counts from when the question was sent.
    pub(super) async fn fact(
        &self,
        key: &K,
        freshness: Freshness,
        clock: &dyn Clock,
        ask: impl Future<Output = Result<V, String>> + Send,
    ) -> Fact<V> {
        let came = self.turn();
        let slot = self.slot(key, came);
        let mut held = slot.lock().await;
        if let Some(answer) = held.as_ref() {
            let enough = match (&answer.value, freshness) {
                // A question sent after this one came is as good as its own, whatever it brought:
                // while Slack is down nobody waits for everybody before them.
                _ if answer.asked > came => true,
                (Ok(_), Freshness::AtMost(age)) => clock.now().since(answer.observed_at) <= age,
                (Ok(_), Freshness::Now) | (Err(_), _) => false,
            };
            if enough {
                return told(answer.clone());
            }
        }
        let asked = self.turn();
        let observed_at = clock.now();
        // Gone before the question: who drops this future must not leave the old answer as new.
        *held = None;
        let answer = Answer { asked, observed_at, value: ask.await };
        *held = Some(answer.clone());
        told(answer)
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
        entries.insert(key.clone(), Entry { slot: Arc::clone(&slot), used });
        slot
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn told<V>(answer: Answer<V>) -> Fact<V> {
    match answer.value {
        Ok(value) => Fact::known(value, answer.observed_at),
        Err(why) => Fact::unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::time::Duration;

    #[derive(Debug)]
    struct Stopped(AtomicU64);

    #[async_trait]
    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        async fn sleep_until(&self, _: Timestamp) {}
    }

    fn clock() -> Stopped {
        Stopped(AtomicU64::new(1_000_000))
    }

    const MINUTE: Freshness = Freshness::AtMost(Duration::from_secs(60));

    async fn ask(cache: &Cache<u8, u32>, freshness: Freshness, clock: &Stopped, says: u32) -> u32 {
        *cache.fact(&1, freshness, clock, async { Ok(says) }).await.value().unwrap()
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

    #[tokio::test]
    async fn a_failure_is_unknown_and_is_not_remembered_and_forgets_what_was_known() {
        let (cache, clock) = (Cache::new(8), clock());
        assert_eq!(ask(&cache, MINUTE, &clock, 1).await, 1);
        let failed =
            cache.fact(&1, Freshness::Now, &clock, async { Err("no answer".into()) }).await;
        assert_eq!(failed, Fact::unknown("no answer"));
        assert_eq!(ask(&cache, MINUTE, &clock, 2).await, 2);
    }

    #[tokio::test]
    async fn however_many_ask_at_once_the_source_is_asked_once_for_those_who_waited() {
        let (cache, clock) = (Cache::new(8), clock());
        let times = AtomicU64::new(0);
        let question = || async {
            let answered = cache
                .fact(&1, Freshness::Now, &clock, async {
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

    #[tokio::test]
    async fn what_was_used_longest_ago_makes_room() {
        let (cache, clock) = (Cache::new(2), clock());
        let remember = async |key: u8, says: u32| {
            *cache.fact(&key, MINUTE, &clock, async { Ok(says) }).await.value().unwrap()
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
        let never = cache.fact(&1, Freshness::Now, &clock, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(5), never).await.is_err());
        assert_eq!(ask(&cache, MINUTE, &clock, 2).await, 2);
    }
}
