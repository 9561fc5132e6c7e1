//! The whole product, from Slack's signed callback to the message that says how it ended.
mod stage;
mod traps;

use rollback_core::ports::Query;
use rollback_core::{Phase, StateName};
use stage::{APPROVER, CHANNEL, OWNER, PATIENCE, STRANGER, Stage};

#[tokio::test]
async fn a_click_a_reason_and_the_service_runs_the_good_revision_again() {
    let stage = Stage::set().await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x since 09:30").await;
    let message = stage.message_says("healthy").await;
    assert!(message.element("rollback_open").is_none(), "the button is gone");
    assert_eq!(stage.cd.truth().unwrap().as_str(), "41");
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
    let thread = stage.thread().await.join("\n");
    assert!(thread.contains("errors up 4x since 09:30"), "{thread}");
    let dms = stage.slack.wait_until(PATIENCE, |slack| {
        let dms = slack.dms(OWNER);
        dms.iter().any(|dm| dm.all_text().contains("41")).then_some(dms.len())
    });
    assert_eq!(dms.await.unwrap(), 1, "the deployer is told once, and kept up to date");
}

#[tokio::test]
async fn a_stranger_is_told_who_may_and_nothing_happens() {
    let stage = Stage::set().await;
    stage.report().await;
    stage.click(STRANGER, "rollback_open").await;
    stage.modal(STRANGER, OWNER).await;
    let told = stage.slack.wait_until(PATIENCE, |slack| slack.ephemerals(STRANGER).pop());
    assert!(format!("{:?}", told.await.unwrap()).contains("no rule names you"));
    assert_eq!(stage.cd.sends(), 0);
    assert!(stage.deploy_message().await.element("rollback_open").is_some());
}

#[tokio::test]
async fn a_newer_deploy_behind_an_open_modal_stops_the_rollback() {
    let stage = Stage::set().await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    let newer = rollback_testkit::fixtures::revision("43", "2.14.1", stage::now());
    stage.cd.deploy(newer);
    stage.engine.deployed(stage.deploy("ci-4712", "43", "2.14.1")).await.unwrap();
    stage.confirm(OWNER, &modal, "too late").await;
    stage.message_says("now runs").await;
    let told = stage.slack.wait_until(PATIENCE, |slack| slack.ephemerals(OWNER).pop());
    assert!(format!("{:?}", told.await.unwrap()).contains("now runs"));
    assert_eq!(stage.cd.sends(), 0);
    assert_eq!(stage.cd.truth().unwrap().as_str(), "43");
}

#[tokio::test]
async fn two_people_confirm_at_once_and_one_rollback_runs() {
    let stage = Stage::set().await;
    stage.report().await;
    let (ana, bo) = (stage.open(OWNER).await, stage.open(APPROVER).await);
    tokio::join!(
        stage.confirm(OWNER, &ana, "errors, says Ana"),
        stage.confirm(APPROVER, &bo, "errors, says Bo"),
    );
    stage.message_says("healthy").await;
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (1, 1));
    let views = stage.engine.rollbacks(&Query::all(10)).await.unwrap();
    let states: Vec<StateName> = views.iter().map(|view| view.state).collect();
    assert!(
        states.contains(&StateName::Succeeded) && states.contains(&StateName::Refused),
        "{states:?}"
    );
}

#[tokio::test]
async fn four_eyes_means_somebody_elses() {
    let stage = Stage::set_with(|service| service.approvals_min = 1).await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.click(OWNER, "rollback_approve").await;
    let told = stage.slack.wait_until(PATIENCE, |slack| slack.ephemerals(OWNER).pop());
    assert!(format!("{:?}", told.await.unwrap()).contains("own rollback"));
    assert_eq!(stage.cd.sends(), 0);
    stage.click(APPROVER, "rollback_approve").await;
    stage.message_says("healthy").await;
    assert_eq!(stage.cd.effects(), 1);
}

/// Before the order Slack is asked who may, and its silence is a no. After it Slack only watches.
#[tokio::test]
async fn slack_is_down_while_the_rollback_runs_and_the_messages_catch_up() {
    let stage = Stage::set().await;
    stage.cd.set_phases([Phase::Started, Phase::Started, Phase::HealthChecking, Phase::Complete]);
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.reaches(StateName::Running).await;
    stage.slack.set_outage(true);
    stage.reaches(StateName::Succeeded).await;
    stage.slack.set_outage(false);
    stage.message_says("healthy").await;
    let thread = stage.thread().await;
    let confirmed = thread.iter().filter(|line| line.contains("errors up")).count();
    assert_eq!(confirmed, 1, "a line appears once: {thread:?}");
}

#[tokio::test]
async fn slack_is_down_at_the_confirmation_and_nothing_is_ordered() {
    let stage = Stage::set().await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.slack.set_outage(true);
    stage.confirm(OWNER, &modal, "errors up").await;
    stage.reaches(StateName::Denied).await;
    assert_eq!(stage.cd.sends(), 0);
    stage.slack.set_outage(false);
    let told = stage.slack.wait_until(PATIENCE, |slack| slack.ephemerals(OWNER).pop());
    assert!(format!("{:?}", told.await.unwrap()).contains("could not be found out"));
}

#[tokio::test]
async fn a_modal_that_is_closed_withdraws_what_it_was_about() {
    let stage = Stage::set().await;
    stage.report().await;
    let modal = stage.open(OWNER).await;
    stage.slack.close(OWNER, &modal.id).await.unwrap();
    stage.reaches(StateName::Withdrawn).await;
    assert_eq!(stage.cd.sends(), 0);
    assert_eq!(stage.slack.messages(CHANNEL).len(), 1);
}

#[tokio::test]
async fn a_stop_in_good_order_leaves_nothing_behind() {
    let stage = Stage::set().await;
    stage.report().await;
    stage.deploy_message().await;
    let began = std::time::Instant::now();
    stage.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}
