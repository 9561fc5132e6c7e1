//! Guards: pure judgements over observed facts. Of four verdicts one lets a rollback through, and one
//! does so only when the confirmation names each of its warnings.

use crate::fact::{Fact, Missing};
use crate::id::{GuardName, Label, RevisionId};
use crate::journal::Rules;
use crate::known_good::{Candidates, Skip};
use crate::model::{Fix, Fixes, Pair, Plan, Revision, RevisionRef, RevisionStatus};
use crate::observed::{
    Acceptance, Facts, InProgress, LatestDeploy, OperationKind, Reading, ServiceRecord,
};
use crate::policy::Policy;
use crate::presence::Presence;
use crate::time::{Timestamp, in_words};
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Most guards of a host's own: the report must fit into one modal.
pub const CUSTOM_GUARDS_MAX: usize = 50;

/// Most warnings of one report: a group of checkboxes in Slack has ten.
pub const WARNINGS_MAX: usize = 10;

/// Longest id of a warning in bytes: what the value of a checkbox in Slack certainly holds.
const WARNING_ID_MAX: usize = 75;

/// For how long a report of a later deploy counts against the CD system's own word on what is live:
/// longer than a CD system takes to show what went live. After that, what is live decides: the two
/// clocks may differ, or the report may name a revision that never was.
const REPORT_COUNTS_FOR: Duration = Duration::from_secs(600);

/// Something that must hold before an order is given.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new guard must be judged and explained")]
pub enum Guard {
    /// Nothing newer went live than what was shown.
    NewerDeploy,
    /// The target is still in the history and can be restored.
    TargetRestorable,
    /// Every migration since the target is known and reversible.
    Migrations,
    /// The target is known to have been good.
    KnownGood,
    /// The target is not what runs already.
    AlreadyAtTarget,
    /// No other deploy or rollback is in progress.
    InFlight,
    /// What was confirmed is what would be done.
    ConfirmationCurrent,
    /// No freeze or lock holds.
    Freeze,
    /// The last rollback is long enough ago.
    CoolDown,
    /// Nothing would undo the rollback by itself.
    UndoneByBackend,
    /// The CD system would accept it.
    BackendAccepts,
    /// No fix of an incident or of a security hole is taken away. Only warns.
    FixesUndone,
    /// One of the host's own, answered by its [`crate::ports::FactSource`].
    Custom(GuardName),
}

impl Guard {
    /// The guards that every rollback has.
    pub const BUILT_IN: [Self; 12] = [
        Self::NewerDeploy,
        Self::TargetRestorable,
        Self::Migrations,
        Self::KnownGood,
        Self::AlreadyAtTarget,
        Self::InFlight,
        Self::ConfirmationCurrent,
        Self::Freeze,
        Self::CoolDown,
        Self::UndoneByBackend,
        Self::BackendAccepts,
        Self::FixesUndone,
    ];

    /// The built-in guards of the first release, whose journals do not name them.
    const OF_THE_FIRST_RELEASE: [Self; 11] = [
        Self::NewerDeploy,
        Self::TargetRestorable,
        Self::Migrations,
        Self::KnownGood,
        Self::AlreadyAtTarget,
        Self::InFlight,
        Self::ConfirmationCurrent,
        Self::Freeze,
        Self::CoolDown,
        Self::UndoneByBackend,
        Self::BackendAccepts,
    ];

    /// The built-in guard of this name.
    fn built_in(name: &str) -> Option<Self> {
        Self::BUILT_IN.into_iter().find(|guard| guard.name() == name)
    }

