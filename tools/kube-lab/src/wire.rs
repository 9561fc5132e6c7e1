//! What lies between a client and the API server, and what can go wrong on the way.
//!
//! This is an HTTP proxy, and not the testkit's TCP wire: the API server speaks TLS, an order is told by its
//! method, path and whole body, and whether it was carried out by the status of its answer. Clients pool
//! their connections, and keep one open per watch, so that a fault must befall one request of many on a
//! connection.

use crate::Lab;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Whether a request is an order, by its method, its path with the query, and its body.
pub type IsOrder = fn(&Method, &str, &[u8]) -> bool;

/// A proxy on loopback. What an *order* is, a test says; unless it does, it is a PATCH, no dry run,
/// that replaces a pod template.
#[derive(Clone)]
pub struct Wire {
    lab: &'static Lab,
    inner: Arc<Inner>,
    port: u16,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("port", &self.port).finish_non_exhaustive()
    }
}

struct Inner {
    to: kube::Client,
    is_order: IsOrder,
    cut: AtomicBool,
    /// What does not arrive, besides what is cut.
    lost: Mutex<Option<IsOrder>>,
    next: Mutex<Fate>,
    /// What a gateway answers by itself to whatever is no order.
    gateway: Mutex<Option<StatusCode>>,
    held: Mutex<Vec<(Sent, oneshot::Sender<Response>)>>,
    orders: AtomicUsize,
    carried_out: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Fate {
    #[default]
    Arrive,
    LoseAnswer,
    HoldUp,
    /// It arrives, and a gateway answers it by itself.
    AnswerItself(StatusCode),
}

#[derive(Debug)]
struct Sent {
    parts: http::request::Parts,
    body: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(lab: &'static Lab, is_order: IsOrder) -> Self {
        let path = lab.kubeconfig().to_owned();
        let opened = lab.runtime.spawn(async move {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
            let options = kube::config::KubeConfigOptions::default();
            let mut config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            // Whoever uses the wire says who they are.
            config.auth_info = Default::default();
            let inner = Arc::new(Inner {
                to: kube::Client::try_from(config).unwrap(),
                is_order,
                cut: AtomicBool::new(false),
                lost: Mutex::new(None),
                next: Mutex::new(Fate::Arrive),
                gateway: Mutex::new(None),
                held: Mutex::new(Vec::new()),
                orders: AtomicUsize::new(0),
                carried_out: AtomicUsize::new(0),
            });
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let router = axum::Router::new().fallback(carry).with_state(Arc::clone(&inner));
            tokio::spawn(async move { axum::serve(listener, router).await });
            (inner, port)
        });
        let (inner, port) = opened.await.unwrap();
        Self { lab, inner, port }
    }

    /// Where it begins.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Nothing that is sent from now on arrives.
    pub fn cut(&self) {
        self.inner.cut.store(true, Ordering::SeqCst);
    }

