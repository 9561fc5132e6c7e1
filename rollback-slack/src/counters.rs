//! What came in and what became of it.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {
        /// Counts of what came in, shared by every way in. Cheap to write, read as a snapshot.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)+
        }

        /// The counts at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CountersSnapshot {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Reads every count.
            #[must_use]
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }

            $(pub(crate) fn $name(&self) {
                self.$name.fetch_add(1, Ordering::Relaxed);
            })+
        }

        impl CountersSnapshot {
            /// The counts with their names, in the order of the fields: for a metrics page.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

counters! {
    /// Clicks handed on.
    clicks,
    /// Submissions handed on.
    submissions,
    /// Closed modals handed on.
    closings,
    /// Handed on, and the handler did not know the id. Answered 200.
    not_ours,
    /// Of a kind that this crate does not know. Answered 200.
    unknown_kinds,
    /// Clicks that were not taken since too much waited. Answered 503.
    busy,
    /// Slack's unsigned probes. Answered 200, never handed on.
    ssl_checks,
    /// Seen before. Answered 200, not handed on again.
    repeats,
    /// Taken before by another process, or by this one before it was started again; found out behind
    /// the acknowledgement. Nothing was done.
    repeats_elsewhere,
    /// Repeats that can no longer be recognized, because the memory was full.
    forgotten_early,
    /// Larger than the bound. Answered 413.
    too_large,
    /// The body says that it is compressed, which Slack's never are. Answered 415.
    encoded,
    /// The body did not arrive in time. Answered 408.
    too_slow,
    /// Without a well-formed signature, or with another secret's. Answered 401.
    bad_signatures,
    /// Signed too long ago, or in the future. Answered 401.
    stale,
    /// Signed, but not the form that Slack posts. Answered 400.
    bad_forms,
    /// Signed, but the payload is not an interaction. Answered 400.
    bad_payloads,
    /// Signed, but for another app or workspace. Answered 403.
    foreign,
    /// Socket Mode connections that were opened.
    sockets_opened,
    /// Socket Mode connections that were lost without Slack's announcement, or not opened.
    sockets_lost,
}
