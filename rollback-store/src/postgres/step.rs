//! A step: journal, view, slot, audit records and notices, in one transaction. Rows are locked in
//! one order: claim, rollback, end of the audit chain, notices.

use super::fault::Fault;
use super::link::{Done, Link};
use super::{audit, listen, outbox};
use crate::notices;
use crate::rows;
use crate::rules::{Found, Granted, check_place, check_shape, check_stood, granted};
use crate::value::{Answer, corrupt, int, millis, moment, names, parsed, to_json, uint};
use rollback_core::ports::{Claim, Commit, Committed, Instance, Journal, StoreError};
use rollback_core::{DeployId, Purpose, RollbackId, Timestamp};
use std::time::Duration;

/// A commit with everything written out that can be written out beforehand.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) commit: Commit,
    opening: Option<String>,
    entry: Option<String>,
    view: String,
    notices: Vec<notices::New>,
    /// The time by which claims are judged; none for the database's own.
    judged_at: Option<i64>,
}

impl Step {
    pub(super) fn prepare(mut commit: Commit, judged_at: Option<i64>) -> Answer<Self> {
        check_shape(&commit)?;
        Ok(Self {
            opening: commit.opening.as_ref().map(|o| to_json("the opening", o)).transpose()?,
            entry: commit.entry.as_ref().map(|e| to_json("the entry", e)).transpose()?,
            view: to_json("the view", &commit.view)?,
            notices: notices::written(std::mem::take(&mut commit.notices))?,
            commit,
            judged_at,
        })
    }

    /// Takes the step, or refuses it with the first condition that does not hold.
    pub(super) async fn take(&self, db: &mut Link) -> Done<Committed> {
        self.check_claim(db).await?;
        let found = self.check_journal(db).await?;
        self.check_slot(db).await?;
        self.forget_attempts(db).await?;
        let (number, entries) = match found {
            Some(found) => (self.update(db, &found).await?, found.entries),
            None => (self.insert(db).await?, 0),
        };
        let mut told = entries;
        if let Some(entry) = &self.entry {
            told = entries.saturating_add(1);
            db.execute(
                "INSERT INTO entry (rollback, number, entry) VALUES ($1, $2, $3)",
                &[&number, &told, entry],
            )
            .await?;
        }
        let records = audit::append(db, &self.commit.drafts).await?;
        outbox::queue(db, &self.notices).await?;
        let word = listen::step(&self.commit.rollback, told.unsigned_abs());
        db.execute(listen::TELL, &[&word]).await?;
        Ok(Committed::new(records))
    }

    /// Locks the claim: nobody takes it over before the step is there.
    async fn check_claim(&self, db: &mut Link) -> Done<()> {
        let Some(claim) = &self.commit.claim else { return Ok(()) };
        let row = db
            .first(
                "SELECT owner, fence, expires_at
                     > coalesce($2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
                 FROM claim WHERE rollback = $1 FOR UPDATE",
                &[&claim.rollback.as_str(), &self.judged_at],
            )
            .await?;
        let held = match row {
            Some(row) => {
                let (owner, fence, lasts): (String, i64, bool) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                owner == claim.owner.as_str() && fence == int(claim.fence) && lasts
            }
            None => false,
        };
        if held { Ok(()) } else { Err(StoreError::ClaimLost(claim.rollback.clone()).into()) }
    }

    /// Whoever stored a step was not ended by the work before it.
    async fn forget_attempts(&self, db: &mut Link) -> Done<()> {
        let Commit { claim: Some(claim), begins_work, .. } = &self.commit else { return Ok(()) };
        let id = claim.rollback.as_str();
        if *begins_work {
            let first = "INSERT INTO attempt (rollback, count, name) VALUES ($1, 1, '')
                 ON CONFLICT (rollback) DO UPDATE SET count = 1, name = ''";
            db.execute(first, &[&id]).await?;
        } else {
            db.execute("DELETE FROM attempt WHERE rollback = $1", &[&id]).await?;
        }
        Ok(())
    }

    async fn check_journal(&self, db: &mut Link) -> Done<Option<Found>> {
        let row = db
            .first(
                "SELECT number, entries, service, environment FROM rollback
                 WHERE id = $1 FOR UPDATE",
                &[&self.commit.rollback.as_str()],
            )
            .await?;
        let found = row.map(|row| {
            Ok(Found {
                number: row.try_get(0)?,
                entries: row.try_get(1)?,
                service: row.try_get(2)?,
                environment: row.try_get(3)?,
            })
        });
        let found = found.transpose().map_err(|error: tokio_postgres::Error| Fault::from(error))?;
        check_place(&self.commit, found.as_ref())?;
        if self.commit.stood.is_some()
            && let Some(found) = &found
        {
            self.check_stood(db, found).await?;
        }
        Ok(found)
    }

    /// Reads a row that is locked by now.
    async fn check_stood(&self, db: &mut Link, found: &Found) -> Done<()> {
        let id = self.commit.rollback.as_str();
        let row = db.first("SELECT view FROM rollback WHERE number = $1", &[&found.number]).await?;
        match row {
            Some(row) => {
                let view: String = row.try_get(0)?;
                Ok(check_stood(&self.commit, &rows::view(id, &view)?)?)
            }
            None => Err(StoreError::MovedOn(self.commit.rollback.clone()).into()),
        }
    }

    /// Who holds the service already. Whoever takes it at the same moment meets the unique index.
    async fn check_slot(&self, db: &mut Link) -> Done<()> {
        if !self.commit.holds_service {
            return Ok(());
        }
        let (service, environment) = names(&self.commit.view.key);
        let row = db
            .first(
                "SELECT id FROM rollback
                 WHERE service = $1 AND environment = $2 AND holds_service AND id <> $3",
                &[&service, &environment, &self.commit.rollback.as_str()],
            )
            .await?;
        match row {
            None => Ok(()),
            Some(row) => {
                let id = parsed(row.try_get(0)?, || "the holder of a service".into())?;
                Err(StoreError::ServiceHeld(id).into())
            }
        }
    }

    async fn insert(&self, db: &mut Link) -> Done<i64> {
        let Commit { view, holds_service, was_ordered, rollback, .. } = &self.commit;
        let (service, environment) = names(&view.key);
        let row = db
            .first(
                "INSERT INTO rollback (id, service, environment, drill, from_revision, opened_at,
                     entries, view, state, is_end, ended_at, was_ordered, holds_service, put_aside,
                     deploy, prominence)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
                 ON CONFLICT (id) DO NOTHING RETURNING number",
                &[
                    &view.id.as_str(),
                    &service,
                    &environment,
                    &(view.purpose == Purpose::Drill),
                    &view.from.revision.as_str(),
                    &millis(view.opened_at),
                    &i64::from(self.entry.is_some()),
                    &self.view,
                    &view.state.as_str(),
                    &view.state.is_end(),
                    &view.ended_at.map(millis),
                    was_ordered,
                    holds_service,
                    &view.put_aside.is_some(),
                    &view.deploy.as_ref().map(DeployId::as_str),
                    &view.prominence().rank(),
                ],
            )
            .await?;
        // Somebody opened it at the same moment.
        let row = row.ok_or_else(|| StoreError::MovedOn(rollback.clone()))?;
        let number: i64 = row.try_get(0)?;
        db.execute(
            "INSERT INTO opening (rollback, opening) VALUES ($1, $2)",
            &[&number, &self.opening],
        )
        .await?;
        Ok(number)
    }

