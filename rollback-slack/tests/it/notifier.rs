//! One message for one key, whatever Slack does: against a Slack of our own with faults on demand.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use crate::fixtures::{card, now, view};
use async_trait::async_trait;
use local_slack::{Channel, Fault, LocalSlack, Options, User};
use rollback_core::notice::{Attempt, Delivered, Delivery, MessageRef, Notice, NoticeKind};
use rollback_core::ports::{Clock, Notifier, NotifyError};
use rollback_core::{ChannelId, Line, Timestamp};
use rollback_slack::{SlackNotifier, WebApi, WebApiOptions};
use serde_json::json;

#[derive(Debug)]
struct Real;

#[async_trait]
impl Clock for Real {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }

    async fn sleep_until(&self, _: Timestamp) {}

    async fn sleep(&self, _: Duration) {}
}

async fn slack() -> (LocalSlack, SlackNotifier) {
    let options = Options::default()
        .user(User::new("U02ANA", "Ana"))
        .user(User::new("U03BOB", "Bob"))
        .user(User::new("U04EVE", "Eve"))
        .channel(Channel::new("C0DEPLOYS", "deploys").members(["U02ANA", "U03BOB"]))
        .channel(Channel::new("C0OLD", "old").archived());
    let slack = LocalSlack::start(options).await.unwrap();
    (slack.clone(), notifier(&slack))
}

fn notifier(slack: &LocalSlack) -> SlackNotifier {
    notifier_with(slack, |_as_it_is| ())
}

fn notifier_with(slack: &LocalSlack, adjust: impl Fn(&mut WebApiOptions)) -> SlackNotifier {
    let mut options = WebApiOptions::default();
    options.base_url = slack.api_url();
    options.attempt_timeout = Duration::from_millis(500);
    options.attempts_max = 1;
    options.wait_max = Duration::from_millis(200);
    adjust(&mut options);
    let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
    SlackNotifier::new(api, Arc::new(Real))
}

fn channel(id: &str) -> ChannelId {
    id.parse().unwrap()
}

/// The message of a deploy that went out just now.
fn deploy(version: u64) -> Delivery {
    let mut card = card(&json!({}));
    card.deploy.deployed_at = Real.now();
    Delivery::new("deploy:ci-4711", version, Notice::Deploy(Box::new(card)), channel("C0DEPLOYS"))
}

fn line(parent: &MessageRef) -> Delivery {
    let mut view = view("running", &json!({}));
    view.opened_at = Real.now();
    let notice = Notice::Line { view: Box::new(view), line: Line::Triggered };
    let mut delivery = Delivery::new("line:rb-1:4", 1, notice, channel("C0DEPLOYS"));
    delivery.thread = Some(parent.clone());
    delivery
}

fn at(delivered: Delivered) -> MessageRef {
    let Delivered::Posted(message) = delivered else { panic!("{delivered:?}") };
    message
}

async fn post(notifier: &SlackNotifier) -> MessageRef {
    at(notifier.deliver(&deploy(1)).await.unwrap())
}

#[tokio::test]
async fn a_message_is_posted_with_its_key_and_then_brought_up_to_date_in_place() {
    let (slack, notifier) = slack().await;
    let first = post(&notifier).await;
    let mut again = deploy(2);
    again.previous = Some(first.clone());
    assert_eq!(at(notifier.deliver(&again).await.unwrap()), first);
    let messages = slack.messages("C0DEPLOYS");
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message.metadata.as_ref().unwrap()["event_type"], "rollback");
    let fields = &message.metadata.as_ref().unwrap()["event_payload"];
    assert_eq!((&fields["key"], &fields["version"]), (&json!("deploy:ci-4711"), &json!("2")));
    assert_eq!(message.element("rollback_open").unwrap()["value"], r#"{"d":"ci-4711","v":2}"#);
}

