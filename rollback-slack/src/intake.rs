//! Where every interaction passes, whichever way it came: is it for us, is it new, whose is it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::counters::Counters;
use crate::delivery::{By, Delivery};
use crate::interactivity::Response;
use crate::payload::{Click, Closing, Interaction, Submission, Via, parse};
use crate::replay::{Key, ReplayMemory, Sight};
use crate::{Json, UnixSeconds};

/// What the host does with interactions.
///
/// Slack waits three seconds from when *it* sent the request, and a modal can be opened only as
/// long; therefore every method answers at once, from memory, and spawns whatever is slow. Returning
/// the acknowledgement is the only way to give one, so it is given exactly once.
///
/// An id that is not yours is `NotOurs`: it is counted and answered 200, since several handlers may
/// share one Slack app and an error would be shown to the person who clicked. So is a button that
/// only opens a link, which Slack reports like any other.
pub trait Interactions: Send + Sync + 'static {
    /// A button or another element was used.
    fn clicked(&self, click: Click) -> ClickAck;

    /// A modal was submitted. The modal can be closed, changed or given errors only here.
    fn submitted(&self, submission: Submission) -> SubmissionAck;

    /// A modal was closed without being submitted.
    fn closed(&self, closing: Closing) -> ClosingAck;
}

/// The acknowledgement of a click: Slack has only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum ClickAck {
    /// Received; what follows happens elsewhere.
    Taken,
    /// No such action here.
    NotOurs,
    /// So much waits to be done that this is not taken. Slack shows the person that it did not work.
    Busy,
}

/// The acknowledgement of a submitted modal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum SubmissionAck {
    /// Closes this modal and shows the one below it, if any.
    Close,
    /// Closes the whole stack.
    CloseAll,
    /// Leaves the modal open, with texts at its inputs.
    Errors(FieldErrors),
    /// Shows another view in its place.
    Update(Json),
    /// Puts another view on top of it; three is the most.
    Push(Json),
    /// No such modal here.
    NotOurs,
}

/// The acknowledgement of a closed modal: Slack has only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum ClosingAck {
    /// Received.
    Taken,
    /// No such modal here.
    NotOurs,
}

/// Texts shown at the inputs of a modal: at least one, each at an *input* block of that modal
/// (another `block_id` makes Slack tell the person that something went wrong).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldErrors(BTreeMap<String, String>);

impl FieldErrors {
    /// One text at the input block `block_id`.
    #[must_use]
    pub fn at(block_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self(BTreeMap::from([(block_id.into(), text.into())]))
    }

    /// One more.
    #[must_use]
    pub fn and(mut self, block_id: impl Into<String>, text: impl Into<String>) -> Self {
        self.0.insert(block_id.into(), text.into());
        self
    }
}

/// Which app and which installations are accepted, checked on every interaction.
///
/// A signature proves the app's secret only; one app may be installed in many workspaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    app_id: Option<String>,
    team_ids: BTreeSet<String>,
    enterprise_ids: BTreeSet<String>,
}

impl Accepted {
    /// Whatever the signing secret proves: right for an app of a single workspace.
    #[must_use]
    pub const fn any() -> Self {
        Self { app_id: None, team_ids: BTreeSet::new(), enterprise_ids: BTreeSet::new() }
    }

    /// Only this app.
    #[must_use]
    pub fn app(app_id: impl Into<String>) -> Self {
        Self { app_id: Some(app_id.into()), ..Self::any() }
    }

    /// Only the installation in this workspace, and others that are named.
    #[must_use]
    pub fn team(mut self, team_id: impl Into<String>) -> Self {
        self.team_ids.insert(team_id.into());
        self
    }

    /// Only the installation in this organization, and others that are named.
    #[must_use]
    pub fn enterprise(mut self, enterprise_id: impl Into<String>) -> Self {
        self.enterprise_ids.insert(enterprise_id.into());
        self
    }

    fn accepts(&self, via: &Via) -> bool {
        let app = self.app_id.is_none() || self.app_id == via.app_id;
        let anywhere = self.team_ids.is_empty() && self.enterprise_ids.is_empty();
        let named = |ids: &BTreeSet<String>, id: &Option<String>| {
            id.as_ref().is_some_and(|id| ids.contains(id))
        };
        app && (anywhere
            || named(&self.team_ids, &via.team_id)
            || named(&self.enterprise_ids, &via.enterprise_id))
    }
}

/// Checks every interaction, hands it on once, and counts. One for the whole process, shared by
/// HTTP and all Socket Mode connections.
///
/// The memory against repeats is this process's own, and the first look. What all replicas remember
/// is asked behind the acknowledgement, by the [`Delivery`] that each interaction carries: see
/// [`Commands::receive`](rollback_core::ports::Commands::receive).
#[derive(Debug)]
pub struct Intake<H> {
    accepted: Accepted,
    handler: H,
    replays: ReplayMemory,
    counters: Arc<Counters>,
}

