//! From what the journal says to what it means. Pure: no file, no clock, no process.

use super::journal::{Accepted, Entry, Released, Step};
use rollback_core::observed::{InProgress, Live, OperationKind};
use rollback_core::{
    Label, Phase, Presence, Progress, Restorable, Revision, RevisionId, RevisionRef,
    RevisionStatus, RollbackId, Timestamp,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many earlier runs the expected duration is taken from.
const RUNS_COUNTED: usize = 9;

/// Everything the journal says, put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Every release ever, oldest first.
    pub(crate) releases: Vec<Released>,
    /// Every execution ever, oldest first.
    pub(crate) executions: Vec<Execution>,
    /// How many fences were set.
    pub(crate) generation: u64,
    fenced: BTreeSet<RollbackId>,
    pruned: BTreeSet<RevisionId>,
}

/// One deploy or rollback.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) accepted: Accepted,
    pub(crate) step: Step,
    pub(crate) message: Option<Label>,
    pub(crate) cancel_asked: bool,
    /// When it passed the point of no return.
    switched: Option<Timestamp>,
    /// How long it took from there.
    took: Option<Duration>,
}

/// Whether a release folder is what was put there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Integrity {
    Intact,
    Missing,
    Changed { file: String },
}

/// What is asked for, and the generation that was read with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'a RollbackId,
    pub(crate) expected_live: &'a RevisionId,
    pub(crate) target: &'a RevisionId,
    pub(crate) generation: u64,
}

/// What becomes of an order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// It was taken on before; this is its execution.
    Known(Label),
    /// It is taken on now.
    Accept,
    /// Something else is live.
    Conflict(String),
    /// Not for another reason.
    Refuse(String),
}

