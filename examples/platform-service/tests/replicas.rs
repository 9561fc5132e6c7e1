//! Two processes of `platform-service` on one PostgreSQL database, named by `DATABASE_URL` alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod stage;

use local_slack::LocalSlack;
use postgres_lab::Server;
use rollback_core::{Phase, StateName};
use serde_json::Value;
use stage::service::{API_TOKEN, CD_TOKEN, Service, serve_cd, yaml};
use stage::{Host, Stage, cd, deploy};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use team::{CHANNEL, OWNER, SECRET, TOKEN, Team, VERSION};

/// The audit file is one process's own; several keep the log in their store.
fn yaml_of_replicas(cd: SocketAddr) -> String {
    let yaml = yaml(cd, 0);
    let (before, rest) = yaml.split_once("audit: ").unwrap();
    let (_, limits) = rest.split_once('\n').unwrap();
    format!("{before}{limits}").replace("limits: {", "limits: {lease: 3s, ")
}

/// A process; the CD system is none of its own, and goes on without it.
async fn replica(slack: &LocalSlack, cd: SocketAddr, database: &str) -> Service {
    let nothing = tokio::spawn(async {});
    let yaml = yaml_of_replicas(cd);
    Service::start_with(slack, &yaml, nothing, &[("DATABASE_URL", database)]).await
}

async fn ends(service: &Service, state: &str) -> Value {
    let ended = async {
        loop {
            let rollback = service.get("/v1/rollbacks").await["rollbacks"][0].clone();
            if rollback["state"] == state {
                return rollback;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(team::PATIENCE, ended).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_reported_to_one_replica_is_rolled_back_through_the_other() {
    let Some(server) = Server::shared("two replicas of platform-service") else { return };
    let space = server.space();
    let (slack, cd) = (Team::start().await, cd());
    let (address, _serving) = serve_cd(&cd).await;
    let first = replica(&slack, address, &space.url()).await;
    let second = replica(&slack, address, &space.url()).await;
    slack.set_interactivity_url(second.callbacks());
    first.report(deploy("ci-4711", "42", VERSION)).await;
    let modal = slack.open(OWNER).await;
    slack.confirm(OWNER, &modal, "errors up 4x").await;
    let seen = ends(&first, "succeeded").await;
    assert_eq!(ends(&second, "succeeded").await, seen, "both tell the same");
    assert_eq!((cd.sends(), cd.effects()), (1, 1));
    slack.message_says("Rolled back").await;
    assert_eq!(slack.messages(CHANNEL).len(), 1, "one message for one deploy");
    for replica in [&first, &second] {
        let verdict = replica.get("/v1/audit/verify").await;
        assert_eq!(verdict["ok"], true, "{verdict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_in_the_middle_is_followed_by_the_other() {
    let Some(server) = Server::shared("a replica of platform-service that is killed") else {
        return;
    };
    let space = server.space();
    let (slack, cd) = (Team::start().await, cd());
    let (address, _serving) = serve_cd(&cd).await;
    cd.set_phases(std::iter::repeat_n(Phase::Started, 8).chain([Phase::Complete]));
    let first = replica(&slack, address, &space.url()).await;
    let stage = Stage { slack, cd: Arc::clone(&cd), host: Box::new(first) };
    stage.slack.set_interactivity_url(stage.host.callbacks());
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Running).await;
    let Stage { slack, host, .. } = stage;
    // Its drop is a SIGKILL.
    drop(host);
    let second = replica(&slack, address, &space.url()).await;
    ends(&second, "succeeded").await;
    assert_eq!((cd.sends(), cd.effects()), (1, 1), "the order was sent once, by the one that died");
    slack.message_says("Rolled back").await;
    let verdict = second.get("/v1/audit/verify").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_the_database_and_names_it_without_its_password() {
    let Some(server) = Server::shared("check on PostgreSQL") else { return };
    let space = server.space();
    let (slack, cd) = (Team::start().await, cd());
    let (address, _serving) = serve_cd(&cd).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rollback.yaml"), yaml_of_replicas(address)).unwrap();
    let check = |database: String| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-service"));
        command.args(["check", "--config", "rollback.yaml"]).current_dir(folder.path());
        command.env_clear().envs([
            ("SLACK_BOT_TOKEN", TOKEN),
            ("SLACK_SIGNING_SECRET", SECRET),
            ("SLACK_API_URL", slack.api_url().as_str()),
            ("ROLLBACK_API_TOKEN", API_TOKEN),
            ("CD_TOKEN", CD_TOKEN),
            ("DATABASE_URL", database.as_str()),
        ]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let good = check(space.url().replace("unused", "canary-password")).await.unwrap();
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{said}{}", String::from_utf8_lossy(&good.stderr));
    assert!(said.contains("the database is empty; the first start makes its tables"), "{said}");
    let gone = check("postgres://rb:canary-password@127.0.0.1:1/rollback".into()).await.unwrap();
    assert_eq!(gone.status.code(), Some(1));
    for output in [good, gone] {
        let said = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains("canary"), "a password was shown");
    }
}
