//! What people are told: projections of state, as data. Adapters turn them into messages.

use crate::access::Duty;
use crate::audit::Head;
use crate::change::ServiceChanged;
use crate::event::Line;
use crate::id::{ChannelId, Label, UserId};
use crate::known_good::Choice;
use crate::model::{Actor, Deploy, RevisionRef};
use crate::time::Timestamp;
use crate::view::RollbackView;
use alloc::boxed::Box;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// The deploy message: what went out, and the way back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeployCard {
    /// The deploy.
    pub deploy: Deploy,
    /// What was live before it, if that is known.
    pub previous: Option<RevisionRef>,
    /// What the button would go back to, or why there is none.
    pub choice: Choice,
    /// Whether the way back could not be found out yet. It is looked up again.
    #[serde(default)]
    pub undecided: bool,
    /// The rollback of this deploy that matters now: the one in flight, else the last one.
    pub rollback: Option<RollbackView>,
    /// The newer deploy that took its place.
    pub superseded_by: Option<Label>,
    /// Whether a click would be a drill.
    #[serde(default)]
    pub purpose: crate::view::Purpose,
}

impl DeployCard {
    /// A card for a deploy that nobody has rolled back.
    #[must_use]
    pub const fn new(deploy: Deploy, previous: Option<RevisionRef>, choice: Choice) -> Self {
        Self {
            deploy,
            previous,
            choice,
            undecided: false,
            rollback: None,
            superseded_by: None,
            purpose: crate::view::Purpose::Real,
        }
    }
}

/// Something to tell.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new notice must be shown or left out by each notifier"
)]
pub enum Notice {
    /// The deploy message. The latest wins.
    Deploy(Box<DeployCard>),
    /// A line in the thread of the deploy message. Appears once.
    Line {
        /// The rollback as it stood.
        view: Box<RollbackView>,
        /// What the line tells.
        line: Line,
    },
    /// The approval request, in the thread of the deploy message. The latest wins.
    Approval(Box<RollbackView>),
    /// Words for one person, where only they see them.
    Private {
        /// Who.
        to: UserId,
        /// What. Hostile until escaped.
        text: String,
        /// The rollback as it stood.
        view: Box<RollbackView>,
    },
    /// To whoever deployed what is rolled back, directly. The latest wins.
    Deployer {
        /// Who.
        to: UserId,
        /// The rollback.
        view: Box<RollbackView>,
    },
    /// To whoever is on call. The latest wins: once the rollback no longer
    /// [needs somebody](RollbackView::needs_somebody), the page is resolved.
    OnCall(Box<RollbackView>),
    /// To whoever is on call: somebody acted through the emergency group. Appears once.
    BreakGlass {
        /// Who acted.
        by: Actor,
        /// What they did.
        duty: Duty,
        /// The rollback as it stood.
        view: Box<RollbackView>,
    },
    /// In the channel of a service: somebody changed what holds for it; or to whoever is on call, where
    /// only the emergency group's rule allowed it. Appears once.
    Changed(Box<ServiceChanged>),
    /// To whoever is on call: a dependency of some or all rollbacks is not working, or works again. The
    /// latest wins.
    Blocked(Box<Blocked>),
}

/// What kind of thing a notice tells.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "as the notices")]
pub enum NoticeKind {
    /// [`Notice::Deploy`].
    Deploy,
    /// [`Notice::Line`].
    Line,
    /// [`Notice::Approval`].
    Approval,
    /// [`Notice::Private`].
    Private,
    /// [`Notice::Deployer`].
    Deployer,
    /// [`Notice::OnCall`].
    OnCall,
    /// [`Notice::BreakGlass`], and [`Notice::Changed`] through break-glass.
    BreakGlass,
    /// [`Notice::Changed`] in the channel; the page about one is [`Self::BreakGlass`].
    Changed,
    /// [`Notice::Blocked`].
    Blocked,
}

impl NoticeKind {
    /// Whether it is for whoever is on call.
    #[must_use]
    pub const fn is_a_page(self) -> bool {
        match self {
            Self::OnCall | Self::BreakGlass | Self::Blocked => true,
            Self::Deploy
            | Self::Line
            | Self::Approval
            | Self::Private
            | Self::Deployer
            | Self::Changed => false,
        }
    }
}

