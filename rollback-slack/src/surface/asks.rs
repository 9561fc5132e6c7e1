//! Who asks for something, and where.

use rollback_core::notice::MessageRef;
use rollback_core::{Actor, ChannelId, Label, UserId, WorkspaceId};

use crate::payload::{Person, Place};

/// Who asked, and where they can be told in private.
#[derive(Clone, Debug)]
pub(super) struct Asks {
    pub(super) actor: Actor,
    pub(super) channel: Option<String>,
}

pub(super) fn asks(person: &Person, channel: Option<String>) -> Option<Asks> {
    let mut actor = Actor::new(UserId::parse(person.id.as_str()).ok()?);
    actor.name = person.name.as_deref().map(Label::new);
    actor.workspace = person.team_id.as_deref().and_then(|id| WorkspaceId::parse(id).ok());
    actor.channel = channel.as_deref().and_then(|id| id.parse().ok());
    Some(Asks { actor, channel })
}

pub(super) fn channel_of(place: &Place) -> Option<String> {
    match place {
        Place::Message { channel_id, .. } => Some(channel_id.clone()),
        Place::View(_) | Place::Unknown { .. } => None,
    }
}

/// The message that an element stands in; what has no readable name is none of ours.
pub(super) fn message_of(place: &Place) -> Option<MessageRef> {
    match place {
        Place::Message { channel_id, message_ts, .. } => {
            let channel = ChannelId::parse(channel_id.as_str()).ok()?;
            Some(MessageRef::new(channel, message_ts.as_str()))
        }
        Place::View(_) | Place::Unknown { .. } => None,
    }
}
