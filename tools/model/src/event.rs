//! What can happen to a rollback in the model: a finite alphabet, each letter one real event.

use rollback_core::access::{Account, Standing};
use rollback_core::observed::{
    Acceptance, Facts, Freeze, InProgress, LastRollback, Live, OperationKind, Preflight,
};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Conflict, Event, Fact, Health, Migration, Migrations, Observation, Pair, Phase, Presence,
    Progress, Receipt, Restorable, Reversible, RevisionStatus, Said, Settlement, Sighting,
    Timestamp, UserId,
};
use rollback_testkit::fixtures::{self, Person, parsed};
use std::collections::BTreeMap;
use std::time::Duration;

/// Somebody. Their roles overlap: Ana and Bo each ask for a rollback and approve the other's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, clippy::exhaustive_enums, reason = "the cast, by name")]
pub enum Who {
    Ana,
    AnaAgain,
    Bo,
    Cleo,
    Dan,
    Eve,
    Finn,
}

impl Who {
    /// Everybody.
    pub const ALL: [Self; 7] =
        [Self::Ana, Self::AnaAgain, Self::Bo, Self::Cleo, Self::Dan, Self::Eve, Self::Finn];

    /// As the fixtures have them.
    #[must_use]
    pub fn person(self) -> Person {
        match self {
            Self::Ana => fixtures::ana(),
            Self::AnaAgain => fixtures::ana_again(),
            Self::Bo => fixtures::bo(),
            Self::Cleo => fixtures::cleo(),
            Self::Dan => fixtures::dan(),
            Self::Eve => fixtures::eve(),
            Self::Finn => fixtures::finn(),
        }
    }
}

/// A revision that can be live.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the three that matter to a rollback")]
pub enum Rev {
    /// The one to leave.
    From,
    /// The one to return to.
    To,
    /// One that somebody deployed meanwhile.
    Newer,
}

impl Rev {
    /// Its id in the fixtures.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::From => "42",
            Self::To => "41",
            Self::Newer => "43",
        }
    }
}

/// What is the matter with the facts, beyond what the world itself shows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, clippy::exhaustive_enums, reason = "one for each guard, by its name")]
pub enum Odd {
    Nothing,
    NothingKnown,
    HistoryUnknown,
    Stale,
    Frozen,
    Pruned,
    Irreversible,
    MarkedBad,
    FailedBefore,
    UndoneBySync,
    UndoneUnsaid,
    BusyUnsaid,
    NotAccepted,
    RequesterGone,
    ApproverGone,
    ApproversUnknown,
}

impl Odd {
    /// Everything that can be the matter.
    pub const ALL: [Self; 15] = [
        Self::NothingKnown,
        Self::HistoryUnknown,
        Self::Stale,
        Self::Frozen,
        Self::Pruned,
        Self::Irreversible,
        Self::MarkedBad,
        Self::FailedBefore,
        Self::UndoneBySync,
        Self::UndoneUnsaid,
        Self::BusyUnsaid,
        Self::NotAccepted,
        Self::RequesterGone,
        Self::ApproverGone,
        Self::ApproversUnknown,
    ];
}

/// What the guards' sources say.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "the world fills it in")]
pub struct Look {
    /// Who asked for the rollback.
    pub requester: Who,
    /// What is live.
    pub live: Rev,
    /// Whether the CD system carries out an order of another rollback.
    pub busy: bool,
    /// Whether another rollback holds the service.
    pub held: bool,
    /// Whether another rollback has ended after its order a moment ago.
    pub cooling: bool,
    /// What else is the matter.
    pub odd: Odd,
}

/// One event. What it says is made anew at the moment at which it is taken.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, clippy::exhaustive_enums, reason = "the events of the core, by name")]
pub enum Ev {
    Click(Who),
    Standing(Who),
    StandingUnknown,
    Facts(Look),
    Confirm(Who),
    ConfirmOtherPair(Who),
    ConfirmUnknown(Who),
    Approve(Who),
    ApproveUnknown(Who),
    Reject(Who),
    Withdraw(Who),
    SlotTaken,
    Recorded,
    /// The audit log takes its time: the facts are too old when it has answered.
    RecordedLate,
    NotRecorded,
    Accepted,
    Refused,
    Conflicted,
    InDoubt,
    Found,
    Absent,
    DoubtRemained,
    /// Whether the CD system would accept it; or it does not say.
    Rehearsed(Option<bool>),
    Progress(Phase),
    /// What is live, and whether it is healthy; or it is not known.
    Seen(Rev, Option<bool>),
    /// What is live cannot be read.
    SeenNothing,
    /// The CD system has not answered for a while about what it carries out.
    Unseen,
    CancelAccepted,
    CancelRefused,
    Deadline,
    /// A deadline that is told before it is reached: of an earlier state, say.
    DeadlineEarly,
    /// A deadline that is told a minute after it was reached.
    DeadlineLate,
    Settle(Who),
}

