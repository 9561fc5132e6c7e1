//! Why a rollback cannot be, and what a person should know before it is.

use crate::history::{Newest, Seen};
use crate::manifest::{Wanted, mark};
use crate::record::{Record, clip};
use rollback_core::{RevisionId, Timestamp};
use serde_json::Value;

/// How many earlier revisions are named for the hooks that ran.
const RAN_MAX: usize = 5;

/// Who else is in charge of a release, and where to go instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keeper {
    /// Who.
    pub(crate) who: String,
    /// What to do instead.
    instead: &'static str,
    /// Whether it puts things back without being asked.
    pub(crate) by_itself: bool,
}

const FLUX: &str = "roll back in Git; or suspend it (`flux suspend helmrelease`) and try again";
const ARGO: &str = "use a backend of kind `argocd` for it";
const TERRAFORM: &str = "apply the earlier version with Terraform; its next run would undo this";

impl Keeper {
    pub(crate) fn words(&self) -> String {
        format!("{} is in charge of this release; {}", self.who, self.instead)
    }
}

/// Whoever else is in charge, by what wrote the newest record and by the marks on its objects.
pub(crate) fn keeper(newest: &Record, wanted: &[Wanted], live: Option<&Value>) -> Option<Keeper> {
    let keeper =
        |who: String, instead, by_itself| Some(Keeper { who: clip(&who), instead, by_itself });
    let marked = |key: &str| {
        let on_manifest = wanted.iter().find_map(|it| it.mark(key));
        on_manifest.or_else(|| live.and_then(|live| mark(live, key))).map(str::to_owned)
    };
    let written_by = |program: &str| newest.managers.iter().any(|it| it.starts_with(program));
    if let Some(name) = marked("helm.toolkit.fluxcd.io/name") {
        return keeper(format!("Flux's HelmRelease `{name}`"), FLUX, true);
    }
    // Also the name of Rancher's controller, which has no `rollback` either.
    if written_by("helm-controller") {
        return keeper("a helm-controller (Flux)".to_owned(), FLUX, true);
    }
    for key in ["argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"] {
        if let Some(value) = marked(key) {
            let name = value.split(':').next().unwrap_or_default();
            return keeper(format!("the Argo CD application `{name}`"), ARGO, true);
        }
    }
    if written_by("terraform-provider-helm") {
        return keeper("Terraform's Helm provider".to_owned(), TERRAFORM, false);
    }
    if written_by("pulumi-resource-") {
        let instead = "apply the earlier version with Pulumi; its next run would undo this";
        return keeper("Pulumi".to_owned(), instead, false);
    }
    None
}

impl Seen {
    /// Why the release cannot be brought to that revision now, and what to do; none when it can.
    pub(crate) fn obstacle(
        &self,
        newest: &Newest<'_>,
        to: &RevisionId,
        now: Timestamp,
    ) -> Option<String> {
        let newest = match newest {
            Newest::Nothing => {
                return Some("there is no such release, or it is uninstalled".into());
            }
            Newest::Pending(record) => return Some(pending_words(record, now)),
            Newest::Settled(record) | Newest::Stuck(record) => record,
        };
        if self.identity(newest).as_ref() == Some(to) {
            return Some(format!(
                "`{}` is what runs already; there is nothing to roll back",
                to.short()
            ));
        }
        if self.find(to).is_none() {
            let kept: Vec<RevisionId> =
                self.records.iter().filter_map(|record| self.identity(record)).collect();
            let to = to.among(&kept);
            return Some(format!(
                "`{to}` is not kept any more, so that helm cannot restore it; raise `--history-max`, and deploy that version anew"
            ));
        }
        None
    }

