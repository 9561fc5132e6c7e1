//! Golden journals: what was stored once must replay forever, to the same end (`INV-25`).
//!
//! Each file has the opening, the entries, and what came of them, one JSON object a line. A file is
//! never rewritten: a field that was added to a view since then is not in it, and is not compared.
//! `BLESS=1` writes files that are missing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use rollback_core::journal::{Entry, Opening, Rules, compare, replay_whole};
use rollback_core::ports::Fence;
use rollback_core::{
    Conflict, Event, Observation, Phase, Progress, Purpose, Receipt, Rollback, Settlement,
    Sighting, StateName, Timestamp,
};
use rollback_core::{Fact, Health, observed::Live};
use rollback_testkit::fixtures;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals")
}

/// What came of a journal, as far as outsiders see it.
fn outcome(opening: Opening, entries: Vec<Entry>) -> Value {
    let whole = replay_whole(opening, entries);
    let kinds: Vec<&str> = whole.drafts.iter().map(|draft| draft.kind.as_str()).collect();
    let effects: Vec<String> = whole
        .effects
        .iter()
        .map(|(_, effect)| {
            let value = serde_json::to_value(effect).unwrap();
            let name = value.as_str().map(str::to_owned);
            name.unwrap_or_else(|| value.as_object().unwrap().keys().next().unwrap().clone())
        })
        .collect();
    let mut view = serde_json::to_value(whole.rollback.view()).unwrap();
    // Words may be improved; what they are about may not change.
    for words in ["explanation", "guards"] {
        view.as_object_mut().unwrap().remove(words);
    }
    json!({ "view": view, "records": kinds, "effects": effects })
}

#[test]
fn what_was_stored_once_replays_forever() {
    bless();
    let mut paths: Vec<_> = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 6, "golden journals are missing");
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (opening, entries, expected) = read(&path);
        each_comes_to_what_it_came_to(&name, &opening, &entries);
        let found = outcome(opening, entries);
        assert_eq!(found["records"], expected["records"], "{name}");
        assert_eq!(found["effects"], expected["effects"], "{name}");
        for (field, value) in expected["view"].as_object().unwrap() {
            assert_eq!(&found["view"][field], value, "`{field}` of {name}");
        }
    }
}

fn read(path: &Path) -> (Opening, Vec<Entry>, Value) {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [opening, entries @ .., expected] = lines.as_slice() else { panic!("{path:?} is short") };
    let entries = entries.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (serde_json::from_str(opening).unwrap(), entries, serde_json::from_str(expected).unwrap())
}

fn each_comes_to_what_it_came_to(name: &str, opening: &Opening, entries: &[Entry]) {
    let mut rollback = Rollback::open(opening.clone()).rollback;
    for (number, entry) in (1..).zip(entries) {
        let step = rollback.step(entry.at, entry.event.clone());
        if let Err(mismatch) = compare(number, entry.came_to, &step) {
            panic!("{name}: {mismatch}");
        }
        rollback = step.rollback;
    }
}

/// In flight or ended: an upgrade finds rollbacks in every state.
#[test]
fn there_is_a_golden_journal_of_the_present_rules_for_every_state() {
    let mut missing = StateName::ALL.to_vec();
    for path in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        let (opening, _, expected) = read(&path);
        let found: StateName = serde_json::from_value(expected["view"]["state"].clone()).unwrap();
        if opening.rules == Rules::LATEST {
            missing.retain(|state| *state != found);
        }
    }
    assert_eq!(missing, [], "write one; see `journals()`");
}

/// The entries as an engine stores them: each with what it came to, and none that is ignored.
fn decided(opening: &Opening, entries: Vec<Entry>) -> Vec<Entry> {
    let mut rollback = Rollback::open(opening.clone()).rollback;
    let mut stored = Vec::new();
    for Entry { at, event, .. } in entries {
        let step = rollback.step(at, event.clone());
        let entry = Entry::decided(at, event, &step);
        stored.extend(entry.came_to.is_some().then_some(entry));
        rollback = step.rollback;
    }
    stored
}

