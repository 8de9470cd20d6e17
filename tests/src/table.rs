//! Tables of cases that report every failing line at once.

/// Collects what failed in a table of cases; [`Failures::assert_none`] at its end.
#[derive(Debug, Default)]
pub struct Failures {
    cases: usize,
    failed: Vec<String>,
}

impl Failures {
    /// Nothing failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one check of a case.
    pub fn check(&mut self, good: bool, what: impl FnOnce() -> String) {
        self.cases += 1;
        if !good {
            self.failed.push(what());
        }
    }

    /// Notes the outcome of a case that says itself what went wrong.
    pub fn note(&mut self, name: &str, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(what) = outcome {
            self.failed.push(format!("{name}: {what}"));
        }
    }

    /// Fails the test when a check failed, or when there was none.
    #[track_caller]
    pub fn assert_none(&self) {
        assert!(self.cases > 0, "a table without a case");
        let count = self.failed.len();
        assert!(count == 0, "{count} of {} failed:\n{}", self.cases, self.failed.join("\n"));
    }
}
