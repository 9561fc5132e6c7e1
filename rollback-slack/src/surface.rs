//! Where a click becomes a command: every interaction is acknowledged at once, and what is slow
//! happens behind it. Nothing is decided here; a surface only says who did what on which button.

mod asks;
mod modal;
mod once;
mod settling;
mod tell;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::notice::MessageRef;
use rollback_core::ports::{self, Button, ClickedOn, Clock, CommandError, Commands, Consent};
use rollback_core::{DeployId, Label, Reason, RollbackId, RollbackView, StateName};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::asks::{Asks, asks, channel_of, message_of};
use self::modal::Modal;
use self::once::Received;
use crate::client::WebApi;
use crate::delivery::Delivery;
use crate::intake::{ClickAck, ClosingAck, FieldErrors, Interactions, SubmissionAck};
use crate::payload::{Click, Closing, Submission};
use crate::views::{
    ACKNOWLEDGE, APPROVE, CANCEL, CHANGES, CONFIRM, DeployButton, Memo, OPEN, REASON_ACTION,
    REASON_BLOCK, REJECT, RELEASE, RollbackButton, SETTLE, checking_modal, loading_modal,
};
use crate::{drawn, notifier};

/// How long a request may take to be found new, and a click to be recorded besides, before the
/// modal's trigger is too old to use.
const CLICK_MAX: Duration = Duration::from_millis(1_500);

/// How long somebody who pressed a button of a message waits without a word.
const QUIET_MAX: Duration = Duration::from_secs(3);

/// What they are told then.
const STILL_CHECKING: &str = "Still checking whether you may do this. Your click was received; do not \
     press again.";

/// Interactions that are acknowledged and not done yet: while our own store does not answer, each
/// waits for a second and a half, and then to be told.
const WAITING_MAX: usize = 1_000;

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
    /// The notifier that posts the messages whose buttons come here.
    notifier: &'static str,
    api: WebApi,
    clock: Arc<dyn Clock>,
    modals: Mutex<BTreeMap<RollbackId, Modal>>,
    tasks: TaskTracker,
}

impl Surface {
    /// Takes interactions to `commands`, and shows modals through `api`.
    #[must_use]
    pub fn new(commands: Arc<dyn Commands>, api: WebApi, clock: Arc<dyn Clock>) -> Self {
        Self::of(notifier::NAME, commands, api, clock)
    }

    /// The same for the buttons that the notifier of this name posts
    /// ([`SlackNotifier::named`](crate::SlackNotifier::named)).
    #[must_use]
    pub fn of(
        notifier: &'static str,
        commands: Arc<dyn Commands>,
        api: WebApi,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let modals = Mutex::new(BTreeMap::new());
        let tasks = TaskTracker::new();
        Self { shared: Arc::new(Shared { commands, notifier, api, clock, modals, tasks }) }
    }

    /// Takes no further interaction, and waits until everything that an acknowledged one asked for is
    /// recorded or told. Call it on shutdown, before the engine stops. Modals that are open are not
    /// waited for; they are brought up to date until the engine stops.
    ///
    /// Dropping the future stops only the waiting.
    pub async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// A place among those that wait. Whoever drains waits for it from here on, so that nothing is
    /// acknowledged that is not waited for.
    fn admit(&self) -> Result<TaskTrackerToken, NotAdmitted> {
        let place = self.shared.tasks.token();
        if self.shared.tasks.is_closed() {
            Err(NotAdmitted::Stopping)
        } else if self.shared.tasks.len() > WAITING_MAX {
            Err(NotAdmitted::Full)
        } else {
            Ok(place)
        }
    }

    /// Does behind the acknowledgement what a request asks for, unless it was taken before.
    fn once(
        &self,
        delivery: Delivery,
        tell: Option<Asks>,
        until: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            if shared.receives(&delivery, tell.as_ref(), until).await == Received::Now {
                work.await;
            }
        });
    }
}

/// Why an interaction is not taken.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NotAdmitted {
    #[error("too much waits to be done; nothing was changed; try again")]
    Full,
    #[error("the rollback service is restarting; nothing was changed; try again in a minute")]
    Stopping,
}

#[async_trait]
impl ports::Surface for Surface {
    async fn drain(&self) {
        Self::drain(self).await;
    }
}

impl Interactions for Surface {
    fn clicked(&self, click: Click) -> ClickAck {
        let Some(asks) = asks(&click.person, channel_of(&click.place)) else {
            return ClickAck::NotOurs;
        };
        let Some(delivery) = click.delivery else { return once::not_taken_in(ClickAck::NotOurs) };
        let Ok(_place) = self.admit() else { return ClickAck::Busy };
        let (shared, tell) = (Arc::clone(&self.shared), Some(asks.clone()));
        let (pressed_in, until) = (message_of(&click.place), Instant::now() + CLICK_MAX);
        let value = click.action.value.as_deref();
        match click.action.action_id.as_str() {
            OPEN => {
                let Ok(button) = DeployButton::parse(value) else {
                    tracing::warn!("the value of a rollback button is not ours; nothing was done");
                    return ClickAck::NotOurs;
                };
                self.once(delivery, tell, until, async move {
                    shared.open(button.deploy, pressed_in, asks, &click.trigger_id, until).await;
                });
                ClickAck::Taken
            }
            action @ (APPROVE | REJECT | CANCEL | RELEASE) => {
                let Some(button) = rollback_button(value) else { return ClickAck::NotOurs };
                let does = match action {
                    APPROVE => Says::Approve,
                    REJECT => Says::Reject,
                    RELEASE => Says::Release,
                    _cancel => Says::Withdraw,
                };
                self.once(delivery, tell, until, async move {
                    shared.say(does, &button.rollback, pressed_in, asks).await;
                });
                ClickAck::Taken
            }
            SETTLE => {
                let Some(button) = rollback_button(value) else { return ClickAck::NotOurs };
                self.once(delivery, tell, until, async move {
                    let trigger = click.trigger_id.as_str();
                    shared.ask_outcome(button.rollback, pressed_in, asks, trigger, until).await;
                });
                ClickAck::Taken
            }
            CHANGES => ClickAck::Taken,
            _of_another_handler => ClickAck::NotOurs,
        }
    }

