//! What is counted and measured, for Prometheus.

mod backend;
mod sink;
mod text;

pub(crate) use self::text::Format;

use self::backend::Watched;
use self::sink::Progress;
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use rollback_core::ports::{AuditSink, CdBackend, Pruned};
use rollback_core::{BackendName, ServiceKey};
use rollback_engine::{
    Engine, LoopStanding, OpenStanding, OutboxStanding, Part, PartStanding, Status,
};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the store may keep a scrape waiting: less than the ten seconds that Prometheus waits.
const STORE_WAIT: Duration = Duration::from_secs(3);

/// Names and values: every name of ours, no value that a stranger can invent.
type Labels = Vec<(&'static str, String)>;

type Counts = Family<Labels, Counter>;
type Timings = Family<Labels, Histogram, fn() -> Histogram>;

/// Everything that is counted and measured. Cheap to clone; every clone is the same.
///
/// Hand [`Self::sink`] to the engine, [`Self::watching`] each backend, and the whole to the
/// [`Api`](crate::Api), whose `/metrics` shows it. Counts begin at the start of the process.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Mutex<Registry>,
    rollbacks: Counts,
    denials: Counts,
    guards: Counts,
    stages: Timings,
    progress: Mutex<Progress>,
    deploys: Counts,
    requests: Counts,
    latencies: Timings,
    cd_requests: Counts,
    cd_latencies: Timings,
    store_up: Gauge,
    waiting: Gauge,
    waiting_seconds: Gauge<f64, AtomicU64>,
    blocked: Gauge,
    recorded: Gauge,
    aside: Gauge,
    stopped: Gauge,
    loops: Arc<Mutex<Vec<LoopStanding>>>,
    failing: Gauge,
    unsettled: Gauge,
    parts: Arc<Mutex<Option<Status>>>,
    open: Gauge,
    open_max: Gauge,
    standing: Arc<Mutex<OpenStanding>>,
    pruned: Arc<Mutex<Pruned>>,
    clock_steps: Gauge,
    outbox: Arc<Mutex<OutboxStanding>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(env!("CARGO_PKG_VERSION"))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Nothing counted yet, in this version of the host.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let inner = Inner {
            registry: Mutex::new(Registry::with_prefix("rollback")),
            rollbacks: Family::default(),
            denials: Family::default(),
            guards: Family::default(),
            stages: Family::new_with_constructor(of_stages),
            progress: Mutex::default(),
            deploys: Family::default(),
            requests: Family::default(),
            latencies: Family::new_with_constructor(of_requests),
            cd_requests: Family::default(),
            cd_latencies: Family::new_with_constructor(of_requests),
            store_up: Gauge::default(),
            waiting: Gauge::default(),
            waiting_seconds: Gauge::default(),
            blocked: Gauge::default(),
            recorded: Gauge::default(),
            aside: Gauge::default(),
            stopped: Gauge::default(),
            loops: Arc::default(),
            failing: Gauge::default(),
            unsettled: Gauge::default(),
            parts: Arc::default(),
            open: Gauge::default(),
            open_max: Gauge::default(),
            standing: Arc::default(),
            pruned: Arc::default(),
            clock_steps: Gauge::default(),
            outbox: Arc::default(),
        };
        inner.register(version);
        Self { inner: Arc::new(inner) }
    }

    /// The audit sink that counts rollbacks by their records.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        Arc::new(sink::Counting(self.clone()))
    }

    /// The same backend, with its requests counted.
    #[must_use]
    pub fn watching(&self, name: &BackendName, backend: Arc<dyn CdBackend>) -> Arc<dyn CdBackend> {
        Arc::new(Watched::new(self.clone(), name, backend))
    }

    /// Shows counters of the host's own as `rollback_{name}_total{kind="…"}`: Slack's, say.
    #[must_use]
    pub fn counting(
        self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) -> Self {
        let read = Box::new(read);
        self.registry().register_collector(Box::new(Kinds { name, help, label: "kind", read }));
        self
    }

    /// A deploy was reported for the first time.
    pub(crate) fn deployed(&self, key: &ServiceKey) {
        self.inner.deploys.get_or_create(&of(key)).inc();
    }

    /// A request was answered.
    pub(crate) fn answered(
        &self,
        method: &Method,
        route: &str,
        status: StatusCode,
        took: Duration,
    ) {
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "PATCH") => known,
            _ => "other",
        };
        let labels = vec![
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_u16().to_string()),
        ];
        self.inner.requests.get_or_create(&labels).inc();
        let labels = vec![("route", route.to_owned())];
        self.inner.latencies.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Looks at what is not counted as it happens.
    pub(crate) async fn look(&self, engine: &Engine) {
        let inner = &self.inner;
        let standing = engine.open_standing();
        inner.open.set(i64::try_from(standing.open).unwrap_or(i64::MAX));
        inner.open_max.set(i64::try_from(standing.open_max).unwrap_or(i64::MAX));
        *lock(&inner.standing) = standing;
        *lock(&inner.pruned) = engine.pruned();
        let loops = engine.loops();
        let failing = loops.iter().filter(|standing| standing.failing_since.is_some()).count();
        inner.failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
        *lock(&inner.loops) = loops;
        let blocked = engine.blocked_channels().len();
        inner.blocked.set(i64::try_from(blocked).unwrap_or(i64::MAX));
        let looked = tokio::time::timeout(STORE_WAIT, engine.health()).await;
        let status = looked.unwrap_or_else(|_elapsed| engine.health_without_store(STORE_WAIT));
        let is_store = |standing: &&PartStanding| standing.part == Part::Store;
        let store = status.parts.iter().find(is_store);
        let is_up = store.is_some_and(|store| store.trouble.is_none());
        inner.store_up.set(i64::from(is_up));
        // What could not be looked up stays as it was.
        if let Some(unsettled) = &status.unsettled {
            inner.unsettled.set(i64::try_from(unsettled.len()).unwrap_or(i64::MAX));
        }
        if let Some(aside) = &status.put_aside {
            inner.aside.set(i64::try_from(aside.len()).unwrap_or(i64::MAX));
        }
        *lock(&inner.parts) = Some(status);
        if !is_up {
            return;
        }
        let read = async { tokio::try_join!(engine.outbox(), engine.head(), engine.stopped()) };
        let Ok(Ok((outbox, head, stopped))) = tokio::time::timeout(STORE_WAIT, read).await else {
            inner.store_up.set(0);
            return;
        };
        inner.waiting.set(i64::try_from(outbox.waiting).unwrap_or(i64::MAX));
        let since = outbox.since.map_or(Duration::ZERO, |since| engine.now().since(since));
        inner.waiting_seconds.set(since.as_secs_f64());
        inner.clock_steps.set(i64::try_from(engine.clock_steps_back()).unwrap_or(i64::MAX));
        inner.recorded.set(i64::try_from(head.sequence).unwrap_or(i64::MAX));
        inner.stopped.set(i64::try_from(stopped.len()).unwrap_or(i64::MAX));
        *lock(&inner.outbox) = outbox;
    }

    /// The page.
    pub(crate) fn text(&self, format: Format) -> String {
        text::encode(&self.registry(), format)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.inner.registry)
    }
}

