//! `/v1/rollbacks`: proposing one, and looking at them. Nothing here executes anything.

use crate::api::{Shared, Site};
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
use rollback_engine::Proposal;
use serde_json::Value;
use std::cell::RefCell;

/// How many rollbacks are listed when nobody says how many.
const LIST_DEFAULT: usize = 100;

/// How many are listed at most.
const LIST_MAX: u64 = 1_000;

/// The header that makes a repeat the same proposal.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest key that is taken.
const KEY_LENGTH_MAX: usize = 255;

pub(crate) async fn propose(
    State(shared): Site,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, HeaderMap, Json<Proposed>), Problem> {
    let proposal = asked(&shared, caller, &headers, body).await?;
    proposed(&shared.engine, proposal).await
}

/// Opens a drill, which ends as any rollback does, and whose order is never sent.
pub(crate) async fn drill(
    State(shared): Site,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, HeaderMap, Json<Proposed>), Problem> {
    let proposal = asked(&shared, caller, &headers, body).await?;
    proposed(&shared.engine, proposal.drill()).await
}

async fn asked(
    shared: &Shared,
    caller: Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Proposal, Problem> {
    body::must_be_json(headers)?;
    let once = once(headers)?;
    let body = body::json(headers, body, &shared.limits).await?;
    let proposal = proposal(&body)?;
    Ok(match once {
        // Another caller's key is another key.
        Some(key) => proposal.once(format!("{}/{key}", shared.tokens.space_of(caller))),
        None => proposal,
    })
}

/// What identifies the request among those of its caller.
fn once(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let wrong = |what: &str| Problem::bad_request(Fault::in_header(IDEMPOTENCY_KEY, what));
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(key) if (1..=KEY_LENGTH_MAX).contains(&key.len()) => Ok(Some(key)),
            Ok(_) => Err(wrong("give 1 to 255 characters")),
            Err(_) => Err(wrong("give printable ASCII")),
        },
        (Some(_), Some(_)) => Err(wrong("it is there twice; send it once")),
    }
}

async fn proposed(
    engine: &rollback_engine::Engine,
    proposal: Proposal,
) -> Result<(StatusCode, HeaderMap, Json<Proposed>), Problem> {
    let named = proposal.target.is_some();
    let proposed = engine.propose(proposal).await;
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
        place.only(&["service", "environment", "target", "reason", "proposed_by"]);
        let service = place.field("service").required(ServiceName::parse);
        let environment = place.field("environment").required(EnvironmentName::parse);
        let target = place.field("target").optional(RevisionName::parse);
        let reason = place.field("reason").required(Reason::parse);
        let by = place.field("proposed_by");
        by.object();
        by.only(&["id", "name"]);
        let id = by.field("id").required(label);
        let name = by.field("name").optional(label);
        let key = ServiceKey::new(service?, environment?);
        let mut proposal = Proposal::new(key, reason?, Proposer::new(id?, name));
        proposal.target = target;
        Some(proposal)
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
    let of = Of {
        service: parameters.parsed("service")?,
        environment: parameters.parsed("environment")?,
    };
    of.narrow(&mut query);
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
    if views.is_empty() {
        of.is_known(&shared.engine).await?;
    }
    Ok(Json(Rollbacks { rollbacks: views.iter().map(Rollback::from).collect() }))
}

/// The services that a list is about.
struct Of {
    service: Option<ServiceName>,
    environment: Option<EnvironmentName>,
}

impl Of {
    fn narrow(&self, query: &mut Query) {
        query.service = self.service.as_ref().map(|service| service.as_str().into());
        query.environment = self.environment.as_ref().map(|it| it.as_str().into());
    }

    /// Refuses what is not configured and was never rolled back here: an empty list would hide a
    /// misspelt name.
    async fn is_known(&self, engine: &rollback_engine::Engine) -> Result<(), Problem> {
        let has_service =
            |key: &&ServiceKey| self.service.as_ref().is_none_or(|it| *it == key.service);
        let is_of =
            |key: &ServiceKey| self.environment.as_ref().is_none_or(|it| *it == key.environment);
        if engine.services().filter(has_service).any(is_of) {
            return Ok(());
        }
        let mut query = Query::all(1);
        self.narrow(&mut query);
        let earlier = engine.rollbacks(&query).await.map_err(|error| Problem::store(&error))?;
        if !earlier.is_empty() {
            return Ok(());
        }
        let unknown = "is not configured here, and nothing of it was ever rolled back here";
        let fault = match (&self.service, &self.environment) {
            (Some(service), None) => Fault::in_query("service", format!("`{service}` {unknown}")),
            (None, Some(environment)) => {
                Fault::in_query("environment", format!("`{environment}` {unknown}"))
            }
            (Some(service), Some(environment)) => {
                let is_misspelt = !engine.services().any(|key| key.service == *service);
                let named = if is_misspelt { "service" } else { "environment" };
                Fault::in_query(named, format!("`{service}` in `{environment}` {unknown}"))
            }
            // All services: there is at least one.
            (None, None) => return Ok(()),
        };
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no such service is known here")
            .with(vec![fault]))
    }
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
