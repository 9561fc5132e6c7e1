//! The store, as one process reaches it. It measures leases by its own clock, as a database does.

use super::{Canary, Class, Faulty};
use crate::invariants::Seen;
use async_trait::async_trait;
use core::time::Duration;
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::notice::{Attempt, DeployCard, MessageRef};
use rollback_core::observed::{Freeze, ServiceRecord};
use rollback_core::ports::{
    AuditLog, Claim, Claims, Commit, Committed, Hints, Instance, Journal, Journals, Listed, Outbox,
    Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services, Store, StoreError,
    StoreLeft, Unreadable,
};
use rollback_core::{
    Deploy, DeployId, Label, RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp,
};

/// The longest that a process stands still between its last look at its claim and what it stores
/// under it: until somebody else has just taken it over.
const LAPSE_MAX: Duration = Duration::from_secs(24);

/// The longest a slow call takes, in seconds: a moment, about a lease, or more than a lease.
const SLOW_MAX: &[u64] = &[2, 2, 12, 45];

impl<S: Store + ?Sized> Faulty<S> {
    /// One transaction. What fails has not happened; what is in doubt may have.
    async fn transact<T, F>(
        &self,
        call: impl Fn() -> F,
        doubt: impl FnOnce(&'static str) -> StoreError,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.process.moment().await;
        let weather = self.weather();
        let (before, after) = self.slowness();
        if !before.is_zero() {
            tokio::time::sleep(before).await;
            self.process.alive().await;
        }
        if weather.is_out(Class::StoreDown) || weather.strikes(Class::StoreFails) {
            return Err(StoreError::Unavailable("no connection to the store".into()));
        }
        let answer = if weather.strikes(Class::StoreDoubt) {
            if weather.draw(Class::StoreDoubt, |draw| draw.one_in(2)) {
                drop(call().await);
            }
            Err(doubt("the connection was lost at the commit"))
        } else {
            call().await
        };
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        self.process.moment().await;
        answer
    }

    /// How long a call takes before it happens, and how long its answer then takes.
    fn slowness(&self) -> (Duration, Duration) {
        let weather = self.weather();
        if !weather.strikes(Class::StoreSlow) {
            return (Duration::ZERO, Duration::ZERO);
        }
        let most = weather.draw(Class::StoreSlow, |draw| draw.one_of(SLOW_MAX));
        let slow = weather.wait(Class::StoreSlow, Duration::from_secs(most));
        let late = weather.draw(Class::StoreSlow, |draw| draw.one_in(2));
        if late { (Duration::ZERO, slow) } else { (slow, Duration::ZERO) }
    }

    async fn look<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.process.alive().await;
        let weather = self.weather();
        if weather.is_out(Class::StoreDown) || weather.strikes(Class::StoreFails) {
            return Err(StoreError::Unavailable("no connection to the store".into()));
        }
        let answer = read.await;
        self.process.alive().await;
        answer
    }
}

fn in_doubt(why: &'static str) -> StoreError {
    StoreError::InDoubt(why.into())
}

fn silent(why: &'static str) -> StoreError {
    StoreError::Unavailable(why.into())
}

