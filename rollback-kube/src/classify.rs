//! All decisions, and no input or output: from what was seen of a workload to what it means.

use crate::config::Kind;
use crate::marks::{self, Mark};
use crate::objects::{Kept, Object, Pod};
use crate::pods::{self, Trouble};
use crate::rollout::{self, Rollout};
use core::time::Duration;
use rollback_cluster::{Meta, short};
use rollback_core::observed::{InProgress, Live, OperationKind};
use rollback_core::{
    Label, Migrations, Presence, Restorable, Revision, RevisionId, RevisionRef, RevisionStatus,
    RollbackId, Timestamp,
};
use serde_json::Value;

/// How many images a version names.
const IMAGES_SHOWN: usize = 3;
/// How much of a digest is shown.
const DIGEST_SHOWN: usize = 12;

/// One look at a workload and its history.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) object: Object,
    /// Newest first.
    pub(crate) kept: Vec<Kept>,
}

/// How long things may take before they are called something else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) deadline: Duration,
    pub(crate) grace: Duration,
    pub(crate) stuck_after: Duration,
}

/// None when the name is longer than an identity may be.
pub(crate) fn id(kept: &Kept) -> Option<RevisionId> {
    RevisionId::parse(format!("{}@{}", kept.meta.name, short(&kept.meta.uid))).ok()
}

pub(crate) fn reference(kept: &Kept) -> Option<RevisionRef> {
    let mut reference = RevisionRef::new(id(kept)?);
    reference.version = version(&kept.template);
    Some(reference)
}

/// The version label that Kubernetes recommends, else the images.
fn version(template: &Value) -> Option<Label> {
    let label = template.pointer("/metadata/labels/app.kubernetes.io~1version");
    if let Some(version) = label.and_then(Value::as_str) {
        return Some(Label::new(version));
    }
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let images: Vec<String> = containers
        .iter()
        .filter_map(|container| container.get("image")?.as_str())
        .take(IMAGES_SHOWN)
        .map(image)
        .collect();
    (!images.is_empty()).then(|| Label::new(images.join(", ")))
}

/// An image without its registry, and with as much of its digest as can be read.
fn image(name: &str) -> String {
    let short = name.rsplit('/').next().unwrap_or(name);
    match short.split_once("@sha256:") {
        Some((name, digest)) => {
            format!("{name}@{}", digest.get(..DIGEST_SHOWN).unwrap_or(digest))
        }
        None => short.to_owned(),
    }
}

fn migrations(template: &Value) -> Migrations {
    let written = template
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(marks::MIGRATIONS)?.as_str());
    // What cannot be read is not known.
    written
        .and_then(|text| serde_json::from_str(text).ok())
        .map_or(Migrations::Unknown, Migrations::Known)
}

impl Seen {
    /// The revision that the specification asks for now: none while the controller has not yet
    /// taken it up.
    pub(crate) fn live(&self) -> Option<&Kept> {
        let same = self.kept.iter().find(|kept| kept.is(&self.object.spec.template));
        if same.is_some() || !rollout::is_observed(&self.object) {
            return same;
        }
        // A newer API server may write defaults into a template that an older one did not.
        match self.kind {
            Kind::Deployment => None,
            Kind::StatefulSet => {
                let name = &self.object.status.update_revision;
                self.kept.iter().find(|kept| kept.meta.name == *name)
            }
            Kind::DaemonSet => self.kept.first(),
        }
    }

    pub(crate) fn find(&self, wanted: &RevisionId) -> Option<&Kept> {
        self.kept.iter().find(|kept| id(kept).as_ref() == Some(wanted))
    }

    /// The mark that this order left, on the workload or on a revision that took it over.
    pub(crate) fn mark_of(&self, order: &RollbackId) -> Option<Mark> {
        let metas = core::iter::once(&self.object.metadata);
        let mut all = metas.chain(self.kept.iter().map(|kept| &kept.meta)).flat_map(marks::orders);
        all.find(|mark| mark.id == *order)
    }

