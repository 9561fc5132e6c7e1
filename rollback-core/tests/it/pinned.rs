//! The rules that a rollback is judged by are pinned in its journal: a release that does not know them
//! refuses it by name, and one that judges otherwise finds out.

use rollback_core::guard::{Guard, GuardSet};
use rollback_core::journal::{Entry, Mismatch, Opening, resume};
use rollback_core::ports::{Journal, Listed};
use rollback_core::stopped::{self, is_stopped};
use rollback_core::{
    Cause, Event, GuardName, Phase, Progress, Purpose, PutAside, Receipt, Rollback, RollbackView,
    Settlement, StateName, access,
};
use rollback_testkit::fixtures::{self, at, parsed};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn guards(written: Value) -> Result<GuardSet, String> {
    serde_json::from_value(written).map_err(|error| error.to_string())
}

fn custom(names: &[&str]) -> BTreeSet<GuardName> {
    names.iter().map(|name| parsed(name)).collect()
}

#[test]
fn every_guard_is_written_by_name() {
    let set = GuardSet::with(custom(&["change_ticket"])).unwrap();
    let written = serde_json::to_value(&set).unwrap();
    let built_in = Guard::BUILT_IN.iter().map(Guard::name).collect::<Vec<_>>();
    assert_eq!(written, json!({"built_in": built_in, "custom": ["change_ticket"]}));
    assert_eq!(guards(written).unwrap(), set);
}

/// Its journals name the host's own guards alone.
#[test]
fn a_journal_of_the_first_release_means_the_eleven_guards_of_then() {
    let set = guards(json!(["change_ticket"])).unwrap();
    let names: Vec<&str> = set.as_slice().iter().map(Guard::name).collect();
    assert_eq!(
        names,
        [
            "newer_deploy",
            "target_restorable",
            "migrations",
            "known_good",
            "already_at_target",
            "in_flight",
            "confirmation_current",
            "freeze",
            "cool_down",
            "undone_by_backend",
            "backend_accepts",
            "change_ticket"
        ]
    );
    assert_eq!(guards(json!([])).unwrap().as_slice().len(), 11);
}

#[test]
fn a_guard_of_a_newer_release_is_refused_by_name_and_one_that_is_left_out_as_well() {
    let all = || Guard::BUILT_IN.iter().map(|guard| guard.name().to_owned());
    let newer: Vec<String> = all().chain(["phase_of_the_moon".to_owned()]).collect();
    let refused = guards(json!({"built_in": newer, "custom": []})).unwrap_err();
    assert!(refused.contains("`phase_of_the_moon`, which this release does not know"), "{refused}");
    for left_out in Guard::BUILT_IN {
        let fewer: Vec<String> = all().filter(|name| name != left_out.name()).collect();
        let refused = guards(json!({"built_in": fewer, "custom": []}));
        let is_of_the_first = guards(json!([])).unwrap().as_slice().contains(&left_out);
        assert_eq!(refused.is_err(), is_of_the_first, "{left_out:?}");
    }
    let taken = guards(json!({"built_in": all().collect::<Vec<_>>(), "custom": ["freeze"]}));
    assert!(taken.unwrap_err().contains("belongs to a built-in guard"));
}

#[test]
fn an_opening_names_its_rules_and_those_of_a_newer_release_are_refused() {
    let opening = fixtures::clicked_by(&fixtures::ana(), fixtures::policy());
    let mut written = serde_json::to_value(&opening).unwrap();
    assert_eq!(written["rules"], "v3");
    assert_eq!(serde_json::from_value::<Opening>(written.clone()).unwrap(), opening);
    written["rules"] = json!("v99");
    let refused = serde_json::from_value::<Opening>(written).unwrap_err().to_string();
    assert!(refused.contains("v99"), "{refused}");
}

/// A journal as an engine writes it, and the row that goes with it.
fn running() -> (Journal, Listed) {
    let ana = fixtures::ana();
    let opening = fixtures::clicked_by(&ana, fixtures::policy());
    let events = [
        (1, Event::StandingObserved(Box::new(ana.standing(at(1))))),
        (2, fixtures::observed(at(2))),
        // Somebody who may not asks, and is told so: that is in the journal.
        (8, fixtures::eve().confirmed(at(8))),
        (9, ana.confirmed(at(9))),
        (10, fixtures::observed(at(10))),
        (11, Event::IntentRecorded),
        (12, Event::TriggerAccepted(Receipt::new("execution-1"))),
        (13, Event::ProgressObserved(Box::new(Progress::new(Phase::Started)))),
    ];
    let mut rollback = Rollback::open(opening.clone()).rollback;
    let mut entries = Vec::new();
    for (seconds, event) in events {
        let step = rollback.step(at(seconds), event.clone());
        entries.push(Entry::decided(at(seconds), event, &step));
        rollback = step.rollback;
    }
    let listed = Listed::new(rollback.view(), 8, rollback.holds_service(), rollback.was_ordered());
    (Journal::new(opening, entries), listed)
}

#[test]
fn each_entry_says_what_it_came_to() {
    let (journal, _) = running();
    let said: Vec<Value> = journal
        .entries
        .iter()
        .map(|entry| serde_json::to_value(entry).unwrap()["came_to"].clone())
        .collect();
    assert_eq!(said[0], json!({"state": "confirming"}));
    assert_eq!(said[2], json!({"state": "confirming", "event": "declined"}));
    assert_eq!(said[7], json!({"state": "running"}));
    let read: Vec<Entry> = serde_json::from_str(&json!(journal.entries).to_string()).unwrap();
    assert_eq!(read, journal.entries);
}

