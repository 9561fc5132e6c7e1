//! Sets the scenes, gives the cues, and keeps what the panel shows.

use crate::processes::{Call, Workers};
use crate::releases;
use crate::scenes::{Cue, DEPLOYS, Scene, What, When};
use crate::theatre::Setup;
use crate::worker::CONTROL_HEADER;
use local_slack::LocalSlack;
use rollback_core::StateName;
use rollback_core::ports::Clock as _;
use rollback_engine::SystemClock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The header that tells whoever shows the shop which scene it is: the name of its folder.
pub const SCENE_HEADER: &str = "x-demo-scene";

/// How often the director looks.
const LOOKED_EVERY: Duration = Duration::from_millis(120);
/// How long an answer may take. A shop that is being replaced answers a little later.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a deploy may take until it is live. Told twice, it is the same deploy.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(30);
/// What the second person gives as a reason.
const REASON: &str = "customers cannot pay";
/// How often, and how many times in a scene, a worker that ended by itself is started again.
const STARTED_EVERY: Duration = Duration::from_secs(1);
const STARTS_MAX: u32 = 5;
/// How many wishes for a scene wait; more are dropped.
const WISHES_MAX: usize = 4;

/// What the panel sees and asks for.
#[derive(Debug)]
pub struct Show {
    offered: &'static [Scene],
    view: Value,
    seen: Mutex<Seen>,
    wishes: mpsc::Sender<&'static Scene>,
}

#[derive(Debug)]
struct Seen {
    scene: &'static Scene,
    /// Counts the scenes that were set, so that a page knows when to begin anew.
    run: u64,
    worker: Option<u32>,
    engine: Value,
    shop: Option<Shop>,
    told: Vec<Value>,
}

/// What a customer would see.
#[derive(Clone, Debug, Hash)]
struct Shop {
    status: u16,
    html: String,
}

impl Show {
    /// A show, and where its wishes arrive.
    #[must_use]
    pub(crate) fn new(setup: &Setup) -> (Arc<Self>, Wishes) {
        let (wishes, arrive) = mpsc::channel(WISHES_MAX);
        let (engine, told) = (Value::Null, Vec::new());
        let seen = Seen { scene: setup.scene, run: 0, worker: None, engine, shop: None, told };
        let (offered, height) = (setup.scenes, setup.view_height);
        let view = json!({"title": setup.view, "height": height});
        (Arc::new(Self { offered, view, seen: Mutex::new(seen), wishes }), Wishes(arrive))
    }

