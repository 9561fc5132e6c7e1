//! Why pods do not become ready, in words a person can act on.

use crate::objects::{ContainerStatus, Pod, Terminated, condition};
use core::time::Duration;
use rollback_core::Timestamp;

/// How many troubled pods are named. More would not be read.
const NAMED_MAX: usize = 2;
/// The longest text of a cluster's own that is passed on, in characters.
const WORDS_MAX: usize = 120;

/// Whether waiting can help.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Gravity {
    /// It is told, and the rollout goes on: a container that ended once runs again.
    Passing,
    /// It may heal: an image that is being pushed, room that is being made.
    MayHeal,
    /// It will not, however long one waits.
    Final,
}

/// What is wrong with one pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) pod: String,
    pub(crate) gravity: Gravity,
    /// Since when, by the cluster's clock.
    pub(crate) since: Option<Timestamp>,
    /// What is wrong, and what to do about it.
    pub(crate) what: String,
}

/// What is wrong with these pods, the gravest first.
pub(crate) fn troubles<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = pods.into_iter().filter_map(trouble).collect();
    found.sort_by(|a, b| b.gravity.cmp(&a.gravity).then_with(|| a.pod.cmp(&b.pod)));
    found
}

/// One line for a chat.
pub(crate) fn in_words(troubles: &[Trouble]) -> Option<String> {
    let named: Vec<String> = troubles
        .iter()
        .take(NAMED_MAX)
        .map(|trouble| format!("pod `{}`: {}", trouble.pod, trouble.what))
        .collect();
    let more = troubles.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("{}{more}", named.join("; ")))
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(&pod.status.conditions, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Whether it has been unready for longer than `bound`.
pub(crate) fn is_overdue(pod: &Pod, now: Timestamp, bound: Duration) -> bool {
    let ready = condition(&pod.status.conditions, "Ready");
    let since = ready.and_then(|ready| ready.last_transition_time);
    let since = since.or(pod.metadata.creation_timestamp);
    !is_ready(pod) && since.is_some_and(|since| now.since(since) > bound)
}

/// When the last of these pods became ready: how far a rollout has come.
pub(crate) fn last_ready<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Timestamp> {
    let ready = pods.into_iter().filter(|pod| is_ready(pod));
    ready.filter_map(|pod| condition(&pod.status.conditions, "Ready")?.last_transition_time).max()
}

/// When a pod that is not ready last came further, or fell back: it was made, a node took it, its
/// first containers were done, it stopped being ready.
fn unready_since(pod: &Pod) -> Option<Timestamp> {
    let steps = ["PodScheduled", "Initialized", "Ready"];
    let steps = steps.iter().filter_map(|kind| condition(&pod.status.conditions, kind));
    let steps = steps.filter_map(|step| step.last_transition_time);
    steps.chain(pod.metadata.creation_timestamp).max()
}

/// At most so much of a text from the cluster, on one line.
pub(crate) fn clip(text: &str) -> String {
    rollback_cluster::clip(text, WORDS_MAX)
}

fn trouble(pod: &Pod) -> Option<Trouble> {
    if is_ready(pod) {
        return None;
    }
    let status = &pod.status;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    let found = containers
        .filter_map(|status| {
            container(status).map(|(gravity, what)| (gravity, what, first_end(status)))
        })
        .max_by_key(|(gravity, ..)| *gravity);
    let unscheduled = || unscheduled(pod).map(|(gravity, what)| (gravity, what, None));
    let (gravity, what, ended_at) = found.or_else(unscheduled)?;
    let since = unready_since(pod).max(ended_at);
    Some(Trouble { pod: pod.metadata.name.clone(), gravity, since, what })
}

/// When a container ended, as long as that was the first time: what comes back for a while and ends
/// again has been in trouble for as long as its pod is not ready.
fn first_end(status: &ContainerStatus) -> Option<Timestamp> {
    let last = [&status.state, &status.last_state];
    let last = last.into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())?;
    last.finished_at.filter(|_| status.restart_count <= 1)
}

fn unscheduled(pod: &Pod) -> Option<(Gravity, String)> {
    let placed = condition(&pod.status.conditions, "PodScheduled")?;
    if placed.status != "False" || placed.reason != "Unschedulable" {
        return None;
    }
    let why = clip(&placed.message);
    Some((Gravity::MayHeal, format!("no node takes it ({why}); make room, or add a node")))
}

fn container(status: &ContainerStatus) -> Option<(Gravity, String)> {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let Some(waiting) = waiting else {
        let runs = status.state.as_ref().is_some_and(|state| state.terminated.is_none());
        let gravity = if runs { Gravity::Passing } else { Gravity::MayHeal };
        return ended(status)
            .map(|how| (gravity, format!("container `{}` {how}; read its log", status.name)));
    };
    let (reason, container) = (waiting.reason.as_str(), &status.name);
    let detail = clip(&waiting.message);
    let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
    let (gravity, next) = match reason {
        "InvalidImageName" => (Gravity::Final, "correct the image's name"),
        "ErrImageNeverPull" => (Gravity::Final, "load the image onto the node"),
        "CreateContainerConfigError" => {
            (Gravity::MayHeal, "a ConfigMap, a Secret or a key that it needs is gone; restore it")
        }
        "ImagePullBackOff" | "ErrImagePull" => {
            (Gravity::MayHeal, "see that the image and its pull secret are still there")
        }
        "CreateContainerError" | "RunContainerError" => (Gravity::MayHeal, "see the pod's events"),
        "CrashLoopBackOff" => {
            let how = ended(status).unwrap_or_else(|| "ends again and again".into());
            let next = format!("container `{container}` {how}: {reason}; read its log");
            return Some((Gravity::MayHeal, next));
        }
        // It only starts: PodInitializing, ContainerCreating.
        _ => return None,
    };
    Some((gravity, format!("container `{container}`: {reason}{detail}; {next}")))
}

