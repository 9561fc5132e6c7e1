//! Everything but the store, as one process reaches it.

use super::{Canary, Class, Process, ProcessClock, Weather};
use crate::chat::Chat;
use crate::fakes::{
    FakeBackend, FakeDirectory, FakeHealth, FakeSink, Fault, Method, NotifierFault,
};
use crate::invariants::Seen;
use crate::{again, fixtures};
use async_trait::async_trait;
use core::time::Duration;
use rollback_core::access::Standing;
use rollback_core::audit::Record;
use rollback_core::notice::{Delivered, Delivery, NoticeKind};
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    AuditSink, Cancelled, Capabilities, CdBackend, Changes, Clock, Directory, ErrorKind, Fenced,
    Freshness, HealthInquiry, HealthSource, HistoryOptions, LiveOptions, Notifier, NotifyError,
    ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    ChannelId, Fact, GroupId, Health, Phase, Plan, Progress, Receipt, Revision, RevisionId,
    ServiceKey, UserId,
};
use std::iter;
use std::sync::Arc;

/// Something that an engine touches, as one process touches it in its weather.
#[derive(Debug)]
pub struct Faulty<T: ?Sized> {
    pub(super) process: Process,
    pub(super) inner: Arc<T>,
    pub(super) clock: Arc<ProcessClock>,
    pub(super) right: Arc<dyn Clock>,
}

impl<T: ?Sized> Faulty<T> {
    /// Lets a process touch `inner`, by its own clock and by the right one.
    #[must_use]
    pub fn new(
        process: &Process,
        inner: &Arc<T>,
        clock: &Arc<ProcessClock>,
        right: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            process: process.clone(),
            inner: Arc::clone(inner),
            clock: Arc::clone(clock),
            right: Arc::clone(right),
        }
    }

    pub(super) fn weather(&self) -> &Weather {
        self.process.weather()
    }
}

impl<T: Send + Sync + ?Sized> Faulty<T> {
    /// A call that changes nothing, or that may be made twice.
    async fn call<R>(&self, call: impl Future<Output = R>) -> R {
        self.process.moment().await;
        if self.weather().strikes(Class::Panic) {
            std::panic::resume_unwind(Box::new("an adapter panicked, as the weather wanted"));
        }
        let answer = call.await;
        self.process.moment().await;
        answer
    }
}

fn failed(operation: &'static str) -> PortError {
    PortError::new(ErrorKind::Retry(None), "weather", operation, "it did not answer")
}

impl Faulty<FakeBackend> {
    /// One look at the CD system.
    async fn look<R>(
        &self,
        what: &'static str,
        read: impl Future<Output = Result<R, PortError>>,
    ) -> Result<R, PortError> {
        let weather = self.weather();
        self.call(async {
            if weather.is_out(Class::CdDown) {
                return Err(failed(what));
            }
            if weather.strikes(Class::CdFails) {
                let waits = weather.wait(Class::CdFails, Duration::from_secs(15));
                tokio::time::sleep(waits).await;
                if weather.draw(Class::CdFails, |draw| !draw.one_in(3)) {
                    return Err(failed(what));
                }
            }
            read.await
        })
        .await
    }

    /// The order arrives after this time, whatever becomes of who sent it.
    fn arrives_after(&self, order: &OrderRef, wait: Duration) {
        self.weather().departs();
        let (cd, process, id) =
            (Arc::clone(&self.inner), self.process.clone(), order.rollback().clone());
        drop(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let (effects, live) = (cd.effects(), cd.truth());
            drop(cd.arrive(&id));
            if cd.effects() > effects {
                process.weather().saw(Seen::TookEffect { rollback: id, live });
            }
            process.weather().arrives();
        }));
    }

    /// The order is ready to leave, on the condition of what the adapter sees now. Of a CD system
    /// that cannot compare the adapter can do no more than look.
    async fn prepared(&self, order: &OrderRef) -> Result<(), StartError> {
        if self.inner.truth().as_ref() != Some(&order.plan().from().revision) {
            return Err(StartError::Conflict { live: None, why: "live has moved".into() });
        }
        self.inner.fail(Method::Start, Fault::HoldUp);
        drop(self.inner.start(again(order)).await);
        Ok(())
    }

    /// The order that is ready arrives.
    fn arrives(&self, order: &OrderRef) -> Result<Receipt, StartError> {
        let (effects, live): (usize, Option<RevisionId>) =
            (self.inner.effects(), self.inner.truth());
        let answer = self.inner.arrive(order.rollback());
        if self.inner.effects() > effects {
            self.weather().saw(Seen::TookEffect { rollback: order.rollback().clone(), live });
        }
        answer.expect("it was ready")
    }

    /// What the CD system makes of executions from now on.
    fn script(&self) {
        let weather = self.weather();
        let phases: &[&[Phase]] = &[
            &[Phase::Complete],
            &[Phase::Started, Phase::Started, Phase::Failed],
            &[
                Phase::Started,
                Phase::Started,
                Phase::HealthChecking,
                Phase::HealthChecking,
                Phase::Complete,
            ],
            &[Phase::Started; 300],
        ];
        if weather.strikes(Class::CdFalters) {
            let phases = weather.draw(Class::CdFalters, |draw| draw.one_of(phases));
            self.inner.set_phases(phases.iter().copied());
        }
        if weather.strikes(Class::CdLies) {
            self.inner.pretend();
        }
    }

    /// Answers an error at once, or nothing in time.
    async fn doubt(&self, class: Class) -> Result<Receipt, StartError> {
        if self.weather().draw(class, |draw| draw.one_in(2)) {
            core::future::pending::<()>().await;
        }
        Err(StartError::InDoubt { why: "the gateway answered 502".into() })
    }
}

