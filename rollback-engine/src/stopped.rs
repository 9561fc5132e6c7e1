//! Replays a stored journal, compares it with the stored state, and quarantines a rollback where the
//! two differ.

use crate::engine::{Engine, Inner, not_recorded};
use crate::lifecycle;
use crate::operation::{Operation, Standing};
use crate::telling;
use rollback_core::access::{Duty, Moment};
use rollback_core::audit::BackendEntry;
use rollback_core::journal::{self, Entry};
use rollback_core::ports::{
    Capabilities, Claim, CommandError, Commit, CompareAndSet, Fence, Journal, Listed, Query,
    StoreError,
};
use rollback_core::stopped::{self, Denied, Standstill};
use rollback_core::{
    BackendName, Event, Rollback, RollbackId, RollbackView, ServiceKey, Settlement, Timestamp,
};

/// How often a journal and its row are read anew because somebody appended in between.
const RETRIES_MAX: usize = 16;

/// First number for the notices of a quarantine: larger than any number of notices of one step, so
/// that their keys cannot collide.
const TOLD_FROM: usize = 1_000;

/// A rollback that was replayed.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) rollback: Rollback,
    pub(crate) entries: u64,
}

/// What the store has.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are sound")]
pub(crate) enum Read {
    Sound(Loaded),
    /// It must be left alone until a person has decided.
    Stopped(Box<Stopped>),
}

/// A rollback that is left alone.
#[derive(Debug)]
pub(crate) struct Stopped {
    listed: Listed,
    why: String,
    backend: BackendEntry,
    /// What the journal replays to, where it does so again: it goes on once somebody releases it.
    again: Option<Loaded>,
}

impl Read {
    /// Reads a journal, replays it, and compares it with what is stored.
    pub(crate) async fn from_store(inner: &Inner, id: &RollbackId) -> Result<Self, StoreError> {
        for retry in 1..=RETRIES_MAX {
            let mut is_gone = false;
            let journal = match inner.store.load(id).await {
                Ok(Some(journal)) => Ok(journal),
                Ok(None) => {
                    is_gone = true;
                    Err("it is listed and has no journal".to_owned())
                }
                Err(StoreError::Corrupt { what, problem }) => {
                    Err(format!("{what} cannot be read: {problem}"))
                }
                Err(other) => return Err(other),
            };
            let mut query = Query::all(1);
            query.rollback = Some(id.clone());
            let listed = inner.store.list(&query).await?.into_iter().next();
            let listed = listed.ok_or_else(|| StoreError::NotFound(id.clone()))?;
            match journal {
                Ok(journal) if count(&journal.entries) != listed.entries => {}
                Ok(journal) => return Ok(Self::compared(journal, listed)),
                // It was opened between the two questions, unless it stays like that.
                Err(_) if is_gone && retry < RETRIES_MAX => {}
                Err(why) => {
                    let backend = configured(inner, &listed.view.key);
                    let stopped = Stopped { listed, why, backend, again: None };
                    return Ok(Self::Stopped(Box::new(stopped)));
                }
            }
        }
        Err(StoreError::Unavailable("too many others write to this rollback".into()))
    }

    fn compared(journal: Journal, listed: Listed) -> Self {
        let (entries, backend) = (listed.entries, journal.opening.backend.clone());
        let (why, again) = match journal::resume(journal, &listed) {
            Ok(rollback) if !stopped::is_stopped(&listed.view) => {
                return Self::Sound(Loaded { rollback, entries });
            }
            Ok(rollback) => {
                let why = "its journal replays to what is stored again; release it to go on";
                (why.to_owned(), Some(Loaded { rollback, entries }))
            }
            Err(mismatch) => (mismatch.to_string(), None),
        };
        Self::Stopped(Box::new(Stopped { listed, why, backend, again }))
    }

    pub(crate) fn entries(&self) -> u64 {
        match self {
            Self::Sound(loaded) => loaded.entries,
            Self::Stopped(stopped) => stopped.listed.entries,
        }
    }
}

fn count(entries: &[Entry]) -> u64 {
    u64::try_from(entries.len()).unwrap_or(u64::MAX)
}

