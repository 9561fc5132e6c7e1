//! The only way that helm knows to the cluster, and what makes a rollback a compare-and-set.
//!
//! ```text
//! helm ──▶ http://127.0.0.1:<port>/<one-time token> ──▶ the API server, with our credentials
//!          reads, watches                           pass
//!          create sh.helm.release.v1.<release>.v<N+1>  once: created with the order's id on it,
//!                                                   looked at again, written into the journal;
//!                                                   only then helm learns that it exists
//!          create any other revision                409, as if somebody else had been faster
//!          change anything                          403 before that, and once the order has ended;
//!                                                   in between only what nobody else has changed
//!                                                   since it was certain that the order is ours
//!          prune revisions                          put off until then; the target is kept
//!          write its record anew                    with our marks, which it would drop
//! ```
//!
//! Helm changes nothing before it has created its record, so that nothing is touched unless N is
//! still the newest revision. When this process dies, helm's way to the cluster is gone with it.

mod change;
mod creation;

use crate::journal::{Entry, State};
use crate::protobuf;
use crate::record::{Content, ORDER, Record, number_of, secret_name};
use crate::site::Site;
use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use core::time::Duration;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use rollback_cluster::{Answer, ClusterError, Unanswered};
use rollback_core::{Receipt, RevisionId, RollbackId, Timestamp};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The largest request of helm: objects are at most 3 MiB.
const REQUEST_MAX: usize = 8 << 20;
/// The largest answer to the creation of a record.
const ANSWER_MAX: usize = 4 << 20;
/// How long a read of helm waits for an API server that is away.
const OUTAGE_MAX: Duration = Duration::from_secs(60);
/// How long an API server that was away may need until it knows everybody's rights again.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries of a read.
const AGAIN_EVERY: Duration = Duration::from_millis(500);
/// The fields that belong to a connection and not to what goes over it.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
];

/// What is to be done, and on what it was decided. No `Debug`: its content can hold passwords.
pub(crate) struct Job {
    pub(crate) order: RollbackId,
    /// The newest revision, which must still be that.
    pub(crate) from: Record,
    /// The revision from which helm restores.
    pub(crate) target: Record,
    /// As the order names it.
    pub(crate) to: RevisionId,
    pub(crate) content: Content,
    /// Whether helm itself waits until everything is ready.
    pub(crate) must_wait: bool,
    pub(crate) valid_until: Timestamp,
}

impl Job {
    pub(crate) const fn next(&self) -> u32 {
        self.from.number.saturating_add(1)
    }
}

/// How far the creation of the record is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Helm has not come to it.
    Waiting,
    /// The request was sent, and nobody knows yet what became of it.
    Sent,
    /// The order took effect.
    Committed(Receipt),
    /// It did not, and will not.
    Refused(String),
    /// It did not, because something newer is there.
    Conflict(String),
}

/// What may pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gate {
    /// Reads, and the creation of one record.
    Open,
    /// Reads, while that is being decided.
    Creating,
    /// Everything that a rollback does.
    Committed,
    /// Nothing more.
    Closed,
}

pub(crate) struct Proxy {
    site: Arc<Site>,
    pub(crate) job: Job,
    token: String,
    port: u16,
    gate: Mutex<Gate>,
    /// When this process was last able to say that it is alive: by counted time, which stands still
    /// while the machine is suspended, and by the time of day, which somebody may set.
    pulse: Mutex<(Instant, Timestamp)>,
    /// The order as it stands in the journal, once it has taken effect.
    committed: Mutex<Option<Entry>>,
    put_off: Mutex<Vec<String>>,
    /// When the API server was last found not to answer.
    outage: Mutex<Option<Instant>>,
    pub(crate) stage: watch::Sender<Stage>,
}

/// The proxy's door: shut when this is dropped.
pub(crate) struct Door(AbortHandle);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What helm asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Ask {
    Read,
    /// A Secret, which may be a record.
    CreateSecret,
    /// A revision that is to be forgotten.
    Prune(u32),
    Change,
}

