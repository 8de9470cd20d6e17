//! [`Health`], and how it follows from what checks find.

/// The state of a module or endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It can take requests.
    Healthy,
    /// It said that it cannot, or did not answer.
    Unhealthy,
    /// Nobody has asked yet. Not the same as healthy.
    Unknown,
}

impl Health {
    /// What status and logs call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

/// Checks in a row that found the same, and the health that follows.
#[derive(Debug)]
pub(crate) struct Streak {
    health: Health,
    latest: Option<bool>,
    length: u32,
}

impl Default for Streak {
    fn default() -> Self {
        Self { health: Health::Unknown, latest: None, length: 0 }
    }
}

impl Streak {
    pub(crate) fn health(&self) -> Health {
        self.health
    }

    /// Takes in what a check found: after `rise` good ones in a row it is healthy, after `fall`
    /// bad ones unhealthy; the first one ever decides at once. Returns what it was before and is
    /// now when it changed.
    pub(crate) fn take(&mut self, good: bool, rise: u32, fall: u32) -> Option<(Health, Health)> {
        self.length = if self.latest == Some(good) { self.length.saturating_add(1) } else { 1 };
        self.latest = Some(good);
        let (said, needed) = if good { (Health::Healthy, rise) } else { (Health::Unhealthy, fall) };
        let from = self.health;
        if from == said || (from != Health::Unknown && self.length < needed) {
            return None;
        }
        self.health = said;
        Some((from, said))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_last_row_that_was_long_enough_said(
            found in proptest::collection::vec(any::<bool>(), 1..40),
            rise in 1_u32..5,
            fall in 1_u32..5,
        ) {
            let mut streak = Streak::default();
            for until in 1..=found.len() {
                streak.take(found[until - 1], rise, fall);
                let long_enough = |end: &usize| {
                    let needed = if found[*end] { rise } else { fall } as usize;
                    let row = found[..=*end].iter().rev().take_while(|one| **one == found[*end]);
                    *end == 0 || row.count() >= needed
                };
                let last = (0..until).rev().find(long_enough).unwrap();
                let expected = if found[last] { Health::Healthy } else { Health::Unhealthy };
                prop_assert_eq!(streak.health(), expected);
            }
        }
    }
}
