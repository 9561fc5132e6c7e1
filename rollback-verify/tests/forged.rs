//! Each predicate can fail: evidence that is forged, one field at a time, and what is found.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use rollback_core::audit::{Draft, Head, Kind};
use rollback_core::notice::{MessageRef, Notice};
use rollback_core::ports::{Instance, Journal};
use rollback_core::{Event, Label, RevisionId, RollbackId, StateName};
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
    ("INV-14", |evidence| twice(evidence, |seen| matches!(seen, Seen::Sent { .. }))),
    ("INV-16", |evidence| twice(evidence, |seen| matches!(seen, Seen::TookEffect { .. }))),
    ("INV-17", |evidence| evidence.log.retain(|seen| !matches!(seen, Seen::TookEffect { .. }))),
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
    ("INV-25", |evidence| evidence.views[0].explanation.push('!')),
    ("INV-27", |evidence| {
        let kept = evidence.records.iter().map(|record| record.draft.clone());
        let kept: Vec<Draft> = kept.filter(|draft| draft.kind != Kind::Triggered).collect();
        seal(evidence, kept);
    }),
    ("INV-28", |evidence| evidence.records[1].draft.explanation = Some("edited".into())),
    ("INV-28", |evidence| drop(evidence.records.pop())),
    ("INV-29", |evidence| evidence.log.retain(|seen| !matches!(seen, Seen::Kept { .. }))),
    ("INV-30", |evidence| {
        let mut drafts: Vec<Draft> = evidence.records.iter().map(|r| r.draft.clone()).collect();
        for draft in drafts.iter_mut().filter(|draft| draft.kind == Kind::Confirmed) {
            draft.actor = Some((&fixtures::eve().id()).into());
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

#[test]
fn two_rollbacks_that_hold_one_service_are_seen_in_the_chain_alone() {
    let mut both = evidence(&[("rb-1", Ending::Succeeded), ("rb-2", Ending::Succeeded)]);
    let one_after_the_other = judge(&both, Scope::Store);
    assert_eq!(one_after_the_other.found, []);
    // The records of the second come before the end of the first.
    let drafts = both.records.iter().map(|record| record.draft.clone());
    let (first, second): (Vec<Draft>, Vec<Draft>) =
        drafts.partition(|draft| draft.operation_id == id("rb-1"));
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
    evidence.views[0].explanation = String::new();
    let found = violations(&evidence);
    let said: Label = found[0].to_string().into();
    assert_eq!(
        said.as_str(),
        "INV-25 the journal replays to what is stored: `rb-1` replays to something else"
    );
}
