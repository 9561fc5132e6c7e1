//! A signed click, as it comes over the wire and as it is decided on.

use crate::organization::{Organization, SERVICES};
use http::HeaderMap;
use rollback_core::{Actor, UserId, WorkspaceId};
use rollback_slack::views::DeployButton;
use rollback_slack::{
    Accepted, Click, ClickAck, Closing, ClosingAck, Intake, Interactions, Interactivity,
    SIGNATURE_HEADER, SigningSecrets, Submission, SubmissionAck, TIMESTAMP_HEADER, UnixSeconds,
};
use rollback_testkit::fixtures;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bodies take turns: so many that no branch predictor knows them all.
pub const VARIANTS: usize = 64;
/// Where the number of a click stands in its body.
const PLACEHOLDER: &str = "0000000000";

/// Decides from memory who may, as a host does before it says more than "received".
#[derive(Debug)]
pub struct Decider {
    organization: Organization,
    permitted: AtomicU64,
    denied: AtomicU64,
}

impl Decider {
    /// A way in that decides by these rules.
    #[must_use]
    pub fn entrance(organization: Organization) -> Interactivity<Self> {
        let (permitted, denied) = (AtomicU64::new(0), AtomicU64::new(0));
        let decider = Self { organization, permitted, denied };
        let accepted = Accepted::app("A111").team(fixtures::home().as_str());
        Interactivity::new(signing_secrets(), Arc::new(Intake::new(accepted, decider)))
    }

    /// How many were permitted and denied so far.
    #[must_use]
    pub fn decided(&self) -> (u64, u64) {
        (self.permitted.load(Ordering::Relaxed), self.denied.load(Ordering::Relaxed))
    }
}

impl Interactions for Decider {
    fn clicked(&self, click: Click) -> ClickAck {
        let Ok(button) = DeployButton::parse(click.action.value.as_deref()) else {
            return ClickAck::NotOurs;
        };
        let Ok(user) = UserId::parse(click.person.id) else { return ClickAck::NotOurs };
        let mut actor = Actor::new(user);
        actor.workspace = click.person.team_id.and_then(|id| WorkspaceId::parse(id).ok());
        let permitted = self.organization.permits_rollback_of(&button.deploy, &actor);
        let count = if permitted { &self.permitted } else { &self.denied };
        count.fetch_add(1, Ordering::Relaxed);
        ClickAck::Taken
    }

    fn submitted(&self, _: Submission) -> SubmissionAck {
        SubmissionAck::NotOurs
    }

    fn closed(&self, _: Closing) -> ClosingAck {
        ClosingAck::NotOurs
    }
}

/// Sends clicks of which no two are equal.
#[derive(Debug)]
pub struct Sender {
    secrets: SigningSecrets,
    forms: Vec<(Vec<u8>, usize)>,
    sent: u64,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// Prepares the variants.
    #[must_use]
    pub fn new() -> Self {
        let forms = (0..VARIANTS).map(|number| {
            let form = form(&payload(number));
            let at =
                form.windows(PLACEHOLDER.len()).position(|part| part == PLACEHOLDER.as_bytes());
            (form, at.unwrap())
        });
        Self { secrets: signing_secrets(), forms: forms.collect(), sent: 0 }
    }

    /// How long the body of a click is.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.forms.iter().map(|(form, _)| form.len()).sum::<usize>() / VARIANTS
    }

    /// The next click: its headers, and its body.
    pub fn next(&mut self, now: UnixSeconds) -> (String, String, &[u8]) {
        self.sent += 1;
        let variant = usize::try_from(self.sent).unwrap() % VARIANTS;
        let (form, at) = self.forms.get_mut(variant).unwrap();
        let number = format!("{:010}", self.sent);
        form.get_mut(*at..*at + number.len()).unwrap().copy_from_slice(number.as_bytes());
        let (timestamp, signature) = self.secrets.sign(form, now);
        (timestamp, signature, form)
    }

    /// The same as headers of a request that a server has read already.
    pub fn next_read(&mut self, now: UnixSeconds) -> (HeaderMap, Vec<u8>) {
        let (timestamp, signature, body) = self.next(now);
        let headers = HeaderMap::from_iter([
            (TIMESTAMP_HEADER.parse().unwrap(), timestamp.parse().unwrap()),
            (SIGNATURE_HEADER.parse().unwrap(), signature.parse().unwrap()),
        ]);
        (headers, body.to_vec())
    }
}

/// What each click is signed with.
#[must_use]
pub fn signing_secrets() -> SigningSecrets {
    SigningSecrets::new(&"8f742231b10e8888abcd99yyyzzz85a5".into()).unwrap()
}

/// A click on the button of a message of ten blocks, as Slack sends it back: about 4.8 kB.
fn payload(number: usize) -> String {
    let section = |block: usize| {
        json!({"type": "section", "block_id": format!("b{block}.{number}"), "fields": [
            {"type": "mrkdwn", "text": format!("*Revision*\n`r{}` of build {block}", number * 7),
                "verbatim": true},
            {"type": "mrkdwn", "text": format!("*By*\n<@U{number:04}> at {block}:00 & later"),
                "verbatim": true},
            {"type": "plain_text", "text": "Changes since the last deploy, with a title each",
                "emoji": true}]})
    };
    let blocks: Vec<_> = (0..10).map(section).collect();
    let deploy = number * 31 % SERVICES;
    let (actor, team) = (Organization::actor(), fixtures::home());
    json!({"type": "block_actions",
        "user": {"id": actor.id.as_str(), "username": "bo", "name": "bo",
            "team_id": team.as_str()},
        "api_app_id": "A111", "token": "x",
        "container": {"type": "message", "message_ts": "1700000000.000100",
            "channel_id": "C0DEPLOYS", "is_ephemeral": false},
        "trigger_id": format!("111.222.{PLACEHOLDER}"),
        "team": {"id": team.as_str(), "domain": "acme"},
        "enterprise": null, "is_enterprise_install": false,
        "channel": {"id": "C0DEPLOYS", "name": "deploys"},
        "message": {"type": "message", "user": "UBOT", "bot_id": "B111", "app_id": "A111",
            "team": "T111", "ts": "1700000000.000100", "text": "api deployed", "blocks": blocks},
        "state": {"values": {}}, "response_url": "https://hooks.slack.com/actions/T111/1/abc",
        "actions": [{"type": "button", "action_id": "rollback_open", "block_id": "act",
            "style": "danger", "text": {"type": "plain_text", "text": "Roll back", "emoji": true},
            "value": format!("{{\"d\":\"d-{deploy}\",\"v\":1}}"),
            "action_ts": "1700000100.000200"}]})
    .to_string()
}

/// As Slack encodes it.
fn form(payload: &str) -> Vec<u8> {
    let mut form = b"payload=".to_vec();
    for byte in payload.bytes() {
        match byte {
            b' ' => form.push(b'+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => form.push(byte),
            byte => form.extend(format!("%{byte:02X}").bytes()),
        }
    }
    form
}
