//! Which revision to go back to: a policy, not a guess. Whatever is skipped is skipped for a
//! reason that can be read.

use crate::guard::Guard;
use crate::id::{Label, RevisionId};
use crate::model::{Migrations, Restorable, Reversible, Revision, RevisionRef, RevisionStatus};
use crate::observed::ServiceRecord;
use crate::time::{Timestamp, in_words};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Why a revision is not a target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skip {
    /// It is what runs now.
    Live,
    /// It is a copy of what runs now: the live revision restored it.
    SameAsLive,
    /// Its deploy did not succeed, or nobody can say.
    NotSucceeded(RevisionStatus),
    /// It was live for too short a time to be called good.
    NotSoaked {
        /// How long it was live.
        #[serde(with = "crate::time::millis")]
        live_for: Duration,
        /// How long it should have been.
        #[serde(with = "crate::time::millis")]
        soak: Duration,
    },
    /// The history does not say how long it was live.
    SoakUnknown,
    /// Somebody marked it bad.
    MarkedBad(Label),
    /// It was itself rolled back from.
    RolledBackFrom,
    /// The CD system can no longer restore it.
    NotRestorable,
    /// The CD system cannot say whether it can be restored.
    RestorableUnknown,
    /// A migration since then cannot be reversed.
    MigrationIrreversible {
        /// The revision that brought it.
        revision: RevisionId,
        /// The migration.
        migration: Label,
    },
    /// It is not known whether a revision since then brought a migration that cannot be reversed.
    MigrationUnknown {
        /// The revision of which it is not known.
        revision: RevisionId,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("it is what runs now"),
            Self::SameAsLive => f.write_str("what runs now is a copy of it"),
            Self::NotSucceeded(RevisionStatus::Failed) => f.write_str("its deploy failed"),
            Self::NotSucceeded(
                RevisionStatus::Unknown | RevisionStatus::Succeeded | RevisionStatus::Superseded,
            ) => f.write_str("it is not known whether its deploy succeeded"),
            Self::NotSoaked { live_for, soak } => write!(
                f,
                "it was live for only {}; {} are asked for",
                in_words(*live_for),
                in_words(*soak)
            ),
            Self::SoakUnknown => f.write_str("it is not known how long it was live"),
            Self::MarkedBad(why) => write!(f, "it is marked bad: {why}"),
            Self::RolledBackFrom => f.write_str("it was itself rolled back from"),
            Self::NotRestorable => f.write_str("the CD system can no longer restore it"),
            Self::RestorableUnknown => {
                f.write_str("the CD system cannot say whether it can be restored")
            }
            Self::MigrationIrreversible { revision, migration } => {
                write!(f, "migration `{migration}` of `{}` cannot be reversed", revision.short())
            }
            Self::MigrationUnknown { revision } => {
                write!(f, "it is not known which migrations `{}` brought", revision.short())
            }
        }
    }
}

/// A revision that was passed over, and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// The revision.
    pub revision: Revision,
    /// Why.
    pub skip: Skip,
}

/// What the policy chose.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Choice {
    /// The revision to go back to, if there is one.
    pub target: Option<Revision>,
    /// Why this one, or why none.
    pub why: String,
    /// Every revision between the live one and the target that was passed over, newest first.
    pub skipped: Vec<Skipped>,
}

impl Choice {
    /// No target, for a reason that stands outside the history: the CD did not answer, say.
    #[must_use]
    pub fn none(why: impl Into<String>) -> Self {
        Self { target: None, why: why.into(), skipped: Vec::new() }
    }
}

/// What the choice rests on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidates<'a> {
    /// The deploy history, newest first.
    pub history: &'a [Revision],
    /// What runs now.
    pub live: &'a RevisionId,
    /// What we know about the service ourselves.
    pub record: &'a ServiceRecord,
    /// How long a revision must have been live.
    pub soak: Duration,
    /// Now: the live revision is still soaking.
    pub now: Timestamp,
}

impl<'a> Candidates<'a> {
    /// Collects what the choice rests on.
    #[must_use]
    pub const fn new(
        history: &'a [Revision],
        live: &'a RevisionId,
        record: &'a ServiceRecord,
        soak: Duration,
        now: Timestamp,
    ) -> Self {
        Self { history, live, record, soak, now }
    }

    /// Chooses the newest known-good revision older than the live one.
    #[must_use]
    pub fn choose(&self) -> Choice {
        let Some(place) = self.live_place() else {
            return Choice::none(alloc::format!(
                "the live revision `{}` is not in the deploy history; deploy through the CD system once to have one",
                self.live
            ));
        };
        let mut skipped = Vec::new();
        for revision in self.history.iter().skip(place.saturating_add(1)) {
            match self.judge(&revision.id) {
                Ok(()) => {
                    let why = alloc::format!(
                        "{} is the newest earlier revision that is known to be good",
                        revision.reference()
                    );
                    return Choice { target: Some(revision.clone()), why, skipped };
                }
                Err(skip) => skipped.push(Skipped { revision: revision.clone(), skip }),
            }
        }
        let why = match skipped.first() {
            None => "this is the first revision of the history; there is nothing to go back to"
                .to_string(),
            Some(first) => alloc::format!(
                "no earlier revision is known to be good: `{}` is not, because {}",
                first.revision.id.short(),
                first.skip
            ),
        };
        Choice { target: None, why, skipped }
    }

