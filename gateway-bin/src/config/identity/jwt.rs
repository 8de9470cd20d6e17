//! `[identity.jwt.NAME]`: an issuer of signed tokens.

use std::time::Duration;

use gateway_layers::auth::jwt::{
    Algorithm, CredentialHandling, DEFAULT_CACHED_TOKENS, DEFAULT_COOLDOWN, DEFAULT_MAX_BYTES,
    DEFAULT_MAX_KEYS, DEFAULT_SKEW, DEFAULT_STALE, DEFAULT_TIMEOUT, DEFAULT_TOKEN_LIMIT,
    DEFAULT_TTL,
};
use gateway_layers::auth::{CredentialSource, Forward};

use crate::config::reader::{Field, Table};
use crate::config::units::{duration, some_duration, some_size};
use gateway_layers::secret::Secret;

const MOST: i64 = 10_000_000;

/// An issuer of signed tokens, and what its tokens must say.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JwtProvider {
    /// `issuer`: what `iss` must be. Required.
    pub issuer: String,
    /// `audience`: one or a list, one of which `aud` must name; `"any"`: whomever tokens are for.
    /// Required.
    pub audience: Vec<String>,
    /// `keys`. Required, unless `discovery` stands in its place.
    pub keys: JwtKeys,
    /// `algorithms`. Default: RS256, ES256 and `EdDSA`.
    pub algorithms: Vec<Algorithm>,
    /// `skew` of clocks. Default: 60 s.
    pub skew: Duration,
    /// `required_claims`. Default: `exp` and `sub`.
    pub required_claims: Vec<String>,
    /// `typ` that tokens must have. Default: none, `JWT` or `at+jwt`.
    pub token_type: Option<String>,
    /// `claims`: where `subject` (`sub`), `roles` (`roles`), `scopes` (`scope`, `scp`), `tier` and
    /// `tenant` stand.
    pub claims: JwtClaims,
    /// `from`: where tokens stand. Default: `header`, which is `CredentialHandling: Bearer`.
    pub from: Vec<CredentialSource>,
    /// `forward`: claims for upstreams by header field.
    pub forward: Forward,
    /// `credentials`: `keep` or `drop`. Default: `keep`.
    pub credentials: CredentialHandling,
    /// `realm` of challenges. Default: `gateway`.
    pub realm: String,
    /// `token_limit`: the most bytes of a token. Default: 16 KiB.
    pub token_limit: usize,
    /// `cache`: verified tokens that are remembered. Default: 10,000.
    pub cache: usize,
}

/// Which claims say what a principal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtClaims {
    /// `subject`.
    pub subject: Option<String>,
    /// `roles`: one or a list.
    pub roles: Vec<String>,
    /// `scopes`: one or a list.
    pub scopes: Vec<String>,
    /// `tier`.
    pub tier: Option<String>,
    /// `tenant`.
    pub tenant: Option<String>,
}

/// Where the keys of an issuer come from, and how long they hold.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JwtKeys {
    /// `url`, `discovery`, `file`, `inline` or `secret`.
    pub from: JwtKeysFrom,
    /// `ttl`. Default: 10 min.
    pub ttl: Duration,
    /// `cooldown`. Default: 10 s.
    pub cooldown: Duration,
    /// `timeout`. Default: 2 s.
    pub timeout: Duration,
    /// `stale`. Default: 24 h.
    pub stale: Duration,
    /// `max_keys`. Default: 100.
    pub max_keys: usize,
    /// `max_bytes`. Default: 1 MiB.
    pub max_bytes: usize,
    /// `ca`: a file of certificates to trust instead of the system's.
    pub ca: Option<String>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JwtKeysFrom {
    /// `url` of a JWK set.
    Url(String),
    /// `discovery`: the URL of the issuer, or of its description.
    Discovery(String),
    /// `file` with a JWK set.
    File(String),
    /// `inline`: a JWK set, as JSON.
    Inline(String),
    /// `secret` that issuer and gateway share, for the first of `algorithms`.
    Secret(Secret),
}

impl JwtKeys {
    /// These keys with every default.
    pub fn new(from: JwtKeysFrom) -> Self {
        Self {
            from,
            ttl: DEFAULT_TTL,
            cooldown: DEFAULT_COOLDOWN,
            timeout: DEFAULT_TIMEOUT,
            stale: DEFAULT_STALE,
            max_keys: DEFAULT_MAX_KEYS,
            max_bytes: DEFAULT_MAX_BYTES,
            ca: None,
        }
    }

    fn read(field: Field<'_>) -> Option<Self> {
        const SOURCES: &[&str] = &["url", "discovery", "file", "inline", "secret"];
        let mut table = field.table("{ url = \"https://issuer.example/jwks.json\" }")?;
        let url = |field: Field<'_>| key_url(&field);
        let from = match table.only_one(SOURCES) {
            Some(("url", field)) => url(field).map(JwtKeysFrom::Url),
            Some(("discovery", field)) => url(field).map(JwtKeysFrom::Discovery),
            Some(("file", field)) => field.name("the path of a file").map(JwtKeysFrom::File),
            Some(("inline", field)) => Some(JwtKeysFrom::Inline(field.json()?.to_string())),
            Some((_, field)) => field.secret().map(JwtKeysFrom::Secret),
            None => table.field().note(
                "says nothing, expected one of `url`, `discovery`, `file`, `inline`, `secret`"
                    .to_owned(),
            ),
        };
        let mut keys = Self::new(JwtKeysFrom::Inline(String::new()));
        table.set("ttl", &mut keys.ttl, |field| some_duration(&field));
        table.set("cooldown", &mut keys.cooldown, |field| some_duration(&field));
        table.set("timeout", &mut keys.timeout, |field| some_duration(&field));
        table.set("stale", &mut keys.stale, |field| duration(&field));
        table.set("max_keys", &mut keys.max_keys, |field| field.number(1, 10_000));
        table.set("max_bytes", &mut keys.max_bytes, |field| some_size(&field));
        table.set("ca", &mut keys.ca, |field| field.name("the path of a file").map(Some));
        table.finish();
        keys.from = from?;
        Some(keys)
    }
}

