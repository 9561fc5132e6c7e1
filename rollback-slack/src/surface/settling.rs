//! From the button of a rollback whose outcome is unknown to what somebody says of it.

use std::sync::Arc;

use rollback_core::notice::MessageRef;
use rollback_core::ports::Button;
use rollback_core::{Outcome, Reason, RollbackId};
use tokio::time::{Instant, timeout_at};

use super::{Asks, CLICK_MAX, Received, Shared, Surface, asks, once};
use crate::drawn;
use crate::intake::{FieldErrors, SubmissionAck};
use crate::payload::Submission;
use crate::views::{Memo, OUTCOME, REASON_ACTION, REASON_BLOCK, settle_modal, settling_modal};

impl Surface {
    /// A submitted settlement: taken in at once, and recorded behind the acknowledgement.
    pub(super) fn settles(&self, submission: Submission) -> SubmissionAck {
        let memo = Memo::parse(submission.view.private_metadata.as_deref());
        let (Ok(memo), Some(asks)) = (memo, asks(&submission.person, None)) else {
            tracing::warn!("a submitted modal is not ours; nothing was done");
            return SubmissionAck::NotOurs;
        };
        let refused = |block, text: &str| SubmissionAck::Errors(FieldErrors::at(block, text));
        let Some(delivery) = submission.delivery else {
            return once::not_taken_in(SubmissionAck::NotOurs);
        };
        let _place = match self.admit() {
            Ok(place) => place,
            Err(why) => return refused(REASON_BLOCK, &why.to_string()),
        };
        let inputs = &submission.view.inputs;
        let chosen = inputs.chosen(OUTCOME, OUTCOME);
        let Some(outcome) = chosen.first().and_then(|name| Outcome::parse(name)) else {
            return refused(OUTCOME, "choose what became of it; nothing was recorded");
        };
        let finding = match Reason::parse(inputs.text(REASON_BLOCK, REASON_ACTION).unwrap_or("")) {
            Ok(finding) => finding,
            Err(error) => return refused(REASON_BLOCK, &error.to_string()),
        };
        let (shared, until) = (Arc::clone(&self.shared), Instant::now() + CLICK_MAX);
        let (view_id, settling) = (submission.view.id, settling_modal(&memo.rollback));
        self.shared.tasks.spawn(async move {
            let said = (outcome, finding);
            match shared.receives(&delivery, Some(&asks), until).await {
                Received::Now => shared.settle(&memo.rollback, asks, said, &view_id).await,
                Received::Before => {}
                Received::Unknown => shared.show_settling(&memo.rollback, &view_id).await,
            }
        });
        settling.map_or(SubmissionAck::CloseAll, SubmissionAck::Update)
    }
}

impl Shared {
    /// The modal that asks what became of it, while its trigger lives.
    pub(super) async fn ask_outcome(
        &self,
        id: RollbackId,
        pressed_in: Option<MessageRef>,
        asks: Asks,
        trigger_id: &str,
        until: Instant,
    ) {
        let looked_up = async {
            self.is_ours(&Button::Settle(id.clone()), pressed_in.as_ref()).await?;
            self.commands.view(&id).await
        };
        let view = match timeout_at(until, looked_up).await {
            Ok(Ok(view)) => view,
            Ok(Err(error)) => return self.tell(&asks, &error).await,
            Err(_elapsed) => return self.tell(&asks, &once::too_late()).await,
        };
        let Some(modal) = drawn::modal(&view, || settle_modal(&view)) else { return };
        if let Err(error) = self.api.open_view(trigger_id, &modal).await {
            tracing::warn!(%error, rollback = %id, "the modal could not be opened");
            let text =
                "Slack did not open the window in time. Nothing was changed. Please click again.";
            self.whisper(&asks, text).await;
        }
    }

    async fn settle(
        &self,
        id: &RollbackId,
        asks: Asks,
        (outcome, finding): (Outcome, Reason),
        view_id: &str,
    ) {
        if let Err(error) = self.commands.settle(id, asks.actor.clone(), outcome, finding).await {
            self.tell(&asks, &error).await;
        }
        self.show_settling(id, view_id).await;
    }

    /// How it stands now: settled, or the question once more. Who may not is told so in private.
    async fn show_settling(&self, id: &RollbackId, view_id: &str) {
        match self.commands.view(id).await {
            Ok(view) => {
                if let Some(modal) = drawn::modal(&view, || settle_modal(&view)) {
                    self.redraw(view_id, &modal).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, rollback = %id, "a modal is no longer brought up to date");
            }
        }
    }
}
