//! Pure policy for rolling back a deployment: who may, what must hold, what is recorded, and how
//! one rollback goes from a click to its end.
//!
//! ```text
//! click -> Authorizing -> Confirming -> [Approving] -> Checking -> Recording -> Triggering -> Running -> Verifying -> Succeeded
//!              |              |              |            |            |            |            |           |
//!           Denied    Withdrawn/Expired   Expired      Refused      Refused   Refused/Unknown  Failed   NotVerified
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`Rollback::step`] | one total function: state, time and event in; state, effects, audit drafts and what became of the event out |
//! | [`proof`] | what must have been checked, as types: each owns the one before it, and only the last gives an [`proof::Order`] |
//! | [`guard`], [`known_good`] | pure judgements over facts; whatever is not known is not passed |
//! | [`access`] | who may, by which rule |
//! | [`journal`] | what is stored: a replay takes every event through the same checks again |
//! | [`audit`] | the record and its hash chain |
//! | [`ports`] | the traits that adapters implement |
//!
//! | feature | default | what |
//! |---|---|---|
//! | `mock` | no | `mockall` mocks of every port, for tests of host services |
//! | `relay` | no | `proof::relay`: orders that another service's checks made and that came over an authenticated wire. For a server that puts the CD API contract over a backend, and for nothing else |
//! | `schema` | no | JSON Schema of the audit record, by `schemars` |
//!
//! There is no I/O, no clock, no randomness and no hash order here: the crate is `no_std`, so that
//! none can be named. Whoever drives it stores each transition and then performs its effects.
//!
//! ```
//! use rollback_core::access::{AccessPolicy, Account, Principal, Profile, Rule, Standing};
//! use rollback_core::audit::BackendEntry;
//! use rollback_core::journal::{Opening, Origin};
//! use rollback_core::ports::{Capabilities, CompareAndSet, Fence};
//! use rollback_core::{
//!     Actor, Effect, Event, Fact, Plan, Policy, RevisionRef, Rollback, ServiceKey, StateName,
//!     Timestamp,
//! };
//!
//! // The team's rules: Ana owns the service.
//! let key = ServiceKey::new("checkout".parse()?, "production".parse()?);
//! let mut access = AccessPolicy::default();
//! access.workspaces.insert("T0HOME".parse()?);
//! let owners = vec![Principal::User("U02ANA".parse()?)];
//! access.owners.push(Rule::for_service("checkout owners", &key.service, owners));
//! let policy = Policy::new(access.for_service(&key));
//!
//! // Ana clicks the button of the deploy of `42`.
//! let now = Timestamp::parse("2026-11-22T09:30:00Z")?;
//! let (r42, r41) = (RevisionRef::new("42".parse()?), RevisionRef::new("41".parse()?));
//! let plan = Plan::new(key, r42, r41)?;
//! let mut ana = Actor::new("U02ANA".parse()?);
//! ana.workspace = Some("T0HOME".parse()?);
//! let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
//! let backend = BackendEntry::new("prod".parse()?, capabilities);
//! let opening =
//!     Opening::new("rb-1".parse()?, plan, policy, Origin::Click(ana.clone()), backend, now);
//! let opened = Rollback::open(opening);
//! assert_eq!(opened.effects, [Effect::ObserveStanding(ana.id.clone())]);
//!
//! // The directory knows her: a full member. The guards' facts are asked for next.
//! let profile = Profile::new(Account::Member, "T0HOME".parse()?);
//! let standing = Standing::new(Fact::known(profile, now), Default::default()).about(ana.id);
//! let step = opened.rollback.step(now, Event::StandingObserved(Box::new(standing)));
//! assert_eq!(step.rollback.state_name(), StateName::Confirming);
//! assert_eq!(step.effects, [Effect::GatherFacts]);
//!
//! // An answer that nobody asked for yet changes nothing.
//! let step = step.rollback.step(now, Event::IntentRecorded);
//! assert!(step.effects.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A proof cannot be built, cloned or read back from anywhere but its check:
//!
//! ```compile_fail,E0624
//! use rollback_core::proof::{Order, Recorded};
//! fn forge(recorded: &Recorded) -> Order {
//!     Order::issue(recorded)
//! }
//! ```
//!
//! ```compile_fail,E0277
//! fn read<T: serde::de::DeserializeOwned>() {}
//! read::<rollback_core::proof::GuardsPassed>();
//! ```
//!
//! ```compile_fail,E0277
//! fn twice<T: Clone>() {}
//! twice::<rollback_core::proof::Order>();
//! ```
#![no_std]
extern crate alloc;
#[cfg(any(test, feature = "mock"))]
extern crate std;

pub mod access;
pub mod audit;
pub mod change;
pub mod current;
mod event;
mod fact;
pub mod guard;
mod id;
pub mod journal;
pub mod known_good;
mod machine;
mod model;
pub mod named;
pub mod notice;
pub mod observed;
mod per_service;
mod policy;
pub mod ports;
mod presence;
pub mod proof;
pub mod reconcile;
pub mod stopped;
mod store;
mod time;
mod unseen;
mod view;
mod words;

pub use crate::change::{Changer, ServiceChange, ServiceChanged};
pub use crate::event::{
    Audience, Conflict, Effect, Event, Health, Line, Observation, Outcome, Phase, Progress,
    Receipt, Said, Settlement, Sighting, WaitsFor,
};
pub use crate::fact::{CLOCK_SKEW_MAX, Fact, Missing};
pub use crate::id::{
    BackendName, ChannelId, DEPLOYS_FOUND, DEPLOYS_OF_EVENTS, DeployId, EnvironmentName, GroupId,
    GuardName, ID_LENGTH_MAX, IdError, LABEL_LENGTH_MAX, Label, REASON_LENGTH_MAX, Reason,
    ReasonError, RevisionId, RevisionName, RollbackId, ServiceName, UserId, WorkspaceId,
};
pub use crate::machine::{
    Declined, Disposition, Doubt, Ignored, Preview, Rollback, Running, Sending, State, Transition,
    Unsettled, Verifying,
};
pub use crate::model::{
    Actor, CHANGES_MAX, Change, Deploy, Deployer, FIXES_MAX, Fix, FixKind, Fixes, Migration,
    Migrations, Pair, Plan, PlanError, Restorable, Reversible, Revision, RevisionRef,
    RevisionStatus, ServiceKey,
};
pub use crate::per_service::PerService;
pub use crate::policy::{FourEyes, Limits, Policy};
pub use crate::presence::Presence;
pub use crate::time::{Timestamp, TimestampError, in_words};
pub use crate::unseen::{is_unseen, is_visible};
pub use crate::view::{
    Cancellation, Cause, Execution, GuardView, Prominence, Proposer, Purpose, PutAside,
    RollbackView, SettledBy, StateName, WarningView,
};
