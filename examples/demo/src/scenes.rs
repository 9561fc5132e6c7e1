//! The scenes: how the stage is set, what the visitor is told, and what happens by itself.

mod clusters;

pub use clusters::{ON_HELM, ON_KUBERNETES};

use rollback_core::{Label, Migration, Migrations, Reversible, StateName};
use serde::Serialize;
use std::time::Duration;

/// The workspace.
pub const WORKSPACE: &str = "T0LOCAL";
/// Owner of the shop.
pub const ANA: &str = "U02ANA";
/// Owner of the shop, too: whom Ana asks to approve.
pub const BO: &str = "U03BO";
/// Who deployed what is broken.
pub const DANA: &str = "U04DANA";
/// A member whom no rule names.
pub const EVE: &str = "U05EVE";
/// A guest in the owners' group.
pub const GUS: &str = "U06GUS";
/// Of another organization, in the owners' group.
pub const SAM: &str = "U07SAM";
/// In the emergency group alone.
pub const FINN: &str = "U08FINN";
/// The owners' group.
pub const PAYMENTS: &str = "S0PAYMENTS";
/// The emergency group.
pub const INCIDENT: &str = "S0INCIDENT";
/// Where deploys are announced.
pub const DEPLOYS: &str = "C0DEPLOYS";
/// Where break-glass is announced.
pub const ON_CALL: &str = "C0ONCALL";

/// One scene.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Scene {
    /// Its name in addresses.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What to click.
    pub click: &'static str,
    /// What to watch for.
    pub watch: &'static str,
    /// As whom the visitor begins.
    pub person: &'static str,
    /// What the broken release does to the data.
    #[serde(skip)]
    pub(crate) migration: Brings,
    /// How many others must approve.
    #[serde(skip)]
    pub(crate) approvals_min: u8,
    /// Whether clicks are drills.
    #[serde(skip)]
    pub(crate) drill: bool,
    /// What happens by itself, in this order.
    #[serde(skip)]
    pub(crate) cues: &'static [Cue],
}

/// What a release does to the data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Brings {
    Nothing,
    AReversibleMigration,
    AnIrreversibleMigration,
    NobodySaid,
}

impl Brings {
    pub(crate) fn migrations(self) -> Migrations {
        let one = |name: &str, reversible| {
            Migrations::Known(vec![Migration::new(Label::new(name), reversible)])
        };
        match self {
            Self::Nothing => Migrations::Known(Vec::new()),
            Self::AReversibleMigration => one("20261121_add_receipt_column", Reversible::Yes),
            Self::AnIrreversibleMigration => one("20261121_drop_legacy_prices", Reversible::No),
            Self::NobodySaid => Migrations::Unknown,
        }
    }
}

/// Something that happens by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cue {
    pub(crate) when: When,
    pub(crate) what: What,
    /// What the visitor is told when it has happened.
    pub(crate) told: &'static str,
}

/// When a cue falls, after the one before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// At once: the stage is set.
    Staged,
    /// Somebody's rollback has got at least this far.
    Reached(&'static str, StateName),
    /// This much later.
    Later(Duration),
}

