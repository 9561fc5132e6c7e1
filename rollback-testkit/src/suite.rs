use core::fmt;

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
        Ok(())
    }
}
