//! The domain: revisions, deploys, people, and the plan of one rollback.

use crate::id::{
    ChannelId, DeployId, EnvironmentName, Label, RevisionId, RevisionName, ServiceName, UserId,
    WorkspaceId,
};
use crate::named::Named;
use crate::time::Timestamp;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// One service in one environment: what is deployed, guarded and rolled back as a whole.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct ServiceKey {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
}

impl ServiceKey {
    /// Names a service in an environment.
    #[must_use]
    pub const fn new(service: ServiceName, environment: EnvironmentName) -> Self {
        Self { service, environment }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.service, self.environment)
    }
}

/// How a deploy of a revision ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has these four")]
pub enum RevisionStatus {
    /// It went live.
    Succeeded,
    /// It did not.
    Failed,
    /// It was live and another revision took its place.
    Superseded,
    /// The CD system cannot say.
    #[default]
    Unknown,
}

/// Whether the CD system could restore a revision now. On the wire: `true`, `false` or `null`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Option<bool>", into = "Option<bool>")]
#[expect(clippy::exhaustive_enums, reason = "yes, no and unknown are all there is")]
pub enum Restorable {
    /// Everything it needs is still there.
    Yes,
    /// Something it needs is gone.
    No,
    /// The CD system cannot say.
    #[default]
    Unknown,
}

impl From<Option<bool>> for Restorable {
    fn from(wire: Option<bool>) -> Self {
        match wire {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

impl From<Restorable> for Option<bool> {
    fn from(restorable: Restorable) -> Self {
        match restorable {
            Restorable::Yes => Some(true),
            Restorable::No => Some(false),
            Restorable::Unknown => None,
        }
    }
}

/// Whether the code before a migration still works after it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has these three")]
pub enum Reversible {
    /// The earlier code runs against the migrated data.
    Yes,
    /// It does not.
    No,
    /// Nobody said.
    #[default]
    Unknown,
}

/// A change of data or schema that a deploy brought with it. A rollback does not undo it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Migration {
    /// Its name.
    pub id: Label,
    /// Whether the earlier code still works.
    #[serde(default)]
    pub reversible: Reversible,
}

impl Migration {
    /// Names a migration.
    #[must_use]
    pub fn new(id: impl Into<Label>, reversible: Reversible) -> Self {
        Self { id: id.into(), reversible }
    }
}

/// The migrations a revision brought. On the wire: `null` or absent when unknown, `[]` when none.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Option<Vec<Migration>>", into = "Option<Vec<Migration>>")]
#[expect(clippy::exhaustive_enums, reason = "known and unknown are all there is")]
pub enum Migrations {
    /// Nobody said.
    #[default]
    Unknown,
    /// Exactly these; none when empty.
    Known(Vec<Migration>),
}

impl From<Option<Vec<Migration>>> for Migrations {
    fn from(wire: Option<Vec<Migration>>) -> Self {
        wire.map_or(Self::Unknown, Self::Known)
    }
}

impl From<Migrations> for Option<Vec<Migration>> {
    fn from(migrations: Migrations) -> Self {
        match migrations {
            Migrations::Unknown => None,
            Migrations::Known(list) => Some(list),
        }
    }
}

/// What a fix repaired.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the wire contract has these three")]
pub enum FixKind {
    /// An incident.
    Incident,
    /// A security hole.
    Security,
    /// Any other bug.
    Bug,
}

impl FixKind {
    /// Whether a rollback that takes such a fix away must be acknowledged.
    #[must_use]
    pub const fn is_grave(self) -> bool {
        match self {
            Self::Incident | Self::Security => true,
            Self::Bug => false,
        }
    }
}

/// Something that a deploy repaired, and that a rollback breaks again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fix {
    /// Its name where it is tracked: `INC-204`.
    pub id: Label,
    /// What it repaired.
    pub kind: FixKind,
}

impl Fix {
    /// Names a fix.
    #[must_use]
    pub fn new(id: impl Into<Label>, kind: FixKind) -> Self {
        Self { id: id.into(), kind }
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FixKind::Incident => "the fix of incident",
            FixKind::Security => "the security fix",
            FixKind::Bug => "the fix of",
        };
        write!(f, "{what} `{}`", self.id)
    }
}

