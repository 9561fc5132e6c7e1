//! A local Slack for demos and tests: the Web API methods a rollback needs, Slack's own rules,
//! faults on demand, and a page to click in.
//!
//! ```text
//!   app under test ── Web API (bearer token) ──▶ LocalSlack ◀── tests: click, submit, inspect
//!        ▲                                           │      ◀── people: the page at /
//!        └── signed callbacks, 3 s to acknowledge ───┘
//! ```
//!
//! It listens on the loopback interface, speaks Slack's wire format, refuses what Slack refuses,
//! and keeps everything in memory. It knows nothing of rollbacks.
//!
//! ```
//! use local_slack::{Channel, LocalSlack, Options, User};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::default()
//!     .user(User::new("U02ANA", "Ana").title("Owner"))
//!     .channel(Channel::new("C0DEPLOYS", "deploys"));
//! let slack = LocalSlack::start(options).await?;
//!
//! assert!(slack.api_url().ends_with("/api/")); // what SLACK_API_URL takes
//! let ts = slack.say("U02ANA", "C0DEPLOYS", "is anybody deploying?")?;
//! assert_eq!(slack.messages("C0DEPLOYS")[0].ts, ts);
//! # Ok(())
//! # }
//! ```
//!
//! # What is real and what is not
//!
//! Real: both encodings of arguments, errors and their shapes, scopes, one-use trigger ids that
//! live three seconds, view hashes and stacks, block limits, own-message edits, signatures, the
//! three seconds for an acknowledgement. Not there: everything else of Slack. A method that is
//! not known answers `unknown_method`, a block that is not known is refused.
//!
//! # The page
//!
//! [`Options::with_page`] serves it at `/`; [`LocalSlack::page_router`] hands it to a host that
//! wants it elsewhere. `/?as=U02ANA` starts as that person, `/#/C0DEPLOYS/<ts>` shows a message.
//!
//! A host that has something to show beside the chat uses [`Options::with_panel`]. The page then
//! loads `/_panel.css` and the module `/_panel.js`, whose default export is called with the empty
//! `<aside id="panel">` and an object:
//!
//! | member | what |
//! |---|---|
//! | `person()`, `selectPerson(id)` | whose screen is shown |
//! | `show(channel, ts)` | turns to a channel, and to a message or its thread |
//! | `state()` | what `/_state` said last |
//! | `onChange(callback)` | calls back with the state after every change |
//! | `act(body)`, `control(body)` | post to `/_act` and `/_control`, and give the answer |
//!
//! `--panel-width` in the style sheet sets how wide it is. An exported `title` names the panel where it is a tab of its own, on a narrow screen.
//!
//! What browser tests may rely on: `[data-person]` (switcher), `[data-channel]`, `[data-ts]`
//! (message), `[data-block-id]`, `[data-action-id]`, `[data-thread]` (opens a thread),
//! `[data-ephemeral]`, `#thread`, `#modal` with `[data-view-id]`, `#modal-submit`,
//! `#modal-close`, `#modal-dismiss`, `#confirm` with `#confirm-yes` and `#confirm-no`,
//! `#toasts`, `#live`.
//!
//! # Driving it from another process
//!
//! `POST /_act` takes `{"do":"click","user","channel","ts","action_id"}`,
//! `{"do":"click_in_view","user","view_id","action_id"}`,
//! `{"do":"submit","user","view_id","values":{"<block_id>":["…"]}}` or
//! `{"do":"close","user","view_id","all":false}`. `POST /_control` takes
//! `{"do":"fail","fault":"rate_limited","retry_after":3,"times":2,"method":"chat.update"}` (or
//! `server_error`, `hang`, `reset`, `done_but_server_error`, `done_but_reset`, `slow` with
//! `milliseconds`), `{"do":"outage","on":true}`, `{"do":"lose_acknowledgements","times":1}`, `{"do":"clear"}`,
//! `{"do":"delete_message","channel","ts"}`, `{"do":"set_group_users","group","users":[…]}`,
//! `{"do":"deactivate","user"}`, `{"do":"interactivity_url","url"}` or
//! `{"do":"refresh_sockets"}`. `GET /_state?as=U02ANA` is that person's screen.

