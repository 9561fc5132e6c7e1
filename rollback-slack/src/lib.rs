//! Slack for the rollback engine: Block Kit views, Web API client, signed interactivity, user-group directory.

mod client;
mod counters;
mod directory;
pub mod escape;
pub mod form;
mod intake;
mod interactivity;
mod json;
mod notifier;
pub mod payload;
mod replay;
mod router;
mod signature;
mod socket;
mod surface;
mod time;
pub mod views;

pub use self::client::{
    CallError, Certainty, Ephemeral, Found, Identity, Lookup, MessageRef, Metadata, Method,
    OpenView, Post, Retry, SetupError, Standing, Timer, Update, User, UserGroup, WebApi,
    WebApiOptions, Why,
};
pub use self::counters::{Counters, CountersSnapshot};
pub use self::intake::{
    Accepted, ClickAck, ClosingAck, FieldErrors, Intake, Interactions, SubmissionAck,
};
pub use self::directory::SlackDirectory;
pub use self::interactivity::{BODY_BYTES_MAX, Interactivity, Reply};
pub use self::json::{Json, NotJson};
pub use self::notifier::{EVENT_TYPE, SCOPES_NEEDED, SlackNotifier};
pub use self::payload::{Click, Closing, Interaction, Submission};
pub use self::router::{BODY_WAIT_MAX, INTERACTIVITY_PATH, router};
pub use self::signature::{
    EmptySecret, Genuine, SIGNATURE_HEADER, SKEW_MAX_SECONDS, SignatureError, SigningSecrets,
    TIMESTAMP_HEADER,
};
pub use self::socket::{SocketEnd, SocketMode, SocketOptions};
pub use self::surface::Surface;
pub use self::time::UnixSeconds;