    /// The deploy history, newest first.
    pub(crate) fn history(&self, pods: &[Pod], now: Timestamp, bounds: Bounds) -> Vec<Revision> {
        let live = self.live().map(|live| &live.meta.uid);
        self.kept
            .iter()
            .filter_map(|kept| {
                let mut revision = Revision::new(id(kept)?);
                revision.version = version(&kept.template);
                revision.deployed_at = self.deployed_at(kept);
                revision.status = if Some(&kept.meta.uid) == live {
                    self.live_status(pods, now, bounds)
                } else {
                    RevisionStatus::Superseded
                };
                revision.restorable = Restorable::Yes;
                revision.migrations = migrations(&kept.template);
                for name in kept.names() {
                    revision.call(name, kept.meta.creation_timestamp);
                }
                Some(revision)
            })
            .collect()
    }

    fn live_status(&self, pods: &[Pod], now: Timestamp, bounds: Bounds) -> RevisionStatus {
        match rollout::status(self.kind, &self.object) {
            Rollout::Done(_) => RevisionStatus::Succeeded,
            Rollout::Failed(_) => RevisionStatus::Failed,
            Rollout::Waiting(_) if self.is_stuck(pods, now, bounds) => RevisionStatus::Failed,
            Rollout::Waiting(_) => RevisionStatus::Unknown,
        }
    }

    /// When a revision went live the last time. Kubernetes only notes the first time; of a
    /// revision that came back, our own note is all there is.
    fn deployed_at(&self, kept: &Kept) -> Option<Timestamp> {
        let created = kept.meta.creation_timestamp;
        let certain = self.tells_who_came_back();
        // It has the greater number, and the other one was made later: it came back. Kubernetes
        // counts in whole seconds, so that within one the times say nothing and the numbers all.
        let overtaken = |other: &Kept| {
            let made = other.meta.creation_timestamp;
            other.number < kept.number && (made > created || (made == created && !certain))
        };
        if !kept.again && !self.kept.iter().any(overtaken) {
            return created;
        }
        let ours = marks::orders(&self.object.metadata);
        ours.into_iter().find(|mark| mark.to == kept.meta.name).map(|mark| mark.at)
    }

    /// Whether a revision that came back is known to have: a ReplicaSet keeps the numbers that it had
    /// before. A ControllerRevision gets a new one and forgets the old, which is then missing among
    /// the numbers.
    fn tells_who_came_back(&self) -> bool {
        match self.kind {
            Kind::Deployment => true,
            Kind::StatefulSet | Kind::DaemonSet => {
                let mut numbers: Vec<i64> = self.kept.iter().map(|kept| kept.number).collect();
                numbers.sort_unstable();
                numbers.into_iter().eq((1..).take(self.kept.len()))
            }
        }
    }

    pub(crate) fn state(&self, pods: &[Pod], now: Timestamp, bounds: Bounds) -> Live {
        let mut live = Live::default();
        live.revision = self.live().and_then(reference);
        live.in_progress = Presence::seen(self.in_progress(pods, now, bounds));
        live
    }

    /// What is being rolled out. A rollout whose pods fail is stuck, not in progress: it must not
    /// stand in the way of its own rollback.
    fn in_progress(&self, pods: &[Pod], now: Timestamp, bounds: Bounds) -> Option<InProgress> {
        let live = self.live();
        let waits = match rollout::status(self.kind, &self.object) {
            Rollout::Done(_) | Rollout::Failed(_) => live.is_none(),
            Rollout::Waiting(_) => live.is_none() || !self.is_stuck(pods, now, bounds),
        };
        if !waits {
            return None;
        }
        let newest = marks::orders(&self.object.metadata).into_iter().next();
        let ours = newest.filter(|mark| live.is_some_and(|live| live.meta.name == mark.to));
        Some(match ours {
            Some(mark) => {
                let mut operation = InProgress::new(OperationKind::Rollback);
                operation.since = Some(mark.at);
                operation.operation_id = Some(mark.id);
                operation
            }
            None => {
                let mut operation = InProgress::new(OperationKind::Deploy);
                operation.since = live.and_then(|live| self.deployed_at(live));
                operation
            }
        })
    }

    fn is_stuck(&self, pods: &[Pod], now: Timestamp, bounds: Bounds) -> bool {
        let Some(live) = self.live().filter(|_| rollout::is_observed(&self.object)) else {
            return false;
        };
        let mut own = pods.iter().filter(|pod| live.owns(pod));
        let old = self.trapped(live, pods);
        live.cannot_create.is_some()
            || self.troubles(live, pods).iter().any(|it| it.gravity > pods::Gravity::Passing)
            || own.any(|pod| pods::is_overdue(pod, now, bounds.stuck_after))
            || old.iter().any(|pod| pods::is_overdue(pod, now, bounds.stuck_after))
    }

