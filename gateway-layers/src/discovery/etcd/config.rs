//! [`EtcdConfig`].

use std::time::Duration;

use gateway_core::EndpointAddress;

use crate::discovery::{Backoff, Secret};

/// Which keys of which members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdConfig {
    /// The client addresses of the members.
    pub endpoints: Vec<EndpointAddress>,
    /// What the keys begin with.
    pub prefix: String,
    /// Who asks, where etcd wants to know it. Default: nobody.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// How long an answer may take. Default: 5 s.
    pub timeout: Duration,
    /// How often the keys are read anew though nothing says that they changed: a member may fall
    /// silent without a sign. Default: 5 min.
    pub resync: Duration,
    /// How long to wait after failures.
    pub backoff: Backoff,
}

impl EtcdConfig {
    /// The keys that begin with `prefix`, from the members at `endpoints`.
    pub fn new(
        endpoints: impl IntoIterator<Item = EndpointAddress>,
        prefix: impl Into<String>,
    ) -> Self {
        Self {
            endpoints: endpoints.into_iter().collect(),
            prefix: prefix.into(),
            user: None,
            password: None,
            timeout: Duration::from_secs(5),
            resync: Duration::from_secs(300),
            backoff: Backoff::default(),
        }
    }
}
