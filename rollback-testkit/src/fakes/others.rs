//! The small fakes: directory, notifier, audit sink, health.

use crate::fixtures::Person;
use async_trait::async_trait;
use rollback_core::access::Standing;
use rollback_core::audit::Record;
use rollback_core::notice::{Attempt, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{
    AuditSink, Clock, Directory, ErrorKind, Freshness, HealthInquiry, HealthSource, Heard, Inquiry,
    Notifier, NotifyError, PortError, SourceState,
};
use rollback_core::{ChannelId, Fact, GroupId, Health, Label, Timestamp, UserId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory in memory.
#[derive(Debug)]
pub struct FakeDirectory {
    clock: Arc<dyn Clock>,
    people: Mutex<BTreeMap<UserId, Person>>,
    broken: Mutex<Option<String>>,
    silent: Mutex<bool>,
    asked: Mutex<Vec<(UserId, Freshness)>>,
}

impl FakeDirectory {
    /// A directory of these people.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, people: impl IntoIterator<Item = Person>) -> Self {
        let people = people.into_iter().map(|person| (person.id(), person)).collect();
        Self {
            clock,
            people: Mutex::new(people),
            broken: Mutex::new(None),
            silent: Mutex::new(false),
            asked: Mutex::new(Vec::new()),
        }
    }

    /// Adds somebody, or replaces what is known of them.
    pub fn put(&self, person: Person) {
        locked(&self.people).insert(person.id(), person);
    }

    /// It does not answer from now on, for this reason.
    pub fn break_down(&self, why: impl Into<String>) {
        *locked(&self.broken) = Some(why.into());
    }

    /// What it is asked from now on has no answer at all.
    pub fn fall_silent(&self) {
        *locked(&self.silent) = true;
    }

    /// It answers again.
    pub fn heal(&self) {
        *locked(&self.broken) = None;
        *locked(&self.silent) = false;
    }

    /// What it says to somebody whose clock shows `now`.
    #[must_use]
    pub fn standing_at(
        &self,
        user: &UserId,
        groups: &[GroupId],
        freshness: Freshness,
        now: Timestamp,
    ) -> Standing {
        locked(&self.asked).push((user.clone(), freshness));
        if let Some(why) = locked(&self.broken).clone() {
            return Standing::unknown(why);
        }
        locked(&self.people).get(user).map_or_else(
            || Standing::unknown(format!("the directory does not know `{user}`")),
            |person| person.standing_in(groups, now).about(user.clone()),
        )
    }

    fn source(&self) -> SourceState {
        locked(&self.broken).clone().map_or(SourceState::Answers, SourceState::Fails)
    }

    /// Who was asked about so far, and how fresh the answer had to be.
    #[must_use]
    pub fn asked(&self) -> Vec<(UserId, Freshness)> {
        locked(&self.asked).clone()
    }
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing {
        if *locked(&self.silent) {
            std::future::pending::<()>().await;
        }
        self.standing_at(user, groups, freshness, self.clock.now())
    }

    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        let Inquiry { user, groups, freshness, .. } = inquiry;
        let standing = self.standing(user, groups, *freshness).await;
        Heard::new(standing, self.source())
    }

    async fn look(&self, _groups: &[GroupId]) -> SourceState {
        if *locked(&self.silent) {
            std::future::pending::<()>().await;
        }
        self.source()
    }
}

/// What goes wrong at one delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NotifierFault {
    /// Nothing is posted, and its turn comes after this long.
    NotYet(Duration),
    /// Nothing is posted; try again after this long.
    Retry(Option<Duration>),
    /// It is posted, and the caller cannot know.
    PostedInDoubt,
    /// It is not posted, and the caller cannot know.
    LostInDoubt,
    /// It is not posted until somebody fixes something.
    Block,
    /// It is not posted, and never will be.
    Reject,
    /// Nothing is answered.
    Hang,
}

/// A chat in memory, that knows a message by its key.
#[derive(Debug, Default)]
pub struct FakeNotifier {
    messages: Mutex<BTreeMap<Label, Posted>>,
    faults: Mutex<VecDeque<NotifierFault>>,
    deliveries: Mutex<Vec<Delivery>>,
}

#[derive(Clone, Debug)]
struct Posted {
    message: MessageRef,
    versions: Vec<u64>,
    notice: Notice,
}

impl FakeNotifier {
    /// An empty chat.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next delivery goes wrong like this; several queue.
    pub fn fail(&self, fault: NotifierFault) {
        locked(&self.faults).push_back(fault);
    }

