//! What only a store on a server, and several processes that share it, can get wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use postgres_lab::{Server, Space};
use rollback_core::audit::Verifier;
use rollback_core::notice::{MessageRef, Notice};
use rollback_core::ports::{
    AuditLog as _, Claims as _, Commit, Hint, Instance, Journals as _, Outbox as _, Query, Queued,
    Retention, Services as _, Store, StoreError,
};
use rollback_core::{RollbackId, Timestamp};
use rollback_store::{ConnectError, Judge, PostgresOptions, PostgresStore};
use rollback_testkit::fixtures::{at, key, parsed};
use rollback_testkit::script::{Ending, Script};
use rollback_testkit::wire::{Mishap, Wire};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

async fn open(space: &Space<'_>) -> PostgresStore {
    PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap()
}

/// A store that judges claims by the times that it is given.
async fn judged_by_us(space: &Space<'_>) -> PostgresStore {
    let options = PostgresOptions::default().judge(Judge::Callers);
    PostgresStore::connect(&space.url(), options).await.unwrap()
}

async fn refused(space: &Space<'_>) -> ConnectError {
    PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap_err()
}

async fn take(store: &impl Store, commits: Vec<Commit>) {
    for commit in commits {
        store.commit(commit).await.unwrap();
    }
}

fn notice(key: &str) -> Queued {
    let commits = Script::new("rb-n").commits(Ending::Succeeded);
    let view = commits.into_iter().next().unwrap().view;
    Queued::new("chat", key, Notice::Approval(view), parsed("C1"))
}

async fn is_whole(store: &impl Store) -> u64 {
    let mut verifier = Verifier::new("default");
    for record in store.audit(&Query::all(9_999)).await.unwrap() {
        verifier.check(&record).unwrap();
    }
    assert_eq!(*verifier.head(), store.head().await.unwrap());
    verifier.head().sequence
}

/// How many entries a rollback has; none when it is not there.
async fn entries(store: &impl Store, id: &RollbackId) -> Option<u64> {
    let journal = store.load(id).await.unwrap()?;
    Some(u64::try_from(journal.entries.len()).unwrap())
}

#[tokio::test]
async fn what_was_answered_is_there_for_the_next_process() {
    let Some(server) = Server::shared("durability on PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    take(&store, Script::new("rb-1").commits(Ending::Unknown)).await;
    let id: RollbackId = parsed("rb-1");
    let before = store.claim(&id, &Instance::new("a"), at(0), LEASE).await.unwrap().unwrap();
    store.release(&before).await.unwrap();
    let (journal, head) = (store.load(&id).await.unwrap(), store.head().await.unwrap());
    store.close();

    let store = open(&space).await;
    assert_eq!(store.load(&id).await.unwrap(), journal);
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.record(&key()).await.unwrap().in_flight, Some(id.clone()));
    let after = store.claim(&id, &Instance::new("b"), at(0), LEASE).await.unwrap().unwrap();
    assert!(after.fence > before.fence, "a fencing number was used again");
}

