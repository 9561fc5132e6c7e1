//! All requests of our own: what is asked of the API server about one release.

use crate::config::Release;
use crate::manifest::Wanted;
use crate::record::RawSecret;
use core::time::Duration;
use rollback_cluster::{Ask, Bare, Cluster, ClusterError, List, Meta, Place, Watch, found};
use rollback_core::RollbackId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many revisions are listed: a hundred times what helm keeps unless it is told.
const LIST_MAX: usize = 1000;

/// Who applies objects: helm, as whom our rehearsals ask.
const MANAGER: &str = "helm";
/// The order that was last taken over, on each object that it may have changed.
const TAKEN_OVER: &str = "rollback-rs.github.io/taken-over";
/// As whom we write on helm's records. It is not helm: who wrote a record last is told by its name.
const JOURNALIST: &str = "rollback-helm";

/// One release of a cluster.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) cluster: Cluster,
    pub(crate) release: Release,
    timeout: Duration,
    /// The resources of each group and version, by kind.
    kinds: Mutex<BTreeMap<String, BTreeMap<String, Resource>>>,
}

/// Where objects of a kind are found.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Resource {
    plural: String,
    namespaced: bool,
}

/// The releases of a list, and from when on a watch goes on.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) metas: Vec<Meta>,
    pub(crate) version: String,
}

impl Client {
    pub(crate) fn new(cluster: Cluster, release: Release, timeout: Duration) -> Self {
        Self { cluster, release, timeout, kinds: Mutex::default() }
    }

    /// The metadata of every revision of the release, without what is in them.
    pub(crate) async fn list(&self) -> Result<Listed, ClusterError> {
        let list = Ask::list(&self.secrets(), LIST_MAX).labelled(self.selector()).bare();
        let tried = list.tried().clone();
        let list: List<Bare> = self.ask(list).await?;
        let list = list.whole(tried, "let helm keep fewer revisions (`--history-max`)")?;
        let metas = list.items.into_iter().map(|bare| bare.metadata).collect();
        Ok(Listed { metas, version: list.metadata.resource_version })
    }

    pub(crate) async fn secret(&self, name: &str) -> Result<RawSecret, ClusterError> {
        self.ask(Ask::get(&self.secrets(), name)).await
    }

    /// The metadata of a Secret; none when it is not there.
    pub(crate) async fn secret_meta(&self, name: &str) -> Result<Option<Meta>, ClusterError> {
        let bare = self.ask::<Bare>(Ask::get(&self.secrets(), name).bare()).await;
        found(bare).map(|bare| bare.map(|bare| bare.metadata))
    }

    /// Deletes exactly this Secret as it was seen.
    pub(crate) async fn delete_secret(&self, meta: &Meta) -> Result<(), ClusterError> {
        found(self.ask::<Value>(Ask::delete(&self.secrets(), meta)).await).map(drop)
    }

