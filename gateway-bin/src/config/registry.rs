//! `[registry]`: services that register themselves with the gateway.

use std::ops::RangeInclusive;

use gateway_layers::registry::{
    AllowList, CheckConfig, LeaseConfig, RegistryLimits, ServiceToken, ServiceTokens,
};

use super::reader::Field;
use super::units::{show_duration, some_duration, some_size};

const MOST: i64 = 1_000_000;

/// Services that register themselves with the gateway.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Registry {
    /// `tokens` or `token_file`: what services show to be let in, each with at least 16
    /// characters, and with the names of the `services` that it registers. Required, unless `authentication` is `"off"`.
    pub tokens: Option<ServiceTokens>,
    /// `allow`: networks, addresses and host names that may be registered. Required.
    pub allow: Vec<String>,
    /// `ports`: one or a list, `8000` or `"8000-8999"`. Default: any.
    pub ports: Vec<RangeInclusive<u16>>,
    /// `lease` (30 s), `min_lease` (5 s), `max_lease` (5 min).
    pub leases: LeaseConfig,
    /// `health_check`: `path` (`/health`), `interval` (10 s), `pending_interval` (1 s), `timeout` (2 s),
    /// `rise` (2), `fall` (3).
    pub checks: CheckConfig,
    /// `limits`: `services` (1,000), `instances_per_service` (100), `instances` (10,000),
    /// `registration` (8 KiB), `bytes` (32 MiB).
    pub limits: RegistryLimits,
    /// `redis`: where several gateways share what is registered: `url`, `prefix` (`gateway`).
    /// Default: each keeps its own in memory.
    pub redis: Option<RedisStore>,
}

/// Where several gateways share what is registered.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStore {
    /// `url`, such as `redis://127.0.0.1:6379`. May carry a password.
    pub url: String,
    /// `prefix` of every key.
    pub prefix: String,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Registry {
    /// Which addresses may be registered.
    pub(crate) fn allow_list(&self) -> Option<AllowList> {
        let list = AllowList::new(&self.allow).ok()?;
        Some(self.ports.iter().cloned().fold(list, AllowList::ports))
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ token_file = \"tokens\", allow = [\"10.0.0.0/8\"] }")?;
        let without = table.take("authentication").is_some_and(|field| {
            field.choice(&[("token", false), ("off", true)]).unwrap_or_default()
        });
        let tokens = match table.only_one(&["tokens", "token_file"]) {
            Some(("tokens", field)) => {
                let list = field.one_or_list(|field| token(&field));
                checked(&field, list)
            }
            Some((_, field)) => field.file().and_then(|text| {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                checked(&field, lines.map(token_of_line).collect())
            }),
            None if without => None,
            None => table.field().note(
                "no token, expected `tokens`, `token_file` or `authentication = \"off\"`"
                    .to_owned(),
            ),
        };
        let mut allow = Vec::new();
        if let Some(field) = table.require("allow", "networks such as [\"10.0.0.0/8\"]") {
            if field.is_empty_list() {
                field.reject::<()>("at least one network, address or host name");
            }
            allow = field.one_or_list(|field| {
                let entry = field.name("a network, an address or a host name")?;
                match AllowList::new([&entry]) {
                    Ok(_) => Some(entry),
                    Err(error) => field.note(error.to_string()),
                }
            });
        }
        let mut ports = Vec::new();
        if let Some(field) = table.take("ports") {
            ports = field.one_or_list(|field| port_range(&field));
        }
        let mut leases = LeaseConfig::default();
        table.set("lease", &mut leases.lease, |field| some_duration(&field));
        table.set("min_lease", &mut leases.min, |field| some_duration(&field));
        table.set("max_lease", &mut leases.max, |field| some_duration(&field));
        if !(leases.min..=leases.max).contains(&leases.lease) {
            let [lease, min, max] = [leases.lease, leases.min, leases.max].map(show_duration);
            table.field().note::<()>(format!(
                "`lease` ({lease}) is not between `min_lease` ({min}) and `max_lease` ({max})"
            ));
        }
        let mut checks = CheckConfig::default();
        table.set("health_check", &mut checks, health);
        let mut limits = RegistryLimits::default();
        table.set("limits", &mut limits, read_limits);
        let mut redis = None;
        table.set("redis", &mut redis, |field| read_redis(field).map(Some));
        table.finish();
        Some(Self { tokens, allow, ports, leases, checks, limits, redis })
    }
}

