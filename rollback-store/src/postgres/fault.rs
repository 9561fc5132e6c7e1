//! What an error of PostgreSQL means: certainty first.

use rollback_core::ports::StoreError;
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a transaction did not come to its end. Nothing of it was or will be there.
#[derive(Debug)]
pub(super) enum Fault {
    /// To be told as it is.
    Told(StoreError),
    /// Another transaction was in the way: the same again may pass.
    Again(String),
    /// The connection is gone.
    Gone(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let why = words(&error);
        let Some(state) = error.code() else {
            let is_io = error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
            return if is_io || error.is_closed() {
                Self::Gone(why)
            } else {
                Self::Told(corrupt("a row of the database", &why))
            };
        };
        let constraint = error.as_db_error().and_then(|error| error.constraint());
        let in_the_way = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        if in_the_way.contains(state) || constraint == Some("rollback_slot") {
            return Self::Again(why);
        }
        match state.code().get(..2) {
            // The server ends the session: it shuts down, or somebody told it to.
            Some("08") => Self::Gone(why),
            Some("57") if *state != SqlState::QUERY_CANCELED => Self::Gone(why),
            // It was the first server when we connected, and another one is now.
            Some("25") if *state == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Gone(why),
            // Only these two say that stored bytes are damaged. The rest of the class is a mistake in
            // the server, in an extension or in a proxy, which no backup mends.
            Some("XX") if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(state) => {
                Self::Told(corrupt("the database", &why))
            }
            Some(_) | None => Self::Told(unavailable(&why)),
        }
    }
}

/// What an error of COMMIT means: only what the server itself undid is certain.
pub(super) fn uncommitted(error: &Error) -> Fault {
    let why = words(error);
    if error.code().is_some_and(|state| state.code().starts_with("40")) {
        return Fault::Again(why);
    }
    Fault::Told(in_doubt(&why))
}

pub(super) fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(format!("{why}; nothing was stored; try again"))
}

pub(super) fn in_doubt(why: &str) -> StoreError {
    StoreError::InDoubt(format!("the answer to a commit was lost: {why}; load it again first"))
}

fn corrupt(what: &str, why: &str) -> StoreError {
    StoreError::Corrupt {
        what: what.into(),
        problem: format!("{why}; nothing was stored; restore the database from a backup"),
    }
}

/// The error and its reasons. The driver never puts a password into either.
pub(super) fn words(error: &Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("{} ({})", told.message(), told.code().code());
    }
    if let Some(words) = super::tls::words(error) {
        return words;
    }
    let mut words = error.to_string();
    let mut reason = error.source();
    while let Some(why) = reason {
        words.push_str(": ");
        words.push_str(&why.to_string());
        reason = why.source();
    }
    words
}
