//! Checks at an interval whether what a rollback needs is working, before somebody needs it, and pages
//! on-call when something has blocked rollbacks for long.

use crate::clock::within;
use crate::engine::Inner;
use crate::health::{Part, Trouble, blockers};
use crate::outbox::DELIVERY_MAX;
use futures_util::future::join_all;
use rollback_core::notice::{Blocked, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::LiveOptions;
use rollback_core::{BackendName, ChannelId, GroupId, Label, ServiceKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long something must block rollbacks before whoever is on call is told: longer than a restart
/// of a CD system or a failover of a database, and shorter than the time in which most incidents are
/// noticed.
pub(crate) const LASTS_AFTER: Duration = Duration::from_secs(120);

pub(crate) async fn run(inner: Arc<Inner>, every: Duration) {
    let mut prober = Prober { every, turn: 0, told: BTreeMap::new() };
    loop {
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = prober.turn(&inner) => {}
        }
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = inner.clock.sleep(every) => {}
        }
    }
}

/// What whoever is on call was told of a part.
#[derive(Debug)]
struct Told {
    since: Timestamp,
    why: String,
    /// Every notifier that took it, with its message if it posted one.
    taken: BTreeMap<&'static str, Option<MessageRef>>,
}

#[derive(Debug)]
struct Prober {
    every: Duration,
    /// Counts the turns, so that the services of a CD system are asked about one after the other.
    turn: usize,
    told: BTreeMap<Part, Told>,
}

impl Prober {
    async fn turn(&mut self, inner: &Inner) {
        self.turn = self.turn.wrapping_add(1);
        inner.look_at_loops();
        let store = inner.writes(Some(inner.source_timeout));
        let asked = self.quiet(inner).into_iter().map(|(name, key)| ask(inner, name, key));
        let sinks = inner.sinks.iter().filter(|sink| sink.required).map(|sink| sink.look(inner));
        let (asked, sinks) = (join_all(asked), join_all(sinks));
        let directory = self.look_at_the_directory(inner);
        let (_noted, _asked, _looked, ()) = tokio::join!(store, asked, sinks, directory);
        self.tell(inner).await;
    }

    /// The directory, if nobody has asked it anything lately. The answer, and the lack of one, is noted
    /// on the way.
    async fn look_at_the_directory(&self, inner: &Inner) {
        let seen = inner.health.seen_at(&Part::Directory);
        if seen.is_some_and(|seen| inner.clock.now().since(seen) < self.every) {
            return;
        }
        let mut groups: BTreeSet<GroupId> = BTreeSet::new();
        for key in inner.catalog.services.keys() {
            groups.extend(inner.access().for_service(key).groups().into_iter().cloned());
        }
        let groups: Vec<GroupId> = groups.into_iter().collect();
        let looked = inner.directory.look(&groups);
        drop(within(inner.clock.as_ref(), inner.source_timeout, looked).await);
    }