#[tokio::test]
async fn a_claim_expires_by_the_clock_of_the_database_whatever_ours_says() {
    let Some(server) = Server::shared("claims on PostgreSQL") else { return };
    let space = server.space();
    let (one, two) = (open(&space).await, open(&space).await);
    let id: RollbackId = parsed("rb-1");
    let (a, b) = (Instance::new("a"), Instance::new("b"));
    // A holder counts from before it asked, by its own clock.
    let claim = one.claim(&id, &a, at(7), LEASE).await.unwrap().unwrap();
    assert_eq!(claim.expires_at, at(22));
    let much_later = Timestamp::from_millis(u64::MAX / 4);
    assert_eq!(two.claim(&id, &b, much_later, LEASE).await.unwrap(), None);
    space.sql("UPDATE claim SET expires_at = (extract(epoch FROM now()) * 1000)::bigint - 1");
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(&one, commits[..1].to_vec()).await;
    let mut step = commits[1].clone();
    step.claim = Some(claim);
    let lost = one.commit(step).await.unwrap_err();
    assert!(matches!(lost, StoreError::ClaimLost(_)), "{lost}");
    assert!(two.claim(&id, &b, at(0), LEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn of_many_processes_that_confirm_at_once_one_holds_the_service() {
    let Some(server) = Server::shared("the slot on PostgreSQL") else { return };
    let space = server.space();
    let mut tasks = Vec::new();
    for number in 0..6 {
        let store = Arc::new(open(&space).await);
        let commits = Script::new(&format!("rb-{number}")).commits(Ending::Succeeded);
        let confirmation = commits.iter().position(|commit| commit.holds_service).unwrap();
        take(store.as_ref(), commits[..confirmation].to_vec()).await;
        tasks.push((store, commits[confirmation].clone()));
    }
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|(store, commit)| tokio::spawn(async move { store.commit(commit).await }))
        .collect();
    let (mut taken, mut held) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_records) => taken += 1,
            Err(StoreError::ServiceHeld(_)) => held += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((taken, held), (1, 5));
    is_whole(&open(&space).await).await;
}

#[tokio::test]
async fn of_many_processes_that_claim_at_once_one_is_given_it() {
    let Some(server) = Server::shared("claims at once on PostgreSQL") else { return };
    let space = server.space();
    let mut stores = Vec::new();
    for _store in 0..4 {
        stores.push(Arc::new(open(&space).await));
    }
    for round in 0..10 {
        let id: RollbackId = parsed(&format!("rb-{round}"));
        let tasks: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(number, store)| {
                let (store, id) = (Arc::clone(store), id.clone());
                let owner = Instance::new(format!("p{number}"));
                tokio::spawn(async move { store.claim(&id, &owner, at(0), LEASE).await.unwrap() })
            })
            .collect();
        let mut given = 0;
        for task in tasks {
            given += usize::from(task.await.unwrap().is_some());
        }
        assert_eq!(given, 1);
    }
}

