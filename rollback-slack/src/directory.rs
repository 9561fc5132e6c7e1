//! Slack as the directory: who is who, and who is in which user group.
//!
//! What could not be found out is an unknown fact, never an old one in disguise, and never an
//! error that somebody could take for "not a member".
//!
//! Slack allows twenty group lookups a minute. So one lookup serves everybody who asked before it was
//! sent, callers wait for the limit instead of getting an error, and lookups that probably answer no
//! have a share of their own.

mod cache;
mod share;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use rollback_core::access::{Account, Profile, Standing as CoreStanding};
use rollback_core::ports::{Clock, Directory, Freshness};
use rollback_core::{Fact, GroupId, Label, UserId, WorkspaceId};

use self::cache::{Cache, Sent};
use self::share::Share;
use crate::client::{CallError, Method, Standing, User, WebApi, Why};

/// People who are remembered at once.
const PROFILES_MAX: usize = 10_000;
/// User groups that are remembered at once; each may have thousands of members.
const GROUPS_MAX: usize = 500;
/// How long one answer is waited for, once the question is sent: a person is waiting on the other
/// side.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// How long one call may wait between its own attempts.
const RETRY_WITHIN: Duration = Duration::from_secs(2);
/// How long a lookup waits for Slack's limit: shorter than `fact_age_max`, so that facts read at once
/// are still fresh.
const PACE_MAX: Duration = Duration::from_secs(25);
/// How long a lookup that probably answers no waits for its share.
const SHARE_WAIT_MAX: Duration = Duration::from_secs(15);
/// A person's entry is asked for again where the question about a group took longer.
const PROFILE_AGE_MAX: Duration = Duration::from_secs(5);

/// The people and user groups of one workspace.
///
/// Answers are remembered, bounded in number, and used only as long as the question allows;
/// [`Freshness::Now`] asks Slack. However many ask about the same person or group at once, Slack is
/// asked once for those who came before it was.
///
/// ```no_run
/// use std::sync::Arc;
/// use rollback_core::ports::Clock;
/// use rollback_slack::{SlackDirectory, WebApi, WebApiOptions};
///
/// # async fn directory(clock: Arc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
/// let slack = WebApi::new("xoxb-…".into(), WebApiOptions::default())?;
/// let workspace = slack.identity().await?.team_id.parse()?;
/// let directory = SlackDirectory::new(slack, workspace, clock);
/// # Ok(()) }
/// ```
pub struct SlackDirectory {
    api: WebApi,
    workspace: WorkspaceId,
    clock: Arc<dyn Clock>,
    profiles: Cache<UserId, Profile>,
    groups: Cache<GroupId, Arc<BTreeSet<String>>>,
    doubts: Share,
}

impl fmt::Debug for SlackDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackDirectory").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

impl SlackDirectory {
    /// The directory of the workspace that the client's token belongs to. Members of any other
    /// are strangers.
    #[must_use]
    pub fn new(api: WebApi, workspace: WorkspaceId, clock: Arc<dyn Clock>) -> Self {
        Self {
            api,
            workspace,
            clock,
            profiles: Cache::new(PROFILES_MAX),
            groups: Cache::new(GROUPS_MAX),
            doubts: Share::default(),
        }
    }

    async fn profile(&self, user: &UserId, freshness: Freshness) -> Fact<Profile> {
        let (clock, came) = (self.clock.as_ref(), self.profiles.comes());
        let ask = async {
            let sent = self.profiles.sent(clock);
            let answer = in_time(self.api.user(user.as_str())).await;
            (sent, answer.and_then(|answer| self.read(&answer)))
        };
        self.profiles.fact(user, came, freshness, clock, ask).await
    }

    /// What Slack says about somebody, if it says what must be known.
    fn read(&self, user: &User) -> Result<Profile, String> {
        let account = match user.standing_in(self.workspace.as_str()) {
            Standing::Deactivated => Account::Deactivated,
            Standing::Bot => Account::Bot,
            Standing::Foreign => Account::Stranger,
            Standing::Guest => Account::Guest,
            Standing::Member => Account::Member,
            Standing::Unknown => {
                return Err("Slack did not say what kind of account it is".into());
            }
        };
        let workspace = match user.team_id.as_deref().map(WorkspaceId::parse) {
            Some(Ok(workspace)) => workspace,
            Some(Err(_unreadable)) => return Err("Slack named no workspace id".into()),
            // Slack may leave it out for who may do nothing anyway.
            None => self.workspace.clone(),
        };
        let mut profile = Profile::new(account, workspace);
        profile.person = user.person().map(Label::new);
        Ok(profile)
    }

