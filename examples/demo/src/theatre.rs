//! The whole demo: the local Slack with its page, the panel beside it, and the processes behind.

use crate::director::{Director, Show};
use crate::panel;
use crate::processes::{Call, Secrets};
use crate::scenes::{self, Scene};
use local_slack::{Channel, LocalSlack, Options, StartError, User, UserGroup};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// How the demo is started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// The port of the page; 0 takes a free one.
    pub port: u16,
    /// Where everything is kept.
    pub dir: PathBuf,
    /// This program.
    pub program: PathBuf,
    /// The first scene.
    pub scene: &'static Scene,
    /// The scenes that are offered.
    pub scenes: &'static [Scene],
    /// What the view of the shop is called.
    pub view: &'static str,
    /// How high that view is, in the page's unit of a line's height; absent, a small shop's.
    pub view_height: Option<u8>,
    /// Where somebody else shows the shop; absent, the shop itself gets a free port.
    pub shop_port: Option<u16>,
    /// What a worker finds in its environment besides the secrets.
    pub env: Vec<(String, String)>,
}

impl Setup {
    /// A free port, and the first scene.
    #[must_use]
    pub fn new(dir: PathBuf, program: PathBuf) -> Self {
        Self {
            port: 0,
            dir,
            program,
            scene: first_of(scenes::SCENES),
            scenes: scenes::SCENES,
            view: "The shop, as customers see it",
            view_height: None,
            shop_port: None,
            env: Vec::new(),
        }
    }

    /// Offers these scenes instead, and begins with the first.
    #[must_use]
    pub fn offering(mut self, scenes: &'static [Scene]) -> Self {
        (self.scenes, self.scene) = (scenes, first_of(scenes));
        self
    }
}

fn first_of(scenes: &'static [Scene]) -> &'static Scene {
    // There is always one; the fallback is never used.
    scenes.first().unwrap_or(&scenes::GOOD)
}

/// Why the demo did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The port cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file, a port or a process cannot be had.
    #[error("a file, a port or a process cannot be had: {0}")]
    Io(#[from] io::Error),
}

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    slack: LocalSlack,
    show: Arc<Show>,
    director: JoinHandle<io::Result<()>>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Demo {
    /// Starts everything; the stage is set a moment later.
    ///
    /// # Errors
    ///
    /// [`DemoError`] when something that it needs cannot be had.
    pub async fn start(setup: Setup) -> Result<Self, DemoError> {
        let (port, free) = free_ports()?;
        let shop_port = setup.shop_port.unwrap_or(free);
        let secrets = Secrets::new();
        let (show, wishes) = Show::new(&setup);
        let options =
            workspace(setup.port, &secrets, port).with_panel(panel::routes(Arc::clone(&show)));
        let slack = LocalSlack::start(options).await?;
        let (program, env, api_url) = (setup.program, setup.env, slack.api_url());
        let call = Call { program, port, shop_port, api_url, env, secrets };
        std::fs::create_dir_all(&setup.dir)?;
        let director = Director::new(Arc::clone(&show), slack.clone(), call, setup.dir);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let director = tokio::spawn(director.run(wishes, stopped));
        Ok(Self { slack, show, director, stop })
    }

    /// Where to look.
    #[must_use]
    pub fn url(&self) -> String {
        self.slack.url()
    }

    /// The local Slack, for whoever wants to click without a browser.
    #[must_use]
    pub const fn slack(&self) -> &LocalSlack {
        &self.slack
    }

    /// What the panel shows.
    #[must_use]
    pub const fn show(&self) -> &Arc<Show> {
        &self.show
    }

    /// Waits until something goes so wrong that the demo cannot go on.
    ///
    /// # Errors
    ///
    /// [`DemoError`] with what it was.
    pub async fn broken(&mut self) -> Result<(), DemoError> {
        (&mut self.director).await.unwrap_or(Ok(())).map_err(DemoError::from)
    }

    /// Ends every process that was started.
    ///
    /// # Errors
    ///
    /// [`DemoError`] when one could not be ended.
    pub async fn stop(self) -> Result<(), DemoError> {
        // Whoever is gone already needs no word.
        let _gone = self.stop.send(());
        self.director.await.unwrap_or(Ok(())).map_err(DemoError::from)
    }
}

/// Two ports that were free a moment ago.
fn free_ports() -> io::Result<(u16, u16)> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

fn workspace(port: u16, secrets: &Secrets, worker_port: u16) -> Options {
    let person = |id, name, title| User::new(id, name).title(title);
    let mut options = Options::default()
        .user(person(scenes::ANA, "Ana", "Owner"))
        .user(person(scenes::BO, "Bo", "Owner, approver"))
        .user(person(scenes::DANA, "Dana", "Deployed it"))
        .user(person(scenes::EVE, "Eve", "No owner"))
        .user(person(scenes::GUS, "Gus", "Guest").guest())
        .user(person(scenes::SAM, "Sam", "Other workspace").foreign("T0OTHER"))
        .user(person(scenes::FINN, "Finn", "Break-glass"))
        .group(UserGroup::new(
            scenes::PAYMENTS,
            "payments",
            [scenes::ANA, scenes::BO, scenes::GUS, scenes::SAM],
        ))
        .group(UserGroup::new(scenes::INCIDENT, "incident", [scenes::FINN]))
        .channel(Channel::new(scenes::DEPLOYS, "deploys"))
        .channel(Channel::new(scenes::ON_CALL, "oncall"))
        .interactivity_url(format!("http://127.0.0.1:{worker_port}/slack/interactivity"));
    options.port = port;
    scenes::WORKSPACE.clone_into(&mut options.team_id);
    options.bot_token.clone_from(&secrets.bot_token);
    options.signing_secret.clone_from(&secrets.signing_secret);
    options
}
