//! Which event comes next in a journey.

use super::cast::{Answer, Candidate, nth};
use super::facts;
use super::journey::Choice;
use super::world::World;
use crate::fixtures::{self, Person};
use rollback_core::access::{Duty, Standing};
use rollback_core::observed::{Acceptance, Facts};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Conflict, Event, Fact, Observation, Pair, Phase, Policy, Preview, Progress, Purpose, Receipt,
    Rollback, RollbackView, Said, Sending, ServiceKey, Settlement, State, Timestamp, UserId,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// From here on, of 100 picks, the event fits no state in particular.
const UNFITTING: u8 = 95;

/// The pick that quarantines it, in any state.
const PUT_ASIDE: u8 = 94;

/// Everybody in a journey, and its clock.
pub(super) struct Player<'a> {
    world: &'a World,
    key: &'a ServiceKey,
    policy: &'a Policy,
    duty: Duty,
    star: &'a Candidate,
    asker: Candidate,
    acted: BTreeMap<UserId, Candidate>,
    warns: bool,
    now: Timestamp,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        world: &'a World,
        key: &'a ServiceKey,
        policy: &'a Policy,
        (duty, star): (Duty, &'a Candidate),
        asker: Candidate,
        warns: bool,
    ) -> Self {
        let cast = [star.clone(), asker.clone()];
        let acted = cast.map(|candidate| (candidate.person.id(), candidate)).into();
        let now = fixtures::at(0);
        Self { world, key, policy, duty, star, asker, acted, warns, now }
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Whoever asked for a rollback, then whoever approved it.
    pub(super) fn people(&self, view: &RollbackView) -> Vec<Person> {
        let actors = view.requested_by.iter().chain(&view.approved_by);
        actors.filter_map(|actor| Some(self.acted.get(&actor.id)?.person.clone())).collect()
    }

    /// The next event, and the time at which it happens.
    pub(super) fn next(&mut self, rollback: &Rollback, choice: &Choice) -> Event {
        let mut wait = Duration::from_secs(choice.seconds);
        if let State::Verifying(..) = rollback.state() {
            // What is seen counts once it has been so for as long as the policy asks.
            wait = wait.max(self.policy.limits.settle);
        }
        self.now = self.now.after(wait);
        let event = self.event(rollback, choice);
        if event == Event::DeadlineReached {
            self.now = rollback.deadline().map_or(self.now, |deadline| deadline.max(self.now));
        }
        event
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "nothing fits what has ended, nor a state of a later core"
    )]
    fn event(&mut self, rollback: &Rollback, choice: &Choice) -> Event {
        if choice.pick >= UNFITTING {
            return self.anything(rollback, choice);
        }
        if rollback.view().put_aside.is_some() {
            return match choice.pick {
                0..80 => self.released(choice),
                80..90 => self.settled(choice),
                _ => Event::DeadlineReached,
            };
        }
        if choice.pick == PUT_ASIDE {
            return Event::PutAside(3);
        }
        match rollback.state() {
            State::Proposed => match choice.pick {
                0..85 => self.clicked(choice),
                85..90 => self.withdrawn(choice),
                _ => Event::DeadlineReached,
            },
            State::Authorizing(_) => match choice.pick {
                0..88 => Event::StandingObserved(Box::new(self.asked(Duty::Request))),
                88..91 => self.withdrawn_by_asker(),
                _ => Event::DeadlineReached,
            },
            State::Confirming(_, Preview::Reading) => match choice.pick {
                0..86 => self.observed(self.good()),
                86..91 => self.observed(self.bad(choice)),
                91..93 => self.withdrawn_by_asker(),
                _ => Event::DeadlineReached,
            },
            State::Confirming(_, Preview::Shown) => self.in_the_modal(rollback, choice),
            State::Approving(..) => self.among_approvers(choice),
            State::Checking(_) => self.before_the_order(choice),
            State::Recording(_) => match choice.pick {
                0..89 => Event::IntentRecorded,
                89..90 => Event::IntentNotRecorded("the disk is full".into()),
                90..91 => self.withdrawn_by_asker(),
                91..92 => self.withdrawn(choice),
                _ => Event::DeadlineReached,
            },
            State::Triggering(_, sending) => self.ordered(rollback, sending, choice),
            State::Running(..) => self.running(choice),
            State::Verifying(..) => match choice.pick {
                0..72 => Event::OutcomeObserved(Box::new(facts::seen_good(self.now))),
                72..86 => {
                    Event::OutcomeObserved(Box::new(facts::seen_otherwise(choice.detail, self.now)))
                }
                86..90 => self.withdrawn(choice),
                _ => Event::DeadlineReached,
            },
            State::OutcomeUnknown(..) => match choice.pick {
                0..60 => self.settled(choice),
                60..75 => Event::OrderFound(receipt()),
                75..90 => progress(choice.detail),
                _ => Event::OrderAbsent,
            },
            _ => Event::DeadlineReached,
        }
    }

    fn in_the_modal(&mut self, rollback: &Rollback, choice: &Choice) -> Event {
        match choice.pick {
            0..87 => self.confirmed(rollback, &self.asker.known()),
            87..88 => {
                let asker = Candidate { answer: self.lapse(choice), ..self.asker.clone() };
                self.confirmed(rollback, &asker)
            }
            88..89 => {
                let somebody = self.somebody(Duty::Request, choice);
                self.confirmed(rollback, &somebody)
            }
            89..90 => {
                let mut given = self.confirmation(rollback, &self.asker.known());
                given.shown = Pair::new(fixtures::parsed("42"), fixtures::parsed("40"));
                Event::ConfirmationGiven(Box::new(given))
            }
            90..91 => {
                let mut given = self.confirmation(rollback, &self.asker.known());
                given.acknowledged.clear();
                Event::ConfirmationGiven(Box::new(given))
            }
            91..92 => Event::SlotTaken(fixtures::parsed("rb-0")),
            92..93 => self.withdrawn_by_asker(),
            _ => Event::DeadlineReached,
        }
    }

    fn among_approvers(&mut self, choice: &Choice) -> Event {
        match choice.pick {
            0..84 => Event::ApprovalGiven(self.said(Duty::Approve, choice)),
            84..86 => Event::ApprovalGiven(self.said_by_asker(Duty::Approve)),
            86..88 => Event::RejectionGiven(self.said(Duty::Approve, choice)),
            88..90 => self.withdrawn(choice),
            90..92 => self.withdrawn_by_asker(),
            _ => Event::DeadlineReached,
        }
    }

    fn before_the_order(&mut self, choice: &Choice) -> Event {
        let fresh = |candidate: &Candidate| candidate.known();
        match choice.pick {
            0..86 => self.observed(self.good()),
            86..89 => self.observed(self.bad(choice)),
            89..91 => {
                // Somebody lost what they had when they clicked, or when they approved.
                let answer = self.lapse(choice);
                let asked = choice.detail.is_multiple_of(2);
                let lapsed = |candidate: &Candidate| Candidate { answer, ..candidate.clone() };
                if asked {
                    self.observed_of(self.good(), lapsed, fresh)
                } else {
                    self.observed_of(self.good(), fresh, lapsed)
                }
            }
            91..92 => self.withdrawn_by_asker(),
            92..93 => self.withdrawn(choice),
            _ => Event::DeadlineReached,
        }
    }

    fn ordered(&mut self, rollback: &Rollback, sending: &Sending, choice: &Choice) -> Event {
        if rollback.opening().purpose == Purpose::Drill {
            return Event::Rehearsed(match choice.pick {
                0..70 => Fact::known(Acceptance::Accepted, self.now),
                70..85 => Fact::known(Acceptance::Rejected("no quota".into()), self.now),
                _ => Fact::unknown("the CD system did not answer"),
            });
        }
        match (sending, choice.pick) {
            (Sending::Once, 0..56) => Event::TriggerAccepted(receipt()),
            (Sending::Once, 56..80) => Event::TriggerInDoubt("the answer was lost".into()),
            (Sending::Once, 80..84) => Event::TriggerRefused("maintenance".into()),
            (Sending::Once, 84..88) => {
                Event::TriggerConflicted(Box::new(Conflict::new(None, "live has moved")))
            }
            (Sending::InDoubt(_), 0..30) => Event::OrderFound(receipt()),
            (Sending::InDoubt(_), 30..45) => Event::OrderAbsent,
            (Sending::InDoubt(_), 45..60) => Event::DoubtRemained("nothing was found".into()),
            (Sending::InDoubt(_), 60..70) => self.settled(choice),
            (Sending::Once | Sending::InDoubt(_), 88..91) => self.withdrawn(choice),
            (Sending::Once | Sending::InDoubt(_), _) => Event::DeadlineReached,
        }
    }

    fn running(&mut self, choice: &Choice) -> Event {
        match choice.pick {
            0..40 => Event::ProgressObserved(Box::new(Progress::new(Phase::Complete))),
            40..70 => progress(choice.detail),
            70..74 => Event::ExecutionUnseen("no answer within 10 s".into()),
            74..79 => self.withdrawn_by_asker(),
            79..82 => self.withdrawn(choice),
            82..84 => Event::CancellationAccepted,
            84..86 => Event::CancellationRefused,
            86..89 => self.settled(choice),
            _ => Event::DeadlineReached,
        }
    }

    /// Any event, whether or not the state asks for one like it.
    fn anything(&mut self, rollback: &Rollback, choice: &Choice) -> Event {
        match choice.detail % 20 {
            0 => self.clicked(choice),
            1 => Event::StandingObserved(Box::new(self.asked(Duty::Request))),
            2 => self.observed(self.good()),
            3 => {
                let somebody = self.somebody(Duty::Request, choice);
                self.confirmed(rollback, &somebody)
            }
            4 => Event::ApprovalGiven(self.said(Duty::Approve, choice)),
            5 => Event::RejectionGiven(self.said(Duty::Approve, choice)),
            6 => self.withdrawn(choice),
            7 => Event::SlotTaken(fixtures::parsed("rb-0")),
            8 => Event::IntentRecorded,
            9 => Event::TriggerAccepted(receipt()),
            10 => Event::TriggerInDoubt("no answer".into()),
            11 => Event::OrderFound(receipt()),
            12 => Event::OrderAbsent,
            13 => progress(choice.detail / 20),
            14 => Event::OutcomeObserved(Box::new(facts::seen_good(self.now))),
            15 => Event::CancellationAccepted,
            16 => self.settled(choice),
            17 => self.released(choice),
            18 => Event::Rehearsed(Fact::known(Acceptance::Accepted, self.now)),
            _ => Event::DoubtRemained("nothing was found".into()),
        }
    }

    fn good(&self) -> Facts {
        facts::good(self.policy, self.warns, self.now)
    }

    fn bad(&self, choice: &Choice) -> Facts {
        facts::bad(self.policy, self.warns, choice.detail, self.now)
    }

    /// An answer that takes away what somebody had.
    fn lapse(&self, choice: &Choice) -> Answer {
        let lapses = [Answer::UnknownProfile, Answer::StaleProfile, Answer::UnknownGroups];
        nth(&lapses, choice.detail / 2).copied().unwrap_or(Answer::UnknownProfile)
    }

    /// Whoever does a duty now: the person under test, if it is theirs, or somebody else.
    fn somebody(&mut self, duty: Duty, choice: &Choice) -> Candidate {
        let theirs = self.duty == duty && choice.detail % 4 != 3;
        let somebody = if theirs {
            self.star.clone()
        } else {
            self.world.resolve(self.key, &self.policy.access, duty, choice.who)
        };
        let known = self.acted.entry(somebody.person.id()).or_insert_with(|| somebody.clone());
        somebody.or_is(known)
    }

    fn clicked(&mut self, choice: &Choice) -> Event {
        if choice.detail % 4 == 3 {
            self.asker = self.somebody(Duty::Request, choice);
        }
        Event::Clicked(self.asker.person.actor())
    }

    /// What the directory says about whoever asked.
    fn asked(&self, duty: Duty) -> Standing {
        self.asker.standing(self.policy, duty, self.now)
    }

    fn said(&mut self, duty: Duty, choice: &Choice) -> Box<Said> {
        let somebody = self.somebody(duty, choice);
        Box::new(Said::new(somebody.person.actor(), somebody.standing(self.policy, duty, self.now)))
    }

    fn said_by_asker(&self, duty: Duty) -> Box<Said> {
        Box::new(Said::new(self.asker.person.actor(), self.asked(duty)))
    }

    fn withdrawn(&mut self, choice: &Choice) -> Event {
        Event::WithdrawalGiven(self.said(Duty::Withdraw, choice))
    }

    fn withdrawn_by_asker(&self) -> Event {
        Event::WithdrawalGiven(self.said_by_asker(Duty::Withdraw))
    }

    fn released(&mut self, choice: &Choice) -> Event {
        Event::Released(self.said(Duty::Release, choice))
    }

    fn settled(&mut self, choice: &Choice) -> Event {
        let Said { actor, standing, .. } = *self.said(Duty::Settle, choice);
        Event::Settled(Box::new(Settlement::new(actor, standing, fixtures::reason())))
    }

    /// A confirmation of what is shown, with every warning acknowledged.
    fn confirmation(&self, rollback: &Rollback, by: &Candidate) -> Confirmation {
        let standing = by.standing(self.policy, Duty::Request, self.now);
        let shown = rollback.plan().pair();
        let warnings = rollback.report().into_iter().flat_map(|report| report.warnings());
        Confirmation::new(by.person.actor(), standing, fixtures::reason(), shown)
            .acknowledging(warnings.map(|warning| warning.id.clone()))
    }

    fn confirmed(&self, rollback: &Rollback, by: &Candidate) -> Event {
        Event::ConfirmationGiven(Box::new(self.confirmation(rollback, by)))
    }

    /// These facts, and everybody read afresh.
    fn observed(&self, facts: Facts) -> Event {
        self.observed_of(facts, Candidate::known, Candidate::known)
    }

    fn observed_of(
        &self,
        facts: Facts,
        asker: impl Fn(&Candidate) -> Candidate,
        others: impl Fn(&Candidate) -> Candidate,
    ) -> Event {
        let asker = asker(&self.asker).standing(self.policy, Duty::Request, self.now);
        let approvers = self.acted.iter().map(|(user, candidate)| {
            let standing = others(candidate).standing(self.policy, Duty::Approve, self.now);
            (user.clone(), standing)
        });
        Event::FactsObserved(Box::new(Observation::new(facts, asker).and_of(approvers)))
    }
}

fn receipt() -> Receipt {
    Receipt::new("execution-1")
}

/// How far it is; complete is left to the usual event.
fn progress(detail: u16) -> Event {
    let phases = [Phase::Started, Phase::HealthChecking, Phase::Failed, Phase::Cancelled];
    let phase = nth(&phases, detail).copied().unwrap_or(Phase::Started);
    Event::ProgressObserved(Box::new(Progress::new(phase)))
}
