//! Who decides about requests of a route, out of a document.

use gateway_layers::auth::external::{ExternalAuth, ExternalAuthError};

use super::parts::Leads;
use crate::config;

/// Builds `config`; `None`: it leads nowhere.
pub(super) fn build(
    config: &config::ExternalAuth,
    leads: &Leads<'_>,
) -> Option<Result<ExternalAuth, ExternalAuthError>> {
    let module = leads.destination(&config.to)?;
    let builder = ExternalAuth::builder(module, config.path.as_str())
        .method(config.method.clone())
        .timeout(config.timeout)
        .headers(config.headers.iter().cloned())
        .original(config.original.clone())
        .identity(config.identity.clone())
        .upstream_headers(config.upstream_headers.iter().cloned())
        .response_headers(config.response_headers.iter().cloned())
        .rejection_headers(config.rejection_headers.iter().cloned())
        .principal(config.principal.clone());
    let builder = match config.cache {
        Some((ttl, entries)) => builder.cache(ttl, entries),
        None => builder,
    };
    Some(builder.build())
}
