//! Three replicas share one PostgreSQL database, and people reach any of them: a rollback is carried
//! out once, every message is there once, and whoever came second is told; also when one of the
//! three dies in the middle.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{Host, Setup, Site};
use postgres_lab::Server;
use rollback_core::ports::{ClickedOn, Commands as _, Store};
use rollback_core::{RollbackId, StateName};
use rollback_store::{PostgresOptions, PostgresStore};
use rollback_testkit::Fate;
use rollback_testkit::fixtures::{ana, bo, parsed};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longer than anything here takes, on a machine that builds something else, too.
const PATIENCE: Duration = Duration::from_secs(90);

struct Replicas {
    site: Site,
    hosts: Vec<Host>,
    _stores: Vec<Arc<dyn Store>>,
}

impl Replicas {
    /// Three of them, and a store besides that only looks.
    async fn of(server: &Server) -> Self {
        let (space, mut stores) = (server.space(), Vec::new());
        for _store in 0..4 {
            let store = PostgresStore::connect(&space.url(), PostgresOptions::default()).await;
            let store: Arc<dyn Store> = Arc::new(store.unwrap());
            stores.push(store);
        }
        let setup = Setup {
            lease: Duration::from_secs(2),
            settle: Duration::from_millis(300),
            ..Setup::default()
        };
        let site = Site::on(setup, Arc::clone(&stores[3]));
        let hosts = stores[..3].iter().map(|store| site.boot_on(store, Fate::Spared)).collect();
        Self { site, hosts, _stores: stores }
    }

    async fn deployed(&self) {
        self.hosts[0].engine.deployed(self.site.deploy()).await.unwrap();
        // The button counts in the message that it was posted in: every replica reads which.
        while self.site.chat.messages().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn shown(&self, id: &RollbackId) {
        timeout(PATIENCE, self.site.shown(id)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_confirm_at_two_replicas_one_rolls_back_and_the_other_is_told() {
    let Some(server) = Server::shared("three replicas") else { return };
    let replicas = Replicas::of(server).await;
    let (site, hosts) = (&replicas.site, &replicas.hosts);
    replicas.deployed().await;
    let on = ClickedOn::Deploy(parsed("ci-42"));
    let first = hosts[0].engine.click(&on, ana().actor()).await.unwrap().id;
    let second = hosts[1].engine.click(&on, bo().actor()).await.unwrap().id;
    replicas.shown(&first).await;
    replicas.shown(&second).await;
    // Each confirms at a replica that has not seen the click.
    let (ana, bo) = (ana(), bo());
    tokio::join!(hosts[1].confirm(&first, &ana), hosts[2].confirm(&second, &bo));
    let one = timeout(PATIENCE, site.ended(&first)).await.unwrap();
    let other = timeout(PATIENCE, site.ended(&second)).await.unwrap();
    let (winner, loser) = if one.state == StateName::Refused { (other, one) } else { (one, other) };
    assert_eq!((winner.state, loser.state), (StateName::Succeeded, StateName::Refused));
    assert!(loser.explanation.contains(winner.id.as_str()), "{}", loser.explanation);
    site.holds("three replicas").await;
    assert_eq!((site.cd.sends(), site.cd.effects()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_at_one_replica_is_seen_at_the_others_without_a_wait() {
    let Some(server) = Server::shared("steps seen by other replicas") else { return };
    let replicas = Replicas::of(server).await;
    let hosts = &replicas.hosts;
    replicas.deployed().await;
    let mut steps = hosts[2].engine.steps();
    let on = ClickedOn::Deploy(parsed("ci-42"));
    let id = hosts[0].engine.click(&on, ana().actor()).await.unwrap().id;
    // The third hears of it, and answers with it.
    while hosts[2].engine.rollback(&id).await.unwrap().is_none() {
        timeout(PATIENCE, steps.next()).await.unwrap().unwrap();
    }
    replicas.shown(&id).await;
    hosts[1].confirm(&id, &ana()).await;
    timeout(PATIENCE, replicas.site.ended(&id)).await.unwrap();
    replicas.site.holds("steps seen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_replica_that_drives_dies_another_one_ends_the_rollback() {
    let Some(server) = Server::shared("a replica that dies") else { return };
    let mut replicas = Replicas::of(server).await;
    replicas.deployed().await;
    let on = ClickedOn::Deploy(parsed("ci-42"));
    let id = replicas.hosts[0].engine.click(&on, ana().actor()).await.unwrap().id;
    replicas.shown(&id).await;
    // Whoever was clicked at drives it; people confirm elsewhere, and it dies with the order out.
    replicas.hosts[1].confirm(&id, &ana()).await;
    while replicas.site.cd.sends() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    replicas.hosts.remove(0).crash();
    let view = timeout(PATIENCE, replicas.site.ended(&id)).await.unwrap();
    assert_eq!(view.state, StateName::Succeeded, "{}", view.explanation);
    replicas.site.holds("a replica that dies").await;
    assert_eq!((replicas.site.cd.sends(), replicas.site.cd.effects()), (1, 1));
}