impl Ev {
    /// How much later than the event before it is.
    #[must_use]
    pub fn delay(self, last: Timestamp, deadline: Option<Timestamp>) -> Duration {
        match self {
            Self::RecordedLate => Duration::from_secs(31),
            // Longer than a result must last to count.
            Self::Seen(..) | Self::SeenNothing => Duration::from_secs(6),
            Self::Deadline => deadline.map_or(Duration::ZERO, |at| at.since(last)),
            Self::DeadlineLate => {
                let late = Duration::from_secs(60);
                deadline.map_or(Duration::ZERO, |at| at.since(last).saturating_add(late))
            }
            _ => Duration::ZERO,
        }
    }

    /// The event, as the core takes it at `now`.
    #[must_use]
    pub fn real(self, now: Timestamp) -> Event {
        match self {
            Self::Click(who) => Event::Clicked(who.person().actor()),
            Self::Standing(who) => {
                let person = who.person();
                Event::StandingObserved(Box::new(person.standing(now).about(person.id())))
            }
            Self::StandingUnknown => Event::StandingObserved(Box::new(unknown())),
            Self::Facts(look) => look.real(now),
            Self::Confirm(who) => who.person().confirmed(now),
            Self::ConfirmOtherPair(who) => {
                let pair = Pair::new(parsed("42"), parsed("40"));
                confirmation(who, who.person().standing(now), pair)
            }
            Self::ConfirmUnknown(who) => confirmation(who, unknown(), fixtures::plan().pair()),
            Self::Approve(who) => Event::ApprovalGiven(who.person().said(now)),
            Self::ApproveUnknown(who) => {
                Event::ApprovalGiven(Box::new(Said::new(who.person().actor(), unknown())))
            }
            Self::Reject(who) => Event::RejectionGiven(who.person().said(now)),
            Self::Withdraw(who) => Event::WithdrawalGiven(who.person().said(now)),
            Self::Settle(who) => {
                let person = who.person();
                let (actor, standing) = (person.actor(), person.standing(now));
                Event::Settled(Box::new(Settlement::new(actor, standing, fixtures::reason())))
            }
            Self::SlotTaken => Event::SlotTaken(parsed("rb-0")),
            Self::Recorded | Self::RecordedLate => Event::IntentRecorded,
            Self::NotRecorded => Event::IntentNotRecorded("the disk is full".into()),
            Self::Deadline | Self::DeadlineEarly | Self::DeadlineLate => Event::DeadlineReached,
            _ => self.answer(now),
        }
    }

    /// What the CD system says.
    fn answer(self, now: Timestamp) -> Event {
        match self {
            Self::Accepted => Event::TriggerAccepted(Receipt::new("execution-1")),
            Self::Refused => Event::TriggerRefused("it was told to".into()),
            Self::Conflicted => {
                Event::TriggerConflicted(Box::new(Conflict::new(None, "live has moved")))
            }
            Self::InDoubt => Event::TriggerInDoubt("no answer came".into()),
            Self::Found => Event::OrderFound(Receipt::new("execution-1")),
            Self::Absent => Event::OrderAbsent,
            Self::Rehearsed(said) => Event::Rehearsed(match said {
                Some(true) => Fact::known(Acceptance::Accepted, now),
                Some(false) => Fact::known(Acceptance::Rejected("no quota".into()), now),
                None => Fact::unknown("no answer"),
            }),
            Self::Unseen => Event::ExecutionUnseen("no answer within 10 s".into()),
            Self::CancelAccepted => Event::CancellationAccepted,
            Self::CancelRefused => Event::CancellationRefused,
            Self::SeenNothing => {
                let nothing = Sighting::new(Fact::unknown("no answer"), Fact::unknown("no answer"));
                Event::OutcomeObserved(Box::new(nothing))
            }
            Self::Progress(phase) => Event::ProgressObserved(Box::new(Progress::new(phase))),
            Self::Seen(live, health) => {
                let live = Fact::known(Live::running(fixtures::reference(live.id())), now);
                let health = match health {
                    Some(true) => Fact::known(Health::Healthy, now),
                    Some(false) => Fact::known(Health::Unhealthy("HTTP 500".into()), now),
                    None => Fact::unknown("the check did not answer"),
                };
                Event::OutcomeObserved(Box::new(Sighting::new(live, health)))
            }
            _ => Event::DoubtRemained("the CD system cannot fence".into()),
        }
    }
}

