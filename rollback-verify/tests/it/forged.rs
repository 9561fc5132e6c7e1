//! Each predicate can fail: evidence that is forged, one field at a time, and what is found.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and looks for one thing among many"
)]

use rollback_core::audit::{Draft, Head, Kind};
use rollback_core::journal::Entry;
use rollback_core::notice::{MessageRef, Notice};
use rollback_core::ports::{Instance, Journal};
use rollback_core::{
    Event, Label, Receipt, RevisionId, Rollback, RollbackId, RollbackView, StateName,
};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::script::{Ending, Script};
use rollback_verify::{
    Evidence, Held, INVARIANTS, Message, Rest, Scope, Seen, judge, names, violations,
};
use std::collections::BTreeSet;

/// What is seen of scripted rollbacks that went as they should, one after the other.
fn evidence(scripts: &[(&str, Ending)]) -> Evidence {
    let mut evidence = Evidence { compares: true, rest: Rest::Reached, ..Evidence::default() };
    let mut drafts: Vec<Draft> = Vec::new();
    for (id, ending) in scripts {
        let script = Script::new(id);
        let commits = script.commits(*ending);
        let opening = commits[0].opening.as_deref().unwrap().clone();
        let mut entries = Vec::new();
        evidence.log.push(claimed(id, "one", 1, (0, 15)));
        for commit in &commits {
            let mut seen = Seen::stored(commit);
            if let Seen::Stored { fence, .. } = &mut seen {
                *fence = Some(1);
            }
            evidence.log.push(seen);
            entries.extend(commit.entry.clone());
            for draft in &commit.drafts {
                evidence.log.push(Seen::Kept { record: draft.id.clone() });
            }
            let view = &commit.view;
            if view.state == StateName::Triggering && sends(&evidence, id) == 0 {
                let (plan, at) = (Box::new(opening.plan.clone()), commit.at);
                evidence.log.push(Seen::Sent { rollback: parsed(id), plan, at });
                if *ending == Ending::Succeeded {
                    let live = Some(opening.plan.from().revision.clone());
                    evidence.log.push(Seen::TookEffect { rollback: parsed(id), live });
                } else {
                    evidence.log.push(Seen::Fenced { rollback: parsed(id) });
                }
            }
            drafts.extend(commit.drafts.clone());
        }
        evidence.views.push(*commits.last().unwrap().view.clone());
        evidence.journals.push(Journal::new(opening, entries));
    }
    seal(&mut evidence, drafts);
    evidence.messages = threads(&evidence);
    evidence
}

fn claimed(id: &str, owner: &str, fence: u64, (at, until): (u64, u64)) -> Seen {
    Seen::Claimed {
        rollback: parsed(id),
        owner: Instance::new(owner),
        fence,
        at: fixtures::at(at),
        until: fixtures::at(until),
    }
}

#[test]
fn a_claim_is_free_once_its_time_is_up_or_it_is_given_back() {
    let mut evidence = good();
    evidence.log.push(claimed("rb-1", "two", 2, (15, 30)));
    evidence.log.push(Seen::GaveBack { rollback: parsed("rb-1"), fence: 2 });
    evidence.log.push(claimed("rb-1", "one", 3, (16, 31)));
    assert_eq!(violations(&evidence), []);
    evidence.log.push(Seen::GaveBack { rollback: parsed("rb-1"), fence: 2 });
    evidence.log.push(claimed("rb-1", "two", 4, (17, 32)));
    assert_eq!(found(&evidence), BTreeSet::from(["INV-23"]), "an old word frees nothing");
}

fn sends(evidence: &Evidence, id: &str) -> usize {
    let of = |seen: &&Seen| matches!(seen, Seen::Sent { rollback, .. } if rollback.as_str() == id);
    evidence.log.iter().filter(of).count()
}

fn seal(evidence: &mut Evidence, drafts: impl IntoIterator<Item = Draft>) {
    evidence.chain = "default".into();
    evidence.records.clear();
    let mut head = Head::genesis("default");
    for draft in drafts {
        let record = head.append(draft).unwrap();
        head = Head::after(&record);
        evidence.records.push(record);
    }
}

