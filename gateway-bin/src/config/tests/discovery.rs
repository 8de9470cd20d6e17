//! `discovery` of a cluster.

use super::*;

/// The errors of a cluster with `line` in it; it stands on line 4.
fn cluster_errors(line: &str) -> Vec<String> {
    errors(&format!("{LISTENER}[clusters.a]\n{line}\n"))
}

#[test]
fn sources() {
    for (line, expected) in [
        (
            "discovery = {}",
            "g.toml:4:13: clusters.a.discovery: no source, expected one of `file`, `dns`, `srv`, \
             `consul`, `etcd`, `kubernetes`, `registry`",
        ),
        (
            "discovery = { file = \"a\", dns = { name = \"b\", port = 1 } }",
            "g.toml:4:33: clusters.a.discovery.dns: `dns` together with `file`, expected only one",
        ),
        (
            "discovery = { file = {} }",
            "g.toml:4:22: clusters.a.discovery.file.path: missing, expected the path of a JSON \
             file",
        ),
        (
            "discovery = { dns = { name = \"orders.svc\" } }",
            "g.toml:4:21: clusters.a.discovery.dns.port: missing, expected a port",
        ),
        (
            "discovery = { dns = { name = \"orders.svc\", port = 0 } }",
            "g.toml:4:51: clusters.a.discovery.dns.port: found 0, expected a number from 1 to \
             65535",
        ),
        (
            "discovery = { dns = { name = \"a\", port = 1, family = \"ipv4\" } }",
            "g.toml:4:54: clusters.a.discovery.dns.family: found \"ipv4\", expected one of \
             \"v4\", \"v6\", \"v4_first\", \"v6_first\", \"both\"",
        ),
        (
            "discovery = { dns = { name = \"a\", port = 1, servers = [\"10.0.0.2\"] } }",
            "g.toml:4:56: clusters.a.discovery.dns.servers[0]: found \"10.0.0.2\", expected a \
             name server such as \"10.0.0.2:53\"",
        ),
        (
            "discovery = { dns = { name = \"a\", port = 1, max_ttl = \"500ms\" } }",
            "g.toml:4:55: clusters.a.discovery.dns.max_ttl: `max_ttl` is less than `min_ttl`, \
             expected at least as much",
        ),
        (
            "discovery = { srv = { name = \"a\", port = 1 } }",
            "g.toml:4:35: clusters.a.discovery.srv.port: unknown key, expected one of `name`, \
             `family`, `transport`, `servers`, `timeout`, `retries`, `min_ttl`, `max_ttl`",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

#[test]
fn registries_as_sources() {
    for (line, expected) in [
        (
            "discovery = { consul = { service = \"orders\" } }",
            "g.toml:4:24: clusters.a.discovery.consul.address: missing, expected an address such \
             as \"http://127.0.0.1:8500\"",
        ),
        (
            "discovery = { consul = { address = \"http://c\", service = \"a\", token = \"a\", \
             token_file = \"b\" } }",
            "g.toml:4:89: clusters.a.discovery.consul.token_file: `token_file` together with \
             `token`, expected only one",
        ),
        (
            "discovery = { consul = { address = \"http://c\", service = \"a\", token_file = \
             \"no/such\" } }",
            "g.toml:4:76: clusters.a.discovery.consul.token_file: \"no/such\" cannot be read: No \
             such file or directory (os error 2)",
        ),
        (
            "discovery = { etcd = { endpoints = [], prefix = \"/a/\" } }",
            "g.toml:4:36: clusters.a.discovery.etcd.endpoints: found an empty list, expected at \
             least one address",
        ),
        (
            "discovery = { kubernetes = { namespace = \"a\", port = 0, service = \"b\" } }",
            "g.toml:4:54: clusters.a.discovery.kubernetes.port: found 0, expected a number from \
             1 to 65535",
        ),
        (
            "discovery = { registry = {} }",
            "g.toml:4:26: clusters.a.discovery.registry: nothing asked for, expected one of \
             `service`, `capabilities`",
        ),
        (
            "discovery = { registry = { service = \"a\" } }",
            "g.toml:4:26: clusters.a.discovery.registry: there is no [registry] in the document",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

/// The source of a cluster, where nothing else is wrong.
fn source(discover: &str) -> Discover {
    let text = format!("{LISTENER}[clusters.a]\ndiscovery = {discover}\n");
    let mut document = read(&text).document;
    assert_eq!(document.clusters[0].endpoints, []);
    document.clusters.remove(0).discovery.unwrap()
}

#[test]
fn sources_have_defaults() {
    use gateway_layers::discovery::{ConsulConfig, DnsConfig, EtcdConfig, FileConfig};

    let address = || "http://a:1".parse().unwrap();
    assert_eq!(source("{ file = \"a.json\" }"), Discover::File(FileConfig::new("a.json")));
    let dns = source("{ dns = { name = \"a\", port = 9 } }");
    assert_eq!(dns, Discover::Dns(DnsConfig::new("a", 9)));
    assert_eq!(source("{ srv = { name = \"a\" } }"), Discover::Dns(DnsConfig::srv("a")));
    let consul = source("{ consul = { address = \"http://a:1\", service = \"b\" } }");
    assert_eq!(consul, Discover::Consul(ConsulConfig::new(address(), "b")));
    let etcd = source("{ etcd = { endpoints = \"http://a:1\", prefix = \"/b/\" } }");
    assert_eq!(etcd, Discover::Etcd(EtcdConfig::new([address()], "/b/")));
}

#[test]
fn inside_of_a_pod_the_api_server_is_known() {
    let kubernetes = source("{ kubernetes = { service = \"a\", namespace = \"b\", port = 80 } }");
    let Discover::Kubernetes(config) = &kubernetes else { panic!("{kubernetes:?}") };
    assert_eq!(config.address.to_string(), "https://kubernetes.default.svc:443");
    assert_eq!((config.service.as_str(), config.namespace.as_str()), ("a", "b"));
    assert_eq!(config.port, "80".parse().unwrap());
    assert!(config.token_file.is_some());
}
