//! README's forty lines as a service that nobody uses yet: what `idle` starts and weighs.
//!
//! Prints its address once it listens, and stops when its standard input ends.
#![expect(clippy::print_stdout, reason = "the address is what it says")]

use embedding::{Settings, rollback};
use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
use rollback_engine::{Catalog, ServiceConfig};
use rollback_testkit::fakes::FakeBackend;
use rollback_testkit::fixtures;
use std::error::Error;
use std::sync::Arc;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let database = std::env::args_os().nth(1).ok_or("usage: idle DATABASE")?;
    let settings = Settings {
        bot_token: "xoxb-none".into(),
        signing_secret: "a-signing-secret".into(),
        workspace: fixtures::home(),
        database: database.into(),
        slack_api: "http://127.0.0.1:9/api/".into(),
    };
    let service = ServiceConfig::new("prod".parse()?, "C0DEPLOYS".parse()?);
    let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
    let backend: Arc<dyn CdBackend> =
        Arc::new(FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes)));
    let (engine, routes) = rollback(settings, catalog, vec![("prod".parse()?, backend)]).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let running = tokio::spawn(async move { engine.run(std::future::pending()).await });
    let served = tokio::spawn(async move { axum::serve(listener, routes).await });
    let ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    tokio::select! {
        done = running => Ok(done??),
        done = served => Ok(done??),
        done = ended => done?.map(|_read| ()).map_err(Into::into),
    }
}
