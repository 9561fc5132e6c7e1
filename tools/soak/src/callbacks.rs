//! Signed callbacks at a rate, and how soon each is acknowledged.

use crate::figures::Percentiles;
use crate::replica::{Asked, SECRET};
use crate::world::World;
use crate::{CROWD, channel, deploy_id, person};
use futures_util::future::join_all;
use rollback_slack::{SIGNATURE_HEADER, SigningSecrets, TIMESTAMP_HEADER, UnixSeconds};
use rollback_testkit::fixtures;
use serde_json::json;
use std::time::{Duration, Instant};

/// What became of callbacks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Acknowledged {
    /// From the request to its answer.
    pub within: Percentiles,
    /// How many were answered with something else than 200.
    pub not_200: usize,
    /// How many rollbacks were opened by them.
    pub opened: usize,
    /// How many people were told in private that nothing was done.
    pub told: usize,
}

impl World<'_> {
    /// Sends so many signed clicks, so many a second, to all replicas in turn.
    pub async fn callbacks(&self, count: usize, per_second: u32, revision: usize) -> Acknowledged {
        let (listed, told) = (self.rollbacks(), self.told_that_nothing_was_done());
        let (within, not_200) = self.send(count, per_second, revision).await;
        while self.rollbacks() == listed {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.withdraw_all().await;
        let opened = self.rollbacks() - listed;
        Acknowledged { within, not_200, opened, told: self.told_that_nothing_was_done() - told }
    }

    /// Nobody goes on with what the callbacks opened.
    async fn withdraw_all(&self) {
        while self.open() > 0 {
            let open = self.space.sql("SELECT id FROM rollback WHERE NOT is_end");
            for (number, id) in open.lines().enumerate() {
                let rollback = Some(id.to_owned());
                let asked = Asked { number: 0, revision: 0, rollback };
                // It may have ended meanwhile.
                drop(self.ask(number, "/withdraw", &asked).await);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.settle().await;
    }

    /// The same while the database stands still; it goes on when the last one is answered and
    /// somebody was told what became of it.
    pub async fn callbacks_while_stalled(
        &self,
        count: usize,
        per_second: u32,
        revision: usize,
    ) -> Acknowledged {
        let (listed, told) = (self.rollbacks(), self.told_that_nothing_was_done());
        let stalled = self.server.stall();
        let (within, not_200) = self.send(count, per_second, revision).await;
        while self.told_that_nothing_was_done() == told {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The last one gives up, too, before anything could be recorded again.
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(stalled);
        let opened = self.rollbacks() - listed;
        Acknowledged { within, not_200, opened, told: self.told_that_nothing_was_done() - told }
    }

    async fn send(&self, count: usize, per_second: u32, revision: usize) -> (Percentiles, usize) {
        let (began, every) = (Instant::now(), Duration::from_secs(1) / per_second.max(1));
        let sent = (0..count).map(|number| async move {
            let at = every * u32::try_from(number).unwrap_or(u32::MAX);
            tokio::time::sleep(at.saturating_sub(began.elapsed())).await;
            self.click_signed(number, revision).await
        });
        let answers = join_all(sent).await;
        let not_200 = answers.iter().filter(|(status, _)| *status != 200).count();
        (Percentiles::of(answers.into_iter().map(|(_, took)| took).collect()), not_200)
    }

    async fn click_signed(&self, number: usize, revision: usize) -> (u16, Duration) {
        let body = self.form(number, revision);
        let secrets = SigningSecrets::new(&SECRET.into()).unwrap();
        let (timestamp, signature) = secrets.sign(body.as_bytes(), UnixSeconds::now());
        let request = self
            .client
            .post(self.url(number, "/slack/interactivity"))
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .body(body);
        let began = Instant::now();
        let status = request.send().await.unwrap().status().as_u16();
        (status, began.elapsed())
    }

    /// A click on the button of a deploy message, where it was posted.
    fn form(&self, number: usize, revision: usize) -> String {
        let service = number % self.setup.keys;
        let deploy = deploy_id(service, revision);
        let posted = self.chat.posted(&format!("deploy:{deploy}"));
        let ts = posted.map(|message| message.id.to_string()).unwrap_or_default();
        let (who, team) = (person(number % CROWD), fixtures::home());
        let trigger = format!("{number}.{}", self.chat.too_fast());
        let now = UnixSeconds::now().0;
        let payload = json!({"type": "block_actions",
            "user": {"id": who.id().as_str(), "team_id": team.as_str(), "name": "ana"},
            "team": {"id": team.as_str()}, "api_app_id": "A0SOAK",
            "trigger_id": format!("{trigger}.{now}"),
            "container": {"type": "message", "channel_id": channel(service), "message_ts": ts},
            "actions": [{"type": "button", "action_id": "rollback_open",
                "value": json!({"d": deploy.as_str(), "v": 1}).to_string()}]});
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &payload.to_string()).finish()
    }

    fn rollbacks(&self) -> usize {
        self.space.sql("SELECT count(*) FROM rollback").parse().unwrap()
    }

    fn told_that_nothing_was_done(&self) -> usize {
        let whispers = self.chat.whispers();
        whispers.iter().filter(|text| text.contains("nothing was done")).count()
    }
}