impl Proxy {
    /// Opens the way for one helm.
    pub(crate) async fn open(site: Arc<Site>, job: Job) -> std::io::Result<(Arc<Self>, Door)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let token = format!("{}{}", uuid::Uuid::now_v7().simple(), uuid::Uuid::now_v7().simple());
        let now = site.config.clock.now();
        let proxy = Arc::new(Self {
            site,
            job,
            token,
            port: listener.local_addr()?.port(),
            gate: Mutex::new(Gate::Open),
            pulse: Mutex::new((Instant::now(), now)),
            committed: Mutex::default(),
            put_off: Mutex::default(),
            outage: Mutex::default(),
            stage: watch::Sender::new(Stage::Waiting),
        });
        let router = axum::Router::new().fallback(carry).with_state(Arc::clone(&proxy));
        // An answer is passed on in pieces, and a piece must not wait until helm has confirmed the one
        // before it: that takes 40 ms, at each of its thirty requests.
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "answers to helm will be slow");
            }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((proxy, Door(serving.abort_handle())))
    }

    /// What helm takes for the API server. Whoever knows it can do what helm can.
    pub(crate) fn server(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, self.token)
    }

    /// Shuts the gate, unless helm's record is being created or was. True when nothing has happened
    /// and nothing will.
    pub(crate) fn close_if_unused(&self) -> bool {
        let mut gate = self.gate();
        if *gate == Gate::Open {
            *gate = Gate::Closed;
        }
        *gate == Gate::Closed && !matches!(*self.stage.borrow(), Stage::Committed(_))
    }

    /// Lets nothing more through.
    pub(crate) fn close(&self) {
        *self.gate() = Gate::Closed;
    }

    /// Says that this process is alive, and hears whether the order is still ours. False when it is
    /// not, or when that could not be found out.
    pub(crate) async fn renew(&self) -> bool {
        // Taken before it is asked: whoever answers late has seen what was then.
        let before = (Instant::now(), self.site.config.clock.now());
        match self.site.client.beat(&self.job.order, before.1).await {
            Ok(true) => {
                *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = before;
                true
            }
            Ok(false) => {
                self.close();
                false
            }
            Err(error) => {
                tracing::debug!(%error, "nobody heard that a rollback goes on");
                false
            }
        }
    }

    /// The order took effect, at a moment that was taken before it was written down.
    fn commit_to(&self, entry: Entry, at: (Instant, Timestamp)) {
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = at;
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        *self.gate() = Gate::Committed;
    }

    /// The order as it stands in the journal, once it has taken effect.
    pub(crate) fn committed(&self) -> Option<Entry> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a change of helm's may pass. A process that stood still asks first: whoever took its
    /// order over has written that down.
    async fn may_change(&self) -> bool {
        if *self.gate() != Gate::Committed {
            return false;
        }
        let (counted, by_day) = *self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = counted.elapsed().max(self.site.config.clock.now().since(by_day));
        (silent <= self.site.config.lease || self.renew().await) && *self.gate() == Gate::Committed
    }

    /// The path behind the token.
    fn admit(&self, uri: &http::Uri) -> Option<http::Uri> {
        let (token, _rest) = uri.path().strip_prefix('/')?.split_once('/')?;
        let known: bool = token.as_bytes().ct_eq(self.token.as_bytes()).into();
        if !known {
            return None;
        }
        let whole = uri.path_and_query()?.as_str();
        whole.get(token.len().checked_add(1)?..)?.parse().ok()
    }

    fn ask(&self, method: &Method, path: &str) -> Ask {
        let secrets = self.site.client.secrets().path();
        let below = path.strip_prefix(&secrets).and_then(|rest| rest.strip_prefix('/'));
        let number = below.and_then(|name| number_of(&self.site.config.release.name, name));
        match (method.as_str(), number) {
            ("GET" | "HEAD", _) => Ask::Read,
            ("POST", _) if path == secrets => Ask::CreateSecret,
            ("DELETE", Some(number)) => Ask::Prune(number),
            _ => Ask::Change,
        }
    }

    async fn forward(&self, sent: Sent) -> Result<http::Response<Answer>, Unanswered> {
        let request = http::Request::from_parts(sent.parts, sent.body);
        self.site.client.cluster.forward(request).await
    }

    /// Passes a request on, and its answer as it comes.
    async fn pass(&self, sent: Sent) -> Response {
        match self.forward(sent).await {
            Ok(mut answer) => {
                strip(answer.headers_mut());
                answer.map(Body::new)
            }
            Err(error) => {
                tracing::debug!(%error, "helm's request was not answered");
                answered_nothing()
            }
        }
    }

    /// Passes a read on, and once more while the API server is away: helm gives up at the first error
    /// and leaves the release half-way. One that comes back may refuse for a moment what it allows.
    async fn read(&self, sent: Sent) -> Response {
        let outage = || self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        loop {
            let again = Sent { parts: sent.parts.clone(), body: sent.body.clone() };
            let answer = self.pass(again).await;
            let code = answer.status();
            if code == StatusCode::BAD_GATEWAY || code == StatusCode::SERVICE_UNAVAILABLE {
                *outage() = Some(Instant::now());
            }
            let refused = code == StatusCode::UNAUTHORIZED || code == StatusCode::FORBIDDEN;
            let away = outage().is_some_and(|at| at.elapsed() < BACK_WITHIN);
            let again = code.is_server_error() || (refused && away);
            if !again || since.elapsed() > OUTAGE_MAX || *self.gate() == Gate::Closed {
                return answer;
            }
            tokio::time::sleep(AGAIN_EVERY).await;
        }
    }

    /// Forgets a revision when the order has taken effect, and never the target.
    async fn prune(&self, number: u32, sent: Sent) -> Response {
        let later = || {
            let done =
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}});
            answer(StatusCode::OK, &done)
        };
        if number == self.job.target.number {
            return later();
        }
        if self.may_change().await {
            return self.pass(sent).await;
        }
        if *self.gate() == Gate::Closed {
            return closed();
        }
        let name = secret_name(&self.site.config.release.name, number);
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        later()
    }

    async fn prune_what_was_put_off(&self) {
        let names =
            std::mem::take(&mut *self.put_off.lock().unwrap_or_else(PoisonError::into_inner));
        for name in names {
            let pruned = async {
                if let Some(meta) = self.site.client.secret_meta(&name).await? {
                    self.site.client.delete_secret(&meta).await?;
                }
                Ok::<(), ClusterError>(())
            };
            if let Err(error) = pruned.await {
                // The next operation prunes it.
                tracing::debug!(%error, "a revision was not pruned");
            }
        }
    }
}