impl Ledger {
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.add(entry);
        }
        ledger
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Released(released) => self.releases.push(released),
            Entry::Accepted(accepted) => self.executions.push(Execution {
                accepted,
                step: Step::Accepted,
                message: None,
                cancel_asked: false,
                switched: None,
                took: None,
            }),
            Entry::Reached { at, execution, step, message } => {
                if let Some(known) = self.execution_mut(&execution) {
                    known.step = step;
                    known.message = message;
                    if step == Step::Switching {
                        known.switched = Some(at);
                    }
                    let began = known.switched.unwrap_or(known.accepted.at);
                    known.took = step.is_end().then(|| at.since(began));
                }
            }
            Entry::CancelAsked { execution, .. } => {
                if let Some(known) = self.execution_mut(&execution) {
                    known.cancel_asked = true;
                }
            }
            Entry::Fenced { operation, .. } => {
                self.generation = self.generation.saturating_add(1);
                self.fenced.insert(operation);
            }
            Entry::Pruned { release, .. } => {
                self.pruned.insert(release);
            }
        }
    }

    fn execution_mut(&mut self, name: &Label) -> Option<&mut Execution> {
        self.executions.iter_mut().rev().find(|execution| execution.accepted.execution == *name)
    }

    pub(crate) fn execution(&self, name: &Label) -> Option<&Execution> {
        self.executions.iter().rev().find(|execution| execution.accepted.execution == *name)
    }

    /// The execution of an order, if it was ever taken on.
    pub(crate) fn execution_of(&self, operation: &RollbackId) -> Option<&Execution> {
        self.executions.iter().find(|known| known.accepted.operation.as_ref() == Some(operation))
    }

    pub(crate) fn unfinished(&self) -> Option<&Execution> {
        self.executions.iter().find(|execution| !execution.step.is_end())
    }

    pub(crate) fn release(&self, id: &RevisionId) -> Option<&Released> {
        self.releases.iter().find(|released| released.id == *id)
    }

    pub(crate) fn is_pruned(&self, id: &RevisionId) -> bool {
        self.pruned.contains(id)
    }

    /// The number after the last release's.
    pub(crate) fn next_number(&self, first: u64) -> u64 {
        let last = self.releases.iter().filter_map(|known| known.id.as_str().parse::<u64>().ok());
        last.max().map_or(first, |last| last.saturating_add(1).max(first))
    }

    /// The name of the next execution.
    pub(crate) fn next_execution(&self) -> Label {
        Label::new(format!("run-{}", self.executions.len().saturating_add(1)))
    }

    pub(crate) fn reference(&self, id: &RevisionId) -> RevisionRef {
        let mut reference = RevisionRef::new(id.clone());
        if let Some(released) = self.release(id) {
            reference.version = Some(released.version.clone());
            reference.commit.clone_from(&released.commit);
        }
        reference
    }

    /// The release as an entry of the deploy history.
    pub(crate) fn revision(
        &self,
        released: &Released,
        live: Option<&RevisionId>,
        integrity: &Integrity,
    ) -> Revision {
        let mut revision = Revision::new(released.id.clone());
        revision.version = Some(released.version.clone());
        revision.commit.clone_from(&released.commit);
        revision.deployed_at = Some(released.at);
        revision.status = self.status(&released.id, live);
        revision.restorable = match integrity {
            Integrity::Intact => Restorable::Yes,
            Integrity::Missing | Integrity::Changed { .. } => Restorable::No,
        };
        revision.migrations = released.migrations.clone();
        revision
    }

    fn status(&self, id: &RevisionId, live: Option<&RevisionId>) -> RevisionStatus {
        let deploy = self
            .executions
            .iter()
            .find(|known| known.accepted.operation.is_none() && known.accepted.to == *id);
        match deploy.map(|known| known.step) {
            Some(Step::Complete) if live == Some(id) => RevisionStatus::Succeeded,
            Some(Step::Complete) => RevisionStatus::Superseded,
            Some(Step::Failed | Step::Cancelled) => RevisionStatus::Failed,
            Some(Step::Accepted | Step::Switching | Step::HealthChecking | Step::SwitchingBack)
            | None => RevisionStatus::Unknown,
        }
    }

    /// What runs, and what is under way.
    pub(crate) fn live(&self, live: Option<&RevisionId>) -> Live {
        let mut seen = Live::default();
        seen.revision = live.map(|id| self.reference(id));
        seen.in_progress = Presence::seen(self.unfinished().map(|execution| {
            let operation = execution.accepted.operation.clone();
            let kind = match operation {
                Some(_) => OperationKind::Rollback,
                None => OperationKind::Deploy,
            };
            let mut progress = InProgress::new(kind);
            progress.operation_id = operation;
            progress.since = Some(execution.accepted.at);
            progress
        }));
        seen
    }

    /// The middle one of the last runs that went well, each from its point of no return on.
    pub(crate) fn expected(&self) -> Option<Duration> {
        let good = self.executions.iter().rev().filter(|known| known.step == Step::Complete);
        let mut durations: Vec<_> =
            good.filter_map(|known| known.took).take(RUNS_COUNTED).collect();
        durations.sort_unstable();
        durations.get(durations.len() / 2).copied()
    }

    /// What stays behind when `from` is left for `to`, newest release first.
    pub(crate) fn left_behind(&self, from: &RevisionId, to: &RevisionId) -> Vec<String> {
        let newest_first = self.releases.iter().rev();
        newest_first
            .skip_while(|released| released.id != *from)
            .take_while(|released| released.id != *to)
            .flat_map(|released| released.leaves_behind.iter().cloned())
            .collect()
    }

    /// Decides about an order. Asked under the lock under which the answer is written down.
    pub(crate) fn decide(
        &self,
        asked: &Asked<'_>,
        live: Option<&RevisionId>,
        integrity: &Integrity,
    ) -> Decision {
        if let Some(known) = self.execution_of(asked.operation) {
            return Decision::Known(known.accepted.execution.clone());
        }
        if self.fenced.contains(asked.operation) || self.generation != asked.generation {
            return Decision::Refuse("a fence was set after the order was given".to_owned());
        }
        if let Some(busy) = self.unfinished() {
            return Decision::Refuse(format!("`{}` is under way", busy.accepted.execution));
        }
        if live != Some(asked.expected_live) {
            let live = live.map_or_else(|| "nothing".to_owned(), |id| format!("`{id}`"));
            return Decision::Conflict(format!("{live} is live, not `{}`", asked.expected_live));
        }
        match self.obstacle(asked.target, integrity) {
            Some(why) => Decision::Refuse(why),
            None => Decision::Accept,
        }
    }

    /// Why a release cannot be restored.
    pub(crate) fn obstacle(&self, target: &RevisionId, integrity: &Integrity) -> Option<String> {
        if self.release(target).is_none() {
            return Some(format!("there never was a release `{target}`"));
        }
        match integrity {
            Integrity::Intact => None,
            Integrity::Missing if self.is_pruned(target) => {
                Some(format!("release `{target}` was removed to make room"))
            }
            Integrity::Missing => Some(format!("the folder of release `{target}` is gone")),
            Integrity::Changed { file } => {
                Some(format!("`{file}` of release `{target}` is not what was deployed"))
            }
        }
    }
}

impl Execution {
    /// How far it is, for the engine.
    pub(crate) fn progress(&self, live: Option<RevisionRef>) -> Progress {
        let phase = match self.step {
            Step::Accepted | Step::Switching => Phase::Started,
            Step::HealthChecking | Step::SwitchingBack => Phase::HealthChecking,
            Step::Complete => Phase::Complete,
            Step::Failed => Phase::Failed,
            Step::Cancelled => Phase::Cancelled,
        };
        let mut progress = Progress::new(phase);
        progress.message.clone_from(&self.message);
        progress.live = live;
        progress
    }

