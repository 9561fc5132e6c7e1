//! What each method of the Web API is like: how it is asked, what asking twice does, how often.

use std::fmt;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A method of Slack's Web API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `apps.connections.open`
    AppsConnectionsOpen,
    /// `auth.test`
    AuthTest,
    /// `chat.getPermalink`
    ChatGetPermalink,
    /// `chat.postEphemeral`
    ChatPostEphemeral,
    /// `chat.postMessage`
    ChatPostMessage,
    /// `chat.update`
    ChatUpdate,
    /// `conversations.history`
    ConversationsHistory,
    /// `conversations.open`
    ConversationsOpen,
    /// `conversations.replies`
    ConversationsReplies,
    /// `usergroups.list`
    UsergroupsList,
    /// `usergroups.users.list`
    UsergroupsUsersList,
    /// `users.info`
    UsersInfo,
    /// `views.open`
    ViewsOpen,
    /// `views.update`
    ViewsUpdate,
}

/// What asking a second time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing changes at all.
    Reads,
    /// The second request leaves things as the first did.
    Repeatable,
    /// The second request may do it twice.
    Once,
}

impl Method {
    /// Slack's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AppsConnectionsOpen => "apps.connections.open",
            Self::AuthTest => "auth.test",
            Self::ChatGetPermalink => "chat.getPermalink",
            Self::ChatPostEphemeral => "chat.postEphemeral",
            Self::ChatPostMessage => "chat.postMessage",
            Self::ChatUpdate => "chat.update",
            Self::ConversationsHistory => "conversations.history",
            Self::ConversationsOpen => "conversations.open",
            Self::ConversationsReplies => "conversations.replies",
            Self::UsergroupsList => "usergroups.list",
            Self::UsergroupsUsersList => "usergroups.users.list",
            Self::UsersInfo => "users.info",
            Self::ViewsOpen => "views.open",
            Self::ViewsUpdate => "views.update",
        }
    }

    pub(crate) const fn effect(self) -> Effect {
        match self {
            // A ticket for a socket that nobody uses expires by itself.
            Self::AppsConnectionsOpen
            | Self::AuthTest
            | Self::ChatGetPermalink
            | Self::ConversationsHistory
            | Self::ConversationsReplies
            | Self::UsergroupsList
            | Self::UsergroupsUsersList
            | Self::UsersInfo => Effect::Reads,
            Self::ChatUpdate | Self::ConversationsOpen | Self::ViewsUpdate => Effect::Repeatable,
            Self::ChatPostEphemeral | Self::ChatPostMessage | Self::ViewsOpen => Effect::Once,
        }
    }

    /// Calls a minute for one workspace, from Slack's tiers; for the methods outside of the tiers
    /// what its documentation hints at.
    pub(crate) const fn per_minute(self) -> u32 {
        match self {
            Self::UsergroupsList | Self::UsergroupsUsersList => 20,
            Self::AppsConnectionsOpen
            | Self::ChatUpdate
            | Self::ConversationsHistory
            | Self::ConversationsOpen
            | Self::ConversationsReplies => 50,
            Self::AuthTest
            | Self::ChatGetPermalink
            | Self::ChatPostEphemeral
            | Self::UsersInfo
            | Self::ViewsOpen
            | Self::ViewsUpdate => 100,
            Self::ChatPostMessage => 300,
        }
    }
}

impl Method {
    /// Calls that may go out at once, and the pause between two of them from then on. For the rarest
    /// methods the two together never make more in any minute than Slack takes: a 429 of theirs holds
    /// back everybody who is being checked. For the others a minute's worth may go at once.
    pub(crate) fn pace(self) -> (u32, Duration) {
        let per_minute = self.per_minute();
        let at_once = match self {
            Self::UsergroupsList | Self::UsergroupsUsersList => per_minute / 2,
            Self::AppsConnectionsOpen
            | Self::AuthTest
            | Self::ChatGetPermalink
            | Self::ChatPostEphemeral
            | Self::ChatPostMessage
            | Self::ChatUpdate
            | Self::ConversationsHistory
            | Self::ConversationsOpen
            | Self::ConversationsReplies
            | Self::UsersInfo
            | Self::ViewsOpen
            | Self::ViewsUpdate => return (per_minute, MINUTE / per_minute),
        };
        (at_once, MINUTE / per_minute.saturating_sub(at_once).max(1))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
