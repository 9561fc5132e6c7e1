//! Proofs: each can be made only by the check it stands for, and owns the one before it. None can
//! be built, cloned or deserialized elsewhere; a restart replays the journal through the checks.
//!
//! `Authorized` inside [`Confirmed`] inside [`Approved`] inside [`GuardsPassed`] inside
//! [`Recorded`], and only from that an [`Order`].

#[cfg(feature = "relay")]
pub mod relay;

use crate::access::{Access, Denial, Duty, Moment, Route, Standing};
use crate::guard::{self, Explanation, Guard, Question, Report, confirmation_stale};
use crate::id::{Label, Reason, RollbackId, UserId};
use crate::model::{Actor, Pair, Plan};
use crate::observed::Facts;
use crate::policy::Policy;
use crate::time::Timestamp;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use core::time::Duration;
use serde::Serialize;

/// The actor may roll this plan back.
#[derive(Debug, Serialize)]
pub struct Authorized {
    rollback: RollbackId,
    plan: Plan,
    actor: Actor,
    person: Option<Label>,
    route: Route,
    rule: Label,
}

/// The authorized actor confirmed exactly this plan, gave a reason, and still may.
#[derive(Debug, Serialize)]
pub struct Confirmed {
    authorized: Authorized,
    reason: Reason,
    shown: Pair,
    at: Timestamp,
}

/// Somebody entitled, and not the one who asked, approved.
#[derive(Debug, Serialize)]
pub struct Vote {
    actor: Actor,
    person: Option<Label>,
}

/// Enough other people approved the confirmed plan.
#[derive(Debug, Serialize)]
pub struct Approved {
    confirmed: Confirmed,
    votes: Votes,
}

/// The approvals given so far, one for each human.
pub type Votes = BTreeMap<UserId, Vote>;

/// Every guard passed for the approved plan, on facts that are good until a moment.
#[derive(Debug, Serialize)]
pub struct GuardsPassed {
    approved: Approved,
    report: Report,
    valid_until: Timestamp,
}

/// The intent is in every audit log that must have it.
#[derive(Debug, Serialize)]
pub struct Recorded {
    passed: GuardsPassed,
    at: Timestamp,
}

/// Permission to act, once: the only thing a backend carries out. Its rollback id is the
/// idempotency key.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct Order {
    rollback: RollbackId,
    plan: Plan,
    requested_by: Actor,
    reason: Reason,
    issued_at: Timestamp,
    valid_until: Timestamp,
}

/// Who confirmed what, as it came from the modal.
#[derive(Clone, Debug, serde::Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Confirmation {
    /// Who confirmed.
    pub actor: Actor,
    /// What the directory says about them now.
    pub standing: Standing,
    /// Their reason.
    pub reason: Reason,
    /// Current and target as the modal showed them.
    pub shown: Pair,
}

impl Confirmation {
    /// Collects a confirmation.
    #[must_use]
    pub const fn new(actor: Actor, standing: Standing, reason: Reason, shown: Pair) -> Self {
        Self { actor, standing, reason, shown }
    }
}

/// Why a confirmation was not accepted.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a failed check hands the proof back by value")]
pub(crate) enum NotConfirmed {
    /// It came from somebody else; the wait goes on.
    Somebody(Authorized),
    /// They may no longer.
    Denied(Denial, Label),
    /// It was for another pair.
    Stale(Report),
}

impl Authorized {
    /// Checks that `actor` may ask for `plan`.
    pub(crate) fn check(
        policy: &Policy,
        rollback: &RollbackId,
        plan: &Plan,
        actor: Actor,
        standing: &Standing,
        now: Timestamp,
    ) -> Result<Self, (Actor, Denial, Label)> {
        let moment = Moment::new(now, policy.limits.directory_age_max);
        let decision = policy.access.decide(Duty::Request, &actor, standing, moment);
        let rule = Label::new(decision.rule);
        match decision.verdict {
            Ok(route) => Ok(Self {
                rollback: rollback.clone(),
                plan: plan.clone(),
                actor,
                person: standing.person().cloned(),
                route,
                rule,
            }),
            Err(denial) => Err((actor, denial, rule)),
        }
    }

