//! [`MtlsAuthenticator`]: callers known by the certificate of their connection (mutual TLS).
//!
//! The listener verifies certificates and says whose it is
//! ([`TlsInfo::client`](gateway_core::context::TlsInfo::client)); here that becomes the request's
//! [`Principal`]: its subject is the SPIFFE ID, or else the first DNS name, URI, mail address, or
//! the common name. Its claims are `common_name`, `dns_names`, `uris`, `emails`, `spiffe_id`,
//! `serial` and `fingerprint` (SHA-256, in hexadecimal).
//!
//! | what | answer |
//! | --- | --- |
//! | no certificate | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated), where nothing else is taken |
//! | one that names nobody | 401 [`CredentialsInvalid`](gateway_core::Reason::CredentialsInvalid) |
//! | a name that is not allowed | 403 [`Forbidden`](gateway_core::Reason::Forbidden) |
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::Authenticate;
//! use gateway_layers::auth::mtls::MtlsAuthenticator;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shops = MtlsAuthenticator::new().allow(["spiffe://example.org/ns/shop/*".parse()?]);
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(shops)).service(module),
//! );
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gateway_core::context::{Claim, ClientIdentity, Principal};
use gateway_core::{Error, Reason, Request, RequestExt};
use http::HeaderName;
use quick_cache::sync::Cache;

use super::{Authentication, Authenticator, Forward, Identity};

/// Certificates whose principals are remembered.
const REMEMBERED: usize = 10_000;

/// Knows callers by the certificate of their connection. Cheap to clone; clones share what they
/// remember.
#[derive(Clone)]
#[must_use]
pub struct MtlsAuthenticator {
    shared: Arc<Shared>,
}

struct Shared {
    allowed: Option<Vec<NamePattern>>,
    forward: Forward,
    /// By the hash of the certificate, which decides everything.
    known: Cache<[u8; 32], Identity>,
}

impl Default for MtlsAuthenticator {
    fn default() -> Self {
        Self::new()
    }
}

impl MtlsAuthenticator {
    /// Takes everybody whose certificate the listener took.
    pub fn new() -> Self {
        Self::of(None, Forward::new())
    }

    fn of(allowed: Option<Vec<NamePattern>>, forward: Forward) -> Self {
        let known = Cache::new(REMEMBERED);
        Self { shared: Arc::new(Shared { allowed, forward, known }) }
    }

    /// Takes only whoever has one of these names; nobody with none of them. Default: anybody.
    pub fn allow(self, names: impl IntoIterator<Item = NamePattern>) -> Self {
        Self::of(Some(names.into_iter().collect()), self.shared.forward.clone())
    }

    /// What upstreams are told. Default: nothing.
    pub fn forwards(self, forward: Forward) -> Self {
        Self::of(self.shared.allowed.clone(), forward)
    }

    fn identity(&self, client: &ClientIdentity) -> Result<Identity, Error> {
        if let Some(known) = self.shared.known.get(&client.fingerprint) {
            return Ok(known);
        }
        let subject = client.subject().ok_or_else(|| {
            Error::new(Reason::CredentialsInvalid).with_detail("the certificate names nobody")
        })?;
        let allowed = self.shared.allowed.as_ref();
        if allowed.is_some_and(|names| !names.iter().any(|name| name.fits(client))) {
            return Err(Error::new(Reason::Forbidden)
                .with_detail("no name of the certificate is allowed here"));
        }
        let mut principal = Principal::new(Arc::clone(subject), "mtls");
        principal.claims = claims(client);
        let fields = self.shared.forward.of(&principal).map_err(|problem| {
            Error::new(Reason::CredentialsInvalid).with_detail(problem.to_string())
        })?;
        let identity = Identity::new(principal).with_fields(fields);
        self.shared.known.insert(client.fingerprint, identity.clone());
        Ok(identity)
    }
}

impl Authenticator for MtlsAuthenticator {
    fn authenticate(&self, request: &Request) -> Authentication {
        let tls = request.context().and_then(|context| context.connection().tls.as_ref());
        match tls.and_then(|tls| tls.client.as_ref()) {
            None => Authentication::Missing,
            Some(client) => self.identity(client).into(),
        }
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.shared.forward.names()
    }
}

