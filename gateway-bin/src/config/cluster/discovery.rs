//! `discovery` of a cluster: where its endpoints come from.

use std::net::SocketAddr;
use std::path::PathBuf;

use gateway_core::EndpointAddress;
use gateway_core::upstream::Transport;
use gateway_layers::discovery::dns::DnsRecords;
use gateway_layers::discovery::kubernetes::{
    KubernetesConfig, KubernetesPort, NAMESPACE_FILE, TOKEN_FILE,
};
use gateway_layers::discovery::{ConsulConfig, DnsConfig, EtcdConfig, Family, FileConfig, Secret};

use crate::config::reader::{Field, Table};
use crate::config::units::some_duration;

/// Where the endpoints of a cluster come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discover {
    /// `file`: a JSON file, by its path.
    File(FileConfig),
    /// `dns`: the addresses of a name; `srv`: its SRV records.
    Dns(DnsConfig),
    /// `consul`: a service of a Consul agent.
    Consul(ConsulConfig),
    /// `etcd`: the keys below a prefix.
    Etcd(EtcdConfig),
    /// `kubernetes`: the endpoint slices of a service.
    Kubernetes(KubernetesConfig),
    /// `registry`: what registered itself with this gateway.
    Registry(Registered),
}

/// Which of the registered services.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registered {
    /// `service`: the one of this name.
    Service(String),
    /// `capabilities`: all that take these.
    Capabilities(Vec<(String, String)>),
}

const KINDS: [&str; 7] = ["file", "dns", "srv", "consul", "etcd", "kubernetes", "registry"];
const ADDRESS: &str = "an address such as \"http://127.0.0.1:8500\"";
const TRANSPORTS: [(&str, Transport); 3] =
    [("http", Transport::Http), ("https", Transport::Https), ("h2c", Transport::H2c)];
const FAMILIES: [(&str, Family); 5] = [
    ("v4", Family::V4),
    ("v6", Family::V6),
    ("v4_first", Family::V4First),
    ("v6_first", Family::V6First),
    ("both", Family::Both),
];

impl Discover {
    /// True where endpoints may be spoken to over TLS.
    pub fn needs_tls(&self) -> bool {
        let transport = match self {
            Self::Dns(config) => config.transport,
            Self::Consul(config) => config.transport,
            Self::Kubernetes(config) => config.transport,
            // Any entry may say `https`.
            Self::File(_) | Self::Etcd(_) => Transport::Https,
            Self::Registry(_) => Transport::Http,
        };
        transport == Transport::Https
    }

