//! Steps: what one event does in one state, where a story does not tell the detail, and what a
//! rollback says of itself on the way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::access::{Account, Duty, Standing};
use rollback_core::audit::{BackendEntry, Draft, Kind};
use rollback_core::journal::{Opening, Rules};
use rollback_core::observed::{
    ExpectedDuration, Facts, InProgress, Live, OperationKind, ServiceRecord,
};
use rollback_core::ports::{Cancel, Capabilities};
use rollback_core::proof::{Confirmation, Order};
use rollback_core::{
    Audience, Cancellation, Conflict, Declined, Disposition, Effect, Event, Fact, Fix, FixKind,
    Fixes, FourEyes, Health, Ignored, Label, Line, Observation, Outcome, Phase, Presence, Progress,
    Purpose, PutAside, Receipt, Rollback, Settlement, Sighting, State, StateName, Timestamp,
    Transition, WaitsFor,
};
use rollback_testkit::fixtures::{self, at, parsed};
use std::time::Duration;

type Told = (u64, Event);

fn phase(phase: Phase) -> Event {
    Event::ProgressObserved(Box::new(Progress::new(phase)))
}

fn with_message(phase: Phase, message: &str) -> Event {
    let mut progress = Progress::new(phase);
    progress.message = Some(message.into());
    Event::ProgressObserved(Box::new(progress))
}

fn standing(person: &fixtures::Person, seconds: u64) -> Event {
    Event::StandingObserved(Box::new(person.standing(at(seconds)).about(person.id())))
}

fn sighting(live: Live, seconds: u64) -> Told {
    let health = Fact::known(Health::Healthy, at(seconds));
    let sighting = Sighting::new(Fact::known(live, at(seconds)), health);
    (seconds, Event::OutcomeObserved(Box::new(sighting)))
}

fn at_target() -> Live {
    Live::running(fixtures::reference("41"))
}

/// A good rollback by Ana, event by event.
fn good() -> Vec<Told> {
    let ana = fixtures::ana();
    vec![
        (1, standing(&ana, 1)),
        (2, fixtures::observed(at(2))),
        (9, ana.confirmed(at(9))),
        (10, fixtures::observed(at(10))),
        (11, Event::IntentRecorded),
        (12, Event::TriggerAccepted(Receipt::new("execution-1"))),
        (13, phase(Phase::Started)),
        (14, phase(Phase::HealthChecking)),
        (15, phase(Phase::Complete)),
        sighting(at_target(), 16),
        sighting(at_target(), 22),
    ]
}

/// How many events of [`good`] lead to these states.
const AUTHORIZED: usize = 1;
const SHOWN: usize = 2;
const CHECKING: usize = 3;
const RECORDING: usize = 4;
const TRIGGERING: usize = 5;
const RUNNING: usize = 6;
const HEALTH_CHECKING: usize = 8;
const VERIFYING: usize = 9;

fn by_ana() -> Opening {
    fixtures::clicked_by(&fixtures::ana(), fixtures::policy())
}

fn drill() -> Opening {
    let mut opening = by_ana();
    opening.purpose = Purpose::Drill;
    opening
}

fn tell(opening: Opening, events: impl IntoIterator<Item = Told>) -> Rollback {
    let mut rollback = Rollback::open(opening).rollback;
    for (seconds, event) in events {
        rollback = step(rollback, seconds, event).rollback;
    }
    rollback
}

/// The first events of a good rollback, then these.
fn after(count: usize, more: impl IntoIterator<Item = Told>) -> Rollback {
    tell(by_ana(), good().into_iter().take(count).chain(more))
}

fn step(rollback: Rollback, seconds: u64, event: Event) -> Transition {
    rollback.step(at(seconds), event)
}

fn order(effects: &[Effect]) -> Option<&Order> {
    effects.iter().find_map(|effect| {
        let Effect::Trigger(order) = effect else { return None };
        Some(order)
    })
}

fn names(effects: &[Effect]) -> Vec<String> {
    let name = |effect| {
        let value = serde_json::to_value(effect).unwrap();
        let name = value.as_str().map(str::to_owned);
        name.unwrap_or_else(|| value.as_object().unwrap().keys().next().unwrap().clone())
    };
    effects.iter().map(name).collect()
}

fn in_doubt() -> Told {
    (12, Event::TriggerInDoubt("no answer within 10 s".into()))
}

fn doubt_remained() -> Told {
    (13, Event::DoubtRemained("the CD cannot fence".into()))
}

/// The order stays in doubt for as long as it may.
fn doubt_over() -> Told {
    (12 + 900, Event::DeadlineReached)
}

fn found() -> Told {
    (940, Event::OrderFound(Receipt::new("execution-1")))
}

/// An order in doubt, until its outcome is unknown.
fn given_up() -> [Told; 3] {
    [in_doubt(), doubt_remained(), doubt_over()]
}

fn settled() -> Told {
    let bo = fixtures::bo();
    let settlement = Settlement::new(bo.actor(), bo.standing(at(960)), fixtures::reason());
    (960, Event::Settled(Box::new(settlement)))
}

#[test]
fn what_a_person_found_out_is_shown_and_recorded_with_who_and_when() {
    let bo = fixtures::bo();
    for (outcome, words) in [
        (Outcome::TookEffect, "the rollback took effect: "),
        (Outcome::NoEffect, "nothing was changed: "),
        (Outcome::Partly, "the rollback took effect in part: "),
    ] {
        let said = Settlement::new(bo.actor(), bo.standing(at(960)), fixtures::reason());
        let said = Event::Settled(Box::new(said.with_outcome(outcome)));
        let taken = step(after(TRIGGERING, given_up()), 960, said);
        let expected = format!("{words}{}", fixtures::reason());
        assert_eq!(taken.drafts[0].explanation.as_ref(), Some(&expected));
        let view = taken.rollback.view();
        assert_eq!(view.explanation, format!("settled: {expected}"));
        let told = view.settlement.unwrap();
        assert_eq!((told.actor, told.outcome, told.at), (bo.actor(), Some(outcome), at(960)));
        assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
    }
}

#[test]
fn a_restart_asks_again_for_what_each_state_waits_for() {
    let good_ones: [&[&str]; 12] = [
        &["observe_standing"],
        &["gather_facts"],
        &[],
        &["gather_facts"],
        &["record_intent"],
        &["reconcile"],
        &["observe"],
        &["observe"],
        &["observe"],
        &["verify"],
        &["verify"],
        &[],
    ];
    for (count, expected) in good_ones.into_iter().enumerate() {
        assert_eq!(names(&after(count, []).pending()), expected, "after {count} events");
    }
    let cancelled = (14, Event::WithdrawalGiven(fixtures::ana().said(at(14))));
    assert_eq!(names(&after(RUNNING, [cancelled]).pending()), ["cancel", "observe"]);
    assert_eq!(names(&after(TRIGGERING, [in_doubt()]).pending()), ["reconcile"]);
    let in_a_drill = tell(drill(), good().into_iter().take(TRIGGERING));
    assert_eq!(names(&in_a_drill.pending()), ["rehearse"]);
}