fn claims(client: &ClientIdentity) -> std::collections::BTreeMap<String, Claim> {
    let list = |names: &[Arc<str>]| {
        Claim::List(names.iter().map(|name| Claim::Text(Arc::clone(name))).collect())
    };
    let mut claims = std::collections::BTreeMap::new();
    let mut claim = |name: &str, value: Claim| drop(claims.insert(name.to_owned(), value));
    if let Some(name) = &client.common_name {
        claim("common_name", Claim::Text(Arc::clone(name)));
    }
    if let Some(id) = &client.spiffe_id {
        claim("spiffe_id", Claim::Text(Arc::clone(id)));
    }
    claim("dns_names", list(&client.dns_names));
    claim("uris", list(&client.uris));
    claim("emails", list(&client.emails));
    claim("serial", Claim::Text(Arc::clone(&client.serial)));
    claim("fingerprint", Claim::Text(client.fingerprint_hex().into()));
    claims
}

/// Names that a certificate may have: `spiffe://example.org/*`, `dns:orders.internal`,
/// `uri:https://a`, `email:a@b` or `cn:orders`. One `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    kind: NameKind,
    before: String,
    /// What follows the `*`, where there is one.
    after: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameKind {
    Spiffe,
    Dns,
    Uri,
    Email,
    CommonName,
}

/// What was found is no name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no name: expected spiffe://DOMAIN/PATH, dns:NAME, uri:URI, email:ADDRESS or \
     cn:NAME, with one `*` at most"
)]
pub struct NamePatternError {
    found: String,
}

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<Self, NamePatternError> {
        const KINDS: [(&str, NameKind); 4] = [
            ("dns:", NameKind::Dns),
            ("uri:", NameKind::Uri),
            ("email:", NameKind::Email),
            ("cn:", NameKind::CommonName),
        ];
        let named =
            KINDS.iter().find_map(|(prefix, kind)| Some((*kind, text.strip_prefix(prefix)?)));
        let spiffe = text.starts_with("spiffe://").then_some((NameKind::Spiffe, text));
        let error = || NamePatternError { found: text.to_owned() };
        let (kind, name) =
            named.or(spiffe).filter(|(_, name)| !name.is_empty()).ok_or_else(error)?;
        let (before, after) = match name.split_once('*') {
            None => (name, None),
            Some((before, after)) => (before, Some(after)),
        };
        // A trust domain decides who may name whom: it is always said in full.
        let whole_domain =
            kind != NameKind::Spiffe || after.is_none() || before.matches('/').count() >= 3;
        if after.is_some_and(|after| after.contains('*')) || !whole_domain {
            return Err(error());
        }
        // Names in DNS have no case.
        let case = |part: &str| match kind {
            NameKind::Dns => part.to_ascii_lowercase(),
            _ => part.to_owned(),
        };
        Ok(Self { kind, before: case(before), after: after.map(case) })
    }
}

impl NamePattern {
    fn fits(&self, client: &ClientIdentity) -> bool {
        match self.kind {
            NameKind::Spiffe => client.spiffe_id.iter().any(|name| self.takes(name)),
            NameKind::Dns => {
                client.dns_names.iter().any(|name| self.takes(&name.to_ascii_lowercase()))
            }
            NameKind::Uri => client.uris.iter().any(|name| self.takes(name)),
            NameKind::Email => client.emails.iter().any(|name| self.takes(name)),
            NameKind::CommonName => client.common_name.iter().any(|name| self.takes(name)),
        }
    }

    fn takes(&self, name: &str) -> bool {
        match &self.after {
            None => name == self.before,
            Some(after) => {
                name.strip_prefix(self.before.as_str()).is_some_and(|rest| rest.ends_with(after))
            }
        }
    }
}