    /// The plan it is about.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who may.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Why they may.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.route
    }

    /// By which rule.
    #[must_use]
    pub const fn rule(&self) -> &Label {
        &self.rule
    }

    /// Checks the actor once more against what the directory says now. The rule and the way in are
    /// those of this decision: an owner who is none any more may still come in through the
    /// emergency group, and that pages.
    fn again(
        &mut self,
        access: &Access,
        standing: &Standing,
        moment: Moment,
    ) -> Result<(), (Denial, Label)> {
        let decision = access.decide(Duty::Request, &self.actor, standing, moment);
        let rule = Label::new(decision.rule);
        match decision.verdict {
            Ok(route) => {
                self.route = route;
                self.rule = rule;
                if let Some(person) = standing.person() {
                    self.person = Some(person.clone());
                }
                Ok(())
            }
            Err(denial) => Err((denial, rule)),
        }
    }
}

impl Confirmed {
    /// Checks that the confirmation is the authorized actor's, that they still may, and that they
    /// saw this plan.
    pub(crate) fn check(
        policy: &Policy,
        mut authorized: Authorized,
        given: Confirmation,
        now: Timestamp,
    ) -> Result<Self, NotConfirmed> {
        if !authorized.actor.is(&given.actor) {
            return Err(NotConfirmed::Somebody(authorized));
        }
        let moment = Moment::new(now, policy.limits.fact_age_max);
        if let Err((denial, rule)) = authorized.again(&policy.access, &given.standing, moment) {
            return Err(NotConfirmed::Denied(denial, rule));
        }
        if given.shown != authorized.plan.pair() {
            let explanation = confirmation_stale(&authorized.plan, Some(&given.shown));
            let report = Report::blocked(Guard::ConfirmationCurrent, explanation);
            return Err(NotConfirmed::Stale(report));
        }
        Ok(Self { authorized, reason: given.reason, shown: given.shown, at: now })
    }

    /// Who confirmed.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.authorized.actor
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Why they still may, and by which rule.
    pub(crate) const fn by(&self) -> (Route, &Label) {
        (self.authorized.route, &self.authorized.rule)
    }

    fn is_same_human(&self, actor: &Actor, standing: &Standing) -> bool {
        let same_account = self.authorized.actor.id == actor.id;
        let same_person = match (&self.authorized.person, standing.person()) {
            (Some(asked), Some(approves)) => asked == approves,
            (None, _) | (_, None) => false,
        };
        same_account || same_person
    }
}

/// Why a vote does not count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoVote {
    /// Nobody approves their own rollback.
    Own,
    /// They may not approve.
    Denied(Denial, Label),
}

impl Vote {
    /// Checks that `actor` may approve, or reject, and is not the one who asked.
    pub(crate) fn check(
        policy: &Policy,
        confirmed: &Confirmed,
        actor: Actor,
        standing: &Standing,
        now: Timestamp,
    ) -> Result<Self, (Actor, NoVote)> {
        #[cfg(planted_bugs)]
        if crate::planted::is("approval-by-same-person") {
            return Ok(Self { actor, person: standing.person().cloned() });
        }
        if confirmed.is_same_human(&actor, standing) {
            return Err((actor, NoVote::Own));
        }
        let moment = Moment::new(now, policy.limits.fact_age_max);
        let decision = policy.access.decide(Duty::Approve, &actor, standing, moment);
        let rule = Label::new(decision.rule);
        match decision.verdict {
            Ok(_) => Ok(Self { actor, person: standing.person().cloned() }),
            Err(denial) => Err((actor, NoVote::Denied(denial, rule))),
        }
    }

    /// Who approved.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Counts the vote, unless the same human has voted already.
    pub(crate) fn count(self, votes: &mut Votes) -> bool {
        let again = votes.values().any(|vote| {
            vote.actor.id == self.actor.id || (self.person.is_some() && vote.person == self.person)
        });
        if !again {
            votes.insert(self.actor.id.clone(), self);
        }
        !again
    }
}

