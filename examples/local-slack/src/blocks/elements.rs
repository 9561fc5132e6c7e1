//! Slack's rules for the elements of blocks.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::rules::{Checker, Text};

/// Elements of an `actions` block.
pub(super) const ACTIONS: &[&str] = &[
    "button",
    "overflow",
    "radio_buttons",
    "checkboxes",
    "static_select",
    "users_select",
    "conversations_select",
    "external_select",
];
/// The element beside a section's text.
pub(super) const ACCESSORY: &[&str] = &[
    "button",
    "overflow",
    "radio_buttons",
    "checkboxes",
    "static_select",
    "users_select",
    "conversations_select",
    "external_select",
    "image",
];
/// The element of an `input` block.
pub(super) const INPUT: &[&str] = &[
    "plain_text_input",
    "radio_buttons",
    "checkboxes",
    "static_select",
    "users_select",
    "conversations_select",
    "external_select",
];

/// An element that a person can act on, and that therefore has an `action_id`.
pub(super) fn is_interactive(kind: &str) -> bool {
    ACTIONS.contains(&kind) || INPUT.contains(&kind)
}

impl Checker {
    /// Elements of one block: of these kinds, and no `action_id` twice.
    ///
    /// `at` is the pointer of the list, or of the element when it stands alone.
    pub(super) fn elements(&mut self, at: &str, elements: &[Value], kinds: &[&str]) {
        let mut action_ids = BTreeSet::new();
        for (index, element) in elements.iter().enumerate() {
            let at =
                if at.ends_with("/elements") { format!("{at}/{index}") } else { at.to_owned() };
            if let Some(id) = element.get("action_id").and_then(Value::as_str)
                && !id.is_empty()
                && !action_ids.insert(id)
            {
                self.wrong(&format!("{at}/action_id"), format!("action_id already exists: {id}"));
            }
            check_element(self, &at, element, kinds);
        }
    }

    fn confirm(&mut self, at: &str, map: &Map<String, Value>) {
        let Some(confirm) = map.get("confirm") else { return };
        let at = format!("{at}/confirm");
        let required = ["title", "text", "confirm", "deny"];
        let Some(map) = self.object(&at, confirm, &required, &["style"]) else { return };
        self.text_at(&at, map, "title", Text::Plain, 100);
        self.text_at(&at, map, "text", Text::Any, 300);
        self.text_at(&at, map, "confirm", Text::Plain, 30);
        self.text_at(&at, map, "deny", Text::Plain, 30);
        self.one_of(&at, map, "style", &["primary", "danger"]);
    }

    fn focus(&mut self, at: &str, map: &Map<String, Value>) {
        self.flag(at, map, "focus_on_load");
        if map.get("focus_on_load") == Some(&Value::Bool(true)) {
            self.focused = self.focused.saturating_add(1);
            if self.focused == 2 {
                self.wrong(&format!("{at}/focus_on_load"), "only one element can have the focus");
            }
        }
    }

    /// Options, whose text is of the kind `text`.
    fn options(&mut self, at: &str, options: &[Value], text: Text) {
        for (index, option) in options.iter().enumerate() {
            let at = format!("{at}/{index}");
            let optional = ["description", "url"];
            let Some(map) = self.object(&at, option, &["text", "value"], &optional) else {
                continue;
            };
            self.text_at(&at, map, "text", text, 75);
            self.string(&at, map, "value", 1, 150);
            self.text_at(&at, map, "description", text, 75);
            self.string(&at, map, "url", 1, 3000);
        }
    }

    fn initial(&mut self, at: &str, map: &Map<String, Value>, options: &[Value]) {
        let single = map.get("initial_option").into_iter();
        let several = map.get("initial_options").and_then(Value::as_array).into_iter().flatten();
        for initial in single.chain(several) {
            if !options.contains(initial) {
                self.wrong(at, "initial_option must match exactly one of the options");
            }
        }
    }
}

