//! Whether the files are what was written: every record, over all files, in one pass.

use super::tail::{Lines, TailError, put_aside, record};
use rollback_core::audit::{Head, Verifier};
use std::path::{Path, PathBuf};

/// The files are whole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// The sequence of the first: 1, unless older files were taken away.
    pub first: Option<u64>,
    /// The end of the chain; none without records.
    pub head: Option<Head>,
    /// Whether the last line is torn: its process died, and nobody relied on it.
    pub is_torn: bool,
}

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFileProblem {
    /// A record was changed, removed, added or moved.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The sequence of the record.
        sequence: u64,
        /// What is wrong.
        problem: String,
    },
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl From<TailError> for AuditFileProblem {
    fn from(error: TailError) -> Self {
        match error {
            TailError::Line { path, line, problem } => {
                Self::Broken { path, line, sequence: line, problem }
            }
            TailError::Io { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

/// Checks the file at `path` and every one that was put aside beside it. Reads, changes nothing,
/// and holds one line at a time.
///
/// It proves that nothing between the first and the last record was changed. That nothing was cut
/// off at the end is proved by comparing the head with the store's.
///
/// # Errors
///
/// [`AuditFileProblem`]: the first record that is not what was written.
pub fn verify_audit_files(path: &Path) -> Result<Verified, AuditFileProblem> {
    let mut files = put_aside(path)?;
    files.push(path.to_path_buf());
    let mut verified = Verified { records: 0, first: None, head: None, is_torn: false };
    let mut verifier: Option<Verifier> = None;
    for file in files {
        let Some(mut lines) = Lines::open(&file)? else { continue };
        while let Some(line) = lines.next()? {
            if !line.is_whole && file == path {
                verified.is_torn = true;
                break;
            }
            let expected = verifier.as_ref().map_or(1, |v| v.head().sequence.saturating_add(1));
            let broken = |sequence: u64, problem: String| AuditFileProblem::Broken {
                path: file.clone(),
                line: line.number,
                sequence,
                problem,
            };
            let record = record(&file, &line).map_err(|error| match error {
                TailError::Line { problem, .. } => broken(expected, problem),
                TailError::Io { .. } => error.into(),
            })?;
            let verifier = verifier.get_or_insert_with(|| {
                let mut before = Head::genesis(record.chain.clone());
                before.sequence = record.sequence.get().saturating_sub(1);
                before.hash = record.previous_hash;
                Verifier::from_head(before)
            });
            verifier
                .check(&record)
                .map_err(|error| broken(error.sequence().unwrap_or(expected), error.to_string()))?;
            // A chain that begins at its beginning continues nothing.
            if record.sequence == 1 && record.previous_hash != rollback_core::audit::Hash::GENESIS {
                return Err(broken(1, "it does not begin the chain".into()));
            }
            verified.first.get_or_insert_with(|| record.sequence.get());
            verified.records = verified.records.saturating_add(1);
            verified.head = Some(verifier.head().clone());
        }
    }
    Ok(verified)
}
