//! What can go wrong with a deployment folder. Each says whether anything was changed.

use rollback_core::ports::{ErrorKind, PortError};
use rollback_core::{Label, RevisionId};
use std::io;
use std::path::PathBuf;

/// Why the folder, or the service in it, could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleasesError {
    /// Another process manages the folder.
    #[error("another process manages `{}`; nothing was changed; stop it, or choose another folder", .0.display())]
    Taken(PathBuf),
    /// The file system did not do it.
    #[error("could not {doing} `{}`", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the journal makes no sense. Nothing is guessed.
    #[error("line {line} of the journal cannot be read; nothing was changed; restore the journal")]
    Journal {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The journal is longer than anybody would want to read.
    #[error("the journal has {bytes} bytes, more than are read; nothing was changed; archive it")]
    JournalTooLong {
        /// How long it is.
        bytes: u64,
    },
    /// A deploy or a rollback is under way.
    #[error("`{0}` is under way; nothing was changed; wait until it ends")]
    Busy(Label),
    /// A release has a file name that could lead out of its folder, or too much in it.
    #[error("the release cannot be put into a folder: {0}; nothing was changed")]
    BadRelease(String),
    /// A deploy went wrong, and what was live before is live again.
    #[error("release `{release}` did not go live: {why}")]
    NotLive {
        /// Which release.
        release: RevisionId,
        /// What happened, and what is live now.
        why: String,
    },
    /// The service's program could not be started.
    #[error("could not start `{}`; the service is down; it is tried again", .program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A task of this process was stopped.
    #[error("the work was stopped with the process; what was begun goes on at the next start")]
    Stopped,
}

impl ReleasesError {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// As the engine wants it: what to do first, then what happened.
    pub(crate) fn into_port(self, operation: &'static str) -> PortError {
        let (kind, what) = match &self {
            Self::Taken(_) | Self::Start { .. } => (ErrorKind::Retry(None), self.to_string()),
            Self::Io { doing, source, .. } => (
                ErrorKind::Retry(None),
                format!("the deployment folder does not answer: could not {doing} it ({source})"),
            ),
            Self::Journal { .. } | Self::JournalTooLong { .. } | Self::BadRelease(_) => {
                (ErrorKind::Rejected, self.to_string())
            }
            Self::Busy(_) | Self::NotLive { .. } | Self::Stopped => {
                (ErrorKind::Retry(None), self.to_string())
            }
        };
        PortError::new(kind, super::ADAPTER, operation, what).caused_by(self)
    }
}