    /// Its name, as reports and the audit record cite it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NewerDeploy => "newer_deploy",
            Self::TargetRestorable => "target_restorable",
            Self::Migrations => "migrations",
            Self::KnownGood => "known_good",
            Self::AlreadyAtTarget => "already_at_target",
            Self::InFlight => "in_flight",
            Self::ConfirmationCurrent => "confirmation_current",
            Self::Freeze => "freeze",
            Self::CoolDown => "cool_down",
            Self::UndoneByBackend => "undone_by_backend",
            Self::BackendAccepts => "backend_accepts",
            Self::FixesUndone => "fixes_undone",
            Self::Custom(name) => name.as_str(),
        }
    }

    /// What it means that it passed.
    #[must_use]
    pub const fn promise(&self) -> &'static str {
        match self {
            Self::NewerDeploy => "nothing newer has gone live",
            Self::TargetRestorable => "the target can be restored",
            Self::Migrations => "no migration stands in the way",
            Self::KnownGood => "the target was good when it last ran",
            Self::AlreadyAtTarget => "the target is not live already",
            Self::InFlight => "no other deploy or rollback is running",
            Self::ConfirmationCurrent => "what was shown is what would be done",
            Self::Freeze => "no freeze or lock holds",
            Self::CoolDown => "the last rollback is long enough ago",
            Self::UndoneByBackend => "nothing would undo it by itself",
            Self::BackendAccepts => "the CD system would accept it",
            Self::FixesUndone => "no reported incident or security fix is undone",
            Self::Custom(_) => "this guard of your own passes",
        }
    }
}

/// The guards of a policy: every built-in one and the host's own. Cannot be empty.
///
/// It is written with the name of every guard, so that a newer release, which may have more of them,
/// evaluates those of the release that wrote it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct GuardSet {
    guards: Vec<Guard>,
}

/// A set of guards as it is written.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Written {
    /// Every guard by name.
    All { built_in: Vec<String>, custom: BTreeSet<GuardName> },
    /// As the first release wrote it: the host's own, besides the eleven built-in ones of then.
    Custom(BTreeSet<GuardName>),
}

/// Why a set of guards was not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardSetError {
    /// More than [`CUSTOM_GUARDS_MAX`].
    #[error("{0} guards of your own; at most {CUSTOM_GUARDS_MAX} fit into one confirmation")]
    TooMany(usize),
    /// A name that a built-in guard has.
    #[error("the guard name `{0}` belongs to a built-in guard; choose another")]
    Taken(GuardName),
    /// A built-in guard of another release.
    #[error(
        "it is held to the guard `{0}`, which this release does not know; start the release that wrote it"
    )]
    NotKnown(String),
    /// A built-in guard that every rollback has is not named.
    #[error("it is not held to the guard `{0}`, which every rollback has")]
    Missing(String),
}

impl GuardSet {
    /// The guards that every rollback has, and no other.
    #[must_use]
    pub fn built_in() -> Self {
        Self { guards: Guard::BUILT_IN.to_vec() }
    }

    /// The built-in guards and these.
    ///
    /// # Errors
    ///
    /// [`GuardSetError`] when there are too many, or one takes a built-in guard's name.
    pub fn with(custom: BTreeSet<GuardName>) -> Result<Self, GuardSetError> {
        Self::of(Guard::BUILT_IN.to_vec(), custom)
    }

    /// These built-in guards and these of the host's own.
    fn of(built_in: Vec<Guard>, custom: BTreeSet<GuardName>) -> Result<Self, GuardSetError> {
        if custom.len() > CUSTOM_GUARDS_MAX {
            return Err(GuardSetError::TooMany(custom.len()));
        }
        let mut guards = built_in;
        for name in custom {
            if guards.iter().any(|guard| guard.name() == name.as_str()) {
                return Err(GuardSetError::Taken(name));
            }
            guards.push(Guard::Custom(name));
        }
        Ok(Self { guards })
    }

    /// The guards that somebody wrote down by name: all those that the first release had, and none
    /// that this one does not know.
    fn named(names: Vec<String>, custom: BTreeSet<GuardName>) -> Result<Self, GuardSetError> {
        let mut built_in = Vec::with_capacity(names.len());
        for name in names {
            let guard = Guard::built_in(&name).ok_or(GuardSetError::NotKnown(name))?;
            if !built_in.contains(&guard) {
                built_in.push(guard);
            }
        }
        let missing = Guard::OF_THE_FIRST_RELEASE.iter().find(|guard| !built_in.contains(guard));
        if let Some(missing) = missing {
            return Err(GuardSetError::Missing(missing.name().into()));
        }
        Self::of(built_in, custom)
    }