    /// Every attempt so far, in order.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        locked(&self.deliveries).clone()
    }

    /// The keys of the messages that are there.
    #[must_use]
    pub fn keys(&self) -> Vec<Label> {
        locked(&self.messages).keys().cloned().collect()
    }

    /// What every message shows now, by key.
    #[must_use]
    pub fn shown(&self) -> Vec<Notice> {
        locked(&self.messages).values().map(|posted| posted.notice.clone()).collect()
    }

    /// The versions of a message that were shown, in order.
    #[must_use]
    pub fn versions(&self, key: &str) -> Vec<u64> {
        locked(&self.messages).get(&Label::new(key)).map_or_else(Vec::new, |p| p.versions.clone())
    }

    /// Whether a delivery after doubt said so: the notifier must look before it posts.
    #[must_use]
    pub fn last_attempt(&self) -> Option<Attempt> {
        locked(&self.deliveries).last().map(|delivery| delivery.attempt)
    }

    /// The channels in which something was posted.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelId> {
        locked(&self.messages).values().map(|posted| posted.message.channel.clone()).collect()
    }

    fn post(&self, delivery: &Delivery) -> MessageRef {
        let mut messages = locked(&self.messages);
        let number = messages.len() + 1;
        let posted = messages.entry(delivery.key.clone()).or_insert_with(|| Posted {
            message: MessageRef::new(delivery.channel.clone(), format!("1763804000.{number:06}")),
            versions: Vec::new(),
            notice: delivery.notice.clone(),
        });
        if posted.versions.last().is_none_or(|last| *last < delivery.version) {
            posted.versions.push(delivery.version);
            posted.notice = delivery.notice.clone();
        }
        posted.message.clone()
    }
}

#[async_trait]
impl Notifier for FakeNotifier {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        locked(&self.deliveries).push(delivery.clone());
        let fault = locked(&self.faults).pop_front();
        match fault {
            None => Ok(Delivered::Posted(self.post(delivery))),
            Some(NotifierFault::NotYet(after)) => Err(NotifyError::NotYet { after }),
            Some(NotifierFault::Retry(after)) => {
                Err(NotifyError::Retry { after, why: "the fake was told to fail".into() })
            }
            Some(NotifierFault::PostedInDoubt) => {
                let _message = self.post(delivery);
                Err(NotifyError::InDoubt { why: "the answer was lost".into() })
            }
            Some(NotifierFault::LostInDoubt) => {
                Err(NotifyError::InDoubt { why: "no answer came".into() })
            }
            Some(NotifierFault::Block) => {
                Err(NotifyError::Blocked { why: "the fake was told to block".into() })
            }
            Some(NotifierFault::Reject) => {
                Err(NotifyError::Rejected { why: "the fake was told to reject".into() })
            }
            Some(NotifierFault::Hang) => core::future::pending().await,
        }
    }
}

/// What goes wrong at one record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SinkFault {
    /// It is not kept.
    Fail,
    /// It is kept, and the caller cannot know.
    LoseAnswer,
    /// Nothing is answered.
    Hang,
}

/// An audit log in memory.
#[derive(Debug, Default)]
pub struct FakeSink {
    records: Mutex<BTreeMap<u64, Record>>,
    faults: Mutex<VecDeque<SinkFault>>,
    down: Mutex<bool>,
}

impl FakeSink {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next record goes wrong like this; several queue.
    pub fn fail(&self, fault: SinkFault) {
        locked(&self.faults).push_back(fault);
    }

    /// It keeps nothing from now on.
    pub fn break_down(&self) {
        *locked(&self.down) = true;
    }

    /// It keeps records again.
    pub fn heal(&self) {
        *locked(&self.down) = false;
    }

    /// What is kept, in the order of the chain.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        locked(&self.records).values().cloned().collect()
    }

    fn not_kept(why: &str) -> PortError {
        PortError::new(ErrorKind::Retry(None), "fake", "keep a record", why)
    }
}

#[async_trait]
impl AuditSink for FakeSink {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn record(&self, record: &Record) -> Result<(), PortError> {
        let fault = locked(&self.faults).pop_front();
        if fault == Some(SinkFault::Hang) {
            return core::future::pending().await;
        }
        if fault == Some(SinkFault::Fail) || *locked(&self.down) {
            return Err(Self::not_kept("the fake was told to fail"));
        }
        locked(&self.records).entry(record.sequence.get()).or_insert_with(|| record.clone());
        if fault == Some(SinkFault::LoseAnswer) {
            return Err(Self::not_kept("the answer was lost"));
        }
        Ok(())
    }
}

/// A health check that says what it is told.
#[derive(Debug)]
pub struct FakeHealth {
    clock: Arc<dyn Clock>,
    health: Mutex<Result<Health, String>>,
    next: Mutex<VecDeque<Result<Health, String>>>,
}

impl FakeHealth {
    /// Everything is healthy.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, health: Mutex::new(Ok(Health::Healthy)), next: Mutex::default() }
    }

    /// What every look sees from now on.
    pub fn set(&self, health: Health) {
        *locked(&self.health) = Ok(health);
    }

    /// No look sees anything from now on, for this reason.
    pub fn break_down(&self, why: impl Into<String>) {
        *locked(&self.health) = Err(why.into());
    }

    /// What one look sees before those that follow; several queue.
    pub fn once(&self, health: Health) {
        locked(&self.next).push_back(Ok(health));
    }
}

#[async_trait]
impl HealthSource for FakeHealth {
    async fn health(&self, _: &HealthInquiry) -> Fact<Health> {
        let next = locked(&self.next).pop_front();
        let health = next.unwrap_or_else(|| locked(&self.health).clone());
        match health {
            Ok(health) => Fact::known(health, self.clock.now()),
            Err(why) => Fact::unknown(why),
        }
    }
}
