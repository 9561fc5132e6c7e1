//! Notices as rows of an outbox, whatever the database.

use crate::rules::appears_once;
use crate::value::{Answer, corrupt, from_json, parsed, to_json, uint};
use rollback_core::notice::{Attempt, MessageRef};
use rollback_core::ports::{Instance, Queued, Unreadable};
use rollback_core::{Label, Timestamp};

/// A notice, written out.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) notifier: Label,
    pub(crate) key: Label,
    pub(crate) once: bool,
    pub(crate) notice: String,
    pub(crate) channel: String,
    pub(crate) thread_key: Option<Label>,
}

/// Writes notices out.
pub(crate) fn written(notices: Vec<Queued>) -> Answer<Vec<New>> {
    let new = |queued: Queued| {
        Ok(New {
            once: appears_once(&queued.notice),
            notice: to_json("the notice", &queued.notice)?,
            notifier: queued.notifier,
            key: queued.key,
            channel: queued.channel.into(),
            thread_key: queued.thread_key,
        })
    };
    notices.into_iter().map(new).collect()
}

/// Who took a notice. What somebody says of an attempt who has it no longer is older than what is
/// known.
pub(crate) fn taker(queued: &Queued) -> Option<&str> {
    queued.taken_by.as_ref().map(Instance::as_str)
}

/// A row as it comes.
pub(crate) struct Raw {
    pub(crate) notifier: String,
    pub(crate) key: String,
    pub(crate) version: i64,
    pub(crate) notice: String,
    pub(crate) channel: String,
    pub(crate) thread_key: Option<String>,
    pub(crate) previous: (Option<String>, Option<String>),
    pub(crate) thread: (Option<String>, Option<String>),
    pub(crate) in_doubt: bool,
    pub(crate) attempts: i64,
}

/// A row that cannot be read, and what becomes of it.
pub(crate) struct PutOff {
    pub(crate) version: i64,
    pub(crate) attempts: i64,
    pub(crate) unreadable: Unreadable,
}

impl PutOff {
    /// The reason for which it is a dead letter, once it is one.
    pub(crate) fn abandoned(&self) -> Option<Label> {
        match self.unreadable.again_at {
            Some(_) => None,
            None => Some(Label::new(self.unreadable.why.clone())),
        }
    }
}

impl Raw {
    /// None where the row can be read.
    pub(crate) fn put_off(self, not_before: Timestamp, attempts_max: u32) -> Option<PutOff> {
        let (notifier, key, version) = (self.notifier.clone(), self.key.clone(), self.version);
        let attempts = self.attempts.max(0).saturating_add(1);
        let Err(error) = self.read() else { return None };
        let again_at = (attempts < i64::from(attempts_max)).then_some(not_before);
        let unreadable = Unreadable::new(notifier, key, error.to_string(), again_at);
        Some(PutOff { version, attempts, unreadable })
    }

    pub(crate) fn read(self) -> Answer<Queued> {
        let what = format!("the notice `{}` for {}", self.key, self.notifier);
        let what = || what.clone();
        let notice = from_json(&self.notice, what)?;
        let channel = parsed(self.channel, what)?;
        let mut queued = Queued::new(self.notifier, self.key, notice, channel);
        queued.version = uint(self.version, what)?;
        queued.thread_key = self.thread_key.map(Label::new);
        queued.previous = message_of(self.previous, what)?;
        queued.thread = message_of(self.thread, what)?;
        queued.attempt = if self.in_doubt { Attempt::InDoubt } else { Attempt::Clean };
        queued.attempts = u32::try_from(self.attempts).map_err(|error| corrupt(what(), &error))?;
        Ok(queued)
    }
}

pub(crate) fn message_of(
    columns: (Option<String>, Option<String>),
    what: impl Fn() -> String,
) -> Answer<Option<MessageRef>> {
    match columns {
        (Some(channel), Some(id)) => Ok(Some(MessageRef::new(parsed(channel, &what)?, id))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => {
            Err(corrupt(what(), "its message has only half a name"))
        }
    }
}

/// What waits, whatever its time, with the row of the message in whose thread it belongs. A row
/// that waits for that message is left out, and so is a line that follows one of the same thread
/// that holds it up; what was told without a message, or given up, is waited for by nobody.
macro_rules! waiting {
    ($select:expr, $holds_up:expr, $rest:expr) => {
        concat!(
            "SELECT ",
            $select,
            " FROM outbox AS one
             LEFT JOIN outbox AS parent
                 ON parent.notifier = one.notifier AND parent.key = one.thread_key
             WHERE one.version > one.delivered AND one.abandoned IS NULL
                 AND (one.thread_key IS NULL OR parent.delivered > 0
                     OR parent.abandoned IS NOT NULL)
                 AND (one.thread_key IS NULL OR NOT one.once OR NOT EXISTS (
                     SELECT 1 FROM outbox AS earlier
                     WHERE earlier.version > earlier.delivered AND earlier.abandoned IS NULL
                         AND earlier.number < one.number AND earlier.once
                         AND earlier.notifier = one.notifier
                         AND earlier.thread_key = one.thread_key ",
            $holds_up,
            ")) ",
            $rest
        )
    };
}

/// What appears once and is done with.
macro_rules! settled {
    () => {
        "once AND taken_by IS NULL AND (version <= delivered OR abandoned IS NOT NULL)"
    };
}

pub(crate) use {settled, waiting};

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::notice::Notice;
    use rollback_testkit::script::{Ending, Script};

    #[test]
    fn a_notice_is_with_the_process_that_took_it() {
        let view = Script::new("rb-1").commits(Ending::Refused).remove(0).view;
        let channel = "C1".parse().unwrap();
        let mut queued = Queued::new("slack", "rb-1", Notice::Approval(view), channel);
        assert_eq!(taker(&queued), None);
        queued.taken_by = Some(Instance::new("one"));
        assert_eq!(taker(&queued), Some("one"));
    }
}
