//! What time it is.

use crate::time::Timestamp;
use alloc::boxed::Box;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

/// What time it is, and how long something lasts: two questions. The time of day may be set, also
/// back; a pause or a time-out lasts as long as it was meant to.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Completes at this time of day, or at once when that has passed: for what people were told, and
    /// nothing else. Where the clock is set, it completes when the clock then shows `at`.
    async fn sleep_until(&self, at: Timestamp);

    /// Completes after this time, whatever is done to the clock meanwhile.
    async fn sleep(&self, wait: Duration);
}
