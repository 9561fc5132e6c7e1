//! Block Kit as far as the views use it: plain structs that serialize to what Slack reads, and
//! nothing that it would refuse by its shape. Lengths are the business of `check`.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// Names a block within its view. Slack wants other names in every revision of a message, so that
/// a client does not take the new block for the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockId {
    slot: &'static str,
    version: Option<u64>,
}

impl BlockId {
    /// The block in this place of this revision of a message.
    pub(crate) const fn of(slot: &'static str, version: u64) -> Self {
        Self { slot, version: Some(version) }
    }

    /// The block in this place, always: what was typed into it survives an update.
    pub(crate) const fn fixed(slot: &'static str) -> Self {
        Self { slot, version: None }
    }
}

impl Serialize for BlockId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.version {
            Some(version) => serializer.collect_str(&format_args!("{}.{version}", self.slot)),
            None => serializer.serialize_str(self.slot),
        }
    }
}

/// Text without markup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Plain<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    pub(crate) text: Cow<'a, str>,
    emoji: bool,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { kind: "plain_text", text: text.into(), emoji: false }
    }
}

/// Text with Slack's markup. Only `Words` makes it, which escapes what comes from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mrkdwn {
    #[serde(rename = "type")]
    kind: &'static str,
    pub(crate) text: String,
    verbatim: bool,
}

impl Mrkdwn {
    pub(super) const fn new(text: String) -> Self {
        Self { kind: "mrkdwn", text, verbatim: true }
    }
}

/// A block of a message or a modal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block<'a> {
    Header {
        block_id: BlockId,
        text: Plain<'a>,
    },
    Section {
        block_id: BlockId,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Mrkdwn>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<Mrkdwn>,
    },
    Context {
        block_id: BlockId,
        elements: Vec<Mrkdwn>,
    },
    RichText {
        block_id: BlockId,
        elements: Vec<Rich<'a>>,
    },
    Actions {
        block_id: BlockId,
        elements: Vec<Button<'a>>,
    },
    Alert {
        block_id: BlockId,
        level: Level,
        text: Plain<'a>,
    },
    Input {
        block_id: BlockId,
        label: Plain<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<Plain<'a>>,
        element: Element<'a>,
    },
}

/// What is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Element<'a> {
    Text(TextInput<'a>),
    Checkboxes(Checkboxes<'a>),
    Select(StaticSelect<'a>),
}

/// One of several, chosen from a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "static_select")]
pub(crate) struct StaticSelect<'a> {
    pub(crate) action_id: &'static str,
    pub(crate) placeholder: Plain<'a>,
    pub(crate) options: Vec<Choice<'a>>,
}

/// Boxes to tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "checkboxes")]
pub(crate) struct Checkboxes<'a> {
    pub(crate) action_id: &'static str,
    pub(crate) options: Vec<Choice<'a>>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Choice<'a> {
    pub(crate) text: Plain<'a>,
    pub(crate) value: String,
}

impl Block<'_> {
    pub(crate) const fn id(&self) -> BlockId {
        match self {
            Self::Header { block_id, .. }
            | Self::Section { block_id, .. }
            | Self::Context { block_id, .. }
            | Self::RichText { block_id, .. }
            | Self::Actions { block_id, .. }
            | Self::Alert { block_id, .. }
            | Self::Input { block_id, .. } => *block_id,
        }
    }
}

/// How loud an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}

/// A part of a `rich_text` block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub(crate) enum Rich<'a> {
    #[serde(rename = "rich_text_section")]
    Section { elements: Vec<Leaf<'a>> },
    #[serde(rename = "rich_text_quote")]
    Quote { elements: Vec<Leaf<'a>> },
    #[serde(rename = "rich_text_list")]
    List { style: ListStyle, elements: Vec<Self> },
}

/// How the entries of a list are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListStyle {
    Bullet,
}

/// The smallest part of a `rich_text` block. Slack takes its text as it is: it has no markup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Leaf<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        style: Option<Style>,
    },
    User {
        user_id: Cow<'a, str>,
    },
    Usergroup {
        usergroup_id: Cow<'a, str>,
    },
    Emoji {
        name: &'static str,
    },
}

/// How a text is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Style {
    #[serde(skip_serializing_if = "is_false")]
    bold: bool,
    #[serde(skip_serializing_if = "is_false")]
    code: bool,
}

impl Style {
    pub(crate) const BOLD: Self = Self { bold: true, code: false };
    pub(crate) const CODE: Self = Self { bold: false, code: true };
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "button")]
pub(crate) struct Button<'a> {
    pub(crate) action_id: &'static str,
    pub(crate) text: Plain<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) style: Option<ButtonStyle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirm: Option<Confirm<'a>>,
}

/// The colour of a button; without one it is plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ButtonStyle {
    Primary,
    Danger,
}

/// The question that Slack asks before it tells about a click.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Confirm<'a> {
    pub(crate) title: Plain<'a>,
    pub(crate) text: Plain<'a>,
    pub(crate) confirm: Plain<'a>,
    pub(crate) deny: Plain<'a>,
    pub(crate) style: ButtonStyle,
}

/// A field for text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "plain_text_input")]
pub(crate) struct TextInput<'a> {
    pub(crate) action_id: &'static str,
    pub(crate) multiline: bool,
    pub(crate) min_length: u16,
    pub(crate) max_length: u16,
    pub(crate) focus_on_load: bool,
    pub(crate) placeholder: Plain<'a>,
}

/// A modal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "modal")]
pub(crate) struct Modal<'a> {
    pub(crate) callback_id: &'static str,
    pub(crate) title: Plain<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) submit: Option<Plain<'a>>,
    pub(crate) close: Plain<'a>,
    pub(crate) private_metadata: String,
    pub(crate) notify_on_close: bool,
    pub(crate) blocks: Vec<Block<'a>>,
}
