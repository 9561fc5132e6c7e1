//! The store in memory: for tests, for demos, and as the model that the durable one is held to.

use crate::hints::{Herald, Lane};
use crate::rules::{
    CHAIN_DEFAULT, FENCES_LOST_MAX, PRUNE_MAX, appears_once, check_room, check_service,
    check_shape, check_stood, ended_unconfirmed, forgotten_until, led_away, lost, page, unwritable,
};
use async_trait::async_trait;
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::change::{freeze, why_bad};
use rollback_core::journal::{Entry, Opening};
use rollback_core::notice::{Attempt, DeployCard, MessageRef};
use rollback_core::observed::{Freeze, LastRollback, LatestDeploy, ServiceRecord};
use rollback_core::ports::{
    AuditLog, Claim, Claims, Commit, Committed, Hint, Hints, Instance, Journal, Journals, Listed,
    Outbox, Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services, Store, StoreError,
    StoreLeft, Unreadable,
};
use rollback_core::{
    Deploy, DeployId, Label, Prominence, Purpose, RevisionId, RollbackId, RollbackView,
    ServiceChange, ServiceKey, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A store that forgets everything when it is dropped.
///
/// ```
/// use rollback_store::MemoryStore;
/// let store = MemoryStore::default();
/// # drop(store);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    books: Mutex<Books>,
    herald: Herald,
}

/// One rollback as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    opening: Opening,
    entries: Vec<Entry>,
    view: RollbackView,
    holds_service: bool,
    was_ordered: bool,
}

/// One message in the outbox, as it is kept.
#[derive(Clone, Debug)]
struct Message {
    number: u64,
    queued: Queued,
    delivered: u64,
    not_before: Timestamp,
    abandoned: Option<Label>,
    /// Who has taken it, and until when.
    taken: Option<(Instance, Timestamp)>,
    /// Since when it is known to be settled.
    settled_at: Option<Timestamp>,
}

/// Everything that is kept. Rollbacks and deploys are in the order in which they came.
#[derive(Clone, Debug)]
struct Books {
    rollbacks: Vec<Kept>,
    claims: BTreeMap<RollbackId, Claim>,
    /// How often work on a rollback was begun since its last step, and how the last time was named.
    attempts: BTreeMap<RollbackId, (u32, Label)>,
    fence: u64,
    /// What is lost, until somebody has acknowledged it: nothing is written meanwhile.
    behind: Option<String>,
    deploys: Vec<DeployCard>,
    bad: BTreeMap<(ServiceKey, RevisionId), Label>,
    freezes: BTreeMap<(ServiceKey, Label), Freeze>,
    outbox: BTreeMap<(Label, Label), Message>,
    queued: u64,
    records: Vec<Record>,
    head: Head,
    acknowledged: BTreeMap<String, u64>,
    /// Digests that are remembered, and until when.
    seen: BTreeMap<[u8; 32], Timestamp>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(CHAIN_DEFAULT)
    }
}

impl MemoryStore {
    /// An empty store with an audit chain of this name.
    #[must_use]
    pub fn new(chain: impl Into<Label>) -> Self {
        Self {
            books: Mutex::new(Books {
                rollbacks: Vec::new(),
                claims: BTreeMap::new(),
                attempts: BTreeMap::new(),
                fence: 0,
                behind: None,
                deploys: Vec::new(),
                bad: BTreeMap::new(),
                freezes: BTreeMap::new(),
                outbox: BTreeMap::new(),
                queued: 0,
                records: Vec::new(),
                head: Head::genesis(chain),
                acknowledged: BTreeMap::new(),
                seen: BTreeMap::new(),
            }),
            herald: Herald::default(),
        }
    }

    /// Queues notices outside a step, and says so.
    fn queued(&self, mut books: MutexGuard<'_, Books>, notices: Vec<Queued>) {
        if notices.is_empty() {
            return;
        }
        books.queue(notices);
        drop(books);
        self.herald.tell(Hint::Queued);
    }

