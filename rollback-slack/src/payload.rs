//! What Slack tells when a person clicks, submits or closes.
//!
//! The reading is lenient: only what an interaction cannot do without is required, unknown fields
//! are skipped, and a message's own blocks are never built in memory. Ids are plain text here; no
//! name is ever read as an identity.

mod raw;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::delivery::Delivery;

pub use self::raw::parse;

/// Why a payload is not an interaction. Nothing was dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Not JSON, or a field of another kind than Slack documents.
    #[error("the payload cannot be read as an interaction: line {line}, column {column}")]
    Unreadable {
        /// Line of the payload, from 1.
        line: usize,
        /// Column in that line, from 1; 0 where the line is empty.
        column: usize,
    },
    /// A field without which the interaction means nothing.
    #[error("the payload has no `{0}`")]
    Missing(&'static str),
}

/// One thing that a person did in Slack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interaction {
    /// `block_actions`: a button or another element was used.
    Click(Click),
    /// `view_submission`: a modal was submitted.
    Submission(Submission),
    /// `view_closed`: a modal was closed without being submitted.
    Closing(Closing),
    /// A kind that this crate does not know.
    Unknown(UnknownKind),
}

impl Interaction {
    /// The app and workspace that it came through.
    #[must_use]
    pub const fn via(&self) -> &Via {
        match self {
            Self::Click(click) => &click.via,
            Self::Submission(submission) => &submission.via,
            Self::Closing(closing) => &closing.via,
            Self::Unknown(unknown) => &unknown.via,
        }
    }

    /// Slack's one-use key for opening a modal, unique to this interaction.
    #[must_use]
    pub fn trigger_id(&self) -> Option<&str> {
        match self {
            Self::Click(click) => Some(&click.trigger_id),
            Self::Submission(submission) => submission.trigger_id.as_deref(),
            Self::Closing(_) | Self::Unknown(_) => None,
        }
    }

    /// Notes how it came.
    pub(crate) fn came_by(&mut self, delivery: Delivery) {
        match self {
            Self::Click(click) => click.delivery = Some(delivery),
            Self::Submission(submission) => submission.delivery = Some(delivery),
            Self::Closing(closing) => closing.delivery = Some(delivery),
            Self::Unknown(_) => {}
        }
    }
}

/// The app and the workspace through which an interaction came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Via {
    /// The app's id, `A…`.
    pub app_id: Option<String>,
    /// The workspace, `T…`; absent where the app is installed for a whole organization.
    pub team_id: Option<String>,
    /// The organization, `E…`.
    pub enterprise_id: Option<String>,
    /// Whether the app is installed for the organization and not for one workspace.
    pub org_install: bool,
}

/// Who acted. Only the ids identify; the name is for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Person {
    /// `U…` or `W…`.
    pub id: String,
    /// The workspace that the person belongs to: in a shared channel not always ours.
    pub team_id: Option<String>,
    /// What Slack calls them; can be chosen freely, may be absent.
    pub name: Option<String>,
}

/// Whether a person belongs to the workspace that the app is installed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be decided on")]
pub enum Membership {
    /// The same workspace.
    Ours,
    /// Another one: somebody from outside, in a shared channel.
    Foreign,
    /// Slack did not say, so nobody may conclude anything.
    Unknown,
}

impl Person {
    /// Whether the person belongs to the workspace `team_id`.
    #[must_use]
    pub fn membership_in(&self, team_id: &str) -> Membership {
        match &self.team_id {
            Some(theirs) if theirs == team_id => Membership::Ours,
            Some(_) => Membership::Foreign,
            None => Membership::Unknown,
        }
    }
}

/// An element was used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Click {
    /// Who.
    pub person: Person,
    /// Through which installation.
    pub via: Via,
    /// Opens one modal, once, within three seconds.
    pub trigger_id: String,
    /// On what.
    pub place: Place,
    /// With which element.
    pub action: Action,
    /// Further elements in the same payload; Slack sends one at a time today.
    pub more_actions: Vec<Action>,
    /// How it came; none where it was read and no intake has taken it.
    pub delivery: Option<Delivery>,
}