#[test]
fn an_unknown_outcome_is_watched_until_it_shows_or_somebody_settles_it() {
    let unknown = |more: Vec<Told>| after(TRIGGERING, given_up().into_iter().chain(more));
    for (more, watched, is_settled) in [
        (vec![], true, false),
        (vec![found()], false, false),
        (vec![settled()], false, true),
        (vec![found(), settled()], false, true),
    ] {
        let rollback = unknown(more);
        let expected: &[&str] = if watched { &["watch_for_late_effect"] } else { &[] };
        assert_eq!(names(&rollback.pending()), expected);
        assert_eq!(rollback.holds_service(), !is_settled);
        // Views that were stored before there was the field have none.
        let json = serde_json::to_value(rollback.view()).unwrap();
        assert_eq!(json.get("settled"), is_settled.then_some(&serde_json::Value::Bool(true)));
    }
}

#[test]
fn what_a_rollback_says_of_itself_is_in_its_view() {
    for count in 0..=good().len() {
        let rollback = after(count, []);
        let view = rollback.view();
        assert_eq!(rollback.steps(), u64::try_from(count).unwrap());
        assert_eq!((rollback.steps(), rollback.deadline()), (view.steps, view.deadline));
        assert_eq!(rollback.requested_by(), view.requested_by.as_ref());
        assert_eq!(rollback.requested_by(), Some(&fixtures::ana().actor()));
        assert_eq!((rollback.id(), rollback.state_name()), (&view.id, view.state));
        assert_eq!(rollback.report().is_some(), !view.guards.is_empty());
        assert_eq!(view.deadline.is_some(), view.ended_at.is_none());
        assert!(view.deadline.is_none_or(|deadline| deadline > at(22)), "{:?}", view.deadline);
    }
    assert_eq!(tell(fixtures::proposed(fixtures::policy()), []).requested_by(), None);
}

#[test]
fn it_can_be_cancelled_before_the_order_and_once_while_it_runs() {
    for (count, expected) in
        [false, false, false, true, true, false, true, true, true, false, false, false]
            .into_iter()
            .enumerate()
    {
        assert_eq!(after(count, []).view().cancellable, expected, "after {count} events");
    }
    let cancelled = (14, Event::WithdrawalGiven(fixtures::ana().said(at(14))));
    assert!(!after(RUNNING, [cancelled]).view().cancellable, "once");
}

#[test]
fn it_was_ordered_from_the_order_on_unless_the_cd_system_proves_that_it_did_nothing() {
    for count in 0..=good().len() {
        assert_eq!(after(count, []).was_ordered(), count >= TRIGGERING, "after {count} events");
    }
    let conflict = Conflict::new(Some(fixtures::reference("43")), "live has moved");
    for (more, expected) in [
        (vec![(12, Event::TriggerRefused("maintenance".into()))], false),
        (vec![(12, Event::TriggerConflicted(Box::new(conflict)))], false),
        (vec![in_doubt()], true),
        (vec![in_doubt(), (13, Event::OrderAbsent)], false),
        (given_up().to_vec(), true),
    ] {
        assert_eq!(after(TRIGGERING, more).was_ordered(), expected);
    }
    assert!(!tell(drill(), good().into_iter().take(TRIGGERING)).was_ordered());
}

/// Facts at one second, the directory at another, told at a third: good until which.
#[test]
fn an_order_is_good_for_as_long_as_the_oldest_thing_it_rests_on() {
    for (facts_at, directory_at, group_at, told_at, good_until) in [
        (10, 10, 10, 10, 40),
        (10, 10, 10, 12, 40),
        (11, 6, 10, 12, 36),
        (11, 10, 4, 12, 34),
        // A source whose clock is ahead makes nothing good for longer.
        (14, 15, 15, 10, 40),
    ] {
        let mut requester = fixtures::ana().standing(at(directory_at));
        // That she is not among them is what lets her.
        requester.groups.insert(fixtures::suspended(), Fact::known(false, at(group_at)));
        let observation = Observation::new(fixtures::facts(at(facts_at)), requester);
        let told = (told_at, Event::FactsObserved(Box::new(observation)));
        let rollback = after(CHECKING, [told]);
        let State::Recording(passed) = rollback.state() else { panic!("{:?}", rollback.state()) };
        assert_eq!(passed.valid_until(), at(good_until));
        let given = step(rollback, 12, Event::IntentRecorded);
        let order = order(&given.effects).unwrap();
        assert_eq!((order.issued_at(), order.valid_until()), (at(12), at(good_until)));
    }
}

#[test]
fn an_order_is_given_up_to_the_last_moment_of_its_facts_and_not_after() {
    let last = at(40);
    let given = after(RECORDING, []).step(last, Event::IntentRecorded);
    assert!(order(&given.effects).is_some());
    let late = last.after(Duration::from_millis(1));
    let refused = after(RECORDING, []).step(late, Event::IntentRecorded);
    assert!(order(&refused.effects).is_none());
    assert_eq!(refused.rollback.state_name(), StateName::Refused);
}

#[test]
fn a_person_can_be_too_late_and_an_answer_of_a_system_cannot() {
    let ana = fixtures::ana();
    let deadline = after(SHOWN, []).deadline().unwrap();
    let before = Timestamp::from_millis(deadline.as_millis() - 1);
    let in_time = after(SHOWN, []).step(before, ana.confirmed(before));
    assert_eq!(in_time.rollback.state_name(), StateName::Checking);
    let late = after(SHOWN, []).step(deadline, ana.confirmed(deadline));
    assert_eq!(late.rollback.state_name(), StateName::Expired);

    for (count, event, expected) in [
        (TRIGGERING, Event::TriggerAccepted(Receipt::new("execution-1")), StateName::Running),
        (RUNNING, phase(Phase::Complete), StateName::Verifying),
    ] {
        let rollback = after(count, []);
        let late = rollback.deadline().unwrap().after(Duration::from_secs(1));
        assert_eq!(rollback.step(late, event).rollback.state_name(), expected);
    }
}

