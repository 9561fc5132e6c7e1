//! What is read of Kubernetes' objects, and no more. Everything may be missing: an API server of
//! another age leaves out what it does not know.

use rollback_core::Timestamp;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

pub(crate) type Texts = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) annotations: Texts,
    pub(crate) labels: Texts,
    pub(crate) creation_timestamp: Option<Timestamp>,
    pub(crate) managed_fields: Vec<ManagedFields>,
}

impl Meta {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ManagedFields {
    pub(crate) manager: String,
}

/// An object of which only the metadata is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Bare {
    pub(crate) metadata: Meta,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct List<T> {
    #[serde(default)]
    pub(crate) metadata: ListMeta,
    #[serde(
        default = "Vec::new",
        deserialize_with = "or_none",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    pub(crate) items: Vec<T>,
}

/// A list of nothing may be told as `null`.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListMeta {
    #[serde(rename = "continue")]
    pub(crate) more: String,
    #[serde(rename = "resourceVersion")]
    pub(crate) resource_version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nothing_may_be_null_or_empty_or_left_out() {
        for told in [r#"{"items":null}"#, r#"{"items":[]}"#, "{}"] {
            let list: List<Bare> = serde_json::from_str(told).unwrap();
            assert!(list.items.is_empty(), "{told}");
        }
    }
}
