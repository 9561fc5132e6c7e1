//! The modal between the click and the confirmation, and after it.

use std::time::Duration;

use rollback_core::notice::DeployCard;
use rollback_core::{
    Migrations, Pair, Purpose, Reversible, RevisionRef, RollbackId, RollbackView, ServiceKey,
    StateName, Timestamp, in_words,
};

use super::approval::{guards, more, not_undone, sign};
use super::block::{
    Block, BlockId, Button, Checkboxes, Choice, Element, Level, ListStyle, Modal, Mrkdwn, Plain,
    Rich, TextInput,
};
use super::deploy::short;
use super::ids::{ACKNOWLEDGE, CHANGES, CONFIRM, Memo, REASON_ACTION, REASON_BLOCK};
use super::text::{NAME_UNITS_MAX, PARAGRAPH_UNITS_MAX, Spans, Words, line, reason};
use super::{Breach, ids, state, written};
use crate::Json;
use crate::escape::SafeUrl;

/// What one text input of Slack's holds, and the longest reason that the core takes.
const REASON_UNITS_MAX: u16 = 3_000;
/// Fewer than these say nothing to whoever reads the audit record.
const REASON_UNITS_MIN: u16 = 3;
/// Guards in the way that are explained one by one.
const OBSTACLES_MAX: usize = 12;
/// An explanation of a guard, with what to do next.
const OBSTACLE_UNITS_MAX: usize = 400;
/// What a box to tick holds.
const BOX_UNITS_MAX: usize = 75;
/// Migrations that are named one by one.
const MIGRATIONS_MAX: usize = 10;

/// What the modal shows and the rollback itself does not know.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backdrop<'a> {
    /// The deploy message that was clicked.
    pub card: Option<&'a DeployCard>,
    /// Now, to tell how old things are.
    pub now: Timestamp,
}

impl<'a> Backdrop<'a> {
    /// The deploy message that was clicked, if there is one, and the time.
    #[must_use]
    pub const fn new(card: Option<&'a DeployCard>, now: Timestamp) -> Self {
        Self { card, now }
    }
}

/// The modal in the first moment: opened before anything slow is asked, since its trigger lives
/// only three seconds.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn loading_modal(
    key: &ServiceKey,
    rollback: &RollbackId,
    purpose: Purpose,
) -> Result<Json, Breach> {
    let words = Words::new()
        .say(":hourglass_flowing_sand: ")
        .service(key)
        .say("\nChecking who may, what runs now and what stands in the way. Nothing happens yet.");
    let draft = Draft::new(purpose, rollback, None);
    written(&draft.closing("Cancel", Closing::Withdraws, vec![say("loading", words)])?)
}

/// The modal for a rollback in its present state.
///
/// Only while it waits for the confirmation can it be submitted, and only until then does closing
/// it mean anything: a rollback that is confirmed goes on without its modal.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn confirm_modal(view: &RollbackView, backdrop: Backdrop<'_>) -> Result<Json, Breach> {
    match view.state {
        StateName::Proposed | StateName::Authorizing => {
            loading_modal(&view.key, &view.id, view.purpose)
        }
        StateName::Confirming if view.guards.is_empty() => {
            loading_modal(&view.key, &view.id, view.purpose)
        }
        StateName::Confirming => ready(view, backdrop),
        StateName::Approving
        | StateName::Checking
        | StateName::Recording
        | StateName::Triggering
        | StateName::Running
        | StateName::Verifying => checking_modal(view),
        StateName::Refused => blocked(view),
        StateName::Denied => denied(view),
        StateName::Succeeded
        | StateName::Failed
        | StateName::NotVerified
        | StateName::Withdrawn
        | StateName::Expired
        | StateName::OutcomeUnknown => done(view),
    }
}