    /// What a person should know before, one line each.
    pub(crate) fn notes(&self, newest: &Newest<'_>, target: &Record) -> Vec<String> {
        let mut notes = Vec::new();
        if let Newest::Stuck(record) = newest {
            notes.push(format!(
                "revision {} is {} and nobody works on it any more: it was cut off, and what runs may be a mixture; a rollback ends that",
                record.number,
                record.status.as_str()
            ));
        }
        if let Some(leftover) = self.leftover() {
            notes.push(format!(
                "revision {} was put on record for a rollback that never began, and keeps helm from deploying; the next rollback removes it",
                leftover.number
            ));
        }
        for hook in &target.hooks_to_run {
            notes.push(format!("a hook of the target runs: {hook}"));
        }
        let since = self.records.iter().filter(|record| record.number > target.number);
        for record in since.filter(|record| !record.hooks_run.is_empty()).take(RAN_MAX) {
            notes.push(format!(
                "what hooks of revision {} did is not undone: {}",
                record.number,
                record.hooks_run.join(", ")
            ));
        }
        notes
    }
}

fn pending_words(record: &Record, now: Timestamp) -> String {
    let since = record.created.map(|since| rollback_core::in_words(now.since(since)));
    if !record.status.is_pending() {
        return format!(
            "revision {} was rolled back to, and its pods are not all ready yet; wait until they are, or until that is called failed",
            record.number
        );
    }
    format!(
        "revision {} is {}, since {}: somebody works on this release now, and a rollback beside it would let helm record a bad deploy as complete; wait until it ends, or end it where it was started",
        record.number,
        record.status.as_str(),
        since.as_deref().unwrap_or("a moment that is not known")
    )
}

