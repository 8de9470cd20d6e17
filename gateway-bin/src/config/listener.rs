//! `[[listeners]]`: where clients come in.

use std::net::IpAddr;

use gateway_core::context::HttpsRedirect;
use gateway_core::forwarded::{ForwardedPolicy, Mode, OriginHeader, TrustedProxies, Via};
use gateway_core::path::{EncodedSlashes, PathOptions};
use gateway_core::{Address, Limits, Protocol, Timeouts};
use http::HeaderName;
use ipnet::IpNet;

use super::reader::{Field, Table};
use super::tls::{self, ListenerTls};
use super::units::{size, some_size, timeout};

const ADDRESS: &str = "\"IP:PORT\" such as \"127.0.0.1:8080\", or \"unix:/PATH\"";
const NETWORKS: &str = "a list of networks such as [\"10.0.0.0/8\"]";
const NETWORK: &str = "a network such as \"10.0.0.0/8\", or an address";

/// An address to listen on and what is allowed there.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Listener {
    /// `name`: what routes call it. Default: the address.
    pub name: String,
    /// `address`: `IP:PORT` or `unix:/PATH`. Required.
    pub address: Address,
    /// `unix_mode`: the permissions of a Unix socket, octal, such as `"0660"`. Default: as the umask
    /// leaves them.
    pub unix_mode: Option<u32>,
    /// `protocol`: `auto`, `http1` or `http2`. Default: `auto`.
    pub protocol: Protocol,
    /// `proxy_protocol.trusted`: whose connections begin with a PROXY header. Default: nobody's.
    pub proxy_protocol: Vec<IpNet>,
    /// `tls`. Default: none, plain text.
    pub tls: Option<ListenerTls>,
    /// `redirect`: `scheme` (`https`, required), `port` (443) and `status` (308): sends clients
    /// there instead of answering them. Default: none.
    pub redirect: Option<HttpsRedirect>,
    /// `path`: `encoded_slashes` (`reject`, `keep`; default `reject`), `merge_slashes` (default
    /// `true`) and `allow_non_utf8` (default `false`).
    pub path: PathOptions,
    /// `forwarded.trusted` and `forwarded.hops`: whose word about the client is believed. Default:
    /// nobody's.
    pub trusted: TrustedProxies,
    /// `forwarded.x_forwarded` (default `append`) and `forwarded.rfc7239` (default `off`):
    /// `append`, `set`, `remove` or `off`.
    pub forwarded: ForwardedPolicy,
    /// `forwarded.via`: what requests to upstreams call the gateway, or `off`. Default: `gateway`.
    pub via: Via,
    /// `forwarded.origin`: the header by which responses say who made them, or `off`. Default:
    /// `x-gateway-origin`.
    pub origin: OriginHeader,
    /// `limits`: `uri` (8 KiB), `headers` (64 KiB), `header_count` (100), `connections` (10,000; of
    /// all workers together).
    pub limits: Limits,
    /// `timeouts`: `header` (10 s), `tls` (10 s), `idle` (75 s), `body_idle` (60 s), `tunnel_idle`
    /// (1 h), `max_age` (10 min); `"0s"` is off, which is a year. `min_body_rate` (500 B, in a
    /// second; `"0B"` is off).
    pub timeouts: Timeouts,
}

impl Listener {
    /// A listener on `address` with every default.
    pub fn new(address: Address) -> Self {
        Self {
            name: address.to_string(),
            address,
            unix_mode: None,
            protocol: Protocol::default(),
            proxy_protocol: Vec::new(),
            tls: None,
            redirect: None,
            path: PathOptions::default(),
            trusted: TrustedProxies::default(),
            forwarded: ForwardedPolicy::default(),
            via: Via::default(),
            origin: OriginHeader::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ address = \"127.0.0.1:8080\" }")?;
        let address = table.require("address", ADDRESS).and_then(|field| field.parse(ADDRESS));
        // Read on without one, so that what else is wrong is said as well.
        let known = address.is_some();
        let mut listener = Self::new(address.unwrap_or_else(|| Address::Unix("/".into())));
        table.set("name", &mut listener.name, |field| field.name("a name"));
        if let Some(field) = table.take("unix_mode") {
            listener.unix_mode = unix_mode(&field);
            if matches!(listener.address, Address::Tcp(_)) {
                field.note::<()>(
                    "`unix_mode` with an address of TCP, expected one such as \"unix:/PATH\""
                        .to_owned(),
                );
            }
        }
        table.set("protocol", &mut listener.protocol, |field| {
            let (auto, http1, http2) = (Protocol::Auto, Protocol::Http1, Protocol::Http2);
            field.choice(&[("auto", auto), ("http1", http1), ("http2", http2)])
        });
        table.set("proxy_protocol", &mut listener.proxy_protocol, proxy_protocol);
        table.set("tls", &mut listener.tls, |field| ListenerTls::read(field).map(Some));
        let redirect = table.take("redirect");
        if let (Some(field), Some(_)) = (&redirect, table.take("tls")) {
            field.note::<()>(
                "`redirect` together with `tls`, expected a listener in plain text".to_owned(),
            );
        }
        listener.redirect = redirect.and_then(tls::redirect);
        table.set("path", &mut listener.path, path_options);
        if let Some(field) = table.take("forwarded") {
            listener.read_forwarded(field);
        }
        table.set("limits", &mut listener.limits, limits);
        table.set("timeouts", &mut listener.timeouts, timeouts);
        table.finish();
        known.then_some(listener)
    }

