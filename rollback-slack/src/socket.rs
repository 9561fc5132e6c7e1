//! Socket Mode: Slack's callbacks without an address that Slack can reach.

mod frame;

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::{FutureExt, SinkExt, StreamExt};
use reqwest::Url;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use self::frame::Asked;
use crate::client::is_private;
use crate::intake::{Intake, Interactions};
use crate::{BODY_BYTES_MAX, CallError, UnixSeconds, WebApi};

/// Slack allows ten for one app, over all processes.
const CONNECTIONS_MAX: usize = 10;
/// The first pause after a loss; doubled with each failure in a row.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that is replaced is listened to so much longer: Slack may have sent an envelope
/// through it when the new one was not there yet.
const LINGER: Duration = Duration::from_secs(5);

/// How many connections, and how lively they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Connections at a time, from 1 to 10; with two, one may break without a gap. Default 2.
    pub connections: usize,
    /// To have a connection, from asking for its address to Slack's greeting. Default 10 s.
    pub open_timeout: Duration,
    /// Pause between our pings. Default 5 s.
    pub ping_every: Duration,
    /// A connection that is silent for so long is lost. Default 20 s.
    pub silence_max: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            connections: 2,
            open_timeout: Duration::from_secs(10),
            ping_every: Duration::from_secs(5),
            silence_max: Duration::from_secs(20),
        }
    }
}

/// Why Socket Mode ended by itself: what no waiting fixes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SocketEnd {
    /// The app's token is not accepted.
    #[error("Socket Mode ended; fix the app's token and start again")]
    TokenRejected(#[source] CallError),
    /// Socket Mode was switched off for the app.
    #[error("Socket Mode ended, since it is switched off for the app; switch it on at Slack")]
    Disabled,
    /// The machine has no certificates of authorities, or the TLS library refuses its own defaults.
    #[error(
        "Socket Mode cannot begin, since TLS cannot be set up on this machine: it may have no \
         certificates of authorities; install the package `ca-certificates`"
    )]
    Tls,
}

/// Keeps connections to Slack, and hands what comes through them to an [`Intake`].
///
/// When Slack announces the end of a connection, the next one is opened before the old one is
/// given up. The trust comes from the app's token; app, workspace and repeats are checked as for
/// requests.
#[derive(Debug)]
pub struct SocketMode<H> {
    api: WebApi,
    intake: Arc<Intake<H>>,
    options: SocketOptions,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl<H: Interactions> SocketMode<H> {
    /// Takes a client with the *app's* token (`xapp-…`, scope `connections:write`).
    #[must_use]
    pub const fn new(api: WebApi, intake: Arc<Intake<H>>, options: SocketOptions) -> Self {
        Self { api, intake, options }
    }

    /// Keeps the connections until `shutdown` is done.
    ///
    /// # Errors
    /// [`SocketEnd`]. What merely breaks is opened again, without end, with growing pauses.
    ///
    /// # Cancellation
    /// Dropping the future closes the connections; Slack sends again what was not acknowledged.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), SocketEnd> {
        let keeper = Arc::new(Keeper {
            api: self.api,
            intake: self.intake,
            options: self.options,
            tls: tls()?,
            dice: RandomState::new(),
        });
        let count = self.options.connections.clamp(1, CONNECTIONS_MAX);
        let connections = (0..count).map(|number| keeper.keep_connected(number));
        tokio::select! {
            ended = try_join_all(connections) => ended.map(|_never: Vec<Infallible>| ()),
            () = shutdown => Ok(()),
        }
    }
}

struct Keeper<H> {
    api: WebApi,
    intake: Arc<Intake<H>>,
    options: SocketOptions,
    tls: Arc<ClientConfig>,
    dice: RandomState,
}

/// What a connection needs next.
enum Step {
    Go,
    Replace,
    Lost,
}

impl<H: Interactions> Keeper<H> {
    async fn keep_connected(self: &Arc<Self>, number: usize) -> Result<Infallible, SocketEnd> {
        let mut socket = self.open_at_last(number).await?;
        loop {
            socket = self.serve(socket, number).await?;
        }
    }