    /// Finds one of the scenes that are offered.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&'static Scene> {
        self.offered.iter().find(|scene| scene.id == id)
    }

    /// Asks for a scene from its beginning; says whether it will come.
    #[must_use]
    pub fn wish(&self, scene: &'static Scene) -> bool {
        self.wishes.try_send(scene).is_ok()
    }

    /// Everything, for the panel.
    #[must_use]
    pub fn state(&self) -> Value {
        let seen = self.lock();
        let staged = seen.engine.get("staged").and_then(Value::as_bool).unwrap_or_default();
        json!({
            "run": seen.run,
            "scene": seen.scene,
            "scenes": self.offered,
            "view": self.view,
            "ready": staged,
            "worker": seen.worker,
            "engine": seen.engine,
            "shop": seen.shop.as_ref().map(|shop| {
                json!({"status": shop.status, "version": fingerprint(shop)})
            }),
            "told": seen.told,
        })
    }

    /// The shop's page as a customer gets it.
    #[must_use]
    pub fn shop_html(&self) -> Option<String> {
        self.lock().shop.as_ref().map(|shop| shop.html.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // What is in there is replaced as a whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fingerprint(shop: &Shop) -> String {
    let mut hasher = DefaultHasher::new();
    shop.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// Where the wishes for scenes arrive.
#[derive(Debug)]
pub(crate) struct Wishes(mpsc::Receiver<&'static Scene>);

/// As much of a rollback as a cue looks at.
#[derive(Debug, Deserialize)]
struct Glimpse {
    state: StateName,
    requested_by: Option<Person>,
    guards: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Person {
    id: String,
}

/// Runs the scenes.
#[derive(Debug)]
pub(crate) struct Director {
    show: Arc<Show>,
    slack: LocalSlack,
    call: Call,
    dir: PathBuf,
    scene_dir: PathBuf,
    workers: Workers,
    http: reqwest::Client,
    scene: &'static Scene,
    next_cue: usize,
    last_cue: Instant,
    started: Instant,
    starts: u32,
    clock: SystemClock,
}

impl Director {
    pub(crate) fn new(show: Arc<Show>, slack: LocalSlack, call: Call, dir: PathBuf) -> Self {
        let scene = show.lock().scene;
        Self {
            show,
            slack,
            call,
            scene_dir: dir.clone(),
            dir,
            workers: Workers::default(),
            http: releases::to_this_machine(),
            scene,
            next_cue: 0,
            last_cue: Instant::now(),
            started: Instant::now(),
            starts: 0,
            clock: SystemClock::new(),
        }
    }

    /// Runs until it is told to stop; ends every process that it started.
    pub(crate) async fn run(
        mut self,
        mut wishes: Wishes,
        mut stop: oneshot::Receiver<()>,
    ) -> io::Result<()> {
        self.set(self.scene).await?;
        loop {
            tokio::select! {
                _told_or_dropped = &mut stop => break,
                wish = wishes.0.recv() => match wish {
                    Some(scene) => self.set(scene).await?,
                    None => break,
                },
                () = tokio::time::sleep(LOOKED_EVERY) => {}
            }
            self.look().await;
            self.keep_alive()?;
            self.cue().await;
        }
        self.workers.stop().await
    }

    /// Begins a scene with nothing left of the one before.
    async fn set(&mut self, scene: &'static Scene) -> io::Result<()> {
        let run = {
            let mut seen = self.show.lock();
            seen.run = seen.run.saturating_add(1);
            seen.scene = scene;
            seen.engine = Value::Null;
            seen.shop = None;
            seen.worker = None;
            seen.told.clear();
            seen.run
        };
        self.workers.stop().await?;
        self.slack.clear_faults();
        self.slack.clear_conversations();
        self.scene = scene;
        self.next_cue = 0;
        self.scene_dir = self.dir.join(format!("{run}-{}", scene.id));
        std::fs::create_dir_all(&self.scene_dir)?;
        self.starts = 0;
        self.last_cue = Instant::now();
        self.start()
    }

    fn start(&mut self) -> io::Result<()> {
        self.started = Instant::now();
        self.workers.start(&self.call, &self.scene_dir, self.scene.id)
    }

    async fn look(&mut self) {
        let (engine, shop) = tokio::join!(self.engine(), self.shop());
        let worker = self.workers.pid();
        let mut seen = self.show.lock();
        if let Some(engine) = engine {
            seen.engine = engine;
        }
        seen.shop = shop;
        seen.worker = worker;
    }

    async fn engine(&self) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/control/state", self.call.port);
        let request = self.http.get(url).header(CONTROL_HEADER, &self.call.secrets.control_token);
        request.timeout(ANSWER_WITHIN).send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }

    async fn shop(&self) -> Option<Shop> {
        let url = format!("http://127.0.0.1:{}/", self.call.shop_port);
        let scene = self.scene_dir.file_name().unwrap_or_default().to_string_lossy();
        let request = self.http.get(url).header(SCENE_HEADER, scene.as_ref());
        let answer = request.timeout(ANSWER_WITHIN).send().await.ok()?;
        let status = answer.status().as_u16();
        Some(Shop { status, html: answer.text().await.ok()? })
    }

    /// Starts a worker again that ended by itself. One that was killed waits for its cue.
    fn keep_alive(&mut self) -> io::Result<()> {
        let waits_for_cue =
            self.scene.cues.get(self.next_cue).is_some_and(|cue| matches!(cue.what, What::Restart));
        let lately = self.started.elapsed() < STARTED_EVERY;
        if self.workers.pid().is_some() || waits_for_cue || lately {
            return Ok(());
        }
        self.starts = self.starts.saturating_add(1);
        if self.starts > STARTS_MAX {
            let log = self.scene_dir.join("worker.log");
            let why = format!("the rollback service ends again and again; see {}", log.display());
            return Err(io::Error::other(why));
        }
        self.tell("The rollback service ended by itself and was started again; see worker.log.");
        self.start()
    }

    /// Gives the next cue when its moment has come. One that could not be followed yet is given
    /// again at the next look.
    async fn cue(&mut self) {
        let Some(cue) = self.scene.cues.get(self.next_cue).copied() else {
            return;
        };
        if !self.has_come(cue.when) || !self.follow(&cue).await {
            return;
        }
        self.tell(cue.told);
        self.next_cue = self.next_cue.saturating_add(1);
        self.last_cue = Instant::now();
    }

    fn has_come(&self, when: When) -> bool {
        let seen = self.show.lock();
        match when {
            When::Staged => seen.engine.get("staged").and_then(Value::as_bool).unwrap_or_default(),
            When::Reached(who, wanted) => {
                let rollbacks = seen.engine.get("rollbacks").and_then(Value::as_array);
                let mut glimpses = rollbacks.into_iter().flatten().filter_map(|rollback| {
                    serde_json::from_value::<Glimpse>(rollback.clone()).ok()
                });
                glimpses.any(|glimpse| {
                    glimpse.requested_by.as_ref().is_some_and(|by| by.id == who)
                        && glimpse.has_reached(wanted)
                })
            }
            When::Later(wait) => self.last_cue.elapsed() >= wait,
        }
    }

    async fn follow(&mut self, cue: &Cue) -> bool {
        let followed = match cue.what {
            What::DeployHotfix => self.control("hotfix").await,
            What::RemoveTarget => self.control("remove-target").await,
            What::UnplugReleases => {
                let unplugged = self.scene_dir.join("cd.unplugged");
                std::fs::rename(self.scene_dir.join("cd"), unplugged).is_ok()
            }
            What::Click(who) => self.click(who).await,
            What::Confirm(who) => self.confirm(who).await,
            What::Outage(outage) => {
                self.slack.set_outage(outage);
                true
            }
            What::Kill => self.workers.kill().await.is_ok(),
            What::Restart => self.start().is_ok(),
        };
        if !followed {
            tracing::debug!(?cue, "a cue could not be followed yet");
        }
        followed
    }

    /// The worker does it, as a pipeline or a clean-up job would.
    async fn control(&self, what: &str) -> bool {
        let url = format!("http://127.0.0.1:{}/control/{what}", self.call.port);
        let request = self.http.post(url).header(CONTROL_HEADER, &self.call.secrets.control_token);
        let answer = request.timeout(DEPLOYED_WITHIN).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Somebody clicks the newest button.
    async fn click(&self, who: &str) -> bool {
        let messages = self.slack.messages(DEPLOYS);
        let action = rollback_slack::views::OPEN;
        let Some(message) = messages.iter().rev().find(|one| one.element(action).is_some()) else {
            return false;
        };
        self.slack.click(who, DEPLOYS, &message.ts, action).await.is_ok()
    }

    async fn confirm(&self, who: &str) -> bool {
        let views = self.slack.views(who);
        let Some(view) = views.last() else {
            return false;
        };
        let values = [(rollback_slack::views::REASON_BLOCK, REASON)];
        self.slack.submit(who, &view.id, &values).await.is_ok()
    }

    fn tell(&self, text: &str) {
        let at = self.clock.now();
        self.show.lock().told.push(json!({"at": at, "text": text}));
    }
}

impl Glimpse {
    /// Whether it is, or was on a good way, at this state.
    fn has_reached(&self, wanted: StateName) -> bool {
        match self.state {
            // Until the guards have been read, there is nothing on the screen to confirm.
            StateName::Confirming => {
                wanted < StateName::Confirming
                    || (wanted == StateName::Confirming && !self.guards.is_empty())
            }
            StateName::Proposed
            | StateName::Authorizing
            | StateName::Approving
            | StateName::Checking
            | StateName::Recording
            | StateName::Triggering
            | StateName::Running
            | StateName::Verifying
            | StateName::Succeeded
            | StateName::Failed
            | StateName::NotVerified
            | StateName::OutcomeUnknown => self.state >= wanted,
            StateName::Refused | StateName::Denied | StateName::Withdrawn | StateName::Expired => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glimpse(state: StateName, guards: usize) -> Glimpse {
        Glimpse { state, requested_by: None, guards: vec![Value::Null; guards] }
    }

    #[test]
    fn a_cue_waits_for_its_state_and_does_not_fall_after_a_refusal() {
        let wanted = StateName::Running;
        assert!(!glimpse(StateName::Triggering, 1).has_reached(wanted));
        assert!(glimpse(StateName::Running, 1).has_reached(wanted));
        assert!(glimpse(StateName::Succeeded, 1).has_reached(wanted));
        assert!(!glimpse(StateName::Refused, 1).has_reached(wanted));
        assert!(!glimpse(StateName::Denied, 0).has_reached(StateName::Authorizing));
    }

    #[test]
    fn a_modal_that_still_reads_is_no_modal_yet() {
        assert!(!glimpse(StateName::Confirming, 0).has_reached(StateName::Confirming));
        assert!(glimpse(StateName::Confirming, 1).has_reached(StateName::Confirming));
        assert!(glimpse(StateName::Confirming, 0).has_reached(StateName::Authorizing));
    }
}
