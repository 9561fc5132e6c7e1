//! The engine's notices as Slack messages: one message for one key, brought up to date in place.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::notice::{
    Attempt, Delivered, Delivery, MessageRef as CoreRef, Notice, NoticeKind,
};
use rollback_core::ports::{Clock, Notifier, NotifyError};
use rollback_core::{ChannelId, Line, RollbackView, Timestamp, UserId};

use crate::client::{
    CallError, Certainty, Ephemeral, Fault, Found, Lookup, MessageRef, Metadata, Post, Retry,
    Update, WebApi, Why,
};
use crate::views::{
    self, Breach, Message, ThreadLine, approval_message, break_glass_message, deploy_message,
    deployer_message, lines_message, on_call_message,
};

/// The notifier's name, under which the outbox keeps what it posted.
pub(crate) const NAME: &str = "slack";
/// The type of the metadata on every message of ours.
pub const EVENT_TYPE: &str = "rollback";
/// What the bot's token must allow for everything that the notifier does.
///
/// Without the `history` scopes a message can be posted and never be looked up: a post in doubt
/// stays undelivered, since the same key must not make a second message.
pub const SCOPES_NEEDED: [&str; 5] =
    ["chat:write", "im:write", "channels:history", "groups:history", "im:history"];

/// How far the clocks of Slack, of the reporter of a deploy and of this service may differ.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(600);
/// How far back a message is looked for when its own time lies in the future.
const LOOK_BACK: Duration = Duration::from_secs(3_600);

/// Tells people in Slack.
///
/// ```no_run
/// use std::sync::Arc;
/// use rollback_core::ports::{Clock, Notifier};
/// use rollback_slack::{SlackNotifier, WebApi, WebApiOptions};
///
/// # fn notifier(clock: Arc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
/// let slack = WebApi::new("xoxb-…".into(), WebApiOptions::default())?;
/// let notifier = SlackNotifier::new(slack, clock).on_call("C0ONCALL".parse()?);
/// assert_eq!(notifier.name(), "slack");
/// # Ok(()) }
/// ```
pub struct SlackNotifier {
    api: WebApi,
    clock: Arc<dyn Clock>,
    name: &'static str,
    on_call: Option<ChannelId>,
    bot_id: Option<String>,
}

impl fmt::Debug for SlackNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackNotifier")
            .field("name", &self.name)
            .field("on_call", &self.on_call)
            .finish_non_exhaustive()
    }
}

/// Where a message belongs.
struct Place {
    channel: String,
    thread: Option<String>,
}

impl SlackNotifier {
    /// Tells through this client. The clock bounds how far back a message in doubt is looked for.
    #[must_use]
    pub const fn new(api: WebApi, clock: Arc<dyn Clock>) -> Self {
        Self { api, clock, name: NAME, on_call: None, bot_id: None }
    }

    /// Is called so, where an engine has several: two workspaces, say. The store keeps what each has
    /// told by its name, so a name stays. Give its [`Surface`](crate::Surface) the same. Default `slack`.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Tells whoever is on call in this channel, too; without it that is another notifier's.
    #[must_use]
    pub fn on_call(self, channel: ChannelId) -> Self {
        Self { on_call: Some(channel), ..self }
    }

    /// Takes only this bot's messages for its own when it looks one up (`Identity::bot_id`).
    #[must_use]
    pub fn posting_as(self, bot_id: impl Into<String>) -> Self {
        Self { bot_id: Some(bot_id.into()), ..self }
    }

