//! Proofs: each can be made only by the check it stands for, and owns the one before it. None can
//! be built, cloned or deserialized elsewhere; a restart replays the journal through the checks.
//!
//! `Authorized` inside [`Confirmed`] inside [`Approved`] inside [`GuardsPassed`] inside
//! [`Recorded`], and only from that an [`Order`].

#[cfg(feature = "relay")]
pub mod relay;

use crate::access::{Denial, Duty, Moment, RULE_FOUR_EYES, Route, Standing, earlier};
use crate::event::Observation;
use crate::guard::{self, Explanation, Guard, Question, Report, confirmation_stale};
use crate::id::{Label, Reason, RollbackId, UserId};
use crate::journal::{Opening, Rules};
use crate::model::{Actor, Pair, Plan};
use crate::policy::{FourEyes, Policy};
use crate::time::Timestamp;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use core::ops::Deref;
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
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    acknowledged: BTreeSet<Label>,
    at: Timestamp,
}

/// Somebody entitled, and not the one who asked, approved.
#[derive(Debug, Serialize)]
pub struct Vote {
    actor: Actor,
    person: Option<Label>,
    route: Route,
    rule: Label,
    apart: FourEyes,
    at: Timestamp,
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

/// Permission to act, once: the only thing that [`crate::ports::CdBackend::start`] takes. It is neither
/// cloned nor made again from a journal; what it says is read through its [`OrderRef`].
#[derive(Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Order(OrderRef);

/// What an order says: for finding, fencing off, observing and cancelling it. It can be read and
/// copied, and cannot be sent. Its rollback id is the idempotency key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct OrderRef {
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
    /// The warnings that they acknowledged, by id.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub acknowledged: BTreeSet<Label>,
}

impl Confirmation {
    /// Collects a confirmation that acknowledges no warning.
    #[must_use]
    pub const fn new(actor: Actor, standing: Standing, reason: Reason, shown: Pair) -> Self {
        Self { actor, standing, reason, shown, acknowledged: BTreeSet::new() }
    }

    /// The same, acknowledging these warnings.
    #[must_use]
    pub fn acknowledging(mut self, warnings: impl IntoIterator<Item = Label>) -> Self {
        self.acknowledged.extend(warnings);
        self
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
        let verdict = decision.verdict;
        if verdict.is_ok() && lacks_person(policy, standing) {
            return Err((actor, Denial::PersonUnknown, RULE_FOUR_EYES.into()));
        }
        match verdict {
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
    /// emergency group, and that pages. Gives when the oldest fact was observed on which it rests.
    fn again(
        &mut self,
        policy: &Policy,
        standing: &Standing,
        moment: Moment,
    ) -> Result<Option<Timestamp>, (Denial, Label)> {
        let decision = policy.access.decide(Duty::Request, &self.actor, standing, moment);
        let rule = Label::new(decision.rule);
        let route = match decision.verdict {
            Ok(_) if lacks_person(policy, standing) => {
                return Err((Denial::PersonUnknown, RULE_FOUR_EYES.into()));
            }
            Ok(route) => route,
            Err(denial) => return Err((denial, rule)),
        };
        self.route = route;
        self.rule = rule;
        if let Some(person) = standing.person() {
            self.person = Some(person.clone());
        }
        Ok(decision.observed_at)
    }
}

/// Whether four eyes go by person and the directory does not say which person this is.
fn lacks_person(policy: &Policy, standing: &Standing) -> bool {
    let by_person = match policy.four_eyes {
        FourEyes::Account => false,
        FourEyes::Person => policy.approvals_min > 0,
    };
    by_person && standing.person().is_none()
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
        if let Err((denial, rule)) = authorized.again(policy, &given.standing, moment) {
            return Err(NotConfirmed::Denied(denial, rule));
        }
        if given.shown != authorized.plan.pair() {
            let explanation = confirmation_stale(&authorized.plan, Some(&given.shown));
            let report = Report::blocked(Guard::ConfirmationCurrent, explanation);
            return Err(NotConfirmed::Stale(report));
        }
        let Confirmation { reason, shown, acknowledged, .. } = given;
        Ok(Self { authorized, reason, shown, acknowledged, at: now })
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

    /// The warnings that they acknowledged.
    #[must_use]
    pub const fn acknowledged(&self) -> &BTreeSet<Label> {
        &self.acknowledged
    }

    /// Why they still may, and by which rule.
    pub(crate) const fn by(&self) -> (Route, &Label) {
        (self.authorized.route, &self.authorized.rule)
    }

    /// What tells the requester from somebody else: the person where both are known, else the
    /// account. None where it is the same human, as far as can be told.
    fn apart_from(&self, actor: &Actor, standing: &Standing) -> Option<FourEyes> {
        if self.authorized.actor.id == actor.id {
            return None;
        }
        match (&self.authorized.person, standing.person()) {
            (Some(asked), Some(approves)) => (asked != approves).then_some(FourEyes::Person),
            (None, _) | (_, None) => Some(FourEyes::Account),
        }
    }
}

/// Why a vote does not count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoVote {
    /// Nobody approves their own rollback.
    Own,
    /// They may not approve.
    Denied(Denial, Label),
    /// The same human has approved with another account.
    Again,
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
        let Some(apart) = confirmed.apart_from(&actor, standing) else {
            return Err((actor, NoVote::Own));
        };
        match Self::allowed(policy, &actor, standing, now) {
            Ok((route, rule, _rests_on)) => {
                let person = standing.person().cloned();
                Ok(Self { actor, person, route, rule, apart, at: now })
            }
            Err(why) => Err((actor, why)),
        }
    }