/// A token, and the names of the services that it registers; `None`: any.
type Entry = (String, Option<Vec<String>>);

/// A token, or a table of it and its services.
fn token(field: &Field<'_>) -> Option<Entry> {
    const EXAMPLE: &str = "{ token = \"TOKEN\", services = [\"orders-*\"] }";
    if !field.is_table() {
        return field.name("a token").map(|token| (token, None));
    }
    let mut table = field.clone().table(EXAMPLE)?;
    let token = table.require("token", "a token").and_then(|field| field.name("a token"));
    let services = table.require("services", "names of services such as [\"orders-*\"]");
    let services = services.map(|field| {
        let names = field.one_or_list(|field| field.name("the name of a service, or a pattern"));
        // A list of nothing but mistakes has been reported.
        if field.is_empty_list() {
            field.reject::<()>("the name of one service at least");
        }
        names
    });
    table.finish();
    Some((token?, Some(services.filter(|names| !names.is_empty())?)))
}

/// `TOKEN`, or `TOKEN NAME NAME` for one that registers no other services.
fn token_of_line(line: &str) -> Entry {
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let token = words.next().unwrap_or_default();
    let services: Vec<_> = words.collect();
    (token, Some(services).filter(|services| !services.is_empty()))
}

fn checked(field: &Field<'_>, entries: Vec<Entry>) -> Option<ServiceTokens> {
    let tokens = entries.into_iter().enumerate().map(|(index, (token, services))| {
        let token = ServiceToken::new(&token).map_err(|error| error.of(index))?;
        match services {
            Some(services) => token.services(services),
            None => Ok(token),
        }
    });
    let tokens = tokens.collect::<Result<Vec<_>, _>>().and_then(ServiceTokens::of);
    tokens.map_err(|error| field.note::<()>(error.to_string())).ok()
}

fn port_range(field: &Field<'_>) -> Option<RangeInclusive<u16>> {
    let expected = "a port, or a range of ports such as \"8000-8999\"";
    let Some(text) = field.peek_text() else {
        return field.number::<u16>(1, 65_535).map(|port| port..=port);
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Some(first..=last),
        _ => field.reject(expected),
    }
}

fn health(field: Field<'_>) -> Option<CheckConfig> {
    let mut table = field.table("{ path = \"/health\", interval = \"10s\" }")?;
    let mut checks = CheckConfig::default();
    table.set("path", &mut checks.path, |field| {
        let path = field.text("a path such as \"/health\"")?;
        if path.starts_with('/') {
            Some(path.to_owned())
        } else {
            field.reject("a path such as \"/health\"")
        }
    });
    table.set("interval", &mut checks.interval, |field| some_duration(&field));
    table.set("pending_interval", &mut checks.pending_interval, |field| some_duration(&field));
    table.set("timeout", &mut checks.timeout, |field| some_duration(&field));
    table.set("rise", &mut checks.rise, |field| field.number(1, 1000));
    table.set("fall", &mut checks.fall, |field| field.number(1, 1000));
    table.finish();
    Some(checks)
}

fn read_limits(field: Field<'_>) -> Option<RegistryLimits> {
    let mut table = field.table("{ services = 1000, instances = 10000 }")?;
    let mut limits = RegistryLimits::default();
    table.set("services", &mut limits.services, |field| field.number(1, MOST));
    table.set("instances_per_service", &mut limits.instances_per_service, |field| {
        field.number(1, MOST)
    });
    table.set("instances", &mut limits.instances, |field| field.number(1, MOST));
    table.set("registration", &mut limits.registration, |field| some_size(&field));
    table.set("bytes", &mut limits.bytes, |field| some_size(&field));
    table.finish();
    Some(limits)
}

fn read_redis(field: Field<'_>) -> Option<RedisStore> {
    let mut table = field.table("{ url = \"redis://127.0.0.1:6379\" }")?;
    let expected = "a URL such as \"redis://127.0.0.1:6379\"";
    let url = table.require("url", expected).and_then(|field| field.name(expected));
    let mut prefix = "gateway".to_owned();
    table.set("prefix", &mut prefix, |field| field.name("the beginning of keys"));
    table.finish();
    Some(RedisStore { url: url?, prefix })
}
