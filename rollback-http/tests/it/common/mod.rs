//! A CD system in memory, the server over it on a real socket, a wire that can fail, and the
//! client at its other end.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "several tests share it")]

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
use rollback_http::server::{OrderLog, Server};
use rollback_http::{Config, HttpBackend};
use rollback_testkit::fakes::FakeBackend;
use rollback_testkit::fixtures;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What a request for a rollback begins with.
pub const ORDER: &[u8] = b"POST /v1/rollbacks HTTP/";

pub const TOKEN: &str = "canary-token-of-the-test";

/// Both ways of being able to fence.
pub fn capabilities(fence: Fence) -> Capabilities {
    Capabilities::new(CompareAndSet::Yes, fence)
}

/// What was answered that the OpenAPI document does not know.
static UNDOCUMENTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Insists that everything this process has answered so far is in the document.
pub fn everything_is_documented() {
    let found = UNDOCUMENTED.lock().unwrap().clone();
    assert!(found.is_empty(), "answered, and not in openapi.json: {found:?}");
}

async fn compared(request: Request, next: Next) -> axum::response::Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().as_str().to_ascii_lowercase();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    // A path or a method that is not in the document is told so.
    let outside = ["401", "404", "405"].contains(&status.as_str());
    if let Some(path) = path {
        let document = rollback_http::openapi();
        let operation = &document["paths"][&path][&method];
        let known = operation["responses"][&status].is_object();
        if !(known || operation.is_null() && outside) {
            UNDOCUMENTED.lock().unwrap().push(format!("{method} {path} {status}"));
        }
    } else if !outside {
        UNDOCUMENTED.lock().unwrap().push(format!("{method} (no such path) {status}"));
    }
    response
}

/// Serves routes on a port of their own, and every answer is compared with the document.
pub async fn serve(routes: Router) -> (SocketAddr, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = routes.layer(from_fn(compared));
    let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (address, task.abort_handle())
}

/// The routes over a backend.
pub fn routes(backend: Arc<dyn CdBackend>, log: Arc<dyn OrderLog>) -> Router {
    Server::new(TOKEN, log).unwrap().service(fixtures::key(), backend).router()
}

/// A client of whatever listens there.
pub fn client(address: SocketAddr, fence: Fence) -> HttpBackend {
    let mut config = Config::new(format!("http://{address}"), TOKEN);
    config.fence = fence;
    HttpBackend::new(&config).unwrap()
}

/// A fake CD system that can be shared.
pub fn fake(fence: Fence) -> Arc<FakeBackend> {
    Arc::new(FakeBackend::new(capabilities(fence)))
}
