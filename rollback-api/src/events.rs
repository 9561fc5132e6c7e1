//! `GET /v1/rollbacks/{id}/events`: every audit record of one rollback as server-sent events, from
//! the first and live.

use crate::api::{Shared, Site};
use crate::problem::{Fault, Problem};
use crate::query::number;
use crate::rollbacks;
use crate::tokens::Caller;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use rollback_core::audit::{INTEGER_MAX, Record};
use rollback_core::ports::{Query, StoreError};
use rollback_core::{RollbackId, RollbackView, StateName};
use rollback_engine::{Engine, Steps};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// How many records are read at a time: what one stream holds in memory.
const PAGE: usize = 50;

/// What keeps a connection open that has nothing to tell.
const KEEP_ALIVE: &[u8] = b": nothing new\n\n";

pub(crate) async fn follow(
    State(shared): Site,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = last_seen(&headers)?;
    let view = rollbacks::find(&shared.engine, path).await?;
    let turns = turns(&shared, caller)?;
    let limits = &shared.limits;
    let now = Instant::now();
    let mut reader = Reader {
        steps: shared.engine.steps(),
        engine: shared.engine.clone(),
        id: view.id,
        after: seen.unwrap_or(0),
        read: VecDeque::new(),
        ended: false,
        said: now,
        until: now.checked_add(limits.stream_for).unwrap_or(now),
        keep_alive: limits.keep_alive,
        look_every: limits.look_every,
        _turns: turns,
    };
    reader.look().await.map_err(|error| Problem::store(&error))?;
    if seen.is_some() && reader.ended && reader.read.is_empty() {
        // To a browser, which asks again and again, this says that there will be nothing more.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(reader.stream())).into_response())
}

/// The number of the last event that the reader has.
fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    number(value.to_str().unwrap_or_default(), 0, INTEGER_MAX)
        .map(Some)
        .map_err(|why| Problem::bad_request(Fault::in_header("last-event-id", why)))
}

/// One of the few turns to follow something, of everybody's and of the caller's.
fn turns(
    shared: &Arc<Shared>,
    caller: Caller,
) -> Result<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>), Problem> {
    let too_many = |_none_left| {
        Problem::too_many("too many event streams are open; close one", Duration::from_secs(10))
    };
    let theirs = usize::try_from(caller.0).ok().and_then(|place| shared.streams_of.get(place));
    let theirs = theirs.map(|turns| Arc::clone(turns).try_acquire_owned()).transpose();
    let theirs = theirs.map_err(too_many)?;
    let ours = Arc::clone(&shared.streams).try_acquire_owned().map_err(too_many)?;
    Ok((ours, theirs))
}

/// One reader of one rollback.
struct Reader {
    engine: Engine,
    steps: Steps,
    id: RollbackId,
    after: u64,
    read: VecDeque<Record>,
    /// Whether what was read is the last that there will be.
    ended: bool,
    said: Instant,
    until: Instant,
    keep_alive: Duration,
    look_every: Duration,
    _turns: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl Reader {
    fn stream(self) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
        stream::try_unfold(self, |mut reader| async {
            Ok(reader.next().await?.map(|bytes| (bytes, reader)))
        })
    }

    /// The next words to the reader; none after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, io::Error> {
        loop {
            if let Some(record) = self.read.pop_front() {
                self.after = record.sequence.get();
                self.said = Instant::now();
                return event(&record).map(Some);
            }
            if self.ended || Instant::now() >= self.until {
                return Ok(None);
            }
            // A hint that came while the store was asked is not lost.
            self.look().await.map_err(|error| {
                tracing::warn!(%error, rollback = %self.id, "an event stream broke off");
                io::Error::other("the store did not answer")
            })?;
            if !self.read.is_empty() || self.ended {
                continue;
            }
            tokio::select! {
                biased;
                stored = self.steps.next() => {
                    if stored.is_none() {
                        return Ok(None);
                    }
                }
                () = tokio::time::sleep(self.look_every) => {}
            }
            if self.said.elapsed() >= self.keep_alive {
                self.said = Instant::now();
                return Ok(Some(Bytes::from_static(KEEP_ALIVE)));
            }
        }
    }

    /// Reads what was recorded since. The state is looked at first: a step is stored together with
    /// its records, so that what is read after the end was seen is everything.
    async fn look(&mut self) -> Result<(), StoreError> {
        let view = self.engine.rollback(&self.id).await?;
        let mut query = Query::all(PAGE);
        query.rollback = Some(self.id.clone());
        query.after = self.after;
        self.read.extend(self.engine.records(&query).await?);
        self.ended = view.as_ref().is_none_or(has_ended) && self.read.len() < PAGE;
        Ok(())
    }
}

/// Whether nothing more will be recorded. What nobody knows may still be settled.
fn has_ended(view: &RollbackView) -> bool {
    view.state.is_end() && (view.state != StateName::OutcomeUnknown || view.settled)
}

/// A record as an event. Canonical JSON has no line break, so that it is one line.
fn event(record: &Record) -> Result<Bytes, io::Error> {
    let data = record.canonical().map_err(io::Error::other)?;
    let (id, kind) = (record.sequence.get(), record.draft.kind.as_str());
    Ok(Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")))
}
