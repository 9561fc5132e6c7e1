//! The tables, and how an older database becomes a newer one.

use super::address::Address;
use super::fault::{Fault, words};
use super::link::{Done, Link};
use super::{ConnectError, Rehearsed};
use crate::value::{Answer, corrupt};
use rollback_core::Label;
use rollback_core::audit::Hash;
use rollback_core::ports::StoreError;
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// The steps from an empty schema to the newest. A released step is never edited: a database that
/// has taken it would not take it again.
const MIGRATIONS: &[&str] = &[
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];

/// The oldest schema whose releases may write a database of the newest one. During a rolling upgrade
/// the older processes go on where this is their schema, and are refused where it is higher.
///
/// A step that older releases may write beside only adds: columns with a default, tables, indexes.
/// Any other raises this to its own number. Schema 4 did: its locks have other names.
const WRITERS_FROM: i64 = 4;

/// What our advisory locks have in common: `rlbk`. Their second half names the schema, so that two
/// stores in one database do not wait for each other.
const LOCKS: i32 = 0x726c_626b;

/// The same, of the lock under which notices are taken.
const LANES: i32 = LOCKS + 1;

/// Takes one of our locks in this schema, until the transaction ends.
const LOCK_OF_SCHEMA: &str = "SELECT pg_advisory_xact_lock($1,
     (SELECT oid::int4 FROM pg_namespace WHERE nspname = current_schema()))";

/// How long one statement of a migration may take, and how long the other processes that start wait
/// for it: 10^6 rollbacks took three minutes on a busy machine with two cores, and disks differ.
const MIGRATION_MAX: Duration = Duration::from_secs(30 * 60);

/// How long a migration waits for a table that somebody else uses. Our own transactions take less;
/// everything that writes the table queues up behind this, so that a backup that reads for hours
/// must not be waited for.
const TABLE_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often a migration is begun that met a transaction of an older release, which does not know
/// that it is under way. The server ends one of the two.
const MIGRATION_TRIES: usize = 3;

/// The schema that this release writes.
fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// How a session says which schema its process knows. The database refuses what is written without
/// that: releases before schema 4 do not look whether they may write.
pub(super) fn introduction() -> String {
    format!("SET rollback.schema = {}", newest())
}

/// Whether this release may write a database that says this of itself.
///
/// Whoever asks has a lock on the table that says it until the transaction ends, and a migration
/// takes that table for itself first: no transaction that was allowed ends after a migration.
pub(super) fn may_write(schema: Option<&str>, writers_from: Option<&str>) -> Answer<()> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let what = || "which releases may write the database".to_string();
    let (Some(schema), Some(from)) = (number(schema), number(writers_from)) else {
        return Err(corrupt(what(), "the row of `rollback_store` is missing"));
    };
    if from <= newest() {
        return Ok(());
    }
    Err(StoreError::Newer(format!(
        "the database has schema {schema}, which releases may write that know schema {from} or a \
         newer one, and this process knows schemas up to {}; nothing was stored; stop this process, \
         or start the newer release in its place",
        newest()
    )))
}

/// Lets one process at a time take notices from the lanes of this schema.
pub(super) async fn lock_lanes(link: &mut Link) -> Done<()> {
    link.execute(LOCK_OF_SCHEMA, &[&LANES]).await?;
    Ok(())
}

/// Brings the database up to the newest schema, in one transaction, or refuses it unchanged.
pub(super) async fn prepare(
    link: &mut Link,
    address: &Address,
    chain: &Label,
) -> Result<(), ConnectError> {
    let mut tries_left = MIGRATION_TRIES;
    loop {
        tries_left = tries_left.saturating_sub(1);
        match prepare_once(link, chain).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Fault(Fault::Again(_))) if tries_left > 0 => {}
            Err(stopped) => return Err(stopped.told(address)),
        }
    }
}

async fn prepare_once(link: &mut Link, chain: &Label) -> Result<(), Stopped> {
    link.say("BEGIN").await?;
    let brought = async {
        link.say(&patience()).await?;
        lock_tables(link).await?;
        link.say(&format!("SET LOCAL lock_timeout = {}", TABLE_WAIT_MAX.as_millis())).await?;
        let found = examine(link).await?;
        bring_up(link, found).await?;
        name_chain(link, chain).await
    };
    match brought.await {
        Ok(()) => Ok(link.say("COMMIT").await?),
        Err(stopped) => {
            // The connection is dropped besides, which undoes it as well.
            drop(link.say("ROLLBACK").await);
            Err(stopped)
        }
    }
}

async fn lock_tables(link: &mut Link) -> Result<(), Stopped> {
    match link.execute(LOCK_OF_SCHEMA, &[&LOCKS]).await {
        Ok(_row) => Ok(()),
        Err(Fault::Told(error)) => Err(Stopped::Unusable(format!(
            "another process is bringing its tables up to date: {error}; start again when it is done"
        ))),
        Err(fault) => Err(fault.into()),
    }
}

/// A migration is no click: it may take as long as the rows need, and others wait for it.
fn patience() -> String {
    let most = MIGRATION_MAX.as_millis();
    format!("SET LOCAL statement_timeout = {most}; SET LOCAL lock_timeout = {most}")
}

/// What [`prepare`] would meet, without an effect. Tables of an older release are not brought up to
/// date and put back: whatever runs beside it would stand still for so long.
pub(super) async fn rehearse(
    link: &mut Link,
    address: &Address,
    chain: &Label,
) -> Result<Rehearsed, ConnectError> {
    let rehearsed = async {
        link.say("BEGIN").await?;
        lock_tables(link).await?;
        let found = examine(link).await?;
        match found {
            Found::Nothing => bring_up(link, found).await?,
            Found::Schema(version) if version < newest() => may_alter(link).await?,
            Found::Schema(_current) => {}
        }
        name_chain(link, chain).await?;
        link.say("ROLLBACK").await?;
        Ok(match found {
            Found::Nothing => Rehearsed::Empty,
            Found::Schema(version) if version < newest() => Rehearsed::Older,
            Found::Schema(_current) => Rehearsed::Current,
        })
    };
    rehearsed.await.map_err(|stopped: Stopped| stopped.told(address))
}