    fn troubles(&self, of: &Kept, pods: &[Pod]) -> Vec<Trouble> {
        pods::troubles(pods.iter().filter(|pod| of.owns(pod)))
    }

    /// The pods of earlier revisions that an ordered StatefulSet waits for, and that will never
    /// become ready: it does not replace them by itself.
    pub(crate) fn trapped<'a>(&self, target: &Kept, pods: &'a [Pod]) -> Vec<&'a Pod> {
        let ordered = self.kind == Kind::StatefulSet
            && self.object.spec.pod_management_policy.as_deref() != Some("Parallel");
        let stays = |pod: &&Pod| {
            pod.metadata.is_owned_by(&self.object.metadata.uid)
                && !target.owns(pod)
                && !pods::is_ready(pod)
        };
        if ordered { pods.iter().filter(stays).collect() } else { Vec::new() }
    }

    /// When a pod of this revision last became ready.
    pub(crate) fn last_ready(target: &Kept, pods: &[Pod]) -> Option<Timestamp> {
        pods::last_ready(pods.iter().filter(|pod| target.owns(pod)))
    }

    /// What is wrong with the rollout of a revision, and whether waiting can help.
    pub(crate) fn diagnosis(&self, target: &Kept, pods: &[Pod]) -> Option<Diagnosis> {
        let troubles = self.troubles(target, pods);
        if let (Some(first), Some(words)) = (troubles.first(), pods::in_words(&troubles)) {
            let gravity = first.gravity;
            let since =
                troubles.iter().filter(|it| it.gravity == gravity).filter_map(|it| it.since);
            return Some(Diagnosis { gravity, since: since.min(), words });
        }
        let gravity = pods::Gravity::MayHeal;
        if let Some((why, since)) = &target.cannot_create {
            let words = format!("its pods cannot be created: {}", pods::clip(why));
            return Some(Diagnosis { gravity, since: *since, words });
        }
        let trapped = self.trapped(target, pods);
        let pod = trapped.first()?;
        // A pod that has just been replaced is not ready for a moment either.
        let since = pods::troubles([*pod]).first()?.since;
        Some(Diagnosis { gravity, since, words: trap_words(&pod.metadata) })
    }
}

/// What is wrong with a rollout.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Diagnosis {
    pub(crate) gravity: pods::Gravity,
    /// Since when the longest of these troubles lasts, by the cluster's clock.
    pub(crate) since: Option<Timestamp>,
    pub(crate) words: String,
}

