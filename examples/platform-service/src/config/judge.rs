//! Judges a tree by a JSON Schema and says everything that is wrong, each with its place. Not a
//! validator for any schema: it knows the words that ours uses, and a test says if one is missing.

use super::problem::{Path, Problem, looks_secret, meant, shown};
use super::text;
use super::yaml::{Node, Value};
use serde_json::Value as Json;

/// Every word of JSON Schema that is understood here, or is only for readers.
#[cfg(test)]
pub(super) const WORDS: [&str; 22] = [
    "$ref",
    "$schema",
    "$id",
    "additionalProperties",
    "allOf",
    "const",
    "default",
    "definitions",
    "description",
    "enum",
    "examples",
    "format",
    "items",
    "maximum",
    "minItems",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "propertyNames",
    "required",
];

/// What is wrong with `node` by `schema`, a part of `root`.
pub(super) fn judge(root: &Json, schema: &Json, node: &Node, path: &Path) -> Vec<Problem> {
    let mut judge = Judge { root, problems: Vec::new() };
    judge.value(schema, node, path);
    judge.problems
}

struct Judge<'a> {
    root: &'a Json,
    problems: Vec<Problem>,
}

impl<'a> Judge<'a> {
    fn problem(&mut self, node: &Node, path: &Path, what: String, remedy: String) {
        self.problems.push(Problem::new(node.at, path, what, remedy));
    }

    fn value(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
            let pointer = target.trim_start_matches('#');
            if let Some(schema) = self.root.pointer(pointer) {
                self.value(schema, node, path);
            }
            return;
        }
        for part in schema.get("allOf").and_then(Json::as_array).into_iter().flatten() {
            self.value(part, node, path);
        }
        if let Some(branches) = schema.get("oneOf").and_then(Json::as_array) {
            return self.kinds(branches, node, path);
        }
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array) {
            return self.word(allowed, node, path);
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("object") => self.map(schema, node, path),
            Some("array") => self.list(schema, node, path),
            Some("string") => self.text(schema, node, path),
            Some("integer") => self.number(schema, node, path),
            Some("boolean") => self.switch(node, path),
            Some(_) | None => {}
        }
    }

    fn other_type(&mut self, node: &Node, path: &Path, wanted: &str) {
        let remedy = match node.value {
            Value::Null => "write its value, or remove the key".to_owned(),
            Value::Bool(_) | Value::Int(_) if wanted == "text" => "put it in quotes".to_owned(),
            Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                format!("write {wanted}")
            }
        };
        let what = format!("here is {} in place of {wanted}", node.kind());
        self.problem(node, path, what, remedy);
    }

    /// One of several shapes, told apart by the key `kind`.
    fn kinds(&mut self, branches: &'a [Json], node: &Node, path: &Path) {
        const KIND: &str = "/properties/kind/const";
        if !matches!(node.value, Value::Map(_)) {
            return self.other_type(node, path, "keys with values");
        }
        let names = || branches.iter().filter_map(|branch| branch.pointer(KIND)?.as_str());
        let all = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let Some(kind) = node.get("kind") else {
            let remedy = format!("add `kind:` with one of {}", all());
            return self.problem(node, path, "the key `kind` is missing".into(), remedy);
        };
        let chosen = |branch: &&Json| branch.pointer(KIND).and_then(Json::as_str) == kind.text();
        match (branches.iter().find(chosen), kind.text()) {
            (Some(branch), Some(_)) => self.map(branch, node, path),
            (_, text) => {
                let text = text.unwrap_or_default();
                let remedy = meant(text, names()).map_or_else(
                    || format!("write one of {}", all()),
                    |name| format!("did you mean `{name}`?"),
                );
                let what = format!("there is no kind {}", shown(text));
                self.problem(kind, &path.key("kind"), what, remedy);
            }
        }
    }

    fn word(&mut self, allowed: &'a [Json], node: &Node, path: &Path) {
        let Some(text) = node.text() else { return self.other_type(node, path, "text") };
        let words = || allowed.iter().filter_map(Json::as_str);
        if words().any(|word| word == text) {
            return;
        }
        let all = words().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let remedy = meant(text, words()).map_or_else(
            || format!("write one of {all}"),
            |word| format!("did you mean `{word}`?"),
        );
        self.problem(node, path, format!("{} is not known here", shown(text)), remedy);
    }

    fn map(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        if !matches!(node.value, Value::Map(_)) {
            return self.other_type(node, path, "keys with values");
        }
        let none = serde_json::Map::new();
        let known = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let known: Vec<(&String, &'a Json)> = known
            .keys()
            .filter_map(|key| Some((key, schema.get("properties")?.get(key)?)))
            .collect();
        for required in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
            let Some(key) = required.as_str() else { continue };
            if node.get(key).is_none() {
                let what = format!("the key `{key}` is missing");
                self.problem(node, path, what, "add it".into());
            }
        }
        let least = schema.get("minProperties").and_then(Json::as_u64).unwrap_or(0);
        if usize::try_from(least).is_ok_and(|least| node.entries().len() < least) {
            let keys: Vec<String> = known.iter().map(|(key, _)| format!("`{key}`")).collect();
            let remedy = if keys.is_empty() {
                "add one".to_owned()
            } else {
                format!("add {}", keys.join(" or "))
            };
            self.problem(node, path, "there is nothing in it".into(), remedy);
        }
        for entry in node.entries() {
            let here = path.key(&entry.key);
            if let Some((_, property)) = known.iter().find(|(key, _)| **key == entry.key) {
                self.value(property, &entry.node, &here);
                continue;
            }
            if let Some(format) = schema.pointer("/propertyNames/format").and_then(Json::as_str)
                && let Err((what, remedy)) = text::check(format, &entry.key)
            {
                self.problems.push(Problem::new(entry.at, &here, what, remedy));
            }
            match schema.get("additionalProperties") {
                Some(Json::Bool(false)) => {
                    let names = known.iter().map(|(key, _)| key.as_str());
                    self.problems.push(unknown(entry, &here, names));
                }
                Some(rest) => self.value(rest, &entry.node, &here),
                None => {}
            }
        }
    }

    fn list(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        let Value::List(items) = &node.value else {
            return self.other_type(node, path, "a list");
        };
        let least = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        if usize::try_from(least).is_ok_and(|least| items.len() < least) {
            let remedy = "add one, or remove the key".to_owned();
            self.problem(node, path, "the list is empty".into(), remedy);
        }
        let Some(each) = schema.get("items") else { return };
        for (number, item) in items.iter().enumerate() {
            self.value(each, item, &path.item(number));
        }
    }

    fn text(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        let Some(text) = node.text() else {
            // A number without its unit deserves to hear of units.
            if let (Value::Int(number), Some(format)) =
                (&node.value, schema.get("format").and_then(Json::as_str))
                && let Err((what, remedy)) = text::check(format, &number.to_string())
            {
                return self.problem(node, path, what, remedy);
            }
            return self.other_type(node, path, "text");
        };
        let Some(format) = schema.get("format").and_then(Json::as_str) else { return };
        if let Err((what, remedy)) = text::check(format, text) {
            self.problem(node, path, what, remedy);
        }
    }

    fn number(&mut self, schema: &'a Json, node: &Node, path: &Path) {
        let Value::Int(number) = node.value else {
            return self.other_type(node, path, "a number");
        };
        let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
        let least = bound("minimum").and_then(whole).unwrap_or(i64::MIN);
        let most = bound("maximum").and_then(whole).unwrap_or(i64::MAX);
        if !(least..=most).contains(&number) {
            let remedy = format!("write a number from {least} to {most}");
            self.problem(node, path, format!("`{number}` is out of bounds"), remedy);
        }
    }

    fn switch(&mut self, node: &Node, path: &Path) {
        if !matches!(node.value, Value::Bool(_)) {
            self.other_type(node, path, "true or false");
        }
    }
}

