//! Slack as the directory: who is who, and who is in which user group.
//!
//! What could not be found out is an unknown fact, never an old one in disguise, and never an
//! error that somebody could take for "not a member".
//!
//! Slack takes twenty questions about the members of groups a minute, from everybody together. So
//! one question serves all who ask about a group before it is sent, whatever waits for that pace
//! waits and is no answer, and the questions of those who are likely turned away have a share of
//! their own, of which one, too, serves all of them. Who that is, the caller says: an owner is in no
//! group that is denied, and that is how they are let in.

mod cache;
mod share;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use rollback_core::access::{Account, Profile, Standing as CoreStanding};
use rollback_core::ports::{Clock, Directory, Expected, Freshness, Heard, Inquiry, SourceState};
use rollback_core::{GroupId, Label, Timestamp, UserId, WorkspaceId};

use self::cache::{Cache, Sent, Unheard, fact};
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
/// How long a lookup for somebody who is likely denied waits for its share.
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
    /// The questions of those who are likely turned away: they wait for one another here, and never in
    /// the line of the others.
    doubts: Cache<GroupId, Arc<BTreeSet<String>>>,
    share: Share,
    /// Our own account, once Slack has said which it is.
    me: tokio::sync::OnceCell<String>,
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
            doubts: Cache::new(GROUPS_MAX),
            share: Share::default(),
            me: tokio::sync::OnceCell::new(),
        }
    }

    async fn profile(&self, user: &UserId, freshness: Freshness) -> Read<Profile> {
        let (clock, came) = (self.clock.as_ref(), self.profiles.comes());
        let ask = async {
            let sent = self.profiles.sent(clock);
            let answer = in_time(self.api.user(user.as_str())).await;
            (sent, answer.and_then(|answer| self.read(&answer).map_err(Unheard::Failed)))
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

    /// The members of a group, for somebody of whom this is expected.
    async fn group(
        &self,
        group: &GroupId,
        freshness: Freshness,
        expected: Expected,
    ) -> Read<Arc<BTreeSet<String>>> {
        match (expected, freshness) {
            (Expected::Permission, _) => self.group_in_line(group, freshness).await,
            (Expected::Denial, Freshness::Now) => self.group_in_doubt(group).await,
            (Expected::Denial, Freshness::AtMost(age)) => {
                match self.groups.known(group, age, self.clock.as_ref()).await {
                    Some(known) => Ok(known),
                    None => self.group_in_doubt(group).await,
                }
            }
        }
    }

    async fn group_in_line(
        &self,
        group: &GroupId,
        freshness: Freshness,
    ) -> Read<Arc<BTreeSet<String>>> {
        let (clock, came) = (self.clock.as_ref(), self.groups.comes());
        let ask = async {
            let (sent, members) = self.members(group).await;
            (sent, members.map(Arc::new))
        };
        self.groups.fact(group, came, freshness, clock, ask).await
    }

    /// The same, in the share of those who are likely turned away: one turn of it for all of them who
    /// come before the question is sent.
    async fn group_in_doubt(&self, group: &GroupId) -> Read<Arc<BTreeSet<String>>> {
        let (clock, came) = (self.clock.as_ref(), self.doubts.comes());
        let ask = async {
            // Waited for before the question is in the line, so that it holds up nobody there.
            let has_turn = self.share.take(SHARE_WAIT_MAX).await;
            let sent = self.doubts.sent(clock);
            if !has_turn {
                let why = "too many permission checks at once; nothing was decided; try again in a \
                           minute";
                return (sent, Err(Unheard::HeldBack(why.into())));
            }
            match self.group_in_line(group, Freshness::Now).await {
                Ok((members, observed_at)) => (sent.observed_at(observed_at), Ok(members)),
                Err(unheard) => (sent, Err(unheard)),
            }
        };
        self.doubts.fact(group, came, Freshness::Now, clock, ask).await
    }

    async fn about(&self, inquiry: &Inquiry) -> Heard {
        let Inquiry { user, groups, freshness, expected, .. } = inquiry;
        let read = groups.iter().map(async |group| {
            let members = self.group(group, *freshness, *expected).await;
            (group, members)
        });
        let (mut profile, groups) = join(self.profile(user, *freshness), join_all(read)).await;
        let is_old = |at: &Timestamp| self.clock.now().since(*at) > PROFILE_AGE_MAX;
        if *freshness == Freshness::Now && profile.as_ref().is_ok_and(|(_, at)| is_old(at)) {
            profile = self.profile(user, *freshness).await;
        }
        let unheard = groups.iter().filter_map(|(_, members)| members.as_ref().err());
        let source = state_of(profile.as_ref().err().into_iter().chain(unheard));
        let is_in = |members: Arc<BTreeSet<String>>| members.contains(user.as_str());
        let groups = groups.into_iter();
        let groups = groups.map(|(group, members)| (group.clone(), fact(members).map(is_in)));
        let standing = CoreStanding::new(fact(profile), groups.collect()).about(user.clone());
        Heard::new(standing, source)
    }

    fn last_seen(&self, user: &UserId, groups: &[GroupId], inside: bool) -> Vec<GroupId> {
        let fits = |group: &&GroupId| {
            let members = self.groups.last(group);
            members.is_some_and(|members| members.contains(user.as_str()) == inside)
        };
        groups.iter().filter(fits).cloned().collect()
    }

    /// Waits for the pace, then asks. What Slack itself holds back waits like the rest.
    async fn members(&self, group: &GroupId) -> (Sent, Result<BTreeSet<String>, Unheard>) {
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
    ) -> Result<BTreeSet<String>, Unheard> {
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
                    Err(Unheard::Failed(no_such_group(group)))
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
        let groups = groups.to_vec();
        let inquiry = Inquiry::new(user.clone(), groups, freshness, Expected::Permission);
        self.about(&inquiry).await.standing
    }

    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.last_seen(user, groups, true)
    }

    fn last_seen_outside(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.last_seen(user, groups, false)
    }

    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        self.about(inquiry).await
    }

    /// Asks about the bot itself, and for the list of groups: the same scopes as questions about
    /// people need, and another pace than the members of groups have.
    async fn look(&self, groups: &[GroupId]) -> SourceState {
        let people = async {
            let me = self.me.get_or_try_init(|| async {
                in_time(self.api.identity()).await.map(|identity| identity.user_id)
            });
            in_time(self.api.user(me.await?)).await.map(drop)
        };
        let known = async {
            if groups.is_empty() {
                return Ok(());
            }
            let known = in_time(self.api.user_groups()).await?;
            let is_missing = |group: &&GroupId| known.iter().all(|it| it.id != group.as_str());
            let missing = groups.iter().find(is_missing);
            missing.map_or(Ok(()), |group| Err(Unheard::Failed(no_such_group(group))))
        };
        let (people, known) = join(people, known).await;
        // That the bot is not in the list of people is an answer.
        state_of([people.as_ref().err(), known.as_ref().err()].into_iter().flatten())
    }

    fn held_back_max(&self) -> Duration {
        SHARE_WAIT_MAX.saturating_add(PACE_MAX).saturating_add(ANSWER_WITHIN * 2)
    }
}

