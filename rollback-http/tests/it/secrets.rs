//! Whatever goes wrong, and however much is logged: the token is nowhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::wire::{Mishap, Wire};
use crate::common::{TOKEN, client, fake, routes, serve};
use rollback_core::ports::{CdBackend as _, Fence};
use rollback_http::server::MemoryLog;
use rollback_testkit::fakes::{FakeBackend, Fault, Method};
use rollback_testkit::{fixtures, order_for};
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
    let wire = Wire::to(address).await;
    let client = client(wire.address, Fence::Yes);
    let mut said = format!("{client:?}");
    for (mishap, fault) in [
        (Mishap::None, Some(Fault::Refuse)),
        (Mishap::None, Some(Fault::LoseRequest)),
        (Mishap::AnswerLost, None),
        (Mishap::HeldUp, None),
    ] {
        if let Some(fault) = fault {
            cd.fail(Method::Start, fault);
            cd.fail(Method::Find, fault);
        }
        wire.befall_next_order(mishap);
        let order = order_for(fixtures::plan());
        said += &format!("{:?}", client.start(&order).await);
        said += &format!("{:?}", client.find(&order).await);
        said += &format!("{:?}", client.fence(&order).await);
    }
    wire.cut();
    said += &format!("{:?}", client.live(&fixtures::key()).await);
    let logged = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("could not be asked"), "nothing was heard: {logged}");
    for text in [said, logged] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}