pub(crate) fn ended_words(state: State) -> String {
    match state {
        State::Void => "the order was given up before it took effect; nothing was changed",
        State::Running | State::Applied | State::Complete | State::Failed => {
            "the order was carried out already"
        }
    }
    .to_owned()
}

struct Sent {
    parts: http::request::Parts,
    body: Bytes,
}

async fn carry(Extract(proxy): Extract<Arc<Proxy>>, request: Request) -> Response {
    let Some(uri) = proxy.admit(request.uri()) else {
        return status(StatusCode::NOT_FOUND, "NotFound", "there is nothing here");
    };
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    strip(&mut parts.headers);
    // Helm has no credentials of its own.
    parts.headers.remove(header::AUTHORIZATION);
    let Ok(body) = Limited::new(body, REQUEST_MAX).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "it is too large");
    };
    let sent = Sent { parts, body: body.to_bytes() };
    match proxy.ask(&sent.parts.method, sent.parts.uri.path()) {
        Ask::Read if *proxy.gate() == Gate::Closed => closed(),
        Ask::Read => proxy.read(sent).await,
        Ask::Prune(number) => proxy.prune(number, sent).await,
        Ask::CreateSecret => create_secret(proxy, sent).await,
        Ask::Change => proxy.change(sent).await,
    }
}

async fn create_secret(proxy: Arc<Proxy>, sent: Sent) -> Response {
    let order = proxy.job.order.to_string();
    let read = protobuf::annotate(&sent.body, ORDER, &order)
        .or_else(|| annotate_json(&sent.body, ORDER, &order));
    let record = read.filter(|(created, _)| created.name.starts_with("sh.helm.release.v1."));
    let Some((created, body)) = record else {
        // A Secret of the chart.
        return if proxy.may_change().await { proxy.pass(sent).await } else { closed() };
    };
    let sent = Sent { parts: resized(sent.parts), body: body.into() };
    // Whoever waits for the answer may go away; what was begun is ended.
    match tokio::spawn(proxy.create(sent, created)).await {
        Ok(answer) => answer,
        Err(_stopped) => closed(),
    }
}

/// The same for an older helm, which sends JSON.
fn annotate_json(body: &[u8], key: &str, value: &str) -> Option<(protobuf::Created, Vec<u8>)> {
    use base64::Engine as _;
    let mut secret: Value = serde_json::from_slice(body).ok()?;
    if secret.get("kind").and_then(Value::as_str).is_some_and(|kind| kind != "Secret") {
        return None;
    }
    let name = secret.pointer("/metadata/name")?.as_str()?.to_owned();
    let release = secret.pointer("/data/release").and_then(Value::as_str).unwrap_or_default();
    let release = base64::engine::general_purpose::STANDARD.decode(release).ok()?;
    let meta = secret.get_mut("metadata")?.as_object_mut()?;
    let annotations = meta.entry("annotations").or_insert_with(|| json!({}));
    annotations.as_object_mut()?.insert(key.to_owned(), value.into());
    let created = protobuf::Created { name, release: protobuf::Hidden(release) };
    Some((created, secret.to_string().into_bytes()))
}

fn resized(mut parts: http::request::Parts) -> http::request::Parts {
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// An answer that is held in whole before it is passed on.
async fn whole(answer: http::Response<Answer>) -> Response {
    let (mut parts, body) = answer.into_parts();
    strip(&mut parts.headers);
    match Limited::new(body, ANSWER_MAX).collect().await {
        Ok(body) => Response::from_parts(parts, Body::from(body.to_bytes())),
        Err(_broken) => {
            status(StatusCode::BAD_GATEWAY, "ServiceUnavailable", "the answer broke off")
        }
    }
}

fn answered_nothing() -> Response {
    status(StatusCode::BAD_GATEWAY, "ServiceUnavailable", "the API server did not answer")
}

fn exists() -> Response {
    let why = "the rollback service did not let this revision be made";
    status(StatusCode::CONFLICT, "AlreadyExists", why)
}

fn closed() -> Response {
    status(StatusCode::FORBIDDEN, "Forbidden", "the rollback service lets nothing through now")
}

/// An answer in the API server's own words.
fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16()});
    answer(code, &body)
}

fn answer(code: StatusCode, body: &Value) -> Response {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
