//! What `[identity.introspection.NAME]` and `[identity.delegated.NAME]` have in common.

use gateway_layers::auth::remote::RemoteConfig;
use gateway_layers::auth::{CredentialHandling, CredentialSource, Forward};

use super::jwt::{JwtClaims, claims};
use crate::config::reader::{Field, Table};
use crate::config::units::{duration, some_duration, some_size};

/// More tokens than this are not kept.
const MOST_TOKENS: i64 = 10_000_000;

/// More questions at a time than this are no limit.
const MOST_QUESTIONS: i64 = 10_000;

/// Who is asked about tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteTo {
    /// `url`; `ca` is a file of certificates to trust instead of the system's.
    Url {
        /// The address.
        url: String,
        /// The file.
        ca: Option<String>,
    },
    /// `cluster` of the document, asked at `path`.
    Cluster {
        /// The name of the cluster.
        cluster: String,
        /// The path, and a query where it needs one.
        path: String,
    },
}

/// What all have in common who ask a server about tokens.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RemoteProvider {
    /// `url`, with `ca`, or `cluster` with `path`. Required.
    pub to: RemoteTo,
    /// `timeout` (2 s), `cooldown` (1 s), `concurrency` (64), `token_limit` (16 KiB), and `cache`: `tokens` (10,000), `ttl`
    /// (60 s), `rejected` (10,000), `negative_ttl` (10 s).
    pub settings: RemoteConfig,
    /// `required_claims`. Default: none but that of the subject.
    pub required_claims: Vec<String>,
    /// `claims`: where `subject` (`sub`), `roles` (`roles`), `scopes` (`scope`), `tier` and `tenant`
    /// stand.
    pub claims: JwtClaims,
    /// `from`: where tokens stand. Default: `header`, which is `CredentialHandling: Bearer`.
    pub from: Vec<CredentialSource>,
    /// `forward`: attributes for upstreams by header field.
    pub forward: Forward,
    /// `credentials`: `keep` or `drop`. Default: `keep`.
    pub credentials: CredentialHandling,
    /// `realm` of challenges. Default: `gateway`.
    pub realm: String,
}

impl RemoteTo {
    /// The cluster's name, where it is one.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Cluster { cluster, .. } => Some(cluster),
            Self::Url { .. } => None,
        }
    }

    fn take(table: &mut Table<'_>) -> Option<Self> {
        let chosen = table.only_one(&["url", "cluster"]);
        match chosen {
            Some(("url", field)) => {
                let ca = table.take("ca").map(|field| field.name("the path of a file"));
                let url = field.name("a URL such as \"https://issuer.example/introspect\"")?;
                if super::is_plain_and_remote(&url) {
                    field.warn(
                        "tokens to another machine over plain http: anyone on the way can read \
                         them, and replace the response; expected https",
                    );
                }
                Some(Self::Url { url, ca: ca.flatten() })
            }
            Some((_, field)) => {
                const PATH: &str = "a path such as \"/auth/verify\"";
                let path = table.require("path", PATH).and_then(|field| {
                    let path = field.name(PATH)?;
                    if path.starts_with('/') { Some(path) } else { field.reject(PATH) }
                });
                let cluster = field.name("the name of a cluster")?;
                Some(Self::Cluster { cluster, path: path? })
            }
            None => table.field().note("asks nobody, expected `url` or `cluster`".to_owned()),
        }
    }
}

impl RemoteProvider {
    /// Asks `to` with every default.
    pub fn new(to: RemoteTo) -> Self {
        Self {
            to,
            settings: RemoteConfig::default(),
            required_claims: Vec::new(),
            claims: JwtClaims::default(),
            from: vec![CredentialSource::bearer()],
            forward: Forward::new(),
            credentials: CredentialHandling::Keep,
            realm: "gateway".to_owned(),
        }
    }

    /// Takes out of `table` what is not of one kind alone; `None` where nobody is asked.
    pub(super) fn take(table: &mut Table<'_>) -> Option<Self> {
        let to = RemoteTo::take(table);
        let known = to.is_some();
        let nobody = RemoteTo::Url { url: String::new(), ca: None };
        let mut provider = Self::new(to.unwrap_or(nobody));
        let settings = &mut provider.settings;
        table.set("timeout", &mut settings.timeout, |field| some_duration(&field));
        table.set("cooldown", &mut settings.cooldown, |field| some_duration(&field));
        table
            .set("concurrency", &mut settings.concurrency, |field| field.number(1, MOST_QUESTIONS));
        table.set("token_limit", &mut settings.token_limit, |field| some_size(&field));
        if let Some(field) = table.take("cache") {
            cache(field, settings);
        }
        table.set("required_claims", &mut provider.required_claims, |field| {
            field.list("a list of names such as [\"client_id\"]", |field| {
                field.name("the name of a member of the answer")
            })
        });
        table.set("claims", &mut provider.claims, claims);
        super::sources(table, &mut provider.from);
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.set("credentials", &mut provider.credentials, |field| super::credentials(&field));
        table.set("realm", &mut provider.realm, |field| field.name("a name"));
        known.then_some(provider)
    }
}

fn cache(field: Field<'_>, settings: &mut RemoteConfig) -> Option<()> {
    let mut table = field.table("{ entries = 10000, ttl = \"60s\" }")?;
    let cache = &mut settings.cache;
    table.set("entries", &mut cache.entries, |field| field.number(0, MOST_TOKENS));
    table.set("ttl", &mut cache.ttl, |field| duration(&field));
    table
        .set("negative_entries", &mut cache.negative_entries, |field| field.number(0, MOST_TOKENS));
    table.set("negative_ttl", &mut cache.negative_ttl, |field| duration(&field));
    table.finish();
    Some(())
}