/// A bound that a schema writes as a number; small by our own choice.
fn whole(number: f64) -> Option<i64> {
    format!("{number:.0}").parse().ok()
}

fn unknown<'a>(
    entry: &super::yaml::Entry,
    path: &Path,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    let key = &entry.key;
    let holds_secret = ["token", "secret", "password", "passwd", "api_key", "apikey", "webhook"]
        .iter()
        .any(|word| key.to_lowercase().contains(word));
    let named = |suffix: &str| known.clone().any(|name| name.ends_with(suffix));
    if holds_secret && (named("_env") || entry.node.text().is_some_and(looks_secret)) {
        let what = "a secret does not belong into this file".to_owned();
        let variables: Vec<String> = known
            .filter(|name| name.ends_with("_env") || name.ends_with("_file"))
            .map(|name| format!("`{name}`"))
            .collect();
        let remedy = if variables.is_empty() {
            "put it into the environment, and replace it where it was issued".to_owned()
        } else {
            format!(
                "put it into the environment or a file, and name that with {}",
                variables.join(" or ")
            )
        };
        return Problem::new(entry.at, path, what, remedy);
    }
    let remedy = match meant(key, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let all: Vec<String> = known.map(|name| format!("`{name}`")).collect();
            if all.is_empty() {
                "remove it".to_owned()
            } else {
                format!("known here: {}", all.join(", "))
            }
        }
    };
    Problem::new(entry.at, path, format!("the key {} is not known", shown(key)), remedy)
}
