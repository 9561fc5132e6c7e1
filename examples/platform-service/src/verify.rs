//! `verify`: whether everything that the store has keeps every invariant that it can show.

use crate::config::Config;
use crate::loss::{KeptEnd, KeptHere, kept_here};
use crate::secrets::Environment;
use crate::store::{NoStore, OpenStore};
use rollback_core::audit::Record;
use rollback_core::ports::{Query, Store, StoreError};
use rollback_verify::{Evidence, Held, INVARIANTS, Scope, Verdict, judge, names};
use std::fmt;

/// How many records are read at a time.
const PAGE: usize = 1_000;

/// Most rollbacks that are read: their journals are held in memory, some 50 KB each with all their
/// facts. The newest are read where there are more.
const ROLLBACKS_MAX: usize = 20_000;

/// What was read, what was checked, and what was found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// How many rollbacks were read.
    pub rollbacks: usize,
    /// How many of them have not ended.
    pub under_way: usize,
    /// How many audit records were read.
    pub records: usize,
    /// Journals that cannot be read, and why: nothing is known of those rollbacks but how they are
    /// listed.
    pub unreadable: Vec<String>,
    /// What is configured to be kept on this host and could not be compared with the store, and why.
    pub not_compared: Vec<String>,
    /// What was checked, and what was found.
    pub verdict: Verdict,
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no store.
    #[error("there is no store `{0}`; nothing was verified")]
    Missing(String),
    /// The service has it.
    #[error("`{0}` is in use by the running service; stop it first, or verify a copy")]
    InUse(String),
    /// It cannot be opened.
    #[error("the store cannot be opened; nothing was verified: {0}")]
    Open(String),
    /// What is kept of its log on this host cannot be read.
    #[error("the store cannot be compared; nothing was verified: {0}")]
    Kept(String),
    /// It has lost what is kept of it elsewhere.
    #[error("the store lacks what {place} has; nothing else was verified: {why}")]
    Lost {
        /// Where it is kept.
        place: String,
        /// What is missing.
        why: String,
    },
    /// It has no record.
    #[error("{0}")]
    Empty(&'static str),
    /// It cannot be read.
    #[error("the store cannot be read to its end; nothing was verified")]
    Read(#[source] StoreError),
}

/// Runs every predicate on a store that needs nothing but a store, and compares its end with what is
/// kept of it on this host. Changes nothing.
///
/// # Errors
///
/// [`VerifyError`] when the store cannot be read to its end. What does not hold is no error: it is
/// in the verdict.
pub async fn verify_store(
    config: &Config,
    environment: &Environment,
) -> Result<Verified, VerifyError> {
    let kept = kept_here(config, environment).await.map_err(VerifyError::Kept)?;
    let store = OpenStore::existing(config.store()).await.map_err(|error| match error {
        NoStore::Missing(place) => VerifyError::Missing(place),
        NoStore::InUse(place) => VerifyError::InUse(place),
        error @ (NoStore::Empty(_) | NoStore::Older | NoStore::NotOpened(_)) => {
            VerifyError::Open(error.to_string())
        }
    })?;
    let verified = verified(&store, &kept).await;
    store.close().await;
    verified
}

async fn verified(store: &OpenStore, kept: &KeptHere) -> Result<Verified, VerifyError> {
    let port = store.port();
    for KeptEnd { place, end } in &kept.ends {
        match port.compare(end).await {
            Ok(()) => {}
            Err(StoreError::WentBack(why)) => {
                return Err(VerifyError::Lost { place: place.clone(), why });
            }
            Err(error) => return Err(VerifyError::Read(error)),
        }
    }
    let (evidence, unreadable) = read(port.as_ref()).await.map_err(VerifyError::Read)?;
    if evidence.records.is_empty() {
        let why = store.why_empty().await.map_err(VerifyError::Open)?;
        return Err(VerifyError::Empty(why));
    }
    Ok(Verified {
        unreadable,
        rollbacks: evidence.views.len(),
        under_way: evidence.views.iter().filter(|view| !view.state.is_end()).count(),
        records: evidence.records.len(),
        not_compared: kept.not_compared.iter().map(ToString::to_string).collect(),
        verdict: judge(&evidence, Scope::Store),
    })
}

async fn read(store: &dyn Store) -> Result<(Evidence, Vec<String>), StoreError> {
    let mut unreadable = Vec::new();
    let mut evidence = Evidence { chain: store.head().await?.chain, ..Evidence::default() };
    for listed in store.list(&Query::all(ROLLBACKS_MAX)).await? {
        match store.load(&listed.view.id).await {
            Ok(Some(journal)) => evidence.journals.push(journal),
            Ok(None) => {
                let problem = "it is listed and has no journal".into();
                return Err(StoreError::Corrupt { what: listed.view.id.to_string(), problem });
            }
            Err(StoreError::Corrupt { what, problem }) => {
                unreadable.push(format!("{what}: {problem}"));
            }
            Err(other) => return Err(other),
        }
        evidence.views.push(listed.view);
    }
    loop {
        let mut query = Query::all(PAGE);
        query.after = evidence.records.last().map_or(0, |record: &Record| record.sequence.get());
        let records = store.audit(&query).await?;
        if records.is_empty() {
            return Ok((evidence, unreadable));
        }
        evidence.records.extend(records);
    }
}

impl Verified {
    /// Whether everything was compared that is configured to be kept on this host. Where it was not,
    /// the end of the store may be lost.
    #[must_use]
    pub const fn is_compared(&self) -> bool {
        self.not_compared.is_empty()
    }

    /// Whether every predicate holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.verdict.found.is_empty()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.not_compared {
            writeln!(f, "not compared: {what}")?;
        }
        for what in &self.unreadable {
            writeln!(f, "{:<9} {what}", "NO JOURNAL")?;
        }
        for name in &self.verdict.checked {
            let mut found = self.verdict.found.iter().filter(|v| v.invariant == *name).peekable();
            let word = if found.peek().is_some() { "VIOLATED" } else { "holds" };
            writeln!(f, "{word:<9} {name}")?;
            for violation in found {
                writeln!(f, "          {}", violation.what)?;
            }
        }
        let by_tests = names().count().saturating_sub(self.verdict.checked.len())
            + INVARIANTS.iter().filter(|i| matches!(i.held, Held::Elsewhere(_))).count();
        writeln!(
            f,
            "\n{} rollbacks ({} under way) and {} audit records: {} checks ran, {} violations",
            self.rollbacks,
            self.under_way,
            self.records,
            self.verdict.checked.len(),
            self.verdict.found.len(),
        )?;
        write!(f, "{by_tests} more need to see the CD system or the chat; the tests hold those")
    }
}
