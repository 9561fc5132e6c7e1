//! Between a client and a server: forwards everything, until it is told to lose something, to be
//! slow, to fall silent or to be down.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What is lost of the next request that is waited for, and its connection with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Cut {
    /// The request: the server never hears of it.
    Request,
    /// The answer: the server has done it.
    Answer,
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

/// A wire that can be cut.
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
    /// What a request has in it that is waited for, and what is then lost.
    next: Option<(&'static [u8], Cut)>,
    flow: Flow,
    /// What requests have in them that are counted, and how many there were.
    counted: (&'static [u8], u64),
    /// Grows when the connections of before are forgotten.
    generation: u64,
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

    fn cuts(&self, request: &[u8]) -> Option<Cut> {
        let has = |sign: &[u8]| request.windows(sign.len()).any(|part| part == sign);
        let mut state = self.state();
        let (sign, count) = state.counted;
        if !sign.is_empty() && has(sign) {
            state.counted = (sign, count + 1);
        }
        state.next.take_if(|(sign, _)| has(sign)).map(|(_, cut)| cut)
    }
}

impl Wire {
    /// A wire to a port of this machine.
    #[must_use]
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { next: None, flow: Flow::Clear, counted: (b"", 0), generation: 0 };
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ours.state().flow == Flow::Down {
                    continue;
                }
                // A server that is stopped refuses, and so do we.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
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

    /// Loses something of the next COMMIT.
    pub fn cut_next_commit(&self, cut: Cut) {
        self.cut_next(b"COMMIT\0", cut);
    }

    /// Loses something of the next request with these bytes in it.
    pub fn cut_next(&self, sign: &'static [u8], cut: Cut) {
        self.shared.state().next = Some((sign, cut));
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

    /// Whether something is still to be lost.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.shared.state().next.is_some()
    }
}

fn join(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let lose_answer = Arc::new(Mutex::new(false));
    let (loses, ours) = (Arc::clone(&lose_answer), Arc::clone(shared));
    let generation = shared.state().generation;
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let Some(request) = bytes.get(..count) else { break };
            match ours.cuts(request) {
                Some(Cut::Request) => break,
                Some(Cut::Answer) => *loses.lock().unwrap() = true,
                None => {}
            }
            if !ours.passes(generation) || to.write_all(request).is_err() {
                break;
            }
        }
        close(&from);
        close(&to);
    });
    let (mut from, mut to, ours) = (server, client, Arc::clone(shared));
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let Some(answer) = bytes.get(..count) else { break };
            let is_lost = *lose_answer.lock().unwrap();
            if is_lost || !ours.passes(generation) || to.write_all(answer).is_err() {
                break;
            }
        }
        close(&from);
        close(&to);
    });
}

fn close(stream: &TcpStream) {
    // It may be closed already.
    drop(stream.shutdown(Shutdown::Both));
}
