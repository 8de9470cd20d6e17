//! Health: what is known about endpoints, from probes and from the requests they had.

mod ejection;
mod vitals;

pub use self::ejection::{EjectionSettings, SuccessRateSettings};
pub(super) use self::vitals::Vitals;
pub use self::vitals::{Ejected, Probed};
