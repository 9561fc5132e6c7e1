//! What the workspace looks like when it starts: people, groups, channels, secrets, limits.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Every scope that the supported methods ask for; the default grant.
const ALL_SCOPES: [&str; 12] = [
    "channels:history",
    "channels:read",
    "chat:write",
    "chat:write.public",
    "groups:history",
    "groups:read",
    "im:history",
    "im:write",
    "reactions:write",
    "usergroups:read",
    "users:read",
    "users:read.email",
];

/// Describes the workspace that [`LocalSlack`](crate::LocalSlack) starts with.
///
/// ```
/// use local_slack::{Channel, Options, User, UserGroup};
///
/// let options = Options::default()
///     .user(User::new("U02ANA", "Ana").title("Owner"))
///     .user(User::new("U03GUS", "Gus").title("Guest").guest())
///     .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA"]))
///     .channel(Channel::new("C0DEPLOYS", "deploys"));
/// assert_eq!(options.users.len(), 2);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Port on the loopback interface; 0 takes a free one.
    pub port: u16,
    /// Bearer token that the Web API accepts.
    pub bot_token: String,
    /// App-level token that `apps.connections.open` accepts.
    pub app_token: String,
    /// Key with which callbacks are signed.
    pub signing_secret: String,
    /// Scopes of the bot token; a method that needs another answers `missing_scope`.
    pub scopes: Vec<String>,
    /// Id of the app.
    pub app_id: String,
    /// Name under which the app posts.
    pub app_name: String,
    /// Id of the app's bot user.
    pub bot_user_id: String,
    /// Id of the workspace.
    pub team_id: String,
    /// Id of the organisation, when the app is installed for all of it: payloads then carry
    /// `"team":null`.
    pub enterprise_id: Option<String>,
    /// People.
    pub users: Vec<User>,
    /// User groups.
    pub groups: Vec<UserGroup>,
    /// Channels.
    pub channels: Vec<Channel>,
    /// Where callbacks go; can be set later with
    /// [`set_interactivity_url`](crate::LocalSlack::set_interactivity_url).
    pub interactivity_url: Option<String>,
    /// Serves the page at `/`. What it talks to (`/_state`, `/_events`, `/_act`, `/_control`)
    /// is served in any case.
    pub page: bool,
    /// The host serves `/_panel.js` and `/_panel.css`, and the page loads them into its panel.
    pub panel: bool,
    /// How long a trigger id lives. Slack's value is the default.
    pub trigger_ttl: Duration,
    /// How long a callback may take to be acknowledged. Slack's value is the default.
    pub ack_within: Duration,
    /// Posts per channel; `None` does not limit.
    pub post_rate: Option<Rate>,
    /// Calls per minute of a method; one that is not named is not limited.
    pub calls_per_minute: BTreeMap<String, u32>,
    /// Routes of the host, served on the same port.
    pub routes: axum::Router,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            bot_token: "xoxb-local-slack".to_owned(),
            app_token: "xapp-local-slack".to_owned(),
            signing_secret: "local-slack-signing-secret".to_owned(),
            scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
            app_id: "A0ROLLBACK".to_owned(),
            app_name: "Rollback".to_owned(),
            bot_user_id: "U0ROLLBACK".to_owned(),
            team_id: "T0LOCAL".to_owned(),
            enterprise_id: None,
            users: Vec::new(),
            groups: Vec::new(),
            channels: Vec::new(),
            interactivity_url: None,
            page: false,
            panel: false,
            trigger_ttl: Duration::from_secs(3),
            ack_within: Duration::from_secs(3),
            post_rate: None,
            calls_per_minute: BTreeMap::new(),
            routes: axum::Router::new(),
        }
    }
}

