//! `balance` and `sticky` of a cluster.

use std::fmt;

use gateway_core::upstream::balance::{
    ConsistentHash, LeastRequests, PeakEwma, PowerOfTwo, Random, RoundRobin, WeightedRoundRobin,
};
use gateway_core::upstream::{Affinity, ClusterBuilder, HashKey, OnUnavailable, SameSite, Sticky};

use crate::config::reader::{Field, Table};
use crate::config::units::some_duration;

/// How an endpoint is picked. Displays as the document writes it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Balance {
    /// `round_robin`: one after the other, whatever their weights.
    RoundRobin,
    /// `weighted_round_robin`: one after the other, each as often as its weight says.
    WeightedRoundRobin,
    /// `random`: by chance, as often as its weight says.
    Random,
    /// `least_requests`: the one with the fewest requests in flight.
    LeastRequests,
    /// `power_of_two`: of two taken by chance, the one with fewer requests in flight.
    #[default]
    PowerOfTwo,
    /// `peak_ewma`: of two taken by chance, the one that answers sooner.
    PeakEwma,
    /// `consistent_hash`: requests with one key go to one endpoint.
    ConsistentHash {
        /// `keys`: the first that a request has counts. Default: `["ip"]`.
        keys: Vec<HashKey>,
        /// `load`: how many times the average an endpoint may have in flight; `"off"`: any number.
        /// Default: 1.25.
        load: Option<f64>,
    },
}

/// How many times the average an endpoint may have in flight.
const LOAD: f64 = 1.25;

const PLAIN: [(&str, Balance); 6] = [
    ("round_robin", Balance::RoundRobin),
    ("weighted_round_robin", Balance::WeightedRoundRobin),
    ("random", Balance::Random),
    ("least_requests", Balance::LeastRequests),
    ("power_of_two", Balance::PowerOfTwo),
    ("peak_ewma", Balance::PeakEwma),
];

impl Balance {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        if field.is_table() {
            let mut table = field.table("{ consistent_hash = { keys = [\"header:x-user\"] } }")?;
            let hash = table.require("consistent_hash", "a table such as { keys = [\"ip\"] }");
            let hash = hash.and_then(consistent_hash);
            table.finish();
            return hash;
        }
        let hash = || Self::ConsistentHash { keys: vec![HashKey::ClientIp], load: Some(LOAD) };
        let names = PLAIN.iter().map(|(name, _)| *name).chain(["consistent_hash"]);
        let names: Vec<_> = names.map(|name| (name, name)).collect();
        let chosen = field.choice(&names)?;
        let plain = PLAIN.into_iter().find(|(name, _)| *name == chosen);
        Some(plain.map_or_else(hash, |(_, balance)| balance))
    }

    /// Puts it into `builder`.
    pub(crate) fn apply(&self, builder: ClusterBuilder) -> ClusterBuilder {
        match self {
            Self::RoundRobin => builder.balance(RoundRobin::default()),
            Self::WeightedRoundRobin => builder.balance(WeightedRoundRobin::default()),
            Self::Random => builder.balance(Random::default()),
            Self::LeastRequests => builder.balance(LeastRequests::default()),
            Self::PowerOfTwo => builder.balance(PowerOfTwo::default()),
            Self::PeakEwma => builder.balance(PeakEwma::default()),
            Self::ConsistentHash { keys, load } => builder
                .balance(ConsistentHash::new().load(*load))
                .affinity(Affinity::new(keys.iter().cloned())),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = PLAIN.iter().find(|(_, balance)| balance == self);
        f.write_str(plain.map_or("consistent_hash", |(name, _)| name))
    }
}

fn consistent_hash(field: Field<'_>) -> Option<Balance> {
    let mut table = field.table("{ keys = [\"header:x-user\", \"ip\"], load = 1.25 }")?;
    let mut keys = vec![HashKey::ClientIp];
    hash_keys(&mut table, "keys", &mut keys);
    let mut load = Some(LOAD);
    table.set("load", &mut load, |field| field.fraction_or_off(1.0, 100.0));
    table.finish();
    Some(Balance::ConsistentHash { keys, load })
}

/// Reads what requests are kept together by.
pub(in crate::config) fn hash_keys(
    table: &mut Table<'_>,
    key: &'static str,
    keys: &mut Vec<HashKey>,
) {
    const KEY: &str = "`header:NAME`, `cookie:NAME`, `param:NAME`, `principal` or `ip`";
    if let Some(field) = table.take(key) {
        if field.is_empty_list() {
            field.reject::<()>("at least one key");
        }
        *keys = field.one_or_list(|field| field.parse(KEY));
    }
}

pub(super) fn sticky(field: Field<'_>) -> Option<Sticky> {
    let mut table = field.table("{ cookie = \"gw\" }")?;
    let named = table.require("cookie", "the name of a cookie").and_then(|field| {
        let name = field.text("the name of a cookie")?;
        Sticky::new(name).map_err(|error| field.note::<()>(error.to_string())).ok()
    });
    // What else is wrong is said as well.
    let known = named.is_some();
    let mut sticky = named.or_else(|| Sticky::new("gw").ok())?;
    if let Some(field) = table.take("path")
        && let Some(path) = field.text("a path such as \"/\"")
    {
        match sticky.clone().path(path) {
            Ok(changed) => sticky = changed,
            Err(error) => {
                field.note::<()>(error.to_string());
            }
        }
    }
    if let Some(age) = table.take("max_age").and_then(|field| some_duration(&field)) {
        sticky = sticky.max_age(age);
    }
    if let Some(secure) = table.take("secure").and_then(|field| field.boolean()) {
        sticky = sticky.secure(secure);
    }
    if let Some(http_only) = table.take("http_only").and_then(|field| field.boolean()) {
        sticky = sticky.http_only(http_only);
    }
    let sites = [("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];
    if let Some(site) = table.take("same_site").and_then(|field| field.choice(&sites)) {
        sticky = sticky.same_site(site);
    }
    let gone = [("redistribute", OnUnavailable::Redistribute), ("reject", OnUnavailable::Reject)];
    if let Some(gone) = table.take("on_unavailable").and_then(|field| field.choice(&gone)) {
        sticky = sticky.on_unavailable(gone);
    }
    if let Some(secret) = table.take("secret").and_then(|field| field.name("a secret text")) {
        sticky = sticky.secret(secret);
    }
    table.finish();
    known.then_some(sticky)
}
