//! Real processes that are killed, stopped and cut off: one on a file, which is started again, and
//! three on a PostgreSQL server, of which two go on. The CD system is the contract over HTTP, in
//! this process; the checker judges what everybody saw, from a file that outlives them all.
//!
//! ```text
//!  this process: CD system, judge ──starts──► replica 1 (killed or stopped at a named place)
//!        ▲            orders over HTTP  ◄──── replica 2 ──► store ◄── replica 3
//!        └── seen.log, chat.log, audit-1…3.jsonl ◄┘
//! ```
//!
//! `ROLLBACK_KILLS=5000` kills that often at random besides, `ROLLBACK_PAUSES=1000` stops that
//! often; `ROLLBACK_SEED=7` says from which seed on. A failure prints what plays it again.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

mod cd;
mod child;
mod files;
mod lines;
mod previous;
mod scenes;
mod weather;
mod world;

use cd::Moment;
use postgres_lab::Server;
use rollback_core::StateName;
use rollback_testkit::{Action, Place, Side};
use scenes::Scene;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use weather::Draw;
use world::{Doom, Seen, World};

/// A process of the other tests, which start this very program anew.
#[test]
#[ignore = "the other tests start it as a process of their own"]
fn a_replica() {
    if let Ok(orders) = std::env::var(child::ORDERS) {
        child::live(&orders);
    }
}

/// Plays worlds, some at a time, and says what came of them.
async fn played(name: &str, worlds: Vec<World>) -> Vec<(World, Seen)> {
    let began = Instant::now();
    let played = worlds.into_iter().map(|world| async move { (world.clone(), world.play().await) });
    let all: Vec<(World, Seen)> = futures_util::future::join_all(played).await;
    let met = all.iter().filter(|(_, seen)| seen.met).count();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for end in all.iter().flat_map(|(_, seen)| &seen.ends) {
        *ends.entry(end.as_str()).or_default() += 1;
    }
    let took = began.elapsed().as_secs();
    println!("{name}: {} worlds in {took} s, {met} dooms met, ends {ends:?}", all.len());
    all
}

/// Every named place, and the moments of an order at the CD system.
fn every_doom() -> Vec<(Scene, Doom)> {
    let at_place = |place: Place| (Scene::with(place.action), Doom::KilledAt(place));
    let moments = [Moment::Arrived, Moment::TookEffect];
    let by_cd = moments.map(|moment| (Scene::Happy, Doom::KilledBy(moment)));
    Place::all().into_iter().map(at_place).chain(by_cd).collect()
}