fn check_element(checker: &mut Checker, at: &str, element: &Value, kinds: &[&str]) {
    let kind = element.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kinds.contains(&kind) {
        checker.wrong(&format!("{at}/type"), format!("unsupported element type here: {kind}"));
        return;
    }
    let optional: &[&str] = match kind {
        "button" => &["value", "url", "style", "confirm", "accessibility_label", "text"],
        "plain_text_input" => &[
            "initial_value",
            "multiline",
            "min_length",
            "max_length",
            "placeholder",
            "focus_on_load",
            "dispatch_action_config",
        ],
        "static_select" => &[
            "options",
            "option_groups",
            "initial_option",
            "placeholder",
            "confirm",
            "focus_on_load",
        ],
        "radio_buttons" => &["options", "initial_option", "confirm", "focus_on_load"],
        "checkboxes" => &["options", "initial_options", "confirm", "focus_on_load"],
        "overflow" => &["options", "confirm"],
        "users_select" => &["initial_user", "placeholder", "confirm", "focus_on_load"],
        "conversations_select" => &[
            "initial_conversation",
            "placeholder",
            "confirm",
            "focus_on_load",
            "response_url_enabled",
            "default_to_current_conversation",
            "filter",
        ],
        "external_select" => {
            &["initial_option", "placeholder", "confirm", "focus_on_load", "min_query_length"]
        }
        _image => &["alt_text", "image_url", "slack_file"],
    };
    let optional: Vec<&str> =
        if kind == "image" { optional.to_vec() } else { [&["action_id"], optional].concat() };
    let Some(map) = checker.object(at, element, &["type"], &optional) else { return };
    checker.string(at, map, "action_id", 0, 255);
    checker.confirm(at, map);
    checker.focus(at, map);
    checker.text_at(at, map, "placeholder", Text::Plain, 150);
    match kind {
        "button" => check_button(checker, at, map),
        "plain_text_input" => check_text_input(checker, at, map),
        "radio_buttons" | "checkboxes" => check_choice(checker, at, map, Text::Any, 10),
        "overflow" => check_choice(checker, at, map, Text::Plain, 5),
        "image" => check_image(checker, at, map),
        _select => check_select(checker, at, map),
    }
}

fn check_button(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    if !map.contains_key("text") {
        checker.wrong(at, "missing required field: text");
    }
    checker.text_at(at, map, "text", Text::Plain, 75);
    checker.string(at, map, "value", 0, 2000);
    checker.string(at, map, "url", 1, 3000);
    checker.string(at, map, "accessibility_label", 1, 75);
    checker.one_of(at, map, "style", &["primary", "danger"]);
}

fn check_text_input(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    checker.string(at, map, "initial_value", 0, 3000);
    checker.flag(at, map, "multiline");
    let min = checker.number(at, map, "min_length", (0, 3000));
    let max = checker.number(at, map, "max_length", (1, 3000));
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        checker.wrong(&format!("{at}/min_length"), "must not be more than max_length");
    }
    let Some(config) = map.get("dispatch_action_config") else { return };
    let at = format!("{at}/dispatch_action_config");
    let Some(config) = checker.object(&at, config, &["trigger_actions_on"], &[]) else { return };
    for event in checker.list(&at, config, "trigger_actions_on", 1, 2) {
        let known = ["on_enter_pressed", "on_character_entered"];
        if !event.as_str().is_some_and(|event| known.contains(&event)) {
            checker.wrong(&at, format!("must be one of: {}", known.join(", ")));
        }
    }
}

fn check_choice(checker: &mut Checker, at: &str, map: &Map<String, Value>, text: Text, max: usize) {
    if !map.contains_key("options") {
        checker.wrong(at, "missing required field: options");
    }
    let options = checker.list(at, map, "options", 1, max);
    checker.options(&format!("{at}/options"), options, text);
    checker.initial(at, map, options);
}

fn check_select(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind != "static_select" {
        return;
    }
    if map.contains_key("options") == map.contains_key("option_groups") {
        checker.wrong(at, "must have either options or option_groups");
    }
    let mut all = checker.list(at, map, "options", 1, 100).to_vec();
    checker.options(&format!("{at}/options"), &all, Text::Plain);
    for (index, group) in checker.list(at, map, "option_groups", 1, 100).iter().enumerate() {
        let at = format!("{at}/option_groups/{index}");
        let Some(group) = checker.object(&at, group, &["label", "options"], &[]) else { continue };
        checker.text_at(&at, group, "label", Text::Plain, 75);
        let options = checker.list(&at, group, "options", 1, 100);
        checker.options(&format!("{at}/options"), options, Text::Plain);
        all.extend_from_slice(options);
    }
    checker.initial(at, map, &all);
}

/// An image, whether a block or an element.
pub(super) fn check_image(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    if map.contains_key("image_url") == map.contains_key("slack_file") {
        checker.wrong(at, "must have either image_url or slack_file");
    }
    if !map.contains_key("alt_text") {
        checker.wrong(at, "missing required field: alt_text");
    }
    checker.string(at, map, "alt_text", 1, 2000);
    checker.string(at, map, "image_url", 1, 3000);
}
