//! `[identity.service_token.NAME]`: tokens that services share with the gateway.

use gateway_layers::auth::CredentialHandling;
use gateway_layers::auth::service_token::ServiceToken;
use gateway_layers::auth::{Forward, SecretDigest};
use http::HeaderName;

use super::names;
use crate::config::reader::Field;

/// Services that are known by tokens.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceTokenProvider {
    /// `tokens`: each with its `service`, and `token` (a secret) or its `sha256`; `roles`,
    /// `scopes`, `tier`, `tenant`. Required.
    pub tokens: Vec<ServiceToken>,
    /// `header` in which they stand. Default: `x-service-token`.
    pub header: HeaderName,
    /// `forward`: attributes for upstreams by header field.
    pub forward: Forward,
    /// `credentials`: `drop` or `keep`. Default: `drop`.
    pub credentials: CredentialHandling,
    /// `realm` of challenges. Default: `gateway`.
    pub realm: String,
}

impl ServiceTokenProvider {
    /// Services with one of these tokens, with every default.
    pub fn new(tokens: Vec<ServiceToken>) -> Self {
        Self {
            tokens,
            header: HeaderName::from_static("x-service-token"),
            forward: Forward::new(),
            credentials: CredentialHandling::Drop,
            realm: "gateway".to_owned(),
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        const TOKENS: &str = "a list such as [{ service = \"billing\", token = \"...\" }]";
        let mut table = field.table("[identity.service_token.internal]")?;
        let mut provider = Self::new(Vec::new());
        if let Some(field) = table.require("tokens", TOKENS) {
            if field.is_empty_list() {
                field.reject::<()>("at least one token");
            }
            provider.tokens = field.list(TOKENS, token).unwrap_or_default();
            let mut digests: Vec<_> = provider.tokens.iter().map(|token| token.digest).collect();
            digests.sort();
            if digests.windows(2).any(|pair| pair.first() == pair.last()) {
                field.note::<()>("the same token twice: nobody could say whose it is".to_owned());
            }
        }
        table.set("header", &mut provider.header, |field| super::header(&field));
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.set("credentials", &mut provider.credentials, |field| super::credentials(&field));
        table.set("realm", &mut provider.realm, |field| field.name("a name"));
        table.finish();
        Some(provider)
    }
}

fn token(field: Field<'_>) -> Option<ServiceToken> {
    let mut table = field.table("{ service = \"billing\", token = \"...\" }")?;
    let service = table.require("service", "the name of a service");
    let service = service.and_then(|field| field.name("the name of a service"));
    let found = match table.only_one(&["token", "sha256"]) {
        Some(("token", field)) => field.secret().and_then(|secret| {
            let service = service.clone().unwrap_or_else(|| "?".to_owned());
            let token = ServiceToken::new(service, secret.reveal());
            token.map_err(|error| field.note::<()>(error.to_string())).ok()
        }),
        Some((_, field)) => {
            // Not shown: somebody may have put the token there.
            let digest = field.peek_text().and_then(SecretDigest::from_hex);
            let digest = digest
                .or_else(|| field.note("is no SHA-256, expected 64 hexadecimal digits".to_owned()));
            digest.and_then(|digest| {
                let service = service.clone().unwrap_or_else(|| "?".to_owned());
                let token = ServiceToken::hashed(service, digest);
                token.map_err(|error| field.note::<()>(error.to_string())).ok()
            })
        }
        None => table.field().note("no token, expected `token` or `sha256`".to_owned()),
    };
    let (mut roles, mut scopes, mut tier, mut tenant) = (Vec::new(), Vec::new(), None, None);
    table.set("roles", &mut roles, |field| Some(names(&field, "a role")));
    table.set("scopes", &mut scopes, |field| Some(names(&field, "a scope")));
    table.set("tier", &mut tier, |field| field.name("a tier").map(Some));
    table.set("tenant", &mut tenant, |field| field.name("a tenant").map(Some));
    table.finish();
    let mut token = found.filter(|_| service.is_some())?.roles(roles).scopes(scopes);
    (token.tier, token.tenant) = (tier, tenant);
    Some(token)
}
