//! TLS of a cluster of a document.

use gateway_core::ClusterBuilder;

use crate::config::{self, Problem, Reading};

/// How the endpoints of a cluster are spoken to over TLS.
#[cfg(feature = "tls")]
pub(super) struct UpstreamTls {
    config: std::sync::Arc<rustls::ClientConfig>,
    name: Option<rustls::pki_types::ServerName<'static>>,
}

#[cfg(feature = "tls")]
impl UpstreamTls {
    /// That of `cluster`; `None` where it speaks none.
    pub(super) fn of(
        reading: &Reading,
        cluster: &config::Cluster,
    ) -> Result<Option<Self>, Problem> {
        if !cluster.speaks_tls() {
            return Ok(None);
        }
        let settings = cluster.tls.clone().unwrap_or_default();
        // An address that was looked up is known by the name that was looked up.
        let looked_up = cluster.discovery.as_ref().and_then(config::Discover::looked_up);
        let made = || {
            let config = super::tls::cluster(&settings)?;
            let name = settings.server_name.as_deref().or(looked_up);
            Ok(Self { config, name: name.map(super::tls::server_name).transpose()? })
        };
        made().map(Some).map_err(|wrong: super::tls::Wrong| {
            let path = format!("clusters.{}.tls.{}", cluster.name, wrong.key);
            reading.problem(&path, wrong.message)
        })
    }

    pub(super) fn secure(self, builder: ClusterBuilder) -> ClusterBuilder {
        let builder = builder.tls(self.config);
        match self.name {
            Some(name) => builder.tls_server_name(name),
            None => builder,
        }
    }
}

/// A build without TLS has none.
#[cfg(not(feature = "tls"))]
pub(super) enum UpstreamTls {}

#[cfg(not(feature = "tls"))]
impl UpstreamTls {
    #[allow(clippy::unnecessary_wraps, reason = "the same shape as with TLS")]
    pub(super) fn of(_: &Reading, _: &config::Cluster) -> Result<Option<Self>, Problem> {
        Ok(None)
    }

    pub(super) fn secure(self, _: ClusterBuilder) -> ClusterBuilder {
        match self {}
    }
}
