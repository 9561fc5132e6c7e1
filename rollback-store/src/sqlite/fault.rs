//! What an error of SQLite means: certainty first.

use rollback_core::ports::StoreError;
use rusqlite::{Error, ErrorCode};

/// What became of a transaction that did not commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// Certain: nothing of it is there, and nothing of it will be.
    Undone(String),
    /// Its last bytes may have reached the disk.
    InDoubt(String),
}

impl Failure {
    pub(super) fn error(&self) -> StoreError {
        match self {
            Self::Undone(why) => {
                StoreError::Unavailable(format!("{why}; nothing was stored; try again"))
            }
            Self::InDoubt(why) => StoreError::InDoubt(format!("{why}; load it again first")),
        }
    }
}

/// What an error of a statement means. Nothing was changed: its savepoint is rolled back.
#[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's codes are not ours to list")]
pub(super) fn failed(error: &Error) -> StoreError {
    let corrupt = |what: &str| StoreError::Corrupt {
        what: what.into(),
        problem: format!("{error}; nothing was stored; restore the file from a backup"),
    };
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => corrupt("the database file"),
            _ => StoreError::Unavailable(format!("{error}; nothing was stored")),
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => corrupt("a row of the database"),
        _ => StoreError::Unavailable(format!("{error}; nothing was stored")),
    }
}

/// What an error of COMMIT means.
///
/// A commit is taken when the log's last frame, with its checksum, is on the disk. When the file
/// may not be written, is locked, or has no room for that frame, there is no such frame. After
/// every other error, a failed flush above all, it may be there.
pub(super) fn uncommitted(error: &Error) -> Failure {
    let why = format!("the transaction could not be committed: {error}");
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::ConstraintViolation,
        ) => Failure::Undone(why),
        _ => Failure::InDoubt(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn sqlite(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn only_a_commit_that_certainly_left_no_frame_is_undone() {
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_FULL, ffi::SQLITE_READONLY] {
            assert!(matches!(uncommitted(&sqlite(code)), Failure::Undone(_)), "{code}");
        }
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_INTERNAL,
        ] {
            assert!(matches!(uncommitted(&sqlite(code)), Failure::InDoubt(_)), "{code}");
        }
    }

    #[test]
    fn a_broken_file_is_corrupt_and_a_silent_disk_is_unavailable() {
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert!(matches!(failed(&sqlite(code)), StoreError::Corrupt { .. }), "{code}");
        }
        for code in [ffi::SQLITE_IOERR, ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_READONLY] {
            assert!(matches!(failed(&sqlite(code)), StoreError::Unavailable(_)), "{code}");
        }
    }
}
