//! A journal is taken again with the core, which would have to be wrong for most predicates to find
//! anything. So a good walk is changed after it was taken, in each way in which a wrong core could
//! have gone, and the predicate must name it. What only looks alike, it must leave in peace.

use crate::case::{Asked, Case, Step, Walk};
use crate::evidence::Evidence;
use crate::list::Scope;
use crate::weigh;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use rollback_core::access::Standing;
use rollback_core::audit::Head;
use rollback_core::journal::{Entry, Opening};
use rollback_core::observed::{Facts, Live};
use rollback_core::ports::Journal;
use rollback_core::{
    Event, Fact, Health, Pair, Phase, Plan, Progress, Purpose, Receipt, Rollback, ServiceKey,
    Sighting, StateName,
};
use rollback_testkit::fixtures::{self, ana, at, bo, cleo, finn, parsed};
use rollback_testkit::script::{Ending, Script};

#[derive(Clone, Copy, Debug)]
enum Story {
    /// From the click to the end.
    Plain(Ending),
    /// Ana asks, and two others approve.
    FourEyes,
    /// An agent proposes, and Ana clicks.
    Proposal,
    /// Finn asks, who is in the emergency group alone.
    BreakGlass,
}

impl Story {
    fn journal(self) -> Journal {
        let mut policy = match self {
            Self::Plain(ending) => return scripted(ending),
            Self::FourEyes => fixtures::policy_with_approvals(2),
            Self::Proposal | Self::BreakGlass => fixtures::policy(),
        };
        policy.limits.settle = Duration::ZERO;
        let (opening, mut events): (Opening, Vec<Event>) = match self {
            Self::Plain(_) | Self::FourEyes => (fixtures::clicked_by(&ana(), policy), Vec::new()),
            Self::Proposal => (fixtures::proposed(policy), vec![Event::Clicked(ana().actor())]),
            Self::BreakGlass => (fixtures::clicked_by(&finn(), policy), Vec::new()),
        };
        let asks = if matches!(self, Self::BreakGlass) { finn() } else { ana() };
        events.push(Event::StandingObserved(alloc::boxed::Box::new(asks.standing(at(1)))));
        events.push(fixtures::observed(at(2)));
        events.push(asks.confirmed(at(3)));
        if matches!(self, Self::FourEyes) {
            events.extend([bo(), cleo()].map(|who| Event::ApprovalGiven(who.said(at(4)))));
        }
        let look = fixtures::observed_of(fixtures::facts(at(6)), &asks, at(6));
        events.extend([look, Event::IntentRecorded]);
        events.push(Event::TriggerAccepted(Receipt::new("run-7")));
        events.push(Event::ProgressObserved(Progress::new(Phase::Complete).into()));
        let live = Fact::known(Live::running(fixtures::reference("41")), at(9));
        let seen = Sighting::new(live, Fact::known(Health::Healthy, at(9)));
        events.push(Event::OutcomeObserved(seen.into()));
        let entries = (1..).zip(events).map(|(second, event)| Entry::new(at(second), event));
        Journal::new(opening, entries.collect())
    }
}

fn scripted(ending: Ending) -> Journal {
    let commits = Script::new("rb-1").commits(ending);
    let opening = commits[0].opening.as_deref().cloned();
    let entries = commits.iter().filter_map(|commit| commit.entry.clone());
    Journal::new(opening.unwrap_or_else(|| panic!("a script opens")), entries.collect())
}