/// The backend of a service as it is configured here, for the record of a rollback whose own opening
/// cannot be read.
fn configured(inner: &Inner, key: &ServiceKey) -> BackendEntry {
    let service = inner.catalog.services.get(key);
    let backend = service.and_then(|service| {
        let backend = inner.backends.get(&service.backend)?;
        Some(BackendEntry::new(service.backend.clone(), backend.capabilities(key)))
    });
    backend.unwrap_or_else(|| {
        BackendEntry::new(
            BackendName::not_configured(),
            Capabilities::new(CompareAndSet::No, Fence::No),
        )
    })
}

/// What a person is told whose decision was not stored.
fn decided_elsewhere(error: &StoreError) -> CommandError {
    match error {
        StoreError::MovedOn(_) => {
            let why =
                "somebody else decided about it in the same moment; look at how it stands now";
            CommandError::Stopped(why.to_owned())
        }
        StoreError::NotFound(_)
        | StoreError::ServiceHeld(_)
        | StoreError::ClaimLost(_)
        | StoreError::Unavailable(_)
        | StoreError::WentBack(_)
        | StoreError::Newer(_)
        | StoreError::InDoubt(_)
        | StoreError::Corrupt { .. }
        | _ => not_recorded(error),
    }
}

impl Stopped {
    pub(crate) const fn view(&self) -> &RollbackView {
        &self.listed.view
    }

    /// What whoever would step it is told.
    pub(crate) fn error(&self, id: &RollbackId) -> StoreError {
        StoreError::Corrupt { what: format!("rollback `{id}`"), problem: self.why.clone() }
    }

    /// Whether there is nothing left to do for it.
    const fn is_over(&self) -> bool {
        self.listed.view.state.is_end() && !self.listed.holds_service
    }

    pub(crate) fn standing(&self) -> Standing {
        let differs = !self.is_over() && !stopped::is_stopped(self.view());
        Standing {
            view: self.view().clone(),
            pending: Vec::new(),
            deadline: None,
            last: Timestamp::from_millis(0),
            backend: self.backend.name.clone(),
            differs: differs.then(|| self.why.clone()),
        }
    }
}

impl Operation {
    /// Stops the rollback: nothing more is done for it, on-call is paged, and it keeps its service.
    pub(crate) async fn stop(
        &self,
        inner: &Inner,
        claim: &Claim,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut loaded = self.loaded.lock().await;
        let mut stopped = match self.take(inner, &mut loaded).await? {
            Read::Stopped(stopped) => stopped,
            sound @ Read::Sound(_) => {
                *loaded = Some(sound);
                return Ok(());
            }
        };
        tracing::error!(rollback = %self.id, %why, "its journal does not replay to the stored state; it is quarantined until a person decides");
        let now = inner.clock.now();
        let standstill = stopped::stop(&stopped.listed, why, &stopped.backend, now);
        self.stand_still(inner, &mut stopped.listed, standstill, Some(claim), now).await?;
        *loaded = Some(Read::Stopped(stopped));
        Ok(())
    }

    /// Stores how a rollback stands that takes no step.
    async fn stand_still(
        &self,
        inner: &Inner,
        listed: &mut Listed,
        standstill: Standstill,
        claim: Option<&Claim>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Standstill { view, holds_service, draft, effects, .. } = standstill;
        let mut commit = Commit::new(view.clone(), listed.entries, now);
        commit.holds_service = holds_service;
        commit.was_ordered = listed.was_ordered;
        // No entry tells another process that this was decided.
        commit.stood = Some(Box::new(listed.view.clone()));
        commit.claim = claim.cloned();
        commit.drafts = vec![draft];
        commit.notices = telling::about(inner, &view, &effects, TOLD_FROM).await?;
        inner.store.commit(commit).await?;
        lifecycle::stepped(listed.view.state, &view);
        listed.holds_service = holds_service;
        listed.view = view.clone();
        self.show(inner, view);
        Ok(())
    }

