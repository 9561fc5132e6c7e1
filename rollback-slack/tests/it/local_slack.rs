//! The whole way round, with a Slack that has Slack's own rules: its signed callbacks come in, and
//! the client's calls go out.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use local_slack::{Channel, Fault, LocalSlack, Options, Outcome, User, UserGroup};
use rollback_slack::{
    Accepted, CallError, Certainty, Click, ClickAck, Closing, ClosingAck, Ephemeral, FieldErrors,
    Found, Intake, Interactions, Interactivity, Json, Lookup, MessageRef, Metadata, Post, Retry,
    SigningSecrets, Standing, Submission, SubmissionAck, Update, WebApi, WebApiOptions, router,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

fn options() -> Options {
    Options::default()
        .user(User::new("U02ANA", "Ana"))
        .user(User::new("U03GUS", "Gus").guest())
        .user(User::new("U04EVE", "Eve").foreign("T0OTHER"))
        .user(User::new("U05OLD", "Old").deactivated())
        .user(User::new("U06BOT", "Bot").bot())
        .group(UserGroup::new("S0PAY", "payments", ["U02ANA"]))
        .group(UserGroup::new("S0GONE", "gone", ["U02ANA"]).disabled())
        .channel(Channel::new("C0DEPLOYS", "deploys"))
}

fn client_of(slack: &LocalSlack, token: &str) -> WebApi {
    let mut options = WebApiOptions::default();
    options.base_url = slack.api_url();
    options.attempt_timeout = Duration::from_millis(500);
    WebApi::new(token.into(), options).unwrap()
}

async fn start(options: Options) -> (LocalSlack, WebApi) {
    let token = options.bot_token.clone();
    let slack = LocalSlack::start(options).await.unwrap();
    let client = client_of(&slack, &token);
    (slack, client)
}

fn key() -> Metadata {
    Metadata::new("deploy", "ci-4711")
}

fn message() -> Post {
    let blocks = json!([
        {"type": "section", "block_id": "what", "text": {"type": "mrkdwn", "text": "checkout"}},
        {"type": "actions", "block_id": "act", "elements": [{"type": "button", "value": "41",
            "action_id": "rollback_open", "text": {"type": "plain_text", "text": "Roll back"}}]},
    ]);
    Post::new("C0DEPLOYS", "checkout deployed").blocks(Json::of(&blocks).unwrap()).metadata(key())
}

fn modal(text: &str) -> Json {
    let reason = json!({"type": "plain_text_input", "action_id": "reason"});
    Json::of(&json!({"type": "modal", "callback_id": "rollback_confirm", "notify_on_close": true,
        "title": {"type": "plain_text", "text": "Roll back"},
        "submit": {"type": "plain_text", "text": "Roll back"},
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": text}},
            {"type": "input", "block_id": "reason", "element": reason,
                "label": {"type": "plain_text", "text": "Reason"}}]}))
    .unwrap()
}

mod callbacks {
    use super::*;

    /// A host as small as one can be: opens a modal at the click, and wants a long reason.
    #[derive(Clone)]
    struct Host {
        api: WebApi,
        home: String,
        seen: Arc<Mutex<Vec<String>>>,
        /// All that a click sets off is over.
        opened: Arc<Notify>,
        intake: Arc<OnceLock<Arc<Intake<Self>>>>,
    }

    impl Host {
        fn note(&self, what: String) {
            self.seen.lock().unwrap().push(what);
        }
    }

    impl Interactions for Host {
        fn clicked(&self, click: Click) -> ClickAck {
            let membership = click.person.membership_in(&self.home);
            self.note(format!("click of {} ({membership:?})", click.person.id));
            let (api, host) = (self.api.clone(), self.clone());
            tokio::spawn(async move {
                let view = api.open_view(&click.trigger_id, &modal("checking…")).await.unwrap();
                let seen = view.hash.as_deref();
                api.update_view(&view.id, seen, &modal("from 42 to 41")).await.unwrap();
                // What was seen is no longer there.
                let late = api.update_view(&view.id, seen, &modal("late")).await;
                assert!(late.unwrap_err().is_hash_conflict());
                // A trigger opens one modal.
                let again = api.open_view(&click.trigger_id, &modal("again")).await;
                assert!(again.unwrap_err().is_expired_trigger());
                host.opened.notify_one();
            });
            ClickAck::Taken
        }