    /// Whether it can still be stopped without a trace.
    pub(crate) fn is_cancellable(&self) -> bool {
        self.step == Step::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::Migrations;

    fn id(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn released(number: &str) -> Entry {
        Entry::Released(Released {
            at: at(0),
            id: id(number),
            version: number.into(),
            commit: None,
            migrations: Migrations::Known(Vec::new()),
            leaves_behind: vec![format!("left by {number}")],
            files: std::collections::BTreeMap::new(),
        })
    }

    fn run(name: &str, operation: Option<&str>, to: &str, step: Step, end: u64) -> [Entry; 2] {
        [
            Entry::Accepted(Accepted {
                at: at(0),
                execution: name.into(),
                operation: operation.map(|text| text.parse().unwrap()),
                from: None,
                to: id(to),
            }),
            Entry::Reached { at: at(end), execution: name.into(), step, message: None },
        ]
    }

    /// 41 and 42 are deployed, 42 is live, rollback `rb-1` was done before.
    fn entries() -> Vec<Entry> {
        let mut entries = vec![released("41"), released("42")];
        entries.extend(run("run-1", None, "41", Step::Complete, 100));
        entries.extend(run("run-2", None, "42", Step::Complete, 300));
        entries.extend(run("run-3", Some("rb-1"), "41", Step::Complete, 200));
        entries
    }

    fn decide(ledger: &Ledger, operation: &str, live: &str, integrity: &Integrity) -> Decision {
        let (operation, expected, target) = (operation.parse().unwrap(), id("42"), id("41"));
        let asked = Asked {
            operation: &operation,
            expected_live: &expected,
            target: &target,
            generation: 0,
        };
        ledger.decide(&asked, Some(&id(live)), integrity)
    }

    #[test]
    fn an_order_is_taken_on_only_when_everything_is_as_it_says() {
        let quiet = Ledger::of(entries());
        let mut busy = entries();
        busy.extend(run("run-4", None, "42", Step::HealthChecking, 0));
        let fence = Entry::Fenced { at: at(0), operation: "rb-other".parse().unwrap() };
        let mut fenced = entries();
        fenced.push(fence);
        let (busy, fenced) = (Ledger::of(busy), Ledger::of(fenced));
        let changed = Integrity::Changed { file: "catalog.json".into() };
        let refused = |decision| matches!(decision, Decision::Refuse(_));

        assert_eq!(decide(&quiet, "rb-2", "42", &Integrity::Intact), Decision::Accept);
        assert!(matches!(
            decide(&quiet, "rb-2", "43", &Integrity::Intact),
            Decision::Conflict(why) if why == "`43` is live, not `42`"
        ));
        assert!(refused(decide(&quiet, "rb-2", "42", &Integrity::Missing)));
        assert!(refused(decide(&quiet, "rb-2", "42", &changed)));
        assert!(refused(decide(&busy, "rb-2", "42", &Integrity::Intact)));
        assert!(refused(decide(&fenced, "rb-2", "42", &Integrity::Intact)));
    }

    #[test]
    fn an_order_that_was_taken_on_is_known_whatever_has_happened_since() {
        let mut later = entries();
        later.push(Entry::Fenced { at: at(0), operation: "rb-1".parse().unwrap() });
        let ledger = Ledger::of(later);
        let again = decide(&ledger, "rb-1", "7", &Integrity::Missing);
        assert_eq!(again, Decision::Known("run-3".into()));
    }

    #[test]
    fn history_tells_live_from_superseded_failed_and_unknown() {
        let mut entries = entries();
        entries.extend([released("43"), released("44"), released("45")]);
        entries.extend(run("run-5", None, "43", Step::Failed, 0));
        entries.extend(run("run-6", None, "44", Step::Switching, 0));
        let ledger = Ledger::of(entries);
        let live = id("42");
        let said: Vec<_> = ledger
            .releases
            .iter()
            .map(|known| ledger.revision(known, Some(&live), &Integrity::Intact).status)
            .collect();
        assert_eq!(
            said,
            [
                RevisionStatus::Superseded,
                RevisionStatus::Succeeded,
                RevisionStatus::Failed,
                RevisionStatus::Unknown,
                RevisionStatus::Unknown,
            ]
        );
    }

    #[test]
    fn the_expected_duration_is_the_middle_of_the_good_runs() {
        assert_eq!(Ledger::default().expected(), None);
        let mut entries = entries();
        entries.extend(run("run-4", Some("rb-2"), "41", Step::Failed, 90_000));
        assert_eq!(Ledger::of(entries).expected(), Some(Duration::from_millis(200)));
    }

    #[test]
    fn what_the_target_itself_brought_is_not_left_behind() {
        let ledger = Ledger::of(entries());
        assert_eq!(ledger.left_behind(&id("42"), &id("41")), ["left by 42"]);
        assert_eq!(ledger.left_behind(&id("9"), &id("41")), Vec::<String>::new());
    }

    #[test]
    fn releases_are_numbered_on_from_the_last() {
        assert_eq!(Ledger::default().next_number(41), 41);
        assert_eq!(Ledger::of(entries()).next_number(1), 43);
        assert_eq!(Ledger::of(entries()).next_number(100), 100);
    }
}
