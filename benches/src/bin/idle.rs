//! README's host as a service that nobody uses yet: what `idle` starts and weighs.
//!
//! Prints its address once it listens, and stops when its standard input ends.
#![expect(clippy::print_stdout, reason = "the address is what it says")]

use embedding::{rollback, serve};
use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
use rollback_engine::{Catalog, ServiceConfig};
use rollback_slack::SlackOptions;
use rollback_testkit::fakes::FakeBackend;
use rollback_testkit::fixtures;
use std::error::Error;
use std::sync::Arc;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let database = std::env::args_os().nth(1).ok_or("usage: idle DATABASE")?;
    let mut slack = SlackOptions::new("xoxb-none", "a-signing-secret", fixtures::home());
    slack.web_api.base_url = "http://127.0.0.1:9/api/".into();
    let service = ServiceConfig::new("prod".parse()?, "C0DEPLOYS".parse()?);
    let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
    let backend: Arc<dyn CdBackend> =
        Arc::new(FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes)));
    let backends = vec![("prod".parse()?, backend)];
    let (running, routes) = rollback(slack, database.into(), catalog, backends).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    serve(running, routes, listener, async move { drop(ended.await) }).await
}
