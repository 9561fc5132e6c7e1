//! What the folder remembers: one line for each thing that happened, appended and flushed before
//! anything is done about it.
//!
//! ```text
//! {"kind":"released",…}   a release was put into its folder
//! {"kind":"accepted",…}   a deploy or a rollback was taken on: from here on it will be carried out
//! {"kind":"reached",…}    it got this far
//! {"kind":"cancel_asked",…} · {"kind":"fenced",…} · {"kind":"pruned",…}
//! ```

use rollback_core::{Label, Migrations, RevisionId, RollbackId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the journal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A release was put into its folder.
    Released(Released),
    /// A deploy or a rollback was taken on.
    Accepted(Accepted),
    /// An execution got this far.
    Reached { at: Timestamp, execution: Label, step: Step, message: Option<Label> },
    /// Somebody asked to cancel an execution.
    CancelAsked { at: Timestamp, execution: Label },
    /// Every order that was read before this generation is void, and this one for good.
    Fenced { at: Timestamp, operation: RollbackId },
    /// A release folder was removed to make room.
    Pruned { at: Timestamp, release: RevisionId },
}

/// A release, as it was when it was put into its folder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Released {
    pub(crate) at: Timestamp,
    pub(crate) id: RevisionId,
    pub(crate) version: Label,
    pub(crate) commit: Option<Label>,
    #[serde(default)]
    pub(crate) migrations: Migrations,
    /// What stays behind when it is rolled back, one line each.
    #[serde(default)]
    pub(crate) leaves_behind: Vec<String>,
    /// SHA-256 of every file, by name.
    pub(crate) files: BTreeMap<String, String>,
}

/// A deploy or a rollback that was taken on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Accepted {
    pub(crate) at: Timestamp,
    pub(crate) execution: Label,
    /// The rollback's id; a deploy has none.
    pub(crate) operation: Option<RollbackId>,
    /// What was live; nothing before the first deploy.
    pub(crate) from: Option<RevisionId>,
    pub(crate) to: RevisionId,
}

/// How far an execution got. Each step is written before it is made, so that whoever finds it makes
/// it again; all of them can be made twice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Taken on; can still be cancelled.
    Accepted,
    /// Past the point of no return: the symlink is being switched and the service restarted.
    Switching,
    /// The service is asked whether it runs the target.
    HealthChecking,
    /// It does not: the symlink is being switched back.
    SwitchingBack,
    /// The target is live and answers.
    Complete,
    /// The target did not answer; what was live before is live again.
    Failed,
    /// Stopped before the point of no return; nothing was changed.
    Cancelled,
}

impl Step {
    /// Whether nothing more will happen.
    pub(crate) const fn is_end(self) -> bool {
        match self {
            Self::Accepted | Self::Switching | Self::HealthChecking | Self::SwitchingBack => false,
            Self::Complete | Self::Failed | Self::Cancelled => true,
        }
    }
}
