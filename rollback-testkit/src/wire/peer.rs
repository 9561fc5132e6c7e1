use super::{is_whole, read};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Between two bytes of what drips.
const DRIP: Duration = Duration::from_millis(60);

/// What a server does with each request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Does {
    /// Hangs up before it reads.
    HangUpAtOnce,
    /// Reads it all, and hangs up.
    HangUpAfterReading,
    /// Reads it all, and says nothing.
    Nothing,
    /// Answers with these bytes and hangs up.
    Say(Vec<u8>),
    /// Answers with these bytes after so long, and hangs up.
    SayAfter(Duration, Vec<u8>),
    /// Answers with these bytes and leaves it at that.
    SayAndWait(Vec<u8>),
    /// Answers with these bytes, and then with one byte now and then for ever.
    SayAndDrip(Vec<u8>),
    /// Answers with these bytes, and then with as many as somebody reads.
    SayAndFlood(Vec<u8>),
}

/// A server with a fault: what it was sent, and how often it was connected to. There is no real one behind
/// it; between a client and a real one is a [`Wire`](super::Wire).
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    written: AtomicUsize,
    read: Mutex<Vec<u8>>,
}

impl Peer {
    /// A server that does this with each request, on a free port of this machine.
    #[must_use]
    pub fn that(does: Does) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Seen::default());
        let ours = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                ours.connections.fetch_add(1, Ordering::SeqCst);
                let (does, ours) = (does.clone(), Arc::clone(&ours));
                thread::spawn(move || ours.serve(&stream, does));
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was connected to.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many bytes it wrote after what it had to say.
    #[must_use]
    pub fn written(&self) -> usize {
        self.seen.written.load(Ordering::SeqCst)
    }

    /// All that it was sent, one request after the other.
    #[must_use]
    pub fn was_sent(&self) -> String {
        let read = self.seen.read.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&read).into_owned()
    }
}

impl Seen {
    fn serve(&self, mut stream: &TcpStream, does: Does) {
        if does == Does::HangUpAtOnce {
            return;
        }
        let Some(mut request) = read(&mut stream) else { return };
        while !is_whole(&request) {
            let Some(more) = read(&mut stream) else { return };
            request.extend(more);
        }
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(request);
        // Whoever asked may be gone: then there is nobody to answer.
        match does {
            Does::HangUpAtOnce | Does::HangUpAfterReading => {}
            Does::Nothing => until_hung_up(stream),
            Does::Say(bytes) => drop(stream.write_all(&bytes)),
            Does::SayAfter(wait, bytes) => {
                thread::sleep(wait);
                drop(stream.write_all(&bytes));
            }
            Does::SayAndWait(bytes) => {
                drop(stream.write_all(&bytes));
                until_hung_up(stream);
            }
            Does::SayAndDrip(bytes) => self.go_on(stream, &bytes, b" ", DRIP),
            Does::SayAndFlood(bytes) => {
                self.go_on(stream, &bytes, &[b' '; 16 * 1024], Duration::ZERO);
            }
        }
    }

    fn go_on(&self, mut stream: &TcpStream, first: &[u8], chunk: &[u8], pause: Duration) {
        drop(stream.write_all(first));
        while stream.write_all(chunk).is_ok() {
            self.written.fetch_add(chunk.len(), Ordering::SeqCst);
            thread::sleep(pause);
        }
    }
}

fn until_hung_up(mut stream: &TcpStream) {
    while read(&mut stream).is_some() {}
}
