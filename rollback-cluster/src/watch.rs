//! Watches, kept open from one change to the next.

use crate::ask::Tried;
use crate::error::{ClusterError, unwatched};
use core::fmt;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use kube::core::WatchEvent;
use serde_json::Value;

/// A watch that was begun: it tells of every change from its version on, until it ends.
pub struct Watch {
    events: BoxStream<'static, kube::Result<WatchEvent<Value>>>,
    tried: Tried,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("tried", &self.tried).finish_non_exhaustive()
    }
}

/// What a watch tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it goes on or not")]
pub enum Told {
    /// Something changed, once or several times.
    Changed,
    /// The watch has ended, as each does after a while: begin another one.
    Ended,
}

impl Watch {
    pub(crate) fn new(
        events: BoxStream<'static, kube::Result<WatchEvent<Value>>>,
        tried: Tried,
    ) -> Self {
        Self { events, tried }
    }

    /// Completes at the next change. Several that have come by then are one. Dropping the wait loses
    /// none.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] when the watch broke, or its version is too old: look, and begin another one.
    pub async fn next(&mut self) -> Result<Told, ClusterError> {
        let mut event = self.events.next().await;
        loop {
            match event {
                Some(Err(error)) => return Err(unwatched(&error, &self.tried)),
                // A version that is compacted: the object need not have changed since, and whoever
                // looks may find the same version once more.
                Some(Ok(WatchEvent::Error(status))) => {
                    return Err(unwatched(&kube::Error::Api(status), &self.tried));
                }
                None => return Ok(Told::Ended),
                Some(Ok(_)) => {}
            }
            match self.events.next().now_or_never() {
                Some(another @ Some(Ok(_))) => event = another,
                // Whoever asks again is told that it has ended.
                Some(Some(Err(_)) | None) | None => return Ok(Told::Changed),
            }
        }
    }
}

/// A watch that is begun when it is needed, and kept.
#[derive(Debug, Default)]
pub struct KeptWatch(Option<Watch>);

impl KeptWatch {
    /// Completes when there is a reason to look again: something changed, or the watch has ended.
    /// `begin` begins one where none is kept.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] when there is no watch. The next call begins another one.
    pub async fn changed<F>(&mut self, begin: impl FnOnce() -> F) -> Result<(), ClusterError>
    where
        F: Future<Output = Result<Watch, ClusterError>>,
    {
        let watch = match &mut self.0 {
            Some(watch) => watch,
            none @ None => none.insert(begin().await?),
        };
        let told = watch.next().await;
        if !matches!(told, Ok(Told::Changed)) {
            self.0 = None;
        }
        told.map(drop)
    }
}
