//! `[identity.api_key.NAME]`: keys that are issued to callers.

use gateway_layers::auth::CredentialHandling;
use std::time::Duration;

use gateway_layers::auth::api_key::{
    DEFAULT_CACHED_KEYS, DEFAULT_NEGATIVE_TTL, DEFAULT_TIMEOUT, DEFAULT_TTL, KeyFormat, KeyRecord,
    MemoryKeyStore,
};
use gateway_layers::auth::{CredentialSource, Forward};
use http::HeaderName;

use crate::config::reader::{Field, Table};
use crate::config::units::{duration, some_duration};
use gateway_layers::secret::Secret;

const MOST: i64 = 10_000_000;

/// The sources of keys, as documents name them.
const FROM: &[&str] = &[
    "file",
    "redis",
    #[cfg(feature = "postgres")]
    "postgres",
    "keys",
];

/// Callers who are known by their keys.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ApiKeyProvider {
    /// `file`, `redis`, `postgres` or `keys`. Required.
    pub keys: KeysFrom,
    /// `header`, `query`, `cookie`, `scheme`: where keys stand. Default: the header
    /// `x-api-key`.
    pub from: Vec<CredentialSource>,
    /// `prefix` of keys that are issued. Default: `gk`.
    pub format: KeyFormat,
    /// `any_format`: whether keys of other formats are taken. Default: `true`.
    pub any_format: bool,
    /// `cache`.
    pub cache: KeyCache,
    /// `timeout` of a look-up. Default: 500 ms.
    pub timeout: Duration,
    /// `forward`: attributes for upstreams by header field.
    pub forward: Forward,
    /// `credentials`: `drop` or `keep`. Default: `drop`.
    pub credentials: CredentialHandling,
    /// `realm` of challenges. Default: `gateway`.
    pub realm: String,
}

/// Where keys are kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum KeysFrom {
    /// `file`, TOML or JSON, followed while the gateway runs.
    File(String),
    /// `redis`.
    Redis {
        /// `url`; a secret, since it may hold a password. Required.
        url: Secret,
        /// `prefix` of names. Default: `gateway`.
        prefix: String,
    },
    /// `postgres`.
    #[cfg(feature = "postgres")]
    Postgres {
        /// `url`; a secret, since it may hold a password. Required.
        url: Secret,
        /// `table`. Default: `gateway_api_keys`.
        table: String,
    },
    /// `keys.ID`: `sha256`, `owner` and what else a record says.
    Inline(Vec<KeyRecord>),
}

/// What is remembered of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCache {
    /// `entries`: how many; 0: each request asks. Default: 10,000.
    pub entries: usize,
    /// `ttl`. Default: 60 s.
    pub ttl: Duration,
    /// `negative_ttl`: of keys that are not there. Default: 5 s.
    pub negative_ttl: Duration,
}

impl Default for KeyCache {
    fn default() -> Self {
        let (keys, ttl) = (DEFAULT_CACHED_KEYS, DEFAULT_TTL);
        Self { entries: keys, ttl, negative_ttl: DEFAULT_NEGATIVE_TTL }
    }
}