    /// What a person's word does to a rollback that is stopped; nothing is answered where it is not,
    /// or is no longer.
    pub(crate) async fn said_to_stopped(
        &self,
        inner: &Inner,
        event: &Event,
    ) -> Result<Option<RollbackView>, CommandError> {
        let mut loaded = self.loaded.lock().await;
        let mut read = self.take(inner, &mut loaded).await.map_err(|error| not_recorded(&error))?;
        if let Read::Stopped(_) = read {
            // Another process may have settled it: that adds no entry by which it would be noticed.
            let fresh = Read::from_store(inner, &self.id).await;
            read = fresh.map_err(|error| not_recorded(&error))?;
        }
        let mut stopped = match read {
            Read::Stopped(stopped) => stopped,
            sound @ Read::Sound(_) => {
                *loaded = Some(sound);
                return Ok(None);
            }
        };
        if let Event::Released(said) = event
            && let Some(again) = stopped.again.take()
        {
            let policy = &again.rollback.opening().policy;
            let moment = Moment::new(inner.clock.now(), policy.limits.fact_age_max);
            let who = (&said.actor, &said.standing);
            let may = stopped::allowed(
                &stopped.listed,
                who,
                Duty::Release,
                &policy.access,
                moment,
                &stopped.backend,
            );
            if let Err(denied) = may {
                let answer = Self::denied(inner, *denied).await;
                stopped.again = Some(again);
                *loaded = Some(Read::Stopped(stopped));
                return Err(answer);
            }
            let since = stopped.view().put_aside.map_or(moment.now, |aside| aside.since);
            let sound = self.put_aside(inner, again, stopped.view(), since).await;
            *loaded = Some(Read::Sound(sound.map_err(|error| decided_elsewhere(&error))?));
            return Ok(None);
        }
        let answer = if let Event::Settled(settlement) = event
            && !stopped.is_over()
        {
            self.settle(inner, &mut stopped.listed, &stopped.backend, settlement).await
        } else {
            Err(CommandError::Stopped(stopped.why.clone()))
        };
        // What somebody else has decided is read anew.
        if !matches!(answer, Err(CommandError::Stopped(_))) {
            *loaded = Some(Read::Stopped(stopped));
        }
        answer.map(Some)
    }

    async fn settle(
        &self,
        inner: &Inner,
        listed: &mut Listed,
        backend: &BackendEntry,
        settlement: &Settlement,
    ) -> Result<RollbackView, CommandError> {
        let (now, key) = (inner.clock.now(), listed.view.key.clone());
        let limits = inner.catalog.services.get(&key).map(|service| service.limits);
        let moment = Moment::new(now, limits.unwrap_or_default().fact_age_max);
        let access = inner.access().for_service(&key);
        let standstill = match stopped::settle(listed, settlement, &access, moment, backend) {
            Ok(standstill) => standstill,
            Err(denied) => return Err(Self::denied(inner, *denied).await),
        };
        let stored = self.stand_still(inner, listed, standstill, None, now).await;
        stored.map_err(|error| decided_elsewhere(&error))?;
        Ok(listed.view.clone())
    }

    /// Puts a denial on record, which changes nothing about the rollback, and says what whoever asked is
    /// told.
    async fn denied(inner: &Inner, denied: Denied) -> CommandError {
        match inner.store.append(denied.standstill.draft).await {
            Ok(()) => {
                inner.written();
                CommandError::Denied(denied.text)
            }
            Err(error) => not_recorded(&error),
        }
    }

    /// Writes into a journal that replays again that it was left alone, so that a person can release
    /// it as any other.
    async fn put_aside(
        &self,
        inner: &Inner,
        again: Loaded,
        stood: &RollbackView,
        since: Timestamp,
    ) -> Result<Loaded, StoreError> {
        let Loaded { rollback, entries } = again;
        if rollback.view().put_aside.is_some() {
            // Whoever wrote it before died before the release was stored.
            return Ok(Loaded { rollback, entries });
        }
        let event = Event::PutAside(0);
        let transition = rollback.step(since, event.clone());
        let mut commit = self.commit(inner, &transition, entries).await?;
        commit.entry = Some(Entry::decided(since, event, &transition));
        // Somebody may have settled it meanwhile, which is no entry.
        commit.stood = Some(Box::new(stood.clone()));
        inner.store.commit(commit).await?;
        Ok(Loaded { rollback: transition.rollback, entries: entries.saturating_add(1) })
    }
}

impl Engine {
    /// Rollbacks that are quarantined because their journals do not replay to the stored state.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    pub async fn stopped(&self) -> Result<Vec<RollbackView>, StoreError> {
        let mut found = Vec::new();
        for id in self.put_aside().await? {
            found.extend(self.rollback(&id).await?.filter(stopped::is_stopped));
        }
        Ok(found)
    }
}
