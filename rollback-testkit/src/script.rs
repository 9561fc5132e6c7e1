//! Rollbacks written out as the commits that store them: real ones, driven through the core.

use crate::fixtures;
use rollback_core::access::{AccessPolicy, Pattern, Principal, Rule};
use rollback_core::audit::BackendEntry;
use rollback_core::journal::{Entry, Opening, Origin};
use rollback_core::observed::{Acceptance, Facts, Live, ServiceRecord};
use rollback_core::ports::{Capabilities, Commit, CompareAndSet, Fence};
use rollback_core::proof::Confirmation;
use rollback_core::{
    DeployId, Event, Fact, Health, Observation, Pair, Phase, Plan, Policy, Progress, Purpose,
    Receipt, RevisionRef, Rollback, RollbackId, ServiceKey, Settlement, Sighting, Timestamp,
    Transition,
};
use std::time::Duration;

/// How a scripted rollback ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a test names the end it wants")]
pub enum Ending {
    /// The target is live and healthy.
    Succeeded,
    /// The CD system says it failed.
    Failed,
    /// The CD system stopped it.
    Cancelled,
    /// Nobody saw it good in time.
    NotVerified,
    /// In doubt, and proved not to have been carried out.
    Absent,
    /// In doubt, and it stays so.
    Unknown,
    /// In doubt, and somebody settled it.
    Settled,
    /// A guard could not say.
    Refused,
}

impl Ending {
    /// Every end.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::NotVerified,
        Self::Absent,
        Self::Unknown,
        Self::Settled,
        Self::Refused,
    ];
}

/// A rollback from the click to its end, one second a step.
///
/// ```
/// use rollback_core::StateName;
/// use rollback_testkit::script::{Ending, Script};
/// let commits = Script::new("rb-1").commits(Ending::Succeeded);
/// assert_eq!(commits.last().map(|commit| commit.view.state), Some(StateName::Succeeded));
/// ```
#[derive(Clone, Debug)]
pub struct Script {
    id: RollbackId,
    key: ServiceKey,
    from: RevisionRef,
    to: RevisionRef,
    purpose: Purpose,
    deploy: Option<DeployId>,
    at: Timestamp,
}

