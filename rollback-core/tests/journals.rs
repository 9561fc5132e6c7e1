//! Golden journals: what was stored once must replay forever, to the same end (`INV-25`).
//!
//! Each file has the opening, the entries, and what came of them, one JSON object a line. A file is
//! never rewritten: a field that was added to a view since then is not in it, and is not compared.
//! `BLESS=1` writes files that are missing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_core::journal::{Entry, Opening, replay_whole};
use rollback_core::{Event, Phase, Progress, Purpose, Receipt, Settlement, Sighting, Timestamp};
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
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let [opening, entries @ .., expected] = lines.as_slice() else { continue };
        let opening: Opening = serde_json::from_str(opening).unwrap();
        let entries = entries.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected: Value = serde_json::from_str(expected).unwrap();
        let found = outcome(opening, entries);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(found["records"], expected["records"], "{name}");
        assert_eq!(found["effects"], expected["effects"], "{name}");
        for (field, value) in expected["view"].as_object().unwrap() {
            assert_eq!(&found["view"][field], value, "`{field}` of {name}");
        }
    }
}

/// Writes the journals that are missing.
fn bless() {
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    for (name, opening, entries) in journals() {
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
    vec![
        ("good", clicked(), with(&ordered, good)),
        ("four_eyes", four_eyes, with(&asked, approved)),
        ("outcome_unknown", clicked(), with(&ordered, doubt)),
        ("not_executed", clicked(), with(&ordered, absent)),
        ("denied", fixtures::clicked_by(&eve, fixtures::policy()), denied),
        ("proposed_and_expired", fixtures::proposed(fixtures::policy()), proposed),
        ("drill", drill, with(&ordered, Vec::new())),
    ]
}
