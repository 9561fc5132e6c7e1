//! Serves a router: bounded in connections, heads and patience, and drained at the end.

use crate::connections::{Connections, Held, LogThrottle, Seats, connections_max, files_max};
use crate::limits::ServeLimits;
use crate::problem::Problem;
use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;

/// How long accepting rests after it failed: the usual reason is that no file descriptor is left.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// How many connections may be about to close, besides those that are open, before another one is
/// accepted: the bound is one of file descriptors.
const CLOSING_MAX: usize = 8;

/// How many times the largest head is still read, so that it can be refused in words. What is larger
/// is cut off with a bare status.
const CUT_OFF: usize = 4;

/// Serves `router` on `listener` until `shutdown` completes; then no connection is accepted any
/// more, and what is being answered has [`ServeLimits::drain_max`] to end.
///
/// HTTP/1.1 without TLS: put a TLS proxy in front. A head that is too large, has too
/// many headers or takes too long is refused before any of `router` runs.
///
/// # Errors
///
/// [`io::Error`] when the listener has no address: it was never bound.
///
/// Dropping the future closes every connection at once.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_counted(listener, router, limits, Connections::default(), shutdown).await
}

/// The same, and counts its connections.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_counted(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    connections: Connections,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let connections_max = connections_max(&limits);
    tracing::info!(%address, connections_max, files_max = files_max(), "listening");
    let seats = Seats::new(&limits, connections_max, connections);
    let (mut accepting, mut number) = (Accepting::default(), 0_u64);
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        // What has ended is forgotten.
        while connections.try_join_next().is_some() {}
        // One that was told to close holds its file descriptor until its task has run.
        let is_closing_many = connections.len() >= connections_max.saturating_add(CLOSING_MAX);
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            _ended = connections.join_next(), if is_closing_many => continue,
            accepted = accept(&listener, &seats, number), if !is_closing_many => accepted,
        };
        number = number.wrapping_add(1);
        match accepted {
            Ok(Some((stream, held))) => {
                let connection =
                    connection(stream, held, router.clone(), limits, graceful.watcher());
                connections.spawn(connection);
            }
            Ok(None) => {}
            Err(error) => accepting.rest_after(&error).await,
        }
    }
    drop(listener);
    drain(graceful, limits.drain_max).await;
    // The rest is dropped with the set.
    Ok(())
}

/// Limits the log lines about connections that could not be accepted.
#[derive(Debug, Default)]
struct Accepting(LogThrottle);

impl Accepting {
    async fn rest_after(&mut self, error: &io::Error) {
        if let Some(suppressed) = self.0.record(Instant::now()) {
            tracing::warn!(%error, suppressed, "a connection could not be accepted");
        }
        tokio::time::sleep(ACCEPT_REST).await;
    }
}

/// Lets what is being answered be answered, for so long.
async fn drain(graceful: GracefulShutdown, within: Duration) {
    if tokio::time::timeout(within, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not answered in time; their connections are closed");
    }
}

/// The next connection, once there is a place for it; none where its peer has too many. What waits
/// meanwhile waits in the kernel.
async fn accept(
    listener: &TcpListener,
    seats: &Arc<Seats>,
    number: u64,
) -> io::Result<Option<(TcpStream, Held)>> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(seats.take(peer.ip(), number).await.map(|held| (stream, held)))
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    held: Held,
    router: Router,
    limits: ServeLimits,
    watcher: Watcher,
) {
    let held = Arc::new(held);
    let seat = Arc::clone(&held);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let asking = seat.asked();
        let request: Request =
            request.map(|body| asking.until_it_has_come(axum::body::Body::new(body)));
        let answer = match head_fits(&request, &limits).and_then(|()| one_host(&request)) {
            Ok(()) => Ok(router.clone().oneshot(request)),
            Err(problem) => Err(problem.into_response()),
        };
        async move {
            let answer = match answer {
                Ok(answer) => answer.await,
                Err(refused) => Ok(refused),
            };
            let answering = asking.answers();
            answer.map(|answer| answer.map(|body| answering.until_the_end_of(body)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_wait)
        .max_header_size(limits.head_max.saturating_mul(CUT_OFF))
        .max_headers(limits.headers_max.saturating_mul(CUT_OFF))
        .serve_connection(TokioIo::new(Patient::new(stream, limits.stall_max)), service);
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                // A caller that went away, or that never spoke HTTP: nothing of ours.
                tracing::debug!(%error, "a connection broke off");
            }
        }
        () = held.must_close(limits.head_wait) => {
            tracing::debug!("a silent connection was closed");
        }
    }
}

/// Refuses a request that names several hosts, of which two readers could take either, or none where
/// HTTP wants one.
fn one_host(request: &Request) -> Result<(), Problem> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let needed = usize::from(request.version() >= http::Version::HTTP_11);
    if hosts > 1 || hosts < needed {
        let detail = "the request must have exactly one `Host`; nothing was changed";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(())
}

/// Refuses a head that is too large, in words.
fn head_fits(request: &Request, limits: &ServeLimits) -> Result<(), Problem> {
    let headers = request.headers();
    if headers.len() > limits.headers_max {
        return Err(Problem::head_too_large(&format!("{} headers", limits.headers_max)));
    }
    let line = request.uri().path_and_query().map_or(0, |asked| asked.as_str().len());
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if lines.fold(line, usize::saturating_add) > limits.head_max {
        return Err(Problem::head_too_large(&format!("{} bytes", limits.head_max)));
    }
    Ok(())
}

/// A stream whose reader may take nothing only for so long.
struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs while something waits to be taken.
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waits: None }
    }

    /// Lets `done` through, and an error in its place when it has been pending for too long.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waits = None;
            return done;
        }
        let patience = self.patience;
        let until = || Box::pin(tokio::time::sleep_until(Instant::now() + patience));
        let waits = self.waits.get_or_insert_with(until);
        ready!(waits.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(context, done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A connection to an answer without an end, asked for already.
    async fn endless() -> (DuplexStream, tokio::task::JoinHandle<()>, GracefulShutdown) {
        let body = || futures_util::stream::repeat_with(|| Ok::<_, io::Error>("x".repeat(64)));
        let answer = move || async move { Body::from_stream(body()) };
        let router = Router::new().route("/", get(answer));
        let (mut caller, server) = tokio::io::duplex(1024);
        let limits = ServeLimits::default();
        let seats = Seats::new(&limits, 1, Connections::default());
        let held = seats.take([127, 0, 0, 1].into(), 1).await.unwrap();
        let graceful = GracefulShutdown::new();
        let served = connection(server, held, router, limits, graceful.watcher());
        let served = tokio::spawn(served);
        caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        (caller, served, graceful)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off_after_the_bound() {
        let (caller, served, _runs) = endless().await;
        let began = Instant::now();
        served.await.unwrap();
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE * 2);
        drop(caller);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_slow_is_served_for_as_long_as_it_reads() {
        let (mut caller, served, _runs) = endless().await;
        let mut taken = [0; 512];
        for _time in 0..20 {
            tokio::time::sleep(PATIENCE / 2).await;
            caller.read_exact(&mut taken).await.unwrap();
            assert!(!served.is_finished());
        }
        drop(caller);
        served.await.unwrap();
    }
}
