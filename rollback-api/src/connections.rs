//! Bounds connections, in all and for each peer, below the process's file descriptors, so that CD
//! systems, the store and Slack always get one.
//!
//! A connection on which nothing is being answered is closed when a new one needs its place: whoever
//! says nothing, or announces a body and sends none, keeps nobody out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::ServeLimits;

/// File descriptors that are never a caller's, at least: the store's, Slack's, each CD system's.
const FILES_KEPT_MIN: usize = 64;

/// Where the kernel does not say how many descriptors there may be: what most systems begin with.
const FILES_USUAL: usize = 1_024;

/// How often a throttled line is logged.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Counts of the connections of a server. Cheap to clone; every clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    closed: AtomicU64,
    made_room: AtomicU64,
    turned_away: AtomicU64,
}

impl Connections {
    /// The counts with their names, for [`Metrics::counting`](crate::Metrics::counting): accepted,
    /// closed, closed while silent to make room for another one, and turned away since their peer had
    /// too many.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let Counts { accepted, closed, made_room, turned_away } = &*self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![
            ("accepted", read(accepted)),
            ("closed", read(closed)),
            ("made_room", read(made_room)),
            ("turned_away", read(turned_away)),
        ]
    }
}

fn one_more(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// How many connections there may be: as many as the limits say, and at most three eighths of the file
/// descriptors. A quarter is kept for the store, Slack and the CD systems, and the rest is halved so
/// that a host may run a second server.
pub(crate) fn connections_max(limits: &ServeLimits) -> usize {
    bounded(limits.connections_max, files_max())
}

fn bounded(wanted: usize, files: usize) -> usize {
    let kept = FILES_KEPT_MIN.max(files / 4);
    wanted.min(files.saturating_sub(kept) / 2).max(1)
}

/// How many file descriptors this process may have open.
pub(crate) fn files_max() -> usize {
    std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| soft_limit(&limits))
        .unwrap_or(FILES_USUAL)
}

/// The soft limit of open files, from what the kernel says of a process.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

/// Whom a connection is counted for: an address of IPv4, or a network of IPv6. Each customer of a
/// provider has 2^64 addresses there, and none of them is another peer.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let network = u128::from(six) & !u128::from(u64::MAX);
            IpAddr::from(Ipv6Addr::from(network))
        }
        four @ IpAddr::V4(_) => four,
    }
}

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Seats {
    max: usize,
    per_peer: usize,
    taken: Mutex<BTreeMap<u64, Arc<Seat>>>,
    freed: Notify,
    connections: Connections,
    lines: Mutex<LogThrottle>,
}

/// Logs one line a minute, however many there are to log.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// Counts a line. When it is time for one, gives the number of those that were suppressed since the
    /// last one.
    pub(crate) fn record(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LINE_EVERY) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// A place for one connection.
#[derive(Debug)]
struct Seat {
    peer: IpAddr,
    /// Since when nothing is being answered on it; none while something is. A request whose body has
    /// not come is not being answered yet.
    silent_since: Mutex<Option<Instant>>,
    /// Whether it ever sent a whole head.
    has_spoken: CancellationToken,
    close: CancellationToken,
}

/// A connection's hold on its place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    number: u64,
    seat: Arc<Seat>,
    seats: Arc<Seats>,
}

impl Seats {
    pub(crate) fn new(limits: &ServeLimits, max: usize, connections: Connections) -> Arc<Self> {
        Arc::new(Self {
            max,
            per_peer: limits.connections_per_peer.min(max).max(1),
            taken: Mutex::default(),
            freed: Notify::new(),
            connections,
            lines: Mutex::default(),
        })
    }

    /// Acquires a place for connection `number` from this address. Waits while all connections are busy.
    /// None if its peer has too many busy ones.
    pub(crate) async fn take(self: &Arc<Self>, peer: IpAddr, number: u64) -> Option<Held> {
        let peer = network_of(peer);
        loop {
            let freed = self.freed.notified();
            match self.find(peer, number) {
                Found::Seat(held) => {
                    one_more(&self.connections.counts.accepted);
                    return Some(held);
                }
                Found::TooManyOfThisPeer => {
                    one_more(&self.connections.counts.turned_away);
                    self.tell("a peer has too many connections; further ones are turned away");
                    return None;
                }
                Found::Full => freed.await,
            }
        }
    }

