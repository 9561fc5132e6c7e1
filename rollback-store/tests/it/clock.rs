//! The clock by which claims are judged goes back an hour: whoever has one keeps it for longer, nobody
//! else is given it, and it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use postgres_lab::Server;
use rollback_core::ports::{Claim, Commit, Instance, Journals as _, Store, StoreError};
use rollback_core::{RollbackId, Timestamp};
use rollback_store::{Options, PostgresOptions, PostgresStore, SqliteStore};
use rollback_testkit::fixtures::{at, parsed};
use rollback_testkit::script::{Ending, Script};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);
const HOUR: i64 = 3_600;

fn id() -> RollbackId {
    parsed("rb-1")
}

async fn claimed(store: &dyn Store, owner: &str, now: Timestamp) -> Option<Claim> {
    store.claim(&id(), &Instance::new(owner), now, LEASE).await.unwrap()
}

/// The next step of a journal, under a claim.
fn step(commits: &[Commit], place: usize, claim: &Claim, at: Timestamp) -> Commit {
    let mut commit = commits.get(place).unwrap().clone();
    commit.claim = Some(claim.clone());
    commit.at = at;
    commit
}

#[tokio::test]
async fn a_databases_clock_that_goes_back_an_hour_gives_no_rollback_a_second_owner() {
    let Some(server) = Server::shared("a PostgreSQL whose clock goes back") else { return };
    let space = server.space();
    let url = space.url_with_clock();
    let one = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
    let two = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    one.commit(commits.first().unwrap().clone()).await.unwrap();
    let held = claimed(&one, "a", at(0)).await.unwrap();
    one.ping().await.unwrap();
    assert_eq!(one.clock_steps().back, 0);

    space.set_clock(-HOUR);
    assert_eq!(claimed(&two, "b", at(0)).await, None);
    let renewed = claimed(&one, "a", at(10)).await.unwrap();
    assert_eq!(renewed.fence, held.fence);
    one.commit(step(&commits, 1, &renewed, at(10))).await.unwrap();
    // Longer than the lease, and not as long as the step.
    space.set_clock(-HOUR + 60);
    assert_eq!(claimed(&two, "b", at(99)).await, None);
    one.commit(step(&commits, 2, &renewed, at(99))).await.unwrap();
    let steps = one.clock_steps();
    assert_eq!(steps.back, 1);
    assert!(steps.furthest.as_secs().abs_diff(3_600) < 30, "{steps:?}");

    // By its own clock the claim ends where it would have ended.
    space.set_clock(60);
    let taken = claimed(&two, "b", at(0)).await.unwrap();
    assert!(taken.fence > held.fence);
    let lost = one.commit(step(&commits, 3, &renewed, at(99))).await.unwrap_err();
    assert!(matches!(lost, StoreError::ClaimLost(_)), "{lost}");
}

#[tokio::test]
async fn readiness_notices_a_databases_clock_that_goes_back() {
    let Some(server) = Server::shared("a PostgreSQL whose clock is looked at") else { return };
    let space = server.space();
    let url = space.url_with_clock();
    let store = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
    store.ping().await.unwrap();
    space.set_clock(HOUR);
    store.ping().await.unwrap();
    assert_eq!(store.clock_steps().back, 0, "forward is not back");
    space.set_clock(0);
    store.ping().await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.clock_steps().back, 1);
}

/// A file goes by the times of the process that owns it. One process after another opens it here, and
/// the second has the earlier clock.
#[tokio::test]
async fn a_process_whose_clock_is_an_hour_behind_takes_over_nothing_before_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollback.db");
    let store = SqliteStore::open(file.clone(), Options::default()).await.unwrap();
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    store.commit(commits.first().unwrap().clone()).await.unwrap();
    let held = claimed(&store, "a", at(3_600)).await.unwrap();
    store.close().await;

    let store = SqliteStore::open(file, Options::default()).await.unwrap();
    for now in [at(0), at(3_600), at(3_614)] {
        assert_eq!(claimed(&store, "b", now).await, None);
    }
    // The first one is still the owner, whatever the time is: nobody else has had it.
    store.commit(step(&commits, 1, &held, at(0))).await.unwrap();
    assert_eq!(claimed(&store, "a", at(0)).await.unwrap().fence, held.fence);
    let taken = claimed(&store, "b", at(3_615)).await.unwrap();
    assert!(taken.fence > held.fence);
    let lost = store.commit(step(&commits, 2, &held, at(3_615))).await.unwrap_err();
    assert!(matches!(lost, StoreError::ClaimLost(_)), "{lost}");
}
