//! The state machine: one total function from a state, the time and an event to the next state,
//! what to do, what to record, and what became of the event.

mod aside;
mod asking;
mod checking;
mod doubt;
mod ended;
mod executing;
mod turn;
mod verifying;

use crate::access::{Denial, Duty};
use crate::audit::Draft;
use crate::event::{Audience, Effect, Event, Receipt};
use crate::guard::Report;
use crate::id::{Label, RollbackId};
use crate::journal::{Opening, Origin, Rules};
use crate::model::{Actor, Plan, RevisionRef};
use crate::policy::Policy;
use crate::proof::{Approved, Authorized, Confirmed, GuardsPassed, OrderRef, Recorded, Votes};
use crate::time::Timestamp;
use crate::view::{Cancellation, Execution, Purpose, RollbackView, StateName};
use crate::words;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;
use turn::{Next, Notes, Turn};

/// Where a rollback stands. Every state owns the proof that led to it, so that a state cannot be
/// built without its checks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Somebody or something suggested it; nobody has clicked yet.
    Proposed,
    /// Somebody clicked; the directory is asked about them.
    Authorizing(Actor),
    /// They may; they are looking at current, target and guards.
    Confirming(Authorized, Preview),
    /// Confirmed; other people must approve.
    Approving(Confirmed, Votes),
    /// Approved; the guards' sources are read afresh.
    Checking(Approved),
    /// The guards passed; the intent is being recorded.
    Recording(GuardsPassed),
    /// The order is on its way, or its fate is being found out.
    Triggering(Recorded, Sending),
    /// The CD system carries it out.
    Running(Recorded, Running),
    /// The CD system says it is done.
    Verifying(Recorded, Verifying),
    /// The target is live and healthy; in a drill, would have been ordered.
    Succeeded,
    /// Ordered, and known not to have worked.
    Failed,
    /// Carried out, and not seen to be good.
    NotVerified,
    /// A guard said no, or could not say. Nothing was changed.
    Refused,
    /// The person may not. Nothing was changed.
    Denied,
    /// A person stopped it, or the CD system cancelled it.
    Withdrawn,
    /// Nobody answered in time. Nothing was changed.
    Expired,
    /// Ordered, and nobody knows what became of it.
    OutcomeUnknown(Recorded, Unsettled),
}

impl State {
    /// Its name, as every contract spells it.
    #[must_use]
    pub const fn name(&self) -> StateName {
        match self {
            Self::Proposed => StateName::Proposed,
            Self::Authorizing(..) => StateName::Authorizing,
            Self::Confirming(..) => StateName::Confirming,
            Self::Approving(..) => StateName::Approving,
            Self::Checking(..) => StateName::Checking,
            Self::Recording(..) => StateName::Recording,
            Self::Triggering(..) => StateName::Triggering,
            Self::Running(..) => StateName::Running,
            Self::Verifying(..) => StateName::Verifying,
            Self::Succeeded => StateName::Succeeded,
            Self::Failed => StateName::Failed,
            Self::NotVerified => StateName::NotVerified,
            Self::Refused => StateName::Refused,
            Self::Denied => StateName::Denied,
            Self::Withdrawn => StateName::Withdrawn,
            Self::Expired => StateName::Expired,
            Self::OutcomeUnknown(..) => StateName::OutcomeUnknown,
        }
    }
}

/// How far the look before the confirmation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "shown or not; there is no third")]
pub enum Preview {
    /// The facts are being read; there is nothing to confirm yet.
    Reading,
    /// The guards passed and the modal shows it.
    Shown,
}

/// How far the sending of the order is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "sent once or in doubt; nothing sends it again")]
pub enum Sending {
    /// It is being sent, once.
    Once,
    /// It may have been taken; only reading can tell.
    InDoubt(Doubt),
}

/// What is known of an order in doubt.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Doubt {
    /// What happened to the order.
    pub(crate) why: String,
    /// What the CD system answered, where that cannot prove that the order will not come.
    pub(crate) remains: Option<String>,
    /// Whether it lasts longer than its limit, and people were called.
    pub(crate) overdue: bool,
}

/// What is known of a running execution.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Running {
    pub(crate) receipt: Receipt,
    pub(crate) cancelling: Cancelling,
    /// When it should be complete.
    pub(crate) due: Timestamp,
    /// Whether that is over, and people were told.
    pub(crate) overdue: bool,
    /// Since when the CD system does not answer about it.
    pub(crate) silent_since: Option<Timestamp>,
}

