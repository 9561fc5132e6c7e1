//! What people do and what is the matter with the world, by name; and which of them leads to which
//! action, so that none is left out.

use rollback_core::StateName;
use rollback_testkit::Action;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Scene {
    /// Somebody clicks, confirms, and it succeeds; then the next revision is deployed.
    Happy,
    /// The same with an approval.
    Approved,
    /// A watcher proposes it.
    Proposed,
    /// Somebody clicks who may not, and the chat does not take what is whispered to them.
    Denied,
    /// Another revision is live by then.
    Overtaken,
    /// Nobody confirms.
    Expired,
    /// The order is lost, and fenced off.
    Lost,
    /// The order is lost, and the CD system cannot fence.
    Unknown,
    /// It is stopped while it runs.
    Cancelled,
    /// The target is not healthy.
    Unhealthy,
    /// The chat takes no line for a while.
    Quiet,
    /// The host does everything that the engine leaves to it.
    Hosted,
}

impl Scene {
    pub(crate) const ALL: [Self; 12] = [
        Self::Happy,
        Self::Approved,
        Self::Proposed,
        Self::Denied,
        Self::Overtaken,
        Self::Expired,
        Self::Lost,
        Self::Unknown,
        Self::Cancelled,
        Self::Unhealthy,
        Self::Quiet,
        Self::Hosted,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Approved => "approved",
            Self::Proposed => "proposed",
            Self::Denied => "denied",
            Self::Overtaken => "overtaken",
            Self::Expired => "expired",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Unhealthy => "unhealthy",
            Self::Quiet => "quiet",
            Self::Hosted => "hosted",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scene| scene.name() == name)
    }

    /// How it ends when nobody dies.
    pub(crate) const fn ends(self) -> StateName {
        match self {
            Self::Happy | Self::Approved | Self::Proposed | Self::Quiet | Self::Hosted => {
                StateName::Succeeded
            }
            Self::Denied => StateName::Denied,
            Self::Overtaken => StateName::Refused,
            Self::Expired => StateName::Expired,
            Self::Lost => StateName::Failed,
            Self::Unknown => StateName::OutcomeUnknown,
            Self::Cancelled => StateName::Withdrawn,
            Self::Unhealthy => StateName::NotVerified,
        }
    }

    /// The scene in which a process comes to this action. A new action has none, and does not
    /// compile.
    pub(crate) const fn with(action: Action) -> Self {
        match action {
            Action::Commit(state) => match state {
                StateName::Proposed => Self::Proposed,
                StateName::Approving => Self::Approved,
                StateName::Authorizing
                | StateName::Confirming
                | StateName::Checking
                | StateName::Recording
                | StateName::Triggering
                | StateName::Running
                | StateName::Verifying
                | StateName::Succeeded => Self::Happy,
                StateName::Failed => Self::Lost,
                StateName::NotVerified => Self::Unhealthy,
                StateName::Refused => Self::Overtaken,
                StateName::Denied => Self::Denied,
                StateName::Withdrawn => Self::Cancelled,
                StateName::Expired => Self::Expired,
                StateName::OutcomeUnknown => Self::Unknown,
            },
            Action::Claim
            | Action::Attempt
            | Action::Release
            | Action::SaveDeploy
            | Action::UpdateDeploy
            | Action::Take
            | Action::Delivered
            | Action::Acknowledge
            | Action::Start
            | Action::Deliver
            | Action::Record
            | Action::Standing => Self::Happy,
            Action::Fence => Self::Lost,
            Action::Cancel => Self::Cancelled,
            Action::Abandon => Self::Denied,
            Action::Postpone | Action::GiveBack | Action::DeliverLines => Self::Quiet,
            Action::ChangeService | Action::Append | Action::Queue | Action::See => Self::Hosted,
        }
    }
}