/// What a revision fixed. On the wire: `null` or absent when unknown, `[]` when nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Option<Vec<Fix>>", into = "Option<Vec<Fix>>")]
#[expect(clippy::exhaustive_enums, reason = "known and unknown are all there is")]
pub enum Fixes {
    /// Nobody said.
    #[default]
    Unknown,
    /// Exactly these; none when empty.
    Known(Vec<Fix>),
}

impl Fixes {
    const fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Known(_) => false,
        }
    }
}

impl From<Option<Vec<Fix>>> for Fixes {
    fn from(wire: Option<Vec<Fix>>) -> Self {
        wire.map_or(Self::Unknown, Self::Known)
    }
}

impl From<Fixes> for Option<Vec<Fix>> {
    fn from(fixes: Fixes) -> Self {
        match fixes {
            Fixes::Unknown => None,
            Fixes::Known(list) => Some(list),
        }
    }
}

/// A commit that a deploy brought.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The commit.
    #[serde(default)]
    pub commit: Option<Label>,
    /// Its title. Hostile until escaped.
    pub title: Label,
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<Deployer>,
    /// Where it can be read. Hostile until checked.
    #[serde(default)]
    pub url: Option<String>,
    /// What it repaired.
    #[serde(default)]
    pub fixes: Vec<Fix>,
}

impl Change {
    /// A commit of which only the title is known.
    #[must_use]
    pub fn new(title: impl Into<Label>) -> Self {
        Self { commit: None, title: title.into(), author: None, url: None, fixes: Vec::new() }
    }
}

/// Most changes of one deploy that are kept: more than anybody reads before a rollback.
pub const CHANGES_MAX: usize = 500;

/// Most fixes of one deploy.
pub const FIXES_MAX: usize = 100;

/// One entry of a service's deploy history, as the CD system tells it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Revision {
    /// The CD system's own identity of it.
    pub id: RevisionId,
    /// Its version, for people.
    #[serde(default)]
    pub version: Option<Label>,
    /// The commit it was built from.
    #[serde(default)]
    pub commit: Option<Label>,
    /// When it went live.
    #[serde(default)]
    pub deployed_at: Option<Timestamp>,
    /// How its deploy ended.
    #[serde(default)]
    pub status: RevisionStatus,
    /// Whether it could be restored now.
    #[serde(default)]
    pub restorable: Restorable,
    /// The migrations it brought.
    #[serde(default)]
    pub migrations: Migrations,
    /// What it fixed.
    #[serde(default, skip_serializing_if = "Fixes::is_unknown")]
    pub fixes: Fixes,
    /// The earlier revision whose content this one restored, where the CD system gives a rollback
    /// an entry of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<RevisionId>,
    /// What people call it besides, the usual name first; at most
    /// [`NAMES_MAX`](crate::named::NAMES_MAX).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Named>,
}

impl Revision {
    /// A revision of which only the identity is known.
    #[must_use]
    pub const fn new(id: RevisionId) -> Self {
        Self {
            id,
            version: None,
            commit: None,
            deployed_at: None,
            status: RevisionStatus::Unknown,
            restorable: Restorable::Unknown,
            migrations: Migrations::Unknown,
            fixes: Fixes::Unknown,
            restores: None,
            names: Vec::new(),
        }
    }

    /// A revision that succeeded and can be restored, of which no more is known.
    #[must_use]
    pub const fn good(id: RevisionId) -> Self {
        let mut revision = Self::new(id);
        (revision.status, revision.restorable) = (RevisionStatus::Succeeded, Restorable::Yes);
        revision
    }

    /// Notes one more name, if there is room and it is new.
    pub fn call(&mut self, name: RevisionName, since: Option<Timestamp>) {
        let known = self.names.iter().any(|named| named.name == name);
        if !known && self.names.len() < crate::named::NAMES_MAX {
            self.names.push(Named::new(name, since));
        }
    }

    /// What identifies it.
    #[must_use]
    pub fn reference(&self) -> RevisionRef {
        RevisionRef {
            revision: self.id.clone(),
            version: self.version.clone(),
            commit: self.commit.clone(),
        }
    }
}

