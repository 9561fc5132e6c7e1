//! A rollback from its opening on, driven by events that mostly fit the state in which it is.

use super::cast::{self, Candidate, Draw};
use super::choose::Player;
use super::world::World;
use crate::fixtures::{self, Person};
use proptest::collection::vec;
use proptest::prelude::*;
use rollback_core::access::Duty;
use rollback_core::audit::BackendEntry;
use rollback_core::journal::{Entry, Opening, Origin};
use rollback_core::{
    Actor, Deployer, Disposition, Effect, Event, Plan, Policy, Proposer, Purpose, Rollback,
    RollbackView, ServiceKey, StateName, Timestamp,
};
use std::collections::BTreeSet;
use std::fmt;

/// Most events of a journey: twice as many as a good rollback with two approvals has.
const EVENTS_MAX: usize = 28;

/// One event of a journey.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// When it was taken.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
    /// What became of it.
    pub disposition: Disposition,
    /// The state after it.
    pub state: StateName,
}

/// A rollback, driven until it ended or its events were used up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Journey {
    /// What it was opened with: the policy and guards of the host, for one of its services.
    pub opening: Opening,
    /// What happened to it.
    pub steps: Vec<Step>,
    /// How many orders were given. More than one is a mistake of this library.
    pub orders: u64,
    /// Whoever asked for the order, then whoever approved it; empty without an order, and in a drill.
    pub ordered_by: Vec<Person>,
    /// The rollback at the end of the journey.
    pub view: RollbackView,
    opened_in: StateName,
}

impl Journey {
    /// Every state that it was in.
    #[must_use]
    pub fn states(&self) -> BTreeSet<StateName> {
        let after = self.steps.iter().map(|step| step.state);
        core::iter::once(self.opened_in).chain(after).collect()
    }

    /// What a journal would hold: the events that counted, or that somebody was told about.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let steps = self.steps.iter();
        let stored = steps.filter(|step| !matches!(step.disposition, Disposition::Ignored(_)));
        stored.map(|step| Entry::new(step.at, step.event.clone()))
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let people: Vec<&str> = self.ordered_by.iter().map(|person| person.user.as_str()).collect();
        if people.is_empty() {
            writeln!(f, "no order; a rollback of it:")?;
        } else {
            writeln!(f, "ordered on the word of {}:", people.join(", "))?;
        }
        writeln!(f, "  {}", self.opened_in)?;
        for step in &self.steps {
            let Step { event, state, disposition, .. } = step;
            let became = match disposition {
                Disposition::Applied => "",
                Disposition::Declined(_) => " (declined)",
                Disposition::Ignored(_) => " (ignored)",
            };
            writeln!(f, "  {}{became} -> {state}", in_words(event))?;
        }
        writeln!(f, "  {}", self.view.explanation)
    }
}

/// The event's name, and who acted.
fn in_words(event: &Event) -> String {
    let name = match serde_json::to_value(event) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(object)) => object.keys().next().cloned().unwrap_or_default(),
        Ok(_) | Err(_) => String::new(),
    };
    match actor_of(event) {
        Some(actor) => format!("{name} by `{}`", actor.id),
        None => name,
    }
}

const fn actor_of(event: &Event) -> Option<&Actor> {
    match event {
        Event::Clicked(actor) => Some(actor),
        Event::ConfirmationGiven(given) => Some(&given.actor),
        Event::ApprovalGiven(said)
        | Event::RejectionGiven(said)
        | Event::WithdrawalGiven(said)
        | Event::Released(said) => Some(&said.actor),
        Event::Settled(settlement) => Some(&settlement.actor),
        Event::StandingObserved(_)
        | Event::FactsObserved(_)
        | Event::SlotTaken(_)
        | Event::IntentRecorded
        | Event::IntentNotRecorded(_)
        | Event::TriggerAccepted(_)
        | Event::TriggerRefused(_)
        | Event::TriggerConflicted(_)
        | Event::TriggerInDoubt(_)
        | Event::OrderFound(_)
        | Event::OrderAbsent
        | Event::DoubtRemained(_)
        | Event::Rehearsed(_)
        | Event::ProgressObserved(_)
        | Event::ExecutionUnseen(_)
        | Event::CancellationAccepted
        | Event::CancellationRefused
        | Event::OutcomeObserved(_)
        | Event::DeadlineReached
        | Event::PutAside(_) => None,
    }
}