impl JwtProvider {
    /// Tokens of `issuer` for `audience` with every default.
    pub fn new(issuer: impl Into<String>, audience: Vec<String>, keys: JwtKeys) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            keys,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            skew: DEFAULT_SKEW,
            required_claims: vec!["exp".to_owned(), "sub".to_owned()],
            token_type: None,
            claims: JwtClaims::default(),
            from: vec![CredentialSource::bearer()],
            forward: Forward::new(),
            credentials: CredentialHandling::Keep,
            realm: "gateway".to_owned(),
            token_limit: DEFAULT_TOKEN_LIMIT,
            cache: DEFAULT_CACHED_TOKENS,
        }
    }

    pub(super) fn read(_: &str, field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[identity.jwt.main]")?;
        let issuer = table
            .require("issuer", "the issuer's name, as in `iss`")
            .and_then(|field| field.name("the issuer's name"));
        let audience = table.require("audience", "names as in `aud`, or \"any\"").map(|field| {
            if field.is_empty_list() {
                field.reject::<()>("at least one name, or \"any\"");
            }
            field.one_or_list(|field| field.name("a name as in `aud`"))
        });
        let keys = match table.only_one(&["keys", "discovery"]) {
            Some(("keys", field)) => JwtKeys::read(field),
            Some((_, field)) => {
                key_url(&field).map(|url| JwtKeys::new(JwtKeysFrom::Discovery(url)))
            }
            None => table
                .field()
                .note("no keys, expected `keys = { url = \"...\" }` or `discovery`".to_owned()),
        };
        let known = issuer.is_some() && audience.is_some() && keys.is_some();
        let keys = keys.unwrap_or_else(|| JwtKeys::new(JwtKeysFrom::Inline(String::new())));
        let mut provider =
            Self::new(issuer.unwrap_or_default(), audience.unwrap_or_default(), keys);
        if let Some(field) = table.take("algorithms") {
            if field.is_empty_list() {
                field.reject::<()>("at least one algorithm");
            }
            provider.algorithms = field.one_or_list(|field| field.parse("such as \"RS256\""));
        }
        provider.read_rules(&mut table);
        super::sources(&mut table, &mut provider.from);
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.set("credentials", &mut provider.credentials, |field| super::credentials(&field));
        table.set("realm", &mut provider.realm, |field| field.name("a name"));
        table.set("token_limit", &mut provider.token_limit, |field| some_size(&field));
        if let Some(field) = table.take("cache") {
            provider.read_cache(field);
        }
        table.finish();
        known.then_some(provider)
    }

    fn read_cache(&mut self, field: Field<'_>) -> Option<()> {
        let mut table = field.table("{ entries = 10000 }")?;
        table.set("entries", &mut self.cache, |field| field.number(0, MOST));
        table.finish();
        Some(())
    }

    fn read_rules(&mut self, table: &mut Table<'_>) {
        table.set("skew", &mut self.skew, |field| duration(&field));
        table.set("required_claims", &mut self.required_claims, |field| {
            let claims = field.list("a list of claims such as [\"exp\", \"sub\"]", |field| {
                field.name("the name of a claim")
            })?;
            if !claims.iter().any(|claim| claim == "exp") {
                field.warn("`exp` is not among them: a token without it is valid forever");
            }
            Some(claims)
        });
        table.set("typ", &mut self.token_type, |field| {
            field.name("a type such as \"at+jwt\"").map(Some)
        });
        table.set("claims", &mut self.claims, claims);
    }
}

/// The URL of keys. Over plain `http` an attacker on the way can replace them.
fn key_url(field: &Field<'_>) -> Option<String> {
    let url = field.name("a URL such as \"https://issuer.example\"")?;
    if super::is_plain_and_remote(&url) {
        field.warn(
            "keys of another machine over plain http: anyone on the way can replace them, and \
             sign tokens; expected https",
        );
    }
    Some(url)
}

pub(super) fn claims(field: Field<'_>) -> Option<JwtClaims> {
    let mut table = field.table("{ roles = \"realm_access.roles\", tier = \"plan\" }")?;
    let mut claims = JwtClaims::default();
    let name = |field: &Field<'_>| field.name("the name of a claim");
    table.set("subject", &mut claims.subject, |field| name(&field).map(Some));
    table.set("roles", &mut claims.roles, |field| Some(field.one_or_list(|field| name(&field))));
    table.set("scopes", &mut claims.scopes, |field| Some(field.one_or_list(|field| name(&field))));
    table.set("tier", &mut claims.tier, |field| name(&field).map(Some));
    table.set("tenant", &mut claims.tenant, |field| name(&field).map(Some));
    table.finish();
    Some(claims)
}