/// The modal right after it was submitted, while nothing is decided yet.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn checking_modal(view: &RollbackView) -> Result<Json, Breach> {
    let words = Words::new().say(":hourglass_flowing_sand: ").service(&view.key);
    let words = match view.state {
        StateName::Approving => {
            let words = words.say("\nWaiting for approval");
            if view.who_may.is_empty() {
                words
            } else {
                words.say(" by ").principals(&view.who_may)
            }
        }
        StateName::Proposed
        | StateName::Authorizing
        | StateName::Confirming
        | StateName::Checking
        | StateName::Recording => {
            words.say("\nEverything is read and checked once more before the order is sent")
        }
        StateName::Triggering
        | StateName::Running
        | StateName::Verifying
        | StateName::Succeeded
        | StateName::Failed
        | StateName::NotVerified
        | StateName::Refused
        | StateName::Denied
        | StateName::Withdrawn
        | StateName::Expired
        | StateName::OutcomeUnknown => words.say("\n").say(state::doing(view)),
    };
    let words =
        words.say(". Follow it in the thread of the deploy message; you can close this window.");
    let mut blocks = vec![say("checking", words)];
    if let Some(given) = &view.reason {
        blocks.push(rich("given", vec![reason(given.as_str())]));
    }
    let draft = Draft::new(view.purpose, &view.id, Some(shown(view)));
    written(&draft.closing("Close", Closing::MeansNothing, blocks)?)
}

fn ready(view: &RollbackView, backdrop: Backdrop<'_>) -> Result<Json, Breach> {
    let card = backdrop.card;
    let mut blocks = Vec::with_capacity(10);
    blocks.push(say("what", Words::new().say("*Roll back* ").service(&view.key)));
    blocks.push(Block::Section {
        block_id: BlockId::fixed("pair"),
        text: None,
        fields: side_by_side(view, backdrop),
    });
    blocks.extend(warnings(view));
    let mut parts = Vec::with_capacity(6);
    parts.extend(migrations(view, card));
    parts.extend(not_undone(view));
    parts.extend(guards(view));
    if !parts.is_empty() {
        blocks.push(rich("facts", parts));
    }
    blocks.push(Block::Context {
        block_id: BlockId::fixed("expect"),
        elements: vec![expectations(view)],
    });
    blocks.extend(changes(card));
    blocks.extend(acknowledgement(view));
    blocks.push(reason_input("Reason", "What is wrong, and since when?", true));
    let draft = Draft::new(view.purpose, &view.id, Some(shown(view)));
    let mut modal = draft.closing("Cancel", Closing::Withdraws, blocks)?;
    modal.submit = Some(Plain::new(match view.purpose {
        Purpose::Real => "Roll back",
        Purpose::Drill => "Start the drill",
    }));
    written(&modal)
}

fn side_by_side(view: &RollbackView, backdrop: Backdrop<'_>) -> Vec<Mrkdwn> {
    let current = backdrop.card.and_then(|card| {
        let is_it = card.deploy.revision.as_ref() == Some(&view.from.revision);
        is_it.then_some(card.deploy.deployed_at)
    });
    let target = backdrop.card.and_then(|card| {
        let target = card.choice.target.as_ref()?;
        if target.id == view.to.revision { target.deployed_at } else { None }
    });
    vec![
        side("*Current*\n", &view.from, current, backdrop.now),
        side("*Target*\n", &view.to, target, backdrop.now),
    ]
}

fn side(
    title: &'static str,
    revision: &RevisionRef,
    deployed_at: Option<Timestamp>,
    now: Timestamp,
) -> Mrkdwn {
    let mut words = Words::new().say(title).revision(revision);
    let id = &revision.revision;
    if id.short() != id.as_str() {
        // Whoever is about to decide can compare it with what the CD system and the audit record say.
        words = words.say("\nidentity ").code(id.as_str());
    }
    if let Some(commit) = &revision.commit {
        words = words.say("\ncommit ").code(short(commit));
    }
    match deployed_at {
        Some(at) => {
            let ago = in_words(now.since(at));
            words.say("\ndeployed ").line(&ago, NAME_UNITS_MAX).say(" ago").mrkdwn()
        }
        None => words.say("\nnot known since when").mrkdwn(),
    }
}

fn warnings(view: &RollbackView) -> Vec<Block<'static>> {
    let alert = |slot, level, text: &'static str| Block::Alert {
        block_id: BlockId::fixed(slot),
        level,
        text: Plain::new(text),
    };
    let mut warnings = vec![match view.purpose {
        Purpose::Real => alert(
            "danger",
            Level::Warning,
            "This replaces what runs now, for everybody. It is recorded with your name and your \
             reason.",
        ),
        Purpose::Drill => alert(
            "danger",
            Level::Info,
            "A drill: everything is real up to the order, which is never sent. Nothing changes.",
        ),
    }];
    if view.break_glass {
        warnings.push(alert(
            "glass",
            Level::Error,
            "You may do this only through the emergency group: whoever is on call is paged.",
        ));
    }
    warnings
}

