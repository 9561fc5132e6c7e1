//! The deploy message: what went out, and the way back.

use std::borrow::Cow;

use rollback_core::known_good::Skipped;
use rollback_core::notice::DeployCard;
use rollback_core::{Cause, Label, Purpose, PutAside, RevisionRef, RollbackView, StateName};

use super::block::{Block, BlockId, Button, ButtonStyle, Confirm, ListStyle, Plain, Rich};
use super::ids::{CANCEL, CHANGES, DeployButton, OPEN, RELEASE, RollbackButton, SETTLE};
use super::text::{
    NAME_UNITS_MAX, PARAGRAPH_UNITS_MAX, SENTENCE_UNITS_MAX, Spans, Words, line, reason,
};
use super::{Breach, Message, ids, state};
use crate::escape::SafeUrl;

/// Longest version in a button, of which Slack shows about thirty characters.
const BUTTON_VERSION_UNITS_MAX: usize = 40;
/// Skipped revisions that are named one by one.
const SKIPPED_MAX: usize = 3;

/// The message of a deploy in its present state. `version` grows with every change of it.
///
/// The button is there when there is a good revision to go back to, nothing newer went out, no
/// rollback is under way, and none has succeeded or is of unknown outcome.
///
/// # Errors
/// [`Breach`] if it would not keep Slack's limits.
pub fn deploy_message(card: &DeployCard, version: u64) -> Result<Message, Breach> {
    let id = |slot| BlockId::of(slot, version);
    let deploy = &card.deploy;
    let mut blocks = Vec::with_capacity(8);
    blocks.push(Block::Header { block_id: id("head"), text: Plain::new(title(card)) });
    blocks.push(Block::Section { block_id: id("what"), text: None, fields: facts(card) });
    if card.purpose == Purpose::Drill {
        let words = Words::new()
            .say(":test_tube: *Drill*: everything is real up to the order, which is never sent");
        blocks.push(Block::Context { block_id: id("drill"), elements: vec![words.mrkdwn()] });
    }
    let way = Way::of(card);
    blocks.push(Block::RichText { block_id: id("way"), elements: way_back(card, way) });
    if let Some(view) = shown_rollback(card) {
        blocks.push(Block::Section {
            block_id: id("state"),
            text: Some(standing(Words::new(), view).mrkdwn()),
            fields: Vec::new(),
        });
        let details = details(view);
        if !details.is_empty() {
            blocks.push(Block::RichText { block_id: id("more"), elements: details });
        }
    }
    let buttons = buttons(card, way, version)?;
    if !buttons.is_empty() {
        blocks.push(Block::Actions { block_id: id("act"), elements: buttons });
    }
    let mut text = Words::new()
        .service(&deploy.key())
        .say(": ")
        .line(deploy.version.as_str(), NAME_UNITS_MAX)
        .say(" deployed by ")
        .deployer(deploy.deployer.as_ref());
    if let Some(view) = shown_rollback(card) {
        text = text.say(". ").say(state::of(view).words);
    }
    Message::of(text.text(), &blocks)
}

fn title(card: &DeployCard) -> String {
    let deploy = &card.deploy;
    let title = format!("{} {} in {}", deploy.service, deploy.version, deploy.environment);
    line(&title, 150).into_owned()
}

fn facts(card: &DeployCard) -> Vec<super::block::Mrkdwn> {
    let deploy = &card.deploy;
    let mut facts = Vec::with_capacity(6);
    facts.push(Words::new().say("*Version*\n").code(deploy.version.as_str()).mrkdwn());
    if let Some(commit) = &deploy.commit {
        facts.push(Words::new().say("*Commit*\n").code(short(commit)).mrkdwn());
    }
    let revision = Words::new().say("*Revision*\n");
    match (&deploy.revision, &deploy.reported) {
        (Some(found), _) => facts.push(revision.code(found.short()).mrkdwn()),
        (None, Some(name)) => {
            facts.push(revision.code(name.as_str()).say(", not found").mrkdwn());
        }
        (None, None) => {}
    }
    let before = Words::new().say("*Before*\n");
    facts.push(
        match &card.previous {
            Some(previous) => before.revision(previous),
            None => before.say("not known"),
        }
        .mrkdwn(),
    );
    facts.push(Words::new().say("*By*\n").deployer(deploy.deployer.as_ref()).mrkdwn());
    facts.push(Words::new().say("*At*\n").moment(deploy.deployed_at).mrkdwn());
    facts
}

/// As much of a commit as people compare.
pub(super) fn short(commit: &Label) -> &str {
    let commit = commit.as_str();
    let is_hash = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { commit.get(..10).unwrap_or(commit) } else { commit }
}

