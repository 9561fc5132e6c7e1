//! What people do, many of them at once.

use crate::figures::{Cost, Percentiles};
use crate::replica::Asked;
use crate::world::{FIRST, World};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use std::time::{Duration, Instant};

/// How many people act at the same moment.
const AT_ONCE: usize = 48;

/// What one round of rollbacks cost: one for each service, from a deploy to the last message.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Round {
    /// How many succeeded.
    pub succeeded: usize,
    /// CPU of the replicas for each.
    pub cpu_each: Duration,
    /// The memory of the largest replica at the end.
    pub rss_bytes: u64,
    /// How long the round took.
    pub took: Duration,
}

/// What became of many rollbacks that were open at once.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// How many were open at the same time.
    pub at_once: usize,
    /// How many succeeded: one for each service.
    pub succeeded: usize,
    /// How many were refused, because another one of the service was faster.
    pub refused: usize,
    /// From a click to a modal with every guard in it.
    pub shown: Percentiles,
    /// From a confirmation to its being recorded.
    pub confirmed: Percentiles,
    /// The memory of the largest replica while all were open.
    pub rss_bytes: u64,
    /// CPU of the replicas for each, from the click to the last message.
    pub cpu_each: Duration,
    /// How long all of it took.
    pub took: Duration,
}

/// What became of many confirmations for one service.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Hot {
    /// How many confirmed at once.
    pub confirmations: usize,
    /// How many orders the CD system got.
    pub sends: usize,
    /// How many of them took effect.
    pub effects: usize,
    /// How many succeeded.
    pub succeeded: usize,
    /// How many were told that another one was faster, or what runs now.
    pub refused: usize,
    /// From a confirmation to its being recorded.
    pub confirmed: Percentiles,
}

impl World<'_> {
    /// So many rounds, each a new deploy of so many services and its rollback.
    pub async fn rounds(&self, rounds: usize, services: usize) -> Vec<Round> {
        let mut all = Vec::new();
        for round in 0..rounds {
            let (before, began) = (self.cost().await, Instant::now());
            let succeeded = self.count("succeeded");
            let revision = FIRST + round;
            many(0..services, |number| self.deploy(number, revision)).await;
            self.settle().await;
            many(0..services, |number| self.click(number, number, revision)).await;
            many(self.all_open(), |(number, id)| self.confirm(number, id)).await;
            self.settle().await;
            let after = self.cost().await;
            all.push(Round {
                succeeded: self.count("succeeded") - succeeded,
                cpu_each: each(before, after, services),
                rss_bytes: after.rss_bytes,
                took: began.elapsed(),
            });
        }
        all
    }

    /// Opens so many at once, over all services, and then confirms them all.
    pub async fn open_at_once(&self, rollbacks: usize, revision: usize) -> Opened {
        let (before, began) = (self.cost().await, Instant::now());
        let (succeeded, refused) = (self.count("succeeded"), self.count("refused"));
        let keys = self.setup.keys;
        many(0..keys, |number| self.deploy(number, revision)).await;
        self.settle().await;
        let shown = many(0..rollbacks, |number| self.click(number, number % keys, revision)).await;
        let (open, rss_bytes) = (self.all_open(), self.cost().await.rss_bytes);
        let at_once = open.len();
        let confirmed = many(open, |(number, id)| self.confirm(number, id)).await;
        self.settle().await;
        Opened {
            at_once,
            succeeded: self.count("succeeded") - succeeded,
            refused: self.count("refused") - refused,
            shown: Percentiles::of(shown),
            confirmed: Percentiles::of(confirmed),
            rss_bytes,
            cpu_each: each(before, self.cost().await, rollbacks),
            took: began.elapsed(),
        }
    }

    /// So many people confirm a rollback of one service at the same moment.
    pub async fn hot_key(&self, confirmations: usize, revision: usize) -> Hot {
        let cd = &self.cd.first().unwrap().inner;
        let (sends, effects) = (cd.sends(), cd.effects());
        let (succeeded, refused) = (self.count("succeeded"), self.count("refused"));
        self.deploy(0, revision).await;
        self.settle().await;
        many(0..confirmations, |number| self.click(number, 0, revision)).await;
        let open = self.all_open();
        let confirmations = open.len();
        let confirmed = join_all(open.into_iter().map(|(number, id)| self.confirm(number, id)));
        let confirmed = Percentiles::of(confirmed.await);
        self.settle().await;
        Hot {
            confirmations,
            sends: cd.sends() - sends,
            effects: cd.effects() - effects,
            succeeded: self.count("succeeded") - succeeded,
            refused: self.count("refused") - refused,
            confirmed,
        }
    }

    /// Clicks until somebody is refused, and answers with what they are told.
    pub async fn until_refused(&self, clicks: usize, revision: usize) -> Option<String> {
        self.deploy(0, revision).await;
        for _click in 0..clicks {
            let asked = Asked { number: 0, revision, rollback: None };
            if let Err(refusal) = self.ask(0, "/click", &asked).await {
                return Some(refusal);
            }
        }
        None
    }

    /// Everything that is open, with a number for whoever goes on with it. Whoever was told to try
    /// again may have opened two.
    pub(crate) fn all_open(&self) -> Vec<(usize, String)> {
        let open = self.space.sql("SELECT id FROM rollback WHERE NOT is_end ORDER BY number");
        open.lines().map(str::to_owned).enumerate().collect()
    }

    pub(crate) async fn click(&self, replica: usize, number: usize, revision: usize) -> Duration {
        let began = Instant::now();
        let asked = Asked { number, revision, rollback: None };
        self.insist(replica, "/click", &asked).await;
        began.elapsed()
    }

    /// Somebody confirms, as a rule at another replica than the one that was clicked at.
    pub(crate) async fn confirm(&self, number: usize, id: String) -> Duration {
        let began = Instant::now();
        let asked = Asked { number: 0, revision: 0, rollback: Some(id) };
        self.insist(number + 1, "/confirm", &asked).await;
        began.elapsed()
    }
}

/// Does this for each, some at a time, in any order.
pub(crate) async fn many<I, F: Future>(
    all: impl IntoIterator<Item = I>,
    each: impl Fn(I) -> F,
) -> Vec<F::Output> {
    stream::iter(all).map(each).buffer_unordered(AT_ONCE).collect().await
}

fn each(before: Cost, after: Cost, count: usize) -> Duration {
    (after.cpu - before.cpu) / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}
