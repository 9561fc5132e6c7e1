//! Every store holds to the contract of the port.

use rollback_store::{
    Judge, Location, MemoryStore, Options, PostgresOptions, PostgresStore, SqliteStore,
};
use rollback_testkit::store::run_all;

#[tokio::test]
async fn the_store_in_memory_conforms() {
    run_all(async || MemoryStore::default()).await.skips_only(&[]);
}

#[tokio::test]
async fn the_durable_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    let make = async || {
        next.set(next.get() + 1);
        let path = folder.path().join(format!("{}.db", next.get()));
        SqliteStore::open(path, Options::default()).await.unwrap()
    };
    run_all(make).await.skips_only(&[]);
}

#[tokio::test]
async fn the_durable_store_conforms_in_memory() {
    let make = async || SqliteStore::open(Location::Memory, Options::default()).await.unwrap();
    run_all(make).await.skips_only(&[]);
}

/// One connection to each store's own schema; time is what the suite says it is.
#[tokio::test]
async fn the_store_of_several_processes_conforms() {
    let Some(server) = postgres_lab::Server::shared("the PostgreSQL store's conformance") else {
        return;
    };
    let make = async || {
        let options = PostgresOptions::default().judge(Judge::Callers);
        PostgresStore::connect(&server.space().url(), options).await.unwrap()
    };
    run_all(make).await.skips_only(&[]);
}
