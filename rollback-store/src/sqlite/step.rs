//! A step: journal, view, slot, audit records and notices, in one savepoint.

use super::value::{
    Answer, all, corrupt, execute, first, int, millis, moment, names, parsed, to_json, uint,
};
use super::{audit, outbox};
use crate::notices;
use crate::rows;
use crate::rules::{Found, Granted, check_place, check_shape, check_stood, granted};
use rollback_core::ports::{Claim, Commit, Committed, Instance, Journal, StoreError};
use rollback_core::{DeployId, Label, Purpose, RollbackId, Timestamp};
use rusqlite::{Connection, params};
use std::time::Duration;

/// A commit with everything written out that can be written out before the writer's turn.
#[derive(Debug)]
pub(super) struct Step {
    commit: Commit,
    opening: Option<String>,
    entry: Option<String>,
    view: String,
    notices: Vec<notices::New>,
}

impl Step {
    /// Writes out the parts of a commit; whoever calls pays for it, not the writer.
    pub(super) fn prepare(mut commit: Commit) -> Answer<Self> {
        check_shape(&commit)?;
        Ok(Self {
            opening: commit.opening.as_ref().map(|o| to_json("the opening", o)).transpose()?,
            entry: commit.entry.as_ref().map(|e| to_json("the entry", e)).transpose()?,
            view: to_json("the view", &commit.view)?,
            notices: notices::written(std::mem::take(&mut commit.notices))?,
            commit,
        })
    }

    /// Takes the step, or refuses it with the first condition that does not hold.
    pub(super) fn take(mut self, db: &Connection) -> Answer<Committed> {
        self.check_claim(db)?;
        let found = self.check_journal(db)?;
        self.check_slot(db)?;
        self.forget_attempts(db)?;
        let (number, entries) = match found {
            Some(found) => (self.update(db, &found)?, found.entries),
            None => (self.insert(db)?, 0),
        };
        if let Some(entry) = &self.entry {
            execute(
                db,
                "INSERT INTO entry (rollback, number, entry) VALUES (?1, ?2, ?3)",
                params![number, entries.saturating_add(1), entry],
            )?;
        }
        let records = audit::append(db, std::mem::take(&mut self.commit.drafts))?;
        outbox::queue(db, &self.notices)?;
        Ok(Committed::new(records))
    }

    fn check_claim(&self, db: &Connection) -> Answer<()> {
        let Some(claim) = &self.commit.claim else { return Ok(()) };
        let held = held(db, &claim.rollback)?.is_some_and(|held| {
            held.owner == claim.owner
                && held.fence == claim.fence
                && self.commit.at < held.expires_at
        });
        if held { Ok(()) } else { Err(StoreError::ClaimLost(claim.rollback.clone())) }
    }

    /// Whoever stored a step was not ended by the work before it.
    fn forget_attempts(&self, db: &Connection) -> Answer<()> {
        let Commit { claim: Some(claim), begins_work, .. } = &self.commit else { return Ok(()) };
        let id = claim.rollback.as_str();
        if *begins_work {
            let first = "INSERT INTO attempt (rollback, count, name) VALUES (?1, 1, '')
                 ON CONFLICT (rollback) DO UPDATE SET count = 1, name = ''";
            execute(db, first, [id])?;
        } else {
            execute(db, "DELETE FROM attempt WHERE rollback = ?1", [id])?;
        }
        Ok(())
    }

    fn check_journal(&self, db: &Connection) -> Answer<Option<Found>> {
        let found = first(
            db,
            "SELECT number, entries, service, environment FROM rollback WHERE id = ?1",
            [self.commit.rollback.as_str()],
            |row| {
                Ok(Found {
                    number: row.get(0)?,
                    entries: row.get(1)?,
                    service: row.get(2)?,
                    environment: row.get(3)?,
                })
            },
        )?;
        check_place(&self.commit, found.as_ref())?;
        if self.commit.stood.is_some()
            && let Some(found) = &found
        {
            self.check_stood(db, found)?;
        }
        Ok(found)
    }

