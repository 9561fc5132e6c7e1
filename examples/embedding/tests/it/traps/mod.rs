//! What Slack and people do that nobody hopes for, through the real wire. Each of these is a line of
//! `rollback-slack/TRAPS.md`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::stage::Stage;
use local_slack::{Channel, Fault, Message, Outcome, User};
use rollback_core::ports::Query;
use rollback_core::{Outcome as Settled, StateName};
use rollback_testkit::fakes::{Fault as Lost, Method};
use serde_json::{Value, json};
use std::time::Duration;
use team::{APPROVER, CHANNEL, OWNER, PATIENCE, SECRET, STRANGER};

const OTHER: &str = "C0OTHER";
const ELSEWHERE: &str = "not in the message that it was posted in";
const HOSTILE: &str = "<!channel> @everyone <@U09EVE> `<!here>` *b* & <https://evil.example|ok>";

/// The same blocks, posted by the same app as another message: as another part of the app, or
/// whoever holds its token, could.
fn copied(stage: &Stage, message: &Message, channel: &str) -> Message {
    let post = json!({"channel": channel, "text": "a copy", "blocks": message.blocks});
    let answer = stage.slack.call("chat.postMessage", &post.to_string());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    stage.slack.message(channel, answer["ts"].as_str().unwrap()).unwrap()
}

/// Every message that carries what `message` carries and is not the message.
fn counterfeits(stage: &Stage, message: &Message) -> [Message; 4] {
    // The first two are on no screen; whoever has the signing secret could still send them.
    let (mut another_time, mut another_channel) = (message.clone(), message.clone());
    another_time.ts = "1700000000.000001".into();
    another_channel.channel = OTHER.into();
    let copies = [copied(stage, message, CHANNEL), copied(stage, message, OTHER)];
    let [here, there] = copies;
    [another_time, another_channel, here, there]
}

async fn told(stage: &Stage, user: &str, nth: usize) -> String {
    let told = stage.slack.wait_until(PATIENCE, |slack| {
        let ephemerals = slack.ephemerals(user);
        ephemerals.get(nth).map(local_slack::Ephemeral::all_text)
    });
    told.await.unwrap()
}

async fn with_another_channel(approvals_min: u8) -> Stage {
    let stage = Stage::set_in(
        |people| people.channel(Channel::new(OTHER, "other")),
        |service| service.approvals_min = approvals_min,
    );
    let stage = stage.await;
    stage.report().await;
    stage
}

#[tokio::test]
async fn a_rollback_button_counts_only_in_the_message_that_it_was_posted_in() {
    let stage = with_another_channel(0).await;
    let ours = stage.deploy_message().await;
    let counterfeits = counterfeits(&stage, &ours);
    for message in &counterfeits {
        stage.slack.click_seen(OWNER, message, "rollback_open").await.unwrap();
    }
    for nth in 0..counterfeits.len() {
        let told = told(&stage, OWNER, nth).await;
        assert!(told.contains(ELSEWHERE) && told.contains("nothing was changed"), "{told}");
    }
    assert!(stage.engine.rollbacks(&Query::all(1)).await.unwrap().is_empty());
    assert!(stage.slack.views(OWNER).is_empty());
    stage.slack.click_seen(OWNER, &ours, "rollback_open").await.unwrap();
    stage.modal(OWNER, "\"submit\": Object").await;
}

#[tokio::test]
async fn the_buttons_of_a_rollback_count_only_in_the_messages_that_they_were_posted_in() {
    let stage = with_another_channel(1).await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.reaches(StateName::Approving).await;
    let card = stage.message_says("Stop the rollback").await;
    let request = stage.slack.wait_until(PATIENCE, |slack| {
        let replies = slack.thread(CHANNEL, &card.ts).into_iter();
        replies.into_iter().find(|reply| reply.element("rollback_approve").is_some())
    });
    let request = request.await.unwrap();
    let mut pressed = 0;
    for (message, action) in
        [(&request, "rollback_approve"), (&request, "rollback_reject"), (&card, "rollback_cancel")]
    {
        let [another_time, _, _, there] = counterfeits(&stage, message);
        for counterfeit in [another_time, there] {
            stage.slack.click_seen(APPROVER, &counterfeit, action).await.unwrap();
            pressed += 1;
        }
    }
    for nth in 0..pressed {
        let told = told(&stage, APPROVER, nth).await;
        assert!(told.contains(ELSEWHERE), "{told}");
    }
    stage.reaches(StateName::Approving).await;
    assert_eq!(stage.cd.sends(), 0);
    stage.slack.click_seen(APPROVER, &request, "rollback_approve").await.unwrap();
    stage.reaches(StateName::Succeeded).await;
    assert_eq!(stage.cd.effects(), 1);
}