/// Hints that a process does not hear while it stands still or is dead.
#[derive(Debug)]
struct FaultyChanges {
    process: Process,
    inner: Box<dyn Changes>,
}

#[async_trait]
impl Changes for FaultyChanges {
    async fn next(&mut self) {
        self.process.alive().await;
        self.inner.next().await;
        self.process.alive().await;
    }
}

#[async_trait]
impl CdBackend for Faulty<FakeBackend> {
    fn capabilities(&self, key: &ServiceKey) -> Capabilities {
        self.inner.capabilities(key)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.look("history", self.inner.history(key, options)).await
    }

    async fn live(&self, key: &ServiceKey, options: LiveOptions) -> Result<Live, PortError> {
        self.look("live", self.inner.live(key, options)).await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.look("preflight", self.inner.preflight(plan)).await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let weather = self.weather();
        // It is let go here: of a pause from here on only the CD system can know.
        if !self.process.is_dead() {
            weather.saw(Seen::Sent {
                rollback: order.rollback().clone(),
                plan: Box::new(order.plan().clone()),
                at: self.clock.now(),
            });
        }
        self.process.alive().await;
        self.script();
        if weather.strikes(Class::CdRefuses) {
            return Err(StartError::Refused { why: "no rollbacks today".into() });
        }
        if weather.strikes(Class::CdConflicts) {
            return Err(StartError::Conflict { live: None, why: "live has moved".into() });
        }
        self.prepared(&order).await?;
        if weather.strikes(Class::Outrun) {
            let id = format!("outran-{}", order.rollback());
            self.inner.deploy(fixtures::revision(&id, "3.1.0", self.right.now()));
        }
        if weather.strikes(Class::CdDelayed) {
            // Within the request, within the lease, or after everything.
            let most = weather.draw(Class::CdDelayed, |draw| draw.one_of(&[8, 30, 120, 400]));
            let wait = weather.wait(Class::CdDelayed, Duration::from_secs(most));
            self.arrives_after(&order, wait);
            self.process.moment().await;
            return self.doubt(Class::CdDelayed).await;
        }
        // A process that stands still here sends, when it goes on, what it made ready before.
        self.process.moment().await;
        if weather.strikes(Class::CdLost) || weather.is_out(Class::CdDown) {
            return self.doubt(Class::CdLost).await;
        }
        let answer = self.arrives(&order);
        self.process.moment().await;
        if answer.is_ok() && weather.strikes(Class::CdTimeout) {
            return self.doubt(Class::CdTimeout).await;
        }
        if weather.strikes(Class::Panic) {
            std::panic::resume_unwind(Box::new("an adapter panicked after it sent"));
        }
        answer
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.look("find", self.inner.find(order)).await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        let weather = self.weather();
        let fence = async {
            if weather.sings(Canary::FenceLies) {
                weather.saw(Seen::Fenced { rollback: order.rollback().clone() });
                return Ok(Fenced::Done);
            }
            let fenced = self.inner.fence(order).await;
            if let Ok(Fenced::Done) = fenced {
                weather.saw(Seen::Fenced { rollback: order.rollback().clone() });
            }
            if weather.strikes(Class::CdFenceDoubt) { Err(failed("fence")) } else { fenced }
        };
        self.look("fence", fence).await
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        self.look("observe", self.inner.observe(order, receipt, options)).await
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        let cancel = async {
            let cancelled = self.inner.cancel(order, receipt).await;
            let lost = self.weather().strikes(Class::CdFenceDoubt);
            if lost { Err(failed("cancel")) } else { cancelled }
        };
        self.look("cancel", cancel).await
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        Box::new(FaultyChanges { process: self.process.clone(), inner: self.inner.changes(key) })
    }