    async fn update(&self, db: &mut Link, found: &Found) -> Done<i64> {
        let Commit { view, holds_service, was_ordered, .. } = &self.commit;
        db.execute(
            "UPDATE rollback SET entries = entries + $2, view = $3, state = $4, is_end = $5,
                 ended_at = $6, was_ordered = $7, holds_service = $8, put_aside = $9,
                 prominence = $10
             WHERE number = $1",
            &[
                &found.number,
                &i64::from(self.entry.is_some()),
                &self.view,
                &view.state.as_str(),
                &view.state.is_end(),
                &view.ended_at.map(millis),
                was_ordered,
                holds_service,
                &view.put_aside.is_some(),
                &view.prominence().rank(),
            ],
        )
        .await?;
        Ok(found.number)
    }
}

/// A whole journal. Every entry is there, or it is an error.
pub(super) async fn load(db: &mut Link, id: &RollbackId) -> Done<Option<Journal>> {
    let row = db
        .first(
            "SELECT rollback.number, entries, opening FROM rollback
             LEFT JOIN opening ON opening.rollback = rollback.number WHERE id = $1",
            &[&id.as_str()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (number, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let opening: Option<String> = row.try_get(2)?;
    let entries = db
        .all("SELECT number, entry FROM entry WHERE rollback = $1 ORDER BY number", &[&number])
        .await?;
    let entries = entries.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let entries: Vec<(i64, String)> = entries.collect::<Done<_>>()?;
    Ok(Some(rows::journal(id, opening, count, &entries)?))
}

/// Somebody who wants a claim.
#[derive(Debug)]
pub(super) struct Claimant {
    pub(super) id: RollbackId,
    pub(super) owner: Instance,
    pub(super) now: Timestamp,
    pub(super) lease: Duration,
    pub(super) judged_at: Option<i64>,
}

/// A claim as it is stored, and the time by which it is judged.
struct Held {
    owner: String,
    fence: i64,
    expires_at: i64,
    judged_at: i64,
}

impl Claimant {
    /// Grants, renews or takes over a claim. By the database's clock it expires there later than
    /// here, where time is counted from before the question.
    /// Answers with the time by which it was judged, too, where that was compared.
    pub(super) async fn claim(&self, db: &mut Link) -> Done<(Option<Claim>, Option<i64>)> {
        let lease = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        let Some(held) = self.held(db).await? else {
            return self.first(db, lease).await.map(|claim| (Some(claim), None));
        };
        let (owner, judged_at) = (self.owner.as_str(), Some(held.judged_at));
        let known = Some((held.owner.as_str(), held.expires_at));
        let (fence, expires_at) = match granted(known, owner, held.judged_at, lease) {
            Granted::Nothing => return Ok((None, judged_at)),
            Granted::Again(expires_at) => (held.fence, expires_at),
            Granted::Anew(expires_at) => (next_fence(db).await?, expires_at),
        };
        db.execute(
            "UPDATE claim SET owner = $2, fence = $3, expires_at = $4 WHERE rollback = $1",
            &[&self.id.as_str(), &self.owner.as_str(), &fence, &expires_at],
        )
        .await?;
        self.granted(fence, expires_at).map(|claim| (Some(claim), judged_at))
    }

    async fn held(&self, db: &mut Link) -> Done<Option<Held>> {
        let row = db
            .first(
                "SELECT owner, fence, expires_at,
                     coalesce($2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
                 FROM claim WHERE rollback = $1 FOR UPDATE",
                &[&self.id.as_str(), &self.judged_at],
            )
            .await?;
        row.map(|row| {
            Ok(Held {
                owner: row.try_get(0)?,
                fence: row.try_get(1)?,
                expires_at: row.try_get(2)?,
                judged_at: row.try_get(3)?,
            })
        })
        .transpose()
    }

    async fn first(&self, db: &mut Link, lease: i64) -> Done<Claim> {
        let fence = next_fence(db).await?;
        let row = db
            .first(
                "INSERT INTO claim (rollback, owner, fence, expires_at)
                 VALUES ($1, $2, $3,
                     coalesce($4, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) + $5)
                 ON CONFLICT (rollback) DO NOTHING RETURNING expires_at",
                &[&self.id.as_str(), &self.owner.as_str(), &fence, &self.judged_at, &lease],
            )
            .await?;
        let row = row.ok_or_else(|| Fault::Again("somebody claimed it just now".into()))?;
        self.granted(fence, row.try_get(0)?)
    }

    fn granted(&self, fence: i64, expires_at: i64) -> Done<Claim> {
        let what = || format!("the claim on rollback `{}`", self.id);
        let expires_at = match self.judged_at {
            Some(_) => moment(expires_at, what)?,
            None => self.now.after(self.lease),
        };
        Ok(Claim::new(self.id.clone(), self.owner.clone(), uint(fence, what)?, expires_at))
    }
}

/// Writes, and answers with the database's time.
pub(super) async fn ping(db: &mut Link) -> Done<Option<i64>> {
    let row = db
        .first(
            "UPDATE counter SET value = value + 1 WHERE name = 'ping'
             RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn next_fence(db: &mut Link) -> Done<i64> {
    let row = db
        .first("UPDATE counter SET value = value + 1 WHERE name = 'fence' RETURNING value", &[])
        .await?;
    let row = row.ok_or_else(|| corrupt("the fencing counter", "it is missing"))?;
    Ok(row.try_get(0)?)
}

async fn insist_on(db: &mut Link, claim: &Claim) -> Done<()> {
    let row = db
        .first(
            "SELECT 1 FROM claim WHERE rollback = $1 AND owner = $2 AND fence = $3 FOR UPDATE",
            &[&claim.rollback.as_str(), &claim.owner.as_str(), &int(claim.fence)],
        )
        .await?;
    if row.is_some() { Ok(()) } else { Err(StoreError::ClaimLost(claim.rollback.clone()).into()) }
}

/// How many attempts are not known to be over.
pub(super) async fn attempts(db: &mut Link, id: &RollbackId) -> Done<u32> {
    let question = "SELECT count FROM attempt WHERE rollback = $1";
    let row = db.first(question, &[&id.as_str()]).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Forgets the attempts: the last one is over.
pub(super) async fn survived(db: &mut Link, claim: &Claim) -> Done<()> {
    insist_on(db, claim).await?;
    db.execute("DELETE FROM attempt WHERE rollback = $1", &[&claim.rollback.as_str()]).await?;
    Ok(())
}

/// Counts an attempt, unless it is the one that was counted last.
pub(super) async fn attempt(db: &mut Link, claim: &Claim, name: &str) -> Done<u32> {
    insist_on(db, claim).await?;
    let row = db
        .first(
            "INSERT INTO attempt (rollback, count, name) VALUES ($1, 1, $2)
             ON CONFLICT (rollback) DO UPDATE
             SET count = attempt.count + (attempt.name <> excluded.name)::int, name = excluded.name
             RETURNING count",
            &[&claim.rollback.as_str(), &name],
        )
        .await?;
    let count: i64 = row.map_or(Ok(i64::MAX), |row| row.try_get(0))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(super) async fn release(db: &mut Link, claim: &Claim) -> Done<()> {
    let given_back = db
        .execute(
            "DELETE FROM claim WHERE rollback = $1 AND owner = $2 AND fence = $3",
            &[&claim.rollback.as_str(), &claim.owner.as_str(), &int(claim.fence)],
        )
        .await?;
    if given_back > 0 {
        db.execute("DELETE FROM attempt WHERE rollback = $1", &[&claim.rollback.as_str()]).await?;
    }
    Ok(())
}
