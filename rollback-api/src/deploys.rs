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
use rollback_core::ports::{CommandError, Commands as _, SavedDeploy};

pub(crate) async fn report(
    State(shared): Site,
    _caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<DeployTaken>), Problem> {
    let form = Form::of(&headers)?;
    let body = body::json(&headers, body, &shared.limits).await?;
    let report = read(&form, &body, shared.engine.now())?;
    let mut deploy = report.deploy;
    let key = deploy.key();
    if let Some(former) = report.former {
        match shared.engine.card(&former).await {
            Ok(card) if card.deploy.differences(&deploy).is_empty() => deploy.id = former,
            Ok(_) | Err(CommandError::NotFound(_)) => {}
            Err(error) => return Err(Problem::command(&error)),
        }
    }
    let taken = shared.engine.deployed(deploy).await.map_err(|error| match error {
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
    if !taken.differs.is_empty() {
        let fields: Vec<String> = taken.differs.iter().map(|name| format!("`{name}`")).collect();
        let detail = format!(
            "the id `{}` was given before to a deploy that differs in {}; nothing was changed; give \
             this one an id of its own, or repeat the report as it was",
            report.id,
            fields.join(", ")
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
