//! What is told to one person or to whoever is on call.

use rollback_core::access::Duty;
use rollback_core::notice::Blocked;
use rollback_core::{Actor, RollbackView, StateName};

use super::block::{Block, BlockId, Button, Rich};
use super::deploy::{settle, standing};
use super::text::{PARAGRAPH_UNITS_MAX, SENTENCE_UNITS_MAX, Spans, Words, reason};
use super::{Breach, Message, state};

/// Words that only one person sees: a denial, a refusal. Whoever may instead is mentioned, which
/// calls nobody there.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn private_message(text: &str, view: &RollbackView) -> Result<Message, Breach> {
    let words = Spans::new().words_naming(text, PARAGRAPH_UNITS_MAX, &view.who_may).section();
    let blocks = [Block::RichText { block_id: BlockId::fixed("private"), elements: vec![words] }];
    let fallback = Words::new().line(text, SENTENCE_UNITS_MAX);
    Message::of(fallback.text(), &blocks)
}

/// The direct message to whoever deployed what is rolled back, in its present state.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn deployer_message(view: &RollbackView, version: u64) -> Result<Message, Breach> {
    let words = Words::new().say("Your deploy of ").service(&view.key).say("\n");
    told(view, words, version)
}

/// The message to whoever is on call: a rollback that is quarantined, takes longer than it should, or
/// has an unknown outcome.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn on_call_message(view: &RollbackView, version: u64) -> Result<Message, Breach> {
    let words = Words::new().say(":pager: ").service(&view.key).say("\n");
    let settle = view.can_be_settled().then(|| settle(view, version)).transpose()?;
    told_with(view, words, version, settle)
}

/// The message to whoever is on call: somebody acted through the emergency group.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn break_glass_message(
    by: &Actor,
    duty: Duty,
    view: &RollbackView,
    version: u64,
) -> Result<Message, Breach> {
    let did = match duty {
        Duty::Request => " confirmed the rollback of ",
        // Only a rejection ends with the very step that pages about it.
        Duty::Approve if view.state == StateName::Withdrawn => " rejected the rollback of ",
        Duty::Approve => " approved the rollback of ",
        Duty::Withdraw => " stopped the rollback of ",
        Duty::Settle => " settled the rollback of ",
        Duty::Release => " released the rollback of ",
        Duty::Operate => " changed what holds for ",
    };
    let words = Words::new().say(":rotating_light: *Break-glass:* ").actor(by).say(did);
    told(view, words.service(&view.key).say("\n"), version)
}

/// The message to whoever is on call when a dependency of some or all rollbacks has not been working for
/// long, and afterwards that it works again.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn blocked_message(blocked: &Blocked, version: u64) -> Result<Message, Breach> {
    let what = |words: Words| {
        let words = words.line(&blocked.what, SENTENCE_UNITS_MAX);
        match &blocked.channel {
            Some(channel) => words.say(" (").channel(channel).say(")"),
            None => words,
        }
    };
    let (head, text) = match blocked.over {
        None => {
            let head = Words::new().say(":warning: *Not working since ").moment(blocked.since);
            let head = what(head.say(":* ")).say(". ");
            let head = if blocked.consequence.is_empty() {
                head
            } else {
                head.line(&blocked.consequence, SENTENCE_UNITS_MAX).say(" ")
            };
            let advice = "`GET /v1/status` lists everything that is not working.";
            (head.say(advice), what(Words::new().say("Not working: ")))
        }
        Some(over) => {
            let head = what(Words::new().say(":white_check_mark: *Working again:* "));
            let head = head.say(". It failed from ").moment(blocked.since);
            let head = head.say(" to ").moment(over).say(".");
            (head, what(Words::new().say("Working again: ")))
        }
    };
    let why = Spans::new().words(&blocked.why, PARAGRAPH_UNITS_MAX).section();
    let blocks = [
        Block::Section {
            block_id: BlockId::of("blocked", version),
            text: Some(head.mrkdwn()),
            fields: Vec::new(),
        },
        Block::RichText { block_id: BlockId::of("why", version), elements: vec![why] },
    ];
    Message::of(text.text(), &blocks)
}

fn told(view: &RollbackView, before: Words, version: u64) -> Result<Message, Breach> {
    told_with(view, before, version, None)
}

fn told_with(
    view: &RollbackView,
    before: Words,
    version: u64,
    button: Option<Button<'_>>,
) -> Result<Message, Breach> {
    let mut blocks = vec![Block::Section {
        block_id: BlockId::of("told", version),
        text: Some(standing(before, view).mrkdwn()),
        fields: Vec::new(),
    }];
    let mut parts: Vec<Rich<'_>> = Vec::with_capacity(2);
    if let Some(given) = &view.reason {
        parts.push(reason(given.as_str()));
    }
    if state::is_told_in_full(view) || view.state == StateName::Approving {
        parts.push(Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX).section());
    }
    if !parts.is_empty() {
        blocks.push(Block::RichText { block_id: BlockId::of("why", version), elements: parts });
    }
    if let Some(button) = button {
        let block_id = BlockId::of("act", version);
        blocks.push(Block::Actions { block_id, elements: vec![button] });
    }
    let text = Words::new().say(state::of(view).words).say(": ").service(&view.key);
    Message::of(text.text(), &blocks)
}