#[test]
fn until_the_confirmation_only_whoever_clicked_is_heard() {
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let out_of_place = Disposition::Ignored(Ignored::OutOfPlace);
    for count in 0..=SHOWN {
        let state = after(count, []).state_name();
        let other = step(after(count, []), 3, Event::WithdrawalGiven(bo.said(at(3))));
        assert_eq!((other.disposition, other.rollback.state_name()), (out_of_place.clone(), state));
        let own = step(after(count, []), 3, Event::WithdrawalGiven(ana.said(at(3))));
        assert_eq!(own.rollback.state_name(), StateName::Withdrawn);
    }
    let other = step(after(0, []), 1, standing(&bo, 1));
    assert_eq!(other.disposition, out_of_place);
    assert_eq!(other.rollback.state_name(), StateName::Authorizing);
}

#[test]
fn a_click_through_the_emergency_group_is_seen_as_one_from_the_start() {
    for (person, expected) in [(fixtures::finn(), true), (fixtures::ana(), false)] {
        let opening = fixtures::clicked_by(&person, fixtures::policy());
        let rollback = tell(opening, [(1, standing(&person, 1))]);
        assert_eq!(rollback.state_name(), StateName::Confirming);
        assert_eq!(rollback.view().break_glass, expected, "{}", person.name);
    }
}

#[test]
fn a_look_at_the_execution_counts_unless_a_later_one_overtook_it() {
    let checking = || after(HEALTH_CHECKING, []);
    let overtaken = step(checking(), 15, phase(Phase::Started));
    assert_eq!(overtaken.disposition, Disposition::Ignored(Ignored::OutOfPlace));
    let again = step(checking(), 15, phase(Phase::HealthChecking));
    assert_eq!(again.disposition, Disposition::Ignored(Ignored::Again));
    let news = step(checking(), 15, with_message(Phase::HealthChecking, "2 of 3 pods"));
    assert_eq!(news.disposition, Disposition::Applied);
    assert!(news.drafts.is_empty(), "the same phase is recorded once");
    assert_eq!(news.rollback.view().progress.unwrap().message, Some("2 of 3 pods".into()));
    let next = step(checking(), 15, phase(Phase::Complete));
    assert_eq!(next.rollback.state_name(), StateName::Verifying);
}