/// Every line of every thread, posted once.
fn threads(evidence: &Evidence) -> Vec<Message> {
    let mut messages = Vec::new();
    for journal in &evidence.journals {
        let whole = rollback_core::journal::replay_whole(
            journal.opening.clone(),
            journal.entries.iter().cloned(),
        );
        for (number, (_, effect)) in whole.effects.iter().enumerate() {
            if let rollback_core::Effect::Tell(rollback_core::Audience::Thread(line)) = effect {
                let key = format!("{}/{number}", journal.opening.id);
                let place = MessageRef::new(parsed("C0PAYMENTS"), key.clone());
                let mut message = Message::new(key, parsed("C0PAYMENTS"), place);
                let view = Box::new(whole.rollback.view());
                message.shown.push((1, Notice::Line { view, line: line.clone() }));
                messages.push(message);
            }
        }
    }
    messages
}

fn good() -> Evidence {
    evidence(&[("rb-1", Ending::Succeeded)])
}

fn found(evidence: &Evidence) -> BTreeSet<&'static str> {
    violations(evidence).iter().map(|v| v.invariant.split_once(' ').unwrap().0).collect()
}

fn first(evidence: &Evidence, wanted: impl Fn(&Seen) -> bool) -> usize {
    evidence.log.iter().position(wanted).unwrap()
}

#[test]
fn what_went_as_it_should_violates_nothing() {
    for ending in
        [Ending::Succeeded, Ending::Refused, Ending::Absent, Ending::Unknown, Ending::Settled]
    {
        let evidence = evidence(&[("rb-1", ending)]);
        assert_eq!(violations(&evidence), [], "{ending:?}");
    }
}

#[test]
fn every_number_is_there_once_and_names_its_predicates() {
    let numbers: Vec<u8> = INVARIANTS.iter().map(|invariant| invariant.number).collect();
    assert_eq!(numbers, (1..=35).collect::<Vec<u8>>());
    for invariant in INVARIANTS {
        match invariant.held {
            Held::Here(checks) => {
                let prefix = format!("INV-{:02} ", invariant.number);
                assert!(!checks.is_empty() && checks.iter().all(|c| c.name.starts_with(&prefix)));
            }
            Held::Elsewhere(why) => assert!(why.len() > 40, "{}: {why}", invariant.number),
        }
    }
    let all: BTreeSet<&str> = names().collect();
    assert_eq!(all.len(), names().count(), "two predicates have one name");
}

#[test]
fn a_store_is_judged_without_what_only_the_world_shows() {
    let mut evidence = good();
    (evidence.log, evidence.messages, evidence.rest) = (Vec::new(), Vec::new(), Rest::NotYet);
    let verdict = judge(&evidence, Scope::Store);
    assert_eq!(verdict.found, []);
    assert!(verdict.checked.iter().any(|name| name.starts_with("INV-08")));
    assert!(!verdict.checked.iter().any(|name| name.starts_with("INV-16")));
}

