//! How a change of helm's is passed on, so that one that was let through and then stood still cannot
//! undo what came after it.
//!
//! First the version of the object is read, then it is made certain that the order is ours, then the
//! change is sent for that version alone. Whoever takes the order over touches every object of the
//! revision, so that a change which is still on its way fails there.

use super::{Proxy, Sent, annotate_json, closed, resized, status, whole};
use crate::journal::COMMITTED;
use crate::protobuf;
use crate::record::{ORDER, secret_name};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

/// How often a change is made ready anew for an object that others change meanwhile: an autoscaler
/// and the controllers do, several times a second at the most.
const CHANGE_TRIES: usize = 8;
/// The largest object that is read for its version, or answer that is looked into.
const OBJECT_MAX: usize = 4 << 20;
/// What is asked for of an object.
const BARE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What is there to be changed.
enum Seen {
    /// In this version.
    Version(String),
    /// Nothing yet: helm 4 makes objects so.
    Nothing,
    /// That could not be found out.
    Unknown(Response),
}

impl Proxy {
    /// Passes a change on, for as long as the order is ours.
    pub(super) async fn change(&self, sent: Sent) -> Response {
        if sent.parts.method != Method::PATCH {
            return if self.may_change().await {
                self.pass(self.marked(sent)).await
            } else {
                closed()
            };
        }
        for _try in 0..CHANGE_TRIES {
            let version = match self.version_of(&sent).await {
                Seen::Version(version) => Some(version),
                Seen::Nothing => None,
                Seen::Unknown(answer) => return answer,
            };
            if !self.may_change().await {
                return closed();
            }
            let again = Sent { parts: sent.parts.clone(), body: sent.body.clone() };
            let Some(conditional) = version.and_then(|version| only_for(again, &version)) else {
                return self.pass(sent).await;
            };
            let answer = match self.forward(conditional).await {
                Ok(answer) => whole(answer).await,
                Err(error) => {
                    tracing::debug!(%error, "helm's change was not answered");
                    return super::answered_nothing();
                }
            };
            let (parts, body) = answer.into_parts();
            let Ok(body) = Limited::new(body, OBJECT_MAX).collect().await else {
                return super::answered_nothing();
            };
            let body = body.to_bytes();
            if parts.status != StatusCode::CONFLICT || !has_moved(&body) {
                return Response::from_parts(parts, Body::from(body));
            }
        }
        let why = "others change this object all the time; it was not changed";
        status(StatusCode::CONFLICT, "Conflict", why)
    }

    async fn version_of(&self, sent: &Sent) -> Seen {
        let request =
            http::Request::get(sent.parts.uri.path()).header(header::ACCEPT, BARE).body(());
        let Ok(request) = request else { return Seen::Unknown(closed()) };
        let (parts, ()) = request.into_parts();
        let answer = self.read(Sent { parts, body: Bytes::new() }).await;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, OBJECT_MAX).collect().await.map(|body| body.to_bytes());
        let body = body.unwrap_or_default();
        if parts.status == StatusCode::NOT_FOUND {
            return Seen::Nothing;
        }
        let object: Value = serde_json::from_slice(&body).unwrap_or_default();
        match object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
            Some(version) if parts.status.is_success() => Seen::Version(version.to_owned()),
            Some(_) | None => Seen::Unknown(Response::from_parts(parts, Body::from(body))),
        }
    }

    /// Keeps our marks on the record of this rollback: helm writes it anew, without what it does not
    /// know. Any other change stays as it is.
    fn marked(&self, sent: Sent) -> Sent {
        let name = secret_name(&self.site.config.release.name, self.job.next());
        let is_record = sent.parts.method == Method::PUT
            && sent.parts.uri.path() == self.site.client.secrets().object(&name);
        let (true, Some(entry)) = (is_record, self.committed()) else { return sent };
        let Ok(entry) = serde_json::to_string(&entry) else { return sent };
        let marks = [(ORDER, self.job.order.as_str()), (COMMITTED, entry.as_str())];
        let body = marks.iter().try_fold(sent.body.to_vec(), |body, (key, value)| {
            let marked = protobuf::annotate(&body, key, value);
            marked.or_else(|| annotate_json(&body, key, value)).map(|(_record, body)| body)
        });
        match body {
            Some(body) => Sent { parts: resized(sent.parts), body: body.into() },
            None => sent,
        }
    }
}

/// The change, for one version of the object alone. None when it is none that carries an object.
fn only_for(sent: Sent, version: &str) -> Option<Sent> {
    let mut change: Value = serde_json::from_slice(&sent.body).ok()?;
    let meta = change.as_object_mut()?.entry("metadata").or_insert_with(|| serde_json::json!({}));
    meta.as_object_mut()?.insert("resourceVersion".to_owned(), version.into());
    Some(Sent { parts: resized(sent.parts), body: change.to_string().into_bytes().into() })
}

/// Whether the API server says that the object is in another version by now. What somebody else owns
/// is another matter, and helm's.
fn has_moved(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let message = answer.get("message").and_then(Value::as_str).unwrap_or_default();
    message.contains("the object has been modified")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: &str) -> Sent {
        let (parts, ()) = http::Request::patch("/x").body(()).unwrap().into_parts();
        Sent { parts, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn a_change_is_for_one_version_of_the_object_and_otherwise_as_it_was() {
        for (change, expected) in [
            (
                r#"{"spec":{"replicas":2}}"#,
                r#"{"spec":{"replicas":2},"metadata":{"resourceVersion":"7"}}"#,
            ),
            (
                r#"{"metadata":{"labels":{"a":"b"},"resourceVersion":"1"}}"#,
                r#"{"metadata":{"labels":{"a":"b"},"resourceVersion":"7"}}"#,
            ),
        ] {
            let made = only_for(sent(change), "7").unwrap();
            let made: Value = serde_json::from_slice(&made.body).unwrap();
            assert_eq!(made, serde_json::from_str::<Value>(expected).unwrap());
        }
        for other in ["", "[]", "k8s\0", "{\"metadata\":1}"] {
            assert!(only_for(sent(other), "7").is_none(), "{other:?}");
        }
    }

    #[test]
    fn an_object_that_moved_is_told_from_a_field_that_somebody_else_owns() {
        let moved = r#"{"message":"Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please apply your changes to the latest version and try again"}"#;
        assert!(has_moved(moved.as_bytes()));
        let owned = r#"{"message":"Apply failed with 1 conflict: conflict with \"x\""}"#;
        assert!(!has_moved(owned.as_bytes()) && !has_moved(b"<html>"));
    }
}