/// The invariants that do not hold of a story whose walk was changed.
fn broken(story: Story, change: fn(&mut Walk<'_>)) -> BTreeSet<&'static str> {
    let evidence = recorded(story.journal());
    let mut case = Case::new(&evidence);
    for walk in case.walks.values_mut() {
        change(walk);
    }
    let found = weigh(&case, Scope::Store).found;
    found.iter().filter_map(|it| it.invariant.split(' ').next()).collect()
}

/// A journal, and the audit records that it asks for.
fn recorded(journal: Journal) -> Evidence {
    let opened = Rollback::open(journal.opening.clone());
    let (mut rollback, mut drafts) = (opened.rollback, opened.drafts);
    for entry in &journal.entries {
        let step = rollback.step(entry.at, entry.event.clone());
        drafts.extend(step.drafts);
        rollback = step.rollback;
    }
    let mut evidence = Evidence { chain: "default".into(), ..Evidence::default() };
    let mut head = Head::genesis("default");
    for draft in drafts {
        let record = head.append(draft).unwrap_or_else(|error| panic!("{error}"));
        head = Head::after(&record);
        evidence.records.push(record);
    }
    evidence.journals.push(journal);
    evidence
}

const PLAIN: Story = Story::Plain(Ending::Succeeded);
const DOUBT: Story = Story::Plain(Ending::Absent);

fn step<'a>(walk: &'a mut Walk<'_>, wanted: fn(&Event) -> bool) -> &'a mut Step {
    let found = walk.steps.iter_mut().find(|step| wanted(&step.event));
    found.unwrap_or_else(|| panic!("the story has no such step"))
}

fn confirmation<'a>(walk: &'a mut Walk<'_>) -> &'a mut Step {
    step(walk, |event| matches!(event, Event::ConfirmationGiven(_)))
}

/// The moment at which the last facts before the order are read.
fn check<'a>(walk: &'a mut Walk<'_>) -> &'a mut Step {
    let found = walk.steps.iter_mut().find(|step| step.before == StateName::Checking);
    found.unwrap_or_else(|| panic!("the story has no check"))
}

fn facts(step: &mut Step) -> &mut Facts {
    let Event::FactsObserved(seen) = &mut step.event else { panic!("no facts") };
    &mut seen.facts
}

fn asker(step: &mut Step) -> &mut Standing {
    match &mut step.event {
        Event::StandingObserved(standing) => standing,
        Event::ConfirmationGiven(given) => &mut given.standing,
        Event::FactsObserved(seen) => &mut seen.requester,
        other => panic!("nobody asks in {other:?}"),
    }
}

/// Whoever is seen in this step is, says the directory, the human who is Bo, too.
fn known_as_bo(step: &mut Step) {
    let (when, mut standing) = (step.at, bo().standing(step.at));
    core::mem::swap(asker(step), &mut standing);
    assert_ne!(standing.person(), bo().standing(when).person());
}

fn approvals<'a>(walk: &'a mut Walk<'_>) -> impl Iterator<Item = &'a mut Step> {
    walk.steps.iter_mut().filter(|step| matches!(step.event, Event::ApprovalGiven(_)))
}

fn sighting<'a>(walk: &'a mut Walk<'_>) -> &'a mut Sighting {
    let seen = step(walk, |event| matches!(event, Event::OutcomeObserved(_)));
    let Event::OutcomeObserved(sighting) = &mut seen.event else { panic!("nothing was seen") };
    sighting
}

fn unknown<T>() -> Fact<T> {
    Fact::unknown("nobody looked")
}

/// What a wrong core could have done, and the invariant that must name it.
type Wrong = (&'static str, &'static str, Story, fn(&mut Walk<'_>));

#[rustfmt::skip]
const WRONG: &[Wrong] = &[
    ("INV-01", "confirmed where nothing was asked", PLAIN, |walk| {
        confirmation(walk).before = StateName::Proposed;
    }),
    ("INV-01", "the confirmation led elsewhere", PLAIN, |walk| {
        confirmation(walk).after = StateName::Denied;
    }),
    ("INV-01", "somebody else confirmed", PLAIN, |walk| {
        let Event::ConfirmationGiven(given) = &mut confirmation(walk).event else { return };
        given.actor = bo().actor();
    }),
    ("INV-01", "another pair was shown", PLAIN, |walk| {
        let Event::ConfirmationGiven(given) = &mut confirmation(walk).event else { return };
        given.shown = Pair::new(parsed("41"), parsed("42"));
    }),
    ("INV-01", "the order is for another service", PLAIN, |walk| {
        let Some((plan, _)) = &mut walk.given else { return };
        let other = ServiceKey::new(parsed("search"), parsed("production"));
        let same = Plan::new(other, plan.from().clone(), plan.to().clone());
        *plan = same.unwrap_or_else(|error| panic!("{error}"));
    }),
    ("INV-02", "a guest confirmed", PLAIN, |walk| {
        let step = confirmation(walk);
        *asker(step) = fixtures::guest().standing(step.at);
    }),
    ("INV-02", "a guest approved", Story::FourEyes, |walk| {
        let Some(step) = approvals(walk).next() else { return };
        let Event::ApprovalGiven(said) = &mut step.event else { return };
        said.standing = fixtures::guest().standing(step.at);
    }),
    ("INV-02", "somebody confirmed of whom nothing was known", PLAIN, |walk| {
        asker(confirmation(walk)).profile = unknown();
    }),
    ("INV-03", "one approval too few", Story::FourEyes, |walk| walk.last.approvals_min = 3),
    ("INV-03", "the requester approved", Story::FourEyes, |walk| {
        let Some(step) = approvals(walk).nth(1) else { return };
        let Event::ApprovalGiven(said) = &mut step.event else { return };
        said.actor = ana().actor();
    }),
    ("INV-03", "the requester approved with another account", Story::FourEyes, |walk| {
        let Some(step) = approvals(walk).nth(1) else { return };
        step.event = Event::ApprovalGiven(fixtures::ana_again().said(step.at));
    }),
    ("INV-03", "an approver turned out to be who clicked", Story::FourEyes, |walk| {
        known_as_bo(step(walk, |event| matches!(event, Event::StandingObserved(_))));
    }),
    ("INV-03", "an approver turned out to be who confirmed", Story::FourEyes, |walk| {
        known_as_bo(confirmation(walk));
    }),
    ("INV-03", "an approver turned out to be who was checked", Story::FourEyes, |walk| {
        known_as_bo(check(walk));
    }),
    ("INV-03", "one human approved with two accounts", Story::FourEyes, |walk| {
        for step in approvals(walk) {
            let Event::ApprovalGiven(said) = &mut step.event else { return };
            said.standing = bo().standing(step.at);
        }
    }),
    ("INV-04", "nobody was authorized at the click", PLAIN, |walk| {
        walk.steps[0].before = StateName::Proposed;
    }),
    ("INV-04", "the click led elsewhere", PLAIN, |walk| {
        walk.steps[0].after = StateName::Denied;
    }),
    ("INV-04", "the last check was elsewhere", PLAIN, |walk| {
        check(walk).before = StateName::Confirming;
    }),
    ("INV-04", "the last check did not lead to the order", PLAIN, |walk| {
        check(walk).after = StateName::Denied;
    }),
    ("INV-04", "at the last check nobody knew the requester", PLAIN, |walk| {
        asker(check(walk)).profile = unknown();
    }),
    ("INV-06", "it ended twice", PLAIN, |walk| confirmation(walk).after = StateName::Refused),
    ("INV-06", "it was revived", PLAIN, |walk| confirmation(walk).before = StateName::Refused),
    ("INV-07", "confirmed at the deadline", PLAIN, |walk| {
        let step = confirmation(walk);
        step.deadline_before = Some(step.at);
    }),
    ("INV-07", "approved after the deadline", Story::FourEyes, |walk| {
        let Some(step) = approvals(walk).nth(1) else { return };
        step.deadline_before = Some(at(1));
    }),
    ("INV-07", "clicked after the deadline", Story::Proposal, |walk| {
        step(walk, |event| matches!(event, Event::Clicked(_))).deadline_before = Some(at(1));
    }),
    ("INV-07", "a deadline counted before it was reached", Story::Plain(Ending::NotVerified), |walk| {
        let last = step(walk, |event| *event == Event::DeadlineReached);
        last.deadline_before = Some(last.at.after(Duration::from_millis(1)));
    }),
    ("INV-08", "no guard was asked", PLAIN, |walk| walk.last.guards.clear()),
    ("INV-08", "a guard did not pass", PLAIN, |walk| walk.last.guards[2].verdict = "block".into()),
    ("INV-08", "something else was live", PLAIN, |walk| {
        facts(check(walk)).live = Fact::known(Live::running(fixtures::reference("43")), at(4));
    }),
    ("INV-08", "nobody knew what was live", PLAIN, |walk| facts(check(walk)).live = unknown()),
    ("INV-08", "nobody knew the history", PLAIN, |walk| facts(check(walk)).history = unknown()),
    ("INV-08", "nobody asked the CD system", PLAIN, |walk| facts(check(walk)).preflight = unknown()),
    ("INV-08", "nobody knew the record", PLAIN, |walk| facts(check(walk)).record = unknown()),
    ("INV-08", "nobody knew the freezes", PLAIN, |walk| facts(check(walk)).freezes = unknown()),
    ("INV-08", "the facts were too old by a moment", PLAIN, |walk| {
        let oldest = walk.journal.opening.policy.limits.fact_age_max + Duration::from_millis(1);
        let Some((_, when)) = &mut walk.given else { return };
        *when = at(4).after(oldest);
    }),
    ("INV-08", "nothing was checked", PLAIN, |walk| check(walk).before = StateName::Confirming),
    ("INV-08", "the facts were seen before the confirmation", PLAIN, |walk| {
        let early = Fact::known(Vec::new(), at(2));
        facts(check(walk)).freezes = early;
    }),
    ("INV-08", "the facts were seen before the last approval", Story::FourEyes, |walk| {
        let early = Fact::known(Vec::new(), at(4));
        facts(check(walk)).freezes = early;
    }),
    ("INV-04", "an approver was not asked about again", Story::FourEyes, |walk| {
        let Event::FactsObserved(seen) = &mut check(walk).event else { return };
        seen.approvers.remove(&bo().id());
    }),
    ("INV-04", "an approver might no longer", Story::FourEyes, |walk| {
        let step = check(walk);
        let gone = bo().as_account(rollback_core::access::Account::Deactivated).standing(step.at);
        let Event::FactsObserved(seen) = &mut step.event else { return };
        seen.approvers.insert(bo().id(), gone);
    }),
    ("INV-30", "nobody on call was told of break-glass", Story::BreakGlass, |walk| {
        confirmation(walk).pages = 0;
    }),
    ("INV-30", "they were told of it twice", Story::BreakGlass, |walk| {
        confirmation(walk).pages = 2;
    }),
    ("INV-30", "they were told where an owner acted", PLAIN, |walk| {
        confirmation(walk).pages = 1;
    }),
    ("INV-09", "it ended without a word", PLAIN, |walk| walk.last.explanation.clear()),
    ("INV-09", "refused, and every guard passed", Story::Plain(Ending::Refused), |walk| {
        for guard in &mut walk.last.guards {
            guard.verdict = "pass".into();
        }
    }),
    ("INV-11", "the target was not in the history", PLAIN, |walk| {
        let known = |event: &Event| matches!(event, Event::FactsObserved(_));
        for step in walk.steps.iter_mut().filter(|step| known(&step.event)) {
            let live = fixtures::revision("42", "2.14.0", at(0));
            facts(step).history = Fact::known(vec![live], at(4));
        }
    }),
    ("INV-11", "nobody knew the history", PLAIN, |walk| {
        let known = |event: &Event| matches!(event, Event::FactsObserved(_));
        for step in walk.steps.iter_mut().filter(|step| known(&step.event)) {
            facts(step).history = unknown();
        }
    }),
    ("INV-15", "in doubt, nobody looked", DOUBT, |walk| {
        step(walk, |event| matches!(event, Event::TriggerInDoubt(_))).asked = Asked::Nothing;
    }),
    ("INV-15", "in doubt, it was ordered again", DOUBT, |walk| {
        step(walk, |event| matches!(event, Event::OrderAbsent)).asked = Asked::Trigger;
    }),
    ("INV-15", "given up, and it could be fenced off", Story::Plain(Ending::Unknown), |walk| {
        let answer = step(walk, |event| matches!(event, Event::DoubtRemained(_)));
        answer.event = Event::IntentRecorded;
    }),
    ("INV-17", "failed, and nobody looked", Story::Plain(Ending::Failed), |walk| {
        let look = step(walk, |event| matches!(event, Event::OutcomeObserved(_)));
        look.event = Event::IntentRecorded;
    }),
    ("INV-17", "cancelled by nobody's word", Story::Plain(Ending::Cancelled), |walk| {
        let said = step(walk, |event| matches!(event, Event::ProgressObserved(_)));
        said.event = Event::ProgressObserved(Progress::new(Phase::Failed).into());
    }),
    ("INV-17", "something else was live", PLAIN, |walk| {
        sighting(walk).live = Fact::known(Live::running(fixtures::reference("42")), at(9));
    }),
    ("INV-17", "nobody knew what was live", PLAIN, |walk| sighting(walk).live = unknown()),
    ("INV-17", "it was not healthy", PLAIN, |walk| {
        sighting(walk).health = Fact::known(Health::Unhealthy("errors".into()), at(9));
    }),
    ("INV-17", "nobody looked in the end", PLAIN, |walk| drop(walk.steps.pop())),
    ("INV-21", "nobody clicked", Story::Proposal, |walk| {
        step(walk, |event| matches!(event, Event::Clicked(_))).event = Event::IntentRecorded;
    }),
    ("INV-30", "somebody else confirmed than is on record", PLAIN, |walk| {
        let Event::ConfirmationGiven(given) = &mut confirmation(walk).event else { return };
        given.actor = bo().actor();
    }),
    ("INV-30", "somebody else approved than is on record", Story::FourEyes, |walk| {
        let Some(step) = approvals(walk).nth(1) else { return };
        step.event = Event::ApprovalGiven(bo().said(step.at));
    }),
    ("INV-24", "it went where nothing leads", PLAIN, |walk| {
        confirmation(walk).after = StateName::Running;
    }),
    ("INV-24", "failed by the CD system's word alone", Story::Plain(Ending::Failed), |walk| {
        step(walk, |event| matches!(event, Event::ProgressObserved(_))).after = StateName::Failed;
    }),
    ("INV-24", "it moved by what did not count", PLAIN, |walk| confirmation(walk).applied = false),
];

#[test]
fn what_a_wrong_core_would_do_is_named() {
    for (number, what, story, change) in WRONG {
        let found = broken(*story, *change);
        assert!(found.contains(number), "{what}: {number} is not among {found:?}");
    }
}

/// What looks like a mistake and is none: the invariant that must leave it in peace.
#[rustfmt::skip]
const RIGHT: &[Wrong] = &[
    ("INV-02", "a guest was turned away", PLAIN, |walk| {
        let step = confirmation(walk);
        step.after = StateName::Denied;
        *asker(step) = fixtures::guest().standing(step.at);
    }),
    ("INV-07", "confirmed a moment before the deadline", PLAIN, |walk| {
        let step = confirmation(walk);
        step.deadline_before = Some(step.at.after(Duration::from_millis(1)));
    }),
    ("INV-07", "too late, and told so", PLAIN, |walk| {
        let step = confirmation(walk);
        (step.after, step.deadline_before) = (StateName::Expired, Some(at(1)));
    }),
    ("INV-07", "back among the proposals", PLAIN, |walk| {
        let step = confirmation(walk);
        (step.after, step.deadline_before) = (StateName::Proposed, Some(at(1)));
    }),
    ("INV-07", "a system answered late", PLAIN, |walk| check(walk).deadline_before = Some(at(1))),
    ("INV-07", "a late word changed nothing", PLAIN, |walk| {
        let step = confirmation(walk);
        (step.after, step.deadline_before) = (step.before, Some(at(1)));
    }),
    ("INV-08", "the facts were as old as they may be", PLAIN, |walk| {
        let oldest = walk.journal.opening.policy.limits.fact_age_max;
        let Some((_, when)) = &mut walk.given else { return };
        *when = at(4).after(oldest);
    }),
    ("INV-08", "something else was live before the modal", PLAIN, |walk| {
        let first = step(walk, |event| matches!(event, Event::FactsObserved(_)));
        facts(first).live = Fact::known(Live::running(fixtures::reference("43")), at(2));
    }),
    ("INV-09", "refused by the slot, and every guard passed", Story::Plain(Ending::Refused), |walk| {
        for guard in &mut walk.last.guards {
            guard.verdict = "pass".into();
        }
        let Some(last) = walk.steps.last_mut() else { return };
        last.event = Event::SlotTaken(parsed("rb-2"));
    }),
    ("INV-09", "denied, and every guard passed", Story::Plain(Ending::Refused), |walk| {
        for guard in &mut walk.last.guards {
            guard.verdict = "pass".into();
        }
        let Some(last) = walk.steps.last_mut() else { return };
        last.after = StateName::Denied;
    }),
    ("INV-11", "the history was shorter before the modal", PLAIN, |walk| {
        let first = step(walk, |event| matches!(event, Event::FactsObserved(_)));
        facts(first).history = Fact::known(Vec::new(), at(2));
    }),
    ("INV-15", "put aside and released, and then in doubt", DOUBT, |walk| {
        let doubt = |step: &Step| matches!(step.event, Event::TriggerInDoubt(_));
        let place = walk.steps.iter().position(doubt).unwrap_or(0);
        let stays = |event| Step {
            at: at(5),
            event,
            before: StateName::Triggering,
            after: StateName::Triggering,
            deadline_before: None,
            applied: true,
            holds: true,
            records: Vec::new(),
            asked: Asked::Nothing,
            pages: 0,
        };
        walk.steps.insert(place, stays(Event::Released(ana().said(at(5)))));
        walk.steps.insert(place, stays(Event::PutAside(3)));
    }),
    ("INV-17", "a drill shows nothing live", PLAIN, |walk| {
        walk.last.purpose = Purpose::Drill;
        sighting(walk).live = unknown();
    }),
    ("INV-24", "what did not count left it where it was", PLAIN, |walk| {
        let step = confirmation(walk);
        (step.applied, step.after) = (false, step.before);
    }),
];

#[test]
fn what_only_looks_wrong_is_left_in_peace() {
    for (number, what, story, change) in RIGHT {
        let found = broken(*story, *change);
        assert!(!found.contains(number), "{what}: {number} is among {found:?}");
    }
}

#[test]
fn of_each_step_is_known_whether_it_asked_for_an_order_or_for_a_look() {
    let evidence = recorded(DOUBT.journal());
    let case = Case::new(&evidence);
    let steps = case.walks.values().flat_map(|walk| &walk.steps);
    let asked = steps.map(|step| (step.after, step.asked)).filter(|(_, it)| *it != Asked::Nothing);
    let (order, look) = (Asked::Trigger, Asked::Reconcile);
    let expected = [(StateName::Triggering, order), (StateName::Triggering, look)];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

#[test]
fn a_story_breaks_nothing_at_any_point() {
    for story in [PLAIN, DOUBT, Story::FourEyes, Story::Proposal] {
        let whole = story.journal();
        for length in 0..=whole.entries.len() {
            let entries = whole.entries[..length].to_vec();
            let journal = Journal::new(whole.opening.clone(), entries);
            let evidence = recorded(journal);
            let found = weigh(&Case::new(&evidence), Scope::Store).found;
            assert_eq!(found, [], "{story:?} after {length} steps");
        }
        let found = broken(story, |walk| assert!(walk.last.state.is_end()));
        assert!(found.is_empty(), "{story:?}: {found:?}");
    }
}
