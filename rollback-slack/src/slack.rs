//! Everything that a host needs of Slack, from one set of options.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use rollback_core::ports::{Clock, Commands, Directory, Notifier};
use rollback_core::{ChannelId, WorkspaceId};
use secrecy::SecretString;

use crate::client::{SetupError, WebApi, WebApiOptions};
use crate::directory::SlackDirectory;
use crate::intake::{Accepted, Intake};
use crate::interactivity::Interactivity;
use crate::notifier::{NAME, SlackNotifier};
use crate::router::router;
use crate::signature::{EmptySecret, SigningSecrets};
use crate::surface::Surface;

/// What a host knows about its Slack app: from its environment, never from a file in a repository.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlackOptions {
    /// The bot's token, `xoxb-…`: on the app's page, under OAuth & Permissions.
    pub bot_token: SecretString,
    /// What Slack signs its callbacks with: on the app's page, under Basic Information.
    pub signing_secret: SecretString,
    /// The workspace whose members may click, `T…`.
    pub workspace: WorkspaceId,
    /// The app, `A…`. Without it each app that has the signing secret is accepted, which is one.
    pub app: Option<String>,
    /// The channel of whoever is on call. Without it another notifier must page them.
    pub on_call: Option<ChannelId>,
    /// How Slack's Web API is called.
    pub web_api: WebApiOptions,
    /// What the notifier is called, where an engine has several: [`SlackNotifier::named`]. Default
    /// `slack`.
    pub name: &'static str,
}

impl SlackOptions {
    /// An app of one workspace.
    #[must_use]
    pub fn new(
        bot_token: impl Into<SecretString>,
        signing_secret: impl Into<SecretString>,
        workspace: WorkspaceId,
    ) -> Self {
        Self {
            bot_token: bot_token.into(),
            signing_secret: signing_secret.into(),
            workspace,
            app: None,
            on_call: None,
            web_api: WebApiOptions::default(),
            name: NAME,
        }
    }
}

/// Why Slack was not set up. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlackError {
    /// The client: its token or its address.
    #[error(transparent)]
    Client(#[from] SetupError),
    /// The signing secret.
    #[error(transparent)]
    SigningSecret(#[from] EmptySecret),
}

/// Slack for one engine: its directory, its notifier, and the route that takes clicks.
///
/// It is put together of parts that a host can have one by one, for another route, several
/// workspaces or Socket Mode: [`WebApi`], [`SlackDirectory`], [`SlackNotifier`], [`Surface`],
/// [`Intake`], [`Interactivity`] and [`router`].
///
/// ```
/// use rollback_core::ports::{Clock, Commands};
/// use rollback_slack::{Slack, SlackOptions};
/// use std::sync::Arc;
///
/// # fn shown(clock: Arc<dyn Clock>, engine: Arc<dyn Commands>) -> Result<(), Box<dyn std::error::Error>> {
/// let slack = Slack::new(SlackOptions::new("xoxb-…", "signing secret", "T0ACME".parse()?), clock)?;
/// let (directory, notifier) = (slack.directory(), slack.notifier());
/// // … an engine is built with both; then:
/// let (surface, routes) = slack.serve(engine);
/// # drop((directory, notifier, surface, routes));
/// # Ok(()) }
/// ```
pub struct Slack {
    api: WebApi,
    clock: Arc<dyn Clock>,
    directory: Arc<SlackDirectory>,
    notifier: Arc<SlackNotifier>,
    accepted: Accepted,
    secrets: SigningSecrets,
    name: &'static str,
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

impl Slack {
    /// Sets up the parts. Nothing is sent: whether Slack takes the token is known at the first call.
    /// The clock should be the engine's.
    ///
    /// # Errors
    ///
    /// [`SlackError`] when the token, the secret or the address of the Web API cannot be used.
    pub fn new(options: SlackOptions, clock: Arc<dyn Clock>) -> Result<Self, SlackError> {
        let SlackOptions { bot_token, signing_secret, workspace, app, on_call, web_api, name } =
            options;
        let secrets = SigningSecrets::new(&signing_secret)?;
        let api = WebApi::new(bot_token, web_api)?;
        let accepted = app.map_or_else(Accepted::any, Accepted::app).team(workspace.as_str());
        let directory = SlackDirectory::new(api.clone(), workspace, Arc::clone(&clock));
        let notifier = SlackNotifier::new(api.clone(), Arc::clone(&clock)).named(name);
        let notifier = match on_call {
            Some(channel) => notifier.on_call(channel),
            None => notifier,
        };
        let (directory, notifier) = (Arc::new(directory), Arc::new(notifier));
        Ok(Self { api, clock, directory, notifier, accepted, secrets, name })
    }

    /// Who is who, and who is in which user group: for the engine's builder.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Directory> {
        Arc::<SlackDirectory>::clone(&self.directory)
    }

    /// Tells in Slack what happens: for the engine's builder.
    #[must_use]
    pub fn notifier(&self) -> Arc<dyn Notifier> {
        Arc::<SlackNotifier>::clone(&self.notifier)
    }

    /// The client, for what a host does besides.
    #[must_use]
    pub const fn api(&self) -> &WebApi {
        &self.api
    }

    /// Takes what people click to the engine. The route is to be merged into the host's own router,
    /// outside of its authentication: the signature is the authentication. The surface is to be
    /// drained at the shutdown, before the engine stops.
    pub fn serve(self, engine: Arc<dyn Commands>) -> (Surface, Router) {
        let surface = Surface::of(self.name, engine, self.api, self.clock);
        let intake = Arc::new(Intake::new(self.accepted, surface.clone()));
        (surface, router(Arc::new(Interactivity::new(self.secrets, intake))))
    }
}
