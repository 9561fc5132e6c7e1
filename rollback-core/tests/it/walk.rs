//! Every reachable state for small bounds, with people whose roles overlap.
//!
//! Random events lie about deep states: they hardly ever reach an order. This walks them all,
//! breadth first. An oracle that knows nothing of the machine follows each path by what its events
//! mean and says what must be true of every order (`INV-01` to `INV-04`, `INV-08`, `INV-13`,
//! `INV-14`, `INV-18`, `INV-21`, `INV-25`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and looks for one thing among many"
)]
#![expect(clippy::print_stdout, reason = "the size of the walk is its point")]

use rollback_core::access::{Account, Standing};
use rollback_core::audit::{BackendEntry, Kind};
use rollback_core::guard::Verdict;
use rollback_core::journal::{Entry, Opening, replay};
use rollback_core::observed::{Acceptance, Facts, InProgress, Live, OperationKind, Preflight};
use rollback_core::ports::{Capabilities, CompareAndSet, Fence};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Conflict, Declined, Disposition, Effect, Event, Fact, Health, Ignored, Observation, Pair,
    Phase, Policy, Presence, Progress, Purpose, Receipt, Rollback, Said, Settlement, Sighting,
    State, StateName, Timestamp, Transition,
};
use rollback_testkit::fixtures::{self, Person, parsed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What an event means, for the oracle: said when the event is made, not read from the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Meaning {
    Clicks(String),
    Confirms { who: String, this_plan: bool, known: bool },
    Approves { who: String, known: bool },
    Facts { good: bool, requester: bool, approvers: bool },
    Recorded { in_time: bool },
    Settles { who: String },
    RefusedByCd,
    Other,
}

/// What must be true, by the meaning of the events alone.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question with two answers")]
struct Oracle {
    requester: Option<String>,
    confirmed: bool,
    approved_by: BTreeSet<String>,
    facts_good: bool,
    intent_recorded: bool,
    intent_drafted: bool,
    orders: u8,
    refused_by_cd: bool,
}

/// Whom the fixtures' rules let ask and approve, by hand.
fn entitled(who: &str) -> bool {
    ["U02ANA", "U12ANA", "U03BO", "U04CLEO", "U06FINN"].contains(&who)
}

/// One human behind two accounts.
fn human(who: &str) -> &str {
    if who == "U12ANA" { "U02ANA" } else { who }
}

impl Oracle {
    fn follow(&mut self, meaning: &Meaning, before: StateName, after: &Transition) {
        if after.disposition != Disposition::Applied {
            return;
        }
        match meaning {
            Meaning::Clicks(who) => {
                *self = Self { requester: Some(who.clone()), ..Self::default() };
            }
            Meaning::Confirms { who, this_plan, known } => {
                let theirs = self.requester.as_ref() == Some(who);
                self.confirmed = theirs && *this_plan && *known && entitled(who);
                self.facts_good = false;
            }
            Meaning::Approves { who, known } => {
                let other = self.requester.as_deref().map(human) != Some(human(who));
                if other && *known && entitled(who) {
                    self.approved_by.insert(human(who).to_owned());
                }
                self.facts_good = false;
            }
            Meaning::Facts { good, requester, approvers } => {
                let people = *requester && (*approvers || self.approved_by.is_empty());
                self.facts_good = *good && people && before == StateName::Checking;
            }
            Meaning::Recorded { in_time } => self.intent_recorded = *in_time,
            Meaning::RefusedByCd => self.refused_by_cd = true,
            Meaning::Settles { .. } | Meaning::Other => {}
        }
    }

    /// INV-01, INV-02, INV-03, INV-08, INV-13, INV-14.
    fn allows_order(&self, approvals: u8) -> Result<(), &'static str> {
        if !self.confirmed {
            return Err("nobody who may confirmed this plan");
        }
        if self.approved_by.len() < usize::from(approvals) {
            return Err("too few other people approved");
        }
        if !self.facts_good {
            return Err("the guards did not all pass after the last approval");
        }
        if !self.intent_drafted || !self.intent_recorded {
            return Err("the intent was not recorded first");
        }
        if self.orders > 0 {
            return Err("it is the second order");
        }
        Ok(())
    }
}