    /// Serves a connection until there is one to follow it.
    async fn serve(
        self: &Arc<Self>,
        mut socket: Socket,
        number: usize,
    ) -> Result<Socket, SocketEnd> {
        let mut follower: Option<BoxFuture<'_, Result<Socket, SocketEnd>>> = None;
        let mut ping = interval(self.options.ping_every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                opened = when(&mut follower) => {
                    tokio::spawn(Arc::clone(self).linger(socket));
                    return opened;
                }
                message = socket.next() => {
                    heard = Instant::now();
                    match self.take(&mut socket, message).await? {
                        Step::Go => {}
                        Step::Replace => {
                            follower.get_or_insert_with(|| self.open_at_last(number).boxed());
                        }
                        Step::Lost => break,
                    }
                }
                _ = ping.tick() => {
                    let is_silent = heard.elapsed() > self.options.silence_max;
                    if is_silent || socket.send(Message::Ping(Vec::new().into())).await.is_err() {
                        break;
                    }
                }
            }
        }
        match follower {
            // Announced, so this is how it should go.
            Some(follower) => follower.await,
            None => {
                self.intake.counters().sockets_lost();
                tracing::warn!("a Socket Mode connection was lost");
                sleep(self.pause(1, number)).await;
                self.open_at_last(number).await
            }
        }
    }

    /// Answers what still comes through a connection that has been replaced.
    async fn linger(self: Arc<Self>, mut socket: Socket) {
        let rest = async {
            while let Some(message) = socket.next().await {
                match self.take(&mut socket, Some(message)).await {
                    Ok(Step::Go | Step::Replace) => {}
                    Ok(Step::Lost) | Err(_) => return,
                }
            }
        };
        if timeout(LINGER, rest).await.is_err() && socket.close(None).await.is_err() {
            tracing::debug!("a replaced Socket Mode connection was closed already");
        }
    }

    async fn take(
        &self,
        socket: &mut Socket,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<Step, SocketEnd> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => return Ok(Step::Go),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(Step::Lost),
        };
        match frame::take(&self.intake, &text, UnixSeconds::now()) {
            Asked::Acknowledge(ack) => match socket.send(Message::text(ack)).await {
                Ok(()) => Ok(Step::Go),
                Err(_) => Ok(Step::Lost),
            },
            Asked::Replace => Ok(Step::Replace),
            Asked::Disabled => Err(SocketEnd::Disabled),
            Asked::Nothing => Ok(Step::Go),
        }
    }

    /// Opens a connection, however often that takes.
    async fn open_at_last(&self, number: usize) -> Result<Socket, SocketEnd> {
        let mut failures = 0;
        loop {
            match timeout(self.options.open_timeout, self.open()).await {
                Ok(Ok(socket)) => {
                    self.intake.counters().sockets_opened();
                    return Ok(socket);
                }
                Ok(Err(Unopened::Ended(end))) => return Err(end),
                Ok(Err(Unopened::Broken)) | Err(_) => {}
            }
            failures += 1;
            self.intake.counters().sockets_lost();
            tracing::warn!(failures, "a Socket Mode connection could not be opened");
            sleep(self.pause(failures, number)).await;
        }
    }

    async fn open(&self) -> Result<Socket, Unopened> {
        let address = self.api.connections_open().await.map_err(|error| {
            if error.is_fatal_for_the_token() {
                Unopened::Ended(SocketEnd::TokenRejected(error))
            } else {
                Unopened::Broken
            }
        })?;
        let mut socket = self.connect(&address).await.ok_or(Unopened::Broken)?;
        // Ready is what Slack has greeted.
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message
                && frame::is_hello(&text)
            {
                return Ok(socket);
            }
        }
        Err(Unopened::Broken)
    }

    /// The address has a ticket in it, so nothing of a failure is told.
    async fn connect(&self, address: &SecretString) -> Option<Socket> {
        let address = address.expose_secret();
        if !is_private(&Url::parse(address).ok()?, "wss", "ws") {
            tracing::error!("Slack's address for Socket Mode is not encrypted; it is not used");
            return None;
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(4 * BODY_BYTES_MAX))
            .max_frame_size(Some(4 * BODY_BYTES_MAX));
        let tls = Connector::Rustls(Arc::clone(&self.tls));
        let opened = connect_async_tls_with_config(address, Some(config), true, Some(tls)).await;
        opened.ok().map(|(socket, _response)| socket)
    }

    fn pause(&self, failures: u32, number: usize) -> Duration {
        let most =
            PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(PAUSE_MAX);
        let dice = self.dice.hash_one((failures, number, UnixSeconds::now()));
        let part = u32::try_from(dice % 512).unwrap_or_default();
        most / 2 + most * part / 1_024
    }
}

enum Unopened {
    Ended(SocketEnd),
    Broken,
}

/// Done when the follower is, and never without one.
async fn when<T>(follower: &mut Option<BoxFuture<'_, T>>) -> T {
    match follower {
        Some(follower) => follower.await,
        None => std::future::pending().await,
    }
}

/// The authorities that the machine trusts, as for the Web API: a company's own among them. And one
/// cryptography provider, whatever else is compiled in.
fn tls() -> Result<Arc<ClientConfig>, SocketEnd> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_no_detail| SocketEnd::Tls)?;
    let trusting = builder.with_platform_verifier().map_err(|_no_detail| SocketEnd::Tls)?;
    Ok(Arc::new(trusting.with_no_client_auth()))
}
