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
//! wants it elsewhere. A host that has something to show beside the chat uses
//! [`Options::with_panel`]: the page then loads `/_panel.css` and the module `/_panel.js`, whose
//! default export, if it is a function, is called with the empty `<aside id="panel">` and with
//! `{person(), act(body), control(body), onChange(callback)}`.

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
        page::router(Arc::clone(&self.running.shared))
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

    /// Forgets every fault and ends the outage; calls that hang are answered with 500.
    pub fn clear_faults(&self) {
        self.shared().change(|world| world.faults.clear());
        self.shared().lifted.notify_waiters();
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.running.shared
    }
}
