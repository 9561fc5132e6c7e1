//! The process under attack from outside, and without Slack: what runs goes on, and whoever may act
//! is not kept out by whoever may not.

use crate::stage::service::{Service, client, serve_cd, yaml};
use crate::stage::{Host, Stage, cd, deploy};
use local_slack::{LocalSlack, User, UserGroup};
use rollback_core::{Phase, StateName};
use rollback_testkit::fakes::FakeBackend;
use serde_json::Value;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use team::{APPROVER, GROUP, OWNER, PATIENCE, STRANGER, people};

fn stage(slack: &LocalSlack, cd: &Arc<FakeBackend>, service: Service) -> Stage {
    Stage { slack: slack.clone().into(), cd: Arc::clone(cd), host: Box::new(service) }
}

async fn reaches(service: &Service, state: StateName) {
    let reached = async {
        while service.states().await.first() != Some(&state) {
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "never {state}: {:?}", service.states().await);
}

/// The configuration with these groups as owners.
fn owned_by(yaml: &str, groups: &[String]) -> String {
    let owners = format!("owners: {{groups: [{}]}}", groups.join(", "));
    let changed = yaml.replace("owners: {users: [U02ANA], groups: [S0PAYMENTS]}", &owners);
    assert_ne!(changed, yaml);
    changed
}

/// Slack takes twenty questions about the members of groups a minute.
#[tokio::test]
async fn an_owner_with_eight_groups_is_not_denied_by_our_own_pacing() {
    let mut team = people().limit_method("usergroups.users.list", 20);
    let mut groups: Vec<String> = (1..=7).map(|number| format!("S0TEAM{number}")).collect();
    for group in &groups {
        team = team.group(UserGroup::new(group, group.to_lowercase(), [STRANGER]));
    }
    groups.push(GROUP.to_owned());
    let (slack, cd) = (LocalSlack::start(team).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = owned_by(&yaml(address, 0), &groups);
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    let stage = stage(&slack, &cd, service);
    stage.report().await;
    let modal = stage.open(APPROVER).await;
    stage.confirm(APPROVER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Succeeded).await;
}

/// In an incident everybody who may presses at once. One rolls back, and nobody is told that they
/// may not.
#[tokio::test]
async fn of_ten_entitled_people_in_an_incident_nobody_is_denied() {
    let mut team = people().limit_method("usergroups.users.list", 20);
    let crowd: Vec<String> = (10..20).map(|number| format!("U{number}CROWD")).collect();
    for person in &crowd {
        team = team.user(User::new(person, person.to_lowercase()));
    }
    team = team.group(UserGroup::new("S0CROWD", "crowd", crowd.clone()));
    let others = ["S0OTHER1", "S0OTHER2", "S0OTHER3"];
    for group in others {
        team = team.group(UserGroup::new(group, group.to_lowercase(), [STRANGER]));
    }
    let groups: Vec<String> = others.into_iter().chain(["S0CROWD"]).map(str::to_owned).collect();
    let (slack, cd) = (LocalSlack::start(team).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = owned_by(&yaml(address, 0), &groups);
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let stage = team::Team::from(slack.clone());
    let mut modals = Vec::new();
    for person in &crowd {
        modals.push((person, stage.open(person).await));
    }
    for (person, modal) in &modals {
        stage.confirm(person, modal, "errors up 4x").await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let all_ended = async {
        loop {
            let list = service.get("/v1/rollbacks").await;
            let all = list["rollbacks"].as_array().cloned().unwrap_or_default();
            if all.len() == crowd.len() && all.iter().all(|one| !one["ended_at"].is_null()) {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let all = tokio::time::timeout(PATIENCE, all_ended).await.expect("all end");
    let states: Vec<&str> = all.iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert!(!states.contains(&"denied"), "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == "succeeded").count(), 1, "{states:?}");
}

#[tokio::test]
async fn a_stranger_who_presses_again_and_again_keeps_nobody_out() {
    let team = people().limit_method("usergroups.users.list", 20).group(UserGroup::new(
        "S0OTHER",
        "other",
        [OWNER],
    ));
    let (slack, cd) = (LocalSlack::start(team).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = yaml(address, 1).replace("groups: [S0PAYMENTS]", "groups: [S0OTHER, S0PAYMENTS]");
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let stage = team::Team::from(slack.clone());
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    reaches(&service, StateName::Approving).await;
    for _press in 0..12 {
        stage.press(STRANGER, "rollback_approve").await;
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    let began = Instant::now();
    stage.press(APPROVER, "rollback_approve").await;
    reaches(&service, StateName::Succeeded).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let asked = slack.calls_of("usergroups.users.list").len();
    assert!(asked <= 20, "{asked} questions");
}

/// The configuration with people who may do nothing, in these groups, whatever else names them.
fn denying(yaml: &str, groups: &[&str]) -> String {
    let groups = groups.join(", ");
    format!("{yaml}access: {{denied: [{{name: interns, groups: [{groups}]}}]}}\n")
}

/// Whoever owns the service is in none of the groups that are denied: each of their questions about
/// one is answered with a no, and lets them in.
#[tokio::test]
async fn where_groups_are_denied_one_rollback_after_the_other_is_let_through() {
    let team = people()
        .limit_method("usergroups.users.list", 20)
        .group(UserGroup::new("S0INTERNS", "interns", [STRANGER]))
        .group(UserGroup::new("S0SUSPENDED", "suspended", [STRANGER]));
    let (slack, cd) = (LocalSlack::start(team).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = denying(&yaml(address, 1), &["S0INTERNS", "S0SUSPENDED"]);
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    let stage = stage(&slack, &cd, service);
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Approving).await;
    stage.press(APPROVER, "rollback_approve").await;
    stage.reaches(StateName::Succeeded).await;
}

#[tokio::test]
async fn where_a_group_is_denied_a_stranger_who_presses_on_keeps_no_owner_out() {
    let team = people().limit_method("usergroups.users.list", 20).group(UserGroup::new(
        "S0INTERNS",
        "interns",
        [STRANGER],
    ));
    let (slack, cd) = (LocalSlack::start(team).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = denying(&yaml(address, 1), &["S0INTERNS"]);
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let stage = team::Team::from(slack.clone());
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    reaches(&service, StateName::Approving).await;
    for _press in 0..12 {
        stage.press(STRANGER, "rollback_approve").await;
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    let began = Instant::now();
    stage.press(APPROVER, "rollback_approve").await;
    reaches(&service, StateName::Succeeded).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let asked = slack.calls_of("usergroups.users.list").len();
    assert!(asked <= 20, "{asked} questions");
}

/// With a limit of 256 descriptors, four hundred connections that say nothing.
#[tokio::test]
async fn idle_connections_do_not_stop_the_rollback_that_runs() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rollback.yaml"), yaml(address, 0)).unwrap();
    let service = Service::start_with_files(256, folder, &slack, server).await;
    slack.set_interactivity_url(service.callbacks());
    cd.set_phases(std::iter::repeat_n(Phase::Started, 10).chain([Phase::Complete]));
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let team = team::Team::from(slack.clone());
    let modal = team.open(OWNER).await;
    team.confirm(OWNER, &modal, "errors up 4x").await;
    reaches(&service, StateName::Running).await;
    let target = service.address;
    let silent = tokio::task::spawn_blocking(move || {
        let connect = |_| TcpStream::connect_timeout(&target, Duration::from_millis(20)).ok();
        (0..400).map(connect).collect::<Vec<_>>()
    });
    let silent = silent.await.unwrap();
    // A connection of its own: the silent ones keep nobody out.
    let fresh = client();
    let began = Instant::now();
    let answer = fresh.get(service.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    reaches(&service, StateName::Succeeded).await;
    let page = fresh.get(service.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("rollback_connections"), "{page}");
    let logs = service.logs.lock().unwrap().clone();
    assert!(!logs.contains("Too many open files"), "{logs}");
    let told = logs.lines().filter(|line| line.contains("connection")).count();
    assert!(told < 20, "{told} lines about connections: {logs}");
    drop(silent);
}

#[tokio::test]
async fn unsigned_noise_is_counted_and_is_not_a_line_each() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let service = Service::start(&slack, &cd, 0).await;
    let noisy = client();
    for number in 0..300 {
        let sent = noisy.post(service.callbacks()).body(format!("payload={number}")).send().await;
        assert_eq!(sent.unwrap().status().as_u16(), 401);
        let sent = noisy.get(service.url("/v1/rollbacks")).bearer_auth("wrong").send().await;
        assert!([401, 429].contains(&sent.unwrap().status().as_u16()));
    }
    assert_eq!(service.interactions("bad_signatures").await, 300);
    let logs = service.logs.lock().unwrap().clone();
    let lines = logs.lines().count();
    assert!(lines < 60, "{lines} lines: {logs}");
}

/// What runs does not wait for Slack.
#[tokio::test]
async fn killed_while_slack_is_down_and_no_workspace_is_named_the_next_one_ends_what_runs() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = yaml(address, 0).replace(", workspace: T0ACME", "");
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    cd.set_phases(std::iter::repeat_n(Phase::Started, 8).chain([Phase::Complete]));
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let team = team::Team::from(slack.clone());
    let modal = team.open(OWNER).await;
    team.confirm(OWNER, &modal, "errors up 4x").await;
    reaches(&service, StateName::Running).await;
    let (folder, server) = service.kill();
    slack.set_outage(true);

    let again = Service::start_in(folder, &slack, server, &[]).await;
    reaches(&again, StateName::Succeeded).await;
    assert_eq!((cd.sends(), cd.effects()), (1, 1), "the order was sent once");
    let knock = client().post(again.callbacks()).body("payload=%7B%7D").send().await.unwrap();
    assert_eq!(knock.status().as_u16(), 503, "nothing is taken before the workspace is known");

    slack.set_outage(false);
    slack.set_interactivity_url(again.callbacks());
    team.message_says("2.13.4").await;
    let open = async {
        while client().post(again.callbacks()).send().await.unwrap().status().as_u16() == 503 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, open).await.expect("it opens when Slack answers");
    let list: Value = again.get("/v1/rollbacks").await;
    assert_eq!(list["rollbacks"].as_array().map(Vec::len), Some(1));
}