    async fn drain(&self) {
        self.process.alive().await;
        self.inner.drain().await;
        self.process.alive().await;
    }
}

#[async_trait]
impl Notifier for Faulty<Chat> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn place(&self, kind: NoticeKind, channel: &ChannelId) -> Option<ChannelId> {
        self.inner.place(kind, channel)
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        self.in_this_weather([delivery], self.inner.deliver(delivery)).await
    }

    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        let deliveries = iter::once(first).chain(following);
        self.in_this_weather(deliveries, self.inner.deliver_lines(first, following)).await
    }
}

impl Faulty<Chat> {
    async fn in_this_weather<'a, T>(
        &self,
        deliveries: impl IntoIterator<Item = &'a Delivery, IntoIter: Send> + Send,
        deliver: impl Future<Output = Result<T, NotifyError>> + Send,
    ) -> Result<T, NotifyError> {
        let weather = self.weather();
        self.call(async {
            if weather.is_out(Class::ChatDown) {
                return Err(NotifyError::Retry { after: None, why: "the chat is down".into() });
            }
            if weather.strikes(Class::ChatLimits) {
                let after = weather.wait(Class::ChatLimits, Duration::from_secs(60));
                return Err(NotifyError::Retry { after: Some(after), why: "too many".into() });
            }
            if weather.strikes(Class::ChatSlow) {
                tokio::time::sleep(weather.wait(Class::ChatSlow, Duration::from_secs(12))).await;
            }
            if weather.strikes(Class::ChatDoubt) {
                let posted = weather.draw(Class::ChatDoubt, |draw| draw.one_in(2));
                let (is, is_not) = (NotifierFault::PostedInDoubt, NotifierFault::LostInDoubt);
                self.inner.fail(if posted { is } else { is_not });
            }
            for delivery in deliveries {
                self.process.delivers(&delivery.key);
            }
            deliver.await
        })
        .await
    }
}

#[async_trait]
impl AuditSink for Faulty<FakeSink> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn record(&self, record: &Record) -> Result<(), PortError> {
        let weather = self.weather();
        self.call(async {
            if weather.is_out(Class::SinkDown) {
                return Err(failed("keep a record"));
            }
            if weather.is_out(Class::SinkRejects) {
                let why = "the disk is full";
                return Err(PortError::new(ErrorKind::Rejected, "weather", "keep a record", why));
            }
            if weather.sings(Canary::SinkLies) {
                return Ok(());
            }
            let kept = if weather.strikes(Class::SinkFails) {
                let waits = weather.wait(Class::SinkFails, Duration::from_secs(8));
                tokio::time::sleep(waits).await;
                if weather.draw(Class::SinkFails, |draw| draw.one_in(2)) {
                    drop(self.inner.record(record).await);
                    weather.saw(Seen::Kept { record: record.draft.id.clone() });
                }
                Err(failed("keep a record"))
            } else {
                self.inner.record(record).await
            };
            if kept.is_ok() {
                weather.saw(Seen::Kept { record: record.draft.id.clone() });
            }
            kept
        })
        .await
    }
}

#[async_trait]
impl Directory for Faulty<FakeDirectory> {
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing {
        let weather = self.weather();
        self.call(async {
            if weather.is_out(Class::DirectoryDown) {
                return Standing::unknown("the directory is down");
            }
            if weather.strikes(Class::DirectoryFails) {
                let waits = weather.wait(Class::DirectoryFails, Duration::from_secs(8));
                tokio::time::sleep(waits).await;
                if weather.draw(Class::DirectoryFails, |draw| draw.one_in(2)) {
                    return Standing::unknown("the directory did not answer");
                }
            }
            self.inner.standing_at(user, groups, freshness, self.clock.now())
        })
        .await
    }
}

#[async_trait]
impl HealthSource for Faulty<FakeHealth> {
    async fn health(&self, inquiry: &HealthInquiry) -> Fact<Health> {
        let weather = self.weather();
        self.call(async {
            if weather.strikes(Class::HealthFlaps) {
                let unhealthy = weather.draw(Class::HealthFlaps, |draw| draw.one_in(2));
                return if unhealthy {
                    Fact::known(Health::Unhealthy("it is starting".into()), self.clock.now())
                } else {
                    Fact::unknown("the health check did not answer")
                };
            }
            match self.inner.health(inquiry).await {
                Fact::Known { value, .. } => Fact::known(value, self.clock.now()),
                unknown @ Fact::Unknown { .. } => unknown,
            }
        })
        .await
    }
}
