//! The thirty-five invariants, by number.

use crate::case::Case;
use crate::{audit, consent, execution, guards, liveness, store, telling};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How much evidence there is; more includes less.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "what a store tells, and everything else")]
pub enum Scope {
    /// What the store has: journals, views and audit records. This is what production has.
    Store,
    /// Besides, everything that was seen below the engine, in its order, and the chat.
    Everything,
}

/// A predicate.
#[derive(Clone, Copy)]
pub struct Check {
    /// What it insists on: `INV-01 …`.
    pub name: &'static str,
    /// How much evidence it needs.
    pub needs: Scope,
    pub(crate) find: fn(&Case<'_>) -> Vec<String>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What holds an invariant.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "here or elsewhere")]
pub enum Held {
    /// These predicates.
    Here(&'static [Check]),
    /// Something else, because no look at the evidence can: why, and what holds it.
    Elsewhere(&'static str),
}

/// An invariant.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a number and what holds it")]
pub struct Invariant {
    /// Its number, from 1.
    pub number: u8,
    /// What holds it.
    pub held: Held,
}

/// The names of the predicates.
pub fn names() -> impl Iterator<Item = &'static str> {
    checks().map(|check| check.name)
}

pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    INVARIANTS.iter().flat_map(|invariant| match invariant.held {
        Held::Here(checks) => checks,
        Held::Elsewhere(_) => &[],
    })
}

macro_rules! here {
    ($number:literal: $($needs:ident $find:path, $name:literal);+ $(;)?) => {
        Invariant {
            number: $number,
            held: Held::Here(&[$(Check { name: $name, needs: Scope::$needs, find: $find }),+]),
        }
    };
}

const fn elsewhere(number: u8, why: &'static str) -> Invariant {
    Invariant { number, held: Held::Elsewhere(why) }
}

/// Every invariant, in the order of its number.
pub const INVARIANTS: &[Invariant] = &[
    here!(1: Store consent::sent_as_confirmed, "INV-01 an order is given only for what its requester confirmed"),
    here!(2: Store consent::known_members, "INV-02 whoever confirms or approves is known to be a full member at that moment"),
    here!(3: Store consent::approved_by_others, "INV-03 enough other people approved, each of them once"),
    here!(4:
        Store consent::checked_twice, "INV-04 whoever asks is checked at the click and again before the order";
        Store consent::approvers_checked_twice, "INV-04 whoever approved is checked again before the order"),
    elsewhere(
        5,
        "a journal does not hold the message that was clicked: the outbox answers where a button belongs (rollback-engine stories, the traps of rollback-slack)",
    ),
    here!(6: Store consent::ends_once, "INV-06 a rollback ends once"),
    here!(7:
        Store consent::nothing_counts_late, "INV-07 nothing a person says counts after the deadline";
        Store consent::no_deadline_counts_early, "INV-07 no deadline counts before it is reached"),
    here!(8: Store guards::guards_pass, "INV-08 an order is given only while every guard passes on fresh facts, seen since the last approval"),
    here!(9: Store guards::ends_explained, "INV-09 every end explains itself, and a refusal names its guard"),
    here!(10: Everything execution::effect_on_shown, "INV-10 an order takes effect only on the revision that was shown"),
    here!(11: Store guards::target_known, "INV-11 the target is another revision, and was in the history"),
    here!(12:
        Everything store::one_at_a_time, "INV-12 one rollback at a time holds a service";
        Store store::one_at_a_time_in_the_chain, "INV-12 one rollback at a time holds a service, in the order of the audit chain"),
    here!(13: Everything execution::stored_before_sent, "INV-13 an order is stored before it is sent"),
    here!(14: Everything execution::sent_once, "INV-14 an order is sent once"),
    here!(15:
        Store execution::doubt_is_read, "INV-15 an order in doubt is settled by reading";
        Store execution::doubt_is_no_outcome, "INV-15 doubt that a fence can end is no outcome"),
    here!(16: Everything execution::effect_once, "INV-16 an order takes effect once"),
    here!(17:
        Store execution::success_is_seen, "INV-17 a success is the target seen live and healthy";
        Store execution::end_is_looked_at, "INV-17 what failed or was cancelled is looked at before it ends";
        Everything execution::success_is_one_effect, "INV-17 a success is one effect"),
    here!(18: Everything execution::stopped_without_effect, "INV-18 what was refused, denied or expired never takes effect"),
    here!(19:
        Everything execution::fenced_before_absent, "INV-19 what was not executed was fenced off first";
        Store execution::absent_only_with_fence, "INV-19 only a CD system that can fence proves that nothing was executed"),
    here!(20: Everything execution::no_late_effect, "INV-20 nothing takes effect after a definite end"),
    here!(21: Store consent::clicked_by_somebody, "INV-21 a person clicked before anything was ordered"),
    here!(22: Everything store::fences_grow, "INV-22 fencing numbers grow with every owner"),
    here!(23:
        Everything store::stored_by_owner, "INV-23 only the owner of the moment stores what the engine did";
        Everything store::claims_last, "INV-23 a claim is its owner's until its time is up or it is given back"),
    here!(24: Store store::published_transitions, "INV-24 only published transitions occur"),
    here!(25: Store store::replays_to_stored, "INV-25 the journal replays to what is stored"),
    elsewhere(
        26,
        "it compares stores, not evidence: the conformance suite of the store's port and rollback-store/tests/it/differential.rs",
    ),
    here!(27: Store audit::audited_around, "INV-27 every order is between a record of intent and one of its outcome"),
    here!(28: Store audit::chain_is_whole, "INV-28 the audit chain is whole, and is what the journals ask for"),
    here!(29: Everything audit::audited_before, "INV-29 the record of intent is kept before the order"),
    here!(30:
        Store audit::actors_on_record, "INV-30 whoever confirmed, approved or rejected is on record";
        Store audit::rules_on_record, "INV-30 each record that names somebody names the rule that decided";
        Store audit::break_glass_pages, "INV-30 each act through break-glass pages once"),
    elsewhere(
        31,
        "a request that does not count leaves nothing to see: signature and replay tests of rollback-slack over the real wire",
    ),
    elsewhere(
        32,
        "the evidence holds what is told, not how it is written: properties of rollback-slack's escape and views, snapshots",
    ),
    here!(33:
        Everything telling::messages_go_forward, "INV-33 messages only go forward, and end at the last state";
        Everything telling::lines_once_in_order, "INV-33 a thread line appears once, in order"),
    elsewhere(
        34,
        "it compares two runs, one with a chat and one without: rollback-engine stories and crash sweeps with a chat that is down",
    ),
    here!(35: Everything liveness::everything_ends, "INV-35 everything ends"),
];
