//! The whole product, from Slack's signed callback to the message that says how it ended: once in
//! the host of README, once in the process `platform-service`. Both are the same thing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage;
use crate::stage::{Kind, Stage};
use rollback_core::{Phase, StateName};
use team::{APPROVER, CHANNEL, OWNER, PATIENCE, STRANGER};

/// Each story in both hosts.
macro_rules! in_both {
    ($($story:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $story() {
                super::$story(super::Kind::Embedded).await;
            })+
        }
        mod platform_service {
            $(#[tokio::test]
            async fn $story() {
                super::$story(super::Kind::PlatformService).await;
            })+
        }
    };
}

in_both!(
    a_click_a_reason_and_the_service_runs_the_good_revision_again,
    a_stranger_is_told_who_may_and_nothing_happens,
    a_newer_deploy_behind_an_open_modal_stops_the_rollback,
    two_people_confirm_at_once_and_one_rollback_runs,
    four_eyes_means_somebody_elses,
    slack_is_down_while_the_rollback_runs_and_the_messages_catch_up,
    slack_is_down_at_the_confirmation_and_nothing_is_ordered,
    a_modal_that_is_closed_withdraws_what_it_was_about,
    a_stop_in_good_order_leaves_nothing_behind,
);

async fn a_click_a_reason_and_the_service_runs_the_good_revision_again(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x since 09:30").await;
    let message = stage.message_says("healthy").await;
    assert!(message.element("rollback_open").is_none(), "the button is gone");
    assert_eq!(stage.cd.truth().unwrap().as_str(), "41");
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
    let thread = stage.lines().await.join("\n");
    assert!(thread.contains("errors up 4x since 09:30"), "{thread}");
    let dms = stage.slack.wait_until(PATIENCE, |slack| {
        let dms = slack.dms(OWNER);
        dms.iter().any(|dm| dm.all_text().contains("41")).then_some(dms.len())
    });
    assert_eq!(dms.await.unwrap(), 1, "the deployer is told once, and kept up to date");
}

async fn a_stranger_is_told_who_may_and_nothing_happens(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    stage.press(STRANGER, "rollback_open").await;
    stage.modal(STRANGER, OWNER).await;
    stage.told(STRANGER, "no rule names you").await;
    assert_eq!(stage.cd.sends(), 0);
    assert!(stage.deploy_message().await.element("rollback_open").is_some());
}

async fn a_newer_deploy_behind_an_open_modal_stops_the_rollback(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    let newer = rollback_testkit::fixtures::revision("43", "2.14.1", team::now());
    stage.cd.deploy(newer);
    stage.host.report(stage::deploy("ci-4712", "43", "2.14.1")).await;
    stage.confirm(OWNER, &modal, "too late").await;
    stage.message_says("now runs").await;
    stage.told(OWNER, "now runs").await;
    assert_eq!(stage.cd.sends(), 0);
    assert_eq!(stage.cd.truth().unwrap().as_str(), "43");
}

async fn two_people_confirm_at_once_and_one_rollback_runs(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    let (ana, bo) = (stage.open(OWNER).await, stage.open(APPROVER).await);
    tokio::join!(
        stage.confirm(OWNER, &ana, "errors, says Ana"),
        stage.confirm(APPROVER, &bo, "errors, says Bo"),
    );
    stage.message_says("healthy").await;
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
    let states = stage.host.states().await;
    assert!(
        states.contains(&StateName::Succeeded) && states.contains(&StateName::Refused),
        "{states:?}"
    );
}

async fn four_eyes_means_somebody_elses(kind: Kind) {
    let stage = Stage::set_with(kind, 1).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.press(OWNER, "rollback_approve").await;
    stage.told(OWNER, "own rollback").await;
    assert_eq!(stage.cd.sends(), 0);
    stage.press(APPROVER, "rollback_approve").await;
    stage.message_says("healthy").await;
    assert_eq!(stage.cd.effects(), 1);
}

/// Before the order Slack is asked who may, and its silence is a no. After it Slack only watches.
async fn slack_is_down_while_the_rollback_runs_and_the_messages_catch_up(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.cd.set_phases([Phase::Started, Phase::Started, Phase::HealthChecking, Phase::Complete]);
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.reaches(StateName::Running).await;
    stage.slack.set_outage(true);
    stage.reaches(StateName::Succeeded).await;
    stage.slack.set_outage(false);
    stage.message_says("healthy").await;
    let thread = stage.lines().await;
    let confirmed = thread.iter().filter(|line| line.contains("errors up")).count();
    assert_eq!(confirmed, 1, "a line appears once: {thread:?}");
}

async fn slack_is_down_at_the_confirmation_and_nothing_is_ordered(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.slack.set_outage(true);
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.reaches(StateName::Denied).await;
    assert_eq!(stage.cd.sends(), 0);
    stage.slack.set_outage(false);
    stage.told(OWNER, "could not be found out").await;
}

async fn a_modal_that_is_closed_withdraws_what_it_was_about(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.slack.close(OWNER, &modal.id).await.unwrap();
    stage.reaches(StateName::Withdrawn).await;
    assert_eq!(stage.cd.sends(), 0);
    assert_eq!(stage.slack.messages(CHANNEL).len(), 1);
}

async fn a_stop_in_good_order_leaves_nothing_behind(kind: Kind) {
    let stage = Stage::set(kind).await;
    stage.report().await;
    stage.deploy_message().await;
    let began = std::time::Instant::now();
    stage.host.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}