        fn submitted(&self, submission: Submission) -> SubmissionAck {
            let reason = submission.view.inputs.text("reason", "reason").unwrap_or_default();
            self.note(format!("reason {reason}"));
            match reason {
                "update" => SubmissionAck::Update(modal("rolling back")),
                "push" => SubmissionAck::Push(modal("are you sure?")),
                "clear" => SubmissionAck::CloseAll,
                reason if reason.len() < 5 => {
                    SubmissionAck::Errors(FieldErrors::at("reason", "at least 5 characters"))
                }
                _ => SubmissionAck::Close,
            }
        }

        fn closed(&self, closing: Closing) -> ClosingAck {
            self.note(format!("closed, whole stack: {}", closing.whole_stack));
            ClosingAck::Taken
        }
    }

    async fn serve(options: Options) -> (LocalSlack, Host, String) {
        let (secret, app, team) =
            (options.signing_secret.clone(), options.app_id.clone(), options.team_id.clone());
        let enterprise = options.enterprise_id.clone();
        let (slack, api) = start(options).await;
        let accepted = match enterprise {
            Some(enterprise) => Accepted::app(app).enterprise(enterprise),
            None => Accepted::app(app).team(team.clone()),
        };
        let host = Host {
            api,
            home: team,
            seen: Arc::default(),
            opened: Arc::default(),
            intake: Arc::default(),
        };
        let intake = Arc::new(Intake::new(accepted, host.clone()));
        assert!(host.intake.set(Arc::clone(&intake)).is_ok());
        let secrets = SigningSecrets::new(&secret.into()).unwrap();
        let routes = router(Arc::new(Interactivity::new(secrets, intake)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        slack.set_interactivity_url(format!("http://{address}/slack/interactivity"));
        let posted = host.api.post(&message()).await.unwrap();
        (slack, host, posted.ts)
    }

    async fn open(slack: &LocalSlack, host: &Host, ts: &str) -> String {
        let clicked = slack.click("U02ANA", "C0DEPLOYS", ts, "rollback_open").await.unwrap();
        assert_eq!(clicked, Outcome::Acknowledged);
        let filled = slack
            .wait_until(SOON, |slack| {
                let view = slack.views("U02ANA").pop()?;
                view.all_text().contains("from 42 to 41").then_some(view.id)
            })
            .await;
        timeout(SOON, host.opened.notified()).await.unwrap();
        filled.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_click_opens_a_modal_that_is_filled_in_and_each_answer_to_it_is_understood() {
        let (slack, host, ts) = serve(options()).await;
        let view = open(&slack, &host, &ts).await;
        let submit = async |reason| {
            let top = slack.views("U02ANA").pop().unwrap().id;
            slack.submit("U02ANA", &top, &[("reason", reason)]).await.unwrap()
        };
        let errors = [("reason".to_owned(), "at least 5 characters".to_owned())];
        assert_eq!(submit("no").await, Outcome::Errors(errors.into()));
        assert_eq!(submit("update").await, Outcome::Updated);
        assert_eq!(submit("push").await, Outcome::Pushed);
        assert_eq!(submit("errors up <!here>").await, Outcome::Closed);
        assert_eq!(slack.views("U02ANA").pop().unwrap().id, view);
        assert_eq!(submit("push").await, Outcome::Pushed);
        assert_eq!(submit("clear").await, Outcome::Cleared);
        let seen = host.seen.lock().unwrap().clone();
        assert!(seen.contains(&"click of U02ANA (Ours)".to_owned()), "{seen:?}");
        assert!(seen.contains(&"reason errors up <!here>".to_owned()), "{seen:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn closing_a_modal_is_told() {
        let (slack, host, ts) = serve(options()).await;
        let view = open(&slack, &host, &ts).await;
        assert_eq!(slack.close("U02ANA", &view).await.unwrap(), Outcome::Closed);
        let view = open(&slack, &host, &ts).await;
        slack.close_all("U02ANA", &view).await.unwrap();
        let closings: Vec<_> = host.seen.lock().unwrap().clone();
        let closings: Vec<_> = closings.iter().filter(|it| it.starts_with("closed")).collect();
        assert_eq!(closings, ["closed, whole stack: false", "closed, whole stack: true"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_organization_install_and_a_person_from_outside_come_through_as_what_they_are() {
        let mut options = options();
        options.enterprise_id = Some("E0ORG".to_owned());
        let (slack, host, ts) = serve(options).await;
        open(&slack, &host, &ts).await;
        slack.click("U04EVE", "C0DEPLOYS", &ts, "rollback_open").await.unwrap();
        let seen = host.seen.lock().unwrap().clone();
        assert!(seen.contains(&"click of U04EVE (Foreign)".to_owned()), "{seen:?}");
        let deliveries = slack.deliveries();
        assert_eq!(deliveries.first().unwrap().payload.get("team"), Some(&Value::Null));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_very_same_bytes_again_are_acknowledged_and_not_handed_on() {
        let (slack, host, ts) = serve(options()).await;
        open(&slack, &host, &ts).await;
        let delivery = slack.deliveries().pop().unwrap();
        assert_eq!(slack.resend(&delivery).await.unwrap().status, 200);
        let clicks = host.seen.lock().unwrap().iter().filter(|it| it.starts_with("click")).count();
        assert_eq!(clicks, 1);
        assert_eq!(host.intake.get().unwrap().counters().snapshot().repeats, 1);
        let mut tampered = delivery;
        tampered.body.push(b'&');
        assert_eq!(slack.resend(&tampered).await.unwrap().status, 401);
    }
}

async fn in_doubt(slack: &LocalSlack, client: &WebApi, fault: Fault) -> CallError {
    slack.fail_next(fault.on("chat.postMessage"));
    let error = client.post(&message()).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::InDoubt, "{error}");
    assert_eq!(error.retry(), Retry::LookFirst);
    error
}

#[tokio::test]
async fn a_post_in_doubt_is_found_if_it_was_made_and_absent_if_not() {
    let lookup = || Lookup::new("C0DEPLOYS", key(), "0");
    for made in [Fault::done_but_server_error(), Fault::done_but_reset()] {
        let (slack, client) = start(options()).await;
        in_doubt(&slack, &client, made).await;
        let posted = slack.messages("C0DEPLOYS").pop().unwrap();
        let found = Found::At(MessageRef { channel: posted.channel, ts: posted.ts });
        assert_eq!(client.find_message(&lookup()).await.unwrap(), found);
    }
    for not_made in [Fault::server_error(), Fault::reset(), Fault::hang()] {
        let (slack, client) = start(options()).await;
        in_doubt(&slack, &client, not_made).await;
        assert_eq!(client.find_message(&lookup()).await.unwrap(), Found::Absent);
        assert_eq!(slack.calls_of("chat.postMessage").len(), 1, "sent once");
    }
}

#[tokio::test]
async fn a_reply_in_doubt_is_found_in_its_thread() {
    let (slack, client) = start(options()).await;
    let parent = client.post(&message()).await.unwrap();
    slack.fail_next(Fault::done_but_reset().on("chat.postMessage"));
    let line = Metadata::new("line", "rb-1.started");
    let reply = Post::new("C0DEPLOYS", "started").in_thread(&parent.ts).metadata(line.clone());
    client.post(&reply).await.unwrap_err();
    let identity = client.identity().await.unwrap();
    let lookup = Lookup::new("C0DEPLOYS", line, "0").in_thread(&parent.ts);
    let lookup = identity.bot_id.into_iter().fold(lookup, Lookup::by);
    let reply = slack.thread("C0DEPLOYS", &parent.ts).pop().unwrap();
    let found = Found::At(MessageRef { channel: "C0DEPLOYS".into(), ts: reply.ts });
    assert_eq!(client.find_message(&lookup).await.unwrap(), found);
}

#[tokio::test]
async fn an_update_gets_through_what_breaks_and_is_made_once_for_those_who_look() {
    let (slack, client) = start(options()).await;
    let posted = client.post(&message()).await.unwrap();
    for fault in [Fault::server_error(), Fault::reset(), Fault::done_but_reset(), Fault::hang()] {
        slack.fail_next(fault.on("chat.update"));
        client.update(&Update::new(posted.clone(), "rolled back")).await.unwrap();
        assert_eq!(slack.message("C0DEPLOYS", &posted.ts).unwrap().text, "rolled back");
    }
}

#[tokio::test]
async fn a_message_that_somebody_deleted_is_known_as_gone() {
    let (slack, client) = start(options()).await;
    let posted = client.post(&message()).await.unwrap();
    assert!(slack.delete_message("C0DEPLOYS", &posted.ts));
    let error = client.update(&Update::new(posted, "rolled back")).await.unwrap_err();
    assert!(error.is_message_gone());
    assert_eq!(error.certainty, Certainty::NothingHappened);
}

#[tokio::test]
async fn posts_stay_under_a_rate_limit_that_would_refuse_them() {
    let (slack, client) = start(options().limit_posts(1, 8)).await;
    for number in 0..10 {
        client.post(&Post::new("C0DEPLOYS", format!("{number}"))).await.unwrap();
    }
    let calls = slack.calls_of("chat.postMessage");
    assert!(calls.iter().all(|call| call.outcome == "ok"), "{calls:?}");
    assert_eq!(slack.messages("C0DEPLOYS").len(), 10);
}

#[tokio::test]
async fn a_slack_that_takes_shorter_bursts_is_heard_once_and_then_obeyed() {
    let (slack, client) = start(options().limit_posts(1, 2)).await;
    for number in 0..6 {
        client.post(&Post::new("C0DEPLOYS", format!("{number}"))).await.unwrap();
    }
    let calls = slack.calls_of("chat.postMessage");
    assert_eq!(calls.iter().filter(|call| call.outcome != "ok").count(), 1, "{calls:?}");
    assert_eq!(slack.messages("C0DEPLOYS").len(), 6);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let (slack, client) = start(options()).await;
    slack.fail_next(Fault::rate_limited(1).on("chat.postMessage"));
    client.post(&message()).await.unwrap();
    let calls = slack.calls_of("chat.postMessage");
    let [first, second] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(second.at - first.at >= Duration::from_secs(1), "{calls:?}");
}

#[tokio::test]
async fn an_outage_is_an_error_and_afterwards_all_is_well() {
    let (slack, client) = start(options()).await;
    slack.set_outage(true);
    let error = client.post(&message()).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::InDoubt);
    slack.set_outage(false);
    client.post(&message()).await.unwrap();
}

#[tokio::test]
async fn everybody_stands_as_what_they_are() {
    let (slack, client) = start(options()).await;
    let home = client.identity().await.unwrap().team_id;
    for (user, standing) in [
        ("U02ANA", Standing::Member),
        ("U03GUS", Standing::Guest),
        ("U04EVE", Standing::Foreign),
        ("U05OLD", Standing::Deactivated),
        ("U06BOT", Standing::Bot),
    ] {
        assert_eq!(client.user(user).await.unwrap().standing_in(&home), standing, "{user}");
    }
    assert!(slack.deactivate("U02ANA"));
    assert_eq!(client.user("U02ANA").await.unwrap().standing_in(&home), Standing::Deactivated);
}

#[tokio::test]
async fn a_group_has_the_members_that_it_has_now() {
    let (slack, client) = start(options()).await;
    assert_eq!(client.group_members("S0PAY").await.unwrap(), ["U02ANA"]);
    assert!(slack.set_group_users("S0PAY", &[]));
    assert!(client.group_members("S0PAY").await.unwrap().is_empty());
    let groups = client.user_groups().await.unwrap();
    let disabled: Vec<_> = groups.iter().filter(|it| it.is_disabled).map(|it| &it.id).collect();
    assert_eq!(disabled, ["S0GONE"]);
    let error = client.group_members("S0NONE").await.unwrap_err();
    assert_eq!(error.retry(), Retry::Never);
}

#[tokio::test]
async fn a_missing_scope_and_a_wrong_token_are_named() {
    let mut options = options();
    options.scopes = vec!["chat:write".to_owned()];
    let (slack, client) = start(options).await;
    let identity = client.identity().await.unwrap();
    assert_eq!(identity.missing_scopes(&["chat:write", "usergroups:read"]), ["usergroups:read"]);
    let error = client.group_members("S0PAY").await.unwrap_err();
    assert!(error.is_fatal_for_the_token());
    assert!(error.to_string().contains("`usergroups:read`"), "{error}");
    let error = client_of(&slack, "xoxb-wrong").identity().await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_auth"));
}

#[tokio::test]
async fn people_are_told_by_themselves_and_directly() {
    let (slack, client) = start(options()).await;
    let posted = client.post(&message()).await.unwrap();
    client.post_ephemeral(&Ephemeral::new("C0DEPLOYS", "U02ANA", "denied")).await.unwrap();
    assert_eq!(slack.ephemerals("U02ANA").pop().unwrap().text, "denied");
    let direct = client.direct_channel("U02ANA").await.unwrap();
    client.post(&Post::new(direct, "your deploy was rolled back")).await.unwrap();
    assert_eq!(slack.dms("U02ANA").pop().unwrap().text, "your deploy was rolled back");
    assert!(client.permalink(&posted).await.unwrap().contains("C0DEPLOYS"));
}
