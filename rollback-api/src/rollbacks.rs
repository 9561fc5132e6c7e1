//! `/v1/rollbacks`: proposing one, and looking at them. Nothing here executes anything.

use crate::api::Site;
use crate::body;
use crate::fields::{Place, label};
use crate::problem::{Fault, Problem};
use crate::query::{Parameters, number};
use crate::tokens::Caller;
use crate::wire::{Proposed, Rollback, Rollbacks, State as Told};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use rollback_core::ports::{CommandError, Query};
use rollback_core::{
    EnvironmentName, Proposer, Reason, RevisionName, RollbackId, RollbackView, ServiceKey,
    ServiceName,
};
use serde_json::Value;
use std::cell::RefCell;

/// How many rollbacks are listed when nobody says how many.
const LIST_DEFAULT: usize = 100;

/// How many are listed at most.
const LIST_MAX: u64 = 1_000;

/// What somebody proposes.
#[derive(Debug)]
struct Proposal {
    key: ServiceKey,
    target: Option<RevisionName>,
    reason: Reason,
    by: Proposer,
}

pub(crate) async fn propose(
    State(shared): Site,
    _caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, HeaderMap, Json<Proposed>), Problem> {
    body::must_be_json(&headers)?;
    let body = body::json(&headers, body, &shared.limits).await?;
    let Proposal { key, target, reason, by } = proposal(&body)?;
    let named = target.is_some();
    let proposed = shared.engine.propose(&key, target, reason, by).await;
    let view = proposed.map_err(|error| match &error {
        CommandError::NotConfigured(_) => at("/service", &error),
        CommandError::NoTarget(_) if named => at("/target", &error),
        CommandError::NotFound(_)
        | CommandError::NoTarget(_)
        | CommandError::NotRecorded(_)
        | CommandError::Stopping
        | _ => Problem::command(&error),
    })?;
    let mut headers = HeaderMap::new();
    if let Ok(place) = HeaderValue::try_from(format!("/v1/rollbacks/{}", view.id)) {
        headers.insert(LOCATION, place);
    }
    let body = Proposed { id: view.id.to_string(), state: view.state.into() };
    Ok((StatusCode::CREATED, headers, Json(body)))
}

fn at(pointer: &str, error: &CommandError) -> Problem {
    Problem::unprocessable(vec![Fault::at(pointer, error.to_string())])
}

fn proposal(body: &Value) -> Result<Proposal, Problem> {
    let faults = RefCell::new(Vec::new());
    let read = || {
        let place = Place::whole(body, &faults);
        place.object()?;
        let service = place.field("service").required(ServiceName::parse);
        let environment = place.field("environment").required(EnvironmentName::parse);
        let target = place.field("target").optional(RevisionName::parse);
        let reason = place.field("reason").required(Reason::parse);
        let by = place.field("proposed_by");
        by.object();
        let id = by.field("id").required(label);
        let name = by.field("name").optional(label);
        let key = ServiceKey::new(service?, environment?);
        Some(Proposal { key, target, reason: reason?, by: Proposer::new(id?, name) })
    };
    let proposal = read();
    match proposal {
        Some(proposal) if faults.borrow().is_empty() => Ok(proposal),
        Some(_) | None => Err(Problem::unprocessable(faults.take())),
    }
}

pub(crate) async fn list(
    State(shared): Site,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Rollbacks>, Problem> {
    let known = ["service", "environment", "state", "limit"];
    let parameters = Parameters::read(query.as_deref(), &known)?;
    let limit = parameters.read_as("limit", |text| number(text, 1, LIST_MAX))?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_DEFAULT);
    let mut query = Query::all(limit);
    query.service = parameters.parsed::<ServiceName>("service")?.map(|s| s.as_str().into());
    query.environment =
        parameters.parsed::<EnvironmentName>("environment")?.map(|e| e.as_str().into());
    let state = parameters.chosen("state", told)?;
    let mut views = Vec::new();
    match state {
        None => views = shared.engine.rollbacks(&query).await.map_err(|e| Problem::store(&e))?,
        Some(told) => {
            for name in told.covers() {
                query.state = Some(name);
                let found = shared.engine.rollbacks(&query).await;
                views.extend(found.map_err(|error| Problem::store(&error))?);
            }
            views.sort_by_key(|view| std::cmp::Reverse(view.opened_at));
            views.truncate(limit);
        }
    }
    Ok(Json(Rollbacks { rollbacks: views.iter().map(Rollback::from).collect() }))
}

fn told(text: &str) -> Result<Told, String> {
    let found = Told::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| {
        let names: Vec<&str> = Told::ALL.iter().map(|state| state.as_str()).collect();
        format!("it is none of {}", names.join(", "))
    })
}

pub(crate) async fn show(
    State(shared): Site,
    _caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Rollback>, Problem> {
    let view = find(&shared.engine, path).await?;
    Ok(Json(Rollback::from(&view)))
}

/// The rollback that a path names.
pub(crate) async fn find(
    engine: &rollback_engine::Engine,
    path: Result<Path<String>, PathRejection>,
) -> Result<RollbackView, Problem> {
    let unknown = || Problem::not_found("there is no rollback of this id");
    let Some(id) = path.ok().and_then(|Path(id)| RollbackId::parse(id).ok()) else {
        return Err(unknown());
    };
    let view = engine.rollback(&id).await.map_err(|error| Problem::store(&error))?;
    view.ok_or_else(unknown)
}