/// Whether there is a way back from this message.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// To this revision.
    Open(&'a rollback_core::Revision),
    /// Not while a rollback is under way, or after one.
    Taken,
    /// Not from here: a newer deploy took over.
    Superseded(&'a Label),
    /// There is nothing to go back to.
    None,
}

impl<'a> Way<'a> {
    fn of(card: &'a DeployCard) -> Self {
        if let Some(newer) = &card.superseded_by {
            return Self::Superseded(newer);
        }
        if card.rollback.as_ref().is_some_and(stands_in_the_way) {
            return Self::Taken;
        }
        card.choice.target.as_ref().map_or(Self::None, Self::Open)
    }
}

/// Whether a rollback in this state leaves no room for another one.
const fn stands_in_the_way(view: &RollbackView) -> bool {
    match view.state {
        _ if view.put_aside.is_some() => true,
        StateName::Succeeded => matches!(view.purpose, Purpose::Real),
        // Until a person has settled it, nobody knows what runs.
        StateName::OutcomeUnknown => !view.settled,
        StateName::Approving
        | StateName::Checking
        | StateName::Recording
        | StateName::Triggering
        | StateName::Running
        | StateName::Verifying => true,
        StateName::Proposed
        | StateName::Authorizing
        | StateName::Confirming
        | StateName::Failed
        | StateName::NotVerified
        | StateName::Refused
        | StateName::Denied
        | StateName::Withdrawn
        | StateName::Expired => false,
    }
}

/// The rollback as far as the channel needs to know: somebody who only looked, or may not, is
/// nobody's business but their own.
fn shown_rollback(card: &DeployCard) -> Option<&RollbackView> {
    let view = card.rollback.as_ref()?;
    let shown = match view.state {
        _ if view.put_aside.is_some() => true,
        StateName::Authorizing | StateName::Confirming | StateName::Denied => false,
        StateName::Withdrawn | StateName::Expired => {
            view.reason.is_some() || view.proposed_by.is_some()
        }
        StateName::Proposed
        | StateName::Approving
        | StateName::Checking
        | StateName::Recording
        | StateName::Triggering
        | StateName::Running
        | StateName::Verifying
        | StateName::Succeeded
        | StateName::Failed
        | StateName::NotVerified
        | StateName::Refused
        | StateName::OutcomeUnknown => true,
    };
    shown.then_some(view)
}

fn way_back<'a>(card: &'a DeployCard, way: Way<'a>) -> Vec<Rich<'a>> {
    let words = match way {
        Way::Open(_) => Spans::new().bold("Way back: ").words(&card.choice.why, SENTENCE_UNITS_MAX),
        Way::Taken => {
            Spans::new().bold("Way back: ").say("not from here, the rollback below comes first")
        }
        Way::Superseded(newer) => Spans::new()
            .bold("Way back: ")
            .say("not from here, ")
            .code(newer.as_str())
            .say(" was deployed after it; use the button of that deploy"),
        Way::None => Spans::new().bold("No way back: ").words(&card.choice.why, SENTENCE_UNITS_MAX),
    };
    let mut parts = vec![words.section()];
    match way {
        Way::Open(_) | Way::None => parts.extend(skipped(&card.choice.skipped)),
        Way::Taken | Way::Superseded(_) => {}
    }
    parts
}

fn skipped(skipped: &[Skipped]) -> Option<Rich<'static>> {
    if skipped.is_empty() {
        return None;
    }
    let mut entries: Vec<Rich<'static>> = skipped
        .iter()
        .take(SKIPPED_MAX)
        .map(|skipped| {
            let why = skipped.skip.to_string();
            let name = skipped
                .revision
                .version
                .as_ref()
                .map_or_else(|| skipped.revision.id.short(), Label::as_str);
            Spans::new().code(name).say(" passed over: ").words(&why, SENTENCE_UNITS_MAX).section()
        })
        .collect();
    let more = skipped.len().saturating_sub(SKIPPED_MAX);
    if more > 0 {
        let more = format!("and {more} more");
        entries.push(Spans::new().words(&more, NAME_UNITS_MAX).section());
    }
    Some(Rich::List { style: ListStyle::Bullet, elements: entries })
}

/// The headline, the pair and who, for the channel and for the approvers.
pub(super) fn standing(before: Words, view: &RollbackView) -> Words {
    let headline = state::of(view);
    let mut words = before
        .say(":")
        .say(headline.emoji)
        .say(": *")
        .say(headline.words)
        .say("*\nfrom ")
        .revision_beside(&view.from, &view.to)
        .say(" to ")
        .revision_beside(&view.to, &view.from);
    if let Some(proposer) = &view.proposed_by {
        let name = proposer.name.as_ref().unwrap_or(&proposer.id);
        words = words.say("\nproposed by ").line(name.as_str(), NAME_UNITS_MAX);
    }
    if let Some(actor) = &view.requested_by {
        words = words.say("\nasked for by ").actor(actor).say(", ").moment(view.opened_at);
    }
    if view.break_glass {
        words = words.say("\n:rotating_light: through the emergency group");
    }
    if !view.approved_by.is_empty() {
        words = words.say("\napproved by ").actors(&view.approved_by);
    }
    if let Some(ended) = view.ended_at {
        words.say("\nended ").moment(ended)
    } else {
        words.say("\n").say(state::doing(view))
    }
}