    /// All of them, built-in ones first.
    #[must_use]
    pub fn as_slice(&self) -> &[Guard] {
        &self.guards
    }

    /// The host's own.
    pub fn custom(&self) -> impl Iterator<Item = &GuardName> {
        self.guards.iter().filter_map(|guard| match guard {
            Guard::Custom(name) => Some(name),
            Guard::NewerDeploy
            | Guard::TargetRestorable
            | Guard::Migrations
            | Guard::KnownGood
            | Guard::AlreadyAtTarget
            | Guard::InFlight
            | Guard::ConfirmationCurrent
            | Guard::Freeze
            | Guard::CoolDown
            | Guard::UndoneByBackend
            | Guard::BackendAccepts
            | Guard::FixesUndone => None,
        })
    }
}

impl TryFrom<Written> for GuardSet {
    type Error = GuardSetError;
    fn try_from(written: Written) -> Result<Self, GuardSetError> {
        match written {
            Written::All { built_in, custom } => Self::named(built_in, custom),
            Written::Custom(custom) => Self::of(Guard::OF_THE_FIRST_RELEASE.to_vec(), custom),
        }
    }
}

impl From<GuardSet> for Written {
    fn from(set: GuardSet) -> Self {
        let is_custom = |guard: &&Guard| matches!(guard, Guard::Custom(_));
        let built_in = set.guards.iter().filter(|guard| !is_custom(guard));
        Self::All {
            built_in: built_in.map(|guard| guard.name().into()).collect(),
            custom: set.custom().cloned().collect(),
        }
    }
}

/// The verdict on one guard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a fifth verdict must break every caller")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It holds only for whoever knows what they do: the confirmation must name each warning. Never
    /// empty, never treated as [`Verdict::Pass`].
    Warn(Warnings),
    /// It does not hold.
    Block(Explanation),
    /// Nobody knows. Never treated as [`Verdict::Pass`].
    Unknown(Explanation),
}

/// Words for a person at 3 a.m.: what is the matter, and what to do next.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What is the matter.
    pub what: String,
    /// What to do next.
    pub next: String,
}

impl Explanation {
    /// Explains.
    #[must_use]
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into() }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.next)
    }
}

/// The warnings of one guard, each to be acknowledged by its id; at most [`WARNINGS_MAX`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Warnings {
    /// What they are about, and what to do next.
    pub explanation: Explanation,
    /// Each of them.
    pub each: Vec<Warning>,
}

/// Something that a person must acknowledge before the rollback.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// How the confirmation names it: the name of the guard, or the id of a fix. Another warning has
    /// another id.
    pub id: Label,
    /// What is taken away, in words. Hostile until escaped.
    pub what: String,
}

impl Warnings {
    /// One warning.
    #[must_use]
    pub fn one(id: impl Into<Label>, explanation: Explanation) -> Self {
        let what = explanation.what.clone();
        Self { explanation, each: alloc::vec![Warning { id: id.into(), what }] }
    }
}

/// A guard and the verdict on it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The guard.
    pub guard: Guard,
    /// The verdict.
    pub verdict: Verdict,
    /// Whose word a guard that passes rests on, where nobody could see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<String>,
    /// What it means that a guard of the host's own passes, in the host's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<String>,
}

impl Finding {
    /// Whether the guard lets the rollback through, for whoever acknowledged these warnings.
    #[must_use]
    pub fn passes(&self, acknowledged: &BTreeSet<Label>) -> bool {
        match &self.verdict {
            Verdict::Pass => true,
            Verdict::Warn(warnings) => {
                let mut each = warnings.each.iter();
                !warnings.each.is_empty() && each.all(|one| acknowledged.contains(&one.id))
            }
            Verdict::Block(_) | Verdict::Unknown(_) => false,
        }
    }