/// What to do about a pod that an ordered StatefulSet will not replace.
pub(crate) fn trap_words(pod: &Meta) -> String {
    format!(
        "pod `{name}` still runs the broken revision, and a StatefulSet with OrderedReady does not replace it by itself; delete pod `{name}`",
        name = pod.name
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::objects::RawRevision;
    use rollback_core::Reversible;
    use rollback_core::named::resolve;
    use serde_json::json;

    pub(crate) const AT: &str = "2026-11-22T09:00:00Z";

    pub(crate) fn at(seconds: u64) -> Timestamp {
        Timestamp::parse(AT).unwrap().after(Duration::from_secs(seconds))
    }

    pub(crate) fn bounds() -> Bounds {
        Bounds {
            deadline: Duration::from_secs(600),
            grace: Duration::from_secs(120),
            stuck_after: Duration::from_secs(60),
        }
    }

    pub(crate) fn template(image: &str) -> Value {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": image}]}})
    }

    pub(crate) fn kept(name: &str, number: i64, image: &str) -> Kept {
        let raw = json!({"metadata": {"name": name, "uid": format!("{name}-uid-0123"),
            "creationTimestamp": at(u64::try_from(number).unwrap()).to_string(),
            "annotations": {"deployment.kubernetes.io/revision": number.to_string()}},
            "spec": {"template": template(image)}});
        Kept::read(Kind::Deployment, serde_json::from_value::<RawRevision>(raw).unwrap()).unwrap()
    }

    /// Three revisions, the newest live and rolled out.
    pub(crate) fn seen() -> Seen {
        let object = json!({
            "metadata": {"name": "web", "uid": "0123456789", "generation": 3, "annotations": {}},
            "spec": {"replicas": 2, "template": template("shop:3")},
            "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        });
        Seen {
            kind: Kind::Deployment,
            object: serde_json::from_value(object).unwrap(),
            kept: vec![
                kept("web-c", 3, "shop:3"),
                kept("web-b", 2, "shop:2"),
                kept("web-a", 1, "shop:1"),
            ],
        }
    }

    pub(crate) fn pod_of(owner: &Kept, status: &Value) -> Pod {
        let meta = json!({"name": "web-x", "creationTimestamp": AT,
            "ownerReferences": [{"uid": owner.meta.uid, "controller": true}]});
        serde_json::from_value(json!({"metadata": meta, "status": status})).unwrap()
    }

    #[test]
    fn live_is_the_revision_whose_template_the_specification_has() {
        let mut seen = seen();
        assert_eq!(seen.live().unwrap().meta.name, "web-c");
        // The highest number is not what runs: after an undo the old one has not got it yet.
        seen.object.spec.template = template("shop:1");
        assert_eq!(seen.live().unwrap().meta.name, "web-a");
        seen.object.spec.template = template("shop:4");
        assert!(seen.live().is_none());
        let live = seen.state(&[], at(0), bounds());
        assert_eq!(live.revision, None);
        assert_eq!(live.in_progress.something().unwrap().kind, OperationKind::Deploy);
    }

    #[test]
    fn a_stateful_set_that_was_observed_runs_the_revision_it_names() {
        let mut seen = Seen { kind: Kind::StatefulSet, ..seen() };
        seen.object.spec.template = template("defaulted-anew");
        seen.object.status.update_revision = "web-b".into();
        assert_eq!(seen.live().unwrap().meta.name, "web-b");
        seen.object.status.observed_generation = 2;
        assert!(seen.live().is_none());
    }

    #[test]
    fn a_history_names_each_revision_by_name_and_uid_and_says_what_is_known_of_it() {
        let history = seen().history(&[], at(100), bounds());
        let ids: Vec<&str> = history.iter().map(|revision| revision.id.as_str()).collect();
        assert_eq!(ids, ["web-c@web-c-ui", "web-b@web-b-ui", "web-a@web-a-ui"]);
        let statuses: Vec<_> = history.iter().map(|revision| revision.status).collect();
        let (succeeded, superseded) = (RevisionStatus::Succeeded, RevisionStatus::Superseded);
        assert_eq!(statuses, [succeeded, superseded, superseded]);
        assert_eq!(history[1].version, Some("shop:2".into()));
        assert_eq!(history[1].deployed_at, Some(at(2)));
        assert_eq!(history[1].migrations, Migrations::Unknown);
    }

    #[test]
    fn a_deploy_is_found_by_the_number_or_the_name_that_the_team_knows() {
        let mut seen = seen();
        // Revision 1 came back as revision 4.
        seen.kept[2].number = 4;
        seen.kept[2].numbers_before = vec![1];
        seen.kept.rotate_right(1);
        let history = seen.history(&[], at(100), bounds());
        let found = |name: &str, when: u64| {
            let name = name.parse().unwrap();
            resolve(&name, Some(at(when)), &history, None).map(String::from)
        };
        assert_eq!(found("3", 3), Ok("web-c@web-c-ui".into()));
        assert_eq!(found("web-b", 2), Ok("web-b@web-b-ui".into()));
        assert_eq!(found("4", 100), Ok("web-a@web-a-ui".into()));
        assert_eq!(
            found("1", 1),
            Ok("web-a@web-a-ui".into()),
            "a late report of a number that moved"
        );
        assert!(found("5", 100).is_err());
        // Of a workload that was made anew, the number means another revision now.
        let before_it_was_made = Timestamp::parse("2026-11-21T09:00:00Z").unwrap();
        let late = resolve(&"3".parse().unwrap(), Some(before_it_was_made), &history, None);
        assert!(late.unwrap_err().to_string().contains("another revision was meant"));
    }

    #[test]
    fn when_a_revision_came_back_is_known_only_from_our_own_note() {
        let mut seen = seen();
        seen.kept[0] = kept("web-c", 3, "shop:3");
        seen.kept[2].number = 4;
        seen.kept.rotate_right(1);
        let history = seen.history(&[], at(100), bounds());
        assert_eq!(history[0].deployed_at, None, "it was made before web-c and went live after it");
        assert_eq!(history[1].deployed_at, Some(at(3)));
        let mark =
            Mark { id: "r1".parse().unwrap(), to: "web-a".into(), at: at(50), generation: 4 };
        let orders = marks::with_order(&seen.object.metadata, mark);
        seen.object.metadata.annotations = Some([(marks::ORDERS.to_owned(), orders)].into());
        assert_eq!(seen.history(&[], at(100), bounds())[0].deployed_at, Some(at(50)));
    }

    #[test]
    fn of_two_deploys_within_one_second_the_numbers_tell_which_came_first() {
        for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
            let mut seen = Seen { kind, ..seen() };
            seen.kept.iter_mut().for_each(|kept| kept.meta.creation_timestamp = Some(at(7)));
            let times = |seen: &Seen| -> Vec<bool> {
                let history = seen.history(&[], at(100), bounds());
                history.iter().map(|it| it.deployed_at == Some(at(7))).collect()
            };
            assert_eq!(times(&seen), [true; 3], "{kind:?}");
            // The first one came back: a ReplicaSet says so, of a ControllerRevision the old number
            // is missing, and whether it is the one is not known.
            seen.kept[2].number = 4;
            seen.kept[2].again = kind == Kind::Deployment;
            seen.kept.rotate_right(1);
            let expected =
                if kind == Kind::Deployment { [false, true, true] } else { [false, false, true] };
            assert_eq!(times(&seen), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_version_is_the_recommended_label_or_else_the_images() {
        let digest = "registry.example.com/team/shop:2@sha256:0123456789abcdef0123";
        let table = [
            (json!({"metadata": {"labels": {"app.kubernetes.io/version": "2.1"}}}), Some("2.1")),
            (template(digest), Some("shop:2@0123456789ab")),
            (
                json!({"spec": {"containers": [{"image": "a:1"}, {"image": "x/b:2"}]}}),
                Some("a:1, b:2"),
            ),
            (json!({"spec": {"containers": []}}), None),
            (json!({}), None),
        ];
        for (template, expected) in table {
            assert_eq!(version(&template).as_ref().map(Label::as_str), expected, "{template}");
        }
    }

    #[test]
    fn migrations_are_read_from_the_template_and_nonsense_is_unknown() {
        let written = |text: &str| {
            migrations(&json!({"metadata": {"annotations": {marks::MIGRATIONS: text}}}))
        };
        assert_eq!(written("[]"), Migrations::Known(Vec::new()));
        let Migrations::Known(list) = written(r#"[{"id": "drop", "reversible": "no"}]"#) else {
            panic!("not read");
        };
        assert_eq!(list[0].reversible, Reversible::No);
        assert_eq!(written("none"), Migrations::Unknown);
        assert_eq!(migrations(&json!({})), Migrations::Unknown);
    }

    #[test]
    fn a_rollout_whose_pods_fail_is_stuck_and_one_that_only_takes_its_time_is_in_progress() {
        let mut seen = seen();
        seen.object.status.available_replicas = 1;
        let live = seen.kept[0].clone();
        let starting = pod_of(
            &live,
            &json!({"conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": AT}]}),
        );
        let failing = pod_of(
            &live,
            &json!({"containerStatuses": [
            {"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
        );
        let busy =
            |pods: &[Pod], now| seen.state(pods, now, bounds()).in_progress.something().is_some();
        let status =
            |pods: &[Pod], now| seen.history(pods, now, bounds()).first().map(|it| it.status);
        assert_eq!(status(&[], at(10)), Some(RevisionStatus::Unknown));
        let failed = Some(RevisionStatus::Failed);
        assert_eq!(status(core::slice::from_ref(&failing), at(10)), failed);
        assert!(busy(&[], at(10)));
        assert!(busy(core::slice::from_ref(&starting), at(60)));
        assert!(!busy(&[starting], at(61)), "a pod takes too long");
        assert!(!busy(&[failing], at(10)), "a pod fails");
        // What befalls the pods of the revision before does not make the new one stuck.
        let other = pod_of(
            &seen.kept[1],
            &json!({"containerStatuses": [
            {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
        );
        assert!(busy(&[other], at(10)));
        let restarted = pod_of(
            &live,
            &json!({"containerStatuses": [{"name": "app", "restartCount": 1,
                "state": {"running": {}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]}),
        );
        assert!(busy(&[restarted], at(10)), "a container that ended once runs again");
    }

    #[test]
    fn an_ordered_stateful_set_is_trapped_by_its_own_unready_pods_of_another_revision() {
        let mut seen = Seen { kind: Kind::StatefulSet, ..seen() };
        let raw = json!({"metadata": {"name": "db-2"}, "revision": 2,
            "data": {"spec": {"template": {}}}});
        let target = Kept::read(Kind::StatefulSet, serde_json::from_value(raw).unwrap()).unwrap();
        let pod = |name: &str, owner: &str, revision: &str, ready: &str| -> Pod {
            let meta = json!({"name": name, "labels": {"controller-revision-hash": revision},
                "ownerReferences": [{"uid": owner, "controller": true}]});
            let conditions = json!([{"type": "Ready", "status": ready}]);
            serde_json::from_value(json!({"metadata": meta, "status": {"conditions": conditions}}))
                .unwrap()
        };
        let uid = seen.object.metadata.uid.clone();
        let pods = [
            pod("old", &uid, "db-1", "False"),
            pod("old-and-ready", &uid, "db-1", "True"),
            pod("new", &uid, "db-2", "False"),
            pod("of-another-workload", "9", "db-1", "False"),
        ];
        let names = |seen: &Seen| -> Vec<String> {
            seen.trapped(&target, &pods).iter().map(|pod| pod.metadata.name.clone()).collect()
        };
        assert_eq!(names(&seen), ["old"]);
        seen.object.spec.pod_management_policy = Some("Parallel".into());
        assert_eq!(names(&seen), Vec::<String>::new());
    }

    #[test]
    fn a_rollout_past_its_deadline_is_failed_and_no_longer_in_progress() {
        let mut seen = seen();
        seen.object.status.conditions = serde_json::from_value(json!([
            {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]))
        .unwrap();
        assert_eq!(seen.state(&[], at(0), bounds()).in_progress, Presence::Nothing);
        assert_eq!(seen.history(&[], at(0), bounds())[0].status, RevisionStatus::Failed);
    }

    #[test]
    fn our_own_order_in_progress_is_told_from_a_deploy() {
        let mut seen = seen();
        let mark =
            |to: &str| Mark { id: "r1".parse().unwrap(), to: to.into(), at: at(50), generation: 4 };
        seen.object.status.available_replicas = 1;
        for (to, kind) in [("web-c", OperationKind::Rollback), ("web-b", OperationKind::Deploy)] {
            let orders = marks::with_order(&Meta::default(), mark(to));
            seen.object.metadata.annotations = Some([(marks::ORDERS.to_owned(), orders)].into());
            let live = seen.state(&[], at(60), bounds());
            let operation = live.in_progress.something().unwrap().clone();
            assert_eq!(operation.kind, kind);
            assert_eq!(operation.operation_id.is_some(), kind == OperationKind::Rollback);
        }
    }

    #[test]
    fn an_order_is_found_on_the_workload_or_on_the_revision_that_took_its_note_over() {
        let order: RollbackId = "r1".parse().unwrap();
        let mark = Mark { id: order.clone(), to: "web-b".into(), at: at(50), generation: 4 };
        let note: rollback_cluster::Texts =
            [(marks::ORDERS.to_owned(), marks::with_order(&Meta::default(), mark.clone()))].into();
        let mut on_workload = seen();
        assert_eq!(on_workload.mark_of(&order), None);
        on_workload.object.metadata.annotations = Some(note.clone());
        assert_eq!(on_workload.mark_of(&order), Some(mark.clone()));
        assert_eq!(on_workload.mark_of(&"r2".parse().unwrap()), None);
        let mut on_revision = seen();
        on_revision.kept[1].meta.annotations = Some(note);
        assert_eq!(on_revision.mark_of(&order), Some(mark));
    }
}
