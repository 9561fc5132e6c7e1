//! What goes on while something is gone: the process that carries rollbacks out, or the chat.

use crate::load::many;
use crate::replica::Asked;
use crate::world::World;
use rollback_core::ports::Outbox as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often somebody looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of the rollbacks of a process that was killed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Killed {
    /// How many it had claimed when it was killed.
    pub held: usize,
    /// From its death until others had claimed the last of them.
    pub taken_over: Duration,
    /// From the moment when the CD system was done until all had ended.
    pub ended: Duration,
    /// How many succeeded.
    pub succeeded: usize,
    /// How many orders the CD systems got for them.
    pub sends: usize,
}

/// What became of rollbacks while the chat refused everything.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Silent {
    /// How many succeeded meanwhile.
    pub succeeded: usize,
    /// From the first click to the last end, while the chat answered.
    pub took_before: Duration,
    /// The same while it did not.
    pub took: Duration,
    /// How many notices waited once all had ended.
    pub waiting_ended: u64,
    /// How many waited when the chat came back.
    pub waiting: u64,
    /// How often somebody was told to wait meanwhile.
    pub refused_calls: usize,
    /// From the return of the chat until everything was told.
    pub drained: Duration,
}

impl World<'_> {
    /// Lets one process carry out so many rollbacks, one for each service, and kills it while the CD
    /// system is at them. A new one takes its place when they have ended.
    pub async fn kill_one(&mut self, rollbacks: usize, revision: usize) -> Killed {
        let (succeeded, sends) = (self.count("succeeded"), self.sends());
        self.prepare(rollbacks, revision).await;
        self.busy.store(true, Ordering::Relaxed);
        let first = self.replica(0);
        self.click_and_confirm(0, rollbacks, revision).await;
        until(|| self.count("running") >= rollbacks).await;
        let held = self.claims_of(first);
        self.kill(0);
        let killed = Instant::now();
        until(|| self.claims_of(first) == 0).await;
        let taken_over = killed.elapsed();
        self.busy.store(false, Ordering::Relaxed);
        let done = Instant::now();
        until(|| self.open() == 0).await;
        let ended = done.elapsed();
        self.start_again(0);
        self.settle().await;
        Killed {
            held,
            taken_over,
            ended,
            succeeded: self.count("succeeded") - succeeded,
            sends: self.sends() - sends,
        }
    }

    /// Rolls so many services back, and once more while the chat says for so long that it is asked
    /// too much.
    pub async fn without_chat(
        &self,
        rollbacks: usize,
        at_least: Duration,
        revision: usize,
    ) -> Silent {
        self.prepare(rollbacks, revision).await;
        let took_before = self.rolled_back(rollbacks, revision).await;
        self.settle().await;
        let again = revision + 1;
        self.prepare(rollbacks, again).await;
        let (succeeded, refused) = (self.count("succeeded"), self.chat.too_fast());
        let since = Instant::now();
        self.chat.refuse(true);
        let took = self.rolled_back(rollbacks, again).await;
        let succeeded = self.count("succeeded") - succeeded;
        let waiting_ended = self.store.waiting().await.unwrap();
        tokio::time::sleep(at_least.saturating_sub(since.elapsed())).await;
        let waiting = self.store.waiting().await.unwrap();
        let refused_calls = self.chat.too_fast() - refused;
        self.chat.refuse(false);
        let back = Instant::now();
        self.settle().await;
        let drained = back.elapsed();
        Silent { succeeded, took_before, took, waiting_ended, waiting, refused_calls, drained }
    }

    /// A new deploy of so many services, and everything told of it.
    async fn prepare(&self, services: usize, revision: usize) {
        many(0..services, |number| self.deploy(number, revision)).await;
        self.settle().await;
    }

    /// From the first click to the last end.
    async fn rolled_back(&self, services: usize, revision: usize) -> Duration {
        let began = Instant::now();
        many(0..services, |number| self.click(number, number, revision)).await;
        many(self.all_open(), |(number, id)| self.confirm(number, id)).await;
        until(|| self.open() == 0).await;
        began.elapsed()
    }

    /// Clicks and confirms at one process only.
    async fn click_and_confirm(&self, replica: usize, services: usize, revision: usize) {
        many(0..services, |number| self.click(replica, number, revision)).await;
        let confirm = |(_, id): (usize, String)| async move {
            let asked = Asked { number: 0, revision: 0, rollback: Some(id) };
            self.insist(replica, "/confirm", &asked).await
        };
        many(self.all_open(), confirm).await;
    }

    fn claims_of(&self, process: u32) -> usize {
        let sql = format!("SELECT count(*) FROM claim WHERE owner = 'replica-{process}'");
        self.space.sql(&sql).parse().unwrap()
    }

    fn sends(&self) -> usize {
        self.cd.iter().map(|cd| cd.inner.sends()).sum()
    }
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
