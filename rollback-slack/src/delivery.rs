//! What a request is recognized by when it comes again, at whichever replica.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::counters::Counters;
use crate::replay::Key;
use crate::{SKEW_MAX_SECONDS, UnixSeconds};

/// How long replicas remember a request together. Its signature is good for twice the skew; as long
/// again, for the replica that forgets may have another clock than the one that is asked; and a
/// second, for moments are cut to seconds.
pub const REMEMBERED_BY_ALL: Duration = Duration::from_secs(4 * SKEW_MAX_SECONDS + 1);

/// Keeps digests of ours apart from all others.
const DOMAIN: &str = "rollback-slack/request/1";

/// An interaction came through an [`Intake`](crate::Intake), and what its request is recognized by
/// when it comes again. Only an intake makes one.
#[derive(Clone)]
pub struct Delivery {
    by: By,
    trigger: Option<String>,
    at: UnixSeconds,
    counters: Arc<Counters>,
}

/// What proved a request.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum By {
    Signature([u8; 32]),
    #[cfg_attr(not(feature = "socket"), expect(dead_code, reason = "Socket Mode makes it"))]
    Envelope(String),
}

impl By {
    pub(crate) fn key(&self) -> Key<'_> {
        match self {
            Self::Signature(mac) => Key::Signature(*mac),
            Self::Envelope(id) => Key::Envelope(id),
        }
    }
}

impl Delivery {
    pub(crate) fn new(
        by: By,
        trigger: Option<&str>,
        at: UnixSeconds,
        counters: &Arc<Counters>,
    ) -> Self {
        Self { by, trigger: trigger.map(str::to_owned), at, counters: Arc::clone(counters) }
    }

    /// What every replica recognizes the request by: its signature or its envelope, and Slack's key
    /// for what the person did, which it keeps when it is sent anew. Neither can be read from them.
    #[must_use]
    pub fn digests(&self) -> Vec<[u8; 32]> {
        let trigger = self.trigger.as_deref().map(Key::Trigger);
        std::iter::once(self.by.key()).chain(trigger).map(|key| digest(&key)).collect()
    }

    /// When it came, by the clock that its signature was judged by.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        let seconds = u64::try_from(self.at.0).unwrap_or_default();
        Timestamp::from_millis(seconds.saturating_mul(1_000))
    }

    /// Counts a request that somebody else had taken.
    pub(crate) fn was_taken_elsewhere(&self) {
        self.counters.repeats_elsewhere();
    }
}

fn digest(key: &Key<'_>) -> [u8; 32] {
    let (kind, text) = match key {
        Key::Signature(mac) => ("signature", mac.as_slice()),
        Key::Trigger(id) => ("trigger", id.as_bytes()),
        Key::Envelope(id) => ("envelope", id.as_bytes()),
    };
    let hasher = Sha256::new().chain_update(DOMAIN).chain_update([0]).chain_update(kind);
    hasher.chain_update([0]).chain_update(text).finalize().into()
}

/// Two of one request at one time; whoever counts them makes no difference.
impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        (&self.by, &self.trigger, self.at) == (&other.by, &other.trigger, other.at)
    }
}

impl Eq for Delivery {}

/// Without the signature: whoever has it can send the request again.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixSeconds = UnixSeconds(1_700_000_000);

    fn delivery(by: By, trigger: Option<&str>) -> Delivery {
        Delivery::new(by, trigger, AT, &Arc::default())
    }

    #[test]
    fn two_processes_recognize_a_request_by_the_same_digests() {
        let one = || delivery(By::Signature([7; 32]), Some("1.2.a"));
        assert_eq!(one().digests(), one().digests());
        assert_eq!(one().digests().len(), 2);
    }

    /// Sent anew, the signature is another one.
    #[test]
    fn what_a_person_did_is_recognized_however_it_comes_again() {
        let first = delivery(By::Signature([7; 32]), Some("1.2.a")).digests();
        let anew = delivery(By::Signature([8; 32]), Some("1.2.a")).digests();
        let by_socket = delivery(By::Envelope("e".into()), Some("1.2.a")).digests();
        for again in [anew, by_socket] {
            assert_ne!(first[0], again[0]);
            assert_eq!(first[1], again[1]);
        }
    }

    #[test]
    fn digests_of_different_kinds_never_meet() {
        let text = String::from_utf8(vec![7; 32]).unwrap();
        let kinds = [Key::Signature([7; 32]), Key::Trigger(&text), Key::Envelope(&text)];
        let digests: std::collections::BTreeSet<_> = kinds.iter().map(digest).collect();
        assert_eq!(digests.len(), kinds.len());
    }

    #[test]
    fn a_signature_is_in_no_debug_output() {
        let shown = format!("{:?}", delivery(By::Signature([173; 32]), Some("1.2.secret")));
        assert!(!shown.contains("173") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_clock_before_1970_is_no_moment_before_time() {
        let early = Delivery::new(By::Envelope("e".into()), None, UnixSeconds(-5), &Arc::default());
        assert_eq!(early.at(), Timestamp::from_millis(0));
        assert_eq!(delivery(By::Envelope("e".into()), None).at().as_millis(), 1_700_000_000_000);
    }
}
