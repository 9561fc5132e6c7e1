//! Every scene, played through the signed door of the local Slack, in one go without a browser.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use demo::scenes::{ANA, BO, DANA, DEPLOYS, EVE, FINN, GUS, ON_CALL, SAM, find};
use demo::{Demo, Setup};
use local_slack::{Message, Outcome};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(40);
const OPEN: &str = "rollback_open";

struct Play {
    demo: Option<Demo>,
    _dir: tempfile::TempDir,
}

impl Play {
    async fn of(scene: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut setup = Setup::new(dir.path().to_owned(), env!("CARGO_BIN_EXE_demo").into());
        setup.scene = find(scene).unwrap();
        let demo = Demo::start(setup).await.unwrap();
        let play = Self { demo: Some(demo), _dir: dir };
        play.until("the stage is set", |state| state["ready"] == true).await;
        play.until("the shop is broken", |state| state["shop"]["status"] == 500).await;
        play.message("2.14.0").await;
        play
    }

    fn demo(&self) -> &Demo {
        self.demo.as_ref().unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let state = self.demo().show().state();
            if holds(&state) {
                return state;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "it never came true that {what}:\n{}\n{:#?}",
                serde_json::to_string_pretty(&state["engine"]["rollbacks"]).unwrap(),
                self.demo()
                    .slack()
                    .messages(DEPLOYS)
                    .iter()
                    .map(Message::all_text)
                    .collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The deploy message of a version.
    async fn message(&self, version: &str) -> Message {
        let slack = self.demo().slack();
        let found = slack.wait_until(PATIENCE, |slack| {
            let newest = slack.messages(DEPLOYS).into_iter().next_back()?;
            newest.all_text().contains(version).then_some(newest)
        });
        found.await.unwrap()
    }

    async fn click(&self, who: &str) {
        let message = self.demo().slack().wait_until(PATIENCE, |slack| {
            slack.messages(DEPLOYS).into_iter().rev().find(|one| one.element(OPEN).is_some())
        });
        let message = message.await.unwrap();
        let clicked = self.demo().slack().click(who, DEPLOYS, &message.ts, OPEN).await.unwrap();
        assert_eq!(clicked, Outcome::Acknowledged);
    }

    /// Waits for the modal with the input, and submits it.
    async fn confirm(&self, who: &str) {
        let slack = self.demo().slack();
        let view = slack.wait_until(PATIENCE, |slack| {
            let view = slack.views(who).pop()?;
            view.blocks().iter().any(|block| block["block_id"] == "reason").then_some(view)
        });
        let view = view.await.unwrap();
        let values = [("reason", "customers cannot pay")];
        let submitted = slack.submit(who, &view.id, &values).await.unwrap();
        assert_eq!(submitted, Outcome::Updated);
    }

    async fn roll_back(&self, who: &str) {
        self.click(who).await;
        self.confirm(who).await;
    }

    async fn ends(&self, state: &str) -> Value {
        let ended = |seen: &Value| seen["engine"]["rollbacks"][0]["state"] == state;
        let seen = self.until(&format!("it ends as {state}"), ended).await;
        assert_eq!(seen["engine"]["chain"]["ok"], true, "{}", seen["engine"]["chain"]);
        seen
    }

    async fn sees(&self, who: &str, text: &str) {
        self.sees_one_of(who, &[text]).await;
    }

    async fn sees_one_of(&self, who: &str, texts: &[&str]) {
        let told = self.demo().slack().wait_until(PATIENCE, |slack| {
            let whispers = slack.ephemerals(who);
            let modal = slack.views(who).pop().map(|view| view.all_text()).unwrap_or_default();
            let said = whispers.iter().map(|one| one.all_text()).chain([modal]);
            let found = |said: String| texts.iter().any(|text| said.contains(text));
            said.into_iter().any(found).then_some(())
        });
        told.await.unwrap();
    }

    /// The lines in the thread of the newest deploy message.
    fn thread(&self) -> Vec<String> {
        let slack = self.demo().slack();
        let messages = slack.messages(DEPLOYS);
        let newest = messages.last().unwrap();
        slack.thread(DEPLOYS, &newest.ts).iter().map(|line| line.text.clone()).collect()
    }

    async fn over(mut self) {
        self.demo.take().unwrap().stop().await.unwrap();
    }
}

fn kinds(seen: &Value) -> Vec<&str> {
    let records = seen["engine"]["records"].as_array().into_iter().flatten();
    records.map(|record| record["kind"].as_str().unwrap()).collect()
}

fn assert_each_once(lines: &[String]) {
    let different: BTreeSet<_> = lines.iter().collect();
    assert_eq!(different.len(), lines.len(), "a line is there twice: {lines:#?}");
}

#[tokio::test]
async fn a_good_rollback_heals_the_shop_and_everybody_is_told() {
    let play = Play::of("good").await;
    play.roll_back(ANA).await;
    let seen = play.ends("succeeded").await;
    assert_eq!(seen["engine"]["live"]["revision"], "41");
    play.until("the shop works", |state| state["shop"]["status"] == 200).await;
    let slack = play.demo().slack();
    slack
        .wait_until(PATIENCE, |slack| {
            let done = slack.messages(DEPLOYS).pop()?.element(OPEN).is_none();
            let told = slack.dms(DANA).iter().any(|dm| dm.all_text().contains("2.13.4"));
            (done && told).then_some(())
        })
        .await
        .unwrap();
    let kinds = kinds(&seen);
    let triggered = kinds.iter().position(|kind| *kind == "triggered").unwrap();
    let confirmed = kinds.iter().position(|kind| *kind == "confirmed").unwrap();
    assert!(confirmed < triggered && kinds.last() == Some(&"succeeded"), "{kinds:?}");
    assert_each_once(&play.thread());
    play.over().await;
}

#[tokio::test]
async fn strangers_guests_and_foreigners_are_denied_and_the_emergency_group_is_not() {
    let play = Play::of("denied").await;
    for who in [EVE, GUS, SAM] {
        play.click(who).await;
        play.sees(who, "may not").await;
    }
    let denials = |seen: &Value| kinds(seen).iter().filter(|kind| **kind == "denied").count();
    play.until("each of them is in the audit trail", |seen| denials(seen) == 3).await;
    let seen = play.ends("denied").await;
    assert_eq!(seen["shop"]["status"], 500);
    play.roll_back(FINN).await;
    play.ends("succeeded").await;
    let paged = play.demo().slack().wait_until(PATIENCE, |slack| slack.messages(ON_CALL).pop());
    paged.await.unwrap();
    play.over().await;
}

#[tokio::test]
async fn behind_an_irreversible_or_unknown_migration_there_is_no_button_and_the_message_says_why() {
    for (scene, why) in
        [("irreversible", "20261121_drop_legacy_prices"), ("unknown", "not known which migrations")]
    {
        let play = Play::of(scene).await;
        let message = play.message("2.14.0").await;
        assert!(message.element(OPEN).is_none(), "{scene}");
        assert!(message.all_text().contains(why), "{scene}: {}", message.all_text());
        play.over().await;
    }
}

#[tokio::test]
async fn a_newer_deploy_makes_a_confirmation_stale() {
    let play = Play::of("newer").await;
    play.click(ANA).await;
    play.until("the hotfix is live", |state| state["engine"]["live"]["revision"] == "43").await;
    play.confirm(ANA).await;
    let seen = play.ends("refused").await;
    assert_eq!(seen["engine"]["live"]["revision"], "43");
    assert!(!kinds(&seen).contains(&"triggered"));
    play.over().await;
}

#[tokio::test]
async fn a_target_that_is_gone_is_found_out_at_the_click() {
    let play = Play::of("missing").await;
    play.until("the folder is gone", |state| state["told"][0].is_object()).await;
    play.click(ANA).await;
    let seen = play.ends("refused").await;
    assert!(!kinds(&seen).contains(&"confirmed"));
    play.sees(ANA, "41").await;
    play.over().await;
}

#[tokio::test]
async fn a_cd_system_that_does_not_answer_is_a_no() {
    let play = Play::of("unreachable").await;
    play.until("the folder is unplugged", |state| state["told"][0].is_object()).await;
    play.click(ANA).await;
    play.ends("refused").await;
    play.sees(ANA, "deployment folder does not answer").await;
    play.over().await;
}

#[tokio::test]
async fn of_two_who_confirm_at_once_one_gets_the_service() {
    let play = Play::of("race").await;
    play.click(ANA).await;
    play.until("Bo has clicked, too", |state| state["told"][0].is_object()).await;
    play.confirm(ANA).await;
    let both_ended = |state: &Value| {
        let rollbacks = state["engine"]["rollbacks"].as_array().cloned().unwrap_or_default();
        let mut ends: Vec<_> = rollbacks.iter().filter_map(|one| one["state"].as_str()).collect();
        ends.sort_unstable();
        ends == ["refused", "succeeded"]
    };
    let seen = play.until("one succeeds and one is refused", both_ended).await;
    assert_eq!(kinds(&seen).iter().filter(|kind| **kind == "triggered").count(), 1);
    // By a hair: at the confirmation, or already by the look before it.
    play.sees_one_of(BO, &["confirmed first", "is under way"]).await;
    play.over().await;
}

#[tokio::test]
async fn an_outage_of_slack_neither_stops_the_rollback_nor_loses_or_doubles_a_message() {
    let play = Play::of("outage").await;
    play.roll_back(ANA).await;
    play.until("the shop works again while Slack is down", |state| {
        state["shop"]["status"] == 200
            && state["told"].as_array().is_some_and(|told| told.len() == 1)
    })
    .await;
    play.ends("succeeded").await;
    play.until("Slack is back", |state| state["told"][1].is_object()).await;
    play.demo()
        .slack()
        .wait_until(PATIENCE, |slack| {
            let newest = slack.messages(DEPLOYS).pop()?;
            let thread = slack.thread(DEPLOYS, &newest.ts);
            let told = thread.iter().any(|line| line.all_text().contains("healthy"));
            told.then_some(())
        })
        .await
        .unwrap();
    assert_each_once(&play.thread());
    play.over().await;
}

#[tokio::test]
async fn a_process_killed_in_the_middle_is_taken_over_and_nothing_is_done_twice() {
    let play = Play::of("kill").await;
    let first = play.demo().show().state()["worker"].clone();
    play.roll_back(ANA).await;
    play.until("the process is dead", |state| {
        state["told"][0].is_object() && state["worker"].is_null()
    })
    .await;
    let second = play.until("another one runs", |state| state["worker"].is_u64()).await;
    assert_ne!(second["worker"], first);
    let seen = play.ends("succeeded").await;
    assert_eq!(kinds(&seen).iter().filter(|kind| **kind == "triggered").count(), 1);
    play.until("the shop works", |state| state["shop"]["status"] == 200).await;
    assert_each_once(&play.thread());
    play.over().await;
}

#[tokio::test]
async fn nobody_approves_their_own_rollback_and_somebody_else_can() {
    let play = Play::of("four-eyes").await;
    play.roll_back(ANA).await;
    let slack = play.demo().slack();
    let request = slack
        .wait_until(PATIENCE, |slack| {
            let newest = slack.messages(DEPLOYS).pop()?;
            let thread = slack.thread(DEPLOYS, &newest.ts);
            thread.into_iter().find(|one| one.element("rollback_approve").is_some())
        })
        .await
        .unwrap();
    slack.click(ANA, DEPLOYS, &request.ts, "rollback_approve").await.unwrap();
    play.sees(ANA, "nobody approves their own rollback").await;
    slack.click(BO, DEPLOYS, &request.ts, "rollback_approve").await.unwrap();
    let seen = play.ends("succeeded").await;
    assert_eq!(seen["engine"]["rollbacks"][0]["approved_by"][0]["id"], BO);
    play.over().await;
}

#[tokio::test]
async fn a_drill_does_everything_but_give_the_order() {
    let play = Play::of("drill").await;
    play.roll_back(ANA).await;
    let seen = play.ends("succeeded").await;
    assert_eq!(seen["engine"]["live"]["revision"], "42");
    assert_eq!(seen["shop"]["status"], 500);
    let records = seen["engine"]["records"].as_array().unwrap();
    assert!(records.iter().all(|record| record["drill"] == true), "{records:?}");
    play.over().await;
}

#[tokio::test]
async fn another_scene_begins_with_nothing_left_of_the_one_before() {
    let play = Play::of("irreversible").await;
    assert!(play.demo().show().wish(find("good").unwrap()));
    play.until("the next scene is set", |state| state["run"] == 2 && state["ready"] == true).await;
    play.roll_back(ANA).await;
    play.ends("succeeded").await;
    play.over().await;
}
