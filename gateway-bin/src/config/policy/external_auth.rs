//! `external_auth`: somebody else decides about each request.

use std::time::Duration;

use gateway_layers::auth::Forward;
use gateway_layers::auth::external::{DEFAULT_TIMEOUT, OriginalFields, PrincipalFields};
use http::Method;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, LOCATION, RETRY_AFTER};
use http::header::{COOKIE, WWW_AUTHENTICATE};

use crate::config::destination::Destination;
use crate::config::identity;
use crate::config::reader::{Field, Table};
use crate::config::units::some_duration;

/// More answers than this are not kept.
const MOST_ENTRIES: i64 = 10_000_000;

/// Answers that are kept, unless it is said otherwise.
const DEFAULT_ENTRIES: usize = 10_000;

/// Somebody else decides about each request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExternalAuth {
    /// `cluster` or `module`. Required.
    pub to: Destination,
    /// `path`, which may have `{subject}` and `{tenant}` of who is calling in it. Required.
    pub path: String,
    /// `method`: `GET` or `POST`. Default: `GET`.
    pub method: Method,
    /// `timeout`. Default: 1 s.
    pub timeout: Duration,
    /// `headers` of the request that the service is told. Default: `authorization`.
    pub headers: Vec<HeaderName>,
    /// `original`: the fields that tell `method`, `uri`, `host` and `address`; `"off"` where one is
    /// not told. Default: `x-original-method`, `x-original-uri`, `x-original-host`, and no address.
    pub original: OriginalFields,
    /// `identity`: what the service is told of who is calling, by header field. Default: nothing.
    pub identity: Forward,
    /// `upstream_headers` of the answer, for the upstream. Default: none.
    pub upstream_headers: Vec<HeaderName>,
    /// `response_headers` of the answer, for the client. Default: none.
    pub response_headers: Vec<HeaderName>,
    /// `rejection_headers` of a rejection, for the client. Default: `www-authenticate`, `location`,
    /// `retry-after` and `cache-control`.
    pub rejection_headers: Vec<HeaderName>,
    /// `principal`: the fields of the answer that say who is calling: `subject`, `roles`, `scopes`,
    /// `tier`, `tenant`. Default: none.
    pub principal: PrincipalFields,
    /// `cache`: `ttl`, and `entries` (10,000). Default: none.
    pub cache: Option<(Duration, usize)>,
}

impl ExternalAuth {
    /// `to` decides, asked at `path`, with every default.
    pub fn new(to: Destination, path: impl Into<String>) -> Self {
        Self {
            to,
            path: path.into(),
            method: Method::GET,
            timeout: DEFAULT_TIMEOUT,
            headers: vec![AUTHORIZATION],
            original: OriginalFields::default(),
            identity: Forward::new(),
            upstream_headers: Vec::new(),
            response_headers: Vec::new(),
            rejection_headers: vec![WWW_AUTHENTICATE, LOCATION, RETRY_AFTER, CACHE_CONTROL],
            principal: PrincipalFields::default(),
            cache: None,
        }
    }

    /// True where the service says who is calling.
    pub fn knows_callers(&self) -> bool {
        self.principal.subject.is_some()
    }

    /// The fields that upstreams are told by the service and by nobody else, on any route: not
    /// those that clients send, here or anywhere.
    pub(crate) fn reserved_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let of_clients = |name: &HeaderName| {
            *name == AUTHORIZATION || *name == COOKIE || self.headers.contains(name)
        };
        self.upstream_headers.iter().filter(move |name| !of_clients(name))
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ cluster = \"auth\", path = \"/check\" }")?;
        let to = Destination::take(&mut table);
        let path = table.require("path", "a path such as \"/check\"");
        let path = path.and_then(|field| field.name("a path such as \"/check\""));
        let known = to.is_some() && path.is_some();
        let nowhere = Destination::Cluster(String::new());
        let mut external = Self::new(to.unwrap_or(nowhere), path.unwrap_or_default());
        let methods = [("GET", Method::GET), ("POST", Method::POST)];
        table.set("method", &mut external.method, |field| {
            let found = methods.iter().find(|(name, _)| field.peek_text() == Some(name));
            found.map(|(_, method)| method.clone()).or_else(|| field.reject("\"GET\" or \"POST\""))
        });
        table.set("timeout", &mut external.timeout, |field| some_duration(&field));
        for (key, names) in [
            ("headers", &mut external.headers),
            ("upstream_headers", &mut external.upstream_headers),
            ("response_headers", &mut external.response_headers),
            ("rejection_headers", &mut external.rejection_headers),
        ] {
            table.set(key, names, |field| {
                field.list("a list of header fields such as [\"x-user-id\"]", |field| name(&field))
            });
        }
        table.set("original", &mut external.original, original);
        table.set("identity", &mut external.identity, |field| identity::forward(&field));
        table.set("principal", &mut external.principal, principal);
        table.set("cache", &mut external.cache, |field| cache(field).map(Some));
        table.finish();
        known.then_some(external)
    }
}

fn name(field: &Field<'_>) -> Option<HeaderName> {
    field.parse("a header field such as \"x-user-id\"")
}

fn original(field: Field<'_>) -> Option<OriginalFields> {
    let mut table = field.table("{ uri = \"x-original-uri\", method = \"off\" }")?;
    let mut original = OriginalFields::default();
    take_names(
        &mut table,
        [
            ("method", &mut original.method),
            ("uri", &mut original.uri),
            ("host", &mut original.host),
            ("address", &mut original.address),
        ],
    );
    table.finish();
    Some(original)
}

fn principal(field: Field<'_>) -> Option<PrincipalFields> {
    let mut table = field.table("{ subject = \"x-user-id\", roles = \"x-user-roles\" }")?;
    let mut principal = PrincipalFields::default();
    take_names(
        &mut table,
        [
            ("subject", &mut principal.subject),
            ("roles", &mut principal.roles),
            ("scopes", &mut principal.scopes),
            ("tier", &mut principal.tier),
            ("tenant", &mut principal.tenant),
        ],
    );
    if principal.subject.is_none() {
        table.field().note::<()>("says nobody, expected `subject`".to_owned());
    }
    table.finish();
    Some(principal)
}

fn take_names<const N: usize>(
    table: &mut Table<'_>,
    names: [(&'static str, &mut Option<HeaderName>); N],
) {
    for (key, to) in names {
        table.set(key, to, |field| match field.peek_text() {
            Some("off") => Some(None),
            _ => name(&field).map(Some),
        });
    }
}

fn cache(field: Field<'_>) -> Option<(Duration, usize)> {
    let mut table = field.table("{ ttl = \"10s\", entries = 10000 }")?;
    let ttl = table.require("ttl", "a duration such as \"10s\"");
    let ttl = ttl.and_then(|field| some_duration(&field));
    let mut entries = DEFAULT_ENTRIES;
    table.set("entries", &mut entries, |field| field.number(1, MOST_ENTRIES));
    table.finish();
    Some((ttl?, entries))
}