#[test]
fn a_phase_is_recorded_with_the_words_of_the_cd_system() {
    let said = |event| {
        let drafts: Vec<Draft> = step(after(RUNNING, []), 13, event).drafts;
        drafts.into_iter().map(|draft| draft.explanation.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(said(phase(Phase::Started)), ["started"]);
    assert_eq!(
        said(with_message(Phase::HealthChecking, "2 of 3 pods")),
        ["health checking: 2 of 3 pods"]
    );
}

/// The effect beats the acknowledgement.
#[test]
fn only_the_target_alone_seen_for_long_enough_is_a_success() {
    let mut busy = at_target();
    busy.in_progress = Presence::Something(InProgress::new(OperationKind::Rollback));
    let old = Live::running(fixtures::reference("42"));
    for (live, expected) in [
        (at_target(), StateName::Succeeded),
        (busy, StateName::Verifying),
        (old, StateName::Verifying),
        (Live::default(), StateName::Verifying),
    ] {
        let looks = [sighting(live.clone(), 16), sighting(live.clone(), 22)];
        assert_eq!(after(VERIFYING, looks).state_name(), expected, "{live:?}");
    }
}

#[test]
fn the_records_of_a_drill_say_so_and_no_others_do() {
    for (opening, expected) in [(by_ana(), false), (drill(), true)] {
        let mut rollback = Rollback::open(opening).rollback;
        let mut records = 0;
        for (seconds, event) in good().into_iter().take(TRIGGERING) {
            let taken = step(rollback, seconds, event);
            assert!(taken.drafts.iter().all(|draft| draft.drill == expected));
            records += taken.drafts.len();
            rollback = taken.rollback;
        }
        assert_eq!(records, 3, "requested, confirmed, triggered");
    }
}

#[test]
fn what_will_not_be_undone_and_how_long_it_takes_are_shown_before_the_confirmation() {
    let mut preflight = fixtures::accepted();
    preflight.not_undone = vec!["the queue keeps its new messages".into()];
    preflight.expected = Some(ExpectedDuration::about(Duration::from_secs(90)));
    let mut facts: Facts = fixtures::facts(at(2));
    facts.preflight = Fact::known(preflight.clone(), at(2));
    let observation = Observation::new(facts, Standing::unknown("nobody asked"));
    let view = after(1, [(2, Event::FactsObserved(Box::new(observation)))]).view();
    assert_eq!(view.state, StateName::Confirming);
    assert_eq!(view.not_undone, preflight.not_undone);
    assert_eq!(view.expected_ms, Some(90_000));
}

/// From its confirmation on it holds the service itself, and its operation may be what is seen.
#[test]
fn a_rollback_does_not_stand_in_its_own_way() {
    let seen_by = |rollback: &str| {
        let mut record = ServiceRecord::default();
        record.in_flight = Some(parsed(rollback));
        let mut facts = fixtures::facts(at(10));
        facts.record = Fact::known(record, at(10));
        let observation = Observation::new(facts, fixtures::ana().standing(at(10)));
        (10, Event::FactsObserved(Box::new(observation)))
    };
    for (count, goes_on_to) in
        [(AUTHORIZED, StateName::Confirming), (CHECKING, StateName::Recording)]
    {
        assert_eq!(after(count, [seen_by("rb-1")]).state_name(), goes_on_to);
        assert_eq!(after(count, [seen_by("rb-0")]).state_name(), StateName::Refused);
    }
}

#[test]
fn every_record_is_called_by_the_rollback_the_step_and_its_place() {
    let mut rollback = Rollback::open(by_ana()).rollback;
    let mut called: Vec<Label> = Vec::new();
    for (seconds, event) in good() {
        let taken = step(rollback, seconds, event);
        called.extend(taken.drafts.into_iter().map(|draft| draft.id));
        rollback = taken.rollback;
    }
    let expected = ["1/0", "3/0", "4/0", "6/0", "7/0", "8/0", "9/0", "11/0"];
    assert_eq!(called, expected.map(|place| Label::new(format!("rb-1/{place}"))));
}

fn put_aside(seconds: u64) -> Told {
    (seconds, Event::PutAside(3))
}

fn released(person: &fixtures::Person, seconds: u64) -> Told {
    (seconds, Event::Released(person.said(at(seconds))))
}

/// What has work that could end whoever does it, by how many events lead there.
const WORKING: [usize; 8] =
    [0, AUTHORIZED, CHECKING, RECORDING, TRIGGERING, RUNNING, HEALTH_CHECKING, VERIFYING];

#[test]
fn what_is_put_aside_asks_for_nothing_holds_what_it_held_and_pages() {
    for count in WORKING {
        let before = after(count, []);
        let (state, held) = (before.state_name(), before.holds_service());
        let (seconds, event) = put_aside(20);
        let taken = step(before, seconds, event);
        assert_eq!(taken.disposition, Disposition::Applied, "{state}");
        let told = names(&taken.effects);
        assert_eq!(told, ["tell"; 3], "{state}");
        assert!(
            taken.effects.contains(&Effect::Tell(Audience::OnCall)),
            "{state}: nobody is paged"
        );
        let [draft] = taken.drafts.as_slice() else { panic!("{state}: {:?}", taken.drafts) };
        assert_eq!(draft.kind.as_str(), "put_aside");
        let rollback = taken.rollback;
        assert_eq!((rollback.state_name(), rollback.holds_service()), (state, held));
        assert_eq!(rollback.pending(), [], "{state}");
        let view = rollback.view();
        assert_eq!(view.put_aside, Some(PutAside::new(3, at(20))), "{state}");
        assert!(view.explanation.contains("crashed 3 times"), "{}", view.explanation);
        let sent = count >= TRIGGERING;
        assert_eq!(view.explanation.contains("its order may have run"), sent, "{state}");
        let again = step(rollback, 21, Event::PutAside(3));
        assert_eq!(again.disposition, Disposition::Ignored(Ignored::Again), "{state}");
    }
}

/// Whoever approves need not be whoever may let go on what ended its workers.
#[test]
fn what_is_put_aside_names_those_who_may_release_it() {
    let mut access = fixtures::access_policy();
    access.break_glass.clear();
    let cleo = fixtures::cleo().id();
    let approvers = vec![rollback_core::access::Principal::User(cleo.clone())];
    let rule =
        rollback_core::access::Rule::for_service("approvers", &parsed("checkout"), approvers);
    access.approvers.push(rule);
    let mut policy = fixtures::policy_with_approvals(1);
    policy.access = access.for_service(&fixtures::key());
    let opening = fixtures::clicked_by(&fixtures::ana(), policy);
    let waiting = tell(opening, good().into_iter().take(CHECKING));
    assert_eq!(waiting.state_name(), StateName::Approving);
    let named = |rollback: &Rollback| {
        let who: Vec<String> = rollback.view().who_may.iter().map(ToString::to_string).collect();
        (who.iter().any(|it| it.contains(cleo.as_str())), who.len())
    };
    assert_eq!(named(&waiting), (true, 1), "who may approve");
    let (seconds, event) = put_aside(20);
    assert_eq!(named(&step(waiting, seconds, event).rollback), (false, 3), "the owners");
}

#[test]
fn what_is_released_asks_for_what_it_asked_for_and_has_the_time_that_it_had() {
    for count in WORKING {
        let before = after(count, []);
        let (asked, deadline) = (names(&before.pending()), before.deadline().unwrap());
        let waits_for_people = count == AUTHORIZED;
        let rollback = after(count, [put_aside(20), released(&fixtures::ana(), 620)]);
        if waits_for_people {
            assert_eq!(rollback.state_name(), StateName::Expired, "people had their time");
            continue;
        }
        assert_eq!(names(&rollback.pending()), asked, "after {count} events");
        assert_eq!(rollback.deadline(), Some(deadline.after(Duration::from_secs(600))));
        assert_eq!(rollback.view().put_aside, None);
        assert!(rollback.view().explanation.contains("it continues where it was"));
        // It can be put aside again, and is on record each time.
        let again = step(rollback, 700, Event::PutAside(3));
        assert_eq!(again.drafts.len(), 1);
    }
}

#[test]
fn whoever_may_not_releases_nothing_and_is_told() {
    let (seconds, event) = released(&fixtures::eve(), 30);
    let taken = step(after(RUNNING, [put_aside(20)]), seconds, event);
    assert!(matches!(taken.disposition, Disposition::Declined(_)), "{:?}", taken.disposition);
    assert!(taken.rollback.view().put_aside.is_some());
    assert_eq!(taken.rollback.pending(), []);
    assert_eq!(taken.drafts.first().map(|draft| draft.kind.as_str()), Some("denied"));
    let (seconds, event) = released(&fixtures::ana(), 30);
    let nothing_aside = step(after(RUNNING, []), seconds, event);
    assert_eq!(nothing_aside.disposition, Disposition::Ignored(Ignored::OutOfPlace));
}

/// A message that everybody sees says that it is put aside: it must not say so for ever.
#[test]
fn whatever_becomes_of_what_is_put_aside_is_shown_where_that_was_shown() {
    let channel = Effect::Tell(Audience::Channel);
    let mut applied = 0;
    for count in WORKING {
        let stop = Event::WithdrawalGiven(fixtures::ana().said(at(30)));
        let seen = Event::StandingObserved(Box::new(fixtures::eve().standing(at(30))));
        for (seconds, event) in [(30, stop), (30, seen), (100_000, Event::DeadlineReached)] {
            let taken = step(after(count, [put_aside(20)]), seconds, event.clone());
            let shown = taken.effects.iter().filter(|effect| **effect == channel).count();
            let expected = usize::from(taken.disposition == Disposition::Applied);
            assert_eq!(shown, expected, "{event:?} after {count} events");
            applied += expected;
        }
    }
    assert!(applied > WORKING.len());
    let denied = step(after(0, []), 60, Event::DeadlineReached);
    assert_eq!(denied.rollback.state_name(), StateName::Denied);
    assert!(
        !denied.effects.contains(&channel),
        "else it concerns whoever clicked, and nobody else"
    );
}

#[test]
fn an_end_is_not_put_aside_and_a_stop_ends_what_is() {
    let ended = step(after(12, []), 30, Event::PutAside(3));
    assert_eq!(ended.disposition, Disposition::Ignored(Ignored::Ended));
    let stop = (30, Event::WithdrawalGiven(fixtures::ana().said(at(30))));
    let view = after(CHECKING, [put_aside(20), stop]).view();
    assert_eq!((view.state, view.put_aside), (StateName::Withdrawn, None));
    let unknown = after(TRIGGERING, given_up());
    let aside = step(unknown, 920, Event::PutAside(3)).rollback;
    assert_eq!(aside.pending(), [], "nobody looks for its late effect");
    let (seconds, settles) = settled();
    assert_eq!(step(aside, seconds, settles).rollback.view().put_aside, None);
    let told_late = after(TRIGGERING, given_up().into_iter().chain([found()]));
    let nothing_to_do = step(told_late, 950, Event::PutAside(3));
    assert_eq!(nothing_to_do.disposition, Disposition::Ignored(Ignored::Ended));
}

fn running(more: impl IntoIterator<Item = Told>) -> Rollback {
    after(RUNNING, more)
}

fn unseen(seconds: u64) -> Told {
    (seconds, Event::ExecutionUnseen("no answer within 10 s".into()))
}

/// 12 s is when the order was accepted; it should be complete half an hour later.
const DUE: u64 = 12 + 1_800;

#[test]
fn what_the_cd_system_is_silent_about_has_its_own_limit_and_never_less_time_than_it_had() {
    let deadline = |more: Vec<Told>| running(more).deadline();
    assert_eq!(deadline(vec![]), Some(at(DUE)));
    assert_eq!(deadline(vec![unseen(100)]), Some(at(DUE)), "it has its half hour");
    assert_eq!(deadline(vec![unseen(1_500)]), Some(at(1_500 + 900)), "it has its quarter");
    let again = (1_600, phase(Phase::Started));
    assert_eq!(deadline(vec![unseen(1_500), again]), Some(at(DUE)), "it answers again");
    let late = (DUE, Event::DeadlineReached);
    assert_eq!(deadline(vec![late.clone()]), None, "it is still followed");
    assert_eq!(deadline(vec![late.clone(), unseen(2_000)]), Some(at(2_900)));
    let heard = (2_100, phase(Phase::Started));
    assert_eq!(deadline(vec![late, unseen(2_000), heard]), None);
    let (seconds, event) = (100 + 3_600, Event::PutAside(3));
    let released = released(&fixtures::ana(), seconds + 600);
    assert_eq!(
        deadline(vec![(100, event), released]).map(|at| at > fixtures::at(DUE)),
        Some(true),
        "the time in which nobody looked does not count"
    );
}

#[test]
fn what_runs_late_holds_its_service_and_names_those_who_may_settle_it() {
    let rollback = running([(DUE, Event::DeadlineReached)]);
    let view = rollback.view();
    assert_eq!((view.state, view.overdue, view.cancellable), (StateName::Running, true, true));
    assert!(rollback.holds_service());
    assert_eq!(names(&rollback.pending()), ["observe"]);
    let taken = step(running([]), DUE, Event::DeadlineReached);
    assert!(taken.effects.contains(&Effect::Tell(Audience::OnCall)), "nobody is paged");
    let done = step(taken.rollback, DUE + 60, phase(Phase::Complete));
    assert_eq!(done.rollback.state_name(), StateName::Verifying);
}

#[test]
fn a_cd_system_that_is_silent_for_ever_ends_in_an_unknown_outcome_that_is_observed_on() {
    let silent = running([unseen(100), (DUE, Event::DeadlineReached)]);
    assert_eq!(silent.state_name(), StateName::OutcomeUnknown);
    assert!(silent.holds_service());
    assert_eq!(names(&silent.pending()), ["observe"], "its execution is known");
    let late = step(silent, 4_000, Event::OrderFound(Receipt::new("execution-1")));
    assert_eq!(late.disposition, Disposition::Ignored(Ignored::Ended), "that was known all along");
    let done = step(late.rollback, 4_000, phase(Phase::Complete));
    assert_eq!(done.rollback.state_name(), StateName::OutcomeUnknown, "an end stays an end");
    assert!(done.effects.contains(&Effect::Tell(Audience::OnCall)));
    assert_eq!(done.rollback.pending(), []);
    let said = done.rollback.view().explanation;
    assert!(said.contains("is complete") && !said.contains("after all"), "{said}");
}

#[test]
fn the_cd_system_is_asked_to_cancel_until_it_has_answered() {
    let asked = (14, Event::WithdrawalGiven(fixtures::ana().said(at(14))));
    for (answer, cancellation) in [
        (None, Cancellation::Asked),
        (Some(Event::CancellationAccepted), Cancellation::Accepted),
        (Some(Event::CancellationRefused), Cancellation::Refused),
    ] {
        let answered = answer.is_some();
        let told = answer.into_iter().map(|answer| (15, answer));
        let rollback = running([asked.clone()].into_iter().chain(told));
        let expected: &[&str] = if answered { &["observe"] } else { &["cancel", "observe"] };
        assert_eq!(names(&rollback.pending()), expected);
        let view = rollback.view();
        assert_eq!((view.cancellation, view.cancellable), (Some(cancellation), false));
    }
    for nobody_asked in [Event::CancellationAccepted, Event::CancellationRefused] {
        let taken = step(running([]), 15, nobody_asked);
        assert_eq!(taken.disposition, Disposition::Ignored(Ignored::OutOfPlace));
    }
}

/// A journal of the previous release goes on as it was decided.
#[test]
fn by_the_first_rules_doubt_deadlines_and_ends_are_what_they_were() {
    let old = |count: usize, more: Vec<Told>| {
        let mut opening = by_ana();
        opening.rules = Rules::V1;
        tell(opening, good().into_iter().take(count).chain(more)).state_name()
    };
    let early = || (20, Event::DeadlineReached);
    for (count, more, expected) in [
        (TRIGGERING, vec![in_doubt(), doubt_remained()], StateName::OutcomeUnknown),
        (TRIGGERING, vec![in_doubt(), early()], StateName::OutcomeUnknown),
        (RUNNING, vec![early()], StateName::OutcomeUnknown),
        (RUNNING, vec![unseen(20)], StateName::Running),
        (RUNNING, vec![(20, phase(Phase::Failed))], StateName::Failed),
        (RUNNING, vec![(20, phase(Phase::Cancelled))], StateName::Withdrawn),
        (VERIFYING, vec![early()], StateName::NotVerified),
    ] {
        assert_eq!(old(count, more.clone()), expected, "{more:?}");
    }
}

/// Ana asks, Bo approves, and these approvals are needed.
fn approved(policy: rollback_core::Policy) -> Rollback {
    let bo = (10, Event::ApprovalGiven(fixtures::bo().said(at(10))));
    tell(
        fixtures::clicked_by(&fixtures::ana(), policy),
        good().into_iter().take(CHECKING).chain([bo]),
    )
}

/// The invariant says "after the last approval": a look from before it may have missed a deploy.
#[test]
fn what_the_guards_saw_before_the_last_approval_lets_nothing_through() {
    let policy = fixtures::policy_with_approvals(1);
    for (seen, expected) in [(9, StateName::Refused), (10, StateName::Recording)] {
        let look = fixtures::observed_of(fixtures::facts(at(seen)), &fixtures::ana(), at(11));
        let taken = step(approved(policy.clone()), 11, look);
        assert_eq!(taken.rollback.state_name(), expected, "facts at {seen}");
    }
    // Without approvals it is the confirmation.
    for (seen, expected) in [(8, StateName::Refused), (9, StateName::Recording)] {
        let look = fixtures::observed_of(fixtures::facts(at(seen)), &fixtures::ana(), at(11));
        assert_eq!(after(CHECKING, [(11, look)]).state_name(), expected, "facts at {seen}");
    }
    // What was judged by the first rules stays as it was judged.
    let mut old = by_ana();
    old.rules = Rules::V1;
    let look = fixtures::observed_of(fixtures::facts(at(8)), &fixtures::ana(), at(11));
    let events = good().into_iter().take(CHECKING).chain([(11, look)]);
    assert_eq!(tell(old, events).state_name(), StateName::Recording);
}

#[test]
fn an_approval_counts_only_while_whoever_gave_it_still_may() {
    let policy = fixtures::policy_with_approvals(1);
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let mut ana_herself = bo.clone();
    ana_herself.person = ana.person.clone();
    let gone = || bo.clone().as_account(Account::Deactivated).standing(at(11));
    for (about, standing) in [
        ("still there", Some(bo.standing(at(11)))),
        ("switched off", Some(gone())),
        ("not asked", None),
        ("silent", Some(Standing::unknown("the directory did not answer").about(bo.id()))),
        ("somebody else's", Some(ana.standing(at(11)))),
        ("the requester, it turns out", Some(ana_herself.standing(at(11)))),
        ("out of the group", Some(fixtures::Person::new("U03BO", "Bo").standing(at(11)))),
        ("long ago", Some(bo.standing(Timestamp::from_millis(at(11).as_millis() - 31_000)))),
    ] {
        let look = Observation::new(fixtures::facts(at(11)), ana.standing(at(11)));
        let look = look.and_of(standing.map(|standing| (bo.id(), standing)));
        let taken = step(approved(policy.clone()), 11, Event::FactsObserved(Box::new(look)));
        let view = taken.rollback.view();
        if about == "still there" {
            assert_eq!(view.state, StateName::Recording);
            continue;
        }
        assert_eq!(view.state, StateName::Refused, "{about}: {}", view.explanation);
        assert!(view.explanation.contains("Bo (U03BO)"), "{about}: {}", view.explanation);
        assert!(view.explanation.contains("nothing was changed"), "{}", view.explanation);
    }
}

#[test]
fn an_order_is_good_no_longer_than_what_the_directory_said_of_the_approvers() {
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let mut standing = bo.standing(at(11));
    standing.groups.insert(fixtures::payments(), Fact::known(true, at(5)));
    let look = Observation::new(fixtures::facts(at(11)), ana.standing(at(11)));
    let look = Event::FactsObserved(Box::new(look.and_of([(bo.id(), standing)])));
    let taken = step(approved(fixtures::policy_with_approvals(1)), 11, look);
    let State::Recording(passed) = taken.rollback.state() else { panic!("{taken:?}") };
    assert_eq!(passed.valid_until(), at(35));
}

/// Who asks, who approves, and whether the directory knows the persons behind them.
#[test]
fn four_eyes_tell_apart_what_they_say_they_tell_apart() {
    let nameless = |mut person: fixtures::Person| {
        person.person = None;
        person
    };
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let again = fixtures::ana_again();
    for (four_eyes, asks, approves, expected) in [
        (
            FourEyes::Account,
            ana.clone(),
            bo.clone(),
            Some("distinguished from the requester and the other approvers by person"),
        ),
        (FourEyes::Account, ana.clone(), again.clone(), None),
        (
            FourEyes::Account,
            ana.clone(),
            nameless(bo.clone()),
            Some("distinguished from the requester and the other approvers by account"),
        ),
        (
            FourEyes::Account,
            nameless(ana.clone()),
            bo.clone(),
            Some("distinguished from the requester and the other approvers by account"),
        ),
        (
            FourEyes::Person,
            ana.clone(),
            bo.clone(),
            Some("distinguished from the requester and the other approvers by person"),
        ),
        (FourEyes::Person, ana.clone(), again, None),
        (FourEyes::Person, ana.clone(), nameless(bo), None),
    ] {
        let mut policy = fixtures::policy_with_approvals(1);
        policy.four_eyes = four_eyes;
        let asked = tell(
            fixtures::clicked_by(&asks, policy),
            [(1, standing(&asks, 1)), (2, fixtures::observed(at(2))), (9, asks.confirmed(at(9)))],
        );
        let taken = step(asked, 10, Event::ApprovalGiven(approves.said(at(10))));
        let decision = taken.drafts.first().and_then(|draft| draft.decision.clone()).unwrap();
        match expected {
            Some(words) => {
                assert_eq!(taken.rollback.state_name(), StateName::Checking);
                assert!(decision.as_str().ends_with(words), "{decision}");
            }
            None => {
                assert_eq!(taken.rollback.state_name(), StateName::Approving);
                assert_eq!(decision, Label::new("denied by `four eyes`"));
            }
        }
    }
    // Whoever asks is told at once, and not after somebody was asked to approve.
    let mut policy = fixtures::policy_with_approvals(1);
    policy.four_eyes = FourEyes::Person;
    let asks = nameless(ana);
    let asked = tell(fixtures::clicked_by(&asks, policy.clone()), [(1, standing(&asks, 1))]);
    assert_eq!(asked.state_name(), StateName::Denied);
    assert!(
        asked.view().explanation.contains("cannot identify you as a person"),
        "{:?}",
        asked.view()
    );
    // Where nobody approves, nobody is told apart.
    policy.approvals_min = 0;
    let asked = tell(fixtures::clicked_by(&asks, policy), [(1, standing(&asks, 1))]);
    assert_eq!(asked.state_name(), StateName::Confirming);
}

/// How four eyes go is part of the policy, and the digest of one that never said is what it was.
#[test]
fn a_policy_that_never_said_how_four_eyes_go_is_written_as_before() {
    let mut policy = fixtures::policy();
    let before = serde_json::to_string(&policy).unwrap();
    assert!(!before.contains("four_eyes"), "{before}");
    assert_eq!(serde_json::from_str::<rollback_core::Policy>(&before).unwrap(), policy);
    policy.four_eyes = FourEyes::Person;
    let after = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<rollback_core::Policy>(&after).unwrap(), policy);
    assert_ne!(policy.digest(), fixtures::policy().digest());
}

/// Finn is in the emergency group alone.
#[test]
fn each_act_through_the_emergency_group_pages_once_and_an_owners_pages_nobody() {
    let (finn, bo) = (fixtures::finn(), fixtures::bo());
    let unknown = || after(TRIGGERING, given_up());
    let waiting = || {
        let opening = fixtures::clicked_by(&fixtures::ana(), fixtures::policy_with_approvals(1));
        tell(opening, good().into_iter().take(CHECKING))
    };
    for (person, expected) in [(&finn, 1), (&bo, 0)] {
        let said = |seconds| person.said(at(seconds));
        let settle = Settlement::new(person.actor(), person.standing(at(960)), fixtures::reason());
        let confirming = tell(
            fixtures::clicked_by(person, fixtures::policy()),
            [(1, standing(person, 1)), (2, fixtures::observed(at(2)))],
        );
        for (duty, rollback, seconds, event) in [
            (Duty::Request, confirming, 9, person.confirmed(at(9))),
            (Duty::Approve, waiting(), 10, Event::ApprovalGiven(said(10))),
            (Duty::Approve, waiting(), 10, Event::RejectionGiven(said(10))),
            (Duty::Withdraw, waiting(), 10, Event::WithdrawalGiven(said(10))),
            (Duty::Withdraw, after(CHECKING, []), 10, Event::WithdrawalGiven(said(10))),
            (Duty::Withdraw, after(RECORDING, []), 11, Event::WithdrawalGiven(said(11))),
            (Duty::Withdraw, after(RUNNING, []), 13, Event::WithdrawalGiven(said(13))),
            (Duty::Settle, unknown(), 960, Event::Settled(Box::new(settle))),
            (Duty::Release, after(RUNNING, [put_aside(20)]), 30, Event::Released(said(30))),
        ] {
            let taken = step(rollback, seconds, event);
            assert_eq!(taken.disposition, Disposition::Applied, "{duty:?} by {}", person.name);
            let page = Effect::Tell(Audience::BreakGlass { by: person.actor(), duty });
            let pages = taken.effects.iter().filter(|effect| **effect == page).count();
            assert_eq!(pages, expected, "{duty:?} by {}: {:?}", person.name, taken.effects);
            let rule = taken.drafts.first().and_then(|draft| draft.decision.clone()).unwrap();
            assert_eq!(rule.as_str().contains("`break-glass`"), expected == 1, "{duty:?}: {rule}");
        }
    }
}

/// Whoever owned the service when they approved, and is let in by the emergency group when the order
/// is due, acted through it after all.
#[test]
fn an_approval_that_turns_into_one_through_the_emergency_group_pages() {
    let bo = fixtures::bo();
    let now_finn = fixtures::Person::new("U03BO", "Bo").in_groups([fixtures::incident()]);
    let look = Observation::new(fixtures::facts(at(11)), fixtures::ana().standing(at(11)));
    let look = look.and_of([(bo.id(), now_finn.standing(at(11)))]);
    let checked = approved(fixtures::policy_with_approvals(1));
    let taken = step(checked, 11, Event::FactsObserved(Box::new(look)));
    assert_eq!(taken.rollback.state_name(), StateName::Recording);
    let page = Effect::Tell(Audience::BreakGlass { by: bo.actor(), duty: Duty::Approve });
    assert!(taken.effects.contains(&page), "{:?}", taken.effects);
}

/// Whoever looked was ended by it, so a person looks at the CD system and says how it ended.
#[test]
fn what_is_put_aside_after_its_order_is_settled_by_a_person() {
    for count in [TRIGGERING, RUNNING, HEALTH_CHECKING, VERIFYING] {
        let (seconds, event) = settled();
        let before = after(count, [put_aside(20)]);
        let taken = step(before, seconds, event);
        assert_eq!(taken.disposition, Disposition::Applied, "after {count} events");
        let kinds: Vec<&str> = taken.drafts.iter().map(|draft| draft.kind.as_str()).collect();
        assert_eq!(kinds, ["outcome_unknown", "settled"], "after {count} events");
        let rollback = taken.rollback;
        // An order that may still be on its way is asked about on: the service is free.
        let expected: &[&str] = if count == TRIGGERING { &["reconcile"] } else { &[] };
        assert_eq!(names(&rollback.pending()), expected, "after {count} events");
        assert!(!rollback.holds_service());
        let view = rollback.view();
        assert_eq!((view.state, view.settled), (StateName::OutcomeUnknown, true));
        assert_eq!((view.put_aside, view.deadline), (None, None));
        assert!(view.ended_at.is_some() && view.explanation.starts_with("settled: "));
    }
}

#[test]
fn an_order_in_doubt_that_a_person_settled_is_fenced_where_the_cd_system_can() {
    let (seconds, settles) = settled();
    let settled_in_doubt = || {
        let doubt = [in_doubt(), doubt_over()];
        let taken = step(after(TRIGGERING, doubt), seconds, settles.clone());
        assert!(names(&taken.effects).contains(&"reconcile".to_owned()), "{:?}", taken.effects);
        taken.rollback
    };
    for (told, kinds, late) in [
        (Event::OrderAbsent, ["phase"].as_slice(), false),
        (Event::OrderFound(Receipt::new("execution-1")), &["outcome_unknown"], true),
        (Event::DoubtRemained("it cannot fence".into()), &[], false),
    ] {
        let taken = step(settled_in_doubt(), 970, told.clone());
        assert_eq!(taken.disposition, Disposition::Applied, "{told:?}");
        let recorded: Vec<&str> = taken.drafts.iter().map(|draft| draft.kind.as_str()).collect();
        assert_eq!(recorded, kinds, "{told:?}");
        let pages = taken.effects.contains(&Effect::Tell(Audience::OnCall));
        assert_eq!(pages, late, "{told:?}");
        let rollback = taken.rollback;
        assert!(!rollback.holds_service() && rollback.pending().is_empty(), "{told:?}");
        let again = step(rollback, 971, told.clone());
        assert_eq!(again.disposition, Disposition::Ignored(Ignored::Ended), "{told:?}");
    }
    let crashes = step(settled_in_doubt(), 980, Event::PutAside(3));
    assert_eq!(crashes.disposition, Disposition::Applied, "its work can end a process, too");
}

#[test]
fn only_whoever_may_settles_what_is_put_aside_and_only_where_an_order_was_sent() {
    let by = |person: &fixtures::Person| {
        let said = Settlement::new(person.actor(), person.standing(at(60)), fixtures::reason());
        Event::Settled(Box::new(said))
    };
    let denied = step(after(RUNNING, [put_aside(20)]), 60, by(&fixtures::eve()));
    assert!(matches!(denied.disposition, Disposition::Declined(_)), "{:?}", denied.disposition);
    let view = denied.rollback.view();
    assert_eq!((view.state, view.put_aside.is_some()), (StateName::Running, true));
    for count in [0, CHECKING, RECORDING] {
        let before = after(count, [put_aside(20)]);
        assert!(!before.view().can_be_settled(), "after {count} events");
        let taken = step(before, 60, by(&fixtures::ana()));
        assert!(matches!(taken.disposition, Disposition::Ignored(_)), "after {count} events");
    }
    assert!(after(RUNNING, [put_aside(20)]).view().can_be_settled());
    assert!(!after(RUNNING, []).view().can_be_settled());
    let under_way = step(after(RUNNING, []), 60, by(&fixtures::ana()));
    assert!(matches!(under_way.disposition, Disposition::Ignored(_)), "somebody looks at it");
}

/// It was told when it was stopped, and is released as any other.
#[test]
fn what_was_stopped_and_replays_again_waits_to_be_released_and_pages_nobody_twice() {
    let taken = step(after(RUNNING, []), 20, Event::PutAside(0));
    assert_eq!((taken.effects.len(), taken.drafts.len()), (0, 0));
    assert_eq!(taken.rollback.pending(), []);
    let (seconds, event) = released(&fixtures::ana(), 620);
    let released = step(taken.rollback, seconds, event);
    assert_eq!(released.disposition, Disposition::Applied);
    assert_eq!(names(&released.rollback.pending()), ["observe"]);
}

/// Facts under which what is live fixed these incidents.
fn facts_with_fixes(seconds: u64, fixes: &[&str]) -> Facts {
    let mut facts = fixtures::facts(at(seconds));
    let mut history = fixtures::history();
    let live = history.first_mut().unwrap();
    let fixes = fixes.iter().map(|id| Fix::new(*id, FixKind::Incident)).collect();
    live.fixes = Fixes::Known(fixes);
    facts.history = Fact::known(history, at(seconds));
    facts
}

fn observed(seconds: u64, fixes: &[&str]) -> Event {
    let standing = fixtures::ana().standing(at(seconds));
    Event::FactsObserved(Box::new(Observation::new(facts_with_fixes(seconds, fixes), standing)))
}

/// A rollback that shows a warning about this fix, and what becomes of a confirmation.
fn confirmed(acknowledged: &[&str]) -> Transition {
    let ana = fixtures::ana();
    let shown = after(AUTHORIZED, [(2, observed(2, &["INC-204"]))]);
    assert_eq!(shown.state_name(), StateName::Confirming);
    let given = Confirmation::new(
        ana.actor(),
        ana.standing(at(5)),
        fixtures::reason(),
        fixtures::plan().pair(),
    );
    let given = given.acknowledging(acknowledged.iter().map(|id| Label::new(*id)));
    step(shown, 5, Event::ConfirmationGiven(Box::new(given)))
}

#[test]
fn a_warning_lets_through_only_whoever_acknowledged_it_and_that_is_on_record() {
    let forgotten = confirmed(&[]);
    assert_eq!(
        forgotten.disposition,
        Disposition::Declined(Declined::NotAcknowledged("INC-204".into()))
    );
    assert_eq!(forgotten.rollback.state_name(), StateName::Confirming, "it can be ticked yet");
    let taken = confirmed(&["INC-204"]);
    assert_eq!(taken.rollback.state_name(), StateName::Checking);
    let record = taken.drafts.iter().find(|draft| draft.kind == Kind::Confirmed).unwrap();
    assert_eq!(record.acknowledged, ["INC-204".into()]);
    assert_eq!(taken.rollback.view().acknowledged, ["INC-204".into()]);
    let ordered = step(taken.rollback, 6, observed(6, &["INC-204"]));
    assert_eq!(ordered.rollback.state_name(), StateName::Recording);
}

#[test]
fn a_warning_that_comes_after_the_confirmation_is_a_refusal() {
    let taken = confirmed(&["INC-204"]);
    let refused = step(taken.rollback, 6, observed(6, &["INC-204", "INC-205"]));
    assert_eq!(refused.rollback.state_name(), StateName::Refused);
    let said = refused.rollback.view().explanation;
    assert!(said.contains("this came up after the confirmation"), "{said}");
    let gone = step(confirmed(&["INC-204"]).rollback, 6, observed(6, &[]));
    assert_eq!(gone.rollback.state_name(), StateName::Recording, "what is gone stands in no way");
}

#[test]
fn what_an_execution_waits_for_is_told_whenever_it_changes_in_any_phase() {
    let mut rollback = after(HEALTH_CHECKING, []);
    for (seconds, phase, waits_for, is_told) in [
        (15, Phase::HealthChecking, Some("a person"), true),
        (16, Phase::HealthChecking, Some("a person"), false),
        (17, Phase::Started, Some("an analysis"), true),
        (18, Phase::Started, None, true),
        (19, Phase::HealthChecking, None, true),
        (20, Phase::Started, None, false),
    ] {
        let mut progress = Progress::new(phase);
        progress.waits_for = waits_for.map(WaitsFor::new);
        let line = Effect::Tell(Audience::Thread(Line::Phase(progress.clone())));
        let taken = step(rollback, seconds, Event::ProgressObserved(Box::new(progress)));
        assert_eq!(taken.effects.contains(&line), is_told, "at {seconds} s: {:?}", taken.effects);
        rollback = taken.rollback;
    }
}

#[test]
fn whoever_was_paged_is_told_once_they_are_not_needed_any_more() {
    let page = Effect::Tell(Audience::OnCall);
    let late = running([(DUE, Event::DeadlineReached)]);
    assert!(late.view().needs_somebody());
    let complete = step(late, DUE + 60, phase(Phase::Complete));
    assert!(!complete.rollback.view().needs_somebody());
    assert!(complete.effects.contains(&page), "the page stays open");
    let (seconds, event) = settled();
    let unknown = after(TRIGGERING, given_up());
    assert!(unknown.view().needs_somebody());
    let settled = step(unknown, seconds, event);
    assert!(settled.effects.contains(&page), "the page stays open");
    let good = step(running([]), 15, phase(Phase::Complete));
    assert!(!good.effects.contains(&page), "nobody was paged");
}

#[test]
fn what_cannot_be_cancelled_has_no_stop_button_and_says_so() {
    let mut opening = by_ana();
    let capabilities = Capabilities::full().cancels(Cancel::No);
    opening.backend = BackendEntry::new(parsed("prod"), capabilities);
    let running = tell(opening, good().into_iter().take(RUNNING));
    assert!(!running.view().cancellable);
    let ana = fixtures::ana();
    let stopped = step(running, 14, Event::WithdrawalGiven(ana.said(at(14))));
    assert_eq!(stopped.disposition, Disposition::Declined(Declined::TooLate));
    assert_eq!(names(&stopped.rollback.pending()), ["observe"], "the CD system is not asked");
}
