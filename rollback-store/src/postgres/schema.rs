//! The tables, and how an older database becomes a newer one.

use super::address::Address;
use super::fault::{Fault, words};
use super::link::{Done, Link};
use super::{ConnectError, Rehearsed};
use rollback_core::Label;
use rollback_core::audit::Hash;

/// The steps from an empty schema to the newest. A released step is never edited: a database that
/// has taken it would not take it again.
const MIGRATIONS: &[&str] =
    &[include_str!("schema-1.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql")];

/// One process migrates at a time. Also what the outbox's lock is next to: `rlbk`.
pub(super) const LOCK: i64 = 0x726c_626b;

/// The schema that this release writes.
fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the database up to the newest schema, in one transaction, or refuses it unchanged.
pub(super) async fn prepare(
    link: &mut Link,
    address: &Address,
    chain: &Label,
) -> Result<(), ConnectError> {
    let unusable = |error: tokio_postgres::Error| ConnectError::unusable(address, &words(&error));
    link.say("BEGIN").await.map_err(unusable)?;
    match migrate(link, address, chain).await {
        Ok(_found) => link.say("COMMIT").await.map_err(unusable),
        Err(error) => {
            // The connection is dropped besides, which undoes it as well.
            drop(link.say("ROLLBACK").await);
            Err(error)
        }
    }
}

/// The same without an effect.
pub(super) async fn rehearse(
    link: &mut Link,
    address: &Address,
    chain: &Label,
) -> Result<Rehearsed, ConnectError> {
    let unusable = |error: tokio_postgres::Error| ConnectError::unusable(address, &words(&error));
    link.say("BEGIN").await.map_err(unusable)?;
    let found = migrate(link, address, chain).await;
    link.say("ROLLBACK").await.map_err(unusable)?;
    match found? {
        0 => Ok(Rehearsed::Empty),
        found if found < newest() => Ok(Rehearsed::Older),
        _current => Ok(Rehearsed::Current),
    }
}

/// Answers with the schema that it found; none is zero.
async fn migrate(link: &mut Link, address: &Address, chain: &Label) -> Result<i64, ConnectError> {
    let unusable = |fault: Fault| ConnectError::unusable(address, &said(fault));
    let failed = |error: tokio_postgres::Error| ConnectError::unusable(address, &words(&error));
    link.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(unusable)?;
    let found = standing(link).await.map_err(unusable)?;
    if found.encoding != "UTF8" {
        let problem = format!("its encoding is {} and must be UTF8", found.encoding);
        return Err(ConnectError::unusable(address, &problem));
    }
    if !found.has_schema {
        let problem = "no schema of its search path exists";
        return Err(ConnectError::unusable(address, problem));
    }
    let version = match (found.is_ours, found.tables) {
        (true, _) => version(link).await.map_err(unusable)?,
        (false, 0) => {
            let marker = "CREATE TABLE rollback_store (
                one integer PRIMARY KEY CHECK (one = 1), schema bigint NOT NULL);
                INSERT INTO rollback_store (one, schema) VALUES (1, 0)";
            link.say(marker).await.map_err(failed)?;
            0
        }
        (false, _) => return Err(ConnectError::NotAStore { database: address.name.clone() }),
    };
    if version > newest() {
        let database = address.name.clone();
        return Err(ConnectError::Newer { database, found: version, known: newest() });
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        link.say(step).await.map_err(failed)?;
    }
    if version < newest() {
        link.execute("UPDATE rollback_store SET schema = $1", &[&newest()])
            .await
            .map_err(unusable)?;
    }
    name_chain(link, address, chain).await?;
    Ok(version)
}

/// What is there before anything is done.
struct Standing {
    encoding: String,
    has_schema: bool,
    tables: i64,
    is_ours: bool,
}

async fn standing(link: &mut Link) -> Done<Standing> {
    let row = link
        .first(
            "SELECT current_setting('server_encoding'), current_schema() IS NOT NULL,
                 (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()),
                 EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema()
                     AND tablename = 'rollback_store')",
            &[],
        )
        .await?;
    let row = row.ok_or_else(|| Fault::Gone("the database answered with nothing".into()))?;
    Ok(Standing {
        encoding: row.try_get(0)?,
        has_schema: row.try_get(1)?,
        tables: row.try_get(2)?,
        is_ours: row.try_get(3)?,
    })
}

async fn version(link: &mut Link) -> Done<i64> {
    let row = link.first("SELECT schema FROM rollback_store", &[]).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
}

/// The first start names the chain; every later one must name the same.
async fn name_chain(link: &mut Link, address: &Address, chain: &Label) -> Result<(), ConnectError> {
    let unusable = |fault: Fault| ConnectError::unusable(address, &said(fault));
    let genesis = Hash::GENESIS.to_string();
    link.execute(
        "INSERT INTO head (one, chain, sequence, hash) VALUES (1, $1, 0, $2)
         ON CONFLICT (one) DO NOTHING",
        &[&chain.as_str(), &genesis],
    )
    .await
    .map_err(unusable)?;
    let row = link.first("SELECT chain FROM head", &[]).await.map_err(unusable)?;
    let stored: Option<String> =
        row.map(|row| row.try_get(0)).transpose().map_err(|error| unusable(Fault::from(error)))?;
    match stored {
        Some(stored) if stored != chain.as_str() => Err(ConnectError::OtherChain {
            database: address.name.clone(),
            stored: stored.into(),
            wanted: chain.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::Told(error) => error.to_string(),
        Fault::Again(why) | Fault::Gone(why) => why,
    }
}
