//! The deployment mechanism seen from outside: what customers get, and what a crash leaves.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{Stage, key, release, stage};
use demo::releases::{HttpHealth, Release, Releases, ReleasesError, shop_files};
use rollback_core::observed::Acceptance;
use rollback_core::ports::{CdBackend, HealthSource};
use rollback_core::proof::Order;
use rollback_core::{Fact, Health, Migrations, Phase, Plan, RevisionId, RevisionRef};
use rollback_engine::SystemClock;
use rollback_testkit::order_for;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn id(text: &str) -> RevisionId {
    text.parse().unwrap()
}

fn plan(from: &str, to: &str) -> Plan {
    Plan::new(key(), RevisionRef::new(id(from)), RevisionRef::new(id(to))).unwrap()
}

fn broken(version: &str) -> Release {
    let mut release = Release::new(version, shop_files(version, &[("Espresso", "2.50".into())]));
    release.migrations = Migrations::Known(Vec::new());
    release.leaves_behind = vec!["3 receipts were sent with the wrong price".to_owned()];
    release
}

async fn page(stage: &Stage) -> (u16, String) {
    let answer = reqwest::get(stage.releases.service_url()).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(20), "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn phase(releases: &Releases, order: &Order) -> Option<Phase> {
    let receipt = releases.find(order).await.unwrap()?;
    Some(releases.observe(order, &receipt).await.unwrap().phase)
}

#[tokio::test]
async fn a_rollback_turns_a_broken_shop_into_a_working_one() {
    let stage = stage().await;
    stage.releases.deploy(broken("2.15.0")).await.unwrap();
    let health = HttpHealth::new(stage.releases.health_url(), Arc::new(SystemClock::new()));
    assert_eq!(page(&stage).await.0, 500);
    assert!(matches!(
        health.health(&key()).await,
        Fact::Known { value: Health::Unhealthy(why), .. } if why.contains("catalog")
    ));

    let plan = plan("43", "42");
    let preflight = stage.releases.preflight(&plan).await.unwrap();
    assert_eq!(preflight.not_undone, ["3 receipts were sent with the wrong price"]);
    assert!(preflight.expected.is_some_and(|expected| !expected.duration().is_zero()));
    let order = order_for(plan);
    stage.releases.start(&order).await.unwrap();
    until("the rollback is complete", async || {
        phase(&stage.releases, &order).await == Some(Phase::Complete)
    })
    .await;

    let (status, html) = page(&stage).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("checkout 2.14.0"), "{html}");
    assert!(matches!(health.health(&key()).await, Fact::Known { value: Health::Healthy, .. }));
}

#[tokio::test]
async fn an_order_that_was_accepted_is_carried_out_by_whoever_opens_the_folder_next() {
    let stage = stage().await;
    stage.releases.set_grace(Duration::from_secs(60));
    let order = order_for(plan("42", "41"));
    stage.releases.start(&order).await.unwrap();
    let Stage { dir: _dir, config, releases } = stage;
    drop(releases);

    let releases = Releases::open(config).await.unwrap();
    until("the rollback is complete", async || {
        phase(&releases, &order).await == Some(Phase::Complete)
    })
    .await;
    let answer = reqwest::get(releases.service_url()).await.unwrap();
    assert!(answer.text().await.unwrap().contains("checkout 2.13.4"));
}

#[tokio::test]
async fn a_release_that_does_not_start_is_taken_back() {
    let stage = stage().await;
    let mut dead = release("2.15.0");
    dead.files.remove("version");
    let error = stage.releases.deploy(dead).await.unwrap_err();
    assert!(matches!(&error, ReleasesError::NotLive { .. }), "{error}");
    assert!(error.to_string().contains("`42` is live again"), "{error}");
    assert_eq!(stage.truth(), Some(id("42")));
    until("the shop answers", async || {
        let answer = reqwest::get(stage.releases.service_url()).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    let history = stage.releases.history(&key(), 1).await.unwrap();
    assert_eq!(history[0].status, rollback_core::RevisionStatus::Failed);
}

#[tokio::test]
async fn a_service_that_crashed_is_started_again() {
    let stage = stage().await;
    let instance = stage.root().join("instance");
    let number: u64 = std::fs::read_to_string(&instance).unwrap().parse().unwrap();
    // The service believes that another one has taken its place, and ends.
    std::fs::write(&instance, (number + 1).to_string()).unwrap();
    until("another process answers", async || {
        let up = format!("{}up", stage.releases.service_url());
        match reqwest::get(up).await {
            Ok(answer) => !answer.text().await.unwrap().contains(&format!("\"instance\":{number}")),
            Err(_restarting) => false,
        }
    })
    .await;
    assert_eq!(page(&stage).await.0, 200);
}

#[tokio::test]
async fn a_tampered_release_is_neither_offered_nor_restored() {
    let stage = stage().await;
    let catalog = stage.release_folder("41").join("catalog.json");
    std::fs::write(catalog, "[]").unwrap();
    let preflight = stage.releases.preflight(&plan("42", "41")).await.unwrap();
    assert!(matches!(
        preflight.acceptance,
        Acceptance::Rejected(why) if why == "`catalog.json` of release `41` is not what was deployed"
    ));
    stage.releases.start(&order_for(plan("42", "41"))).await.unwrap_err();
    assert_eq!(stage.truth(), Some(id("42")));
}

#[tokio::test]
async fn old_releases_make_room_and_are_no_longer_restorable() {
    let mut stage = stage().await;
    stage.config.keep = 2;
    let Stage { dir: _dir, config, releases } = stage;
    drop(releases);
    let releases = Releases::open(config).await.unwrap();
    releases.deploy(release("2.15.0")).await.unwrap();
    let history = releases.history(&key(), 10).await.unwrap();
    let restorable: Vec<_> = history
        .iter()
        .map(|revision| (revision.id.as_str(), Option::<bool>::from(revision.restorable)))
        .collect();
    let expected =
        [("43", Some(true)), ("42", Some(true)), ("41", Some(false)), ("40", Some(false))];
    assert_eq!(restorable, expected);
}

#[tokio::test]
async fn another_process_cannot_manage_the_folder_meanwhile() {
    let stage = stage().await;
    let error = Releases::open(stage.config.clone()).await.unwrap_err();
    assert!(matches!(error, ReleasesError::Taken(_)), "{error}");
}

#[tokio::test]
async fn a_question_about_another_service_is_a_mistake_of_the_configuration() {
    let stage = stage().await;
    let other = rollback_core::ServiceKey::new("search".parse().unwrap(), key().environment);
    let error = stage.releases.live(&other).await.unwrap_err();
    assert_eq!(error.kind, rollback_core::ports::ErrorKind::Misconfigured);
}
