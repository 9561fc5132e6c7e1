//! Slack's rules for blocks and views: what is refused, and where it is wrong.

mod elements;
mod rich;
mod rules;

use serde_json::{Map, Value, json};

use crate::answer::ApiError;
use crate::world::collect_text;
use rules::{Checker, Surface, Text};

const MESSAGE_BLOCKS_MAX: usize = 50;
const VIEW_BLOCKS_MAX: usize = 100;
/// All text of a message together overflows near here, although no single limit is broken.
const MESSAGE_TEXT_MAX: usize = 13_200;
/// All `markdown` blocks of a message together.
const MARKDOWN_MAX: usize = 12_000;
const VIEW_BYTES_MAX: usize = 250_000;

/// Checks the blocks of a message and gives an id to whatever has none.
pub(crate) fn message(
    blocks: &Value,
    next_id: &mut dyn FnMut() -> String,
) -> Result<Vec<Value>, ApiError> {
    let Some(blocks) = blocks.as_array() else {
        return Err(ApiError::new("invalid_blocks_format"));
    };
    let mut checker = Checker::new(Surface::Message);
    if blocks.len() > MESSAGE_BLOCKS_MAX {
        checker.wrong("/blocks", format!("no more than {MESSAGE_BLOCKS_MAX} items allowed"));
    }
    check_all(&mut checker, "/blocks", blocks);
    if !checker.problems.is_empty() {
        return Err(ApiError::new("invalid_blocks").messages(checker.problems));
    }
    let mut texts = Vec::new();
    blocks.iter().for_each(|block| collect_text(block, &mut texts));
    let length: usize = texts.iter().map(|text| text.chars().count()).sum();
    if length > MESSAGE_TEXT_MAX || checker.markdown > MARKDOWN_MAX {
        return Err(ApiError::new("msg_blocks_too_long"));
    }
    Ok(blocks.iter().map(|block| with_ids(block, next_id)).collect())
}

/// Checks a modal and gives an id to whatever has none.
pub(crate) fn view(
    view: &Value,
    next_id: &mut dyn FnMut() -> String,
) -> Result<Map<String, Value>, ApiError> {
    if view.to_string().len() > VIEW_BYTES_MAX {
        return Err(ApiError::new("view_too_large"));
    }
    let mut checker = Checker::new(Surface::Modal);
    check_view(&mut checker, view);
    if !checker.problems.is_empty() {
        return Err(ApiError::new("invalid_arguments").messages(checker.problems));
    }
    let mut checked = view.as_object().cloned().unwrap_or_default();
    if let Some(Value::Array(blocks)) = checked.get_mut("blocks") {
        for block in blocks {
            *block = with_ids(block, next_id);
        }
    }
    for name in ["title", "submit", "close"] {
        if let Some(text) = checked.get_mut(name) {
            with_defaults(text);
        }
    }
    Ok(checked)
}

fn check_view(checker: &mut Checker, view: &Value) {
    let optional = [
        "submit",
        "close",
        "private_metadata",
        "callback_id",
        "external_id",
        "clear_on_close",
        "notify_on_close",
    ];
    let at = "/view";
    let Some(map) = checker.object(at, view, &["type", "title", "blocks"], &optional) else {
        return;
    };
    checker.one_of(at, map, "type", &["modal"]);
    for name in ["title", "submit", "close"] {
        checker.text_at(at, map, name, Text::Plain, 24);
    }
    checker.string(at, map, "private_metadata", 0, 3000);
    checker.string(at, map, "callback_id", 0, 255);
    checker.string(at, map, "external_id", 0, 255);
    checker.flag(at, map, "clear_on_close");
    checker.flag(at, map, "notify_on_close");
    let blocks = checker.list(at, map, "blocks", 0, VIEW_BLOCKS_MAX);
    check_all(checker, "/view/blocks", blocks);
    if checker.inputs && !map.contains_key("submit") {
        checker.wrong(at, "a view with an input block must have a submit button");
    }
}

fn check_all(checker: &mut Checker, at: &str, blocks: &[Value]) {
    for (index, block) in blocks.iter().enumerate() {
        check_block(checker, &format!("{at}/{index}"), block);
    }
}

fn check_block(checker: &mut Checker, at: &str, block: &Value) {
    let Some(kind) = block.get("type").and_then(Value::as_str) else {
        checker.wrong(at, "missing required field: type");
        return;
    };
    let (required, optional): (&[&str], &[&str]) = match kind {
        "header" => (&["text"], &[]),
        "section" => (&[], &["text", "fields", "accessory", "expand"]),
        "context" | "actions" | "rich_text" => (&["elements"], &[]),
        "divider" => (&[], &[]),
        "input" => (&["label", "element"], &["hint", "optional", "dispatch_action"]),
        "markdown" => (&["text"], &[]),
        "image" => (&["alt_text"], &["image_url", "slack_file", "title"]),
        "alert" => (&["text"], &["level"]),
        "plan" => (&["title"], &["tasks"]),
        "task_card" => (&["task_id", "title"], &["status", "details", "output", "sources"]),
        unknown => {
            checker.wrong(&format!("{at}/type"), format!("unsupported block type: {unknown}"));
            return;
        }
    };
    let required: Vec<&str> = [&["type"], required].concat();
    let optional: Vec<&str> = [&["block_id"], optional].concat();
    let Some(map) = checker.object(at, block, &required, &optional) else { return };
    checker.surface(at, kind);
    checker.block_id(at, map);
    match kind {
        "header" => checker.text_at(at, map, "text", Text::Plain, 150),
        "section" => check_section(checker, at, map),
        "context" => check_context(checker, at, map),
        "actions" => {
            let elements = checker.list(at, map, "elements", 1, 25);
            checker.elements(&format!("{at}/elements"), elements, elements::ACTIONS);
        }
        "input" => check_input(checker, at, map),
        "rich_text" => rich::check(checker, at, map),
        "markdown" => {
            checker.string(at, map, "text", 1, MARKDOWN_MAX);
            let text = map.get("text").and_then(Value::as_str).unwrap_or_default();
            checker.markdown = checker.markdown.saturating_add(text.chars().count());
        }
        "image" => {
            elements::check_image(checker, at, map);
            checker.text_at(at, map, "title", Text::Plain, 2000);
        }
        "alert" => {
            checker.text_at(at, map, "text", Text::Any, 200);
            checker.one_of(at, map, "level", &["default", "info", "warning", "error", "success"]);
        }
        "plan" => check_plan(checker, at, map),
        "task_card" => check_task(checker, at, map),
        _divider => {}
    }
}