/// What became of a person's wish to cancel.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cancelling {
    /// Nobody wished it.
    No,
    /// The CD system is being asked, for this person.
    Asked(Actor),
    /// The CD system will stop it.
    Accepted,
    /// The CD system will not.
    Refused,
}

/// What has been seen of the result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Verifying {
    pub(crate) receipt: Receipt,
    /// Since when it is looked at.
    pub(crate) since: Timestamp,
    /// Since when what was seen last has been seen.
    pub(crate) good_since: Option<Timestamp>,
    pub(crate) seen: String,
    /// How it ended without success, as the CD system says, and what was seen live since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unsuccessful: Option<(Unsuccessful, Found)>,
}

/// How an execution ended that was no success, as the CD system says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unsuccessful {
    /// It failed, with these words.
    Failed(Option<Label>),
    /// It was cancelled.
    Cancelled,
}

/// What is live after an execution that was no success.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Found {
    /// The revision to return to, after all.
    Target,
    /// The revision to leave, still.
    Origin,
    /// Neither of the two.
    Other(RevisionRef),
    /// Nothing for certain: something is still in progress, or nothing is live.
    HalfWay(String),
    /// It could not be read, and why.
    Unreadable(String),
}

/// What is known of a rollback whose outcome is not.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Unsettled {
    /// The execution that the CD system is known to have taken before it fell silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<Receipt>,
    /// What was found out since: there is nothing left to watch for.
    pub(crate) late: Option<Receipt>,
    pub(crate) settled: bool,
    /// A person settled it while its order was in doubt. The CD system can still be asked, and fenced.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub(crate) in_doubt: bool,
}

/// One rollback, with everything it was opened with.
#[derive(Debug, Serialize)]
pub struct Rollback {
    opening: Box<Opening>,
    state: State,
    notes: Box<Notes>,
    deadline: Option<Timestamp>,
    now: Timestamp,
    steps: u64,
}

/// What a step did. Persist it, then perform the effects.
#[derive(Debug)]
#[must_use = "persist the transition, then perform its effects"]
#[non_exhaustive]
pub struct Transition {
    /// The rollback after the step.
    pub rollback: Rollback,
    /// What to do now, in order, after the step is stored.
    pub effects: Vec<Effect>,
    /// What to record, in order, in the transaction that stores the step.
    pub drafts: Vec<Draft>,
    /// What became of the event.
    pub disposition: Disposition,
}

/// What became of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever stores a step must decide on each")]
pub enum Disposition {
    /// It counted: store the event.
    Applied,
    /// It did not count, and somebody was told: store the event, for it is in the audit record.
    Declined(Declined),
    /// It changed nothing and nobody needs to know: store nothing.
    Ignored(Ignored),
}

/// Why an event did not count.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Declined {
    /// The actor may not.
    NotEntitled {
        /// What they wanted to do.
        duty: Duty,
        /// Why they may not.
        denial: Denial,
        /// The rule that decided.
        rule: Label,
    },
    /// The actor would approve their own rollback.
    OwnApproval,
    /// Somebody else asked for this rollback.
    NotTheRequester,
    /// The order can no longer be called back.
    TooLate,
    /// A warning that was shown is not acknowledged.
    NotAcknowledged(Label),
}

/// Why an event changed nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ignored {
    /// The rollback has ended.
    Ended,
    /// The event does not belong to this state: it is late, early or foreign.
    OutOfPlace,
    /// It says what was known already.
    Again,
}

impl Rollback {
    /// Opens a rollback.
    pub fn open(opening: Opening) -> Transition {
        let now = opening.at;
        let mut rollback = Self {
            opening: Box::new(opening),
            state: State::Proposed,
            notes: Box::default(),
            deadline: None,
            now,
            steps: 0,
        };
        let mut turn = Turn {
            opening: &rollback.opening,
            notes: &mut rollback.notes,
            deadline: &mut rollback.deadline,
            now,
            step: 0,
            effects: Vec::new(),
            drafts: Vec::new(),
        };
        let (state, disposition) = match &turn.opening.origin {
            Origin::Click(actor) => asking::clicked(actor.clone(), &mut turn),
            Origin::Proposal { by, reason } => asking::proposed_by(by, reason, &mut turn),
        };
        let Turn { effects, drafts, .. } = turn;
        rollback.state = state;
        Transition { rollback, effects, drafts, disposition }
    }

