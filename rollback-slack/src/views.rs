//! What people see: every message and modal as a pure function of state.
//!
//! ```text
//!  DeployCard ──► deploy_message        RollbackView ──► confirm_modal   approval_message
//!                                                        thread_message  deployer_message
//!                                                        on_call_message private_message
//! ```
//!
//! The same state and version give the same bytes. Whatever somebody else wrote is cut, stripped
//! of what cannot be seen, and put where nothing is markup, or escaped. Slack's limits are checked
//! on the result: a view that breaks one is a [`Breach`] and never a message that Slack refuses.
//!
//! ```
//! use rollback_core::known_good::Choice;
//! use rollback_core::notice::DeployCard;
//! use rollback_core::{Deploy, ServiceKey, Timestamp};
//! use rollback_slack::views::deploy_message;
//!
//! let key = ServiceKey::new("checkout".parse()?, "production".parse()?);
//! let at = Timestamp::parse("2026-11-22T09:30:00Z")?;
//! let deploy = Deploy::new("ci-4711".parse()?, key, "2.14.0<!channel>", at);
//! let card = DeployCard::new(deploy, None, Choice::none("this is the first revision"));
//!
//! let message = deploy_message(&card, 1)?;
//! assert!(!message.blocks.as_str().contains("rollback_open"), "there is nothing to go back to");
//! assert!(message.text.contains("2.14.0&lt;!channel&gt;"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod approval;
mod block;
mod changed;
mod check;
mod confirm;
mod deploy;
mod direct;
mod ids;
mod settle;
mod state;
mod text;
mod thread;

pub use self::approval::approval_message;
pub use self::changed::changed_message;
pub use self::check::Breach;
pub use self::confirm::{Backdrop, checking_modal, confirm_modal, loading_modal};
pub use self::deploy::deploy_message;
pub use self::direct::{
    blocked_message, break_glass_message, deployer_message, on_call_message, private_message,
};
pub use self::ids::{
    ACKNOWLEDGE, APPROVE, CANCEL, CHANGES, CONFIRM, DeployButton, ForeignValue, Memo, OPEN,
    OUTCOME, REASON_ACTION, REASON_BLOCK, REJECT, RELEASE, RollbackButton, SETTLE,
};
pub use self::settle::{settle_modal, settling_modal};
pub use self::thread::{ThreadLine, lines_message, thread_message, witnessed_thread_message};

use self::block::{Block, Modal};
use crate::Json;

/// A message, checked against Slack's limits and written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What notifications and screen readers say, in mrkdwn.
    pub text: String,
    /// What is shown: an array of blocks.
    pub blocks: Json,
}

impl Message {
    fn of(text: String, blocks: &[Block<'_>]) -> Result<Self, Breach> {
        check::message(&text, blocks)?;
        let blocks = Json::of(blocks).map_err(|_no_detail| Breach::NotJson)?;
        Ok(Self { text, blocks })
    }
}

fn written(modal: &Modal<'_>) -> Result<Json, Breach> {
    check::modal(modal)?;
    Json::of(modal).map_err(|_no_detail| Breach::NotJson)
}