    /// By which way and rule somebody may approve or reject, and when the oldest fact was observed
    /// on which that rests.
    fn allowed(
        policy: &Policy,
        actor: &Actor,
        standing: &Standing,
        now: Timestamp,
    ) -> Result<(Route, Label, Option<Timestamp>), NoVote> {
        let moment = Moment::new(now, policy.limits.fact_age_max);
        let decision = policy.access.decide(Duty::Approve, actor, standing, moment);
        let rule = Label::new(decision.rule);
        match decision.verdict {
            Ok(_) if lacks_person(policy, standing) => {
                Err(NoVote::Denied(Denial::PersonUnknown, RULE_FOUR_EYES.into()))
            }
            Ok(route) => Ok((route, rule, decision.observed_at)),
            Err(denial) => Err(NoVote::Denied(denial, rule)),
        }
    }

    /// Checks before the order that the vote still counts, on what the directory says now. Gives when
    /// the oldest fact was observed on which that rests.
    fn again(
        &mut self,
        policy: &Policy,
        confirmed: &Confirmed,
        standing: &Standing,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, NoVote> {
        let Some(apart) = confirmed.apart_from(&self.actor, standing) else {
            return Err(NoVote::Own);
        };
        let (route, rule, rests_on) = Self::allowed(policy, &self.actor, standing, now)?;
        if let Some(person) = standing.person() {
            self.person = Some(person.clone());
        }
        (self.route, self.rule, self.apart) = (route, rule, apart);
        Ok(rests_on)
    }

    /// Who approved.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Why they may, and by which rule.
    pub(crate) const fn by(&self) -> (Route, &Label) {
        (self.route, &self.rule)
    }

    /// What tells them from the requester.
    #[must_use]
    pub const fn apart(&self) -> FourEyes {
        self.apart
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

    /// When it was confirmed, or last approved.
    fn at(&self) -> Timestamp {
        let votes = self.votes.values().map(|vote| vote.at);
        votes.max().unwrap_or(self.confirmed.at).max(self.confirmed.at)
    }

    /// Who came in through the emergency group to approve it.
    pub(crate) fn through_break_glass(&self) -> impl Iterator<Item = &Actor> {
        let votes = self.votes.values().filter(|vote| match vote.route {
            Route::BreakGlass => true,
            Route::Ownership => false,
        });
        votes.map(Vote::actor)
    }

    /// Checks that each vote still counts, and that no two of them are one human's. Gives when the
    /// oldest fact was observed on which that rests.
    fn votes_again(
        &mut self,
        policy: &Policy,
        standings: &BTreeMap<UserId, Standing>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, (Actor, NoVote)> {
        let unread = Standing::unknown("the directory was not asked about them");
        let mut oldest = None;
        for vote in self.votes.values_mut() {
            let standing = standings.get(&vote.actor.id).unwrap_or(&unread);
            match vote.again(policy, &self.confirmed, standing, now) {
                Ok(rests_on) => oldest = earlier(oldest, rests_on),
                Err(why) => return Err((vote.actor.clone(), why)),
            }
        }
        let mut people = BTreeSet::new();
        for vote in self.votes.values() {
            if vote.person.as_ref().is_some_and(|person| !people.insert(person)) {
                return Err((vote.actor.clone(), NoVote::Again));
            }
        }
        Ok(oldest)
    }
}

/// Why the guards did not let it through.
#[derive(Debug)]
pub(crate) enum NotPassed {
    /// The requester may no longer.
    Denied(Denial, Label),
    /// An approval does not count any more.
    Vote(Actor, NoVote),
    /// A guard stands in the way.
    Guards(Report),
}

impl GuardsPassed {
    /// Checks that the requester and the approvers still may, and that every guard passes now, on
    /// facts that were observed since the confirmation and the last approval.
    pub(crate) fn check(
        opening: &Opening,
        mut approved: Approved,
        observation: &Observation,
        now: Timestamp,
    ) -> Result<Self, NotPassed> {
        let Opening { policy, rules, .. } = opening;
        let Observation { facts, requester, approvers } = observation;
        let fact_age_max = policy.limits.fact_age_max;
        let moment = Moment::new(now, fact_age_max);
        let mut rests_on = approved
            .confirmed
            .authorized
            .again(policy, requester, moment)
            .map_err(|(denial, rule)| NotPassed::Denied(denial, rule))?;
        let is_first = *rules < Rules::V2;
        if is_first {
            rests_on = requester.profile.observed_at();
        } else {
            let votes = approved.votes_again(policy, approvers, now);
            let votes_rest_on = votes.map_err(|(actor, why)| NotPassed::Vote(actor, why))?;
            rests_on = earlier(rests_on, votes_rest_on);
        }
        let since = approved.at();
        let Confirmed { authorized, shown, acknowledged, .. } = &approved.confirmed;
        let mut question = Question::new(&authorized.plan, policy, now);
        question.shown = Some(shown);
        question.asking = Some(&authorized.rollback);
        question.since = (!is_first).then_some(since);
        question.rules = *rules;
        let report = guard::evaluate(&question, facts);
        match facts.oldest() {
            Some(oldest) if report.passes(acknowledged) => {
                // A source whose clock is ahead makes nothing good for longer than now.
                let oldest = oldest.min(rests_on.unwrap_or(now)).min(now);
                let valid_until = oldest.after(fact_age_max);
                Ok(Self { approved, report, valid_until })
            }
            Some(_) | None => Err(NotPassed::Guards(report)),
        }
    }

    pub(crate) const fn approved(&self) -> &Approved {
        &self.approved
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
    /// Issues the order that a record of intent allows.
    pub(crate) fn issue(recorded: &Recorded) -> Self {
        Self(OrderRef::of(recorded))
    }
}

impl AsRef<OrderRef> for Order {
    fn as_ref(&self) -> &OrderRef {
        &self.0
    }
}

/// An order is read as what it says.
impl Deref for Order {
    type Target = OrderRef;

    fn deref(&self) -> &OrderRef {
        &self.0
    }
}

impl OrderRef {
    /// What the order of a record of intent says. The same for the same record.
    pub(crate) fn of(recorded: &Recorded) -> Self {
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
