//! `[identity.KIND.NAME]`: how callers are known.

mod api_key;
mod basic;
mod delegated;
mod introspection;
mod jwt;
mod mtls;
mod remote;
mod service_token;
mod signature;

use gateway_layers::auth::CredentialHandling;
use gateway_layers::auth::{CredentialSource, Forward};
use http::HeaderName;

pub use self::api_key::{ApiKeyProvider, KeyCache, KeysFrom};
pub use self::basic::{BasicProvider, UsersFrom};
pub use self::delegated::DelegatedProvider;
pub use self::introspection::{IntrospectionCredentials, IntrospectionProvider};
pub use self::jwt::{JwtClaims, JwtKeys, JwtKeysFrom, JwtProvider};
pub use self::mtls::MtlsProvider;
pub use self::remote::{RemoteProvider, RemoteTo};
pub use self::service_token::ServiceTokenProvider;
pub(in crate::config) use self::signature::covered;
pub use self::signature::{KeyConfig, KeyEncoding, PartnerKey, SignatureProvider};
use super::reader::{Field, Table};
use super::value::key_path;

/// A kind of credentials. A route that wants several kinds looks for them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IdentityKind {
    /// Certificates of connections (mutual TLS).
    Mtls,
    /// Signed tokens (RFC 7519).
    Jwt,
    /// Tokens that their issuer is asked about (RFC 7662).
    Introspection,
    /// Tokens that a service verifies in its own way.
    Delegated,
    /// Keys that are issued to callers.
    ApiKey,
    /// Names and passwords (RFC 7617).
    Basic,
    /// Tokens that services share.
    ServiceToken,
    /// Signed requests (RFC 9421).
    Signature,
}

impl IdentityKind {
    /// Every kind there is, in order.
    pub const ALL: &'static [Self] = &[
        Self::Mtls,
        Self::Jwt,
        Self::Introspection,
        Self::Delegated,
        Self::ApiKey,
        Self::Basic,
        Self::ServiceToken,
        Self::Signature,
    ];

    /// Its key, below `identity` and in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Jwt => "jwt",
            Self::Introspection => "introspection",
            Self::Delegated => "delegated",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::ServiceToken => "service_token",
            Self::Signature => "signature",
        }
    }

    /// Whether a route can take several of this kind: whether credentials say whose they are.
    pub const fn takes_several(self) -> bool {
        matches!(self, Self::Jwt)
    }
}

/// `[identity.KIND.NAME]`: one way in which callers are known.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IdentityProvider {
    /// The key of the table: what policies call it. Unique within its kind.
    pub name: String,
    /// What its kind needs.
    pub settings: IdentityConfig,
}

/// What a kind of credentials needs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum IdentityConfig {
    /// `[identity.mtls.NAME]`.
    Mtls(MtlsProvider),
    /// `[identity.jwt.NAME]`.
    Jwt(Box<JwtProvider>),
    /// `[identity.introspection.NAME]`.
    Introspection(Box<IntrospectionProvider>),
    /// `[identity.delegated.NAME]`.
    Delegated(Box<DelegatedProvider>),
    /// `[identity.api_key.NAME]`.
    ApiKey(ApiKeyProvider),
    /// `[identity.basic.NAME]`.
    Basic(BasicProvider),
    /// `[identity.service_token.NAME]`.
    ServiceToken(ServiceTokenProvider),
    /// `[identity.signature.NAME]`.
    Signature(SignatureProvider),
}

impl IdentityConfig {
    /// Of which kind they are.
    pub const fn kind(&self) -> IdentityKind {
        match self {
            Self::Mtls(_) => IdentityKind::Mtls,
            Self::Jwt(_) => IdentityKind::Jwt,
            Self::Introspection(_) => IdentityKind::Introspection,
            Self::Delegated(_) => IdentityKind::Delegated,
            Self::ApiKey(_) => IdentityKind::ApiKey,
            Self::Basic(_) => IdentityKind::Basic,
            Self::ServiceToken(_) => IdentityKind::ServiceToken,
            Self::Signature(_) => IdentityKind::Signature,
        }
    }

    /// What upstreams are told of callers.
    pub const fn forward(&self) -> &Forward {
        match self {
            Self::Mtls(provider) => &provider.forward,
            Self::Jwt(provider) => &provider.forward,
            Self::Introspection(provider) => &provider.remote.forward,
            Self::Delegated(provider) => &provider.remote.forward,
            Self::ApiKey(provider) => &provider.forward,
            Self::Basic(provider) => &provider.forward,
            Self::ServiceToken(provider) => &provider.forward,
            Self::Signature(provider) => &provider.forward,
        }
    }

    /// Where credentials of this kind stand in a request. Certificates belong to the connection,
    /// and signatures have headers of their own.
    pub(crate) fn credential_sources(&self) -> Vec<CredentialSource> {
        match self {
            Self::Mtls(_) | Self::Signature(_) => Vec::new(),
            Self::Jwt(provider) => provider.from.clone(),
            Self::Introspection(provider) => provider.remote.from.clone(),
            Self::Delegated(provider) => provider.remote.from.clone(),
            Self::ApiKey(provider) => provider.from.clone(),
            Self::Basic(_) => vec![CredentialSource::Authorization("Basic".into())],
            Self::ServiceToken(provider) => vec![CredentialSource::Header(provider.header.clone())],
        }
    }

