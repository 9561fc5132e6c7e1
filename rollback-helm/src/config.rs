//! What the adapter must be told, and nothing that it can find out.

use core::fmt;
use core::time::Duration;
use rollback_core::ServiceKey;
use rollback_core::ports::Clock;
use std::path::PathBuf;
use std::sync::Arc;

/// One release of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Release {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Release {
    /// Names a release.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release `{}` in `{}`", self.name, self.namespace)
    }
}

/// The settings of one release's backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The one service that the release is.
    pub key: ServiceKey,
    /// The release.
    pub release: Release,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The helm command, version 3 or 4. `helm`, as the search path finds it.
    pub helm: PathBuf,
    /// How many revisions are kept, zero for all: what `helm upgrade` is given here, since a
    /// rollback prunes too. Ten, as helm does unless it is told.
    pub history_max: u32,
    /// How long helm may take for each hook, and for the wait for the workloads where it waits itself.
    /// Five minutes, as helm does unless it is told.
    pub timeout: Duration,
    /// How long a rollback's StatefulSets and DaemonSets may go without one more pod becoming ready:
    /// they have no deadline of their own. Ten minutes, as a Deployment has.
    pub deadline: Duration,
    /// How long one request may take. Five seconds: twice of that fits into the engine's bound.
    pub request_timeout: Duration,
    /// How long helm may take until its rollback is on record. Eight seconds: less than the
    /// engine's bound.
    pub start_within: Duration,
    /// How long an upgrade that somebody else runs may be pending before it counts as stuck, so
    /// that it does not stand in the way of its own rollback for ever. More than the `--timeout` of
    /// your upgrades. Thirty minutes: few are given more, and one that waits must not be called stuck.
    pub pending_max: Duration,
    /// How long a rollback may go on after our process was last able to say that it is alive; then
    /// it lets nothing more through before it was, and after twice that others take it over. One minute:
    /// an API server that restarts takes less. The same for every replica.
    pub lease: Duration,
}

impl Config {
    /// The settings that have no sensible default; the rest can be changed afterwards.
    #[must_use]
    pub fn new(key: ServiceKey, release: Release, clock: Arc<dyn Clock>) -> Self {
        Self {
            key,
            release,
            clock,
            helm: "helm".into(),
            history_max: 10,
            timeout: Duration::from_secs(300),
            deadline: Duration::from_secs(600),
            request_timeout: Duration::from_secs(5),
            start_within: Duration::from_secs(8),
            pending_max: Duration::from_secs(1_800),
            lease: Duration::from_secs(60),
        }
    }
}
