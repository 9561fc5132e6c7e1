//! Who is who, and who is in which group.

use crate::access::Standing;
use crate::fact::Fact;
use crate::id::{GroupId, UserId};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

/// How old the directory's word may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "from memory or afresh")]
pub enum Freshness {
    /// From memory, if that is at most this old.
    AtMost(Duration),
    /// Asked now.
    Now,
}

/// What a question to the directory is likely answered with, by what it was heard to say before. It
/// decides nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a third kind of question needs a share of its own")]
pub enum Expected {
    /// They may well be let in, or nothing was heard of them.
    Permission,
    /// They are likely turned away.
    Denial,
}

/// A question to the directory about somebody.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Inquiry {
    /// About whom.
    pub user: UserId,
    /// The groups that matter.
    pub groups: Vec<GroupId>,
    /// How old the answer may be.
    pub freshness: Freshness,
    /// What the answer is likely to be.
    pub expected: Expected,
}

impl Inquiry {
    /// A question.
    #[must_use]
    pub const fn new(
        user: UserId,
        groups: Vec<GroupId>,
        freshness: Freshness,
        expected: Expected,
    ) -> Self {
        Self { user, groups, freshness, expected }
    }
}

/// What the directory says, and how its source did.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Heard {
    /// What is known about them.
    pub standing: Standing,
    /// How the source did.
    pub source: SourceState,
}

impl Heard {
    /// An answer.
    #[must_use]
    pub const fn new(standing: Standing, source: SourceState) -> Self {
        Self { standing, source }
    }
}

/// How the source of a directory did at a question.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a fourth state must be reported by somebody")]
pub enum SourceState {
    /// It answered. That it does not know somebody is an answer.
    Answers,
    /// It was not asked: our own pace held the question back, or what was heard before was enough.
    NotAsked,
    /// It did not answer, or cannot be asked; why, in words for people.
    Fails(String),
}

/// Who is who, and who is in which group.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync {
    /// What is known about somebody, and whether they are in each of these groups. Cannot fail: a
    /// source that does not answer is an unknown fact.
    ///
    /// A fact is as old as the question to the source that brought it. With [`Freshness::Now`] that
    /// question was sent after this was called; who else's question it was makes no difference.
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing;

    /// Of these groups, those that the user was in when the directory last heard of them, however long
    /// ago. Asks nobody and decides nothing: it says which group to ask about first. The default
    /// remembers nothing.
    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let _nothing_is_remembered = (user, groups);
        Vec::new()
    }

    /// Of these groups, those that the user was not in when the directory last heard of them. Asks
    /// nobody and decides nothing. The default remembers nothing.
    fn last_seen_outside(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let _nothing_is_remembered = (user, groups);
        Vec::new()
    }

    /// [`Self::standing`] for a caller who says what the answer is likely to be, and wants to know how
    /// the source did. A directory whose source has a pace for everybody together holds
    /// [`Expected::Denial`] back before anything else, so that whoever may do nothing keeps nobody
    /// out.
    ///
    /// The default asks [`Self::standing`], and takes a group that is not known for a source that does
    /// not answer: each was configured.
    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        let Inquiry { user, groups, freshness, .. } = inquiry;
        let standing = self.standing(user, groups, *freshness).await;
        let unknown = standing.groups.values().find_map(|is_in| match is_in {
            Fact::Known { .. } => None,
            Fact::Unknown { why } => Some(why.clone()),
        });
        Heard::new(standing, unknown.map_or(SourceState::Answers, SourceState::Fails))
    }

    /// Looks whether the source answers, also while nobody acts. These groups are configured, and so
    /// each of them should be known. It takes nothing of what questions about people need. The default
    /// asks nothing.
    async fn look(&self, groups: &[GroupId]) -> SourceState {
        let _nothing_is_asked = groups;
        SourceState::NotAsked
    }

    /// How long the directory itself may hold a question back, to keep the pace that its source asks
    /// for. That wait is no silence: whoever waits for an answer waits for so much longer. The default
    /// holds nothing back.
    fn held_back_max(&self) -> Duration {
        Duration::ZERO
    }
}
