//! The approval request, in the thread of the deploy message.

use rollback_core::{Label, RollbackView, StateName};

use super::block::{Block, BlockId, Button, ButtonStyle, Confirm, ListStyle, Plain, Rich};
use super::deploy::standing;
use super::ids::{APPROVE, REJECT, RollbackButton};
use super::text::{ENTRY_UNITS_MAX, PARAGRAPH_UNITS_MAX, Spans, Words, reason};
use super::{Breach, Message, ids, state};

/// Guards that are listed one by one; the rest is counted.
const GUARDS_MAX: usize = 15;
/// Things that are not undone, listed one by one.
const NOT_UNDONE_MAX: usize = 10;

/// The approval request in its present state; its buttons are there only while it is awaited.
/// `version` grows with every change of it.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn approval_message(view: &RollbackView, version: u64) -> Result<Message, Breach> {
    let id = |slot| BlockId::of(slot, version);
    let waiting = view.state == StateName::Approving;
    let mut blocks = vec![Block::Section {
        block_id: id("ask"),
        text: Some(standing(Words::new().service(&view.key).say("\n"), view).mrkdwn()),
        fields: Vec::new(),
    }];
    let mut parts: Vec<Rich<'_>> = Vec::with_capacity(4);
    if let Some(given) = &view.reason {
        parts.push(reason(given.as_str()));
    }
    parts.extend(not_undone(view));
    if waiting {
        parts.extend(guards(view));
    } else {
        parts.push(Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX).section());
    }
    if !parts.is_empty() {
        blocks.push(Block::RichText { block_id: id("why"), elements: parts });
    }
    if waiting {
        blocks.push(Block::Context { block_id: id("who"), elements: vec![needed(view).mrkdwn()] });
        let buttons = vec![approve(view, version)?, reject(view, version)?];
        blocks.push(Block::Actions { block_id: id("act"), elements: buttons });
    }
    let text = Words::new().say(state::of(view).words).say(": ").service(&view.key);
    Message::of(text.text(), &blocks)
}

/// How many are missing, and who may.
fn needed(view: &RollbackView) -> Words {
    let given = view.approved_by.len();
    let words = Words::new()
        .number(given)
        .say(" of ")
        .number(usize::from(view.approvals_min))
        .say(" approvals");
    let words = if view.who_may.is_empty() {
        words
    } else {
        words.say(" · may approve: ").principals(&view.who_may)
    };
    let words = words.say(" · nobody approves their own rollback");
    match view.deadline {
        Some(deadline) => words.say(" · expires ").moment(deadline),
        None => words,
    }
}

/// What a rollback leaves as it is.
pub(super) fn not_undone(view: &RollbackView) -> Vec<Rich<'_>> {
    if view.not_undone.is_empty() {
        return Vec::new();
    }
    let mut entries: Vec<Rich<'_>> = view
        .not_undone
        .iter()
        .take(NOT_UNDONE_MAX)
        .map(|what| Spans::new().words(what, ENTRY_UNITS_MAX).section())
        .collect();
    entries.extend(more(view.not_undone.len(), NOT_UNDONE_MAX));
    vec![
        Spans::new().bold("What will not be undone").section(),
        Rich::List { style: ListStyle::Bullet, elements: entries },
    ]
}

/// Every guard with its verdict: those that stand in the way first.
pub(super) fn guards(view: &RollbackView) -> Vec<Rich<'_>> {
    let (passed, others): (Vec<_>, Vec<_>) =
        view.guards.iter().partition(|guard| guard.verdict.as_str() == "pass");
    let mut entries: Vec<Rich<'_>> = others
        .into_iter()
        .chain(passed)
        .take(GUARDS_MAX)
        .map(|guard| {
            Spans::new()
                .emoji(sign(&guard.verdict))
                .say(" ")
                .words(&guard.explanation, ENTRY_UNITS_MAX)
                .section()
        })
        .collect();
    if entries.is_empty() {
        return Vec::new();
    }
    entries.extend(more(view.guards.len(), GUARDS_MAX));
    vec![
        Spans::new().bold("Guards").section(),
        Rich::List { style: ListStyle::Bullet, elements: entries },
    ]
}

/// The sign of a verdict; one that is not known is not a pass.
pub(super) fn sign(verdict: &Label) -> &'static str {
    match verdict.as_str() {
        "pass" => "white_check_mark",
        "warn" => "warning",
        "block" => "no_entry",
        _ => "grey_question",
    }
}

pub(super) fn more(count: usize, shown: usize) -> Option<Rich<'static>> {
    let more = count.checked_sub(shown).filter(|more| *more > 0)?;
    let words = format!("and {more} more");
    Some(Spans::new().words(&words, ENTRY_UNITS_MAX).section())
}

fn approve(view: &RollbackView, version: u64) -> Result<Button<'static>, Breach> {
    Ok(Button {
        action_id: APPROVE,
        text: Plain::new("Approve"),
        value: Some(ids::written(&RollbackButton::new(view.id.clone(), version))?),
        url: None,
        style: Some(ButtonStyle::Primary),
        confirm: Some(Confirm {
            title: Plain::new("Approve the rollback?"),
            text: Plain::new(
                "With enough approvals the guards are read once more and the order is sent. Your \
                 name goes into the audit record.",
            ),
            confirm: Plain::new("Approve"),
            deny: Plain::new("Not yet"),
            style: ButtonStyle::Primary,
        }),
    })
}

fn reject(view: &RollbackView, version: u64) -> Result<Button<'static>, Breach> {
    Ok(Button {
        action_id: REJECT,
        text: Plain::new("Reject"),
        value: Some(ids::written(&RollbackButton::new(view.id.clone(), version))?),
        url: None,
        style: Some(ButtonStyle::Danger),
        confirm: None,
    })
}
