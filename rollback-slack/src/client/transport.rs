//! One call from its arguments to its answer: turn, attempts, classification.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::error::{CallError, Certainty, Why};
use super::method::{Effect, Method};
use super::pacing::Pacer;
use super::retry::{Next, Patience, next};
use super::timer::{Timer, TokioTimer};
use crate::UnixSeconds;

/// Slack's own address of the Web API.
const SLACK_URL: &str = "https://slack.com/api/";
/// When a 429 does not say how long to wait, or says nothing that can be read.
const RETRY_AFTER_UNSAID: Duration = Duration::from_secs(30);
/// The longest that a 429 holds a method back: ten times what Slack asks for. A value beyond it is a
/// mistake, or somebody in between who wants us silent for hours.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The shortest: a 429 that asks for nothing must not be answered at once, again and again.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// The largest answer read: the members of a group of 100,000 fit.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the client reaches Slack, and how patient it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebApiOptions {
    /// Where the methods are; Slack's own unless a test says otherwise. `http://` is accepted for
    /// this machine alone, as the token goes there. Default `https://slack.com/api/`.
    pub base_url: String,
    /// To have a connection. Default 3 s.
    pub connect_timeout: Duration,
    /// To have the whole answer of one attempt. Default 10 s.
    pub attempt_timeout: Duration,
    /// To wait, all in all, for the pace and between attempts. Default 30 s.
    pub wait_max: Duration,
    /// How often a call that may be repeated is sent. Default 4.
    pub attempts_max: u32,
    /// Posts to one channel that may go out at once before the pace of one a second holds, as long as
    /// Slack takes so many. Default 8: the lines of a rollback that is done in a moment.
    pub channel_burst: u32,
    /// Where time comes from. Default: the runtime.
    pub timer: Option<Arc<dyn Timer>>,
}

impl Default for WebApiOptions {
    fn default() -> Self {
        Self {
            base_url: SLACK_URL.to_owned(),
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(10),
            wait_max: Duration::from_secs(30),
            attempts_max: 4,
            channel_burst: 8,
            timer: None,
        }
    }
}

/// Why there is no client. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Not an address.
    #[error("the base address of Slack's Web API is not a URL")]
    BaseUrlMalformed,
    /// The token would travel readable.
    #[error(
        "the base address of Slack's Web API must begin with `https://`, since the token is sent \
         there; `http://` is for this machine alone"
    )]
    BaseUrlNotSecure,
    /// Empty, or with a character that no token has.
    #[error("the token is empty or has a character that no token has")]
    TokenMalformed,
    /// The HTTP client cannot be built: certificates or TLS.
    #[error(
        "the HTTP client cannot be set up on this machine: it may have no certificates of \
         authorities; install the package `ca-certificates`"
    )]
    HttpClient,
}

#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

struct Inner {
    http: Client,
    base: Url,
    token: SecretString,
    patience: Patience,
    pacer: Mutex<Pacer>,
    timer: Arc<dyn Timer>,
    dice: RandomState,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

/// One call, written.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    effect: Effect,
    content_type: &'static str,
    body: Bytes,
    channel: Option<String>,
    wait_max: Option<Duration>,
    in_turn: bool,
    has_its_turn: bool,
}

impl Call {
    /// With JSON, which the methods that write accept.
    pub(crate) fn json<T: Serialize>(method: Method, arguments: &T) -> Result<Self, CallError> {
        let body = serde_json::to_vec(arguments)
            .map_err(|_no_detail| CallError::nothing_happened(method, Why::Unwritable))?;
        Ok(Self::new(method, "application/json; charset=utf-8", body))
    }

    /// With a form, which the methods that read want.
    pub(crate) fn form(method: Method, arguments: &[(&str, &str)]) -> Self {
        let fields = arguments.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&").into_bytes();
        Self::new(method, "application/x-www-form-urlencoded", body)
    }

    fn new(method: Method, content_type: &'static str, body: Vec<u8>) -> Self {
        let body = Bytes::from(body);
        Self {
            method,
            effect: method.effect(),
            content_type,
            body,
            channel: None,
            wait_max: None,
            in_turn: false,
            has_its_turn: false,
        }
    }

    /// Takes a place in the channel's line too.
    pub(crate) fn paced_by(self, channel: &str) -> Self {
        Self { channel: Some(channel.to_owned()), ..self }
    }

    pub(crate) fn waiting_at_most(self, wait_max: Duration) -> Self {
        Self { wait_max: Some(wait_max), ..self }
    }

    /// Only if nothing has to be waited for.
    pub(crate) fn in_turn(self) -> Self {
        Self { in_turn: true, wait_max: Some(Duration::ZERO), ..self }
    }

    /// Its first attempt's turn was waited for before.
    pub(crate) fn having_its_turn(self) -> Self {
        Self { has_its_turn: true, ..self }
    }

