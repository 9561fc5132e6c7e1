//! A chat in memory that behaves as chats do: it posts whatever it is told to post, as often as it
//! is told to. That a message appears once is up to whoever posts it.

use crate::fakes::NotifierFault;
use async_trait::async_trait;
use rollback_core::notice::{Attempt, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{Notifier, NotifyError};
use rollback_verify::Message;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A chat in memory. It tells as many lines in one message as it is handed.
///
/// With [`Delivery::previous`] it brings that message up to date. Otherwise it posts a new one,
/// unless the delivery says that an earlier attempt is in doubt: then it looks for the key first.
#[derive(Debug, Default)]
pub struct Chat {
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    messages: Vec<Message>,
    faults: VecDeque<NotifierFault>,
    down: bool,
    attempts: usize,
    pace: Option<Pace>,
}

/// At most one message with lines in this time.
#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Chat {
    /// An empty chat.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next delivery goes wrong like this; several queue.
    pub fn fail(&self, fault: NotifierFault) {
        self.world().faults.push_back(fault);
    }

    /// Nothing is posted from now on.
    pub fn break_down(&self) {
        self.world().down = true;
    }

    /// Everything is posted again.
    pub fn heal(&self) {
        self.world().down = false;
    }

    /// From now on a message with lines waits until so much has passed since the one before it, and
    /// whoever comes earlier is told when to come back.
    pub fn pace_lines(&self, interval: Duration) {
        self.world().pace = Some(Pace { interval, next: Instant::now() });
    }

    /// Every message, in the order in which they were posted.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.world().messages.clone()
    }

    /// How many deliveries were tried.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.world().attempts
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Shows them in one message; as many as were posted before stay where they are.
    fn show(&mut self, first: &Delivery, following: &[Delivery]) -> MessageRef {
        let id = format!("1763804000.{:06}", self.messages.len() + 1);
        let posted = MessageRef::new(first.channel.clone(), id);
        let message = self.show_in(first, posted.clone());
        for delivery in following {
            let _the_same_or_where_it_was = self.show_in(delivery, posted.clone());
        }
        message
    }

    fn show_in(&mut self, delivery: &Delivery, message: MessageRef) -> MessageRef {
        let known = self.messages.iter_mut().find(|message| match &delivery.previous {
            Some(previous) => message.message == *previous && message.key == delivery.key,
            None => delivery.attempt == Attempt::InDoubt && message.key == delivery.key,
        });
        let shown = (delivery.version, delivery.notice.clone());
        if let Some(message) = known {
            message.shown.push(shown);
            message.witness.clone_from(&delivery.witness);
            return message.message.clone();
        }
        let mut posted =
            Message::new(delivery.key.clone(), delivery.channel.clone(), message.clone());
        posted.thread.clone_from(&delivery.thread);
        posted.shown.push(shown);
        posted.witness.clone_from(&delivery.witness);
        self.messages.push(posted);
        message
    }
}

impl Chat {
    async fn tell(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<Delivered, NotifyError> {
        let fault = {
            let mut world = self.world();
            if let (Notice::Line { .. }, Some(pace)) = (&first.notice, &mut world.pace) {
                let now = Instant::now();
                if now < pace.next {
                    return Err(NotifyError::NotYet { after: pace.next - now });
                }
                pace.next = now + pace.interval;
            }
            world.attempts += 1;
            let fault = world.faults.pop_front();
            if world.down { fault.or(Some(NotifierFault::Retry(None))) } else { fault }
        };
        match fault {
            None => Ok(Delivered::Posted(self.world().show(first, following))),
            Some(NotifierFault::NotYet(after)) => Err(NotifyError::NotYet { after }),
            Some(NotifierFault::Retry(after)) => {
                Err(NotifyError::Retry { after, why: "the chat is down".into() })
            }
            Some(NotifierFault::PostedInDoubt) => {
                let _message = self.world().show(first, following);
                Err(NotifyError::InDoubt { why: "the answer was lost".into() })
            }
            Some(NotifierFault::LostInDoubt) => {
                Err(NotifyError::InDoubt { why: "no answer came".into() })
            }
            Some(NotifierFault::Block) => {
                Err(NotifyError::Blocked { why: "the bot is not in the channel".into() })
            }
            Some(NotifierFault::Reject) => {
                Err(NotifyError::Rejected { why: "the chat was told to reject".into() })
            }
            Some(NotifierFault::Hang) => core::future::pending().await,
        }
    }
}

#[async_trait]
impl Notifier for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        self.tell(delivery, &[]).await
    }

    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        Ok((following.len(), self.tell(first, following).await?))
    }
}
