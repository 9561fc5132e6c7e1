//! Slack's rules for rich text.

use serde_json::{Map, Value};

use super::rules::Checker;

/// Checks the elements of a `rich_text` block.
pub(super) fn check(checker: &mut Checker, at: &str, map: &Map<String, Value>) {
    for (index, element) in checker.list(at, map, "elements", 1, 100).iter().enumerate() {
        check_part(checker, &format!("{at}/elements/{index}"), element);
    }
}

fn check_part(checker: &mut Checker, at: &str, part: &Value) {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let optional: &[&str] = match kind {
        "rich_text_section" => &[],
        "rich_text_list" => &["style", "indent", "offset", "border"],
        "rich_text_quote" => &["border"],
        "rich_text_preformatted" => &["border", "language"],
        unknown => {
            checker.wrong(&format!("{at}/type"), format!("unsupported rich text: {unknown}"));
            return;
        }
    };
    let Some(map) = checker.object(at, part, &["type", "elements"], optional) else { return };
    if kind == "rich_text_list" {
        checker.one_of(at, map, "style", &["bullet", "ordered"]);
    }
    for (index, leaf) in checker.list(at, map, "elements", 0, 1000).iter().enumerate() {
        let at = format!("{at}/elements/{index}");
        if kind == "rich_text_list" {
            check_part(checker, &at, leaf);
        } else {
            check_leaf(checker, &at, leaf);
        }
    }
}

fn check_leaf(checker: &mut Checker, at: &str, leaf: &Value) {
    let kind = leaf.get("type").and_then(Value::as_str).unwrap_or_default();
    let (required, optional): (&str, &[&str]) = match kind {
        "text" => ("text", &["style"]),
        "link" => ("url", &["text", "style", "unsafe"]),
        "user" => ("user_id", &["style"]),
        "usergroup" => ("usergroup_id", &["style"]),
        "channel" => ("channel_id", &["style"]),
        "emoji" => ("name", &["unicode", "style"]),
        "broadcast" => ("range", &["style"]),
        "date" => ("timestamp", &["format", "url", "fallback", "style"]),
        unknown => {
            checker.wrong(&format!("{at}/type"), format!("unsupported rich text: {unknown}"));
            return;
        }
    };
    let Some(map) = checker.object(at, leaf, &["type", required], optional) else { return };
    if kind == "date" {
        checker.number(at, map, "timestamp", (0, u64::MAX));
    } else {
        checker.string(at, map, required, 1, usize::MAX);
    }
    if kind == "broadcast" {
        checker.one_of(at, map, "range", &["channel", "here", "everyone"]);
    }
    let Some(style) = map.get("style") else { return };
    let at = format!("{at}/style");
    let styles = ["bold", "italic", "strike", "code", "underline", "highlight", "client_highlight"];
    let Some(style) = checker.object(&at, style, &[], &styles) else { return };
    for name in styles {
        checker.flag(&at, style, name);
    }
}
