//! The lines in the thread of the deploy message: what happened, one by one.

use rollback_core::audit::Head;
use rollback_core::{Label, Line, Progress, Purpose, RevisionId, RollbackView, stopped};
use std::borrow::Cow;

use super::block::{Block, BlockId, Rich};
use super::text::{NAME_UNITS_MAX, PARAGRAPH_UNITS_MAX, SENTENCE_UNITS_MAX, Spans, Words, reason};
use super::{Breach, Message, state};

/// A line of the thread, with the rollback as it stood then.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn thread_message(view: &RollbackView, line: &Line) -> Result<Message, Breach> {
    lines_message(&[ThreadLine::new(view, line)])
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
    lines_message(&[ThreadLine::new(view, line).witnessed(witness)])
}

/// One line of a thread, with the rollback as it stood then.
#[derive(Clone, Copy, Debug)]
pub struct ThreadLine<'a> {
    view: &'a RollbackView,
    line: &'a Line,
    witness: Option<&'a Head>,
}

impl<'a> ThreadLine<'a> {
    /// A line.
    #[must_use]
    pub const fn new(view: &'a RollbackView, line: &'a Line) -> Self {
        Self { view, line, witness: None }
    }

    /// With the audit record that it is the witness of.
    #[must_use]
    pub const fn witnessed(self, witness: &'a Head) -> Self {
        Self { witness: Some(witness), ..self }
    }
}

/// Several lines of one thread as one message, in their order.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn lines_message(lines: &[ThreadLine<'_>]) -> Result<Message, Breach> {
    let (mut texts, mut blocks) = (Vec::new(), Vec::new());
    for (place, told) in lines.iter().enumerate() {
        texts.push(headline(told.view, told.line).text());
        blocks.extend(blocks_of(told, u64::try_from(place).unwrap_or(u64::MAX)));
    }
    Message::of(texts.join("\n"), &blocks)
}

/// How many digits of a hash people keep: 64 bits, which nobody meets by chance or by trying.
const WITNESS_DIGITS: usize = 16;

fn blocks_of<'a>(told: &ThreadLine<'a>, place: u64) -> Vec<Block<'a>> {
    // Within one message an id is one block's.
    let id = |slot| if place == 0 { BlockId::fixed(slot) } else { BlockId::of(slot, place) };
    let mut blocks = vec![Block::Section {
        block_id: id("line"),
        text: Some(headline(told.view, told.line).mrkdwn()),
        fields: Vec::new(),
    }];
    let details = details(told.view, told.line);
    if !details.is_empty() {
        blocks.push(Block::RichText { block_id: id("more"), elements: details });
    }
    if let Some(witness) = told.witness {
        let hash = witness.hash.to_string();
        let digits: String = hash.chars().take(WITNESS_DIGITS).collect();
        let words = Words::new()
            .say("Audit record ")
            .code(&witness.sequence.to_string())
            .say(", hash ")
            .code(&digits);
        blocks.push(Block::Context { block_id: id("witness"), elements: vec![words.mrkdwn()] });
    }
    blocks
}

/// What people call an execution: as a revision, where it is named after one.
fn called(execution: &str) -> Cow<'_, str> {
    let (of, number) = execution.split_at(execution.find('#').unwrap_or(execution.len()));
    match RevisionId::parse(of) {
        Ok(of) => Cow::Owned(format!("{}{number}", of.short())),
        Err(_no_name) => Cow::Borrowed(execution),
    }
}

fn phase(words: Words, progress: &Progress) -> Words {
    let Some(waits) = &progress.waits_for else {
        return words.say(":arrows_counterclockwise: ").say(state::phase(progress.phase));
    };
    let words = words
        .say(":hourglass_flowing_sand: *The CD system waits* for ")
        .line(waits.what.as_str(), SENTENCE_UNITS_MAX);
    match waits.until {
        Some(until) => words.say(", at most until ").moment(until),
        None => words,
    }
}

fn headline(view: &RollbackView, line: &Line) -> Words {
    let words = Words::new();
    match line {
        Line::Proposed => {
            let what = match view.purpose {
                Purpose::Real => ":bulb: Rollback to ",
                Purpose::Drill => ":test_tube: Drill of a rollback to ",
            };
            let words = words.say(what).revision(&view.to).say(" proposed");
            match &view.proposed_by {
                Some(by) => {
                    let name = by.name.as_ref().unwrap_or(&by.id);
                    words.say(" by ").line(name.as_str(), NAME_UNITS_MAX)
                }
                None => words,
            }
        }
        Line::Confirmed => {
            let words = words.say(":point_right: Rollback from ");
            let words = words.revision_beside(&view.from, &view.to).say(" to ");
            let words = words.revision_beside(&view.to, &view.from).say(" confirmed");
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
                .code(&called(execution.id.as_str())),
            None => words.say(":rocket: The order is on its way to the CD system"),
        },
        Line::Phase(progress) => phase(words, progress),
        Line::Cancelling(actor) => {
            words.actor(actor).say(" asked the CD system to cancel the rollback")
        }
        Line::NotCancelled => {
            words.say(":octagonal_sign: *The CD system will not cancel it.* The rollback continues")
        }
        Line::Heard(progress) => words
            .say(":satellite_antenna: *The CD system answers again*: ")
            .say(state::phase(progress.phase)),
        Line::Ended | Line::Overdue => {
            let headline = state::of(view);
            words.say(":").say(headline.emoji).say(": *").say(headline.words).say("*")
        }
        Line::LateEffect => {
            words.say(":rotating_light: *Late effect: the abandoned rollback ran after all*")
        }
        Line::Settled(actor) => words.say(":memo: Settled by ").actor(actor),
        Line::PutAside if stopped::is_stopped(view) => {
            words.say(":rotating_light: *").say(state::of(view).words).say("*")
        }
        Line::PutAside => words.say(":rotating_light: *Quarantined: it crashed the service*"),
        Line::Released(actor) => words.say(":arrow_forward: Released by ").actor(actor),
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
        Line::Refused
        | Line::Rejected(_)
        | Line::NotCancelled
        | Line::Overdue
        | Line::Heard(_)
        | Line::Ended
        | Line::LateEffect
        | Line::Settled(_)
        | Line::PutAside
        | Line::Released(_) => explanation(),
        Line::Phase(progress) => {
            let who =
                progress.waits_for.iter().filter(|waits| !waits.who.is_empty()).map(|waits| {
                    let names: Vec<&str> = waits.who.iter().map(Label::as_str).collect();
                    let words = Spans::new().say("It goes on when one of these lets it: ");
                    words.words(&names.join(", "), SENTENCE_UNITS_MAX).section()
                });
            let message = progress
                .message
                .iter()
                .map(|message| Spans::new().words(message.as_str(), SENTENCE_UNITS_MAX).section());
            who.chain(message).collect()
        }
        Line::Approved(_) | Line::Triggered | Line::Cancelling(_) => Vec::new(),
        _ => explanation(),
    }
}
