//! What one step collects while a state decides.

use crate::access::{
    Denial, Duty, RULE_ACKNOWLEDGED, RULE_FOUR_EYES, RULE_ORDERED, RULE_OWN_CONFIRMATION, Route,
};
use crate::audit::{Draft, Kind, Template};
use crate::event::{Audience, Effect, Line, Progress, Receipt};
use crate::guard::Report;
use crate::id::{Label, Reason, UserId};
use crate::journal::{Opening, draft_id};
use crate::machine::{Declined, Disposition, Ignored, State};
use crate::model::Actor;
use crate::observed::{ExpectedDuration, Facts};
use crate::time::Timestamp;
use crate::view::{Purpose, PutAside, SettledBy};
use crate::words;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::Serialize;

/// What views show, besides what is remembered from state to state: who asked, the last report, whether
/// an order was given, whether it is quarantined. No order rests on any of it: that needs the proofs.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Notes {
    pub(crate) requested_by: Option<Actor>,
    pub(crate) rule: Option<Label>,
    pub(crate) break_glass: bool,
    pub(crate) reason: Option<Reason>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) acknowledged: Vec<Label>,
    pub(crate) approved_by: Vec<Actor>,
    pub(crate) report: Option<Report>,
    pub(crate) not_undone: Vec<String>,
    pub(crate) expected: Option<Duration>,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) progress: Option<Progress>,
    pub(crate) explanation: String,
    pub(crate) who_may: Vec<Label>,
    pub(crate) ordered: bool,
    pub(crate) ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) put_aside: Option<PutAside>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) settlement: Option<SettledBy>,
}

/// What a state made of an event.
pub(crate) type Next = (State, Disposition);

/// One step under way.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) opening: &'a Opening,
    pub(crate) notes: &'a mut Notes,
    pub(crate) deadline: &'a mut Option<Timestamp>,
    pub(crate) now: Timestamp,
    pub(crate) step: u64,
    pub(crate) effects: Vec<Effect>,
    pub(crate) drafts: Vec<Draft>,
}

/// The event changed nothing and says nothing.
pub(crate) const fn ignore(state: State, why: Ignored) -> Next {
    (state, Disposition::Ignored(why))
}