/// Where an element stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In a message.
    Message {
        /// `C…`, `G…` or `D…`.
        channel_id: String,
        /// The message's timestamp, which is its id within the channel.
        message_ts: String,
        /// The parent of the thread that the message is in.
        thread_ts: Option<String>,
        /// Whether only the clicker sees it.
        is_ephemeral: bool,
    },
    /// In a modal or another view.
    View(View),
    /// Somewhere that this crate does not know.
    Unknown {
        /// Slack's name for it; empty if it gave none.
        kind: String,
    },
}

/// An element that was used. `value` comes back as it was written into the message, which may be
/// long ago: it says where to look, never what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Action {
    /// Names the action within its block.
    pub action_id: String,
    /// The block that the element is in.
    pub block_id: Option<String>,
    /// Slack's name for the element, such as `button`.
    pub kind: Option<String>,
    /// A button's value.
    pub value: Option<String>,
    /// A select menu's choice; absent when nothing is selected.
    pub selected: Option<String>,
    /// When it was used, by Slack's clock, as a timestamp in Slack's notation.
    pub action_ts: Option<String>,
}

/// A modal was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submission {
    /// Who.
    pub person: Person,
    /// Through which installation.
    pub via: Via,
    /// Opens one modal, once, within three seconds.
    pub trigger_id: Option<String>,
    /// The modal, with what was typed into it.
    pub view: View,
    /// How it came; none where it was read and no intake has taken it.
    pub delivery: Option<Delivery>,
}

/// A modal was closed without being submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closing {
    /// Who.
    pub person: Person,
    /// Through which installation.
    pub via: Via,
    /// The modal; with `whole_stack` the root one. What was typed is not told.
    pub view: View,
    /// Whether every modal of the stack was closed at once.
    pub whole_stack: bool,
    /// How it came; none where it was read and no intake has taken it.
    pub delivery: Option<Delivery>,
}

/// An interaction of a kind that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownKind {
    /// Slack's name for it.
    pub kind: String,
    /// Through which installation.
    pub via: Via,
}

/// A modal as Slack hands it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// `V…`.
    pub id: String,
    /// Names the modal's purpose.
    pub callback_id: Option<String>,
    /// What was put into it when it was opened: says where to look, never what is allowed.
    pub private_metadata: Option<String>,
    /// Names the state that was seen, for a conditional update.
    pub hash: Option<String>,
    /// Our own id for it, unique in the workspace.
    pub external_id: Option<String>,
    /// The bottom of its stack.
    pub root_view_id: Option<String>,
    /// The inputs, by block and by action.
    pub inputs: Inputs,
}

/// What was entered into a modal, by `block_id` and `action_id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs(pub(crate) BTreeMap<String, BTreeMap<String, Input>>);

impl Inputs {
    /// One input.
    #[must_use]
    pub fn input(&self, block_id: &str, action_id: &str) -> Option<&Input> {
        self.0.get(block_id)?.get(action_id)
    }

    /// What was typed into a text input; absent if there is no such input or it was left empty.
    #[must_use]
    pub fn text(&self, block_id: &str, action_id: &str) -> Option<&str> {
        match self.input(block_id, action_id)? {
            Input::Text(text) => text.as_deref(),
            Input::Chosen(_) | Input::Unknown => None,
        }
    }

    /// What was chosen in a menu, or ticked; nothing if there is no such input.
    #[must_use]
    pub fn chosen(&self, block_id: &str, action_id: &str) -> &[String] {
        match self.input(block_id, action_id) {
            Some(Input::Chosen(values)) => values,
            Some(Input::Text(_) | Input::Unknown) | None => &[],
        }
    }

    /// The blocks that have an input.
    pub fn block_ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The content of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A text input; `None` when it was left empty.
    Text(Option<String>),
    /// What was chosen in a menu, among radio buttons or check boxes: values and ids.
    Chosen(Vec<String>),
    /// An element that this crate does not know.
    Unknown,
}

#[cfg(test)]
mod tests;
