//! What this adapter keeps in the cluster, all of it: one ConfigMap for each release, which says what
//! became of every order, and that whoever carries one out is alive; and on helm's own record of a
//! rollback a copy of its entry, for as long as helm keeps that record as it is.
//!
//! It is where an order is decided. Helm's record of a rollback can be created late, by a request
//! that was long given up; it takes effect only once the order stands here as running, and that is a
//! conditional write, which a fence has made fail. Whoever ends an order in place of a process that
//! fell silent writes that down by a conditional write too: from then on that process can write
//! nothing here, and lets nothing of helm through.
//!
//! Earlier releases kept it in a Lease of the same name, which others sweep away. It is read where
//! there is no ConfigMap yet, and sealed before the first write, so that such a release, should one
//! still run, can decide nothing any more.

use crate::client::Client;
use crate::error::HelmError;
use crate::record::secret_name;
use rollback_cluster::{ClusterError, Meta};
use rollback_core::{Label, RevisionId, RollbackId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The orders, newest first, as JSON: a key of the ConfigMap, and the annotation of a former Lease.
const ORDERS: &str = "orders";
const FORMER_ORDERS: &str = "rollback-rs.github.io/orders";
/// Where a sealed Lease keeps them, out of sight of the release that wrote it.
const SEALED_ORDERS: &str = "rollback-rs.github.io/sealed-orders";
/// What a former release finds in their place, and cannot read.
const SEAL: &str = "moved to the ConfigMap of the same name by a newer release";
/// When whoever carries an order out was last alive.
const BEAT: &str = "beat";
/// Which order that is.
const HOLDER: &str = "holder";
/// The entry of the order that a record of helm's was made for, on the record, once it is known to
/// stand in the journal.
pub(crate) const COMMITTED: &str = "rollback-rs.github.io/committed";
/// Who wrote the journal: what a ConfigMap of somebody else's does not have. None of helm's labels,
/// and none by which the objects of a release are deleted together.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "rollback-helm");
/// What it tells whoever finds it.
const ABOUT: (&str, &str) = (
    "rollback-rs.github.io/about",
    "which rollbacks of this Helm release took effect; keep it as long as the release",
);
/// How many orders are kept: more than can be in doubt at once, few enough to be read by people.
const ORDERS_KEPT: usize = 20;
/// How often a write is built anew on what somebody else has written meanwhile.
const TRIES: usize = 5;

/// What became of an order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Helm may change the workloads.
    Running,
    /// Helm ended well, and the pods of the target come up. Nobody's process is needed for that.
    Applied,
    /// Helm ended, and the target is live.
    Complete,
    /// Helm ended otherwise, or the pods did not come up.
    Failed,
    /// It was fenced off before it took effect, and never will.
    Void,
}

/// One order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) order: RollbackId,
    pub(crate) state: State,
    pub(crate) at: Timestamp,
    /// The revision to return to; a void order needs none.
    #[serde(default)]
    pub(crate) to: Option<RevisionId>,
    /// The revision that helm made for it, and its Secret's UID; a void order has none.
    #[serde(default)]
    pub(crate) made: Option<(u32, String)>,
    #[serde(default)]
    pub(crate) message: Option<Label>,
    /// Whether another process ended it, because the one that carried it out fell silent.
    #[serde(default)]
    pub(crate) taken_over: bool,
}

impl Entry {
    /// An order that helm carries out.
    pub(crate) fn running(
        order: RollbackId,
        at: Timestamp,
        to: RevisionId,
        made: (u32, String),
    ) -> Self {
        let (state, to, made) = (State::Running, Some(to), Some(made));
        Self { order, state, at, to, made, message: None, taken_over: false }
    }

    /// An order that never takes effect.
    pub(crate) const fn void(order: RollbackId, at: Timestamp) -> Self {
        let state = State::Void;
        Self { order, state, at, to: None, made: None, message: None, taken_over: false }
    }

    /// The same order, from now on in another state.
    pub(crate) fn then(&self, state: State, at: Timestamp, message: Option<Label>) -> Self {
        Self { state, at, message, ..self.clone() }
    }

    /// The execution's name, once there is one.
    pub(crate) fn execution(&self) -> Option<String> {
        let (number, uid) = self.made.as_ref()?;
        Some(crate::record::id_of(*number, uid))
    }

    /// What a record of helm's says of the order that it was made for. None when that was written on
    /// another record.
    pub(crate) fn on_record(meta: &Meta) -> Option<Self> {
        let entry: Self = serde_json::from_str(meta.annotation(COMMITTED)?).ok()?;
        let (_number, uid) = entry.made.as_ref()?;
        (*uid == meta.uid).then_some(entry)
    }
}