/// The message is there and Slack has not said so: nothing is assumed, and a little later it works.
#[tokio::test]
async fn a_button_whose_post_is_in_doubt_does_nothing_yet_and_says_so() {
    let stage = Stage::set().await;
    stage.slack.fail_next(Fault::done_but_reset().on("chat.postMessage"));
    stage.slack.fail_next(Fault::server_error().times(1_000).on("conversations.history"));
    stage.report().await;
    stage.press(OWNER, "rollback_open").await;
    let told = told(&stage, OWNER, 0).await;
    assert!(told.contains("try again in a few seconds"), "{told}");
    assert!(stage.engine.rollbacks(&Query::all(1)).await.unwrap().is_empty());
    stage.slack.clear_faults();
    let found = stage.slack.wait_until(PATIENCE, |slack| {
        slack.messages(CHANNEL).into_iter().find(|message| message.revision > 0)
    });
    found.await.unwrap();
    stage.open(OWNER).await;
    assert_eq!(stage.slack.messages(CHANNEL).len(), 1, "found, and not posted again");
}

#[tokio::test]
async fn a_window_that_comes_too_late_is_told_and_leaves_nothing_open() {
    let late = |mut people: local_slack::Options| {
        people.trigger_ttl = Duration::ZERO;
        people
    };
    let stage = Stage::set_in(late, |_service| {}).await;
    stage.report().await;
    stage.press(OWNER, "rollback_open").await;
    let told = told(&stage, OWNER, 0).await;
    assert!(told.contains("Please click again") && told.contains("Nothing was changed"), "{told}");
    stage.reaches(StateName::Withdrawn).await;
}

/// Named in the owners' group, and nevertheless not one of us.
#[tokio::test]
async fn a_guest_and_a_person_of_another_workspace_are_denied_even_as_owners() {
    const GUEST: &str = "U05GUS";
    const FOREIGN: &str = "U06FAY";
    let stage = Stage::set_in(
        |people| {
            people
                .user(User::new(GUEST, "Gus").guest())
                .user(User::new(FOREIGN, "Fay").foreign("T0OTHER"))
        },
        |_service| {},
    );
    let stage = stage.await;
    assert!(stage.slack.set_group_users("S0PAYMENTS", &[APPROVER, GUEST, FOREIGN]));
    stage.report().await;
    for person in [GUEST, FOREIGN] {
        stage.press(person, "rollback_open").await;
        let told = told(&stage, person, 0).await;
        assert!(told.contains("nothing was changed"), "{told}");
        stage.reaches(StateName::Denied).await;
    }
    stage.open(APPROVER).await;
    assert_eq!(stage.cd.sends(), 0);
}

#[tokio::test]
async fn whoever_loses_the_right_behind_the_modal_is_denied_at_the_submit() {
    for leaves in [
        |stage: &Stage| stage.slack.set_group_users("S0PAYMENTS", &[]),
        |stage: &Stage| stage.slack.deactivate(APPROVER),
    ] {
        let stage = Stage::set().await;
        stage.report().await;
        let modal = stage.open(APPROVER).await;
        assert!(leaves(&stage));
        stage.confirm(APPROVER, &modal, "errors up").await;
        stage.reaches(StateName::Denied).await;
        assert_eq!(stage.cd.sends(), 0);
    }
}

/// Slack takes a while to bring every screen up to date, and some never are.
#[tokio::test]
async fn a_button_on_a_screen_that_is_behind_rolls_nothing_back() {
    let stage = Stage::set().await;
    stage.report().await;
    let seen = stage.deploy_message().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.message_says("healthy").await;
    stage.slack.click_seen(APPROVER, &seen, "rollback_open").await.unwrap();
    stage.modal(APPROVER, "Not rolled back").await;
    stage.reaches(StateName::Refused).await;

    let newer = rollback_testkit::fixtures::revision("43", "2.14.1", team::now());
    stage.cd.deploy(newer);
    stage.engine.deployed(stage.deploy("ci-4712", "43", "2.14.1")).await.unwrap();
    stage.message_says("2.14.1").await;
    stage.slack.click_seen(OWNER, &seen, "rollback_open").await.unwrap();
    stage.modal(OWNER, "Not rolled back").await;
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
}

