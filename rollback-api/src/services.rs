//! `GET /v1/services/{service}/{environment}`: how a service stands.

use crate::api::Site;
use crate::problem::Problem;
use crate::tokens::Caller;
use crate::wire::Service;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use rollback_core::{EnvironmentName, ServiceKey, ServiceName};

pub(crate) async fn show(
    State(shared): Site,
    _caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Service>, Problem> {
    let key = path.ok().and_then(|Path((service, environment))| {
        let service = ServiceName::parse(service).ok()?;
        Some(ServiceKey::new(service, EnvironmentName::parse(environment).ok()?))
    });
    let Some(key) = key else {
        return Err(Problem::not_found("no service in an environment can have this name"));
    };
    let status = shared.engine.status(&key).await.map_err(|error| Problem::command(&error))?;
    Ok(Json(Service::new(&key, &status)))
}
