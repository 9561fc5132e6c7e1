//! The whole engine in simulated worlds: several processes on one store, people, and every port in
//! its own weather, all from a seed, on paused time.
//!
//! `ROLLBACK_SIM_SEEDS=n` plays `n` seeds and `ROLLBACK_SIM_FROM=s` starts at seed `s`; with
//! `ROLLBACK_SIM_ALL=1` it plays on after a failure, and lists which seeds broke what. A failure
//! prints a line of options; `ROLLBACK_SIM='that line'` plays it again, with its trace.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a test fails by panicking, and looks for one thing among many"
)]

mod simulated;

use rollback_testkit::sim::{Canary, Class, Swarm};
use simulated::dropped::Command;
use simulated::{Outcome, play, trace};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Played at every run of the tests, unoptimised; `./check` plays ten times as many, optimised.
const SEEDS: u64 = 2_000;

/// Whole lines that once broke something that is mended since: each is played at every run.
const MENDED: &str = include_str!("simulated/mended.txt");

const MUST_COME_UP: &[&str] = &[
    "end: succeeded",
    "end: failed",
    "end: not_verified",
    "end: refused",
    "end: denied",
    "end: withdrawn",
    "end: expired",
    "end: outcome_unknown",
    "in doubt, then found",
    "in doubt, then proved absent",
    "in doubt, and it remained",
    "late effect noticed",
    "approved by two",
    "rejected",
    "conflict",
    "the service was held",
    "the intent was not recorded",
    "settled",
    "put aside",
    "released",
    "fences",
    "processes that died",
];

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// What came up in all seeds together.
#[derive(Default)]
struct Tally {
    seeds: u64,
    seconds: u64,
    counts: BTreeMap<String, u64>,
    struck: BTreeMap<Class, u64>,
    /// The seeds that broke something, by what they broke.
    found: BTreeMap<String, Vec<u64>>,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.seconds += outcome.lasted;
        for (what, times) in &outcome.counts {
            *self.counts.entry(what.clone()).or_default() += times;
        }
        for line in outcome.found.iter().filter_map(|found| found.lines().next()) {
            let invariant = line.split(':').next().unwrap();
            self.found.entry(invariant.into()).or_default().push(outcome.seed);
        }
        for (class, times) in &outcome.struck {
            *self.struck.entry(*class).or_default() += times;
        }
    }

    fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// A simulation in which little happens holds every invariant.
    fn is_not_vacuous(&self) {
        let at_least = |what: &str, one_in: u64| {
            let times = self.of(what);
            assert!(times * one_in >= self.seeds, "`{what}` came up in {times} of {}", self.seeds);
        };
        at_least("seeds that sent", 4);
        at_least("takeovers after the order", 20);
        for what in MUST_COME_UP {
            assert!(self.of(what) > 0, "`{what}` never came up");
        }
        for class in Class::ALL {
            assert!(self.struck.contains_key(class), "{class} never struck");
        }
    }
}

/// Whether a swarm breaks something, a panic of the checker or of the engine included.
fn broken(swarm: &Swarm, canary: Option<Canary>) -> Option<Vec<String>> {
    match catch_unwind(AssertUnwindSafe(|| play(swarm, canary))) {
        Ok(outcome) if outcome.found.is_empty() => None,
        Ok(outcome) => Some(outcome.found),
        Err(_panic) => Some(vec!["it panicked".into()]),
    }
}

fn commit() -> String {
    let asked = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let told = asked.ok().filter(|told| told.status.success());
    told.map_or_else(
        || "unknown".into(),
        |told| String::from_utf8_lossy(&told.stdout).trim().into(),
    )
}

/// Takes away everything that the failure does not need, and says what is left.
fn report(swarm: &Swarm, canary: Option<Canary>) -> String {
    let least = swarm.shrunk(|simpler| broken(simpler, canary).is_some());
    let outcome = catch_unwind(AssertUnwindSafe(|| play(&least, canary))).ok();
    let found = outcome.as_ref().map_or_else(|| "it panicked".into(), |o| o.found.join("\n"));
    let log = outcome.map_or_else(Vec::new, |o| o.evidence.log);
    let log: Vec<String> = log.iter().map(ToString::to_string).collect();
    format!(
        "seed {} at commit {}\n--- as drawn\n{swarm}\n--- as little as it takes\n{least}\n\
         --- found\n{found}\n--- seen\n{}\n--- play it again\n\
         ROLLBACK_SIM='{least}' cargo test -p rollback-engine --test simulation replay -- --nocapture\n",
        swarm.seed,
        commit(),
        log.join("\n"),
    )
}

/// Plays seeds side by side. The first that breaks something is reported.
fn sweep(from: u64, seeds: u64) -> Tally {
    let (next, failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let (tally, worst) = (Mutex::new(Tally::default()), Mutex::new(None::<u64>));
    let all = std::env::var("ROLLBACK_SIM_ALL").is_ok();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = number("ROLLBACK_SIM_THREADS", u64::try_from(threads).unwrap());
    std::thread::scope(|scope| {
        for _thread in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        break;
                    }
                    let swarm = Swarm::drawn(seed);
                    match catch_unwind(AssertUnwindSafe(|| play(&swarm, None))) {
                        Ok(outcome) if all || outcome.found.is_empty() => {
                            tally.lock().unwrap().add(&outcome);
                        }
                        Ok(_) | Err(_) => {
                            failed.store(true, Ordering::Relaxed);
                            let mut worst = worst.lock().unwrap();
                            *worst = Some(worst.map_or(seed, |other| other.min(seed)));
                        }
                    }
                }
            });
        }
    });
    if let Some(seed) = worst.into_inner().unwrap() {
        panic!("{}", report(&Swarm::drawn(seed), None));
    }
    tally.into_inner().unwrap()
}

