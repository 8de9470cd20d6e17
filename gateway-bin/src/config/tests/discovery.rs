//! `discover` of a cluster.

use super::*;

/// The errors of a cluster with `line` in it; it stands on line 4.
fn cluster_errors(line: &str) -> Vec<String> {
    errors(&format!("{LISTENER}[clusters.a]\n{line}\n"))
}

#[test]
fn sources() {
    for (line, expected) in [
        (
            "discover = {}",
            "g.toml:4:12: clusters.a.discover: no source, expected one of `file`, `dns`, `srv`, \
             `consul`, `etcd`, `kubernetes`, `registry`",
        ),
        (
            "discover = { file = \"a\", dns = { name = \"b\", port = 1 } }",
            "g.toml:4:32: clusters.a.discover.dns: `dns` together with `file`, expected only one",
        ),
        (
            "discover = { file = {} }",
            "g.toml:4:21: clusters.a.discover.file.path: missing, expected the path of a JSON \
             file",
        ),
        (
            "discover = { dns = { name = \"orders.svc\" } }",
            "g.toml:4:20: clusters.a.discover.dns.port: missing, expected a port",
        ),
        (
            "discover = { dns = { name = \"orders.svc\", port = 0 } }",
            "g.toml:4:50: clusters.a.discover.dns.port: found 0, expected a number from 1 to \
             65535",
        ),
        (
            "discover = { dns = { name = \"a\", port = 1, family = \"ipv4\" } }",
            "g.toml:4:53: clusters.a.discover.dns.family: found \"ipv4\", expected one of \
             \"v4\", \"v6\", \"v4_first\", \"v6_first\", \"both\"",
        ),
        (
            "discover = { dns = { name = \"a\", port = 1, servers = [\"10.0.0.2\"] } }",
            "g.toml:4:55: clusters.a.discover.dns.servers[0]: found \"10.0.0.2\", expected a \
             name server such as \"10.0.0.2:53\"",
        ),
        (
            "discover = { dns = { name = \"a\", port = 1, max_ttl = \"500ms\" } }",
            "g.toml:4:54: clusters.a.discover.dns.max_ttl: `max_ttl` is less than `min_ttl`, \
             expected at least as much",
        ),
        (
            "discover = { srv = { name = \"a\", port = 1 } }",
            "g.toml:4:34: clusters.a.discover.srv.port: unknown key, expected one of `name`, \
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
            "discover = { consul = { service = \"orders\" } }",
            "g.toml:4:23: clusters.a.discover.consul.address: missing, expected an address such \
             as \"http://127.0.0.1:8500\"",
        ),
        (
            "discover = { consul = { address = \"http://c\", service = \"a\", token = \"a\", \
             token_file = \"b\" } }",
            "g.toml:4:88: clusters.a.discover.consul.token_file: `token_file` together with \
             `token`, expected only one",
        ),
        (
            "discover = { consul = { address = \"http://c\", service = \"a\", token_file = \
             \"no/such\" } }",
            "g.toml:4:75: clusters.a.discover.consul.token_file: \"no/such\" cannot be read: No \
             such file or directory (os error 2)",
        ),
        (
            "discover = { etcd = { endpoints = [], prefix = \"/a/\" } }",
            "g.toml:4:35: clusters.a.discover.etcd.endpoints: found an empty list, expected at \
             least one address",
        ),
        (
            "discover = { kubernetes = { namespace = \"a\", port = 0, service = \"b\" } }",
            "g.toml:4:53: clusters.a.discover.kubernetes.port: found 0, expected a number from \
             1 to 65535",
        ),
        (
            "discover = { registry = {} }",
            "g.toml:4:25: clusters.a.discover.registry: nothing asked for, expected one of \
             `service`, `capabilities`",
        ),
        (
            "discover = { registry = { service = \"a\" } }",
            "g.toml:4:25: clusters.a.discover.registry: there is no [registry] in the document",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

/// The source of a cluster, where nothing else is wrong.
fn source(discover: &str) -> Discover {
    let text = format!("{LISTENER}[clusters.a]\ndiscover = {discover}\n");
    let mut document = read(&text).document;
    assert_eq!(document.clusters[0].endpoints, []);
    document.clusters.remove(0).discover.unwrap()
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
