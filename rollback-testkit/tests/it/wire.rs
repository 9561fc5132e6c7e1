//! The wire does what a test relies on, to bytes and to HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_testkit::wire::{Does, Flow, Mishap, Peer, Wire};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
const ORDER: &[u8] = b"POST /order HTTP/1.1\r\nContent-Length: 5\r\n\r\nto 41";

fn server() -> (Peer, Wire) {
    let server = Peer::that(Does::SayAndWait(ANSWER.to_vec()));
    let wire = Wire::to(server.address().port());
    (server, wire)
}

fn connect(wire: &Wire) -> TcpStream {
    let client = TcpStream::connect(wire.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    client
}

/// What is heard until the connection ends; none when it does not end.
fn heard(mut client: &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Ok(_) | Err(_) => Some(bytes),
    }
}

/// The answer to an order that comes in two pieces; nothing when the connection ends without one.
fn ask(wire: &Wire) -> Vec<u8> {
    let mut client = connect(wire);
    let (first, second) = ORDER.split_at(30);
    client.write_all(first).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    // It may be reset by now.
    drop(client.write_all(second));
    let mut bytes = vec![0; 1_000];
    let count = client.read(&mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

fn orders(server: &Peer) -> usize {
    server.was_sent().matches("POST /order").count()
}

#[test]
fn an_order_arrives_and_is_answered_where_nothing_is_wrong() {
    let (server, wire) = server();
    wire.count(b"POST /order");
    assert_eq!(ask(&wire), ANSWER);
    assert_eq!(server.was_sent().as_bytes(), ORDER);
    assert_eq!(wire.counted(), 1);
}

#[tokio::test]
async fn each_mishap_befalls_one_order_and_does_what_it_says() {
    let page = b"HTTP/1.1 502 Bad Gateway\r\n\r\n".to_vec();
    for (mishap, answer, arrived, arrives) in [
        (Mishap::RequestLost, &b""[..], 0, 0),
        (Mishap::AnswerLost, b"", 1, 1),
        (Mishap::AnswerReplaced(page.clone()), &page, 1, 1),
        (Mishap::HeldUp, b"", 0, 1),
        (Mishap::Doubled, ANSWER, 2, 2),
        (Mishap::Repeated, ANSWER, 1, 2),
    ] {
        let (server, wire) = server();
        wire.befall_next(b"POST /order", mishap.clone());
        assert!(wire.is_waiting());
        assert_eq!(ask(&wire), answer, "{mishap:?}");
        assert!(!wire.is_waiting());
        assert_eq!(orders(&server), arrived, "{mishap:?}");
        wire.release().await;
        assert_eq!(orders(&server), arrives, "{mishap:?}");
        assert_eq!(ask(&wire), ANSWER, "after {mishap:?}");
        assert_eq!(server.was_sent().len(), (arrives + 1) * ORDER.len(), "{mishap:?}: whole");
    }
}

#[test]
fn a_wire_that_is_down_resets_and_one_that_is_silent_delivers_later() {
    let (server, wire) = server();
    wire.flows(Flow::Down);
    assert_eq!(ask(&wire), b"");
    wire.flows(Flow::Silent);
    let client = connect(&wire);
    (&client).write_all(ORDER).unwrap();
    assert_eq!(heard(&client), None, "it stays open");
    assert_eq!(orders(&server), 0);
    wire.flows(Flow::Slow(Duration::from_millis(50)));
    let since = Instant::now();
    assert_eq!(ask(&wire), ANSWER);
    assert!(since.elapsed() >= Duration::from_millis(100), "there and back");
    wire.flows(Flow::Clear);
    let mut bytes = [0; 1_000];
    let mut client = &client;
    assert_eq!(client.read(&mut bytes).unwrap(), ANSWER.len(), "what was silent arrived");
}

#[test]
fn a_connection_that_is_forgotten_hears_nothing_and_a_new_one_is_as_good_as_ever() {
    let (server, wire) = server();
    let client = connect(&wire);
    // It is through before the wire forgets it.
    while server.connections() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(50));
    wire.forget();
    (&client).write_all(ORDER).unwrap();
    assert_eq!(heard(&client), None, "nobody is told");
    assert_eq!(ask(&wire), ANSWER);
    assert_eq!(orders(&server), 1);
}

#[test]
fn a_wire_leads_where_it_is_led_to_and_is_gone_when_it_is_dropped() {
    let (first, wire) = server();
    let second = Peer::that(Does::SayAndWait(ANSWER.to_vec()));
    wire.lead_to(second.address().port());
    assert_eq!(ask(&wire), ANSWER);
    assert_eq!((orders(&first), orders(&second)), (0, 1));
    let address = wire.address();
    drop(wire);
    let is_gone = (0..200).any(|_look| {
        std::thread::sleep(Duration::from_millis(5));
        TcpStream::connect(address).is_err()
    });
    assert!(is_gone, "somebody still listens");
}
