//! The shop as the cluster sees it, as a page. Whether its customers are served is the page's status.

use crate::Adapter;
use crate::site::SHOP;
use crate::tools::namespace;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use demo::SCENE_HEADER;
use serde_json::Value;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Clone)]
struct View {
    client: kube::Client,
    adapter: Adapter,
    names: Arc<str>,
}

/// Serves the view on a loopback port, which it says, until the process ends.
pub(crate) async fn serve(
    client: kube::Client,
    adapter: Adapter,
    names: String,
) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let view = View { client, adapter, names: names.into() };
    let routes = Router::new().route("/", get(show)).with_state(view);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(port)
}

async fn show(State(view): State<View>, headers: HeaderMap) -> Response {
    let scene = headers.get(SCENE_HEADER).and_then(|scene| scene.to_str().ok());
    match view.look(scene.unwrap_or_default()).await {
        Ok(seen) => seen.page().into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// One look.
struct Seen {
    deployment: Value,
    pods: Vec<Value>,
    /// What the history is kept in.
    kept: Vec<Value>,
    adapter: Adapter,
}

impl View {
    async fn look(&self, scene: &str) -> Result<Seen, kube::Error> {
        let (api, kept) = match self.adapter {
            Adapter::Kubernetes => {
                ("apis/apps/v1", format!("replicasets?labelSelector=app%3D{SHOP}"))
            }
            Adapter::Helm => {
                ("api/v1", format!("secrets?labelSelector=owner%3Dhelm,name%3D{SHOP}"))
            }
        };
        let shop = format!("deployments/{SHOP}");
        let pods = format!("pods?labelSelector=app%3D{SHOP}");
        let (deployment, pods, kept) = tokio::try_join!(
            self.read(scene, "apis/apps/v1", &shop),
            self.read(scene, "api/v1", &pods),
            self.read(scene, api, &kept),
        )?;
        let items =
            |list: Value| list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(Seen { deployment, pods: items(pods), kept: items(kept), adapter: self.adapter })
    }

    async fn read(&self, scene: &str, api: &str, what: &str) -> Result<Value, kube::Error> {
        let path = format!("/{api}/namespaces/{}/{what}", namespace(&self.names, scene));
        let request = http::Request::get(path).body(Vec::new());
        self.client.request(request.map_err(kube::Error::HttpError)?).await
    }
}

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:0;padding:12px 16px;color:#1d1c1d}\
    h1{font-size:15px;margin:0 0 2px}p{margin:0 0 10px}table{border-collapse:collapse;width:100%;margin:0 0 10px}\
    th{text-align:left;font-weight:600;color:#616061;font-size:12px}td,th{padding:3px 10px 3px 0;border-bottom:1px solid #eee}\
    code{font:12px ui-monospace,monospace}.good{color:#007a5a}.bad{color:#c0143c}.live td{font-weight:600}";

impl Seen {
    fn page(&self) -> Response {
        let number =
            |path: &str| self.deployment.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        let (ready, wanted) = (number("/status/readyReplicas"), number("/spec/replicas"));
        let (class, words) = if ready > 0 {
            ("good", "customers are served")
        } else {
            ("bad", "customers are not served: no pod is ready")
        };
        let image = text(&self.deployment, "/spec/template/spec/containers/0/image");
        let mut page = format!(
            "<!doctype html><meta charset=\"utf-8\"><title>The shop</title><style>{STYLE}</style>\
             <h1>deployment/{SHOP}</h1><p><code>{image}</code><br>\
             <b class=\"{class}\">{ready} of {wanted} pods ready</b>, {words}</p>"
        );
        // Writing into a string cannot fail.
        let _written = self.pods(&mut page).and_then(|()| self.history(&mut page));
        let status = if ready > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Html(page)).into_response()
    }

    fn pods(&self, page: &mut String) -> std::fmt::Result {
        write!(page, "<table><tr><th>pod<th>image<th>state")?;
        for pod in &self.pods {
            let container = pod.pointer("/status/containerStatuses/0").unwrap_or(&Value::Null);
            let is_ready = container.get("ready").and_then(Value::as_bool).unwrap_or_default();
            let waiting = text(container, "/state/waiting/reason");
            let (class, state) = match (is_ready, waiting.as_str()) {
                (true, _) => ("good", "ready"),
                (false, "") => ("", "starting"),
                (false, reason) => ("bad", reason),
            };
            let (name, image) =
                (text(pod, "/metadata/name"), text(pod, "/spec/containers/0/image"));
            let image = image.rsplit('/').next().unwrap_or_default();
            write!(page, "<tr><td><code>{name}</code><td>{image}<td class=\"{class}\">{state}")?;
        }
        write!(page, "</table>")
    }

    fn history(&self, page: &mut String) -> std::fmt::Result {
        let mut rows: Vec<(u64, String, String)> =
            self.kept.iter().map(|kept| self.row(kept)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        let kept = match self.adapter {
            Adapter::Kubernetes => "ReplicaSet<th>pods",
            Adapter::Helm => "Helm's record<th>status",
        };
        write!(page, "<table><tr><th>revision<th>{kept}")?;
        for (number, name, state) in rows {
            let class = if matches!(state.as_str(), "0" | "superseded") { "" } else { "live" };
            write!(page, "<tr class=\"{class}\"><td>{number}<td><code>{name}</code><td>{state}")?;
        }
        write!(page, "</table>")
    }

    fn row(&self, kept: &Value) -> (u64, String, String) {
        let number = |path: &str| text(kept, path).parse().unwrap_or(0);
        let name = text(kept, "/metadata/name");
        match self.adapter {
            Adapter::Kubernetes => {
                let pods = kept.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(0);
                let image = text(kept, "/spec/template/spec/containers/0/image");
                let version = image.rsplit(':').next().unwrap_or_default();
                let number = number("/metadata/annotations/deployment.kubernetes.io~1revision");
                (number, format!("{name} ({version})"), pods.to_string())
            }
            Adapter::Helm => {
                (number("/metadata/labels/version"), name, text(kept, "/metadata/labels/status"))
            }
        }
    }
}

/// What is written there, safe in a page.
fn text(value: &Value, path: &str) -> String {
    let text = value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