#[tokio::test]
async fn a_post_in_doubt_is_looked_for_and_never_posted_twice() {
    for fault in [Fault::done_but_server_error(), Fault::done_but_reset()] {
        let (slack, notifier) = slack().await;
        slack.fail_next(fault.on("chat.postMessage"));
        let error = notifier.deliver(&deploy(1)).await.unwrap_err();
        assert!(matches!(error, NotifyError::InDoubt { .. }), "{error}");
        let mut again = deploy(2);
        again.attempt = Attempt::InDoubt;
        let found = at(notifier.deliver(&again).await.unwrap());
        let messages = slack.messages("C0DEPLOYS");
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].ts, found.id.as_str());
        assert_eq!(messages[0].revision, 1, "and it is brought up to date");
    }
}

#[tokio::test]
async fn a_post_in_doubt_that_never_arrived_is_posted() {
    let (slack, notifier) = slack().await;
    slack.fail_next(Fault::server_error().on("chat.postMessage"));
    let error = notifier.deliver(&deploy(1)).await.unwrap_err();
    assert!(matches!(error, NotifyError::InDoubt { .. }), "{error}");
    let mut again = deploy(1);
    again.attempt = Attempt::InDoubt;
    at(notifier.deliver(&again).await.unwrap());
    assert_eq!(slack.messages("C0DEPLOYS").len(), 1);
}

#[tokio::test]
async fn a_line_of_a_thread_appears_once() {
    let (slack, notifier) = slack().await;
    let parent = post(&notifier).await;
    slack.fail_next(Fault::done_but_server_error().on("chat.postMessage"));
    notifier.deliver(&line(&parent)).await.unwrap_err();
    let mut again = line(&parent);
    again.attempt = Attempt::InDoubt;
    let posted = at(notifier.deliver(&again).await.unwrap());
    again.previous = Some(posted.clone());
    assert_eq!(at(notifier.deliver(&again).await.unwrap()), posted);
    let replies: Vec<_> = slack
        .thread("C0DEPLOYS", parent.id.as_str())
        .into_iter()
        .filter(|message| message.thread_ts.is_some())
        .collect();
    assert_eq!(replies.iter().filter(|reply| reply.ts != parent.id.as_str()).count(), 1);
}

/// An approval request that nobody sees is a rollback that nobody can approve.
/// Three lines of one thread, as they come one after the other.
fn story(parent: &MessageRef) -> [Delivery; 3] {
    let lines = [Line::Confirmed, Line::Triggered, Line::Ended];
    let mut place = 0;
    lines.map(|told| {
        place += 1;
        let mut delivery = line(parent);
        delivery.key = format!("line:rb-1:{place}").into();
        if let Notice::Line { line, .. } = &mut delivery.notice {
            *line = told;
        }
        delivery
    })
}

fn replies(slack: &LocalSlack, parent: &MessageRef) -> Vec<local_slack::Message> {
    let mut thread = slack.thread("C0DEPLOYS", parent.id.as_str());
    thread.retain(|message| message.ts != parent.id.as_str());
    thread
}

#[tokio::test]
async fn lines_that_are_due_at_once_are_one_message_in_their_order() {
    let (slack, notifier) = slack().await;
    let parent = post(&notifier).await;
    let [first, rest @ ..] = story(&parent);
    let (more, delivered) = notifier.deliver_lines(&first, &rest).await.unwrap();
    let replies = replies(&slack, &parent);
    let [reply] = replies.as_slice() else { panic!("{replies:?}") };
    assert_eq!((more, at(delivered).id.as_str()), (2, reply.ts.as_str()));
    let text = reply.all_text();
    let places: Vec<_> =
        ["confirmed by", "on its way", "Rolling back"].map(|it| text.find(it)).to_vec();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {text}");
}