impl fmt::Debug for MtlsAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsAuthenticator")
            .field("allowed", &self.shared.allowed)
            .field("forward", &self.shared.forward)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use gateway_core::context::{ConnectionInfo, RequestContext, ServedNames, TlsInfo, TlsVersion};
    use gateway_core::{Body, ListenerInfo};
    use tokio::time::Instant;

    use super::*;

    fn client(number: u8) -> ClientIdentity {
        ClientIdentity::new("01", [number; 32], SystemTime::UNIX_EPOCH)
    }

    fn request(client: Option<ClientIdentity>) -> Request {
        let mut tls = TlsInfo::new(TlsVersion::Tls13, "suite", Arc::new(ServedNames::new()));
        tls.client = client;
        let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
        let connection = Arc::new(connection.with_tls(tls));
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(RequestContext::new(connection, Instant::now()));
        request
    }

    fn reason(authentication: &Authentication) -> Option<Reason> {
        match authentication {
            Authentication::Rejected(error) => Some(error.reason()),
            _ => None,
        }
    }

    #[test]
    fn whoever_has_no_certificate_has_no_credentials() {
        let mtls = MtlsAuthenticator::new();
        assert!(matches!(mtls.authenticate(&request(None)), Authentication::Missing));
        let without = Request::new(Body::empty());
        assert!(matches!(mtls.authenticate(&without), Authentication::Missing));
        let nobody = mtls.authenticate(&request(Some(client(1))));
        assert_eq!(reason(&nobody), Some(Reason::CredentialsInvalid));
    }

    #[test]
    fn a_certificate_is_a_principal_with_all_its_names() {
        let mut orders = client(1);
        orders.common_name = Some("orders".into());
        orders.spiffe_id = Some("spiffe://a/orders".into());
        orders.uris = vec!["spiffe://a/orders".into()];
        let forward = Forward::new()
            .field(HeaderName::from_static("x-caller"), "subject")
            .field(HeaderName::from_static("x-certificate"), "fingerprint");
        let mtls = MtlsAuthenticator::new().forwards(forward);
        for _ in 0..2 {
            let Authentication::Known(known) = mtls.authenticate(&request(Some(orders.clone())))
            else {
                panic!("not known")
            };
            assert_eq!(&*known.principal.subject, "spiffe://a/orders");
            assert_eq!(known.principal.method, "mtls");
            let name = known.principal.claims.get("common_name");
            assert_eq!(name, Some(&Claim::Text("orders".into())));
            assert_eq!(known.fields.len(), 2);
            assert_eq!(known.fields[1].1, "01".repeat(32));
        }
        assert_eq!(mtls.shared.known.len(), 1);
        assert_eq!(mtls.reserved_headers().len(), 2);
    }

    #[test]
    fn only_allowed_names_pass() {
        let names = ["spiffe://a/ns/shop/*", "dns:*.internal", "cn:orders"];
        let names = names.map(|name| name.parse().unwrap());
        let mtls = MtlsAuthenticator::new().allow(names);
        let mut number = 0;
        let mut passes = |edit: fn(&mut ClientIdentity)| {
            number += 1;
            let mut client = client(number);
            edit(&mut client);
            let outcome = mtls.authenticate(&request(Some(client)));
            let rejected = reason(&outcome);
            assert!(rejected.is_none_or(|reason| reason == Reason::Forbidden));
            rejected.is_none()
        };
        assert!(passes(|client| client.spiffe_id = Some("spiffe://a/ns/shop/orders".into())));
        assert!(passes(|client| client.dns_names = vec!["A.Internal".into()]));
        assert!(passes(|client| client.common_name = Some("orders".into())));
        assert!(!passes(|client| client.spiffe_id = Some("spiffe://a/ns/other/x".into())));
        assert!(!passes(|client| client.spiffe_id = Some("spiffe://b/ns/shop/x".into())));
        // A name of one kind is none of another.
        assert!(!passes(|client| client.common_name = Some("spiffe://a/ns/shop/x".into())));
        assert!(!passes(|client| client.emails = vec!["orders".into()]));
        assert!(!passes(|client| client.dns_names = vec!["a.internal.evil".into()]));
    }

    #[test]
    fn names_are_of_a_kind() {
        for text in ["spiffe://a/*", "dns:a.b", "uri:https://a/*/b", "email:*@a.b", "cn:a b"] {
            assert!(text.parse::<NamePattern>().is_ok(), "{text}");
        }
        for text in ["a.b", "dns:", "dns:*.*", "spiffe://*", "spiffe://a*/b", "cn:a*b*c", ""] {
            let error = text.parse::<NamePattern>().unwrap_err().to_string();
            assert!(error.contains("expected spiffe://"), "{error}");
        }
    }
}
