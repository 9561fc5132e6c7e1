//! Slack's Web API, as much of it as a rollback needs.

mod answer;
mod code;
mod error;
mod message;
mod method;
mod pacing;
mod retry;
mod timer;
mod transport;

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::SecretString;

pub use self::answer::{Found, Identity, OpenView, Standing, User, UserGroup};
use self::answer::{
    GroupMembers, Groups, Messages, Nothing, Permalink, Posted, RawIdentity, SocketUrl,
    WithChannel, WithUser, WithView,
};
pub use self::error::{CallError, Certainty, Fault, Retry, Why};
pub use self::message::{Ephemeral, Lookup, MessageRef, Metadata, Post, Update};
pub use self::method::Method;
pub use self::timer::Timer;
#[cfg(feature = "socket")]
pub(crate) use self::transport::is_private;
use self::transport::{Answer, Call, Transport};
pub use self::transport::{SetupError, WebApiOptions};
use crate::Json;

/// Messages a page, and pages, that a lookup reads.
const LOOKUP_PAGE: &str = "100";
const LOOKUP_PAGES_MAX: usize = 10;
/// A trigger lives three seconds: an attempt to open a modal that waits longer is in vain.
const TRIGGER_WAIT_MAX: Duration = Duration::from_secs(2);

/// A client for one token. Cheap to clone; clones share connections and pacing.
///
/// Every call is bounded in time and size, follows no redirect, waits for its turn under Slack's
/// rate limits and is tried again only where that cannot do it twice. The error of each says first
/// whether it may have happened.
///
/// Dropping a call's future leaves it in doubt.
///
/// ```no_run
/// use rollback_slack::{Certainty, Found, Lookup, Metadata, Post, WebApi, WebApiOptions};
///
/// # async fn post() -> Result<(), Box<dyn std::error::Error>> {
/// let slack = WebApi::new("xoxb-…".into(), WebApiOptions::default())?;
/// let key = Metadata::new("deploy", "ci-4711");
/// let posted = slack.post(&Post::new("C0DEPLOYS", "checkout deployed").metadata(key.clone())).await;
/// let message = match posted {
///     Err(error) if error.certainty == Certainty::InDoubt => {
///         slack.find_message(&Lookup::new("C0DEPLOYS", key, "1700000000.000000")).await?
///     }
///     posted => Found::At(posted?),
/// };
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct WebApi {
    transport: Transport,
}

impl WebApi {
    /// A client that speaks with `token`: a bot's, or an app's for
    /// [`connections_open`](Self::connections_open).
    ///
    /// # Errors
    /// [`SetupError`]; nothing was sent.
    pub fn new(token: SecretString, options: WebApiOptions) -> Result<Self, SetupError> {
        Ok(Self { transport: Transport::new(token, options)? })
    }