    /// The books, to write in, unless they have lost something.
    fn writing(&self) -> Result<MutexGuard<'_, Books>, StoreError> {
        let books = self.books();
        match &books.behind {
            Some(why) => Err(StoreError::WentBack(why.clone())),
            None => Ok(books),
        }
    }

    /// A panic elsewhere cannot leave the books half written: nothing in here panics.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn find(&self, id: &RollbackId) -> Option<&Kept> {
        self.rollbacks.iter().find(|kept| kept.view.id == *id)
    }

    fn holder(&self, key: &ServiceKey) -> Option<&Kept> {
        self.rollbacks.iter().find(|kept| kept.holds_service && kept.view.key == *key)
    }

    /// Whether nobody has taken a claim over, or given it back.
    fn has(&self, claim: &Claim) -> bool {
        let held = self.claims.get(&claim.rollback);
        held.is_some_and(|held| held.owner == claim.owner && held.fence == claim.fence)
    }

    /// The three conditions, in the order in which they are told.
    fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        check_shape(commit)?;
        let id = &commit.rollback;
        if let Some(claim) = &commit.claim {
            let held = self.claims.get(id).is_some_and(|held| {
                held.owner == claim.owner
                    && held.fence == claim.fence
                    && commit.at < held.expires_at
            });
            if !held {
                return Err(StoreError::ClaimLost(id.clone()));
            }
        }
        let entries = match (self.find(id), &commit.opening) {
            (None, Some(_)) => 0,
            (Some(kept), None) if count(&kept.entries) == commit.expected => {
                check_service(commit, &kept.view.key)?;
                check_stood(commit, &kept.view)?;
                commit.expected
            }
            (Some(_) | None, _) => return Err(StoreError::MovedOn(id.clone())),
        };
        check_room(commit, entries)?;
        match self.holder(&commit.view.key) {
            Some(holder) if commit.holds_service && holder.view.id != *id => {
                Err(StoreError::ServiceHeld(holder.view.id.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The records of a step, and which of them are new to the chain.
    fn records(&self, drafts: Vec<Draft>) -> Result<(Vec<Record>, Vec<Record>), StoreError> {
        let (mut all, mut new) = (Vec::new(), Vec::<Record>::new());
        for draft in drafts {
            let known = self.records.iter().chain(&new).find(|record| record.draft.id == draft.id);
            if let Some(record) = known {
                all.push(record.clone());
                continue;
            }
            let head = new.last().map_or_else(|| self.head.clone(), Head::after);
            let record =
                head.append(draft).map_err(|error| unwritable("the audit record", &error))?;
            new.push(record.clone());
            all.push(record);
        }
        Ok((all, new))
    }

    /// Gives drafts their places in the chain, unless one of them cannot be written.
    fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Record>, StoreError> {
        let (records, new) = self.records(drafts)?;
        if let Some(last) = new.last() {
            self.head = Head::after(last);
        }
        self.records.extend(new);
        Ok(records)
    }

    fn commit(&mut self, commit: Commit) -> Result<Committed, StoreError> {
        self.check(&commit)?;
        let records = self.append(commit.drafts.clone())?;
        if commit.claim.is_some() {
            self.attempts.remove(&commit.rollback);
            if commit.begins_work {
                self.attempts.insert(commit.rollback.clone(), (1, Label::new("")));
            }
        }
        let Commit { rollback, opening, entry, holds_service, was_ordered, view, notices, .. } =
            commit;
        if let Some(opening) = opening {
            let kept = Kept {
                opening: *opening,
                entries: entry.into_iter().collect(),
                view: *view,
                holds_service,
                was_ordered,
            };
            self.rollbacks.push(kept);
        } else if let Some(kept) = self.rollbacks.iter_mut().find(|k| k.view.id == rollback) {
            kept.entries.extend(entry);
            kept.view = *view;
            kept.holds_service = holds_service;
            kept.was_ordered = was_ordered;
        }
        self.queue(notices);
        Ok(Committed::new(records))
    }

    fn queue(&mut self, notices: Vec<Queued>) {
        for mut new in notices {
            let at = (new.notifier.clone(), new.key.clone());
            (new.version, new.attempt, new.attempts) = (1, Attempt::Clean, 0);
            (new.thread, new.previous, new.taken_by) = (None, None, None);
            match self.outbox.get_mut(&at) {
                Some(message) => message.replace(new),
                None => {
                    self.queued = self.queued.saturating_add(1);
                    let message = Message {
                        number: self.queued,
                        queued: new,
                        delivered: 0,
                        not_before: Timestamp::default(),
                        abandoned: None,
                        taken: None,
                        settled_at: None,
                    };
                    self.outbox.insert(at, message);
                }
            }
        }
    }

    /// Gives back what `queued` was taken as, unless somebody else has it.
    fn give_back(&mut self, queued: &Queued) {
        let at = (queued.notifier.clone(), queued.key.clone());
        if let (Some(message), Some(owner)) = (self.outbox.get_mut(&at), &queued.taken_by)
            && message.taken.as_ref().is_some_and(|(taker, _)| taker == owner)
        {
            message.taken = None;
        }
    }

    /// Until when somebody but `owner` has something of a lane.
    fn kept_until(&self, lane: Lane<'_>, owner: Option<&Instance>) -> Option<Timestamp> {
        self.outbox
            .values()
            .filter(|message| message.lane() == lane)
            .filter_map(|message| message.taken.as_ref())
            .filter(|(taker, _)| Some(taker) != owner)
            .map(|(_, until)| *until)
            .max()
    }

    /// What `owner` could take, in its order.
    fn due(&self, owner: Option<&Instance>, now: Timestamp, limit: usize) -> Vec<Queued> {
        let is_kept = |message: &Message| {
            self.kept_until(message.lane(), owner).is_some_and(|until| now < until)
        };
        let holds_up = |earlier: &Message| earlier.not_before > now || is_kept(earlier);
        self.waiting()
            .into_iter()
            .filter(|(message, _)| message.not_before <= now && !is_kept(message))
            .filter(|(message, _)| !self.follows(message, holds_up))
            .take(page(limit))
            .map(|(message, thread)| {
                let mut queued = message.queued.clone();
                queued.thread = thread;
                if message.taken.is_some() {
                    // Whoever took it may have delivered it.
                    queued.attempts = queued.attempts.saturating_add(1);
                    if queued.previous.is_none() {
                        queued.attempt = Attempt::InDoubt;
                    }
                }
                queued
            })
            .collect()
    }

    /// One step of it: the oldest of what is settled. A message with lines in its thread stays, and is
    /// looked at again as if it had been settled now.
    fn prune_outbox(&mut self, now: Timestamp, keep: Duration) -> (u64, bool) {
        let unsettled =
            |message: &&mut Message| message.is_settled_once() && message.settled_at.is_none();
        let mut new: Vec<&mut Message> = self.outbox.values_mut().filter(unsettled).collect();
        new.sort_by_key(|message| message.number);
        let marked = new.len();
        new.into_iter().take(PRUNE_MAX).for_each(|message| message.settled_at = Some(now));
        let threads: BTreeSet<(Label, Label)> = self
            .outbox
            .values()
            .filter_map(|message| {
                Some((message.queued.notifier.clone(), message.queued.thread_key.clone()?))
            })
            .collect();
        let old = self.outbox.iter().filter(|(_, message)| message.is_settled_once());
        let mut old: Vec<_> = old
            .filter_map(|(at, message)| Some((message.settled_at?, message.number, at.clone())))
            .filter(|(since, _, _)| forgotten_until(now, keep).is_some_and(|until| *since <= until))
            .collect();
        old.sort();
        let more = marked >= PRUNE_MAX || old.len() >= PRUNE_MAX;
        let mut forgotten = 0_u64;
        for (_, _, at) in old.into_iter().take(PRUNE_MAX) {
            if !threads.contains(&at) {
                self.outbox.remove(&at);
                forgotten = forgotten.saturating_add(1);
            } else if let Some(message) = self.outbox.get_mut(&at) {
                message.settled_at = Some(now);
            }
        }
        (forgotten, more)
    }

    /// The oldest rollbacks that nobody confirmed.
    fn prune_unconfirmed(&mut self, now: Timestamp, keep: Duration) -> u64 {
        let Some(until) = forgotten_until(now, keep) else { return 0 };
        let mut old: Vec<(Timestamp, RollbackId)> = self
            .rollbacks
            .iter()
            .filter(|kept| ended_unconfirmed(&kept.view, kept.holds_service, kept.was_ordered))
            .filter_map(|kept| Some((kept.view.ended_at?, kept.view.id.clone())))
            .filter(|(ended_at, _)| *ended_at <= until)
            .collect();
        old.sort();
        let old: BTreeSet<RollbackId> =
            old.into_iter().take(PRUNE_MAX).map(|(_, rollback)| rollback).collect();
        self.rollbacks.retain(|kept| !old.contains(&kept.view.id));
        self.attempts.retain(|rollback, _| !old.contains(rollback));
        count_of(old.len())
    }

    fn prune(&mut self, now: Timestamp, keep: Retention) -> Pruned {
        let mut pruned = Pruned::default();
        pruned.digests = forget(&mut self.seen, |until| *until, |until| until <= now);
        pruned.claims =
            forget(&mut self.claims, |claim| claim.expires_at, |expires_at| expires_at <= now);
        let ended = forgotten_until(now, keep.freezes);
        pruned.freezes = forget(
            &mut self.freezes,
            |freeze| freeze.until,
            |until| until.is_some_and(|until| ended.is_some_and(|ended| until <= ended)),
        );
        let (messages, more) = self.prune_outbox(now, keep.told);
        pruned.messages = messages;
        pruned.unconfirmed = self.prune_unconfirmed(now, keep.unconfirmed);
        let filled = |(_, count): (&str, u64)| count >= count_of(PRUNE_MAX);
        pruned.more = more || pruned.by_kind().into_iter().any(filled);
        pruned
    }

    /// The message that a notice about `queued` belongs to, unless a later word settled it.
    fn open(&mut self, queued: &Queued) -> Option<&mut Message> {
        self.outbox
            .get_mut(&(queued.notifier.clone(), queued.key.clone()))
            .filter(|m| m.delivered < queued.version && queued.version <= m.queued.version)
    }

    /// The same, unless it was taken by somebody who has it no longer: what that one says of an
    /// attempt is older than what is known of it.
    fn held(&mut self, queued: &Queued) -> Option<&mut Message> {
        self.open(queued).filter(|message| match &queued.taken_by {
            Some(owner) => message.taken.as_ref().is_some_and(|(taker, _)| taker == owner),
            None => true,
        })
    }

    /// What waits, with the message in whose thread it belongs; not what waits for that message.
    fn waiting(&self) -> Vec<(&Message, Option<MessageRef>)> {
        let mut waiting: Vec<_> = self
            .outbox
            .values()
            .filter(|message| message.is_pending())
            .filter_map(|message| {
                let Some(thread) = &message.queued.thread_key else { return Some((message, None)) };
                let parent = self.outbox.get(&(message.queued.notifier.clone(), thread.clone()))?;
                let is_settled = parent.delivered > 0 || parent.abandoned.is_some();
                is_settled.then(|| (message, parent.queued.previous.clone()))
            })
            .collect();
        waiting.sort_by_key(|(message, _)| message.number);
        waiting
    }

    /// Whether an earlier line of its thread is not told yet, and `holds_up`.
    fn follows(&self, message: &Message, holds_up: impl Fn(&Message) -> bool) -> bool {
        let queued = &message.queued;
        queued.thread_key.is_some()
            && appears_once(&queued.notice)
            && self.outbox.values().any(|earlier| {
                earlier.number < message.number
                    && earlier.is_pending()
                    && appears_once(&earlier.queued.notice)
                    && earlier.queued.notifier == queued.notifier
                    && earlier.queued.thread_key == queued.thread_key
                    && holds_up(earlier)
            })
    }

    fn record(&self, key: &ServiceKey) -> ServiceRecord {
        let real = || {
            self.rollbacks
                .iter()
                .filter(|kept| kept.view.key == *key && kept.view.purpose == Purpose::Real)
        };
        let ended = |kept: &&Kept| kept.was_ordered && kept.view.state.is_end();
        let mut record = ServiceRecord::default();
        record.in_flight = real().find(|kept| kept.holds_service).map(|kept| kept.view.id.clone());
        record.last_rollback = real()
            .filter(ended)
            .filter_map(|kept| Some((kept.view.ended_at?, &kept.view.id)))
            .max_by_key(|(ended_at, _)| *ended_at)
            .map(|(ended_at, id)| LastRollback::new(id.clone(), ended_at));
        record.rolled_back_from = real()
            .filter(ended)
            .filter(|kept| led_away(kept.view.state))
            .map(|kept| kept.opening.plan.from().revision.clone())
            .collect();
        record.marked_bad = self
            .bad
            .iter()
            .filter(|((of, _), _)| of == key)
            .map(|((_, revision), why)| (revision.clone(), why.clone()))
            .collect();
        record.latest_deploy = self
            .deploys_of(key)
            .max_by_key(|deploy| deploy.deployed_at)
            .map(|d| LatestDeploy::new(d.id.clone(), d.revision.clone(), d.deployed_at));
        record
    }

    fn deploys_of(&self, key: &ServiceKey) -> impl Iterator<Item = &Deploy> {
        self.deploys.iter().map(|card| &card.deploy).filter(move |deploy| deploy.key() == *key)
    }
}

impl Message {
    fn is_pending(&self) -> bool {
        self.queued.version > self.delivered && self.abandoned.is_none()
    }

    /// Whether it appears once, and nothing of it is left to do.
    fn is_settled_once(&self) -> bool {
        !self.is_pending() && self.taken.is_none() && appears_once(&self.queued.notice)
    }

    const fn lane(&self) -> Lane<'_> {
        (&self.queued.notifier, &self.queued.channel)
    }

    fn replace(&mut self, mut new: Queued) {
        let settled = self.delivered > 0 || self.abandoned.is_some();
        if appears_once(&new.notice) && settled {
            return;
        }
        let pending = self.is_pending();
        new.version = self.queued.version.saturating_add(1);
        new.previous = self.queued.previous.take();
        new.attempt = self.queued.attempt;
        new.attempts = if pending { self.queued.attempts } else { 0 };
        self.queued = new;
        if !pending {
            self.not_before = Timestamp::default();
        }
        self.abandoned = None;
        self.settled_at = None;
    }
}

fn count<T>(items: &[T]) -> u64 {
    count_of(items.len())
}

fn count_of(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

/// Forgets the first of what is over, in the order of its time, and says how much that was.
fn forget<K: Clone + Ord, V, T: Ord>(
    kept: &mut BTreeMap<K, V>,
    time: impl Fn(&V) -> T,
    is_over: impl Fn(T) -> bool,
) -> u64 {
    let over = kept.iter().filter(|(_, value)| is_over(time(value)));
    let mut over: Vec<(T, K)> = over.map(|(key, value)| (time(value), key.clone())).collect();
    over.sort();
    over.truncate(PRUNE_MAX);
    for (_, key) in &over {
        kept.remove(key);
    }
    count(&over)
}

fn concerns(query: &Query, service: &str, environment: &str) -> bool {
    query.service.as_ref().is_none_or(|wanted| wanted.as_str() == service)
        && query.environment.as_ref().is_none_or(|wanted| wanted.as_str() == environment)
}

/// A card without the rollback: that is asked for when the card is shown.
fn stored(card: &DeployCard) -> DeployCard {
    let mut card = card.clone();
    card.rollback = None;
    card
}

#[async_trait]
impl Journals for MemoryStore {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let (id, before, has_entry) =
            (commit.rollback.clone(), commit.expected, commit.entry.is_some());
        let committed = self.writing()?.commit(commit)?;
        self.herald.stepped(id, before, has_entry);
        Ok(committed)
    }

    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError> {
        let books = self.books();
        let kept = books.find(id);
        Ok(kept.map(|kept| Journal::new(kept.opening.clone(), kept.entries.clone())))
    }

    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError> {
        let books = self.books();
        let mut found: Vec<&Kept> = books
            .rollbacks
            .iter()
            .rev()
            .filter(|kept| {
                let key = &kept.view.key;
                concerns(query, key.service.as_str(), key.environment.as_str())
                    && query.state.is_none_or(|state| kept.view.state == state)
                    && query.rollback.as_ref().is_none_or(|id| kept.view.id == *id)
            })
            .collect();
        found.sort_by_key(|kept| std::cmp::Reverse(kept.view.opened_at));
        Ok(found
            .into_iter()
            .take(page(query.limit))
            .map(|kept| {
                let Kept { view, entries, holds_service, was_ordered, .. } = kept;
                Listed::new(view.clone(), count(entries), *holds_service, *was_ordered)
            })
            .collect())
    }

    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError> {
        let books = self.books();
        let of_it = books.rollbacks.iter().map(|kept| &kept.view);
        Ok(of_it
            .filter(|view| view.deploy.as_ref() == Some(deploy))
            .filter(|view| view.prominence() > Prominence::None)
            // Of equal ones the last, which is the newest.
            .max_by_key(|view| (view.prominence(), view.opened_at))
            .cloned())
    }

    async fn unattended(&self, now: Timestamp) -> Result<Vec<RollbackId>, StoreError> {
        let books = self.books();
        let held =
            |id: &RollbackId| books.claims.get(id).is_some_and(|claim| now < claim.expires_at);
        let unattended = |kept: &&Kept| {
            kept.view.put_aside.is_none()
                && (!kept.view.state.is_end() || kept.holds_service)
                && !held(&kept.view.id)
        };
        Ok(books.rollbacks.iter().filter(unattended).map(|kept| kept.view.id.clone()).collect())
    }

    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        let books = self.books();
        let aside = books.rollbacks.iter().filter(|kept| kept.view.put_aside.is_some());
        Ok(aside.map(|kept| kept.view.id.clone()).collect())
    }
}

#[async_trait]
impl Claims for MemoryStore {
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let mut books = self.writing()?;
        let expires_at = now.after(lease);
        let claim = match books.claims.get(id) {
            Some(held) if held.owner == *owner => {
                let expires_at = expires_at.max(held.expires_at);
                Claim::new(id.clone(), owner.clone(), held.fence, expires_at)
            }
            Some(held) if now < held.expires_at => return Ok(None),
            Some(_) | None => {
                books.fence = books.fence.saturating_add(1);
                Claim::new(id.clone(), owner.clone(), books.fence, expires_at)
            }
        };
        books.claims.insert(id.clone(), claim.clone());
        Ok(Some(claim))
    }

    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError> {
        let mut books = self.writing()?;
        if !books.has(claim) {
            return Err(StoreError::ClaimLost(claim.rollback.clone()));
        }
        let (count, last) =
            books.attempts.entry(claim.rollback.clone()).or_insert_with(|| (0, Label::new("")));
        if last != name {
            *count = count.saturating_add(1);
            *last = name.clone();
        }
        Ok(*count)
    }

    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError> {
        Ok(self.books().attempts.get(id).map_or(0, |(count, _)| *count))
    }

    async fn survived(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        if !books.has(claim) {
            return Err(StoreError::ClaimLost(claim.rollback.clone()));
        }
        books.attempts.remove(&claim.rollback);
        Ok(())
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        if books.has(claim) {
            books.claims.remove(&claim.rollback);
            books.attempts.remove(&claim.rollback);
        }
        Ok(())
    }
}

