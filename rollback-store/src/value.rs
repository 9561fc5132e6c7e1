//! Between rows and values, whatever the database. A row that cannot be read is an error that names
//! it.

use rollback_core::audit::Record;
use rollback_core::ports::StoreError;
use rollback_core::{ServiceKey, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) type Answer<T> = Result<T, StoreError>;

pub(crate) fn corrupt(what: impl Into<String>, problem: &(impl ToString + ?Sized)) -> StoreError {
    StoreError::Corrupt { what: what.into(), problem: problem.to_string() }
}

pub(crate) fn to_json<T: Serialize>(what: &str, value: &T) -> Answer<String> {
    serde_json::to_string(value).map_err(|error| crate::rules::unwritable(what, &error))
}

pub(crate) fn from_json<T: DeserializeOwned>(
    text: &str,
    what: impl FnOnce() -> String,
) -> Answer<T> {
    serde_json::from_str(text).map_err(|error| corrupt(what(), &error))
}

pub(crate) fn parsed<T: TryFrom<String>>(text: String, what: impl FnOnce() -> String) -> Answer<T>
where
    T::Error: ToString,
{
    T::try_from(text).map_err(|error| corrupt(what(), &error))
}

/// A database's integers are signed; nothing we count or time comes near the end of them.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn uint(number: i64, what: impl FnOnce() -> String) -> Answer<u64> {
    u64::try_from(number).map_err(|_negative| corrupt(what(), &format!("{number} is negative")))
}

pub(crate) fn millis(at: Timestamp) -> i64 {
    int(at.as_millis())
}

pub(crate) fn moment(millis: i64, what: impl FnOnce() -> String) -> Answer<Timestamp> {
    uint(millis, what).map(Timestamp::from_millis)
}

pub(crate) fn limit(wanted: usize) -> i64 {
    i64::try_from(crate::rules::page(wanted)).unwrap_or(i64::MAX)
}

pub(crate) fn names(key: &ServiceKey) -> (&str, &str) {
    (key.service.as_str(), key.environment.as_str())
}

/// A record as it was written, if it says that it is in its place.
pub(crate) fn record((sequence, line): &(i64, String)) -> Answer<Record> {
    let what = || format!("audit record {sequence}");
    let place = uint(*sequence, what)?;
    let record = Record::parse(line, place).map_err(|error| corrupt(what(), &error))?;
    if record.sequence == place {
        Ok(record)
    } else {
        Err(corrupt(what(), &format!("it says it is record {}", record.sequence)))
    }
}
