//! `[startup]`: how the gateway begins.

use std::time::Duration;

use super::reader::Field;
use super::units::duration;

/// How the gateway begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Startup {
    /// `wait`: how long nobody is answered while endpoints are discovered and probed for the first
    /// time; clients can connect meanwhile. `"0s"`: not at all. Default: 5 s.
    pub wait: Duration,
}

impl Default for Startup {
    fn default() -> Self {
        Self { wait: Duration::from_secs(5) }
    }
}

impl Startup {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ wait = \"5s\" }")?;
        let mut startup = Self::default();
        table.set("wait", &mut startup.wait, |field| duration(&field));
        table.finish();
        Some(startup)
    }
}