#[async_trait]
impl Services for MemoryStore {
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError> {
        let mut books = self.writing()?;
        if books.deploys.iter().any(|kept| kept.deploy.id == card.deploy.id) {
            return Ok(SavedDeploy::Known);
        }
        books.deploys.push(stored(card));
        self.queued(books, notices);
        Ok(SavedDeploy::New)
    }

    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        let known = books.deploys.iter_mut().find(|kept| kept.deploy.id == card.deploy.id);
        if let Some(kept) = known {
            *kept = stored(card);
            self.queued(books, notices);
        }
        Ok(())
    }

    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError> {
        Ok(self.books().deploys.iter().find(|card| card.deploy.id == *id).cloned())
    }

    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        let books = self.books();
        let mut deploys: Vec<&Deploy> = books.deploys_of(key).collect();
        deploys.reverse();
        deploys.sort_by_key(|deploy| std::cmp::Reverse(deploy.deployed_at));
        Ok(deploys.into_iter().take(page(limit)).cloned().collect())
    }

    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError> {
        Ok(self.books().record(key))
    }

    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError> {
        let books = self.books();
        let ours = books.freezes.iter().filter(|((of, _), _)| of == key);
        Ok(ours.map(|(_, freeze)| freeze.clone()).collect())
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError> {
        let mut books = self.writing()?;
        let is_known = match change {
            ServiceChange::Freeze { .. } | ServiceChange::MarkBad { .. } => true,
            ServiceChange::Unfreeze { name, .. } => {
                books.freezes.contains_key(&(key.clone(), name.clone()))
            }
            ServiceChange::UnmarkBad { revision, .. } => {
                books.bad.contains_key(&(key.clone(), revision.clone()))
            }
        };
        if !is_known {
            return Ok(false);
        }
        books.append(vec![record.clone()])?;
        let why = why_bad(&record);
        let freeze = |name, until| freeze(name, until, &record);
        match change {
            ServiceChange::Freeze { name, until, .. } => {
                books.freezes.insert((key.clone(), name.clone()), freeze(name, *until));
            }
            ServiceChange::Unfreeze { name, .. } => {
                books.freezes.remove(&(key.clone(), name.clone()));
            }
            ServiceChange::MarkBad { revision, .. } => {
                books.bad.insert((key.clone(), revision.clone()), why);
            }
            ServiceChange::UnmarkBad { revision, .. } => {
                books.bad.remove(&(key.clone(), revision.clone()));
            }
        }
        self.queued(books, notices);
        Ok(true)
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError> {
        self.queued(self.writing()?, notices);
        Ok(())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        Ok(self.books().due(None, now, limit))
    }

    async fn take(
        &self,
        owner: &Instance,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let mut books = self.writing()?;
        let mut due = books.due(Some(owner), now, limit);
        for queued in &mut due {
            let at = (queued.notifier.clone(), queued.key.clone());
            if let Some(message) = books.outbox.get_mut(&at) {
                message.taken = Some((owner.clone(), now.after(hold)));
                (message.queued.attempt, message.queued.attempts) =
                    (queued.attempt, queued.attempts);
            }
            queued.taken_by = Some(owner.clone());
        }
        Ok(due)
    }

    /// What is in memory can be read.
    async fn put_off_unreadable(
        &self,
        _owner: &Instance,
        _now: Timestamp,
        _not_before: Timestamp,
        _attempts_max: u32,
        _limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError> {
        Ok(Vec::new())
    }

    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        queued.iter().for_each(|queued| books.give_back(queued));
        Ok(())
    }

    async fn next_due(
        &self,
        owner: &Instance,
        _now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let books = self.books();
        let waiting = books.waiting().into_iter().map(|(message, _)| message);
        let first = waiting.filter(|message| !books.follows(message, |_earlier| true));
        Ok(first
            .map(|message| {
                let kept_until = books.kept_until(message.lane(), Some(owner));
                message.not_before.max(kept_until.unwrap_or_default())
            })
            .min())
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        let books = self.books();
        let waiting = books.outbox.values().filter(|message| message.is_pending());
        Ok(u64::try_from(waiting.count()).unwrap_or(u64::MAX))
    }

    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        books.give_back(queued);
        let Some(kept) = books.open(queued) else { return Ok(()) };
        let once = appears_once(&kept.queued.notice);
        kept.delivered = if once { kept.queued.version } else { queued.version };
        if message.is_some() {
            kept.queued.previous = message;
        }
        kept.queued.attempt = Attempt::Clean;
        kept.queued.attempts = 0;
        kept.not_before = Timestamp::default();
        kept.abandoned = None;
        Ok(())
    }

    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        let kept = books.held(queued).filter(|kept| kept.abandoned.is_none());
        if let Some(kept) = kept {
            kept.not_before = not_before;
            kept.queued.attempt = attempt;
            kept.queued.attempts = kept.queued.attempts.saturating_add(1);
        }
        books.give_back(queued);
        Ok(())
    }

    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        let kept = books.held(queued).filter(|kept| kept.abandoned.is_none());
        if let Some(kept) = kept {
            if kept.queued.version == queued.version {
                kept.abandoned = Some(Label::new(why));
            } else {
                kept.queued.attempts = 0;
                kept.not_before = Timestamp::default();
            }
        }
        books.give_back(queued);
        Ok(())
    }

    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError> {
        let books = self.books();
        let message = books.outbox.get(&(Label::new(notifier), key.clone()));
        Ok(message.and_then(|message| message.queued.previous.clone()))
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn append(&self, record: Draft) -> Result<(), StoreError> {
        self.writing()?.append(vec![record]).map(drop)
    }

    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        let books = self.books();
        Ok(books
            .records
            .iter()
            .filter(|record| {
                let draft = &record.draft;
                record.sequence > query.after
                    && concerns(query, draft.service.as_str(), draft.environment.as_str())
                    && query
                        .rollback
                        .as_ref()
                        .is_none_or(|id| draft.operation_id.as_ref() == Some(id))
            })
            .take(page(query.limit))
            .cloned()
            .collect())
    }

    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError> {
        let books = self.books();
        let mut newest_first = books.records.iter().rev();
        Ok(newest_first
            .find(|record| record.draft.operation_id.as_ref() == Some(rollback))
            .cloned())
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.books().head.clone())
    }

    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        let books = self.books();
        let last = books.acknowledged.get(sink).copied().unwrap_or(0);
        let missing = books.records.iter().filter(|record| record.sequence > last);
        Ok(missing.take(page(limit)).cloned().collect())
    }

    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError> {
        let mut books = self.writing()?;
        let sequence = sequence.min(books.head.sequence);
        let last = books.acknowledged.entry(sink.into()).or_default();
        *last = sequence.max(*last);
        Ok(())
    }
}

