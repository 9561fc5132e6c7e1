//! A host that is stopped keeps what it said to people, and leaves one file.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use crate::stage::Stage;
use local_slack::Fault;
use rollback_core::StateName;
use rollback_core::ports::{Journals as _, Query};
use rollback_store::{Options, SqliteStore};
use std::path::Path;
use std::time::{Duration, Instant};
use team::OWNER;

/// How long Slack's directory takes, so that a confirmation is acknowledged and not yet recorded when
/// the host is told to stop. In some rounds it answers at once, and the stop comes in any order.
const SLOW: [u64; 6] = [400, 0, 700, 0, 1_200, 0];

/// The state of the newest rollback in a copy of the one file, as another machine would read it.
async fn state_in_a_copy_of(database: &Path) -> StateName {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.db");
    std::fs::copy(database, &copy).expect("a copy");
    let store = SqliteStore::open(copy, Options::default()).await.expect("a whole store");
    let listed = store.list(&Query::all(1)).await.expect("a list");
    let newest = listed.into_iter().next().expect("a rollback");
    let _closed = store.close().await;
    newest.view.state
}

#[tokio::test]
async fn a_confirmation_that_was_taken_is_in_the_one_file_that_a_shutdown_leaves() {
    for slow in SLOW.map(Duration::from_millis) {
        let stage = Stage::set().await;
        stage.report().await;
        let modal = stage.open(OWNER).await;
        if !slow.is_zero() {
            stage.slack.fail_next(Fault::slow(slow).on("users.info"));
        }
        let began = Instant::now();
        stage.confirm(OWNER, &modal, "errors up 4x").await;
        let acknowledged = began.elapsed();
        let folder = stage.stop().await;
        let database = folder.path().join("rollback.db");
        assert!(acknowledged < Duration::from_secs(2), "acknowledged in {acknowledged:?}");
        for beside in ["rollback.db-wal", "rollback.db-shm"] {
            assert!(!folder.path().join(beside).exists(), "{slow:?}: {beside} is left");
        }
        let state = state_in_a_copy_of(&database).await;
        assert!(
            !matches!(state, StateName::Authorizing | StateName::Confirming),
            "{slow:?}: the confirmation was acknowledged and dropped: {state:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_open_does_not_hold_up_the_shutdown() {
    let stage = Stage::set().await;
    stage.report().await;
    let kept_open = stage.begin_a_request();
    let began = Instant::now();
    let folder = stage.stop().await;
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    assert!(!folder.path().join("rollback.db-wal").exists(), "the store was closed");
    drop(kept_open);
}
