//! What is known of services: rollbacks in lists, deploys, freezes, what is bad.

use super::fault::Fault;
use super::link::{Done, Link};
use super::outbox;
use crate::rows::{self, Card};
use crate::rules::forgotten_until;
use crate::value::{from_json, limit, millis, moment, names, parsed, to_json};
use rollback_core::notice::DeployCard;
use rollback_core::observed::{Freeze, LastRollback, LatestDeploy, ServiceRecord};
use rollback_core::ports::{Listed, Query, SavedDeploy};
use rollback_core::{
    Deploy, DeployId, Label, RevisionId, RollbackId, RollbackView, ServiceKey, StateName, Timestamp,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::types::ToSql;

/// Rollbacks, newest first.
pub(super) async fn list(db: &mut Link, query: &Query) -> Done<Vec<Listed>> {
    let rows = db
        .all(
            "SELECT id, view, entries, holds_service, was_ordered FROM rollback
             WHERE ($1::text IS NULL OR service = $1) AND ($2::text IS NULL OR environment = $2)
                 AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR id = $4)
             ORDER BY opened_at DESC, number DESC LIMIT $5",
            &[
                &query.service.as_ref().map(Label::as_str),
                &query.environment.as_ref().map(Label::as_str),
                &query.state.map(StateName::as_str),
                &query.rollback.as_ref().map(RollbackId::as_str),
                &limit(query.limit),
            ],
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let (id, view): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let flags = (row.try_get(3)?, row.try_get(4)?);
            Ok(rows::listed(&id, &view, row.try_get(2)?, flags)?)
        })
        .collect()
}

