//! Slack's limits, checked on what was built before it is sent: a message that Slack would refuse
//! is a message that nobody reads.

use thiserror::Error;

use super::block::{Block, BlockId, Button, Element, Leaf, Modal, Rich};

/// All the text of one view together. Slack refuses somewhere past 13,000 and documents nothing.
pub(super) const TOTAL_UNITS_MAX: usize = 10_000;
/// `chat.update` refuses more than this beside blocks.
const TEXT_UNITS_MAX: usize = 4_000;
const MESSAGE_BLOCKS_MAX: usize = 50;
const MODAL_BLOCKS_MAX: usize = 100;
const HEADER_UNITS_MAX: usize = 150;
const SECTION_UNITS_MAX: usize = 3_000;
const FIELD_UNITS_MAX: usize = 2_000;
const FIELDS_MAX: usize = 10;
const CONTEXT_ELEMENTS_MAX: usize = 10;
const BUTTONS_MAX: usize = 25;
const BUTTON_UNITS_MAX: usize = 75;
const VALUE_UNITS_MAX: usize = 2_000;
const URL_UNITS_MAX: usize = 3_000;
const CONFIRM_TITLE_UNITS_MAX: usize = 100;
const CONFIRM_TEXT_UNITS_MAX: usize = 300;
const CONFIRM_BUTTON_UNITS_MAX: usize = 30;
const ALERT_UNITS_MAX: usize = 200;
const LABEL_UNITS_MAX: usize = 2_000;
const BOXES_MAX: usize = 10;
const OPTIONS_MAX: usize = 100;
const CHOICE_UNITS_MAX: usize = 75;
const PLACEHOLDER_UNITS_MAX: usize = 150;
const MODAL_TITLE_UNITS_MAX: usize = 24;
const METADATA_UNITS_MAX: usize = 3_000;

/// A limit of Slack's that a view does not keep. A mistake of this crate's: the view is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// A text is longer than Slack takes.
    #[error("the {what} has {units} characters, Slack takes {units_max}; it was not sent")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How long it is, in UTF-16 units.
        units: usize,
        /// How long it may be.
        units_max: usize,
    },
    /// More things than Slack takes.
    #[error("there are {count} {what}, Slack takes {count_max}; it was not sent")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        count_max: usize,
    },
    /// A text or a list that may not be empty is.
    #[error("the {what} is empty, Slack refuses that; it was not sent")]
    Empty {
        /// Which.
        what: &'static str,
    },
    /// Two blocks, or two actions, have one name.
    #[error("two {what} have the same name, Slack refuses that; it was not sent")]
    Repeated {
        /// Of what.
        what: &'static str,
    },
    /// An input without a button to submit it.
    #[error("there is an input and nothing to submit it with, Slack refuses that; it was not sent")]
    NoSubmit,
    /// The view cannot be written as JSON.
    #[error("the view cannot be written as JSON; it was not sent")]
    NotJson,
}

