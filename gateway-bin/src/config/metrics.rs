//! `[metrics]`: what happens, counted, and who may read it.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_layers::metrics::{DEFAULT_BUCKETS, DEFAULT_NAMES};

use super::reader::Field;
use super::units::some_duration;

const ADDRESS: &str = "an address such as \"0.0.0.0:9464\"";

/// A histogram of more bounds than this costs more than it tells.
const MOST_BUCKETS: usize = 100;

/// More names than this would not fit into what reads them.
const MOST_NAMES: i64 = 1_000_000;

/// What happens, counted, in the form that Prometheus reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// `address`: a listener that answers `GET /metrics` and nothing else. It is not for strangers:
    /// names of routes and clusters are told. Default: none, so that only `[admin]` shows them.
    pub address: Option<SocketAddr>,
    /// `buckets`: the upper bounds of histograms. Default: 0.5 ms to 60 s, three for each power of
    /// ten.
    pub buckets: Vec<Duration>,
    /// `names`: routes, and clusters, that are counted each by itself. Default: 10,000.
    pub names: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { address: None, buckets: DEFAULT_BUCKETS.into(), names: DEFAULT_NAMES }
    }
}

impl Metrics {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ address = \"0.0.0.0:9464\" }")?;
        let mut metrics = Self::default();
        table.set("address", &mut metrics.address, |field| field.parse(ADDRESS).map(Some));
        table.set("buckets", &mut metrics.buckets, |field| {
            if field.is_empty_list() {
                return field.reject("at least one time such as \"100ms\"");
            }
            let bounds: Vec<_> = field.clone().one_or_list(|field| some_duration(&field));
            if bounds.len() > MOST_BUCKETS {
                let found = bounds.len();
                return field.note(format!("found {found} times, expected {MOST_BUCKETS} at most"));
            }
            Some(bounds)
        });
        table.set("names", &mut metrics.names, |field| field.number(1, MOST_NAMES));
        table.finish();
        Some(metrics)
    }
}
