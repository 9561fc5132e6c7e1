//! The audit chain: exact bytes in, exact bytes out.

use super::fault::Fault;
use super::link::{Done, Link};
use crate::questions::{audit_question, columns_of_audit, records};
use crate::rows;
use crate::rules::{NO_ROLLBACK, unwritable};
use crate::value::{int, limit, record};
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::ports::Query;
use rollback_core::{Label, RollbackId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

fn read_head(row: Option<&Row>) -> Done<Head> {
    let row = row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
    Ok(rows::head(row.transpose().map_err(|error: tokio_postgres::Error| Fault::from(error))?)?)
}

/// The end of the chain.
pub(super) async fn head(db: &mut Link) -> Done<Head> {
    read_head(db.first("SELECT chain, sequence, hash FROM head", &[]).await?.as_ref())
}

/// Gives drafts their places at the end of the chain, which nobody else extends meanwhile. One that
/// is there already keeps its place.
pub(super) async fn append(db: &mut Link, drafts: &[Draft]) -> Done<Vec<Record>> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let row = db.first("SELECT chain, sequence, hash FROM head FOR UPDATE", &[]).await?;
    let start = read_head(row.as_ref())?;
    let mut head = start.clone();
    let mut records = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(record) = known(db, &draft.id).await? {
            records.push(record);
            continue;
        }
        let record =
            head.append(draft.clone()).map_err(|error| unwritable("the audit record", &error))?;
        insert(db, &record).await?;
        head = Head::after(&record);
        records.push(record);
    }
    if head != start {
        let (sequence, hash) = (int(head.sequence), head.hash.to_string());
        db.execute("UPDATE head SET sequence = $1, hash = $2", &[&sequence, &hash]).await?;
    }
    Ok(records)
}

async fn insert(db: &mut Link, record: &Record) -> Done<()> {
    let bytes = record.canonical().map_err(|error| unwritable("the audit record", &error))?;
    db.execute(
        "INSERT INTO audit (sequence, id, rollback, service, environment, record)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &int(record.sequence.get()),
            &record.draft.id.as_str(),
            &record.draft.operation_id.as_ref().map_or(NO_ROLLBACK, RollbackId::as_str),
            &record.draft.service.as_str(),
            &record.draft.environment.as_str(),
            &bytes,
        ],
    )
    .await?;
    Ok(())
}

async fn known(db: &mut Link, id: &Label) -> Done<Option<Record>> {
    let row = db.first("SELECT sequence, record FROM audit WHERE id = $1", &[&id.as_str()]).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Done<Record> {
    Ok(record(&(row.try_get(0)?, row.try_get(1)?))?)
}

/// Records in their order.
pub(super) async fn list(db: &mut Link, query: &Query) -> Done<Vec<Record>> {
    let (after, columns, limit) = (int(query.after), columns_of_audit(query), limit(query.limit));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&after];
    for name in &columns {
        values.push(name);
    }
    values.push(&limit);
    db.all(question(query), &values).await?.iter().map(read).collect()
}

pub(super) fn question(query: &Query) -> &'static str {
    audit_question!("$", query)
}

/// The last record of a rollback, by the index `audit_of_rollback`.
pub(super) const LAST: &str = "SELECT sequence, record FROM audit WHERE rollback = $1
    ORDER BY sequence DESC LIMIT 1";

pub(super) async fn last(db: &mut Link, rollback: &RollbackId) -> Done<Option<Record>> {
    db.first(LAST, &[&rollback.as_str()]).await?.as_ref().map(read).transpose()
}

/// What a sink has not acknowledged.
pub(super) async fn unacknowledged(db: &mut Link, sink: &str, wanted: usize) -> Done<Vec<Record>> {
    let rows = db
        .all(
            "SELECT sequence, record FROM audit
             WHERE sequence > coalesce((SELECT sequence FROM acknowledged WHERE sink = $1), 0)
             ORDER BY sequence LIMIT $2",
            &[&sink, &limit(wanted)],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// A sink has everything up to `sequence`; nobody can have what was not written yet.
pub(super) async fn acknowledge(db: &mut Link, sink: &str, sequence: u64) -> Done<()> {
    db.execute(
        "INSERT INTO acknowledged (sink, sequence)
         VALUES ($1, least($2, (SELECT sequence FROM head)))
         ON CONFLICT (sink)
         DO UPDATE SET sequence = greatest(acknowledged.sequence, excluded.sequence)",
        &[&sink, &int(sequence)],
    )
    .await?;
    Ok(())
}
