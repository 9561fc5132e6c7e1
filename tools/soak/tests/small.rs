//! A little of the load, for its counts and the invariants. What it costs is for the command to say.

use postgres_lab::Server;
use soak::{Setup, World};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;

/// Each of them keeps a machine busy.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const SMALL: Setup = Setup {
    replicas: 3,
    keys: 40,
    posts_per_second: 200,
    open_max: 400,
    lease: Duration::from_secs(3),
};

async fn start(server: &Server, setup: Setup) -> World<'_> {
    World::start(server, Path::new(env!("CARGO_BIN_EXE_soak")), setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_open_at_once_on_three_processes_all_end_and_every_invariant_holds() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some(server) = Server::own("rollbacks at once") else { return };
    let world = start(&server, SMALL).await;
    let rounds = world.rounds(1, 40).await;
    assert_eq!(rounds[0].succeeded, 40);
    let opened = world.open_at_once(200, 43).await;
    assert!(opened.at_once >= 200, "{opened:?}");
    assert_eq!((opened.succeeded, opened.refused), (40, opened.at_once - 40));
    let judged = world.judge().await;
    assert_eq!(judged.violations, Vec::<String>::new());
    assert_eq!(judged.rollbacks, 40 + opened.at_once);
    assert!(judged.too_fast > 0, "nobody was asked to wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_confirm_for_one_service_at_once_one_rolls_back() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some(server) = Server::own("confirmations at once") else { return };
    let world = start(&server, SMALL).await;
    let hot = world.hot_key(64, 42).await;
    assert_eq!((hot.sends, hot.effects, hot.succeeded), (1, 1, 1));
    assert!(hot.confirmations >= 64, "{hot:?}");
    assert_eq!(hot.refused, hot.confirmations - 1, "each of the others is told");
    assert_eq!(world.judge().await.violations, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_are_acknowledged_and_while_the_database_stands_still_nothing_is_done() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some(server) = Server::own("callbacks") else { return };
    let world = start(&server, SMALL).await;
    world.rounds(1, 40).await;
    let with = world.callbacks(40, 50, 42).await;
    assert_eq!(with.not_200, 0);
    let without = world.callbacks_while_stalled(20, 50, 42).await;
    assert_eq!((without.not_200, without.opened), (0, 0));
    assert!(without.told > 0, "nobody was told");
    assert_eq!(world.judge().await.violations, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_one_more_than_a_process_takes_is_told_so() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some(server) = Server::own("more than a process takes") else { return };
    let world = start(&server, Setup { replicas: 1, open_max: 5, ..SMALL }).await;
    let told = world.until_refused(9, 42).await.unwrap();
    assert!(told.contains("5 rollbacks are open here already"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_carried_out_is_ended_by_the_others() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some(server) = Server::own("a process that is killed") else { return };
    let mut world = start(&server, SMALL).await;
    let killed = world.kill_one(40, 42).await;
    assert!(killed.held > 0, "{killed:?}");
    assert_eq!((killed.succeeded, killed.sends), (40, 40), "{killed:?}");
    assert_eq!(world.judge().await.violations, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_chat_takes_nothing_rollbacks_end_and_are_told_afterwards() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let Some(server) = Server::own("a chat that takes nothing") else { return };
    let world = start(&server, SMALL).await;
    let silent = world.without_chat(40, Duration::from_secs(2), 42).await;
    assert_eq!(silent.succeeded, 40, "{silent:?}");
    assert!(silent.refused_calls > 0 && silent.waiting >= 40, "{silent:?}");
    assert_eq!(world.judge().await.violations, Vec::<String>::new());
}
