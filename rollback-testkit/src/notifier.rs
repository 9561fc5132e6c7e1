//! The conformance suite of [`Notifier`].

use crate::drive::order_for;
use crate::fixtures;
use crate::suite::{Simulated, Summary};
use async_trait::async_trait;
use rollback_core::known_good::Choice;
use rollback_core::notice::{Attempt, Delivered, Delivery, DeployCard, MessageRef, Notice};
use rollback_core::ports::{Notifier, NotifyError};
use rollback_core::{ChannelId, Deploy, Label};

/// What the suite needs of a notifier besides the port. A fresh harness has posted nothing.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The adapter under test.
    fn notifier(&self) -> &dyn Notifier;

    /// A channel in which it may post.
    fn channel(&self) -> ChannelId;

    /// How many messages people see in truth.
    async fn messages(&self) -> usize;

    /// Whether `text` can be read in one of them.
    async fn shows(&self, text: &str) -> bool;

    /// The service does not answer from now on: nothing that is sent arrives.
    async fn cut(&self);

    /// Ends what [`Self::cut`] began.
    async fn heal(&self);

    /// The next message is posted, and the answer is lost.
    async fn lose_next_answer(&self) -> Simulated {
        Simulated::Cannot("this harness cannot lose an answer")
    }
}

/// Runs every case, each on a fresh harness.
///
/// # Panics
///
/// When a case fails, with what was wrong.
pub async fn run_all<H: Harness>(make: impl AsyncFn() -> H) -> Summary {
    let mut summary = Summary::default();
    let harness = make().await;
    summary.ran("a_message_is_posted_once_and_updated", posted_and_updated(&harness).await);
    let harness = make().await;
    summary.ran("other_keys_are_other_messages", other_keys(&harness).await);
    let harness = make().await;
    summary.ran("what_did_not_arrive_is_no_success", not_arrived(&harness).await);
    let harness = make().await;
    summary.ran("after_doubt_there_is_one_message", after_doubt(&harness).await);
    summary
}

fn card(version: &str) -> Notice {
    let id = order_for(fixtures::plan()).rollback().as_str().to_owned();
    let deploy = Deploy::new(fixtures::parsed(&id), fixtures::key(), version, fixtures::at(0));
    Notice::Deploy(Box::new(DeployCard::new(deploy, None, Choice::none("nothing before it"))))
}

fn delivery<H: Harness>(harness: &H, key: &str, version: u64, shown: &str) -> Delivery {
    Delivery::new(Label::new(key), version, card(shown), harness.channel())
}

async fn post<H: Harness>(harness: &H, delivery: &Delivery) -> Option<MessageRef> {
    match harness.notifier().deliver(delivery).await {
        Ok(Delivered::Posted(message)) => Some(message),
        Ok(Delivered::Sent | Delivered::NotMine) => None,
        Err(error) => panic!("a notice was not delivered: {error}"),
    }
}

async fn posted_and_updated<H: Harness>(harness: &H) -> Simulated {
    let first = delivery(harness, "deploy/1", 1, "2.14.0");
    let Some(message) = post(harness, &first).await else {
        return Simulated::Cannot("this notifier posts no deploy messages that can be updated");
    };
    assert_eq!(harness.messages().await, 1, "one notice is one message");
    assert!(harness.shows("2.14.0").await, "the version cannot be read");
    let mut second = delivery(harness, "deploy/1", 2, "2.14.1");
    second.previous = Some(message.clone());
    assert_eq!(post(harness, &second).await, Some(message), "an update is the same message");
    assert_eq!(harness.messages().await, 1, "an update made a second message");
    assert!(harness.shows("2.14.1").await, "the update cannot be read");
    assert!(!harness.shows("2.14.0").await, "what was replaced can still be read");
    Simulated::Done
}

async fn other_keys<H: Harness>(harness: &H) -> Simulated {
    let one = post(harness, &delivery(harness, "deploy/1", 1, "2.14.0")).await;
    let other = post(harness, &delivery(harness, "deploy/2", 1, "2.15.0")).await;
    let (Some(one), Some(other)) = (one, other) else {
        return Simulated::Cannot("this notifier posts no deploy messages that can be updated");
    };
    assert_ne!(one, other, "two keys are two messages");
    assert_eq!(harness.messages().await, 2, "two keys are two messages");
    Simulated::Done
}

async fn not_arrived<H: Harness>(harness: &H) -> Simulated {
    harness.cut().await;
    let first = delivery(harness, "deploy/1", 1, "2.14.0");
    match harness.notifier().deliver(&first).await {
        Err(NotifyError::Retry { .. } | NotifyError::InDoubt { .. }) => {}
        other @ (Ok(_)
        | Err(
            NotifyError::NotYet { .. } | NotifyError::Blocked { .. } | NotifyError::Rejected { .. },
        )) => {
            panic!("what did not arrive is tried again, not {other:?}")
        }
    }
    harness.heal().await;
    assert_eq!(harness.messages().await, 0, "something arrived over a cut connection");
    let mut again = first;
    again.attempt = Attempt::InDoubt;
    post(harness, &again).await;
    assert_eq!(harness.messages().await, 1, "after recovery there is one message");
    Simulated::Done
}

async fn after_doubt<H: Harness>(harness: &H) -> Simulated {
    if let Simulated::Cannot(why) = harness.lose_next_answer().await {
        return Simulated::Cannot(why);
    }
    let mut notice = delivery(harness, "deploy/1", 1, "2.14.0");
    match harness.notifier().deliver(&notice).await {
        Err(NotifyError::InDoubt { .. }) => {}
        other @ (Ok(_)
        | Err(
            NotifyError::NotYet { .. }
            | NotifyError::Retry { .. }
            | NotifyError::Blocked { .. }
            | NotifyError::Rejected { .. },
        )) => {
            panic!("a lost answer is in doubt, not {other:?}")
        }
    }
    notice.attempt = Attempt::InDoubt;
    post(harness, &notice).await;
    assert_eq!(harness.messages().await, 1, "after doubt the same key made a second message");
    Simulated::Done
}
