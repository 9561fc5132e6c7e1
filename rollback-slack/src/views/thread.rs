//! The lines in the thread of the deploy message: what happened, one by one.

use rollback_core::audit::Head;
use rollback_core::{Line, RollbackView};

use super::block::{Block, BlockId, Rich};
use super::text::{NAME_UNITS_MAX, PARAGRAPH_UNITS_MAX, SENTENCE_UNITS_MAX, Spans, Words, reason};
use super::{Breach, Message, state};

/// A line of the thread, with the rollback as it stood then.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn thread_message(view: &RollbackView, line: &Line) -> Result<Message, Breach> {
    let message = blocks(view, line);
    Message::of(message.0, &message.1)
}

/// The last line of a thread, with the audit record that it is the witness of: kept in the chat,
/// its place and the first digits of its hash are out of reach of whoever can rewrite the log.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn witnessed_thread_message(
    view: &RollbackView,
    line: &Line,
    witness: &Head,
) -> Result<Message, Breach> {
    let (text, mut blocks) = blocks(view, line);
    let hash = witness.hash.to_string();
    let digits: String = hash.chars().take(WITNESS_DIGITS).collect();
    let words = Words::new()
        .say("Audit record ")
        .code(&witness.sequence.to_string())
        .say(", hash ")
        .code(&digits);
    blocks.push(Block::Context {
        block_id: BlockId::fixed("witness"),
        elements: vec![words.mrkdwn()],
    });
    Message::of(text, &blocks)
}

/// How many digits of a hash people keep: 64 bits, which nobody meets by chance or by trying.
const WITNESS_DIGITS: usize = 16;

fn blocks<'a>(view: &'a RollbackView, line: &'a Line) -> (String, Vec<Block<'a>>) {
    let words = headline(view, line);
    let text = words.clone().text();
    let mut blocks = vec![Block::Section {
        block_id: BlockId::fixed("line"),
        text: Some(words.mrkdwn()),
        fields: Vec::new(),
    }];
    let details = details(view, line);
    if !details.is_empty() {
        blocks.push(Block::RichText { block_id: BlockId::fixed("more"), elements: details });
    }
    (text, blocks)
}

fn headline(view: &RollbackView, line: &Line) -> Words {
    let words = Words::new();
    match line {
        Line::Proposed => {
            let words = words.say(":bulb: Rollback to ").revision(&view.to).say(" proposed");
            match &view.proposed_by {
                Some(by) => {
                    let name = by.name.as_ref().unwrap_or(&by.id);
                    words.say(" by ").line(name.as_str(), NAME_UNITS_MAX)
                }
                None => words,
            }
        }
        Line::Confirmed => {
            let words = words.say(":point_right: Rollback from ").revision(&view.from);
            let words = words.say(" to ").revision(&view.to).say(" confirmed");
            let words = match &view.requested_by {
                Some(actor) => words.say(" by ").actor(actor),
                None => words,
            };
            if view.break_glass { words.say(" through the emergency group") } else { words }
        }
        Line::Approved(actor) => words
            .say(":white_check_mark: Approved by ")
            .actor(actor)
            .say(" (")
            .number(view.approved_by.len())
            .say(" of ")
            .number(usize::from(view.approvals_min))
            .say(")"),
        Line::Rejected(actor) => words.say(":no_entry: Rejected by ").actor(actor),
        Line::Refused => words.say(":no_entry: Refused, nothing was changed"),
        Line::Triggered => match &view.execution {
            Some(execution) => words
                .say(":rocket: The CD system took the order: ")
                .code(execution.backend.as_str())
                .say(", execution ")
                .code(execution.id.as_str()),
            None => words.say(":rocket: The order is on its way to the CD system"),
        },
        Line::Phase(progress) => {
            words.say(":arrows_counterclockwise: ").say(state::phase(progress.phase))
        }
        Line::Cancelling(actor) => {
            words.actor(actor).say(" asked the CD system to cancel the rollback")
        }
        Line::Ended => {
            let headline = state::of(view);
            words.say(":").say(headline.emoji).say(": *").say(headline.words).say("*")
        }
        Line::LateEffect => {
            words.say(":rotating_light: *An order that was given up had an effect after all*")
        }
        Line::Settled(actor) => words.say(":memo: Settled by ").actor(actor),
        // A line that this version does not know is told by how the rollback stands.
        _ => words.say(state::of(view).words),
    }
}

fn details<'a>(view: &'a RollbackView, line: &'a Line) -> Vec<Rich<'a>> {
    let explanation = || vec![Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX).section()];
    match line {
        Line::Proposed | Line::Confirmed => {
            view.reason.iter().map(|given| reason(given.as_str())).collect()
        }
        Line::Refused | Line::Rejected(_) | Line::Ended | Line::LateEffect | Line::Settled(_) => {
            explanation()
        }
        Line::Phase(progress) => progress
            .message
            .iter()
            .map(|message| Spans::new().words(message.as_str(), SENTENCE_UNITS_MAX).section())
            .collect(),
        Line::Approved(_) | Line::Triggered | Line::Cancelling(_) => Vec::new(),
        _ => explanation(),
    }
}
