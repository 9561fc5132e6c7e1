//! Slack for the rollback engine: Block Kit views, Web API client, signed interactivity,
//! user-group directory.
//!
//! ```text
//!            HTTP: signature over the raw bytes ─┐
//!  Slack ──▶                                     ├─▶ Intake ──▶ your Interactions ──▶ Ack
//!            Socket Mode: the app's token ───────┘   app and workspace, repeats     (at once)
//!
//!  you ──▶ WebApi: pace, bounds, retries that cannot do it twice ──▶ Slack
//! ```
//!
//! A click is acknowledged from memory, within Slack's three seconds whatever else is slow:
//!
//! ```
//! use std::sync::Arc;
//! use rollback_slack::{
//!     router, Accepted, Click, ClickAck, Closing, ClosingAck, FieldErrors, Intake, Interactions,
//!     Interactivity, SigningSecrets, Submission, SubmissionAck,
//! };
//!
//! struct Host;
//!
//! impl Interactions for Host {
//!     fn clicked(&self, click: Click) -> ClickAck {
//!         match click.action.action_id.as_str() {
//!             "rollback_open" => ClickAck::Taken, // after spawning what opens the modal
//!             _ => ClickAck::NotOurs,
//!         }
//!     }
//!
//!     fn submitted(&self, submission: Submission) -> SubmissionAck {
//!         match submission.view.inputs.text("reason", "reason") {
//!             Some(reason) if reason.trim().len() >= 5 => SubmissionAck::Close,
//!             _ => SubmissionAck::Errors(FieldErrors::at("reason", "say why, in a few words")),
//!         }
//!     }
//!
//!     fn closed(&self, _: Closing) -> ClosingAck {
//!         ClosingAck::Taken
//!     }
//! }
//!
//! let secrets = SigningSecrets::new(&"from the environment".into())?;
//! let intake = Arc::new(Intake::new(Accepted::app("A0ROLLBACK").team("T0ACME"), Host));
//! let routes = router(Arc::new(Interactivity::new(secrets, intake)));
//! # let _routes: axum::Router = routes;
//! # Ok::<(), rollback_slack::EmptySecret>(())
//! ```
//!
//! | feature | default | what |
//! |---|---|---|
//! | `socket` | yes | [`SocketMode`]: callbacks without an address that Slack can reach |
//!
//! TLS trusts the authorities that the machine trusts, over HTTP and in Socket Mode alike: a company's own
//! among them.
//!
//! Text from outside goes through [`escape`] before it is shown. Nothing here decides who may roll
//! back: a signature says who clicked, and not what they may.

mod client;
#[cfg_attr(not(feature = "socket"), expect(dead_code, reason = "two count Socket Mode"))]
mod counters;
mod delivery;
mod directory;
mod drawn;
pub mod escape;
pub mod form;
mod intake;
mod interactivity;
mod json;
mod noise;
mod notifier;
pub mod payload;
mod replay;
mod router;
mod signature;
mod slack;
#[cfg(feature = "socket")]
mod socket;
mod surface;
mod time;
pub mod views;

pub use self::client::{
    CallError, Certainty, Ephemeral, Fault, Found, Identity, Lookup, MessageRef, Metadata, Method,
    OpenView, Post, Retry, SetupError, Standing, Timer, Update, User, UserGroup, WebApi,
    WebApiOptions, Why,
};
pub use self::counters::{Counters, CountersSnapshot};
pub use self::delivery::{Delivery, REMEMBERED_BY_ALL};
pub use self::directory::SlackDirectory;
pub use self::intake::{
    Accepted, ClickAck, ClosingAck, FieldErrors, Intake, Interactions, SubmissionAck,
};
pub use self::interactivity::{BODY_BYTES_MAX, Interactivity, Reply};
pub use self::json::{Json, NotJson};
pub use self::notifier::{EVENT_TYPE, SCOPES_NEEDED, SlackNotifier};
pub use self::payload::{Click, Closing, Interaction, Submission};
pub use self::router::{BODY_WAIT_MAX, INTERACTIVITY_PATH, router};
pub use self::signature::{
    EmptySecret, Genuine, SIGNATURE_HEADER, SKEW_MAX_SECONDS, SignatureError, SigningSecrets,
    TIMESTAMP_HEADER,
};
pub use self::slack::{Slack, SlackError, SlackOptions};
#[cfg(feature = "socket")]
pub use self::socket::{SocketEnd, SocketMode, SocketOptions};
pub use self::surface::Surface;
pub use self::time::UnixSeconds;
