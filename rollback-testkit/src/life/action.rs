//! The actions of a process, by name, and the places before and after each.

use rollback_core::StateName;
use std::fmt;
use std::str::FromStr;

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $action:ident = $name:literal,)+) => {
        /// Something that a process does to the world, once it has decided to: an append or an
        /// effect.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        #[expect(clippy::exhaustive_enums, reason = "whoever sweeps them decides about each")]
        pub enum Action {
            /// It stores the step that leads to this state, or a step within it.
            Commit(StateName),
            $($(#[doc = $doc])+ $action,)+
        }

        impl Action {
            const OTHERS: &'static [Self] = &[$(Self::$action),+];

            /// What it is called, without the state.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Commit(_) => "commit",
                    $(Self::$action => $name,)+
                }
            }
        }
    };
}

actions! {
    /// It claims a rollback, or renews its claim.
    Claim = "claim",
    /// It counts an attempt to work on a rollback.
    Attempt = "attempt",
    /// It gives a claim back.
    Release = "release",
    /// It stores a deploy.
    SaveDeploy = "save_deploy",
    /// It stores what a deploy message shows.
    UpdateDeploy = "update_deploy",
    /// It stores a change of what holds for a service.
    ChangeService = "change_service",
    /// It stores a record that is of no step.
    Append = "append",
    /// It queues notices outside a step.
    Queue = "queue",
    /// It takes notices to deliver.
    Take = "take",
    /// It gives notices back that it did not try to deliver.
    GiveBack = "give_back",
    /// It stores that a notice was delivered.
    Delivered = "delivered",
    /// It stores that a notice is to be delivered later.
    Postpone = "postpone",
    /// It stores that a notice is given up.
    Abandon = "abandon",
    /// It stores that an audit sink has a record.
    Acknowledge = "acknowledge",
    /// It remembers a request that must not come twice.
    See = "see",
    /// It sends an order. Before it is after the last look at the claim.
    Start = "start",
    /// It fences off older orders.
    Fence = "fence",
    /// It cancels an execution.
    Cancel = "cancel",
    /// It delivers a notice.
    Deliver = "deliver",
    /// It delivers lines of a thread together.
    DeliverLines = "deliver_lines",
    /// It has an audit sink keep a record.
    Record = "record",
    /// It asks the directory about somebody.
    Standing = "standing",
}

impl Action {
    /// Every action there is; a step for each state that it can lead to.
    #[must_use]
    pub fn all() -> Vec<Self> {
        StateName::ALL.into_iter().map(Self::Commit).chain(Self::OTHERS.iter().copied()).collect()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::Commit(state) = self { write!(f, "-{state}") } else { Ok(()) }
    }
}

/// Which side of an action.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "one or the other")]
pub enum Side {
    /// Everything is decided, and nothing has left.
    Before,
    /// It is done, and its caller has not heard.
    After,
}

/// A place in a life: one side of an action, at its first, second, … time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a name for a place")]
pub struct Place {
    /// The action.
    pub action: Action,
    /// Before or after it.
    pub side: Side,
    /// Which time, counted from 1.
    pub time: usize,
}

impl Place {
    /// Both sides of the first time of every action.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of = |action| [Side::Before, Side::After].map(|side| Self { action, side, time: 1 });
        Action::all().into_iter().flat_map(of).collect()
    }
}

/// As `before:commit-triggering:1`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{side}:{}:{}", self.action, self.time)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place; write `before:commit-triggering:1`");
        let mut parts = text.split(':');
        let (Some(side), Some(name), Some(time), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(wrong()),
        };
        let action = Action::all().into_iter().find(|action| action.to_string() == name);
        let time = time.parse().map_err(|_no_number| wrong())?;
        Ok(Self { action: action.ok_or_else(wrong)?, side, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_name_of_its_own_that_leads_back_to_it() {
        let places = Place::all();
        let mut names: Vec<String> = places.iter().map(ToString::to_string).collect();
        for (place, name) in places.iter().zip(&names) {
            assert_eq!(name.parse(), Ok(*place));
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), places.len());
        for wrong in ["before:claim", "beside:claim:1", "before:claims:1", "before:claim:x"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
