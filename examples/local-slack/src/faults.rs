//! Faults on demand: what goes wrong with the next calls.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a hanging call hangs at most; longer than any sane client waits.
pub(crate) const HANG_MAX: Duration = Duration::from_secs(600);

/// Makes the next calls of the Web API fail.
///
/// ```
/// use local_slack::Fault;
///
/// let twice = Fault::rate_limited(30).times(2).on("chat.postMessage");
/// # let _used = twice;
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    kind: FaultKind,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    method: Option<String>,
}

fn once() -> u32 {
    1
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub(crate) enum FaultKind {
    /// Nothing is done; 429 with `Retry-After`.
    RateLimited { retry_after: u32 },
    /// Nothing is done; 500.
    ServerError,
    /// Nothing is done and nothing is answered.
    Hang,
    /// Nothing is done; the connection is reset.
    Reset,
    /// The call is carried out, and answered with 500.
    DoneButServerError,
    /// The call is carried out, and the connection is reset.
    DoneButReset,
    /// The call is carried out after a while.
    Slow { milliseconds: u64 },
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { kind, times: 1, method: None }
    }

    /// Answers 429 with `Retry-After: <seconds>`; nothing is done.
    #[must_use]
    pub fn rate_limited(seconds: u32) -> Self {
        Self::new(FaultKind::RateLimited { retry_after: seconds })
    }

    /// Answers 500; nothing is done.
    #[must_use]
    pub fn server_error() -> Self {
        Self::new(FaultKind::ServerError)
    }

    /// Answers nothing for ten minutes or until the faults are cleared; nothing is done.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(FaultKind::Hang)
    }

    /// Resets the connection; nothing is done.
    #[must_use]
    pub fn reset() -> Self {
        Self::new(FaultKind::Reset)
    }

    /// Carries the call out and answers 500: the caller cannot know.
    #[must_use]
    pub fn done_but_server_error() -> Self {
        Self::new(FaultKind::DoneButServerError)
    }

    /// Carries the call out and resets the connection: the caller cannot know.
    #[must_use]
    pub fn done_but_reset() -> Self {
        Self::new(FaultKind::DoneButReset)
    }

    /// Carries the call out after `delay`.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self::new(FaultKind::Slow { milliseconds })
    }

    /// Applies to the next `times` calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Applies to calls of `method` only.
    #[must_use]
    pub fn on(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }
}

/// The faults that wait for their calls.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Faults {
    waiting: Vec<Fault>,
    outage: bool,
    /// Callbacks whose acknowledgement will be lost on its way.
    lost_acks: u32,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.waiting.push(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.outage = false;
        self.lost_acks = 0;
    }

    pub(crate) fn set_outage(&mut self, outage: bool) {
        self.outage = outage;
    }

    pub(crate) fn lose_acks(&mut self, times: u32) {
        self.lost_acks = times;
    }

    /// Whether the acknowledgement that just came is lost.
    pub(crate) fn loses_ack(&mut self) -> bool {
        let loses = self.lost_acks > 0;
        self.lost_acks = self.lost_acks.saturating_sub(1);
        loses
    }

    pub(crate) fn outage(&self) -> bool {
        self.outage
    }

    /// Takes the first fault that waits for a call of `method`.
    pub(crate) fn take(&mut self, method: &str) -> Option<FaultKind> {
        let index = self
            .waiting
            .iter()
            .position(|fault| fault.method.as_deref().is_none_or(|only| only == method))?;
        let fault = self.waiting.get_mut(index)?;
        let kind = fault.kind;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.waiting.remove(index);
        }
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_one_method_waits_for_that_method() {
        let mut faults = Faults::default();
        faults.add(Fault::server_error().on("chat.update").times(2));
        assert_eq!(faults.take("chat.postMessage"), None);
        assert_eq!(faults.take("chat.update"), Some(FaultKind::ServerError));
        assert_eq!(faults.take("chat.update"), Some(FaultKind::ServerError));
        assert_eq!(faults.take("chat.update"), None);
    }

    #[test]
    fn faults_strike_in_the_order_in_which_they_were_set() {
        let mut faults = Faults::default();
        faults.add(Fault::reset());
        faults.add(Fault::hang());
        assert_eq!(faults.take("x"), Some(FaultKind::Reset));
        assert_eq!(faults.take("x"), Some(FaultKind::Hang));
    }

    #[test]
    fn a_fault_reads_back_from_its_json() {
        let json = r#"{"fault":"rate_limited","retry_after":3,"times":2,"method":"chat.update"}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        assert_eq!(fault.kind, FaultKind::RateLimited { retry_after: 3 });
        assert_eq!((fault.times, fault.method.as_deref()), (2, Some("chat.update")));
    }
}