    fn find(self: &Arc<Self>, peer: IpAddr, number: u64) -> Found {
        let mut taken = self.taken();
        let of_this_peer = taken.values().filter(|seat| seat.peer == peer).count();
        // Where one peer may have all there are, it waits like everybody.
        let has_too_many = self.per_peer < self.max && of_this_peer >= self.per_peer;
        if has_too_many && !self.make_room(&mut taken, Some(peer)) {
            return Found::TooManyOfThisPeer;
        }
        if taken.len() >= self.max && !self.make_room(&mut taken, None) {
            return Found::Full;
        }
        let seat = Arc::new(Seat {
            peer,
            silent_since: Mutex::new(Some(Instant::now())),
            has_spoken: CancellationToken::new(),
            close: CancellationToken::new(),
        });
        taken.insert(number, Arc::clone(&seat));
        Found::Seat(Held { number, seat, seats: Arc::clone(self) })
    }

    /// Closes the connection that has been idle longest.
    fn make_room(&self, taken: &mut BTreeMap<u64, Arc<Seat>>, of: Option<IpAddr>) -> bool {
        let silent = taken.iter().filter(|(_, seat)| of.is_none_or(|peer| seat.peer == peer));
        let longest = silent
            .filter_map(|(number, seat)| (*seat.silent()).map(|since| (since, *number)))
            .min()
            .map(|(_, number)| number);
        let Some(seat) = longest.and_then(|number| taken.remove(&number)) else { return false };
        seat.close.cancel();
        one_more(&self.connections.counts.made_room);
        self.tell("silent connections are closed to make room for others");
        true
    }

    fn tell(&self, what: &'static str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(suppressed) = lines.record(Instant::now()) {
            let (connections_max, per_peer) = (self.max, self.per_peer);
            tracing::warn!(connections_max, per_peer, suppressed, "{what}");
        }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Found {
    Seat(Held),
    TooManyOfThisPeer,
    Full,
}

impl Seat {
    fn silent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// A whole head has come. It is being answered once its body has come as well, or the answer
    /// begins.
    pub(crate) fn asked(&self) -> Asking {
        self.seat.has_spoken.cancel();
        *self.seat.silent() = Some(Instant::now());
        Asking { seat: Arc::clone(&self.seat), seats: Arc::clone(&self.seats) }
    }

    /// Something is being answered from now on, until what this gives is dropped.
    #[cfg(test)]
    pub(crate) fn answers(&self) -> Answering {
        self.asked().answers()
    }

    /// Completes when the connection must make room, or has sent no whole head within this time.
    pub(crate) async fn must_close(&self, head_wait: Duration) {
        let first_head = async {
            tokio::select! {
                () = self.seat.has_spoken.cancelled() => std::future::pending().await,
                () = tokio::time::sleep(head_wait) => {}
            }
        };
        tokio::select! {
            () = self.seat.close.cancelled() => {}
            () = first_head => {}
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seats.taken().remove(&self.number);
        one_more(&self.seats.connections.counts.closed);
        self.seats.freed.notify_waiters();
    }
}

/// A request whose body may still be on its way. Clones are the same request.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    seat: Arc<Seat>,
    seats: Arc<Seats>,
}

impl Asking {
    /// The body of the request. At its end the request is being answered.
    pub(crate) fn until_it_has_come(&self, body: Body) -> Body {
        if body.is_end_stream() {
            self.has_come();
            return body;
        }
        Body::new(Coming { body, asking: self.clone() })
    }

    /// The answer begins, whether or not somebody read the body.
    pub(crate) fn answers(self) -> Answering {
        self.has_come();
        Answering { seat: self.seat, seats: self.seats }
    }

    fn has_come(&self) {
        *self.seat.silent() = None;
    }
}

/// The body of a request on its way.
struct Coming {
    body: Body,
    asking: Asking,
}

impl http_body::Body for Coming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.asking.has_come();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Something is being answered.
#[derive(Debug)]
pub(crate) struct Answering {
    seat: Arc<Seat>,
    seats: Arc<Seats>,
}

impl Answering {
    /// The body of an answer, which is being answered until its end.
    pub(crate) fn until_the_end_of(self, body: Body) -> Body {
        Body::new(Answered { body, _answering: self })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        *self.seat.silent() = Some(Instant::now());
        self.seats.freed.notify_waiters();
    }
}

/// A body, and that it is being answered.
struct Answered {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(max: usize, per_peer: usize) -> Arc<Seats> {
        let limits = ServeLimits { connections_per_peer: per_peer, ..ServeLimits::default() };
        Seats::new(&limits, max, Connections::default())
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn what_runs_keeps_descriptors_whatever_is_configured() {
        for (wanted, files, most) in [
            (1_024, 1_024, 384),
            (1_024, 256, 96),
            (1_024, 65_536, 1_024),
            (10, 1_024, 10),
            (1_024, 64, 1),
            (1_024, 0, 1),
        ] {
            let bound = bounded(wanted, files);
            assert!(bound.abs_diff(most) <= 1, "{wanted} {files}: {bound}");
        }
    }

