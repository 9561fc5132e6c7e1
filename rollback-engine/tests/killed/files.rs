//! A CD system, a chat and an audit sink in files: one line is one fact, appended by one write, so
//! that a process that dies has written it or not.

use async_trait::async_trait;
use rollback_core::audit::Record;
use rollback_core::notice::{Attempt, Delivered, Delivery, Notice};
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    AuditSink, Cancelled, Capabilities, CdBackend, CompareAndSet, Fence, Fenced, Journal, Notifier,
    NotifyError, PortError, StartError,
};
use rollback_core::proof::Order;
use rollback_core::{Phase, Plan, Progress, Receipt, Revision, RevisionRef, ServiceKey, Timestamp};
use rollback_testkit::Message;
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::invariants::Seen;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

fn append(file: &Path, line: &str) {
    let mut open = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    open.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A CD system in a file of what happened: `deploy 2`, `sent rb at`, `effect rb 2 1`, `fenced rb`.
#[derive(Debug)]
pub(crate) struct Cd {
    file: PathBuf,
    turn: Mutex<()>,
    dies: Option<Moment>,
}

/// A moment of an order at which the process dies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    /// It has left, and never arrives.
    Lost,
    /// It has taken effect, and nobody has been told.
    TookEffect,
}

/// The revision that everything is rolled back to.
const FIRST: u64 = 1;

impl Cd {
    pub(crate) fn new(folder: &Path, dies: Option<Moment>) -> Self {
        Self { file: folder.join("seen.log"), turn: Mutex::default(), dies }
    }

    fn die_if(&self, moment: Moment) {
        if self.dies == Some(moment) {
            super::die();
        }
    }

    /// Deploys the next revision.
    pub(crate) fn deploy(&self) -> String {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.newest() + 1;
        append(&self.file, &format!("deploy {next}"));
        next.to_string()
    }

    fn newest(&self) -> u64 {
        let deployed = |line: &String| line.strip_prefix("deploy ")?.parse().ok();
        lines(&self.file).iter().filter_map(deployed).max().unwrap_or(FIRST)
    }

    /// What is live, in truth: what the last fact says.
    fn truth(&self) -> String {
        let live = |line: &String| match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["deploy", revision] | ["effect", _, _, revision] => Some((*revision).to_owned()),
            _ => None,
        };
        lines(&self.file).iter().rev().find_map(live).unwrap_or_else(|| FIRST.to_string())
    }

    fn took(&self, order: &Order) -> bool {
        let start = format!("effect {} ", order.rollback());
        lines(&self.file).iter().any(|line| line.starts_with(&start))
    }
}

fn receipt(order: &Order) -> Receipt {
    Receipt::new(format!("execution-{}", order.rollback()))
}

fn reference(revision: &str) -> RevisionRef {
    let mut reference = RevisionRef::new(parsed(revision));
    reference.version = Some(format!("1.{revision}").into());
    reference
}

#[async_trait]
impl CdBackend for Cd {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(CompareAndSet::Yes, Fence::Yes)
    }

    async fn history(&self, _key: &ServiceKey, limit: usize) -> Result<Vec<Revision>, PortError> {
        let ago = |number: u64| Timestamp::from_millis(1_000 + number);
        let all = (FIRST..=self.newest()).rev();
        let mut history: Vec<Revision> =
            all.map(|n| fixtures::revision(&n.to_string(), &format!("1.{n}"), ago(n))).collect();
        // The first one must stay in sight, however many there are.
        let first = history.pop();
        history.truncate(limit.saturating_sub(1));
        history.extend(first);
        Ok(history)
    }

    async fn live(&self, _key: &ServiceKey) -> Result<Live, PortError> {
        Ok(Live::running(reference(&self.truth())))
    }

    async fn preflight(&self, _plan: &Plan) -> Result<Preflight, PortError> {
        Ok(Preflight::accepted())
    }

    async fn start(&self, order: &Order) -> Result<Receipt, StartError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, plan) = (order.rollback(), order.plan());
        let now = super::now();
        append(&self.file, &format!("sent {id} {now}"));
        self.die_if(Moment::Lost);
        if self.truth() != plan.from().revision.as_str() {
            return Err(StartError::Conflict { live: None, why: "live has moved".into() });
        }
        let (from, to) = (&plan.from().revision, &plan.to().revision);
        append(&self.file, &format!("effect {id} {from} {to}"));
        self.die_if(Moment::TookEffect);
        Ok(receipt(order))
    }

    async fn find(&self, order: &Order) -> Result<Option<Receipt>, PortError> {
        Ok(self.took(order).then(|| receipt(order)))
    }

    async fn fence(&self, order: &Order) -> Result<Fenced, PortError> {
        append(&self.file, &format!("fenced {}", order.rollback()));
        Ok(Fenced::Done)
    }

    async fn observe(&self, _order: &Order, _receipt: &Receipt) -> Result<Progress, PortError> {
        Ok(Progress::new(Phase::Complete))
    }

    async fn cancel(&self, _order: &Order, _receipt: &Receipt) -> Result<Cancelled, PortError> {
        Ok(Cancelled::TooLate)
    }
}

