//! What a view carries so that a click on it finds its way back: where to look, never what is
//! allowed. Everything is read again from our own store, and decided there.

use rollback_core::{DeployId, Pair, RollbackId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The button of a deploy message.
pub const OPEN: &str = "rollback_open";
/// The button that stops a rollback while that is possible.
pub const CANCEL: &str = "rollback_cancel";
/// The button that releases a quarantined rollback.
pub const RELEASE: &str = "rollback_release";
/// The button that opens the modal of this name, in which somebody settles a rollback.
pub const SETTLE: &str = "rollback_settle";
/// The block of what became of it, and its menu.
pub const OUTCOME: &str = "outcome";
/// The button that approves.
pub const APPROVE: &str = "rollback_approve";
/// The button that rejects.
pub const REJECT: &str = "rollback_reject";
/// The button that only opens the changelog; Slack reports it all the same.
pub const CHANGES: &str = "rollback_changes";
/// The modal, from the loading view on.
pub const CONFIRM: &str = "rollback_confirm";
/// The block of the modal's input.
pub const REASON_BLOCK: &str = "reason";
/// The block of the boxes to tick, one a warning, and their action.
pub const ACKNOWLEDGE: &str = "acknowledge";
/// The modal's input.
pub const REASON_ACTION: &str = "reason";

/// A value that came back and is not one of ours. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForeignValue {
    /// There is none.
    #[error("the {0} is missing; nothing was done")]
    Missing(&'static str),
    /// It cannot be read.
    #[error("the {0} cannot be read, it was not written by this service; nothing was done")]
    Unreadable(&'static str),
}

/// The value of [`OPEN`].
///
/// ```
/// use rollback_slack::views::DeployButton;
/// let button = DeployButton::parse(Some(r#"{"d":"ci-4711","v":3}"#))?;
/// assert_eq!((button.deploy.as_str(), button.version), ("ci-4711", 3));
/// assert!(DeployButton::parse(Some("roll back everything")).is_err());
/// # Ok::<(), rollback_slack::views::ForeignValue>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeployButton {
    /// The deploy whose message it stands in.
    #[serde(rename = "d")]
    pub deploy: DeployId,
    /// The version of the message that was clicked. An older one is decided on like the newest:
    /// what the modal shows is read anew.
    #[serde(rename = "v")]
    pub version: u64,
}

impl DeployButton {
    pub(super) const fn new(deploy: DeployId, version: u64) -> Self {
        Self { deploy, version }
    }

    /// Reads a button's value.
    ///
    /// # Errors
    /// [`ForeignValue`] if it is not such a value.
    pub fn parse(value: Option<&str>) -> Result<Self, ForeignValue> {
        read("button's value", value)
    }
}

/// The value of [`CANCEL`], [`RELEASE`], [`SETTLE`], [`APPROVE`] and [`REJECT`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RollbackButton {
    /// The rollback.
    #[serde(rename = "r")]
    pub rollback: RollbackId,
    /// The version of the message that was clicked.
    #[serde(rename = "v")]
    pub version: u64,
}

impl RollbackButton {
    pub(super) const fn new(rollback: RollbackId, version: u64) -> Self {
        Self { rollback, version }
    }

    /// Reads a button's value.
    ///
    /// # Errors
    /// [`ForeignValue`] if it is not such a value.
    pub fn parse(value: Option<&str>) -> Result<Self, ForeignValue> {
        read("button's value", value)
    }
}

/// The modal's private metadata: which rollback it is about, and which pair it showed.
///
/// ```
/// use rollback_slack::views::Memo;
/// let memo = Memo::parse(Some(r#"{"r":"rb-1","shown":{"from":"42","to":"41"}}"#))?;
/// assert_eq!(memo.rollback.as_str(), "rb-1");
/// assert!(memo.shown.is_some_and(|pair| pair.to.as_str() == "41"));
/// # Ok::<(), rollback_slack::views::ForeignValue>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Memo {
    /// The rollback.
    #[serde(rename = "r")]
    pub rollback: RollbackId,
    /// Current and target as the modal showed them; absent while it still loads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Pair>,
}

impl Memo {
    pub(super) const fn new(rollback: RollbackId, shown: Option<Pair>) -> Self {
        Self { rollback, shown }
    }

    /// Reads a modal's private metadata.
    ///
    /// # Errors
    /// [`ForeignValue`] if it is not such a value.
    pub fn parse(value: Option<&str>) -> Result<Self, ForeignValue> {
        read("modal's private metadata", value)
    }
}

fn read<'a, T: Deserialize<'a>>(
    what: &'static str,
    value: Option<&'a str>,
) -> Result<T, ForeignValue> {
    let value = value.filter(|value| !value.is_empty()).ok_or(ForeignValue::Missing(what))?;
    serde_json::from_str(value).map_err(|_no_detail| ForeignValue::Unreadable(what))
}

/// Writes a value. What is written are ids, whose characters are checked where they are made.
pub(super) fn written<T: Serialize>(value: &T) -> Result<String, super::Breach> {
    serde_json::to_string(value).map_err(|_no_detail| super::Breach::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rollback_core::RevisionId;

    proptest! {
        #[test]
        fn what_was_written_is_read_back(
            deploy in "[!-~]{1,40}", rollback in "[A-Za-z0-9][A-Za-z0-9._-]{0,30}", version: u64,
            from in "[a-z0-9:/+.]{1,40}", to in "[a-z0-9:/+.]{1,40}",
        ) {
            let Ok(deploy) = DeployId::parse(deploy) else { return Ok(()) };
            let rollback = RollbackId::parse(rollback).unwrap();
            let button = DeployButton::new(deploy, version);
            prop_assert_eq!(DeployButton::parse(Some(&written(&button).unwrap())), Ok(button));
            let button = RollbackButton::new(rollback.clone(), version);
            prop_assert_eq!(RollbackButton::parse(Some(&written(&button).unwrap())), Ok(button));
            let pair = Pair::new(RevisionId::parse(from).unwrap(), RevisionId::parse(to).unwrap());
            for shown in [None, Some(pair)] {
                let memo = Memo::new(rollback.clone(), shown);
                prop_assert_eq!(Memo::parse(Some(&written(&memo).unwrap())), Ok(memo));
            }
        }

        #[test]
        fn whatever_comes_back_is_a_value_or_a_typed_error(text in any::<String>()) {
            for text in [text.as_str(), &format!("{{\"d\":{text:?}}}"), &format!("{{\"r\":{text:?}}}")] {
                prop_assert!(DeployButton::parse(Some(text)).is_err());
                prop_assert!(RollbackButton::parse(Some(text)).is_err());
            }
        }
    }

    #[test]
    fn a_forged_value_cannot_smuggle_in_what_is_no_id() {
        for value in [
            r#"{"d":"a b","v":1}"#,
            r#"{"d":"","v":1}"#,
            r#"{"d":"x"}"#,
            r#"{"d":"x","v":-1}"#,
            "[]",
            "null",
        ] {
            let unreadable = Err(ForeignValue::Unreadable("button's value"));
            assert_eq!(DeployButton::parse(Some(value)), unreadable, "{value}");
        }
        for value in [None, Some("")] {
            assert_eq!(Memo::parse(value), Err(ForeignValue::Missing("modal's private metadata")));
        }
        assert!(Memo::parse(Some(r#"{"r":"../x"}"#)).is_err());
    }
}
