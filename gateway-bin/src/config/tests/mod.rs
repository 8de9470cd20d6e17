//! Every key with its default, every kind of error with its exact words.

mod environment;
mod errors;

use std::time::Duration;

use gateway_core::forwarded::{ForwardedPolicy, TrustedProxies};
use gateway_core::path::PathOptions;
use gateway_core::route::Redirect;
use gateway_core::{ClusterTimeouts, FixedResponse, HostPolicy, Modules, PoolSettings, Protocol};
use gateway_core::{DrainSettings, Limits, Timeouts};
use http::StatusCode;

use super::*;

/// A listener, so that only the rest of a document can be wrong.
const LISTENER: &str = "[[listeners]]\naddress = \"127.0.0.1:80\"\n";

fn modules() -> Modules {
    Modules::new().with("users", FixedResponse::new(StatusCode::OK))
}

fn read(text: &str) -> Reading {
    Source::text("g.toml", text).read(&modules()).unwrap()
}

fn errors_of(source: &Source) -> Vec<String> {
    let problems = source.read(&modules()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn errors(text: &str) -> Vec<String> {
    errors_of(&Source::text("g.toml", text))
}

#[test]
fn defaults() {
    let text = format!(
        "{LISTENER}[clusters.a]\nendpoints = [\"http://b:1\"]\n[[routes]]\nid = \"r\"\n\
         match = {{}}\ntarget = {{ cluster = \"a\" }}\n"
    );
    let reading = read(&text);
    assert_eq!(reading.warnings, []);
    let document = reading.document;
    assert_eq!(document.workers, 0);
    assert_eq!(document.drain, DrainSettings::new(Duration::from_secs(5), Duration::from_secs(30)));
    let listener = &document.listeners[0];
    assert_eq!(listener.name, "127.0.0.1:80");
    assert_eq!(listener.protocol, Protocol::Auto);
    assert_eq!(listener.proxy_protocol, []);
    assert_eq!(listener.path, PathOptions::default());
    assert_eq!(listener.trusted, TrustedProxies::default());
    assert_eq!(listener.forwarded, ForwardedPolicy::default());
    assert_eq!(listener.limits, Limits::default());
    assert_eq!(listener.timeouts, Timeouts::default());
    let cluster = &document.clusters[0];
    assert_eq!(cluster.balance, Balance::PowerOfTwo);
    assert_eq!(cluster.host, HostPolicy::Preserve);
    assert_eq!(cluster.pool, PoolSettings::default());
    assert_eq!(cluster.timeouts, ClusterTimeouts::default());
    let route = &document.routes[0];
    assert_eq!((route.priority, route.enabled), (0, true));
    assert!(route.metadata.is_empty() && route.listeners.is_empty() && route.rewrite.is_none());
    assert_eq!(route.policy, Policy::default());
    assert_eq!(route.policy.timeout, Some(Duration::from_secs(30)));
    assert_eq!(route.policy.body_limit, Some(10 * 1024 * 1024));
}

#[test]
fn every_key_is_read() {
    let text = include_str!("../../../../examples/config/full.toml");
    let reading = read(text);
    assert_eq!(reading.warnings, []);
    let document = reading.document;
    let [public, behind] = document.listeners.as_slice() else { panic!("{document:?}") };
    assert_eq!((public.name.as_str(), public.limits), ("public", Limits::default()));
    assert_eq!(public.timeouts, Timeouts::default());
    assert_eq!(behind.protocol, Protocol::Http1);
    assert_eq!(behind.proxy_protocol, ["10.0.0.0/8".parse().unwrap()]);
    assert!(behind.trusted.trusts("10.1.2.3".parse().unwrap()));
    let [orders, pictures] = document.clusters.as_slice() else { panic!("{document:?}") };
    assert_eq!(orders.endpoints.len(), 2);
    assert_eq!(orders.pool, PoolSettings::default());
    assert_eq!(orders.timeouts.try_timeout, Some(Duration::from_secs(10)));
    assert_eq!(pictures.balance, Balance::RoundRobin);
    assert_eq!(pictures.host, HostPolicy::Fixed("pictures.internal".parse().unwrap()));
    let route = &document.routes[0];
    assert_eq!(route.metadata.value("team"), Some("shop"));
    assert_eq!(route.listeners, ["public"]);
    assert_eq!(route.matches[0].headers.len(), 2);
    assert_eq!(route.matches[0].query.len(), 1);
    assert_eq!(route.policy.request_headers.set.len(), 1);
    assert_eq!(route.policy.request_headers.add.len(), 1);
    assert_eq!(route.policy.response_headers.remove, ["server"]);
    assert_eq!(document.routes[1].matches.len(), 2);
    let expected = Redirect::new().prefix("/orders").unwrap();
    assert_eq!(document.routes[3].target, Target::Redirect(expected));
    let Target::Respond(respond) = &document.routes[4].target else { panic!("{document:?}") };
    assert_eq!((respond.status, respond.body.as_str()), (StatusCode::OK, "ok\n"));
}

#[test]
fn the_minimal_example_loads() {
    let reading = read(include_str!("../../../../examples/config/minimal.toml"));
    assert_eq!(reading.warnings, []);
    assert_eq!(reading.document.routes.len(), 1);
}

#[test]
fn what_is_off_is_off() {
    let text = format!(
        "{LISTENER}timeouts = {{ max_age = \"0s\" }}\n[clusters.a]\nendpoints = [\"unix:/a\"]\n\
         timeouts = {{ try = \"0s\" }}\n[[routes]]\nid = \"r\"\nmatch = {{}}\n\
         target = {{ cluster = \"a\" }}\npolicy = {{ timeout = \"0s\", body_limit = \"off\" }}\n"
    );
    let document = read(&text).document;
    assert_eq!(document.listeners[0].timeouts.max_age, Duration::from_secs(31_536_000));
    assert_eq!(document.clusters[0].timeouts.try_timeout, None);
    assert_eq!(document.routes[0].policy.timeout, None);
    assert_eq!(document.routes[0].policy.body_limit, None);
}