type Move = (u64, Event, Meaning);

/// Every event that can be told apart, made at `now`. The number is how many seconds later it
/// comes.
fn moves(now: Timestamp, cast: &[Person], requester: Option<&str>, deadline: u64) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    let mut add = |event: Event, meaning: Meaning| moves.push((0, event, meaning));
    let someone =
        cast.iter().find(|p| Some(p.user.as_str()) == requester).or_else(|| cast.first()).unwrap();
    for person in cast {
        let who = person.user.to_string();
        add(Event::Clicked(person.actor()), Meaning::Clicks(who.clone()));
        let standing = person.standing(now).about(person.id());
        add(Event::StandingObserved(Box::new(standing)), Meaning::Other);
        let confirms = Meaning::Confirms { who: who.clone(), this_plan: true, known: true };
        add(person.confirmed(now), confirms);
        let approves = Meaning::Approves { who: who.clone(), known: true };
        add(Event::ApprovalGiven(person.said(now)), approves);
        add(Event::WithdrawalGiven(person.said(now)), Meaning::Other);
    }
    let unknown = || Standing::unknown("the directory did not answer");
    let pair = Pair::new(parsed("42"), parsed("40"));
    let who = someone.user.to_string();
    let other_pair =
        Confirmation::new(someone.actor(), someone.standing(now), fixtures::reason(), pair);
    add(
        Event::ConfirmationGiven(Box::new(other_pair)),
        Meaning::Confirms { who: who.clone(), this_plan: false, known: true },
    );
    let pair = fixtures::plan().pair();
    let nobody_knows = Confirmation::new(someone.actor(), unknown(), fixtures::reason(), pair);
    add(
        Event::ConfirmationGiven(Box::new(nobody_knows)),
        Meaning::Confirms { who, this_plan: true, known: false },
    );
    let bo = fixtures::bo();
    add(
        Event::ApprovalGiven(Box::new(Said::new(bo.actor(), unknown()))),
        Meaning::Approves { who: bo.user.to_string(), known: false },
    );
    for person in [fixtures::bo(), fixtures::eve()] {
        add(Event::RejectionGiven(person.said(now)), Meaning::Other);
        let settlement = Settlement::new(person.actor(), person.standing(now), fixtures::reason());
        let meaning = Meaning::Settles { who: person.user.to_string() };
        add(Event::Settled(Box::new(settlement)), meaning);
    }
    add(Event::StandingObserved(Box::new(unknown())), Meaning::Other);
    add_observations(now, someone, &mut add);
    add_answers(now, &mut add);
    moves.push((31, Event::IntentRecorded, Meaning::Recorded { in_time: false }));
    moves.push((10, sighting(now.after(Duration::from_secs(10)), "41"), Meaning::Other));
    moves.push((10, sighting(now.after(Duration::from_secs(10)), "42"), Meaning::Other));
    moves.push((deadline, Event::DeadlineReached, Meaning::Other));
    // Of an earlier state, say.
    moves.push((0, Event::DeadlineReached, Meaning::Other));
    moves
}

