//! The traits an adapter implements. All are object-safe; nothing here runs.
//!
//! An error says first whether anything happened, then whether to try again. For reads that is
//! easy: nothing ever happened. For [`CdBackend::start`] it is the whole point: see [`StartError`].

mod audit;
mod backend;
mod clock;
mod commands;
mod directory;
mod error;
mod notify;
mod sources;

pub use crate::store::{
    AuditLog, Claim, Claims, ClockSteps, Commit, Committed, Hint, Hints, Instance, Journal,
    Journals, Listed, Outbox, Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services,
    Store, StoreError, StoreLeft, Unreadable,
};
pub use audit::{AuditSink, CheckpointSigner, Kept};
pub use backend::{
    Cancel, Cancelled, Capabilities, CdBackend, Changes, CompareAndSet, Fence, Fenced,
    HistoryOptions, LiveOptions, NoChanges, ObserveOptions, Sees, StartError,
};
pub use clock::Clock;
pub use commands::{Button, ClickedOn, CommandError, Commands, Consent, Surface};
pub use directory::{Directory, Expected, Freshness, Heard, Inquiry, SourceState};
pub use error::{ErrorKind, PortError};
pub use notify::{Notifier, NotifyError};
pub use sources::{FactSource, GuardInquiry, HealthInquiry, HealthSource, MetricSource, Sample};

#[cfg(feature = "mock")]
pub use {
    audit::{MockAuditSink, MockCheckpointSigner},
    backend::{MockCdBackend, MockChanges},
    clock::MockClock,
    commands::MockCommands,
    directory::MockDirectory,
    notify::MockNotifier,
    sources::{MockFactSource, MockHealthSource, MockMetricSource},
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit;
    use crate::event::{Progress, Receipt};
    use crate::model::{Plan, Restorable, Revision, RevisionRef, ServiceKey};
    use crate::observed::{Acceptance, Live};
    use crate::presence::Presence;
    use crate::proof::{Order, OrderRef};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use async_trait::async_trait;
    use core::task::{Context, Poll, Waker};

    /// An engine holds adapters as trait objects.
    #[test]
    fn every_port_is_dyn_compatible() {
        const fn held<T: ?Sized>() {}
        held::<dyn CdBackend>();
        held::<dyn Changes>();
        held::<dyn Notifier>();
        held::<dyn AuditSink>();
        held::<dyn CheckpointSigner>();
        held::<dyn Directory>();
        held::<dyn FactSource>();
        held::<dyn HealthSource>();
        held::<dyn MetricSource>();
        held::<dyn Store>();
        held::<dyn Journals>();
        held::<dyn Claims>();
        held::<dyn Services>();
        held::<dyn Outbox>();
        held::<dyn AuditLog>();
        held::<dyn Receipts>();
        held::<dyn Clock>();
        held::<dyn Commands>();
    }

    /// A CD system that takes nothing and gives no hints.
    #[derive(Debug)]
    struct Mute;

    #[async_trait]
    impl CdBackend for Mute {
        fn capabilities(&self, _: &ServiceKey) -> Capabilities {
            Capabilities::new(CompareAndSet::No, Fence::No)
        }
        async fn history(
            &self,
            _: &ServiceKey,
            _: HistoryOptions,
        ) -> Result<Vec<Revision>, PortError> {
            let [mut good, mut gone, unknown] =
                ["42", "41", "40"].map(|id| Revision::new(id.parse().unwrap()));
            (good.restorable, gone.restorable) = (Restorable::Yes, Restorable::No);
            Ok(alloc::vec![good, gone, unknown])
        }
        async fn live(&self, _: &ServiceKey, _: LiveOptions) -> Result<Live, PortError> {
            Ok(Live::default())
        }
        async fn start(&self, _: Order) -> Result<Receipt, StartError> {
            Err(StartError::Refused { why: "nothing is taken here".into() })
        }
        async fn find(&self, _: &OrderRef) -> Result<Option<Receipt>, PortError> {
            Ok(None)
        }
        async fn observe(
            &self,
            _: &OrderRef,
            _: &Receipt,
            _: ObserveOptions,
        ) -> Result<Progress, PortError> {
            Err(PortError::new(ErrorKind::Unsupported, "mute", "observe", "nothing runs here"))
        }
    }

    /// An engine that waits for a hint or its own timer must not be woken for nothing, again and
    /// again, by an adapter that has no hints to give.
    #[test]
    fn a_backend_without_hints_never_gives_one() {
        let key = ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap());
        let mut changes = Mute.changes(&key);
        let mut hint = changes.next();
        let mut context = Context::from_waker(Waker::noop());
        assert!(hint.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn a_backend_without_a_preflight_accepts_only_what_its_history_can_restore() {
        let key = ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap());
        let of = |id: &str| RevisionRef::new(id.parse().unwrap());
        for (target, accepted) in [("42", true), ("41", false), ("40", false), ("39", false)] {
            let plan = Plan::new(key.clone(), of("43"), of(target)).unwrap();
            let mut asked = Mute.preflight(&plan);
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(preflight)) = asked.as_mut().poll(&mut context) else { panic!() };
            assert_eq!(preflight.acceptance == Acceptance::Accepted, accepted, "{target}");
            assert!(matches!(preflight.undone_by, Presence::CannotTell(_)), "{target}");
        }
    }

    #[test]
    fn a_backend_that_carries_nothing_out_itself_holds_no_stop_up() {
        let mut drained = Mute.drain();
        let mut context = Context::from_waker(Waker::noop());
        assert!(drained.as_mut().poll(&mut context).is_ready());
    }

    /// A sink that keeps records, and was written before there were checkpoints.
    #[derive(Debug)]
    struct Plain;

    #[async_trait]
    impl AuditSink for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }
        async fn record(&self, _: &audit::Record) -> Result<(), PortError> {
            Ok(())
        }
    }

    /// Otherwise a note that nobody signed would be taken for the newest one.
    #[test]
    fn a_sink_without_checkpoints_says_that_it_has_none() {
        let mut answer = Plain.last_checkpoint();
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(answer.as_mut().poll(&mut context), Poll::Ready(Ok(None))));
    }
}