/// A forgery, and the invariant that must name it.
type Forgery = (&'static str, fn(&mut Evidence));

const FORGERIES: &[Forgery] = &[
    ("INV-01", |evidence| {
        let stranger = Box::new(fixtures::plan());
        let at = fixtures::at(0);
        evidence.log.push(Seen::Sent { rollback: parsed("rb-9"), plan: stranger, at });
    }),
    ("INV-10", |evidence| {
        for seen in &mut evidence.log {
            if let Seen::TookEffect { live, .. } = seen {
                *live = Some(parsed("43"));
            }
        }
    }),
    ("INV-12", |evidence| {
        let place = first(evidence, |seen| matches!(seen, Seen::Sent { .. }));
        let stored = |seen: &&Seen| matches!(seen, Seen::Stored { .. });
        let mut other = evidence.log[..place].iter().rev().find(stored).cloned();
        if let Some(Seen::Stored { rollback, .. }) = &mut other {
            *rollback = parsed("rb-2");
        }
        evidence.log.insert(place, other.unwrap());
    }),
    ("INV-13", |evidence| {
        let place = first(evidence, |seen| matches!(seen, Seen::Sent { .. }));
        let sent = evidence.log.remove(place);
        evidence.log.insert(1, sent);
    }),
    ("INV-13", |evidence| {
        let place = first(evidence, |seen| matches!(seen, Seen::Sent { .. }));
        let stored = |seen: &&mut Seen| matches!(seen, Seen::Stored { .. });
        let before = evidence.log[..place].iter_mut().rev().find(stored);
        if let Some(Seen::Stored { rollback, .. }) = before {
            *rollback = parsed("rb-2");
        }
    }),
    ("INV-14", |evidence| twice(evidence, |seen| matches!(seen, Seen::Sent { .. }))),
    ("INV-16", |evidence| twice(evidence, |seen| matches!(seen, Seen::TookEffect { .. }))),
    ("INV-17", |evidence| evidence.log.retain(|seen| !matches!(seen, Seen::TookEffect { .. }))),
    ("INV-18", |evidence| {
        let journal = &mut evidence.journals[0];
        journal.entries.truncate(3);
        let given = Event::WithdrawalGiven(fixtures::ana().said(fixtures::at(4)));
        journal.entries.push(Entry::new(fixtures::at(4), given));
    }),
    ("INV-20", |evidence| {
        let place = first(evidence, |seen| matches!(seen, Seen::TookEffect { .. }));
        let effect = evidence.log.remove(place);
        evidence.log.push(effect);
    }),
    ("INV-22", |evidence| {
        evidence.log.push(claimed("rb-1", "two", 1, (60, 75)));
    }),
    ("INV-23", |evidence| {
        evidence.log.insert(1, claimed("rb-1", "two", 2, (60, 75)));
    }),
    ("INV-23", |evidence| evidence.log.push(claimed("rb-1", "two", 2, (14, 29)))),
    ("INV-25", |evidence| evidence.views[0].steps += 1),
    ("INV-27", |evidence| {
        let kept = evidence.records.iter().map(|record| record.draft.clone());
        let kept: Vec<Draft> = kept.filter(|draft| draft.kind != Kind::Triggered).collect();
        seal(evidence, kept);
    }),
    ("INV-27", |evidence| {
        let kept = evidence.records.iter().map(|record| record.draft.clone());
        let kept: Vec<Draft> = kept.filter(|draft| draft.kind != Kind::Succeeded).collect();
        seal(evidence, kept);
    }),
    ("INV-27", |evidence| {
        let mut drafts: Vec<Draft> = evidence.records.iter().map(|r| r.draft.clone()).collect();
        let intent = drafts.iter().position(|draft| draft.kind == Kind::Triggered).unwrap();
        let end = drafts.pop().unwrap();
        drafts.insert(intent, end);
        seal(evidence, drafts);
    }),
    ("INV-27", |evidence| {
        let mut drafts: Vec<Draft> = evidence.records.iter().map(|r| r.draft.clone()).collect();
        let intent = drafts.iter().position(|draft| draft.kind == Kind::Triggered).unwrap();
        drafts.insert(intent, drafts[intent].clone());
        seal(evidence, drafts);
    }),
    ("INV-28", |evidence| evidence.records[1].draft.explanation = Some("edited".into())),
    ("INV-28", |evidence| drop(evidence.records.pop())),
    ("INV-29", |evidence| evidence.log.retain(|seen| !matches!(seen, Seen::Kept { .. }))),
    ("INV-29", |evidence| {
        let intent = evidence.records.iter().find(|it| it.draft.kind == Kind::Triggered);
        let intent = intent.unwrap().draft.id.clone();
        evidence.log.retain(|seen| !matches!(seen, Seen::Kept { record } if *record == intent));
    }),
    ("INV-30", |evidence| {
        let mut drafts: Vec<Draft> = evidence.records.iter().map(|r| r.draft.clone()).collect();
        for draft in drafts.iter_mut().filter(|draft| draft.kind == Kind::Confirmed) {
            draft.actor = Some((&fixtures::eve().id()).into());
        }
        seal(evidence, drafts);
    }),
    ("INV-30", |evidence| {
        let mut drafts: Vec<Draft> = evidence.records.iter().map(|r| r.draft.clone()).collect();
        for draft in drafts.iter_mut().filter(|draft| draft.kind == Kind::Succeeded) {
            draft.decision = None;
        }
        seal(evidence, drafts);
    }),
    ("INV-33", |evidence| {
        let shown = (0, evidence.messages[0].shown[0].1.clone());
        evidence.messages[0].shown.push(shown);
    }),
    ("INV-33", |evidence| evidence.messages.swap(0, 1)),
    ("INV-33", |evidence| {
        let again = evidence.messages[0].clone();
        evidence.messages.push(again);
    }),
    ("INV-35", |evidence| evidence.waiting = 1),
    ("INV-35", |evidence| {
        evidence.journals[0].entries.truncate(4);
    }),
];

fn twice(evidence: &mut Evidence, wanted: fn(&Seen) -> bool) {
    let place = first(evidence, wanted);
    let again = evidence.log[place].clone();
    evidence.log.insert(place, again);
}

#[test]
fn each_forgery_is_named_by_its_invariant() {
    for (number, (name, forge)) in FORGERIES.iter().enumerate() {
        let mut evidence = good();
        forge(&mut evidence);
        let found = found(&evidence);
        assert!(found.contains(name), "forgery {number}: {name} is not among {found:?}");
    }
}

#[test]
fn what_was_declared_not_executed_needs_its_fence_and_no_effect() {
    let absent = || evidence(&[("rb-1", Ending::Absent)]);
    let mut unfenced = absent();
    unfenced.log.retain(|seen| !matches!(seen, Seen::Fenced { .. }));
    assert!(found(&unfenced).contains("INV-19"));
    let mut cannot = absent();
    cannot.journals[0].opening.backend.fence = "no".into();
    assert!(found(&cannot).contains("INV-19"));
    let mut late = absent();
    let live: Option<RevisionId> = Some(parsed("42"));
    late.log.push(Seen::TookEffect { rollback: parsed("rb-1"), live });
    assert!(found(&late).is_superset(&BTreeSet::from(["INV-19", "INV-20"])));
    let mut refused = evidence(&[("rb-1", Ending::Refused)]);
    refused.log.push(Seen::TookEffect { rollback: parsed("rb-1"), live: None });
    assert!(found(&refused).contains("INV-18"));
}

/// A step that is stored of another rollback of the same service.
fn other(holds: bool) -> Seen {
    let mut other = Seen::stored(&Script::new("rb-2").commits(Ending::Refused)[0]);
    if let Seen::Stored { holds: held, .. } = &mut other {
        *held = holds;
    }
    other
}

#[test]
fn what_a_message_shows_in_the_end_is_how_it_stands() {
    let showing = |state, notice: fn(Box<RollbackView>) -> Notice| {
        let mut evidence = good();
        let mut message = evidence.messages[0].clone();
        let mut view = evidence.views[0].clone();
        view.state = state;
        (message.key, message.shown) = ("another".into(), vec![(1, notice(Box::new(view)))]);
        evidence.messages.push(message);
        evidence
    };
    let deployer = |view| Notice::Deployer { to: fixtures::bo().id(), view };
    let (stale, right) = (StateName::Approving, StateName::Succeeded);
    let old = BTreeSet::from(["INV-33"]);
    assert_eq!(found(&showing(stale, deployer)), old, "the deployer is told an old state");
    assert_eq!(violations(&showing(right, deployer)), []);
    assert_eq!(found(&showing(stale, Notice::Approval)), old, "a request still asks");
    let approved = showing(StateName::Checking, Notice::Approval);
    assert_eq!(violations(&approved), [], "a request that was answered rests");
    let mut not_yet = showing(stale, deployer);
    not_yet.rest = Rest::NotYet;
    assert_eq!(violations(&not_yet), [], "it may still be brought up to date");
    let mut again = good();
    let shown = again.messages[0].shown[0].clone();
    again.messages[0].shown.push(shown);
    assert_eq!(violations(&again), [], "shown again is not shown backwards");
}

#[test]
fn a_service_is_held_from_the_first_step_that_takes_it_to_the_one_that_gives_it_up() {
    let both = evidence(&[("rb-1", Ending::Succeeded), ("rb-2", Ending::Succeeded)]);
    assert_eq!(violations(&both), [], "one after the other");
    let mut waits = good();
    waits.log.insert(0, other(false));
    assert_eq!(violations(&waits), [], "what only waits holds nothing");
    let held = good();
    let holds = |seen: &Seen| matches!(seen, Seen::Stored { holds: true, .. });
    let places = held.log.iter().enumerate().filter(|(_, seen)| holds(seen));
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    for place in &places {
        let mut taken = held.clone();
        taken.log.insert(place + 1, other(true));
        assert!(found(&taken).contains("INV-12"), "after {}", held.log[*place]);
        taken.log.insert(place + 1, other(false));
        assert!(found(&taken).contains("INV-12"), "nor does another's step free it");
    }
    assert!(places.len() > 3);
}

#[test]
fn a_fencing_number_is_its_owners_and_never_goes_back() {
    let mut renewed = good();
    renewed.log.push(claimed("rb-1", "one", 1, (10, 25)));
    assert_eq!(violations(&renewed), [], "renewed");
    let mut back = good();
    back.log.push(claimed("rb-1", "one", 2, (10, 25)));
    back.log.push(claimed("rb-1", "one", 1, (11, 26)));
    assert_eq!(found(&back), BTreeSet::from(["INV-22"]));
}

#[test]
fn a_fence_that_comes_after_the_end_proves_nothing() {
    let mut late = evidence(&[("rb-1", Ending::Absent)]);
    let place = first(&late, |seen| matches!(seen, Seen::Fenced { .. }));
    let fenced = late.log.remove(place);
    late.log.push(fenced);
    assert!(found(&late).contains("INV-19"));
}

#[test]
fn what_was_stopped_after_its_order_may_have_taken_effect() {
    let mut cancelled = evidence(&[("rb-1", Ending::Cancelled)]);
    let place = first(&cancelled, |seen| matches!(seen, Seen::Sent { .. }));
    let effect = Seen::TookEffect { rollback: id("rb-1"), live: Some(parsed("42")) };
    cancelled.log.insert(place + 1, effect);
    assert_eq!(violations(&cancelled), []);
}

#[test]
fn an_order_is_judged_by_what_was_stored_of_its_own_rollback() {
    let mut evidence = good();
    let place = first(&evidence, |seen| matches!(seen, Seen::Sent { .. }));
    let mut other = evidence.log[1].clone();
    if let Seen::Stored { rollback, holds, fence, .. } = &mut other {
        (*rollback, *holds, *fence) = (id("rb-2"), false, None);
    }
    evidence.log.insert(place, other);
    assert_eq!(violations(&evidence), []);
}

#[test]
fn a_late_effect_of_an_unknown_outcome_has_to_be_noticed_in_the_end() {
    let late = |ending| {
        let mut late = evidence(&[("rb-1", ending)]);
        let live = Some(parsed("42"));
        late.log.push(Seen::TookEffect { rollback: id("rb-1"), live });
        late
    };
    let unnoticed = late(Ending::Unknown);
    assert_eq!(found(&unnoticed), BTreeSet::from(["INV-20"]));
    let mut not_yet = unnoticed.clone();
    not_yet.rest = Rest::NotYet;
    assert!(!found(&not_yet).contains("INV-20"), "it may still be");
    assert!(!found(&late(Ending::Settled)).contains("INV-20"), "somebody settled it");
    let mut noticed = unnoticed;
    let seen = Event::OrderFound(Receipt::new("run-7"));
    noticed.journals[0].entries.push(Entry::new(fixtures::at(60), seen));
    assert!(!found(&noticed).contains("INV-20"), "it was found");
}

#[test]
fn two_rollbacks_that_hold_one_service_are_seen_in_the_chain_alone() {
    let mut both = evidence(&[("rb-1", Ending::Succeeded), ("rb-2", Ending::Succeeded)]);
    let one_after_the_other = judge(&both, Scope::Store);
    assert_eq!(one_after_the_other.found, []);
    // The records of the second come before the end of the first.
    let drafts = both.records.iter().map(|record| record.draft.clone());
    let (first, second): (Vec<Draft>, Vec<Draft>) =
        drafts.partition(|draft| draft.operation_id == Some(id("rb-1")));
    let (end, begun) = first.split_last().unwrap();
    let mixed: Vec<Draft> = begun.iter().chain(&second).chain([end]).cloned().collect();
    seal(&mut both, mixed);
    let verdict = judge(&both, Scope::Store);
    let names: Vec<&str> = verdict.found.iter().map(|found| found.invariant).collect();
    assert_eq!(
        names,
        ["INV-12 one rollback at a time holds a service, in the order of the audit chain"]
    );
}

#[test]
fn an_entry_that_the_checks_would_not_let_through_is_seen() {
    let mut evidence = good();
    let journal = &mut evidence.journals[0];
    // Somebody else's confirmation in place of Ana's: the replay declines it, and ends elsewhere.
    for entry in &mut journal.entries {
        if let Event::ConfirmationGiven(given) = &mut entry.event {
            given.actor = fixtures::eve().actor();
        }
    }
    let found = found(&evidence);
    assert!(found.is_superset(&BTreeSet::from(["INV-01", "INV-25", "INV-28"])), "{found:?}");
}

fn id(text: &str) -> RollbackId {
    parsed(text)
}

#[test]
fn a_name_in_words_is_what_a_person_reads() {
    let mut evidence = good();
    evidence.views[0].steps += 1;
    let found = violations(&evidence);
    let said: Label = found[0].to_string().into();
    assert_eq!(
        said.as_str(),
        "INV-25 the journal replays to what is stored: `rb-1` replays to something else: its \
         number of steps is stored as `9`, and its journal replays to `8`"
    );
}

/// Every release may say it better.
#[test]
fn a_store_of_another_wording_holds() {
    let mut evidence = good();
    let view = &mut evidence.views[0];
    view.explanation = "it was done, and nobody has complained".into();
    for guard in &mut view.guards {
        guard.explanation = "this is fine".into();
    }
    view.not_undone.push("a cache that was filled".into());
    assert_eq!(found(&evidence), BTreeSet::new());
}

/// What each entry came to when it was stored is compared, and not only where all of them lead.
#[test]
fn an_entry_that_comes_to_something_else_is_named() {
    let mut evidence = good();
    let journal = &mut evidence.journals[0];
    let opened = Rollback::open(journal.opening.clone());
    let place = journal.entries.len() - 2;
    let Entry { at, event, .. } = journal.entries[place].clone();
    // As if it had led nowhere when it was stored.
    journal.entries[place] = Entry::decided(at, event, &opened);
    let said = violations(&evidence)[0].to_string();
    let expected = format!("entry {} of its journal led to `authorizing`", place + 1);
    assert!(said.contains(&expected), "{said}");
}

/// The person who settled it is on record; what its journal says counts no more.
#[test]
fn a_rollback_that_was_stopped_and_settled_is_no_violation() {
    let mut evidence = good();
    evidence.views[0].state = StateName::OutcomeUnknown;
    assert!(found(&evidence).contains("INV-25"));
    let mut drafts: Vec<Draft> =
        evidence.records.iter().map(|record| record.draft.clone()).collect();
    let mut settled = drafts.last().unwrap().clone();
    settled.id = "rb-1/settled".into();
    settled.kind = Kind::Settled;
    drafts.push(settled);
    seal(&mut evidence, drafts);
    assert_eq!(found(&evidence), BTreeSet::new());
}

#[test]
fn what_is_stored_is_seen_with_the_number_of_its_entries() {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    let counted = commits.iter().map(|commit| match Seen::stored(commit) {
        Seen::Stored { entries, .. } => entries,
        other => panic!("{other}"),
    });
    let expected = 0..u64::try_from(commits.len()).unwrap();
    assert_eq!(counted.collect::<Vec<u64>>(), expected.collect::<Vec<u64>>());
}

/// As the trace of a world that failed prints it.
#[test]
fn what_was_seen_reads_as_a_trace() {
    let mut log = good().log;
    log.push(Seen::Fenced { rollback: id("rb-1") });
    log.push(Seen::GaveBack { rollback: id("rb-1"), fence: 1 });
    log.push(Seen::TookEffect { rollback: id("rb-1"), live: None });
    log.push(other(true));
    let trace: Vec<String> = log.iter().map(ToString::to_string).collect();
    let wanted = [
        "claimed  rb-1 by one under 1 at 2026-11-22T09:30:00Z until 2026-11-22T09:30:15Z",
        "stored   rb-1 #0 authorizing, holds nothing, under 1",
        "kept     rb-1/1/0",
        "sent     rb-1 `42` (2.14.0) -> `41` (2.13.4) at 2026-11-22T09:30:05Z",
        "effect   rb-1 on `42`",
        "fenced   rb-1",
        "released rb-1 under 1",
        "effect   rb-1 on nothing that is known",
        "stored   rb-2 #0 authorizing, holds its service, without a claim",
    ];
    let mut lines = trace.iter();
    for line in wanted {
        assert!(lines.any(|shown| shown == line), "{line} is not in its place: {trace:#?}");
    }
}

#[test]
fn a_predicate_is_shown_by_its_name() {
    let Held::Here(checks) = INVARIANTS[13].held else { panic!("{:?}", INVARIANTS[13]) };
    assert_eq!(format!("{checks:?}"), "[INV-14 an order is sent once]");
}