/// What a journey is played from: numbers that mean an event only in a state.
#[derive(Clone, Debug)]
pub(super) struct Script {
    asker: Draw,
    proposed: bool,
    drill: bool,
    warns: bool,
    choices: Vec<Choice>,
}

/// One event, in numbers. Zeros are what a good rollback needs next, so that a failure shrinks
/// towards one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Which event, of 100: the state decides.
    pub(super) pick: u8,
    /// Which variant of it.
    pub(super) detail: u16,
    /// Who acts, where anybody does.
    pub(super) who: Draw,
    /// How many seconds after the event before it.
    pub(super) seconds: u64,
}

pub(super) fn script() -> impl Strategy<Value = Script> {
    let rarely = || prop::bool::weighted(0.1);
    let drill = prop::bool::weighted(0.05);
    // One journey in six is cut off. The length comes last, so that what a failure does not need is
    // cut off once every event is the usual one.
    let choices = vec(choice(), EVENTS_MAX);
    (cast::beside(), rarely(), drill, rarely(), choices, 0..=EVENTS_MAX * 6).prop_map(
        |(asker, proposed, drill, warns, mut choices, length)| {
            choices.truncate(length);
            Script { asker, proposed, drill, warns, choices }
        },
    )
}

fn choice() -> impl Strategy<Value = Choice> {
    let seconds = prop_oneof![60 => 0_u64..3, 2 => 3_u64..40, 1 => 40_u64..2_000];
    (0_u8..100, any::<u16>(), cast::beside(), seconds)
        .prop_map(|(pick, detail, who, seconds)| Choice { pick, detail, who, seconds })
}

/// Plays a journey. Whoever has the duty under test does it, where the journey comes to that.
pub(super) fn play(
    world: &World,
    key: &ServiceKey,
    policy: &Policy,
    (duty, star): (Duty, &Candidate),
    script: &Script,
) -> Journey {
    let asker = match duty {
        Duty::Request => star.clone(),
        Duty::Approve | Duty::Withdraw | Duty::Settle | Duty::Release | Duty::Operate => {
            let asker = world.resolve(key, &policy.access, Duty::Request, script.asker);
            asker.or_is(star)
        }
    };
    let opening = opening(world, key, policy, (&asker, star), script);
    let step = Rollback::open(opening.clone());
    let opened_in = step.rollback.state_name();
    let mut player = Player::new(world, key, policy, (duty, star), asker, script.warns);
    let mut rollback = step.rollback;
    let (mut steps, mut orders) = (Vec::new(), 0);
    let mut ordered_by = Vec::new();
    for choice in &script.choices {
        if is_over(&rollback) {
            break;
        }
        let event = player.next(&rollback, choice);
        let at = player.now();
        let step = rollback.step(at, event.clone());
        rollback = step.rollback;
        if step.effects.iter().any(|effect| matches!(effect, Effect::Trigger(_))) {
            orders += 1;
            ordered_by = player.people(&rollback.view());
        }
        let state = rollback.state_name();
        steps.push(Step { at, event, disposition: step.disposition, state });
    }
    Journey { opening, steps, orders, ordered_by, view: rollback.view(), opened_in }
}

fn opening(
    world: &World,
    key: &ServiceKey,
    policy: &Policy,
    (asker, star): (&Candidate, &Candidate),
    script: &Script,
) -> Opening {
    let (from, to) = (fixtures::reference("42"), fixtures::reference("41"));
    let plan = Plan::new(key.clone(), from, to).expect("two revisions");
    let origin = if script.proposed {
        let by = Proposer::new("agent-7", Some("Watcher".into()));
        Origin::Proposal { by, reason: fixtures::reason() }
    } else {
        Origin::Click(asker.person.actor())
    };
    let backend = BackendEntry::new(fixtures::parsed("prod"), world.capabilities());
    let id = fixtures::parsed("rb-1");
    let mut opening = Opening::new(id, plan, policy.clone(), origin, backend, fixtures::at(0));
    opening.purpose = if script.drill { Purpose::Drill } else { Purpose::Real };
    if star.role == cast::Role::Deployer {
        let mut deployer = Deployer::default();
        deployer.slack_user_id = Some(star.person.id());
        opening.deployer = Some(deployer);
    }
    opening
}

/// Whether nothing more can happen to it. An unknown outcome waits for a person.
fn is_over(rollback: &Rollback) -> bool {
    let state = rollback.state_name();
    state.is_end() && (state != StateName::OutcomeUnknown || !rollback.holds_service())
}
