//! The tables, and how an older file becomes a newer one.

use super::OpenError;
use rollback_core::Label;
use rollback_core::audit::Hash;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Marks a file as ours in its header: `rlbk`.
pub(super) const APPLICATION_ID: i64 = 0x726c_626b;

/// The steps from an empty file to the newest schema. A released step is never edited: a file that
/// has taken it would not take it again.
const MIGRATIONS: &[&str] = &[
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

/// The schema that this release writes.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the file up to the newest schema, in one transaction, or refuses it unchanged.
pub(super) fn prepare(
    connection: &Connection,
    path: &Path,
    chain: &Label,
) -> Result<(), OpenError> {
    let unusable = |error: rusqlite::Error| OpenError::unusable(path, &error);
    connection.execute_batch("BEGIN IMMEDIATE").map_err(unusable)?;
    match migrate(connection, path, chain) {
        Ok(()) => connection.execute_batch("COMMIT").map_err(unusable),
        Err(error) => {
            connection.execute_batch("ROLLBACK").map_err(unusable)?;
            Err(error)
        }
    }
}

fn migrate(connection: &Connection, path: &Path, chain: &Label) -> Result<(), OpenError> {
    let unusable = |error: rusqlite::Error| OpenError::unusable(path, &error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version").map_err(unusable)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(unusable)?;
    let mark = number("PRAGMA application_id").map_err(unusable)?;
    if tables > 0 && mark != APPLICATION_ID {
        return Err(OpenError::NotAStore { path: path.to_path_buf() });
    }
    if version > newest() {
        let path = path.to_path_buf();
        return Err(OpenError::Newer { path, found: version, known: newest() });
    }
    let taken = usize::try_from(version).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(taken) {
        connection.execute_batch(step).map_err(unusable)?;
    }
    let marks =
        format!("PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID}", newest());
    connection.execute_batch(&marks).map_err(unusable)?;
    // The file has one owner, and whoever owned it before delivers nothing any more.
    connection
        .execute("UPDATE outbox SET taken_until = 0 WHERE taken_by IS NOT NULL", [])
        .map_err(unusable)?;
    name_chain(connection, path, chain)
}

/// The first start names the chain; every later one must name the same.
fn name_chain(connection: &Connection, path: &Path, chain: &Label) -> Result<(), OpenError> {
    let unusable = |error: rusqlite::Error| OpenError::unusable(path, &error);
    let stored: Option<String> = connection
        .query_row("SELECT chain FROM head", [], |row| row.get(0))
        .optional()
        .map_err(unusable)?;
    match stored {
        Some(stored) if stored == chain.as_str() => Ok(()),
        Some(stored) => Err(OpenError::OtherChain {
            path: path.to_path_buf(),
            stored: stored.into(),
            wanted: chain.clone(),
        }),
        None => connection
            .execute(
                "INSERT INTO head (one, chain, sequence, hash) VALUES (1, ?1, 0, ?2)",
                params![chain.as_str(), Hash::GENESIS.to_string()],
            )
            .map(|_one| ())
            .map_err(unusable),
    }
}