impl Notice {
    /// What kind of thing it tells.
    #[must_use]
    pub const fn kind(&self) -> NoticeKind {
        match self {
            Self::Deploy(_) => NoticeKind::Deploy,
            Self::Line { .. } => NoticeKind::Line,
            Self::Approval(_) => NoticeKind::Approval,
            Self::Private { .. } => NoticeKind::Private,
            Self::Deployer { .. } => NoticeKind::Deployer,
            Self::OnCall(_) => NoticeKind::OnCall,
            Self::BreakGlass { .. } => NoticeKind::BreakGlass,
            Self::Changed(changed) if changed.through_break_glass => NoticeKind::BreakGlass,
            Self::Changed(_) => NoticeKind::Changed,
            Self::Blocked(_) => NoticeKind::Blocked,
        }
    }
}

/// A dependency of some or all rollbacks that is not working.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Blocked {
    /// What, in words for people. Hostile until escaped.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong with it. Hostile until escaped.
    pub why: String,
    /// When it worked again; none while it does not.
    pub over: Option<Timestamp>,
    /// What follows from it for rollbacks, in full sentences.
    #[serde(default)]
    pub consequence: String,
    /// The channel that it is about, if it is about one.
    #[serde(default)]
    pub channel: Option<ChannelId>,
}

impl Blocked {
    /// It does not work.
    #[must_use]
    pub fn new(what: impl Into<String>, since: Timestamp, why: impl Into<String>) -> Self {
        let (over, consequence, channel) = (None, String::new(), None);
        Self { what: what.into(), since, why: why.into(), over, consequence, channel }
    }

    /// The same, with what follows from it and the channel that it is about.
    #[must_use]
    pub fn meaning(mut self, consequence: impl Into<String>, channel: Option<ChannelId>) -> Self {
        (self.consequence, self.channel) = (consequence.into(), channel);
        self
    }
}

/// A message as the service that shows it knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MessageRef {
    /// Where it is.
    pub channel: ChannelId,
    /// Its identity there: a Slack `ts`.
    pub id: Label,
}

impl MessageRef {
    /// Refers to a message.
    #[must_use]
    pub fn new(channel: ChannelId, id: impl Into<Label>) -> Self {
        Self { channel, id: id.into() }
    }
}

/// What an earlier attempt to deliver the same notice left behind.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "known or in doubt")]
pub enum Attempt {
    /// Nothing that is not known.
    Clean,
    /// Possibly a message: look for it by the key before posting.
    InDoubt,
}

/// A notice on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// The identity of the message: the same key is the same message.
    pub key: Label,
    /// How many times the message has been brought up to date; grows with every change.
    pub version: u64,
    /// What to tell.
    pub notice: Notice,
    /// Where the deploy message is or belongs.
    pub channel: ChannelId,
    /// The deploy message, for what belongs in its thread.
    pub thread: Option<MessageRef>,
    /// The message to bring up to date, if it was posted before.
    pub previous: Option<MessageRef>,
    /// What an earlier attempt left behind.
    pub attempt: Attempt,
    /// For the line that tells how a rollback ended: the end of the audit chain after its last
    /// record. Told with it, whoever keeps the message can witness that the log was not rewritten.
    pub witness: Option<Head>,
}

impl Delivery {
    /// A first attempt at a message that was never posted.
    #[must_use]
    pub fn new(key: impl Into<Label>, version: u64, notice: Notice, channel: ChannelId) -> Self {
        Self {
            key: key.into(),
            version,
            notice,
            channel,
            thread: None,
            previous: None,
            attempt: Attempt::Clean,
            witness: None,
        }
    }
}

/// A notice was delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "posted or left out")]
pub enum Delivered {
    /// As this message.
    Posted(MessageRef),
    /// Where nobody can bring it up to date: an ephemeral reply, a page.
    Sent,
    /// Not at all: this notifier does not tell such things.
    NotMine,
}
