//! From when Slack's callbacks are taken: from the start where the configuration names the workspace,
//! and otherwise from when Slack has said which one this is. What runs does not wait for that.

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use rollback_core::access::Standing;
use rollback_core::ports::{
    Clock, Directory, Freshness, Heard, Inquiry, Query, SourceState, Store,
};
use rollback_core::{GroupId, StateName, UserId, WorkspaceId};
use rollback_engine::Engine;
use rollback_slack::{
    Accepted, CallError, INTERACTIVITY_PATH, Intake, Interactivity, SigningSecrets, SlackDirectory,
    SocketMode, SocketOptions, Surface, WebApi,
};
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::RunError;

/// The pause before Slack is asked again, and the longest one.
const ASK_AGAIN: Duration = Duration::from_secs(3);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(30);

/// How many of those whose outcome is unknown are read to find one that nobody settled. Where there are
/// more, one may be among them.
const UNKNOWN_MAX: usize = 1_000;

/// Whether the store has a rollback that is worked on: one that has not ended, however many came after
/// it, or one whose outcome nobody has settled, which is watched for a late effect. Where that cannot
/// be read, it may.
pub(crate) async fn in_flight(store: &dyn Store) -> bool {
    for state in StateName::ALL.into_iter().filter(|state| !state.is_end()) {
        let mut query = Query::all(1);
        query.state = Some(state);
        match store.list(&query).await {
            Ok(listed) if listed.is_empty() => {}
            Ok(_) | Err(_) => return true,
        }
    }
    let mut query = Query::all(UNKNOWN_MAX);
    query.state = Some(StateName::OutcomeUnknown);
    match store.list(&query).await {
        Ok(listed) => {
            listed.len() >= UNKNOWN_MAX || listed.iter().any(|listed| !listed.view.settled)
        }
        Err(_) => true,
    }
}

/// Slack as the directory, once it is known which workspace's members count.
#[derive(Debug, Default)]
pub(crate) struct LateDirectory(OnceLock<SlackDirectory>);

#[async_trait]
impl Directory for LateDirectory {
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing {
        match self.0.get() {
            Some(directory) => directory.standing(user, groups, freshness).await,
            None => Standing::unknown("Slack has not said yet which workspace this is")
                .about(user.clone()),
        }
    }

    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.0.get().map_or_else(Vec::new, |directory| directory.last_seen_in(user, groups))
    }

    fn last_seen_outside(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        self.0.get().map_or_else(Vec::new, |directory| directory.last_seen_outside(user, groups))
    }

    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        match self.0.get() {
            Some(directory) => directory.hear(inquiry).await,
            None => {
                let standing = self.standing(&inquiry.user, &[], inquiry.freshness).await;
                Heard::new(standing, SourceState::NotAsked)
            }
        }
    }

    async fn look(&self, groups: &[GroupId]) -> SourceState {
        match self.0.get() {
            Some(directory) => directory.look(groups).await,
            None => SourceState::NotAsked,
        }
    }

    fn held_back_max(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, Directory::held_back_max)
    }
}

/// What is opened when the workspace is known.
pub(crate) struct Offered {
    pub(crate) engine: Engine,
    pub(crate) surface: Surface,
    pub(crate) people: Arc<LateDirectory>,
    pub(crate) api: WebApi,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) app_id: Option<String>,
    pub(crate) signing: Option<SigningSecrets>,
    pub(crate) app: Option<WebApi>,
}

/// The way in for Slack: closed until the workspace is known. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

struct Shared {
    offered: Offered,
    opened: OnceLock<Opened>,
    is_open: watch::Sender<bool>,
}

struct Opened {
    intake: Arc<Intake<Surface>>,
    callbacks: Router,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = self.shared.opened.get().is_some();
        f.debug_struct("Admission").field("is_open", &is_open).finish_non_exhaustive()
    }
}

