//! What was found a moment ago is good enough for whoever asks without a token: their asking must
//! not become work for the store.

use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old an answer may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The last answer to a question. Whoever asks while somebody else looks waits for what they find.
#[derive(Debug)]
pub(crate) struct Recent<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Recent<T> {
    pub(crate) async fn get(&self, look: impl Future<Output = T>) -> T {
        let mut last = self.0.lock().await;
        if let Some((at, found)) = last.as_ref()
            && at.elapsed() < AGE_MAX
        {
            return found.clone();
        }
        let found = look.await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_are_one_look_and_a_second_later_it_is_another() {
        let (recent, looks) = (Recent::default(), AtomicU64::new(0));
        let ask = || {
            recent.get(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                looks.fetch_add(1, Ordering::Relaxed)
            })
        };
        let all = futures_util::future::join_all((0..50).map(|_| ask())).await;
        assert_eq!(all, [0; 50]);
        tokio::time::sleep(AGE_MAX).await;
        assert_eq!((ask().await, ask().await), (1, 1));
    }
}