    /// Its warnings; none where it does not warn.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        match &self.verdict {
            Verdict::Warn(warnings) => &warnings.each,
            Verdict::Pass | Verdict::Block(_) | Verdict::Unknown(_) => &[],
        }
    }

    /// `pass`, `warn`, `block` or `unknown`, as the contracts spell it.
    #[must_use]
    pub const fn verdict_name(&self) -> &'static str {
        match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn(_) => "warn",
            Verdict::Block(_) => "block",
            Verdict::Unknown(_) => "unknown",
        }
    }

    /// The finding in words.
    #[must_use]
    pub fn explanation(&self) -> String {
        let promise = self.promise.as_deref().unwrap_or_else(|| self.guard.promise());
        match (&self.verdict, &self.vouched_by) {
            (Verdict::Pass, None) => promise.to_string(),
            (Verdict::Pass, Some(by)) => alloc::format!("{promise} (not checked: {by} says so)"),
            (Verdict::Warn(warnings), _) => warnings.explanation.to_string(),
            (Verdict::Block(explanation) | Verdict::Unknown(explanation), _) => {
                explanation.to_string()
            }
        }
    }
}

/// The findings on every guard of a policy, in the policy's order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Whether every guard passes, for whoever acknowledged these warnings. An empty report never does.
    #[must_use]
    pub fn passes(&self, acknowledged: &BTreeSet<Label>) -> bool {
        !self.findings.is_empty() && self.obstacles(acknowledged).next().is_none()
    }

    /// Whether it can be confirmed: it passes for whoever acknowledges every warning.
    #[must_use]
    pub fn can_be_confirmed(&self) -> bool {
        self.passes(&self.warnings().map(|warning| warning.id.clone()).collect())
    }

    /// Every warning, to be acknowledged by whoever confirms.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.findings.iter().flat_map(Finding::warnings)
    }

    /// Every finding.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings that stand in the way of whoever acknowledged these warnings.
    pub fn obstacles<'a>(
        &'a self,
        acknowledged: &'a BTreeSet<Label>,
    ) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(|finding| !finding.passes(acknowledged))
    }

    /// One guard that blocks, before or instead of an evaluation of all of them.
    pub(crate) fn blocked(guard: Guard, explanation: Explanation) -> Self {
        let verdict = Verdict::Block(explanation);
        Self { findings: alloc::vec![Finding { guard, verdict, vouched_by: None, promise: None }] }
    }
}

/// What the guards are asked about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The policy.
    pub policy: &'a Policy,
    /// What a person was shown when they confirmed; nobody has confirmed when absent.
    pub shown: Option<&'a Pair>,
    /// The rollback that asks, so that it does not stand in its own way.
    pub asking: Option<&'a crate::id::RollbackId>,
    /// When it was confirmed or last approved: what was seen before that is unknown.
    pub since: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// The version of the rules that the rollback is judged by.
    pub rules: Rules,
}

impl<'a> Question<'a> {
    /// Asks about a plan before anybody has confirmed it.
    #[must_use]
    pub const fn new(plan: &'a Plan, policy: &'a Policy, now: Timestamp) -> Self {
        Self { plan, policy, shown: None, asking: None, since: None, now, rules: Rules::LATEST }
    }
}

/// Evaluates every guard of the policy. None short-circuits.
#[must_use]
pub fn evaluate(question: &Question<'_>, facts: &Facts) -> Report {
    let judged = |guard: &Guard| {
        let verdict =
            judge(guard, question, facts).unwrap_or_else(|missing| unknown(guard, &missing));
        let vouched_by = vouched_by(guard, &verdict, facts);
        let promise = promise(guard, &verdict, facts);
        Finding { guard: guard.clone(), verdict, vouched_by, promise }
    };
    let mut findings: Vec<Finding> = question.policy.guards.as_slice().iter().map(judged).collect();
    bound_warnings(&mut findings);
    Report { findings }
}

/// What cannot all be shown to whoever confirms is not asked of them.
fn bound_warnings(findings: &mut [Finding]) {
    let mut count = 0_usize;
    for finding in findings {
        let more = finding.warnings().len();
        if count.saturating_add(more) > WARNINGS_MAX {
            finding.verdict = Verdict::Block(Explanation::new(
                alloc::format!(
                    "there are more than {WARNINGS_MAX} warnings at once; one of them: {}",
                    finding.explanation()
                ),
                "settle some of them first, or fix forward",
            ));
        } else {
            count = count.saturating_add(more);
        }
    }
}

