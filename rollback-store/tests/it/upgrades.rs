//! A file that an earlier release has written is brought up to date, and nothing in it is lost.
//!
//! `stores/schema-N.db` was written by the release that had schema N as its newest: three rollbacks
//! (one done, one refused, one of unknown outcome, claimed by a process that died), a message that
//! was delivered and one that waits. The others are the first one
//! as those schemas took it over. Never
//! edit one; add.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::audit::Verifier;
use rollback_core::journal::resume;
use rollback_core::notice::MessageRef;
use rollback_core::ports::{
    AuditLog as _, Claims as _, Commit, Instance, Journals as _, Outbox as _, Query, Retention,
    Store,
};
use rollback_core::{
    DeployId, Prominence, Proposer, RollbackId, RollbackView, StateName, Timestamp,
};
use rollback_store::{Judge, Options, PostgresOptions, PostgresStore, Rehearsed, SqliteStore};
use rollback_testkit::fixtures::{self, at, key, parsed};
use rollback_testkit::script::{Ending, Script};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One for each schema before the newest.
const EARLIER: [&str; 4] = ["schema-1.db", "schema-2.db", "schema-3.db", "schema-4.db"];

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
    let proposal = proposal();
    let (deploy, proposed) = (proposal.view.deploy.clone().unwrap(), (*proposal.view).clone());
    store.commit(proposal).await.unwrap();
    kept.push((deploy, Some(proposed)));
    let ranks: std::collections::BTreeSet<_> =
        kept.iter().map(|(_, shown)| shown.as_ref().map(RollbackView::prominence)).collect();
    assert_eq!(ranks.len(), 5, "nothing, refused, ended, proposed, and what holds it: {ranks:?}");
    kept
}

/// A proposal that nobody has taken up.
fn proposal() -> Commit {
    let script =
        Script::new("proposal").of("proposal", "production").from_message_of("ci-proposal");
    let mut commit = script.commits(Ending::Refused).remove(0);
    commit.view.state = StateName::Proposed;
    commit.view.proposed_by = Some(Proposer::new("watchdog", None));
    commit
}

/// A file as schema 4 left it: what schema 5 added is taken away again.
const FILE_BACK_TO_4: &str = "DROP INDEX rollback_in_state; DROP INDEX rollback_of_name;
    DROP INDEX rollback_of_environment; DROP INDEX rollback_of_service_in_state;
    DROP INDEX audit_of_name; DROP INDEX audit_of_environment; DROP INDEX rollback_unconfirmed;
    DROP INDEX claim_until; DROP INDEX outbox_unsettled; DROP INDEX outbox_settled;
    DROP INDEX freeze_ended; ALTER TABLE freeze DROP COLUMN ends_at;
    UPDATE rollback SET prominence = 5 - prominence WHERE prominence IN (2, 3);
    PRAGMA user_version = 4";

/// Which rollback has which rank.
const RANKS: &str = "SELECT id, prominence FROM rollback ORDER BY id";

/// Sets a freeze that ends at an odd millisecond, and one that does not end.
async fn freeze(store: &dyn Store) -> Timestamp {
    let end = Timestamp::from_millis(at(500).as_millis() + 7);
    for (name, until) in [("over", Some(end)), ("lasting", None)] {
        let change = fixtures::freeze(name, until);
        fixtures::change(store, &key(), &change, at(0)).await.unwrap();
    }
    end
}

/// The freeze is forgotten at its time, and not a millisecond before.
async fn is_forgotten_at(store: &dyn Store, end: Timestamp) {
    let keep = Retention::default();
    let before = Timestamp::from_millis(end.after(keep.freezes).as_millis() - 1);
    assert_eq!(store.prune(before, keep).await.unwrap().freezes, 0);
    assert_eq!(store.prune(end.after(keep.freezes), keep).await.unwrap().freezes, 1);
    let left = store.freezes(&key()).await.unwrap();
    assert!(left.iter().all(|freeze| freeze.until.is_none()) && left.len() == 1, "{left:?}");
}

#[tokio::test]
async fn a_freeze_of_an_earlier_release_is_forgotten_at_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
    let end = freeze(&store).await;
    store.close().await;
    rusqlite::Connection::open(&path).unwrap().execute_batch(FILE_BACK_TO_4).unwrap();
    is_forgotten_at(&SqliteStore::open(path, Options::default()).await.unwrap(), end).await;

    let Some(server) = postgres_lab::Server::shared("earlier freezes in PostgreSQL") else {
        return;
    };
    let space = server.space();
    let options = || PostgresOptions::default().judge(Judge::Callers);
    let store = PostgresStore::connect(&space.url(), options()).await.unwrap();
    let end = freeze(&store).await;
    store.close();
    space.sql(BACK_TO_1);
    is_forgotten_at(&PostgresStore::connect(&space.url(), options()).await.unwrap(), end).await;
}

#[tokio::test]
async fn what_an_earlier_file_shows_of_each_deploy_is_what_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rollback.db");
    let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
    let kept = rollbacks_of_every_kind(&store).await;
    store.close().await;
    let ranks = ranks_of_file(&path);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(FILE_BACK_TO_4).unwrap();
    file.execute_batch(
        "DROP INDEX rollback_shown; ALTER TABLE rollback DROP COLUMN deploy;
         ALTER TABLE rollback DROP COLUMN prominence; PRAGMA user_version = 3",
    )
    .unwrap();
    drop(file);
    let store = SqliteStore::open(path.clone(), Options::default()).await.unwrap();
    for (deploy, shown) in kept {
        assert_eq!(store.shown(&deploy).await.unwrap(), shown, "{deploy}");
    }
    store.close().await;
    assert_eq!(ranks_of_file(&path), ranks, "each has the rank that it would be given now");
}