    async fn membership(&self, user: &UserId, group: &GroupId, freshness: Freshness) -> Fact<bool> {
        let (clock, came) = (self.clock.as_ref(), self.groups.comes());
        let is_doubtful = freshness == Freshness::Now
            && self.groups.last(group).is_some_and(|members| !members.contains(user.as_str()));
        // Waited for before the question is anybody's, so that it holds up nobody else's.
        if is_doubtful && !self.doubts.take(SHARE_WAIT_MAX).await {
            return Fact::unknown(
                "too many permission checks at once; nothing was decided; try again in a minute",
            );
        }
        let ask = async {
            let (sent, members) = self.members(group).await;
            (sent, members.map(Arc::new))
        };
        let members = self.groups.fact(group, came, freshness, clock, ask).await;
        members.map(|members| members.contains(user.as_str()))
    }

    /// Waits for the pace, then asks. What Slack itself holds back waits like the rest.
    async fn members(&self, group: &GroupId) -> (Sent, Result<BTreeSet<String>, String>) {
        let began = tokio::time::Instant::now();
        loop {
            let left = PACE_MAX.saturating_sub(began.elapsed());
            let turn = self.api.turn(Method::UsergroupsUsersList, left).await;
            let sent = self.groups.sent(self.clock.as_ref());
            if let Err(error) = turn {
                return (sent, Err(unanswered(&error)));
            }
            let asked = self.api.group_members_in_turn(group.as_str(), RETRY_WITHIN);
            let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
            if let Ok(Err(error)) = &answer
                && matches!(error.why, Why::RateLimited { .. })
            {
                // The next turn comes when Slack says; where that is too late, it says so.
                continue;
            }
            return (sent, self.read_members(group, answer).await);
        }
    }

    async fn read_members(
        &self,
        group: &GroupId,
        answer: Result<Result<Vec<String>, CallError>, tokio::time::error::Elapsed>,
    ) -> Result<BTreeSet<String>, String> {
        match answer {
            Ok(Ok(members)) => Ok(members.into_iter().collect()),
            // A group that was switched off stands for nobody; one that never was is a mistake in
            // the configuration, which must not look like an empty group.
            Ok(Err(error)) if error.code() == Some("no_such_subteam") => {
                let groups = in_time(self.api.user_groups()).await?;
                let disabled =
                    groups.iter().any(|known| known.id == group.as_str() && known.is_disabled);
                if disabled {
                    Ok(BTreeSet::new())
                } else {
                    Err(format!("Slack knows no user group `{group}`; correct the configuration"))
                }
            }
            Ok(Err(error)) => Err(unanswered(&error)),
            Err(_elapsed) => Err(late()),
        }
    }
}

#[async_trait]
impl Directory for SlackDirectory {
    async fn standing(
        &self,
        user: &UserId,
        groups: &[GroupId],
        freshness: Freshness,
    ) -> CoreStanding {
        let asked = groups
            .iter()
            .map(async |group| (group.clone(), self.membership(user, group, freshness).await));
        let (mut profile, groups) = join(self.profile(user, freshness), join_all(asked)).await;
        let since = |at| self.clock.now().since(at);
        if freshness == Freshness::Now
            && profile.observed_at().is_some_and(|at| since(at) > PROFILE_AGE_MAX)
        {
            profile = self.profile(user, freshness).await;
        }
        CoreStanding::new(profile, groups.into_iter().collect()).about(user.clone())
    }

    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let is_in = |group: &&GroupId| {
            self.groups.last(group).is_some_and(|members| members.contains(user.as_str()))
        };
        groups.iter().filter(is_in).cloned().collect()
    }

    fn held_back_max(&self) -> Duration {
        SHARE_WAIT_MAX.saturating_add(PACE_MAX).saturating_add(ANSWER_WITHIN * 2)
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_WITHIN, call).await {
        Ok(answer) => answer.map_err(|error| unanswered(&error)),
        Err(_elapsed) => Err(late()),
    }
}

fn late() -> String {
    format!("Slack did not answer within {} s", ANSWER_WITHIN.as_secs())
}

fn unanswered(error: &CallError) -> String {
    if matches!(error.why, Why::RateLimited { .. } | Why::NotItsTurn { .. }) {
        return "Slack's rate limit is reached; nothing was decided; try again in a minute".into();
    }
    match error.code() {
        Some("plan_upgrade_required") => {
            "this Slack plan has no user groups; name users in the configuration".into()
        }
        Some("user_not_found" | "user_not_visible") => "Slack does not know the account".into(),
        _ => error.to_string(),
    }
}