/// What was read and when, or why not.
type Read<V> = Result<(V, Timestamp), Unheard>;

/// How Slack did, by what was not heard: a failure says more than what we held back.
fn state_of<'a>(unheard: impl Iterator<Item = &'a Unheard>) -> SourceState {
    let mut state = SourceState::Answers;
    for unheard in unheard {
        match unheard {
            Unheard::Failed(why) => return SourceState::Fails(why.clone()),
            Unheard::HeldBack(_) => state = SourceState::NotAsked,
            Unheard::NotKnown(_) => {}
        }
    }
    state
}

async fn in_time<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<T, Unheard> {
    match tokio::time::timeout(ANSWER_WITHIN, call).await {
        Ok(answer) => answer.map_err(|error| unanswered(&error)),
        Err(_elapsed) => Err(late()),
    }
}

fn late() -> Unheard {
    Unheard::Failed(format!("Slack did not answer within {} s", ANSWER_WITHIN.as_secs()))
}

fn no_such_group(group: &GroupId) -> String {
    format!("Slack knows no user group `{group}`; correct the configuration")
}

fn unanswered(error: &CallError) -> Unheard {
    if matches!(error.why, Why::RateLimited { .. } | Why::NotItsTurn { .. }) {
        let why = "Slack's rate limit is reached; nothing was decided; try again in a minute";
        return Unheard::HeldBack(why.into());
    }
    match error.code() {
        Some("plan_upgrade_required") => Unheard::Failed(
            "this Slack plan has no user groups; name users in the configuration".into(),
        ),
        Some("user_not_found" | "user_not_visible") => {
            Unheard::NotKnown("Slack does not know the account".into())
        }
        _ => Unheard::Failed(error.to_string()),
    }
}
