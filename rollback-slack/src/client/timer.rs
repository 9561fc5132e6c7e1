//! Time as the client needs it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

/// Tells how much time has passed, and lets some pass. Replaced in tests.
#[async_trait]
pub trait Timer: fmt::Debug + Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// Returns when `how_long` has passed.
    async fn sleep(&self, how_long: Duration);
}

/// The runtime's own time.
#[derive(Debug)]
pub(crate) struct TokioTimer(Instant);

impl TokioTimer {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Timer for TokioTimer {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}
