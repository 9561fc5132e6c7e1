//! What a release's records mean. Helm's statuses lie in six known ways; here is where they are not
//! believed.
//!
//! A rollback makes a revision of its own that is a copy of an earlier one. One that succeeded is
//! told as that earlier revision, live again; one that did not is told as a revision of its own,
//! failed.

use crate::journal::{Journal, State};
use crate::record::{Record, Status, parse_id};
use core::time::Duration;
use rollback_core::observed::{InProgress, Live, OperationKind};
use rollback_core::{
    Presence, Restorable, Revision, RevisionId, RevisionName, RevisionRef, RevisionStatus,
    Timestamp,
};

/// Everything that was read of a release.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Newest first.
    pub(crate) records: Vec<Record>,
    pub(crate) journal: Journal,
    /// Whether whoever carries the running order out is alive, as far as can be told.
    pub(crate) runner_lives: bool,
}

/// What the newest record says about now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Newest<'a> {
    /// There is no release, or it was uninstalled.
    Nothing,
    /// Nothing is under way.
    Settled(&'a Record),
    /// Somebody works on it.
    Pending(&'a Record),
    /// It is pending, and nobody works on it any more.
    Stuck(&'a Record),
}

impl Seen {
    /// Without the records that were made for an order which never took effect.
    fn valid(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().filter(|record| !self.is_leftover(record))
    }

    /// Whether a record was created for an order of ours that did not take effect: no workload was
    /// touched, and helm was never told that the record exists.
    pub(crate) fn is_leftover(&self, record: &Record) -> bool {
        let Some(order) = &record.order else { return false };
        let entry = self.journal.of(order);
        record.status == Status::PendingRollback
            && !record.committed
            && entry.is_none_or(|entry| entry.state == State::Void)
    }

    pub(crate) fn leftover(&self) -> Option<&Record> {
        self.records.iter().find(|record| self.is_leftover(record))
    }

    pub(crate) fn newest(&self, now: Timestamp, pending_max: Duration) -> Newest<'_> {
        let Some(newest) = self.valid().next() else { return Newest::Nothing };
        match newest.status {
            Status::Uninstalled | Status::Uninstalling => Newest::Nothing,
            Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => {
                let ours = self.journal.made(newest.number, &newest.uid);
                let works = match ours.map(|entry| entry.state) {
                    Some(State::Running) => self.runner_lives,
                    Some(State::Applied | State::Complete | State::Failed | State::Void) => false,
                    // Without a time nobody can say that it is old.
                    None => newest.created.is_none_or(|since| now.since(since) <= pending_max),
                };
                if works { Newest::Pending(newest) } else { Newest::Stuck(newest) }
            }
            Status::Deployed | Status::Superseded | Status::Failed | Status::Unknown => {
                let ours = self.journal.made(newest.number, &newest.uid);
                let comes_up = ours.is_some_and(|entry| {
                    entry.state == State::Applied && now.since(entry.at) <= pending_max
                });
                if comes_up { Newest::Pending(newest) } else { Newest::Settled(newest) }
            }
        }
    }

    /// The newest record, if it is newer than this one.
    pub(crate) fn newer_than(&self, record: &Record) -> Option<&Record> {
        self.valid().next().filter(|newest| newest.number > record.number)
    }

    /// What a revision is known as: that of the earlier one which it brought back, or its own.
    pub(crate) fn identity(&self, record: &Record) -> Option<RevisionId> {
        let own = record.own_id();
        if !self.has_succeeded(record) {
            return own;
        }
        let ours = self.journal.made(record.number, &record.uid);
        if let Some(to) = ours.and_then(|entry| entry.to.clone()) {
            return Some(to);
        }
        let original = record
            .rolled_back_to()
            .and_then(|number| self.records.iter().find(|other| other.number == number))
            .filter(|other| other.number < record.number);
        original.map_or(own, |original| self.identity(original).or_else(|| original.own_id()))
    }

    /// Whether a rollback of ours failed that helm calls deployed: it did its part, and the pods did not
    /// come up.
    fn has_failed_here(&self, record: &Record) -> bool {
        let ours = self.journal.made(record.number, &record.uid);
        ours.is_some_and(|entry| entry.state == State::Failed)
    }

    /// Whether a record shows that it was live in full. A rollback that failed while it was applied
    /// marks whatever came before it as superseded, a stuck rollback too.
    fn has_succeeded(&self, record: &Record) -> bool {
        let next = record.number.saturating_add(1);
        let blindly = || {
            let successor = self.records.iter().find(|other| other.number == next);
            record.rolled_back_to().is_some() && successor.is_some_and(Record::superseded_blindly)
        };
        if self.has_failed_here(record) {
            return false;
        }
        match record.status {
            Status::Deployed => !record.has_failed(),
            Status::Superseded => !record.has_failed() && !blindly(),
            Status::Failed
            | Status::Uninstalled
            | Status::Uninstalling
            | Status::PendingInstall
            | Status::PendingUpgrade
            | Status::PendingRollback
            | Status::Unknown => false,
        }
    }

    /// The newest record that holds what `id` stands for, from which helm can restore it.
    pub(crate) fn find(&self, id: &RevisionId) -> Option<&Record> {
        // To the letter: an id comes from outside, and `2@e7ff53c5/` is another one.
        let named = parse_id(id.as_str())
            .and_then(|(number, uid)| self.records.iter().find(|it| it.is(number, uid)))
            .filter(|it| it.own_id().as_ref() == Some(id));
        named.or_else(|| self.valid().find(|it| self.identity(it).as_ref() == Some(id)))
    }

    pub(crate) fn live(&self, now: Timestamp, pending_max: Duration) -> Live {
        let mut live = Live::default();
        live.in_progress = Presence::Nothing;
        let record = match self.newest(now, pending_max) {
            Newest::Nothing => return live,
            Newest::Settled(record) | Newest::Stuck(record) => record,
            Newest::Pending(record) => {
                let ours = self.journal.made(record.number, &record.uid);
                let kind = if record.status == Status::PendingRollback || ours.is_some() {
                    OperationKind::Rollback
                } else {
                    OperationKind::Deploy
                };
                let mut operation = InProgress::new(kind);
                operation.operation_id = ours.map(|entry| entry.order.clone());
                operation.since = record.created;
                live.in_progress = Presence::Something(operation);
                let Some(before) = self.valid().find(|it| !it.status.is_pending()) else {
                    return live;
                };
                before
            }
        };
        live.revision = self.reference(record);
        live
    }

    pub(crate) fn reference(&self, record: &Record) -> Option<RevisionRef> {
        let mut reference = RevisionRef::new(self.identity(record)?);
        reference.version = record.version.clone().map(Into::into);
        Some(reference)
    }

    /// Every revision, newest first, each once: at the place where it was last brought live.
    pub(crate) fn history(&self, now: Timestamp, pending_max: Duration) -> Vec<Revision> {
        let newest = self.newest(now, pending_max);
        let mut told: Vec<Revision> = Vec::new();
        for record in self.valid() {
            if newest == Newest::Pending(record) {
                // It is in progress, and not yet a part of history.
                continue;
            }
            let Some(id) = self.identity(record) else { continue };
            if let Some(known) = told.iter_mut().find(|revision| revision.id == id) {
                call(known, record);
                continue;
            }
            let mut revision = Revision::new(id);
            call(&mut revision, record);
            revision.version = record.version.clone().map(Into::into);
            revision.deployed_at = record.created;
            revision.status = self.status(record, &newest);
            revision.restorable = restorable(record);
            revision.migrations = record.migrations.clone();
            told.push(revision);
        }
        for revision in &mut told {
            // Of an original that was pruned, the identity is all that still says its number. Since
            // when it had that is not known, and somebody else may have it by now.
            let number = parse_id(revision.id.as_str()).map(|(number, _)| number.to_string());
            if let Some(Ok(number)) = number.map(RevisionName::parse) {
                revision.call(number, None);
            }
        }
        told
    }

    fn status(&self, record: &Record, newest: &Newest<'_>) -> RevisionStatus {
        let is_newest = *newest == Newest::Settled(record);
        match record.status {
            Status::Deployed if self.has_succeeded(record) && is_newest => {
                RevisionStatus::Succeeded
            }
            Status::Deployed | Status::Superseded if self.has_succeeded(record) => {
                RevisionStatus::Superseded
            }
            Status::Deployed | Status::Superseded | Status::Failed
                if record.has_failed() || self.has_failed_here(record) =>
            {
                RevisionStatus::Failed
            }
            Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback => {
                RevisionStatus::Failed
            }
            Status::Deployed
            | Status::Superseded
            | Status::Failed
            | Status::Uninstalled
            | Status::Uninstalling
            | Status::Unknown => RevisionStatus::Unknown,
        }
    }
}

/// People call a revision by the number of any record that holds it.
fn call(revision: &mut Revision, record: &Record) {
    if let Ok(number) = RevisionName::parse(record.number.to_string()) {
        revision.call(number, record.created);
    }
}

const fn restorable(record: &Record) -> Restorable {
    match record.status {
        Status::Deployed | Status::Superseded | Status::Failed | Status::PendingRollback => {
            Restorable::Yes
        }
        Status::Uninstalled
        | Status::Uninstalling
        | Status::PendingInstall
        | Status::PendingUpgrade
        | Status::Unknown => Restorable::Unknown,
    }
}

/// The record that a rollback would succeed; none where nothing or somebody else's work is.
pub(crate) const fn current<'a>(newest: &Newest<'a>) -> Option<&'a Record> {
    match newest {
        Newest::Settled(record) | Newest::Stuck(record) => Some(*record),
        Newest::Nothing | Newest::Pending(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::journal::Entry;
    use rollback_core::Migrations;
    use rollback_core::named::resolve;

    pub(crate) fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    pub(crate) fn record(number: u32, status: Status, description: &str) -> Record {
        Record {
            number,
            uid: format!("{number:08}-0000"),
            created: Some(at(u64::from(number) * 100)),
            status,
            description: description.to_owned(),
            rollback_revision: None,
            version: Some(format!("1.{number}")),
            migrations: Migrations::Unknown,
            order: None,
            committed: false,
            managers: Vec::new(),
            applied_on_server: false,
            hooks_to_run: Vec::new(),
            hooks_run: Vec::new(),
        }
    }

    /// As helm shows them: oldest first.
    pub(crate) fn seen(rows: &[(Status, &str)]) -> Seen {
        let numbered = (1_u32..).zip(rows);
        let mut records: Vec<Record> =
            numbered.map(|(number, (status, text))| record(number, *status, text)).collect();
        records.reverse();
        Seen { records, runner_lives: true, ..Seen::default() }
    }

    const MAX: Duration = Duration::from_secs(60);
    use Status::{Deployed, Failed, PendingRollback, PendingUpgrade, Superseded};

    fn told(seen: &Seen) -> Vec<(String, RevisionStatus)> {
        let history = seen.history(at(10_000), MAX);
        history.into_iter().map(|it| (it.id.to_string(), it.status)).collect()
    }

    fn live(seen: &Seen, now: u64) -> (Option<String>, Option<OperationKind>) {
        let live = seen.live(at(now), MAX);
        (
            live.revision.map(|it| it.revision.to_string()),
            live.in_progress.something().map(|it| it.kind),
        )
    }

    #[test]
    fn a_rollback_that_succeeded_is_the_earlier_revision_live_again() {
        let seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade complete"),
            (Superseded, "Rollback to 1"),
            (Deployed, "Rollback to 3"),
        ]);
        let expected = [
            ("1@00000001".to_owned(), RevisionStatus::Succeeded),
            ("2@00000002".to_owned(), RevisionStatus::Superseded),
        ];
        assert_eq!(told(&seen), expected);
        let first = &seen.history(at(10_000), MAX)[0];
        assert_eq!(first.deployed_at, Some(at(400)), "it went live again then");
        assert_eq!(live(&seen, 401), (Some("1@00000001".into()), None));
        assert_eq!(seen.find(&"1@00000001".parse().unwrap()).unwrap().number, 1);
    }

    #[test]
    fn a_copy_stands_in_for_an_original_that_was_pruned() {
        let mut seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade complete"),
            (Deployed, "Rollback to 1"),
        ]);
        let original = seen.records.pop().unwrap();
        assert_eq!(told(&seen)[0].0, "3@00000003", "what it is a copy of cannot be known any more");
        seen.journal.entries.push(Entry {
            order: "r1".parse().unwrap(),
            state: State::Complete,
            at: at(0),
            to: original.own_id(),
            made: Some((3, "00000003-0000".into())),
            message: None,
            taken_over: false,
        });
        assert_eq!(told(&seen)[0].0, "1@00000001", "the journal knows");
        assert_eq!(seen.find(&"1@00000001".parse().unwrap()).unwrap().number, 3);
    }

    #[test]
    fn a_rollback_whose_pods_come_up_is_in_progress_until_its_end_is_written_down() {
        let mut seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade complete"),
            (Deployed, "Rollback to 1"),
        ]);
        let (order, made) = ("r1".parse().unwrap(), (3, "00000003-0000".to_owned()));
        let running = Entry::running(order, at(300), "1@00000001".parse().unwrap(), made);
        let mut now_in = |state, after| {
            seen.journal.entries = vec![running.then(state, at(300), None)];
            live(&seen, 300 + after)
        };
        let (first, own) = (Some("1@00000001".to_owned()), Some("3@00000003".to_owned()));
        let rolls_back = Some(OperationKind::Rollback);
        assert_eq!(now_in(State::Applied, 1), (first.clone(), rolls_back));
        // Nobody came to see how it ended.
        assert_eq!(now_in(State::Applied, MAX.as_secs() + 1), (first.clone(), None));
        assert_eq!(now_in(State::Complete, 1), (first, None));
        assert_eq!(now_in(State::Failed, 1), (own, None), "helm calls it deployed");
        let failed = &seen.history(at(10_000), MAX)[0];
        assert_eq!(failed.status, RevisionStatus::Failed);
        let why =
            seen.obstacle(&seen.newest(at(301), MAX), &"2@00000002".parse().unwrap(), at(301));
        assert_eq!(why, None, "and it can be rolled back from");
    }

    #[test]
    fn a_deploy_is_found_by_the_number_that_helm_gave_it() {
        let mut seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade complete"),
            (Superseded, "Rollback to 1"),
            (Deployed, "Upgrade complete"),
        ]);
        let found = |seen: &Seen, name: &str, when: u64| {
            let history = seen.history(at(10_000), MAX);
            resolve(&name.parse().unwrap(), Some(at(when)), &history, None).map(String::from)
        };
        assert_eq!(found(&seen, "4", 400), Ok("4@00000004".into()));
        assert_eq!(found(&seen, "1", 100), Ok("1@00000001".into()));
        assert_eq!(found(&seen, "3", 300), Ok("1@00000001".into()), "the copy of 1");
        assert_eq!(found(&seen, "1@00000001", 100), Ok("1@00000001".into()));
        assert!(found(&seen, "5", 500).is_err());
        // Secret 4 was deleted, and helm gave its number again.
        seen.records[0].uid = "anew-0000".into();
        seen.records[0].created = Some(at(900));
        let late = found(&seen, "4", 400).unwrap_err().to_string();
        assert!(late.contains("another revision was meant"), "{late}");
        assert_eq!(found(&seen, "4", 901), Ok("4@anew-000".into()));
    }

    #[test]
    fn the_number_of_a_pruned_original_is_believed_of_what_is_live_and_no_other_time_known() {
        let mut seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade complete"),
            (Deployed, "Rollback to 1"),
        ]);
        let original = seen.records.pop().unwrap();
        seen.journal.entries.push(Entry {
            order: "r1".parse().unwrap(),
            state: State::Complete,
            at: at(0),
            to: original.own_id(),
            made: Some((3, "00000003-0000".into())),
            message: None,
            taken_over: false,
        });
        let history = seen.history(at(10_000), MAX);
        let names: Vec<&str> = history[0].names.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["3", "1"]);
        let one = "1".parse().unwrap();
        assert!(resolve(&one, Some(at(100)), &history, None).is_err());
        let live = seen.live(at(10_000), MAX).revision;
        assert_eq!(
            resolve(&one, Some(at(100)), &history, live.as_ref()).unwrap().as_str(),
            "1@00000001"
        );
    }

    /// What helm leaves behind after one rollback from 2 to 1, by its own status matrix.
    #[test]
    fn no_outcome_of_a_rollback_is_taken_for_a_success_but_success() {
        let apply = "Rollback \"web\" failed: no";
        let wait = "Release \"web\" failed: context deadline exceeded";
        let (own, first) = ("3@00000003", "1@00000001");
        let table = [
            (Superseded, Deployed, "Rollback to 1", first, RevisionStatus::Succeeded),
            (Superseded, Failed, apply, own, RevisionStatus::Failed),
            (Deployed, Failed, wait, own, RevisionStatus::Failed),
            (Deployed, PendingRollback, "Rollback to 1", own, RevisionStatus::Failed),
            (Superseded, PendingRollback, "Rollback to 1", own, RevisionStatus::Failed),
        ];
        for (second, third, text, id, status) in table {
            let rows =
                [(Superseded, "Install complete"), (second, "Upgrade complete"), (third, text)];
            let seen = seen(&rows);
            assert_eq!(told(&seen)[0], (id.to_owned(), status), "{second:?} {third:?} {text}");
            assert_eq!(live(&seen, 10_000), (Some(id.to_owned()), None), "{third:?} {text}");
            if id == own {
                assert_eq!(told(&seen)[2].0, first, "one can go back to it once more");
            }
        }
    }

    #[test]
    fn a_failure_stays_one_when_helm_calls_it_superseded() {
        let seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade \"web\" failed: no"),
            (Superseded, "Rollback \"web\" failed: no"),
            (Deployed, "Upgrade complete"),
        ]);
        let statuses: Vec<_> = told(&seen).into_iter().map(|(_, status)| status).collect();
        let failed = RevisionStatus::Failed;
        assert_eq!(
            statuses,
            [RevisionStatus::Succeeded, failed, failed, RevisionStatus::Superseded]
        );
    }

    #[test]
    fn a_stuck_rollback_that_a_failing_one_superseded_is_not_a_success() {
        let seen = seen(&[
            (Superseded, "Install complete"),
            (Superseded, "Upgrade complete"),
            (Superseded, "Rollback to 1"),
            (Failed, "Rollback \"web\" failed: no"),
        ]);
        assert_eq!(told(&seen)[1], ("3@00000003".into(), RevisionStatus::Unknown));
        assert_eq!(seen.find(&"1@00000001".parse().unwrap()).unwrap().number, 1);
    }

    #[test]
    fn somebody_elses_upgrade_is_in_progress_until_it_is_stuck() {
        let seen = seen(&[(Deployed, "Install complete"), (PendingUpgrade, "Preparing upgrade")]);
        let deploy = Some(OperationKind::Deploy);
        assert_eq!(live(&seen, 200), (Some("1@00000001".into()), deploy));
        assert_eq!(live(&seen, 260), (Some("1@00000001".into()), deploy));
        assert_eq!(live(&seen, 261), (Some("2@00000002".into()), None));
        assert_eq!(seen.history(at(200), MAX).len(), 1);
        assert_eq!(told(&seen)[0].1, RevisionStatus::Failed);
    }

    #[test]
    fn our_own_rollback_is_in_progress_as_long_as_whoever_runs_it_is_alive() {
        let rows = [
            (Superseded, "Install complete"),
            (Deployed, "Upgrade complete"),
            (PendingRollback, "Rollback to 1"),
        ];
        let mut seen = seen(&rows);
        seen.journal.entries.push(Entry {
            order: "r1".parse().unwrap(),
            state: State::Running,
            at: at(0),
            to: Some("1@00000001".parse().unwrap()),
            made: Some((3, "00000003-0000".into())),
            message: None,
            taken_over: false,
        });
        let running = seen.live(at(10_000), MAX);
        let operation = running.in_progress.something().unwrap().clone();
        assert_eq!(operation.operation_id.unwrap().as_str(), "r1");
        seen.runner_lives = false;
        assert_eq!(live(&seen, 10_000), (Some("3@00000003".into()), None));
    }

    #[test]
    fn a_record_of_an_order_that_never_took_effect_is_not_there() {
        let rows = [
            (Superseded, "Install complete"),
            (Deployed, "Upgrade complete"),
            (PendingRollback, "Rollback to 1"),
        ];
        let mut seen = seen(&rows);
        seen.records[0].order = Some("r1".parse().unwrap());
        assert_eq!(live(&seen, 301), (Some("2@00000002".into()), None));
        assert_eq!(seen.leftover().unwrap().number, 3);
        assert_eq!(told(&seen).len(), 2);
    }

    #[test]
    fn a_record_is_overtaken_by_the_newest_that_took_effect_and_not_by_itself() {
        let mut seen = seen(&[
            (Superseded, "Install complete"),
            (Deployed, "Upgrade complete"),
            (PendingRollback, "Rollback to 1"),
        ]);
        let newer = |seen: &Seen, number: u32| {
            let record = seen.records.iter().find(|it| it.number == number).unwrap();
            seen.newer_than(record).map(|it| it.number)
        };
        assert_eq!([1, 2, 3].map(|it| newer(&seen, it)), [Some(3), Some(3), None]);
        seen.records[0].order = Some("r1".parse().unwrap());
        assert_eq!([1, 2, 3].map(|it| newer(&seen, it)), [Some(2), None, None], "left over");
    }

    #[test]
    fn a_revision_can_be_restored_where_helm_got_as_far_as_to_keep_it_whole() {
        for (status, expected) in [
            (Deployed, Restorable::Yes),
            (Superseded, Restorable::Yes),
            (Failed, Restorable::Yes),
            (PendingRollback, Restorable::Yes),
            (PendingUpgrade, Restorable::Unknown),
            (Status::Unknown, Restorable::Unknown),
        ] {
            let seen = seen(&[(status, "as helm says")]);
            let told: Vec<_> =
                seen.history(at(10_000), MAX).into_iter().map(|it| it.restorable).collect();
            assert_eq!(told, [expected], "{status:?}");
        }
    }

    #[test]
    fn a_rollback_succeeds_what_nobody_works_on() {
        let record = record(1, Deployed, "Install complete");
        for (newest, expected) in [
            (Newest::Settled(&record), Some(&record)),
            (Newest::Stuck(&record), Some(&record)),
            (Newest::Pending(&record), None),
            (Newest::Nothing, None),
        ] {
            assert_eq!(current(&newest), expected, "{newest:?}");
        }
    }

    #[test]
    fn a_record_that_says_it_brought_back_itself_is_its_own_revision() {
        let seen = seen(&[(Deployed, "Rollback to 1")]);
        assert_eq!(live(&seen, 1_000).0, Some("1@00000001".to_owned()));
    }

    #[test]
    fn only_a_pending_record_whose_order_never_took_effect_is_left_over() {
        for (status, committed, state, expected) in [
            (PendingRollback, false, None, true),
            (PendingRollback, false, Some(State::Void), true),
            (PendingRollback, false, Some(State::Running), false),
            (PendingRollback, false, Some(State::Failed), false),
            (PendingRollback, true, None, false),
            (Deployed, false, None, false),
        ] {
            let order: rollback_core::RollbackId = "r1".parse().unwrap();
            let mut record = record(3, status, "Rollback to 1");
            (record.order, record.committed) = (Some(order.clone()), committed);
            let mut seen = Seen::default();
            let entry = state.map(|state| Entry::void(order, at(0)).then(state, at(1), None));
            seen.journal.entries.extend(entry);
            assert_eq!(seen.is_leftover(&record), expected, "{status:?} {committed} {state:?}");
            record.order = None;
            assert!(!seen.is_leftover(&record), "it is none of ours");
        }
    }

    #[test]
    fn a_number_that_was_given_again_is_another_revision() {
        let seen = seen(&[(Superseded, "Install complete"), (Deployed, "Upgrade complete")]);
        assert!(seen.find(&"2@99999999".parse().unwrap()).is_none());
        assert!(seen.find(&"2".parse().unwrap()).is_none());
        assert!(seen.find(&"2@00000002".parse().unwrap()).is_some());
    }

    #[test]
    fn nothing_is_live_before_the_first_and_after_the_last() {
        assert_eq!(live(&Seen::default(), 1), (None, None));
        assert_eq!(
            live(&seen(&[(Status::Uninstalled, "Uninstallation complete")]), 1),
            (None, None)
        );
        assert_eq!(
            live(&seen(&[(Status::PendingInstall, "Initial install underway")]), 101).0,
            None
        );
    }
}