fn add_observations(now: Timestamp, requester: &Person, add: &mut impl FnMut(Event, Meaning)) {
    let mut moved = fixtures::facts(now);
    moved.live = Fact::known(Live::running(fixtures::reference("43")), now);
    let mut silent = fixtures::facts(now);
    silent.history = Fact::unknown("the CD did not answer within 10 s");
    let long_ago = Timestamp::from_millis(now.as_millis() - 31_000);
    let stale = fixtures::facts(long_ago);
    let gone = requester.clone().as_account(Account::Deactivated).standing(now);
    let observed = |facts: Facts, standing: Standing| {
        let of = fixtures::approvers(now);
        Event::FactsObserved(Box::new(Observation::new(facts, standing).and_of(of)))
    };
    let good = entitled(requester.user.as_str());
    let facts = |good, requester| Meaning::Facts { good, requester, approvers: true };
    let mut unsaid = fixtures::facts(now);
    unsaid.preflight = Fact::known(Preflight::accepted(), now);
    add(observed(unsaid, requester.standing(now)), facts(false, good));
    let left = [fixtures::ana(), fixtures::ana_again(), fixtures::bo(), fixtures::cleo()]
        .map(|person| (person.id(), person.as_account(Account::Deactivated).standing(now)));
    for approvers in [Vec::new(), left.to_vec()] {
        let look = Observation::new(fixtures::facts(now), requester.standing(now));
        let look = Event::FactsObserved(Box::new(look.and_of(approvers)));
        add(look, Meaning::Facts { good: true, requester: good, approvers: false });
    }
    add(observed(fixtures::facts(now), requester.standing(now)), facts(true, good));
    add(observed(fixtures::facts(now), gone), facts(true, false));
    add(observed(moved, requester.standing(now)), facts(false, good));
    add(observed(silent, requester.standing(now)), facts(false, good));
    add(observed(stale, requester.standing(now)), facts(false, good));
    let nothing = Facts::unknown("nobody looked");
    add(observed(nothing, Standing::unknown("nobody looked")), facts(false, false));
}

fn sighting(at: Timestamp, live: &str) -> Event {
    let live = Fact::known(Live::running(fixtures::reference(live)), at);
    Event::OutcomeObserved(Box::new(Sighting::new(live, Fact::known(Health::Healthy, at))))
}

fn add_answers(now: Timestamp, add: &mut impl FnMut(Event, Meaning)) {
    let receipt = Receipt::new("execution-1");
    add(Event::SlotTaken(parsed("rb-0")), Meaning::Other);
    add(Event::IntentRecorded, Meaning::Recorded { in_time: true });
    add(Event::IntentNotRecorded("the disk is full".into()), Meaning::Other);
    add(Event::TriggerAccepted(receipt.clone()), Meaning::Other);
    add(Event::TriggerRefused("maintenance".into()), Meaning::RefusedByCd);
    let conflict = Conflict::new(Some(fixtures::reference("43")), "live has moved");
    add(Event::TriggerConflicted(Box::new(conflict)), Meaning::RefusedByCd);
    add(Event::TriggerInDoubt("no answer within 10 s".into()), Meaning::Other);
    add(Event::OrderFound(receipt), Meaning::Other);
    add(Event::OrderAbsent, Meaning::Other);
    add(Event::DoubtRemained("the CD cannot fence".into()), Meaning::Other);
    let rejected = Acceptance::Rejected("no quota".into());
    add(Event::Rehearsed(Fact::known(Acceptance::Accepted, now)), Meaning::Other);
    add(Event::Rehearsed(Fact::known(rejected, now)), Meaning::Other);
    add(Event::Rehearsed(Fact::unknown("no answer")), Meaning::Other);
    for phase in
        [Phase::Started, Phase::HealthChecking, Phase::Complete, Phase::Failed, Phase::Cancelled]
    {
        add(Event::ProgressObserved(Box::new(Progress::new(phase))), Meaning::Other);
    }
    add(Event::ExecutionUnseen("no answer within 10 s".into()), Meaning::Other);
    add(Event::CancellationAccepted, Meaning::Other);
    add(Event::CancellationRefused, Meaning::Other);
    for live in ["41", "42", "43"] {
        add(sighting(now, live), Meaning::Other);
    }
    let mut busy = Live::running(fixtures::reference("41"));
    busy.in_progress = Presence::Something(InProgress::new(OperationKind::Rollback));
    let at_target = || Fact::known(Live::running(fixtures::reference("41")), now);
    let sick = Health::Unhealthy("HTTP 500".into());
    for (live, health) in [
        (at_target(), Fact::known(sick, now)),
        (at_target(), Fact::unknown("the check did not answer")),
        (Fact::known(busy, now), Fact::known(Health::Healthy, now)),
        (Fact::unknown("the CD did not answer"), Fact::known(Health::Healthy, now)),
        (Fact::known(Live::default(), now), Fact::known(Health::Healthy, now)),
    ] {
        add(Event::OutcomeObserved(Box::new(Sighting::new(live, health))), Meaning::Other);
    }
}

