//! CPU per signed click on a real HTTP server, beside a bare axum handler in the same run.
//!
//! Each server has a thread of its own with one event loop, and says how much CPU that thread has
//! used; 32 connections send one click after the other from another thread. The two take turns, so
//! that a slow moment meets both. What happens after the acknowledgement (the durable record, the
//! modal) is not in it: `engine` has that.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints"
)]

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use benches::{Decider, Organization, Sender, median, thread_cpu};
use rollback_slack::{INTERACTIVITY_PATH, UnixSeconds, router};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 7;
const CLICKS: usize = 20_000;

/// The goal, the server's own share included.
const CLICK_CPU_MAX: Duration = Duration::from_micros(25);

/// A server on a thread of its own.
struct Server {
    address: SocketAddr,
    questions: mpsc::UnboundedSender<oneshot::Sender<Duration>>,
}

impl Server {
    fn start(routes: Router) -> Self {
        let (questions, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<Duration>>();
        let (ready, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::spawn(async move {
                    while let Some(answer) = asked.recv().await {
                        answer.send(thread_cpu()).unwrap();
                    }
                });
                axum::serve(listener, routes).await.unwrap();
            });
        });
        Self { address: address.recv().unwrap(), questions }
    }

    async fn cpu(&self) -> Duration {
        let (ask, answer) = oneshot::channel();
        self.questions.send(ask).unwrap();
        answer.await.unwrap()
    }

    /// CPU µs a click, over so many of them.
    async fn cost(&self, sender: &Arc<Mutex<Sender>>, clicks: usize) -> f64 {
        let before = self.cpu().await;
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|_caller| {
                tokio::spawn(send(self.address, Arc::clone(sender), clicks / CONNECTIONS))
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let spent = (self.cpu().await - before).as_secs_f64() * 1e6;
        spent / f64::from(u32::try_from(clicks / CONNECTIONS * CONNECTIONS).unwrap())
    }
}

async fn send(address: SocketAddr, sender: Arc<Mutex<Sender>>, clicks: usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = vec![0; 4_096];
    for _click in 0..clicks {
        let request = request(&mut sender.lock().unwrap());
        stream.write_all(&request).await.unwrap();
        let mut read = 0;
        // No answer has a body.
        while !answer.get(..read).unwrap().ends_with(b"\r\n\r\n") {
            let more = stream.read(answer.get_mut(read..).unwrap()).await.unwrap();
            assert!(more > 0, "the server hung up");
            read += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "a click was not taken");
    }
}

/// With the headers that Slack sends.
fn request(sender: &mut Sender) -> Vec<u8> {
    let (timestamp, signature, body) = sender.next(UnixSeconds::now());
    let mut request = format!(
        "POST {INTERACTIVITY_PATH} HTTP/1.1\r\nhost: rollback.example.com\r\n\
         user-agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n\
         accept-encoding: gzip,deflate\r\naccept: application/json,*/*\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
         x-slack-signature: {signature}\r\nx-slack-request-timestamp: {timestamp}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--test" || argument == "--quick");
    let (rounds, clicks) = if quick { (3, 2_000) } else { (ROUNDS, CLICKS) };
    let entrance = Arc::new(Decider::entrance(Organization::resolved()));
    let bare = Router::new().route(INTERACTIVITY_PATH, post(|_body: Bytes| async {}));
    let (bare, ours) = (Server::start(bare), Server::start(router(Arc::clone(&entrance))));
    let sender = Arc::new(Mutex::new(Sender::new()));
    println!("click: {} B of body, {clicks} clicks a round", sender.lock().unwrap().body_bytes());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut costs, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    runtime.block_on(async {
        // Each warms up once.
        bare.cost(&sender, clicks / 10).await;
        ours.cost(&sender, clicks / 10).await;
        for _round in 0..rounds {
            let (without, with) =
                (bare.cost(&sender, clicks).await, ours.cost(&sender, clicks).await);
            println!("  bare axum {without:5.1} µs   click {with:5.1} µs");
            bares.push(without);
            costs.push(with);
            ratios.push(with / without);
        }
    });
    let (permitted, denied) = entrance.intake().handler().decided();
    assert!(permitted > 0 && denied > 0, "both decisions were made");
    let counted = entrance.intake().counters().snapshot();
    assert_eq!(permitted + denied, counted.clicks, "every click was decided on");
    let (bare, click) = (median(bares), median(costs));
    println!(
        "click: {click:.1} µs of CPU, bare axum {bare:.1} µs, ratio {:.2}, ours alone {:.1} µs \
         (goal: {CLICK_CPU_MAX:?} with the server's own)",
        median(ratios),
        click - bare,
    );
}
