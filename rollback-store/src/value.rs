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

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::audit::Head;
    use rollback_testkit::fixtures;
    use rollback_testkit::script::{Ending, Script};

    #[test]
    fn numbers_and_times_come_back_from_a_row_as_they_went_in() {
        let what = || "a row".to_owned();
        for number in [0, 1, 7, u64::try_from(i64::MAX).unwrap()] {
            assert_eq!(uint(int(number), what).unwrap(), number);
            let at = Timestamp::from_millis(number);
            assert_eq!(moment(millis(at), what).unwrap(), at);
        }
        assert_eq!(int(u64::MAX), i64::MAX);
        assert!(uint(-1, what).unwrap_err().to_string().contains("-1 is negative"));
    }

    #[test]
    fn a_question_is_limited_to_a_page() {
        assert_eq!([0, 7, usize::MAX].map(limit), [0, 7, 10_000]);
    }

    #[test]
    fn a_service_is_named_before_its_environment() {
        assert_eq!(names(&fixtures::key()), ("checkout", "production"));
    }

    #[test]
    fn an_audit_record_in_the_place_of_another_is_corrupt() {
        let drafts = Script::new("rb-1").commits(Ending::Succeeded);
        let draft = drafts.into_iter().find_map(|commit| commit.drafts.into_iter().next());
        let first = Head::genesis("test").append(draft.unwrap()).unwrap();
        let line = first.canonical().unwrap();
        assert_eq!(record(&(1, line.clone())).unwrap(), first);
        assert!(record(&(2, line)).is_err());
    }
}
