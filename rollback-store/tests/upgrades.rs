//! A file that an earlier release has written is brought up to date, and nothing in it is lost.
//!
//! `stores/schema-N.db` was written by the release that had schema N as its newest: three rollbacks
//! (one done, one refused, one of unknown outcome, claimed by a process that died), a message that
//! was delivered and one that waits. `schema-2.db` and `schema-3.db` are the first one as those schemas took it over. Never
//! edit one; add.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::audit::Verifier;
use rollback_core::journal::resume;
use rollback_core::notice::MessageRef;
use rollback_core::ports::{Instance, Query, Store};
use rollback_core::{DeployId, RollbackId, RollbackView, StateName, Timestamp};
use rollback_store::{Judge, Options, PostgresOptions, PostgresStore, Rehearsed, SqliteStore};
use rollback_testkit::fixtures::{at, parsed};
use rollback_testkit::script::{Ending, Script};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One for each schema before the newest.
const EARLIER: [&str; 3] = ["schema-1.db", "schema-2.db", "schema-3.db"];

const END: &str = "b078959445e4ceb85ff762785ec34700d6d01e72eee7c3d981232526eff66db7";

/// A copy of a file that an earlier release has left.
fn left_by_an_earlier_release(name: &str, folder: &tempfile::TempDir) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores").join(name);
    let copy = folder.path().join("rollback.db");
    std::fs::copy(kept, &copy).unwrap();
    copy
}

#[tokio::test]
async fn every_earlier_file_is_taken_over_whole() {
    for name in EARLIER {
        let folder = tempfile::tempdir().unwrap();
        let path = left_by_an_earlier_release(name, &folder);
        let store = SqliteStore::open(path, Options::default()).await.unwrap();
        for (id, state) in [
            ("rb-1", StateName::Succeeded),
            ("rb-2", StateName::Refused),
            ("rb-3", StateName::OutcomeUnknown),
        ] {
            let journal = store.load(&parsed(id)).await.unwrap().unwrap();
            let mut query = Query::all(1);
            query.rollback = Some(parsed(id));
            let listed = store.list(&query).await.unwrap().pop().unwrap();
            let rollback = resume(journal, &listed).unwrap();
            assert_eq!(rollback.state_name(), state, "{name}: {id}");
        }
        let mut verifier = Verifier::new("default");
        for record in store.audit(&Query::all(99)).await.unwrap() {
            verifier.check(&record).unwrap();
        }
        assert_eq!(*verifier.head(), store.head().await.unwrap(), "{name}");
        assert_eq!(verifier.head().hash.to_string(), END, "{name}");
    }
}

#[tokio::test]
async fn what_an_earlier_release_owed_is_done_by_this_one() {
    let now = Timestamp::from_millis(1_763_804_100_000);
    let lease = Duration::from_secs(15);
    for name in EARLIER {
        let folder = tempfile::tempdir().unwrap();
        let path = left_by_an_earlier_release(name, &folder);
        let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
        let unknown: RollbackId = parsed("rb-3");
        assert_eq!(store.unattended(now).await.unwrap(), std::slice::from_ref(&unknown), "{name}");
        let owner = Instance::new("new");
        let claim = store.claim(&unknown, &owner, now, lease).await.unwrap().unwrap();
        assert!(claim.fence > 1, "{name}: a fencing number was used again");
        assert_eq!(store.attempt(&claim, &"new/1".into()).await.unwrap(), 1, "{name}");
        assert!(store.put_aside().await.unwrap().is_empty(), "{name}");
        let due = store.take(&owner, now, lease, 9).await.unwrap();
        let keys: Vec<&str> = due.iter().map(|queued| queued.key.as_str()).collect();
        assert_eq!(keys, ["waits"], "{name}: what was told is not told again");
        let told = MessageRef::new(parsed("C0DEPLOYS"), "1763804000.000100");
        assert_eq!(store.message("chat", &"told".into()).await.unwrap(), Some(told), "{name}");
        for commit in Script::new("rb-4").of("mail", "production").commits(Ending::Succeeded) {
            store.commit(commit).await.unwrap();
        }
        let head = store.head().await.unwrap();
        store.close().await;
        let again = SqliteStore::open(path, Options::default()).await.unwrap();
        assert_eq!(again.head().await.unwrap(), head, "{name}: and a second start changes nothing");
    }
}

