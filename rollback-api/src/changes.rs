//! `/v1/services/{service}/{environment}/freezes` and `…/bad-revisions`: what may not be rolled back now,
//! and what may never be a target.

use crate::api::Site;
use crate::body;
use crate::fields::{Place, label};
use crate::problem::{Fault, Problem};
use crate::tokens::Caller;
use crate::wire::Changed;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use rollback_core::ports::CommandError;
use rollback_core::{
    EnvironmentName, Label, Proposer, Reason, RevisionId, ServiceChange, ServiceKey, ServiceName,
    Timestamp,
};
use serde_json::Value;
use std::cell::RefCell;

type Three = Result<Path<(String, String, String)>, PathRejection>;

/// Whose token it is, as the audit record names it. All tokens are one caller's, who may do everything
/// that a machine may.
const TOKEN: &str = "api:default";
/// The rule by which that token may.
const RULE: &str = "token default: operate";

pub(crate) async fn freeze(
    State(shared): Site,
    _caller: Caller,
    path: Three,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    let (key, name) = named(path, |name| label(name).ok())?;
    body::must_be_json(&headers)?;
    let body = body::json(&headers, body, &shared.limits).await?;
    let (reason, until) = asked(&body, true)?;
    let change = ServiceChange::Freeze { name, until, reason };
    changed(&shared.engine, &key, change).await?;
    Ok((StatusCode::CREATED, Json(Changed::new(&key))))
}

pub(crate) async fn unfreeze(
    State(shared): Site,
    _caller: Caller,
    path: Three,
) -> Result<StatusCode, Problem> {
    let (key, name) = named(path, |name| label(name).ok())?;
    let what = format!("{key} has no freeze `{name}`; nothing was changed");
    lifted(&shared.engine, &key, ServiceChange::Unfreeze { name, reason: None }, what).await
}

pub(crate) async fn mark_bad(
    State(shared): Site,
    _caller: Caller,
    path: Three,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    let (key, revision) = named(path, |revision| RevisionId::parse(revision).ok())?;
    body::must_be_json(&headers)?;
    let body = body::json(&headers, body, &shared.limits).await?;
    let (reason, _no_end) = asked(&body, false)?;
    changed(&shared.engine, &key, ServiceChange::MarkBad { revision, reason }).await?;
    Ok((StatusCode::CREATED, Json(Changed::new(&key))))
}

pub(crate) async fn unmark_bad(
    State(shared): Site,
    _caller: Caller,
    path: Three,
) -> Result<StatusCode, Problem> {
    let (key, revision) = named(path, |revision| RevisionId::parse(revision).ok())?;
    let what = format!("`{revision}` of {key} is not marked bad; nothing was changed");
    lifted(&shared.engine, &key, ServiceChange::UnmarkBad { revision, reason: None }, what).await
}

/// The service of a path, and what is named besides.
fn named<T>(
    path: Three,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<(ServiceKey, T), Problem> {
    let found = path.ok().and_then(|Path((service, environment, name))| {
        let service = ServiceName::parse(service).ok()?;
        let environment = EnvironmentName::parse(environment).ok()?;
        Some((ServiceKey::new(service, environment), parse(&name)?))
    });
    found.ok_or_else(|| Problem::not_found("nothing can have this name"))
}

/// Why, and until when where that may be said.
fn asked(body: &Value, may_end: bool) -> Result<(Reason, Option<Timestamp>), Problem> {
    let faults = RefCell::new(Vec::new());
    let place = Place::whole(body, &faults);
    place.object();
    place.only(if may_end { &["reason", "until"] } else { &["reason"] });
    let reason = place.field("reason").required(Reason::parse);
    let until = place.field("until");
    let until = if may_end { until.optional(Timestamp::parse) } else { None };
    match reason {
        Some(reason) if faults.borrow().is_empty() => Ok((reason, until)),
        Some(_) | None => Err(Problem::unprocessable(faults.take())),
    }
}

async fn changed(
    engine: &rollback_engine::Engine,
    key: &ServiceKey,
    change: ServiceChange,
) -> Result<bool, Problem> {
    let by = Proposer::new(TOKEN, Some(Label::new("the HTTP API")));
    let changed = engine.change_service_by_machine(key, change, by, RULE).await;
    changed.map_err(|error| match &error {
        CommandError::Pointless(_) => {
            Problem::unprocessable(vec![Fault::at("/until", error.to_string())])
        }
        CommandError::NoTarget(_) | _ => Problem::command(&error),
    })
}

async fn lifted(
    engine: &rollback_engine::Engine,
    key: &ServiceKey,
    change: ServiceChange,
    absent: String,
) -> Result<StatusCode, Problem> {
    if changed(engine, key, change).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found(absent))
    }
}