    /// The CD systems that nobody has asked anything lately, each with one of its services.
    fn quiet<'a>(&self, inner: &'a Inner) -> Vec<(&'a BackendName, &'a ServiceKey)> {
        let now = inner.clock.now();
        let mut services: BTreeMap<&BackendName, Vec<&ServiceKey>> = BTreeMap::new();
        for (key, service) in &inner.catalog.services {
            services.entry(&service.backend).or_default().push(key);
        }
        let lately = |name: &BackendName| {
            let seen = inner.health.seen_at(&Part::Cd(name.clone()));
            seen.is_some_and(|seen| now.since(seen) < self.every)
        };
        let quiet = services.into_iter().filter(|(name, _)| !lately(name));
        let one = |(name, keys): (&'a BackendName, Vec<&'a ServiceKey>)| {
            let place = self.turn.checked_rem(keys.len()).unwrap_or(0);
            Some((name, *keys.get(place)?))
        };
        quiet.filter_map(one).collect()
    }

    /// Tells whoever is on call what has blocked rollbacks for long, and when it is over. Past the
    /// outbox: the store may be what is blocked. What cannot be told is tried again at the next turn.
    async fn tell(&mut self, inner: &Inner) {
        let Some(channel) = inner.catalog.services.values().map(|it| &it.channel).next() else {
            return;
        };
        let (now, parts) = (inner.clock.now(), inner.health.parts());
        let lasting: BTreeMap<&Part, &Trouble> = blockers(&parts)
            .filter(|(_, trouble)| now.since(trouble.since) >= LASTS_AFTER)
            .collect();
        for (part, trouble) in &lasting {
            let is_known = self.told.get(part).is_some_and(|told| {
                told.since == trouble.since && told.taken.len() == inner.notifiers.len()
            });
            if !is_known {
                self.page(inner, channel, part, trouble).await;
            }
        }
        let over: Vec<Part> =
            self.told.keys().filter(|part| !lasting.contains_key(part)).cloned().collect();
        for part in over {
            let Some(told) = self.told.remove(&part) else { continue };
            let mut blocked = blocked(&part, told.since, told.why);
            blocked.over = Some(now);
            tracing::info!(part = %part, "a part that was paged about works again");
            for notifier in &inner.notifiers {
                let mut delivery = delivery(channel, &part, told.since, &blocked);
                delivery.previous = told.taken.get(notifier.name()).cloned().flatten();
                if delivery.previous.is_none() {
                    continue;
                }
                let done = notifier.deliver(&delivery);
                let done = within(inner.clock.as_ref(), DELIVERY_MAX, done).await;
                if !matches!(done, Some(Ok(_))) {
                    tracing::warn!(
                        notifier = notifier.name(),
                        ?done,
                        "on-call was not told that a part works again"
                    );
                }
            }
        }
    }

    async fn page(&mut self, inner: &Inner, channel: &ChannelId, part: &Part, trouble: &Trouble) {
        let seconds = inner.clock.now().since(trouble.since).as_secs();
        let told = self.told.entry(part.clone()).or_insert_with(|| {
            tracing::error!(part = %part, why = %trouble.why, seconds, "a part that rollbacks need is not working; on-call is paged");
            Told { since: trouble.since, why: trouble.why.clone(), taken: BTreeMap::new() }
        });
        if told.since != trouble.since {
            *told = Told { since: trouble.since, why: trouble.why.clone(), taken: BTreeMap::new() };
        }
        let blocked = blocked(part, trouble.since, trouble.why.clone());
        for notifier in &inner.notifiers {
            if told.taken.contains_key(notifier.name()) {
                continue;
            }
            let delivery = delivery(channel, part, trouble.since, &blocked);
            let done = notifier.deliver(&delivery);
            match within(inner.clock.as_ref(), DELIVERY_MAX, done).await {
                Some(Ok(Delivered::Posted(message))) => {
                    told.taken.insert(notifier.name(), Some(message));
                }
                Some(Ok(Delivered::Sent | Delivered::NotMine)) => {
                    told.taken.insert(notifier.name(), None);
                }
                done @ (Some(Err(_)) | None) => {
                    tracing::warn!(
                        notifier = notifier.name(),
                        ?done,
                        "on-call was not told that a part is not working"
                    );
                }
            }
        }
    }
}

async fn ask(inner: &Inner, name: &BackendName, key: &ServiceKey) {
    let Some(backend) = inner.backends.get(name) else {
        let why = "it is not configured here".to_owned();
        return inner.health.report(Part::Cd(name.clone()), Err(why));
    };
    let services = &inner.catalog.services;
    let bound = services.get(key).map_or(inner.source_timeout, |it| it.limits.cd_timeout);
    // The answer, and the lack of one, is noted on the way.
    drop(within(inner.clock.as_ref(), bound, backend.live(key, LiveOptions::default())).await);
}

fn blocked(part: &Part, since: Timestamp, why: String) -> Blocked {
    let channel = part.channel().cloned();
    Blocked::new(part.to_string(), since, why).meaning(part.consequence(), channel)
}

fn delivery(channel: &ChannelId, part: &Part, since: Timestamp, blocked: &Blocked) -> Delivery {
    let key = Label::new(format!("blocked:{}:{}:{since}", part.kind(), part.name()));
    let version = 1_u64.saturating_add(u64::from(blocked.over.is_some()));
    Delivery::new(key, version, Notice::Blocked(Box::new(blocked.clone())), channel.clone())
}
