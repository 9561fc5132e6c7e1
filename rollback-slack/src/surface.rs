//! Where a click becomes a command: every interaction is acknowledged at once, and what is slow
//! happens behind it. Nothing is decided here; a surface only says who did what on which button.

mod tell;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::notice::{DeployCard, MessageRef};
use rollback_core::ports::{Button, ClickedOn, Clock, CommandError, Commands};
use rollback_core::{
    Actor, ChannelId, DeployId, Label, Pair, Reason, RollbackId, RollbackView, StateName, UserId,
    WorkspaceId,
};
use tokio_util::task::TaskTracker;

use crate::Json;
use crate::client::{OpenView, WebApi};
use crate::intake::{ClickAck, ClosingAck, FieldErrors, Interactions, SubmissionAck};
use crate::payload::{Click, Closing, Person, Place, Submission};
use crate::views::{
    APPROVE, Backdrop, CANCEL, CHANGES, CONFIRM, DeployButton, Memo, OPEN, REASON_ACTION,
    REASON_BLOCK, REJECT, RELEASE, RollbackButton, checking_modal, confirm_modal, loading_modal,
};
use crate::{drawn, notifier};

/// How long a click may take to be recorded before the modal's trigger is too old to use.
const CLICK_MAX: Duration = Duration::from_millis(1_500);

/// Modals that are remembered at once. The oldest is forgotten first; it then closes on submit
/// instead of saying that it checks.
const MODALS_MAX: usize = 1_000;

/// Takes Slack's interactions to the engine.
///
/// ```
/// use rollback_core::ports::{Clock, Commands};
/// use rollback_slack::{Accepted, Intake, Surface, WebApi};
/// use std::sync::Arc;
///
/// fn intake(commands: Arc<dyn Commands>, api: WebApi, clock: Arc<dyn Clock>) -> Intake<Surface> {
///     Intake::new(Accepted::any(), Surface::new(commands, api, clock))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Surface {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Arc<dyn Commands>,
    api: WebApi,
    clock: Arc<dyn Clock>,
    modals: Mutex<BTreeMap<RollbackId, Modal>>,
    tasks: TaskTracker,
}

/// A modal somebody looks at.
#[derive(Clone, Debug)]
struct Modal {
    asks: Asks,
    view: RollbackView,
}

/// Who asked, and where they can be told in private.
#[derive(Clone, Debug)]
struct Asks {
    actor: Actor,
    channel: Option<String>,
}

impl Surface {
    /// Takes interactions to `commands`, and shows modals through `api`.
    #[must_use]
    pub fn new(commands: Arc<dyn Commands>, api: WebApi, clock: Arc<dyn Clock>) -> Self {
        let modals = Mutex::new(BTreeMap::new());
        let tasks = TaskTracker::new();
        Self { shared: Arc::new(Shared { commands, api, clock, modals, tasks }) }
    }

    /// Waits until everything that an acknowledged interaction asked for is recorded or told. Call
    /// it on shutdown, after the last request was taken and before the engine stops. Modals that
    /// are open are not waited for; they are brought up to date until the engine stops.
    pub async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn(work);
    }
}

impl Interactions for Surface {
    fn clicked(&self, click: Click) -> ClickAck {
        let Some(asks) = asks(&click.person, channel_of(&click.place)) else {
            return ClickAck::NotOurs;
        };
        let shared = Arc::clone(&self.shared);
        let pressed_in = message_of(&click.place);
        let value = click.action.value.as_deref();
        match click.action.action_id.as_str() {
            OPEN => {
                let Ok(button) = DeployButton::parse(value) else {
                    tracing::warn!("the value of a rollback button is not ours; nothing was done");
                    return ClickAck::NotOurs;
                };
                self.spawn(async move {
                    shared.open(button.deploy, pressed_in, asks, &click.trigger_id).await;
                });
                ClickAck::Taken
            }
            action @ (APPROVE | REJECT | CANCEL | RELEASE) => {
                let Ok(button) = RollbackButton::parse(value) else {
                    tracing::warn!("the value of a rollback button is not ours; nothing was done");
                    return ClickAck::NotOurs;
                };
                let does = match action {
                    APPROVE => Says::Approve,
                    REJECT => Says::Reject,
                    RELEASE => Says::Release,
                    _cancel => Says::Withdraw,
                };
                self.spawn(
                    async move { shared.say(does, &button.rollback, pressed_in, asks).await },
                );
                ClickAck::Taken
            }
            CHANGES => ClickAck::Taken,
            _of_another_handler => ClickAck::NotOurs,
        }
    }

