//! Between rows and values. A row that cannot be read is an error that names it.

use super::fault::failed;
use rollback_core::ports::StoreError;
use rollback_core::{ServiceKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) type Answer<T> = Result<T, StoreError>;

pub(super) fn corrupt(what: impl Into<String>, problem: &(impl ToString + ?Sized)) -> StoreError {
    StoreError::Corrupt { what: what.into(), problem: problem.to_string() }
}

pub(super) fn to_json<T: Serialize>(what: &str, value: &T) -> Answer<String> {
    serde_json::to_string(value).map_err(|error| crate::rules::unwritable(what, &error))
}

pub(super) fn from_json<T: DeserializeOwned>(
    text: &str,
    what: impl FnOnce() -> String,
) -> Answer<T> {
    serde_json::from_str(text).map_err(|error| corrupt(what(), &error))
}

pub(super) fn parsed<T: TryFrom<String>>(text: String, what: impl FnOnce() -> String) -> Answer<T>
where
    T::Error: ToString,
{
    T::try_from(text).map_err(|error| corrupt(what(), &error))
}

/// SQLite's integers are signed; nothing we count or time comes near the end of them.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn uint(number: i64, what: impl FnOnce() -> String) -> Answer<u64> {
    u64::try_from(number).map_err(|_negative| corrupt(what(), &format!("{number} is negative")))
}

pub(super) fn millis(at: Timestamp) -> i64 {
    int(at.as_millis())
}

pub(super) fn moment(millis: i64, what: impl FnOnce() -> String) -> Answer<Timestamp> {
    uint(millis, what).map(Timestamp::from_millis)
}

pub(super) fn limit(wanted: usize) -> i64 {
    i64::try_from(crate::rules::page(wanted)).unwrap_or(i64::MAX)
}

pub(super) fn names(key: &ServiceKey) -> (&str, &str) {
    (key.service.as_str(), key.environment.as_str())
}

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