#[tokio::test]
async fn of_lines_whose_message_is_in_doubt_each_is_found_and_none_posted_again() {
    for fault in [Fault::done_but_server_error(), Fault::done_but_reset()] {
        let (slack, notifier) = slack().await;
        let parent = post(&notifier).await;
        slack.fail_next(fault.on("chat.postMessage"));
        let [first, rest @ ..] = story(&parent);
        let error = notifier.deliver_lines(&first, &rest).await.unwrap_err();
        assert!(matches!(error, NotifyError::InDoubt { .. }), "{error}");
        let mut found = Vec::new();
        for mut again in story(&parent) {
            again.attempt = Attempt::InDoubt;
            found.push(at(notifier.deliver(&again).await.unwrap()));
        }
        let replies = replies(&slack, &parent);
        let [reply] = replies.as_slice() else { panic!("{replies:?}") };
        assert!(found.iter().all(|it| it.id.as_str() == reply.ts), "{found:?}");
        // A key that only begins like one of them is another line.
        let mut other = line(&parent);
        other.key = "line:rb-1:".into();
        other.attempt = Attempt::InDoubt;
        assert_ne!(at(notifier.deliver(&other).await.unwrap()).id.as_str(), reply.ts);
    }
}

#[tokio::test]
async fn a_line_in_doubt_is_never_told_together_with_others() {
    let (slack, notifier) = slack().await;
    let parent = post(&notifier).await;
    let [mut first, rest @ ..] = story(&parent);
    first.attempt = Attempt::InDoubt;
    assert_eq!(notifier.deliver_lines(&first, &rest).await.unwrap().0, 0);
    let [first, mut second, third] = story(&parent);
    second.attempt = Attempt::InDoubt;
    assert_eq!(notifier.deliver_lines(&first, &[second, third]).await.unwrap().0, 0);
    assert_eq!(replies(&slack, &parent).len(), 2);
}

#[tokio::test]
async fn what_has_to_wait_for_the_channels_pace_waits_in_the_outbox_and_an_update_does_not() {
    let (slack, _) = slack().await;
    let notifier = notifier_with(&slack, |options| options.channel_burst = 1);
    let parent = post(&notifier).await;
    let waits = notifier.deliver(&line(&parent)).await.unwrap_err();
    let NotifyError::NotYet { after } = waits else { panic!("{waits:?}") };
    assert!(after <= Duration::from_millis(1_100), "{after:?}");
    assert_eq!(slack.calls_of("chat.postMessage").len(), 1, "it was not sent");
    let mut again = deploy(2);
    again.previous = Some(parent.clone());
    assert_eq!(at(notifier.deliver(&again).await.unwrap()), parent);
}

#[tokio::test]
async fn what_belongs_in_a_thread_that_somebody_deleted_is_posted_in_the_channel() {
    let (slack, notifier) = slack().await;
    let parent = post(&notifier).await;
    assert!(slack.delete_message("C0DEPLOYS", parent.id.as_str()));
    let posted = at(notifier.deliver(&line(&parent)).await.unwrap());
    let mut again = line(&parent);
    again.attempt = Attempt::InDoubt;
    assert_eq!(at(notifier.deliver(&again).await.unwrap()), posted, "found there");
    let messages = slack.messages("C0DEPLOYS");
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((message.ts.as_str(), &message.thread_ts), (posted.id.as_str(), &None));
}

#[tokio::test]
async fn a_message_that_somebody_deleted_is_posted_anew() {
    let (slack, notifier) = slack().await;
    let first = post(&notifier).await;
    assert!(slack.delete_message("C0DEPLOYS", first.id.as_str()));
    let mut again = deploy(2);
    again.previous = Some(first.clone());
    assert_ne!(at(notifier.deliver(&again).await.unwrap()), first);
    assert_eq!(slack.messages("C0DEPLOYS").len(), 1);
}

