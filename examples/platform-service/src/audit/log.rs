//! Where records are: an export, or the store.

use crate::config::StorePlace;
use crate::store::{NoStore, OpenStore};
use rollback_audit::{Anchors, Auditor, Explanation, Scope};
use rollback_core::RollbackId;
use rollback_core::audit::Record;
use rollback_core::ports::Query;
use rollback_store::AuditLines;
use std::path::Path;

/// How many records are read at a time.
const PAGE: usize = 1_000;

/// Which log.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the two places where records are")]
pub enum Log<'a> {
    /// The audit file with those that were put aside beside it, or an export of `GET /v1/audit`.
    File(&'a Path),
    /// The store. Of a file the service must not be running: it has one owner.
    Store(&'a StorePlace),
}

fn lines(path: &Path) -> Result<AuditLines, String> {
    AuditLines::open(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))
}

pub(super) fn file(path: &Path, mut auditor: Auditor) -> Result<Auditor, String> {
    for line in lines(path)? {
        match &line.text {
            Ok(text) => auditor.line(&line.place, text),
            Err(problem) => auditor.garbled(&line.place, problem),
        }
        if auditor.is_broken() {
            break;
        }
    }
    Ok(auditor)
}

async fn opened(place: &StorePlace) -> Result<OpenStore, String> {
    OpenStore::existing(place).await.map_err(|error| match error {
        NoStore::InUse(path) => format!(
            "`{path}` is in use by the running service; ask it at `GET /v1/audit/verify`, or stop \
             it first"
        ),
        error @ (NoStore::Missing(_)
        | NoStore::Empty(_)
        | NoStore::Older
        | NoStore::NotOpened(_)) => error.to_string(),
    })
}

pub(super) async fn store(
    place: &StorePlace,
    mut scope: Scope,
    anchors: Anchors,
) -> Result<(Auditor, Option<&'static str>), String> {
    let opened = opened(place).await?;
    let audited = audited(&opened, &mut scope, anchors).await;
    opened.close().await;
    audited
}

async fn audited(
    opened: &OpenStore,
    scope: &mut Scope,
    mut anchors: Anchors,
) -> Result<(Auditor, Option<&'static str>), String> {
    let store = opened.port();
    let end = store.head().await.map_err(|error| error.to_string())?;
    // What was cut off at the end is not in the records, but the store remembers how many it had.
    anchors.remember("the store's own note of its end", &end);
    let mut query = Query::all(PAGE);
    query.after = scope.from.saturating_sub(1);
    scope.chain = Some(end.chain.clone());
    let empty = if end.sequence == 0 { Some(opened.why_empty().await?) } else { None };
    let mut auditor = Auditor::new(scope.clone(), anchors);
    while !auditor.is_broken() {
        match store.audit(&query).await {
            Ok(records) => {
                let Some(last) = records.last() else { break };
                query.after = last.sequence.get();
                for record in &records {
                    auditor.record(&format!("the store, record {}", record.sequence), record);
                }
            }
            // One of the page; it is found by asking for each.
            Err(_) if query.limit > 1 => query.limit = 1,
            Err(error) => auditor.garbled("the store", &error.to_string()),
        }
    }
    Ok((auditor, empty))
}

/// What the log has of one rollback; none when it has nothing. Nothing is verified by that.
///
/// # Errors
///
/// What cannot be read, in words.
pub async fn explain(log: Log<'_>, id: &RollbackId) -> Result<Option<Explanation>, String> {
    let records = match log {
        Log::File(path) => of_file(path, id)?,
        Log::Store(place) => {
            let mut query = Query::all(PAGE);
            query.rollback = Some(id.clone());
            let opened = opened(place).await?;
            let records = opened.port().audit(&query).await;
            opened.close().await;
            records.map_err(|error| error.to_string())?
        }
    };
    Ok(Explanation::of(records))
}

fn of_file(path: &Path, id: &RollbackId) -> Result<Vec<Record>, String> {
    let mut found = Vec::new();
    for (line, number) in lines(path)?.zip(1..) {
        let at = |problem: &str| format!("{}: {problem}", line.place);
        let text = line.text.as_ref().map_err(|problem| at(problem))?;
        let record = Record::parse(text, number).map_err(|error| at(&error.to_string()))?;
        if record.draft.operation_id.as_ref() == Some(id) {
            found.push(record);
        }
    }
    Ok(found)
}
