//! Slack as the directory: who is who, and who is in which user group.
//!
//! What could not be found out is an unknown fact, never an old one in disguise, and never an
//! error that somebody could take for "not a member".

mod cache;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use rollback_core::access::{Account, Profile, Standing as CoreStanding};
use rollback_core::ports::{Clock, Directory, Freshness};
use rollback_core::{Fact, GroupId, Label, UserId, WorkspaceId};

use self::cache::Cache;
use crate::client::{CallError, Standing, User, WebApi};

/// People who are remembered at once.
const PROFILES_MAX: usize = 10_000;
/// User groups that are remembered at once; each may have thousands of members.
const GROUPS_MAX: usize = 500;
/// How long one answer is waited for: a person is waiting on the other side.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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
        }
    }

    async fn profile(&self, user: &UserId, freshness: Freshness) -> Fact<Profile> {
        let ask = async {
            let answer = in_time(self.api.user(user.as_str())).await?;
            self.read(&answer)
        };
        self.profiles.fact(user, freshness, self.clock.as_ref(), ask).await
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
        let ask = async { self.members(group).await.map(Arc::new) };
        let members = self.groups.fact(group, freshness, self.clock.as_ref(), ask).await;
        members.map(|members| members.contains(user.as_str()))
    }

    async fn members(&self, group: &GroupId) -> Result<BTreeSet<String>, String> {
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.api.group_members(group.as_str()));
        match asked.await {
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
        let (profile, groups) = join(self.profile(user, freshness), join_all(asked)).await;
        CoreStanding::new(profile, groups.into_iter().collect())
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
    match error.code() {
        Some("plan_upgrade_required") => {
            "this Slack plan has no user groups; name users in the configuration".into()
        }
        Some("user_not_found" | "user_not_visible") => "Slack does not know the account".into(),
        _ => error.to_string(),
    }
}
