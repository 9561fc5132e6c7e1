//! What every object has, as far as it is read. Everything may be missing: an API server of another
//! age leaves out what it does not know.

use crate::ask::Tried;
use crate::error::ClusterError;
use rollback_core::Timestamp;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Labels or annotations.
pub type Texts = BTreeMap<String, String>;

/// The metadata of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "tests of the adapters build them")]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Which object of that name.
    pub uid: String,
    /// Which version of it.
    pub resource_version: String,
    /// How often its specification was changed.
    pub generation: i64,
    /// Its annotations; none is not the same as no annotation to a patch.
    pub annotations: Option<Texts>,
    /// Its labels.
    pub labels: Texts,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// What it belongs to.
    pub owner_references: Vec<Owner>,
    /// Who wrote it.
    pub managed_fields: Vec<ManagedFields>,
}

impl Meta {
    /// An annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// A label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// The one that looks after it.
    #[must_use]
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether the object of this UID looks after it.
    #[must_use]
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.uid == uid)
    }
}

/// What an object belongs to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Owner {
    /// The owner's kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Which one of that name.
    pub uid: String,
    /// Whether it looks after the object.
    pub controller: bool,
}

/// Who wrote which part of an object, and how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct ManagedFields {
    /// The program.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
}

/// An object of which only the metadata is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Bare {
    /// Its metadata.
    pub metadata: Meta,
}

/// A list of objects.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct List<T> {
    /// What it says of itself.
    #[serde(default)]
    pub metadata: ListMeta,
    /// The objects.
    #[serde(
        default = "Vec::new",
        deserialize_with = "or_none",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    pub items: Vec<T>,
}

impl<T> List<T> {
    /// Itself, if it is all there is.
    ///
    /// # Errors
    ///
    /// [`ClusterError::TooMany`], with what to do about it. Nothing was changed.
    pub fn whole(self, tried: Tried, next: &'static str) -> Result<Self, ClusterError> {
        if self.metadata.more.is_empty() {
            return Ok(self);
        }
        Err(ClusterError::TooMany { tried, max: self.items.len(), next })
    }
}

/// A list of nothing may be told as `null`.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(list: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

/// What a list says of itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ListMeta {
    /// Where the list goes on; empty when it is all there is.
    #[serde(rename = "continue")]
    pub more: String,
    /// From when on a watch goes on.
    #[serde(rename = "resourceVersion")]
    pub resource_version: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Ask, Place};

    #[test]
    fn metadata_is_read_by_its_keys_and_names_the_one_that_looks_after_the_object() {
        let meta: Meta = serde_json::from_value(serde_json::json!({
            "annotations": {"note": "kept"},
            "labels": {"app": "web"},
            "ownerReferences": [
                {"kind": "Quota", "uid": "q"},
                {"kind": "ReplicaSet", "uid": "r", "controller": true},
            ],
        }))
        .unwrap();
        assert_eq!((meta.annotation("note"), meta.annotation("app")), (Some("kept"), None));
        assert_eq!((meta.label("app"), meta.label("note")), (Some("web"), None));
        assert_eq!(meta.controller().map(|owner| owner.kind.as_str()), Some("ReplicaSet"));
        assert!(meta.is_owned_by("r"));
        assert!(!meta.is_owned_by("q"), "it only counts the object");
        let alone = Meta::default();
        assert!(alone.controller().is_none() && !alone.is_owned_by(""));
        assert_eq!((alone.annotation("note"), alone.label("app")), (None, None));
    }

    #[test]
    fn a_list_of_nothing_may_be_null_or_empty_or_left_out() {
        for told in [r#"{"items":null}"#, r#"{"items":[]}"#, "{}"] {
            let list: List<Bare> = serde_json::from_str(told).unwrap();
            assert!(list.items.is_empty(), "{told}");
        }
    }

    #[test]
    fn a_list_that_goes_on_is_not_taken_for_the_whole() {
        let tried = || Ask::list(&Place::namespaced("v1", "secrets", "shop"), 1).tried().clone();
        let read = |more: &str| -> List<Bare> {
            serde_json::from_value(
                serde_json::json!({"metadata": {"continue": more}, "items": [{}]}),
            )
            .unwrap()
        };
        assert_eq!(read("").whole(tried(), "prune").unwrap().items.len(), 1);
        let error = read("x").whole(tried(), "prune").unwrap_err().to_string();
        assert_eq!(
            error,
            "more than 1 objects answered the request to list secrets in namespace `shop`; prune"
        );
    }
}
