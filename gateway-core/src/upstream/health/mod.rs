//! Health: what is known about endpoints, from probes and from the requests they had.

mod active;
mod grpc;
mod http;
mod outlier_detection;
mod probe;
mod status_range;
mod vitals;

pub use self::active::HealthCheck;
pub(super) use self::active::draw;
pub use self::grpc::GrpcProbe;
pub use self::http::HttpProbe;
pub use self::outlier_detection::{OutlierDetectionConfig, SuccessRateConfig};
pub use self::probe::{CheckHealth, CustomProbe, Probe};
pub use self::status_range::{StatusRange, StatusRangeError};
pub(super) use self::vitals::Vitals;
pub use self::vitals::{Ejected, Probed};

#[cfg(test)]
mod tests;
