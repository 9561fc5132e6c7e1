//! What comes back, as far as it is needed.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::UnixSeconds;
use crate::payload::Membership;

/// Whose token it is, from `auth.test`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The workspace.
    pub team_id: String,
    /// The workspace's name, for people.
    pub team: Option<String>,
    /// The bot as a user.
    pub user_id: String,
    /// The bot.
    pub bot_id: Option<String>,
    /// The organization.
    pub enterprise_id: Option<String>,
    /// What the token may do; absent if Slack did not say.
    pub scopes: Option<BTreeSet<String>>,
    /// What time it was at Slack when it answered; absent if it did not say.
    pub answered_at: Option<UnixSeconds>,
}

impl Identity {
    /// Which of `needed` the token lacks; nothing if Slack did not say what it has.
    #[must_use]
    pub fn missing_scopes<'a>(&self, needed: &[&'a str]) -> Vec<&'a str> {
        let Some(scopes) = &self.scopes else { return Vec::new() };
        needed.iter().copied().filter(|scope| !scopes.contains(*scope)).collect()
    }
}

#[derive(Deserialize)]
pub(crate) struct RawIdentity {
    pub(crate) team_id: String,
    pub(crate) team: Option<String>,
    pub(crate) user_id: String,
    pub(crate) bot_id: Option<String>,
    pub(crate) enterprise_id: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Posted {
    pub(crate) channel: String,
    pub(crate) ts: String,
}

#[derive(Deserialize)]
pub(crate) struct Nothing {}

#[derive(Deserialize)]
pub(crate) struct Permalink {
    pub(crate) permalink: String,
}

#[derive(Deserialize)]
pub(crate) struct WithView {
    pub(crate) view: OpenView,
}

/// A view that is open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OpenView {
    /// `V…`.
    pub id: String,
    /// Names its present content, for a conditional update.
    pub hash: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct GroupMembers {
    pub(crate) users: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Groups {
    pub(crate) usergroups: Vec<RawGroup>,
}

#[derive(Deserialize)]
pub(crate) struct RawGroup {
    id: String,
    handle: Option<String>,
    name: Option<String>,
    #[serde(default)]
    date_delete: u64,
}

/// A user group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserGroup {
    /// `S…`: the only thing that identifies it.
    pub id: String,
    /// What people type, without the `@`; can be changed by many.
    pub handle: Option<String>,
    /// What people read.
    pub name: Option<String>,
    /// A disabled group stands for nobody.
    pub is_disabled: bool,
}

impl From<RawGroup> for UserGroup {
    fn from(raw: RawGroup) -> Self {
        let RawGroup { id, handle, name, date_delete } = raw;
        Self { id, handle, name, is_disabled: date_delete > 0 }
    }
}

#[derive(Deserialize)]
pub(crate) struct WithUser {
    pub(crate) user: User,
}

/// A person or a bot, from `users.info`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// `U…` or `W…`.
    pub id: String,
    /// The workspace that they belong to.
    pub team_id: Option<String>,
    /// The handle; can be changed freely.
    pub name: Option<String>,
    /// The name that people read.
    pub real_name: Option<String>,
    deleted: Option<bool>,
    is_bot: Option<bool>,
    is_app_user: Option<bool>,
    is_restricted: Option<bool>,
    is_ultra_restricted: Option<bool>,
    is_stranger: Option<bool>,
    is_external: Option<bool>,
    is_invited_user: Option<bool>,
    enterprise_user: Option<EnterpriseUser>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct EnterpriseUser {
    id: Option<String>,
}

/// What a user is in the workspace, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be decided on")]
pub enum Standing {
    /// The account was closed.
    Deactivated,
    /// Not a person.
    Bot,
    /// Somebody of another workspace.
    Foreign,
    /// A guest, or invited and not yet arrived.
    Guest,
    /// Slack did not say what must be known.
    Unknown,
    /// A full member.
    Member,
}

impl User {
    /// The one identity of the human in the whole organization, if the workspace is part of one.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        self.enterprise_user.as_ref()?.id.as_deref()
    }