impl Options {
    /// Adds a person.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Adds a user group.
    #[must_use]
    pub fn group(mut self, group: UserGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds a channel.
    #[must_use]
    pub fn channel(mut self, channel: Channel) -> Self {
        self.channels.push(channel);
        self
    }

    /// Sends callbacks to `url`.
    #[must_use]
    pub fn interactivity_url(mut self, url: impl Into<String>) -> Self {
        self.interactivity_url = Some(url.into());
        self
    }

    /// Serves the page at `/`.
    #[must_use]
    pub fn with_page(mut self) -> Self {
        self.page = true;
        self
    }

    /// Serves the page and loads the host's `/_panel.js` and `/_panel.css` beside the chat.
    ///
    /// `routes` serves at least these two paths; it shares the page's origin, so that the panel
    /// can fetch and frame whatever else the host mounts there. Like the page's own, they answer
    /// only the page.
    #[must_use]
    pub fn with_panel(mut self, routes: axum::Router) -> Self {
        self.page = true;
        self.panel = true;
        self.routes = routes;
        self
    }

    /// Limits every channel to `per_second` posts a second after a burst of `burst`.
    #[must_use]
    pub fn limit_posts(mut self, per_second: u32, burst: u32) -> Self {
        self.post_rate = Some(Rate { per_second: per_second.max(1), burst: burst.max(1) });
        self
    }

    /// Limits `method` to `calls` a minute.
    #[must_use]
    pub fn limit_method(mut self, method: impl Into<String>, calls: u32) -> Self {
        self.calls_per_minute.insert(method.into(), calls);
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The tokens and the signing secret stay out.
        f.debug_struct("Options")
            .field("port", &self.port)
            .field("app_id", &self.app_id)
            .field("team_id", &self.team_id)
            .field("users", &self.users)
            .field("groups", &self.groups)
            .field("channels", &self.channels)
            .field("interactivity_url", &self.interactivity_url)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rate {
    /// Tokens that come back each second; at least 1.
    pub per_second: u32,
    /// Tokens that fit; at least 1.
    pub burst: u32,
}

/// A person, or another app's bot.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct User {
    /// Id, such as `U02ANA`.
    pub id: String,
    /// Name that others see.
    pub name: String,
    /// Role label beside the name, such as `Owner`.
    pub title: String,
    /// E-mail address; derived from the name unless set.
    pub email: String,
    /// What kind of account it is.
    pub kind: UserKind,
}

impl User {
    /// Describes a full member.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        let name = name.into();
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        Self { id: id.into(), name, title: String::new(), email, kind: UserKind::Member }
    }

    /// Labels the person with a role.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the e-mail address.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = email.into();
        self
    }

    /// Makes the person a guest.
    #[must_use]
    pub fn guest(mut self) -> Self {
        self.kind = UserKind::Guest;
        self
    }

    /// Makes the person a member of the workspace `team`, seen through a shared channel.
    #[must_use]
    pub fn foreign(mut self, team: impl Into<String>) -> Self {
        self.kind = UserKind::Foreign(team.into());
        self
    }

    /// Makes it a bot.
    #[must_use]
    pub fn bot(mut self) -> Self {
        self.kind = UserKind::Bot;
        self
    }

    /// Deactivates the account.
    #[must_use]
    pub fn deactivated(mut self) -> Self {
        self.kind = UserKind::Deactivated;
        self
    }
}

/// What kind of account a [`User`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "team")]
#[non_exhaustive]
pub enum UserKind {
    /// A full member.
    Member,
    /// A guest (`is_restricted`).
    Guest,
    /// A member of another workspace (`is_stranger`, its own `team_id`).
    Foreign(String),
    /// A bot (`is_bot`).
    Bot,
    /// A deactivated account (`deleted`).
    Deactivated,
}

/// A user group.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UserGroup {
    /// Id, such as `S0PAYMENTS`.
    pub id: String,
    /// Handle without the at sign.
    pub handle: String,
    /// Ids of its members.
    pub users: Vec<String>,
    /// A disabled group has members on paper and nobody in effect.
    pub disabled: bool,
}

impl UserGroup {
    /// Describes a group with its members.
    pub fn new<M: Into<String>>(
        id: impl Into<String>,
        handle: impl Into<String>,
        users: impl IntoIterator<Item = M>,
    ) -> Self {
        let users = users.into_iter().map(Into::into).collect();
        Self { id: id.into(), handle: handle.into(), users, disabled: false }
    }

    /// Disables the group.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }
}

/// A channel.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Channel {
    /// Id, such as `C0DEPLOYS`.
    pub id: String,
    /// Name without the hash sign.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// The app's bot is in it. It can post to a public channel it is not in with the scope
    /// `chat:write.public`.
    pub app_is_member: bool,
    /// Members; empty means everybody.
    pub members: Vec<String>,
    /// Nobody can post any more.
    pub archived: bool,
    /// Shared with another workspace.
    pub shared: bool,
}

impl Channel {
    /// Describes a public channel that everybody and the app are in.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            kind: ChannelKind::Public,
            app_is_member: true,
            members: Vec::new(),
            archived: false,
            shared: false,
        }
    }

    /// Makes it private.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.kind = ChannelKind::Private;
        self
    }

    /// Takes the app's bot out.
    #[must_use]
    pub fn without_app(mut self) -> Self {
        self.app_is_member = false;
        self
    }

    /// Limits it to these members.
    #[must_use]
    pub fn members<M: Into<String>>(mut self, members: impl IntoIterator<Item = M>) -> Self {
        self.members = members.into_iter().map(Into::into).collect();
        self
    }

    /// Archives it.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.archived = true;
        self
    }

    /// Shares it with another workspace.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    pub(crate) fn has(&self, user: &str) -> bool {
        self.members.is_empty() || self.members.iter().any(|member| member == user)
    }
}

/// What a [`Channel`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChannelKind {
    /// Everybody can see it.
    Public,
    /// Only its members can see it.
    Private,
    /// The app and one person.
    Direct,
}
