//! What is known of services: rollbacks in lists, deploys, freezes, what is bad.

use super::value::{
    Answer, all, execute, first, from_json, limit, millis, moment, names, parsed, to_json,
};
use super::{audit, outbox};
use crate::notices::New;
use crate::questions::{columns_of_list, is_listed, list_question, rollbacks};
use crate::rows::{self, Card};
use rollback_core::audit::Draft;
use rollback_core::change::{freeze, why_bad};
use rollback_core::notice::DeployCard;
use rollback_core::observed::{Freeze, LastRollback, LatestDeploy, ServiceRecord};
use rollback_core::ports::{Listed, Query, SavedDeploy};
use rollback_core::{
    Deploy, DeployId, Label, RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp,
};
use rusqlite::{Connection, Params, ToSql, params};
use std::time::Duration;

/// Rollbacks, newest first.
pub(super) fn list(db: &Connection, query: &Query) -> Answer<Vec<Listed>> {
    let (columns, limit) = (columns_of_list(query), limit(query.limit));
    let mut values: Vec<&dyn ToSql> = Vec::with_capacity(columns.len().saturating_add(1));
    for name in &columns {
        values.push(name);
    }
    values.push(&limit);
    let rows: Vec<(String, String, i64, (bool, bool))> =
        all(db, question(query), values.as_slice(), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, (row.get(3)?, row.get(4)?)))
        })?;
    let listed =
        rows.into_iter().map(|(id, view, entries, flags)| rows::listed(&id, &view, entries, flags));
    let listed = listed.collect::<Answer<Vec<Listed>>>()?;
    Ok(listed.into_iter().filter(|listed| is_listed(query, &listed.view)).collect())
}

pub(super) fn question(query: &Query) -> &'static str {
    list_question!("?", query)
}

/// What a deploy message shows, by the index `rollback_shown`.
pub(super) const SHOWN: &str = "SELECT id, view FROM rollback
    WHERE deploy = ?1 AND prominence > 0
    ORDER BY prominence DESC, opened_at DESC, number DESC LIMIT 1";

