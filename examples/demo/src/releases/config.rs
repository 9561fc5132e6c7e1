//! What a deployment folder is set up with.

use rollback_core::ServiceKey;
use rollback_core::ports::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a folder that another process holds is waited for: a process that was killed lets go at
/// once, one that is being stopped within this time.
pub(crate) const LOCK_WITHIN: Duration = Duration::from_secs(5);

/// The settings of one deployment folder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The one service that lives in the folder.
    pub key: ServiceKey,
    /// The folder. Made when it is not there.
    pub root: PathBuf,
    /// The program that serves a release, called as `<program> serve-release …`.
    pub program: PathBuf,
    /// The loopback port of the service.
    pub port: u16,
    /// The number of the first release.
    pub first: u64,
    /// How many releases stay on disk. What is pruned can no longer be restored.
    pub keep: usize,
    /// How long an accepted operation waits before the point of no return: the time in which it can
    /// still be cancelled.
    pub grace: Duration,
    /// How long a release may take to answer after a switch, before the switch is taken back.
    pub up_within: Duration,
    /// With whom the service ends.
    pub lifeline: Lifeline,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// With whom the service ends. Either way it is told by the end of its standard input, which the
/// system closes however the process that holds it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "its own pipe or the one it was given")]
pub enum Lifeline {
    /// With this process.
    Own,
    /// With whoever holds the other end of this process's standard input: the service outlives this
    /// process, and the next one adopts it.
    Inherited,
}

impl Config {
    /// The settings that have no sensible default; the rest can be changed afterwards.
    #[must_use]
    pub fn new(
        key: ServiceKey,
        root: impl Into<PathBuf>,
        program: impl Into<PathBuf>,
        port: u16,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            key,
            root: root.into(),
            program: program.into(),
            port,
            first: 1,
            keep: 5,
            grace: Duration::ZERO,
            up_within: Duration::from_secs(10),
            lifeline: Lifeline::Own,
            clock,
        }
    }
}
