//! An admission webhook of a namespace: a real HTTPS server that the API server asks.

use crate::Lab;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a webhook says to a change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Consent {
    /// It may be.
    Allow,
    /// It may not, for this reason.
    Deny(String),
    /// It may be, with this JSON patch on top.
    Change(Value),
    /// Nothing that makes sense: the webhook is broken.
    Broken,
}

/// A webhook that the API server asks before it changes a Deployment of one namespace, and that it
/// does not do without.
#[derive(Clone, Debug)]
pub struct Webhook {
    says: Arc<Mutex<Consent>>,
    asked: Arc<AtomicBool>,
}

impl Webhook {
    /// What it says from now on.
    pub fn says(&self, consent: Consent) {
        *self.says.lock().unwrap_or_else(PoisonError::into_inner) = consent;
    }

    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Listens, and gives what the API server has to be told of it.
    pub(crate) async fn open(lab: &'static Lab, namespace: &str) -> (Self, Value) {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let hook = Self { says: Arc::new(Mutex::new(Consent::Allow)), asked: Arc::default() };
        let routes = Router::new().route("/", post(review)).with_state(hook.clone());
        let opened = lab.runtime.spawn(async move {
            let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = tcp.local_addr().unwrap().port();
            let tls = Tls { tcp, acceptor: TlsAcceptor::from(Arc::new(tls)) };
            tokio::spawn(async move { axum::serve(tls, routes).await });
            port
        });
        let port = opened.await.unwrap();
        let client = json!({
            "url": format!("https://127.0.0.1:{port}/"),
            "caBundle": STANDARD.encode(made.cert.pem()),
        });
        let config = json!({
            "metadata": {"name": format!("policy.{namespace}")},
            "webhooks": [{
                "name": "policy.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 2,
                "clientConfig": client,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                    "operations": ["UPDATE"], "resources": ["deployments"]}],
            }],
        });
        (hook, config)
    }
}

async fn review(State(hook): State<Webhook>, Json(asked): Json<Value>) -> Response {
    hook.asked.store(true, Ordering::Relaxed);
    let consent = hook.says.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut answer = json!({"uid": asked["request"]["uid"], "allowed": true});
    match consent {
        Consent::Allow => {}
        Consent::Deny(why) => {
            answer["allowed"] = false.into();
            answer["status"] = json!({"code": 403, "message": why});
        }
        Consent::Change(patch) => {
            answer["patchType"] = "JSONPatch".into();
            answer["patch"] = STANDARD.encode(patch.to_string()).into();
        }
        Consent::Broken => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
    let review =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer});
    Json(review).into_response()
}

struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            // Whoever does not get through the handshake was not the API server.
            if let Ok((stream, address)) = self.tcp.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}