/// How a container ended, if it has.
fn ended(status: &ContainerStatus) -> Option<String> {
    let of = |state: &Option<crate::objects::ContainerState>| -> Option<Terminated> {
        state.as_ref()?.terminated.clone()
    };
    let last = of(&status.state).or_else(|| of(&status.last_state))?;
    let times = match status.restart_count {
        0 => String::new(),
        count => format!(", restarted {count} times"),
    };
    Some(match last.reason.as_str() {
        "Completed" => return None,
        "OOMKilled" => format!("ran out of memory (OOMKilled){times}"),
        "" => format!("ended with exit code {}{times}", last.exit_code),
        reason => format!("ended with exit code {} ({reason}){times}", last.exit_code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "web-x"}, "status": status})).unwrap()
    }

    fn waiting(reason: &str) -> Value {
        json!({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason}}}]})
    }

    #[test]
    fn every_reason_that_pods_give_has_words_and_says_whether_waiting_helps() {
        let crash = json!({"containerStatuses": [{"name": "app", "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]});
        let memory = json!({"containerStatuses": [{"name": "app", "restartCount": 1,
            "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]});
        let back = json!({"containerStatuses": [{"name": "app", "restartCount": 1,
            "state": {"running": {}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]});
        let init = json!({"initContainerStatuses": [{"name": "migrate", "state": {"waiting": {
            "reason": "ImagePullBackOff", "message": "Back-off pulling image \"shop:9\""}}}]});
        let room = json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu."}]});
        let (may, last) = (Gravity::MayHeal, Gravity::Final);
        let table = [
            (waiting("InvalidImageName"), last, "InvalidImageName; correct the image's name"),
            (waiting("ErrImageNeverPull"), last, "ErrImageNeverPull; load the image"),
            (waiting("CreateContainerConfigError"), may, "a ConfigMap, a Secret"),
            (waiting("ErrImagePull"), may, "ErrImagePull; see that the image"),
            (waiting("CreateContainerError"), may, "see the pod's events"),
            (waiting("RunContainerError"), may, "see the pod's events"),
            (
                crash,
                may,
                "`app` ended with exit code 1 (Error), restarted 3 times: CrashLoopBackOff",
            ),
            (back, Gravity::Passing, "`app` ended with exit code 1 (Error), restarted 1 times"),
            (memory, may, "`app` ran out of memory (OOMKilled), restarted 1 times; read its log"),
            (init, may, "`migrate`: ImagePullBackOff (Back-off pulling image \"shop:9\")"),
            (room, may, "no node takes it (0/3 nodes are available: 3 Insufficient cpu.)"),
        ];
        for (status, gravity, words) in table {
            let found = troubles(&[pod(&status)]);
            let [trouble] = found.as_slice() else { panic!("{status}: {found:?}") };
            assert_eq!(trouble.gravity, gravity, "{status}");
            assert!(trouble.what.contains(words), "{}", trouble.what);
            assert_eq!(in_words(&found), Some(format!("pod `web-x`: {}", trouble.what)));
        }
    }

    #[test]
    fn trouble_counts_from_its_first_sighting_and_not_from_the_pods_beginning() {
        let at = |minute: u64| Timestamp::from_millis(minute * 60_000);
        let written = |minute| at(minute).to_string();
        let ended = |restarts: i64| {
            json!({"containerStatuses": [{"name": "app", "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 1,
                    "finishedAt": written(9)}}}],
                "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": written(1)}]})
        };
        let unplaced = json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "lastTransitionTime": written(5)}]});
        let placed_late = json!({"containerStatuses": [{"name": "app",
            "state": {"waiting": {"reason": "ErrImagePull"}}}], "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": written(7)},
            {"type": "Ready", "status": "False", "lastTransitionTime": written(1)}]});
        let table = [
            (ended(1), Some(at(9)), "its first end"),
            (ended(2), Some(at(1)), "since it is not ready"),
            (unplaced, Some(at(5)), "since no node takes it"),
            (placed_late, Some(at(7)), "since a node took it"),
            (waiting("ErrImagePull"), None, "nobody says"),
        ];
        for (status, since, why) in table {
            let found = troubles(&[pod(&status)]);
            assert_eq!(found.first().unwrap().since, since, "{why}");
        }
    }

    #[test]
    fn a_pod_that_is_ready_or_only_starts_is_no_trouble() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "restartCount": 9,
                "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]});
        let done = json!({"initContainerStatuses": [{"name": "init",
            "state": {"terminated": {"reason": "Completed"}}}]});
        let gated = json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "SchedulingGated"}]});
        for status in [
            ready,
            done,
            gated,
            waiting("ContainerCreating"),
            waiting("PodInitializing"),
            json!({}),
        ] {
            assert_eq!(troubles(&[pod(&status)]), [], "{status}");
        }
    }

    #[test]
    fn the_gravest_pod_is_named_first_and_a_crowd_is_counted() {
        let mut pods: Vec<Pod> = ["a", "b", "c"]
            .iter()
            .map(|name| Pod {
                metadata: rollback_cluster::Meta { name: (*name).into(), ..Default::default() },
                ..pod(&waiting("ErrImagePull"))
            })
            .collect();
        pods.push(pod(&waiting("InvalidImageName")));
        let words = in_words(&troubles(&pods)).unwrap();
        assert!(words.starts_with("pod `web-x`: container `app`: InvalidImageName"), "{words}");
        assert!(words.contains("pod `a`") && words.ends_with("; and 2 more"), "{words}");
    }
}