    fn read_forwarded(&mut self, field: Field<'_>) -> Option<()> {
        let mut table = field.table("{ trusted = [\"10.0.0.0/8\"], x_forwarded = \"append\" }")?;
        let mut trusted = Vec::new();
        let mut hops = 0;
        table.set("trusted", &mut trusted, |field| networks(&field));
        table.set("hops", &mut hops, |field| field.number(0, 64));
        table.set("x_forwarded", &mut self.forwarded.x_forwarded, |field| mode(&field));
        table.set("rfc7239", &mut self.forwarded.rfc7239, |field| mode(&field));
        table.set("via", &mut self.via, |field| via(&field));
        table.set("origin", &mut self.origin, |field| origin(&field));
        table.finish();
        self.trusted = TrustedProxies::new(trusted).with_hops(hops);
        Some(())
    }
}

fn via(field: &Field<'_>) -> Option<Via> {
    const VIA: &str = "a name such as \"gateway\" or \"edge.example:8080\", or \"off\"";
    match field.text(VIA)? {
        "off" => Some(Via::off()),
        name => Via::named(name).or_else(|| field.reject(VIA)),
    }
}

fn origin(field: &Field<'_>) -> Option<OriginHeader> {
    const ORIGIN: &str = "the name of a header such as \"x-gateway-origin\", or \"off\"";
    match field.text(ORIGIN)? {
        "off" => Some(OriginHeader::off()),
        name => match name.parse::<HeaderName>() {
            Ok(name) if is_free(&name) => Some(OriginHeader::named(name)),
            _ => field.reject(ORIGIN),
        },
    }
}

/// True for a header that means nothing else in a response.
fn is_free(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-") && !name.starts_with("x-forwarded-")
}

fn unix_mode(field: &Field<'_>) -> Option<u32> {
    const MODE: &str = "permissions in octal such as \"0660\"";
    let text = field.text(MODE)?;
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.or_else(|| field.reject(MODE))
}

fn proxy_protocol(field: Field<'_>) -> Option<Vec<IpNet>> {
    let mut table = field.table("{ trusted = [\"10.0.0.0/8\"] }")?;
    let trusted = table.require("trusted", NETWORKS);
    let networks = trusted.as_ref().map(networks);
    if let (Some(trusted), Some(Some(networks))) = (&trusted, &networks)
        && networks.is_empty()
    {
        trusted.reject::<()>("at least one network; leave `proxy_protocol` out to trust nobody");
    }
    table.finish();
    networks.flatten()
}

fn networks(field: &Field<'_>) -> Option<Vec<IpNet>> {
    field.list(NETWORKS, |field| {
        let text = field.text(NETWORK)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.ok().or_else(|| field.reject(NETWORK))
    })
}

fn path_options(field: Field<'_>) -> Option<PathOptions> {
    let mut table = field.table("{ encoded_slashes = \"reject\", merge_slashes = true }")?;
    let mut options = PathOptions::default();
    table.set("encoded_slashes", &mut options.encoded_slashes, |field| {
        field.choice(&[("reject", EncodedSlashes::Reject), ("keep", EncodedSlashes::Keep)])
    });
    table.set("merge_slashes", &mut options.merge_slashes, |field| field.boolean());
    table.set("allow_non_utf8", &mut options.allow_non_utf8, |field| field.boolean());
    table.finish();
    Some(options)
}

fn mode(field: &Field<'_>) -> Option<Mode> {
    field.choice(&[
        ("append", Mode::Append),
        ("set", Mode::Set),
        ("remove", Mode::Remove),
        ("off", Mode::Off),
    ])
}

fn limits(field: Field<'_>) -> Option<Limits> {
    let mut table = field.table("{ uri = \"8KiB\", headers = \"64KiB\" }")?;
    let mut limits = Limits::default();
    table.set("uri", &mut limits.uri, |field| some_size(&field));
    table.set("headers", &mut limits.headers, |field| some_size(&field));
    table.set("header_count", &mut limits.header_count, |field| field.number(1, 10_000));
    table.set("connections", &mut limits.connections, |field| field.number(1, 10_000_000));
    let too_long = limits.uri > limits.headers;
    if too_long && let Some(uri) = table.take("uri").or_else(|| table.take("headers")) {
        uri.note::<()>("`uri` is more than `headers`, which counts the start line too".to_owned());
    }
    table.finish();
    Some(limits)
}

fn timeouts(field: Field<'_>) -> Option<Timeouts> {
    let mut table: Table<'_> = field.table("{ header = \"10s\", idle = \"75s\" }")?;
    let mut timeouts = Timeouts::default();
    table.set("header", &mut timeouts.header, |field| timeout(&field));
    table.set("tls", &mut timeouts.tls, |field| timeout(&field));
    table.set("idle", &mut timeouts.idle, |field| timeout(&field));
    table.set("body_idle", &mut timeouts.body_idle, |field| timeout(&field));
    table.set("min_body_rate", &mut timeouts.min_body_rate, |field| size(&field));
    table.set("tunnel_idle", &mut timeouts.tunnel_idle, |field| timeout(&field));
    table.set("max_age", &mut timeouts.max_age, |field| timeout(&field));
    table.finish();
    Some(timeouts)
}
