//! `GET /v1/audit`: the log as JSON lines. `GET /v1/audit/verify`: whether it is whole.

use crate::api::Site;
use crate::problem::Problem;
use crate::query::{Parameters, number};
use crate::tokens::Caller;
use crate::wire::{LastCheckpoint, Verification};
use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use rollback_core::audit::{INTEGER_MAX, Record, SignedCheckpoint, Verifier};
use rollback_core::ports::{Query, StoreError};
use rollback_core::{EnvironmentName, ServiceName};
use rollback_engine::{CheckpointStanding, Engine};
use std::io;
use std::time::Duration;

/// How many records are read at a time: what one answer holds in memory.
const PAGE: usize = 200;

pub(crate) async fn list(
    State(shared): Site,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let known = ["service", "environment", "after", "limit"];
    let parameters = Parameters::read(query.as_deref(), &known)?;
    let mut query = Query::all(PAGE);
    query.service = parameters.parsed::<ServiceName>("service")?.map(|s| s.as_str().into());
    query.environment =
        parameters.parsed::<EnvironmentName>("environment")?.map(|e| e.as_str().into());
    query.after = parameters.read_as("after", |text| number(text, 0, INTEGER_MAX))?.unwrap_or(0);
    let limit = parameters.read_as("limit", |text| number(text, 1, INTEGER_MAX))?;
    let store = |error: StoreError| Problem::store(&error);
    // What is recorded while the answer is read is the next answer's.
    let last = shared.engine.head().await.map_err(store)?.sequence;
    let left = limit.unwrap_or(INTEGER_MAX);
    let mut pages = Pages { engine: shared.engine.clone(), query, left, last };
    // An error of the first page is still told as one.
    let first = pages.next().await.map_err(store)?;
    let rest = stream::try_unfold((first, pages), |(page, mut pages)| async {
        let Some(page) = page else { return Ok(None) };
        let next = pages.next().await.map_err(|error| {
            tracing::warn!(%error, "an answer from the audit log broke off");
            io::Error::other("the store did not answer")
        })?;
        Ok::<_, io::Error>(Some((page, (next, pages))))
    });
    let kind = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(rest)).into_response())
}

/// The log, page by page.
struct Pages {
    engine: Engine,
    query: Query,
    left: u64,
    last: u64,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.query.limit = PAGE.min(usize::try_from(self.left).unwrap_or(PAGE));
        if self.query.limit == 0 || self.query.after >= self.last {
            return Ok(None);
        }
        let records = self.engine.records(&self.query).await?;
        let mut lines = String::new();
        for record in records.iter().filter(|record| record.sequence <= self.last) {
            lines.push_str(&line(record)?);
            lines.push('\n');
            self.left = self.left.saturating_sub(1);
        }
        self.query.after = match records.last() {
            Some(record) => record.sequence.get(),
            None => self.last,
        };
        if lines.is_empty() { Ok(None) } else { Ok(Some(lines.into())) }
    }
}

fn line(record: &Record) -> Result<String, StoreError> {
    record.canonical().map_err(|error| StoreError::Corrupt {
        what: format!("audit record {}", record.sequence),
        problem: error.to_string(),
    })
}

pub(crate) async fn verify(
    State(shared): Site,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Verification>, Problem> {
    let _none = Parameters::read(query.as_deref(), &[])?;
    let Ok(_turn) = shared.verifications.try_acquire() else {
        let detail = "the audit log is being verified already; ask again";
        return Err(Problem::too_many(detail, Duration::from_secs(5)));
    };
    let verified = whole(&shared.engine).await.map_err(|error| Problem::store(&error))?;
    Ok(Json(verified))
}

/// Reads the whole chain, as far as it went when this began.
async fn whole(engine: &Engine) -> Result<Verification, StoreError> {
    let checkpoints = engine.checkpoints();
    let signed = checkpoints.as_ref().and_then(|standing| standing.last.as_ref());
    let signed = signed.map(|signed| signed.checkpoint.clone());
    // Read after the checkpoint, so that the end is never before it.
    let end = engine.head().await?;
    if let Some(signed) = signed.as_ref().filter(|signed| signed.head.sequence > end.sequence) {
        let problem = format!(
            "the log ends with record {}, and a checkpoint of record {} was signed: its end was \
             cut off",
            end.sequence, signed.head.sequence
        );
        return Ok(broken(end.sequence.saturating_add(1), problem));
    }
    if end.sequence == 0 {
        // A new file in the place of one that was lost looks like that, and so does a new service.
        let problem = "there is no record to verify; where anything was ever asked for in Slack, its \
                       records are lost: compare the store with the CD systems, the chat and the \
                       backups";
        return Ok(broken(1, problem.into()));
    }
    let mut verifier = Verifier::new(end.chain.clone());
    while verifier.head().sequence < end.sequence {
        let sequence = verifier.head().sequence.saturating_add(1);
        let mut query = Query::all(PAGE);
        query.after = verifier.head().sequence;
        let records = match engine.records(&query).await {
            Ok(records) => records,
            Err(StoreError::Corrupt { problem, .. }) => {
                match one_by_one(engine, &mut verifier).await? {
                    Some(broken) => return Ok(broken),
                    None => return Ok(broken(sequence, problem)),
                }
            }
            Err(error) => return Err(error),
        };
        if records.is_empty() {
            let problem = format!("the log ends before record {}, which was written", end.sequence);
            return Ok(broken(sequence, problem));
        }
        for record in records {
            if let Err(error) = verifier.check(&record) {
                let at = error.sequence().unwrap_or_else(|| record.sequence.get());
                return Ok(broken(at, error.to_string()));
            }
            if let Some(signed) = &signed
                && record.sequence == signed.head.sequence
                && record.hash != signed.head.hash
            {
                let (at, hash) = (signed.at, signed.head.hash);
                let problem = format!(
                    "a checkpoint signed at {at} has the hash {hash} for it: the log was rewritten"
                );
                return Ok(broken(signed.head.sequence, problem));
            }
            if record.sequence == end.sequence && record.hash != end.hash {
                return Ok(broken(
                    end.sequence,
                    "it is not the record that was written last".into(),
                ));
            }
        }
    }
    Ok(Verification::Whole {
        ok: true,
        records: end.sequence,
        head: end.hash.to_string(),
        checkpoint: checkpoints.and_then(last_checkpoint),
    })
}

fn last_checkpoint(standing: CheckpointStanding) -> Option<LastCheckpoint> {
    let SignedCheckpoint { checkpoint, note, .. } = standing.last?;
    Some(LastCheckpoint {
        sequence: checkpoint.head.sequence,
        hash: checkpoint.head.hash.to_string(),
        at: checkpoint.at,
        note,
        problem: standing.problem,
    })
}

/// Finds the record of a page that cannot be read.
async fn one_by_one(
    engine: &Engine,
    verifier: &mut Verifier,
) -> Result<Option<Verification>, StoreError> {
    for _record in 0..PAGE {
        let sequence = verifier.head().sequence.saturating_add(1);
        let mut query = Query::all(1);
        query.after = verifier.head().sequence;
        match engine.records(&query).await {
            Ok(records) => {
                let Some(record) = records.first() else { return Ok(None) };
                if let Err(error) = verifier.check(record) {
                    let at = error.sequence().unwrap_or(sequence);
                    return Ok(Some(broken(at, error.to_string())));
                }
            }
            Err(StoreError::Corrupt { problem, .. }) => {
                return Ok(Some(broken(sequence, problem)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

const fn broken(sequence: u64, problem: String) -> Verification {
    Verification::Broken { ok: false, sequence, problem }
}
