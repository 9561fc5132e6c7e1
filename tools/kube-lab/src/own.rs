//! A lab for one test at a time, whose servers it may kill.

use crate::Lab;
use std::ops::Deref;
use std::sync::OnceLock;
use tokio::sync::{Mutex, MutexGuard};

/// One test at a time has it.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A lab that no other test uses until this is dropped.
#[derive(Debug)]
pub struct Own {
    lab: &'static Lab,
    _alone: MutexGuard<'static, ()>,
}

impl Own {
    /// The lab, for what outlives a borrow.
    #[must_use]
    pub const fn lab(&self) -> &'static Lab {
        self.lab
    }
}

impl Deref for Own {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.lab
    }
}

impl Lab {
    /// A lab beside [`Self::shared`], for a test that kills a server, reads the API server's log or
    /// lends the cluster. Its servers are this process's own, also where `ROLLBACK_TEST_KUBECONFIG`
    /// lends a cluster. Waits until no other test has it.
    ///
    /// None when the servers are not installed, after saying on standard error that `test` was
    /// skipped; with `CI=true` that is a failure.
    pub async fn own(test: &str) -> Option<Own> {
        static OWN: OnceLock<Option<Lab>> = OnceLock::new();
        let alone = ALONE.lock().await;
        // A runtime cannot be blocked on from within another one.
        let lab = OWN.get_or_init(|| {
            let started = std::thread::spawn(Self::start_servers);
            started.join().expect("the cluster for tests did not start")
        });
        if lab.is_none() {
            peer::skipped(
                test,
                "it needs servers of its own, and they are not installed; build them with tools/peers kube-cluster",
            );
        }
        lab.as_ref().map(|lab| Own { lab, _alone: alone })
    }
}