/// What identifies a revision, to machines and to people. Two references are the same revision
/// when their `revision` is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RevisionRef {
    /// The CD system's own identity of it.
    pub revision: RevisionId,
    /// Its version, for people.
    #[serde(default)]
    pub version: Option<Label>,
    /// The commit it was built from.
    #[serde(default)]
    pub commit: Option<Label>,
}

impl RevisionRef {
    /// Refers to a revision of which only the identity is known.
    #[must_use]
    pub const fn new(revision: RevisionId) -> Self {
        Self { revision, version: None, commit: None }
    }
}

impl RevisionRef {
    /// What people read where another revision is named as well.
    #[must_use]
    pub fn beside(&self, other: &Self) -> String {
        self.called(self.revision.beside(&other.revision))
    }

    fn called(&self, name: &str) -> String {
        match &self.version {
            Some(version) => alloc::format!("`{name}` ({version})"),
            None => alloc::format!("`{name}`"),
        }
    }
}

impl fmt::Display for RevisionRef {
    /// As people call it; see [`RevisionId::short`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.called(self.revision.short()))
    }
}

/// Who deployed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deployer {
    /// Their name, for people.
    #[serde(default)]
    pub name: Option<Label>,
    /// Their Slack user id, to tell them.
    #[serde(default)]
    pub slack_user_id: Option<UserId>,
    /// Their e-mail address, to find them by.
    #[serde(default)]
    pub email: Option<Label>,
}

/// The report that a revision went live.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deploy {
    /// The reporter's identity of this deploy; makes a repeat harmless.
    pub id: DeployId,
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The version that went live.
    pub version: Label,
    /// The commit it was built from.
    #[serde(default)]
    pub commit: Option<Label>,
    /// The CD system's own identity of what went live. A report may give any name of it instead:
    /// the engine looks that up in the history, once, and holds it in `reported` until it is found.
    /// Absent there, too, the backend is asked what runs.
    #[serde(default)]
    pub revision: Option<RevisionId>,
    /// What its reporter called the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<RevisionName>,
    /// Who deployed.
    #[serde(default)]
    pub deployer: Option<Deployer>,
    /// Where the changes can be read.
    #[serde(default)]
    pub changelog_url: Option<String>,
    /// When it went live.
    pub deployed_at: Timestamp,
    /// The migrations it brought.
    #[serde(default)]
    pub migrations: Migrations,
    /// The commits it brought, newest first, at most [`CHANGES_MAX`]; absent when nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Change>>,
}

impl Deploy {
    /// A report with the mandatory fields.
    #[must_use]
    pub fn new(
        id: DeployId,
        key: ServiceKey,
        version: impl Into<Label>,
        deployed_at: Timestamp,
    ) -> Self {
        Self {
            id,
            service: key.service,
            environment: key.environment,
            version: version.into(),
            commit: None,
            revision: None,
            reported: None,
            deployer: None,
            changelog_url: None,
            deployed_at,
            migrations: Migrations::Unknown,
            changes: None,
        }
    }

    /// What it fixed, as far as its changes say.
    #[must_use]
    pub fn fixes(&self) -> Fixes {
        let changes = self.changes.as_ref();
        changes.map_or(Fixes::Unknown, |changes| {
            let fixes = changes.iter().flat_map(|change| &change.fixes);
            Fixes::Known(fixes.take(FIXES_MAX).cloned().collect())
        })
    }

    /// The service and environment it went to.
    #[must_use]
    pub fn key(&self) -> ServiceKey {
        ServiceKey::new(self.service.clone(), self.environment.clone())
    }

    /// In which fields another report under the same id differs from this one, which is kept. What was
    /// filled in here after the report, such as the revision that was found, is not compared.
    #[must_use]
    pub fn differences(&self, report: &Self) -> Vec<&'static str> {
        let named = |deploy: &Self| {
            let name = deploy.reported.clone();
            name.or_else(|| deploy.revision.clone().map(RevisionName::from))
        };
        // A report that named no revision was given the one that was found.
        let same_revision = self.reported == report.reported
            || (self.reported.is_none() && named(self) == named(report));
        let fields = [
            ("service", self.service == report.service),
            ("environment", self.environment == report.environment),
            ("version", self.version == report.version),
            ("commit", self.commit == report.commit),
            ("revision", same_revision),
            ("deployer", self.deployer == report.deployer),
            ("changelog_url", self.changelog_url == report.changelog_url),
            ("deployed_at", self.deployed_at == report.deployed_at),
            ("migrations", self.migrations == report.migrations),
            ("changes", self.changes == report.changes),
        ];
        fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }

    /// What identifies the revision that went live, once its revision is known.
    #[must_use]
    pub fn reference(&self) -> Option<RevisionRef> {
        let revision = self.revision.clone()?;
        Some(RevisionRef {
            revision,
            version: Some(self.version.clone()),
            commit: self.commit.clone(),
        })
    }
}