impl Inner {
    fn register(&self, version: &str) {
        let mut registry = lock(&self.registry);
        let build = Info::new(vec![("version", version.to_owned())]);
        registry.register("build", "The version of the service that runs", build);
        let mut counts = |name: &str, help: &str, family: &Counts| {
            registry.register(name, help, family.clone());
        };
        counts("rollbacks", "Rollbacks that ended, by how they ended", &self.rollbacks);
        counts("denials", "Times that somebody was denied", &self.denials);
        counts("guard_refusals", "Guards that stopped a rollback", &self.guards);
        counts("deploys_reported", "Deploys that were reported", &self.deploys);
        counts("http_requests", "HTTP requests that were answered", &self.requests);
        counts("cd_requests", "Requests to CD systems, by what came of them", &self.cd_requests);
        let mut timings = |name: &str, help: &str, family: &Timings| {
            registry.register(name, help, family.clone());
        };
        timings("stage_duration_seconds", "How long stages of rollbacks took", &self.stages);
        timings("http_request_duration_seconds", "How long HTTP answers took", &self.latencies);
        timings("cd_request_duration_seconds", "How long CD systems took", &self.cd_latencies);
        let help = "Whether the store took a write when it was last asked";
        registry.register("store_up", help, self.store_up.clone());
        registry.register_collector(Box::new(Parts(Arc::clone(&self.parts))));
        let help = "Rollbacks with an unknown outcome that nobody has settled";
        registry.register("unsettled", help, self.unsettled.clone());
        let help = "Messages that wait to be delivered";
        registry.register("outbox_waiting", help, self.waiting.clone());
        let help = "How long at least one message has been waiting, without a break";
        registry.register("outbox_waiting_seconds", help, self.waiting_seconds.clone());
        let help = "Channels in which nothing can be delivered until somebody fixes what is wrong";
        registry.register("outbox_blocked_channels", help, self.blocked.clone());
        let help = "The sequence number of the last audit record";
        registry.register("audit_last_sequence", help, self.recorded.clone());
        let help = "Quarantined rollbacks, which wait for a person's decision";
        registry.register("put_aside", help, self.aside.clone());
        let help = "Quarantined rollbacks whose journal does not replay to the stored state";
        registry.register("replay_mismatches", help, self.stopped.clone());
        self.register_loops(&mut registry);
        self.register_openings(&mut registry);
        let help = "Times that a clock went back by which claims are judged";
        registry.register("clock_steps_back", help, self.clock_steps.clone());
        let pruned = Arc::clone(&self.pruned);
        registry.register_collector(Box::new(Kinds {
            name: "store_pruned",
            help: "What the store forgot because nobody asks for it any more",
            label: "kind",
            read: Box::new(move || lock(&pruned).by_kind().to_vec()),
        }));
        let outbox = Arc::clone(&self.outbox);
        registry.register_collector(Box::new(Kinds {
            name: "notices",
            help: "Attempts to deliver a message, by what came of them",
            label: "result",
            read: Box::new(move || {
                let outbox = *lock(&outbox);
                vec![
                    ("delivered", outbox.delivered),
                    ("postponed", outbox.postponed),
                    ("blocked", outbox.blocked),
                    ("abandoned", outbox.abandoned),
                ]
            }),
        }));
    }

