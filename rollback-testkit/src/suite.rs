use core::any::Any;
use core::fmt;
use core::panic::AssertUnwindSafe;
use core::pin::pin;
use core::task::Poll;
use std::future::poll_fn;
use std::panic::catch_unwind;

/// Whether a harness could bring about what a case needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "done or not, and why")]
pub enum Simulated {
    /// It did.
    Done,
    /// It cannot, and why. The case is skipped, by name.
    Cannot(&'static str),
}

/// Which cases of a suite ran. A case that fails panics with its name.
#[derive(Clone, Debug, Default)]
#[must_use = "a skipped case is visible only to whoever looks: see `Summary::skips_only`"]
pub struct Summary {
    pub(crate) passed: Vec<&'static str>,
    pub(crate) skipped: Vec<(&'static str, &'static str)>,
    failed: Vec<(&'static str, String)>,
}

impl Summary {
    /// The cases that passed.
    #[must_use]
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }

    /// The cases that were skipped, and why.
    #[must_use]
    pub fn skipped(&self) -> &[(&'static str, &'static str)] {
        &self.skipped
    }

    /// Insists that exactly these cases were skipped.
    ///
    /// # Panics
    ///
    /// When another case was skipped, or one of these was not.
    pub fn skips_only(&self, names: &[&str]) {
        let skipped: Vec<&str> = self.skipped.iter().map(|(name, _)| *name).collect();
        assert_eq!(skipped, names, "other cases were skipped than the adapter says: {self}");
    }

    /// Insists that no case failed.
    pub(crate) fn nothing_failed(&self) {
        assert!(self.failed.is_empty(), "{} cases failed:\n{self}", self.failed.len());
    }

    pub(crate) fn ended(&mut self, case: &'static str, outcome: Result<Simulated, String>) {
        match outcome {
            Ok(outcome) => self.ran(case, outcome),
            Err(why) => self.failed.push((case, why)),
        }
    }

    pub(crate) fn ran(&mut self, case: &'static str, outcome: Simulated) {
        match outcome {
            Simulated::Done => self.passed.push(case),
            Simulated::Cannot(why) => self.skipped.push((case, why)),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.passed {
            writeln!(f, "passed   {name}")?;
        }
        for (name, why) in &self.skipped {
            writeln!(f, "skipped  {name}: {why}")?;
        }
        for (name, why) in &self.failed {
            writeln!(f, "failed   {name}: {why}")?;
        }
        Ok(())
    }
}

/// Runs a case to its end, so that its failure does not keep the others from running. The error is what
/// it panicked with.
pub(crate) async fn caught(case: impl Future<Output = Simulated>) -> Result<Simulated, String> {
    let mut case = pin!(case);
    // A case that panicked is not polled again.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| case.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
        Err(panic) => Poll::Ready(Err(words(&*panic))),
    })
    .await
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
