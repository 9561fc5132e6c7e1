//! Reads everything the guards look at, all at once, each source within its own bound. What does
//! not answer is an unknown fact, never an error and never a guess.

use crate::catalog::ServiceConfig;
use crate::clock::within;
use crate::engine::Inner;
use rollback_core::observed::{Facts, Freeze, Live, Preflight, ServiceRecord};
use rollback_core::ports::{
    CdBackend, GuardInquiry, HistoryOptions, LiveOptions, PortError, StoreError,
};
use rollback_core::{
    Actor, Deploy, Fact, Fixes, GuardName, Migrations, Plan, Reason, Revision, ServiceKey, in_words,
};
use std::time::Duration;

/// How much of the history is read: more than a team would go back, little enough for one request.
pub(crate) const HISTORY_MAX: usize = 50;

/// Who asks for a rollback, and why; nobody yet before the click.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asking<'a> {
    pub(crate) actor: Option<&'a Actor>,
    pub(crate) reason: Option<&'a Reason>,
}

/// Reads the facts about a plan.
pub(crate) async fn gather(
    inner: &Inner,
    service: &ServiceConfig,
    plan: &Plan,
    asking: Asking<'_>,
) -> Facts {
    let key = plan.key();
    let custom = service.guards.custom();
    let customs =
        futures_util::future::join_all(custom.map(|name| custom_fact(inner, name, plan, asking)));
    let (live, history, preflight, record, freezes, customs) = tokio::join!(
        live(inner, service, key),
        history(inner, service, key),
        preflight(inner, service, plan),
        record(inner, key),
        freezes(inner, key),
        customs,
    );
    let mut facts = Facts::unknown("nobody looked");
    facts.live = live;
    facts.history = history;
    facts.preflight = preflight;
    facts.record = record;
    facts.freezes = freezes;
    facts.custom = customs.into_iter().collect();
    facts
}

async fn custom_fact(
    inner: &Inner,
    name: &GuardName,
    plan: &Plan,
    asking: Asking<'_>,
) -> (GuardName, Fact<rollback_core::observed::Reading>) {
    let Some(source) = inner.fact_sources.get(name) else {
        return (name.clone(), Fact::unknown("no source answers this guard; configure one"));
    };
    let bound = inner.source_timeout;
    let mut inquiry = GuardInquiry::new(name.clone(), plan.clone(), inner.clock.now());
    (inquiry.requested_by, inquiry.reason) = (asking.actor.cloned(), asking.reason.cloned());
    let fact = within(inner.clock.as_ref(), bound, source.observe(&inquiry)).await;
    (name.clone(), fact.unwrap_or_else(|| Fact::unknown(silent("the guard's source", bound))))
}

pub(crate) async fn live(inner: &Inner, service: &ServiceConfig, key: &ServiceKey) -> Fact<Live> {
    read(inner, service, |backend| async move { backend.live(key, LiveOptions::default()).await })
        .await
}

/// The CD system's history, completed with what was reported to us about each revision.
pub(crate) async fn history(
    inner: &Inner,
    service: &ServiceConfig,
    key: &ServiceKey,
) -> Fact<Vec<Revision>> {
    let wanted = HistoryOptions::newest(HISTORY_MAX);
    let told = read(inner, service, |backend| async move { backend.history(key, wanted).await });
    let (told, reported) = tokio::join!(told, inner.store.deploys(key, HISTORY_MAX));
    match reported {
        Ok(deploys) => told.map(|history| complete(history, &deploys)),
        Err(error) => Fact::unknown(store_words(&error)),
    }
}

async fn preflight(inner: &Inner, service: &ServiceConfig, plan: &Plan) -> Fact<Preflight> {
    read(inner, service, |backend| async move { backend.preflight(plan).await }).await
}

pub(crate) async fn record(inner: &Inner, key: &ServiceKey) -> Fact<ServiceRecord> {
    let now = inner.clock.now();
    match inner.store.record(key).await {
        Ok(record) => Fact::known(record, now),
        Err(error) => Fact::unknown(store_words(&error)),
    }
}

pub(crate) async fn freezes(inner: &Inner, key: &ServiceKey) -> Fact<Vec<Freeze>> {
    let now = inner.clock.now();
    match inner.store.freezes(key).await {
        Ok(freezes) => Fact::known(freezes, now),
        Err(error) => Fact::unknown(store_words(&error)),
    }
}

/// One read of the CD system. The fact is as old as the moment the question was asked.
async fn read<'a, T, F>(
    inner: &'a Inner,
    service: &ServiceConfig,
    ask: impl FnOnce(&'a dyn CdBackend) -> F,
) -> Fact<T>
where
    F: Future<Output = Result<T, PortError>>,
{
    let Some(backend) = inner.backends.get(&service.backend) else {
        return Fact::unknown(format!("the backend `{}` is not configured", service.backend));
    };
    let asked_at = inner.clock.now();
    let bound = service.limits.cd_timeout;
    match within(inner.clock.as_ref(), bound, ask(backend.as_ref())).await {
        Some(Ok(value)) => Fact::known(value, asked_at),
        Some(Err(error)) => {
            tracing::warn!(backend = %service.backend, error = %error, "the CD system could not be read");
            Fact::unknown(error.what)
        }
        None => Fact::unknown(silent("the CD system", bound)),
    }
}

pub(crate) fn silent(who: &str, bound: Duration) -> String {
    format!("{who} did not answer within {}", in_words(bound))
}

pub(crate) fn store_words(error: &StoreError) -> String {
    tracing::warn!(%error, "the store could not be read");
    "our own store did not answer".into()
}

/// Fills in what the CD system does not know and a deploy's reporter said. Where both know, the CD
/// system's word stands: it runs the thing.
pub(crate) fn complete(mut history: Vec<Revision>, deploys: &[Deploy]) -> Vec<Revision> {
    for revision in &mut history {
        let reported = deploys.iter().find(|d| d.revision.as_ref() == Some(&revision.id));
        let Some(deploy) = reported else { continue };
        revision.version.get_or_insert_with(|| deploy.version.clone());
        revision.commit = revision.commit.take().or_else(|| deploy.commit.clone());
        revision.deployed_at.get_or_insert(deploy.deployed_at);
        if revision.migrations == Migrations::Unknown {
            revision.migrations = deploy.migrations.clone();
        }
        if revision.fixes == Fixes::Unknown {
            revision.fixes = deploy.fixes();
        }
    }
    history
}
