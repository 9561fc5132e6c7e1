//! What is done behind an acknowledgement, and what is not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use http::HeaderMap;
use local_slack::{Channel, LocalSlack, Options, User};
use rollback_core::notice::{DeployCard, MessageRef};
use rollback_core::ports::{Button, ClickedOn, Clock, CommandError, Commands, Consent};
use rollback_core::{
    Actor, DeployId, Outcome, Reason, RollbackId, RollbackView, ServiceChange, ServiceKey,
    Timestamp,
};
use rollback_slack::{
    Accepted, Intake, Interactivity, REMEMBERED_BY_ALL, Reply, SIGNATURE_HEADER, SigningSecrets,
    Surface, TIMESTAMP_HEADER, UnixSeconds, WebApi, WebApiOptions,
};
use rollback_testkit::ManualClock;
use rollback_testkit::fixtures::at;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

/// Says what it was asked, and about requests what it was told to say. Nothing else is known to it.
#[derive(Debug)]
struct Engine {
    received: Received,
    asked: Mutex<Vec<&'static str>>,
    digests: Mutex<BTreeSet<[u8; 32]>>,
}

#[derive(Clone, Debug)]
enum Received {
    Refused(CommandError),
    Once,
    NotAnswered,
}

impl Engine {
    fn saying(received: Received) -> Arc<Self> {
        let (asked, digests) = (Mutex::default(), Mutex::default());
        Arc::new(Self { received, asked, digests })
    }

    fn nothing<T>(&self, what: &'static str) -> Result<T, CommandError> {
        self.asked.lock().unwrap().push(what);
        Err(CommandError::Stopping)
    }
}

#[async_trait]
impl Commands for Engine {
    async fn receive(
        &self,
        digests: &[[u8; 32]],
        at: Timestamp,
        keep: Duration,
    ) -> Result<(), CommandError> {
        assert_eq!((at.as_millis(), keep), (1_700_000_000_000, REMEMBERED_BY_ALL));
        self.asked.lock().unwrap().push("receive");
        match &self.received {
            Received::Refused(error) => Err(error.clone()),
            Received::NotAnswered => std::future::pending().await,
            Received::Once => {
                let mut known = self.digests.lock().unwrap();
                let is_new = digests.iter().all(|digest| !known.contains(digest));
                known.extend(digests);
                if is_new { Ok(()) } else { Err(CommandError::ReceivedBefore) }
            }
        }
    }
    async fn pressed_in(
        &self,
        _: &Button,
        notifier: &str,
        _: &MessageRef,
    ) -> Result<(), CommandError> {
        self.nothing(if notifier == "slack" { "pressed_in" } else { "pressed_in another" })
    }
    async fn click(&self, _: &ClickedOn, _: Actor) -> Result<RollbackView, CommandError> {
        self.nothing("click")
    }
    async fn confirm(
        &self,
        _: &RollbackId,
        _: Actor,
        _: Consent,
    ) -> Result<RollbackView, CommandError> {
        self.nothing("confirm")
    }
    async fn approve(&self, _: &RollbackId, _: Actor) -> Result<RollbackView, CommandError> {
        self.nothing("approve")
    }
    async fn reject(&self, _: &RollbackId, _: Actor) -> Result<RollbackView, CommandError> {
        self.nothing("reject")
    }
    async fn withdraw(&self, _: &RollbackId, _: Actor) -> Result<RollbackView, CommandError> {
        self.nothing("withdraw")
    }
    async fn release(&self, _: &RollbackId, _: Actor) -> Result<RollbackView, CommandError> {
        self.nothing("release")
    }
    async fn settle(
        &self,
        _: &RollbackId,
        _: Actor,
        _: Outcome,
        _: Reason,
    ) -> Result<RollbackView, CommandError> {
        self.nothing("settle")
    }
    async fn change_service(
        &self,
        _: &ServiceKey,
        _: ServiceChange,
        _: Actor,
    ) -> Result<bool, CommandError> {
        self.nothing("change_service")
    }
    async fn card(&self, _: &DeployId) -> Result<DeployCard, CommandError> {
        self.nothing("card")
    }
    async fn view(&self, _: &RollbackId) -> Result<RollbackView, CommandError> {
        self.nothing("view")
    }
    async fn changed(&self, _: &RollbackId, _: u64) -> Result<RollbackView, CommandError> {
        self.nothing("changed")
    }
}

/// One process of several that share an engine's store.
struct Process {
    surface: Surface,
    interactivity: Interactivity<Surface>,
}

struct Stage {
    slack: LocalSlack,
    engine: Arc<Engine>,
}

fn secrets() -> SigningSecrets {
    SigningSecrets::new(&"secret".into()).unwrap()
}

impl Stage {
    async fn set(received: Received) -> Self {
        let options = Options::default();
        let options = options.user(User::new("U02ANA", "Ana")).channel(Channel::new("C1", "one"));
        let slack = LocalSlack::start(options).await.unwrap();
        Self { slack, engine: Engine::saying(received) }
    }

    fn process(&self) -> Process {
        self.process_of("slack")
    }