    fn check_stood(&self, db: &Connection, found: &Found) -> Answer<()> {
        let id = self.commit.rollback.as_str();
        let row: Option<String> =
            first(db, "SELECT view FROM rollback WHERE number = ?1", [found.number], |row| {
                row.get(0)
            })?;
        match row {
            Some(view) => check_stood(&self.commit, &rows::view(id, &view)?),
            None => Err(StoreError::MovedOn(self.commit.rollback.clone())),
        }
    }

    fn check_slot(&self, db: &Connection) -> Answer<()> {
        if !self.commit.holds_service {
            return Ok(());
        }
        let (service, environment) = names(&self.commit.view.key);
        let holder: Option<String> = first(
            db,
            "SELECT id FROM rollback
             WHERE service = ?1 AND environment = ?2 AND holds_service = 1 AND id <> ?3",
            [service, environment, self.commit.rollback.as_str()],
            |row| row.get(0),
        )?;
        match holder {
            None => Ok(()),
            Some(id) => {
                let id = parsed(id, || "the holder of a service".into())?;
                Err(StoreError::ServiceHeld(id))
            }
        }
    }

    fn insert(&self, db: &Connection) -> Answer<i64> {
        let Commit { view, holds_service, was_ordered, .. } = &self.commit;
        let (service, environment) = names(&view.key);
        execute(
            db,
            "INSERT INTO rollback (id, service, environment, drill, from_revision, opened_at,
                 entries, view, state, is_end, ended_at, was_ordered, holds_service, put_aside,
                 deploy, prominence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            params![
                view.id.as_str(),
                service,
                environment,
                view.purpose == Purpose::Drill,
                view.from.revision.as_str(),
                millis(view.opened_at),
                i64::from(self.entry.is_some()),
                self.view,
                view.state.as_str(),
                view.state.is_end(),
                view.ended_at.map(millis),
                was_ordered,
                holds_service,
                view.put_aside.is_some(),
                view.deploy.as_ref().map(DeployId::as_str),
                view.prominence().rank(),
            ],
        )?;
        let number = db.last_insert_rowid();
        execute(
            db,
            "INSERT INTO opening (rollback, opening) VALUES (?1, ?2)",
            params![number, self.opening],
        )?;
        Ok(number)
    }

    fn update(&self, db: &Connection, found: &Found) -> Answer<i64> {
        let Commit { view, holds_service, was_ordered, .. } = &self.commit;
        execute(
            db,
            "UPDATE rollback SET entries = entries + ?2, view = ?3, state = ?4, is_end = ?5,
                 ended_at = ?6, was_ordered = ?7, holds_service = ?8, put_aside = ?9,
                 prominence = ?10
             WHERE number = ?1",
            params![
                found.number,
                i64::from(self.entry.is_some()),
                self.view,
                view.state.as_str(),
                view.state.is_end(),
                view.ended_at.map(millis),
                was_ordered,
                holds_service,
                view.put_aside.is_some(),
                view.prominence().rank(),
            ],
        )?;
        Ok(found.number)
    }
}