/// Checks a message.
pub(super) fn message(text: &str, blocks: &[Block<'_>]) -> Result<(), Breach> {
    within("text", text, TEXT_UNITS_MAX)?;
    at_most("blocks", blocks.len(), MESSAGE_BLOCKS_MAX)?;
    all(blocks)
}

/// Checks a modal.
pub(super) fn modal(modal: &Modal<'_>) -> Result<(), Breach> {
    within("title", &modal.title.text, MODAL_TITLE_UNITS_MAX)?;
    within("close button", &modal.close.text, MODAL_TITLE_UNITS_MAX)?;
    if let Some(submit) = &modal.submit {
        within("submit button", &submit.text, MODAL_TITLE_UNITS_MAX)?;
    }
    within("private metadata", &modal.private_metadata, METADATA_UNITS_MAX)?;
    at_most("blocks", modal.blocks.len(), MODAL_BLOCKS_MAX)?;
    let has_input = modal.blocks.iter().any(|block| matches!(block, Block::Input { .. }));
    if has_input && modal.submit.is_none() {
        return Err(Breach::NoSubmit);
    }
    all(&modal.blocks)
}

fn all(blocks: &[Block<'_>]) -> Result<(), Breach> {
    if blocks.is_empty() {
        return Err(Breach::Empty { what: "list of blocks" });
    }
    let mut seen: Vec<BlockId> = Vec::with_capacity(blocks.len());
    let mut actions: Vec<&'static str> = Vec::new();
    let mut total = 0_usize;
    for block in blocks {
        if seen.contains(&block.id()) {
            return Err(Breach::Repeated { what: "blocks" });
        }
        seen.push(block.id());
        total = total.saturating_add(one(block, &mut actions)?);
    }
    if total > TOTAL_UNITS_MAX {
        return Err(Breach::TooLong { what: "view", units: total, units_max: TOTAL_UNITS_MAX });
    }
    Ok(())
}

/// Checks one block and counts its text.
fn one(block: &Block<'_>, actions: &mut Vec<&'static str>) -> Result<usize, Breach> {
    match block {
        Block::Header { text, .. } => within("header", &text.text, HEADER_UNITS_MAX),
        Block::Section { text, fields, .. } => {
            if text.is_none() && fields.is_empty() {
                return Err(Breach::Empty { what: "section" });
            }
            at_most("fields", fields.len(), FIELDS_MAX)?;
            let mut total = match text {
                Some(text) => within("section", &text.text, SECTION_UNITS_MAX)?,
                None => 0,
            };
            for field in fields {
                total = total.saturating_add(within("field", &field.text, FIELD_UNITS_MAX)?);
            }
            Ok(total)
        }
        Block::Context { elements, .. } => {
            some("context", elements)?;
            at_most("context elements", elements.len(), CONTEXT_ELEMENTS_MAX)?;
            sum(elements, |text| within("context", &text.text, SECTION_UNITS_MAX))
        }
        Block::RichText { elements, .. } => {
            some("rich text", elements)?;
            sum(elements, rich)
        }
        Block::Actions { elements, .. } => {
            some("list of buttons", elements)?;
            at_most("buttons", elements.len(), BUTTONS_MAX)?;
            sum(elements, |element| button(element, actions))
        }
        Block::Alert { text, .. } => within("alert", &text.text, ALERT_UNITS_MAX),
        Block::Input { label, hint, element, .. } => {
            let filled_in = match element {
                Element::Text(input) => {
                    named(input.action_id, actions)?;
                    within("placeholder", &input.placeholder.text, PLACEHOLDER_UNITS_MAX)?;
                    0
                }
                Element::Checkboxes(boxes) => {
                    named(boxes.action_id, actions)?;
                    some("list of boxes", &boxes.options)?;
                    at_most("boxes", boxes.options.len(), BOXES_MAX)?;
                    sum(&boxes.options, |choice| {
                        within("box's value", &choice.value, CHOICE_UNITS_MAX)?;
                        within("box", &choice.text.text, CHOICE_UNITS_MAX)
                    })?
                }
                Element::Select(menu) => {
                    named(menu.action_id, actions)?;
                    some("menu", &menu.options)?;
                    at_most("options", menu.options.len(), OPTIONS_MAX)?;
                    within("placeholder", &menu.placeholder.text, PLACEHOLDER_UNITS_MAX)?;
                    sum(&menu.options, |choice| {
                        within("option's value", &choice.value, CHOICE_UNITS_MAX)?;
                        within("option", &choice.text.text, CHOICE_UNITS_MAX)
                    })?
                }
            };
            let hint = match hint {
                Some(hint) => within("hint", &hint.text, LABEL_UNITS_MAX)?,
                None => 0,
            };
            let label = within("label", &label.text, LABEL_UNITS_MAX)?;
            Ok(filled_in.saturating_add(label).saturating_add(hint))
        }
    }
}

fn rich(part: &Rich<'_>) -> Result<usize, Breach> {
    match part {
        Rich::Section { elements } | Rich::Quote { elements } => {
            some("rich text", elements)?;
            sum(elements, leaf)
        }
        Rich::List { elements, .. } => {
            some("list", elements)?;
            sum(elements, rich)
        }
    }
}

fn leaf(leaf: &Leaf<'_>) -> Result<usize, Breach> {
    match leaf {
        // No limit of its own is published.
        Leaf::Text { text, .. } => within("rich text", text, TOTAL_UNITS_MAX),
        Leaf::User { user_id } => Ok(user_id.len()),
        Leaf::Usergroup { usergroup_id } => Ok(usergroup_id.len()),
        Leaf::Emoji { name } => Ok(name.len()),
    }
}

fn button(button: &Button<'_>, actions: &mut Vec<&'static str>) -> Result<usize, Breach> {
    named(button.action_id, actions)?;
    if let Some(value) = &button.value {
        within("button value", value, VALUE_UNITS_MAX)?;
    }
    if let Some(url) = &button.url {
        within("button address", url, URL_UNITS_MAX)?;
    }
    if let Some(confirm) = &button.confirm {
        within("confirmation title", &confirm.title.text, CONFIRM_TITLE_UNITS_MAX)?;
        within("confirmation", &confirm.text.text, CONFIRM_TEXT_UNITS_MAX)?;
        within("confirmation button", &confirm.confirm.text, CONFIRM_BUTTON_UNITS_MAX)?;
        within("confirmation button", &confirm.deny.text, CONFIRM_BUTTON_UNITS_MAX)?;
    }
    within("button", &button.text.text, BUTTON_UNITS_MAX)
}

fn named(action_id: &'static str, actions: &mut Vec<&'static str>) -> Result<(), Breach> {
    if actions.contains(&action_id) {
        return Err(Breach::Repeated { what: "actions" });
    }
    actions.push(action_id);
    Ok(())
}

fn sum<T>(parts: &[T], mut each: impl FnMut(&T) -> Result<usize, Breach>) -> Result<usize, Breach> {
    parts.iter().try_fold(0_usize, |total, part| Ok(total.saturating_add(each(part)?)))
}

const fn some<T>(what: &'static str, list: &[T]) -> Result<(), Breach> {
    if list.is_empty() { Err(Breach::Empty { what }) } else { Ok(()) }
}

const fn at_most(what: &'static str, count: usize, count_max: usize) -> Result<(), Breach> {
    if count > count_max { Err(Breach::TooMany { what, count, count_max }) } else { Ok(()) }
}

/// The length of a text that Slack takes.
fn within(what: &'static str, text: &str, units_max: usize) -> Result<usize, Breach> {
    if text.is_empty() {
        return Err(Breach::Empty { what });
    }
    let units = if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
    if units > units_max { Err(Breach::TooLong { what, units, units_max }) } else { Ok(units) }
}
