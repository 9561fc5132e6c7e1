//! What is asked at each end and each look costs the same however many rollbacks and records there
//! are. `ROLLBACK_ROWS=1000,1000000` measures these numbers instead of the ordinary ones.
//!
//! Without PostgreSQL the stores on a server are left out, by name.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use criterion::{Criterion, criterion_group, criterion_main};
use postgres_lab::{Server, Space};
use rollback_core::StateName;
use rollback_core::ports::{Query, Retention, Store};
use rollback_store::{Options, PostgresOptions, PostgresStore, SqliteStore};
use rollback_testkit::fixtures::{at, parsed};
use rollback_testkit::script::{Ending, Script};
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How many rollbacks, and as many records.
const ROWS: [i64; 3] = [1_000, 10_000, 100_000];

/// Over how many services they are spread: each has more than is asked for.
const SERVICES: i64 = 20;

/// How many rows a question is answered with, whatever there is.
const ANSWERED: usize = 10;

fn rows() -> Vec<i64> {
    let named = std::env::var("ROLLBACK_ROWS").ok();
    named.map_or_else(
        || ROWS.to_vec(),
        |rows| rows.split(',').map(|one| one.parse().unwrap()).collect(),
    )
}

/// A store with one rollback, from which all others are copied.
async fn template(store: &impl Store) {
    let script = Script::new("rb-0").of("s-0", "production").from_message_of("ci-0");
    for commit in script.commits(Ending::Succeeded) {
        store.commit(commit).await.unwrap();
    }
}

/// A file with so many rollbacks, each with one record.
fn file_of(runtime: &Runtime, path: &Path, rows: i64) -> SqliteStore {
    let open = async || SqliteStore::open(path, Options::default()).await.unwrap();
    runtime.block_on(async {
        let store = open().await;
        template(&store).await;
        store.close().await;
    });
    let mut file = Connection::open(path).unwrap();
    let text = |sql: &str| file.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let view = text("SELECT view FROM rollback");
    let record = text("SELECT record FROM audit ORDER BY sequence DESC LIMIT 1");
    let from: i64 =
        file.query_row("SELECT max(sequence) FROM audit", [], |row| row.get(0)).unwrap();
    let filling = file.transaction().unwrap();
    for number in 1..=rows {
        let (id, service) = (format!("rb-{number}"), format!("s-{}", number % SERVICES));
        let sequence = from + number;
        let named = |text: &str| text.replace("rb-0", &id).replace("s-0", &service);
        filling
            .prepare_cached(
                "INSERT INTO rollback (id, service, environment, drill, from_revision, opened_at,
                     entries, view, state, is_end, ended_at, was_ordered, holds_service, put_aside,
                     deploy, prominence)
                 SELECT ?1, ?2, environment, drill, from_revision, opened_at + ?3, entries, ?4, state,
                     is_end, ended_at + ?3, was_ordered, holds_service, put_aside, ?5, prominence
                 FROM rollback WHERE number = 1",
            )
            .unwrap()
            .execute(params![id, service, number, named(&view), format!("ci-{number}")])
            .unwrap();
        let placed = named(&record)
            .replace(&format!("\"sequence\":{from},"), &format!("\"sequence\":{sequence},"));
        filling
            .prepare_cached(
                "INSERT INTO audit (sequence, id, rollback, service, environment, record)
                 VALUES (?1, ?2, ?3, ?4, 'production', ?5)",
            )
            .unwrap()
            .execute(params![sequence, format!("copy-{number}"), id, service, placed])
            .unwrap();
    }
    filling.commit().unwrap();
    drop(file);
    runtime.block_on(open())
}