impl Admission {
    pub(crate) fn new(offered: Offered) -> Self {
        let shared =
            Shared { offered, opened: OnceLock::new(), is_open: watch::Sender::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Takes Slack's callbacks from now on, for the members of this workspace.
    pub(crate) fn opens(&self, workspace: WorkspaceId) {
        let Shared { offered, opened, is_open } = &*self.shared;
        let Offered { engine, surface, people, api, clock, app_id, signing, app: _ } = offered;
        let directory = SlackDirectory::new(api.clone(), workspace.clone(), Arc::clone(clock));
        let accepted = app_id.as_ref().map_or_else(Accepted::any, Accepted::app);
        let accepted = accepted.team(workspace.as_str());
        let _first = people.0.set(directory).is_ok() && engine.admit(workspace);
        let intake = Arc::new(Intake::new(accepted, surface.clone()));
        let callbacks = signing.clone().map_or_else(Router::new, |signing| {
            rollback_slack::router(Arc::new(Interactivity::new(signing, Arc::clone(&intake))))
        });
        drop(opened.set(Opened { intake, callbacks }));
        is_open.send_replace(true);
    }

    /// The counts of what came in.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let opened = self.shared.opened.get();
        opened.map_or_else(Vec::new, |opened| opened.intake.counters().snapshot().named())
    }

    /// The routes of the callbacks. Before they are taken they are answered 503, which Slack shows the
    /// person as "did not work".
    pub(crate) fn routes(&self) -> Router {
        if self.shared.offered.signing.is_none() {
            return Router::new();
        }
        Router::new().route(INTERACTIVITY_PATH, any(callback)).with_state(self.clone())
    }

    /// Asks Slack which workspace this is, until it says so, and keeps the Socket Mode connections,
    /// until `stop` completes.
    pub(crate) async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let works = async {
            if self.shared.opened.get().is_none() {
                self.opens(workspace_of(&self.shared.offered.api).await);
                tracing::info!("Slack has said which workspace this is; clicks are taken");
            }
            let app = self.shared.offered.app.clone();
            let (Some(app), Some(opened)) = (app, self.shared.opened.get()) else {
                return std::future::pending().await;
            };
            let intake = Arc::clone(&opened.intake);
            let socket = SocketMode::new(app, intake, SocketOptions::default());
            match socket.run(std::future::pending()).await {
                Ok(()) => std::future::pending().await,
                Err(ended) => Err::<Infallible, _>(RunError::Socket(ended)),
            }
        };
        tokio::select! {
            biased;
            () = stop => Ok(()),
            ended = works => ended.map(|never| match never {}),
        }
    }
}

async fn callback(State(admission): State<Admission>, request: Request) -> Response {
    match admission.shared.opened.get() {
        Some(opened) => match opened.callbacks.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn tell(error: &CallError) {
    if error.is_fatal_for_the_token() {
        tracing::error!(
            %error,
            "Slack does not accept the bot's token; give another one in `SLACK_BOT_TOKEN` and \
             start again; no click is taken until then"
        );
    } else {
        tracing::warn!(%error, "Slack was asked which workspace this is; it is asked again");
    }
}

/// The workspace that the bot's token belongs to; Slack is asked until it answers. A token that it
/// does not take is told again and again: what runs goes on meanwhile.
async fn workspace_of(api: &WebApi) -> WorkspaceId {
    let mut pause = ASK_AGAIN;
    loop {
        match api.identity().await {
            Ok(identity) => match WorkspaceId::parse(identity.team_id) {
                Ok(workspace) => return workspace,
                Err(error) => tracing::error!(
                    %error,
                    "Slack named no workspace that can be used; write `slack: {{workspace: T…}}`"
                ),
            },
            Err(error) => tell(&error),
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(ASK_AGAIN_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::ports::Journals as _;
    use rollback_store::MemoryStore;
    use rollback_testkit::script::{Ending, Script};

    /// One is watched for a late effect, and the other is over.
    #[tokio::test]
    async fn an_outcome_that_nobody_settled_is_in_flight_and_a_settled_one_is_not() {
        for (ending, waits) in
            [(Ending::Unknown, true), (Ending::Settled, false), (Ending::Succeeded, false)]
        {
            let store = MemoryStore::default();
            for commit in Script::new("rb-1").commits(ending) {
                store.commit(commit).await.unwrap();
            }
            assert_eq!(in_flight(&store).await, waits, "{ending:?}");
        }
    }
}
