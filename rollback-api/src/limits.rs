//! The bounds on what callers may cost. Every one can be set; the defaults are in the fields' words.

use std::time::Duration;

/// What the routes allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ApiLimits {
    /// How many bytes a body may have: 256 KiB, several times the largest real deploy report.
    pub body_max: usize,
    /// How long a body may take to arrive: 10 s.
    pub body_wait: Duration,
    /// How many requests a token has at once: 200.
    pub burst: u32,
    /// How many requests a token gains in a second: 50.
    pub per_second: u32,
    /// How many requests without a good token are answered at once, of everybody's together: 200.
    pub strangers_burst: u32,
    /// How many more in a second: 50.
    pub strangers_per_second: u32,
    /// How many event streams are open at once: 256.
    pub streams_max: usize,
    /// How many of them one token has: 64.
    pub streams_per_token: usize,
    /// How long one event stream lasts before its reader must ask again, from where it was: 1 h.
    pub stream_for: Duration,
    /// How often a stream that has nothing to tell says so, which keeps proxies from closing it:
    /// 15 s.
    pub keep_alive: Duration,
    /// How often the store is asked for what another process recorded: 1 s.
    pub look_every: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_max: 256 * 1024,
            body_wait: Duration::from_secs(10),
            burst: 200,
            per_second: 50,
            strangers_burst: 200,
            strangers_per_second: 50,
            streams_max: 256,
            streams_per_token: 64,
            stream_for: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(15),
            look_every: Duration::from_secs(1),
        }
    }
}

/// What [`serve`](crate::serve) allows a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServeLimits {
    /// How many connections are open at once: 1,024, and never so many that what runs gets no file
    /// descriptor. Where there are as many, one on which nothing is being answered makes room; a
    /// request whose body has not come is not being answered.
    pub connections_max: usize,
    /// How many one peer has at once: 256. A proxy in front is one peer, and so is a network of IPv6
    /// (/64). Beyond that one of its silent ones makes room, or the new one is turned away.
    pub connections_per_peer: usize,
    /// How long the first head of a connection may take: 5 s.
    pub head_wait: Duration,
    /// How long the next head may take, so long is an idle connection kept: 75 s, longer than proxies
    /// keep theirs, so that none sends into one that is just being closed.
    pub idle_wait: Duration,
    /// How many bytes the head of a request may have: 32 KiB.
    pub head_max: usize,
    /// How many headers a request may have: 64.
    pub headers_max: usize,
    /// How long a reader may take nothing of an answer: 30 s.
    pub stall_max: Duration,
    /// How long requests that are being answered may go on after the shutdown: 10 s.
    pub drain_max: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_peer: 256,
            head_wait: Duration::from_secs(5),
            idle_wait: Duration::from_secs(75),
            head_max: 32 * 1024,
            headers_max: 64,
            stall_max: Duration::from_secs(30),
            drain_max: Duration::from_secs(10),
        }
    }
}