fn unknown() -> Standing {
    Standing::unknown("the directory did not answer")
}

fn confirmation(who: Who, standing: Standing, pair: Pair) -> Event {
    let given = Confirmation::new(who.person().actor(), standing, fixtures::reason(), pair);
    Event::ConfirmationGiven(Box::new(given))
}

impl Look {
    fn real(self, now: Timestamp) -> Event {
        let long_ago = Timestamp::from_millis(now.as_millis().saturating_sub(31_000));
        let read = if self.odd == Odd::Stale { long_ago } else { now };
        let mut facts = fixtures::facts(read);
        let mut live = Live::running(fixtures::reference(self.live.id()));
        if self.busy {
            live.in_progress = Presence::Something(InProgress::new(OperationKind::Rollback));
        }
        facts.live = Fact::known(live, read);
        facts.record = facts.record.map(|mut record| {
            record.in_flight = self.held.then(|| parsed("rb-0"));
            record.last_rollback = self.cooling.then(|| LastRollback::new(parsed("rb-0"), read));
            if self.odd == Odd::MarkedBad {
                record.marked_bad.insert(parsed("41"), "it lost orders".into());
            }
            record
        });
        self.spoil(&mut facts, read);
        let mut requester = self.requester.person();
        if self.odd == Odd::RequesterGone {
            requester = requester.as_account(Account::Deactivated);
        }
        let standing = match self.odd {
            Odd::NothingKnown => unknown(),
            _ => requester.standing(read),
        };
        let approvers = match self.odd {
            Odd::NothingKnown | Odd::ApproversUnknown => BTreeMap::new(),
            _ => self.approvers(read),
        };
        Event::FactsObserved(Box::new(Observation::new(facts, standing).and_of(approvers)))
    }

    /// Everybody who may have approved; one of them may have left meanwhile.
    fn approvers(self, read: Timestamp) -> BTreeMap<UserId, Standing> {
        let gone = |who: Who| match self.odd {
            Odd::ApproverGone => who.person().as_account(Account::Deactivated),
            _ => who.person(),
        };
        let everybody = Who::ALL.into_iter().map(gone);
        everybody.map(|person| (person.id(), person.standing(read))).collect()
    }

    fn spoil(self, facts: &mut Facts, read: Timestamp) {
        let history = |change: fn(&mut rollback_core::Revision)| {
            let mut history = fixtures::history();
            if let Some(target) = history.iter_mut().find(|revision| revision.id.as_str() == "41") {
                change(target);
            }
            Fact::known(history, read)
        };
        match self.odd {
            Odd::NothingKnown => *facts = Facts::unknown("nobody looked"),
            Odd::HistoryUnknown => facts.history = Fact::unknown("no answer within 10 s"),
            Odd::Frozen => {
                let freeze = Freeze::new("release week", read, None);
                facts.freezes = Fact::known(vec![freeze], read);
            }
            Odd::Pruned => facts.history = history(|target| target.restorable = Restorable::No),
            Odd::FailedBefore => {
                facts.history = history(|target| target.status = RevisionStatus::Failed);
            }
            Odd::Irreversible => {
                let mut revisions = fixtures::history();
                let dropped = Migration::new("drop_column", Reversible::No);
                if let Some(current) = revisions.first_mut() {
                    current.migrations = Migrations::Known(vec![dropped]);
                }
                facts.history = Fact::known(revisions, read);
            }
            Odd::UndoneBySync => {
                let mut preflight = fixtures::accepted();
                preflight.undone_by = Presence::Something("auto-sync".into());
                facts.preflight = Fact::known(preflight, read);
            }
            Odd::UndoneUnsaid => facts.preflight = Fact::known(Preflight::accepted(), read),
            Odd::BusyUnsaid => {
                let mut live = Live::default();
                live.revision = Some(fixtures::reference(self.live.id()));
                facts.live = Fact::known(live, read);
            }
            Odd::NotAccepted => {
                facts.preflight = Fact::known(Preflight::rejected("no quota"), read);
            }
            Odd::Nothing
            | Odd::Stale
            | Odd::MarkedBad
            | Odd::RequesterGone
            | Odd::ApproverGone
            | Odd::ApproversUnknown => {}
        }
    }
}