/// What becomes of the replicas of a workload; none when they stay.
pub(crate) fn replicas(
    wanted: &Wanted,
    live: &Value,
    autoscalers: Option<&[Value]>,
) -> Option<String> {
    let (target, now) = (wanted.replicas()?, live.pointer("/spec/replicas")?.as_i64()?);
    if target == now {
        return None;
    }
    let scales = |scaler: &&Value| {
        let on = |key: &str| {
            scaler.pointer(&format!("/spec/scaleTargetRef/{key}")).and_then(Value::as_str)
        };
        on("kind") == Some(wanted.kind.as_str()) && on("name") == Some(wanted.name.as_str())
    };
    let scaler = autoscalers.unwrap_or_default().iter().find(scales);
    let scaler = scaler.and_then(|it| it.pointer("/metadata/name")).and_then(Value::as_str);
    let whose = match (scaler, autoscalers) {
        (Some(name), _) => {
            format!(", which the autoscaler `{}` set; it starts again from there", clip(name))
        }
        (None, Some(_)) => String::new(),
        (None, None) => ", and whether an autoscaler set them may not be read".to_owned(),
    };
    Some(format!("{} goes from {now} replicas to {target}{whose}", wanted.title()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::{at, record, seen};
    use crate::manifest::{read, tests::content};
    use crate::record::Status::{Deployed, PendingRollback, PendingUpgrade, Superseded};
    use core::time::Duration;
    use serde_json::json;

    const MAX: Duration = Duration::from_secs(60);

    fn one(object: &Value) -> Wanted {
        read(&content(&object.to_string())).unwrap().remove(0)
    }

    fn deployment(meta: &Value) -> Wanted {
        one(
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 2}}),
        )
    }

    #[test]
    fn whoever_else_is_in_charge_is_named_with_where_to_go() {
        let flux = json!({"name": "web", "labels": {"helm.toolkit.fluxcd.io/name": "shop"}});
        let argo = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:a/web"}}});
        let plain = json!({"name": "web"});
        let table = [
            (&flux, None, "Helm", "Flux's HelmRelease `shop`", "flux suspend", true),
            (&plain, None, "helm-controller", "helm-controller (Flux)", "Git", true),
            (&plain, Some(&argo), "Helm", "Argo CD application `shop`", "argocd", true),
            (&plain, None, "terraform-provider-helm_v3.1.2_x5", "Terraform", "Terraform", false),
            (&plain, None, "pulumi-resource-kubernetes", "Pulumi", "Pulumi", false),
        ];
        for (meta, live, manager, who, instead, by_itself) in table {
            let mut newest = record(2, Deployed, "Upgrade complete");
            newest.managers.push(manager.to_owned());
            let keeper = keeper(&newest, &[deployment(meta)], live).unwrap();
            let words = keeper.words();
            assert!(words.contains(who) && words.contains(instead), "{words}");
            assert_eq!(keeper.by_itself, by_itself, "{words}");
        }
        for manager in ["Helm", "helm", "Mozilla"] {
            let mut newest = record(2, Deployed, "Upgrade complete");
            newest.managers.push(manager.to_owned());
            assert_eq!(keeper(&newest, &[deployment(&plain)], Some(&json!({}))), None);
        }
    }

    #[test]
    fn a_rollback_beside_a_waiting_upgrade_is_refused_with_the_cure() {
        let seen = seen(&[(Deployed, "Install complete"), (PendingUpgrade, "Preparing upgrade")]);
        let to = "1@00000001".parse().unwrap();
        let newest = seen.newest(at(230), MAX);
        let why = seen.obstacle(&newest, &to, at(230)).unwrap();
        assert!(
            why.contains("pending-upgrade, since 30") && why.contains("wait until it ends"),
            "{why}"
        );
        let stuck = seen.newest(at(1000), MAX);
        assert_eq!(
            seen.obstacle(&stuck, &to, at(1000)),
            None,
            "a stuck one is cured by a rollback"
        );
        let notes = seen.notes(&stuck, &seen.records[1]);
        assert!(notes[0].contains("was cut off"), "{notes:?}");
    }

    #[test]
    fn a_target_that_was_pruned_or_runs_already_is_refused() {
        let seen = seen(&[(Superseded, "Install complete"), (Deployed, "Rollback to 1")]);
        let newest = seen.newest(at(1000), MAX);
        let why = seen.obstacle(&newest, &"1@00000001".parse().unwrap(), at(1000)).unwrap();
        assert!(why.contains("runs already"), "{why}");
        let why = seen.obstacle(&newest, &"9@00000009".parse().unwrap(), at(1000)).unwrap();
        assert!(why.contains("not kept any more") && why.contains("--history-max"), "{why}");
        let nothing = Seen::default();
        let why = nothing.obstacle(&nothing.newest(at(0), MAX), &"1@a".parse().unwrap(), at(0));
        assert!(why.unwrap().contains("no such release"));
    }

    #[test]
    fn hooks_that_will_run_and_hooks_that_ran_are_told() {
        let mut seen = seen(&[
            (Superseded, "Install complete"),
            (Deployed, "Upgrade complete"),
            (PendingRollback, "Rollback to 1"),
        ]);
        seen.records[0].order = Some("r1".parse().unwrap());
        seen.records[1].hooks_run = vec!["job migrate".to_owned()];
        seen.records[2].hooks_run = vec!["job first".to_owned()];
        seen.records[2].hooks_to_run = vec!["job undo (pre-rollback)".to_owned()];
        let notes = seen.notes(&seen.newest(at(1000), MAX), &seen.records[2]).join("\n");
        assert!(notes.contains("a hook of the target runs: job undo (pre-rollback)"), "{notes}");
        assert!(
            notes.contains("what hooks of revision 2 did is not undone: job migrate"),
            "{notes}"
        );
        assert!(!notes.contains("job first"), "the target's own: {notes}");
        assert!(
            notes.contains("revision 3 was put on record for a rollback that never began"),
            "{notes}"
        );
    }

    #[test]
    fn replicas_that_somebody_set_are_named_before_they_are_reset() {
        let wanted = deployment(&json!({"name": "web"}));
        let live = |replicas: i64| json!({"spec": {"replicas": replicas}});
        let scaler = json!({"metadata": {"name": "busy"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}});
        assert_eq!(replicas(&wanted, &live(2), Some(&[])), None);
        let told = |scalers: Option<&[Value]>| replicas(&wanted, &live(7), scalers).unwrap();
        assert_eq!(told(Some(&[])), "deployment web goes from 7 replicas to 2");
        assert!(told(Some(&[scaler])).contains("the autoscaler `busy` set"));
        for target in [
            json!({"kind": "Deployment", "name": "api"}),
            json!({"kind": "StatefulSet", "name": "web"}),
        ] {
            let other = json!({"metadata": {"name": "other"}, "spec": {"scaleTargetRef": target}});
            assert_eq!(told(Some(&[other])), "deployment web goes from 7 replicas to 2");
        }
        assert!(told(None).contains("may not be read"));
    }
}
