//! Stops the engine at every append and every effect, repeats each of them, and loses each of their
//! answers and requests: whatever happens, the next start ends what was begun, and every invariant
//! holds.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how much it swept"
)]

use crate::common::{Run, Scene, Setup, paused, play};
use rollback_core::ports::{CompareAndSet, Fence};
use rollback_core::{Phase, Purpose, StateName};
use rollback_testkit::Fate;
use rollback_testkit::fakes::{Fault, Method};
use rollback_testkit::invariants::{Seen, violations};
use std::collections::BTreeMap;
use std::time::Duration;

const SCENES: &[Scene] = &[
    Scene::happy(),
    Scene {
        name: "two approvals",
        setup: || Setup { approvals: 2, ..Setup::default() },
        approve: true,
        ..Scene::happy()
    },
    Scene {
        name: "in doubt, and taken",
        prepare: |site| site.cd.fail(Method::Start, Fault::LoseAnswer),
        ..Scene::happy()
    },
    Scene {
        name: "in doubt, and lost",
        prepare: |site| site.cd.fail(Method::Start, Fault::LoseRequest),
        ..Scene::happy()
    },
    Scene {
        name: "in doubt, late, and fenced off",
        prepare: |site| site.cd.fail(Method::Start, Fault::HoldUp),
        ..Scene::happy()
    },
    Scene {
        name: "in doubt without a fence, and late",
        // Each look for the order is a point of the sweep: a minute has enough of them.
        setup: || Setup {
            fence: Fence::No,
            doubt_within: Duration::from_secs(60),
            ..Setup::default()
        },
        prepare: |site| site.cd.fail(Method::Start, Fault::HoldUp),
        late: true,
        ..Scene::happy()
    },
    Scene {
        name: "cancelled while it runs",
        prepare: |site| site.cd.set_phases([Phase::Started; 400]),
        withdraw_in: Some(StateName::Running),
        ..Scene::happy()
    },
    Scene {
        name: "withdrawn before the approval",
        setup: || Setup { approvals: 1, ..Setup::default() },
        withdraw_in: Some(StateName::Approving),
        ..Scene::happy()
    },
    Scene {
        name: "overtaken by a deploy",
        deploy_in: Some(StateName::Confirming),
        ..Scene::happy()
    },
    Scene {
        name: "drill",
        setup: || Setup { purpose: Purpose::Drill, ..Setup::default() },
        ..Scene::happy()
    },
    Scene {
        name: "a CD system that compares nothing",
        setup: || Setup { compares: CompareAndSet::No, ..Setup::default() },
        ..Scene::happy()
    },
];

/// Plays a scene and insists on every invariant.
fn judged(scene: &Scene, fate: Fate) -> Run {
    let run = paused(play(scene, fate));
    let mut found = violations(&run.evidence);
    if let Fate::PausedAt(_) = fate {
        // A process that stands still in the middle of a post for longer than it has the notice
        // may post it after another one has: what matters here is the CD system and the journal.
        found.retain(|violation| !violation.invariant.starts_with("INV-33"));
    }
    if !found.is_empty() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let log: Vec<String> = run.evidence.log.iter().map(ToString::to_string).collect();
        panic!(
            "scene `{}`, {fate:?} ({:?}):\n{}\n--- seen\n{}",
            scene.name,
            run.killed_at,
            found.join("\n"),
            log.join("\n")
        );
    }
    run
}

/// How the runs of a sweep ended, counted.
#[derive(Default)]
struct Tally {
    runs: usize,
    ends: BTreeMap<&'static str, usize>,
    sends: usize,
    effects: usize,
}

impl Tally {
    fn count(&mut self, run: &Run) {
        self.runs += 1;
        for view in &run.evidence.views {
            *self.ends.entry(view.state.as_str()).or_default() += 1;
        }
        for seen in &run.evidence.log {
            self.sends += usize::from(matches!(seen, Seen::Sent { .. }));
            self.effects += usize::from(matches!(seen, Seen::TookEffect { .. }));
        }
    }
}

fn sweep(name: &str, fates: impl Fn(&Run) -> Vec<Fate>, runs_min: usize) -> Tally {
    let mut tally = Tally::default();
    for scene in SCENES {
        let spared = judged(scene, Fate::Spared);
        let fates = fates(&spared);
        println!("{name}: `{}`: {} runs", scene.name, fates.len());
        for fate in fates {
            tally.count(&judged(scene, fate));
        }
    }
    println!("{name}: {} runs, ends {:?}", tally.runs, tally.ends);
    println!("{name}: {} orders sent, {} took effect", tally.sends, tally.effects);
    assert!(tally.runs >= runs_min, "only {} runs: the sweep has become vacuous", tally.runs);
    assert!(tally.effects * 4 >= tally.runs, "too few runs got as far as an effect");
    tally
}

#[test]
fn a_spared_life_ends_as_its_scene_says() {
    let expected = [
        ("happy", StateName::Succeeded),
        ("two approvals", StateName::Succeeded),
        ("in doubt, and taken", StateName::Succeeded),
        ("in doubt, and lost", StateName::Failed),
        ("in doubt, late, and fenced off", StateName::Failed),
        ("in doubt without a fence, and late", StateName::OutcomeUnknown),
        ("cancelled while it runs", StateName::Withdrawn),
        ("withdrawn before the approval", StateName::Withdrawn),
        ("overtaken by a deploy", StateName::Refused),
        ("drill", StateName::Succeeded),
        ("a CD system that compares nothing", StateName::Succeeded),
    ];
    assert_eq!(SCENES.len(), expected.len());
    for (scene, (name, state)) in SCENES.iter().zip(expected) {
        let run = judged(scene, Fate::Spared);
        let ends: Vec<StateName> = run.evidence.views.iter().map(|view| view.state).collect();
        assert_eq!((scene.name, ends), (name, vec![state]));
    }
}

#[test]
fn killed_at_every_point_it_ends_what_it_began() {
    let tally = sweep("killed", |spared| (1..=spared.points).map(Fate::KilledAt).collect(), 1_000);
    for state in ["succeeded", "failed", "outcome_unknown", "withdrawn", "refused"] {
        assert!(tally.ends.contains_key(state), "no run ended {state}");
    }
}

#[test]
fn paused_at_every_point_it_wakes_up_as_a_stranger() {
    let _tally = sweep("paused", |spared| (1..=spared.points).map(Fate::PausedAt).collect(), 1_000);
}

#[test]
fn every_action_repeated_changes_nothing() {
    let _tally = sweep("repeated", |spared| (1..=spared.actions).map(Fate::Repeats).collect(), 500);
}

#[test]
fn every_answer_lost_is_found_out() {
    let _tally =
        sweep("answers lost", |spared| (1..=spared.actions).map(Fate::LosesAnswer).collect(), 500);
}

#[test]
fn every_request_lost_is_made_again_or_given_up_in_words() {
    let _tally = sweep(
        "requests lost",
        |spared| (1..=spared.actions).map(Fate::LosesRequest).collect(),
        500,
    );
}