#[tokio::test]
async fn steps_of_several_processes_make_one_chain() {
    let Some(server) = Server::shared("one chain on PostgreSQL") else { return };
    let space = server.space();
    let mut tasks = Vec::new();
    for process in 0..4 {
        let store = Arc::new(open(&space).await);
        for lane in 0..4 {
            let (store, id) = (Arc::clone(&store), format!("rb-{process}-{lane}"));
            tasks.push(tokio::spawn(async move {
                let script = Script::new(&id).of(&format!("s-{process}-{lane}"), "production");
                take(store.as_ref(), script.commits(Ending::Succeeded)).await;
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let drafts: usize =
        Script::new("x").commits(Ending::Succeeded).iter().map(|one| one.drafts.len()).sum();
    let store = open(&space).await;
    assert_eq!(is_whole(&store).await, u64::try_from(16 * drafts).unwrap());
}

#[tokio::test]
async fn every_notice_is_taken_by_one_of_many_processes() {
    let Some(server) = Server::shared("the outbox on PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    let lane = |number: u8| parsed(&format!("C{}", number % 7));
    for number in 0..60 {
        let mut queued = notice(&format!("k{number}"));
        queued.channel = lane(number);
        store.queue(vec![queued]).await.unwrap();
    }
    let mut tasks = Vec::new();
    for process in 0..4 {
        let store = open(&space).await;
        tasks.push(tokio::spawn(async move {
            let owner = Instance::new(format!("p{process}"));
            let mut delivered = Vec::new();
            while store.waiting().await.unwrap() > 0 {
                for queued in store.take(&owner, at(0), LEASE, 5).await.unwrap() {
                    store.delivered(&queued, None).await.unwrap();
                    delivered.push(queued.key.to_string());
                }
            }
            delivered
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    let once: BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), once.len()), (60, 60), "a notice was taken twice");
}

#[tokio::test]
async fn a_step_of_one_process_is_hinted_at_in_another() {
    let Some(server) = Server::own("hints on PostgreSQL") else { return };
    let space = server.space();
    let (one, two) = (open(&space).await, open(&space).await);
    let mut hints = two.hints();
    take(&one, Script::new("rb-1").commits(Ending::Succeeded)[..2].to_vec()).await;
    one.queue(vec![notice("k")]).await.unwrap();
    for entries in [0, 1] {
        assert_eq!(hints.next().await, Hint::Step { rollback: parsed("rb-1"), entries });
    }
    assert_eq!(hints.next().await, Hint::Queued);
    // Whoever was cut off hears that it may have missed something, and hears again.
    server.end_sessions();
    loop {
        if hints.next().await == Hint::Missed {
            break;
        }
    }
    one.queue(vec![notice("l")]).await.unwrap();
    assert_eq!(hints.next().await, Hint::Queued);
}

#[tokio::test]
async fn a_server_that_is_stopped_is_unavailable_and_good_again_when_it_is_back() {
    let Some(server) = Server::own("a stopped PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(&store, commits[..2].to_vec()).await;
    server.stop();
    for answer in [store.commit(commits[2].clone()).await.map(drop), store.ping().await] {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("nothing was stored"), "{error}");
    }
    let error = store.load(&parsed("rb-1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    server.start();
    take(&store, commits[2..].to_vec()).await;
    is_whole(&store).await;
}

#[tokio::test]
async fn sessions_that_were_ended_are_made_again_unnoticed() {
    let Some(server) = Server::own("ended sessions on PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    for commit in Script::new("rb-1").commits(Ending::Succeeded) {
        store.commit(commit).await.unwrap();
        server.end_sessions();
    }
    is_whole(&store).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_at_a_commit_leaves_the_step_in_doubt_and_whole() {
    let Some(server) = Server::shared("a cut at a COMMIT on PostgreSQL") else { return };
    let space = server.space();
    let wire = Wire::to(server.port());
    let url = space.url_through(wire.port());
    let store = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
    let id: RollbackId = parsed("rb-1");
    let (mut there, mut lost) = (0, 0);
    for (place, commit) in Script::new("rb-1").commits(Ending::Succeeded).into_iter().enumerate() {
        let arrives = place % 2 == 0;
        let mishap = if arrives { Mishap::AnswerLost } else { Mishap::RequestLost };
        wire.befall_next(b"COMMIT\0", mishap);
        let error = store.commit(commit.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::InDoubt(_)), "{error}");
        // Read again, it is there or it is not; sent again, it is taken at most once.
        let is_there = match commit.opening {
            Some(_) => entries(&store, &id).await.is_some(),
            None => entries(&store, &id).await.unwrap() > commit.expected,
        };
        assert_eq!(is_there, arrives, "step {place}");
        match store.commit(commit).await {
            Ok(_records) => lost += 1,
            Err(StoreError::MovedOn(_)) => there += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(there > 2 && lost > 2, "{there} were there, {lost} were lost");
    is_whole(&store).await;
}

#[tokio::test]
async fn a_caller_that_is_dropped_leaves_a_whole_step_or_none() {
    let Some(server) = Server::shared("dropped callers on PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    let id: RollbackId = parsed("rb-1");
    for (place, commit) in Script::new("rb-1").commits(Ending::Succeeded).into_iter().enumerate() {
        let patience = Duration::from_micros(u64::try_from(place).unwrap() * 400);
        drop(tokio::time::timeout(patience, store.commit(commit.clone())).await);
        // Whatever the dropped one had begun is waited for here, for it has locked its rows.
        match store.commit(commit.clone()).await {
            Ok(_) | Err(StoreError::MovedOn(_)) => {}
            Err(other) => panic!("{other}"),
        }
        let expected = commit.expected + u64::from(commit.entry.is_some());
        assert_eq!(entries(&store, &id).await, Some(expected));
    }
    is_whole(&store).await;
}

#[tokio::test]
async fn a_database_that_went_back_in_time_is_not_written_until_somebody_acknowledges_it() {
    let Some(server) = Server::own("a restored PostgreSQL") else { return };
    let space = server.space();
    let (store, other) = (judged_by_us(&space).await, judged_by_us(&space).await);
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(&store, commits[..4].to_vec()).await;
    let a = Instance::new("a");
    let claim = store.claim(&parsed("rb-1"), &a, at(0), LEASE).await.unwrap().unwrap();
    // A backup of before the last record comes back, as after a failover to a standby that lagged.
    space.sql("CREATE TABLE kept AS SELECT * FROM audit ORDER BY sequence DESC LIMIT 1");
    space.sql("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)");
    space.sql(
        "UPDATE head SET sequence = sequence - 1,
             hash = (SELECT record::json->>'previous_hash' FROM kept)",
    );
    server.end_sessions();
    let error = store.commit(commits[4].clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::WentBack(_)), "{error}");
    for answer in
        [store.ping().await, store.claim(&parsed("rb-1"), &a, at(1), LEASE).await.map(drop)]
    {
        assert!(matches!(answer, Err(StoreError::WentBack(_))), "{answer:?}");
    }
    // It can be read: somebody has to find out what is missing.
    assert!(store.load(&parsed("rb-1")).await.unwrap().is_some());
    other.acknowledge_loss().await.unwrap();
    store.ping().await.unwrap();
    let again = store.claim(&parsed("rb-2"), &a, at(99), LEASE).await.unwrap().unwrap();
    assert!(again.fence > claim.fence + 1_000_000, "a lost fencing number may be used again");
    take(&store, commits[4..].to_vec()).await;
    is_whole(&store).await;
}

#[tokio::test]
async fn a_record_that_is_not_the_one_that_was_seen_is_told_as_well() {
    let Some(server) = Server::own("a forked PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    take(&store, Script::new("rb-1").commits(Ending::Succeeded)[..4].to_vec()).await;
    space
        .sql("UPDATE audit SET record = replace(record, (SELECT hash FROM head), repeat('0', 64))");
    server.end_sessions();
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::WentBack(_)), "{error}");
}

#[tokio::test]
async fn many_processes_may_start_at_once_in_an_empty_database() {
    let Some(server) = Server::shared("first starts on PostgreSQL") else { return };
    let space = server.space();
    let tasks: Vec<_> = (0..5)
        .map(|_process| {
            let url = space.url();
            tokio::spawn(async move {
                PostgresStore::connect(&url, PostgresOptions::default()).await.map(drop)
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(space.sql("SELECT schema FROM rollback_store"), "4");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let Some(server) = Server::shared("a newer schema on PostgreSQL") else { return };
    let space = server.space();
    open(&space).await.close();
    space.sql("UPDATE rollback_store SET schema = 9000");
    let error = refused(&space).await;
    assert!(matches!(error, ConnectError::Newer { found: 9000, .. }), "{error}");
    assert_eq!(space.sql("SELECT schema FROM rollback_store"), "9000");
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_as_it_is() {
    let Some(server) = Server::shared("a strange database on PostgreSQL") else { return };
    let space = server.space();
    space.sql("CREATE TABLE photos (x integer)");
    let error = refused(&space).await;
    assert!(matches!(error, ConnectError::NotAStore { .. }), "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(space.sql(tables), "1");
}

#[tokio::test]
async fn a_chain_keeps_its_name() {
    let Some(server) = Server::shared("the chain's name on PostgreSQL") else { return };
    let space = server.space();
    open(&space).await.close();
    let options = PostgresOptions::default().chain("other");
    let error = PostgresStore::connect(&space.url(), options).await.unwrap_err();
    assert!(matches!(error, ConnectError::OtherChain { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let url = "postgres://me:s3cret@127.0.0.1:1/rollback";
    let error = PostgresStore::connect(url, PostgresOptions::default()).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("127.0.0.1:1/rollback") && words.contains("refused"), "{words}");
    assert!(!format!("{words} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn where_a_message_is_outlives_the_process_that_posted_it() {
    let Some(server) = Server::shared("messages on PostgreSQL") else { return };
    let space = server.space();
    let store = open(&space).await;
    store.queue(vec![notice("k")]).await.unwrap();
    let taken = store.take(&Instance::new("a"), at(0), LEASE, 9).await.unwrap();
    let message = MessageRef::new(parsed("C1"), "1.0");
    store.delivered(&taken[0], Some(message.clone())).await.unwrap();
    drop(store);
    let posted = open(&space).await.message("chat", &"k".into()).await.unwrap();
    assert_eq!(posted, Some(message));
}

/// A verifier tells an empty log from one that was lost by this.
#[tokio::test]
async fn a_database_knows_whether_a_service_has_run_with_it_and_a_closed_store_is_closed_for_all() {
    let Some(server) = Server::shared("an empty database of PostgreSQL") else { return };
    let space = server.space();
    let store = Arc::new(open(&space).await);
    assert!(!store.has_been_used().await.unwrap(), "connecting is no use");
    let other = open(&space).await;
    assert!(!other.has_been_used().await.unwrap());
    store.ping().await.unwrap();
    assert!(other.has_been_used().await.unwrap());
    let held = Arc::clone(&store);
    store.close();
    assert!(held.ping().await.is_err(), "whoever still holds it");
    assert!(other.ping().await.is_ok());
}

/// Makes a store use several connections at once, so that all of them wait in its pool afterwards.
async fn fill_the_pool(store: &Arc<PostgresStore>) {
    let tasks: Vec<_> = (0..16)
        .map(|_task| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.ping().await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn connections_whose_network_died_without_a_word_fail_no_call() {
    let Some(server) = Server::shared("a dead network under PostgreSQL's connections") else {
        return;
    };
    let space = server.space();
    let wire = Wire::to(server.port());
    let url = space.url_through(wire.port());
    let store = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
    let store = Arc::new(store);
    fill_the_pool(&store).await;
    wire.forget();
    let asked = std::time::Instant::now();
    store.ping().await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}, and Slack waits for three",
        asked.elapsed()
    );
    take(store.as_ref(), Script::new("rb-1").commits(Ending::Succeeded)).await;
    is_whole(store.as_ref()).await;
    // Also where nothing is written.
    fill_the_pool(&store).await;
    wire.forget();
    assert!(store.load(&parsed("rb-1")).await.unwrap().is_some());
    fill_the_pool(&store).await;
    wire.forget();
    let head = store.head().await.unwrap();
    store.compare(&head).await.unwrap();
}

#[tokio::test]
async fn a_pool_of_ended_sessions_fails_no_call() {
    let Some(server) = Server::own("a pool of ended sessions") else { return };
    let space = server.space();
    let store = Arc::new(open(&space).await);
    fill_the_pool(&store).await;
    server.end_sessions();
    take(store.as_ref(), Script::new("rb-1").commits(Ending::Succeeded)).await;
    is_whole(store.as_ref()).await;
}

#[tokio::test]
async fn no_more_connections_are_made_than_the_address_says() {
    let Some(server) = Server::own("the size of the pool") else { return };
    let space = server.space();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rollback'";
    for (query, most) in [("&connections_max=2", 3), ("&connections_max=12", 13)] {
        let url = format!("{}{query}", space.url());
        let store = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
        let store = Arc::new(store);
        fill_the_pool(&store).await;
        // One besides hears what others write.
        let made: u64 = space.sql(sessions).parse().unwrap();
        assert!(made <= most, "{made} connections with {query}");
        store.close();
        drop(store);
        while space.sql(sessions) != "0" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn only_damaged_bytes_ask_for_a_backup() {
    let Some(server) = Server::shared("errors of PostgreSQL's own") else { return };
    let space = server.space();
    let store = open(&space).await;
    for (code, is_damage) in [("XX000", false), ("XX001", true), ("XX002", true), ("58030", false)]
    {
        space.sql(&format!(
            "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'cache lookup failed'; END $$"
        ));
        space.sql(
            "CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON outbox
             FOR EACH ROW EXECUTE FUNCTION fails()",
        );
        let error = store.queue(vec![notice("k")]).await.unwrap_err();
        let is_corrupt = matches!(error, StoreError::Corrupt { .. });
        assert_eq!(is_corrupt, is_damage, "{code}: {error}");
        assert_eq!(error.to_string().contains("backup"), is_damage, "{code}: {error}");
        assert!(error.to_string().contains("nothing was stored"), "{code}: {error}");
    }
    space.sql("DROP TRIGGER fails ON outbox");
    store.queue(vec![notice("k")]).await.unwrap();
}

#[tokio::test]
async fn a_running_process_writes_no_database_that_a_newer_release_has_taken_over() {
    let Some(server) = Server::shared("a newer release beside an older one") else { return };
    let space = server.space();
    let store = open(&space).await;
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(&store, commits[..2].to_vec()).await;
    // A newer release has only added something: this one goes on.
    space.sql("UPDATE rollback_store SET schema = 9000");
    take(&store, commits[2..3].to_vec()).await;
    // A newer one keeps something otherwise.
    space.sql("UPDATE rollback_store SET schema = 9001, writers_from = 9001");
    let a = Instance::new("a");
    for answer in [
        store.commit(commits[3].clone()).await.map(drop),
        store.ping().await,
        store.claim(&parsed("rb-1"), &a, at(0), LEASE).await.map(drop),
        store.take(&a, at(0), LEASE, 9).await.map(drop),
        store.acknowledge_loss().await,
    ] {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Newer(_)), "{error}");
        for part in ["9001", "nothing was stored", "stop this process"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
    assert_eq!(entries(&store, &parsed("rb-1")).await, Some(2), "it can still be read");
}

/// The release before schema 4 does not look. What it writes is refused by the database.
#[tokio::test]
async fn a_release_that_does_not_look_is_refused_by_the_database_in_words() {
    let Some(server) = Server::shared("a release of before schema 4") else { return };
    let space = server.space();
    take(&open(&space).await, Script::new("rb-1").commits(Ending::Succeeded)).await;
    let (older, connection) =
        tokio_postgres::connect(&space.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for write in [
        "UPDATE counter SET value = value + 1 WHERE name = 'ping'",
        "INSERT INTO claim (rollback, owner, fence, expires_at) VALUES ('rb-1', 'a', 1, 9)",
        "UPDATE rollback SET entries = entries + 1 WHERE id = 'rb-1'",
        "UPDATE outbox SET taken_by = 'a'",
        "INSERT INTO seen (digest, kept_until) VALUES ('x', 9)",
        "DELETE FROM audit",
    ] {
        let error = older.batch_execute(write).await.unwrap_err();
        let told = error.as_db_error().unwrap();
        assert_eq!(told.code().code(), "RB004", "{write}: {told}");
        for part in ["a newer release", "nothing was changed", "stop this process"] {
            assert!(told.message().contains(part), "{write}: {told}");
        }
    }
    assert!(older.batch_execute("SELECT count(*) FROM rollback").await.is_ok(), "it may read");
}

#[tokio::test]
async fn a_migration_ends_after_whoever_may_still_write_and_before_whoever_may_not() {
    let Some(server) = Server::shared("a migration beside writers") else { return };
    let space = server.space();
    let store = open(&space).await;
    let (newer, connection) =
        tokio_postgres::connect(&space.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // As a migration begins: whoever writes waits, and then meets what it has left.
    newer.batch_execute("BEGIN; LOCK TABLE rollback_store IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = tokio::spawn(async move { store.ping().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "it did not wait");
    newer
        .batch_execute("UPDATE rollback_store SET schema = 9000, writers_from = 9000; COMMIT")
        .await
        .unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Newer(_)), "{error}");
}

#[tokio::test]
async fn two_stores_in_one_database_hear_nothing_of_each_other_and_wait_for_nothing() {
    let Some(server) = Server::shared("two schemas of one PostgreSQL database") else { return };
    let (ours, theirs) = (server.space(), server.space());
    let (one, two) = (open(&ours).await, open(&theirs).await);
    let mut hints = one.hints();
    two.queue(vec![notice("theirs")]).await.unwrap();
    take(&two, Script::new("rb-theirs").commits(Ending::Succeeded)[..2].to_vec()).await;
    take(&one, Script::new("rb-ours").commits(Ending::Succeeded)[..1].to_vec()).await;
    let heard = hints.next().await;
    assert_eq!(heard, Hint::Step { rollback: parsed("rb-ours"), entries: 0 });
    // A session of theirs takes notices, or brings tables up to date, and stands still meanwhile.
    let (other, connection) =
        tokio_postgres::connect(&theirs.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    other.batch_execute("BEGIN").await.unwrap();
    for lock in [0x726c_626b_i32, 0x726c_626c] {
        let sql = format!(
            "SELECT pg_advisory_xact_lock({lock},
                 (SELECT oid::int4 FROM pg_namespace WHERE nspname = current_schema())),
                 pg_advisory_xact_lock({lock})"
        );
        other.batch_execute(&sql).await.unwrap();
    }
    one.queue(vec![notice("ours")]).await.unwrap();
    let taken = one.take(&Instance::new("a"), at(0), LEASE, 9).await.unwrap();
    assert_eq!(taken.len(), 1, "our notices do not wait for theirs");
    let again = open(&ours).await;
    again.ping().await.unwrap();
    let error = two.take(&Instance::new("a"), at(0), LEASE, 9).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "theirs do wait: {error}");
}

/// Ten thousand of each: pruned in steps, each of them short.
#[tokio::test]
async fn a_heap_of_what_nobody_asks_for_is_pruned_in_short_steps() {
    let Some(server) = Server::shared("pruning much of PostgreSQL") else { return };
    let space = server.space();
    let store = judged_by_us(&space).await;
    take(&store, Script::new("rb-1").of("mail", "production").commits(Ending::Refused)).await;
    space.sql(
        "INSERT INTO seen SELECT sha256(n::text::bytea), n FROM generate_series(1, 10000) AS n;
         INSERT INTO claim SELECT 'rb-' || n, 'a', n, n FROM generate_series(1, 10000) AS n;
         INSERT INTO outbox (notifier, key, version, delivered, once, notice, channel)
             SELECT 'chat', 'line:' || n, 1, 1, true, '{}', 'C1' FROM generate_series(1, 10000) AS n;
         INSERT INTO rollback (id, service, environment, drill, from_revision, opened_at, entries,
                 view, state, is_end, ended_at, was_ordered, holds_service)
             SELECT 'rb-old-' || n, 'mail', 'production', false, '1', n, 1, view, state, true, n,
                 false, false
             FROM generate_series(1, 10000) AS n, (SELECT * FROM rollback LIMIT 1) AS one;
         INSERT INTO opening SELECT number, '{}' FROM rollback WHERE entries = 1 AND id LIKE 'rb-old%';
         INSERT INTO entry SELECT number, 1, '{}' FROM rollback WHERE entries = 1 AND id LIKE 'rb-old%'",
    );
    let now = at(10_000_000);
    let mut steps = 0;
    loop {
        let began = std::time::Instant::now();
        let step = store.prune(now, Retention::default()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "a step took {:?}", began.elapsed());
        steps += 1;
        if !step.more {
            break;
        }
    }
    assert!(steps >= 10, "{steps} steps");
    for (table, left) in [("seen", "0"), ("claim", "0"), ("rollback", "0"), ("entry", "0")] {
        assert_eq!(space.sql(&format!("SELECT count(*) FROM {table}")), left, "{table}");
    }
    // What was seen to be settled is forgotten a month after.
    let later = Timestamp::from_millis(now.as_millis() + 31 * 86_400_000);
    let mut told = store.prune(later, Retention::default()).await.unwrap();
    while told.more {
        told = told.and(store.prune(later, Retention::default()).await.unwrap());
    }
    assert_eq!(told.messages, 10_000);
    is_whole(&store).await;
}