#[test]
fn whatever_the_weather_every_invariant_holds_and_everything_ends() {
    let (from, seeds) = (number("ROLLBACK_SIM_FROM", 0), number("ROLLBACK_SIM_SEEDS", SEEDS));
    let tally = sweep(from, seeds);
    println!(
        "{} seeds from {from}, {} hours of their own time",
        tally.seeds,
        tally.seconds / 3_600
    );
    for (what, times) in &tally.counts {
        println!("{times:>9}  {what}");
    }
    for (class, times) in &tally.struck {
        println!("{times:>9}  strikes of {class}");
    }
    for (what, seeds) in &tally.found {
        println!("{:>9}  {what}: {:?}", seeds.len(), seeds.iter().take(8).collect::<Vec<_>>());
    }
    assert!(tally.found.is_empty(), "not every invariant holds");
    if seeds >= SEEDS {
        tally.is_not_vacuous();
    }
}

/// `ROLLBACK_SIM='seed=…'` as a failure printed it; without it, nothing is played.
#[test]
fn replay() {
    let Ok(line) = std::env::var("ROLLBACK_SIM") else { return };
    let swarm = Swarm::parse(&line).unwrap();
    let outcome = play(&swarm, None);
    for seen in &outcome.evidence.log {
        println!("{seen}");
    }
    println!("{:#?}", outcome.counts);
    assert!(outcome.found.is_empty(), "{}", outcome.found.join("\n"));
}

#[test]
fn what_was_mended_stays_mended() {
    let lines = MENDED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let swarm = Swarm::parse(line).unwrap();
        let found = broken(&swarm, None);
        assert!(found.is_none(), "{line}\n{}", found.unwrap().join("\n"));
    }
}

/// Fakes that are broken on purpose, what each breaks, and the world that must show it: a run in which
/// one of these is green shows nothing.
const CANARIES: &[(Canary, &str, &str)] = &[
    (
        Canary::SinkLies,
        "INV-29",
        "seed=0 replicas=1 services=1 rounds=1 approvals=0 compares=no fence=no drill=0",
    ),
    (
        Canary::FenceLies,
        "INV-19",
        "seed=20 replicas=1 services=2 rounds=1 approvals=0 compares=yes fence=no drill=0 \
         cd-lost=5000",
    ),
    (
        Canary::StoreForgetsClaims,
        "INV-23",
        "seed=67 replicas=3 services=1 rounds=3 approvals=0 compares=ticket fence=yes drill=0 \
         lapse=2000",
    ),
];

fn finds(swarm: &Swarm, canary: Canary, invariant: &str) -> bool {
    play(swarm, Some(canary)).found.iter().any(|found| found.starts_with(invariant))
}

#[test]
fn each_canary_fails_in_its_world_and_nothing_else_does() {
    for (canary, invariant, line) in CANARIES {
        let swarm = Swarm::parse(line).unwrap();
        assert!(finds(&swarm, *canary, invariant), "{canary:?} does not fail in `{line}`");
        assert_eq!(broken(&swarm, None), None, "`{line}` fails without its canary");
    }
}

#[test]
fn a_fake_that_is_broken_on_purpose_is_found_out() {
    for (canary, invariant, _) in CANARIES {
        let breaks = |swarm: &Swarm| finds(swarm, *canary, invariant);
        let found = (0..SEEDS).map(Swarm::drawn).find(breaks);
        let Some(swarm) = found else { panic!("{canary:?} was never found out as {invariant}") };
        println!("{canary:?} is found out by `{}`", swarm.shrunk(breaks));
    }
}

/// Every command, its caller gone at the first place where it waits, at the second, and so on, until
/// it is answered: what it asked for is stored as a whole or not at all, and all goes on.
#[test]
fn a_caller_that_is_gone_at_any_await_leaves_all_of_it_or_nothing() {
    for command in Command::ALL {
        let (mut polls, mut stored) = (0, [0, 0]);
        loop {
            let seen = simulated::dropped::play(command, polls);
            let found = seen.found.join("\n");
            assert!(seen.found.is_empty(), "{command:?}, gone after {polls} polls:\n{found}");
            if seen.answered {
                assert!(seen.stored, "{command:?} was answered and is not stored");
                break;
            }
            stored[usize::from(seen.stored)] += 1;
            polls += 1;
        }
        println!("{command:?}: {} places, {} of them after it was stored", polls, stored[1]);
        assert!(stored[0] > 1 && stored[1] > 0, "{command:?} hardly waits: {stored:?}");
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in (0..SEEDS).step_by(100) {
        let swarm = Swarm::drawn(seed);
        assert_eq!(trace(&play(&swarm, None)), trace(&play(&swarm, None)), "seed {seed}");
    }
}
