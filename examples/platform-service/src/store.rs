//! The store that the configuration names.

use crate::config::StorePlace;
use rollback_core::ports::{Store, StoreError};
use rollback_store::{
    Closed, ConnectError, OpenError, Options, PostgresOptions, PostgresStore, Rehearsed,
    SqliteStore,
};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;

/// How long closing a database may take: what waits is written, and its log is carried over.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Why a store cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreNotOpened {
    /// The file.
    #[error("{0}")]
    File(#[from] OpenError),
    /// The database.
    #[error("{0}")]
    Server(#[from] ConnectError),
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoStore {
    #[error("there is no store `{0}`")]
    Missing(String),
    #[error("`{0}` is empty: no service has run with this store")]
    Empty(String),
    #[error("`{0}` is in use by the running service")]
    InUse(String),
    #[error("an older release has written the database; start this one first")]
    Older,
    #[error("{0}")]
    NotOpened(StoreNotOpened),
}

/// A store that is open.
#[derive(Clone, Debug)]
pub(crate) enum OpenStore {
    File(Arc<SqliteStore>),
    Server(Arc<PostgresStore>),
}

impl OpenStore {
    pub(crate) async fn open(place: &StorePlace) -> Result<Self, StoreNotOpened> {
        Ok(match place {
            StorePlace::File(path) => {
                let store = SqliteStore::open(path.clone(), Options::default()).await?;
                Self::File(Arc::new(store))
            }
            StorePlace::Server(url) => {
                let options = PostgresOptions::default();
                let store = PostgresStore::connect(url.expose_secret(), options).await?;
                Self::Server(Arc::new(store))
            }
        })
    }

    /// Opens a store that is there already, and makes none.
    pub(crate) async fn existing(place: &StorePlace) -> Result<Self, NoStore> {
        match place {
            StorePlace::File(path) if !path.exists() => {
                return Err(NoStore::Missing(path.display().to_string()));
            }
            StorePlace::File(path) => {
                // Opening it would make a store of it.
                if std::fs::metadata(path).is_ok_and(|found| found.len() == 0) {
                    return Err(NoStore::Empty(path.display().to_string()));
                }
            }
            StorePlace::Server(url) => {
                let options = PostgresOptions::default();
                let found = PostgresStore::rehearse(url.expose_secret(), options).await;
                match found.map_err(|error| NoStore::NotOpened(error.into()))? {
                    Rehearsed::Empty => return Err(NoStore::Missing("in the database".into())),
                    Rehearsed::Older => return Err(NoStore::Older),
                    Rehearsed::Current => {}
                }
            }
        }
        Self::open(place).await.map_err(|error| match error {
            StoreNotOpened::File(OpenError::InUse { path }) => {
                NoStore::InUse(path.display().to_string())
            }
            StoreNotOpened::File(_) | StoreNotOpened::Server(_) => NoStore::NotOpened(error),
        })
    }

    pub(crate) fn port(&self) -> Arc<dyn Store> {
        match self {
            Self::File(store) => Arc::<SqliteStore>::clone(store),
            Self::Server(store) => Arc::<PostgresStore>::clone(store),
        }
    }

    /// Closes it, whoever holds it: what is asked later is refused. Everything in it is on a disk
    /// already; closed, it is one file, and the next process need not wait for it.
    pub(crate) async fn close(self) {
        match self {
            Self::File(store) => match tokio::time::timeout(CLOSE_MAX, store.close()).await {
                Ok(Closed::Whole) => {}
                Ok(Closed::WithLog(log)) => {
                    let log = log.display();
                    tracing::warn!(%log, "the last transactions are in this log, which belongs to the database: keep both files together");
                }
                Err(_elapsed) => tracing::warn!(
                    "the database was not closed in time; its last transactions are in the log beside it: keep both files together"
                ),
            },
            Self::Server(store) => store.close(),
        }
    }

    /// Why there is no record in it, in words.
    pub(crate) async fn why_empty(&self) -> Result<&'static str, String> {
        match self.has_been_used().await.map_err(|error| error.to_string())? {
            true => {
                Ok("there is no record to verify, and a service has run with this store: where \
                        anything was ever asked for in Slack, its records are lost; compare it with \
                        the CD systems, the chat and the backups")
            }
            false => {
                Ok("there is no record to verify: no service has run with this store; is it the \
                         right one?")
            }
        }
    }

    /// Whether a service has ever run with it.
    pub(crate) async fn has_been_used(&self) -> Result<bool, StoreError> {
        match self {
            Self::File(store) => store.has_been_used().await,
            Self::Server(store) => store.has_been_used().await,
        }
    }
}
