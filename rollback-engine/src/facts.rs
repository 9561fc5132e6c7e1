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
    Actor, Deploy, Fact, Fixes, GuardName, Migrations, Plan, Reason, Reversible, Revision,
    ServiceKey, in_words,
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

/// Fills in what the CD system does not know and reporters said. A migration that any of them calls
/// irreversible is irreversible.
pub(crate) fn complete(mut history: Vec<Revision>, deploys: &[Deploy]) -> Vec<Revision> {
    for revision in &mut history {
        let id = revision.id.clone();
        for deploy in deploys.iter().filter(|deploy| deploy.revision.as_ref() == Some(&id)) {
            revision.version.get_or_insert_with(|| deploy.version.clone());
            revision.commit = revision.commit.take().or_else(|| deploy.commit.clone());
            revision.deployed_at.get_or_insert(deploy.deployed_at);
            join(&mut revision.migrations, &deploy.migrations);
            if revision.fixes == Fixes::Unknown {
                revision.fixes = deploy.fixes();
            }
        }
    }
    history
}

/// Adds what another source knows. Of two words on one migration the worse counts; who did not say knows
/// nothing to the contrary.
fn join(known: &mut Migrations, other: &Migrations) {
    let Migrations::Known(other) = other else { return };
    let Migrations::Known(known) = known else {
        *known = Migrations::Known(other.clone());
        return;
    };
    for migration in other {
        match known.iter_mut().find(|one| one.id == migration.id) {
            Some(one) => one.reversible = worse(one.reversible, migration.reversible),
            None => known.push(migration.clone()),
        }
    }
}

const fn worse(one: Reversible, other: Reversible) -> Reversible {
    match (one, other) {
        (Reversible::No, _) | (_, Reversible::No) => Reversible::No,
        (Reversible::Yes, _) | (_, Reversible::Yes) => Reversible::Yes,
        (Reversible::Unknown, Reversible::Unknown) => Reversible::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::Migration;
    use rollback_testkit::fixtures::{self, at, parsed};

    fn told(words: Option<&[(&str, Reversible)]>) -> Migrations {
        words.map_or(Migrations::Unknown, |all| {
            Migrations::Known(all.iter().map(|(id, is)| Migration::new(*id, *is)).collect())
        })
    }

    #[test]
    fn a_migration_stands_in_the_way_whoever_says_so_and_whoever_says_otherwise() {
        use Reversible::{No, Unknown, Yes};
        let no: Option<&[(&str, Reversible)]> = Some(&[("m1", No)]);
        let yes: Option<&[(&str, Reversible)]> = Some(&[("m1", Yes)]);
        let unsaid: Option<&[(&str, Reversible)]> = Some(&[("m1", Unknown)]);
        let none: Option<&[(&str, Reversible)]> = Some(&[]);
        for (cd, reports, expected) in [
            (none, vec![no], no),
            (no, vec![none], no),
            (yes, vec![no], no),
            (None, vec![no, none], no),
            (None, vec![none, no], no),
            (None, vec![None, no], no),
            (unsaid, vec![yes], yes),
            (unsaid, vec![none], unsaid),
            (None, vec![none], none),
            (None, vec![None], None),
        ] {
            let mut revision = fixtures::revision("42", "2.14.0", at(0));
            revision.migrations = told(cd);
            let deploys: Vec<Deploy> = (0..)
                .zip(&reports)
                .map(|(number, report)| {
                    let id = format!("ci-{number}");
                    let mut deploy = Deploy::new(parsed(&id), fixtures::key(), "2.14.0", at(0));
                    deploy.revision = Some(parsed("42"));
                    deploy.migrations = told(*report);
                    deploy
                })
                .collect();
            let complete = complete(vec![revision], &deploys);
            assert_eq!(complete[0].migrations, told(expected), "{cd:?} {reports:?}");
        }
    }
}