/// What the rollback leaves in the data: the migrations of every revision that it steps over, as
/// far as the deploy message knows them.
fn migrations(view: &RollbackView, card: Option<&DeployCard>) -> Vec<Rich<'static>> {
    let Some(card) = card else { return Vec::new() };
    if card.deploy.revision.as_ref() != Some(&view.from.revision) {
        return Vec::new();
    }
    let between = card.choice.skipped.iter().map(|skipped| &skipped.revision.migrations);
    let known: Vec<_> = std::iter::once(&card.deploy.migrations)
        .chain(between)
        .filter_map(|migrations| match migrations {
            Migrations::Known(list) => Some(list),
            Migrations::Unknown => None,
        })
        .flatten()
        .collect();
    if known.is_empty() {
        return Vec::new();
    }
    let mut entries: Vec<Rich<'static>> = known
        .iter()
        .take(MIGRATIONS_MAX)
        .map(|migration| {
            let works = match migration.reversible {
                Reversible::Yes => " stays; the target works with it",
                Reversible::No => " stays, and the target does not work with it",
                Reversible::Unknown => " stays; nobody said whether the target works with it",
            };
            Spans::new().code(migration.id.as_str()).say(works).section()
        })
        .collect();
    entries.extend(more(known.len(), MIGRATIONS_MAX));
    vec![
        Spans::new().bold("Migrations").section(),
        Rich::List { style: ListStyle::Bullet, elements: entries },
    ]
}

fn expectations(view: &RollbackView) -> Mrkdwn {
    let words = match view.expected_ms {
        Some(millis) => {
            let takes = in_words(Duration::from_millis(millis));
            Words::new().say("usually takes ").line(&takes, NAME_UNITS_MAX)
        }
        None => Words::new().say("not known how long it takes"),
    };
    let words = match view.approvals_min {
        0 => words,
        needed => words.say(" · needs ").number(usize::from(needed)).say(" approvals of others"),
    };
    let words = match &view.rule {
        Some(rule) => words.say(" · you may by the rule ").code(rule.as_str()),
        None => words,
    };
    match view.deadline {
        Some(deadline) => words.say(" · expires ").moment(deadline).mrkdwn(),
        None => words.mrkdwn(),
    }
}

fn changes(card: Option<&DeployCard>) -> Option<Block<'static>> {
    let url = SafeUrl::parse(card?.deploy.changelog_url.as_deref()?).ok()?;
    Some(Block::Actions {
        block_id: BlockId::fixed("changes"),
        elements: vec![Button {
            action_id: CHANGES,
            text: Plain::new("What would be taken back"),
            value: None,
            url: Some(url.as_str().to_owned()),
            style: None,
            confirm: None,
        }],
    })
}

/// The input for what somebody must say, by one name in every modal: what was typed survives an update.
pub(super) fn reason_input(
    label: &'static str,
    placeholder: &'static str,
    focus_on_load: bool,
) -> Block<'static> {
    Block::Input {
        block_id: BlockId::fixed(REASON_BLOCK),
        label: Plain::new(label),
        hint: Some(Plain::new(
            "Everybody in the channel reads it, and it stays in the audit record.",
        )),
        element: Element::Text(TextInput {
            action_id: REASON_ACTION,
            multiline: true,
            min_length: REASON_UNITS_MIN,
            max_length: REASON_UNITS_MAX,
            focus_on_load,
            placeholder: Plain::new(placeholder),
        }),
    }
}

/// A box for each warning. Slack's boxes have no markup, so that no text can forge one.
fn acknowledgement(view: &RollbackView) -> Option<Block<'_>> {
    let warnings = view.guards.iter().flat_map(|guard| &guard.acknowledge);
    let options: Vec<Choice<'_>> = warnings
        .map(|warning| Choice {
            text: Plain::new(line(&warning.what, BOX_UNITS_MAX).into_owned()),
            value: warning.id.to_string(),
        })
        .collect();
    (!options.is_empty()).then(|| Block::Input {
        block_id: BlockId::fixed(ACKNOWLEDGE),
        label: Plain::new("I know that this"),
        hint: Some(Plain::new("Tick each. What you tick stays in the audit record.")),
        element: Element::Checkboxes(Checkboxes { action_id: ACKNOWLEDGE, options }),
    })
}