/// What happens at a cue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A hotfix goes live.
    DeployHotfix,
    /// The folder of the release before is removed.
    RemoveTarget,
    /// The disk with the releases is unplugged.
    UnplugReleases,
    /// Somebody else clicks the button of the newest deploy.
    Click(&'static str),
    /// Somebody else confirms in their modal.
    Confirm(&'static str),
    /// The Web API fails, or no longer does.
    Outage(bool),
    /// The rollback service gets SIGKILL.
    Kill,
    /// It is started again.
    Restart,
}

pub(crate) const GOOD: Scene = Scene {
    id: "good",
    title: "A good rollback",
    click: "Dana's deploy of 2.14.0 broke the shop. As Ana, who owns it, click “Roll back to 2.13.4”, read what \
            will happen, give a reason and confirm.",
    watch: "The shop on this page turns from 500 to working; the phases appear in the message's \
            thread; Dana gets a direct message.",
    person: ANA,
    migration: Brings::AReversibleMigration,
    approvals_min: 0,
    drill: false,
    cues: &[],
};

/// Every scene, in the order in which they are offered.
pub const SCENES: &[Scene] = &[
    GOOD,
    Scene {
        id: "denied",
        title: "A stranger is denied",
        click: "You are Eve, who owns nothing here. Click “Roll back”. Then try as Gus, a guest, and as \
                Sam of another workspace: both are even in the owners' group.",
        watch: "Only the person who clicked sees the denial; it names who may. Each one is in the \
                audit trail. Finn of the emergency group may, and #oncall hears of it.",
        person: EVE,
        ..GOOD
    },
    Scene {
        id: "irreversible",
        title: "An irreversible migration",
        click: "2.14.0 dropped a column, and its author said that this cannot be reversed. Look for \
                the button: there is none.",
        watch: "The message says why there is no way back, and what to do instead: fix forward.",
        migration: Brings::AnIrreversibleMigration,
        ..GOOD
    },
    Scene {
        id: "unknown",
        title: "An unknown migration",
        click: "Nobody said which migrations 2.14.0 brought. Look for the button: there is none.",
        watch: "Unknown means no. The message says what is not known, so that somebody can find out.",
        migration: Brings::NobodySaid,
        ..GOOD
    },
    Scene {
        id: "newer",
        title: "A newer deploy lands meanwhile",
        click: "Click “Roll back” and take your time: while the window is open, Dana ships 2.14.1. \
                Then confirm.",
        watch: "What you confirmed is no longer what would happen, so nothing happens. The refusal \
                names the newer deploy, and the old message loses its button.",
        cues: &[Cue {
            when: When::Reached(ANA, StateName::Confirming),
            what: What::DeployHotfix,
            told: "Dana deployed 2.14.1, which repairs the shop, while the window was open.",
        }],
        ..GOOD
    },
    Scene {
        id: "missing",
        title: "The target is gone",
        click: "After the message was posted, a clean-up job removed the folder of 2.13.4. Click \
                “Roll back”.",
        watch: "The check at the click finds that it can no longer be restored, and says so before \
                anything is touched.",
        cues: &[Cue {
            when: When::Staged,
            what: What::RemoveTarget,
            told: "The folder of release 41 (2.13.4) was removed.",
        }],
        ..GOOD
    },
    Scene {
        id: "unreachable",
        title: "The CD system does not answer",
        click: "The disk with the releases is unplugged. Click “Roll back”.",
        watch: "What cannot be evaluated is a no: every guard that needs the CD system says what it \
                could not find out, and the rollback is refused.",
        cues: &[Cue {
            when: When::Staged,
            what: What::UnplugReleases,
            told: "The deployment folder was unplugged (renamed).",
        }],
        ..GOOD
    },
    Scene {
        id: "race",
        title: "Two people click at once",
        click: "Click “Roll back” as Ana, give a reason and confirm. Bo does the same at the same \
                moment.",
        watch: "Exactly one of the two gets the service; the other is told whose rollback it is. \
                Look as Bo, too.",
        cues: &[
            Cue {
                when: When::Reached(ANA, StateName::Authorizing),
                what: What::Click(BO),
                told: "Bo clicked “Roll back” as well.",
            },
            Cue {
                when: When::Reached(ANA, StateName::Checking),
                what: What::Confirm(BO),
                told: "Bo confirmed as well.",
            },
        ],
        ..GOOD
    },
    Scene {
        id: "outage",
        title: "Slack goes down in the middle",
        click: "Roll back as Ana. As soon as the order is given, Slack fails for ten seconds.",
        watch: "The rollback goes on and the shop works again before Slack does. When Slack is back, \
                the messages catch up: none is missing, none is there twice.",
        cues: &[
            Cue {
                when: When::Reached(ANA, StateName::Running),
                what: What::Outage(true),
                told: "Slack is down: every call of its Web API fails.",
            },
            Cue {
                when: When::Later(Duration::from_secs(10)),
                what: What::Outage(false),
                told: "Slack is back.",
            },
        ],
        ..GOOD
    },
    Scene {
        id: "kill",
        title: "kill -9 in the middle",
        click: "Roll back as Ana. While it runs, the rollback service is killed (SIGKILL) and stays \
                dead for four seconds.",
        watch: "The next process finds the journal, asks the deployment folder what became of the \
                order, and ends the rollback. Nothing is done twice; the audit chain has no gap.",
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
    Scene {
        id: "four-eyes",
        title: "Four eyes",
        click: "Roll back as Ana. Somebody else must approve: open the thread, try it as Ana, then \
                as Bo.",
        watch: "Nobody approves their own rollback. The guards are read once more after the \
                approval, and only then the order is given.",
        approvals_min: 1,
        ..GOOD
    },
    Scene {
        id: "drill",
        title: "A drill",
        click: "Roll back as Ana, as on any day when nothing burns. The message says that it is a \
                drill.",
        watch: "Everything happens but the order: the CD system is asked whether it would have taken \
                it. The shop stays as it is, and the audit trail says drill.",
        drill: true,
        ..GOOD
    },
];

/// Finds a scene.
#[must_use]
pub fn find(id: &str) -> Option<&'static Scene> {
    [SCENES, ON_KUBERNETES, ON_HELM].into_iter().flatten().find(|scene| scene.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scene_has_a_name_of_its_own_and_says_what_to_click_and_to_watch() {
        let all = [SCENES, ON_KUBERNETES, ON_HELM].concat();
        let ids: BTreeSet<_> = all.iter().map(|scene| scene.id).collect();
        let titles: BTreeSet<_> = all.iter().map(|scene| scene.title).collect();
        assert_eq!((ids.len(), titles.len()), (all.len(), all.len()));
        for scene in &all {
            assert!(!scene.click.is_empty() && !scene.watch.is_empty(), "{}", scene.id);
            assert!(!scene.click.contains("  "), "a broken line in {}", scene.id);
            assert_eq!(find(scene.id).map(|found| found.title), Some(scene.title));
        }
    }
}