    /// Judges one revision by the same rules, whether or not it is the newest.
    ///
    /// # Errors
    ///
    /// The first [`Skip`] that applies. A revision that is not in the history, or newer than the
    /// live one, is [`Skip::NotRestorable`].
    pub fn judge(&self, id: &RevisionId) -> Result<(), Skip> {
        let place = self.locate(id)?;
        self.known_good(place)?;
        place.restorable()?;
        self.reversible(place)
    }

    /// The part of [`Self::judge`] that one guard answers for.
    pub(crate) fn judge_part(&self, id: &RevisionId, guard: &Guard) -> Result<(), Skip> {
        let place = self.locate(id);
        match guard {
            Guard::TargetRestorable => place?.restorable(),
            Guard::Migrations => self.reversible(place?),
            Guard::KnownGood
            | Guard::NewerDeploy
            | Guard::AlreadyAtTarget
            | Guard::InFlight
            | Guard::ConfirmationCurrent
            | Guard::Freeze
            | Guard::CoolDown
            | Guard::UndoneByBackend
            | Guard::BackendAccepts
            | Guard::FixesUndone
            | Guard::Custom(_) => self.known_good(place?),
        }
    }

    /// Finds a revision older than the live one.
    fn locate(&self, id: &RevisionId) -> Result<Place<'a>, Skip> {
        if id == self.live {
            return Err(Skip::Live);
        }
        let live = self.live_place().ok_or(Skip::NotRestorable)?;
        let mut older = self.history.iter().enumerate().skip(live);
        let found = older.find(|(_, revision)| revision.id == *id);
        let (index, revision) = found.ok_or(Skip::NotRestorable)?;
        Ok(Place { live, index, revision })
    }

    fn known_good(&self, place: Place<'_>) -> Result<(), Skip> {
        let revision = place.revision;
        match revision.status {
            RevisionStatus::Succeeded | RevisionStatus::Superseded => {}
            RevisionStatus::Failed | RevisionStatus::Unknown => {
                return Err(Skip::NotSucceeded(revision.status));
            }
        }
        if let Some(why) = self.record.marked_bad.get(&revision.id) {
            return Err(Skip::MarkedBad(why.clone()));
        }
        if self.record.rolled_back_from.contains(&revision.id) {
            return Err(Skip::RolledBackFrom);
        }
        let copied = self.history.get(place.live).and_then(|live| live.restores.as_ref());
        if copied == Some(&revision.id) {
            return Err(Skip::SameAsLive);
        }
        self.soaked(place)
    }

    /// A revision is live from its deploy to the next one that succeeded.
    fn soaked(&self, place: Place<'_>) -> Result<(), Skip> {
        if self.soak.is_zero() {
            return Ok(());
        }
        let Some(since) = place.revision.deployed_at else {
            return Err(Skip::SoakUnknown);
        };
        let newer = self.history.iter().take(place.index).rev();
        let mut until = self.now;
        for next in newer {
            match next.status {
                RevisionStatus::Failed => {}
                RevisionStatus::Succeeded
                | RevisionStatus::Superseded
                | RevisionStatus::Unknown => {
                    until = next.deployed_at.ok_or(Skip::SoakUnknown)?;
                    break;
                }
            }
        }
        let live_for = until.since(since);
        if live_for < self.soak {
            return Err(Skip::NotSoaked { live_for, soak: self.soak });
        }
        Ok(())
    }

    /// Every migration of every revision newer than the target, up to the live one, must be known
    /// and reversible. A failed deploy may have migrated too.
    fn reversible(&self, place: Place<'_>) -> Result<(), Skip> {
        let between = place.index.saturating_sub(place.live);
        for revision in self.history.iter().skip(place.live).take(between) {
            let Migrations::Known(migrations) = &revision.migrations else {
                return Err(Skip::MigrationUnknown { revision: revision.id.clone() });
            };
            for migration in migrations {
                match migration.reversible {
                    Reversible::Yes => {}
                    Reversible::No => {
                        return Err(Skip::MigrationIrreversible {
                            revision: revision.id.clone(),
                            migration: migration.id.clone(),
                        });
                    }
                    Reversible::Unknown => {
                        return Err(Skip::MigrationUnknown { revision: revision.id.clone() });
                    }
                }
            }
        }
        Ok(())
    }

    fn live_place(&self) -> Option<usize> {
        self.history.iter().position(|revision| revision.id == *self.live)
    }
}

/// A revision older than the live one, and where both stand in the history.
#[derive(Clone, Copy)]
struct Place<'a> {
    live: usize,
    index: usize,
    revision: &'a Revision,
}

impl Place<'_> {
    const fn restorable(self) -> Result<(), Skip> {
        match self.revision.restorable {
            Restorable::Yes => Ok(()),
            Restorable::No => Err(Skip::NotRestorable),
            Restorable::Unknown => Err(Skip::RestorableUnknown),
        }
    }
}

/// The known migrations between two revisions, for telling what is not undone.
#[must_use]
pub fn migrations_between(
    history: &[Revision],
    from: &RevisionRef,
    to: &RevisionRef,
) -> Vec<(RevisionId, Label)> {
    history
        .iter()
        .skip_while(|revision| revision.id != from.revision)
        .take_while(|revision| revision.id != to.revision)
        .filter_map(|revision| match &revision.migrations {
            Migrations::Known(list) => Some((&revision.id, list)),
            Migrations::Unknown => None,
        })
        .flat_map(|(id, list)| list.iter().map(|migration| (id.clone(), migration.id.clone())))
        .collect()
}
