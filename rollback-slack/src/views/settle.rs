//! The modal in which somebody says what became of a rollback whose outcome is unknown.

use rollback_core::{Outcome, RollbackId, RollbackView};

use super::block::{Block, BlockId, Choice, Element, Modal, Plain, Rich, StaticSelect};
use super::confirm::reason_input;
use super::ids::{Memo, OUTCOME, SETTLE};
use super::text::{PARAGRAPH_UNITS_MAX, Spans, Words};
use super::{Breach, ids, state, written};
use crate::Json;

/// The modal for a rollback in its present state: the question while somebody is needed to answer it,
/// and how it stands otherwise.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn settle_modal(view: &RollbackView) -> Result<Json, Breach> {
    if !view.can_be_settled() {
        return written(&modal(&view.id, vec![stands(view), why(view)])?);
    }
    let advice = Words::new().say(
        "Look at what runs, then say what you found. That changes nothing that runs: it is recorded \
         with your name, and the next rollback of this service may begin.",
    );
    let mut question = modal(
        &view.id,
        vec![
            stands(view),
            why(view),
            Block::Section {
                block_id: BlockId::fixed("advice"),
                text: Some(advice.mrkdwn()),
                fields: Vec::new(),
            },
            outcome(),
            reason_input("How do you know?", "Where you looked, and what you saw", false),
        ],
    )?;
    question.submit = Some(Plain::new("Settle"));
    question.close = Plain::new("Cancel");
    written(&question)
}

/// The modal right after it was submitted, while nothing is decided yet.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn settling_modal(rollback: &RollbackId) -> Result<Json, Breach> {
    let words = Words::new().say(
        ":hourglass_flowing_sand: Checking whether you may, and recording what you found. You can close \
         this window.",
    );
    let blocks = vec![Block::Section {
        block_id: BlockId::fixed("settling"),
        text: Some(words.mrkdwn()),
        fields: Vec::new(),
    }];
    written(&modal(rollback, blocks)?)
}

fn stands(view: &RollbackView) -> Block<'static> {
    let headline = state::of(view);
    let words = Words::new()
        .say(":")
        .say(headline.emoji)
        .say(": *")
        .say(headline.words)
        .say("*\n")
        .service(&view.key)
        .say(": from ")
        .revision_beside(&view.from, &view.to)
        .say(" to ")
        .revision_beside(&view.to, &view.from);
    Block::Section {
        block_id: BlockId::fixed("what"),
        text: Some(words.mrkdwn()),
        fields: Vec::new(),
    }
}

fn why(view: &RollbackView) -> Block<'_> {
    let words: Rich<'_> = Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX).section();
    Block::RichText { block_id: BlockId::fixed("why"), elements: vec![words] }
}

fn outcome() -> Block<'static> {
    let options = Outcome::ALL.map(|outcome| Choice {
        text: Plain::new(match outcome {
            Outcome::TookEffect => "It took effect: the target runs everywhere",
            Outcome::NoEffect => "It had no effect: nothing was changed",
            Outcome::Partly => "It took effect in part",
        }),
        value: outcome.as_str().to_owned(),
    });
    Block::Input {
        block_id: BlockId::fixed(OUTCOME),
        label: Plain::new("What became of it?"),
        hint: None,
        element: Element::Select(StaticSelect {
            action_id: OUTCOME,
            placeholder: Plain::new("Choose"),
            options: options.into(),
        }),
    }
}

fn modal<'a>(rollback: &RollbackId, blocks: Vec<Block<'a>>) -> Result<Modal<'a>, Breach> {
    Ok(Modal {
        callback_id: SETTLE,
        title: Plain::new("Settle a rollback"),
        submit: None,
        close: Plain::new("Close"),
        private_metadata: ids::written(&Memo::new(rollback.clone(), None))?,
        notify_on_close: false,
        blocks,
    })
}
