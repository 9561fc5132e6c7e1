//! Whatever goes wrong, and however much is logged: the token is nowhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{ORDER, TOKEN, client, fake, routes, serve};
use rollback_core::ports::{CdBackend as _, Fence, LiveOptions};
use rollback_http::server::MemoryLog;
use rollback_testkit::fakes::{FakeBackend, Fault, Method};
use rollback_testkit::wire::{Flow, Mishap, Wire};
use rollback_testkit::{again, fixtures, order_for};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::Level;

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

#[tokio::test]
async fn nothing_that_is_logged_at_any_level_shows_the_token() {
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let cd = fake(Fence::Yes);
    let backend = Arc::<FakeBackend>::clone(&cd);
    let (address, _task) = serve(routes(backend, Arc::new(MemoryLog::default()))).await;
    let wire = Wire::to(address.port());
    let client = client(wire.address(), Fence::Yes);
    let mut said = format!("{client:?}");
    for (mishap, fault) in [
        (None, Some(Fault::Refuse)),
        (None, Some(Fault::LoseRequest)),
        (Some(Mishap::AnswerLost), None),
        (Some(Mishap::HeldUp), None),
    ] {
        if let Some(fault) = fault {
            cd.fail(Method::Start, fault);
            cd.fail(Method::Find, fault);
        }
        if let Some(mishap) = mishap {
            wire.befall_next(ORDER, mishap);
        }
        let order = order_for(fixtures::plan());
        said += &format!("{:?}", client.start(again(&order)).await);
        said += &format!("{:?}", client.find(&order).await);
        said += &format!("{:?}", client.fence(&order).await);
    }
    wire.flows(Flow::Down);
    said += &format!("{:?}", client.live(&fixtures::key(), LiveOptions::default()).await);
    let logged = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("could not be asked"), "nothing was heard: {logged}");
    for text in [said, logged] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}