#[tokio::test]
async fn a_deploy_message_that_somebody_deletes_takes_nothing_with_it() {
    let stage = Stage::set_with(|service| service.approvals_min = 1).await;
    stage.report().await;
    let gone = stage.deploy_message().await;
    let modal = stage.open(OWNER).await;
    assert!(stage.slack.delete_message(CHANNEL, &gone.ts));
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.press(APPROVER, "rollback_approve").await;
    let anew = stage.message_with("healthy").await;
    assert_ne!(anew.ts, gone.ts);
    assert_eq!(stage.cd.effects(), 1);
}

#[tokio::test]
async fn nothing_is_changed_in_slack_while_it_has_asked_to_wait_and_then_all_of_it_is() {
    let stage = Stage::set().await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.slack.fail_next(Fault::rate_limited(2).on("chat.update"));
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.reaches(StateName::Succeeded).await;
    stage.message_says("healthy").await;
    let calls = stage.slack.calls_of("chat.update");
    let limited = calls.iter().position(|call| call.outcome != "ok").unwrap();
    let [limited, next, ..] = calls.get(limited..).unwrap() else { panic!("{calls:?}") };
    assert!(next.at - limited.at >= Duration::from_secs(2), "{calls:?}");
}

fn mrkdwn(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if map.get("type") == Some(&json!("mrkdwn")) {
                into.extend(map.get("text").and_then(Value::as_str).map(str::to_owned));
            }
            map.values().for_each(|inner| mrkdwn(inner, into));
        }
        Value::Array(list) => list.iter().for_each(|inner| mrkdwn(inner, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn what_others_write_calls_nobody_and_stays_as_it_was_typed_in_the_record() {
    let stage = Stage::set().await;
    let mut deploy = stage.deploy("ci-4711", "42", HOSTILE);
    if let Some(deployer) = &mut deploy.deployer {
        deployer.name = Some(HOSTILE.into());
    }
    stage.engine.deployed(deploy).await.unwrap();
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, HOSTILE).await;
    stage.reaches(StateName::Succeeded).await;
    let card = stage.message_with("healthy").await;
    let mut messages = stage.slack.thread(CHANNEL, &card.ts);
    messages.extend(stage.slack.dms(OWNER));
    messages.push(card);
    let mut marked_up = Vec::new();
    for message in &messages {
        marked_up.push(message.text.clone());
        message.blocks.iter().for_each(|block| mrkdwn(block, &mut marked_up));
    }
    assert!(marked_up.iter().any(|text| text.contains("&lt;!channel&gt;")), "{marked_up:?}");
    for text in &marked_up {
        for call in ["<!channel>", "<!here>", "<@U09EVE>", "<https:"] {
            assert!(!text.contains(call), "{call} in {text}");
        }
    }
    let view = stage.engine.rollbacks(&Query::all(1)).await.unwrap().pop().unwrap();
    assert_eq!(view.reason.unwrap().as_str(), HOSTILE);
}

/// The person sees a warning and does it again, as Slack asks them to.
#[tokio::test]
async fn lost_acknowledgements_make_no_second_rollback() {
    let stage = Stage::set().await;
    stage.report().await;
    stage.slack.lose_acknowledgements(1);
    stage.press(OWNER, "rollback_open").await;
    let first = stage.modal(OWNER, "\"submit\": Object").await.id;
    stage.press(OWNER, "rollback_open").await;
    let top = stage.slack.wait_until(PATIENCE, |slack| {
        let view = slack.views(OWNER).pop()?;
        (view.id != first && view.view.contains_key("submit")).then_some(view.id)
    });
    let top = top.await.unwrap();
    stage.slack.lose_acknowledgements(1);
    let submitted = stage.slack.submit(OWNER, &top, &[("reason", "errors up")]).await.unwrap();
    assert!(matches!(submitted, Outcome::Trouble(_)), "{submitted:?}");
    // It is there to be submitted again, until our own update of it arrives.
    drop(stage.slack.submit(OWNER, &top, &[("reason", "errors up")]).await);
    stage.message_says("healthy").await;
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
}

#[tokio::test]
async fn a_button_that_only_opens_a_page_is_acknowledged_and_does_nothing() {
    let stage = Stage::set().await;
    let mut deploy = stage.deploy("ci-4711", "42", "2.14.0");
    deploy.changelog_url = Some("https://git.example.com/compare/2.13.4...2.14.0".into());
    stage.engine.deployed(deploy).await.unwrap();
    let ts = stage.deploy_message().await.ts;
    let clicked = stage.slack.click(OWNER, CHANNEL, &ts, "rollback_changes").await.unwrap();
    assert_eq!(clicked, Outcome::Acknowledged);
    stage.press(OWNER, "rollback_open").await;
    stage.modal(OWNER, "\"submit\": Object").await;
    assert_eq!(stage.engine.rollbacks(&Query::all(10)).await.unwrap().len(), 1);
}

/// Slack's own screen lets spaces through.
#[tokio::test]
async fn a_reason_that_says_nothing_is_told_at_its_input_and_the_modal_stays() {
    let stage = Stage::set().await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    let submitted = stage.slack.submit(OWNER, &modal.id, &[("reason", "     ")]).await.unwrap();
    let Outcome::Errors(errors) = submitted else { panic!("{submitted:?}") };
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["reason"]);
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.message_says("healthy").await;
}