    async fn deliver_as(&self, delivery: &Delivery, form: Form) -> Result<Delivered, Undelivered> {
        let (version, notice) = (delivery.version, &delivery.notice);
        match notice {
            Notice::Deploy(card) => {
                let message = drawn(notice, form, || deploy_message(card, version))?;
                let since = self.since(card.deploy.deployed_at);
                self.settle(delivery, in_channel(delivery), since, message).await
            }
            Notice::Line { view, line } => {
                let told = told(view, line, delivery);
                let message = drawn(notice, form, || lines_message(&[told]))?;
                let since = self.since(view.opened_at);
                self.settle_line(delivery, in_thread(delivery), since, message).await
            }
            Notice::Approval(view) => {
                let message = drawn(notice, form, || approval_message(view, version))?;
                let since = self.since(view.opened_at);
                self.settle(delivery, in_thread(delivery), since, message).await
            }
            Notice::Private { to, text, view } => {
                let message = drawn(notice, form, || views::private_message(text, view))?;
                self.privately(delivery, to, message).await
            }
            Notice::Deployer { to, view } => {
                let message = drawn(notice, form, || deployer_message(view, version))?;
                let place = self.direct(to).await?;
                self.settle(delivery, place, self.since(view.opened_at), message).await
            }
            Notice::OnCall(view) => {
                let Some(channel) = &self.on_call else { return Ok(Delivered::NotMine) };
                let message = drawn(notice, form, || on_call_message(view, version))?;
                let place = Place { channel: channel.as_str().to_owned(), thread: None };
                self.settle(delivery, place, self.since(view.opened_at), message).await
            }
            Notice::Blocked(blocked) => {
                let Some(channel) = &self.on_call else { return Ok(Delivered::NotMine) };
                let message = drawn(notice, form, || views::blocked_message(blocked, version))?;
                let place = Place { channel: channel.as_str().to_owned(), thread: None };
                self.settle(delivery, place, self.since(blocked.since), message).await
            }
            Notice::Changed(changed) => {
                let message = drawn(notice, form, || views::changed_message(changed, version))?;
                let place = match (changed.through_break_glass, &self.on_call) {
                    (false, _) => in_channel(delivery),
                    (true, Some(channel)) => {
                        Place { channel: channel.as_str().to_owned(), thread: None }
                    }
                    (true, None) => return Ok(Delivered::NotMine),
                };
                self.settle_line(delivery, place, self.since(changed.at), message).await
            }
            Notice::BreakGlass { by, duty, view } => {
                let Some(channel) = &self.on_call else { return Ok(Delivered::NotMine) };
                let message =
                    drawn(notice, form, || break_glass_message(by, *duty, view, version))?;
                let place = Place { channel: channel.as_str().to_owned(), thread: None };
                self.settle(delivery, place, self.since(view.opened_at), message).await
            }
        }
    }

    /// One message for one key: brought up to date, else found and brought up to date, else
    /// posted.
    async fn settle(
        &self,
        delivery: &Delivery,
        place: Place,
        since: Timestamp,
        message: Message,
    ) -> Result<Delivered, Undelivered> {
        let metadata = metadata(delivery);
        if let Some(previous) = &delivery.previous {
            let at = MessageRef {
                channel: previous.channel.as_str().to_owned(),
                ts: previous.id.as_str().to_owned(),
            };
            return match self.update(at, &metadata, &message).await {
                // Somebody deleted it; what it tells is still true.
                Err(error) if error.is_message_gone() => self.post(place, metadata, message).await,
                Err(error) => Err(not_delivered(&error)),
                Ok(()) => Ok(Delivered::Posted(previous.clone())),
            };
        }
        match delivery.attempt {
            Attempt::Clean => self.post(place, metadata, message).await,
            Attempt::InDoubt => match self.find(&place, &metadata, since).await? {
                Some(at) => match self.update(at.clone(), &metadata, &message).await {
                    Err(error) if error.is_message_gone() => {
                        self.post(place, metadata, message).await
                    }
                    Err(error) => Err(not_delivered(&error)),
                    Ok(()) => posted(at),
                },
                None => self.post(place, metadata, message).await,
            },
        }
    }

    /// A line of a thread is posted once and never changed.
    async fn settle_line(
        &self,
        delivery: &Delivery,
        place: Place,
        since: Timestamp,
        message: Message,
    ) -> Result<Delivered, Undelivered> {
        if let Some(previous) = &delivery.previous {
            return Ok(Delivered::Posted(previous.clone()));
        }
        let metadata = metadata(delivery);
        let found = match delivery.attempt {
            Attempt::Clean => None,
            Attempt::InDoubt => self.find(&place, &metadata, since).await?,
        };
        match found {
            Some(at) => posted(at),
            None => self.post(place, metadata, message).await,
        }
    }

    async fn post(
        &self,
        place: Place,
        metadata: Metadata,
        message: Message,
    ) -> Result<Delivered, Undelivered> {
        let Message { text, blocks } = message;
        let post = Post::new(place.channel, text).blocks(blocks).metadata(metadata);
        let at = match place.thread {
            None => self.api.post_in_turn(&post).await,
            Some(parent) => match self.api.post_in_turn(&post.clone().in_thread(parent)).await {
                // Somebody deleted the parent. Approvers must still be asked, and people told.
                Err(error) if error.is_thread_gone() => self.api.post_in_turn(&post).await,
                at => at,
            },
        };
        posted(at.map_err(|error| not_delivered(&error))?)
    }

    async fn update(
        &self,
        at: MessageRef,
        metadata: &Metadata,
        message: &Message,
    ) -> Result<(), CallError> {
        let update = Update::new(at, message.text.clone())
            .blocks(message.blocks.clone())
            .metadata(metadata.clone());
        self.api.update(&update).await
    }