/// The reason, the CD system's last words and, at the end, how it ended.
fn details(view: &RollbackView) -> Vec<Rich<'_>> {
    let mut parts = Vec::with_capacity(3);
    if let Some(given) = view.reason.as_ref().or(view.proposed_because.as_ref()) {
        parts.push(reason(given.as_str()));
    }
    if state::is_told_in_full(view) {
        let words = Spans::new().words(&view.explanation, PARAGRAPH_UNITS_MAX);
        parts.push(words.section());
    } else if let Some(message) = view.progress.as_ref().and_then(|told| told.message.as_ref()) {
        parts.push(Spans::new().words(message.as_str(), SENTENCE_UNITS_MAX).section());
    }
    parts
}

fn buttons<'a>(
    card: &'a DeployCard,
    way: Way<'a>,
    version: u64,
) -> Result<Vec<Button<'a>>, Breach> {
    let mut buttons = Vec::with_capacity(3);
    if let Way::Open(target) = way {
        let value = ids::written(&DeployButton::new(card.deploy.id.clone(), version))?;
        buttons.push(Button {
            action_id: OPEN,
            text: Plain::new(match opens_proposal(card) {
                Some(proposed) => label(proposed.purpose, &proposed.to),
                None => label(card.purpose, &target.reference()),
            }),
            value: Some(value),
            url: None,
            style: Some(ButtonStyle::Danger),
            confirm: None,
        });
    }
    if let Some(view) = card.rollback.as_ref().filter(|view| view.cancellable) {
        buttons.push(cancel(view, version)?);
    }
    if let Some(view) = card.rollback.as_ref().filter(|view| view.put_aside.is_some()) {
        buttons.push(release(view, version)?);
    }
    if let Some(view) = card.rollback.as_ref().filter(|view| view.can_be_settled()) {
        buttons.push(settle(view, version)?);
    }
    let changes = card.deploy.changelog_url.as_deref().and_then(|url| SafeUrl::parse(url).ok());
    if let Some(url) = changes {
        buttons.push(Button {
            action_id: CHANGES,
            text: Plain::new("Changes"),
            value: None,
            url: Some(url.as_str().to_owned()),
            style: None,
            confirm: None,
        });
    }
    Ok(buttons)
}

/// The open proposal that a click leads to, in place of the deploy's own target.
fn opens_proposal(card: &DeployCard) -> Option<&RollbackView> {
    card.rollback.as_ref().filter(|view| view.state == StateName::Proposed)
}

fn label(purpose: Purpose, target: &RevisionRef) -> String {
    let name = target.version.as_ref().map_or_else(|| target.revision.short(), Label::as_str);
    let name = line(name, BUTTON_VERSION_UNITS_MAX);
    match purpose {
        Purpose::Real => format!("Roll back to {name}"),
        Purpose::Drill => format!("Drill: roll back to {name}"),
    }
}

fn cancel(view: &RollbackView, version: u64) -> Result<Button<'static>, Breach> {
    Ok(Button {
        action_id: CANCEL,
        text: Plain::new("Stop the rollback"),
        value: Some(ids::written(&RollbackButton::new(view.id.clone(), version))?),
        url: None,
        style: None,
        confirm: Some(Confirm {
            title: Plain::new("Stop the rollback?"),
            text: Plain::new(
                "If the order has been sent, the CD system is asked to cancel it, and the service \
                 may be left half-way.",
            ),
            confirm: Plain::new("Stop it"),
            deny: Plain::new("Let it go on"),
            style: ButtonStyle::Danger,
        }),
    })
}

fn release(view: &RollbackView, version: u64) -> Result<Button<'static>, Breach> {
    Ok(Button {
        action_id: RELEASE,
        text: Plain::new("Release"),
        value: Some(ids::written(&RollbackButton::new(view.id.clone(), version))?),
        url: None,
        style: None,
        confirm: Some(Confirm {
            title: Plain::new("Release the rollback?"),
            text: Plain::new(before_a_release(view)),
            confirm: Plain::new("Release"),
            deny: Plain::new("Keep in quarantine"),
            style: ButtonStyle::Danger,
        }),
    })
}

/// The button that opens the modal in which somebody says what became of it.
pub(super) fn settle(view: &RollbackView, version: u64) -> Result<Button<'static>, Breach> {
    Ok(Button {
        action_id: SETTLE,
        text: Plain::new("Settle…"),
        value: Some(ids::written(&RollbackButton::new(view.id.clone(), version))?),
        url: None,
        style: None,
        confirm: None,
    })
}

fn before_a_release(view: &RollbackView) -> Cow<'static, str> {
    match view.put_aside {
        Some(PutAside { cause: Cause::Replay, .. }) => {
            "This version replays its journal to another state. Release it only on the version that \
             opened it, or after a fix."
                .into()
        }
        Some(PutAside { cause: Cause::Crashes, attempts: attempts @ 1.., .. }) => format!(
            "The rollback service crashed {attempts} times while processing it. Fix the cause first \
             (see the service's log), or it will crash again."
        )
        .into(),
        Some(_) | None => "It continues where it was.".into(),
    }
}
