//! One world: a store, a CD system, one process or three, and what becomes of one of them. In the
//! end the checker judges everything that was seen.

use super::cd::{Cd, Moment};
use super::child::{CONTINUED, ORDERS, chosen, copy_of, is_chosen, people_go_to};
use super::files::Chat;
use super::lines;
use super::previous;
use super::scenes::Scene;
use super::weather::{ORDER, Wires, blow};
use postgres_lab::{Server, Space};
use rollback_core::audit::{Head, Record};
use rollback_core::ports::{Query, Store};
use rollback_core::{RollbackView, StateName, Timestamp};
use rollback_store::{
    AuditFileProblem, Options, PostgresOptions, PostgresStore, SqliteStore, verify_audit_files,
};
use rollback_testkit::Place;
use rollback_testkit::invariants::{Evidence, Rest, violations};
use rollback_testkit::wire::Wire;
use serde_json::json;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Longer than any world takes, with other worlds beside it on a machine that builds something else.
const PATIENCE: Duration = Duration::from_secs(90);

/// How many worlds are played side by side, over all tests: most of the time each waits for a claim to
/// end.
static PLACES: Semaphore = Semaphore::const_new(10);

/// The test that is one replica, by its name in this program.
const REPLICA: &str = "processes::a_replica";

/// What becomes of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Doom {
    /// Nothing.
    Spared,
    /// It is killed at a place.
    KilledAt(Place),
    /// It is killed while its order is at the CD system.
    KilledBy(Moment),
    /// It is killed so long after its start.
    KilledAfter(Duration),
    /// It stands still at a place until others have taken over.
    StoppedAt(Place),
    /// It is asked to end so long after its start.
    AskedToEndAfter(Duration),
}

impl fmt::Display for Doom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spared => f.write_str("spared"),
            Self::KilledAt(place) => write!(f, "killed {place}"),
            Self::KilledBy(moment) => write!(f, "killed when its order has {moment:?}"),
            Self::KilledAfter(wait) => write!(f, "killed after {wait:?}"),
            Self::StoppedAt(place) => write!(f, "stopped {place}"),
            Self::AskedToEndAfter(wait) => write!(f, "asked to end after {wait:?}"),
        }
    }
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) doom: Doom,
    /// Three processes on a database; else one on a file.
    pub(crate) server: Option<&'static Server>,
    /// How it is told apart, and played again.
    pub(crate) replay: String,
    /// How far the clocks of the processes are off, in milliseconds.
    pub(crate) skew: [i64; 3],
    /// The seed of the weather on the wires of three processes.
    pub(crate) weather: Option<u64>,
    /// The program of the first process, where it is not this one.
    pub(crate) first: Option<PathBuf>,
}

/// What was seen of a world.
pub(crate) struct Seen {
    /// Whether its doom came about.
    pub(crate) met: bool,
    pub(crate) ends: Vec<StateName>,
    pub(crate) log: Vec<String>,
    pub(crate) effects: usize,
}

/// Where a world happens.
struct Stage<'a> {
    world: &'a World,
    folder: tempfile::TempDir,
    space: Option<&'a Space<'static>>,
    cd: Arc<Cd>,
    wires: Arc<Vec<Wires>>,
    /// The processes by their number, for whoever kills one.
    processes: Arc<Mutex<Vec<u32>>>,
    children: Vec<(u64, Process)>,
}

