//! Two processes of `platform-service` on one PostgreSQL database, named by `DATABASE_URL` alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::stage::service::{API_TOKEN, CD_TOKEN, Service, serve_cd, yaml};
use crate::stage::{Host, Stage, cd, deploy};
use local_slack::{Delivery, LocalSlack, Outcome, sign};
use postgres_lab::Server;
use rollback_core::{Phase, StateName};
use rollback_store::verify_audit_files;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use team::{CHANNEL, OWNER, PATIENCE, SECRET, TOKEN, Team, VERSION};

/// Each has an audit file of its own, in the folder that it runs in.
fn yaml_of_replicas(cd: SocketAddr) -> String {
    yaml(cd, 0).replace("limits: {", "limits: {lease: 3s, ")
}

/// Waits until the audit file of a replica ends where the log of all ends, and insists that it is all
/// of it.
async fn has_the_whole_log(replica: &Service) {
    let verdict = replica.get("/v1/audit/verify").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    let kept = async {
        loop {
            let file = verify_audit_files(&replica.folder.path().join("audit.jsonl")).unwrap();
            let head = file.head.map(|head| head.hash.to_string());
            if head.is_some() && head.as_deref() == verdict["head"].as_str() {
                return file.first;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, kept).await.unwrap(), Some(1));
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
    tokio::time::timeout(PATIENCE, ended).await.unwrap()
}

/// Waits until a process has found out that somebody else had taken so many requests, or has opened
/// another rollback, and says how many there are.
async fn rollbacks_after(service: &Service, repeats: usize) -> usize {
    let found_out = async {
        loop {
            let count = service.states().await.len();
            if count > 1 || service.interactions("repeats_elsewhere").await == repeats {
                return count;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found_out).await.unwrap()
}

/// The same interaction as Slack would sign it now.
fn signed_anew(mut delivery: Delivery) -> Delivery {
    delivery.timestamp += 1;
    delivery.signature = sign(SECRET, delivery.timestamp, &delivery.body);
    delivery
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
        has_the_whole_log(replica).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_one_replica_took_is_not_taken_again_by_the_other() {
    let Some(server) = Server::shared("a request sent to two replicas") else { return };
    let space = server.space();
    let (slack, cd) = (Team::start().await, cd());
    let (address, _serving) = serve_cd(&cd).await;
    let first = replica(&slack, address, &space.url()).await;
    let second = replica(&slack, address, &space.url()).await;
    slack.set_interactivity_url(first.callbacks());
    first.report(deploy("ci-4711", "42", VERSION)).await;
    let modal = slack.open(OWNER).await;
    slack.confirm(OWNER, &modal, "errors up 4x").await;
    let seen = ends(&first, "succeeded").await;
    // Whoever captured what Slack sent, sends it to the one that has not seen it.
    slack.set_interactivity_url(second.callbacks());
    let captured = slack.deliveries();
    assert!(captured.len() >= 2, "a click and a submission: {captured:?}");
    for delivery in &captured {
        assert_eq!(slack.resend(delivery).await.unwrap().status, 200);
        let anew = signed_anew(delivery.clone());
        assert_eq!(slack.resend(&anew).await.unwrap().status, 200, "as Slack sends it again");
    }
    assert_eq!(second.interactions("repeats").await, captured.len(), "known here by then");
    assert_eq!(rollbacks_after(&second, captured.len()).await, 1);
    assert_eq!(ends(&second, "succeeded").await, seen);
    assert_eq!((cd.sends(), cd.effects()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_stands_still_a_click_is_acknowledged_and_refused_in_words() {
    let Some(server) = Server::own("a database that stands still") else { return };
    let space = server.space();
    let (slack, cd) = (Team::start().await, cd());
    let (address, _serving) = serve_cd(&cd).await;
    let service = replica(&slack, address, &space.url()).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", VERSION)).await;
    let modal = slack.open(OWNER).await;
    let message = slack.deploy_message().await;
    let stalled = server.stall();
    for _press in 0..3 {
        let pressed = slack.click(OWNER, CHANNEL, &message.ts, "rollback_open").await;
        assert_eq!(pressed.unwrap(), Outcome::Acknowledged);
    }
    slack.confirm(OWNER, &modal, "errors up 4x").await;
    let told = slack.wait_until(PATIENCE, |slack| {
        let said: Vec<String> = slack.ephemerals(OWNER).iter().map(|one| one.all_text()).collect();
        (said.len() == 4).then_some(said)
    });
    for said in told.await.unwrap() {
        assert!(said.contains("could not be recorded, so nothing was done"), "{said}");
        assert!(said.contains("try again in a minute"), "{said}");
    }
    drop(stalled);
    // Nothing of it is done later either, and what people do next is.
    let list = service.get("/v1/rollbacks").await;
    assert_eq!(list["rollbacks"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["rollbacks"][0]["state"], "confirming", "{list}");
    assert_eq!(cd.sends(), 0);
    let modal = slack.modal(OWNER, "\"submit\": Object").await;
    slack.confirm(OWNER, &modal, "errors up 5x").await;
    ends(&service, "succeeded").await;
    assert_eq!((cd.sends(), cd.effects()), (1, 1));
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
    has_the_whole_log(&second).await;
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
