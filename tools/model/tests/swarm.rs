//! Random histories beyond the bounds of the exhaustive model, each seed with faults of its own share.
//!
//! `ROLLBACK_SIM_HISTORIES=n` plays `n`, `ROLLBACK_SIM_FROM=s` begins at seed `s`. `./check` plays a
//! million. A thousand million:
//! `ROLLBACK_SIM_HISTORIES=1000000000 cargo test -p rollback-model --test swarm whatever -- --nocapture`
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use rollback_core::StateName;
use rollback_model::swarm::{Counts, Failure, Options, Player};
use rollback_model::table::Table;
use rollback_model::world::Flaw;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// How many every run of the tests plays, with a core that is not optimised; `./check` plays a million.
const HISTORIES: u64 = 500_000;

/// Enough for every quota.
const ENOUGH: u64 = 200_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn fail(failure: &Failure) -> ! {
    let Failure { seed, options, broken, moves } = failure;
    let moves: String = moves.iter().map(|act| format!("  {act:?}\n")).collect();
    let commit = option_env!("GITHUB_SHA").unwrap_or("this commit");
    panic!(
        "seed {seed} at {commit}: {broken}\n{moves}{options:?}\n--- play it again\n\
         ROLLBACK_SIM_FROM={seed} ROLLBACK_SIM_HISTORIES=1 cargo test -p rollback-model --test swarm whatever"
    );
}

/// How many seeds a thread takes at a time.
const BATCH: u64 = 1_000;