    /// What the user is in the workspace `team_id`. A full member only if Slack says so: the
    /// account is open, of this workspace, and no guest.
    #[must_use]
    pub fn standing_in(&self, team_id: &str) -> Standing {
        let yes = |flag: Option<bool>| flag == Some(true);
        if yes(self.deleted) {
            return Standing::Deactivated;
        }
        if yes(self.is_bot) || yes(self.is_app_user) {
            return Standing::Bot;
        }
        let membership = match self.team_id.as_deref() {
            Some(theirs) if theirs == team_id => Membership::Ours,
            Some(_) => Membership::Foreign,
            None => Membership::Unknown,
        };
        if membership == Membership::Foreign || yes(self.is_stranger) || yes(self.is_external) {
            return Standing::Foreign;
        }
        if yes(self.is_restricted) || yes(self.is_ultra_restricted) || yes(self.is_invited_user) {
            return Standing::Guest;
        }
        let said = [self.deleted, self.is_bot, self.is_restricted, self.is_ultra_restricted];
        if membership == Membership::Unknown || said.contains(&None) {
            return Standing::Unknown;
        }
        Standing::Member
    }
}

#[derive(Deserialize)]
pub(crate) struct WithChannel {
    pub(crate) channel: Channel,
}

#[derive(Deserialize)]
pub(crate) struct Channel {
    pub(crate) id: String,
}

#[derive(Deserialize)]
pub(crate) struct Messages {
    pub(crate) messages: Vec<FoundMessage>,
    #[serde(default)]
    pub(crate) has_more: bool,
    pub(crate) response_metadata: Option<Cursor>,
}

#[derive(Deserialize)]
pub(crate) struct Cursor {
    pub(crate) next_cursor: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct FoundMessage {
    pub(crate) ts: String,
    pub(crate) bot_id: Option<String>,
    metadata: Option<FoundMetadata>,
}

#[derive(Deserialize)]
struct FoundMetadata {
    event_type: Option<String>,
    event_payload: Option<serde_json::Value>,
}

impl FoundMessage {
    pub(crate) fn event_type(&self) -> Option<&str> {
        self.metadata.as_ref()?.event_type.as_deref()
    }

    /// What it tells, by key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let field =
            |name: &str| self.metadata.as_ref()?.event_payload.as_ref()?.get(name)?.as_str();
        let also = field(super::message::ALSO_FIELD).unwrap_or_default().split(' ');
        field(super::message::KEY_FIELD).into_iter().chain(also.filter(|key| !key.is_empty()))
    }
}

#[derive(Deserialize)]
pub(crate) struct SocketUrl {
    pub(crate) url: String,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each answer must be decided on")]
pub enum Found {
    /// Here.
    At(super::MessageRef),
    /// Every message of the time in question was seen, and it is not among them.
    Absent,
    /// There are more messages than a lookup reads.
    Unsure,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_who_is_said_to_be_a_member_is_one() {
        let member = json!({"id": "U1", "team_id": "T1", "deleted": false, "is_bot": false,
            "is_restricted": false, "is_ultra_restricted": false, "is_app_user": false});
        for (field, value, standing) in [
            ("id", json!("U1"), Standing::Member),
            ("deleted", json!(true), Standing::Deactivated),
            ("is_bot", json!(true), Standing::Bot),
            ("is_app_user", json!(true), Standing::Bot),
            ("team_id", json!("T2"), Standing::Foreign),
            ("is_stranger", json!(true), Standing::Foreign),
            ("is_external", json!(true), Standing::Foreign),
            ("is_restricted", json!(true), Standing::Guest),
            ("is_ultra_restricted", json!(true), Standing::Guest),
            ("is_invited_user", json!(true), Standing::Guest),
            ("team_id", Value::Null, Standing::Unknown),
            ("deleted", Value::Null, Standing::Unknown),
            ("is_bot", Value::Null, Standing::Unknown),
            ("is_restricted", Value::Null, Standing::Unknown),
            ("is_ultra_restricted", Value::Null, Standing::Unknown),
            ("is_app_user", Value::Null, Standing::Member),
        ] {
            let mut user = member.clone();
            user[field] = value;
            let user: User = serde_json::from_value(user.clone()).unwrap();
            assert_eq!(user.standing_in("T1"), standing, "{field}");
        }
    }

    #[test]
    fn a_group_that_was_deleted_is_disabled() {
        for (json, is_disabled) in [
            (json!({"id": "S1", "date_delete": 0}), false),
            (json!({"id": "S1"}), false),
            (json!({"id": "S1", "date_delete": 1_700_000_000}), true),
        ] {
            let raw: RawGroup = serde_json::from_value(json).unwrap();
            assert_eq!(UserGroup::from(raw).is_disabled, is_disabled);
        }
    }
}