    async fn find(
        &self,
        place: &Place,
        metadata: &Metadata,
        since: Timestamp,
    ) -> Result<Option<MessageRef>, Undelivered> {
        let oldest = format!("{}.000000", since.as_millis() / 1_000);
        let mut lookup = Lookup::new(place.channel.clone(), metadata.clone(), oldest);
        if let Some(bot_id) = &self.bot_id {
            lookup = lookup.by(bot_id.clone());
        }
        let found = match &place.thread {
            None => self.api.find_message(&lookup).await,
            Some(parent) => {
                match self.api.find_message(&lookup.clone().in_thread(parent.clone())).await {
                    Err(error) if error.is_thread_gone() => self.api.find_message(&lookup).await,
                    found => found,
                }
            }
        };
        match found {
            Ok(Found::At(at)) => Ok(Some(at)),
            Ok(Found::Absent) => Ok(None),
            Ok(Found::Unsure) => Err(Undelivered::Known(NotifyError::InDoubt {
                why:
                    "the channel has more messages since then than are read; look for the message \
                      there"
                        .into(),
            })),
            Err(error) => Err(not_found_out(&error)),
        }
    }

    /// Since when a message of this notice can exist, with room for clocks that differ.
    fn since(&self, made: Timestamp) -> Timestamp {
        let now = self.clock.now();
        let (from, room) = if made > now { (now, LOOK_BACK) } else { (made, CLOCKS_DIFFER_MAX) };
        let room = u64::try_from(room.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(from.as_millis().saturating_sub(room))
    }

    async fn privately(
        &self,
        delivery: &Delivery,
        to: &UserId,
        message: Message,
    ) -> Result<Delivered, Undelivered> {
        // Nobody can look an ephemeral message up. A person who reads a refusal twice is better
        // off than one who never does.
        let Message { text, blocks } = message.clone();
        let ephemeral = Ephemeral::new(delivery.channel.as_str(), to.as_str(), text).blocks(blocks);
        match self.api.post_ephemeral(&ephemeral).await {
            Ok(()) => Ok(Delivered::Sent),
            // Somebody who clicked and left, or a click from elsewhere: tell them directly.
            Err(error) if error.code() == Some("user_not_in_channel") => {
                let place = self.direct(to).await?;
                self.post(place, metadata(delivery), message).await
            }
            Err(error) => Err(not_delivered(&error)),
        }
    }

    async fn direct(&self, to: &UserId) -> Result<Place, Undelivered> {
        match self.api.direct_channel(to.as_str()).await {
            Ok(channel) => Ok(Place { channel, thread: None }),
            // Nothing is posted by opening a channel, whatever became of it.
            Err(error) => Err(not_found_out(&error)),
        }
    }
}

#[async_trait]
impl Notifier for SlackNotifier {
    fn name(&self) -> &'static str {
        self.name
    }

    fn place(&self, kind: NoticeKind, channel: &ChannelId) -> Option<ChannelId> {
        if kind.is_a_page() { self.on_call.clone() } else { Some(channel.clone()) }
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        let why = match self.deliver_as(delivery, Form::Blocks).await {
            Err(Undelivered::NotTaken { why }) => why,
            done => return done.map_err(NotifyError::from),
        };
        tracing::error!(
            key = %delivery.key, %why,
            "Slack does not take a message as it is; its essentials are told in plain text"
        );
        Ok(self.deliver_as(delivery, Form::Text).await?)
    }

    /// Each post of a channel takes a turn of the channel's pace, which everything that is told
    /// there shares: what is due at once takes one turn.
    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        let lines: Vec<ThreadLine<'_>> =
            core::iter::once(first).chain(following).map_while(new_line).collect();
        // The longest message that keeps Slack's limits.
        let fits = (2..=lines.len()).rev().find_map(|count| {
            let some = lines.get(..count)?;
            let message = crate::drawn::if_it_can_be(|| lines_message(some))?;
            Some((count.saturating_sub(1), message))
        });
        let Some((more, message)) = fits else { return Ok((0, self.deliver(first).await?)) };
        let keys = following.iter().take(more).map(|delivery| delivery.key.as_str());
        let metadata = metadata(first).also(keys);
        let posted = self.post(in_thread(first), metadata, message).await;
        Ok((more, posted.map_err(NotifyError::from)?))
    }
}

/// A line that was never posted, as far as anybody knows.
fn new_line(delivery: &Delivery) -> Option<ThreadLine<'_>> {
    let Notice::Line { view, line } = &delivery.notice else { return None };
    let is_new = delivery.previous.is_none() && delivery.attempt == Attempt::Clean;
    // Keys of one message are told apart by the blanks between them.
    let is_told_apart = !delivery.key.as_str().contains(char::is_whitespace);
    (is_new && is_told_apart).then(|| told(view, line, delivery))
}

fn told<'a>(view: &'a RollbackView, line: &'a Line, delivery: &'a Delivery) -> ThreadLine<'a> {
    let told = ThreadLine::new(view, line);
    delivery.witness.as_ref().map_or(told, |witness| told.witnessed(witness))
}

