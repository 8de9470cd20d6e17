//! `[identity.signature.NAME]`: partners whose requests are signed.

use gateway_layers::auth::CredentialHandling;
use std::time::Duration;

use gateway_layers::auth::Forward;
use gateway_layers::auth::signature::{
    Component, DEFAULT_MAX_AGE, DEFAULT_NONCES, DEFAULT_SKEW, NonceRule, SignatureAlgorithm,
    SignatureKey, SignatureKeyError,
};

use crate::config::policy::LimitStore;
use crate::config::reader::{Field, Table};
use crate::config::units::{duration, some_duration};
use gateway_layers::secret::Secret;

const MOST: i64 = 100_000_000;

const COMPONENT: &str =
    "a component such as \"@method\", \"content-digest\" or \"@query-param;name=\\\"id\\\"\"";

/// Partners whose requests are signed, and how (RFC 9421).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SignatureProvider {
    /// `keys`, one at least. Required.
    pub keys: Vec<PartnerKey>,
    /// `covered`: what signatures must cover. Default: `@method`, `@authority`, `@path`, `@query`
    /// and `content-digest`.
    pub covered: Option<Vec<Component>>,
    /// `max_age` of a signature. Default: 5 min.
    pub max_age: Duration,
    /// `skew` of clocks. Default: 60 s.
    pub skew: Duration,
    /// `nonce`: `required` or `optional`. Default: `required`.
    pub nonce: NonceRule,
    /// `nonces`: how many of each key are remembered in memory. Default: 100,000.
    pub nonces: usize,
    /// `store` of nonces: `memory` or `redis`. Default: `memory`.
    pub store: LimitStore,
    /// `tag` that signatures must have. Default: any.
    pub tag: Option<String>,
    /// `signature`: whether upstreams get it, `keep` or `drop`. Default: `keep`.
    pub credentials: CredentialHandling,
    /// `forward`: attributes of a key's owner for upstreams by header field.
    pub forward: Forward,
    /// `realm` of challenges. Default: `gateway`.
    pub realm: String,
}

/// A partner's key, and whose it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PartnerKey {
    /// `id`, `algorithm`, `key` and `encoding`.
    pub key: KeyConfig,
    /// `owner`: the subject of the principal. Default: the id of the key.
    pub owner: Option<String>,
    /// `roles` of the owner.
    pub roles: Vec<String>,
    /// `scopes` of the owner.
    pub scopes: Vec<String>,
    /// `tier` of the owner.
    pub tier: Option<String>,
    /// `tenant` of the owner.
    pub tenant: Option<String>,
}

/// A key that signs or verifies.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyConfig {
    /// `id`: what signatures call it (`keyid`). Required.
    pub id: String,
    /// `algorithm`, such as `ed25519`. Required.
    pub algorithm: SignatureAlgorithm,
    /// `key`: PEM, a JWK, or for `hmac-sha256` a secret. Required.
    pub key: Secret,
    /// `encoding` of a secret: `text` or `base64`. Default: `text`.
    pub encoding: KeyEncoding,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyEncoding {
    /// `text`: its bytes are the secret.
    #[default]
    Text,
    /// `base64` of the secret.
    Base64,
}

impl KeyConfig {
    /// A key called `id`.
    pub fn new(id: impl Into<String>, algorithm: SignatureAlgorithm, key: Secret) -> Self {
        Self { id: id.into(), algorithm, key, encoding: KeyEncoding::default() }
    }

    /// The key itself: a JWK where it begins with a brace, else a secret or PEM.
    ///
    /// # Errors
    ///
    /// When it is no key of its algorithm.
    pub fn build(&self) -> Result<SignatureKey, SignatureKeyError> {
        let text = self.key.reveal();
        if text.trim_start().starts_with('{') {
            return SignatureKey::jwk(self.algorithm, text);
        }
        match (self.algorithm, self.encoding) {
            (SignatureAlgorithm::HmacSha256, KeyEncoding::Text) => {
                SignatureKey::secret(text.as_bytes())
            }
            (SignatureAlgorithm::HmacSha256, KeyEncoding::Base64) => {
                SignatureKey::secret_base64(text.trim())
            }
            (algorithm, _) => SignatureKey::pem(algorithm, text),
        }
    }

