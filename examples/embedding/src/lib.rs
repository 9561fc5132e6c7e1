//! A host's own axum service with a Rollback button in it.
//!
//! README shows [`rollback`] and [`serve`] word for word; the end-to-end tests of
//! `examples/platform-service` run against them and against that service: embedding is the same thing.

// README: from here
use axum::Router;
use rollback_core::{BackendName, ports::CdBackend, ports::Clock};
use rollback_engine::{Catalog, EngineBuilder, RunningEngine, SystemClock};
use rollback_slack::{Slack, SlackOptions};
use rollback_store::{Options, SqliteStore};
use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

/// Puts the button into a host's service: serve the routes, and report each deploy with
/// `rollback.engine().deployed(deploy)`.
///
/// # Errors
///
/// When a token is malformed, the database cannot be opened or read, or the catalog names what is not
/// there; nothing was started.
pub async fn rollback(
    slack: SlackOptions,
    database: PathBuf,
    catalog: Catalog,
    backends: Vec<(BackendName, Arc<dyn CdBackend>)>,
) -> Result<(RunningEngine, Router), Box<dyn Error + Send + Sync>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let slack = Slack::new(slack, Arc::clone(&clock))?;
    let store = Arc::new(SqliteStore::open(database, Options::default()).await?);
    let mut builder = EngineBuilder::new(store, slack.directory(), catalog)
        .notifier(slack.notifier())
        .clock(clock);
    for (name, backend) in backends {
        builder = builder.backend(name, backend);
    }
    let engine = builder.build()?;
    let (surface, routes) = slack.serve(Arc::new(engine.clone()));
    Ok((engine.start().await?.draining(surface), routes))
}

/// How long a connection that somebody keeps open may hold up the shutdown.
const LATE: Duration = Duration::from_secs(10);

/// Serves until `stop` completes, or the engine ends by itself. Then answers what is under way, records
/// what was clicked, stops the engine and closes the database, in this order, each in bounded time.
///
/// # Errors
///
/// When connections could not be accepted, the engine had ended by itself, or the shutdown was not clean.
pub async fn serve(
    rollback: RunningEngine,
    routes: Router,
    listener: tokio::net::TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (ended, (stopping, stopped)) = (rollback.ended(), tokio::sync::oneshot::channel());
    let stop = async {
        tokio::select! { () = stop => {} () = ended => {} }
        stopping.send(()).ok();
    };
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop).into_future();
    let late = async {
        stopped.await.ok();
        tokio::time::sleep(LATE).await;
    };
    let served = tokio::select! { served = serving => served, () = late => Ok(()) };
    rollback.shutdown().await?;
    Ok(served?)
}
// README: to here