/// Where a journal was read, and as of which version.
#[derive(Clone, Debug, Default)]
enum Origin {
    /// Nowhere: before the first order of the release, or somebody removed it.
    #[default]
    Nowhere,
    ConfigMap {
        version: String,
    },
    /// The Lease of a former release, whole.
    Lease(Value),
}

/// The journal of a release, as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) entries: Vec<Entry>,
    /// When whoever carries an order out said last that it is alive: a text that changes.
    pub(crate) beat: String,
    origin: Origin,
}

fn unreadable(why: &'static str) -> HelmError {
    HelmError::Unreadable { what: "the journal of orders".into(), why }
}

fn meta_of(object: &Value) -> Result<Meta, HelmError> {
    let meta = object.get("metadata").and_then(|meta| Meta::deserialize(meta).ok());
    meta.ok_or_else(|| unreadable("it has no metadata"))
}

fn read_orders(text: Option<&str>) -> Result<Vec<Entry>, HelmError> {
    let entries = text.map_or_else(|| Ok(Vec::new()), serde_json::from_str);
    entries.map_err(|_not_ours| unreadable("its orders were changed by somebody else"))
}

impl Journal {
    pub(crate) fn of(&self, order: &RollbackId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.order == *order)
    }

    pub(crate) fn execution(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.execution().as_deref() == Some(name))
    }

    /// The order that made a revision.
    pub(crate) fn made(&self, number: u32, uid: &str) -> Option<&Entry> {
        self.execution(&crate::record::id_of(number, uid))
    }

    /// The order that helm carries out now.
    pub(crate) fn running(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.state == State::Running)
    }

    /// Adds what helm's records say of orders that are not in the journal: somebody removed it.
    pub(crate) fn and_on_records(mut self, metas: &[Meta]) -> Self {
        for entry in metas.iter().filter_map(Entry::on_record) {
            if self.of(&entry.order).is_none() {
                self.entries.push(entry);
            }
        }
        self
    }

    fn read(object: &Value) -> Result<Self, HelmError> {
        let meta = meta_of(object)?;
        if meta.label(MANAGED_BY.0) != Some(MANAGED_BY.1) {
            return Err(unreadable("its ConfigMap is somebody else's"));
        }
        let text = |key: &str| object.pointer(&format!("/data/{key}")).and_then(Value::as_str);
        Ok(Self {
            entries: read_orders(text(ORDERS))?,
            beat: text(BEAT).unwrap_or_default().to_owned(),
            origin: Origin::ConfigMap { version: meta.resource_version },
        })
    }

    /// Reads what a former release kept, sealed or not.
    fn read_lease(lease: Value) -> Result<Self, HelmError> {
        let meta = meta_of(&lease)?;
        let sealed = meta.annotation(SEALED_ORDERS);
        let entries = read_orders(sealed.or_else(|| meta.annotation(FORMER_ORDERS)))?;
        let beat = lease.pointer("/spec/renewTime").and_then(Value::as_str).unwrap_or_default();
        Ok(Self { entries, beat: beat.to_owned(), origin: Origin::Lease(lease) })
    }

    fn write(&self, name: &str) -> Value {
        let holder = self.running().map(|entry| entry.order.as_str()).unwrap_or_default();
        let orders = serde_json::to_string(&self.entries).unwrap_or_default();
        let mut meta = json!({
            "name": name,
            "labels": {MANAGED_BY.0: MANAGED_BY.1},
            "annotations": {ABOUT.0: ABOUT.1},
        });
        if let (Origin::ConfigMap { version }, Some(meta)) = (&self.origin, meta.as_object_mut()) {
            meta.insert("resourceVersion".into(), version.as_str().into());
        }
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {ORDERS: orders, HOLDER: holder, BEAT: self.beat},
        })
    }

    fn with(mut self, entry: Entry) -> Self {
        self.entries.retain(|known| known.order != entry.order);
        self.entries.insert(0, entry);
        self.entries.truncate(ORDERS_KEPT);
        self
    }

    /// The same, said by whoever carries the order out.
    fn alive(mut self, entry: Entry, now: Timestamp) -> Self {
        self.beat = now.to_string();
        self.with(entry)
    }
}

/// The Lease of a former release, so that it can write nothing any more. None when it is sealed.
fn sealed(lease: &Value) -> Option<Value> {
    let mut lease = lease.clone();
    let annotations = lease.pointer_mut("/metadata/annotations")?.as_object_mut()?;
    if annotations.contains_key(SEALED_ORDERS) {
        return None;
    }
    let orders = annotations.insert(FORMER_ORDERS.to_owned(), SEAL.into());
    annotations.insert(SEALED_ORDERS.to_owned(), orders.unwrap_or_else(|| "[]".into()));
    Some(lease)
}

/// What became of an attempt to write.
#[derive(Debug)]
pub(crate) enum Written {
    /// It stands.
    Done,
    /// The order was fenced off, or has ended.
    Ended(Entry),
}

