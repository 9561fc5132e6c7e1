//! The process `platform-service` against whoever means it harm, over real sockets. docs/SECURITY-TESTS.md
//! says which promise each of these keeps.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod canary;
mod egress;
mod incidents;
mod lines;
mod recorder;
mod wire;

use crate::stage::service::Service;
use crate::stage::{Host, cd, deploy};
use local_slack::{Delivery, LocalSlack, Message, sign};
use rollback_testkit::fakes::FakeBackend;
use serde_json::Value;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use team::{CHANNEL, OWNER, PATIENCE, SECRET, people};

/// A service with one deploy that has a button, and what Slack sent when its owner pressed it
/// before: genuine, taken, and good to be changed.
pub(crate) struct Target {
    pub(crate) slack: LocalSlack,
    pub(crate) cd: Arc<FakeBackend>,
    pub(crate) service: Service,
    pub(crate) message: Message,
}

impl Target {
    pub(crate) async fn new() -> Self {
        Self::of(people()).await
    }

    pub(crate) async fn of(people: local_slack::Options) -> Self {
        let (slack, cd) = (LocalSlack::start(people).await.unwrap(), cd());
        let service = Service::start(&slack, &cd, 0).await;
        slack.set_interactivity_url(service.callbacks());
        service.report(deploy("ci-4711", "42", "2.14.0")).await;
        let message = button(&slack).await;
        Self { slack, cd, service, message }
    }

    /// A click of the owner that did nothing, since it named no button of ours.
    pub(crate) async fn click_of_nothing(&self) -> Delivery {
        let mut nothing = self.message.clone();
        rename(&mut nothing.blocks, "rollback_open", "somebody_elses");
        self.slack.click_seen(OWNER, &nothing, "somebody_elses").await.unwrap();
        self.slack.deliveries().pop().unwrap()
    }

    /// What Slack would have sent for somebody's click, with a trigger that is good for three
    /// seconds, and did not.
    pub(crate) async fn undelivered_click(&self, user: &str) -> Delivery {
        self.slack.set_interactivity_url("http://127.0.0.1:9/nobody");
        drop(self.slack.click_seen(user, &self.message, "rollback_open").await);
        self.slack.set_interactivity_url(self.service.callbacks());
        self.slack.deliveries().pop().unwrap()
    }

    /// How many rollbacks there are, in whatever state.
    pub(crate) async fn rollbacks(&self) -> usize {
        self.service.states().await.len()
    }
}

/// Waits for the first message with a button.
pub(crate) async fn button(slack: &LocalSlack) -> Message {
    let found = slack.wait_until(PATIENCE, |slack| {
        slack.messages(CHANNEL).into_iter().find(|m| m.element("rollback_open").is_some())
    });
    found.await.expect("a deploy message with its button")
}

fn rename(blocks: &mut [Value], from: &str, to: &str) {
    for block in blocks {
        *block = serde_json::from_str(&block.to_string().replace(from, to)).unwrap();
    }
}

pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The form that Slack makes of a payload, with every byte written out.
pub(crate) fn form(payload: &Value) -> Vec<u8> {
    let text = payload.to_string();
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("payload={encoded}").into_bytes()
}

/// The headers that make these bytes Slack's, without the last line end.
pub(crate) fn signed(body: &[u8]) -> String {
    let at = seconds();
    let signature = sign(SECRET, at, body);
    format!("x-slack-request-timestamp: {at}\r\nx-slack-signature: {signature}")
}
