//! What went wrong in buttons of others that were published, and may not go wrong in ours.

use super::{Target, button, form, seconds};
use crate::stage::service::{API_TOKEN, CD_TOKEN, Service, serve_cd, yaml};
use crate::stage::{Host, Kind, Stage, cd};
use local_slack::{LocalSlack, Message, User, UserGroup, View, sign};
use rollback_core::StateName;
use serde_json::{Value, json};
use std::process::Command;
use team::{APPROVER, CHANNEL, OWNER, PATIENCE, SECRET, STRANGER, TOKEN, WORKSPACE, people};

/// Whoever owns something, and not what is rolled back.
const OTHER_OWNER: &str = "U07OTTO";

/// Waits for the request to the approvers.
async fn request(slack: &LocalSlack, card: &Message) -> Message {
    let found = slack.wait_until(PATIENCE, |slack| {
        let mut replies = slack.thread(CHANNEL, &card.ts).into_iter();
        replies.find(|reply| reply.element("rollback_approve").is_some())
    });
    found.await.expect("a request to the approvers")
}

/// Waits until somebody was told so many things in private, and gives the last.
async fn told(slack: &LocalSlack, user: &str, nth: usize) -> String {
    let told = slack.wait_until(PATIENCE, |slack| {
        slack.ephemerals(user).get(nth).map(local_slack::Ephemeral::all_text)
    });
    told.await.unwrap_or_else(|late| panic!("{user} was not told the {nth}th time: {late}"))
}

/// The submission of somebody's modal as it was sent, changed and signed anew.
async fn forged(stage: &Stage, of: &View, change: impl FnOnce(&mut Value)) -> u16 {
    let submitted = |payload: &Value| {
        payload["type"] == "view_submission" && payload["view"]["id"] == of.id.as_str()
    };
    let mut all = stage.slack.deliveries().into_iter().rev();
    let mut delivery = all.find(|sent| submitted(&sent.payload)).expect("a submission");
    delivery.payload["trigger_id"] = json!("1.2.forged");
    change(&mut delivery.payload);
    delivery.body = form(&delivery.payload);
    delivery.timestamp = seconds();
    delivery.signature = sign(SECRET, delivery.timestamp, &delivery.body);
    stage.slack.resend(&delivery).await.unwrap().status
}

/// `OpenClaw` GHSA-hwmr-gqmh-2j2x: commands asked who may, and buttons did not.
#[tokio::test]
async fn a_member_on_no_list_gets_nowhere_through_any_surface() {
    let stage = Stage::set_with(Kind::PlatformService, 1).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Approving).await;
    let card = stage.message_says("Stop the rollback").await;
    let request = request(&stage.slack, &card).await;
    for (nth, (message, action)) in
        [(&request, "rollback_approve"), (&request, "rollback_reject"), (&card, "rollback_cancel")]
            .into_iter()
            .enumerate()
    {
        stage.slack.click_seen(STRANGER, message, action).await.unwrap();
        let told = told(&stage.slack, STRANGER, nth).await;
        assert!(told.contains("nothing was changed"), "{action}: {told}");
    }
    let as_stranger = |payload: &mut Value| payload["user"]["id"] = json!(STRANGER);
    assert_eq!(forged(&stage, &modal, as_stranger).await, 200);
    stage.reaches(StateName::Approving).await;
    assert_eq!((stage.host.states().await.len(), stage.cd.sends()), (1, 0));
    stage.press(APPROVER, "rollback_approve").await;
    stage.reaches(StateName::Succeeded).await;
    assert_eq!(stage.cd.effects(), 1);
}

/// `OpenClaw` PR 78866: a callback said by itself that its sender was authorized, and was believed.
#[tokio::test]
async fn whatever_a_callback_says_of_its_sender_makes_nobody_authorized() {
    let target = Target::new().await;
    let mut forged = target.undelivered_click(STRANGER).await;
    forged.payload["authorized"] = json!(true);
    forged.payload["is_authorized"] = json!(true);
    forged.payload["user"] = json!({
        "id": STRANGER, "team_id": WORKSPACE, "name": "Ana", "username": OWNER, "authorized": true,
        "is_admin": true, "is_owner": true, "is_primary_owner": true, "email": "ana@example.com",
        "groups": ["S0PAYMENTS"], "roles": ["owner"],
    });
    forged.body = form(&forged.payload);
    forged.timestamp = seconds();
    forged.signature = sign(SECRET, forged.timestamp, &forged.body);
    assert_eq!(target.slack.resend(&forged).await.unwrap().status, 200);
    let told = told(&target.slack, STRANGER, 0).await;
    assert!(told.contains("no rule names you"), "{told}");
    assert_eq!(target.service.states().await, [StateName::Denied]);
    assert_eq!(target.cd.sends(), 0);
}

/// `OpenClaw` issue 32599: HTTP mode ran without checking signatures where no secret was set.
#[tokio::test]
async fn without_a_signing_secret_the_service_does_not_start() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    for secret in [None, Some(""), Some(" "), Some("\n")] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rollback.yaml"), yaml(address, 0)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_platform-service"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env_clear()
            .env("SLACK_BOT_TOKEN", TOKEN)
            .env("ROLLBACK_API_TOKEN", API_TOKEN)
            .env("SLACK_API_URL", slack.api_url())
            .env("CD_TOKEN", CD_TOKEN)
            .envs(secret.map(|secret| ("SLACK_SIGNING_SECRET", secret)));
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{secret:?}: {said}");
        assert!(said.contains("SLACK_SIGNING_SECRET"), "{secret:?}: {said}");
    }
    server.abort();
}