impl Client {
    fn journal_name(&self) -> String {
        format!("rollback-helm.{}", self.release.name)
    }

    pub(crate) async fn journal(&self) -> Result<Journal, HelmError> {
        let name = self.journal_name();
        if let Some(object) = self.config_map(&name).await? {
            return Journal::read(&object);
        }
        match self.lease(&name).await? {
            Some(lease) => Journal::read_lease(lease),
            None => Ok(Journal::default()),
        }
    }

    /// What became of an order: by the journal, and where it does not know the order, by what stands
    /// on helm's records.
    pub(crate) async fn order(&self, order: &RollbackId) -> Result<Option<Entry>, HelmError> {
        let journal = self.journal().await?;
        self.known(&journal, order).await
    }

    async fn known(
        &self,
        journal: &Journal,
        order: &RollbackId,
    ) -> Result<Option<Entry>, HelmError> {
        if let Some(entry) = journal.of(order) {
            return Ok(Some(entry.clone()));
        }
        let metas = self.list().await?.metas;
        Ok(metas.iter().filter_map(Entry::on_record).find(|entry| entry.order == *order))
    }

    /// Writes an entry, unless the order stands there already in a state that `over` does not allow.
    ///
    /// A write whose answer is lost is looked for, and made again only where it is not found: it is
    /// conditional, so that the two cannot both happen. An error after that leaves it in doubt.
    pub(crate) async fn note(
        &self,
        entry: &Entry,
        over: impl Fn(&Entry) -> bool + Send + Sync,
        now: Timestamp,
    ) -> Result<Written, HelmError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let journal = self.journal().await?;
            if journal.of(&entry.order) == Some(entry) {
                return Ok(Written::Done);
            }
            if let Some(known) = self.known(&journal, &entry.order).await?
                && known != *entry
                && !over(&known)
            {
                return Ok(Written::Ended(known));
            }
            let journal = if entry.state == State::Running {
                journal.alive(entry.clone(), now)
            } else {
                journal.with(entry.clone())
            };
            match self.write(journal).await {
                Ok(()) => return Ok(Written::Done),
                Err(error) if tries >= TRIES || !error.is_passing() => return Err(error.into()),
                Err(error) => tracing::debug!(%error, "the journal was not written; once more"),
            }
        }
    }

    /// Says that whoever carries an order out is alive. False when the order no longer runs: it ended,
    /// or somebody took it over.
    pub(crate) async fn beat(&self, order: &RollbackId, now: Timestamp) -> Result<bool, HelmError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let journal = self.journal().await?;
            let known = self.known(&journal, order).await?;
            let Some(entry) = known.filter(|entry| entry.state == State::Running) else {
                return Ok(false);
            };
            match self.write(journal.alive(entry, now)).await {
                Ok(()) => return Ok(true),
                Err(ClusterError::Moved { .. }) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends an order in place of whoever carried it out, and writes that down, unless anything was
    /// written since `journal` was read: then nobody has fallen silent. False in that case.
    pub(crate) async fn take_over(
        &self,
        journal: &Journal,
        entry: &Entry,
    ) -> Result<bool, HelmError> {
        let entry = Entry { taken_over: true, ..entry.clone() };
        match self.write(journal.clone().with(entry.clone())).await {
            Ok(()) => {}
            Err(ClusterError::Moved { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.mark(&entry).await;
        Ok(true)
    }

    /// Copies an entry that is known to stand in the journal onto helm's record of it.
    pub(crate) async fn mark(&self, entry: &Entry) {
        let Some((number, uid)) = &entry.made else { return };
        let Ok(text) = serde_json::to_string(entry) else { return };
        let name = secret_name(&self.release.name, *number);
        if let Err(error) = self.annotate_secret(&name, uid, COMMITTED, &text).await {
            // The journal has it, and this is for the day on which somebody removes that.
            tracing::debug!(%error, "what became of an order is not on helm's record");
        }
    }

    /// Writes the journal as the successor of the version that was read.
    async fn write(&self, journal: Journal) -> Result<(), ClusterError> {
        let name = self.journal_name();
        let object = journal.write(&name);
        match &journal.origin {
            Origin::ConfigMap { .. } => self.put_config_map(&name, &object).await,
            Origin::Nowhere => self.create_config_map(&name, &object).await,
            Origin::Lease(lease) => {
                if let Some(sealed) = sealed(lease) {
                    self.put_lease(&name, &sealed).await?;
                }
                self.create_config_map(&name, &object).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(order: &str, state: State) -> Entry {
        Entry {
            order: order.parse().unwrap(),
            state,
            at: Timestamp::from_millis(1000),
            to: Some("1@aaaaaaaa".parse().unwrap()),
            made: (state != State::Void).then(|| (3, "cccccccc-1".to_owned())),
            message: None,
            taken_over: false,
        }
    }

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let journal = Journal::default()
            .with(entry("r1", State::Complete))
            .with(entry("r2", State::Void))
            .with(entry("r1", State::Failed));
        let journal = journal.alive(entry("r3", State::Running), Timestamp::from_millis(1500));
        let read = Journal::read(&journal.write("rollback-helm.web")).unwrap();
        assert_eq!(read.entries, journal.entries);
        assert_eq!(read.entries.len(), 3, "an order stands there once");
        assert_eq!(read.beat, Timestamp::from_millis(1500).to_string());
        assert_eq!(read.running().unwrap().order.as_str(), "r3");
        assert_eq!(read.made(3, "cccccccc-1").unwrap().order.as_str(), "r3");
        assert!(read.execution("2@cccccccc").is_none());
    }

    #[test]
    fn an_order_in_another_state_says_when_and_why_and_is_the_same_order() {
        let running = entry("r1", State::Running);
        let at = Timestamp::from_millis(2000);
        let ended = running.then(State::Failed, at, Some("no".into()));
        assert_eq!((ended.state, ended.at, ended.message), (State::Failed, at, Some("no".into())));
        assert_eq!((ended.order, ended.to, ended.made), (running.order, running.to, running.made));
    }

    #[test]
    fn a_journal_keeps_its_newest_orders() {
        let mut journal = Journal::default();
        for number in 0..ORDERS_KEPT + 5 {
            journal = journal.with(entry(&format!("r{number}"), State::Void));
        }
        assert_eq!(journal.entries.len(), ORDERS_KEPT);
        assert!(journal.of(&"r24".parse().unwrap()).is_some());
        assert!(journal.of(&"r0".parse().unwrap()).is_none());
    }

    #[test]
    fn a_journal_that_somebody_else_changed_is_an_error_and_not_an_empty_one() {
        let mut object = Journal::default().write("n");
        object["data"][ORDERS] = "[{\"order\":1}]".into();
        assert!(matches!(Journal::read(&object), Err(HelmError::Unreadable { .. })));
        assert!(matches!(Journal::read(&json!({})), Err(HelmError::Unreadable { .. })));
        let charts_own = json!({"metadata": {"name": "rollback-helm.web"}, "data": {}});
        assert!(matches!(Journal::read(&charts_own), Err(HelmError::Unreadable { .. })));
    }

    /// As release 0.1 wrote it.
    fn former_lease() -> Value {
        let orders = serde_json::to_string(&[entry("r1", State::Running)]).unwrap();
        let orders = orders.replace(",\"taken_over\":false", "");
        json!({"metadata": {"name": "rollback-helm.web", "resourceVersion": "7",
                "annotations": {FORMER_ORDERS: orders}},
            "spec": {"holderIdentity": "r1", "renewTime": "2026-11-22T09:30:00.000000Z"}})
    }

    #[test]
    fn what_a_former_release_kept_is_read_and_sealed_once() {
        let read = Journal::read_lease(former_lease()).unwrap();
        assert_eq!(read.entries, [entry("r1", State::Running)]);
        assert_eq!(read.beat, "2026-11-22T09:30:00.000000Z");
        let sealed_lease = sealed(&former_lease()).unwrap();
        let former = &sealed_lease["metadata"]["annotations"][FORMER_ORDERS];
        let as_the_former_release_reads_it: Result<Vec<Entry>, _> =
            serde_json::from_str(former.as_str().unwrap());
        assert!(as_the_former_release_reads_it.is_err(), "it could go on: {former}");
        assert_eq!(sealed_lease["metadata"]["resourceVersion"], "7", "a conditional write");
        assert_eq!(Journal::read_lease(sealed_lease.clone()).unwrap().entries, read.entries);
        assert_eq!(sealed(&sealed_lease), None);
    }

    #[test]
    fn an_order_whose_journal_was_removed_is_known_from_helms_record_and_from_no_other() {
        let running = entry("r1", State::Running);
        let text = serde_json::to_string(&running).unwrap();
        let meta = |uid: &str| Meta {
            uid: uid.to_owned(),
            annotations: Some([(COMMITTED.to_owned(), text.clone())].into()),
            ..Meta::default()
        };
        let found = Journal::default().and_on_records(&[meta("cccccccc-1")]);
        assert_eq!(found.running(), Some(&running));
        let copied = Journal::default().and_on_records(&[meta("dddddddd-1")]);
        assert_eq!(copied.running(), None, "somebody copied the annotation");
        let ended = Journal::default().with(entry("r1", State::Failed));
        let known = ended.and_on_records(&[meta("cccccccc-1")]);
        assert_eq!(known.running(), None, "the journal counts where it knows the order");
    }
}
