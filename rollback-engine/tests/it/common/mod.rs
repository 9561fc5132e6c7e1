//! One service on fakes, an engine that can die and be started again, and people who act on what
//! they see.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and looks for one thing among many"
)]
#![expect(unreachable_pub, reason = "several tests share it")]

use rollback_core::notice::Notice;
use rollback_core::ports::{
    Capabilities, CdBackend, ClickedOn, Clock, CommandError, Commands, CompareAndSet, Consent,
    Fence, HealthSource, Instance, Query, Retention, Store,
};
use rollback_core::{
    Deploy, Deployer, Limits, Migrations, Outcome, Proposer, Purpose, Reason, RollbackId,
    RollbackView, StateName, Timestamp,
};
use rollback_engine::{Catalog, Engine, EngineBuilder, Proposal, ServiceConfig};
use rollback_store::{AuditFile, AuditFileOptions, MemoryStore};
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeHealth, FakeSink};
use rollback_testkit::fixtures::{self, Person, parsed};
use rollback_testkit::invariants::{Evidence, Rest, Seen};
use rollback_testkit::{Chat, Fate, Life, Log, ManualClock, Mortal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a site is like.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub approvals: u8,
    pub compares: CompareAndSet,
    pub fence: Fence,
    pub purpose: Purpose,
    /// How long a process owns a rollback without renewing.
    pub lease: Duration,
    /// How long the target must be seen live.
    pub settle: Duration,
    /// How long an order may be in doubt before people are called.
    pub doubt_within: Duration,
    /// How the backend is called.
    pub backend: &'static str,
    /// How many rollbacks a process has open at a time.
    pub open_max: usize,
    /// How long the store keeps what nobody asks for any more.
    pub retention: Retention,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            approvals: 0,
            compares: CompareAndSet::Yes,
            fence: Fence::Yes,
            purpose: Purpose::Real,
            lease: Duration::from_secs(15),
            settle: Limits::default().settle,
            doubt_within: Limits::default().doubt_within,
            backend: "prod",
            open_max: 1_000,
            retention: Retention::default(),
        }
    }
}

/// Everything that outlives an engine.
pub struct Site {
    pub setup: Setup,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub cd: Arc<FakeBackend>,
    pub directory: Arc<FakeDirectory>,
    pub chat: Arc<Chat>,
    pub sink: Arc<FakeSink>,
    pub health: Arc<FakeHealth>,
    pub log: Log,
    /// Where the next process keeps a copy of the log that is required.
    pub copy: Option<PathBuf>,
    lives: AtomicU64,
    ids: Arc<AtomicU64>,
}

/// Somebody who has taken nothing.
fn nobody() -> Instance {
    Instance::new("nobody")
}