    /// Who is asked about tokens, where somebody is.
    pub fn remote(&self) -> Option<&RemoteProvider> {
        match self {
            Self::Introspection(provider) => Some(&provider.remote),
            Self::Delegated(provider) => Some(&provider.remote),
            _ => None,
        }
    }

    fn read(kind: IdentityKind, name: &str, field: Field<'_>) -> Option<Self> {
        match kind {
            IdentityKind::Mtls => MtlsProvider::read(name, field).map(Self::Mtls),
            IdentityKind::Jwt => JwtProvider::read(name, field).map(Box::new).map(Self::Jwt),
            IdentityKind::Introspection => {
                IntrospectionProvider::read(field).map(Box::new).map(Self::Introspection)
            }
            IdentityKind::Delegated => {
                DelegatedProvider::read(field).map(Box::new).map(Self::Delegated)
            }
            IdentityKind::ApiKey => ApiKeyProvider::read(field).map(Self::ApiKey),
            IdentityKind::Basic => BasicProvider::read(field).map(Self::Basic),
            IdentityKind::ServiceToken => ServiceTokenProvider::read(field).map(Self::ServiceToken),
            IdentityKind::Signature => SignatureProvider::read(name, field).map(Self::Signature),
        }
    }
}

impl IdentityProvider {
    /// A provider of this name.
    pub fn new(name: impl Into<String>, settings: IdentityConfig) -> Self {
        Self { name: name.into(), settings }
    }

    /// Its place in the document.
    pub fn path(&self) -> String {
        path(self.settings.kind(), &self.name)
    }
}

/// The place of `[identity.KIND.NAME]`.
pub(crate) fn path(kind: IdentityKind, name: &str) -> String {
    key_path(&key_path("identity", kind.name()), name)
}

/// The providers that could be read, and the names of all.
pub(super) type Found = (Vec<IdentityProvider>, Vec<(IdentityKind, String)>);

pub(super) fn read(field: Field<'_>) -> Option<Found> {
    let mut table = field.table("[identity.jwt.main]")?;
    let (mut providers, mut names): Found = Default::default();
    for kind in IdentityKind::ALL.iter().copied() {
        let Some(field) = table.take(kind.name()) else { continue };
        for (name, field) in field.entries("a table such as [identity.jwt.main]") {
            names.push((kind, name.to_owned()));
            if name.is_empty() {
                field.note::<()>("a provider without a name".to_owned());
            }
            let settings = IdentityConfig::read(kind, name, field);
            providers.extend(settings.map(|settings| IdentityProvider::new(name, settings)));
        }
    }
    table.finish();
    Some((providers, names))
}

const FROM: &str = "\"header\", \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"";

/// `from`: where credentials stand; `header` is `Authorization: Bearer`.
fn sources(table: &mut Table<'_>, to: &mut Vec<CredentialSource>) {
    let Some(field) = table.take("from") else { return };
    if field.is_empty_list() {
        field.reject::<()>("at least one place");
    }
    *to = field.one_or_list(|field| {
        let text = field.text(FROM)?;
        match text.split_once(':') {
            None if text == "header" => Some(CredentialSource::bearer()),
            Some(("header", name)) => name.parse().ok().map(CredentialSource::Header),
            Some(("cookie", name)) if is_name(name) => {
                Some(CredentialSource::Cookie(name.to_owned()))
            }
            Some(("query", name)) if is_name(name) => {
                Some(CredentialSource::Query(name.to_owned()))
            }
            _ => None,
        }
        .or_else(|| field.reject(FROM))
    });
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"=;,&".contains(&byte))
}

/// `forward`: an attribute for each header field.
pub(in crate::config) fn forward(field: &Field<'_>) -> Option<Forward> {
    let mut forward = Forward::new();
    for (name, field) in field.entries("a table such as { x-user-id = \"sub\" }") {
        let Ok(header) = name.parse::<HeaderName>() else {
            field.note::<()>(format!("{name:?} is no name of a header field"));
            continue;
        };
        let Some(attribute) = field.name("the name of a claim or attribute, such as \"sub\"")
        else {
            continue;
        };
        let one = Forward::new().field(header.clone(), attribute.as_str());
        if one.reserved().is_some() {
            field.note::<()>(format!("{header} has a meaning of its own, expected another field"));
            continue;
        }
        forward = forward.field(header, attribute);
    }
    Some(forward)
}

/// `credentials`: whether upstreams get what callers have shown.
fn credentials(field: &Field<'_>) -> Option<CredentialHandling> {
    field.choice(&[("keep", CredentialHandling::Keep), ("drop", CredentialHandling::Drop)])
}

/// The name of a header field.
fn header(field: &Field<'_>) -> Option<HeaderName> {
    field.parse("the name of a header field such as \"x-api-key\"")
}

/// Names of roles and the like.
fn names(field: &Field<'_>, expected: &str) -> Vec<String> {
    field.one_or_list(|field| field.name(expected))
}

/// True for a URL of plain `http` to another machine than this one.
fn is_plain_and_remote(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback());
    url.scheme_str() == Some("http") && !here
}