/// A process, which ends with the test that started it.
struct Process {
    child: Child,
    died: bool,
    /// It ended while another one stood still, which did something afterwards.
    ended_before_another: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl World {
    pub(crate) fn of(scene: Scene, doom: Doom, server: Option<&'static Server>) -> Self {
        let store = if server.is_some() { "server" } else { "file" };
        let replay = format!("`{}`, {doom}, on a {store}", scene.name());
        Self { scene, doom, server, replay, skew: [0; 3], weather: None, first: None }
    }

    /// Plays it to its end, and insists on every invariant.
    pub(crate) async fn play(self) -> Seen {
        let _place = PLACES.acquire().await.unwrap();
        let space = self.server.map(Server::space);
        let folder = tempfile::tempdir().unwrap();
        let cd = Cd::of(self.scene, folder.path());
        let (address, serving) = cd.serve().await;
        let wires = (0..3).map(|_process| Wires {
            store: self.weather.and(self.server).map(|server| Wire::to(server.port())),
            cd: Wire::to(address.port()),
        });
        let mut stage = Stage {
            world: &self,
            folder,
            space: space.as_ref(),
            cd,
            wires: Arc::new(wires.collect()),
            processes: Arc::default(),
            children: Vec::new(),
        };
        let met = stage.play().await;
        let seen = stage.judged(met).await;
        serving.abort();
        seen
    }

    fn failed(&self, what: &str) -> ! {
        panic!("{}: {what}", self.replay)
    }
}

impl Stage<'_> {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&mut self, number: u64) {
        let (place, signal) = match self.world.doom {
            Doom::KilledAt(place) => (Some(place), "KILL"),
            Doom::StoppedAt(place) => (Some(place), "STOP"),
            Doom::Spared | Doom::KilledBy(_) | Doom::KilledAfter(_) | Doom::AskedToEndAfter(_) => {
                (None, "KILL")
            }
        };
        let process = usize::try_from((number - 1) % 3).unwrap();
        let wires = &self.wires[process];
        let store = self.space.map(|space| match &wires.store {
            Some(wire) => space.url_through(wire.port()),
            None => space.url(),
        });
        let cd = wires.cd.port();
        let orders = json!({
            "folder": self.path(),
            "database": store,
            "cd": format!("http://127.0.0.1:{cd}"),
            "scene": self.world.scene.name(),
            "number": number,
            "place": place.map(|place| place.to_string()),
            "signal": signal,
            "skew": self.world.skew[process],
        });
        let said = self.path().join(format!("said-{number}"));
        let said = std::fs::File::create(said).unwrap();
        let other = self.world.first.clone().filter(|_| number == 1);
        let (program, test) = match other {
            Some(previous) => (previous, previous::REPLICA),
            None => (std::env::current_exe().unwrap(), REPLICA),
        };
        let mut command = Command::new(program);
        command.args(["--ignored", "--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(ORDERS, orders.to_string()).stdin(Stdio::null());
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.spawn().unwrap();
        self.processes.lock().unwrap().push(child.id());
        let process = Process { child, died: false, ended_before_another: false };
        self.children.push((number, process));
    }

    /// Whether the doom came about.
    async fn play(&mut self) -> bool {
        people_go_to(self.path(), 1);
        self.prepare();
        self.start(1);
        if self.space.is_some() {
            self.start(2);
            self.start(3);
        }
        if let Some(seed) = self.world.weather {
            blow(&self.wires, seed, self.path()).await;
        }
        let Some(victim) = self.victim().await else {
            for child in 0..self.children.len() {
                self.ends_well(child).await;
            }
            return false;
        };
        // Whoever is left is where people go now.
        people_go_to(self.path(), self.children[victim].0 % 3 + 1);
        let is_stopped = matches!(self.world.doom, Doom::StoppedAt(_));
        self.children[victim].1.died = !is_stopped;
        if self.space.is_none() {
            self.start(2);
        }
        for child in (0..self.children.len()).filter(|child| *child != victim) {
            self.ends_well(child).await;
            self.children[child].1.ended_before_another = is_stopped;
        }
        if is_stopped {
            std::fs::write(self.path().join(CONTINUED), "").unwrap();
            signal("-CONT", self.children[victim].1.child.id());
            self.ends_well(victim).await;
        }
        true
    }

    /// Arms what waits for an order, whoever sends it.
    fn prepare(&self) {
        match self.world.doom {
            Doom::KilledBy(moment) => {
                self.wires.iter().for_each(|wires| wires.cd.count(ORDER));
                let (wires, processes) = (Arc::clone(&self.wires), Arc::clone(&self.processes));
                let folder = self.path().to_owned();
                self.cd.at(moment, move || {
                    let sender = wires.iter().position(|wires| wires.cd.counted() > 0).unwrap();
                    let process = processes.lock().unwrap()[sender];
                    assert!(is_chosen(&folder, u64::try_from(sender).unwrap() + 1));
                    signal("-KILL", process);
                });
            }
            Doom::Spared
            | Doom::KilledAt(_)
            | Doom::KilledAfter(_)
            | Doom::StoppedAt(_)
            | Doom::AskedToEndAfter(_) => {}
        }
    }

    /// Who met the doom, once it has; none when everybody ends without.
    async fn victim(&mut self) -> Option<usize> {
        match self.world.doom {
            Doom::Spared => None,
            Doom::KilledAfter(wait) => {
                tokio::time::sleep(wait).await;
                drop(self.children[0].1.child.kill());
                let status = self.until_gone(0).await;
                (!status.success()).then_some(0)
            }
            Doom::AskedToEndAfter(wait) => {
                while !self.path().join("up-1").exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tokio::time::sleep(wait).await;
                signal("-TERM", self.children[0].1.child.id());
                self.ends_well(0).await;
                Some(0)
            }
            Doom::KilledAt(_) | Doom::KilledBy(_) => {
                let victim = self.until_chosen().await?;
                let status = self.until_gone(victim).await;
                assert!(!status.success(), "{}: it did not die", self.world.replay);
                Some(victim)
            }
            Doom::StoppedAt(_) => {
                let victim = self.until_chosen().await?;
                self.until_stopped(victim).await;
                Some(victim)
            }
        }
    }

    /// Who comes to the place of the doom first; none when everybody ends before.
    async fn until_chosen(&mut self) -> Option<usize> {
        let began = Instant::now();
        loop {
            if let Some(number) = chosen(self.path()) {
                return self.children.iter().position(|(child, _)| *child == number);
            }
            let gone =
                |(_, process): &mut (u64, Process)| process.child.try_wait().unwrap().is_some();
            // Looked at again: the last one may have been chosen just before it died.
            if self.children.iter_mut().all(gone) && chosen(self.path()).is_none() {
                return None;
            }
            if began.elapsed() > PATIENCE {
                self.world.failed("nobody comes to the place, and not everybody ends");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ends_well(&mut self, child: usize) {
        let status = self.until_gone(child).await;
        let number = self.children[child].0;
        if !status.success() {
            self.world.failed(&format!("process {number} failed: {status}\n{}", self.said(number)));
        }
    }

    fn said(&self, number: u64) -> String {
        std::fs::read_to_string(self.path().join(format!("said-{number}"))).unwrap_or_default()
    }

    async fn until_gone(&mut self, child: usize) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.children[child].1.child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > PATIENCE {
                let number = self.children[child].0;
                let log = lines::lines(&self.path().join("seen.log")).join("\n");
                let why = format!("process {number} neither ends nor dies\n{}", self.said(number));
                self.world.failed(&format!("{why}\n--- seen\n{log}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_stopped(&mut self, child: usize) {
        let process = self.children[child].1.child.id().to_string();
        loop {
            let asked = Command::new("ps").args(["-o", "stat=", "-p", &process]).output().unwrap();
            if asked.stdout.trim_ascii().starts_with(b"T") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn judged(&self, met: bool) -> Seen {
        let evidence = self.evidence().await;
        let mut found = violations(&evidence);
        if let Doom::StoppedAt(_) = self.world.doom {
            // A process that stands still in the middle of a post for longer than it has the notice
            // may post it after another one has: what matters here is the CD system and the journal.
            found.retain(|violation| !violation.invariant.starts_with("INV-33"));
        }
        let mut found: Vec<String> = found.iter().map(ToString::to_string).collect();
        for (number, child) in &self.children {
            found.extend(self.copy_is_wrong(*number, child, &evidence.records));
        }
        let log = lines::lines(&self.path().join("seen.log"));
        if !found.is_empty() {
            let (found, log) = (found.join("\n"), log.join("\n"));
            self.world.failed(&format!("{found}\n--- seen\n{log}"));
        }
        let ends = evidence.views.iter().map(|view| view.state).collect();
        Seen { met, ends, log, effects: self.cd.effects() }
    }

    /// The copy of a process that ended well, and last, is the whole log; of another one, its
    /// beginning.
    fn copy_is_wrong(&self, number: u64, child: &Process, log: &[Record]) -> Option<String> {
        let path = copy_of(self.path(), number, self.space.is_some());
        let verified = match verify_audit_files(&path) {
            Ok(verified) => verified,
            // It died before it had anything to keep.
            Err(AuditFileProblem::Unreadable(_)) if child.died => return None,
            Err(problem) => return Some(format!("the copy of process {number}: {problem}")),
        };
        let end = verified.head.as_ref();
        let is_beginning = end.is_none_or(|end| log.iter().any(|it| Head::after(it) == *end))
            && verified.first.is_none_or(|first| first == 1);
        let is_whole = verified.head == log.last().map(Head::after);
        let may_lack = child.died || child.ended_before_another;
        let is_wrong = !is_beginning || !(is_whole || may_lack);
        is_wrong.then(|| format!("the copy of process {number} is not whole: {verified:?}"))
    }

    async fn evidence(&self) -> Evidence {
        match self.space {
            Some(space) => {
                let url = space.url();
                let store = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
                self.evidence_in(&store).await
            }
            None => {
                let file = self.path().join("rollback.db");
                let store = SqliteStore::open(file, Options::default()).await.unwrap();
                let evidence = self.evidence_in(&store).await;
                store.close().await;
                evidence
            }
        }
    }

    async fn evidence_in(&self, store: &dyn Store) -> Evidence {
        let listed = store.list(&Query::all(10_000)).await.unwrap();
        let views: Vec<RollbackView> = listed.into_iter().map(|listed| listed.view).collect();
        let mut journals = Vec::new();
        for view in &views {
            journals.push(store.load(&view.id).await.unwrap().expect("it has a journal"));
        }
        Evidence {
            log: lines::seen(&self.path().join("seen.log"), &journals),
            journals,
            views,
            records: store.audit(&Query::all(10_000)).await.unwrap(),
            chain: store.head().await.unwrap().chain,
            messages: Chat::new(self.path(), self.world.scene).messages(),
            compares: true,
            waiting: store.due(Timestamp::from_millis(u64::MAX / 4), 1_000).await.unwrap().len(),
            rest: Rest::Reached,
        }
    }
}

fn signal(signal: &str, process: u32) {
    let process = process.to_string();
    assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
}
