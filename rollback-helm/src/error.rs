//! What can go wrong. Each says what was tried, and whether trying again can help.

use crate::client::Tried;
use core::time::Duration;
use rollback_core::ports::{ErrorKind, PortError};

/// Why the cluster or the helm command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelmError {
    /// The connection cannot be set up.
    #[error(
        "the cluster's connection cannot be set up: {what}; nothing was changed; correct the kubeconfig, or run as a service account"
    )]
    Connection {
        /// What is wrong with it, without its secrets.
        what: &'static str,
        /// What the client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The credentials are not accepted.
    #[error(
        "the cluster does not accept the credentials; nothing was changed; renew the token or the certificate"
    )]
    Unauthorized,
    /// The credentials are good, and may not do this.
    #[error("may not {tried}; nothing was changed; allow the verb in the Role (see rbac.yaml)")]
    Forbidden {
        /// What was tried: verb, resource and namespace.
        tried: Tried,
    },
    /// What was asked for is not there.
    #[error("there is nothing to {tried}; nothing was changed")]
    Missing {
        /// What was tried.
        tried: Tried,
    },
    /// The API server, or a webhook of the cluster, said no.
    #[error("the cluster refused to {tried} ({code}): {why}; nothing was changed")]
    Refused {
        /// What was tried.
        tried: Tried,
        /// The HTTP status.
        code: u16,
        /// Its words.
        why: String,
    },
    /// A precondition did not hold.
    #[error("could not {tried}: it has changed meanwhile; nothing was changed")]
    Moved {
        /// What was tried.
        tried: Tried,
    },
    /// The API server is overloaded, and did not even begin.
    #[error(
        "the API server is overloaded and did not {tried}; nothing was changed; try again soon"
    )]
    Overloaded {
        /// What was tried.
        tried: Tried,
        /// How long to wait, if it said so.
        after: Option<Duration>,
    },
    /// The API server did not answer, or not readably. A write may have been carried out.
    #[error("the API server did not answer when it was asked to {tried}: {why}")]
    Silent {
        /// What was tried.
        tried: Tried,
        /// What happened to the request, without an address.
        why: String,
    },
    /// There is more than anybody would want to read.
    #[error(
        "more than {max} objects answered the request to {tried}; let helm keep fewer revisions (`--history-max`)"
    )]
    TooMany {
        /// What was tried.
        tried: Tried,
        /// How many would have been read.
        max: usize,
    },
    /// Something that is kept in the cluster cannot be read.
    #[error("{what} cannot be read: {why}; nothing was changed")]
    Unreadable {
        /// Which object.
        what: String,
        /// What is wrong with it, and nothing of what is in it.
        why: &'static str,
    },
    /// The helm command cannot be used.
    #[error(
        "the helm command cannot be used: {what}; nothing was changed; install Helm 3 or 4 and name it in the configuration"
    )]
    Command {
        /// What is wrong with it.
        what: String,
    },
}

impl HelmError {
    /// As the engine wants it: what to do first, then what happened.
    pub(crate) fn into_port(self, operation: &'static str) -> PortError {
        let kind = match &self {
            Self::Connection { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::Missing { .. }
            | Self::TooMany { .. }
            | Self::Command { .. } => ErrorKind::Misconfigured,
            Self::Refused { .. } | Self::Unreadable { .. } => ErrorKind::Rejected,
            Self::Moved { .. } | Self::Silent { .. } => ErrorKind::Retry(None),
            Self::Overloaded { after, .. } => ErrorKind::Retry(*after),
        };
        PortError::new(kind, crate::ADAPTER, operation, self.to_string()).caused_by(self)
    }

    /// Whether asking once more may bring an answer.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Overloaded { .. } | Self::Moved { .. } => true,
            Self::Connection { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::TooMany { .. }
            | Self::Unreadable { .. }
            | Self::Command { .. } => false,
        }
    }
}