/// Plays seeds side by side; what one thread has asked the machine, no other asks. The players, or what the least of
/// the seeds that were played found.
fn sweep(seeds: Range<u64>, flaw: Option<Flaw>) -> Result<Vec<Player>, Box<Failure>> {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = number("ROLLBACK_SIM_THREADS", u64::try_from(threads).unwrap());
    let table = Table::new();
    let play = || {
        let mut player = Player::on(&table);
        loop {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= seeds.end || failed.load(Ordering::Relaxed) {
                return Ok(player);
            }
            for seed in from..seeds.end.min(from + BATCH) {
                if let Err(failure) = player.play(seed, flaw) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let played: Vec<Result<Player, Box<Failure>>> = std::thread::scope(|scope| {
        #[expect(clippy::needless_collect, reason = "all play before the first is waited for")]
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut players, mut failures) = (Vec::new(), Vec::new());
    for played in played {
        match played {
            Ok(player) => players.push(player),
            Err(failure) => failures.push(failure),
        }
    }
    failures.into_iter().min_by_key(|failure| failure.seed).map_or(Ok(players), Err)
}

#[test]
fn whatever_is_drawn_every_promise_holds() {
    let (from, histories) =
        (number("ROLLBACK_SIM_FROM", 0), number("ROLLBACK_SIM_HISTORIES", HISTORIES));
    let began = Instant::now();
    let players = match sweep(from..from + histories, None) {
        Ok(players) => players,
        Err(failure) => {
            println!("found after {:.2} s", began.elapsed().as_secs_f64());
            fail(&failure)
        }
    };
    let took = began.elapsed().as_secs_f64();
    let (states, steps) = players.first().map(Player::size).unwrap_or_default();
    println!(
        "{histories} histories in {took:.1} s; {states} states and {steps} steps of the machine"
    );
    let seen = players.first().map(Player::seen).unwrap_or_default();
    let counts =
        players.into_iter().fold(Counts::default(), |counts, player| counts.and(player.counts));
    println!("{counts:?}");
    for seen in &seen {
        println!("seen: {seen}");
    }
    if histories >= ENOUGH {
        quotas(&counts, &seen);
    }
}

/// A guard that refused, with its verdict.
const REFUSALS: &[&str] = &[
    "newer_deploy: block",
    "newer_deploy: unknown",
    "target_restorable: block",
    "target_restorable: unknown",
    "migrations: block",
    "known_good: block",
    "already_at_target: block",
    "in_flight: block",
    "confirmation_current: block",
    "freeze: block",
    "freeze: unknown",
    "cool_down: block",
    "undone_by_backend: block",
    "backend_accepts: block",
    "backend_accepts: unknown",
];

/// What takes longer than its limit, and what ends without success.
const AFTER_THE_ORDER: &[&str] = &[
    "overdue triggering",
    "overdue running",
    "silent",
    "outcome_unknown: answers again",
    "failed: live after all",
    "failed: nothing changed",
    "failed: neither",
    "failed: could not be read",
    "withdrawn: live after all",
    "withdrawn: nothing changed",
    "withdrawn: neither",
];

/// What became of events.
const DISPOSITIONS: &[&str] = &[
    "applied",
    "declined OwnApproval",
    "declined NotEntitled",
    "declined NotTheRequester",
    "declined TooLate",
    "ignored Again",
    "ignored OutOfPlace",
];

/// What never happens was not tested: each has a share that it must reach.
fn quotas(counts: &Counts, seen: &BTreeSet<String>) {
    let of = |share: u64| counts.histories / share;
    for (name, times, at_least) in [
        ("got as far as an order", counts.sent, of(4)),
        ("took effect", counts.took_effect, of(5)),
        ("taken over after the order", counts.taken_over, of(20)),
        ("about to send without a claim", counts.zombies, of(5_000)),
        ("in doubt, then found", counts.found, of(500)),
        ("in doubt, then absent", counts.absent, of(500)),
        ("fenced", counts.fences, of(500)),
        ("a request twice", counts.repeated, of(500)),
        ("a late effect", counts.late, of(5_000)),
        ("both rollbacks confirmed in turn", counts.both, of(2_000)),
    ] {
        assert!(times >= at_least, "{name}: {times} of {} histories", counts.histories);
    }
    for end in StateName::ALL.into_iter().filter(|name| name.is_end()) {
        let times = counts.ends.get(&end).copied().unwrap_or_default();
        assert!(times >= of(2_000), "{end}: {times}");
    }
    for state in StateName::ALL {
        assert!(seen.contains(&format!("state {state}")), "{state} was never reached");
    }
    for what in AFTER_THE_ORDER {
        assert!(seen.contains(*what), "{what}: never: {seen:#?}");
    }
    for refusal in REFUSALS {
        assert!(
            seen.contains(&format!("refused by {refusal}")),
            "no refusal by {refusal}: {seen:#?}"
        );
    }
    for what in DISPOSITIONS {
        assert!(
            seen.iter().any(|seen| seen.starts_with(*what)),
            "{what} was never seen: {seen:#?}"
        );
    }
}

/// The seeds that once found something, of which the mistake was mended: always played.
#[test]
fn seeds_that_once_found_something_find_nothing_any_more() {
    let seeds = include_str!("seeds.txt");
    let mut player = Player::new();
    for line in seeds.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let seed = line.split_whitespace().next().unwrap().parse().unwrap();
        if let Err(failure) = player.play(seed, None) {
            fail(&failure);
        }
    }
}

/// The canary: with a mistake in the world, this seed must fail. If it does not, a green run says
/// nothing.
#[test]
fn the_canary_fails() {
    let mut player = Player::new();
    let found =
        (0..ENOUGH).find_map(|seed| player.play(seed, Some(Flaw::ResendsAfterTimeout)).err());
    let failure = found.unwrap();
    assert!(failure.broken.starts_with("INV-14"), "{}", failure.broken);
    let again = Player::new().play(failure.seed, Some(Flaw::ResendsAfterTimeout)).unwrap_err();
    assert_eq!(
        (again.broken, again.moves),
        (failure.broken, failure.moves),
        "it plays the same again"
    );
    assert_eq!(again.options, Options::drawn(failure.seed, Some(Flaw::ResendsAfterTimeout)));
}

#[test]
fn every_flaw_of_the_world_is_found_by_chance_too() {
    for (flaw, name, _) in Flaw::ALL {
        let (began, mut player) = (Instant::now(), Player::new());
        let found = (0..ENOUGH * 5).find_map(|seed| player.play(seed, Some(flaw)).err());
        let Some(failure) = found else { panic!("{name} is not found by chance") };
        println!(
            "{name}: {} at history {}, {} moves, {:.2} s",
            failure.broken,
            failure.seed + 1,
            failure.moves.len(),
            began.elapsed().as_secs_f64()
        );
    }
}