    /// The one name whose addresses are the endpoints, where there is one.
    pub fn looked_up(&self) -> Option<&str> {
        match self {
            Self::Dns(config) if matches!(config.records, DnsRecords::Addresses { .. }) => {
                Some(config.name.strip_suffix('.').unwrap_or(&config.name))
            }
            _ => None,
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ dns = { name = \"orders.svc\", port = 9000 } }")?;
        let discovery = match table.only_one(&KINDS) {
            Some(("file", field)) => file(field),
            Some(("dns", field)) => dns(field),
            Some(("srv", field)) => srv(field),
            Some(("consul", field)) => consul(field),
            Some(("etcd", field)) => etcd(field),
            Some(("kubernetes", field)) => kubernetes(field),
            Some((_, field)) => registry(field).map(Self::Registry),
            None => {
                let kinds: Vec<_> = KINDS.iter().map(|kind| format!("`{kind}`")).collect();
                table.field().note(format!("no source, expected one of {}", kinds.join(", ")))
            }
        };
        table.finish();
        discovery
    }
}

fn file(field: Field<'_>) -> Option<Discover> {
    if !field.is_table() {
        let path = field.name("the path of a JSON file")?;
        return Some(Discover::File(FileConfig::new(path)));
    }
    let mut table = field.table("{ path = \"endpoints.json\", interval = \"1s\" }")?;
    let path = table.require("path", "the path of a JSON file");
    let path = path.and_then(|field| field.name("the path of a JSON file"));
    let mut config = FileConfig::new(path.clone().unwrap_or_default());
    table.set("interval", &mut config.interval, |field| some_duration(&field));
    table.finish();
    path.map(|_| Discover::File(config))
}

fn dns(field: Field<'_>) -> Option<Discover> {
    let mut table = field.table("{ name = \"orders.svc\", port = 9000 }")?;
    let port = table.require("port", "a port").and_then(|field| field.number(1, 65_535));
    let name = dns_name(&mut table);
    let mut config = DnsConfig::new(name.clone().unwrap_or_default(), port.unwrap_or(1));
    dns_options(&mut table, &mut config);
    table.finish();
    (name.is_some() && port.is_some()).then_some(Discover::Dns(config))
}

fn srv(field: Field<'_>) -> Option<Discover> {
    let mut table = field.table("{ name = \"_http._tcp.orders.svc\" }")?;
    let name = dns_name(&mut table);
    let mut config = DnsConfig::srv(name.clone().unwrap_or_default());
    dns_options(&mut table, &mut config);
    table.finish();
    name.map(|_| Discover::Dns(config))
}

fn dns_name(table: &mut Table<'_>) -> Option<String> {
    table.require("name", "a name").and_then(|field| field.name("a name"))
}

fn dns_options(table: &mut Table<'_>, config: &mut DnsConfig) {
    table.set("family", &mut config.family, |field| field.choice(&FAMILIES));
    table.set("transport", &mut config.transport, |field| field.choice(&TRANSPORTS));
    if let Some(field) = table.take("servers") {
        let server = |field: Field<'_>| -> Option<SocketAddr> {
            field.parse("a name server such as \"10.0.0.2:53\"")
        };
        config.servers = field.one_or_list(server);
    }
    table.set("timeout", &mut config.timeout, |field| some_duration(&field));
    table.set("retries", &mut config.retries, |field| field.number(0, 5));
    table.set("min_ttl", &mut config.min_ttl, |field| some_duration(&field));
    table.set("max_ttl", &mut config.max_ttl, |field| some_duration(&field));
    if config.max_ttl < config.min_ttl
        && let Some(field) = table.take("max_ttl").or_else(|| table.take("min_ttl"))
    {
        let message = "`max_ttl` is less than `min_ttl`, expected at least as much".to_owned();
        field.note::<()>(message);
    }
}

fn consul(field: Field<'_>) -> Option<Discover> {
    let mut table = field.table("{ address = \"http://127.0.0.1:8500\", service = \"orders\" }")?;
    let address = table.require("address", ADDRESS).and_then(|field| field.parse(ADDRESS));
    let service = service(&mut table);
    let known = address.is_some() && service.is_some();
    let address: EndpointAddress = address.or_else(|| "http://127.0.0.1".parse().ok())?;
    let mut config = ConsulConfig::new(address, service.unwrap_or_default());
    table.set("tag", &mut config.tag, |field| field.name("a tag").map(Some));
    table.set("datacenter", &mut config.datacenter, |field| {
        field.name("the name of a datacenter").map(Some)
    });
    config.token = secret(&mut table, "token", "token_file");
    table.set("zone_meta", &mut config.zone_meta, |field| {
        field.name("the name of a metadata entry").map(Some)
    });
    table.set("transport", &mut config.transport, |field| field.choice(&TRANSPORTS));
    table.set("wait", &mut config.wait, |field| some_duration(&field));
    table.set("timeout", &mut config.timeout, |field| some_duration(&field));
    table.finish();
    known.then_some(Discover::Consul(config))
}