/// A whole journal. Every entry is there, or it is an error.
pub(super) fn load(db: &Connection, id: &RollbackId) -> Answer<Option<Journal>> {
    let found: Option<(i64, i64)> =
        first(db, "SELECT number, entries FROM rollback WHERE id = ?1", [id.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let Some((number, count)) = found else { return Ok(None) };
    let opening: Option<String> =
        first(db, "SELECT opening FROM opening WHERE rollback = ?1", [number], |row| row.get(0))?;
    let entries: Vec<(i64, String)> = all(
        db,
        "SELECT number, entry FROM entry WHERE rollback = ?1 ORDER BY number",
        [number],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    rows::journal(id, opening, count, &entries).map(Some)
}

fn held(db: &Connection, id: &RollbackId) -> Answer<Option<Claim>> {
    let row: Option<(String, i64, i64)> = first(
        db,
        "SELECT owner, fence, expires_at FROM claim WHERE rollback = ?1",
        [id.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let what = || format!("the claim on rollback `{id}`");
    row.map(|(owner, fence, expires_at)| {
        let owner = Instance::new(owner);
        Ok(Claim::new(id.clone(), owner, uint(fence, what)?, moment(expires_at, what)?))
    })
    .transpose()
}

/// Grants, renews or takes over a claim.
pub(super) fn claim(
    db: &Connection,
    id: &RollbackId,
    owner: &Instance,
    now: Timestamp,
    lease: Duration,
) -> Answer<Option<Claim>> {
    let held = held(db, id)?;
    let known = held.as_ref().map(|held| (held.owner.as_str(), millis(held.expires_at)));
    let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    let (fence, expires_at) = match granted(known, owner.as_str(), millis(now), lease) {
        Granted::Nothing => return Ok(None),
        Granted::Again(expires_at) => {
            let fence = held.map_or_else(|| next_fence(db), |held| Ok(held.fence))?;
            (fence, expires_at)
        }
        Granted::Anew(expires_at) => (next_fence(db)?, expires_at),
    };
    let expires_at = moment(expires_at, || format!("the claim on rollback `{id}`"))?;
    let claim = Claim::new(id.clone(), owner.clone(), fence, expires_at);
    execute(
        db,
        "INSERT INTO claim (rollback, owner, fence, expires_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (rollback) DO UPDATE
         SET owner = excluded.owner, fence = excluded.fence, expires_at = excluded.expires_at",
        params![id.as_str(), owner.as_str(), int(claim.fence), millis(claim.expires_at)],
    )?;
    Ok(Some(claim))
}

fn next_fence(db: &Connection) -> Answer<u64> {
    let fence: Option<i64> = first(
        db,
        "UPDATE counter SET value = value + 1 WHERE name = 'fence' RETURNING value",
        [],
        |row| row.get(0),
    )?;
    let what = || "the fencing counter".to_string();
    uint(fence.ok_or_else(|| corrupt(what(), "it is missing"))?, what)
}

fn insist_on(db: &Connection, claim: &Claim) -> Answer<()> {
    let is_ours = held(db, &claim.rollback)?
        .is_some_and(|held| held.owner == claim.owner && held.fence == claim.fence);
    if is_ours { Ok(()) } else { Err(StoreError::ClaimLost(claim.rollback.clone())) }
}

/// How many attempts are not known to be over.
pub(super) fn attempts(db: &Connection, id: &RollbackId) -> Answer<u32> {
    let question = "SELECT count FROM attempt WHERE rollback = ?1";
    let count: Option<i64> = first(db, question, [id.as_str()], |row| row.get(0))?;
    Ok(count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)))
}

/// Forgets the attempts: the last one is over.
pub(super) fn survived(db: &Connection, claim: &Claim) -> Answer<()> {
    insist_on(db, claim)?;
    execute(db, "DELETE FROM attempt WHERE rollback = ?1", [claim.rollback.as_str()])?;
    Ok(())
}

/// Counts an attempt, unless it is the one that was counted last.
pub(super) fn attempt(db: &Connection, claim: &Claim, name: &Label) -> Answer<u32> {
    insist_on(db, claim)?;
    let count: Option<i64> = first(
        db,
        "INSERT INTO attempt (rollback, count, name) VALUES (?1, 1, ?2)
         ON CONFLICT (rollback) DO UPDATE
         SET count = count + (name <> excluded.name), name = excluded.name
         RETURNING count",
        params![claim.rollback.as_str(), name.as_str()],
        |row| row.get(0),
    )?;
    Ok(count.and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::MAX))
}

pub(super) fn release(db: &Connection, claim: &Claim) -> Answer<()> {
    let given_back = execute(
        db,
        "DELETE FROM claim WHERE rollback = ?1 AND owner = ?2 AND fence = ?3",
        params![claim.rollback.as_str(), claim.owner.as_str(), int(claim.fence)],
    )?;
    if given_back > 0 {
        execute(db, "DELETE FROM attempt WHERE rollback = ?1", [claim.rollback.as_str()])?;
    }
    Ok(())
}
