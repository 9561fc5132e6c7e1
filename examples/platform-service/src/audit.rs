//! `audit verify`: whether the audit log is what was written.

use rollback_core::audit::Verifier;
use rollback_core::ports::{Query, Store};
use rollback_store::{
    AuditFileProblem, CHAIN_DEFAULT, Location, OpenError, Options, SqliteStore, verify_audit_files,
};
use serde::Serialize;
use std::path::Path;

/// How many records are read at a time.
const PAGE: usize = 1_000;

/// What was found, as `GET /v1/audit/verify` says it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum AuditVerdict {
    /// Every record is what was written.
    Whole {
        /// `true`.
        ok: bool,
        /// How many there are.
        records: u64,
        /// The hash of the last; none without records.
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<String>,
    },
    /// One is not.
    Broken {
        /// `false`.
        ok: bool,
        /// The first that is not.
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        /// What is wrong.
        problem: String,
    },
}

impl AuditVerdict {
    /// Whether every record is what was written.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    fn broken(sequence: Option<u64>, problem: impl Into<String>) -> Self {
        Self::Broken { ok: false, sequence, problem: problem.into() }
    }
}

/// What is to be verified.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the two places where records are")]
pub enum Log<'a> {
    /// The audit file, with those that were put aside beside it.
    File(&'a Path),
    /// The store. Its service must not be running: a store has one owner.
    Store(&'a Path),
}

/// Verifies a whole log. Changes nothing.
pub async fn verify(log: Log<'_>) -> AuditVerdict {
    match log {
        Log::File(path) => file(path),
        Log::Store(path) => store(path).await,
    }
}

fn file(path: &Path) -> AuditVerdict {
    if !path.exists() {
        let problem = format!("there is no file `{}`", path.display());
        return AuditVerdict::broken(None, problem);
    }
    match verify_audit_files(path) {
        Ok(verified) => AuditVerdict::Whole {
            ok: true,
            records: verified.records,
            head: verified.head.map(|head| head.hash.to_string()),
        },
        Err(AuditFileProblem::Broken { sequence, path, line, problem }) => {
            let problem = format!("`{}`, line {line}: {problem}", path.display());
            AuditVerdict::broken(Some(sequence), problem)
        }
        Err(error) => AuditVerdict::broken(None, error.to_string()),
    }
}

async fn store(path: &Path) -> AuditVerdict {
    if !path.exists() {
        let problem = format!("there is no store `{}`", path.display());
        return AuditVerdict::broken(None, problem);
    }
    let opened = SqliteStore::open(Location::from(path), Options::default()).await;
    let store = match opened {
        Ok(store) => store,
        Err(OpenError::InUse { path }) => {
            let problem = format!(
                "`{}` is in use by the running service; ask it at `GET /v1/audit/verify`, or stop it first",
                path.display()
            );
            return AuditVerdict::broken(None, problem);
        }
        Err(error) => return AuditVerdict::broken(None, error.to_string()),
    };
    let mut verifier = Verifier::new(CHAIN_DEFAULT);
    loop {
        let mut query = Query::all(PAGE);
        query.after = verifier.head().sequence;
        let records = match store.audit(&query).await {
            Ok(records) => records,
            Err(error) => {
                let next = verifier.head().sequence.saturating_add(1);
                return AuditVerdict::broken(Some(next), error.to_string());
            }
        };
        if records.is_empty() {
            break;
        }
        for record in &records {
            if let Err(error) = verifier.check(record) {
                return AuditVerdict::broken(error.sequence(), error.to_string());
            }
        }
    }
    let head = verifier.head();
    let is_empty = head.sequence == 0;
    let hash = (!is_empty).then(|| head.hash.to_string());
    // What was cut off at the end is not in the records, but the store remembers how many it had.
    match store.head().await {
        Ok(remembered) if remembered.sequence == head.sequence && remembered.hash == head.hash => {
            AuditVerdict::Whole { ok: true, records: head.sequence, head: hash }
        }
        Ok(remembered) => AuditVerdict::broken(
            Some(head.sequence.saturating_add(1)),
            format!("the log ends with record {} and had {}", head.sequence, remembered.sequence),
        ),
        Err(error) => AuditVerdict::broken(None, error.to_string()),
    }
}