mod answer;
mod args;
mod blocks;
mod deliver;
mod drive;
mod faults;
mod inspect;
mod limits;
mod methods;
mod options;
mod page;
mod payload;
mod server;
mod sign;
mod socket;
mod submit;
mod world;

pub use deliver::{Ack, Delivery};
pub use drive::{DriveError, Outcome};
pub use faults::Fault;
pub use inspect::TimedOut;
pub use options::{Channel, ChannelKind, Options, Rate, User, UserGroup, UserKind};
pub use server::StartError;
pub use sign::sign;
pub use world::{Call, Ephemeral, Message, View};

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use answer::ApiError;
use args::Args;
use world::World;

/// A running local Slack.
///
/// Clones share it; when the last is dropped it stops listening.
#[derive(Clone, Debug)]
pub struct LocalSlack {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the server, the drivers and the page share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Counts changes; who watches it looks again.
    changes: watch::Sender<u64>,
    /// Wakes calls that hang.
    lifted: Notify,
}

impl Shared {
    fn new(world: World) -> Arc<Self> {
        let (changes, _receiver) = watch::channel(0);
        Arc::new(Self { world: Mutex::new(world), changes, lifted: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic of a test's predicate must not take the workspace down with it.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the world and tells everybody who watches.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.lock());
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        result
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl LocalSlack {
    /// Starts listening on the loopback interface.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the port cannot be had; nothing was started.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        server::start(options).await
    }

    /// Returns the base of the Web API, such as `http://127.0.0.1:4000/api/`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}api/", self.url())
    }

    /// Returns where the page is, such as `http://127.0.0.1:4000/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.running.address)
    }

    /// Returns the routes of the page, for a host that serves them at its own root.
    ///
    /// A request is answered only when it names a loopback host, and comes from the page itself:
    /// another site that a person has open cannot click here.
    pub fn page_router(&self) -> axum::Router {
        page::router(Arc::clone(&self.running.shared), true)
    }

    /// Sends callbacks to `url` from now on.
    pub fn set_interactivity_url(&self, url: impl Into<String>) {
        let url = Some(url.into());
        self.shared().change(|world| world.options.interactivity_url = url);
    }

    /// Makes the next calls fail as `fault` says, after those that already wait.
    pub fn fail_next(&self, fault: Fault) {
        self.shared().change(|world| world.faults.add(fault));
    }

    /// Starts or ends an outage: every call is answered with 503, and nothing is done.
    pub fn set_outage(&self, outage: bool) {
        self.shared().change(|world| world.faults.set_outage(outage));
    }

    /// Loses the acknowledgements of the next callbacks: the app took them, the person sees a
    /// warning, and a modal stays as it was.
    pub fn lose_acknowledgements(&self, times: u32) {
        self.shared().change(|world| world.faults.lose_acks(times));
    }

    /// Forgets every fault and ends the outage; calls that hang are answered with 500.
    pub fn clear_faults(&self) {
        self.shared().change(|world| world.faults.clear());
        self.shared().lifted.notify_waiters();
    }

    /// Calls a method as the app, from inside: no token, no fault, nothing in the call log.
    ///
    /// For setting a scene. Returns what the Web API would answer.
    ///
    /// ```
    /// # use local_slack::{Channel, LocalSlack, Options};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let slack = LocalSlack::start(Options::default().channel(Channel::new("C1", "a"))).await?;
    /// let posted = slack.call("chat.postMessage", r#"{"channel":"C1","text":"hello"}"#);
    /// assert!(posted.contains(r#""ok":true"#));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn call(&self, method: &str, json: &str) -> String {
        let kind = Some("application/json");
        let answer = self.shared().change(|world| {
            let method = methods::find(method).ok_or_else(|| ApiError::new("unknown_method"))?;
            methods::call(world, method, &Args::parse(kind, None, json.as_bytes(), true)?)
        });
        match answer {
            Ok(mut body) => {
                body.insert("ok".to_owned(), serde_json::Value::Bool(true));
                serde_json::Value::Object(body).to_string()
            }
            Err(refused) => refused.body().to_string(),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.running.shared
    }
}