/// Why a payload was not handed on. Already counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    Unreadable,
    Foreign,
}

/// What goes back to Slack.
#[derive(Debug)]
pub(crate) enum Ack {
    Empty,
    Busy,
    Respond(Response),
}

impl<H: Interactions> Intake<H> {
    /// Takes what is accepted, and who gets it.
    #[must_use]
    pub fn new(accepted: Accepted, handler: H) -> Self {
        Self { accepted, handler, replays: ReplayMemory::new(), counters: Arc::default() }
    }

    /// The counts so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who gets the interactions.
    #[must_use]
    pub const fn handler(&self) -> &H {
        &self.handler
    }

    /// Hands a payload on whose origin is proved, by its signature or by the socket.
    pub(crate) fn take(&self, payload: &str, by: By, now: UnixSeconds) -> Result<Ack, Rejected> {
        let mut interaction = parse(payload).map_err(|error| {
            self.counters.bad_payloads();
            tracing::warn!(%error, "an interaction was not accepted");
            Rejected::Unreadable
        })?;
        if !self.accepted.accepts(interaction.via()) {
            self.counters.foreign();
            tracing::warn!("an interaction for another app or workspace was not accepted");
            return Err(Rejected::Foreign);
        }
        let trigger = interaction.trigger_id().map(Key::Trigger);
        match self.replays.see(&[Some(by.key()), trigger], now) {
            Sight::Repeat => {
                self.counters.repeats();
                return Ok(Ack::Empty);
            }
            Sight::First { forgotten } => {
                (0..forgotten).for_each(|_| self.counters.forgotten_early());
            }
        }
        let delivery = Delivery::new(by, interaction.trigger_id(), now, &self.counters);
        interaction.came_by(delivery);
        Ok(self.dispatch(interaction))
    }

    fn dispatch(&self, interaction: Interaction) -> Ack {
        match interaction {
            Interaction::Click(click) => {
                self.counters.clicks();
                match self.handler.clicked(click) {
                    ClickAck::Taken => Ack::Empty,
                    ClickAck::NotOurs => self.not_ours(),
                    ClickAck::Busy => {
                        self.counters.busy();
                        Ack::Busy
                    }
                }
            }
            Interaction::Submission(submission) => {
                self.counters.submissions();
                match self.handler.submitted(submission) {
                    SubmissionAck::Close => Ack::Empty,
                    SubmissionAck::CloseAll => Ack::Respond(Response::clear()),
                    SubmissionAck::Errors(FieldErrors(errors)) => {
                        Ack::Respond(Response::errors(errors))
                    }
                    SubmissionAck::Update(view) => Ack::Respond(Response::update(view)),
                    SubmissionAck::Push(view) => Ack::Respond(Response::push(view)),
                    SubmissionAck::NotOurs => self.not_ours(),
                }
            }
            Interaction::Closing(closing) => {
                self.counters.closings();
                match self.handler.closed(closing) {
                    ClosingAck::Taken => Ack::Empty,
                    ClosingAck::NotOurs => self.not_ours(),
                }
            }
            Interaction::Unknown(_) => {
                self.counters.unknown_kinds();
                Ack::Empty
            }
        }
    }

    fn not_ours(&self) -> Ack {
        self.counters.not_ours();
        Ack::Empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_accepted_if_it_is_of_the_app_and_named_where_any_is_named() {
        let app = || Accepted::app("A1");
        let (any, team, org) = (Accepted::any(), app().team("T1"), app().enterprise("E1"));
        let both = app().team("T1").enterprise("E1");
        let installations = [
            ("A1", Some("T1"), None),
            ("A1", None, Some("E1")),
            ("A1", Some("T1"), Some("E1")),
            ("A1", Some("T9"), None),
            ("A1", None, Some("E9")),
            ("A9", Some("T1"), Some("E1")),
            ("A1", None, None),
        ];
        for (accepted, expected) in [
            (any, [true; 7]),
            (app(), [true, true, true, true, true, false, true]),
            (team, [true, false, true, false, false, false, false]),
            (org, [false, true, true, false, false, false, false]),
            (both, [true, true, true, false, false, false, false]),
        ] {
            let seen = installations.map(|(app, team, organization)| {
                accepted.accepts(&Via {
                    app_id: Some(app.to_owned()),
                    team_id: team.map(str::to_owned),
                    enterprise_id: organization.map(str::to_owned),
                    org_install: team.is_none(),
                })
            });
            assert_eq!(seen, expected, "{accepted:?}");
        }
    }
}