    fn submitted(&self, submission: Submission) -> SubmissionAck {
        if submission.view.callback_id.as_deref() != Some(CONFIRM) {
            return SubmissionAck::NotOurs;
        }
        let memo = Memo::parse(submission.view.private_metadata.as_deref());
        let (Ok(memo), Some(asks)) = (memo, asks(&submission.person, None)) else {
            tracing::warn!("a submitted modal is not ours; nothing was done");
            return SubmissionAck::NotOurs;
        };
        let refused = |text: String| SubmissionAck::Errors(FieldErrors::at(REASON_BLOCK, text));
        let Some(shown) = memo.shown else {
            return refused("this is still being checked; try again in a moment".into());
        };
        let given = submission.view.inputs.text(REASON_BLOCK, REASON_ACTION).unwrap_or_default();
        let reason = match Reason::parse(given) {
            Ok(reason) => reason,
            Err(error) => return refused(error.to_string()),
        };
        let modal = self.shared.modal(&memo.rollback);
        let asks = match &modal {
            Some(modal) if modal.asks.actor.is(&asks.actor) => modal.asks.clone(),
            Some(_) | None => asks,
        };
        let checking =
            modal.and_then(|Modal { view, .. }| drawn::modal(&view, || checking_modal(&view)));
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.confirm(&memo.rollback, asks, reason, shown).await });
        checking.map_or(SubmissionAck::CloseAll, SubmissionAck::Update)
    }

    fn closed(&self, closing: Closing) -> ClosingAck {
        if closing.view.callback_id.as_deref() != Some(CONFIRM) {
            return ClosingAck::NotOurs;
        }
        let memo = Memo::parse(closing.view.private_metadata.as_deref());
        let (Ok(memo), Some(asks)) = (memo, asks(&closing.person, None)) else {
            return ClosingAck::NotOurs;
        };
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.close(&memo.rollback, asks).await });
        ClosingAck::Taken
    }
}

/// What somebody says to a rollback by a button.
#[derive(Clone, Copy, Debug)]
enum Says {
    Approve,
    Reject,
    Withdraw,
    Release,
}

fn asks(person: &Person, channel: Option<String>) -> Option<Asks> {
    let mut actor = Actor::new(UserId::parse(person.id.as_str()).ok()?);
    actor.name = person.name.as_deref().map(Label::new);
    actor.workspace = person.team_id.as_deref().and_then(|id| WorkspaceId::parse(id).ok());
    actor.channel = channel.as_deref().and_then(|id| id.parse().ok());
    Some(Asks { actor, channel })
}

fn channel_of(place: &Place) -> Option<String> {
    match place {
        Place::Message { channel_id, .. } => Some(channel_id.clone()),
        Place::View(_) | Place::Unknown { .. } => None,
    }
}

/// The message that an element stands in; what has no readable name is none of ours.
fn message_of(place: &Place) -> Option<MessageRef> {
    match place {
        Place::Message { channel_id, message_ts, .. } => {
            let channel = ChannelId::parse(channel_id.as_str()).ok()?;
            Some(MessageRef::new(channel, message_ts.as_str()))
        }
        Place::View(_) | Place::Unknown { .. } => None,
    }
}

impl Shared {
    /// Whether the button was pressed where we posted it: its value may have been copied.
    async fn is_ours(
        &self,
        button: &Button,
        pressed_in: Option<&MessageRef>,
    ) -> Result<(), CommandError> {
        match pressed_in {
            Some(message) => self.commands.pressed_in(button, notifier::NAME, message).await,
            None => Err(CommandError::Elsewhere),
        }
    }