impl Turn<'_> {
    /// Moves on to a state that waits at most this long.
    pub(crate) fn wait(&mut self, state: State, within: Duration) -> Next {
        *self.deadline = Some(self.now.after(within));
        (state, Disposition::Applied)
    }

    /// Moves on to an end.
    pub(crate) fn end(&mut self, state: State, explanation: String) -> Next {
        self.has_ended(explanation);
        (state, Disposition::Applied)
    }

    /// Notes that it ends with this step.
    pub(crate) fn has_ended(&mut self, explanation: String) {
        *self.deadline = None;
        self.notes.explanation = explanation;
        self.notes.ended_at = Some(self.now);
        self.notes.put_aside = None;
    }

    /// Stays in the same state after something worth keeping happened.
    #[expect(clippy::unused_self, reason = "reads like its siblings at the call")]
    pub(crate) const fn stay(&self, state: State) -> Next {
        (state, Disposition::Applied)
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn tell(&mut self, audience: Audience) {
        self.effects.push(Effect::Tell(audience));
    }

    pub(crate) fn line(&mut self, line: Line) {
        self.tell(Audience::Thread(line));
    }

    pub(crate) fn privately(&mut self, to: &UserId, text: String) {
        self.tell(Audience::Privately { to: to.clone(), text });
    }

    /// Somebody acted: on record with the rule that let them, and told to whoever is on call where
    /// only the emergency group's did.
    pub(crate) fn acted(
        &mut self,
        draft: Draft,
        actor: &Actor,
        duty: Duty,
        (route, rule): (Route, &str),
    ) {
        let mut draft = draft.by(actor);
        draft.decision.get_or_insert_with(|| words::decision(rule, None));
        self.audit(draft);
        self.page(actor, duty, route);
    }

    /// Tells whoever is on call of an act through the emergency group.
    pub(crate) fn page(&mut self, actor: &Actor, duty: Duty, route: Route) {
        match route {
            Route::Ownership => {}
            Route::BreakGlass => self.tell(Audience::BreakGlass { by: actor.clone(), duty }),
        }
    }

    /// Brings the approvers' request up to date, where there was one.
    pub(crate) fn tell_approvers(&mut self) {
        if self.opening.policy.approvals_min > 0 {
            self.tell(Audience::Approvers);
        }
    }

    /// A draft about what happens in this step; [`Self::audit`] keeps it.
    pub(crate) fn draft(&self, kind: Kind) -> Draft {
        let Opening { id, plan, deployer, backend, purpose, .. } = self.opening;
        let template = Template {
            operation_id: id,
            key: plan.key(),
            from: plan.from(),
            to: plan.to(),
            deployer: deployer.as_ref(),
            backend,
            drill: *purpose == Purpose::Drill,
        };
        let mut draft = template.draft(kind, self.now, draft_id(id, self.step, self.drafts.len()));
        draft.reason.clone_from(&self.notes.reason);
        draft.executed(&backend.name, self.notes.receipt.as_ref())
    }

    pub(crate) fn audit(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    pub(crate) fn audit_report(&mut self, kind: Kind, explanation: &str) {
        let draft = self.report(kind, explanation);
        self.audit(draft);
    }

    fn report(&self, kind: Kind, explanation: &str) -> Draft {
        let mut draft = self.draft(kind);
        draft.guards = self.notes.report.as_ref().map(Report::views).unwrap_or_default();
        draft.acknowledged.clone_from(&self.notes.acknowledged);
        draft.actor = self.notes.requested_by.as_ref().map(Into::into);
        draft.decision = self.notes.rule.as_ref().map(|rule| words::decision(rule.as_str(), None));
        draft.explanation = Some(explanation.into());
        draft
    }

    /// The record of intent names the policy that let the order be given.
    pub(crate) fn audit_intent(&mut self, explanation: &str) {
        let mut draft = self.report(Kind::Triggered, explanation);
        draft.decision = Some(words::under_policy(&self.opening.policy));
        self.audit(draft);
    }

    /// Turns somebody away: told, recorded, and the rollback stays as it is.
    pub(crate) fn deny(
        &mut self,
        actor: &Actor,
        duty: Duty,
        denial: &Denial,
        rule: &str,
    ) -> String {
        let Opening { plan, policy, .. } = self.opening;
        let text = words::denied(plan.key(), duty, denial, &policy.access);
        let mut draft = self.draft(Kind::Denied).by(actor);
        draft.decision = Some(words::decision(rule, Some(denial)));
        draft.explanation = Some(text.clone());
        self.audit(draft);
        self.privately(&actor.id, text.clone());
        text
    }

    /// Declines an event: the state stays, and whoever sent it is told why.
    pub(crate) fn decline(&mut self, state: State, actor: &Actor, why: Declined) -> Next {
        let (rule, text) = match &why {
            Declined::NotEntitled { duty, denial, rule } => {
                self.deny(actor, *duty, denial, rule.as_str());
                return (state, Disposition::Declined(why));
            }
            Declined::OwnApproval => (RULE_FOUR_EYES, words::own_approval()),
            Declined::NotTheRequester => (RULE_OWN_CONFIRMATION, words::not_yours()),
            Declined::TooLate => (RULE_ORDERED, words::too_late_to_withdraw()),
            Declined::NotAcknowledged(warning) => {
                (RULE_ACKNOWLEDGED, words::not_acknowledged(warning))
            }
        };
        let mut draft = self.draft(Kind::Denied).by(actor);
        draft.decision = Some(words::denied_by(rule));
        draft.explanation = Some(text.clone());
        self.audit(draft);
        self.privately(&actor.id, text);
        (state, Disposition::Declined(why))
    }

    /// Keeps what the preview of the facts shows and no guard judges.
    pub(crate) fn note_preview(&mut self, facts: &Facts) {
        let Some(preflight) = facts.preflight.value() else { return };
        self.notes.not_undone.clone_from(&preflight.not_undone);
        self.notes.expected = preflight.expected.map(ExpectedDuration::duration);
    }
}