/// A state, how it was reached, and what the oracle knows.
struct Node {
    entries: Vec<Entry>,
    now: Timestamp,
    oracle: Oracle,
}

#[derive(Debug, Default)]
struct Seen {
    states: usize,
    transitions: usize,
    orders: usize,
    names: BTreeSet<StateName>,
    ends_of_order: BTreeSet<StateName>,
    dispositions: BTreeMap<String, usize>,
    verdicts: BTreeSet<&'static str>,
    kinds: BTreeSet<Kind>,
}

/// How long before or after `now` each moment is that decides what follows on an order: when it was
/// given, and on what facts, decides nothing any more.
fn relative(value: &mut serde_json::Value, now: Timestamp) {
    match value {
        serde_json::Value::Array(all) => all.iter_mut().for_each(|one| relative(one, now)),
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let at = field.as_str().and_then(|text| Timestamp::parse(text).ok());
                match (name.as_str(), at) {
                    ("deadline" | "due" | "silent_since" | "good_since" | "ended_at", Some(at)) => {
                        // How long ago it passed decides nothing once it is longer than any bound.
                        let ago = now.since(at).min(Duration::from_secs(20));
                        *field = format!("-{ago:?} +{:?}", at.since(now)).into();
                    }
                    _ => relative(field, now),
                }
            }
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// Everything about a rollback but how many events it took and what time it is.
fn image(rollback: &Rollback) -> String {
    let mut value = serde_json::to_value(rollback).unwrap();
    if is_after_order(rollback.state_name()) {
        let now = value.get("now").and_then(|now| Timestamp::parse(now.as_str()?).ok());
        relative(&mut value, now.unwrap());
    }
    let fields = value.as_object_mut().unwrap();
    fields.remove("steps");
    fields.remove("now");
    fields.remove("opening");
    value.to_string()
}

/// What tells a state from the others. After the order, how it came to be given decides nothing any
/// more: who asked, what was seen since and which limits passed does.
fn key(rollback: &Rollback, oracle: &Oracle) -> (String, Oracle) {
    if oracle.orders == 0 || !is_after_order(rollback.state_name()) {
        return (image(rollback), oracle.clone());
    }
    let mut value = serde_json::to_value(rollback).unwrap();
    relative(&mut value, rollback.now());
    let fields = value.as_object_mut().unwrap();
    for decided in ["steps", "now", "opening"] {
        fields.remove(decided);
    }
    let notes = fields["notes"].as_object_mut().unwrap();
    notes.retain(|name, _| {
        ["requested_by", "progress", "put_aside", "ordered", "receipt"].contains(&name.as_str())
    });
    if let Some(state) = fields["state"].as_object_mut() {
        let proofs = state.values_mut().filter_map(|state| state.as_array_mut());
        for proof in proofs.filter_map(|state| state.first_mut()) {
            *proof = serde_json::Value::Null;
        }
    }
    let Oracle { requester, orders, refused_by_cd, .. } = oracle.clone();
    (value.to_string(), Oracle { requester, orders, refused_by_cd, ..Oracle::default() })
}

/// Whether what people and sources say before the order is out of place for good: each state says so
/// by name.
fn is_after_order(name: StateName) -> bool {
    name.is_end()
        || [StateName::Triggering, StateName::Running, StateName::Verifying].contains(&name)
}

/// Through JSON, as a store does it.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// The door to settle it is there exactly where an owner's settlement counts.
fn check_settlement(meaning: &Meaning, can_be: bool, before: StateName, step: &Transition) {
    if *meaning == (Meaning::Settles { who: "U03BO".into() }) {
        let counts = step.disposition == Disposition::Applied;
        assert_eq!(counts, can_be, "a settlement in {before}");
    }
}

fn walk(opening: &Opening, cast: &[Person]) -> Seen {
    let first = Rollback::open(stored(opening));
    let requester = match &opening.origin {
        rollback_core::journal::Origin::Click(actor) => Some(actor.id.to_string()),
        rollback_core::journal::Origin::Proposal { .. } => None,
    };
    let oracle = Oracle { requester, ..Oracle::default() };
    let mut known = BTreeSet::from([key(&first.rollback, &oracle)]);
    let mut queue = VecDeque::from([Node { entries: Vec::new(), now: opening.at, oracle }]);
    let mut seen = Seen::default();
    while let Some(node) = queue.pop_front() {
        let entries: Vec<Entry> = stored(&node.entries);
        assert_eq!(entries, node.entries, "the journal changed on its way through JSON");
        let here = replay(stored(opening), entries);
        seen.states += 1;
        seen.names.insert(here.state_name());
        check_state(&here);
        if let Some(report) = here.report() {
            seen.verdicts.extend(report.findings().iter().map(|f| match f.verdict {
                Verdict::Pass => "pass",
                Verdict::Warn(_) => "warn",
                Verdict::Block(_) => "block",
                Verdict::Unknown(_) => "unknown",
            }));
        }
        let until = here.deadline().map_or(1, |at| at.since(node.now).as_secs());
        let (before, before_image) = (here.state_name(), image(&here));
        let (here_waits, can_be_settled) =
            (here.deadline().is_some(), here.view().can_be_settled());
        let mut told = BTreeSet::new();
        for (later, event, meaning) in
            moves(node.now, cast, node.oracle.requester.as_deref(), until)
        {
            // Of what is out of place for good, one of each kind is enough.
            if is_after_order(before) && !matters_after_order(&event, &mut told) {
                continue;
            }
            let now = node.now.after(Duration::from_secs(later));
            if later == 10 && before != StateName::Verifying {
                continue;
            }
            let here = replay(opening.clone(), node.entries.iter().cloned());
            let step = here.step(now, event.clone());
            seen.transitions += 1;
            let mut oracle = node.oracle.clone();
            oracle.follow(&meaning, before, &step);
            check_step(before, &before_image, &step);
            if event == Event::DeadlineReached && later < until && here_waits {
                assert!(
                    matches!(step.disposition, Disposition::Ignored(_)),
                    "a deadline counted {} s early in {before}",
                    until - later
                );
            }
            check_settlement(&meaning, can_be_settled, before, &step);
            check_acts(&event, &step);
            check_orders(opening, &mut oracle, &step, &mut seen);
            *seen.dispositions.entry(label(&step.disposition)).or_default() += 1;
            seen.kinds.extend(step.drafts.iter().map(|draft| draft.kind));
            let after = step.rollback;
            if oracle.orders > 0 && after.state_name().is_end() {
                seen.ends_of_order.insert(after.state_name());
            }
            if known.insert(key(&after, &oracle)) {
                let mut entries = node.entries.clone();
                entries.push(Entry::new(now, event));
                queue.push_back(Node { entries, now, oracle });
            }
        }
    }
    seen
}

/// Whether an event can do something after the order, or is the first of its kind.
fn matters_after_order(event: &Event, told: &mut BTreeSet<&'static str>) -> bool {
    let kind = match event {
        Event::Clicked(_) => "click",
        Event::StandingObserved(_) => "standing",
        Event::FactsObserved(_) => "facts",
        Event::ConfirmationGiven(_) => "confirmation",
        Event::ApprovalGiven(_) => "approval",
        Event::RejectionGiven(_) => "rejection",
        Event::IntentRecorded => "intent",
        _ => return true,
    };
    told.insert(kind)
}

/// INV-12, INV-35: what holds a service, and that every wait ends.
fn check_state(rollback: &Rollback) {
    let name = rollback.state_name();
    let view = rollback.view();
    // What runs late was told, and is followed without a limit for as long as the CD system answers.
    let followed_on = view.overdue && view.silent_since.is_none();
    assert_eq!(rollback.deadline().is_some(), !name.is_end() && !followed_on, "in {name}");
    let holds = if matches!(rollback.state(), State::OutcomeUnknown(..)) {
        // Until a person settles it.
        !rollback.view().settled
    } else {
        // A drill must not stand in the way of a real rollback.
        name.is_in_flight() && rollback.opening().purpose == Purpose::Real
    };
    assert_eq!(rollback.holds_service(), holds, "the service in {name}");
    assert_eq!(view.ended_at.is_some(), name.is_end(), "an end has its time, in {name}");
    assert!(!name.is_end() || !view.explanation.is_empty(), "an end without words: {name}");
    assert_eq!(stored(&view), view, "the view changed on its way through JSON");
    for effect in rollback.pending() {
        assert!(!matches!(effect, Effect::Trigger(_)), "a restart would send an order again");
    }
}

/// INV-06, INV-24: an ignored event leaves no trace, and an end is one.
fn check_step(before: StateName, image_before: &str, step: &Transition) {
    let after = step.rollback.state_name();
    match &step.disposition {
        Disposition::Ignored(_) => {
            assert!(step.effects.is_empty() && step.drafts.is_empty(), "{step:?}");
            assert_eq!(image(&step.rollback), image_before, "an ignored event left a trace");
        }
        Disposition::Declined(_) => {
            assert_eq!(before, after, "a declined event moved the rollback");
            assert_eq!(step.drafts.len(), 1, "who was declined is recorded");
            assert!(
                step.effects.iter().any(|effect| matches!(
                    effect,
                    Effect::Tell(rollback_core::Audience::Privately { .. })
                )),
                "who was declined is told"
            );
        }
        Disposition::Applied => {
            let one_end = before.is_end() && before != StateName::OutcomeUnknown;
            assert!(!one_end, "{before} took an event");
        }
    }
    if before.is_end() {
        assert_eq!(before, after, "an end was left");
    }
    if !before.is_end() && after.is_end() {
        let kinds = step.drafts.iter().map(|draft| draft.kind);
        // Whoever settles what has not ended ends it: both are on record.
        let ends = |kind: &Kind| !matches!(kind, Kind::Phase | Kind::Settled);
        let kinds: Vec<Kind> = kinds.filter(ends).collect();
        assert_eq!(kinds.len(), 1, "{after} is recorded once: {kinds:?}");
    }
}

/// INV-30: each record that names somebody names the rule that let or stopped them, and each act that
/// only the emergency group's rule allowed pages once.
fn check_acts(event: &Event, step: &Transition) {
    for draft in &step.drafts {
        assert!(draft.actor.is_none() || draft.decision.is_some(), "no rule: {draft:?}");
    }
    let said = matches!(
        event,
        Event::ConfirmationGiven(_)
            | Event::ApprovalGiven(_)
            | Event::RejectionGiven(_)
            | Event::WithdrawalGiven(_)
            | Event::Settled(_)
            | Event::Released(_)
    );
    let through = |draft: &&rollback_core::audit::Draft| {
        let allowed = draft.decision.as_ref().map(rollback_core::Label::as_str);
        let is_an_act = matches!(
            draft.kind,
            Kind::Confirmed
                | Kind::Approved
                | Kind::Rejected
                | Kind::Cancelled
                | Kind::Settled
                | Kind::Released
        );
        is_an_act && allowed.is_some_and(|it| it.starts_with("allowed by `break-glass`"))
    };
    let acts = step.drafts.iter().filter(through).count();
    let pages = step.effects.iter().filter(|effect| {
        matches!(effect, Effect::Tell(rollback_core::Audience::BreakGlass { .. }))
    });
    let pages = pages.count();
    if said && step.disposition == Disposition::Applied {
        assert_eq!(pages, acts, "{event:?}: {:?}", step.drafts);
    } else {
        assert!(pages == 0 || matches!(event, Event::FactsObserved(_)), "{event:?}");
    }
}

fn check_orders(opening: &Opening, oracle: &mut Oracle, step: &Transition, seen: &mut Seen) {
    for effect in &step.effects {
        if let Effect::Trigger(order) = effect {
            assert_eq!(opening.purpose, Purpose::Real, "a drill gave an order");
            if let Err(why) = oracle.allows_order(opening.policy.approvals_min) {
                panic!("an order was given, and {why}: {oracle:?}");
            }
            assert_eq!(order.plan(), &opening.plan);
            assert_eq!(Some(order.requested_by().id.as_str()), oracle.requester.as_deref());
            oracle.orders += 1;
            seen.orders += 1;
        }
    }
    if step.drafts.iter().any(|draft| draft.kind == Kind::Triggered) {
        oracle.intent_drafted = true;
    }
    let after = step.rollback.state_name();
    let untouched = [StateName::Refused, StateName::Denied, StateName::Expired];
    if untouched.contains(&after) && oracle.orders > 0 {
        assert!(oracle.refused_by_cd, "{after} says that nothing was changed, after an order");
    }
    assert!(!step.rollback.was_ordered() || oracle.orders == 1, "ordered without an order");
    assert!(opening.purpose == Purpose::Real || !step.rollback.was_ordered(), "in a drill");
}

fn label(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Applied => "applied".into(),
        Disposition::Declined(Declined::NotEntitled { duty, .. }) => format!("declined {duty:?}"),
        Disposition::Declined(other) => format!("declined {other:?}"),
        Disposition::Ignored(why) => format!("ignored {why:?}"),
    }
}