/// The same in a schema of a server.
fn schema_of(runtime: &Runtime, space: &Space<'_>, rows: i64) -> PostgresStore {
    let options = PostgresOptions::default();
    let store = runtime.block_on(PostgresStore::connect(&space.url(), options)).unwrap();
    runtime.block_on(template(&store));
    space.sql(&format!(
        "INSERT INTO rollback (id, service, environment, drill, from_revision, opened_at, entries,
             view, state, is_end, ended_at, was_ordered, holds_service, put_aside, deploy, prominence)
         SELECT 'rb-' || n, 's-' || n % {SERVICES}, environment, drill, from_revision, opened_at + n,
             entries, replace(replace(view, 'rb-0', 'rb-' || n), 's-0', 's-' || n % {SERVICES}), state,
             is_end, ended_at + n, was_ordered, holds_service, put_aside, 'ci-' || n, prominence
         FROM generate_series(1, {rows}) AS n, (SELECT * FROM rollback LIMIT 1) AS one;
         INSERT INTO audit (sequence, id, rollback, service, environment, record)
         SELECT sequence + n, 'copy-' || n, 'rb-' || n, 's-' || n % {SERVICES}, environment,
             replace(replace(replace(record, 'rb-0', 'rb-' || n), 's-0', 's-' || n % {SERVICES}),
                 '\"sequence\":' || sequence || ',', '\"sequence\":' || (sequence + n) || ',')
         FROM generate_series(1, {rows}) AS n,
             (SELECT * FROM audit ORDER BY sequence DESC LIMIT 1) AS one;
         ANALYZE"
    ));
    store
}

/// Everything that is asked at an end or a look, by its name.
fn asked(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: &impl Store, rows: i64) {
    let mut group = criterion.benchmark_group(format!("{name} with {rows}"));
    group.sample_size(20).measurement_time(Duration::from_secs(1));
    group.warm_up_time(Duration::from_millis(200));
    let (middle, some) = (rows / 2, rows / 2 % SERVICES);
    let mut of_service = Query::all(ANSWERED);
    of_service.service = Some(format!("s-{some}").into());
    let mut of_place = of_service.clone();
    of_place.environment = Some("production".into());
    let mut running = Query::all(ANSWERED);
    running.state = Some(StateName::Running);
    let mut of_rollback = Query::all(ANSWERED);
    of_rollback.rollback = Some(parsed(&format!("rb-{middle}")));
    for (what, query) in [
        ("a service", &of_service),
        ("a service and environment", &of_place),
        ("a state", &running),
        ("a rollback", &of_rollback),
    ] {
        group.bench_function(format!("list of {what}"), |bench| {
            bench.iter(|| runtime.block_on(store.list(query)).unwrap());
        });
        // Records have no state.
        if query.state.is_none() {
            group.bench_function(format!("log of {what}"), |bench| {
                bench.iter(|| runtime.block_on(store.audit(query)).unwrap());
            });
        }
    }
    let (deploy, id) = (parsed(&format!("ci-{middle}")), parsed(&format!("rb-{middle}")));
    assert!(runtime.block_on(store.shown(&deploy)).unwrap().is_some());
    group.bench_function("what a message shows", |bench| {
        bench.iter(|| runtime.block_on(store.shown(&deploy)).unwrap());
    });
    assert!(runtime.block_on(store.last_record(&id)).unwrap().is_some());
    group.bench_function("the last record", |bench| {
        bench.iter(|| runtime.block_on(store.last_record(&id)).unwrap());
    });
    group.bench_function("a step of pruning that finds nothing", |bench| {
        bench.iter(|| runtime.block_on(store.prune(at(0), Retention::default())).unwrap());
    });
    group.finish();
}

fn growth(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = Server::shared("growth on PostgreSQL");
    for rows in rows() {
        let folder = tempfile::tempdir().unwrap();
        let store = file_of(&runtime, &folder.path().join("bench.db"), rows);
        asked(criterion, &runtime, "a file", &store, rows);
        runtime.block_on(store.close());
        if let Some(server) = server {
            let space = server.space();
            let store = schema_of(&runtime, &space, rows);
            asked(criterion, &runtime, "a server", &store, rows);
            store.close();
        }
    }
}

criterion_group!(benches, growth);
criterion_main!(benches);