/// How a warning is named: a name that is too long for a checkbox keeps its beginning.
fn warning_id(name: &str) -> Label {
    if name.len() <= WARNING_ID_MAX {
        return Label::new(name);
    }
    let start: String = name.chars().take(40).collect();
    let digest = crate::audit::Hash::of(name.as_bytes()).to_string();
    Label::new(alloc::format!("{start}-{}", digest.get(..12).unwrap_or(&digest)))
}

/// One guard; a fact that it needs and that is missing comes back as the error.
fn judge(guard: &Guard, question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    match guard {
        Guard::NewerDeploy => newer_deploy(question, facts),
        Guard::TargetRestorable | Guard::Migrations | Guard::KnownGood => {
            target(guard, question, facts)
        }
        Guard::AlreadyAtTarget => {
            let live = fresh(question, &facts.live)?;
            let there = live.revision.as_ref().is_some_and(|r| is(r, question.plan.to()));
            Ok(block_if(there, || {
                Explanation::new(
                    alloc::format!("{} already runs {}", question.plan.key(), question.plan.to()),
                    "there is nothing to do",
                )
            }))
        }
        Guard::InFlight => in_flight(question, facts),
        Guard::ConfirmationCurrent => Ok(confirmation_current(question)),
        Guard::Freeze => freeze(question, facts),
        Guard::CoolDown => cool_down(question, facts),
        Guard::UndoneByBackend => Ok(match &fresh(question, &facts.preflight)?.undone_by {
            Presence::Nothing => Verdict::Pass,
            Presence::Something(by) => Verdict::Block(Explanation::new(
                alloc::format!("{by} would undo the rollback"),
                "switch that off for this service first, or roll back where it takes its orders from",
            )),
            Presence::CannotTell(why) => Verdict::Unknown(Explanation::new(
                alloc::format!("whether anything would undo the rollback is not known: {why}"),
                "nothing was changed; click again when that is known",
            )),
        }),
        Guard::BackendAccepts => Ok(match &fresh(question, &facts.preflight)?.acceptance {
            Acceptance::Accepted => Verdict::Pass,
            Acceptance::Rejected(why) => Verdict::Block(Explanation::new(
                alloc::format!("the CD system would not accept it: {why}"),
                "fix that at the CD system, then click again",
            )),
        }),
        Guard::Custom(name) => {
            let fact = facts.custom.get(name).ok_or(Missing::NotObserved)?;
            Ok(match fresh(question, fact)? {
                Reading::Holds(_) => Verdict::Pass,
                Reading::Blocks(explanation) => Verdict::Block(explanation.clone()),
                Reading::Warns(explanation) => {
                    Verdict::Warn(Warnings::one(warning_id(name.as_str()), explanation.clone()))
                }
            })
        }
        Guard::FixesUndone => fixes_undone(question, facts),
    }
}

fn fresh<'a, T>(question: &Question<'_>, fact: &'a Fact<T>) -> Result<&'a T, Missing> {
    let value = fact.within(question.now, question.policy.limits.fact_age_max)?;
    let is_before = |at: Timestamp| question.since.is_some_and(|since| at < since);
    if fact.observed_at().is_some_and(is_before) {
        return Err(Missing::BeforeApproval);
    }
    Ok(value)
}

/// Whose word it is that a guard passes, where nobody could see it.
fn vouched_by(guard: &Guard, verdict: &Verdict, facts: &Facts) -> Option<String> {
    let passes_on_trust = *guard == Guard::UndoneByBackend && *verdict == Verdict::Pass;
    facts.preflight.value().filter(|_| passes_on_trust)?.vouched_by.clone()
}

/// What a host's own guard says of itself, where it passes.
fn promise(guard: &Guard, verdict: &Verdict, facts: &Facts) -> Option<String> {
    let Guard::Custom(name) = guard else { return None };
    match facts.custom.get(name)?.value()? {
        Reading::Holds(promise) if *verdict == Verdict::Pass => promise.clone(),
        Reading::Holds(_) | Reading::Blocks(_) | Reading::Warns(_) => None,
    }
}