    /// Takes one event and says what follows from it. Total: every event is decided in every state.
    ///
    /// Time never runs backwards in it: a `now` before the last one counts as the last one. In a
    /// state that waits for people, an event after the deadline finds it expired, whether or not
    /// anybody sent [`Event::DeadlineReached`].
    pub fn step(self, now: Timestamp, event: Event) -> Transition {
        let Self { opening, state, mut notes, mut deadline, now: last, steps } = self;
        let now = now.max(last);
        let steps = steps.saturating_add(1);
        let event = match opening.rules {
            Rules::V1 => event.vouched_for(notes.requested_by.as_ref()),
            Rules::V2 | Rules::V3 => event,
        };
        let late = waits_for_people(&state) && deadline.is_some_and(|deadline| now >= deadline);
        let event = if late { Event::DeadlineReached } else { event };
        // The deadline of an earlier state, or one that was put off.
        let early = opening.rules >= Rules::V2
            && event == Event::DeadlineReached
            && deadline.is_some_and(|deadline| now < deadline);
        if early {
            let steps = steps.saturating_sub(1);
            let rollback = Self { opening, state, notes, deadline, now: last, steps };
            return Transition {
                rollback,
                effects: Vec::new(),
                drafts: Vec::new(),
                disposition: Disposition::Ignored(Ignored::OutOfPlace),
            };
        }
        let was_aside = notes.put_aside.is_some();
        let was_paged = needs_somebody(&state, &notes);
        let mut turn = Turn {
            opening: &opening,
            notes: &mut notes,
            deadline: &mut deadline,
            now,
            step: steps,
            effects: Vec::new(),
            drafts: Vec::new(),
        };
        let (state, disposition) = next(state, event, &mut turn);
        // The channel was shown that it is put aside, so it is shown whatever becomes of that, also
        // what concerns nobody there otherwise.
        let channel = Effect::Tell(Audience::Channel);
        if was_aside && disposition == Disposition::Applied && !turn.effects.contains(&channel) {
            turn.effects.push(channel);
        }
        // Whoever was paged is told when they are not needed any more.
        let page = Effect::Tell(Audience::OnCall);
        let resolved = was_paged && !needs_somebody(&state, turn.notes);
        if resolved && opening.rules >= Rules::V3 && !turn.effects.contains(&page) {
            turn.effects.push(page);
        }
        let Turn { effects, drafts, .. } = turn;
        // What is not stored must leave no trace, or a replay would not end up here.
        let (now, steps) = match disposition {
            Disposition::Applied | Disposition::Declined(_) => (now, steps),
            Disposition::Ignored(_) => (last, steps.saturating_sub(1)),
        };
        let rollback = Self { opening, state, notes, deadline, now, steps };
        Transition { rollback, effects, drafts, disposition }
    }

    /// The moment up to which it is decided: that of the last event that counted.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The state's name.
    #[must_use]
    pub const fn state_name(&self) -> StateName {
        self.state.name()
    }

    /// Everything it was opened with.
    #[must_use]
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> &RollbackId {
        &self.opening.id
    }

