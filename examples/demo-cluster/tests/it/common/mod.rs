//! A scene on the cluster of this test process.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use demo::Demo;
use demo::scenes::{DEPLOYS, find};
use demo_cluster::{Adapter, Stage};
use local_slack::{Message, Outcome};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long anything on the cluster may take, on a machine that builds something else too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const OPEN: &str = "rollback_open";

pub(crate) struct Play {
    demo: Option<Demo>,
    _stage: Stage,
    _dir: tempfile::TempDir,
}

/// A cluster for a test. Without one the test is skipped by name; with `CI=true` that is a failure.
pub(crate) fn stage(adapter: Adapter) -> Option<Stage> {
    let stage = Stage::open(adapter);
    if stage.is_none() {
        let missing = "there is no cluster; tools/peers kube-cluster and tools/peers helm";
        peer::skipped(&format!("the demo on a cluster ({})", adapter.as_str()), missing);
    }
    stage
}

impl Play {
    /// The stage is set, and the shop is broken.
    pub(crate) async fn of(adapter: Adapter, scene: &str) -> Option<Self> {
        let stage = stage(adapter)?;
        let dir = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_demo-cluster").into();
        let mut setup = stage.setup(dir.path().to_owned(), program).await.unwrap();
        setup.scene = find(scene).unwrap();
        let demo = Demo::start(setup).await.unwrap();
        let play = Self { demo: Some(demo), _stage: stage, _dir: dir };
        play.until("the stage is set", |state| state["ready"] == true).await;
        play.until("the shop is broken", |state| state["shop"]["status"] == 503).await;
        let told = play.demo().slack().wait_until(PATIENCE, |slack| {
            slack.messages(DEPLOYS).pop().filter(|one| one.all_text().contains("2.14.0"))
        });
        told.await.unwrap();
        Some(play)
    }

    pub(crate) fn demo(&self) -> &Demo {
        self.demo.as_ref().unwrap()
    }

    pub(crate) fn state(&self) -> Value {
        self.demo().show().state()
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let state = self.state();
            if holds(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = self.demo().show().shop_html();
        panic!("it never came true that {what}:\n{:#}\n{log:?}", self.state())
    }

    pub(crate) async fn click(&self, who: &str) {
        let message = self.demo().slack().wait_until(PATIENCE, |slack| {
            slack.messages(DEPLOYS).into_iter().rev().find(|one| one.element(OPEN).is_some())
        });
        let message = message.await.unwrap();
        let clicked = self.demo().slack().click(who, DEPLOYS, &message.ts, OPEN).await.unwrap();
        assert_eq!(clicked, Outcome::Acknowledged);
    }

    /// Waits for the modal with the input, and submits it.
    pub(crate) async fn confirm(&self, who: &str) {
        let slack = self.demo().slack();
        let view = slack.wait_until(PATIENCE, |slack| {
            let view = slack.views(who).pop()?;
            view.blocks().iter().any(|block| block["block_id"] == "reason").then_some(view)
        });
        let view = view.await.unwrap();
        let values = [("reason", "customers cannot pay")];
        assert_eq!(slack.submit(who, &view.id, &values).await.unwrap(), Outcome::Updated);
    }

    pub(crate) async fn roll_back(&self, who: &str) {
        self.click(who).await;
        self.confirm(who).await;
    }

    pub(crate) async fn ends(&self, state: &str) -> Value {
        let ended = |seen: &Value| seen["engine"]["rollbacks"][0]["state"] == state;
        let seen = self.until(&format!("it ends as {state}"), ended).await;
        assert_eq!(seen["engine"]["chain"]["ok"], true, "{}", seen["engine"]["chain"]);
        seen
    }

    /// The lines of the newest deploy's thread, once one of them says this.
    pub(crate) async fn thread_says(&self, text: &str) -> Vec<String> {
        let told = self.demo().slack().wait_until(PATIENCE, |slack| {
            let newest = slack.messages(DEPLOYS).pop()?;
            let lines = slack.thread(DEPLOYS, &newest.ts);
            let lines: Vec<String> = lines.iter().map(Message::all_text).collect();
            lines.iter().any(|line| line.contains(text)).then_some(lines)
        });
        told.await.unwrap()
    }

    pub(crate) async fn over(mut self) {
        self.demo.take().unwrap().stop().await.unwrap();
    }
}
