//! A running engine, and how a host stops it without losing what people were promised.

use crate::clock::within;
use crate::engine::Engine;
use futures_util::future::join_all;
use rollback_core::in_words;
use rollback_core::ports::{StoreError, StoreLeft, Surface};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long a shutdown waits until what was acknowledged to people is recorded: the directory is asked
/// about them, and it has five seconds.
const RECORD_MAX: Duration = Duration::from_secs(8);

/// How long closing the store may take: what waits is written, and SQLite's log is carried over.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Why a shutdown was not clean. Each step was taken all the same, and the log has each failure. What is
/// in the store is safe: the next start goes on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Requests that were acknowledged to people were not recorded in time.
    #[error(
        "not everything that people asked for could be recorded within {}; they must ask again",
        in_words(RECORD_MAX)
    )]
    NotRecorded,
    /// The engine had come to an end before.
    #[error(
        "the engine had ended by itself before the shutdown; the log has the reason, and the next \
         start goes on with every rollback"
    )]
    EndedBefore,
    /// The store was closed, and left something beside it.
    #[error(transparent)]
    Store(#[from] StoreLeft),
    /// The store was not closed in time.
    #[error(
        "the store was not closed within {}; nothing is lost; keep all its files together",
        in_words(CLOSE_MAX)
    )]
    StoreOpen,
}

/// An engine that runs in a task of its own, and everything that must be stopped with it.
///
/// Dropping it stops the engine as a crash would: what was acknowledged to people and not yet recorded
/// is lost, and nothing else.
///
/// ```
/// use rollback_core::ports::Surface;
/// use rollback_engine::{Engine, RunningEngine};
///
/// async fn run(
///     engine: &Engine,
///     slack: impl Surface + 'static,
///     serve: impl Future<Output = ()>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let running: RunningEngine = engine.start().await?.draining(slack);
///     tokio::select! {
///         () = serve => {}
///         // Then the shutdown is an error: the process ends, and whatever runs it starts it anew.
///         () = running.ended() => {}
///     }
///     running.shutdown().await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropped, it stops the engine; call `shutdown` at the end, or what people were promised may be lost"]
pub struct RunningEngine {
    engine: Engine,
    surfaces: Vec<Arc<dyn Surface>>,
    stop: CancellationToken,
    /// Cancelled when the task ends, whatever ends it.
    ended: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Engine {
    /// Starts the engine in a task of its own, which does what [`Engine::run`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read. Nothing was started, and it may be called again.
    ///
    /// Dropping the future before it completes starts nothing.
    pub async fn start(&self) -> Result<RunningEngine, StoreError> {
        self.prepare().await?;
        let (engine, stop) = (self.clone(), CancellationToken::new());
        let (stopped, ended) = (stop.clone().cancelled_owned(), CancellationToken::new());
        let tells = ended.clone().drop_guard();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let _tells_at_the_end = tells;
            engine.serve(stopped).await;
        }));
        Ok(RunningEngine { engine: self.clone(), surfaces: Vec::new(), stop, ended, task })
    }
}

impl RunningEngine {
    /// The engine, for a pipeline's deploys and everything else.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Completes when the engine has ended: by itself, or because it was stopped. One that ended by
    /// itself drives nothing and tells nobody anything, so a host stops serving then:
    /// [`Self::shutdown`] answers [`ShutdownError::EndedBefore`], and the next start goes on.
    ///
    /// The future borrows nothing. Dropping it changes nothing.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> + 'static {
        self.ended.clone().cancelled_owned()
    }

    /// Adds a surface. The shutdown waits until what it acknowledged is recorded.
    pub fn draining(mut self, surface: impl Surface + 'static) -> Self {
        self.surfaces.push(Arc::new(surface));
        self
    }

    /// Stops in the one order that loses nothing, each step in bounded time: every surface takes
    /// nothing more and records what it has acknowledged; the engine lets an order that is being sent
    /// be answered and gives every rollback back; the store is closed, so that its file is whole. Call
    /// it when the host takes no more connections. About a minute at most.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`], the first one. Every step was taken all the same.
    ///
    /// Dropping the future stops what is left as a crash would.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        let inner = &self.engine.inner;
        let clock = inner.clock.as_ref();
        let drains = join_all(self.surfaces.iter().map(|surface| surface.drain()));
        let recorded = within(clock, RECORD_MAX, drains).await.ok_or(ShutdownError::NotRecorded);
        self.stop.cancel();
        let ended = self.task.await.map_err(|_panicked| ShutdownError::EndedBefore);
        let closed = match within(clock, CLOSE_MAX, inner.store.close()).await {
            Some(closed) => closed.map_err(ShutdownError::Store),
            None => Err(ShutdownError::StoreOpen),
        };
        let steps = [recorded.map(drop), ended, closed];
        for error in steps.iter().filter_map(|step| step.as_ref().err()) {
            tracing::warn!(%error, "the shutdown was not clean");
        }
        steps.into_iter().collect()
    }
}