    /// What it would do.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.opening.plan
    }

    /// What it is held to.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.opening.policy
    }

    /// How many events it has taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// When it wants [`Event::DeadlineReached`]. Every state that waits has one, until it has been
    /// told that an order in doubt, or what the CD system carries out, takes longer than its limit.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Whether no other rollback of the service may be confirmed: from the confirmation to the
    /// end, and while an unknown outcome is not settled. A drill never does: it must not stand in
    /// the way of a real rollback.
    #[must_use]
    pub const fn holds_service(&self) -> bool {
        if let State::OutcomeUnknown(_, unsettled) = &self.state {
            return !unsettled.settled;
        }
        matches!(self.opening.purpose, Purpose::Real) && self.state.name().is_in_flight()
    }

    /// Whether its order was ever given to the CD system, or may have been. Never in a drill.
    #[must_use]
    pub fn was_ordered(&self) -> bool {
        self.notes.ordered
    }

    /// The account that asked for it.
    #[must_use]
    pub const fn requested_by(&self) -> Option<&Actor> {
        self.notes.requested_by.as_ref()
    }

    /// The guards' last report.
    #[must_use]
    pub const fn report(&self) -> Option<&Report> {
        self.notes.report.as_ref()
    }

    /// What the state still waits for, to be asked for again after a restart.
    ///
    /// Never [`Effect::Trigger`]: whether an order that was about to be sent was sent cannot be
    /// known, so what comes back is [`Effect::Reconcile`], with [`Event::TriggerInDoubt`] to be
    /// fed first. Nothing while it is put aside.
    #[must_use]
    pub fn pending(&self) -> Vec<Effect> {
        if self.notes.put_aside.is_some() {
            return Vec::new();
        }
        let effect = match &self.state {
            State::Authorizing(actor) => Effect::ObserveStanding(actor.id.clone()),
            State::Confirming(_, Preview::Reading) | State::Checking(_) => Effect::GatherFacts,
            State::Recording(_) => Effect::RecordIntent,
            State::Triggering(recorded, _) => match self.opening.purpose {
                Purpose::Real => Effect::Reconcile(OrderRef::of(recorded)),
                Purpose::Drill => Effect::Rehearse(OrderRef::of(recorded)),
            },
            State::Running(recorded, running) => {
                let order = OrderRef::of(recorded);
                let mut effects = Vec::new();
                if let Cancelling::Asked(_) = running.cancelling {
                    effects.push(Effect::Cancel(OrderRef::of(recorded), running.receipt.clone()));
                }
                effects.push(Effect::Observe(order, running.receipt.clone()));
                return effects;
            }
            State::Verifying(recorded, verifying) => {
                Effect::Verify(OrderRef::of(recorded), verifying.receipt.clone(), verifying.since)
            }
            State::OutcomeUnknown(recorded, unsettled) if unsettled.in_doubt => {
                Effect::Reconcile(OrderRef::of(recorded))
            }
            State::OutcomeUnknown(recorded, unsettled)
                if unsettled.late.is_none() && !unsettled.settled =>
            {
                match &unsettled.known {
                    Some(receipt) => Effect::Observe(OrderRef::of(recorded), receipt.clone()),
                    None => Effect::WatchForLateEffect(OrderRef::of(recorded)),
                }
            }
            State::Proposed
            | State::Confirming(_, Preview::Shown)
            | State::Approving(..)
            | State::Succeeded
            | State::Failed
            | State::NotVerified
            | State::Refused
            | State::Denied
            | State::Withdrawn
            | State::Expired
            | State::OutcomeUnknown(..) => return Vec::new(),
        };
        alloc::vec![effect]
    }

    /// The rollback as others may see it.
    #[must_use]
    pub fn view(&self) -> RollbackView {
        let (opening, notes) = (&self.opening, &self.notes);
        let backend = &opening.backend.name;
        RollbackView {
            id: opening.id.clone(),
            key: opening.plan.key().clone(),
            state: self.state_name(),
            steps: self.steps,
            from: opening.plan.from().clone(),
            to: opening.plan.to().clone(),
            requested_by: notes.requested_by.clone(),
            approved_by: notes.approved_by.clone(),
            approvals_min: opening.policy.approvals_min,
            reason: notes.reason.clone(),
            guards: notes.report.as_ref().map(Report::views).unwrap_or_default(),
            acknowledged: notes.acknowledged.clone(),
            not_undone: notes.not_undone.clone(),
            expected_ms: notes.expected.and_then(|d| u64::try_from(d.as_millis()).ok()),
            execution: notes.receipt.as_ref().map(|r| Execution::new(backend.clone(), r)),
            progress: notes.progress.clone(),
            opened_at: opening.at,
            deadline: self.deadline,
            ended_at: notes.ended_at,
            explanation: notes.explanation.clone(),
            who_may: self.who_may(),
            rule: notes.rule.clone(),
            break_glass: notes.break_glass,
            proposed_by: match &opening.origin {
                Origin::Proposal { by, .. } => Some(by.clone()),
                Origin::Click(_) => None,
            },
            proposed_because: match &opening.origin {
                Origin::Proposal { reason, .. } => Some(reason.clone()),
                Origin::Click(_) => None,
            },
            settled: matches!(&self.state, State::OutcomeUnknown(_, unsettled) if unsettled.settled),
            late: matches!(&self.state, State::OutcomeUnknown(_, it) if it.late.is_some()),
            settlement: notes.settlement.clone(),
            put_aside: notes.put_aside,
            deploy: opening.deploy.clone(),
            deployer: opening.deployer.clone(),
            purpose: opening.purpose,
            cancellable: self.is_cancellable(),
            in_doubt: matches!(self.state, State::Triggering(_, Sending::InDoubt(_))),
            overdue: self.is_overdue(),
            silent_since: self.running().and_then(|running| running.silent_since),
            cancellation: self.cancellation(),
        }
    }

    /// Whether people were told that it takes longer than its limit. It is still followed.
    const fn is_overdue(&self) -> bool {
        if let State::Triggering(_, Sending::InDoubt(doubt)) = &self.state {
            return doubt.overdue;
        }
        matches!(&self.state, State::Running(_, running) if running.overdue)
    }

    const fn running(&self) -> Option<&Running> {
        if let State::Running(_, running) = &self.state { Some(running) } else { None }
    }

    fn cancellation(&self) -> Option<Cancellation> {
        match self.running()?.cancelling {
            Cancelling::No => None,
            Cancelling::Asked(_) => Some(Cancellation::Asked),
            Cancelling::Accepted => Some(Cancellation::Accepted),
            Cancelling::Refused => Some(Cancellation::Refused),
        }
    }

    fn who_may(&self) -> Vec<Label> {
        let duty = match &self.state {
            _ if self.notes.put_aside.is_some() => Duty::Release,
            _ if self.is_overdue() => Duty::Settle,
            State::Approving(..) => Duty::Approve,
            State::OutcomeUnknown(..) => Duty::Settle,
            State::Proposed
            | State::Authorizing(_)
            | State::Confirming(..)
            | State::Checking(_)
            | State::Recording(_)
            | State::Triggering(..)
            | State::Running(..)
            | State::Verifying(..)
            | State::Succeeded
            | State::Failed
            | State::NotVerified
            | State::Refused
            | State::Denied
            | State::Withdrawn
            | State::Expired => Duty::Request,
        };
        words::who_may(&self.opening.policy.access, duty)
    }

    fn is_cancellable(&self) -> bool {
        match &self.state {
            State::Approving(..) | State::Checking(_) | State::Recording(_) => true,
            State::Running(_, running) => {
                matches!(running.cancelling, Cancelling::No) && self.opening.backend.may_cancel()
            }
            State::Proposed
            | State::Authorizing(_)
            | State::Confirming(..)
            | State::Triggering(..)
            | State::Verifying(..)
            | State::Succeeded
            | State::Failed
            | State::NotVerified
            | State::Refused
            | State::Denied
            | State::Withdrawn
            | State::Expired
            | State::OutcomeUnknown(..) => false,
        }
    }
}

