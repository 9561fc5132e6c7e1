//! What this adapter keeps in the cluster, all of it: one Lease for each release, which says what
//! became of every order, and that whoever carries one out is alive.
//!
//! It is where an order is decided. Helm's record of a rollback can be created late, by a request
//! that was long given up; it takes effect only once the order stands here as running, and that is a
//! conditional write, which a fence has made fail.

use crate::client::Client;
use crate::error::HelmError;
use rollback_cluster::{ClusterError, Meta};
use rollback_core::{Label, RevisionId, RollbackId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The orders, newest first, as JSON.
const ORDERS: &str = "rollback-rs.github.io/orders";
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
    /// Helm ended, and the target is live.
    Complete,
    /// Helm ended otherwise.
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
}

impl Entry {
    /// An order that never takes effect.
    pub(crate) const fn void(order: RollbackId, at: Timestamp) -> Self {
        Self { order, state: State::Void, at, to: None, made: None, message: None }
    }

    /// The execution's name, once there is one.
    pub(crate) fn execution(&self) -> Option<String> {
        let (number, uid) = self.made.as_ref()?;
        Some(crate::record::id_of(*number, uid))
    }
}

/// The journal of a release, as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) entries: Vec<Entry>,
    /// When whoever carries an order out said last that it is alive: a text that changes.
    pub(crate) beat: String,
    /// None before the first order of the release.
    version: Option<String>,
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

    fn read(lease: &Value) -> Result<Self, HelmError> {
        let unreadable = |why| HelmError::Unreadable { what: "the journal of orders".into(), why };
        let meta: Meta = lease
            .get("metadata")
            .and_then(|meta| Meta::deserialize(meta).ok())
            .ok_or_else(|| unreadable("its Lease has no metadata"))?;
        let entries = match meta.annotation(ORDERS) {
            Some(text) => serde_json::from_str(text)
                .map_err(|_not_ours| unreadable("its annotation was changed by somebody else"))?,
            None => Vec::new(),
        };
        let beat = lease.pointer("/spec/renewTime").and_then(Value::as_str).unwrap_or_default();
        Ok(Self { entries, beat: beat.to_owned(), version: Some(meta.resource_version) })
    }

    fn write(&self, name: &str, holder: &str, now: Timestamp) -> Value {
        let orders = serde_json::to_string(&self.entries).unwrap_or_default();
        let mut meta = json!({
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "rollback-helm"},
            "annotations": {ORDERS: orders},
        });
        if let (Some(version), Some(meta)) = (&self.version, meta.as_object_mut()) {
            meta.insert("resourceVersion".into(), version.as_str().into());
        }
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": meta,
            "spec": {"holderIdentity": holder, "renewTime": micro_time(now)},
        })
    }

    fn with(mut self, entry: Entry) -> Self {
        self.entries.retain(|known| known.order != entry.order);
        self.entries.insert(0, entry);
        self.entries.truncate(ORDERS_KEPT);
        self
    }
}

/// A Lease insists on a fraction.
fn micro_time(at: Timestamp) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<6}Z")
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
        match self.lease(&self.journal_name()).await? {
            Some(lease) => Journal::read(&lease),
            None => Ok(Journal::default()),
        }
    }

    /// Writes an entry, unless the order stands there already in a state that `over` is not.
    ///
    /// A write whose answer is lost is looked for, and made again only where it is not found: it is
    /// conditional, so that the two cannot both happen.
    pub(crate) async fn note(
        &self,
        entry: &Entry,
        over: &[State],
        now: Timestamp,
    ) -> Result<Written, HelmError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let journal = self.journal().await?;
            if let Some(known) = journal.of(&entry.order) {
                if known == entry {
                    return Ok(Written::Done);
                }
                if !over.contains(&known.state) {
                    return Ok(Written::Ended(known.clone()));
                }
            }
            let exists = journal.version.is_some();
            let name = self.journal_name();
            let lease = journal.with(entry.clone()).write(&name, entry.order.as_str(), now);
            let written = if exists {
                self.put_lease(&name, &lease).await
            } else {
                self.create_lease(&name, &lease).await
            };
            match written {
                Ok(_lease) => return Ok(Written::Done),
                Err(error) if tries >= TRIES || !error.is_passing() => return Err(error.into()),
                Err(error) => tracing::debug!(%error, "the journal was not written; once more"),
            }
        }
    }

    /// Says that whoever carries an order out is alive. False when the order no longer runs.
    pub(crate) async fn beat(&self, order: &RollbackId, now: Timestamp) -> Result<bool, HelmError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let journal = self.journal().await?;
            if journal.of(order).is_none_or(|entry| entry.state != State::Running) {
                return Ok(false);
            }
            let name = self.journal_name();
            let lease = journal.write(&name, order.as_str(), now);
            match self.put_lease(&name, &lease).await {
                Ok(_lease) => return Ok(true),
                Err(ClusterError::Moved { .. }) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
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
        }
    }

    #[test]
    fn a_lease_is_read_as_it_was_written() {
        let journal = Journal::default()
            .with(entry("r1", State::Complete))
            .with(entry("r2", State::Void))
            .with(entry("r1", State::Failed));
        let lease = journal.write("rollback-helm.web", "r1", Timestamp::from_millis(1500));
        let read = Journal::read(&lease).unwrap();
        assert_eq!(read.entries, journal.entries);
        assert_eq!(read.entries.len(), 2, "an order stands there once");
        assert_eq!(read.beat, "1970-01-01T00:00:01.500000Z");
        assert_eq!(read.made(3, "cccccccc-1").unwrap().order.as_str(), "r1");
        assert!(read.execution("2@cccccccc").is_none());
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
        let mut lease = Journal::default().write("n", "r1", Timestamp::from_millis(0));
        lease["metadata"]["annotations"][ORDERS] = "[{\"order\":1}]".into();
        assert!(matches!(Journal::read(&lease), Err(HelmError::Unreadable { .. })));
        assert!(matches!(Journal::read(&json!({})), Err(HelmError::Unreadable { .. })));
    }

    #[test]
    fn a_time_has_six_digits_of_a_second() {
        for (millis, text) in [(0, "00.000000Z"), (1234, "01.234000Z"), (1050, "01.050000Z")] {
            assert!(micro_time(Timestamp::from_millis(millis)).ends_with(text));
        }
    }
}