/// Everything that was seen below the engines, over all of them.
pub(crate) fn seen(folder: &Path, journals: &[Journal]) -> Vec<Seen> {
    let plan = |id: &str| {
        let journal = journals.iter().find(|journal| journal.opening.id.as_str() == id);
        Box::new(journal.expect("what was sent was stored").opening.plan.clone())
    };
    let line = |line: &String| match line.split(' ').collect::<Vec<_>>().as_slice() {
        ["sent", id, at] => Some(Seen::Sent {
            rollback: parsed(id),
            plan: plan(id),
            at: Timestamp::from_millis(at.parse().unwrap()),
        }),
        ["effect", id, from, _] => {
            Some(Seen::TookEffect { rollback: parsed(id), live: Some(parsed(from)) })
        }
        ["fenced", id] => Some(Seen::Fenced { rollback: parsed(id) }),
        ["kept", record] => Some(Seen::Kept { record: (*record).into() }),
        _ => None,
    };
    lines(&folder.join("seen.log")).iter().filter_map(line).collect()
}

/// A chat in a file, one line a version shown: the number of the message, the key, the version and
/// the notice. It posts whatever it is told to post.
#[derive(Debug)]
pub(crate) struct Chat {
    file: PathBuf,
}

impl Chat {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("chat.log") }
    }

    fn shown(&self) -> Vec<(usize, String, u64, Notice)> {
        let read = |line: &String| serde_json::from_str(line).unwrap();
        lines(&self.file).iter().map(read).collect()
    }

    /// Every message, with what it showed.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for (number, key, version, notice) in self.shown() {
            match messages.get_mut(number) {
                Some(message) => message.shown.push((version, notice)),
                None => {
                    let mut message =
                        Message::new(key, parsed("C0PAYMENTS"), super::message(number));
                    message.shown.push((version, notice));
                    messages.push(message);
                }
            }
        }
        messages
    }
}

#[async_trait]
impl Notifier for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        let shown = self.shown();
        let known = match &delivery.previous {
            Some(previous) => Some(previous.id.as_str().parse().unwrap()),
            None if delivery.attempt == Attempt::InDoubt => shown
                .iter()
                .find(|(_, key, ..)| key == delivery.key.as_str())
                .map(|(number, ..)| *number),
            None => None,
        };
        let next = shown.iter().map(|(number, ..)| number + 1).max().unwrap_or(0);
        let number: usize = known.unwrap_or(next);
        let line = (number, delivery.key.as_str(), delivery.version, &delivery.notice);
        append(&self.file, &serde_json::to_string(&line).unwrap());
        Ok(Delivered::Posted(super::message(number)))
    }
}

/// An audit sink in a file, one canonical record a line.
#[derive(Debug)]
pub(crate) struct Sink {
    file: PathBuf,
    seen: PathBuf,
}

impl Sink {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("audit.jsonl"), seen: folder.join("seen.log") }
    }

    /// What is kept, in its order.
    pub(crate) fn records(&self) -> Vec<Record> {
        let all = lines(&self.file);
        all.iter().zip(1..).map(|(line, n)| Record::parse(line, n).unwrap()).collect()
    }
}

#[async_trait]
impl AuditSink for Sink {
    fn name(&self) -> &'static str {
        "file"
    }

    async fn record(&self, record: &Record) -> Result<(), PortError> {
        let kept = u64::try_from(lines(&self.file).len()).unwrap();
        if record.sequence == kept + 1 {
            append(&self.file, &record.canonical().unwrap());
        }
        append(&self.seen, &format!("kept {}", record.draft.id));
        Ok(())
    }
}