fn short(mut policy: Policy) -> Policy {
    policy.limits.click_within = Duration::from_secs(900);
    policy
}

fn report(name: &str, seen: &Seen) {
    println!(
        "{name}: {} states, {} transitions, {} orders given",
        seen.states, seen.transitions, seen.orders
    );
}

fn cast() -> Vec<Person> {
    vec![fixtures::ana(), fixtures::ana_again(), fixtures::bo(), fixtures::eve()]
}

#[test]
fn every_state_of_a_plain_rollback_keeps_its_promises() {
    let opening = fixtures::clicked_by(&fixtures::ana(), short(fixtures::policy()));
    let seen = walk(&opening, &cast());
    report("plain", &seen);
    let never = [StateName::Proposed, StateName::Approving];
    let all: BTreeSet<StateName> =
        StateName::ALL.into_iter().filter(|name| !never.contains(name)).collect();
    assert_eq!(seen.names, all);
    let ends = [
        StateName::Succeeded,
        StateName::Failed,
        StateName::NotVerified,
        StateName::Refused,
        StateName::Withdrawn,
        StateName::OutcomeUnknown,
    ];
    assert_eq!(seen.ends_of_order, BTreeSet::from(ends));
    assert_eq!(seen.verdicts, BTreeSet::from(["pass", "block", "unknown"]));
    assert!(seen.orders > 0, "no order was ever given");
    let kinds_never = [Kind::Approved, Kind::Rejected];
    for kind in kinds_never {
        assert!(!seen.kinds.contains(&kind));
    }
    assert_eq!(seen.kinds.len(), 13, "{:?}", seen.kinds);
    for expected in ["applied", "declined NotTheRequester", "declined TooLate", "declined Settle"] {
        assert!(seen.dispositions.contains_key(expected), "{expected}: {:?}", seen.dispositions);
    }
    for why in [Ignored::Ended, Ignored::OutOfPlace, Ignored::Again] {
        assert!(seen.dispositions.contains_key(&format!("ignored {why:?}")));
    }
}

