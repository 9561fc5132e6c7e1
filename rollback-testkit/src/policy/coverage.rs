//! What the drawn cases reached, so that a property over none of them does not count as one that holds.

use super::Case;
use rollback_core::StateName;
use rollback_core::access::Denial;
use std::collections::BTreeMap;
use std::fmt;

/// What was drawn, in numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Coverage {
    /// Cases, each with one decision and one journey.
    pub cases: u64,
    /// Decisions that let somebody.
    pub allowed: u64,
    /// Decisions that turned somebody away for a known reason.
    pub denied: u64,
    /// Decisions that turned somebody away because something could not be found out.
    pub unknown: u64,
    /// Journeys that reached an order.
    pub orders: u64,
    /// Journeys that reached each state; none is in it that no journey reached.
    pub states: BTreeMap<StateName, u64>,
}

impl Coverage {
    /// Counts a case.
    pub(super) fn count(&mut self, case: &Case) {
        self.cases += 1;
        match &case.verdict {
            Ok(_) => self.allowed += 1,
            Err(Denial::Unknown(_)) => self.unknown += 1,
            Err(_) => self.denied += 1,
        }
        if case.journey.orders > 0 {
            self.orders += 1;
        }
        for state in case.journey.states() {
            *self.states.entry(state).or_default() += 1;
        }
    }

    /// What keeps a property from proving anything, in words; empty where nothing does.
    #[must_use]
    pub fn gaps(&self) -> Vec<&'static str> {
        let needed = [
            (self.allowed, "nobody was ever allowed"),
            // An answer that is missing turns anybody away under any policy.
            (self.denied, "nobody was ever denied"),
            (self.orders, "nothing was ever ordered"),
        ];
        needed.into_iter().filter(|(count, _)| *count == 0).map(|(_, gap)| gap).collect()
    }

    /// The states that no journey reached, in the order in which a rollback can pass them.
    #[must_use]
    pub fn never_reached(&self) -> Vec<StateName> {
        StateName::ALL.into_iter().filter(|state| !self.states.contains_key(state)).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, allowed, denied, unknown, orders, states } = self;
        writeln!(f, "{cases} cases: {allowed} allowed, {denied} denied, {unknown} unknown")?;
        writeln!(f, "{orders} journeys reached an order")?;
        let reached: Vec<String> =
            states.iter().map(|(state, count)| format!("{state} {count}")).collect();
        writeln!(f, "journeys by state: {}", reached.join(", "))?;
        let missed: Vec<&str> = self.never_reached().into_iter().map(StateName::as_str).collect();
        let missed = if missed.is_empty() { "none".into() } else { missed.join(", ") };
        writeln!(f, "states never reached: {missed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_that_is_zero_is_a_gap_of_its_own() {
        let good = Coverage { allowed: 1, denied: 1, orders: 1, ..Coverage::default() };
        assert!(good.gaps().is_empty());
        for (coverage, gap) in [
            (Coverage { allowed: 0, ..good.clone() }, "nobody was ever allowed"),
            (Coverage { denied: 0, unknown: 9, ..good.clone() }, "nobody was ever denied"),
            (Coverage { orders: 0, ..good }, "nothing was ever ordered"),
        ] {
            assert_eq!(coverage.gaps(), [gap]);
        }
        assert_eq!(Coverage::default().gaps().len(), 3);
        assert_eq!(Coverage::default().never_reached(), StateName::ALL);
    }
}