pub(super) fn shown(db: &Connection, deploy: &DeployId) -> Answer<Option<RollbackView>> {
    let row: Option<(String, String)> =
        first(db, SHOWN, [deploy.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    row.map(|(id, view)| rows::view(&id, &view)).transpose()
}

pub(super) fn unattended(db: &Connection, now: Timestamp) -> Answer<Vec<RollbackId>> {
    let question = "SELECT id FROM rollback
        WHERE (is_end = 0 OR holds_service = 1) AND put_aside = 0 AND NOT EXISTS
            (SELECT 1 FROM claim WHERE claim.rollback = rollback.id AND expires_at > ?1)
        ORDER BY number";
    ids(db, question, [millis(now)])
}

pub(super) fn put_aside(db: &Connection) -> Answer<Vec<RollbackId>> {
    ids(db, "SELECT id FROM rollback WHERE put_aside = 1 ORDER BY number", [])
}

fn ids(db: &Connection, question: &'static str, values: impl Params) -> Answer<Vec<RollbackId>> {
    let rows: Vec<String> = all(db, question, values, |row| row.get(0))?;
    rows.into_iter().map(|id| parsed(id, || "the id of a rollback".into())).collect()
}

/// What is known of a service. Drills leave no trace in it.
pub(super) fn record(db: &Connection, key: &ServiceKey) -> Answer<ServiceRecord> {
    let mut record = ServiceRecord::default();
    record.in_flight = in_flight(db, key)?;
    record.last_rollback = last_rollback(db, key)?;
    let (service, environment) = names(key);
    let what = || format!("the rollbacks of {key}");
    // The states are those of `rules::led_away`; a test holds the two together.
    let left: Vec<String> = all(
        db,
        "SELECT DISTINCT from_revision FROM rollback
         WHERE service = ?1 AND environment = ?2 AND was_ordered = 1 AND drill = 0
             AND state IN ('succeeded', 'not_verified', 'outcome_unknown')",
        [service, environment],
        |row| row.get(0),
    )?;
    record.rolled_back_from =
        left.into_iter().map(|revision| parsed(revision, what)).collect::<Result<_, _>>()?;
    let bad: Vec<(String, String)> = all(
        db,
        "SELECT revision, why FROM bad WHERE service = ?1 AND environment = ?2",
        [service, environment],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (revision, why) in bad {
        record.marked_bad.insert(parsed(revision, what)?, Label::new(why));
    }
    record.latest_deploy = deploys(db, key, 1)?
        .pop()
        .map(|deploy| LatestDeploy::new(deploy.id, deploy.revision, deploy.deployed_at));
    Ok(record)
}

fn in_flight(db: &Connection, key: &ServiceKey) -> Answer<Option<RollbackId>> {
    let (service, environment) = names(key);
    let holder: Option<String> = first(
        db,
        "SELECT id FROM rollback
         WHERE service = ?1 AND environment = ?2 AND holds_service = 1 AND drill = 0",
        [service, environment],
        |row| row.get(0),
    )?;
    holder.map(|id| parsed(id, || format!("the holder of {key}"))).transpose()
}

fn last_rollback(db: &Connection, key: &ServiceKey) -> Answer<Option<LastRollback>> {
    let (service, environment) = names(key);
    let last: Option<(String, i64)> = first(
        db,
        "SELECT id, ended_at FROM rollback
         WHERE service = ?1 AND environment = ?2 AND was_ordered = 1 AND drill = 0
             AND is_end = 1 AND ended_at IS NOT NULL
         ORDER BY ended_at DESC, number DESC LIMIT 1",
        [service, environment],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let what = || format!("the last rollback of {key}");
    last.map(|(id, at)| Ok(LastRollback::new(parsed(id, what)?, moment(at, what)?))).transpose()
}

/// Keeps a deploy, unless it was reported before.
pub(super) fn save(db: &Connection, card: &Card) -> Answer<SavedDeploy> {
    let (service, environment) = names(&card.key);
    let new = execute(
        db,
        "INSERT INTO deploy (id, service, environment, deployed_at, card)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        params![card.id.as_str(), service, environment, card.deployed_at, card.json],
    )?;
    if new == 0 {
        return Ok(SavedDeploy::Known);
    }
    outbox::queue(db, &card.notices)?;
    Ok(SavedDeploy::New)
}

/// Replaces what is kept of a deploy, unless it is not known.
pub(super) fn update(db: &Connection, card: &Card) -> Answer<()> {
    let (service, environment) = names(&card.key);
    let known = execute(
        db,
        "UPDATE deploy SET service = ?2, environment = ?3, deployed_at = ?4, card = ?5
         WHERE id = ?1",
        params![card.id.as_str(), service, environment, card.deployed_at, card.json],
    )?;
    if known > 0 { outbox::queue(db, &card.notices) } else { Ok(()) }
}

pub(super) fn deploy(db: &Connection, id: &DeployId) -> Answer<Option<DeployCard>> {
    let card: Option<String> =
        first(db, "SELECT card FROM deploy WHERE id = ?1", [id.as_str()], |row| row.get(0))?;
    card.map(|card| from_json(&card, || format!("deploy `{id}`"))).transpose()
}

pub(super) fn deploys(db: &Connection, key: &ServiceKey, wanted: usize) -> Answer<Vec<Deploy>> {
    let (service, environment) = names(key);
    let rows: Vec<(String, String)> = all(
        db,
        "SELECT id, card FROM deploy WHERE service = ?1 AND environment = ?2
         ORDER BY deployed_at DESC, number DESC LIMIT ?3",
        params![service, environment, limit(wanted)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    rows.iter().map(|(id, card)| rows::deploy_of(key, id, card)).collect()
}

/// Changes what holds for a service, with its record and its notices; says whether it changed anything.
pub(super) fn change(
    db: &Connection,
    key: &ServiceKey,
    change: &ServiceChange,
    record: &Draft,
    notices: &[New],
) -> Answer<bool> {
    let (service, environment) = names(key);
    let changed = match change {
        ServiceChange::Freeze { name, until, .. } => execute(
            db,
            "INSERT INTO freeze (service, environment, name, freeze, ends_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (service, environment, name)
             DO UPDATE SET freeze = excluded.freeze, ends_at = excluded.ends_at",
            params![
                service,
                environment,
                name.as_str(),
                to_json("the freeze", &freeze(name, *until, record))?,
                until.map(millis)
            ],
        )?,
        ServiceChange::Unfreeze { name, .. } => execute(
            db,
            "DELETE FROM freeze WHERE service = ?1 AND environment = ?2 AND name = ?3",
            [service, environment, name.as_str()],
        )?,
        ServiceChange::MarkBad { revision, .. } => execute(
            db,
            "INSERT INTO bad (service, environment, revision, why) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (service, environment, revision) DO UPDATE SET why = excluded.why",
            [service, environment, revision.as_str(), why_bad(record).as_str()],
        )?,
        ServiceChange::UnmarkBad { revision, .. } => execute(
            db,
            "DELETE FROM bad WHERE service = ?1 AND environment = ?2 AND revision = ?3",
            [service, environment, revision.as_str()],
        )?,
    };
    if changed == 0 {
        return Ok(false);
    }
    audit::append(db, vec![record.clone()])?;
    outbox::queue(db, notices)?;
    Ok(true)
}

pub(super) fn freezes(db: &Connection, key: &ServiceKey) -> Answer<Vec<Freeze>> {
    let (service, environment) = names(key);
    let rows: Vec<String> = all(
        db,
        "SELECT freeze FROM freeze WHERE service = ?1 AND environment = ?2 ORDER BY name",
        [service, environment],
        |row| row.get(0),
    )?;
    rows.iter().map(|row| from_json(row, || format!("a freeze of {key}"))).collect()
}

/// Remembers digests, unless one of them is known.
pub(super) fn see(
    db: &Connection,
    digests: &[[u8; 32]],
    now: Timestamp,
    keep: Duration,
) -> Answer<bool> {
    for digest in digests {
        let known: Option<i64> = first(
            db,
            "SELECT 1 FROM seen WHERE digest = ?1 AND kept_until > ?2",
            params![digest.as_slice(), millis(now)],
            |row| row.get(0),
        )?;
        if known.is_some() {
            return Ok(false);
        }
    }
    for digest in digests {
        execute(
            db,
            "INSERT INTO seen (digest, kept_until) VALUES (?1, ?2)
             ON CONFLICT (digest) DO UPDATE SET kept_until = excluded.kept_until",
            params![digest.as_slice(), millis(now.after(keep))],
        )?;
    }
    Ok(true)
}

/// Whether anything was ever written but what opening the file writes.
pub(super) fn has_been_used(db: &Connection) -> Answer<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM counter WHERE value > 0) \
               OR EXISTS (SELECT 1 FROM deploy) OR EXISTS (SELECT 1 FROM rollback)";
    first(db, sql, [], |row| row.get(0)).map(|found| found.unwrap_or(false))
}
