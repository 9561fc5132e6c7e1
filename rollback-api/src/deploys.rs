//! `POST /v1/deploys`: a deploy went live.

use crate::api::Site;
use crate::body;
use crate::problem::{Fault, Problem};
use crate::report::{Form, read};
use crate::tokens::Caller;
use crate::wire::DeployTaken;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use rollback_core::ports::{CommandError, SavedDeploy};

pub(crate) async fn report(
    State(shared): Site,
    _caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeployTaken>), Problem> {
    let form = Form::of(&headers)?;
    let body = body::json(&headers, body, &shared.limits).await?;
    let report = read(&form, &body, shared.engine.now())?;
    let key = report.deploy.key();
    let taken = shared.engine.deployed(report.deploy).await.map_err(|error| match error {
        CommandError::NotConfigured(_) => {
            let pointer = form.service_pointer();
            Problem::unprocessable(vec![Fault::at(pointer, error.to_string())])
        }
        CommandError::NotFound(_)
        | CommandError::NoTarget(_)
        | CommandError::NotRecorded(_)
        | CommandError::Stopping
        | _ => Problem::command(&error),
    })?;
    if taken.card.deploy.key() != key {
        let detail = format!(
            "the id `{}` was given to a deploy of {} before; nothing was changed; give this one an \
             id of its own",
            report.id,
            taken.card.deploy.key()
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let status = match taken.saved {
        SavedDeploy::New => {
            shared.metrics.deployed(&key);
            StatusCode::CREATED
        }
        SavedDeploy::Known => StatusCode::OK,
    };
    Ok((status, Json(DeployTaken::new(report.id, &taken.card))))
}