    /// Reads the keys of it out of `table`.
    pub(in crate::config) fn read(table: &mut Table<'_>) -> Option<Self> {
        let id = table.require("id", "what signatures call the key");
        let id = id.and_then(|field| field.name("what signatures call the key"));
        let algorithm = table.require("algorithm", "such as \"ed25519\"");
        let algorithm = algorithm.and_then(|field| field.choice(&algorithms()));
        let key = table.require("key", "PEM, a JWK or a secret");
        let read = key.as_ref().and_then(Field::secret);
        let mut encoding = KeyEncoding::default();
        table.set("encoding", &mut encoding, |field| {
            field.choice(&[("text", KeyEncoding::Text), ("base64", KeyEncoding::Base64)])
        });
        let settings = Self { encoding, ..Self::new(id?, algorithm?, read?) };
        if let Err(problem) = settings.build() {
            return key?.note(problem.to_string());
        }
        Some(settings)
    }
}

fn algorithms() -> [(&'static str, SignatureAlgorithm); 6] {
    SignatureAlgorithm::ALL.map(|one| (one.as_str(), one))
}

/// `covered`: a list of components.
pub(in crate::config) fn covered(field: &Field<'_>) -> Option<Vec<Component>> {
    if field.is_empty_list() {
        return field.reject("at least one component");
    }
    Some(field.one_or_list(|field| field.parse(COMPONENT)))
}

impl SignatureProvider {
    /// Requests signed with one of `keys`, with every default.
    pub fn new(keys: Vec<PartnerKey>) -> Self {
        Self {
            keys,
            covered: None,
            max_age: DEFAULT_MAX_AGE,
            skew: DEFAULT_SKEW,
            nonce: NonceRule::default(),
            nonces: DEFAULT_NONCES,
            store: LimitStore::Memory,
            tag: None,
            credentials: CredentialHandling::Keep,
            forward: Forward::new(),
            realm: "gateway".to_owned(),
        }
    }

    pub(super) fn read(_: &str, field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[identity.signature.partners]")?;
        let keys = table.require("keys", "a list of keys").map(|field| {
            if field.is_empty_list() {
                field.reject::<()>("at least one key");
            }
            field.one_or_list(PartnerKey::read)
        });
        let known = keys.is_some();
        let mut provider = Self::new(keys.unwrap_or_default());
        table.set("covered", &mut provider.covered, |field| covered(&field).map(Some));
        table.set("max_age", &mut provider.max_age, |field| some_duration(&field));
        table.set("skew", &mut provider.skew, |field| duration(&field));
        table.set("nonce", &mut provider.nonce, |field| {
            field.choice(&[("required", NonceRule::Required), ("optional", NonceRule::Optional)])
        });
        table.set("nonces", &mut provider.nonces, |field| field.number(1, MOST));
        table.set("store", &mut provider.store, |field| {
            field.choice(&[("memory", LimitStore::Memory), ("redis", LimitStore::Redis)])
        });
        table.set("tag", &mut provider.tag, |field| {
            field.name("the name of an application").map(Some)
        });
        table.set("credentials", &mut provider.credentials, |field| super::credentials(&field));
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.set("realm", &mut provider.realm, |field| field.name("a name"));
        table.finish();
        known.then_some(provider)
    }
}

impl PartnerKey {
    /// A key whose owner has its name.
    pub fn new(key: KeyConfig) -> Self {
        Self { key, owner: None, roles: Vec::new(), scopes: Vec::new(), tier: None, tenant: None }
    }

    fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table(
            "{ id = \"orders-2026\", algorithm = \"ed25519\", key = { file = \"orders.pem\" } }",
        )?;
        let key = KeyConfig::read(&mut table);
        let name = |field: &Field<'_>| field.name("a name");
        let names = |field: Field<'_>| Some(field.one_or_list(|field| field.name("a name")));
        let (mut owner, mut tier, mut tenant) = (None, None, None);
        let (mut roles, mut scopes) = (Vec::new(), Vec::new());
        table.set("owner", &mut owner, |field| name(&field).map(Some));
        table.set("roles", &mut roles, names);
        table.set("scopes", &mut scopes, names);
        table.set("tier", &mut tier, |field| name(&field).map(Some));
        table.set("tenant", &mut tenant, |field| name(&field).map(Some));
        table.finish();
        Some(Self { owner, roles, scopes, tier, tenant, ..Self::new(key?) })
    }
}