impl Approved {
    /// Checks that enough people approved. Only [`Vote`]s count.
    pub(crate) fn check(
        policy: &Policy,
        confirmed: Confirmed,
        votes: Votes,
    ) -> Result<Self, (Confirmed, Votes)> {
        if votes.len() >= usize::from(policy.approvals_min) {
            Ok(Self { confirmed, votes })
        } else {
            Err((confirmed, votes))
        }
    }

    /// The confirmation that was approved.
    #[must_use]
    pub const fn confirmed(&self) -> &Confirmed {
        &self.confirmed
    }
}

/// Why the guards did not let it through.
#[derive(Debug)]
pub(crate) enum NotPassed {
    /// The requester may no longer.
    Denied(Denial, Label),
    /// A guard stands in the way.
    Guards(Report),
}

impl GuardsPassed {
    /// Checks that the requester still may and that every guard passes now.
    pub(crate) fn check(
        policy: &Policy,
        mut approved: Approved,
        facts: &Facts,
        requester: &Standing,
        now: Timestamp,
    ) -> Result<Self, NotPassed> {
        let Confirmed { authorized, shown, .. } = &mut approved.confirmed;
        let fact_age_max = policy.limits.fact_age_max;
        let moment = Moment::new(now, fact_age_max);
        if let Err((denial, rule)) = authorized.again(&policy.access, requester, moment) {
            return Err(NotPassed::Denied(denial, rule));
        }
        let mut question = Question::new(&authorized.plan, policy, now);
        question.shown = Some(shown);
        question.asking = Some(&authorized.rollback);
        let report = guard::evaluate(&question, facts);
        #[cfg(planted_bugs)]
        if crate::planted::is("guards-only-before-confirmation") {
            return Ok(Self { approved, report, valid_until: now.after(fact_age_max) });
        }
        match facts.oldest() {
            Some(oldest) if report.passes() => {
                // A source whose clock is ahead makes nothing good for longer than now.
                let profile = requester.profile.observed_at().unwrap_or(now);
                let valid_until = oldest.min(profile).min(now).after(fact_age_max);
                Ok(Self { approved, report, valid_until })
            }
            Some(_) | None => Err(NotPassed::Guards(report)),
        }
    }

    pub(crate) const fn confirmed(&self) -> &Confirmed {
        &self.approved.confirmed
    }

    /// What every guard said.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The moment after which the facts are too old to act on.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}

impl Recorded {
    /// Takes the acknowledgement of every required audit sink, while the facts are still good.
    pub(crate) fn check(passed: GuardsPassed, now: Timestamp) -> Result<Self, Explanation> {
        if now > passed.valid_until {
            let late = now.since(passed.valid_until);
            return Err(Explanation::new(
                alloc::format!(
                    "the audit record was acknowledged {} too late: what the guards saw is no longer fresh",
                    crate::time::in_words(late.max(Duration::from_millis(1)))
                ),
                "click again".to_string(),
            ));
        }
        Ok(Self { passed, at: now })
    }

    /// Everything the guards said.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.passed.report
    }
}

impl Order {
    /// Issues the order that a record of intent allows. Issuing it again gives the same order.
    pub(crate) fn issue(recorded: &Recorded) -> Self {
        let Confirmed { authorized, reason, .. } = &recorded.passed.approved.confirmed;
        Self {
            rollback: authorized.rollback.clone(),
            plan: authorized.plan.clone(),
            requested_by: authorized.actor.clone(),
            reason: reason.clone(),
            issued_at: recorded.at,
            valid_until: recorded.passed.valid_until,
        }
    }

    /// The rollback it belongs to: the idempotency key.
    #[must_use]
    pub const fn rollback(&self) -> &RollbackId {
        &self.rollback
    }

    /// What to do. A backend refuses when `plan().from()` is no longer live.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who asked for it.
    #[must_use]
    pub const fn requested_by(&self) -> &Actor {
        &self.requested_by
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// When it was issued.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The moment after which it must not be sent any more.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}
