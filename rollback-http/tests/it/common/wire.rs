//! What lies between a client and a server: it can be cut, lose an answer, or hold an order up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What happens to the next order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mishap {
    #[default]
    None,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It arrives, and the answer names no execution: what came of it has to be looked for.
    AnswerNamesNothing,
    /// It stays on the way until [`Wire::release`].
    HeldUp,
    /// It arrives twice; the first answer is passed on.
    Doubled,
    /// It arrives and is answered, and arrives once more with [`Wire::release`].
    Repeated,
}

#[derive(Debug, Default)]
struct State {
    upstream: Option<SocketAddr>,
    cut: bool,
    next: Mishap,
    held: Vec<Vec<u8>>,
}

/// A wire with its own port. Each connection carries one request.
#[derive(Debug)]
pub struct Wire {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    pub async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { upstream: Some(upstream), ..State::default() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, task: task.abort_handle() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn lead_to(&self, upstream: SocketAddr) {
        self.state().upstream = Some(upstream);
    }

    pub fn cut(&self) {
        self.state().cut = true;
    }

    pub fn heal(&self) {
        self.state().cut = false;
    }

    pub fn befall_next_order(&self, mishap: Mishap) {
        self.state().next = mishap;
    }

    /// What was held up arrives, and is dealt with when this returns.
    pub async fn release(&self) {
        let (held, upstream) = {
            let mut state = self.state();
            (std::mem::take(&mut state.held), state.upstream.unwrap())
        };
        for request in held {
            assert!(!forward(upstream, &request).await.is_empty(), "a late order was not answered");
        }
    }
}

async fn carry(mut stream: TcpStream, shared: Arc<Mutex<State>>) {
    if shared.lock().unwrap().cut {
        return;
    }
    let Some(request) = request(&mut stream).await else { return };
    let (mishap, upstream) = {
        let mut state = shared.lock().unwrap();
        let is_order = request.starts_with(b"POST /v1/rollbacks HTTP/");
        let mishap = if is_order { std::mem::take(&mut state.next) } else { Mishap::None };
        if matches!(mishap, Mishap::HeldUp | Mishap::Repeated) {
            state.held.push(request.clone());
        }
        (mishap, state.upstream.unwrap())
    };
    match mishap {
        Mishap::HeldUp => {}
        Mishap::AnswerLost => drop(forward(upstream, &request).await),
        Mishap::AnswerNamesNothing => {
            drop(forward(upstream, &request).await);
            drop(stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await);
        }
        Mishap::None | Mishap::Repeated => {
            let answer = forward(upstream, &request).await;
            drop(stream.write_all(&answer).await);
        }
        Mishap::Doubled => {
            let (first, _second) =
                tokio::join!(forward(upstream, &request), forward(upstream, &request));
            drop(stream.write_all(&first).await);
        }
    }
}

/// One request, whole, that asks for the connection to be closed after it.
pub async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
        if bytes.len() >= end + 4 + length {
            let mut whole = head.into_bytes();
            whole.extend_from_slice(b"\r\nconnection: close");
            whole.extend_from_slice(&bytes[end..]);
            return Some(whole);
        }
    }
}

async fn forward(upstream: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(upstream).await
        && stream.write_all(request).await.is_ok()
    {
        drop(stream.read_to_end(&mut answer).await);
    }
    answer
}
