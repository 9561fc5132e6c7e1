//! The modal that somebody looks at: brought up to date while its rollback goes on.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use rollback_core::notice::DeployCard;
use rollback_core::{RollbackId, RollbackView, StateName};

use super::{Asks, Shared};
use crate::client::OpenView;
use crate::views::{Backdrop, confirm_modal};
use crate::{Json, drawn};

/// Modals that are remembered at once. The oldest is forgotten first; it then closes on submit
/// instead of saying that it checks.
const MODALS_MAX: usize = 1_000;

/// A modal somebody looks at.
#[derive(Clone, Debug)]
pub(super) struct Modal {
    pub(super) asks: Asks,
    card: Option<DeployCard>,
    pub(super) view: RollbackView,
}

impl Shared {
    /// Keeps a modal at the state of its rollback until there is nothing more to say in it.
    pub(super) async fn follow(
        &self,
        opened: OpenView,
        asks: Asks,
        card: Option<DeployCard>,
        mut view: RollbackView,
    ) {
        let (id, view_id) = (view.id.clone(), opened.id);
        self.remember(Modal { asks, card: card.clone(), view: view.clone() });
        let mut shown: Option<Json> = None;
        loop {
            if has_something_to_show(&view) {
                let Some(modal) = self.drawn(&view, card.as_ref()) else { break };
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
    pub(super) async fn redraw(&self, view_id: &str, modal: &Json) -> bool {
        match self.api.update_view(view_id, None, modal).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "a modal was not brought up to date: it is closed, or Slack does not answer");
                false
            }
        }
    }

    pub(super) fn drawn(&self, view: &RollbackView, card: Option<&DeployCard>) -> Option<Json> {
        let backdrop = Backdrop::new(card, self.clock.now());
        drawn::modal(view, || confirm_modal(view, backdrop))
    }

    /// Puts the question back into a modal that says that the answer is being checked.
    pub(super) async fn ask_again(&self, id: &RollbackId, view_id: &str) {
        let Some(modal) = self.modal(id) else { return };
        if let Some(question) = self.drawn(&modal.view, modal.card.as_ref()) {
            self.redraw(view_id, &question).await;
        }
    }

    pub(super) fn modal(&self, id: &RollbackId) -> Option<Modal> {
        self.lock().get(id).cloned()
    }

    pub(super) fn remember(&self, modal: Modal) {
        let mut modals = self.lock();
        if modals.len() >= MODALS_MAX {
            // Rollback ids grow with time, so that the first one is the oldest.
            modals.pop_first();
        }
        modals.insert(modal.view.id.clone(), modal);
    }

    pub(super) fn update_memory(&self, view: &RollbackView) {
        if let Some(modal) = self.lock().get_mut(&view.id) {
            modal.view = view.clone();
        }
    }

    pub(super) fn forget(&self, id: &RollbackId) {
        self.lock().remove(id);
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RollbackId, Modal>> {
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
