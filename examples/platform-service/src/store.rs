//! The store that the configuration names.

use crate::config::StorePlace;
use rollback_core::ports::Store;
use rollback_store::{
    ConnectError, OpenError, Options, PostgresOptions, PostgresStore, Rehearsed, SqliteStore,
};
use secrecy::ExposeSecret;
use std::sync::Arc;

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
            StorePlace::File(_) => {}
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

    /// Closes it, if nobody uses it any more. Everything in it is on a disk already; closed, the
    /// next process need not wait for it.
    pub(crate) async fn close(self) {
        match self {
            Self::File(store) => {
                if let Some(store) = Arc::into_inner(store) {
                    store.close().await;
                }
            }
            Self::Server(store) => {
                if let Some(store) = Arc::into_inner(store) {
                    store.close();
                }
            }
        }
    }
}