    /// A click: record it, open the modal while its trigger lives, and fill it in as facts arrive.
    async fn open(
        self: Arc<Self>,
        deploy: DeployId,
        pressed_in: Option<MessageRef>,
        asks: Asks,
        trigger_id: &str,
    ) {
        let clicked = async {
            self.is_ours(&Button::Open(deploy.clone()), pressed_in.as_ref()).await?;
            self.commands.click(&ClickedOn::Deploy(deploy), asks.actor.clone()).await
        };
        let view = match tokio::time::timeout(CLICK_MAX, clicked).await {
            Ok(Ok(view)) => view,
            Ok(Err(error)) => return self.tell(&asks, &error).await,
            Err(_elapsed) => {
                let late = CommandError::NotRecorded("our own store did not answer in time".into());
                return self.tell(&asks, &late).await;
            }
        };
        let loading = || loading_modal(&view.key, &view.id, view.purpose);
        let Some(modal) = drawn::modal(&view, loading) else { return };
        let opened = match self.api.open_view(trigger_id, &modal).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, rollback = %view.id, "the modal could not be opened");
                return self.take_back(asks, &view).await;
            }
        };
        let card = match &view.deploy {
            Some(deploy) => self.commands.card(deploy).await.ok(),
            None => None,
        };
        // Not waited for on shutdown: it lasts as long as the rollback.
        tokio::spawn(async move { self.follow(opened, asks, card, view).await });
    }

    /// A click that nobody was shown a modal for is as if it had not been.
    async fn take_back(&self, asks: Asks, view: &RollbackView) {
        self.whisper(
            &asks,
            "Slack did not open the window in time. Nothing was changed. Please click again.",
        )
        .await;
        if let Err(error) = self.commands.withdraw(&view.id, asks.actor).await {
            tracing::warn!(%error, rollback = %view.id, "a click without a modal was not withdrawn; it expires");
        }
    }

    /// Keeps a modal at the state of its rollback until there is nothing more to say in it.
    async fn follow(
        &self,
        opened: OpenView,
        asks: Asks,
        card: Option<DeployCard>,
        mut view: RollbackView,
    ) {
        let (id, view_id) = (view.id.clone(), opened.id);
        self.remember(Modal { asks, view: view.clone() });
        let mut shown: Option<Json> = None;
        loop {
            if has_something_to_show(&view) {
                let backdrop = Backdrop::new(card.as_ref(), self.clock.now());
                let Some(modal) = drawn::modal(&view, || confirm_modal(&view, backdrop)) else {
                    break;
                };
                if shown.as_ref() != Some(&modal) && !self.redraw(&view_id, &modal).await {
                    break;
                }
                shown = Some(modal);
            }
            if view.state.is_end() {
                break;
            }
            match self.commands.changed(&id, view.steps).await {
                Ok(next) => view = next,
                Err(error) => {
                    tracing::warn!(%error, rollback = %id, "a modal is no longer brought up to date");
                    break;
                }
            }
            self.update_memory(&view);
        }
        self.forget(&id);
    }

    /// False when nobody looks at the modal any more.
    async fn redraw(&self, view_id: &str, modal: &Json) -> bool {
        match self.api.update_view(view_id, None, modal).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "a modal was not brought up to date: it is closed, or Slack does not answer");
                false
            }
        }
    }

    async fn confirm(&self, id: &RollbackId, asks: Asks, reason: Reason, shown: Pair) {
        if let Err(error) = self.commands.confirm(id, asks.actor.clone(), reason, shown).await {
            self.tell(&asks, &error).await;
        }
    }

    /// A closed modal withdraws what it was about, while that waits for its confirmation. Later it
    /// means nothing: a confirmed rollback is stopped only by its own button.
    async fn close(&self, id: &RollbackId, asks: Asks) {
        let waits = match self.commands.view(id).await {
            Ok(view) => matches!(view.state, StateName::Authorizing | StateName::Confirming),
            Err(error) => {
                tracing::warn!(%error, rollback = %id, "a closed modal was not looked up; it expires");
                false
            }
        };
        if waits && let Err(error) = self.commands.withdraw(id, asks.actor).await {
            tracing::warn!(%error, rollback = %id, "a closed modal was not withdrawn; it expires");
        }
        self.forget(id);
    }

    async fn say(&self, says: Says, id: &RollbackId, pressed_in: Option<MessageRef>, asks: Asks) {
        let said = async {
            let actor = asks.actor.clone();
            let button = match says {
                Says::Approve | Says::Reject => Button::Decide(id.clone()),
                Says::Withdraw => Button::Stop(id.clone()),
                Says::Release => Button::Release(id.clone()),
            };
            self.is_ours(&button, pressed_in.as_ref()).await?;
            match says {
                Says::Approve => self.commands.approve(id, actor).await,
                Says::Reject => self.commands.reject(id, actor).await,
                Says::Withdraw => self.commands.withdraw(id, actor).await,
                Says::Release => self.commands.release(id, actor).await,
            }
        };
        if let Err(error) = said.await {
            self.tell(&asks, &error).await;
        }
    }

    fn modal(&self, id: &RollbackId) -> Option<Modal> {
        self.lock().get(id).cloned()
    }

    fn remember(&self, modal: Modal) {
        let mut modals = self.lock();
        if modals.len() >= MODALS_MAX {
            // Rollback ids grow with time, so that the first one is the oldest.
            modals.pop_first();
        }
        modals.insert(modal.view.id.clone(), modal);
    }

    fn update_memory(&self, view: &RollbackView) {
        if let Some(modal) = self.lock().get_mut(&view.id) {
            modal.view = view.clone();
        }
    }

    fn forget(&self, id: &RollbackId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RollbackId, Modal>> {
        self.modals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While the facts are read, the modal says so already.
const fn has_something_to_show(view: &RollbackView) -> bool {
    match view.state {
        StateName::Proposed | StateName::Authorizing => false,
        StateName::Confirming => !view.guards.is_empty(),
        StateName::Approving
        | StateName::Checking
        | StateName::Recording
        | StateName::Triggering
        | StateName::Running
        | StateName::Verifying
        | StateName::Succeeded
        | StateName::Failed
        | StateName::NotVerified
        | StateName::Refused
        | StateName::Denied
        | StateName::Withdrawn
        | StateName::Expired
        | StateName::OutcomeUnknown => true,
    }
}