fn check_section(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    if !map.contains_key("text") && !map.contains_key("fields") {
        checker.wrong(at, "must have text or fields");
    }
    checker.text_at(at, map, "text", Text::Any, 3000);
    checker.flag(at, map, "expand");
    if map.contains_key("fields") {
        for (index, field) in checker.list(at, map, "fields", 1, 10).iter().enumerate() {
            checker.text(&format!("{at}/fields/{index}"), field, Text::Any, 2000);
        }
    }
    if let Some(accessory) = map.get("accessory") {
        let accessory = std::slice::from_ref(accessory);
        checker.elements(&format!("{at}/accessory"), accessory, elements::ACCESSORY);
    }
}

fn check_context(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    for (index, element) in checker.list(at, map, "elements", 1, 10).iter().enumerate() {
        let at = format!("{at}/elements/{index}");
        if element.get("type").and_then(Value::as_str) == Some("image") {
            checker.elements(&at, std::slice::from_ref(element), &["image"]);
        } else {
            // A context's text has no published limit of its own; a text object's is 3000.
            checker.text(&at, element, Text::Any, 3000);
        }
    }
}

fn check_input(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    checker.inputs = true;
    checker.text_at(at, map, "label", Text::Plain, 2000);
    checker.text_at(at, map, "hint", Text::Plain, 2000);
    checker.flag(at, map, "optional");
    checker.flag(at, map, "dispatch_action");
    if let Some(element) = map.get("element") {
        let element = std::slice::from_ref(element);
        checker.elements(&format!("{at}/element"), element, elements::INPUT);
    }
}

fn check_plan(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    checker.string(at, map, "title", 1, 3000);
    if !map.contains_key("tasks") {
        return;
    }
    for (index, task) in checker.list(at, map, "tasks", 1, 50).iter().enumerate() {
        let at = format!("{at}/tasks/{index}");
        if task.get("type").and_then(Value::as_str) == Some("task_card") {
            check_block(checker, &at, task);
        } else {
            checker.wrong(&format!("{at}/type"), "must be equal to constant: task_card");
        }
    }
}

fn check_task(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    checker.string(at, map, "task_id", 1, 255);
    checker.string(at, map, "title", 1, 3000);
    checker.one_of(at, map, "status", &["pending", "in_progress", "complete", "error"]);
    for name in ["details", "output"] {
        let Some(rich) = map.get(name) else { continue };
        let at = format!("{at}/{name}");
        if rich.get("type").and_then(Value::as_str) == Some("rich_text") {
            check_block(checker, &at, rich);
        } else {
            checker.wrong(&format!("{at}/type"), "must be equal to constant: rich_text");
        }
    }
    if map.contains_key("sources") {
        for (index, source) in checker.list(at, map, "sources", 1, 50).iter().enumerate() {
            let at = format!("{at}/sources/{index}");
            let Some(source) = checker.object(&at, source, &["type", "url", "text"], &[]) else {
                continue;
            };
            checker.one_of(&at, source, "type", &["url"]);
            checker.string(&at, source, "url", 1, 3000);
            checker.string(&at, source, "text", 1, 3000);
        }
    }
}

/// Gives a block, and each interactive element of it, the id that Slack would give it.
fn with_ids(block: &Value, next_id: &mut dyn FnMut() -> String) -> Value {
    let mut block = block.clone();
    with_defaults(&mut block);
    let Some(map) = block.as_object_mut() else { return block };
    let no_id = map.get("block_id").and_then(Value::as_str).is_none_or(str::is_empty);
    if no_id {
        map.insert("block_id".to_owned(), Value::String(next_id()));
    }
    for name in ["elements", "accessory", "element"] {
        let Some(inner) = map.get_mut(name) else { continue };
        let elements = match inner {
            Value::Array(list) => list.as_mut_slice(),
            single @ (Value::Object(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)) => std::slice::from_mut(single),
        };
        for element in elements {
            let kind = element.get("type").and_then(Value::as_str).unwrap_or_default();
            if elements::is_interactive(kind)
                && let Some(element) = element.as_object_mut()
                && element.get("action_id").and_then(Value::as_str).is_none_or(str::is_empty)
            {
                element.insert("action_id".to_owned(), Value::String(next_id()));
            }
        }
    }
    block
}

/// Writes out the defaults of text objects, as Slack's answers do.
fn with_defaults(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
            let default = match kind {
                "plain_text" => Some(("emoji", json!(true))),
                "mrkdwn" => Some(("verbatim", json!(false))),
                _other => None,
            };
            if let Some((name, default)) = default {
                map.entry(name).or_insert(default);
            }
            map.values_mut().for_each(with_defaults);
        }
        Value::Array(list) => list.iter_mut().for_each(with_defaults),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