/// The value of a field of a form, with every byte written out.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What a modal carries says where to look, and never what is allowed.
#[tokio::test]
async fn a_modal_that_names_somebody_elses_rollback_confirms_nothing() {
    let stage = Stage::set().await;
    stage.report().await;
    let hers = stage.open(OWNER).await;
    let his = stage.open(APPROVER).await;
    stage.slack.submit(APPROVER, &his.id, &[("reason", "     ")]).await.unwrap();
    let mut forged = stage.slack.deliveries().pop().unwrap();
    let payload = &mut forged.payload;
    payload["trigger_id"] = json!("1.2.forged");
    payload["view"]["private_metadata"] = json!(hers.text("private_metadata"));
    payload["view"]["state"]["values"]["reason"]["reason"]["value"] = json!("errors up");
    forged.body = format!("payload={}", encoded(&payload.to_string())).into_bytes();
    forged.signature = local_slack::sign(SECRET, forged.timestamp, &forged.body);
    assert_eq!(stage.slack.resend(&forged).await.unwrap().status, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let views = stage.engine.rollbacks(&Query::all(10)).await.unwrap();
    let states: Vec<StateName> = views.iter().map(|view| view.state).collect();
    assert_eq!(states, [StateName::Confirming, StateName::Confirming]);
    assert_eq!(stage.cd.sends(), 0);
    stage.confirm(OWNER, &hers, "errors up").await;
    stage.message_says("healthy").await;
    assert_eq!(stage.cd.effects(), 1);
}

/// Whoever is needed finds the door in the message, and nothing else may roll the service back until
/// somebody went through it.
#[tokio::test]
async fn what_nobody_knows_is_settled_by_whoever_may_with_what_they_found() {
    let soon = Duration::from_secs(1);
    let stage = Stage::set_with(|service| {
        service.limits.doubt_within = soon;
        service.limits.cool_down = Duration::from_millis(1);
    });
    let stage = stage.await;
    stage.report().await;
    stage.cd.fail(Method::Start, Lost::LoseRequest);
    for method in [Method::Find, Method::Fence].into_iter().cycle().take(10_000) {
        stage.cd.fail(method, Lost::LoseRequest);
    }
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.message_says("Settle…").await;

    // Who may not is told so, and nothing is recorded.
    let said = [("outcome", "no_effect"), ("reason", "the CD system never heard of it")];
    stage.press(STRANGER, "rollback_settle").await;
    let question = stage.modal(STRANGER, "What became of it?").await;
    stage.slack.submit(STRANGER, &question.id, &said).await.unwrap();
    stage.told(STRANGER, "settle").await;
    stage.reaches(StateName::Triggering).await;

    stage.press(OWNER, "rollback_settle").await;
    let question = stage.modal(OWNER, "What became of it?").await;
    let incomplete = stage.slack.submit(OWNER, &question.id, &said[1..]).await.unwrap();
    assert!(matches!(incomplete, Outcome::Incomplete(_)), "{incomplete:?}");
    stage.slack.submit(OWNER, &question.id, &said).await.unwrap();
    stage.modal(OWNER, "Rollback settled: it had no effect").await;
    stage.reaches(StateName::OutcomeUnknown).await;
    let message = stage.message_says("nothing was changed: the CD system never heard of it").await;
    assert!(message.element("rollback_settle").is_none(), "{message:?}");
    let settled = stage.engine.rollbacks(&Query::all(1)).await.unwrap().pop().unwrap();
    let by = settled.settlement.unwrap();
    assert_eq!((by.actor.id.as_str(), by.outcome), (OWNER, Some(Settled::NoEffect)));

    // The order that was lost is fenced off, and the service can be rolled back.
    stage.cd.clear_faults();
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors are still up").await;
    stage.reaches(StateName::Succeeded).await;
    assert_eq!(stage.cd.effects(), 1);
}
