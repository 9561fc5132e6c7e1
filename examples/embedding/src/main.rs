//! The `main` of a host with the button in it: README shows it below the host, as one file.

use axum::Router;
use embedding::{rollback, serve};
use rollback_core::ports::CdBackend;
use rollback_engine::Catalog;
use rollback_slack::SlackOptions;
use std::{error::Error, sync::Arc};

// README: from here
use rollback_core::ServiceKey;
use rollback_engine::ServiceConfig;
use rollback_http::{Config, HttpBackend};
use std::env::var;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let workspace = var("SLACK_WORKSPACE")?.parse()?;
    let mut slack =
        SlackOptions::new(var("SLACK_BOT_TOKEN")?, var("SLACK_SIGNING_SECRET")?, workspace);
    if let Ok(elsewhere) = var("SLACK_API_URL") {
        slack.web_api.base_url = elsewhere; // a Slack for tests
    }
    let checkout = ServiceKey::new("checkout".parse()?, "production".parse()?);
    let service = ServiceConfig::new("cd".parse()?, "C0DEPLOYS".parse()?);
    let access = serde_json::from_str(include_str!("../access.json"))?;
    let catalog = Catalog::new(access).with(checkout, service);
    let cd = HttpBackend::new(&Config::new(var("CD_URL")?, var("CD_TOKEN")?))?;
    let backends: Vec<(_, Arc<dyn CdBackend>)> = vec![("cd".parse()?, Arc::new(cd))];
    let (running, routes) = rollback(slack, "rollback.db".into(), catalog, backends).await?;

    let ours = Router::new().route("/", axum::routing::get(|| async { "our own service" }));
    let listener = tokio::net::TcpListener::bind(var("LISTEN")?).await?;
    let mut told_to_stop = signal(SignalKind::terminate())?;
    let stop = async move {
        told_to_stop.recv().await;
    };
    serve(running, ours.merge(routes), listener, stop).await
}
// README: to here
