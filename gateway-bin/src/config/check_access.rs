//! Who may use routes, across the parts of a document.

use gateway_core::upstream::HostPolicy;

use super::check::{Check, unknown};
use super::identity::{IdentityConfig, IdentityKind, path as provider_path};
use super::{
    Access, ClientAuth, Cluster, ExternalAuth, IdentityMode, JwtProvider, LimitStore, Route, Sign,
};

impl Check<'_> {
    /// Whether whoever a route wants to know can be known.
    pub(super) fn access(&mut self, path: &str, route: &Route) {
        let access = &route.policy.access;
        for used in &access.identities {
            let at = format!("{path}.policy.{}", used.kind.name());
            for name in &used.providers {
                let names = self.parts.identity_names.iter();
                let known = names.filter(|(kind, _)| *kind == used.kind);
                let known: Vec<_> = known.map(|(_, name)| name.as_str()).collect();
                if !known.contains(&name.as_str()) {
                    let what = format!("an [identity.{}.NAME]", used.kind.name());
                    self.error(&at, unknown(name, &what, known.into_iter()));
                }
            }
            match used.kind {
                IdentityKind::Jwt => self.one_reading(&at, &used.providers),
                IdentityKind::Introspection | IdentityKind::Delegated
                    if used.providers.len() > 1 =>
                {
                    self.error(&at, "a token does not say whom to ask, expected one provider");
                }
                _ => {}
            }
            // Where it is required beside others, an error says so.
            let required = access.mode == Some(IdentityMode::All) && access.has_several_kinds();
            if used.kind == IdentityKind::Mtls && !required && !self.asks_for_certificates(route) {
                let message = "no listener of this route asks clients for a certificate, expected \
                               `tls.client_auth` = \"optional\" or \"required\"";
                self.warn(&at, message);
            }
        }
        self.mode(path, access);
        let any = !self.parts.identity_names.is_empty() || self.places.is_written("identity");
        if any && access.identities.is_empty() && !access.public {
            let message = "nobody can call this route, since the document has [identity]: name \
                           how callers are known, or say `policy.public = true`";
            self.warn(path, message);
        }
        let asks = route.policy.authorize.is_some();
        let external = route.policy.external_auth.as_ref();
        let says_who = external.is_some_and(ExternalAuth::knows_callers);
        if asks && access.identities.is_empty() && !says_who {
            let at = format!("{path}.policy.authorize");
            self.error(&at, "nobody is known on this route, expected a provider beside it");
        }
    }

    /// True where a client of the route may show a certificate.
    pub(super) fn asks_for_certificates(&self, route: &Route) -> bool {
        let mut listeners = self.parts.listeners.iter().map(|(_, listener)| listener);
        !self.parts.all_listeners
            || listeners.any(|listener| {
                let reached =
                    route.listeners.is_empty() || route.listeners.contains(&listener.name);
                let tls = listener.tls.as_ref();
                reached && tls.is_some_and(|tls| tls.client_auth != ClientAuth::Off)
            })
    }

    fn mode(&mut self, path: &str, access: &Access) {
        let kinds: Vec<_> = access.identities.iter().map(|used| used.kind.name()).collect();
        match (access.mode, kinds.as_slice()) {
            (None, [_, _, ..]) => {
                let kinds = kinds.join(" and ");
                let message = format!(
                    "{kinds} are named, expected `policy.identity = \"any\"` or \"all\" beside them"
                );
                self.error(&format!("{path}.policy"), message);
            }
            (Some(IdentityMode::All), []) | (Some(IdentityMode::Any), []) => {
                let at = format!("{path}.policy.identity");
                self.error(&at, "no kind of credentials is named beside it");
            }
            _ => {}
        }
        let Some(principal) = access.principal else { return };
        let at = format!("{path}.policy.identity.principal");
        if access.mode == Some(IdentityMode::Any) {
            let message = "with \"any\", the kind that verifies its credentials says who is \
                           calling, expected `mode = \"all\"`";
            self.error(&at, message);
        } else if !kinds.contains(&principal.name()) {
            let message = format!("`policy.{}` is not named beside it", principal.name());
            self.error(&at, message);
        }
    }

    /// Tokens of several issuers are read in one way.
    fn one_reading(&mut self, at: &str, names: &[String]) {
        let of = |name: &String| {
            self.parts.identities.iter().find_map(|provider| match &provider.settings {
                IdentityConfig::Jwt(settings) if provider.name == *name => Some(&**settings),
                _ => None,
            })
        };
        let reading = |settings: &JwtProvider| {
            let (from, limit) = (settings.from.clone(), settings.token_limit);
            (from, settings.credentials, settings.realm.clone(), limit)
        };
        let mut readings = names.iter().filter_map(of).map(reading);
        let first = readings.next();
        if readings.any(|other| Some(other) != first) {
            let message = "issuers of one route have the same `from`, `authorization`, `realm` and \
                           `token_limit`";
            self.error(at, message);
        }
        let issuers: Vec<_> = names.iter().filter_map(of).map(|one| one.issuer.clone()).collect();
        for (index, issuer) in issuers.iter().enumerate() {
            if issuers.iter().take(index).any(|before| before == issuer) {
                let first = names.first().map_or("", String::as_str);
                let message = format!(
                    "two of them have the issuer of {}, expected each to have one of its own",
                    provider_path(IdentityKind::Jwt, first)
                );
                self.error(at, message);
            }
        }
    }

    /// Whether a cluster that the gateway asks by itself can sign what it is asked: there is no
    /// client whose host could be kept.
    pub(super) fn signable(&mut self, at: &str, name: &str) {
        let keeps = |cluster: &&(String, Cluster)| {
            let Cluster { host, sign, .. } = &cluster.1;
            *host == HostPolicy::Preserve && sign.as_ref().is_some_and(Sign::covers_host)
        };
        let mut clusters = self.parts.clusters.iter();
        let found = clusters.find(|(_, cluster)| cluster.name == name).filter(keeps);
        if let Some((path, _)) = found {
            let message = format!(
                "{path} signs the host that clients ask for, and what the gateway asks by itself \
                 has none, expected `host = \"endpoint\"` or a name there, or `sign.covered` \
                 without the host"
            );
            self.error(at, message);
        }
    }

    /// Whether what a route counts can be counted.
    pub(super) fn counting(&mut self, path: &str, route: &Route) {
        let Some(limit) = &route.policy.rate_limit else { return };
        let has_redis = self.parts.stores.redis.is_some() || self.places.is_written("stores.redis");
        if limit.store == LimitStore::Redis && !has_redis {
            let at = format!("{path}.policy.rate_limit");
            self.error(&at, "counts in Redis, and there is no [stores.redis] in the document");
        }
    }
}
