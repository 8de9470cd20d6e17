//! Kinds of credentials that a route requires together.

use gateway_layers::auth::CredentialSource;

use super::check::Check;
use super::identity::{IdentityConfig, IdentityKind};
use super::{IdentityMode, IdentityUse, Route};

impl Check<'_> {
    /// Whether one request can have the credentials of every kind.
    pub(super) fn combined(&mut self, path: &str, route: &Route) {
        let access = &route.policy.access;
        if access.mode != Some(IdentityMode::All) {
            return;
        }
        let at = format!("{path}.policy.identity");
        let known: Vec<_> =
            access.identities.iter().filter_map(|used| self.credential_sources(used)).collect();
        let mut problems = Vec::new();
        for (place, (kind, sources)) in known.iter().enumerate() {
            for (other, others) in known.iter().skip(place + 1) {
                problems.extend(conflict((*kind, sources), (*other, others)));
            }
        }
        let certificates = access.identities.iter().any(|used| used.kind == IdentityKind::Mtls);
        if certificates && access.has_several_kinds() && !self.asks_for_certificates(route) {
            problems.push(
                "`mtls` is required, and no listener of this route asks clients for a certificate: \
                 no request passes; expected `tls.client_auth` = \"optional\" or \"required\""
                    .to_owned(),
            );
        }
        problems.into_iter().for_each(|problem| self.error(&at, problem));
    }

    /// Where the credentials of `used` stand; `None` where they stand in no header, cookie or query.
    fn credential_sources(
        &self,
        used: &IdentityUse,
    ) -> Option<(IdentityKind, Vec<CredentialSource>)> {
        let mut named = self.parts.identities.iter().filter(|provider| {
            provider.settings.kind() == used.kind && used.providers.contains(&provider.name)
        });
        let sources = named.next().map(|one| IdentityConfig::credential_sources(&one.settings));
        sources.filter(|sources| !sources.is_empty()).map(|sources| (used.kind, sources))
    }
}

/// Why no request has the credentials of both.
fn conflict(
    (kind, sources): (IdentityKind, &[CredentialSource]),
    (other, others): (IdentityKind, &[CredentialSource]),
) -> Option<String> {
    let both = |one: &CredentialSource, two: &CredentialSource| {
        // The same token may be verified twice; two credentials do not fit into one place.
        !one.overlaps(two) || (one == two && shares(kind, other))
    };
    if sources.iter().any(|one| others.iter().any(|two| both(one, two))) {
        return None;
    }
    let place = sources.first().map(place_of).unwrap_or_default();
    Some(format!(
        "`{}` and `{}` are both required, and both are read from {place}, which holds one \
         credential: no request passes; expected different places, or \"any\"",
        kind.name(),
        other.name()
    ))
}

/// True where one credential may be valid for both kinds. A service that verifies tokens in its
/// own way may know those of every other kind.
fn shares(kind: IdentityKind, other: IdentityKind) -> bool {
    use IdentityKind::{Delegated, Introspection, Jwt};
    let token = |kind| matches!(kind, Jwt | Introspection | Delegated);
    kind == Delegated || other == Delegated || (token(kind) && token(other))
}

fn place_of(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Authorization(_) => "the header `authorization`".to_owned(),
        CredentialSource::Header(name) => format!("the header `{name}`"),
        CredentialSource::Cookie(name) => format!("the cookie `{name}`"),
        CredentialSource::Query(name) => format!("the query parameter `{name}`"),
        _ => "one place".to_owned(),
    }
}