/// Writes the journals that are missing.
fn bless() {
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    let of_the_present_rules = states().into_iter().map(|(name, opening, entries)| {
        let entries = decided(&opening, entries);
        (format!("v3_{name}"), opening, entries)
    });
    let written = journals().into_iter().map(|(name, opening, entries)| {
        let entries = if name.starts_with('v') { decided(&opening, entries) } else { entries };
        (name.to_owned(), opening, entries)
    });
    for (name, opening, entries) in written.chain(of_the_present_rules) {
        let path = folder().join(format!("{name}.jsonl"));
        if path.exists() {
            continue;
        }
        let mut lines = vec![serde_json::to_string(&opening).unwrap()];
        lines.extend(entries.iter().map(|entry| serde_json::to_string(entry).unwrap()));
        lines.push(outcome(opening, entries).to_string());
        fs::write(path, lines.join("\n") + "\n").unwrap();
    }
}

fn look(at: Timestamp) -> Event {
    let live = Live::running(fixtures::reference("41"));
    let healthy = Fact::known(Health::Healthy, at);
    Event::OutcomeObserved(Box::new(Sighting::new(Fact::known(live, at), healthy)))
}

fn look_entry(seconds: u64) -> Entry {
    let at = fixtures::at(seconds);
    Entry::new(at, look(at))
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn journals() -> Vec<(&'static str, Opening, Vec<Entry>)> {
    let at = fixtures::at;
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let receipt = Receipt::new("execution-1");
    let entry = |seconds: u64, event: Event| Entry::new(at(seconds), event);
    let phase = |phase| Event::ProgressObserved(Box::new(Progress::new(phase)));
    let asked = vec![
        entry(1, Event::StandingObserved(Box::new(ana.standing(at(1))))),
        entry(2, fixtures::observed(at(2))),
        entry(9, ana.confirmed(at(9))),
    ];
    let ordered: Vec<Entry> = asked
        .iter()
        .cloned()
        .chain([entry(10, fixtures::observed(at(10))), entry(11, Event::IntentRecorded)])
        .collect();
    let with = |start: &[Entry], more: Vec<Entry>| -> Vec<Entry> {
        start.iter().cloned().chain(more).collect()
    };
    let clicked = || fixtures::clicked_by(&ana, fixtures::policy());
    let mut four_eyes = fixtures::clicked_by(&ana, fixtures::policy_with_approvals(1));
    four_eyes.deploy = Some(fixtures::parsed("ci-4711"));
    let mut drill = clicked();
    drill.purpose = Purpose::Drill;
    let good = vec![
        entry(12, Event::TriggerAccepted(receipt.clone())),
        entry(13, phase(Phase::Started)),
        entry(14, phase(Phase::HealthChecking)),
        entry(15, phase(Phase::Complete)),
        entry(16, look(at(16))),
        entry(22, look(at(22))),
    ];
    let doubt = vec![
        entry(12, Event::TriggerInDoubt("no answer within 10 s".into())),
        entry(13, Event::DoubtRemained("the CD cannot fence".into())),
        entry(40, Event::OrderFound(receipt)),
        entry(
            60,
            Event::Settled(Box::new(Settlement::new(
                bo.actor(),
                bo.standing(at(60)),
                fixtures::reason(),
            ))),
        ),
    ];
    let absent = vec![
        entry(12, Event::TriggerInDoubt("the connection was reset".into())),
        entry(13, Event::OrderAbsent),
    ];
    let approved = vec![
        entry(20, Event::ApprovalGiven(ana.said(at(20)))),
        entry(21, Event::ApprovalGiven(bo.said(at(21)))),
        entry(22, fixtures::observed(at(22))),
        entry(23, Event::IntentRecorded),
    ];
    let eve = fixtures::eve();
    let denied = vec![entry(1, Event::StandingObserved(Box::new(eve.standing(at(1)))))];
    let proposed = vec![
        entry(5, Event::Clicked(bo.actor())),
        entry(6, Event::StandingObserved(Box::new(bo.standing(at(6))))),
        entry(7, Event::WithdrawalGiven(bo.said(at(7)))),
        entry(90_000, Event::Clicked(ana.actor())),
    ];
    let unfenced = || {
        let mut opening = clicked();
        opening.backend.fence = Fence::No.as_str().into();
        opening
    };
    let deadline = |seconds| entry(seconds, Event::DeadlineReached);
    let sees = |seconds, live: &str| {
        let live = Fact::known(Live::running(fixtures::reference(live)), at(seconds));
        let sighting = Sighting::new(live, Fact::known(Health::Healthy, at(seconds)));
        entry(seconds, Event::OutcomeObserved(Box::new(sighting)))
    };
    let settles = |seconds| {
        let said = Settlement::new(bo.actor(), bo.standing(at(seconds)), fixtures::reason());
        entry(seconds, Event::Settled(Box::new(said)))
    };
    let in_doubt = || entry(12, Event::TriggerInDoubt("no answer within 10 s".into()));
    let accepted = || entry(12, Event::TriggerAccepted(Receipt::new("execution-1")));
    let unseen = |seconds| entry(seconds, Event::ExecutionUnseen("no answer within 10 s".into()));
    let stop = |seconds| entry(seconds, Event::WithdrawalGiven(ana.said(at(seconds))));
    let for_long = || vec![in_doubt(), deadline(60), deadline(912)];
    let with_found = |found| vec![in_doubt(), deadline(912), entry(1_000, found)];
    let found_late = Event::OrderFound(Receipt::new("execution-1"));
    let remained = vec![
        in_doubt(),
        entry(13, Event::DoubtRemained("the CD cannot fence".into())),
        entry(30, Event::DoubtRemained("the CD cannot fence".into())),
        deadline(912),
    ];
    let runs_late = vec![accepted(), deadline(1_812), entry(1_900, phase(Phase::Complete))];
    let silent = vec![
        accepted(),
        entry(13, phase(Phase::Started)),
        unseen(100),
        entry(200, phase(Phase::Started)),
        unseen(1_700),
        deadline(1_812),
        deadline(2_600),
        entry(2_700, phase(Phase::Complete)),
    ];
    let failed = vec![accepted(), entry(15, phase(Phase::Failed)), sees(16, "41"), sees(22, "41")];
    let unread = vec![accepted(), entry(15, phase(Phase::Failed)), deadline(40), deadline(75)];
    let cancelled = vec![
        accepted(),
        stop(14),
        entry(15, Event::CancellationAccepted),
        entry(16, phase(Phase::Cancelled)),
        sees(17, "42"),
        sees(23, "42"),
    ];
    let not_cancelled = vec![
        accepted(),
        stop(14),
        entry(15, Event::CancellationRefused),
        stop(16),
        entry(17, phase(Phase::Complete)),
        look_entry(18),
        look_entry(24),
    ];
    let early = vec![deadline(12), accepted(), deadline(13), entry(15, phase(Phase::Complete))];
    vec![
        ("v2_doubt_for_long", clicked(), with(&ordered, for_long())),
        ("v2_doubt_for_long_then_found", clicked(), with(&ordered, with_found(found_late))),
        (
            "v2_doubt_for_long_then_absent",
            clicked(),
            with(&ordered, with_found(Event::OrderAbsent)),
        ),
        ("v2_doubt_settled", clicked(), with(&with(&ordered, for_long()), vec![settles(1_000)])),
        (
            "v3_doubt_settled_then_absent",
            clicked(),
            with(
                &with(&ordered, for_long()),
                vec![settles(1_000), entry(1_060, Event::OrderAbsent)],
            ),
        ),
        ("v2_doubt_without_a_fence", unfenced(), with(&ordered, remained)),
        ("v2_silent_without_a_fence", unfenced(), with(&ordered, vec![in_doubt(), deadline(912)])),
        ("v2_runs_late", clicked(), with(&ordered, runs_late)),
        ("v2_silent_while_it_runs", clicked(), with(&ordered, silent)),
        ("v2_failed_and_live", clicked(), with(&ordered, failed)),
        ("v2_failed_and_unread", clicked(), with(&ordered, unread)),
        ("v2_cancelled", clicked(), with(&ordered, cancelled)),
        ("v2_not_cancelled", clicked(), with(&ordered, not_cancelled)),
        ("v2_early_deadlines", clicked(), with(&ordered, early)),
        ("good", clicked(), with(&ordered, good)),
        ("four_eyes", four_eyes, with(&asked, approved)),
        ("outcome_unknown", clicked(), with(&ordered, doubt)),
        ("not_executed", clicked(), with(&ordered, absent)),
        ("denied", fixtures::clicked_by(&eve, fixtures::policy()), denied),
        ("proposed_and_expired", fixtures::proposed(fixtures::policy()), proposed),
        ("drill", drill, with(&ordered, Vec::new())),
    ]
}

/// One journal that stands in each state, or came to each end in each way, as it is written now.
#[expect(clippy::too_many_lines, reason = "a table")]
fn states() -> Vec<(&'static str, Opening, Vec<Entry>)> {
    let at = fixtures::at;
    let (ana, bo, eve) = (fixtures::ana(), fixtures::bo(), fixtures::eve());
    let receipt = Receipt::new("execution-1");
    let entry = |seconds: u64, event: Event| Entry::new(at(seconds), event);
    let phase = |phase| Event::ProgressObserved(Box::new(Progress::new(phase)));
    let clicked = || fixtures::clicked_by(&ana, fixtures::policy());
    let two = || fixtures::clicked_by(&ana, fixtures::policy_with_approvals(1));
    let standing = entry(1, Event::StandingObserved(Box::new(ana.standing(at(1)))));
    let busy = |seconds: u64| {
        let facts = rollback_core::observed::Facts::unknown("the CD system does not answer");
        let observed = Observation::new(facts, ana.standing(at(seconds)));
        entry(seconds, Event::FactsObserved(Box::new(observed)))
    };
    let shown = vec![standing.clone(), entry(2, fixtures::observed(at(2)))];
    let then = |start: &[Entry], more: Vec<Entry>| -> Vec<Entry> {
        start.iter().cloned().chain(more).collect()
    };
    let confirmed = then(&shown, vec![entry(9, ana.confirmed(at(9)))]);
    let passed = then(&confirmed, vec![entry(10, fixtures::observed(at(10)))]);
    let sending = then(&passed, vec![entry(11, Event::IntentRecorded)]);
    let doubt =
        then(&sending, vec![entry(12, Event::TriggerInDoubt("no answer within 10 s".into()))]);
    let unknown = then(&doubt, vec![entry(13, Event::DoubtRemained("it cannot fence".into()))]);
    let runs = then(&sending, vec![entry(12, Event::TriggerAccepted(receipt.clone()))]);
    let started = then(&runs, vec![entry(13, phase(Phase::Started))]);
    let verifying = then(&started, vec![entry(15, phase(Phase::Complete))]);
    let cancelling = then(&started, vec![entry(14, Event::WithdrawalGiven(ana.said(at(14))))]);
    let aside = then(&started, vec![entry(20, Event::PutAside(3))]);
    let settled = |person: &fixtures::Person, seconds: u64| {
        let standing = person.standing(at(seconds));
        let said = Settlement::new(person.actor(), standing, fixtures::reason());
        entry(seconds, Event::Settled(Box::new(said)))
    };
    let elsewhere = |seconds: u64| {
        let live = Live::running(fixtures::reference("42"));
        let healthy = Fact::known(Health::Healthy, at(seconds));
        let seen = Sighting::new(Fact::known(live, at(seconds)), healthy);
        entry(seconds, Event::OutcomeObserved(Box::new(seen)))
    };
    let conflict = Conflict::new(Some(fixtures::reference("43")), "it has moved");
    let mut drill = clicked();
    drill.purpose = Purpose::Drill;
    let one = |event: Entry| vec![event];
    vec![
        ("proposed", fixtures::proposed(fixtures::policy()), Vec::new()),
        ("authorizing", clicked(), Vec::new()),
        ("confirming_reading", clicked(), one(standing.clone())),
        ("confirming", clicked(), shown.clone()),
        ("approving", two(), confirmed.clone()),
        ("checking", clicked(), confirmed.clone()),
        ("recording", clicked(), passed.clone()),
        ("triggering", clicked(), sending.clone()),
        ("triggering_in_doubt", clicked(), doubt.clone()),
        ("running", clicked(), started.clone()),
        ("running_cancelling", clicked(), cancelling.clone()),
        ("verifying", clicked(), then(&verifying, one(entry(16, look(at(16)))))),
        ("put_aside", clicked(), aside.clone()),
        ("released", clicked(), then(&aside, one(entry(60, Event::Released(ana.said(at(60))))))),
        ("settled_aside", clicked(), then(&aside, one(settled(&bo, 60)))),
        (
            "succeeded",
            clicked(),
            then(&verifying, vec![entry(16, look(at(16))), entry(22, look(at(22)))]),
        ),
        ("failed", clicked(), then(&started, one(entry(14, phase(Phase::Failed))))),
        (
            "not_verified",
            clicked(),
            then(&verifying, vec![elsewhere(16), entry(600, Event::DeadlineReached)]),
        ),
        ("refused_at_the_click", clicked(), vec![standing, busy(2)]),
        ("refused_before_the_order", clicked(), then(&confirmed, one(busy(10)))),
        (
            "refused_by_the_cd",
            clicked(),
            then(&sending, one(entry(12, Event::TriggerRefused("it is locked".into())))),
        ),
        (
            "refused_live_has_moved",
            clicked(),
            then(&sending, one(entry(12, Event::TriggerConflicted(Box::new(conflict))))),
        ),
        (
            "refused_intent_not_recorded",
            clicked(),
            then(&passed, one(entry(11, Event::IntentNotRecorded("the disk is full".into())))),
        ),
        ("not_executed", clicked(), then(&doubt, one(entry(13, Event::OrderAbsent)))),
        (
            "found_after_doubt",
            clicked(),
            then(&doubt, one(entry(13, Event::OrderFound(receipt.clone())))),
        ),
        (
            "denied",
            fixtures::clicked_by(&eve, fixtures::policy()),
            one(entry(1, Event::StandingObserved(Box::new(eve.standing(at(1)))))),
        ),
        (
            "withdrawn",
            clicked(),
            then(&confirmed, one(entry(10, Event::WithdrawalGiven(ana.said(at(10)))))),
        ),
        (
            "withdrawn_running",
            clicked(),
            then(&cancelling, one(entry(15, phase(Phase::Cancelled)))),
        ),
        (
            "rejected",
            two(),
            then(&confirmed, one(entry(20, Event::RejectionGiven(bo.said(at(20)))))),
        ),
        ("expired", clicked(), then(&shown, one(entry(5_000, Event::DeadlineReached)))),
        ("expired_approving", two(), then(&confirmed, one(entry(5_000, Event::DeadlineReached)))),
        ("outcome_unknown", clicked(), unknown.clone()),
        (
            "outcome_unknown_and_late",
            clicked(),
            then(&unknown, one(entry(40, Event::OrderFound(receipt)))),
        ),
        ("outcome_unknown_and_settled", clicked(), then(&unknown, one(settled(&bo, 60)))),
        ("drill", drill, sending),
    ]
}