    /// Not repeatable this time.
    pub(crate) fn sent_once(self) -> Self {
        Self { effect: Effect::Once, ..self }
    }
}

fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// An answer that Slack called ok.
#[derive(Debug)]
pub(crate) struct Answer {
    method: Method,
    effect: Effect,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The time at Slack.
    pub(crate) fn date(&self) -> Option<UnixSeconds> {
        let at = httpdate::parse_http_date(self.headers.get(DATE)?.to_str().ok()?).ok()?;
        let since = at.duration_since(UNIX_EPOCH).ok()?;
        Some(UnixSeconds(i64::try_from(since.as_secs()).ok()?))
    }

    /// Reads what the method answers. If it cannot be read, Slack did it nevertheless.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|_no_detail| {
            let why = Why::UnreadableAnswer;
            CallError { certainty: why.certainty(self.effect), method: self.method, why }
        })
    }

    pub(crate) fn scopes(&self) -> Option<&str> {
        self.headers.get("x-oauth-scopes")?.to_str().ok()
    }
}

#[derive(Deserialize)]
struct Envelope {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    response_metadata: Option<EnvelopeMetadata>,
}

#[derive(Deserialize)]
struct EnvelopeMetadata {
    messages: Option<Vec<String>>,
}

impl Transport {
    pub(crate) fn new(token: SecretString, options: WebApiOptions) -> Result<Self, SetupError> {
        let base = base_of(&options.base_url)?;
        let is_token = |byte: u8| byte.is_ascii_graphic();
        let text = token.expose_secret();
        if text.is_empty() || !text.bytes().all(is_token) {
            return Err(SetupError::TokenMalformed);
        }
        let http = Client::builder()
            .user_agent(concat!("rollback-slack/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .timeout(options.attempt_timeout)
            .redirect(redirect::Policy::none())
            // The token goes to Slack and to nobody in between.
            .no_proxy()
            .build()
            .map_err(|error| {
                tracing::error!(error = %error.without_url(), "no HTTP client");
                SetupError::HttpClient
            })?;
        let patience = Patience { attempts_max: options.attempts_max, wait_max: options.wait_max };
        Ok(Self(Arc::new(Inner {
            http,
            base,
            token,
            patience,
            pacer: Mutex::new(Pacer::new(options.channel_burst)),
            timer: options.timer.unwrap_or_else(|| Arc::new(TokioTimer::start())),
            dice: RandomState::new(),
        })))
    }

    /// Waits for the next turn of a method.
    pub(crate) async fn turn(&self, method: Method, wait_max: Duration) -> Result<(), CallError> {
        let taken = self.0.take_turn(&Call::form(method, &[]), wait_max).await;
        taken.map_err(|why| CallError::nothing_happened(method, why))
    }

    /// Makes the call, with as many attempts as its method and the patience allow.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let inner = &*self.0;
        let mut patience = inner.patience;
        patience.wait_max = call.wait_max.unwrap_or(patience.wait_max);
        let began = inner.timer.elapsed();
        let spent = || inner.timer.elapsed().saturating_sub(began);
        let mut certainty = Certainty::NothingHappened;
        let mut attempt = 1;
        loop {
            let turn = async {
                if call.has_its_turn && attempt == 1 {
                    return Ok(());
                }
                inner.take_turn(&call, patience.wait_max.saturating_sub(spent())).await
            };
            let why = match turn.await {
                Err(why) => return Err(CallError { certainty, method: call.method, why }),
                Ok(()) => match inner.attempt(&call).await {
                    Ok(answer) => return Ok(answer),
                    Err(why) => why,
                },
            };
            // Once in doubt, a later and clearer no does not say what the earlier attempt did.
            if why.certainty(call.effect) == Certainty::InDoubt {
                certainty = Certainty::InDoubt;
            }
            if let Why::RateLimited { retry_after } = why {
                inner.pacer().block(call.method, inner.timer.elapsed().saturating_add(retry_after));
            }
            let dice = inner.dice.hash_one((attempt, spent()));
            match next(&why, call.effect, attempt, spent(), patience, dice) {
                Next::GiveUp => return Err(CallError { certainty, method: call.method, why }),
                Next::Wait(pause) => {
                    tracing::debug!(method = %call.method, %why, ?pause, "trying again");
                    inner.timer.sleep(pause).await;
                    attempt += 1;
                }
            }
        }
    }
}

impl Inner {
    fn pacer(&self) -> std::sync::MutexGuard<'_, Pacer> {
        self.pacer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_turn(&self, call: &Call, wait_max: Duration) -> Result<(), Why> {
        let now = self.timer.elapsed();
        let reserved = self.pacer().reserve(call.method, call.channel.as_deref(), now, wait_max);
        let wait = reserved.map_err(|after| match call.in_turn {
            true => Why::NotItsTurn { after },
            false => Why::RateLimited { retry_after: after },
        })?;
        if !wait.is_zero() {
            self.timer.sleep(wait).await;
        }
        Ok(())
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Why> {
        let url = self.base.join(call.method.name()).map_err(|_no_detail| Why::Unwritable)?;
        let response = self
            .http
            .post(url)
            .bearer_auth(self.token.expose_secret())
            .header(CONTENT_TYPE, call.content_type)
            // Said even when there is no body: some proxies refuse a POST of unknown length.
            .header(CONTENT_LENGTH, call.body.len())
            .body(call.body.clone())
            .send()
            .await
            .map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        if status == 429 {
            return Err(Why::RateLimited { retry_after: retry_after(&headers) });
        }
        if status != 200 {
            return Err(Why::UnexpectedStatus { status });
        }
        let body = bounded(response).await?;
        let envelope: Envelope =
            serde_json::from_slice(&body).map_err(|_no_detail| Why::UnreadableAnswer)?;
        if envelope.ok {
            let (method, effect) = (call.method, call.effect);
            return Ok(Answer { method, effect, headers, body });
        }
        let code = envelope.error.ok_or(Why::UnreadableAnswer)?;
        if code == "ratelimited" || code == "rate_limited" {
            return Err(Why::RateLimited { retry_after: retry_after(&headers) });
        }
        let details = envelope.response_metadata.and_then(|it| it.messages).unwrap_or_default();
        Err(Why::of_code(code, envelope.needed, details))
    }
}

fn base_of(text: &str) -> Result<Url, SetupError> {
    let mut base = Url::parse(text).map_err(|_no_detail| SetupError::BaseUrlMalformed)?;
    if !is_private(&base, "https", "http") {
        return Err(SetupError::BaseUrlNotSecure);
    }
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    Ok(base)
}

/// Whether what is sent to `url` cannot be read on the way: encrypted, or not leaving the machine.
pub(crate) fn is_private(url: &Url, encrypted: &str, plain: &str) -> bool {
    let is_this_machine = url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    url.scheme() == encrypted || (url.scheme() == plain && is_this_machine)
}

/// What a broken attempt proves. Only a failure to connect proves that nothing was sent.
fn broken(error: &reqwest::Error) -> Why {
    if error.is_connect() {
        Why::Unreachable
    } else if error.is_builder() {
        Why::Unwritable
    } else if error.is_timeout() {
        Why::TimedOut
    } else {
        Why::ConnectionLost
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let said = seconds.map_or(RETRY_AFTER_UNSAID, Duration::from_secs);
    said.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
}

async fn bounded(mut response: Response) -> Result<Bytes, Why> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(Why::AnswerTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_travels_readable_beyond_this_machine() {
        for (url, outcome) in [
            ("https://slack.com/api/", Ok("https://slack.com/api/")),
            ("https://slack.example/api", Ok("https://slack.example/api/")),
            ("http://127.0.0.1:8080/api", Ok("http://127.0.0.1:8080/api/")),
            ("http://localhost:8080/api/", Ok("http://localhost:8080/api/")),
            ("http://[::1]:8080/api/", Ok("http://[::1]:8080/api/")),
            ("http://slack.com/api/", Err(SetupError::BaseUrlNotSecure)),
            ("http://127.0.0.1.example/api/", Err(SetupError::BaseUrlNotSecure)),
            ("http://localhost.example/api/", Err(SetupError::BaseUrlNotSecure)),
            ("ftp://slack.com/", Err(SetupError::BaseUrlNotSecure)),
            ("slack.com/api", Err(SetupError::BaseUrlMalformed)),
            ("", Err(SetupError::BaseUrlMalformed)),
        ] {
            let base = base_of(url);
            assert_eq!(base.as_ref().map(Url::as_str).map_err(|error| *error), outcome, "{url}");
        }
    }

    #[test]
    fn a_form_keeps_what_it_is_given() {
        let call = Call::form(Method::UsersInfo, &[("user", "U1&x=ü +"), ("limit", "1.0")]);
        assert_eq!(call.body, "user=U1%26x%3D%C3%BC%20%2B&limit=1.0");
    }

    #[test]
    fn a_token_that_cannot_be_one_is_refused_and_not_shown() {
        for token in ["", "xoxb canary", "xoxb-canary\n", "xoxb-cänary"] {
            let refused = Transport::new(token.into(), WebApiOptions::default()).unwrap_err();
            assert_eq!(refused, SetupError::TokenMalformed, "{token:?}");
        }
        let transport = Transport::new("xoxb-canary".into(), WebApiOptions::default()).unwrap();
        assert!(!format!("{transport:?}").contains("canary"));
    }
}
