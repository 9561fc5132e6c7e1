//! The audit chain: exact bytes in, exact bytes out.

use super::value::{Answer, all, execute, first, int, limit};
use crate::questions::{audit_question, columns_of_audit, records};
use crate::rows;
use crate::rules::{NO_ROLLBACK, unwritable};
use crate::value::record;
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::ports::Query;
use rollback_core::{Label, RollbackId};
use rusqlite::{Connection, Row, ToSql, params};

/// The end of the chain.
pub(super) fn head(db: &Connection) -> Answer<Head> {
    let row: Option<(String, i64, String)> =
        first(db, "SELECT chain, sequence, hash FROM head", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    rows::head(row)
}

/// Gives drafts their places at the end of the chain. One that is there already keeps its place.
pub(super) fn append(db: &Connection, drafts: Vec<Draft>) -> Answer<Vec<Record>> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let start = head(db)?;
    let mut head = start.clone();
    let mut records = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(record) = known(db, &draft.id)? {
            records.push(record);
            continue;
        }
        let record = head.append(draft).map_err(|error| unwritable("the audit record", &error))?;
        insert(db, &record)?;
        head = Head::after(&record);
        records.push(record);
    }
    if head != start {
        let (sequence, hash) = (int(head.sequence), head.hash.to_string());
        execute(db, "UPDATE head SET sequence = ?1, hash = ?2", params![sequence, hash])?;
    }
    Ok(records)
}

fn insert(db: &Connection, record: &Record) -> Answer<()> {
    let bytes = record.canonical().map_err(|error| unwritable("the audit record", &error))?;
    execute(
        db,
        "INSERT INTO audit (sequence, id, rollback, service, environment, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            int(record.sequence.get()),
            record.draft.id.as_str(),
            record.draft.operation_id.as_ref().map_or(NO_ROLLBACK, RollbackId::as_str),
            record.draft.service.as_str(),
            record.draft.environment.as_str(),
            bytes,
        ],
    )?;
    Ok(())
}

fn known(db: &Connection, id: &Label) -> Answer<Option<Record>> {
    let row =
        first(db, "SELECT sequence, record FROM audit WHERE id = ?1", [id.as_str()], columns)?;
    row.map(|row| record(&row)).transpose()
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(i64, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Records in their order.
pub(super) fn list(db: &Connection, query: &Query) -> Answer<Vec<Record>> {
    let (after, columns, limit) = (int(query.after), columns_of_audit(query), limit(query.limit));
    let mut values: Vec<&dyn ToSql> = vec![&after];
    for name in &columns {
        values.push(name);
    }
    values.push(&limit);
    let rows = all(db, question(query), values.as_slice(), self::columns)?;
    rows.iter().map(record).collect()
}

pub(super) fn question(query: &Query) -> &'static str {
    audit_question!("?", query)
}

/// The last record of a rollback, by the index `audit_of_rollback`.
pub(super) const LAST: &str = "SELECT sequence, record FROM audit WHERE rollback = ?1
    ORDER BY sequence DESC LIMIT 1";

pub(super) fn last(db: &Connection, rollback: &RollbackId) -> Answer<Option<Record>> {
    let row = first(db, LAST, [rollback.as_str()], columns)?;
    row.map(|row| record(&row)).transpose()
}

/// What a sink has not acknowledged.
pub(super) fn unacknowledged(db: &Connection, sink: &str, wanted: usize) -> Answer<Vec<Record>> {
    let rows = all(
        db,
        "SELECT sequence, record FROM audit
         WHERE sequence > coalesce((SELECT sequence FROM acknowledged WHERE sink = ?1), 0)
         ORDER BY sequence LIMIT ?2",
        params![sink, limit(wanted)],
        columns,
    )?;
    rows.iter().map(record).collect()
}

/// A sink has everything up to `sequence`; nobody can have what was not written yet.
pub(super) fn acknowledge(db: &Connection, sink: &str, sequence: u64) -> Answer<()> {
    execute(
        db,
        "INSERT INTO acknowledged (sink, sequence)
         VALUES (?1, min(?2, (SELECT sequence FROM head)))
         ON CONFLICT (sink) DO UPDATE SET sequence = max(sequence, excluded.sequence)",
        params![sink, int(sequence)],
    )?;
    Ok(())
}
