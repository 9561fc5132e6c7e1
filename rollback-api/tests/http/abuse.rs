//! Whatever a caller does: a clear problem, nothing leaks, nothing changes, and others are served.

use crate::stage::{Setup, Stage, TOKEN, answer, deploy, proposal};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn untouched(stage: &Stage) {
    assert!(stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap().is_none());
    let all = rollback_core::ports::Query::all(9);
    assert!(stage.engine.rollbacks(&all).await.unwrap().is_empty());
    assert_eq!(stage.cd.sends(), 0);
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_told_which_is() {
    let stage = Stage::new().await;
    for (path, allowed) in [
        ("/v1/deploys", "POST"),
        ("/v1/rollbacks", "GET,HEAD,POST"),
        ("/v1/rollbacks/rb-1", "GET,HEAD"),
        ("/v1/audit", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
    ] {
        for method in ["DELETE", "PUT", "PATCH", "OPTIONS", "INVENTED"] {
            let refused = answer(stage.call(method, path)).await;
            refused.problem(405);
            let mut told: Vec<&str> = refused.header("allow").split(',').map(str::trim).collect();
            told.sort_unstable();
            assert_eq!(told.join(","), allowed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let stage = Stage::new().await;
    let view = stage.rolled_back().await;
    let events = format!("/v1/rollbacks/{}/events", view.id);
    for path in ["/healthz", "/metrics", "/v1/rollbacks", "/v1/audit", "/v1/audit/verify", &events]
    {
        let told = answer(stage.call("HEAD", path)).await;
        assert_eq!((told.status, told.text.as_str()), (200, ""), "{path}");
    }
    let told = answer(stage.call("HEAD", "/v1/deploys")).await;
    assert_eq!(told.status, 405);
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused_before_it_is_read() {
    let stage = Stage::new().await;
    for path in ["/v1/deploys", "/v1/rollbacks"] {
        let body = if path == "/v1/deploys" { deploy() } else { proposal() }.to_string();
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/cloudevents-batch+json",
            "application/jsonx",
            "",
            "\"",
        ] {
            let request = stage.call("POST", path).header("content-type", kind);
            answer(request.body(body.clone())).await.problem(415);
        }
        answer(stage.call("POST", path).body(body.clone())).await.problem(415);
        let compressed = stage.call("POST", path).header("content-encoding", "gzip");
        let compressed = compressed.header("content-type", "application/json").body(body);
        answer(compressed).await.problem(415);
    }
    untouched(&stage).await;
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_and_not_repeated() {
    let stage = Stage::new().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in ["", "{", "{\"id\":\"secret-thing\",}", "\u{feff}{}", "NaN", &deep] {
        let request = stage.call("POST", "/v1/deploys").header("content-type", "application/json");
        let problem = answer(request.body(body.to_owned())).await.problem(400);
        assert!(!problem.to_string().contains("secret-thing"), "{problem}");
    }
    let request = stage.call("POST", "/v1/deploys").header("content-type", "application/json");
    answer(request.body(vec![0x7b, 0xff, 0xfe])).await.problem(400);
    untouched(&stage).await;
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_not_read_either_way() {
    let stage = Stage::new().await;
    for (path, body, once) in [
        ("/v1/deploys", deploy(), r#""service":"checkout""#),
        ("/v1/deploys", deploy(), r#""name":"Bo""#),
        ("/v1/rollbacks", proposal(), r#""service":"checkout""#),
    ] {
        let text = body.to_string();
        assert!(text.contains(once), "{text}");
        let twice = text.replacen(once, &format!("{once},{once}"), 1);
        let request = stage.call("POST", path).header("content-type", "application/json");
        let problem = answer(request.body(twice)).await.problem(400).to_string();
        assert!(problem.contains("twice") && problem.contains("line 1, column"), "{problem}");
    }
    untouched(&stage).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_or_not_it_says_so() {
    let stage = Stage::new().await;
    let mut large = deploy();
    large["padding"] = "x".repeat(300 * 1024).into();
    let told = stage.post("/v1/deploys", &large).await;
    told.problem(413);
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 8192]));
    let chunks = futures_util::StreamExt::take(chunks, 100);
    let request = stage.call("POST", "/v1/deploys").header("content-type", "application/json");
    let request = request.body(reqwest::Body::wrap_stream(chunks));
    // The server may close the connection while the rest is still on its way.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
    untouched(&stage).await;
    assert_eq!(stage.post("/v1/deploys", &deploy()).await.status, 201);
}

#[tokio::test]
async fn a_body_that_never_arrives_is_given_up() {
    let mut setup = Setup::default();
    setup.api.body_wait = Duration::from_millis(200);
    let stage = Stage::with(setup).await;
    let head = format!(
        "POST /v1/deploys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"id\":"
    );
    let began = Instant::now();
    let told = stage.raw(head.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(told.contains("application/problem+json"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(5));
    untouched(&stage).await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let mut setup = Setup::default();
    setup.serve.head_wait = Duration::from_millis(200);
    let stage = Stage::with(setup).await;
    let began = Instant::now();
    let told = stage.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    assert!(!told.contains("200 OK"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // One byte at a time does not help.
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let began = Instant::now();
    while stream.write_all(b"x").await.is_ok() && began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_parts_is_refused() {
    let stage = Stage::new().await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(100));
    let address = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(40 * 1024));
    for (head, limit) in [(long, "32768 bytes"), (many, "64 headers"), (address, "32768 bytes")] {
        let told = stage.raw(head.as_bytes()).await;
        assert!(told.starts_with("HTTP/1.1 431"), "{told}");
        assert!(told.contains("connection: close"), "{told}");
        assert!(told.contains("application/problem+json") && told.contains(limit), "{told}");
    }
}

#[tokio::test]
async fn a_head_that_is_beyond_all_measure_is_cut_off() {
    let stage = Stage::new().await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(2_000));
    for head in [long, many] {
        let told = stage.raw(head.as_bytes()).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 431"), "{told}");
    }
    let address = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(64 * 1024));
    let told = stage.raw(address.as_bytes()).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    assert_eq!(stage.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_the_token() {
    let stage = Stage::new().await;
    for path in [
        "/v1/../v1/rollbacks",
        "/./v1/rollbacks",
        "//v1/rollbacks",
        "/v1//rollbacks",
        "/%76%31/rollbacks",
        "/v1%2frollbacks",
        "/V1/rollbacks",
        "/v1/rollbacks/",
        "/v1/rollbacks;x=1",
        "/v1/rollbacks%00",
        "/healthz/../v1/rollbacks",
        "/healthz%2f..%2fv1/rollbacks",
        "http://elsewhere/v1/rollbacks",
        "/v1/rollbacks#x",
        "*",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let told = stage.raw(head.as_bytes()).await;
        let status = told.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "401", "404"].contains(&status), "{path}: {told}");
        assert!(!told.contains("\"rollbacks\":["), "{path}: {told}");
    }
}

#[tokio::test]
async fn a_request_that_two_readers_could_read_differently_is_not_read_at_all() {
    let stage = Stage::new().await;
    let body = deploy().to_string();
    let length = body.len();
    let head = format!(
        "POST /v1/deploys HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\n"
    );
    for tricks in [
        format!("content-length: {length}\r\ncontent-length: 5\r\n\r\n{body}"),
        format!("content-length: +{length}\r\n\r\n{body}"),
        format!("transfer-encoding: xchunked\r\n\r\n{body}"),
        format!("transfer-encoding: chunked\r\n\r\nZZ\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let told = stage.raw(format!("{head}{tricks}").as_bytes()).await;
        assert!(!told.contains(" 201 ") && !told.contains(" 200 "), "{tricks}: {told}");
    }
    untouched(&stage).await;
}

#[tokio::test]
async fn a_request_with_two_hosts_or_none_is_refused() {
    let stage = Stage::new().await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nHost: x\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n", "200"),
    ] {
        let told = stage.raw(format!("{head}connection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(told.split(' ').nth(1), Some(status), "{head}: {told}");
    }
}

/// Whoever opens connections and says nothing keeps nobody out.
#[tokio::test]
async fn a_silent_connection_makes_room_for_whoever_speaks() {
    let mut setup = Setup::default();
    setup.serve.connections_max = 4;
    let stage = Stage::with(setup).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(TcpStream::connect(stage.address).await.unwrap());
    }
    let began = Instant::now();
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let asked = tokio::time::timeout(Duration::from_secs(5), stage.raw(request)).await;
    let told = asked.expect("the silent ones kept it out");
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(silent);
}

/// Whoever announces a body and sends none keeps nobody out.
#[tokio::test]
async fn a_body_that_does_not_come_makes_room_for_whoever_speaks() {
    let mut setup = Setup::default();
    setup.serve.connections_max = 4;
    let stage = Stage::with(setup).await;
    let head = format!(
        "POST /v1/deploys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"id\":"
    );
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        unread.push(stream);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let asked = tokio::time::timeout(Duration::from_secs(5), stage.raw(request)).await;
    let told = asked.expect("the bodies that do not come kept it out");
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    drop(unread);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_one_that_is_closed() {
    let mut setup = Setup::default();
    setup.serve.connections_max = 2;
    let stage = Stage::with(setup).await;
    stage.post("/v1/deploys", &deploy()).await;
    let id = stage.post("/v1/rollbacks", &proposal()).await.json()["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    // Both are being answered: their events are not over.
    let head = format!(
        "GET /v1/rollbacks/{id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let busy = || async {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = [0; 12];
        stream.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"HTTP/1.1 200");
        stream
    };
    let (one, two) = (busy().await, busy().await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asks = || async {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut seen = [0; 12];
        stream.read_exact(&mut seen).await.map(|_| stream)
    };
    let third = tokio::time::timeout(Duration::from_millis(200), asks()).await;
    assert!(third.is_err(), "a third was served");
    drop(one);
    assert!(tokio::time::timeout(Duration::from_secs(5), asks()).await.unwrap().is_ok());
    drop(two);
}

#[tokio::test]
async fn what_matches_nothing_is_a_problem_and_a_hosts_own_routes_are_its_own() {
    let stage = Stage::new().await;
    for path in ["/", "/nothing", "/healthz/", "/v2/deploys", "/metrics/x"] {
        answer(stage.request("GET", path)).await.problem(404);
    }
    let own = answer(stage.request("GET", "/host/route")).await;
    assert_eq!((own.status, own.text.as_str()), (200, "the host's own"));
}

#[tokio::test]
async fn a_stop_lets_a_request_that_is_being_answered_end() {
    let mut setup = Setup::default();
    setup.api.body_wait = Duration::from_secs(5);
    let stage = Stage::with(setup).await;
    let body = deploy().to_string();
    let (first, rest) = body.split_at(20);
    let head = format!(
        "POST /v1/deploys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
        body.len()
    );
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stage.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(stage.address).await.is_err(), "nothing new is accepted");
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 201"), "{told}");
    stage.served.await.unwrap().unwrap();
}