#[test]
fn every_state_without_a_fence_keeps_its_promises() {
    let mut opening = fixtures::clicked_by(&fixtures::ana(), short(fixtures::policy()));
    let capabilities = Capabilities::new(CompareAndSet::No, Fence::No);
    opening.backend = BackendEntry::new(parsed("prod"), capabilities);
    let seen = walk(&opening, &cast());
    report("no fence", &seen);
    assert!(seen.orders > 0 && seen.ends_of_order.contains(&StateName::OutcomeUnknown));
}

#[test]
fn every_state_with_one_approval_keeps_its_promises() {
    let policy = short(fixtures::policy_with_approvals(1));
    let seen = walk(&fixtures::clicked_by(&fixtures::ana(), policy), &cast());
    report("one approval", &seen);
    assert!(seen.orders > 0 && seen.names.contains(&StateName::Approving));
    for expected in ["declined OwnApproval", "declined Approve", "declined Withdraw"] {
        assert!(seen.dispositions.contains_key(expected), "{expected}: {:?}", seen.dispositions);
    }
    assert!(seen.kinds.contains(&Kind::Approved) && seen.kinds.contains(&Kind::Rejected));
}

#[test]
fn every_state_with_two_approvals_keeps_its_promises() {
    let policy = short(fixtures::policy_with_approvals(2));
    let cast = vec![fixtures::ana(), fixtures::ana_again(), fixtures::bo(), fixtures::cleo()];
    let seen = walk(&fixtures::clicked_by(&fixtures::bo(), policy), &cast);
    report("two approvals, one human with two accounts", &seen);
    assert!(seen.orders > 0);
}

