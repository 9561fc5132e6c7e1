//! What one rollback is held to, pinned when it opens: an edit of the configuration rescues no
//! rollback that is under way. An order leaves only from a process that would pin the same.

use crate::access::Access;
use crate::audit::Hash;
use crate::guard::GuardSet;
use alloc::string::ToString;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What four eyes tell apart. Accounts of one human that the directory is known to link are the same
/// in both.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a third way to tell people apart must be decided")]
pub enum FourEyes {
    /// Accounts: somebody with two accounts that the directory does not link counts as two. For a
    /// directory that knows no persons, such as an ordinary Slack workspace.
    #[default]
    Account,
    /// Persons: where approvals are asked for, whoever's person the directory does not know can
    /// neither ask nor approve.
    Person,
}

impl FourEyes {
    /// `account` or `person`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Person => "person",
        }
    }

    // Left out of what is written, so that the digest of a policy that never asked for more stays
    // what it was.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    const fn is_account(&self) -> bool {
        match self {
            Self::Account => true,
            Self::Person => false,
        }
    }
}

/// The policy of one rollback.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Policy {
    /// Who may do what.
    pub access: Access,
    /// How many other people must approve.
    pub approvals_min: u8,
    /// What tells the requester and the approvers apart.
    #[serde(default, skip_serializing_if = "FourEyes::is_account")]
    pub four_eyes: FourEyes,
    /// The guards that must all pass. Has every built-in one.
    pub guards: GuardSet,
    /// How long a revision must have been live to count as known-good.
    #[serde(with = "crate::time::millis")]
    pub soak: Duration,
    /// The bounds on time.
    pub limits: Limits,
}

impl Policy {
    /// The built-in guards, no approvals, no soak, default limits.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self {
            access,
            approvals_min: 0,
            four_eyes: FourEyes::Account,
            guards: GuardSet::built_in(),
            soak: Duration::ZERO,
            limits: Limits::default(),
        }
    }

    /// Tells this policy from every other one: the intent to send an order is recorded with it.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let written = serde_json::to_string(self);
        // Nothing in a policy can fail to be written; if it did, no other policy would match.
        Hash::of(written.unwrap_or_else(|error| error.to_string()).as_bytes())
    }
}

/// The bounds on time. Every state that waits has one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Limits {
    /// One request to the CD system.
    #[serde(with = "crate::time::millis")]
    pub cd_timeout: Duration,
    /// An older fact is unknown.
    #[serde(with = "crate::time::millis")]
    pub fact_age_max: Duration,
    /// From a proposal to the first click on it.
    #[serde(with = "crate::time::millis")]
    pub click_within: Duration,
    /// From the click to the confirmation.
    #[serde(with = "crate::time::millis")]
    pub confirm_within: Duration,
    /// From the confirmation to the last approval.
    #[serde(with = "crate::time::millis")]
    pub approve_within: Duration,
    /// For reading the facts, and for acknowledging the record of intent.
    #[serde(with = "crate::time::millis")]
    pub check_within: Duration,
    /// From the order to the CD system's word that it is complete. A rollback that takes longer is
    /// reported, and still followed.
    #[serde(with = "crate::time::millis")]
    pub run_within: Duration,
    /// How long an order may be in doubt, or the CD system silent about what it carries out, before
    /// on-call is paged. An order in doubt that cannot be fenced, and an execution that the CD system
    /// is silent about, then have an unknown outcome.
    #[serde(with = "crate::time::millis")]
    pub doubt_within: Duration,
    /// From there until the target is seen live and healthy.
    #[serde(with = "crate::time::millis")]
    pub verify_within: Duration,
    /// Live must equal the target for this long.
    #[serde(with = "crate::time::millis")]
    pub settle: Duration,
    /// No other rollback of the service for this long after one.
    #[serde(with = "crate::time::millis")]
    pub cool_down: Duration,
    /// How long a replica owns a rollback without renewing. Nothing reads it here: a host gives the engine its
    /// lease once, for all services. It stays because it is part of the digest of every policy that is pinned.
    #[serde(with = "crate::time::millis")]
    pub lease: Duration,
    /// How old the directory's word may be at the click; everything later reads afresh.
    #[serde(with = "crate::time::millis")]
    pub directory_age_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            cd_timeout: Duration::from_secs(10),
            fact_age_max: Duration::from_secs(30),
            click_within: MINUTE * 60 * 24,
            confirm_within: MINUTE * 10,
            approve_within: MINUTE * 30,
            check_within: MINUTE,
            run_within: MINUTE * 30,
            doubt_within: MINUTE * 15,
            verify_within: MINUTE * 5,
            settle: Duration::from_secs(5),
            cool_down: MINUTE * 5,
            lease: Duration::from_secs(15),
            directory_age_max: MINUTE,
        }
    }
}