/// Why a database is not used.
enum Stopped {
    Fault(Fault),
    Unusable(String),
    Newer(i64),
    NotAStore,
    OtherChain { stored: String, wanted: Label },
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<tokio_postgres::Error> for Stopped {
    fn from(error: tokio_postgres::Error) -> Self {
        let why = words(&error);
        if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
            return Self::Unusable(format!(
                "{why}: its tables must be brought up to date, and somebody else uses them, a backup \
                 perhaps; nothing was changed; start again when that is done"
            ));
        }
        match Fault::from(error) {
            // The server's own words: what it refuses a start, it refuses the next one as well.
            Fault::Told(_) => Self::Unusable(why),
            fault @ (Fault::Again(_) | Fault::Gone(_)) => Self::Fault(fault),
        }
    }
}

impl Stopped {
    fn told(self, address: &Address) -> ConnectError {
        let database = address.name.clone();
        match self {
            Self::Fault(Fault::Told(error)) => ConnectError::unusable(address, &error.to_string()),
            Self::Fault(Fault::Again(why) | Fault::Gone(why)) | Self::Unusable(why) => {
                ConnectError::unusable(address, &why)
            }
            Self::Newer(found) => ConnectError::Newer { database, found, known: newest() },
            Self::NotAStore => ConnectError::NotAStore { database },
            Self::OtherChain { stored, wanted } => {
                ConnectError::OtherChain { database, stored: stored.into(), wanted }
            }
        }
    }
}

/// What a database has before anything is done.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// No table.
    Nothing,
    /// Our tables, as this schema has them.
    Schema(i64),
}

async fn examine(link: &mut Link) -> Result<Found, Stopped> {
    let found = standing(link).await?;
    if found.encoding != "UTF8" {
        let problem = format!("its encoding is {} and must be UTF8", found.encoding);
        return Err(Stopped::Unusable(problem));
    }
    if !found.has_schema {
        return Err(Stopped::Unusable("no schema of its search path exists".into()));
    }
    match (found.is_ours, found.tables) {
        (true, _) => match version(link).await? {
            version if version > newest() => Err(Stopped::Newer(version)),
            version => Ok(Found::Schema(version)),
        },
        (false, 0) => Ok(Found::Nothing),
        (false, _) => Err(Stopped::NotAStore),
    }
}

/// Makes the tables, or takes the steps that are missing.
async fn bring_up(link: &mut Link, found: Found) -> Result<(), Stopped> {
    let version = match found {
        Found::Schema(version) if version == newest() => return Ok(()),
        Found::Schema(version) => {
            // Whoever writes looks at this table first, and has it until its transaction ends.
            link.say("LOCK TABLE rollback_store IN ACCESS EXCLUSIVE MODE").await?;
            version
        }
        Found::Nothing => {
            let marker = "CREATE TABLE rollback_store (
                one integer PRIMARY KEY CHECK (one = 1), schema bigint NOT NULL);
                INSERT INTO rollback_store (one, schema) VALUES (1, 0)";
            link.say(marker).await?;
            0
        }
    };
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        link.say(step).await?;
    }
    let sql = "UPDATE rollback_store SET schema = $1, writers_from = $2";
    link.execute(sql, &[&newest(), &WRITERS_FROM]).await?;
    Ok(())
}

/// Only the owner of a table may change what it looks like.
async fn may_alter(link: &mut Link) -> Result<(), Stopped> {
    let question = "SELECT tablename::text, tableowner::text FROM pg_tables
         WHERE schemaname = current_schema() AND NOT pg_has_role(tableowner, 'USAGE') LIMIT 1";
    let Some(row) = link.first(question, &[]).await? else { return Ok(()) };
    let (table, owner): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Err(Stopped::Unusable(format!(
        "its tables must be brought up to date, and `{table}` belongs to `{owner}`; connect as that \
         user once"
    )))
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
async fn name_chain(link: &mut Link, chain: &Label) -> Result<(), Stopped> {
    let genesis = Hash::GENESIS.to_string();
    link.execute(
        "INSERT INTO head (one, chain, sequence, hash) VALUES (1, $1, 0, $2)
         ON CONFLICT (one) DO NOTHING",
        &[&chain.as_str(), &genesis],
    )
    .await?;
    let row = link.first("SELECT chain FROM head", &[]).await?;
    match row.map(|row| row.try_get::<_, String>(0)).transpose()? {
        Some(stored) if stored != chain.as_str() => {
            Err(Stopped::OtherChain { stored, wanted: chain.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_writes_what_its_own_schema_may_write_and_says_what_to_do_where_it_may_not() {
        let (ours, next) = (newest().to_string(), (newest() + 1).to_string());
        assert!(may_write(Some(&ours), Some(&ours)).is_ok());
        // A newer release that only added something lets this one go on.
        assert!(may_write(Some(&next), Some(&ours)).is_ok());
        let error = may_write(Some(&next), Some(&next)).unwrap_err();
        let words = error.to_string();
        assert!(matches!(error, StoreError::Newer(_)), "{words}");
        for part in ["nothing was stored", "stop this process", "schema 5", "schemas up to 4"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        for row in [(None, None), (Some("4"), None), (Some("four"), Some("4"))] {
            let error = may_write(row.0, row.1).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
    }
}