    /// A process whose notifier is called so.
    fn process_of(&self, notifier: &'static str) -> Process {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(at(0)));
        let mut options = WebApiOptions::default();
        options.base_url = self.slack.api_url();
        let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
        let commands: Arc<dyn Commands> = Arc::<Engine>::clone(&self.engine);
        let surface = Surface::of(notifier, commands, api, clock);
        let intake = Arc::new(Intake::new(Accepted::any(), surface.clone()));
        Process { surface, interactivity: Interactivity::new(secrets(), intake) }
    }

    fn asked(&self) -> Vec<&'static str> {
        self.engine.asked.lock().unwrap().clone()
    }

    fn told(&self) -> Vec<String> {
        let told = self.slack.ephemerals("U02ANA");
        told.iter().map(local_slack::Ephemeral::all_text).collect()
    }
}

impl Process {
    fn send(&self, payload: &Value) -> Reply {
        let mut body = b"payload=".to_vec();
        for byte in payload.to_string().bytes() {
            body.extend(format!("%{byte:02X}").bytes());
        }
        let (timestamp, signature) = secrets().sign(&body, NOW);
        let headers = HeaderMap::from_iter([
            (TIMESTAMP_HEADER.parse().unwrap(), timestamp.parse().unwrap()),
            (SIGNATURE_HEADER.parse().unwrap(), signature.parse().unwrap()),
        ]);
        self.interactivity.handle(&headers, &body, NOW)
    }

    fn counted(&self) -> rollback_slack::CountersSnapshot {
        self.interactivity.intake().counters().snapshot()
    }
}

fn click(trigger: usize) -> Value {
    json!({"type": "block_actions", "user": {"id": "U02ANA"}, "trigger_id": format!("1.{trigger}"),
        "container": {"type": "message", "channel_id": "C1", "message_ts": "17.01"},
        "actions": [{"type": "button", "action_id": "rollback_open",
            "value": json!({"d": "ci-1", "v": 1}).to_string()}]})
}

fn submission(trigger: usize) -> Value {
    let memo = json!({"r": "rb-1", "shown": {"from": "42", "to": "41"}});
    json!({"type": "view_submission", "user": {"id": "U02ANA"}, "trigger_id": format!("2.{trigger}"),
        "view": {"id": "V1", "callback_id": "rollback_confirm",
            "private_metadata": memo.to_string(),
            "state": {"values": {"reason": {"reason": {"type": "plain_text_input",
                "value": "errors up"}}}}}})
}

#[tokio::test]
async fn of_two_processes_that_get_one_request_one_does_what_it_asks_for() {
    let stage = Stage::set(Received::Once).await;
    let (first, second) = (stage.process(), stage.process());
    for process in [&first, &second] {
        assert_eq!(process.send(&click(1)).status, 200);
        process.surface.drain().await;
    }
    assert_eq!(stage.asked(), ["receive", "pressed_in", "receive"]);
    assert_eq!((first.counted().repeats_elsewhere, second.counted().repeats_elsewhere), (0, 1));
    assert_eq!(stage.told().len(), 1, "the second is told to nobody");
}

/// Of two workspaces each has its own messages.
#[tokio::test]
async fn a_button_is_looked_up_among_the_messages_of_its_own_notifier() {
    let stage = Stage::set(Received::Once).await;
    let process = stage.process_of("acme");
    assert_eq!(process.send(&click(1)).status, 200);
    process.surface.drain().await;
    assert_eq!(stage.asked(), ["receive", "pressed_in another"]);
}

#[tokio::test]
async fn a_request_that_nobody_can_say_is_new_is_not_done_and_whoever_asked_is_told() {
    for received in [
        Received::Refused(CommandError::NotRecorded("our own store did not take it".into())),
        Received::NotAnswered,
    ] {
        let stage = Stage::set(received).await;
        let process = stage.process();
        assert_eq!(process.send(&click(1)).status, 200);
        process.surface.drain().await;
        assert_eq!(stage.asked(), ["receive"]);
        let told = stage.told().join("\n");
        assert!(told.contains("could not be recorded, so nothing was done"), "{told}");
    }
}

#[tokio::test]
async fn when_too_many_wait_a_click_is_not_taken_and_a_submission_says_so() {
    let stage = Stage::set(Received::NotAnswered).await;
    let process = stage.process();
    for number in 0..1_000 {
        assert_eq!(process.send(&click(number)).status, 200, "{number}");
    }
    assert_eq!(process.send(&click(1_000)).status, 503);
    assert_eq!(process.counted().busy, 1);
    let answer = process.send(&submission(1));
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200);
    assert!(body.contains("too much waits to be done; nothing was changed"), "{body}");
}

#[tokio::test]
async fn what_comes_after_the_drain_is_not_acknowledged_since_nobody_would_do_it() {
    let stage = Stage::set(Received::Once).await;
    let process = stage.process();
    assert_eq!(process.send(&click(1)).status, 200);
    process.surface.drain().await;
    let asked = stage.asked();
    assert_eq!(asked, ["receive", "pressed_in"]);
    assert_eq!(process.send(&click(2)).status, 503, "Slack shows that it did not work");
    let answer = process.send(&submission(1));
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("is restarting; nothing was changed; try again in a minute"), "{body}");
    process.surface.drain().await;
    assert_eq!(stage.asked(), asked, "nothing was asked for them");
}
