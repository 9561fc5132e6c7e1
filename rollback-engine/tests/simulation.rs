//! Random people, faults and deaths from a seed, on paused time. `ROLLBACK_SIM_SEEDS=n` plays `n`
//! seeds, `ROLLBACK_SIM_FROM=s` starts at seed `s`; a failure prints the line that plays it again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Draw, Run, Scene, paused, play};
use rollback_core::StateName;
use rollback_testkit::Fate;
use rollback_testkit::invariants::{Seen, violations};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Enough for every end and every fault to come up, little enough for every run of the tests.
const SEEDS: u64 = 400;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// What happens in a seed: the world draws the rest.
fn drawn(seed: u64) -> (Scene, Fate) {
    let mut draw = Draw::new(seed ^ 0x5EED);
    let stops = [StateName::Confirming, StateName::Approving, StateName::Running];
    let moments = [StateName::Confirming, StateName::Checking, StateName::Running];
    let scene = Scene {
        name: "simulated",
        approve: !draw.one_in(10),
        withdraw_in: draw.one_in(6).then(|| draw.one_of(&stops)),
        deploy_in: draw.one_in(8).then(|| draw.one_of(&moments)),
        seed: Some(seed),
        ..Scene::happy()
    };
    let at = usize::try_from(1 + draw.below(170)).unwrap();
    let action = at.div_ceil(2);
    let fates = [
        Fate::Spared,
        Fate::KilledAt(at),
        Fate::KilledAt(at),
        Fate::Repeats(action),
        Fate::LosesAnswer(action),
        Fate::LosesRequest(action),
    ];
    (scene, draw.one_of(&fates))
}

fn simulate(seed: u64) -> Run {
    let (scene, fate) = drawn(seed);
    let run = paused(play(&scene, fate));
    let found: Vec<String> = violations(&run.evidence).iter().map(ToString::to_string).collect();
    if !found.is_empty() {
        let log: Vec<String> = run.evidence.log.iter().map(ToString::to_string).collect();
        panic!(
            "seed {seed}, {fate:?}:\n{}\n--- seen\n{}\n--- play it again\n\
             ROLLBACK_SIM_FROM={seed} ROLLBACK_SIM_SEEDS=1 cargo test -p rollback-engine --test simulation",
            found.join("\n"),
            log.join("\n")
        );
    }
    run
}

fn trace(run: &Run) -> u64 {
    let mut hasher = DefaultHasher::new();
    for seen in &run.evidence.log {
        seen.to_string().hash(&mut hasher);
    }
    for message in &run.evidence.messages {
        (message.key.as_str(), message.shown.len()).hash(&mut hasher);
    }
    run.evidence.records.last().map(|record| record.hash.to_string()).hash(&mut hasher);
    hasher.finish()
}

#[test]
fn whatever_is_drawn_every_invariant_holds() {
    let (from, seeds) = (number("ROLLBACK_SIM_FROM", 0), number("ROLLBACK_SIM_SEEDS", SEEDS));
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut sent, mut effects, mut deaths) = (0, 0, 0);
    for seed in from..from + seeds {
        let run = simulate(seed);
        for view in &run.evidence.views {
            *ends.entry(view.state.as_str()).or_default() += 1;
        }
        let log = &run.evidence.log;
        sent += u64::from(log.iter().any(|seen| matches!(seen, Seen::Sent { .. })));
        effects += u64::from(log.iter().any(|seen| matches!(seen, Seen::TookEffect { .. })));
        deaths += u64::from(run.killed_at.is_some());
    }
    println!("{seeds} seeds from {from}: {sent} sent, {effects} took effect, {deaths} deaths");
    println!("ends: {ends:?}");
    if seeds >= SEEDS {
        assert!(sent * 4 >= seeds, "only {sent} of {seeds} seeds got as far as an order");
        assert!(deaths * 10 >= seeds, "only {deaths} of {seeds} seeds died");
        for end in ["succeeded", "failed", "refused", "withdrawn", "outcome_unknown", "expired"] {
            assert!(ends.contains_key(end), "no seed ended {end}: {ends:?}");
        }
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in (0..SEEDS).step_by(20) {
        assert_eq!(trace(&simulate(seed)), trace(&simulate(seed)), "seed {seed}");
    }
}
