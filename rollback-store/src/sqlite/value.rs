//! Statements, and what comes of them.

use super::fault::failed;
pub(super) use crate::value::{
    Answer, corrupt, from_json, int, limit, millis, moment, names, parsed, to_json, uint,
};
use rusqlite::{Connection, OptionalExtension, Params, Row};

/// Executes a statement and says how many rows it changed.
pub(super) fn execute(db: &Connection, sql: &str, params: impl Params) -> Answer<usize> {
    let run = || db.prepare_cached(sql)?.execute(params);
    run().map_err(|error| failed(&error))
}

/// The first row, if there is one.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Answer<Option<T>> {
    let run = || db.prepare_cached(sql)?.query_row(params, read).optional();
    run().map_err(|error| failed(&error))
}

/// Every row.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Answer<Vec<T>> {
    let run = || db.prepare_cached(sql)?.query_map(params, read)?.collect::<Result<_, _>>();
    run().map_err(|error| failed(&error))
}