#[async_trait]
impl<S: Store + ?Sized> Journals for Faulty<S> {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        if self.weather().strikes(Class::StoreRaces) {
            return Err(StoreError::MovedOn(commit.rollback));
        }
        if commit.claim.is_some() && self.weather().strikes(Class::Lapse) {
            self.process.stands_still(self.weather().wait(Class::Lapse, LAPSE_MAX));
        }
        let call = || async {
            let (seen, mut commit) = (Seen::stored(&commit), commit.clone());
            commit.at = self.clock.to_right(commit.at).min(self.right.now());
            if self.weather().sings(Canary::StoreForgetsClaims) {
                commit.claim = None;
            }
            let committed = self.inner.commit(commit).await;
            if committed.is_ok() {
                self.weather().saw(seen);
            }
            committed
        };
        self.transact(call, in_doubt).await
    }

    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError> {
        self.look(self.inner.load(id)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError> {
        self.look(self.inner.list(query)).await
    }

    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError> {
        self.look(self.inner.shown(deploy)).await
    }

    async fn unattended(&self, _now: Timestamp) -> Result<Vec<RollbackId>, StoreError> {
        self.look(self.inner.unattended(self.right.now())).await
    }

    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        self.look(self.inner.put_aside()).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Claims for Faulty<S> {
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let call = || async {
            let at = self.right.now();
            let mut claim = self.inner.claim(id, owner, at, lease).await;
            if let Ok(Some(claim)) = &mut claim {
                let until = claim.expires_at;
                claim.expires_at = self.clock.from_right(until).min(now.after(lease));
                self.weather().saw(Seen::Claimed {
                    rollback: id.clone(),
                    owner: owner.clone(),
                    fence: claim.fence,
                    at,
                    until,
                });
            }
            claim
        };
        self.transact(call, silent).await
    }

    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError> {
        self.transact(|| self.inner.attempt(claim, name), silent).await
    }

    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError> {
        self.look(self.inner.attempts(id)).await
    }

    async fn survived(&self, claim: &Claim) -> Result<(), StoreError> {
        self.transact(|| self.inner.survived(claim), silent).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let call = || async {
            let released = self.inner.release(claim).await;
            if released.is_ok() {
                let rollback = claim.rollback.clone();
                self.weather().saw(Seen::GaveBack { rollback, fence: claim.fence });
            }
            released
        };
        self.transact(call, silent).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Services for Faulty<S> {
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError> {
        self.transact(|| self.inner.save_deploy(card, notices.clone()), silent).await
    }

    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError> {
        self.transact(|| self.inner.update_deploy(card, notices.clone()), silent).await
    }

    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError> {
        self.look(self.inner.deploy(id)).await
    }

    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        self.look(self.inner.deploys(key, limit)).await
    }

    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError> {
        self.look(self.inner.record(key)).await
    }

    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError> {
        self.look(self.inner.freezes(key)).await
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError> {
        let call = || self.inner.change(key, change, record.clone(), notices.clone());
        self.transact(call, in_doubt).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Outbox for Faulty<S> {
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError> {
        self.transact(|| self.inner.queue(notices.clone()), silent).await
    }

    async fn due(&self, _now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        self.look(self.inner.due(self.right.now(), limit)).await
    }

    async fn take(
        &self,
        owner: &Instance,
        _now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let call = || async {
            let taken = self.inner.take(owner, self.right.now(), hold, limit).await;
            if let Ok(taken) = &taken {
                self.process.took(taken);
            }
            taken
        };
        self.transact(call, in_doubt).await
    }

    async fn put_off_unreadable(
        &self,
        owner: &Instance,
        _now: Timestamp,
        not_before: Timestamp,
        attempts_max: u32,
        limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError> {
        let (now, not_before) = (self.right.now(), self.clock.to_right(not_before));
        let call = || self.inner.put_off_unreadable(owner, now, not_before, attempts_max, limit);
        self.transact(call, in_doubt).await
    }

    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError> {
        self.transact(|| self.inner.give_back(queued), silent).await
    }

    async fn next_due(
        &self,
        owner: &Instance,
        _now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let due = self.look(self.inner.next_due(owner, self.right.now())).await?;
        Ok(due.map(|at| self.clock.from_right(at)))
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.look(self.inner.waiting()).await
    }

    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        self.transact(|| self.inner.delivered(queued, message.clone()), silent).await
    }

    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        let not_before = self.clock.to_right(not_before);
        self.transact(|| self.inner.postpone(queued, not_before, attempt), silent).await
    }

    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError> {
        self.transact(|| self.inner.abandon(queued, why), silent).await
    }

    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError> {
        self.look(self.inner.message(notifier, key)).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> AuditLog for Faulty<S> {
    async fn append(&self, record: Draft) -> Result<(), StoreError> {
        self.transact(|| self.inner.append(record.clone()), in_doubt).await
    }

    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        self.look(self.inner.audit(query)).await
    }

    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError> {
        self.look(self.inner.last_record(rollback)).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.look(self.inner.head()).await
    }

    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.look(self.inner.unacknowledged(sink, limit)).await
    }

    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError> {
        self.transact(|| self.inner.acknowledge(sink, sequence), silent).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Receipts for Faulty<S> {
    async fn see(
        &self,
        digests: &[[u8; 32]],
        _now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        self.transact(|| self.inner.see(digests, self.right.now(), keep), in_doubt).await
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Faulty<S> {
    async fn prune(&self, _now: Timestamp, keep: Retention) -> Result<Pruned, StoreError> {
        self.look(self.inner.prune(self.right.now(), keep)).await
    }

    async fn compare(&self, kept: &Head) -> Result<(), StoreError> {
        self.look(self.inner.compare(kept)).await
    }

    async fn acknowledge_loss(&self) -> Result<(), StoreError> {
        self.transact(|| self.inner.acknowledge_loss(), in_doubt).await
    }

    fn hints(&self) -> Box<dyn Hints> {
        self.inner.hints()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.look(self.inner.ping()).await
    }

    async fn close(&self) -> Result<(), StoreLeft> {
        self.inner.close().await
    }
}
