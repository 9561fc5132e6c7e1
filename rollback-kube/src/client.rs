//! All input and output: what is asked of the API server about one workload.

use crate::config::Workload;
use crate::objects::{Kept, Object, Pod, RawRevision};
use core::time::Duration;
use rollback_cluster::{Ask, Cluster, ClusterError, List, Place, Watch};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What this adapter is called where the API server notes who changed what.
pub(crate) const FIELD_MANAGER: &str = "rollback-kube";

/// How many objects of one list are read: a history keeps ten by default, and nobody looks at more
/// pods than this to know why a rollout waits.
const LIST_MAX: usize = 500;

/// One workload of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    cluster: Cluster,
    workload: Workload,
    timeout: Duration,
}

/// Whether a write is only tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dry {
    Run,
    No,
}

impl Client {
    pub(crate) const fn new(cluster: Cluster, workload: Workload, timeout: Duration) -> Self {
        Self { cluster, workload, timeout }
    }

    pub(crate) async fn read(&self) -> Result<Object, ClusterError> {
        self.ask(Ask::get(&self.workloads(), &self.workload.name)).await
    }

    /// Every revision that is kept of this workload and holds a template, newest first.
    pub(crate) async fn kept(&self, object: &Object) -> Result<Vec<Kept>, ClusterError> {
        let kind = self.workload.kind;
        let revisions = self.place("apps/v1", kind.history());
        let list = self.belonging(&revisions, object)?;
        let tried = list.tried().clone();
        let list: List<RawRevision> = self.ask(list).await?;
        let mut kept: Vec<Kept> = list
            .whole(tried, "narrow the workload's selector")?
            .items
            .into_iter()
            .filter(|raw| raw.metadata.is_owned_by(&object.metadata.uid))
            .filter_map(|raw| Kept::read(kind, raw))
            .collect();
        kept.sort_by(|a, b| {
            let created = |it: &Kept| it.meta.creation_timestamp;
            b.number.cmp(&a.number).then_with(|| created(b).cmp(&created(a)))
        });
        Ok(kept)
    }

    /// The workload's pods; of a crowd, some.
    pub(crate) async fn pods(&self, object: &Object) -> Result<Vec<Pod>, ClusterError> {
        let list: List<Pod> = self.ask(self.belonging(&self.place("v1", "pods"), object)?).await?;
        Ok(list.items)
    }

    pub(crate) async fn patch(&self, patch: &Value, dry: Dry) -> Result<Object, ClusterError> {
        let patch = Ask::patch(&self.workloads(), &self.workload.name, patch, FIELD_MANAGER);
        self.ask(if dry == Dry::Run { patch.rehearsed() } else { patch }).await
    }

    /// Watches the workload, from after `version` on.
    pub(crate) async fn watch(&self, version: &str) -> Result<Watch, ClusterError> {
        let watch = Ask::watch(&self.workloads(), version).only(&self.workload.name);
        self.cluster.watch(watch, self.timeout).await
    }

    fn place(&self, api_version: &str, resource: &str) -> Place {
        Place::namespaced(api_version, resource, &self.workload.namespace)
    }

    fn workloads(&self) -> Place {
        self.place("apps/v1", self.workload.kind.resource())
    }

    /// The list of what the workload's selector finds.
    fn belonging(&self, place: &Place, object: &Object) -> Result<Ask, ClusterError> {
        let list = Ask::list(place, LIST_MAX);
        match object.spec.selector.query() {
            Some(selector) => Ok(list.labelled(selector)),
            None => Err(ClusterError::refused(
                list.tried().clone(),
                "the workload's selector is not understood",
            )),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClusterError> {
        self.cluster.ask(ask, self.timeout).await
    }
}
