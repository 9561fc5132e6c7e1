//! Reads a JSON body field by field, and finds everything that is wrong with it at once.

use crate::problem::Fault;
use rollback_core::{LABEL_LENGTH_MAX, Label, is_visible};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt::Display;

/// A place in a body, and the list of everything that is wrong in it.
///
/// A field that is `null` is as good as absent.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    value: Option<&'a Value>,
    pointer: String,
    faults: &'a RefCell<Vec<Fault>>,
}

impl<'a> Place<'a> {
    /// The whole of a body.
    pub(crate) const fn whole(value: &'a Value, faults: &'a RefCell<Vec<Fault>>) -> Self {
        Self { value: Some(value), pointer: String::new(), faults }
    }

    /// Notes that something is wrong here.
    pub(crate) fn wrong(&self, detail: impl Into<String>) {
        self.faults.borrow_mut().push(Fault::at(&self.pointer, detail));
    }

    /// A field of the object at this place.
    pub(crate) fn field(&self, name: &str) -> Self {
        let value = self.value.and_then(|value| value.get(name)).filter(|value| !value.is_null());
        let pointer = format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"));
        Self { value, pointer, faults: self.faults }
    }

    /// Whether something is here.
    pub(crate) const fn is_there(&self) -> bool {
        self.value.is_some()
    }

    /// Whether an object is here.
    pub(crate) fn is_object(&self) -> bool {
        self.value.is_some_and(Value::is_object)
    }

    /// The text here, if it is one, without a word about it.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.value.and_then(Value::as_str)
    }

    /// The same place with nothing in it.
    pub(crate) fn nowhere(&self) -> Self {
        Self { value: None, ..self.clone() }
    }

    /// The object here, if it is one; anything else is wrong.
    pub(crate) fn object(&self) -> Option<&'a Map<String, Value>> {
        let value = self.present()?;
        let object = value.as_object();
        if object.is_none() {
            self.wrong(format!("it is {}; give an object", kind(value)));
        }
        object
    }

    /// Every field of the object here that is none of these is wrong: whoever misspells one means
    /// something else than what would be done.
    pub(crate) fn only(&self, known: &[&str]) {
        let fields = self.value.and_then(Value::as_object).into_iter().flat_map(Map::keys);
        for unknown in fields.filter(|name| !known.contains(&name.as_str())) {
            let detail = format!("there is no such field; there are {}", known.join(", "));
            self.field(unknown).wrong(detail);
        }
    }

    /// The text here; anything else, and nothing, is wrong.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let value = self.present()?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(format!("it is {}; give a string", kind(value)));
        }
        text
    }

    /// The text here, parsed; nothing is wrong.
    pub(crate) fn required<T, E: Display>(
        &self,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        parse(self.text()?).map_err(|error| self.wrong(error.to_string())).ok()
    }

    /// The text here, parsed, if there is something.
    pub(crate) fn optional<T, E: Display>(
        &self,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        if self.is_there() { self.required(parse) } else { None }
    }

    /// The places of the array here, if there is something.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        let value = self.value?;
        let Some(items) = value.as_array() else {
            self.wrong(format!("it is {}; give an array", kind(value)));
            return None;
        };
        let place = |(number, value)| Self {
            value: Some(value),
            pointer: format!("{}/{number}", self.pointer),
            faults: self.faults,
        };
        Some(items.iter().enumerate().map(place).collect())
    }

    fn present(&self) -> Option<&'a Value> {
        if self.value.is_none() {
            self.wrong("it is missing");
        }
        self.value
    }
}

/// A text that people read: it has something to see, and is not too long to be kept whole.
pub(crate) fn label(text: &str) -> Result<Label, String> {
    match text.chars().count() {
        0 => Err("it is empty".into()),
        _ if !is_visible(text) => Err("it has no character that can be seen".into()),
        length if length > LABEL_LENGTH_MAX => {
            Err(format!("it has {length} characters; at most {LABEL_LENGTH_MAX} are accepted"))
        }
        _ => Ok(Label::new(text)),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
