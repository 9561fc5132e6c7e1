//! Why a rollback cannot be, and what a person should know before it is.

use crate::classify::{Seen, id, trap_words};
use crate::config::Kind;
use crate::objects::{Object, Pod, canonical};
use crate::pods;
use rollback_core::{Presence, RevisionId};

/// The label by which Argo CD tracks what is its own, unless it is told otherwise. Helm and people set
/// it, too.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// How the field managers of Argo CD begin.
const ARGO: &str = "argocd-";

/// Who would put a workload back, and where to go instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keeper {
    /// Who.
    pub(crate) who: String,
    /// What to do instead.
    pub(crate) instead: &'static str,
    /// Whether it does so without being asked.
    pub(crate) by_itself: bool,
}

/// Whoever else is in charge of this workload.
pub(crate) fn keeper(object: &Object) -> Option<Keeper> {
    let meta = &object.metadata;
    let named = |key: &str| meta.label(key).or_else(|| meta.annotation(key));
    let keeper = |who, instead, by_itself| Some(Keeper { who, instead, by_itself });
    if let Some(name) = named("helm.toolkit.fluxcd.io/name") {
        let who = format!("Flux's HelmRelease `{name}`");
        return keeper(who, "suspend it and roll the Helm release back, or revert in Git", true);
    }
    if let Some(name) = named("kustomize.toolkit.fluxcd.io/name") {
        let who = format!("Flux's Kustomization `{name}`");
        return keeper(who, "suspend it first, or revert in Git", true);
    }
    if let Some(tracked) = named("argocd.argoproj.io/tracking-id") {
        let application = tracked.split(':').next().unwrap_or(tracked);
        let who = format!("the Argo CD application `{application}`");
        return keeper(who, "use a backend of kind `argocd` for it", true);
    }
    if let Some(application) = named("argocd.argoproj.io/instance") {
        let who = format!("the Argo CD application `{application}`");
        return keeper(who, "use a backend of kind `argocd` for it", true);
    }
    // Where it tracks by a label that others use as well, its own writing tells.
    if meta.managed_fields.iter().any(|it| it.manager.starts_with(ARGO)) {
        let application = meta.label(INSTANCE).unwrap_or("of another name");
        let who = format!("the Argo CD application `{application}`");
        return keeper(who, "use a backend of kind `argocd` for it", true);
    }
    if let Some(release) = meta.annotation("meta.helm.sh/release-name") {
        let who = format!("the Helm release `{release}`");
        return keeper(who, "use a backend of kind `helm` for it", false);
    }
    let owner = meta.controller()?;
    let who = format!("{} `{}`, which owns it,", owner.kind, owner.name);
    keeper(who, "change it there", true)
}

/// Who would put the workload back without being asked.
pub(crate) fn undone_by(object: &Object) -> Presence<String> {
    if let Some(keeper) = keeper(object) {
        return Presence::seen(keeper.by_itself.then_some(keeper.who));
    }
    let meta = &object.metadata;
    if meta.managed_fields.is_empty() && meta.label(INSTANCE).is_some() {
        return Presence::cannot_tell(format!(
            "it has the label `{INSTANCE}`, by which Argo CD knows what is its own, and nothing says who wrote it (it has no managedFields)"
        ));
    }
    Presence::Nothing
}

impl Seen {
    /// Why this workload cannot be brought to that revision, and what to do; none when it can.
    pub(crate) fn obstacle(&self, to: &RevisionId) -> Option<String> {
        if let Some(keeper) = keeper(&self.object) {
            let would = if keeper.by_itself { "would undo it" } else { "would not know of it" };
            return Some(format!("{} is in charge and {would}; {}", keeper.who, keeper.instead));
        }
        let Some(target) = self.find(to) else {
            return Some(self.missing(to));
        };
        let live = self.live();
        let same = canonical(&target.template) == canonical(&self.object.spec.template);
        if same || live.and_then(id).as_ref() == Some(to) {
            return Some(format!(
                "`{}` is what runs already; there is nothing to roll back",
                to.short()
            ));
        }
        if self.object.spec.paused {
            let name = &self.object.metadata.name;
            return Some(format!(
                "deployment `{name}` is paused, so nothing would be rolled out; resume it (`kubectl rollout resume deployment/{name}`)"
            ));
        }
        if self.kind != Kind::Deployment && self.object.spec.update_strategy.kind == "OnDelete" {
            return Some(
                "its update strategy is OnDelete, so that nothing happens before each pod is deleted by hand; set RollingUpdate"
                    .into(),
            );
        }
        None
    }

