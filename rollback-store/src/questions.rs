//! Which rows are listed, in SQL that names only the columns that are asked by.
//!
//! A condition that may be absent (`?1 IS NULL OR service = ?1`) is written once and costs for ever: a
//! database plans it for every value, and reads every row. Here each set of columns has a question of
//! its own, which begins with an index.

use rollback_core::ports::Query;
use rollback_core::{Label, RollbackId, RollbackView, StateName};

/// The rollbacks of these columns, newest first.
macro_rules! rollbacks {
    ($sign:literal $(, $column:literal = $place:literal)* ; $limit:literal) => {
        concat!(
            "SELECT id, view, entries, holds_service, was_ordered FROM rollback WHERE true",
            $(" AND ", $column, " = ", $sign, $place,)*
            " ORDER BY opened_at DESC, number DESC LIMIT ", $sign, $limit
        )
    };
}

/// The question for a list, by the sign with which the database marks parameters. It is asked with
/// [`columns_of_list`] and the limit.
macro_rules! list_question {
    ($sign:literal, $query:expr) => {
        match (
            $query.service.is_some(),
            $query.environment.is_some(),
            $query.state.is_some(),
        ) {
            // One rollback is one row, which is compared with what else is asked for by whoever reads
            // it: see `is_listed`.
            _ if $query.rollback.is_some() => rollbacks!($sign, "id" = "1"; "2"),
            (false, false, false) => rollbacks!($sign; "1"),
            (true, false, false) => rollbacks!($sign, "service" = "1"; "2"),
            (false, true, false) => rollbacks!($sign, "environment" = "1"; "2"),
            (false, false, true) => rollbacks!($sign, "state" = "1"; "2"),
            (true, true, false) => {
                rollbacks!($sign, "service" = "1", "environment" = "2"; "3")
            }
            (true, false, true) => rollbacks!($sign, "service" = "1", "state" = "2"; "3"),
            (false, true, true) => rollbacks!($sign, "environment" = "1", "state" = "2"; "3"),
            (true, true, true) => {
                rollbacks!($sign, "service" = "1", "environment" = "2", "state" = "3"; "4")
            }
        }
    };
}

/// The audit records of these columns after a sequence number, in their order.
macro_rules! records {
    ($sign:literal $(, $column:literal = $place:literal)* ; $limit:literal) => {
        concat!(
            "SELECT sequence, record FROM audit WHERE sequence > ", $sign, "1",
            $(" AND ", $column, " = ", $sign, $place,)*
            " ORDER BY sequence LIMIT ", $sign, $limit
        )
    };
}

/// The question for audit records. It is asked with the sequence number, [`columns_of_audit`] and the
/// limit.
macro_rules! audit_question {
    ($sign:literal, $query:expr) => {
        match (
            $query.rollback.is_some(),
            $query.service.is_some(),
            $query.environment.is_some(),
        ) {
            (false, false, false) => records!($sign; "2"),
            (false, true, false) => records!($sign, "service" = "2"; "3"),
            (false, false, true) => records!($sign, "environment" = "2"; "3"),
            (false, true, true) => {
                records!($sign, "service" = "2", "environment" = "3"; "4")
            }
            (true, false, false) => records!($sign, "rollback" = "2"; "3"),
            (true, true, false) => records!($sign, "rollback" = "2", "service" = "3"; "4"),
            (true, false, true) => records!($sign, "rollback" = "2", "environment" = "3"; "4"),
            (true, true, true) => {
                records!($sign, "rollback" = "2", "service" = "3", "environment" = "4"; "5")
            }
        }
    };
}

pub(crate) use {audit_question, list_question, records, rollbacks};

/// What a list is asked by, in the order of its parameters.
pub(crate) fn columns_of_list(query: &Query) -> Vec<&str> {
    if let Some(rollback) = &query.rollback {
        return vec![rollback.as_str()];
    }
    let names = [&query.service, &query.environment].into_iter().flatten().map(Label::as_str);
    names.chain(query.state.map(StateName::as_str)).collect()
}

/// Whether a row is of what is asked for: a rollback that is asked for by its name is looked up by
/// nothing else.
pub(crate) fn is_listed(query: &Query, view: &RollbackView) -> bool {
    let is = |wanted: &Option<Label>, name: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.as_str() == name)
    };
    is(&query.service, view.key.service.as_str())
        && is(&query.environment, view.key.environment.as_str())
        && query.state.is_none_or(|state| state == view.state)
}

/// What audit records are asked by, in the order of their parameters.
pub(crate) fn columns_of_audit(query: &Query) -> Vec<&str> {
    let rollback = query.rollback.iter().map(RollbackId::as_str);
    let names = [&query.service, &query.environment].into_iter().flatten().map(Label::as_str);
    rollback.chain(names).collect()
}

/// Every set of columns, for tests that look at how a database would answer.
#[cfg(test)]
pub(crate) fn every() -> Vec<Query> {
    let some = |flag: bool, name: &'static str| flag.then(|| name.into());
    let query = |bits: u8| {
        let mut query = Query::all(50);
        query.service = some(bits & 1 != 0, "checkout");
        query.environment = some(bits & 2 != 0, "production");
        query.state = (bits & 4 != 0).then_some(StateName::Running);
        query.rollback = (bits & 8 != 0).then(|| rollback_testkit::fixtures::parsed("rb-1"));
        query
    };
    (0..16).map(query).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::script::{Ending, Script};

    #[test]
    fn a_question_is_asked_by_its_columns_in_their_order() {
        let all = every();
        let names = |bits: usize| columns_of_list(&all[bits]).join(" ");
        assert_eq!([0, 1, 2, 4].map(names), ["", "checkout", "production", "running"]);
        assert_eq!(names(7), "checkout production running");
        assert_eq!([8, 15].map(names), ["rb-1", "rb-1"], "a rollback is found by its name alone");
        let names = |bits: usize| columns_of_audit(&all[bits]).join(" ");
        assert_eq!([0, 1, 2, 4, 8].map(names), ["", "checkout", "production", "", "rb-1"]);
        assert_eq!(names(15), "rb-1 checkout production");
    }

    #[test]
    fn a_rollback_is_listed_where_everything_that_is_asked_for_is_so() {
        let commit = Script::new("rb-1").commits(Ending::Succeeded).remove(0);
        let (view, other) = (&commit.view, Some(Label::new("another")));
        let mut query = Query::all(9);
        assert!(is_listed(&query, view), "nothing is asked for");
        query.service = Some(Label::new(view.key.service.as_str()));
        query.environment = Some(Label::new(view.key.environment.as_str()));
        query.state = Some(view.state);
        assert!(is_listed(&query, view));
        let mut of_another_service = query.clone();
        of_another_service.service.clone_from(&other);
        let mut of_another_environment = query.clone();
        of_another_environment.environment = other;
        let mut in_another_state = query;
        in_another_state.state = Some(StateName::Expired);
        for query in [of_another_service, of_another_environment, in_another_state] {
            assert!(!is_listed(&query, view), "{query:?}");
        }
    }
}
