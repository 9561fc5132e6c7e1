//! The scenes on a real cluster. `examples/demo-cluster` plays them.

use super::{ANA, Cue, GOOD, Scene, What, When};
use rollback_core::StateName;
use std::time::Duration;

const HOTFIX: Cue = Cue {
    when: When::Reached(ANA, StateName::Confirming),
    what: What::DeployHotfix,
    told: "Dana deployed 2.14.1, which repairs the shop, while the window was open.",
};

/// What is offered with `--backend kubernetes`.
pub const ON_KUBERNETES: &[Scene] = &[
    Scene {
        id: "kubernetes",
        title: "A Deployment on Kubernetes",
        click: "Dana's kubectl apply of 2.14.0 broke the shop: its pods crash. As Ana, who owns it, \
                click “Roll back to 2.13.4”, read what will happen, give a reason and confirm.",
        watch: "The API server carries out one conditional patch; the pods of 2.13.4 come up and \
                become ready, and the thread tells each phase.",
        ..GOOD
    },
    Scene {
        id: "kubernetes-newer",
        title: "Kubernetes: a newer deploy lands meanwhile",
        click: "Click “Roll back” and take your time: while the window is open, Dana applies 2.14.1. \
                Then confirm.",
        watch: "What you confirmed is no longer what would happen, so nothing happens. The refusal \
                names the newer ReplicaSet, and the old message loses its button.",
        cues: &[HOTFIX],
        ..GOOD
    },
    Scene {
        id: "kubernetes-missing",
        title: "Kubernetes: the target is gone",
        click: "After the message was posted, somebody deleted the ReplicaSet of 2.13.4. Click “Roll \
                back”.",
        watch: "The check at the click finds that it is not in the Deployment's history any more, and \
                says so before anything is touched.",
        cues: &[Cue {
            when: When::Staged,
            what: What::RemoveTarget,
            told: "The ReplicaSet of 2.13.4 was deleted.",
        }],
        ..GOOD
    },
    Scene {
        id: "kubernetes-kill",
        title: "Kubernetes: kill -9 in the middle",
        click: "Roll back as Ana. While the pods come up, the rollback service is killed (SIGKILL) and \
                stays dead for four seconds.",
        watch: "The cluster goes on. The next process finds the journal and its own mark on the \
                Deployment, sends nothing a second time, and ends the rollback.",
        cues: &[
            Cue {
                when: When::Reached(ANA, StateName::Running),
                what: What::Kill,
                told: "The rollback service was killed (SIGKILL) in the middle of the rollback.",
            },
            Cue {
                when: When::Later(Duration::from_secs(4)),
                what: What::Restart,
                told: "A new process was started and takes over.",
            },
        ],
        ..GOOD
    },
];

/// What is offered with `--backend helm`.
pub const ON_HELM: &[Scene] = &[
    Scene {
        id: "helm",
        title: "A Helm release",
        click: "Dana's helm upgrade to 2.14.0 broke the shop: its pods crash, and Helm calls the \
                release deployed. As Ana, who owns it, click “Roll back to 2.13.4”, read what will \
                happen, give a reason and confirm.",
        watch: "Helm itself rolls the release back, as a new revision that may only follow the live \
                one; the pods become ready, and the thread tells each phase.",
        ..GOOD
    },
    Scene {
        id: "helm-newer",
        title: "Helm: a newer deploy lands meanwhile",
        click: "Click “Roll back” and take your time: while the window is open, Dana upgrades to \
                2.14.1. Then confirm.",
        watch: "What you confirmed is no longer what would happen, so helm is never called. The \
                refusal names the newer revision, and the old message loses its button.",
        cues: &[HOTFIX],
        ..GOOD
    },
    Scene {
        id: "helm-missing",
        title: "Helm: the target is gone",
        click: "After the message was posted, the record of 2.13.4 was pruned: its Secret is deleted. \
                Click “Roll back”.",
        watch: "The check at the click finds that Helm does not keep it any more, and says so before \
                anything is touched.",
        cues: &[Cue {
            when: When::Staged,
            what: What::RemoveTarget,
            told: "The Secret of the revision 2.13.4 was deleted.",
        }],
        ..GOOD
    },
];