    /// Asks whose token it is and what it may do (`auth.test`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn identity(&self) -> Result<Identity, CallError> {
        let answer = self.transport.call(Call::form(Method::AuthTest, &[])).await?;
        let scopes = answer.scopes().map(|scopes| {
            scopes.split(',').map(|scope| scope.trim().to_owned()).collect::<BTreeSet<_>>()
        });
        let answered_at = answer.date();
        let RawIdentity { team_id, team, user_id, bot_id, enterprise_id } = answer.read()?;
        Ok(Identity { team_id, team, user_id, bot_id, enterprise_id, scopes, answered_at })
    }

    /// Posts a message (`chat.postMessage`). Never sent twice: after an error in doubt,
    /// [`find_message`](Self::find_message) before posting again.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post(&self, post: &Post) -> Result<MessageRef, CallError> {
        self.posted(Call::json(Method::ChatPostMessage, post)?.paced_by(&post.channel)).await
    }

    /// The same, if nothing has to be waited for: neither the channel's pace nor what Slack asked
    /// for. Else nothing is posted, and the error says when to come back: whoever has something
    /// else to do, or may have more to say by then, need not stand in line.
    ///
    /// # Errors
    /// [`CallError`], with [`Why::NotItsTurn`] if it would have had to wait.
    pub async fn post_in_turn(&self, post: &Post) -> Result<MessageRef, CallError> {
        let call = Call::json(Method::ChatPostMessage, post)?.paced_by(&post.channel);
        self.posted(call.in_turn()).await
    }

    async fn posted(&self, call: Call) -> Result<MessageRef, CallError> {
        let Posted { channel, ts } = self.transport.call(call).await?.read()?;
        Ok(MessageRef { channel, ts })
    }

    /// Replaces the content of a message of ours (`chat.update`).
    ///
    /// # Errors
    /// [`CallError`]; [`is_message_gone`](CallError::is_message_gone) if somebody deleted it.
    pub async fn update(&self, update: &Update) -> Result<(), CallError> {
        self.done(Call::json(Method::ChatUpdate, update)?).await
    }

    /// Tells one person something in a channel (`chat.postEphemeral`). Never sent twice.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post_ephemeral(&self, ephemeral: &Ephemeral) -> Result<(), CallError> {
        self.done(Call::json(Method::ChatPostEphemeral, ephemeral)?).await
    }

    /// The web address of a message (`chat.getPermalink`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn permalink(&self, message: &MessageRef) -> Result<String, CallError> {
        let arguments =
            [("channel", message.channel.as_str()), ("message_ts", message.ts.as_str())];
        let call = Call::form(Method::ChatGetPermalink, &arguments);
        let Permalink { permalink } = self.transport.call(call).await?.read()?;
        Ok(permalink)
    }

    /// Opens a modal (`views.open`). Waits two seconds at most, as its trigger lives only three.
    ///
    /// # Errors
    /// [`CallError`]; [`is_expired_trigger`](CallError::is_expired_trigger) if it came too late.
    pub async fn open_view(&self, trigger_id: &str, view: &Json) -> Result<OpenView, CallError> {
        #[derive(serde::Serialize)]
        struct Open<'a> {
            trigger_id: &'a str,
            view: &'a Json,
        }
        let call = Call::json(Method::ViewsOpen, &Open { trigger_id, view })?;
        let call = call.waiting_at_most(TRIGGER_WAIT_MAX);
        let WithView { view } = self.transport.call(call).await?.read()?;
        Ok(view)
    }

    /// Replaces the content of an open modal (`views.update`); with `hash`, only if it is still
    /// the content that was seen.
    ///
    /// # Errors
    /// [`CallError`]; [`is_hash_conflict`](CallError::is_hash_conflict) if it is not.
    pub async fn update_view(
        &self,
        view_id: &str,
        hash: Option<&str>,
        view: &Json,
    ) -> Result<OpenView, CallError> {
        #[derive(serde::Serialize)]
        struct Update<'a> {
            view_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            hash: Option<&'a str>,
            view: &'a Json,
        }
        let call = Call::json(Method::ViewsUpdate, &Update { view_id, hash, view })?;
        // The second of two conditional updates would find the first and call it a conflict.
        let call = if hash.is_some() { call.sent_once() } else { call };
        let WithView { view } = self.transport.call(call).await?.read()?;
        Ok(view)
    }

    /// Every user group, the disabled ones included (`usergroups.list`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn user_groups(&self) -> Result<Vec<UserGroup>, CallError> {
        let arguments = [("include_disabled", "true")];
        let call = Call::form(Method::UsergroupsList, &arguments);
        let Groups { usergroups } = self.transport.call(call).await?.read()?;
        Ok(usergroups.into_iter().map(UserGroup::from).collect())
    }

    /// The members of a user group (`usergroups.users.list`); a disabled group has none.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn group_members(&self, group_id: &str) -> Result<Vec<String>, CallError> {
        let arguments = [("usergroup", group_id), ("include_disabled", "false")];
        let call = Call::form(Method::UsergroupsUsersList, &arguments);
        let GroupMembers { users } = self.transport.call(call).await?.read()?;
        Ok(users)
    }

    /// Waits for the next turn of a method, which the call that follows uses up.
    pub(crate) async fn turn(&self, method: Method, wait_max: Duration) -> Result<(), CallError> {
        self.transport.turn(method, wait_max).await
    }

    /// The members of a user group, asked in the turn that was waited for. Waits for so long at most
    /// between its own attempts.
    pub(crate) async fn group_members_in_turn(
        &self,
        group_id: &str,
        wait_max: Duration,
    ) -> Result<Vec<String>, CallError> {
        let arguments = [("usergroup", group_id), ("include_disabled", "false")];
        let call = Call::form(Method::UsergroupsUsersList, &arguments);
        let call = call.having_its_turn().waiting_at_most(wait_max);
        let GroupMembers { users } = self.transport.call(call).await?.read()?;
        Ok(users)
    }

    /// Who somebody is (`users.info`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn user(&self, user_id: &str) -> Result<User, CallError> {
        let call = Call::form(Method::UsersInfo, &[("user", user_id)]);
        let WithUser { user } = self.transport.call(call).await?.read()?;
        Ok(user)
    }

    /// The channel of direct messages with somebody (`conversations.open`).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn direct_channel(&self, user_id: &str) -> Result<String, CallError> {
        #[derive(serde::Serialize)]
        struct Open<'a> {
            users: &'a str,
        }
        let call = Call::json(Method::ConversationsOpen, &Open { users: user_id })?;
        let WithChannel { channel } = self.transport.call(call).await?.read()?;
        Ok(channel.id)
    }

    /// Looks for a message of ours by its metadata (`conversations.history` or, in a thread,
    /// `conversations.replies`): the way out of a post in doubt. Reads up to 1,000 messages.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn find_message(&self, lookup: &Lookup) -> Result<Found, CallError> {
        let mut cursor = String::new();
        for _ in 0..LOOKUP_PAGES_MAX {
            let mut arguments = vec![
                ("channel", lookup.channel.as_str()),
                ("oldest", &lookup.oldest_ts),
                ("inclusive", "true"),
                ("include_all_metadata", "true"),
                ("limit", LOOKUP_PAGE),
            ];
            let method = match &lookup.thread_ts {
                Some(parent) => {
                    arguments.push(("ts", parent));
                    Method::ConversationsReplies
                }
                None => Method::ConversationsHistory,
            };
            if !cursor.is_empty() {
                arguments.push(("cursor", &cursor));
            }
            let page: Messages =
                self.transport.call(Call::form(method, &arguments)).await?.read()?;
            let found = page.messages.into_iter().find(|message| {
                lookup.metadata.matches(message.event_type(), message.keys())
                    && (lookup.bot_id.is_none() || lookup.bot_id == message.bot_id)
            });
            if let Some(found) = found {
                let channel = lookup.channel.clone();
                return Ok(Found::At(MessageRef { channel, ts: found.ts }));
            }
            let next = page.response_metadata.and_then(|it| it.next_cursor).unwrap_or_default();
            match (next.is_empty(), page.has_more) {
                (true, false) => return Ok(Found::Absent),
                // More there is, and no way to it.
                (true, true) => return Ok(Found::Unsure),
                (false, _) => cursor = next,
            }
        }
        Ok(Found::Unsure)
    }

    /// Asks whether the bot can read a channel, which says that the channel exists and that the
    /// bot is in it (`conversations.history`, one message, which is not kept).
    ///
    /// # Errors
    /// [`CallError`]; its [`code`](CallError::code) is `not_in_channel` or `channel_not_found`
    /// where the bot is not in it.
    pub async fn can_read(&self, channel_id: &str) -> Result<(), CallError> {
        let arguments = [("channel", channel_id), ("limit", "1")];
        self.done(Call::form(Method::ConversationsHistory, &arguments)).await
    }

    /// A one-time address for a Socket Mode connection (`apps.connections.open`), which is a
    /// secret. Needs an app's token.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn connections_open(&self) -> Result<SecretString, CallError> {
        let call = Call::form(Method::AppsConnectionsOpen, &[]);
        let SocketUrl { url } = self.transport.call(call).await?.read()?;
        Ok(url.into())
    }

    async fn done(&self, call: Call) -> Result<(), CallError> {
        let answer: Answer = self.transport.call(call).await?;
        answer.read::<Nothing>().map(|Nothing {}| ())
    }
}
