//! The checks that blocks, elements and views share.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Where blocks are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Message,
    Modal,
}

/// Which text objects a place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Plain,
    Any,
}

/// Collects what is wrong; checks everything, stops at nothing.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) problems: Vec<String>,
    /// There is an input block.
    pub(super) inputs: bool,
    /// Characters in `markdown` blocks.
    pub(super) markdown: usize,
    /// Elements that ask for the focus.
    pub(super) focused: u32,
    surface: Surface,
    block_ids: BTreeSet<String>,
}

impl Checker {
    pub(super) fn new(surface: Surface) -> Self {
        Self {
            problems: Vec::new(),
            inputs: false,
            markdown: 0,
            focused: 0,
            surface,
            block_ids: BTreeSet::new(),
        }
    }

    pub(super) fn wrong(&mut self, at: &str, what: impl AsRef<str>) {
        self.problems.push(format!("[ERROR] {} [json-pointer:{at}]", what.as_ref()));
    }

    /// An object with every required field and no unknown one.
    pub(super) fn object<'v>(
        &mut self,
        at: &str,
        value: &'v Value,
        required: &[&str],
        optional: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(map) = value.as_object() else {
            self.wrong(at, "must provide an object");
            return None;
        };
        for name in required {
            if !map.contains_key(*name) {
                self.wrong(at, format!("missing required field: {name}"));
            }
        }
        for name in map.keys() {
            if !required.contains(&name.as_str()) && !optional.contains(&name.as_str()) {
                self.wrong(at, format!("no more fields allowed: {name}"));
            }
        }
        Some(map)
    }

    /// A string of `min` to `max` characters, if it is there.
    pub(super) fn string(
        &mut self,
        at: &str,
        map: &Map<String, Value>,
        name: &str,
        min: usize,
        max: usize,
    ) {
        let Some(value) = map.get(name) else { return };
        let at = format!("{at}/{name}");
        let Some(text) = value.as_str() else {
            self.wrong(&at, "must provide a string");
            return;
        };
        let length = text.chars().count();
        if length < min {
            self.wrong(&at, format!("must be more than {} characters", min.saturating_sub(1)));
        }
        if length > max {
            self.wrong(&at, format!("must be less than {} characters", max.saturating_add(1)));
        }
    }

    /// `true` or `false`, if it is there.
    pub(super) fn flag(&mut self, at: &str, map: &Map<String, Value>, name: &str) {
        if map.get(name).is_some_and(|value| !value.is_boolean()) {
            self.wrong(&format!("{at}/{name}"), "must provide a boolean");
        }
    }

    /// A whole number within bounds, if it is there.
    pub(super) fn number(
        &mut self,
        at: &str,
        map: &Map<String, Value>,
        name: &str,
        (min, max): (u64, u64),
    ) -> Option<u64> {
        let value = map.get(name)?;
        let number = value.as_u64().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let what = format!("must be a whole number from {min} to {max}");
            self.wrong(&format!("{at}/{name}"), what);
        }
        number
    }

    /// One of these strings, if it is there.
    pub(super) fn one_of(
        &mut self,
        at: &str,
        map: &Map<String, Value>,
        name: &str,
        allowed: &[&str],
    ) {
        let Some(value) = map.get(name) else { return };
        if !value.as_str().is_some_and(|text| allowed.contains(&text)) {
            let what = format!("must be one of: {}", allowed.join(", "));
            self.wrong(&format!("{at}/{name}"), what);
        }
    }

    /// A list of `min` to `max` items; empty when it is not a list.
    pub(super) fn list<'v>(
        &mut self,
        at: &str,
        map: &'v Map<String, Value>,
        name: &str,
        min: usize,
        max: usize,
    ) -> &'v [Value] {
        let Some(value) = map.get(name) else { return &[] };
        let at = format!("{at}/{name}");
        let Some(list) = value.as_array() else {
            self.wrong(&at, "must provide an array");
            return &[];
        };
        if list.len() < min {
            self.wrong(&at, format!("no fewer than {min} items allowed"));
        }
        if list.len() > max {
            self.wrong(&at, format!("no more than {max} items allowed"));
        }
        list
    }

    /// A text object of 1 to `max` characters under `name`, if it is there.
    pub(super) fn text_at(
        &mut self,
        at: &str,
        map: &Map<String, Value>,
        name: &str,
        text: Text,
        max: usize,
    ) {
        if let Some(value) = map.get(name) {
            self.text(&format!("{at}/{name}"), value, text, max);
        }
    }

    /// A text object of 1 to `max` characters.
    pub(super) fn text(&mut self, at: &str, value: &Value, text: Text, max: usize) {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let option = if kind == "plain_text" { "emoji" } else { "verbatim" };
        let Some(map) = self.object(at, value, &["type", "text"], &[option]) else { return };
        match text {
            Text::Plain => self.one_of(at, map, "type", &["plain_text"]),
            Text::Any => self.one_of(at, map, "type", &["plain_text", "mrkdwn"]),
        }
        self.flag(at, map, option);
        self.string(at, map, "text", 1, max);
    }

    /// `block_id`: short, and no two the same.
    pub(super) fn block_id(&mut self, at: &str, map: &Map<String, Value>) {
        self.string(at, map, "block_id", 0, 255);
        let Some(id) = map.get("block_id").and_then(Value::as_str) else { return };
        if !id.is_empty() && !self.block_ids.insert(id.to_owned()) {
            self.wrong(&format!("{at}/block_id"), format!("block_id already exists: {id}"));
        }
    }

    /// A block that Slack shows on this surface.
    pub(super) fn surface(&mut self, at: &str, kind: &str) {
        let wrong = match self.surface {
            Surface::Message => kind == "alert",
            Surface::Modal => matches!(kind, "markdown" | "plan" | "task_card"),
        };
        if wrong {
            let place = match self.surface {
                Surface::Message => "a message",
                Surface::Modal => "a view",
            };
            self.wrong(at, format!("block type {kind} is not allowed in {place}"));
        }
    }
}