fn etcd(field: Field<'_>) -> Option<Discover> {
    let example = "{ endpoints = [\"http://127.0.0.1:2379\"], prefix = \"/services/orders/\" }";
    let mut table = field.table(example)?;
    let members = table.require("endpoints", "a list of addresses").map(|field| {
        if field.is_empty_list() {
            field.reject::<()>("at least one address");
        }
        field.one_or_list(|field| field.parse::<EndpointAddress>(ADDRESS))
    });
    let prefix = table.require("prefix", "the beginning of keys");
    let prefix = prefix.and_then(|field| field.name("the beginning of keys"));
    let known = members.is_some() && prefix.is_some();
    let mut config = EtcdConfig::new(members.unwrap_or_default(), prefix.unwrap_or_default());
    table.set("user", &mut config.user, |field| field.name("a user").map(Some));
    config.password = secret(&mut table, "password", "password_file");
    table.set("timeout", &mut config.timeout, |field| some_duration(&field));
    table.set("resync", &mut config.resync, |field| some_duration(&field));
    table.finish();
    known.then_some(Discover::Etcd(config))
}

fn kubernetes(field: Field<'_>) -> Option<Discover> {
    let mut table =
        field.table("{ service = \"orders\", namespace = \"shop\", port = \"http\" }")?;
    let service = service(&mut table);
    let given = table.take("address").map(|field| field.parse::<EndpointAddress>(ADDRESS));
    let inside = given.is_none();
    // The pod's own, where nothing else is said.
    let address = given.unwrap_or_else(|| "https://kubernetes.default.svc".parse().ok());
    let namespace = namespace(&mut table);
    let known = service.is_some() && namespace.is_some() && address.is_some();
    let address = address.or_else(|| "https://kubernetes.default.svc".parse().ok())?;
    let mut config =
        KubernetesConfig::new(address, namespace.unwrap_or_default(), service.unwrap_or_default());
    table.set("port", &mut config.port, |field| match field.peek_text() {
        Some(_) => field.name("a port, by name or number")?.parse().ok(),
        None => field.number::<u16>(1, 65_535).map(KubernetesPort::Number),
    });
    table.set("family", &mut config.family, |field| field.choice(&FAMILIES));
    table.set("transport", &mut config.transport, |field| field.choice(&TRANSPORTS));
    config.token_file = inside.then(|| PathBuf::from(TOKEN_FILE));
    table.set("token_file", &mut config.token_file, |field| {
        field.name("the path of a file").map(|path| Some(path.into()))
    });
    table.set("timeout", &mut config.timeout, |field| some_duration(&field));
    table.set("watch", &mut config.watch, |field| some_duration(&field));
    table.finish();
    known.then_some(Discover::Kubernetes(config))
}

/// What the document says, or else the pod's own.
fn namespace(table: &mut Table<'_>) -> Option<String> {
    let expected = "the name of a namespace";
    match std::fs::read_to_string(NAMESPACE_FILE) {
        Ok(own) => {
            let mut namespace = Some(own.trim().to_owned());
            table.set("namespace", &mut namespace, |field| field.name(expected).map(Some));
            namespace
        }
        Err(_) => table.require("namespace", expected).and_then(|field| field.name(expected)),
    }
}

fn registry(field: Field<'_>) -> Option<Registered> {
    let mut table = field.table("{ service = \"orders\" }")?;
    let registered = match table.only_one(&["service", "capabilities"]) {
        Some(("service", field)) => field.name("the name of a service").map(Registered::Service),
        Some((_, field)) => {
            let entries = field.entries("a table such as { resource_type = \"orders\" }");
            let entries = entries.into_iter().filter_map(|(name, field)| {
                Some((name.to_owned(), field.text("text")?.to_owned()))
            });
            Some(Registered::Capabilities(entries.collect()))
        }
        None => table
            .field()
            .note("nothing asked for, expected one of `service`, `capabilities`".to_owned()),
    };
    table.finish();
    registered
}

fn service(table: &mut Table<'_>) -> Option<String> {
    let expected = "the name of a service";
    table.require("service", expected).and_then(|field| field.name(expected))
}

/// A secret that the document says, or the file that it names.
fn secret(table: &mut Table<'_>, key: &'static str, file: &'static str) -> Option<Secret> {
    match table.only_one(&[key, file])? {
        (chosen, field) if chosen == key => field.name("a secret text").map(Secret::new),
        (_, field) => field.file().map(|text| Secret::new(text.trim())),
    }
}