/// Rollbacks of every end and of every state on the way there, each of a deploy of its own; and what
/// the message of each deploy shows.
async fn rollbacks_of_every_kind(store: &dyn Store) -> Vec<(DeployId, Option<RollbackView>)> {
    let mut kept = Vec::new();
    for ending in Ending::ALL {
        let name = format!("{ending:?}").to_lowercase();
        let script = Script::new("rb-0").of(&name, "production");
        for steps in 1..=script.commits(ending).len() {
            let (id, deploy) = (format!("{name}-{steps}"), format!("ci-{name}-{steps}"));
            let script = Script::new(&id).of(&id, "production").from_message_of(&deploy);
            for commit in script.commits(ending).into_iter().take(steps) {
                store.commit(commit).await.unwrap();
            }
            let deploy: DeployId = parsed(&deploy);
            let shown = store.shown(&deploy).await.unwrap();
            kept.push((deploy, shown));
        }
    }
    let ranks: std::collections::BTreeSet<_> =
        kept.iter().map(|(_, shown)| shown.as_ref().map(RollbackView::prominence)).collect();
    assert_eq!(ranks.len(), 4, "nothing, refused, ended, and what holds its service: {ranks:?}");
    kept
}

#[tokio::test]
async fn what_an_earlier_file_shows_of_each_deploy_is_what_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
    let kept = rollbacks_of_every_kind(&store).await;
    store.close().await;
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "DROP INDEX rollback_shown; ALTER TABLE rollback DROP COLUMN deploy;
         ALTER TABLE rollback DROP COLUMN prominence; PRAGMA user_version = 3",
    )
    .unwrap();
    drop(file);
    let store = SqliteStore::open(path, Options::default()).await.unwrap();
    for (deploy, shown) in kept {
        assert_eq!(store.shown(&deploy).await.unwrap(), shown, "{deploy}");
    }
}

/// A database as schema 1 left it: what schemas 2 and 3 added is taken away again.
const BACK_TO_1: &str = "DROP INDEX rollback_shown; ALTER TABLE rollback DROP COLUMN deploy;
    ALTER TABLE rollback DROP COLUMN prominence;
    DROP TABLE attempt; ALTER TABLE rollback DROP COLUMN put_aside;
    UPDATE rollback_store SET schema = 1";

#[tokio::test]
async fn an_earlier_database_is_taken_over_whole() {
    let Some(server) = postgres_lab::Server::shared("an earlier PostgreSQL database") else {
        return;
    };
    let (space, options) = (server.space(), || PostgresOptions::default().judge(Judge::Callers));
    let store = PostgresStore::connect(&space.url(), options()).await.unwrap();
    for commit in Script::new("rb-1").commits(Ending::Unknown) {
        store.commit(commit).await.unwrap();
    }
    let kept = rollbacks_of_every_kind(&store).await;
    let id: RollbackId = parsed("rb-1");
    let (owner, lease, now) = (Instance::new("old"), Duration::from_secs(15), at(100));
    let old = store.claim(&id, &owner, now, lease).await.unwrap().unwrap();
    let (head, journal) = (store.head().await.unwrap(), store.load(&id).await.unwrap());
    store.close();
    drop(space.sql(BACK_TO_1));

    let rehearsed = PostgresStore::rehearse(&space.url(), options()).await.unwrap();
    assert_eq!(rehearsed, Rehearsed::Older);
    let store = PostgresStore::connect(&space.url(), options()).await.unwrap();
    assert_eq!(space.sql("SELECT schema FROM rollback_store"), "3");
    for (deploy, shown) in kept {
        assert_eq!(store.shown(&deploy).await.unwrap(), shown, "{deploy}");
    }
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.load(&id).await.unwrap(), journal);
    assert!(store.unattended(at(200)).await.unwrap().contains(&id));
    let claim = store.claim(&id, &owner, now, lease).await.unwrap().unwrap();
    assert_eq!(claim.fence, old.fence, "the claim is the same");
    assert_eq!(store.attempt(&claim, &"old/1".into()).await.unwrap(), 1);
    store.close();
}