#[tokio::test]
async fn what_slack_says_decides_between_later_in_doubt_and_never() {
    let (slack, notifier) = slack().await;
    slack.fail_next(Fault::rate_limited(7).on("chat.postMessage"));
    let limited = notifier.deliver(&deploy(1)).await.unwrap_err();
    assert!(
        matches!(limited, NotifyError::Retry { after: Some(after), .. } if after.as_secs() >= 6),
        "{limited:?}"
    );
    for (id, remedy) in [("C0NOWHERE", "correct the channel id"), ("C0OLD", "unarchive")] {
        let mut delivery = deploy(1);
        delivery.channel = channel(id);
        // The first one keeps to the limit that it was told.
        let rejected = self::notifier(&slack).deliver(&delivery).await.unwrap_err();
        let NotifyError::Blocked { why } = &rejected else { panic!("{rejected:?}") };
        assert!(why.contains(remedy), "{why}");
    }
    assert_eq!(slack.messages("C0DEPLOYS").len(), 0);
}

#[tokio::test]
async fn a_slack_that_cannot_be_reached_is_tried_again() {
    let mut options = WebApiOptions::default();
    options.base_url = "http://127.0.0.1:1/api/".into();
    options.wait_max = Duration::ZERO;
    let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
    let error = SlackNotifier::new(api, Arc::new(Real)).deliver(&deploy(1)).await.unwrap_err();
    assert!(matches!(error, NotifyError::Retry { .. }), "{error:?}");
}

#[tokio::test]
async fn a_denial_is_seen_by_the_clicker_alone_also_when_they_are_not_in_the_channel() {
    let (slack, notifier) = slack().await;
    let told = |to: &str| {
        let view = Box::new(view("denied", &json!({})));
        let notice = Notice::Private {
            to: to.parse().unwrap(),
            text: "you may not <!channel>".into(),
            view,
        };
        Delivery::new(format!("private:{to}"), 1, notice, channel("C0DEPLOYS"))
    };
    assert_eq!(notifier.deliver(&told("U03BOB")).await.unwrap(), Delivered::Sent);
    assert_eq!(slack.ephemerals("U03BOB").len(), 1);
    at(notifier.deliver(&told("U04EVE")).await.unwrap());
    assert_eq!(slack.dms("U04EVE").len(), 1);
    assert!(slack.messages("C0DEPLOYS").is_empty());
}

#[tokio::test]
async fn the_deployer_is_told_directly_in_one_message() {
    let (slack, notifier) = slack().await;
    let told = |state: &str, version| {
        let mut view = view(state, &json!({"ended_at": now()}));
        view.opened_at = Real.now();
        let notice = Notice::Deployer { to: "U03BOB".parse().unwrap(), view: Box::new(view) };
        Delivery::new("deployer:rb-1", version, notice, channel("C0DEPLOYS"))
    };
    let first = at(notifier.deliver(&told("running", 1)).await.unwrap());
    let mut again = told("succeeded", 2);
    again.previous = Some(first.clone());
    assert_eq!(at(notifier.deliver(&again).await.unwrap()), first);
    let dms = slack.dms("U03BOB");
    assert_eq!(dms.len(), 1);
    assert!(dms[0].all_text().contains("Rolled back"), "{}", dms[0].all_text());
}

#[tokio::test]
async fn whoever_is_on_call_is_told_only_where_a_channel_is_named() {
    let (slack, notifier) = slack().await;
    let view = Box::new(view("outcome_unknown", &json!({"opened_at": now()})));
    let delivery = Delivery::new("on_call:rb-1", 1, Notice::OnCall(view), channel("C0DEPLOYS"));
    assert_eq!(notifier.deliver(&delivery).await.unwrap(), Delivered::NotMine);
    let service = channel("C0SERVICE");
    assert_eq!(notifier.place(NoticeKind::OnCall, &service), None, "nothing is queued for nobody");
    assert_eq!(notifier.place(NoticeKind::Line, &service), Some(service.clone()));
    let named = notifier.on_call(channel("C0DEPLOYS"));
    assert_eq!(named.place(NoticeKind::Blocked, &service), Some(channel("C0DEPLOYS")));
    at(named.deliver(&delivery).await.unwrap());
    assert_eq!(slack.messages("C0DEPLOYS").len(), 1);
}