#[async_trait]
impl Receipts for MemoryStore {
    async fn see(
        &self,
        digests: &[[u8; 32]],
        now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let mut books = self.writing()?;
        let is_known = |digest| books.seen.get(digest).is_some_and(|until| now < *until);
        if digests.iter().any(is_known) {
            return Ok(false);
        }
        books.seen.extend(digests.iter().map(|digest| (*digest, now.after(keep))));
        Ok(true)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn prune(&self, now: Timestamp, keep: Retention) -> Result<Pruned, StoreError> {
        Ok(self.writing()?.prune(now, keep))
    }

    async fn compare(&self, kept: &Head) -> Result<(), StoreError> {
        let mut books = self.books();
        let there = books.records.iter().find(|record| record.sequence == kept.sequence);
        if let Some(why) = lost(kept, there) {
            books.behind = Some(why);
        }
        drop(books);
        self.writing().map(drop)
    }

    async fn acknowledge_loss(&self) -> Result<(), StoreError> {
        let mut books = self.books();
        books.behind = None;
        books.fence = books.fence.saturating_add(FENCES_LOST_MAX);
        Ok(())
    }

    fn hints(&self) -> Box<dyn Hints> {
        self.herald.listen()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writing().map(drop)
    }

    /// Nothing: it is gone when it is dropped.
    async fn close(&self) -> Result<(), StoreLeft> {
        Ok(())
    }
}
