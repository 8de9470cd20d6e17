//! `[identity.basic.NAME]`: names and passwords.

use gateway_layers::auth::CredentialHandling;
use std::time::Duration;

use gateway_layers::auth::Forward;
use gateway_layers::auth::basic::{
    BasicUser, BasicUsers, DEFAULT_CACHED, DEFAULT_NEGATIVE_TTL, DEFAULT_QUEUE, DEFAULT_TIMEOUT,
    DEFAULT_TTL, PasswordHash,
};

use super::names;
use crate::config::reader::Field;
use crate::config::units::{duration, some_duration};

const MOST: i64 = 1_000_000;

/// Users who are known by name and password.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BasicProvider {
    /// `file` or `users`. Required.
    pub users: UsersFrom,
    /// `cache.entries`: how many are remembered. Default: 1,024.
    pub cached: usize,
    /// `cache.ttl`: how long who was right is. Default: 5 min.
    pub ttl: Duration,
    /// `cache.negative_ttl`: how long who was wrong is. Default: 5 s.
    pub negative_ttl: Duration,
    /// `jobs`: verifications at a time. Default: one for each second processor.
    pub jobs: Option<usize>,
    /// `queue`: how many may wait beside them. Default: 64.
    pub queue: usize,
    /// `timeout` of a verification. Default: 5 s.
    pub timeout: Duration,
    /// `forward`: attributes for upstreams by header field.
    pub forward: Forward,
    /// `credentials`: `drop` or `keep`. Default: `drop`.
    pub credentials: CredentialHandling,
    /// `realm` of challenges, which browsers show. Default: `gateway`.
    pub realm: String,
}

/// Where users stand.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum UsersFrom {
    /// `file`: lines as `htpasswd -B` writes them, followed while the gateway runs.
    File(String),
    /// `users.NAME`: `hash`, `roles`, `tier`, `tenant`.
    Inline(BasicUsers),
}

impl BasicProvider {
    /// These users with every default.
    pub fn new(users: UsersFrom) -> Self {
        Self {
            users,
            cached: DEFAULT_CACHED,
            ttl: DEFAULT_TTL,
            negative_ttl: DEFAULT_NEGATIVE_TTL,
            jobs: None,
            queue: DEFAULT_QUEUE,
            timeout: DEFAULT_TIMEOUT,
            forward: Forward::new(),
            credentials: CredentialHandling::Drop,
            realm: "gateway".to_owned(),
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[identity.basic.staff]")?;
        let users = match table.only_one(&["file", "users"]) {
            Some(("file", field)) => field.name("the path of a file").map(UsersFrom::File),
            Some((_, field)) => users(&field).map(UsersFrom::Inline),
            None => table.field().note("no users, expected `file` or `users`".to_owned()),
        };
        let known = users.is_some();
        let mut provider = Self::new(users.unwrap_or_else(|| UsersFrom::File(String::new())));
        if let Some(field) = table.take("cache")
            && let Some(mut table) = field.table("{ entries = 1024, ttl = \"5m\" }")
        {
            table.set("entries", &mut provider.cached, |field| field.number(0, MOST));
            table.set("ttl", &mut provider.ttl, |field| duration(&field));
            table.set("negative_ttl", &mut provider.negative_ttl, |field| duration(&field));
            table.finish();
        }
        table.set("jobs", &mut provider.jobs, |field| field.number(1, 1024).map(Some));
        table.set("queue", &mut provider.queue, |field| field.number(0, MOST));
        table.set("timeout", &mut provider.timeout, |field| some_duration(&field));
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.set("credentials", &mut provider.credentials, |field| super::credentials(&field));
        table.set("realm", &mut provider.realm, |field| field.name("a name"));
        table.finish();
        known.then_some(provider)
    }
}

fn users(field: &Field<'_>) -> Option<BasicUsers> {
    let entries = field.entries("a table such as { alice = { hash = \"$2y$...\" } }");
    let count = entries.len();
    let users: Vec<_> = entries.into_iter().filter_map(|(name, field)| user(name, field)).collect();
    if users.len() < count {
        return None;
    }
    BasicUsers::new(users).map_err(|error| field.note::<()>(error.to_string())).ok()
}

fn user(name: &str, field: Field<'_>) -> Option<BasicUser> {
    let mut table = field.table("{ hash = \"$2y$...\", roles = [\"admin\"] }")?;
    let hash = table.require("hash", "a hash of bcrypt or argon2id").and_then(|field| {
        let text = field.peek_text().unwrap_or_default();
        PasswordHash::parse(text).map_err(|error| field.note::<()>(error.to_string())).ok()
    });
    let (mut roles, mut tier, mut tenant) = (Vec::new(), None, None);
    table.set("roles", &mut roles, |field| Some(names(&field, "a role")));
    table.set("tier", &mut tier, |field| field.name("a tier").map(Some));
    table.set("tenant", &mut tenant, |field| field.name("a tenant").map(Some));
    table.finish();
    let mut user = BasicUser::new(name, hash?).roles(roles);
    (user.tier, user.tenant) = (tier, tenant);
    Some(user)
}