/// One engine, alive.
pub struct Host {
    pub engine: Engine,
    pub life: Life,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Site {
    pub fn new(setup: Setup) -> Self {
        Self::on(setup, Arc::new(MemoryStore::default()))
    }

    pub fn on(setup: Setup, store: Arc<dyn Store>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        Self {
            setup,
            store,
            cd: Arc::new(FakeBackend::new(Capabilities::new(setup.compares, setup.fence))),
            directory: Arc::new(FakeDirectory::new(Arc::clone(&clock), fixtures::everybody())),
            chat: Arc::new(Chat::new()),
            sink: Arc::new(FakeSink::new()),
            health: Arc::new(FakeHealth::new(Arc::clone(&clock))),
            log: Log::default(),
            copy: None,
            lives: AtomicU64::new(0),
            ids: Arc::new(AtomicU64::new(0)),
            clock,
        }
    }

    /// Starts an engine with this fate.
    pub fn boot(&self, fate: Fate) -> Host {
        self.boot_on(&self.store, fate)
    }

    /// The same with a connection of its own to the store.
    pub fn boot_on(&self, store: &Arc<dyn Store>, fate: Fate) -> Host {
        let life = Life::new(fate, &self.log);
        let number = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let mut service = ServiceConfig::new(parsed(self.setup.backend), parsed("C0PAYMENTS"));
        service.approvals_min = self.setup.approvals;
        service.purpose = self.setup.purpose;
        service.limits.settle = self.setup.settle;
        service.limits.doubt_within = self.setup.doubt_within;
        let health: Arc<dyn HealthSource> = Arc::<FakeHealth>::clone(&self.health);
        service.health = Some(health);
        let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
        let store: Arc<dyn Store> = Arc::new(Mortal::new(&life, store, &self.clock));
        let cd: Arc<dyn CdBackend> = Arc::new(Mortal::new(&life, &self.cd, &self.clock));
        let directory = Arc::new(Mortal::new(&life, &self.directory, &self.clock));
        let ids = Arc::clone(&self.ids);
        let mut builder = EngineBuilder::new(store, directory, catalog);
        if let Some(copy) = &self.copy {
            let copy = AuditFile::new(copy, AuditFileOptions::default());
            builder = builder.required_sink(Arc::new(copy));
        }
        let engine = builder
            .backend(parsed(self.setup.backend), cd)
            .notifier(Arc::new(Mortal::new(&life, &self.chat, &self.clock)))
            .required_sink(Arc::new(Mortal::new(&life, &self.sink, &self.clock)))
            .clock(Arc::clone(&self.clock))
            .lease(self.setup.lease)
            .open_max(self.setup.open_max)
            .retention(self.setup.retention)
            .instance(Instance::new(format!("life-{number}")))
            .ids(move || format!("rb-{}", ids.fetch_add(1, Ordering::Relaxed) + 1))
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let (running, stopped) = (engine.clone(), stop.clone());
        let task = tokio::spawn(async move {
            // A store that does not answer at the start ends it; whoever runs it starts it again.
            while running.run(stopped.cancelled()).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Host { engine, life, stop, task }
    }

    /// The deploy that people will want to undo.
    pub fn deploy(&self) -> Deploy {
        self.deploy_of("42", "2.14.0")
    }

    pub fn deploy_of(&self, revision: &str, version: &str) -> Deploy {
        let mut deploy =
            Deploy::new(parsed(&format!("ci-{revision}")), fixtures::key(), version, self.now());
        deploy.revision = Some(parsed(revision));
        deploy.migrations = Migrations::Known(Vec::new());
        let mut deployer = Deployer::default();
        deployer.slack_user_id = Some(fixtures::bo().id());
        deploy.deployer = Some(deployer);
        deploy
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn views(&self) -> Vec<RollbackView> {
        let listed = self.store.list(&Query::all(1_000)).await.unwrap();
        listed.into_iter().map(|listed| listed.view).collect()
    }

    pub async fn view(&self, id: &RollbackId) -> RollbackView {
        self.views().await.into_iter().find(|view| view.id == *id).expect("it is stored")
    }

    /// Waits until the rollback is in this state.
    pub async fn until(&self, id: &RollbackId, state: StateName) -> RollbackView {
        self.until_that(id, |view| view.state == state, state.as_str()).await
    }

    /// Waits until it has ended.
    pub async fn ended(&self, id: &RollbackId) -> RollbackView {
        self.until_that(id, |view| view.state.is_end(), "ended").await
    }

    pub async fn until_that(
        &self,
        id: &RollbackId,
        holds: impl Fn(&RollbackView) -> bool,
        what: &str,
    ) -> RollbackView {
        for _look in 0..200_000 {
            let view = self.view(id).await;
            if holds(&view) {
                return view;
            }
            assert!(!view.state.is_end(), "never {what}: {} {}", view.state, view.explanation);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never {what}: {:?}", self.view(id).await)
    }

    /// Lets notices and records catch up.
    pub async fn settle(&self) {
        for _look in 0..10_000 {
            let waiting = self.store.next_due(&nobody(), self.now()).await.unwrap();
            let behind = self.store.unacknowledged("fake", 1).await.unwrap();
            if waiting.is_none() && behind.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The orders that were held up arrive now.
    pub fn release(&self) {
        let (effects, live) = (self.cd.effects(), self.cd.truth());
        self.cd.release();
        if self.cd.effects() > effects {
            let sent = self.log.seen().into_iter().rev().find_map(|seen| match seen {
                Seen::Sent { rollback, .. } => Some(rollback),
                _ => None,
            });
            self.log.push(Seen::TookEffect { rollback: sent.expect("it was sent"), live });
        }
    }

    pub async fn evidence(&self, rest: Rest) -> Evidence {
        let views = self.views().await;
        let mut journals = Vec::new();
        for view in &views {
            journals.push(self.store.load(&view.id).await.unwrap().expect("it has a journal"));
        }
        let far = self.now().after(Duration::from_secs(1_000_000));
        Evidence {
            log: self.log.seen(),
            journals,
            views,
            records: self.store.audit(&Query::all(10_000)).await.unwrap(),
            chain: self.store.head().await.unwrap().chain,
            messages: self.chat.messages(),
            compares: self.setup.compares != CompareAndSet::No,
            waiting: self.store.due(far, 1_000).await.unwrap().len(),
            rest,
        }
    }

    /// Insists on every invariant, at rest.
    pub async fn holds(&self, context: &str) -> Evidence {
        self.settle().await;
        let evidence = self.evidence(Rest::Reached).await;
        rollback_testkit::invariants::assert_hold(&evidence, context);
        evidence
    }

    /// What the thread says, line by line.
    pub fn thread(&self) -> Vec<String> {
        let messages = self.chat.messages();
        let line = |message: &rollback_testkit::Message| match message.now() {
            Some(Notice::Line { line, .. }) => Some(format!("{line:?}")),
            _ => None,
        };
        messages.iter().filter_map(line).collect()
    }

    /// What was said to somebody privately.
    pub fn whispers(&self, person: &Person) -> Vec<String> {
        let said = |message: &rollback_testkit::Message| match message.now() {
            Some(Notice::Private { to, text, .. }) if *to == person.id() => Some(text.clone()),
            _ => None,
        };
        self.chat.messages().iter().filter_map(said).collect()
    }

    /// The deploy message as it was shown, one after the other.
    pub fn cards(&self, deploy: &str) -> Vec<rollback_core::notice::DeployCard> {
        let of = |notice: &Notice| match notice {
            Notice::Deploy(card) if card.deploy.id.as_str() == deploy => Some((**card).clone()),
            _ => None,
        };
        let messages = self.chat.messages();
        messages.iter().flat_map(|m| m.shown.iter().filter_map(|(_, n)| of(n))).collect()
    }

    /// The kinds of the audit records of a rollback, in order.
    pub async fn kinds(&self, id: &RollbackId) -> Vec<&'static str> {
        let records = self.store.audit(&Query::all(10_000)).await.unwrap();
        let of = records.iter().filter(|record| record.draft.operation_id.as_ref() == Some(id));
        of.map(|record| record.draft.kind.as_str()).collect()
    }
}

impl Host {
    /// Kills it, as `kill -9` does.
    pub fn crash(self) {
        self.life.kill();
        self.task.abort();
    }

    /// Stops it gracefully, and says how long that took.
    pub async fn stop(self) -> Duration {
        let began = tokio::time::Instant::now();
        self.stop.cancel();
        self.task.await.unwrap();
        began.elapsed()
    }

    /// A person clicks the button of the deploy message.
    pub async fn click(&self, person: &Person) -> RollbackView {
        self.try_click(person).await.unwrap()
    }

    pub async fn try_click(&self, person: &Person) -> Result<RollbackView, CommandError> {
        let on = ClickedOn::Deploy(parsed("ci-42"));
        self.engine.click(&on, person.actor()).await
    }

    /// A person confirms what the modal showed.
    pub async fn confirm(&self, id: &RollbackId, person: &Person) -> RollbackView {
        let view = self.engine.view(id).await.unwrap();
        let pair = rollback_core::Plan::new(view.key, view.from, view.to).unwrap().pair();
        self.engine
            .confirm(id, person.actor(), Consent::new(fixtures::reason(), pair))
            .await
            .unwrap()
    }

    /// Clicks, waits until the modal shows everything, and confirms.
    pub async fn click_and_confirm(&self, site: &Site, person: &Person) -> RollbackId {
        let id = self.click(person).await.id;
        site.shown(&id).await;
        let _view = self.confirm(&id, person).await;
        id
    }

    pub async fn propose(&self) -> RollbackView {
        let by = Proposer::new("agent-7", Some("Watcher".into()));
        let proposal = Proposal::new(fixtures::key(), fixtures::reason(), by);
        self.engine.propose(proposal).await.unwrap()
    }
}

impl Site {
    /// Waits until the modal shows everything.
    pub async fn shown(&self, id: &RollbackId) -> RollbackView {
        let shown =
            |view: &RollbackView| view.state == StateName::Confirming && !view.guards.is_empty();
        self.until_that(id, shown, "shown").await
    }
}

/// What people do, as data: everything they do follows from what they see.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    pub setup: fn() -> Setup,
    /// What is the matter with the world before anybody clicks.
    pub prepare: fn(&Site),
    /// Bo and Cleo approve.
    pub approve: bool,
    /// Ana stops it when she sees this state.
    pub withdraw_in: Option<StateName>,
    /// Somebody deploys past us when the rollback is in this state.
    pub deploy_in: Option<StateName>,
    /// What was held up arrives after the end, and Ana settles what is unknown.
    pub late: bool,
}

impl Scene {
    pub const fn happy() -> Self {
        Self {
            name: "happy",
            setup: Setup::default_fn(),
            prepare: |_| {},
            approve: false,
            withdraw_in: None,
            deploy_in: None,
            late: false,
        }
    }
}

impl Setup {
    const fn default_fn() -> fn() -> Self {
        Self::default
    }
}

/// What a run of a scene saw.
pub struct Run {
    pub points: usize,
    pub actions: usize,
    pub killed_at: Option<&'static str>,
    pub evidence: Evidence,
}

/// Plays a scene with this fate, starts the engine again whenever it dies, and goes on until
/// everything is at rest.
pub async fn play(scene: &Scene, fate: Fate) -> Run {
    let site = Site::new((scene.setup)());
    (scene.prepare)(&site);
    let mut host = site.boot(fate);
    let first = host.life.clone();
    let mut people = People::default();
    let mut stopped = None;
    let until = site.now().after(Duration::from_secs(4 * 3600));
    while site.now() < until && !people.content(&site, scene).await {
        let life = host.life.clone();
        tokio::select! {
            biased;
            () = life.paused() => {
                // Another replica is there, and people reach that one. The first goes on later.
                stopped = Some(std::mem::replace(&mut host, site.boot(Fate::Spared)));
            }
            () = life.ended() => {
                host.crash();
                host = site.boot(Fate::Spared);
            }
            () = people.act(&site, scene, &host.engine) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    if stopped.is_some() {
        // Whatever it still believes in, it does now.
        tokio::time::sleep(rollback_testkit::PAUSE * 3).await;
    }
    loop {
        let life = host.life.clone();
        tokio::select! {
            biased;
            () = life.ended() => {
                host.crash();
                host = site.boot(Fate::Spared);
            }
            () = site.settle() => break,
        }
    }
    let run = Run {
        points: first.points(),
        actions: first.actions(),
        killed_at: first.killed_at(),
        evidence: site.evidence(Rest::Reached).await,
    };
    host.crash();
    drop(stopped);
    run
}

/// What the people of a scene have done so far.
#[derive(Default)]
pub struct People {
    deployed: bool,
    passed_by: bool,
    released: bool,
}

impl People {
    /// Whether nobody has anything left to do or to wait for.
    async fn content(&self, site: &Site, scene: &Scene) -> bool {
        let views = site.views().await;
        let done = |view: &RollbackView| {
            let settled = view.explanation.starts_with("settled");
            view.state.is_end() && (view.state != StateName::OutcomeUnknown || settled)
        };
        let released = !scene.late || self.released;
        released && !views.is_empty() && views.iter().all(done)
    }

    async fn act(&mut self, site: &Site, scene: &Scene, engine: &Engine) {
        if !self.deployed {
            self.deployed = engine.deployed(site.deploy()).await.is_ok();
            return;
        }
        let ana = fixtures::ana();
        let views = site.views().await;
        if views.is_empty() {
            let on = ClickedOn::Deploy(parsed("ci-42"));
            drop(engine.click(&on, ana.actor()).await);
        }
        for view in views {
            if scene.deploy_in == Some(view.state) && !self.passed_by {
                self.passed_by = true;
                site.cd.deploy(fixtures::revision("43", "2.15.0", site.now()));
            }
            let unknown = view.state == StateName::OutcomeUnknown;
            if unknown && scene.late && !self.released {
                self.released = true;
                site.release();
            }
            drop(self.say(site, scene, engine, &view).await);
        }
    }

    async fn say(
        &self,
        site: &Site,
        scene: &Scene,
        engine: &Engine,
        view: &RollbackView,
    ) -> Option<Result<RollbackView, CommandError>> {
        let (id, ana) = (&view.id, fixtures::ana());
        if scene.withdraw_in == Some(view.state) {
            return Some(engine.withdraw(id, ana.actor()).await);
        }
        match view.state {
            StateName::Confirming if !view.guards.is_empty() => {
                let plan =
                    rollback_core::Plan::new(view.key.clone(), view.from.clone(), view.to.clone());
                let pair = plan.unwrap().pair();
                Some(engine.confirm(id, ana.actor(), Consent::new(fixtures::reason(), pair)).await)
            }
            StateName::Approving if scene.approve => {
                drop(engine.approve(id, fixtures::bo().actor()).await);
                Some(engine.approve(id, fixtures::cleo().actor()).await)
            }
            StateName::OutcomeUnknown => {
                let looked = view.ended_at.is_some_and(|at| site.now().since(at).as_secs() > 120);
                let finding = Reason::parse("looked at it myself").unwrap();
                let open = looked && !view.explanation.starts_with("settled");
                if open {
                    Some(engine.settle(id, ana.actor(), Outcome::TookEffect, finding).await)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

/// Default limits, for tests that count in them.
pub fn limits() -> Limits {
    Limits::default()
}

/// Runs on paused time, in a runtime of its own: what is left behind dies with it.
pub fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}