    fn register_loops(&self, registry: &mut Registry) {
        let help = "Background loops that panic again and again";
        registry.register("loops_failing", help, self.failing.clone());
        let loops = Arc::clone(&self.loops);
        registry.register_collector(Box::new(Kinds {
            name: "loop_panics",
            help: "Panics in background loops, each of which was begun anew",
            label: "loop",
            read: Box::new(move || {
                lock(&loops).iter().map(|standing| (standing.name, standing.panics)).collect()
            }),
        }));
    }

    fn register_openings(&self, registry: &mut Registry) {
        let help = "Rollbacks that this process has open";
        registry.register("open", help, self.open.clone());
        let help = "Most rollbacks that this process has open at once";
        registry.register("open_max", help, self.open_max.clone());
        let standing = Arc::clone(&self.standing);
        registry.register_collector(Box::new(Kinds {
            name: "openings_refused",
            help: "Rollbacks that were not opened",
            label: "because",
            read: Box::new(move || vec![("too_many_open", lock(&standing).refused)]),
        }));
    }
}

/// Counters that are kept elsewhere.
struct Kinds {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    read: Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>,
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Collector for Kinds {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (name, count) in (self.read)() {
            ConstCounter::new(count).encode(family.encode_family(&[(self.label, name)])?)?;
        }
        Ok(())
    }
}

/// How long each part has been in trouble: one line a part, whose names are configured.
struct Parts(Arc<Mutex<Option<Status>>>);

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

impl Collector for Parts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(status) = lock(&self.0).clone() else { return Ok(()) };
        let mut encode = |name, help, read: &dyn Fn(&PartStanding) -> f64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for standing in status.parts.iter().filter(|standing| standing.part.blocks()) {
                let labels =
                    [("kind", standing.part.kind().to_owned()), ("name", standing.part.name())];
                ConstGauge::new(read(standing)).encode(family.encode_family(&labels)?)?;
            }
            Ok::<(), fmt::Error>(())
        };
        encode("blocked", "Whether this part blocks rollbacks", &|standing| {
            if standing.trouble.is_some() { 1.0 } else { 0.0 }
        })?;
        encode("blocked_seconds", "For how long this part has blocked rollbacks", &|standing| {
            let since = standing.trouble.as_ref().map(|trouble| trouble.since);
            since.map_or(Duration::ZERO, |since| status.at.since(since)).as_secs_f64()
        })
    }
}

fn of(key: &ServiceKey) -> Labels {
    vec![("service", key.service.to_string()), ("environment", key.environment.to_string())]
}

/// From half a second, which a deploy takes at least, to an hour.
fn of_stages() -> Histogram {
    Histogram::new([0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0])
}

/// From a millisecond to the longest time-out.
fn of_requests() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
