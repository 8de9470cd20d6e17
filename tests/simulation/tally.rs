//! [`Tally`]: how the clients' requests ended.

use std::collections::BTreeMap;
use std::time::Duration;

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// When it came, from the beginning.
    pub(crate) came: Duration,
    /// How long it took.
    pub(crate) took: Duration,
    /// The status of the answer, why there was none, or `cancelled`.
    pub(crate) how: String,
}

impl Ended {
    pub(crate) fn is_good(&self) -> bool {
        self.how == "200"
    }
}

/// How the clients' requests ended, in the order in which they did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) all: Vec<Ended>,
}

impl Tally {
    /// How many ended how.
    pub(crate) fn endings(&self) -> BTreeMap<&str, usize> {
        let mut endings = BTreeMap::new();
        for one in &self.all {
            *endings.entry(&*one.how).or_default() += 1;
        }
        endings
    }

    /// The share of requests that were answered well.
    pub(crate) fn success_rate(&self) -> f64 {
        let good = self.all.iter().filter(|one| one.is_good()).count();
        good as f64 / self.all.len() as f64
    }

    /// Those that came at `from` or later, and were not answered well.
    pub(crate) fn bad_since(&self, from: Duration) -> Vec<&Ended> {
        self.all.iter().filter(|one| one.came >= from && !one.is_good()).collect()
    }
}

/// The most of `times`, which are in order, that lie within any `span`.
pub(crate) fn peak(times: &[Duration], span: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (at, time) in times.iter().enumerate() {
        while times[first] + span <= *time {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}