fn metadata(delivery: &Delivery) -> Metadata {
    Metadata::new(EVENT_TYPE, delivery.key.as_str()).with("version", delivery.version.to_string())
}

fn in_channel(delivery: &Delivery) -> Place {
    Place { channel: delivery.channel.as_str().to_owned(), thread: None }
}

fn in_thread(delivery: &Delivery) -> Place {
    delivery.thread.as_ref().map_or_else(
        || in_channel(delivery),
        |parent| Place {
            channel: parent.channel.as_str().to_owned(),
            thread: Some(parent.id.as_str().to_owned()),
        },
    )
}

fn posted(at: MessageRef) -> Result<Delivered, Undelivered> {
    let MessageRef { channel, ts } = at;
    match ChannelId::parse(channel) {
        Ok(channel) => Ok(Delivered::Posted(CoreRef::new(channel, ts))),
        // It is posted; the next attempt finds it by its key.
        Err(_unreadable) => Err(Undelivered::Known(NotifyError::InDoubt {
            why: "Slack answered with a channel that is no channel id".into(),
        })),
    }
}

/// The message of a notice, or its essentials where a view makes none.
fn drawn(
    notice: &Notice,
    form: Form,
    draw: impl FnOnce() -> Result<Message, Breach>,
) -> Result<Message, NotifyError> {
    let message = match form {
        Form::Blocks => crate::drawn::message(notice, draw),
        Form::Text => crate::drawn::in_text(notice),
    };
    message
        .ok_or_else(|| NotifyError::Rejected { why: "not even its essentials were written".into() })
}

/// How a message is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// As it was designed.
    Blocks,
    /// Its essentials, without any block.
    Text,
}

/// Why a notice was not delivered, while there may be another way to tell it.
#[derive(Debug)]
enum Undelivered {
    /// Slack does not take the message as it is written.
    NotTaken { why: String },
    /// What the outbox has to know.
    Known(NotifyError),
}

impl From<NotifyError> for Undelivered {
    fn from(error: NotifyError) -> Self {
        Self::Known(error)
    }
}

impl From<Undelivered> for NotifyError {
    fn from(undelivered: Undelivered) -> Self {
        match undelivered {
            Undelivered::NotTaken { why } => Self::Rejected { why },
            Undelivered::Known(error) => error,
        }
    }
}

/// What a call that did not succeed means for the message. Certainty first.
fn not_delivered(error: &CallError) -> Undelivered {
    match error.certainty {
        Certainty::InDoubt => Undelivered::Known(NotifyError::InDoubt { why: error.to_string() }),
        Certainty::NothingHappened => {
            if let Why::NotItsTurn { after } = error.why {
                return Undelivered::Known(NotifyError::NotYet { after });
            }
            not_found_out(error)
        }
    }
}

/// The same for a call that posts nothing, whatever became of it.
fn not_found_out(error: &CallError) -> Undelivered {
    let later = |after| NotifyError::Retry { after, why: error.to_string() };
    Undelivered::Known(match (error.retry(), error.fault()) {
        (Retry::Never, Some(Fault::Message)) => {
            return Undelivered::NotTaken { why: in_words(error) };
        }
        (Retry::Never, Some(Fault::Person)) => NotifyError::Rejected { why: in_words(error) },
        (Retry::Never, Some(Fault::World)) => NotifyError::Blocked { why: in_words(error) },
        (Retry::Never | Retry::LookFirst, _) | (Retry::After(Duration::ZERO), _) => later(None),
        (Retry::After(after), _) => later(Some(after)),
    })
}

/// The error with what to do about it.
fn in_words(error: &CallError) -> String {
    let remedy = match (&error.why, error.code()) {
        (Why::TokenRejected { needed: Some(_), .. }, _) => {
            "add the scope to the app and install it again"
        }
        (Why::TokenRejected { .. }, _) => "give the service a valid bot token",
        (_, Some("channel_not_found")) => {
            "correct the channel id in the configuration, or invite the bot to the private channel"
        }
        (_, Some("not_in_channel")) => "invite the bot to the channel",
        (_, Some("is_archived")) => "unarchive the channel, or name another one",
        (_, Some("team_not_found" | "team_disabled")) => {
            "give the service a bot token of a workspace that exists"
        }
        (_, Some(code)) if code.starts_with("restricted_action") => {
            "let the bot post in the channel, in threads and outside of them"
        }
        (_, Some("thread_locked")) => "unlock the thread",
        (_, Some("user_disabled" | "user_not_found" | "user_not_visible")) => {
            "correct the deployer's Slack user id where deploys are reported"
        }
        _ => "see the log for what Slack said",
    };
    format!("{error}; {remedy}")
}
