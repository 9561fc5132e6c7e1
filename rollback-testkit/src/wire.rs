//! A wire between a client and a server on this machine: TCP that can be cut, silent or slow, and that can
//! lose, hold up, double or wrongly answer one request.
//!
//! ```
//! use rollback_testkit::wire::{Flow, Mishap, Wire};
//! use std::io::{Read as _, Write as _};
//! use std::net::{TcpListener, TcpStream};
//! # fn main() -> std::io::Result<()> {
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let wire = Wire::to(server.local_addr()?.port());
//! wire.befall_next(b"ORDER", Mishap::RequestLost);
//! let mut client = TcpStream::connect(wire.address())?;
//! client.write_all(b"ORDER 41")?;
//! let mut answer = Vec::new();
//! // Reset, and the server never heard of it.
//! let _reset = client.read_to_end(&mut answer);
//! assert!(answer.is_empty() && !wire.is_waiting());
//! wire.flows(Flow::Down);
//! # Ok(())
//! # }
//! ```
//!
//! It knows bytes, and of HTTP/1 where a request ends. It has threads of its own and needs no runtime, so
//! that it also serves processes and tests on paused time. What has to look into TLS, or judge a request
//! by its parsed body, is another wire: the one of `tools/kube-lab` is an HTTP proxy for that reason.

mod peer;

pub use peer::{Does, Peer};

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What happens to the next request that is waited for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mishap {
    /// It does not arrive, and the connection is reset.
    RequestLost,
    /// It arrives. Its answer does not: the connection is reset.
    AnswerLost,
    /// It arrives, and a gateway answers these bytes in place of the server, and hangs up.
    AnswerReplaced(Vec<u8>),
    /// It stays on the way until [`Wire::release`], and the connection is reset.
    HeldUp,
    /// It arrives twice at once; both are answered before the client is.
    Doubled,
    /// It arrives and is answered, and arrives once more with [`Wire::release`].
    Repeated,
}

/// How bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a test names the one it makes")]
pub enum Flow {
    /// At once.
    Clear,
    /// After so long.
    Slow(Duration),
    /// Not at all, on connections that stay open and are accepted: what was sent meanwhile arrives
    /// when it is over.
    Silent,
    /// Not at all, and every connection is reset.
    Down,
}