/// What a deploy message shows, by the index `rollback_shown`.
pub(super) async fn shown(db: &mut Link, deploy: &DeployId) -> Done<Option<RollbackView>> {
    let row = db
        .first(
            "SELECT id, view FROM rollback WHERE deploy = $1 AND prominence > 0
             ORDER BY prominence DESC, opened_at DESC, number DESC LIMIT 1",
            &[&deploy.as_str()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (id, view): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(rows::view(&id, &view)?))
}

pub(super) async fn unattended(db: &mut Link, judged_at: Option<i64>) -> Done<Vec<RollbackId>> {
    let question = "SELECT id FROM rollback
        WHERE (NOT is_end OR holds_service) AND NOT put_aside AND NOT EXISTS
            (SELECT 1 FROM claim WHERE claim.rollback = rollback.id AND expires_at
                > coalesce($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint))
        ORDER BY number";
    ids(db, question, &[&judged_at]).await
}

pub(super) async fn put_aside(db: &mut Link) -> Done<Vec<RollbackId>> {
    ids(db, "SELECT id FROM rollback WHERE put_aside ORDER BY number", &[]).await
}

async fn ids(
    db: &mut Link,
    question: &'static str,
    values: &[&(dyn ToSql + Sync)],
) -> Done<Vec<RollbackId>> {
    let rows = db.all(question, values).await?;
    rows.into_iter()
        .map(|row| Ok(parsed(row.try_get(0)?, || "the id of a rollback".into())?))
        .collect()
}

/// What is known of a service. Drills leave no trace in it.
pub(super) async fn record(db: &mut Link, key: &ServiceKey) -> Done<ServiceRecord> {
    let mut record = ServiceRecord::default();
    record.in_flight = in_flight(db, key).await?;
    record.last_rollback = last_rollback(db, key).await?;
    let (service, environment) = names(key);
    let what = || format!("the rollbacks of {key}");
    // The states are those of `rules::led_away`; a test holds the two together.
    let left = db
        .all(
            "SELECT DISTINCT from_revision FROM rollback
             WHERE service = $1 AND environment = $2 AND was_ordered AND NOT drill
                 AND state IN ('succeeded', 'not_verified', 'outcome_unknown')",
            &[&service, &environment],
        )
        .await?;
    for row in left {
        record.rolled_back_from.insert(parsed(row.try_get(0)?, what)?);
    }
    let bad = db
        .all(
            "SELECT revision, why FROM bad WHERE service = $1 AND environment = $2",
            &[&service, &environment],
        )
        .await?;
    for row in bad {
        let why: String = row.try_get(1)?;
        record.marked_bad.insert(parsed(row.try_get(0)?, what)?, Label::new(why));
    }
    record.latest_deploy = deploys(db, key, 1)
        .await?
        .pop()
        .map(|deploy| LatestDeploy::new(deploy.id, deploy.revision, deploy.deployed_at));
    Ok(record)
}

async fn in_flight(db: &mut Link, key: &ServiceKey) -> Done<Option<RollbackId>> {
    let (service, environment) = names(key);
    let holder = db
        .first(
            "SELECT id FROM rollback
             WHERE service = $1 AND environment = $2 AND holds_service AND NOT drill",
            &[&service, &environment],
        )
        .await?;
    holder.map(|row| Ok(parsed(row.try_get(0)?, || format!("the holder of {key}"))?)).transpose()
}

async fn last_rollback(db: &mut Link, key: &ServiceKey) -> Done<Option<LastRollback>> {
    let (service, environment) = names(key);
    let last = db
        .first(
            "SELECT id, ended_at FROM rollback
             WHERE service = $1 AND environment = $2 AND was_ordered AND NOT drill
                 AND is_end AND ended_at IS NOT NULL
             ORDER BY ended_at DESC, number DESC LIMIT 1",
            &[&service, &environment],
        )
        .await?;
    let what = || format!("the last rollback of {key}");
    last.map(|row| {
        let at = moment(row.try_get(1)?, what)?;
        Ok(LastRollback::new(parsed(row.try_get(0)?, what)?, at))
    })
    .transpose()
}

/// Keeps a deploy, unless it was reported before.
pub(super) async fn save(db: &mut Link, card: &Card) -> Done<SavedDeploy> {
    let (service, environment) = names(&card.key);
    let new = db
        .execute(
            "INSERT INTO deploy (id, service, environment, deployed_at, card)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
            &[&card.id.as_str(), &service, &environment, &card.deployed_at, &card.json],
        )
        .await?;
    if new == 0 {
        return Ok(SavedDeploy::Known);
    }
    tell(db, card).await?;
    Ok(SavedDeploy::New)
}

/// Replaces what is kept of a deploy, unless it is not known.
pub(super) async fn update(db: &mut Link, card: &Card) -> Done<()> {
    let (service, environment) = names(&card.key);
    let known = db
        .execute(
            "UPDATE deploy SET service = $2, environment = $3, deployed_at = $4, card = $5
             WHERE id = $1",
            &[&card.id.as_str(), &service, &environment, &card.deployed_at, &card.json],
        )
        .await?;
    if known > 0 { tell(db, card).await } else { Ok(()) }
}

async fn tell(db: &mut Link, card: &Card) -> Done<()> {
    if card.notices.is_empty() {
        return Ok(());
    }
    outbox::queue(db, &card.notices).await?;
    outbox::tell(db).await
}

pub(super) async fn deploy(db: &mut Link, id: &DeployId) -> Done<Option<DeployCard>> {
    let row = db.first("SELECT card FROM deploy WHERE id = $1", &[&id.as_str()]).await?;
    let Some(row) = row else { return Ok(None) };
    let card: String = row.try_get(0)?;
    Ok(Some(from_json(&card, || format!("deploy `{id}`"))?))
}

pub(super) async fn deploys(db: &mut Link, key: &ServiceKey, wanted: usize) -> Done<Vec<Deploy>> {
    let (service, environment) = names(key);
    let rows = db
        .all(
            "SELECT id, card FROM deploy WHERE service = $1 AND environment = $2
             ORDER BY deployed_at DESC, number DESC LIMIT $3",
            &[&service, &environment, &limit(wanted)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (id, card): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(rows::deploy_of(key, &id, &card)?)
        })
        .collect()
}

pub(super) async fn mark_bad(
    db: &mut Link,
    key: &ServiceKey,
    revision: &RevisionId,
    why: &Label,
) -> Done<()> {
    let (service, environment) = names(key);
    db.execute(
        "INSERT INTO bad (service, environment, revision, why) VALUES ($1, $2, $3, $4)
         ON CONFLICT (service, environment, revision) DO UPDATE SET why = excluded.why",
        &[&service, &environment, &revision.as_str(), &why.as_str()],
    )
    .await?;
    Ok(())
}

pub(super) async fn freezes(db: &mut Link, key: &ServiceKey) -> Done<Vec<Freeze>> {
    let (service, environment) = names(key);
    let rows = db
        .all(
            "SELECT content FROM frozen WHERE service = $1 AND environment = $2 ORDER BY name",
            &[&service, &environment],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let freeze: String = row.try_get(0)?;
            Ok(from_json(&freeze, || format!("a freeze of {key}"))?)
        })
        .collect()
}

