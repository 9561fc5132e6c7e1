//! Between a client and the server: forwards everything, until it is told to lose something.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is lost of the next COMMIT, and its connection with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Cut {
    /// The request: the server never hears of it.
    Request,
    /// The answer: the server has committed.
    Answer,
}

/// A wire that can be cut.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    next: Arc<Mutex<Option<Cut>>>,
}

impl Wire {
    /// A wire to a port of this machine.
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(Mutex::new(None));
        let cut = Arc::clone(&next);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that is stopped refuses, and so do we.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    join(client, server, &cut);
                }
            }
        });
        Self { port, next }
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Loses something of the next COMMIT.
    pub fn cut_next_commit(&self, cut: Cut) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut);
    }

    /// Whether something is still to be lost.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

fn join(client: TcpStream, server: TcpStream, next: &Arc<Mutex<Option<Cut>>>) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let lose_answer = Arc::new(Mutex::new(false));
    let (loses, next) = (Arc::clone(&lose_answer), Arc::clone(next));
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let Some(request) = bytes.get(..count) else { break };
            if request.ends_with(b"COMMIT\0") {
                match next.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    Some(Cut::Request) => break,
                    Some(Cut::Answer) => *loses.lock().unwrap() = true,
                    None => {}
                }
            }
            if to.write_all(request).is_err() {
                break;
            }
        }
        close(&from);
        close(&to);
    });
    let (mut from, mut to) = (server, client);
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let Some(answer) = bytes.get(..count) else { break };
            if *lose_answer.lock().unwrap() || to.write_all(answer).is_err() {
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
