//! The HTTP side: the Web API, response URLs, and the listener that can reset a connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Path, Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::{Answer, ApiError};
use crate::args::Args;
use crate::faults::{FaultKind, HANG_MAX};
use crate::methods;
use crate::world::{Call, World};
use crate::{LocalSlack, Options, Running, Shared, page, socket};

/// A request body may be this long.
const BODY_MAX: usize = 1 << 20;
/// Uses of a response URL.
const RESPONSE_URL_USES: u32 = 5;

/// The local Slack could not be started; nothing was.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on port {port} of 127.0.0.1; nothing was started; choose another port, or 0 for a free one"
)]
#[non_exhaustive]
pub struct StartError {
    /// Port that was asked for.
    pub port: u16,
    source: io::Error,
}

pub(crate) async fn start(mut options: Options) -> Result<LocalSlack, StartError> {
    let port = options.port;
    let wrong = |source| StartError { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let routes = std::mem::take(&mut options.routes);
    let with_page = options.page;
    let shared = Shared::new(World::new(options, format!("http://{address}/")));
    let page = page::router(Arc::clone(&shared), with_page);
    let routes = routes.layer(from_fn(page::only_from_here));
    let router = axum::Router::new()
        .route("/api/{method}", any(api))
        .route("/response/{id}", post(response_url))
        .route("/link/", get(socket::link))
        .with_state(Arc::clone(&shared))
        .merge(routes)
        .merge(page);
    let service = router.into_make_service_with_connect_info::<Kill>();
    let server = tokio::spawn(async move {
        // It ends only with the task.
        let _ended = axum::serve(Resettable(listener), service).await;
    });
    Ok(LocalSlack { running: Arc::new(Running { shared, address, server }) })
}

async fn api(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    kill: Option<axum::Extension<ConnectInfo<Kill>>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let method = methods::find(&name);
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let json_allowed = method.is_none_or(|method| method.json);
    let args = Args::parse(content_type, parts.uri.query(), &body, json_allowed);
    let (args, refused) = match args {
        Ok(args) => (args, None),
        Err(refused) => (Args::default(), Some(refused)),
    };
    let call = Arrived::log(&shared, &name, args, &parts.headers, refused);
    let (outage, fault) = shared.change(|world| (world.faults.outage(), world.faults.take(&name)));
    if outage {
        call.end(&shared, "outage");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match fault {
        None => call.carry_out(&shared, method),
        Some(FaultKind::Slow { milliseconds }) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            call.carry_out(&shared, method)
        }
        Some(FaultKind::RateLimited { retry_after }) => {
            call.end(&shared, "fault: rate limited");
            ApiError::rate_limited(retry_after).into_response()
        }
        Some(FaultKind::ServerError) => {
            call.end(&shared, "fault: server error");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(FaultKind::Hang) => {
            call.end(&shared, "fault: hang");
            let _lifted_or_over = tokio::time::timeout(HANG_MAX, shared.lifted.notified()).await;
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(FaultKind::Reset) => {
            call.end(&shared, "fault: reset");
            reset(kill)
        }
        Some(FaultKind::DoneButServerError) => {
            let _unsaid = call.carry_out(&shared, method);
            call.end(&shared, "fault: done but server error");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(FaultKind::DoneButReset) => {
            let _unsaid = call.carry_out(&shared, method);
            call.end(&shared, "fault: done but reset");
            reset(kill)
        }
    }
}

/// A call that is in the log and waits for its answer.
struct Arrived {
    index: usize,
    args: Args,
    token: Option<String>,
    refused: Option<ApiError>,
}

impl Arrived {
    fn log(
        shared: &Shared,
        method: &str,
        mut args: Args,
        headers: &HeaderMap,
        refused: Option<ApiError>,
    ) -> Self {
        let form = args.take_token();
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::to_owned);
        let index = shared.change(|world| {
            world.calls.push(Call {
                method: method.to_owned(),
                at: world.started.elapsed(),
                args: args.to_value(),
                outcome: "pending".to_owned(),
            });
            world.calls.len().saturating_sub(1)
        });
        Self { index, args, token: bearer.or(form), refused }
    }

    fn end(&self, shared: &Shared, outcome: &str) {
        shared.change(|world| {
            if let Some(call) = world.calls.get_mut(self.index) {
                outcome.clone_into(&mut call.outcome);
            }
        });
    }

    fn carry_out(&self, shared: &Shared, method: Option<&methods::Method>) -> Response {
        let (answer, scopes) =
            shared.change(|world| (self.answer(world, method), world.options.scopes.join(",")));
        let mut response = match answer {
            Ok(mut body) => {
                self.end(shared, "ok");
                body.insert("ok".to_owned(), Value::Bool(true));
                Json(body).into_response()
            }
            Err(refused) => {
                self.end(shared, refused.code());
                refused.into_response()
            }
        };
        if let Ok(scopes) = HeaderValue::from_str(&scopes) {
            response.headers_mut().insert("x-oauth-scopes", scopes);
        }
        response
    }

    fn answer(&self, world: &mut World, method: Option<&methods::Method>) -> Answer {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        let method = method.ok_or_else(|| ApiError::new("unknown_method"))?;
        let token = self.token.as_deref().ok_or_else(|| ApiError::new("not_authed"))?;
        let (bot, app) = (&world.options.bot_token, &world.options.app_token);
        let (right, other) = if method.app_level { (app, bot) } else { (bot, app) };
        if token != right {
            let known = token == other;
            return Err(ApiError::new(if known {
                "not_allowed_token_type"
            } else {
                "invalid_auth"
            }));
        }
        methods::call(world, method, &self.args)
    }
}

/// An answer to an interaction through its response URL; no token.
async fn response_url(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let done = shared.change(|world| respond(world, &id, &body));
    match done {
        Ok(()) => (StatusCode::OK, "ok").into_response(),
        Err(refused) if refused.code() == "used_url" => {
            (StatusCode::NOT_FOUND, Json(json!({"ok": false, "error": "used_url"}))).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

fn respond(world: &mut World, id: &str, body: &[u8]) -> Result<(), ApiError> {
    let args = Args::parse(Some("application/json"), None, body, true)?;
    let known = world.response_urls.get_mut(id).ok_or_else(|| ApiError::new("used_url"))?;
    if known.uses >= RESPONSE_URL_USES {
        return Err(ApiError::new("used_url"));
    }
    known.uses = known.uses.saturating_add(1);
    let (channel, ts, user) = (known.channel.clone(), known.ts.clone(), known.user.clone());
    if args.flag("delete_original") {
        world.messages.entry(channel).or_default().remove(&ts);
        world.ephemerals.retain(|ephemeral| ephemeral.ts != ts);
        return Ok(());
    }
    if args.flag("replace_original") {
        return methods::replace_original(world, &args, (&channel, &ts));
    }
    if args.text("response_type") == Some("in_channel") {
        return methods::channel_reply(world, &args, &channel);
    }
    methods::ephemeral_reply(world, &args, (channel, user))
}

/// Marks the connection for a reset; the answer never leaves.
fn reset(kill: Option<axum::Extension<ConnectInfo<Kill>>>) -> Response {
    if let Some(axum::Extension(ConnectInfo(Kill(flag)))) = kill {
        flag.store(true, Ordering::Release);
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// The switch that resets one connection.
#[derive(Clone, Debug)]
struct Kill(Arc<AtomicBool>);

struct Resettable(TcpListener);

struct ResettableStream {
    stream: TcpStream,
    kill: Kill,
}

impl Listener for Resettable {
    type Io = ResettableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // An answer is a few small writes; waiting to merge them costs 40 ms each.
        let _best_effort = stream.set_nodelay(true);
        (ResettableStream { stream, kill: Kill(Arc::new(AtomicBool::new(false))) }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Resettable>> for Kill {
    fn connect_info(stream: IncomingStream<'_, Resettable>) -> Self {
        stream.io().kill.clone()
    }
}

impl ResettableStream {
    fn alive(&self) -> io::Result<()> {
        if self.kill.0.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.alive().is_err() {
            // Without lingering, closing sends a reset instead of an orderly end.
            let _best_effort = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
