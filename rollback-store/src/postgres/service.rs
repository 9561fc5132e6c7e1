//! What is known of services: rollbacks in lists, deploys, freezes, what is bad.

use super::fault::Fault;
use super::link::{Done, Link};
use super::{audit, outbox};
use crate::notices::New;
use crate::questions::{columns_of_list, is_listed, list_question, rollbacks};
use crate::rows::{self, Card};
use crate::value::{from_json, limit, millis, moment, names, parsed, to_json};
use rollback_core::audit::{Draft, Record};
use rollback_core::change::{freeze, why_bad};
use rollback_core::notice::DeployCard;
use rollback_core::observed::{Freeze, LastRollback, LatestDeploy, ServiceRecord};
use rollback_core::ports::{Listed, Query, SavedDeploy};
use rollback_core::{
    Deploy, DeployId, Label, RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::types::ToSql;

/// Rollbacks, newest first.
pub(super) async fn list(db: &mut Link, query: &Query) -> Done<Vec<Listed>> {
    let (columns, limit) = (columns_of_list(query), limit(query.limit));
    let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
    for name in &columns {
        values.push(name);
    }
    values.push(&limit);
    let rows = db.all(question(query), &values).await?;
    let listed = rows.into_iter().map(|row| {
        let (id, view): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let flags = (row.try_get(3)?, row.try_get(4)?);
        Ok(rows::listed(&id, &view, row.try_get(2)?, flags)?)
    });
    let listed = listed.collect::<Done<Vec<Listed>>>()?;
    Ok(listed.into_iter().filter(|listed| is_listed(query, &listed.view)).collect())
}

pub(super) fn question(query: &Query) -> &'static str {
    list_question!("$", query)
}

/// What a deploy message shows, by the index `rollback_shown`.
pub(super) const SHOWN: &str = "SELECT id, view FROM rollback
    WHERE deploy = $1 AND prominence > 0
    ORDER BY prominence DESC, opened_at DESC, number DESC LIMIT 1";

pub(super) async fn shown(db: &mut Link, deploy: &DeployId) -> Done<Option<RollbackView>> {
    let row = db.first(SHOWN, &[&deploy.as_str()]).await?;
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

/// Changes what holds for a service, with its record and its notices; no record where it changed
/// nothing.
pub(super) async fn change(
    db: &mut Link,
    key: &ServiceKey,
    change: &ServiceChange,
    record: &Draft,
    notices: &[New],
) -> Done<Vec<Record>> {
    let (service, environment) = names(key);
    let changed = match change {
        ServiceChange::Freeze { name, until, .. } => {
            let content = to_json("the freeze", &freeze(name, *until, record))?;
            db.execute(
                "INSERT INTO frozen (service, environment, name, content, ends_at)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (service, environment, name)
                 DO UPDATE SET content = excluded.content, ends_at = excluded.ends_at",
                &[&service, &environment, &name.as_str(), &content, &until.map(millis)],
            )
            .await?
        }
        ServiceChange::Unfreeze { name, .. } => {
            db.execute(
                "DELETE FROM frozen WHERE service = $1 AND environment = $2 AND name = $3",
                &[&service, &environment, &name.as_str()],
            )
            .await?
        }
        ServiceChange::MarkBad { revision, .. } => {
            db.execute(
                "INSERT INTO bad (service, environment, revision, why) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (service, environment, revision) DO UPDATE SET why = excluded.why",
                &[&service, &environment, &revision.as_str(), &why_bad(record).as_str()],
            )
            .await?
        }
        ServiceChange::UnmarkBad { revision, .. } => {
            db.execute(
                "DELETE FROM bad WHERE service = $1 AND environment = $2 AND revision = $3",
                &[&service, &environment, &revision.as_str()],
            )
            .await?
        }
    };
    if changed == 0 {
        return Ok(Vec::new());
    }
    let records = audit::append(db, std::slice::from_ref(record)).await?;
    outbox::queue(db, notices).await?;
    outbox::tell(db).await?;
    Ok(records)
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

/// Whether anything was ever written but what connecting writes.
pub(super) async fn has_been_used(db: &mut Link) -> Done<bool> {
    let question = "SELECT 1 FROM counter WHERE value > 0 UNION ALL SELECT 1 FROM deploy
        UNION ALL SELECT 1 FROM rollback LIMIT 1";
    Ok(!db.all(question, &[]).await?.is_empty())
}
