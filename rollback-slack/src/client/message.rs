//! What is sent: messages and what belongs to them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::Json;

/// A message's place: its channel and its timestamp, which is its id there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "Slack's own address of a message")]
pub struct MessageRef {
    /// `C…`, `G…` or `D…`.
    pub channel: String,
    /// The timestamp.
    pub ts: String,
}

/// Machine-readable data of a message, by which it is found again. Everybody in the workspace can
/// read it through an app: ids only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    event_type: String,
    fields: BTreeMap<String, String>,
}

/// The field of the metadata that names the message.
pub(crate) const KEY_FIELD: &str = "key";
/// The field that names what else the message tells.
pub(crate) const ALSO_FIELD: &str = "also";

impl Metadata {
    /// A message of this type, which nothing but `key` names within its channel.
    #[must_use]
    pub fn new(event_type: impl Into<String>, key: impl Into<String>) -> Self {
        let fields = BTreeMap::from([(KEY_FIELD.to_owned(), key.into())]);
        Self { event_type: event_type.into(), fields }
    }

    /// One more field; those that are there stay as they are.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.entry(name.into()).or_insert_with(|| value.into());
        self
    }

    /// It is found by these keys, too. A key with a blank in it is found by nobody.
    #[must_use]
    pub fn also<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().collect();
        if keys.is_empty() { self } else { self.with(ALSO_FIELD, keys.join(" ")) }
    }

    /// Whether a message of this type with these keys is the one that is meant.
    pub(crate) fn matches<'a>(
        &self,
        event_type: Option<&str>,
        mut keys: impl Iterator<Item = &'a str>,
    ) -> bool {
        let own = self.fields.get(KEY_FIELD);
        event_type == Some(&self.event_type)
            && own.is_some_and(|own| keys.any(|key| key == own.as_str()))
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            event_type: &'a str,
            event_payload: &'a BTreeMap<String, String>,
        }
        Wire { event_type: &self.event_type, event_payload: &self.fields }.serialize(serializer)
    }
}

/// A new message.
///
/// Never unfurls links, and never lets Slack turn bare text into mentions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Post {
    pub(crate) channel: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    unfurl_links: bool,
    unfurl_media: bool,
    parse: &'static str,
}

impl Post {
    /// A message to `channel`. `text` is what notifications and screen readers say: always needed,
    /// in mrkdwn, with whatever comes from outside escaped.
    pub fn new(channel: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            text: text.into(),
            blocks: None,
            thread_ts: None,
            metadata: None,
            unfurl_links: false,
            unfurl_media: false,
            parse: "none",
        }
    }

    /// What is shown in place of the text: an array of blocks.
    pub fn blocks(self, blocks: Json) -> Self {
        Self { blocks: Some(blocks), ..self }
    }

    /// As a reply in the thread under this message.
    pub fn in_thread(self, parent_ts: impl Into<String>) -> Self {
        Self { thread_ts: Some(parent_ts.into()), ..self }
    }

    /// With data by which it is found again.
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata: Some(metadata), ..self }
    }
}

/// A new content for a message of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Update {
    channel: String,
    ts: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    parse: &'static str,
}

impl Update {
    /// Replaces the text of a message; without [`blocks`](Self::blocks) its blocks go. Slack
    /// refuses more than 4,000 characters of text here.
    pub fn new(message: MessageRef, text: impl Into<String>) -> Self {
        let MessageRef { channel, ts } = message;
        Self { channel, ts, text: text.into(), blocks: None, metadata: None, parse: "none" }
    }

    /// What is shown in place of the text: an array of blocks, with other `block_id`s than before.
    pub fn blocks(self, blocks: Json) -> Self {
        Self { blocks: Some(blocks), ..self }
    }

    /// Replaces the metadata; without it they stay.
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata: Some(metadata), ..self }
    }
}

/// A message that only one person sees, and that can never be changed. Slack does not promise to
/// deliver it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Ephemeral {
    channel: String,
    user: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<String>,
    parse: &'static str,
}

impl Ephemeral {
    /// A message to `user` in `channel`, which they must be a member of.
    pub fn new(
        channel: impl Into<String>,
        user: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            channel: channel.into(),
            user: user.into(),
            text: text.into(),
            blocks: None,
            thread_ts: None,
            parse: "none",
        }
    }

    /// What is shown in place of the text: an array of blocks.
    pub fn blocks(self, blocks: Json) -> Self {
        Self { blocks: Some(blocks), ..self }
    }

    /// In the thread under this message; shown only if the thread is active already.
    pub fn in_thread(self, parent_ts: impl Into<String>) -> Self {
        Self { thread_ts: Some(parent_ts.into()), ..self }
    }
}

/// Which message to look for, after a post in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Lookup {
    pub(crate) channel: String,
    pub(crate) thread_ts: Option<String>,
    pub(crate) oldest_ts: String,
    pub(crate) metadata: Metadata,
    pub(crate) bot_id: Option<String>,
}

impl Lookup {
    /// A message in `channel` of the type and with the key of `metadata`, not older than
    /// `oldest_ts` (seconds, as in a message's timestamp): when it was first sent, less some
    /// minutes for the clocks.
    pub fn new(
        channel: impl Into<String>,
        metadata: Metadata,
        oldest_ts: impl Into<String>,
    ) -> Self {
        Self {
            channel: channel.into(),
            thread_ts: None,
            oldest_ts: oldest_ts.into(),
            metadata,
            bot_id: None,
        }
    }

    /// Among the replies under this message.
    pub fn in_thread(self, parent_ts: impl Into<String>) -> Self {
        Self { thread_ts: Some(parent_ts.into()), ..self }
    }

    /// Only by this bot (see `Identity::bot_id`): another app could write the same metadata.
    pub fn by(self, bot_id: impl Into<String>) -> Self {
        Self { bot_id: Some(bot_id.into()), ..self }
    }
}