#[test]
fn every_state_of_a_break_glass_rollback_keeps_its_promises() {
    let policy = short(fixtures::policy_with_approvals(1));
    let cast = vec![fixtures::finn(), fixtures::ana(), fixtures::dan()];
    let seen = walk(&fixtures::clicked_by(&fixtures::finn(), policy), &cast);
    report("break-glass", &seen);
    assert!(seen.orders > 0);
}

#[test]
fn every_state_of_a_drill_ends_without_an_order() {
    let mut opening = fixtures::clicked_by(&fixtures::ana(), short(fixtures::policy()));
    opening.purpose = Purpose::Drill;
    let seen = walk(&opening, &cast());
    report("drill", &seen);
    assert_eq!(seen.orders, 0);
    assert!(seen.names.contains(&StateName::Succeeded) && seen.names.contains(&StateName::Failed));
}

#[test]
fn every_state_of_a_proposal_keeps_its_promises() {
    let opening = fixtures::proposed(short(fixtures::policy()));
    let cast = vec![fixtures::ana(), fixtures::eve()];
    let seen = walk(&opening, &cast);
    report("proposal", &seen);
    assert!(seen.orders > 0 && seen.names.contains(&StateName::Proposed));
    assert!(!seen.names.contains(&StateName::Denied) || seen.states > 0);
}

#[test]
fn nobody_outside_the_rules_ever_comes_to_an_order() {
    for person in [
        fixtures::eve(),
        fixtures::dan(),
        fixtures::guest(),
        fixtures::stranger(),
        fixtures::bot(),
        fixtures::gone(),
    ] {
        let opening = fixtures::clicked_by(&person, short(fixtures::policy()));
        let cast = vec![person.clone(), fixtures::ana()];
        let seen = walk(&opening, &cast);
        report(person.name.as_str(), &seen);
        assert_eq!(seen.orders, 0, "{}", person.name);
        assert!(seen.names.contains(&StateName::Denied));
        assert!(!seen.names.contains(&StateName::Confirming), "{}", person.name);
    }
}