/// `OpenClaw` PR 29091: the app and the workspace were checked on events, and not on buttons.
#[tokio::test]
async fn a_signed_click_of_another_app_or_workspace_is_refused() {
    let mut people = people();
    people.app_id = "A0OURS".into();
    let (slack, cd) = (LocalSlack::start(people).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let yaml = yaml(address, 0).replace("slack: {", "slack: {app: A0OURS, ");
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    let stage = Stage { slack: slack.into(), cd, host: Box::new(service) };
    stage.report().await;
    stage.open(OWNER).await;
    let genuine = stage.slack.deliveries().pop().unwrap();
    for (nth, (field, other)) in [
        ("api_app_id", json!("A0OTHER")),
        ("api_app_id", Value::Null),
        ("team", json!({"id": "T0OTHER"})),
        ("team", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let mut forged = genuine.clone();
        forged.payload["trigger_id"] = json!(format!("1.2.{nth}"));
        forged.payload[field] = other;
        forged.body = form(&forged.payload);
        forged.timestamp = seconds();
        forged.signature = sign(SECRET, forged.timestamp, &forged.body);
        assert_eq!(stage.slack.resend(&forged).await.unwrap().status, 403, "{field}");
    }
    assert_eq!(stage.host.states().await.len(), 1);
}

/// Hermes PR 81388: whoever was admitted at all could approve what somebody else had asked for.
#[tokio::test]
async fn the_owner_of_another_service_neither_approves_nor_stops_this_one() {
    let slack = LocalSlack::start(people().user(User::new(OTHER_OWNER, "Otto"))).await.unwrap();
    let cd = cd();
    let (address, server) = serve_cd(&cd).await;
    let billing = format!(
        "services:\n  billing:\n    owners: {{users: [{OTHER_OWNER}, {OWNER}]}}\n    environments: \
         {{production: {{backend: inhouse}}}}\n"
    );
    let yaml = yaml(address, 1).replace("services:\n", &billing);
    let service = Service::start_with(&slack, &yaml, server, &[]).await;
    slack.set_interactivity_url(service.callbacks());
    let stage = Stage { slack: slack.into(), cd, host: Box::new(service) };
    stage.report().await;
    stage.press(OTHER_OWNER, "rollback_open").await;
    let first = told(&stage.slack, OTHER_OWNER, 0).await;
    assert!(first.contains("nothing was changed"), "{first}");
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Approving).await;
    let card = stage.message_says("Stop the rollback").await;
    let request = request(&stage.slack, &card).await;
    for (nth, (message, action)) in
        [(&request, "rollback_approve"), (&request, "rollback_reject"), (&card, "rollback_cancel")]
            .into_iter()
            .enumerate()
    {
        stage.slack.click_seen(OTHER_OWNER, message, action).await.unwrap();
        let told = told(&stage.slack, OTHER_OWNER, nth + 1).await;
        assert!(told.contains("nothing was changed"), "{action}: {told}");
    }
    stage.reaches(StateName::Approving).await;
    assert_eq!(stage.cd.sends(), 0);
}

/// The right is there at the click and at the confirmation, and gone when the order is due.
#[tokio::test]
async fn whoever_loses_the_right_while_others_approve_orders_nothing() {
    for leaves in [
        |slack: &LocalSlack| slack.set_group_users("S0PAYMENTS", &[]),
        |slack: &LocalSlack| slack.deactivate(APPROVER),
    ] {
        let stage = Stage::set_with(Kind::PlatformService, 1).await;
        stage.report().await;
        let modal = stage.open(APPROVER).await;
        stage.confirm(APPROVER, &modal, "errors up 4x").await;
        stage.reaches(StateName::Approving).await;
        assert!(leaves(&stage.slack));
        stage.press(OWNER, "rollback_approve").await;
        let ended = async {
            loop {
                let newest = stage.host.states().await.first().copied();
                if let Some(state) = newest.filter(|state| state.is_end()) {
                    return state;
                }
                tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await.expect("an end");
        assert!([StateName::Denied, StateName::Refused].contains(&ended), "{ended}");
        assert_eq!(stage.cd.sends(), 0);
    }
}

/// The right is gone before the click, and the account before anybody looked.
#[tokio::test]
async fn a_group_that_was_emptied_and_an_account_that_is_no_person_open_nothing() {
    let people = people()
        .user(User::new("U0BOT7", "a workflow").bot())
        .user(User::new("U0AWAY", "Abe").deactivated())
        .group(UserGroup::new("S0OTHER", "others", [STRANGER]));
    let target = Target::of(people).await;
    assert!(target.slack.set_group_users("S0PAYMENTS", &["U0BOT7", "U0AWAY"]));
    for person in [APPROVER, "U0BOT7", "U0AWAY", "U0NOBODY", "USLACKBOT"] {
        let mut forged = target.undelivered_click(OWNER).await;
        forged.payload["user"]["id"] = json!(person);
        forged.body = form(&forged.payload);
        forged.timestamp = seconds();
        forged.signature = sign(SECRET, forged.timestamp, &forged.body);
        assert_eq!(target.slack.resend(&forged).await.unwrap().status, 200, "{person}");
    }
    let denied = async {
        loop {
            let states = target.service.states().await;
            if states.len() >= 5 && states.iter().all(|state| state.is_end()) {
                return states;
            }
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
    };
    let states = tokio::time::timeout(PATIENCE, denied).await.expect("five ends");
    assert_eq!(states, [StateName::Denied; 5]);
    assert_eq!(target.cd.sends(), 0);
    assert!(button(&target.slack).await.element("rollback_open").is_some());
}