    #[test]
    fn the_limit_is_read_as_the_kernel_writes_it() {
        let page = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max open files            1024                 1048576              files\n";
        assert_eq!(soft_limit(page), Some(1_024));
        assert_eq!(
            soft_limit("Max open files            unlimited  unlimited files"),
            Some(usize::MAX)
        );
        assert_eq!(soft_limit("Max processes  7 7"), None);
        assert_eq!(soft_limit("Max open files            many"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_one_makes_room_and_what_is_answered_stays() {
        let seats = seats(3, 3);
        let busy = seats.take(peer(1), 1).await.unwrap();
        let answering = busy.answers();
        tokio::time::advance(Duration::from_secs(1)).await;
        let old = seats.take(peer(1), 2).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let young = seats.take(peer(2), 3).await.unwrap();
        let next = seats.take(peer(3), 4).await.unwrap();
        assert!(old.seat.close.is_cancelled());
        assert!(!busy.seat.close.is_cancelled() && !young.seat.close.is_cancelled());
        let _all = (young.answers(), next.answers());
        let waits = seats.take(peer(4), 5);
        tokio::pin!(waits);
        let late = tokio::time::timeout(Duration::from_secs(60), &mut waits).await;
        assert!(late.is_err(), "all are being answered");
        drop(answering);
        assert!(waits.await.is_some(), "what was answered is silent now, and makes room");
        assert_eq!(seats.connections.named()[2], ("made_room", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_too_many_that_are_answered_is_turned_away_and_others_are_not() {
        let seats = seats(10, 2);
        let (one, two) =
            (seats.take(peer(1), 1).await.unwrap(), seats.take(peer(1), 2).await.unwrap());
        let (_one, two_answers) = (one.answers(), two.answers());
        assert!(seats.take(peer(1), 3).await.is_none());
        assert!(seats.take(peer(2), 4).await.is_some());
        drop(two_answers);
        assert!(seats.take(peer(1), 5).await.is_some());
        assert!(two.seat.close.is_cancelled());
    }

    /// Whoever announces a body and sends none is silent.
    #[tokio::test(start_paused = true)]
    async fn a_request_is_answered_from_when_its_body_has_come() {
        let seats = seats(2, 2);
        let unread = seats.take(peer(1), 1).await.unwrap();
        let endless = futures_util::stream::pending::<Result<Bytes, axum::Error>>();
        let _never_comes = unread.asked().until_it_has_come(Body::from_stream(endless));
        let whole = seats.take(peer(2), 2).await.unwrap();
        let body = whole.asked().until_it_has_come(Body::from("{}"));
        assert_eq!(axum::body::to_bytes(body, 8).await.unwrap().as_ref(), b"{}");
        assert!(seats.take(peer(3), 3).await.is_some());
        assert!(unread.seat.close.is_cancelled() && !whole.seat.close.is_cancelled());
        let without = whole.asked().until_it_has_come(Body::empty());
        assert!(whole.seat.silent().is_none(), "there is nothing to wait for");
        drop(without);
    }

    /// A provider gives a customer 2^64 addresses.
    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_network_are_one_peer() {
        let seats = seats(10, 2);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = seats.take(at("2001:db8:0:1::1"), 1).await.unwrap();
        let two = seats.take(at("2001:db8:0:1:ffff::2"), 2).await.unwrap();
        let _both = (one.answers(), two.answers());
        assert!(seats.take(at("2001:db8:0:1::3"), 3).await.is_none());
        let other = seats.take(at("2001:db8:0:2::1"), 4).await;
        assert!(other.is_some());
        // The same address, written in the other family.
        let (four, mapped) = (at("192.0.2.7"), at("::ffff:192.0.2.7"));
        let three = seats.take(four, 5).await.unwrap();
        let fourth = seats.take(mapped, 6).await.unwrap();
        let _both = (three.answers(), fourth.answers());
        assert!(seats.take(mapped, 7).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_head_in_time_is_closed_and_who_did_is_not() {
        let seats = seats(10, 10);
        let held = seats.take(peer(1), 1).await.unwrap();
        let began = Instant::now();
        held.must_close(Duration::from_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        drop(held.answers());
        let closes = held.must_close(Duration::from_secs(5));
        assert!(tokio::time::timeout(Duration::from_secs(600), closes).await.is_err());
    }
}