/// Somebody who acts, as an authenticated request named them. Two actors are the same when their
/// `id` and `workspace` are: names can be forged.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Actor {
    /// Their identity in the directory.
    pub id: UserId,
    /// Their name, for people.
    #[serde(default)]
    pub name: Option<Label>,
    /// The workspace their request came from.
    #[serde(default)]
    pub workspace: Option<WorkspaceId>,
    /// The channel through which they acted.
    #[serde(default)]
    pub channel: Option<ChannelId>,
}

impl Actor {
    /// Names an actor by identity alone.
    #[must_use]
    pub const fn new(id: UserId) -> Self {
        Self { id, name: None, workspace: None, channel: None }
    }

    /// Whether both are the same account.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.workspace == other.workspace
    }
}

/// What one rollback would do: bring a service from the revision that was shown to another one.
///
/// ```
/// use rollback_core::{Plan, PlanError, RevisionId, RevisionRef, ServiceKey};
/// let key = ServiceKey::new("checkout".parse()?, "production".parse()?);
/// let (r42, r41) = (RevisionRef::new("42".parse()?), RevisionRef::new("41".parse()?));
/// assert!(Plan::new(key.clone(), r42.clone(), r41).is_ok());
/// assert!(matches!(Plan::new(key, r42.clone(), r42), Err(PlanError::SameRevision { .. })));
/// # Ok::<(), rollback_core::IdError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawPlan")]
pub struct Plan {
    #[serde(flatten)]
    key: ServiceKey,
    from: RevisionRef,
    to: RevisionRef,
}

#[derive(Deserialize)]
struct RawPlan {
    #[serde(flatten)]
    key: ServiceKey,
    from: RevisionRef,
    to: RevisionRef,
}

impl TryFrom<RawPlan> for Plan {
    type Error = PlanError;
    fn try_from(raw: RawPlan) -> Result<Self, PlanError> {
        Self::new(raw.key, raw.from, raw.to)
    }
}

/// Why a plan was not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The target is the revision it starts from.
    #[error("{key} already runs `{revision}`; there is nothing to roll back to")]
    SameRevision {
        /// The service.
        key: ServiceKey,
        /// The revision named twice.
        revision: RevisionId,
    },
}

impl Plan {
    /// Parses a plan.
    ///
    /// # Errors
    ///
    /// [`PlanError::SameRevision`] when `from` and `to` are one revision.
    pub fn new(key: ServiceKey, from: RevisionRef, to: RevisionRef) -> Result<Self, PlanError> {
        if from.revision == to.revision {
            return Err(PlanError::SameRevision { key, revision: to.revision });
        }
        Ok(Self { key, from, to })
    }

    /// The service and environment.
    #[must_use]
    pub const fn key(&self) -> &ServiceKey {
        &self.key
    }

    /// The revision that must still be live when the order is carried out.
    #[must_use]
    pub const fn from(&self) -> &RevisionRef {
        &self.from
    }

    /// The revision to return to.
    #[must_use]
    pub const fn to(&self) -> &RevisionRef {
        &self.to
    }

    /// The two revisions, as a person was shown them.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair { from: self.from.revision.clone(), to: self.to.revision.clone() }
    }
}

/// Current and target as somebody saw them when they confirmed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pair {
    /// The revision shown as current.
    pub from: RevisionId,
    /// The revision shown as target.
    pub to: RevisionId,
}

impl Pair {
    /// Names what was shown.
    #[must_use]
    pub const fn new(from: RevisionId, to: RevisionId) -> Self {
        Self { from, to }
    }
}