fn is(one: &RevisionRef, other: &RevisionRef) -> bool {
    one.revision == other.revision
}

fn block_if(blocked: bool, explain: impl FnOnce() -> Explanation) -> Verdict {
    if blocked { Verdict::Block(explain()) } else { Verdict::Pass }
}

fn unknown(guard: &Guard, missing: &Missing) -> Verdict {
    Verdict::Unknown(Explanation::new(
        alloc::format!("could not be evaluated ({}): {missing}", guard.promise()),
        "nothing was changed; click again when the source answers",
    ))
}

fn newer_deploy(question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    let plan = question.plan;
    let live = fresh(question, &facts.live)?;
    let Some(running) = &live.revision else {
        return Ok(Verdict::Block(Explanation::new(
            alloc::format!("{} runs nothing now, not {} as shown", plan.key(), plan.from()),
            "find out why it is down, then deploy",
        )));
    };
    if !is(running, plan.from()) {
        return Ok(Verdict::Block(Explanation::new(
            alloc::format!(
                "{} now runs {}, not {} as shown",
                plan.key(),
                running.beside(plan.from()),
                plan.from().beside(running)
            ),
            "nothing was changed; use the button of the newest deploy",
        )));
    }
    let record = fresh(question, &facts.record)?;
    let history = fresh(question, &facts.history)?;
    let Some(latest) = &record.latest_deploy else {
        return Ok(Verdict::Pass);
    };
    if question.rules >= Rules::V2 {
        return Ok(reported_since(question, latest, record, history));
    }
    let since = history.iter().find(|r| r.id == plan.from().revision).and_then(|r| r.deployed_at);
    if since.is_some_and(|since| latest.deployed_at <= since) {
        return Ok(Verdict::Pass);
    }
    let Some(revision) = &latest.revision else {
        return Ok(Verdict::Unknown(Explanation::new(
            alloc::format!(
                "deploy `{}` was reported for {}, and which revision it made is not known yet",
                latest.id,
                latest.deployed_at
            ),
            "nothing was changed; click again when its own message names the revision",
        )));
    };
    let ours = *revision == plan.from().revision || record.rolled_back_from.contains(revision);
    Ok(block_if(!ours, || {
        Explanation::new(
            alloc::format!(
                "`{}` was reported as deployed at {}, after {}",
                revision.beside(&plan.from().revision),
                latest.deployed_at,
                plan.from()
            ),
            "nothing was changed; use the button of the newest deploy",
        )
    }))
}

/// What the latest report says against the CD system's own word that the revision to leave is live.
/// Its time is by its reporter's clock, so it decides only where the history cannot, and not for ever.
fn reported_since(
    question: &Question<'_>,
    latest: &LatestDeploy,
    record: &ServiceRecord,
    history: &[Revision],
) -> Verdict {
    let from = question.plan.from();
    let place = |id: &RevisionId| history.iter().position(|entry| entry.id == *id);
    let ours = place(&from.revision);
    let is_older = |revision: &RevisionId| matches!((place(revision), ours), (Some(it), Some(ours)) if it > ours);
    let stands_aside = latest.revision.as_ref().is_some_and(|revision| {
        *revision == from.revision
            || record.rolled_back_from.contains(revision)
            || is_older(revision)
    });
    let since = ours.and_then(|place| history.get(place)).and_then(|entry| entry.deployed_at);
    let is_earlier = since.is_some_and(|since| latest.deployed_at <= since);
    let age = question.now.since(latest.deployed_at);
    if stands_aside || is_earlier || age > REPORT_COUNTS_FOR {
        return Verdict::Pass;
    }
    let again = in_words(REPORT_COUNTS_FOR.saturating_sub(age));
    let Some(revision) = &latest.revision else {
        return Verdict::Unknown(Explanation::new(
            alloc::format!(
                "deploy `{}` was reported for {}, and which revision it made is not known yet",
                latest.id,
                latest.deployed_at
            ),
            alloc::format!(
                "nothing was changed; click again when its own message names the revision, or in \
                 {again} if {from} is still live then"
            ),
        ));
    };
    Verdict::Block(Explanation::new(
        alloc::format!(
            "`{}` was reported as deployed at {} by its reporter's clock, after {from}",
            revision.beside(&from.revision),
            latest.deployed_at
        ),
        alloc::format!(
            "nothing was changed; use the button of the newest deploy, or click again in {again} if \
             {from} is still live then"
        ),
    ))
}