impl Script {
    /// Of `checkout` in `production`, from `42` to `41`.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: fixtures::parsed(id),
            key: fixtures::key(),
            from: fixtures::reference("42"),
            to: fixtures::reference("41"),
            purpose: Purpose::Real,
            deploy: None,
            at: fixtures::at(0),
        }
    }

    /// The same of another service.
    #[must_use]
    pub fn of(mut self, service: &str, environment: &str) -> Self {
        self.key = ServiceKey::new(fixtures::parsed(service), fixtures::parsed(environment));
        self
    }

    /// The same away from another revision.
    #[must_use]
    pub fn away_from(mut self, revision: &str) -> Self {
        self.from = fixtures::reference(revision);
        self
    }

    /// The same as a drill.
    #[must_use]
    pub const fn as_drill(mut self) -> Self {
        self.purpose = Purpose::Drill;
        self
    }

    /// The same, opened from the message of a deploy.
    #[must_use]
    pub fn from_message_of(mut self, deploy: &str) -> Self {
        self.deploy = Some(fixtures::parsed(deploy));
        self
    }

    /// The same, opened at another time.
    #[must_use]
    pub const fn opened_at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Every step as the commit that stores it, the opening first.
    #[must_use]
    pub fn commits(&self, ending: Ending) -> Vec<Commit> {
        let opening = self.opening();
        let transition = Rollback::open(opening.clone());
        let mut first = commit(&transition, 0, self.at);
        first.opening = Some(Box::new(opening));
        let mut commits = vec![first];
        let mut rollback = transition.rollback;
        let (mut now, mut entries) = (self.at, 0);
        for place in 0.. {
            now = now_after(now);
            let Some(event) = self.event(place, now, ending) else { break };
            if event == Event::DeadlineReached {
                now = rollback.deadline().map_or(now, |deadline| deadline.max(now));
            }
            let transition = rollback.step(now, event.clone());
            let mut next = commit(&transition, entries, now);
            next.entry = Some(Entry::new(now, event));
            commits.push(next);
            rollback = transition.rollback;
            entries += 1;
        }
        commits
    }

    fn opening(&self) -> Opening {
        let owners = vec![Principal::User(fixtures::ana().id())];
        let mut access = AccessPolicy::default();
        access.workspaces.insert(fixtures::home());
        access.owners.push(Rule::new("owners", Pattern::any(), Pattern::any(), owners));
        let mut policy = Policy::new(access.for_service(&self.key));
        policy.limits.settle = Duration::ZERO;
        let plan = Plan::new(self.key.clone(), self.from.clone(), self.to.clone())
            .expect("a script names two revisions");
        let origin = Origin::Click(fixtures::ana().actor());
        let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
        let backend = BackendEntry::new(fixtures::parsed("prod"), capabilities);
        let mut opening = Opening::new(self.id.clone(), plan, policy, origin, backend, self.at);
        opening.purpose = self.purpose;
        opening.deploy.clone_from(&self.deploy);
        opening
    }

    /// The event at a place of the script, taken at `now`; none after the last.
    fn event(&self, place: usize, now: Timestamp, ending: Ending) -> Option<Event> {
        let ana = fixtures::ana();
        if ending == Ending::Refused && place > 0 {
            return (place == 1).then(|| observed(Facts::unknown("nobody looked"), now));
        }
        Some(match place {
            0 => Event::StandingObserved(Box::new(ana.standing(now))),
            1 | 3 => observed(self.facts(now), now),
            2 => {
                let shown = Pair::new(self.from.revision.clone(), self.to.revision.clone());
                let reason = fixtures::reason();
                let given = Confirmation::new(ana.actor(), ana.standing(now), reason, shown);
                Event::ConfirmationGiven(Box::new(given))
            }
            4 => Event::IntentRecorded,
            place => return self.result(place.checked_sub(5)?, now, ending),
        })
    }

    /// What becomes of the order.
    fn result(&self, place: usize, now: Timestamp, ending: Ending) -> Option<Event> {
        if self.purpose == Purpose::Drill {
            let accepted = Event::Rehearsed(Fact::known(Acceptance::Accepted, now));
            return (place == 0).then_some(accepted);
        }
        let phase = |phase| Some(Event::ProgressObserved(Box::new(Progress::new(phase))));
        match (ending, place) {
            (Ending::Refused, _) => None,
            (Ending::Absent | Ending::Unknown | Ending::Settled, 0) => {
                Some(Event::TriggerInDoubt("the answer was lost".into()))
            }
            (Ending::Absent, 1) => Some(Event::OrderAbsent),
            (Ending::Unknown | Ending::Settled, 1) => {
                Some(Event::DoubtRemained("nothing was found".into()))
            }
            (Ending::Unknown | Ending::Settled, 2) => Some(Event::DeadlineReached),
            (Ending::Settled, 3) => {
                let ana = fixtures::ana();
                let found = fixtures::reason();
                let settlement = Settlement::new(ana.actor(), ana.standing(now), found);
                Some(Event::Settled(Box::new(settlement)))
            }
            (Ending::Succeeded | Ending::Failed | Ending::Cancelled | Ending::NotVerified, 0) => {
                Some(Event::TriggerAccepted(Receipt::new("run-7")))
            }
            (Ending::Succeeded | Ending::NotVerified, 1) => phase(Phase::Complete),
            (Ending::Failed, 1) => phase(Phase::Failed),
            (Ending::Cancelled, 1) => phase(Phase::Cancelled),
            (Ending::Succeeded | Ending::Failed | Ending::Cancelled, 2) => {
                let live = if ending == Ending::Succeeded { &self.to } else { &self.from };
                let live = Fact::known(Live::running(live.clone()), now);
                let health = Fact::known(Health::Healthy, now);
                Some(Event::OutcomeObserved(Box::new(Sighting::new(live, health))))
            }
            (Ending::NotVerified, 2) => Some(Event::DeadlineReached),
            (
                Ending::Succeeded
                | Ending::Failed
                | Ending::Cancelled
                | Ending::NotVerified
                | Ending::Absent
                | Ending::Unknown
                | Ending::Settled,
                _,
            ) => None,
        }
    }

    fn facts(&self, now: Timestamp) -> Facts {
        let long_ago = Timestamp::from_millis(0);
        let history = [&self.from, &self.to]
            .map(|one| fixtures::revision(one.revision.as_str(), "1.0.0", long_ago));
        let mut facts = Facts::unknown("nobody looked");
        facts.live = Fact::known(Live::running(self.from.clone()), now);
        facts.history = Fact::known(history.to_vec(), now);
        facts.preflight = Fact::known(fixtures::accepted(), now);
        facts.record = Fact::known(ServiceRecord::default(), now);
        facts.freezes = Fact::known(Vec::new(), now);
        facts
    }
}

fn now_after(now: Timestamp) -> Timestamp {
    now.after(Duration::from_secs(1))
}

fn observed(facts: Facts, now: Timestamp) -> Event {
    let standing = fixtures::ana().standing(now);
    Event::FactsObserved(Box::new(Observation::new(facts, standing)))
}

fn commit(transition: &Transition, entries: u64, at: Timestamp) -> Commit {
    let Transition { rollback, drafts, .. } = transition;
    let mut commit = Commit::new(rollback.view(), entries, at);
    commit.holds_service = rollback.holds_service();
    commit.was_ordered = rollback.was_ordered();
    commit.drafts.clone_from(drafts);
    commit
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::StateName;

    #[test]
    fn every_ending_is_reached() {
        for ending in Ending::ALL {
            let commits = Script::new("rb-1").commits(ending);
            let last = commits.last().unwrap();
            let expected = match ending {
                Ending::Succeeded => StateName::Succeeded,
                Ending::Failed | Ending::Absent => StateName::Failed,
                Ending::Cancelled => StateName::Withdrawn,
                Ending::NotVerified => StateName::NotVerified,
                Ending::Unknown | Ending::Settled => StateName::OutcomeUnknown,
                Ending::Refused => StateName::Refused,
            };
            assert_eq!(last.view.state, expected, "{ending:?}: {}", last.view.explanation);
            assert_eq!(last.holds_service, ending == Ending::Unknown, "{ending:?}");
        }
    }

    #[test]
    fn a_drill_succeeds_without_an_order() {
        let commits = Script::new("rb-1").as_drill().commits(Ending::Succeeded);
        let last = commits.last().unwrap();
        assert_eq!((last.view.state, last.was_ordered), (StateName::Succeeded, false));
    }
}