fn ranks_of_file(path: &Path) -> Vec<(String, i64)> {
    let file = rusqlite::Connection::open(path).unwrap();
    let mut asked = file.prepare(RANKS).unwrap();
    let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A database as schema 1 left it: what schemas 2 to 4 added is taken away again.
const BACK_TO_1: &str = "DROP FUNCTION IF EXISTS rollback_refuse_older_releases CASCADE;
    ALTER TABLE rollback_store DROP COLUMN IF EXISTS writers_from;
    DROP INDEX IF EXISTS rollback_in_state, rollback_of_name, rollback_of_environment,
        rollback_of_service_in_state, rollback_unconfirmed, audit_of_name, audit_of_environment,
        claim_until, outbox_unsettled, outbox_settled, frozen_ended;
    ALTER TABLE frozen DROP COLUMN IF EXISTS ends_at;
    DROP INDEX rollback_shown; ALTER TABLE rollback DROP COLUMN deploy;
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
    let ranks = space.sql(RANKS);
    drop(space.sql(BACK_TO_1));

    let rehearsed = PostgresStore::rehearse(&space.url(), options()).await.unwrap();
    assert_eq!(rehearsed, Rehearsed::Older);
    let store = PostgresStore::connect(&space.url(), options()).await.unwrap();
    assert_eq!(space.sql("SELECT schema FROM rollback_store"), "4");
    assert_eq!(space.sql(RANKS), ranks, "each has the rank that it would be given now");
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

/// Rollbacks as schema 1 kept them, `ROLLBACK_ROWS` or else 20,000.
fn many_rollbacks(space: &postgres_lab::Space<'_>) {
    let count = std::env::var("ROLLBACK_ROWS").ok().and_then(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(20_000);
    space.sql(&format!(
        "INSERT INTO rollback (id, service, environment, drill, from_revision, opened_at, entries, view,
             state, is_end, ended_at, was_ordered, holds_service)
         SELECT 'rb-' || n, 's-' || n % 300, 'production', false, '42', n, 9,
             format('{{\"id\":\"rb-%s\",\"deploy\":\"ci-%s\",\"reason\":\"errors\"}}', n, n),
             'succeeded', true, n, true, false
         FROM generate_series(1, {count}) AS n"
    ));
}

#[tokio::test]
async fn a_migration_may_take_longer_than_a_click_and_others_that_start_wait_for_it() {
    let Some(server) = postgres_lab::Server::shared("a slow migration of PostgreSQL") else {
        return;
    };
    let space = server.space();
    PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap().close();
    space.sql(BACK_TO_1);
    many_rollbacks(&space);
    // Schema 3 writes every rollback anew. Three seconds are more than any statement of a click has.
    space.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$",
    );
    space.sql(
        "CREATE TRIGGER slow BEFORE UPDATE ON rollback FOR EACH STATEMENT EXECUTE FUNCTION slow()",
    );
    let starts: Vec<_> = (0..3)
        .map(|_process| {
            let url = space.url();
            tokio::spawn(
                async move { PostgresStore::connect(&url, PostgresOptions::default()).await },
            )
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap().ping().await.unwrap();
    }
    let ended = Prominence::Ended.rank();
    let migrated =
        format!("SELECT count(*) > 0 FROM rollback WHERE prominence = {ended} AND deploy = 'ci-7'");
    assert_eq!(space.sql(&migrated), "t");
    assert_eq!(space.sql("SELECT schema FROM rollback_store"), "4");
}

#[tokio::test]
async fn a_migration_does_not_wait_for_a_backup_and_says_what_is_in_its_way() {
    let Some(server) = postgres_lab::Server::shared("a migration beside a backup") else { return };
    let space = server.space();
    PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap().close();
    space.sql(BACK_TO_1);
    let (reader, connection) =
        tokio_postgres::connect(&space.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    reader.batch_execute("BEGIN; SELECT count(*) FROM rollback").await.unwrap();
    let started = std::time::Instant::now();
    let error = PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("somebody else uses them, a backup perhaps"), "{words}");
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    assert_eq!(space.sql("SELECT schema FROM rollback_store"), "1", "nothing was changed");
    drop(reader);
}

/// A rehearsal is made while the service runs: it must not bring the tables up to date and put them
/// back, for which everybody else would wait.
#[tokio::test]
async fn a_rehearsal_on_an_earlier_database_takes_no_table_from_anybody() {
    let Some(server) = postgres_lab::Server::shared("a rehearsal beside a reader") else { return };
    let space = server.space();
    PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap().close();
    space.sql(BACK_TO_1);
    let (reader, connection) =
        tokio_postgres::connect(&space.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    reader.batch_execute("BEGIN; SELECT count(*) FROM rollback").await.unwrap();
    let rehearsed =
        PostgresStore::rehearse(&space.url(), PostgresOptions::default()).await.unwrap();
    assert_eq!(rehearsed, Rehearsed::Older);
    drop(reader);
}
