//! Pure policy for rolling back a deployment.
#![no_std]
extern crate alloc;
#[cfg(any(test, feature = "mock"))]
extern crate std;

pub mod access;
pub mod audit;
mod event;
mod fact;
pub mod guard;
mod id;
pub mod journal;
pub mod known_good;
mod machine;
mod model;
pub mod notice;
pub mod observed;
mod policy;
pub mod ports;
pub mod proof;
mod store;
mod time;
mod view;
mod words;

pub use crate::event::{
    Audience, Conflict, Effect, Event, Health, Line, Observation, Phase, Progress, Receipt, Said,
    Settlement, Sighting,
};
pub use crate::fact::{Fact, Missing};
pub use crate::id::{
    BackendName, ChannelId, DeployId, EnvironmentName, GroupId, GuardName, ID_LENGTH_MAX, IdError,
    LABEL_LENGTH_MAX, Label, REASON_LENGTH_MAX, Reason, ReasonError, RevisionId, RollbackId,
    ServiceName, UserId, WorkspaceId,
};
pub use crate::machine::{
    Declined, Disposition, Ignored, Preview, Rollback, Running, Sending, State, Transition,
    Unsettled, Verifying,
};
pub use crate::model::{
    Actor, Deploy, Deployer, Migration, Migrations, Pair, Plan, PlanError, Restorable, Reversible,
    Revision, RevisionRef, RevisionStatus, ServiceKey,
};
pub use crate::policy::{Limits, Policy};
pub use crate::time::{Timestamp, TimestampError, in_words};
pub use crate::view::{Execution, GuardView, Proposer, Purpose, RollbackView, StateName};
