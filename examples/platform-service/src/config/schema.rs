//! The JSON Schema of the file, made of its types.

use super::model::File;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema that editors use and that the service judges by. Draft 7, which every editor knows.
#[must_use]
pub fn schema() -> Value {
    let mut schema =
        SchemaSettings::draft07().into_generator().into_root_schema_for::<File>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "rollback.yaml".into());
    }
    strip(&mut schema);
    schema
}

/// Leaves out what says nothing here: how wide an integer is in memory, and defaults that are
/// empty.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("type").and_then(Value::as_str) == Some("integer") {
                object.remove("format");
            }
            let is_noise = |default: &Value| match default {
                Value::Null => true,
                Value::Object(map) => {
                    map.values().any(|value| !value.is_string()) || map.is_empty()
                }
                Value::Array(list) => list.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            };
            if object.get("default").is_some_and(is_noise) {
                object.remove("default");
            }
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::judge::WORDS;
    use crate::config::text;

    /// A word that the judge does not know would be a rule that editors tell and nobody holds.
    #[test]
    fn the_schema_says_nothing_that_the_judge_does_not_know() {
        fn walk(schema: &Value, are_names: bool) {
            match schema {
                Value::Object(object) => {
                    for (word, value) in object {
                        let known = are_names || word == "title" || word == "type";
                        assert!(known || WORDS.contains(&word.as_str()), "{word}: {schema}");
                        let is_example =
                            ["default", "examples", "const", "enum"].contains(&word.as_str());
                        let holds_names =
                            !are_names && (word == "properties" || word == "definitions");
                        if are_names || !is_example {
                            walk(value, holds_names);
                        }
                    }
                    if let Some(format) =
                        object.get("format").and_then(Value::as_str).filter(|_| !are_names)
                    {
                        assert!(text::is_known(format), "{format}");
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, false)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        walk(&schema(), false);
    }
}
