//! Who is asked about tokens, out of a document.

use gateway_core::BoxError;
#[cfg(feature = "tls")]
use gateway_core::Cluster;
use gateway_layers::auth::delegated::Delegated;
use gateway_layers::auth::introspection::{ClientCredentials, Introspection};
use gateway_layers::auth::remote::{RemoteAuthenticator, RemoteServer};

use super::parts::Leads;
use crate::config::{
    DelegatedProvider, IdentityConfig, IntrospectionCredentials, IntrospectionProvider,
    RemoteProvider, RemoteTo,
};

/// What both kinds are told in the same words.
macro_rules! common {
    ($built:expr, $remote:expr) => {{
        let remote: &RemoteProvider = $remote;
        let claims = &remote.claims;
        let mut built = $built
            .settings(remote.settings.clone())
            .required_claims(remote.required_claims.iter().map(String::as_str))
            .from(remote.from.iter().cloned())
            .forward(remote.forward.clone())
            .credentials(remote.credentials)
            .realm(remote.realm.as_str());
        if let Some(name) = &claims.subject {
            built = built.subject_claim(name.as_str());
        }
        if !claims.roles.is_empty() {
            built = built.roles_claims(claims.roles.iter().map(String::as_str));
        }
        if !claims.scopes.is_empty() {
            built = built.scopes_claims(claims.scopes.iter().map(String::as_str));
        }
        if let Some(name) = &claims.tier {
            built = built.tier_claim(name.as_str());
        }
        if let Some(name) = &claims.tenant {
            built = built.tenant_claim(name.as_str());
        }
        built
    }};
}

/// Builds what `settings` say, where they ask a server.
pub(super) fn build(
    settings: &IdentityConfig,
    leads: &Leads<'_>,
) -> Result<RemoteAuthenticator, BoxError> {
    match settings {
        IdentityConfig::Introspection(provider) => introspection(provider, leads),
        IdentityConfig::Delegated(provider) => delegated(provider, leads),
        _ => Err("asks nobody".into()),
    }
}

fn introspection(
    provider: &IntrospectionProvider,
    leads: &Leads<'_>,
) -> Result<RemoteAuthenticator, BoxError> {
    let credentials = match &provider.credentials {
        IntrospectionCredentials::None => ClientCredentials::none(),
        IntrospectionCredentials::Client(id, secret) => {
            ClientCredentials::basic(id.as_str(), secret.reveal())
        }
        IntrospectionCredentials::Token(token) => ClientCredentials::bearer(token.reveal()),
    };
    let server = server(&provider.remote, leads)?;
    let mut built = Introspection::new(server, credentials).skew(provider.skew);
    if let Some(issuer) = &provider.issuer {
        built = built.issuer(issuer.as_str());
    }
    for audience in &provider.audience {
        built = built.audience(audience.as_str());
    }
    Ok(common!(built, &provider.remote).build()?)
}

fn delegated(
    provider: &DelegatedProvider,
    leads: &Leads<'_>,
) -> Result<RemoteAuthenticator, BoxError> {
    let mut built = Delegated::new(server(&provider.remote, leads)?)
        .method(provider.method.clone())
        .send(provider.send.clone())
        .rejected_statuses(provider.rejected_statuses.iter().copied())
        .expires_claim(provider.expires.clone());
    if let Some(name) = &provider.active {
        built = built.active_claim(name.as_str());
    }
    Ok(common!(built, &provider.remote).build()?)
}

fn server(remote: &RemoteProvider, leads: &Leads<'_>) -> Result<RemoteServer, BoxError> {
    match &remote.to {
        RemoteTo::Cluster { cluster, path } => {
            let module = leads.cluster(cluster).ok_or("leads to nothing that could be built")?;
            Ok(RemoteServer::module(module, path.as_str()))
        }
        RemoteTo::Url { url, ca } => connected(RemoteServer::url(url), ca.as_deref()),
    }
}

/// Connections to a server, verified as those to upstreams are.
#[cfg(feature = "tls")]
fn connected(server: RemoteServer, ca: Option<&str>) -> Result<RemoteServer, BoxError> {
    let tls = match ca {
        Some(ca) => super::tls::client_trusting(ca)?,
        None => super::tls::client()?,
    };
    Ok(server.cluster(move || Cluster::builder("identity").tls(std::sync::Arc::clone(&tls))))
}

#[cfg(not(feature = "tls"))]
fn connected(server: RemoteServer, _: Option<&str>) -> Result<RemoteServer, BoxError> {
    Ok(server)
}
