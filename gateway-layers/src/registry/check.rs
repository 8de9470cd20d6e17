//! [`Check`]: how the gateway finds out whether what is registered is well.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_core::{
    Body, Cluster, ClusterBuilder, EndpointAddress, Error, Health, HostPolicy, Module,
    ModuleService, PoolConfig, Request,
};
use http::HeaderValue;
use http::header::{ACCEPT, USER_AGENT};

use super::registration::{At, Record};

/// Finds out whether a service at an address is well.
pub trait Check: Send + Sync + 'static {
    /// Asks `address` for `path`. Dropped when it takes too long.
    ///
    /// # Errors
    ///
    /// What is wrong, for people: it stands in the registry's answers and events.
    fn check(
        &self,
        address: &EndpointAddress,
        path: &str,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

pub(super) type Tune = Arc<dyn Fn(ClusterBuilder) -> ClusterBuilder + Send + Sync>;

/// A `GET` on a connection of its own: well is who answers with a status of 200 to 299.
/// Redirects are not followed, and the answer's body is not read.
pub(super) struct HttpCheck {
    pub(super) tune: Tune,
}

impl Check for HttpCheck {
    async fn check(&self, address: &EndpointAddress, path: &str) -> Result<(), String> {
        let mut pool = PoolConfig::default();
        pool.idle = 0;
        let cluster = (self.tune)(Cluster::builder("registry check"))
            .endpoint(address.clone())
            .host(HostPolicy::Endpoint)
            .pool(pool)
            .build()
            .map_err(|error| error.to_string())?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().map_err(|_| "no path".to_owned())?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("gateway-registry"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // Boxed: a forwarder's future is large, and many checks run at the same time.
        let answer = Box::pin(cluster.call(request)).await;
        let status = answer.map_err(|error: Error| error.to_string())?.status();
        if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
    }
}

type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// A check, erased.
pub(super) trait Erased: Send + Sync {
    fn check<'a>(&'a self, address: &'a EndpointAddress, path: &'a str) -> Checking<'a>;
}

impl<C: Check> Erased for C {
    fn check<'a>(&'a self, address: &'a EndpointAddress, path: &'a str) -> Checking<'a> {
        Box::pin(Check::check(self, address, path))
    }
}

/// Checks what `record` leads to.
pub(super) async fn check(record: &Record, check: &dyn Erased) -> Result<(), String> {
    match &record.at {
        At::Address(address) => check.check(address, &record.health_path).await,
        At::Module(module) => ask(module).await,
    }
}

async fn ask(module: &Module) -> Result<(), String> {
    match module.health().await {
        Health::Healthy => Ok(()),
        Health::Unhealthy => Err("the module says that it is not well".to_owned()),
        _ => Err("the module does not know how it is".to_owned()),
    }
}
