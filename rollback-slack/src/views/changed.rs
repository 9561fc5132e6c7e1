//! Somebody changed what holds for a service, as its channel and on-call are told.

use rollback_core::{Changer, ServiceChange, ServiceChanged};

use super::block::{Block, BlockId};
use super::text::{NAME_UNITS_MAX, Words, reason};
use super::{Breach, Message};

/// The message that says what was changed about a service, by whom and why.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn changed_message(changed: &ServiceChanged, version: u64) -> Result<Message, Breach> {
    let glass = if changed.through_break_glass { ":rotating_light: *Break-glass:* " } else { "" };
    let short = what(Words::new().say(glass), changed);
    let words = what(Words::new().say(glass), changed);
    let words = match &changed.by {
        Changer::Person(actor) => words.say(" By ").actor(actor).say("."),
        Changer::Machine(by) => {
            let name = by.name.as_ref().unwrap_or(&by.id);
            words.say(" By ").line(name.as_str(), NAME_UNITS_MAX).say(".")
        }
    };
    let mut blocks = vec![Block::Section {
        block_id: BlockId::of("changed", version),
        text: Some(words.mrkdwn()),
        fields: Vec::new(),
    }];
    if let Some(given) = changed.change.reason() {
        let elements = vec![reason(given.as_str())];
        blocks.push(Block::RichText { block_id: BlockId::of("why", version), elements });
    }
    Message::of(short.text(), &blocks)
}

fn what(words: Words, ServiceChanged { key, change, .. }: &ServiceChanged) -> Words {
    match change {
        ServiceChange::Freeze { name, until, .. } => {
            let words = words.say(":snowflake: *Frozen:* ").service(key);
            let words = words.say(". No rollback until ");
            let words = match until {
                Some(until) => words.moment(*until).say(", or until "),
                None => words,
            };
            words.say("the freeze ").code(name.as_str()).say(" is lifted.")
        }
        ServiceChange::Unfreeze { name, .. } => {
            let words = words.say(":sunny: *Freeze lifted:* ").code(name.as_str()).say(" of ");
            words.service(key).say(".")
        }
        ServiceChange::MarkBad { revision, .. } => {
            let words = words.say(":no_entry: *Marked bad:* revision ").code(revision.short());
            words.say(" of ").service(key).say(". It is no target of a rollback any more.")
        }
        ServiceChange::UnmarkBad { revision, .. } => {
            let words = words.say(":leftwards_arrow_with_hook: *No longer marked bad:* revision ");
            let words = words.code(revision.short()).say(" of ").service(key);
            words.say(". It may be a target again.")
        }
    }
}
