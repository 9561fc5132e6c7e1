//! Every interleaving for small bounds: two rollbacks of one service, three replicas, people with
//! overlapping roles, crashes, lost leases, requests that are late, lost or repeated, newer deploys.
//!
//! `ROLLBACK_MODEL=large cargo test --release -p rollback-model --test exhaustive -- --nocapture`
//! plays the large bounds.
#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the size of what was played is its point")]

use rollback_model::Setup;
use rollback_model::play::Game;
use rollback_model::world::{Act, Budget, Cd, Flaw};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

/// What may go wrong in every run of the tests.
const SMALL: Budget = Budget {
    crashes: 1,
    expiries: 1,
    deploys: 1,
    network: 1,
    words: 0,
    odd: 0,
    deadlines: 0,
    overdue: 0,
    silences: 0,
    early: true,
};

/// What may go wrong with `ROLLBACK_MODEL=large`.
const LARGE: Budget =
    Budget { crashes: 2, expiries: 2, network: 2, overdue: 2, silences: 1, ..SMALL };

fn setup(cd: Cd, approvals: [u8; 2]) -> Setup {
    let large = std::env::var("ROLLBACK_MODEL").is_ok_and(|bound| bound == "large");
    let mut setup = Setup::new(cd);
    setup.approvals = approvals;
    setup.budget = if large { LARGE } else { SMALL };
    setup
}

/// Plays everything, and fails with the moves that break a promise.
fn holds(name: &str, setup: Setup, worlds_min: usize) {
    let began = Instant::now();
    let checker =
        setup.game().checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    let (worlds, generated) = (checker.unique_state_count(), checker.state_count());
    let (states, steps) = checker.model().table().size();
    println!(
        "{name}: {worlds} worlds ({generated} generated, depth {}), {states} states and {steps} steps of the machine, {:.1} s",
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        let broken = path.last_state().broken();
        let words = broken.map_or_else(
            || property.to_owned(),
            |broken| Game::words(&checker.model().table(), broken),
        );
        panic!("{name}: {words}\n{}\n{setup:?}", lines(&path.into_actions()));
    }
    assert!(worlds >= worlds_min, "only {worlds} worlds: the model lost its moves");
}

fn lines(acts: &[Act]) -> String {
    acts.iter().map(|act| format!("  {act:?}\n")).collect()
}

#[test]
fn a_cd_system_that_compares_and_fences_keeps_every_promise() {
    holds("compares and fences", setup(Cd::Compares, [0, 0]), 300_000);
}

#[test]
fn tickets_keep_every_promise() {
    holds("tickets", setup(Cd::Ticket, [0, 0]), 300_000);
}

#[test]
fn a_cd_system_that_can_do_neither_keeps_every_promise_that_it_allows() {
    let mut setup = setup(Cd::Neither, [0, 0]);
    // Without a fence, doubt ends only when its limit is reached.
    setup.budget.overdue = 1;
    holds("neither", setup, 300_000);
}

#[test]
fn four_eyes_keep_every_promise() {
    let mut setup = setup(Cd::Compares, [1, 1]);
    setup.budget.crashes = 0;
    setup.budget.words = 1;
    holds("one approval each", setup, 100_000);
}

/// A CD system that falls silent, runs late, fails, or is asked to cancel, and people who give up on
/// it.
#[test]
fn what_runs_late_fails_or_is_cancelled_keeps_every_promise() {
    for cd in [Cd::Compares, Cd::Ticket, Cd::Neither] {
        let mut setup = setup(cd, [0, 0]);
        setup.budget.crashes = 0;
        setup.budget.expiries = 0;
        setup.budget.deploys = 0;
        setup.budget.network = 0;
        setup.budget.words = 1;
        setup.budget.odd = 1;
        setup.budget.overdue = 2;
        setup.budget.silences = 1;
        holds(&format!("late, failed or cancelled, {cd:?}"), setup, 20_000);
    }
}

/// First it must be able to fail: each flaw of the world is found, by its shortest trace.
#[test]
fn every_flaw_of_the_world_is_found() {
    for (flaw, name, promise) in Flaw::ALL {
        let cd = if flaw == Flaw::NoFencing { Cd::Neither } else { Cd::Compares };
        let mut setup = setup(cd, [0, 0]);
        setup.flaw = Some(flaw);
        setup.budget = SMALL;
        let began = Instant::now();
        let checker =
            setup.game().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let worlds = checker.unique_state_count();
        let Some((property, path)) = checker.discoveries().into_iter().next() else {
            panic!("{name} is not found in {worlds} worlds");
        };
        let broken = path.last_state().broken();
        let words = broken.map_or_else(
            || property.to_owned(),
            |broken| Game::words(&checker.model().table(), broken),
        );
        let acts = path.into_actions();
        let took = began.elapsed().as_secs_f64();
        println!("{name}: {words}, {} moves, {worlds} worlds, {took:.2} s", acts.len());
        assert!(words.starts_with(promise), "{name}: {words} instead\n{}", lines(&acts));
    }
}