#[test]
fn a_journal_replays_to_what_is_stored() {
    let (journal, listed) = running();
    let rollback = resume(journal.clone(), &listed).unwrap();
    assert_eq!(rollback.view(), listed.view);
    // As the first release wrote it.
    let mut old = journal;
    for entry in &mut old.entries {
        entry.came_to = None;
    }
    assert_eq!(resume(old, &listed).unwrap().view(), listed.view);
}

/// What the checks of this release do not let through did count when it was stored.
#[test]
fn an_entry_that_is_judged_otherwise_is_named() {
    let (journal, listed) = running();
    let with = |place: usize, event: Event| {
        let mut changed = journal.clone();
        changed.entries[place].event = event;
        resume(changed, &listed).unwrap_err().to_string()
    };
    assert_eq!(
        with(3, fixtures::eve().confirmed(at(9))),
        "entry 4 of its journal led to `checking`, and this release leads to `confirming`, and \
         was declined"
    );
    assert_eq!(
        with(5, Event::OrderAbsent),
        "entry 6 of its journal led to `triggering`, and this release ignores it"
    );
    let mut old = journal.clone();
    (old.entries[5].event, old.entries[5].came_to) = (Event::OrderAbsent, None);
    assert_eq!(
        resume(old, &listed).unwrap_err().to_string(),
        "entry 6 of its journal led to a step, and this release ignores it"
    );
}

#[test]
fn a_row_that_stands_otherwise_is_found_out_field_by_field() {
    let (journal, listed) = running();
    let what = |change: fn(&mut Listed)| {
        let mut changed = listed.clone();
        change(&mut changed);
        match resume(journal.clone(), &changed) {
            Err(Mismatch::End { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(what(|row| row.view.state = StateName::Verifying), "state");
    assert_eq!(what(|row| row.view.steps = 7), "number of steps");
    assert_eq!(what(|row| row.view.to = fixtures::reference("40")), "revision to return to");
    assert_eq!(what(|row| row.view.from = fixtures::reference("40")), "revision to leave");
    assert_eq!(what(|row| row.view.requested_by = None), "requester");
    assert_eq!(what(|row| row.view.approved_by.push(fixtures::bo().actor())), "approvers");
    assert_eq!(what(|row| row.view.execution = None), "execution");
    assert_eq!(what(|row| row.view.progress = None), "phase");
    assert_eq!(what(|row| row.view.ended_at = Some(at(13))), "end");
    assert_eq!(what(|row| row.view.settled = true), "settlement");
    assert_eq!(what(|row| row.view.put_aside = Some(PutAside::new(3, at(13)))), "quarantine");
    assert_eq!(what(|row| row.holds_service = false), "hold on its service");
    assert_eq!(what(|row| row.was_ordered = false), "order");
}

#[test]
fn words_may_be_improved() {
    let (journal, mut listed) = running();
    listed.view.explanation = "as an older release said it".into();
    listed.view.guards.clear();
    listed.view.who_may = vec!["user U1".into()];
    assert!(resume(journal, &listed).is_ok());
}

fn stop() -> (Listed, RollbackView) {
    let (journal, listed) = running();
    let stopped = stopped::stop(&listed, "it differs", &journal.opening.backend, at(20));
    let kinds: Vec<&str> = [&stopped.draft].map(|draft| draft.kind.as_str()).into();
    assert_eq!((stopped.holds_service, kinds), (true, vec!["put_aside"]));
    assert!(stopped::is_beside_the_journal(&stopped.draft));
    let mut listed = listed;
    listed.view = stopped.view.clone();
    (listed, stopped.view)
}

#[test]
fn a_rollback_that_is_stopped_says_why_and_what_to_do_and_keeps_how_it_stands() {
    let (_, view) = stop();
    assert!(is_stopped(&view));
    assert_eq!(view.put_aside.unwrap().cause, Cause::Replay);
    assert_eq!((view.state, view.cancellable), (StateName::Running, false));
    for said in ["it differs", "its order may have run", "press Release there, or settle it"] {
        assert!(view.explanation.contains(said), "{}", view.explanation);
    }
    // Being stopped is no event of the journal, and no difference.
    let (journal, mut listed) = running();
    listed.view = view;
    assert!(resume(journal, &listed).is_ok());
}

#[test]
fn whoever_may_settles_what_is_stopped_and_nobody_else() {
    let (listed, _) = stop();
    let backend = fixtures::backend();
    let moment = access::Moment::new(at(30), core::time::Duration::from_secs(30));
    let settled_by = |person: &fixtures::Person, listed: &Listed| {
        let said = Settlement::new(person.actor(), person.standing(at(30)), fixtures::reason());
        stopped::settle(listed, &said, &fixtures::access(), moment, &backend)
    };
    let denied = settled_by(&fixtures::eve(), &listed).unwrap_err();
    assert!(denied.text.contains("settle a rollback of"), "{denied:?}");
    let settled = settled_by(&fixtures::ana(), &listed).unwrap();
    assert!(!settled.holds_service && stopped::settles(&settled.draft));
    let view = settled.view;
    assert_eq!((view.state, view.settled), (StateName::OutcomeUnknown, true));
    assert_eq!((view.put_aside, view.deadline, view.ended_at), (None, None, Some(at(30))));
    // Where no order was sent there is no outcome to know.
    let mut unsent = listed;
    unsent.was_ordered = false;
    let withdrawn = settled_by(&fixtures::ana(), &unsent).unwrap().view;
    assert_eq!((withdrawn.state, withdrawn.settled), (StateName::Withdrawn, false));
    unsent.view.purpose = Purpose::Drill;
    assert_eq!(settled_by(&fixtures::ana(), &unsent).unwrap().view.state, StateName::Withdrawn);
}