    fn missing(&self, to: &RevisionId) -> String {
        let kept: Vec<RevisionId> = self.kept.iter().filter_map(id).collect();
        let to = to.among(&kept);
        let limit = self.object.spec.revision_history_limit;
        if limit == Some(0) {
            return format!(
                "`{to}` is gone: the workload keeps no history (revisionHistoryLimit is 0); deploy that version anew, and raise the limit"
            );
        }
        let keeps = limit.map(|limit| format!(" (it keeps {limit})")).unwrap_or_default();
        format!(
            "`{to}` is not in the workload's history{keeps}; it was pruned or never there; deploy that version anew"
        )
    }

    /// What a person should know will not be undone, one line each.
    pub(crate) fn not_undone(&self, to: &RevisionId, pods: &[Pod]) -> Vec<String> {
        let (object, mut lines) = (&self.object, Vec::new());
        if !object.spec.volume_claim_templates.is_empty() {
            lines.push("what is on the volumes stays as it is".into());
        }
        let rolling = object.spec.update_strategy.rolling_update.as_ref();
        if let Some(partition) = rolling.and_then(|rolling| rolling.partition).filter(|p| *p > 0) {
            lines.push(format!(
                "pods below ordinal {partition} keep their revision: the workload is partitioned"
            ));
        }
        if let Some(target) = self.find(to) {
            let broken = self.trapped(target, pods);
            let broken = broken.into_iter().filter(|pod| !pods::troubles([*pod]).is_empty());
            lines.extend(broken.map(|pod| trap_words(&pod.metadata)));
        }
        if object.metadata.annotation("kubectl.kubernetes.io/last-applied-configuration").is_some()
        {
            lines.push("the applied manifest still names the newer version: the next `kubectl apply` deploys it again".into());
        }
        let applied = object.metadata.managed_fields.iter().find(|it| it.operation == "Apply");
        if let Some(by) = applied {
            lines.push(format!(
                "`{}` applies this workload server-side: its next apply meets a conflict with `{}` that has to be forced once",
                pods::clip(&by.manager), crate::client::FIELD_MANAGER
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::tests::{kept, seen, template};
    use rollback_cluster::Meta;
    use serde_json::{Value, json};

    fn with_meta(meta: &Value) -> Seen {
        let mut seen = seen();
        let meta: Meta = serde_json::from_value(meta.clone()).unwrap();
        seen.object.metadata = Meta { name: "web".into(), ..meta };
        seen
    }

    fn to(name: &str) -> RevisionId {
        format!("{name}@{name}-ui").parse().unwrap()
    }

    #[test]
    fn nothing_stands_in_the_way_of_an_earlier_revision() {
        assert_eq!(seen().obstacle(&to("web-b")), None);
        assert_eq!(seen().obstacle(&to("web-a")), None);
        assert_eq!(seen().not_undone(&to("web-b"), &[]), Vec::<String>::new());
    }

    #[test]
    fn whoever_else_is_in_charge_is_named_with_where_to_go_instead() {
        let table = [
            (
                json!({"labels": {"app.kubernetes.io/managed-by": "Helm"},
                    "annotations": {"meta.helm.sh/release-name": "shop"}}),
                "the Helm release `shop` is in charge and would not know of it; use a backend of kind `helm`",
            ),
            (
                json!({"labels": {"helm.toolkit.fluxcd.io/name": "shop"},
                    "annotations": {"meta.helm.sh/release-name": "shop"}}),
                "Flux's HelmRelease `shop` is in charge and would undo it; suspend it",
            ),
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}),
                "Flux's Kustomization `apps` is in charge and would undo it; suspend it",
            ),
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:ns/web"}}),
                "the Argo CD application `shop` is in charge and would undo it; use a backend of kind `argocd`",
            ),
            (
                json!({"labels": {"argocd.argoproj.io/instance": "shop"}}),
                "the Argo CD application `shop`",
            ),
            (
                json!({"ownerReferences": [{"kind": "Prometheus", "name": "main", "uid": "1", "controller": true}]}),
                "Prometheus `main`, which owns it, is in charge and would undo it; change it there",
            ),
        ];
        for (meta, words) in table {
            let why = with_meta(&meta).obstacle(&to("web-b")).unwrap();
            assert!(why.contains(words), "{why}");
        }
        let nobody = json!({"labels": {"app.kubernetes.io/instance": "shop"},
            "ownerReferences": [{"kind": "X", "name": "x", "uid": "1"}]});
        assert_eq!(with_meta(&nobody).obstacle(&to("web-b")), None);
    }