async fn killed_at_every_place(name: &str, server: Option<&'static Server>) {
    let dooms = every_doom();
    assert_eq!(dooms.len(), Action::all().len() * 2 + 2);
    let worlds = dooms.into_iter().map(|(scene, doom)| World::of(scene, doom, server)).collect();
    let missed: Vec<String> = played(name, worlds)
        .await
        .into_iter()
        .filter(|(_, seen)| !seen.met)
        .map(|(world, _)| world.replay)
        .collect();
    assert!(missed.is_empty(), "nobody came to: {missed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spared_each_scene_ends_as_it_should() {
    let worlds = Scene::ALL.map(|scene| World::of(scene, Doom::Spared, None)).to_vec();
    for (world, seen) in played("spared", worlds).await {
        assert_eq!(seen.ends, [world.scene.ends()], "{}", world.replay);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_named_place_a_process_on_a_file_is_followed_by_one_that_ends_it() {
    killed_at_every_place("killed, on a file", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_named_place_one_of_three_on_a_server_is_followed_by_the_others() {
    let Some(server) = Server::shared("three processes of which one is killed") else { return };
    killed_at_every_place("killed, on a server", Some(server)).await;
}

/// An upgrade: whatever the release before this one was doing when it was killed, in every state, this
/// one ends on the same file.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_release_before_left_behind_in_every_state_is_ended_by_this_one() {
    let Some(before) = previous::program("an upgrade from the release before") else { return };
    let mut left = BTreeSet::new();
    // It has no such action.
    let is_new = |doom: &Doom| {
        matches!(doom, Doom::KilledAt(place)
            if matches!(place.action, Action::ChangeService | Action::Append))
    };
    let dooms = every_doom().into_iter().filter(|(_, doom)| !is_new(doom));
    let worlds = dooms.map(|(scene, doom)| {
        let mut world = World::of(scene, doom, None);
        world.first = Some(before.clone());
        world.replay = format!("{}, begun by the release before", world.replay);
        world
    });
    for (world, seen) in played("upgraded", worlds.collect()).await {
        assert!(seen.met, "{}: the release before did not come to it", world.replay);
        if let Doom::KilledAt(Place { action: Action::Commit(state), side: Side::After, .. }) =
            world.doom
        {
            left.insert(state);
        }
    }
    let missing: Vec<StateName> =
        StateName::ALL.into_iter().filter(|state| !left.contains(state)).collect();
    assert_eq!(missing, [], "nothing was left behind in these");
}

/// How often, as the environment says.
fn times(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// From which seed on.
fn first_seed() -> u64 {
    times("ROLLBACK_SEED", 1)
}

/// Says how a world of a seed is played again.
fn replayed(mut world: World, variable: &str, test: &str, seed: u64) -> World {
    world.replay = format!(
        "{}\n{variable}=1 ROLLBACK_SEED={seed} cargo test -p rollback-engine --test it processes::{test}",
        world.replay
    );
    world
}

/// A death at a place, or at a moment, of a scene; all by the seed.
fn death(seed: u64, server: Option<&'static Server>) -> World {
    let mut draw = Draw(seed);
    let (scene, doom) = if draw.below(3) == 0 {
        let wait = draw.millis(100, 1_000);
        (*draw.of(&Scene::ALL), Doom::KilledAfter(wait))
    } else {
        let mut place = *draw.of(&Place::all());
        place.time = 1 + usize::try_from(draw.below(2)).unwrap();
        (Scene::with(place.action), Doom::KilledAt(place))
    };
    World::of(scene, doom, server)
}

/// Kills at random, as often on each kind of store.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_whatever_was_begun_is_ended_or_told() {
    let (name, first) = ("killed_at_random", first_seed());
    let server = Server::shared("processes that are killed at random");
    let stores: Vec<Option<&'static Server>> = [None].into_iter().chain(server.map(Some)).collect();
    let kills = times("ROLLBACK_KILLS", 12);
    let seeds = first..first + kills;
    let of = |seed| {
        stores.iter().map(move |store| replayed(death(seed, *store), "ROLLBACK_KILLS", name, seed))
    };
    let all = played("killed at random", seeds.flat_map(of).collect()).await;
    let met = all.iter().filter(|(_, seen)| seen.met).count();
    assert!(kills < 12 || met * 4 > all.len(), "hardly any process was killed: {met}");
}

/// What stands still for longer than its claim lasts wakes up as a stranger.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_longer_than_its_lease_a_process_is_turned_away_when_it_wakes() {
    let Some(server) = Server::shared("a process that is stopped") else { return };
    let at = |action| Place { action, side: Side::Before, time: 1 };
    let (name, first) = ("stopped_for_longer", first_seed());
    let mut worlds = Vec::new();
    for seed in first..first + times("ROLLBACK_PAUSES", 20) {
        let mut draw = Draw(seed);
        // Every other time between the last look at the claim and the wire, or at the write after it.
        let place = match draw.below(4) {
            0 => at(Action::Start),
            1 => at(Action::Commit(StateName::Running)),
            _ => *draw.of(&Place::all()),
        };
        let world = World::of(Scene::with(place.action), Doom::StoppedAt(place), Some(server));
        worlds.push(replayed(world, "ROLLBACK_PAUSES", name, seed));
    }
    let (mut late, mut taken_over) = (0, 0);
    for (world, seen) in played("stopped", worlds).await {
        if world.doom == Doom::StoppedAt(at(Action::Start)) && seen.met {
            late += 1;
            // The others fenced it off; the order that came afterwards changed nothing.
            assert_eq!(
                (seen.effects, seen.ends.as_slice()),
                (0, [StateName::Failed].as_slice()),
                "{}\n--- seen\n{}",
                world.replay,
                seen.log.join("\n")
            );
            let fenced = seen.log.iter().position(|line| line.starts_with("fenced "));
            assert!(fenced.is_some(), "{}", world.replay);
        }
        let owners: BTreeSet<&str> = seen
            .log
            .iter()
            .filter_map(|line| line.strip_prefix("claimed ")?.split(' ').nth(1))
            .collect();
        taken_over += usize::from(seen.met && owners.len() > 1);
    }
    println!("stopped: {late} orders came too late, {taken_over} rollbacks were taken over");
    assert!(first != 1 || (late > 0 && taken_over > 2), "{late} late, {taken_over} taken over");
}

/// Cut, slow, silent, and reset after the request was sent: on the way to the store and to the CD
/// system, of each process by itself.
#[tokio::test(flavor = "multi_thread")]
async fn cut_off_from_store_and_cd_system_nothing_is_lost_and_nothing_done_twice() {
    let Some(server) = Server::shared("processes that are cut off") else { return };
    let (name, first) = ("cut_off_from", first_seed());
    let worlds = (first..first + times("ROLLBACK_CUTS", 12)).map(|seed| {
        let scene = *Draw(seed).of(&Scene::ALL);
        let mut world = World::of(scene, Doom::Spared, Some(server));
        world.weather = Some(seed);
        replayed(world, "ROLLBACK_CUTS", name, seed)
    });
    let _all = played("cut off", worlds.collect()).await;
}

/// One replica is ahead, another behind, by more than a claim lasts, and one is killed. Whoever takes over
/// with an earlier clock waits until it is as late as it was: time does not run backwards in a rollback.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_seconds_apart_make_nothing_happen_twice() {
    let Some(server) = Server::shared("processes whose clocks are off") else { return };
    let off = 5_000;
    let skews = [[0, off, -off], [off, -off, 0], [-off, 0, off]];
    let at = |action| Doom::KilledAt(Place { action, side: Side::After, time: 1 });
    let mut worlds = Vec::new();
    for skew in skews {
        for doom in [Doom::Spared, at(Action::Start), at(Action::Commit(StateName::Confirming))] {
            let mut world = World::of(Scene::Approved, doom, Some(server));
            world.skew = skew;
            world.replay = format!("{}, clocks off by {skew:?} ms", world.replay);
            worlds.push(world);
        }
    }
    let _all = played("clocks off", worlds).await;
}

/// `SIGTERM` drains: whenever it comes, the process ends by itself, and others end what it began.
#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_a_process_ends_well_and_what_it_began_is_ended() {
    let server = Server::shared("a process that is asked to end");
    let stores: Vec<Option<&'static Server>> = [None].into_iter().chain(server.map(Some)).collect();
    let after = |millis| Doom::AskedToEndAfter(Duration::from_millis(millis));
    let moments = [0, 150, 300, 600, 900].map(after);
    let worlds = moments
        .iter()
        .flat_map(|doom| stores.iter().map(|store| World::of(Scene::Happy, *doom, *store)));
    let _all = played("asked to end", worlds.collect()).await;
}