    /// Of what is sent from now on, nothing like this arrives.
    pub fn lose(&self, what: IsOrder) {
        *self.inner.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// A gateway answers whatever is no order with a page of its own from now on, and passes nothing
    /// on.
    pub fn answer_for_the_server(&self, code: StatusCode) {
        *self.inner.gateway.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    }

    /// The next order arrives, and a gateway answers it with a page of its own.
    pub fn answer_next_order(&self, code: StatusCode) {
        self.decide(Fate::AnswerItself(code));
    }

    /// Ends what [`Self::cut`], [`Self::lose`] and [`Self::answer_for_the_server`] began.
    pub fn heal(&self) {
        *self.inner.gateway.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.inner.cut.store(false, Ordering::SeqCst);
        *self.inner.lost.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The next order arrives, and its answer does not.
    pub fn lose_next_answer(&self) {
        self.decide(Fate::LoseAnswer);
    }

    /// The next order is held up until [`Self::release`].
    pub fn hold_next_order(&self) {
        self.decide(Fate::HoldUp);
    }

    fn decide(&self, fate: Fate) {
        *self.inner.next.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }

    /// What was held up arrives now, and is answered when this returns, to whoever still waits. Says
    /// how each was answered.
    pub async fn release(&self) -> Vec<u16> {
        let inner = Arc::clone(&self.inner);
        let released = self.lab.runtime.spawn(async move {
            let held =
                std::mem::take(&mut *inner.held.lock().unwrap_or_else(PoisonError::into_inner));
            let mut answers = Vec::new();
            for (sent, answer_to) in held {
                let answer = inner.forward(sent).await.unwrap();
                answers.push(answer.status().as_u16());
                // Whoever sent it may have given up.
                drop(answer_to.send(answer));
            }
            answers
        });
        released.await.unwrap()
    }

    /// How many orders are held up now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many orders were sent.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.inner.orders.load(Ordering::SeqCst)
    }

    /// How many orders the API server carried out.
    #[must_use]
    pub fn carried_out(&self) -> usize {
        self.inner.carried_out.load(Ordering::SeqCst)
    }
}

impl Inner {
    fn loses(&self, sent: &Sent) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.is_some_and(|is_lost| sent.is_order(is_lost))
    }

    async fn forward(&self, sent: Sent) -> Result<Response, kube::Error> {
        let order = sent.is_order(self.is_order);
        let request = http::Request::from_parts(sent.parts, kube::client::Body::from(sent.body));
        let answer = self.to.send(request).await?;
        if order && answer.status().is_success() {
            self.carried_out.fetch_add(1, Ordering::SeqCst);
        }
        Ok(answer.map(Body::new))
    }
}

impl Sent {
    fn is_order(&self, is_order: IsOrder) -> bool {
        let path = self.parts.uri.path_and_query().map_or("", |path| path.as_str());
        is_order(&self.parts.method, path, &self.body)
    }
}

/// A PATCH, no dry run, that replaces a pod template.
pub(crate) fn replaces_a_template(method: &Method, path: &str, body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    *method == Method::PATCH && !path.contains("dryRun") && body.contains("\"/spec/template\"")
}

async fn carry(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    // The proxy's own connection has its own.
    parts.headers.remove("host");
    let body = match body.collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(_gone) => return broken(),
    };
    let sent = Sent { parts, body };
    if inner.cut.load(Ordering::SeqCst) || inner.loses(&sent) {
        return broken();
    }
    if !sent.is_order(inner.is_order) {
        let gateway = *inner.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = gateway {
            return page(code);
        }
        return inner.forward(sent).await.unwrap_or_else(|_unreachable| broken());
    }
    inner.orders.fetch_add(1, Ordering::SeqCst);
    let fate = std::mem::take(&mut *inner.next.lock().unwrap_or_else(PoisonError::into_inner));
    match fate {
        Fate::Arrive => inner.forward(sent).await.unwrap_or_else(|_unreachable| broken()),
        Fate::LoseAnswer => {
            let _lost = inner.forward(sent).await;
            broken()
        }
        Fate::AnswerItself(code) => {
            let _answered_otherwise = inner.forward(sent).await;
            page(code)
        }
        Fate::HoldUp => {
            let (answer_to, answer) = oneshot::channel();
            inner.held.lock().unwrap_or_else(PoisonError::into_inner).push((sent, answer_to));
            answer.await.unwrap_or_else(|_never| broken())
        }
    }
}

/// What a gateway says of its own.
fn page(code: StatusCode) -> Response {
    let mut page = Response::new(Body::from(format!("<html><h1>{code}</h1></html>")));
    *page.status_mut() = code;
    page.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
    page
}

/// An answer that breaks off, as when the connection is reset.
fn broken() -> Response {
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let breaks = futures_util::stream::once(async { Err::<Vec<u8>, _>(reset) });
    Response::new(Body::from_stream(breaks))
}
