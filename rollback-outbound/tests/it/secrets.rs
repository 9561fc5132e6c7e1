//! Whatever goes wrong, and however much is logged: no credential is anywhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::peer::{Does, Peer, SHORT, answer, at_most, config, order};
use rollback_outbound::{Client, ClientConfig, Credential, Request};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::Level;

const BEARER: &str = "canary-bearer-of-the-test";
const PASSWORD: &str = "canary-password-of-the-test";
/// `ana:` and the password.
const BASIC: &str = "YW5hOmNhbmFyeS1wYXNzd29yZC1vZi10aGUtdGVzdA==";

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a server says that repeats all that it was sent, with a code around it.
fn echo(status: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "message": format!("Bearer {BEARER}, Basic {BASIC}, {PASSWORD} at https://ana:{PASSWORD}@cd"),
        BEARER: [PASSWORD, {BASIC: BASIC}],
    })
    .to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json");
    let length = body.len();
    format!(
        "{head}\r\nx-echo: {BEARER} {BASIC} {PASSWORD}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[tokio::test]
async fn no_credential_is_in_anything_that_is_said_or_logged() {
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For all threads: one that is for this thread alone misses what another thread logged first.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let mut redacted = false;
    let (bearer, basic) = (Credential::bearer(BEARER), Credential::basic("ana", PASSWORD));
    for does in [
        Does::HangUpAtOnce,
        Does::HangUpAfterReading,
        Does::Nothing,
        Does::Say(echo("200 OK")),
        Does::Say(echo("422 Unprocessable Content")),
        Does::Say(echo("503 Service Unavailable")),
        Does::Say(answer("200 OK", "text/plain", BEARER)),
        Does::SayAndDrip(format!("HTTP/1.1 422 {BEARER}\r\n\r\n{PASSWORD}").into_bytes()),
    ] {
        let peer = Peer::that(does);
        // What is sent back is both credentials: only ours is known by its value.
        for (credential, ours) in [(&bearer, &[BEARER][..]), (&basic, &[PASSWORD, BASIC])] {
            let mut config = config(&peer);
            (config.timeout, config.credential) = (SHORT, credential.clone());
            config.kept_headers = vec!["x-echo"];
            let client = Client::new(&config).unwrap();
            let exchange = client.send(order()).await;
            let mut all = format!("{config:?} {credential:?} {client:?} {exchange:?}");
            all += &format!("{:?}", at_most(exchange));
            for secret in ours {
                assert!(!all.contains(secret), "{secret} in {all}");
            }
            redacted |= all.contains("[redacted]");
        }
    }
    assert!(redacted, "nothing was taken out");

    let mut said = String::new();
    for url in [
        format!("https://ana:{PASSWORD}@cd.example.com"),
        format!("https://{BEARER}@cd.example.com"),
        format!("https://cd.example.com/?token={BEARER}"),
        format!("{BEARER}://{PASSWORD}"),
    ] {
        let mut config = ClientConfig::new(url, bearer.clone());
        let error = Client::new(&config).unwrap_err();
        said += &format!("{config:?} {error} {error:?}");
        config.url = "https://cd.example.com".to_owned();
        config.credential = Credential::bearer(format!("{BEARER} \u{7f}"));
        let error = Client::new(&config).unwrap_err();
        said += &format!("{config:?} {error} {error:?}");
    }
    let request = Request::get(["apps"]).query("q", BEARER).header("x-more", PASSWORD);
    said += &format!("{request:?}");

    let logged = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("127.0.0.1"), "nothing was heard: {logged}");
    for secret in [BEARER, PASSWORD, BASIC] {
        assert!(!said.contains(secret), "{secret} in {said}");
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}
