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
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use rollback_core::ports::{AuditSink, CdBackend};
use rollback_core::{BackendName, ServiceKey};
use rollback_engine::{Engine, OpenStanding, OutboxStanding};
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
    recorded: Gauge,
    aside: Gauge,
    open: Gauge,
    open_max: Gauge,
    standing: Arc<Mutex<OpenStanding>>,
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
            recorded: Gauge::default(),
            aside: Gauge::default(),
            open: Gauge::default(),
            open_max: Gauge::default(),
            standing: Arc::default(),
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
        let read = async { tokio::try_join!(engine.outbox(), engine.head(), engine.put_aside()) };
        let Ok(Ok((outbox, head, aside))) = tokio::time::timeout(STORE_WAIT, read).await else {
            inner.store_up.set(0);
            return;
        };
        inner.store_up.set(1);
        inner.waiting.set(i64::try_from(outbox.waiting).unwrap_or(i64::MAX));
        let since = outbox.since.map_or(Duration::ZERO, |since| engine.now().since(since));
        inner.waiting_seconds.set(since.as_secs_f64());
        inner.clock_steps.set(i64::try_from(engine.clock_steps_back()).unwrap_or(i64::MAX));
        inner.recorded.set(i64::try_from(head.sequence).unwrap_or(i64::MAX));
        inner.aside.set(i64::try_from(aside.len()).unwrap_or(i64::MAX));
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
        counts("denials", "Times that somebody was turned away", &self.denials);
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
        registry.register("store_up", "Whether the store answers", self.store_up.clone());
        let help = "Messages that wait to be delivered";
        registry.register("outbox_waiting", help, self.waiting.clone());
        let help = "How long there has always been a message that waits";
        registry.register("outbox_waiting_seconds", help, self.waiting_seconds.clone());
        let help = "The sequence number of the last audit record";
        registry.register("audit_last_sequence", help, self.recorded.clone());
        let help = "Rollbacks that are put aside, because they end whoever works on them";
        registry.register("put_aside", help, self.aside.clone());
        let help = "Rollbacks that this process has open";
        registry.register("open", help, self.open.clone());
        let help = "How many there may be for another one to be opened";
        registry.register("open_max", help, self.open_max.clone());
        let standing = Arc::clone(&self.standing);
        registry.register_collector(Box::new(Kinds {
            name: "openings_refused",
            help: "Rollbacks that were not opened",
            label: "because",
            read: Box::new(move || vec![("too_many_open", lock(&standing).refused)]),
        }));
        let help = "Times that a clock went back by which claims are judged";
        registry.register("clock_steps_back", help, self.clock_steps.clone());
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
                    ("abandoned", outbox.abandoned),
                ]
            }),
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
