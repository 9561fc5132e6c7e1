//! That something happened to a rollback of this process, told to whoever looks and then waits: also
//! when it happened in between.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// How often something happened, and up to where somebody has looked.
#[derive(Debug)]
pub(crate) struct News {
    count: watch::Sender<u64>,
    looked_at: AtomicU64,
}

impl Default for News {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), looked_at: AtomicU64::new(0) }
    }
}

impl News {
    /// Something happened.
    pub(crate) fn tell(&self) {
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What a look that begins now will have seen.
    pub(crate) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// A look ended that began at this count.
    pub(crate) fn looked_at(&self, count: u64) {
        self.looked_at.store(count, Ordering::Relaxed);
    }

    /// Completes once something has happened since the last look began.
    pub(crate) async fn more(&self) {
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        let mut count = self.count.subscribe();
        // The sender lives as long as this does.
        drop(count.wait_for(|count| *count != looked_at).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn what_happened_since_the_last_look_began_is_not_waited_for() {
        let news = News::default();
        assert_eq!(news.more().now_or_never(), None, "nothing happened");
        let begun = news.count();
        news.tell();
        news.looked_at(begun);
        assert_eq!(news.more().now_or_never(), Some(()), "it happened while somebody looked");
        news.looked_at(news.count());
        assert_eq!(news.more().now_or_never(), None, "it was seen");
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let news = News::default();
        let told = async { news.tell() };
        tokio::join!(news.more(), told);
    }
}