/// A wire with a port of its own. It is gone when this is dropped.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The port of the server.
    server: u16,
    /// What a request has in it that is waited for, and what then happens.
    next: Option<(&'static [u8], Mishap)>,
    held: Vec<Vec<u8>>,
    flow: Flow,
    /// What requests have in them that are counted, and how many there were.
    counted: (&'static [u8], u64),
    /// Grows when the connections of before are forgotten.
    generation: u64,
    is_dropped: bool,
}

/// What becomes of the next answer on a connection.
enum Answer {
    Passes,
    Lost,
    Replaced(Vec<u8>),
    /// Passes when the same request has been answered on another connection too.
    After(JoinHandle<Vec<u8>>),
}

impl Wire {
    /// A wire to a port of this machine.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = State {
            server,
            next: None,
            held: Vec::new(),
            flow: Flow::Clear,
            counted: (b"", 0),
            generation: 0,
            is_dropped: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (flow, server, is_dropped) = {
                    let state = ours.state();
                    (state.flow, state.server, state.is_dropped)
                };
                if is_dropped {
                    break;
                }
                // A server that is stopped refuses, and so do we.
                if flow != Flow::Down
                    && let Ok(server) = connect(server)
                {
                    join(client, server, &ours);
                }
            }
        });
        Self { port, shared }
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same, with the machine.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Connections from now on go to this port.
    pub fn lead_to(&self, server: u16) {
        self.shared.state().server = server;
    }

    /// How bytes go from now on.
    pub fn flows(&self, flow: Flow) {
        self.shared.state().flow = flow;
        self.shared.changed.notify_all();
    }

    /// Forgets every connection that there is, as a firewall does that was restarted: nothing of what
    /// they send arrives, and nobody is told. New ones are as good as ever.
    pub fn forget(&self) {
        self.shared.state().generation += 1;
        self.shared.changed.notify_all();
    }

    /// Something happens to the next request with these bytes in the first piece of it.
    pub fn befall_next(&self, sign: &'static [u8], mishap: Mishap) {
        self.shared.state().next = Some((sign, mishap));
    }

    /// Whether something is still to happen.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.shared.state().next.is_some()
    }

    /// Counts the requests with these bytes in them from now on.
    pub fn count(&self, sign: &'static [u8]) {
        self.shared.state().counted = (sign, 0);
    }

    /// How many there were of those that are counted.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.shared.state().counted.1
    }

    /// What was held up arrives, and is answered when this returns.
    ///
    /// # Panics
    ///
    /// When one is not answered.
    pub async fn release(&self) {
        let (held, server) = {
            let mut state = self.shared.state();
            (std::mem::take(&mut state.held), state.server)
        };
        // The server may live on the thread that waits here.
        let arrived = tokio::task::spawn_blocking(move || {
            held.iter().all(|request| !exchange(server, request).is_empty())
        });
        assert!(arrived.await.expect("no panic"), "what was held up was not answered");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.state().is_dropped = true;
        // Wakes whoever accepts.
        drop(connect(self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets bytes of a connection pass when they may. False when it is reset.
    fn passes(&self, generation: u64) -> bool {
        let state = self.state();
        let is_forgotten =
            |state: &mut State| state.generation != generation && state.flow != Flow::Down;
        let state = self.changed.wait_while(state, is_forgotten);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if let Flow::Slow(wait) = state.flow {
            drop(state);
            thread::sleep(wait);
            return self.state().flow != Flow::Down;
        }
        let open = self.changed.wait_while(state, |state| state.flow == Flow::Silent);
        open.unwrap_or_else(PoisonError::into_inner).flow != Flow::Down
    }

    /// What happens to a request that begins like this.
    fn befalls(&self, request: &[u8]) -> Option<Mishap> {
        let has = |sign: &[u8]| request.windows(sign.len()).any(|part| part == sign);
        let mut state = self.state();
        let (sign, count) = state.counted;
        if !sign.is_empty() && has(sign) {
            state.counted = (sign, count + 1);
        }
        state.next.take_if(|(sign, _)| has(sign)).map(|(_, mishap)| mishap)
    }

    fn hold(&self, request: Vec<u8>) {
        self.state().held.push(request);
    }
}

fn join(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let generation = shared.state().generation;
    let next = Arc::new(Mutex::new(Answer::Passes));
    let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
    let (ours, answer) = (Arc::clone(shared), Arc::clone(&next));
    thread::spawn(move || {
        requests(&from, &to, &ours, generation, &answer);
        close(&from, &to);
    });
    let ours = Arc::clone(shared);
    thread::spawn(move || {
        answers(&server, &client, &ours, generation, &next);
        close(&server, &client);
    });
}

/// Carries requests, until the connection is to be reset.
fn requests(
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
    generation: u64,
    answer: &Mutex<Answer>,
) {
    let next = |becomes| *answer.lock().unwrap_or_else(PoisonError::into_inner) = becomes;
    while let Some(mut request) = read(&mut from) {
        let mishap = shared.befalls(&request);
        while mishap.is_some() && !is_whole(&request) {
            let Some(more) = read(&mut from) else { return };
            request.extend(more);
        }
        match mishap {
            None => {}
            Some(Mishap::RequestLost) => return,
            Some(Mishap::HeldUp) => return shared.hold(request),
            Some(Mishap::Repeated) => shared.hold(request.clone()),
            Some(Mishap::AnswerLost) => next(Answer::Lost),
            Some(Mishap::AnswerReplaced(by)) => next(Answer::Replaced(by)),
            Some(Mishap::Doubled) => {
                let (twin, server) = (request.clone(), shared.state().server);
                next(Answer::After(thread::spawn(move || exchange(server, &twin))));
            }
        }
        if !shared.passes(generation) || to.write_all(&request).is_err() {
            return;
        }
    }
}

/// Carries answers, until the connection is to be reset.
fn answers(
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
    generation: u64,
    next: &Mutex<Answer>,
) {
    while let Some(answer) = read(&mut from) {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        let becomes = std::mem::replace(&mut *next, Answer::Passes);
        drop(next);
        match becomes {
            Answer::Passes => {}
            Answer::Lost => return,
            // Whoever asked may be gone.
            Answer::Replaced(by) => return drop(to.write_all(&by)),
            Answer::After(twin) => drop(twin.join()),
        }
        if !shared.passes(generation) || to.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What there is, at least a byte; none at the end.
fn read(from: &mut &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 65_536];
    let count = from.read(&mut bytes).ok().filter(|count| *count > 0)?;
    bytes.truncate(count);
    Some(bytes)
}

/// Whether a request has come to its end. Of what is not HTTP/1, each piece is one.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    if !text.lines().next().is_some_and(|first| first.ends_with(" HTTP/1.1")) {
        return true;
    }
    let Some(head) = text.find("\r\n\r\n").and_then(|end| text.get(..end)) else { return false };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    request.len() >= head.len() + 4 + length.unwrap_or(0)
}

/// Sends a request on a connection of its own. What the answer begins with; nothing when none came.
fn exchange(server: u16, request: &[u8]) -> Vec<u8> {
    let Ok(server) = connect(server) else { return Vec::new() };
    let sent = (&server).write_all(request);
    sent.ok().and_then(|()| read(&mut &server)).unwrap_or_default()
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
}

fn close(one: &TcpStream, other: &TcpStream) {
    for stream in [one, other] {
        // It may be closed already.
        drop(stream.shutdown(Shutdown::Both));
    }
}