impl ApiKeyProvider {
    /// These keys with every default.
    pub fn new(keys: KeysFrom) -> Self {
        Self {
            keys,
            from: vec![CredentialSource::Header(HeaderName::from_static("x-api-key"))],
            format: KeyFormat::default(),
            any_format: true,
            cache: KeyCache::default(),
            timeout: DEFAULT_TIMEOUT,
            forward: Forward::new(),
            credentials: CredentialHandling::Drop,
            realm: "gateway".to_owned(),
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[identity.api_key.partners]")?;
        let keys = match table.only_one(FROM) {
            Some(("file", field)) => field.name("the path of a file").map(KeysFrom::File),
            Some(("redis", field)) => redis(field),
            #[cfg(feature = "postgres")]
            Some(("postgres", field)) => postgres(field),
            Some((_, field)) => inline(&field).map(KeysFrom::Inline),
            None => {
                let keys: Vec<_> = FROM.iter().map(|key| format!("`{key}`")).collect();
                table.field().note(format!("no keys, expected one of {}", keys.join(", ")))
            }
        };
        let known = keys.is_some();
        let mut provider = Self::new(keys.unwrap_or_else(|| KeysFrom::Inline(Vec::new())));
        places(&mut table, &mut provider.from);
        table.set("prefix", &mut provider.format, |field| {
            let format = field.peek_text().and_then(KeyFormat::new);
            format.or_else(|| field.reject("1 to 24 lower-case letters, digits and `_`"))
        });
        table.set("any_format", &mut provider.any_format, |field| field.boolean());
        table.set("cache", &mut provider.cache, cache);
        table.set("timeout", &mut provider.timeout, |field| some_duration(&field));
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.set("credentials", &mut provider.credentials, |field| super::credentials(&field));
        table.set("realm", &mut provider.realm, |field| field.name("a name"));
        table.finish();
        known.then_some(provider)
    }
}

/// Where keys stand; what is named takes the place of the default.
fn places(table: &mut Table<'_>, to: &mut Vec<CredentialSource>) {
    let mut named = Vec::new();
    if let Some(field) = table.take("header") {
        named.extend(super::header(&field).map(CredentialSource::Header));
    }
    if let Some(field) = table.take("scheme") {
        let scheme = field.name("a scheme such as \"ApiKey\"");
        let plain = scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let scheme = plain.or_else(|| field.reject("a scheme such as \"ApiKey\""));
        named.extend(scheme.map(|scheme| CredentialSource::Authorization(scheme.into())));
    }
    let name = |field: &Field<'_>, expected: &str| {
        let found = field.peek_text().filter(|text| super::is_name(text));
        found.map(ToOwned::to_owned).or_else(|| field.reject(expected))
    };
    if let Some(field) = table.take("cookie") {
        named.extend(name(&field, "the name of a cookie").map(CredentialSource::Cookie));
    }
    if let Some(field) = table.take("query") {
        named.extend(name(&field, "the name of a parameter").map(CredentialSource::Query));
    }
    if !named.is_empty() {
        *to = named;
    }
}

fn redis(field: Field<'_>) -> Option<KeysFrom> {
    let mut table = field.table("{ url = \"redis://127.0.0.1:6379\" }")?;
    let url = table.require("url", "a URL such as \"redis://127.0.0.1:6379\"");
    let url = url.and_then(|field| field.secret());
    let mut prefix = "gateway".to_owned();
    table.set("prefix", &mut prefix, |field| field.name("the beginning of names"));
    table.finish();
    Some(KeysFrom::Redis { url: url?, prefix })
}

#[cfg(feature = "postgres")]
fn postgres(field: Field<'_>) -> Option<KeysFrom> {
    let mut table = field.table("{ url = \"postgresql://127.0.0.1/gateway\" }")?;
    let url = table.require("url", "a URL such as \"postgresql://127.0.0.1/gateway\"");
    let url = url.and_then(|field| field.secret());
    let mut name = "gateway_api_keys".to_owned();
    table.set("table", &mut name, |field| field.name("the name of a table"));
    table.finish();
    Some(KeysFrom::Postgres { url: url?, table: name })
}

fn cache(field: Field<'_>) -> Option<KeyCache> {
    let mut table = field.table("{ entries = 10000, ttl = \"60s\", negative_ttl = \"5s\" }")?;
    let mut cache = KeyCache::default();
    table.set("entries", &mut cache.entries, |field| field.number(0, MOST));
    table.set("ttl", &mut cache.ttl, |field| duration(&field));
    table.set("negative_ttl", &mut cache.negative_ttl, |field| duration(&field));
    table.finish();
    Some(cache)
}

fn inline(field: &Field<'_>) -> Option<Vec<KeyRecord>> {
    let entries =
        field.entries("a table such as { acme = { sha256 = \"...\", owner = \"acme\" } }");
    let count = entries.len();
    let read = |(id, field): (&str, Field<'_>)| -> Option<KeyRecord> {
        let mut record = field.json()?;
        let Some(members) = record.as_object_mut() else {
            return field
                .note("is no table, expected { sha256 = \"...\", owner = \"acme\" }".into());
        };
        if members.insert("id".to_owned(), id.into()).is_some() {
            return field.note("`id`, which is the key of the table, expected none".to_owned());
        }
        let record = KeyRecord::from_json(&record.to_string());
        record.map_err(|error| field.note::<()>(error.to_string())).ok()
    };
    let records: Vec<_> = entries.into_iter().filter_map(read).collect();
    if records.len() < count {
        return None;
    }
    if let Err(error) = MemoryKeyStore::with(records.clone()) {
        return field.note(error.to_string());
    }
    Some(records)
}
