//! How much a registry holds, how long registrations last and how they are checked.

use std::time::Duration;

/// How much a registry holds. What is more is rejected, and said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryLimits {
    /// Names of services. Default: 1,000.
    pub services: usize,
    /// Instances of one service. Default: 100.
    pub instances_per_service: usize,
    /// Instances of all services. Default: 10,000.
    pub instances: usize,
    /// Bytes of capabilities and metadata of one registration. Default: 8 KiB.
    pub registration: usize,
    /// Bytes of capabilities and metadata of all registrations. Default: 32 MiB.
    pub bytes: usize,
    /// Capabilities of one registration. Default: 32.
    pub capabilities: usize,
    /// Values of one capability. Default: 64.
    pub values: usize,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            services: 1_000,
            instances_per_service: 100,
            instances: 10_000,
            registration: 8 * 1024,
            bytes: 32 * 1024 * 1024,
            capabilities: 32,
            values: 64,
        }
    }
}

/// How long a registration lasts without a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseConfig {
    /// Where a registration does not say. Default: 30 s.
    pub lease: Duration,
    /// The shortest that is taken. Default: 5 s.
    pub min: Duration,
    /// The longest that is taken. Default: 5 min.
    pub max: Duration,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            min: Duration::from_secs(5),
            max: Duration::from_secs(300),
        }
    }
}

/// A heartbeat is asked for so many times in a lease: two may be lost.
const HEARTBEATS_IN_A_LEASE: u32 = 3;

/// How often a registration with this lease sends its heartbeat.
pub(super) fn heartbeat_every(lease: Duration) -> Duration {
    lease / HEARTBEATS_IN_A_LEASE
}

/// How the gateway checks what is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckConfig {
    /// What is asked for where a registration does not say. Default: `/health`.
    pub path: String,
    /// How often, give or take a tenth. Default: 10 s.
    pub interval: Duration,
    /// How often while it is not confirmed. Default: 1 s.
    pub pending_interval: Duration,
    /// How long one check may take. Default: 2 s.
    pub timeout: Duration,
    /// Good checks in a row that bring an unhealthy instance back. The first good one confirms a
    /// new registration. Default: 2.
    pub rise: u32,
    /// Bad checks in a row that make an active instance unhealthy. Default: 3.
    pub fall: u32,
    /// Checks at the same time. Default: 64.
    pub concurrent: usize,
}

impl Default for CheckConfig {
    fn default() -> Self {
        Self {
            path: "/health".to_owned(),
            interval: Duration::from_secs(10),
            pending_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            concurrent: 64,
        }
    }
}

/// What is shared with other gateways is waited for no longer than this.
pub(super) const STORE_WITHIN: Duration = Duration::from_secs(2);
