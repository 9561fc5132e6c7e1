//! A chat in a file that processes share.

use super::lines::{append, lines};
use super::scenes::Scene;
use async_trait::async_trait;
use rollback_core::notice::{Attempt, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{Notifier, NotifyError};
use rollback_testkit::Message;
use rollback_testkit::fixtures::parsed;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many deliveries a quiet chat refuses.
const REFUSALS: usize = 3;

/// For how long each time: until there is more than one line, so that the next refusal holds others up,
/// which are given back.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// One process at a time, until it is dropped.
pub(crate) fn turn(file: &Path) -> File {
    let lock = File::create(file.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    lock
}

/// A chat in a file, one line a version shown: the number of the message, the key, the version and
/// the notice. It posts whatever it is told to post, and as many lines in one message as it is handed.
#[derive(Debug)]
pub(crate) struct Chat {
    file: PathBuf,
    scene: Scene,
}

impl Chat {
    pub(crate) fn new(folder: &Path, scene: Scene) -> Self {
        Self { file: folder.join("chat.log"), scene }
    }

    fn shown(&self) -> Vec<(usize, String, u64, Notice)> {
        let read = |line: &String| serde_json::from_str(line).unwrap();
        lines(&self.file).iter().map(read).collect()
    }

    /// Every message, with what it showed.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for (number, key, version, notice) in self.shown() {
            let there = reference(number);
            let same =
                |message: &&mut Message| message.message == there && message.key.as_str() == key;
            match messages.iter_mut().find(same) {
                Some(message) => message.shown.push((version, notice)),
                None => {
                    let mut message = Message::new(key, parsed("C0PAYMENTS"), there);
                    message.shown.push((version, notice));
                    messages.push(message);
                }
            }
        }
        messages
    }

    fn refuses(&self, notice: &Notice) -> Option<NotifyError> {
        if self.scene == Scene::Denied && matches!(notice, Notice::Private { .. }) {
            return Some(NotifyError::Rejected { why: "whispers are not taken here".into() });
        }
        let refused = self.file.with_extension("refused");
        let is_line = matches!(notice, Notice::Line { .. });
        if self.scene == Scene::Quiet && is_line && lines(&refused).len() < REFUSALS {
            append(&refused, "a line");
            let (after, why) = (Some(REFUSED_FOR), "quiet".into());
            return Some(NotifyError::Retry { after, why });
        }
        None
    }
}

impl Chat {
    /// Tells them in one message; those that were posted before stay where they are.
    fn tell(&self, together: &[&Delivery]) -> Result<Delivered, NotifyError> {
        let _turn = turn(&self.file);
        let refused = together.first().and_then(|first| self.refuses(&first.notice));
        if let Some(refused) = refused {
            return Err(refused);
        }
        let shown = self.shown();
        let next = shown.iter().map(|(number, ..)| number + 1).max().unwrap_or(0);
        let mut numbers = Vec::new();
        let mut versions = Vec::new();
        for delivery in together {
            let known = match &delivery.previous {
                Some(previous) => Some(previous.id.as_str().parse().unwrap()),
                None if delivery.attempt == Attempt::InDoubt => shown
                    .iter()
                    .find(|(_, key, ..)| key == delivery.key.as_str())
                    .map(|(number, ..)| *number),
                None => None,
            };
            let number: usize = known.unwrap_or(next);
            let version = (number, delivery.key.as_str(), delivery.version, &delivery.notice);
            numbers.push(number);
            versions.push(serde_json::to_string(&version).unwrap());
        }
        append(&self.file, &versions.join("\n"));
        Ok(Delivered::Posted(reference(numbers[0])))
    }
}

/// A message of the chat, by its number.
fn reference(number: usize) -> MessageRef {
    MessageRef::new(parsed("C0PAYMENTS"), number.to_string())
}

#[async_trait]
impl Notifier for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError> {
        self.tell(&[delivery])
    }

    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        let together: Vec<&Delivery> = [first].into_iter().chain(following).collect();
        Ok((following.len(), self.tell(&together)?))
    }
}