    #[test]
    fn argo_cd_that_tracks_by_label_is_known_by_what_it_wrote_and_not_seeing_it_is_not_nothing() {
        let labels = json!({"app.kubernetes.io/instance": "shop"});
        let written_by = |manager: &str| {
            let managed = json!([{"manager": manager, "operation": "Update"}]);
            with_meta(&json!({"labels": labels, "managedFields": managed})).object
        };
        let by_argo = undone_by(&written_by("argocd-controller"));
        assert_eq!(by_argo, Presence::Something("the Argo CD application `shop`".into()));
        assert_eq!(undone_by(&written_by("kubectl-client-side-apply")), Presence::Nothing);
        let unwritten = undone_by(&with_meta(&json!({"labels": labels})).object);
        assert!(matches!(unwritten, Presence::CannotTell(_)), "{unwritten:?}");
        assert_eq!(undone_by(&seen().object), Presence::Nothing);
    }

    #[test]
    fn paused_no_op_and_pruned_are_explained() {
        let mut paused = seen();
        paused.object.spec.paused = true;
        let why = paused.obstacle(&to("web-b")).unwrap();
        assert!(why.contains("paused") && why.contains("kubectl rollout resume"), "{why}");

        let why = seen().obstacle(&to("web-c")).unwrap();
        assert!(why.contains("runs already"), "{why}");
        // Another revision that holds the same is no way back either.
        let mut twin = seen();
        twin.object.spec.template = template("shop:2");
        assert!(twin.obstacle(&to("web-b")).unwrap().contains("runs already"));
        twin.kept.insert(0, kept("web-d", 4, "shop:2"));
        assert!(twin.obstacle(&to("web-b")).unwrap().contains("runs already"));
        // Nor is the one that runs, where a newer API server wrote defaults into the template.
        let mut defaulted = Seen { kind: Kind::StatefulSet, ..seen() };
        defaulted.object.spec.template = template("defaulted-anew");
        defaulted.object.status.update_revision = "web-b".into();
        assert!(defaulted.obstacle(&to("web-b")).unwrap().contains("runs already"));

        let mut pruned = seen();
        pruned.object.spec.revision_history_limit = Some(2);
        let why = pruned.obstacle(&to("web-x")).unwrap();
        assert!(why.contains("(it keeps 2)") && why.contains("deploy that version anew"), "{why}");
        pruned.object.spec.revision_history_limit = Some(0);
        let why = pruned.obstacle(&to("web-x")).unwrap();
        assert!(why.contains("revisionHistoryLimit is 0"), "{why}");
    }

    #[test]
    fn a_workload_that_waits_for_a_person_to_delete_its_pods_is_refused() {
        let mut manual = Seen { kind: Kind::StatefulSet, ..seen() };
        manual.object.spec.update_strategy.kind = "OnDelete".into();
        assert!(manual.obstacle(&to("web-b")).unwrap().contains("OnDelete"));
        manual.object.spec.update_strategy.kind = "RollingUpdate".into();
        assert_eq!(manual.obstacle(&to("web-b")), None);
    }

    #[test]
    fn what_stays_behind_is_told_beforehand() {
        let mut seen = Seen { kind: Kind::StatefulSet, ..seen() };
        seen.object.spec.volume_claim_templates = vec![json!({})];
        seen.object.spec.update_strategy = serde_json::from_value(
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
        )
        .unwrap();
        seen.object.metadata = serde_json::from_value(json!({"name": "web", "uid": "u",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [{"manager": "argo", "operation": "Apply"}]}))
        .unwrap();
        let pods: Vec<Pod> = serde_json::from_value(json!([{
            "metadata": {"name": "web-1", "labels": {"controller-revision-hash": "web-c"},
                "ownerReferences": [{"uid": "u", "controller": true}]},
            "status": {"containerStatuses": [{"name": "app",
                "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}]))
        .unwrap();
        let lines = seen.not_undone(&to("web-b"), &pods);
        assert_eq!(lines.len(), 5, "{lines:?}");
        for (line, words) in lines.iter().zip([
            "volumes",
            "below ordinal 2",
            "delete pod `web-1`",
            "`kubectl apply` deploys it again",
            "conflict with `rollback-kube`",
        ]) {
            assert!(line.contains(words), "{lines:?}");
        }
        let rolling = &mut seen.object.spec.update_strategy.rolling_update;
        rolling.as_mut().unwrap().partition = Some(0);
        assert_eq!(seen.not_undone(&to("web-b"), &pods).len(), 4, "no pod is below ordinal 0");
    }
}