    fn submitted(&self, submission: Submission) -> SubmissionAck {
        match submission.view.callback_id.as_deref() {
            Some(CONFIRM) => {}
            Some(SETTLE) => return self.settles(submission),
            Some(_) | None => return SubmissionAck::NotOurs,
        }
        let memo = Memo::parse(submission.view.private_metadata.as_deref());
        let (Ok(memo), Some(asks)) = (memo, asks(&submission.person, None)) else {
            tracing::warn!("a submitted modal is not ours; nothing was done");
            return SubmissionAck::NotOurs;
        };
        let refused = |text: String| SubmissionAck::Errors(FieldErrors::at(REASON_BLOCK, text));
        let Some(delivery) = submission.delivery else {
            return once::not_taken_in(SubmissionAck::NotOurs);
        };
        let _place = match self.admit() {
            Ok(place) => place,
            Err(why) => return refused(why.to_string()),
        };
        let Some(shown) = memo.shown else {
            return refused("this is still being checked; try again in a moment".into());
        };
        let given = submission.view.inputs.text(REASON_BLOCK, REASON_ACTION).unwrap_or_default();
        let reason = match Reason::parse(given) {
            Ok(reason) => reason,
            Err(error) => return refused(error.to_string()),
        };
        let ticked = submission.view.inputs.chosen(ACKNOWLEDGE, ACKNOWLEDGE);
        let modal = self.shared.modal(&memo.rollback);
        let warnings = modal.iter().flat_map(|modal| &modal.view.guards);
        let mut warnings = warnings.flat_map(|guard| &guard.acknowledge);
        if warnings.any(|warning| ticked.iter().all(|id| id != warning.id.as_str())) {
            let text = "tick each box, or press Cancel; nothing was changed";
            return SubmissionAck::Errors(FieldErrors::at(ACKNOWLEDGE, text));
        }
        let ticked = ticked.iter().map(|id| Label::new(id.as_str()));
        let consent = Consent::new(reason, shown).acknowledging(ticked);
        let asks = match &modal {
            Some(modal) if modal.asks.actor.is(&asks.actor) => modal.asks.clone(),
            Some(_) | None => asks,
        };
        let checking =
            modal.and_then(|Modal { view, .. }| drawn::modal(&view, || checking_modal(&view)));
        let (shared, until) = (Arc::clone(&self.shared), Instant::now() + CLICK_MAX);
        self.shared.tasks.spawn(async move {
            let taken = match shared.receives(&delivery, Some(&asks), until).await {
                Received::Now => shared.confirm(&memo.rollback, asks, consent).await,
                Received::Before => true,
                Received::Unknown => false,
            };
            if !taken {
                shared.ask_again(&memo.rollback, &submission.view.id).await;
            }
        });
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
        let Some(delivery) = closing.delivery else {
            return once::not_taken_in(ClosingAck::NotOurs);
        };
        let _place = match self.admit() {
            Ok(place) => place,
            Err(why) => {
                tracing::warn!(%why, "a closed modal was not taken; what it was about expires");
                return ClosingAck::Taken;
            }
        };
        let shared = Arc::clone(&self.shared);
        self.once(delivery, None, Instant::now() + CLICK_MAX, async move {
            shared.close(&memo.rollback, asks).await;
        });
        ClosingAck::Taken
    }
}

fn rollback_button(value: Option<&str>) -> Option<RollbackButton> {
    let button = RollbackButton::parse(value).ok();
    if button.is_none() {
        tracing::warn!("the value of a rollback button is not ours; nothing was done");
    }
    button
}

/// What somebody says to a rollback by a button.
#[derive(Clone, Copy, Debug)]
enum Says {
    Approve,
    Reject,
    Withdraw,
    Release,
}

impl Shared {
    /// Whether the button was pressed where we posted it: its value may have been copied.
    async fn is_ours(
        &self,
        button: &Button,
        pressed_in: Option<&MessageRef>,
    ) -> Result<(), CommandError> {
        match pressed_in {
            Some(message) => self.commands.pressed_in(button, self.notifier, message).await,
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
        until: Instant,
    ) {
        let clicked = async {
            self.is_ours(&Button::Open(deploy.clone()), pressed_in.as_ref()).await?;
            self.commands.click(&ClickedOn::Deploy(deploy), asks.actor.clone()).await
        };
        let view = match timeout_at(until, clicked).await {
            Ok(Ok(view)) => view,
            Ok(Err(error)) => return self.tell(&asks, &error).await,
            Err(_elapsed) => return self.tell(&asks, &once::too_late()).await,
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

    /// Whether it was taken; if not, whoever confirmed has been told why.
    async fn confirm(&self, id: &RollbackId, asks: Asks, consent: Consent) -> bool {
        match self.commands.confirm(id, asks.actor.clone(), consent).await {
            Ok(_view) => true,
            Err(error) => {
                self.tell(&asks, &error).await;
                false
            }
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
        tokio::pin!(said);
        let said = match tokio::time::timeout(QUIET_MAX, &mut said).await {
            Ok(said) => said,
            Err(_elapsed) => {
                self.whisper(&asks, STILL_CHECKING).await;
                said.await
            }
        };
        if let Err(error) = said {
            self.tell(&asks, &error).await;
        }
    }
}