pub(super) async fn set_freeze(
    db: &mut Link,
    key: &ServiceKey,
    name: &Label,
    freeze: Option<&Freeze>,
) -> Done<()> {
    let (service, environment) = names(key);
    match freeze {
        Some(freeze) => {
            db.execute(
                "INSERT INTO frozen (service, environment, name, content) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (service, environment, name) DO UPDATE SET content = excluded.content",
                &[&service, &environment, &name.as_str(), &to_json("the freeze", freeze)?],
            )
            .await?
        }
        None => {
            db.execute(
                "DELETE FROM frozen WHERE service = $1 AND environment = $2 AND name = $3",
                &[&service, &environment, &name.as_str()],
            )
            .await?
        }
    };
    Ok(())
}

/// Forgets freezes that ended long ago.
pub(super) async fn prune_freezes(db: &mut Link, now: Timestamp, keep: Duration) -> Done<u64> {
    let Some(until) = forgotten_until(now, keep) else { return Ok(0) };
    let rows = db.all("SELECT service, environment, name, content FROM frozen", &[]).await?;
    let mut pruned = 0_u64;
    for row in rows {
        let (service, environment): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (name, freeze): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        if rows::has_ended(&service, &freeze, until)? {
            // Not one that was set anew just now.
            let sql = "DELETE FROM frozen
                 WHERE service = $1 AND environment = $2 AND name = $3 AND content = $4";
            let gone = db.execute(sql, &[&service, &environment, &name, &freeze]).await?;
            pruned = pruned.saturating_add(gone);
        }
    }
    Ok(pruned)
}

/// Remembers digests, unless one of them is known.
pub(super) async fn see(
    db: &mut Link,
    digests: &BTreeSet<[u8; 32]>,
    now: Timestamp,
    keep: Duration,
) -> Done<bool> {
    let all: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
    let known = db
        .first(
            "SELECT 1 FROM seen WHERE digest = ANY($1) AND kept_until > $2",
            &[&all, &millis(now)],
        )
        .await?;
    if known.is_some() {
        return Ok(false);
    }
    for digest in all {
        let new = db
            .execute(
                "INSERT INTO seen (digest, kept_until) VALUES ($1, $2)
                 ON CONFLICT (digest) DO UPDATE SET kept_until = excluded.kept_until
                 WHERE seen.kept_until <= $3",
                &[&digest, &millis(now.after(keep)), &millis(now)],
            )
            .await?;
        if new == 0 {
            return Err(Fault::Again("somebody saw it just now".into()));
        }
    }
    Ok(true)
}

/// Forgets digests and claims whose time is over.
pub(super) async fn prune_lapsed(
    db: &mut Link,
    now: Timestamp,
    judged_at: Option<i64>,
) -> Done<u64> {
    let seen = db.execute("DELETE FROM seen WHERE kept_until <= $1", &[&millis(now)]).await?;
    let claims = db
        .execute(
            "DELETE FROM claim WHERE expires_at
                 <= coalesce($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
            &[&judged_at],
        )
        .await?;
    Ok(seen.saturating_add(claims))
}

/// Whether anything was ever written but what connecting writes.
pub(super) async fn has_been_used(db: &mut Link) -> Done<bool> {
    let question = "SELECT 1 FROM counter WHERE value > 0 UNION ALL SELECT 1 FROM deploy
        UNION ALL SELECT 1 FROM rollback LIMIT 1";
    Ok(!db.all(question, &[]).await?.is_empty())
}