/// Whether whoever is on call is needed: nobody else ends this.
const fn needs_somebody(state: &State, notes: &Notes) -> bool {
    notes.put_aside.is_some()
        || match state {
            State::OutcomeUnknown(_, unsettled) => !unsettled.settled,
            State::Triggering(_, Sending::InDoubt(doubt)) => doubt.overdue,
            State::Running(_, running) => running.overdue,
            State::Proposed
            | State::Authorizing(_)
            | State::Confirming(..)
            | State::Approving(..)
            | State::Checking(_)
            | State::Recording(_)
            | State::Triggering(_, Sending::Once)
            | State::Verifying(..)
            | State::Succeeded
            | State::Failed
            | State::NotVerified
            | State::Refused
            | State::Denied
            | State::Withdrawn
            | State::Expired => false,
        }
}

/// Whether the state waits for a person to act, so that a late act is late.
const fn waits_for_people(state: &State) -> bool {
    matches!(state, State::Proposed | State::Confirming(..) | State::Approving(..))
}

fn next(state: State, event: Event, turn: &mut Turn<'_>) -> Next {
    // Whoever works may be ended in any state, by the work of that state.
    if let Event::PutAside(attempts) = event {
        return aside::put(state, attempts, turn);
    }
    if let Event::Released(said) = event {
        return aside::release(state, *said, turn);
    }
    let (state, event) = match (state, event) {
        (state, Event::Settled(settlement)) if aside::can_be_settled(&state, turn) => {
            return ended::settle(state, *settlement, turn);
        }
        other => other,
    };
    match state {
        State::Proposed => asking::proposed(event, turn),
        State::Authorizing(actor) => asking::authorizing(actor, event, turn),
        State::Confirming(authorized, preview) => {
            asking::confirming(authorized, preview, event, turn)
        }
        State::Approving(confirmed, votes) => asking::approving(confirmed, votes, event, turn),
        State::Checking(approved) => checking::checking(approved, event, turn),
        State::Recording(passed) => checking::recording(passed, event, turn),
        State::Triggering(recorded, sending) => {
            executing::triggering(recorded, sending, event, turn)
        }
        State::Running(recorded, running) => executing::running(recorded, running, event, turn),
        State::Verifying(recorded, verifying) => {
            verifying::verifying(recorded, verifying, event, turn)
        }
        State::OutcomeUnknown(recorded, unsettled) => {
            ended::outcome_unknown(recorded, unsettled, event, turn)
        }
        ended @ (State::Succeeded
        | State::Failed
        | State::NotVerified
        | State::Refused
        | State::Denied
        | State::Withdrawn
        | State::Expired) => turn::ignore(ended, Ignored::Ended),
    }
}