fn blocked(view: &RollbackView) -> Result<Json, Breach> {
    let mut blocks = vec![
        say("what", Words::new().say("*Not rolled back*: ").service(&view.key)),
        Block::Alert {
            block_id: BlockId::fixed("blocked"),
            level: Level::Error,
            text: Plain::new("A guard stands in the way, or could not say. Nothing was changed."),
        },
    ];
    let obstacles: Vec<_> =
        view.guards.iter().filter(|guard| guard.verdict.as_str() != "pass").collect();
    let mut parts: Vec<Rich<'_>> = obstacles
        .iter()
        .take(OBSTACLES_MAX)
        .map(|guard| {
            Spans::new()
                .emoji(sign(&guard.verdict))
                .say(" ")
                .words(&guard.explanation, OBSTACLE_UNITS_MAX)
                .section()
        })
        .collect();
    parts.extend(more(obstacles.len(), OBSTACLES_MAX));
    if parts.is_empty() {
        // Refused for something that is not a guard: the audit sink, the CD system itself.
        parts.push(Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX).section());
    }
    blocks.push(rich("why", parts));
    let passed = view.guards.len().saturating_sub(obstacles.len());
    if passed > 0 {
        let words = Words::new().number(passed).say(" other guards pass");
        blocks.push(Block::Context {
            block_id: BlockId::fixed("passed"),
            elements: vec![words.mrkdwn()],
        });
    }
    let draft = Draft::new(view.purpose, &view.id, Some(shown(view)));
    written(&draft.closing("Close", Closing::MeansNothing, blocks)?)
}

fn denied(view: &RollbackView) -> Result<Json, Breach> {
    let words = Spans::new().words_naming(&view.explanation, PARAGRAPH_UNITS_MAX, &view.who_may);
    let mut blocks = vec![
        say("what", Words::new().say("*You may not roll back* ").service(&view.key)),
        rich("why", vec![words.section()]),
    ];
    if !view.who_may.is_empty() {
        let words = Words::new().say("Who may: ").principals(&view.who_may);
        blocks.push(say("who", words));
    }
    if let Some(rule) = &view.rule {
        blocks.push(Block::Context {
            block_id: BlockId::fixed("rule"),
            elements: vec![Words::new().say("decided by the rule ").code(rule.as_str()).mrkdwn()],
        });
    }
    let draft = Draft::new(view.purpose, &view.id, None);
    written(&draft.closing("Close", Closing::MeansNothing, blocks)?)
}

fn done(view: &RollbackView) -> Result<Json, Breach> {
    let headline = state::of(view);
    let words = Words::new()
        .say(":")
        .say(headline.emoji)
        .say(": *")
        .say(headline.words)
        .say("*\n")
        .service(&view.key);
    let why = Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX);
    let blocks = vec![say("what", words), rich("why", vec![why.section()])];
    let draft = Draft::new(view.purpose, &view.id, Some(shown(view)));
    written(&draft.closing("Close", Closing::MeansNothing, blocks)?)
}

fn shown(view: &RollbackView) -> Pair {
    Pair::new(view.from.revision.clone(), view.to.revision.clone())
}

fn say(slot: &'static str, words: Words) -> Block<'static> {
    Block::Section {
        block_id: BlockId::fixed(slot),
        text: Some(words.mrkdwn()),
        fields: Vec::new(),
    }
}

const fn rich<'a>(slot: &'static str, elements: Vec<Rich<'a>>) -> Block<'a> {
    Block::RichText { block_id: BlockId::fixed(slot), elements }
}

/// Whether closing the modal says something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// Whoever clicked does not want it after all.
    Withdraws,
    /// It only closes a window.
    MeansNothing,
}

/// What every modal of a rollback has.
struct Draft {
    purpose: Purpose,
    memo: Memo,
}

impl Draft {
    fn new(purpose: Purpose, rollback: &RollbackId, shown: Option<Pair>) -> Self {
        Self { purpose, memo: Memo::new(rollback.clone(), shown) }
    }

    fn closing<'a>(
        &self,
        close: &'static str,
        closing: Closing,
        blocks: Vec<Block<'a>>,
    ) -> Result<Modal<'a>, Breach> {
        Ok(Modal {
            callback_id: CONFIRM,
            title: Plain::new(match self.purpose {
                Purpose::Real => "Roll back",
                Purpose::Drill => "Drill: roll back",
            }),
            submit: None,
            close: Plain::new(close),
            private_metadata: ids::written(&self.memo)?,
            notify_on_close: closing == Closing::Withdraws,
            blocks,
        })
    }
}