/// The three guards on the target are the parts of the one judgement that chose it, so that they
/// cannot disagree with the choice that put the button there.
fn target(guard: &Guard, question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    let history = fresh(question, &facts.history)?;
    let record = fresh(question, &facts.record)?;
    let plan = question.plan;
    let candidates =
        Candidates::new(history, &plan.from().revision, record, question.policy.soak, question.now);
    let Err(skip) = candidates.judge_part(&plan.to().revision, guard) else {
        return Ok(Verdict::Pass);
    };
    let what = alloc::format!("{} is not a safe target: {skip}", plan.to());
    let next = match &skip {
        Skip::RestorableUnknown
        | Skip::MigrationUnknown { .. }
        | Skip::SoakUnknown
        | Skip::NotSucceeded(RevisionStatus::Unknown) => {
            return Ok(Verdict::Unknown(Explanation::new(
                what,
                "report what is not known, or fix forward with a new deploy",
            )));
        }
        Skip::MigrationIrreversible { .. } => {
            "fix forward with a new deploy; the earlier code does not work with the migrated data"
        }
        Skip::NotRestorable => "deploy that version anew, or choose another target",
        Skip::Live
        | Skip::SameAsLive
        | Skip::NotSucceeded(
            RevisionStatus::Failed | RevisionStatus::Succeeded | RevisionStatus::Superseded,
        )
        | Skip::NotSoaked { .. }
        | Skip::MarkedBad(_)
        | Skip::RolledBackFrom => "fix forward, or deploy a version that is known to be good",
    };
    Ok(Verdict::Block(Explanation::new(what, next)))
}

fn in_flight(question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    let record = fresh(question, &facts.record)?;
    if let Some(other) = record.in_flight.as_ref().filter(|id| Some(*id) != question.asking) {
        return Ok(Verdict::Block(Explanation::new(
            alloc::format!("rollback `{other}` of {} is under way", question.plan.key()),
            "follow that one, or withdraw it first",
        )));
    }
    Ok(match &fresh(question, &facts.live)?.in_progress {
        Presence::Nothing => Verdict::Pass,
        Presence::Something(operation) => Verdict::Block(busy(question, operation)),
        Presence::CannotTell(why) => Verdict::Unknown(Explanation::new(
            alloc::format!(
                "whether a deploy or rollback of {} is in progress is not known: {why}",
                question.plan.key()
            ),
            "nothing was changed; click again when that is known",
        )),
    })
}

fn busy(question: &Question<'_>, operation: &InProgress) -> Explanation {
    let kind = match operation.kind {
        OperationKind::Deploy => "deploy",
        OperationKind::Rollback => "rollback",
    };
    let since = operation.since.map(|at| alloc::format!(" since {at}")).unwrap_or_default();
    Explanation::new(
        alloc::format!("a {kind} of {} is in progress{since}", question.plan.key()),
        "wait until it ends or stop it at the CD system, then click again",
    )
}

fn confirmation_current(question: &Question<'_>) -> Verdict {
    let stale = question.shown.is_some_and(|shown| *shown != question.plan.pair());
    block_if(stale, || confirmation_stale(question.plan, question.shown))
}

/// The words for a confirmation of something else than the plan.
pub(crate) fn confirmation_stale(plan: &Plan, shown: Option<&Pair>) -> Explanation {
    let shown = shown
        .map(|pair| {
            let from = pair.from.beside(&plan.from().revision);
            alloc::format!("`{from}` to `{}`", pair.to.beside(&plan.to().revision))
        })
        .unwrap_or_else(|| "nothing".to_string());
    Explanation::new(
        alloc::format!("what was confirmed ({shown}) is not what would be done"),
        alloc::format!("nothing was changed; click again to see {} to {}", plan.from(), plan.to()),
    )
}