    /// Writes an annotation on exactly this Secret.
    pub(crate) async fn annotate_secret(
        &self,
        name: &str,
        uid: &str,
        key: &str,
        value: &str,
    ) -> Result<(), ClusterError> {
        let key = key.replace('~', "~0").replace('/', "~1");
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": format!("/metadata/annotations/{key}"), "value": value},
        ]);
        let patch = Ask::patch(&self.secrets(), name, &patch, JOURNALIST).bare();
        self.ask::<Value>(patch).await.map(drop)
    }

    pub(crate) async fn config_map(&self, name: &str) -> Result<Option<Value>, ClusterError> {
        found(self.ask(Ask::get(&self.config_maps(), name)).await)
    }

    pub(crate) async fn create_config_map(
        &self,
        name: &str,
        object: &Value,
    ) -> Result<(), ClusterError> {
        self.ask::<Value>(Ask::create(&self.config_maps(), name, object)).await.map(drop)
    }

    pub(crate) async fn put_config_map(
        &self,
        name: &str,
        object: &Value,
    ) -> Result<(), ClusterError> {
        self.ask::<Value>(Ask::update(&self.config_maps(), name, object)).await.map(drop)
    }

    /// What an earlier release kept.
    pub(crate) async fn lease(&self, name: &str) -> Result<Option<Value>, ClusterError> {
        found(self.ask(Ask::get(&self.leases(), name)).await)
    }

    pub(crate) async fn put_lease(&self, name: &str, lease: &Value) -> Result<(), ClusterError> {
        self.ask::<Value>(Ask::update(&self.leases(), name, lease)).await.map(drop)
    }

    /// An object of any kind; none when it, or its kind, is not there.
    pub(crate) async fn object(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, ClusterError> {
        match self.locate(api_version, kind, namespace).await? {
            Some(place) => found(self.ask(Ask::get(&place, name)).await),
            None => Ok(None),
        }
    }

    /// Applies an object as helm 4 does, without effect. An error says why helm could not.
    pub(crate) async fn rehearse_apply(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<(), ClusterError> {
        let Some(place) = self.locate(api_version, kind, namespace).await? else { return Ok(()) };
        let apply = Ask::apply(&place, name, object, MANAGER).rehearsed();
        self.ask::<Value>(apply).await.map(drop)
    }

    /// Writes onto exactly this object which order was taken over, and nothing else: it is in another
    /// version from then on, and no pod is made anew.
    pub(crate) async fn touch(
        &self,
        object: &Wanted,
        namespace: &str,
        uid: &str,
        order: &RollbackId,
    ) -> Result<(), ClusterError> {
        let Wanted { api_version, kind, name, .. } = object;
        let Some(place) = self.locate(api_version, kind, namespace).await? else { return Ok(()) };
        let touched = json!({"apiVersion": api_version, "kind": kind, "metadata": {
            "name": name, "uid": uid, "annotations": {TAKEN_OVER: order.as_str()}}});
        let touch = Ask::apply(&place, name, &touched, JOURNALIST).bare();
        self.ask::<Value>(touch).await.map(drop)
    }

    /// Where objects of a kind are; none when the cluster does not know it.
    async fn locate(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
    ) -> Result<Option<Place>, ClusterError> {
        let resource = self.resource(api_version, kind).await?;
        Ok(resource.map(|Resource { plural, namespaced }| {
            if namespaced {
                Place::namespaced(api_version, &plural, namespace)
            } else {
                Place::of_cluster(api_version, &plural)
            }
        }))
    }

    /// Every autoscaler of the namespace.
    pub(crate) async fn autoscalers(&self) -> Result<Vec<Value>, ClusterError> {
        let scalers = self.place("autoscaling/v2", "horizontalpodautoscalers");
        let list: List<Value> = self.ask(Ask::list(&scalers, LIST_MAX)).await?;
        Ok(list.items)
    }

    /// Watches the revisions, from after `version` on.
    pub(crate) async fn watch(&self, version: &str) -> Result<Watch, ClusterError> {
        let watch = Ask::watch(&self.secrets(), version).labelled(self.selector()).bare();
        self.cluster.watch(watch, self.timeout).await
    }

    /// The Secrets of the namespace.
    pub(crate) fn secrets(&self) -> Place {
        self.place("v1", "secrets")
    }

    fn config_maps(&self) -> Place {
        self.place("v1", "configmaps")
    }

    fn leases(&self) -> Place {
        self.place("coordination.k8s.io/v1", "leases")
    }

    fn place(&self, api_version: &str, resource: &str) -> Place {
        Place::namespaced(api_version, resource, &self.release.namespace)
    }

    fn selector(&self) -> String {
        format!("owner=helm,name={}", self.release.name)
    }

    async fn resource(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Resource>, ClusterError> {
        let known = {
            let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            kinds.get(api_version).and_then(|kinds| kinds.get(kind).cloned())
        };
        if known.is_some() {
            return Ok(known);
        }
        self.learn(api_version).await?;
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(kinds.get(api_version).and_then(|kinds| kinds.get(kind).cloned()))
    }

    /// Asks which kinds the cluster serves in a group and version now.
    pub(crate) async fn learn(&self, api_version: &str) -> Result<(), ClusterError> {
        let list = found(self.ask::<Value>(Ask::kinds(api_version)).await)?;
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.insert(api_version.to_owned(), list.as_ref().map(kinds_of).unwrap_or_default());
        Ok(())
    }

    /// Whether it served a kind when it was asked last. None when it never was.
    pub(crate) fn is_served(&self, api_version: &str, kind: &str) -> Option<bool> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.get(api_version).map(|kinds| kinds.contains_key(kind))
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClusterError> {
        self.cluster.ask(ask, self.timeout).await
    }
}

fn kinds_of(list: &Value) -> BTreeMap<String, Resource> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let resources = list.get("resources").and_then(Value::as_array);
    resources
        .into_iter()
        .flatten()
        .filter_map(|resource| {
            let plural = text(resource, "name").filter(|name| !name.contains('/'))?;
            let namespaced = resource.get("namespaced").and_then(Value::as_bool)?;
            Some((text(resource, "kind")?, Resource { plural, namespaced }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_and_subresources_are_not() {
        let list = json!({"resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true},
            {"name": "nodes", "kind": "Node", "namespaced": false}]});
        let kinds = kinds_of(&list);
        assert_eq!(kinds.len(), 2);
        assert_eq!(
            kinds["Deployment"],
            Resource { plural: "deployments".into(), namespaced: true }
        );
        assert!(!kinds["Node"].namespaced);
    }
}
