//! What is told to one person or to whoever is on call.

use rollback_core::{RollbackView, StateName};

use super::block::{Block, BlockId, Rich};
use super::deploy::standing;
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

/// The message to whoever is on call: a rollback through the emergency group, or one of which
/// nobody knows what became of it.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn on_call_message(view: &RollbackView, version: u64) -> Result<Message, Breach> {
    let words = Words::new().say(":pager: ").service(&view.key).say("\n");
    told(view, words, version)
}

fn told(view: &RollbackView, before: Words, version: u64) -> Result<Message, Breach> {
    let mut blocks = vec![Block::Section {
        block_id: BlockId::of("told", version),
        text: Some(standing(before, view).mrkdwn()),
        fields: Vec::new(),
    }];
    let mut parts: Vec<Rich<'_>> = Vec::with_capacity(2);
    if let Some(given) = &view.reason {
        parts.push(reason(given.as_str()));
    }
    if view.state.is_end() || view.state == StateName::Approving {
        parts.push(Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX).section());
    }
    if !parts.is_empty() {
        blocks.push(Block::RichText { block_id: BlockId::of("why", version), elements: parts });
    }
    let text = Words::new().say(state::of(view).words).say(": ").service(&view.key);
    Message::of(text.text(), &blocks)
}