fn freeze(question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    let freezes = fresh(question, &facts.freezes)?;
    let Some(freeze) = freezes.iter().find(|freeze| freeze.holds_at(question.now)) else {
        return Ok(Verdict::Pass);
    };
    let until = freeze
        .until
        .map(|at| alloc::format!("until {at}"))
        .unwrap_or_else(|| "until it is lifted".to_string());
    let mut what = alloc::format!("{} is frozen by `{}` {until}", question.plan.key(), freeze.name);
    if let Some(reason) = &freeze.reason {
        what.push_str(&alloc::format!(": {reason}"));
    }
    let next = match &freeze.by {
        Some(by) => alloc::format!("ask {by}, who set the freeze, or an owner to lift it"),
        None => "ask whoever set the freeze to lift it".to_string(),
    };
    Ok(Verdict::Block(Explanation::new(what, next)))
}

fn cool_down(question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    let record = fresh(question, &facts.record)?;
    let cool_down = question.policy.limits.cool_down;
    let Some(last) = &record.last_rollback else {
        return Ok(Verdict::Pass);
    };
    let ago = question.now.since(last.ended_at);
    Ok(block_if(ago < cool_down, || {
        Explanation::new(
            alloc::format!("rollback `{}` ended only {} ago", last.id, in_words(ago)),
            alloc::format!(
                "look at what it did first; after {} another one is possible",
                in_words(cool_down.saturating_sub(ago))
            ),
        )
    }))
}

/// The fixes of incidents and of security holes that a rollback takes away, as far as they were
/// reported. What nobody reported cannot be named; it does not stand in the way.
fn fixes_undone(question: &Question<'_>, facts: &Facts) -> Result<Verdict, Missing> {
    let history = fresh(question, &facts.history)?;
    let plan = question.plan;
    let place = |id: &RevisionId| history.iter().position(|entry| entry.id == *id);
    let (Some(from), Some(to)) = (place(&plan.from().revision), place(&plan.to().revision)) else {
        return Err(Missing::NotObserved);
    };
    let between = history.iter().skip(from).take(to.saturating_sub(from));
    let mut lost: Vec<&Fix> = between
        .filter_map(|revision| match &revision.fixes {
            Fixes::Known(fixes) => Some(fixes),
            Fixes::Unknown => None,
        })
        .flatten()
        .filter(|fix| fix.kind.is_grave())
        .collect();
    let mut seen = BTreeSet::new();
    lost.retain(|fix| seen.insert(&fix.id));
    let Some(first) = lost.first() else { return Ok(Verdict::Pass) };
    let what = match lost.len() {
        1 => alloc::format!("the rollback takes away {first}"),
        many => {
            alloc::format!("the rollback takes away {many} fixes of incidents or security holes")
        }
    };
    let explanation = Explanation::new(what, "acknowledge each, or fix forward");
    let is_guard = |id: &Label| {
        question.policy.guards.as_slice().iter().any(|guard| guard.name() == id.as_str())
    };
    let named = |fix: &Fix| {
        let id = &fix.id;
        if is_guard(id) { warning_id(&alloc::format!("fix {id}")) } else { warning_id(id.as_str()) }
    };
    let shown = if lost.len() > WARNINGS_MAX { WARNINGS_MAX.saturating_sub(1) } else { lost.len() };
    let mut each: Vec<Warning> = lost
        .iter()
        .take(shown)
        .map(|fix| Warning { id: named(fix), what: fix.to_string() })
        .collect();
    let rest: Vec<&str> = lost.iter().skip(shown).map(|fix| fix.id.as_str()).collect();
    if !rest.is_empty() {
        // All of them are in the id: another fix among the rest is another warning.
        let digest = crate::audit::Hash::of(rest.join("\n").as_bytes()).to_string();
        let id = alloc::format!("fixes_undone-{}", digest.get(..12).unwrap_or(&digest));
        let what = alloc::format!("{} more fixes", rest.len());
        each.push(Warning { id: Label::new(id), what });
    }
    Ok(Verdict::Warn(Warnings { explanation, each }))
}
