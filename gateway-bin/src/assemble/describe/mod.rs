//! What a route comes to, for people: the layers that its requests pass, outermost first, with
//! their values, and the endpoints that may take them.

mod access;
mod filters;

use std::fmt::Write;
use std::time::Duration;

use gateway_layers::hedge::Delay;
use gateway_layers::retry::Condition;

use crate::assemble::parts::{ClusterPart, Parts, RoutePart};
use crate::config::{Destination, FallbackTo, Policy, Retry, Target, show_duration, show_size};

impl Parts {
    /// What the route `id` comes to; empty when there is none.
    pub(crate) fn describe(&self, id: &str) -> String {
        let Some(route) = self.routes.iter().find(|part| part.config.id == id) else {
            return String::new();
        };
        let mut text = String::new();
        for line in policy(&route.config.policy, !self.identity.is_empty()) {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  target: {}", target(route));
        let clusters = self.clusters.iter();
        let used =
            clusters.filter(|part| route.config.clusters().any(|name| name == part.config.name));
        used.for_each(|part| describe_cluster(&mut text, part));
        for sink in self.audit.iter().flat_map(|part| part.audit.status()) {
            let _ = writeln!(text, "audit {sink}");
        }
        text
    }
}

/// The layers of the route ring, outermost first.
fn policy(policy: &Policy, known: bool) -> Vec<String> {
    let off = || "off".to_owned();
    let mut lines = vec![format!("timeout {}", policy.timeout.map_or_else(off, show_duration))];
    lines.extend(filters::describe(policy));
    lines.extend(access::describe(policy, known));
    let size = policy.body_limit.map_or_else(off, |limit| show_size(limit.limit()));
    let except = policy.body_limit.is_some_and(|limit| limit.is_grpc_exempt());
    lines.push(format!("body_limit {size}{}", if except { ", except for gRPC" } else { "" }));
    if let Some(fallback) = &policy.fallback {
        let to = match &fallback.to {
            FallbackTo::Destination(to) => destination(to),
            FallbackTo::Respond(respond) => format!("a fixed {}", respond.status.as_u16()),
        };
        let on: Vec<_> = fallback.config.on.iter().map(|kind| kind.name()).collect();
        lines.push(format!("fallback {to}, on {}", on.join(", ")));
    }
    for mirror in &policy.mirrors {
        lines.push(format!("mirror {}, {} %", destination(&mirror.to), mirror.settings.percent));
    }
    if let Some(idle) = policy.tunnel_idle {
        lines.push(format!("tunnel_idle {}", show_duration(idle)));
    }
    if let Some(limit) = policy.attempt_timeout {
        lines.push(format!("attempt_timeout {}", show_duration(limit)));
    }
    if let Some(limit) = policy.response_head_timeout {
        lines.push(format!("response_head_timeout {}", limit.map_or_else(off, show_duration)));
    }
    lines.push(match &policy.retry {
        None => "retry none; one other endpoint for what was not sent or may be sent twice".into(),
        Some(retry) => describe_retry(retry),
    });
    if let Some(hedge) = &policy.hedge {
        let after = match hedge.delay {
            Delay::Fixed(delay) => show_duration(delay),
            Delay::Percentile(percentile) => format!("the {percentile}th percentile"),
            _ => String::new(),
        };
        lines.push(format!("hedge after {after}, {} at most", hedge.max_extra));
    }
    lines
}

fn describe_retry(retry: &Retry) -> String {
    let config = &retry.config;
    let on = config.on.iter().map(|one: &Condition| one.word().to_owned());
    let statuses = config.statuses.iter().map(|status| status.as_u16().to_string());
    let on: Vec<_> = on.chain(statuses).collect();
    let (base, max) = (show_duration(config.backoff.base), show_duration(config.backoff.max));
    format!(
        "retry {} on {}, after {base} to {max}, {} % of requests",
        config.max_retries,
        on.join(", "),
        retry.budget.ratio * 100.0,
    )
}

fn target(route: &RoutePart) -> String {
    match &route.config.target {
        Target::Cluster(name) => format!("cluster {name}"),
        Target::Module(name) => format!("module {name}"),
        Target::Split(_) => {
            let entries = route.split.as_ref().map(|split| split.status().entries);
            let entries = entries.unwrap_or_default().into_iter();
            let entries: Vec<_> =
                entries.map(|entry| format!("{} ({})", entry.name, entry.weight)).collect();
            format!("split {}", entries.join(", "))
        }
        Target::Registry => "the registry's API".to_owned(),
        Target::Capability(_) => "a registered service that takes it".to_owned(),
        Target::Redirect(redirect) => format!("redirect with {}", redirect.status.as_u16()),
        Target::Respond(respond) => format!("a fixed answer with {}", respond.status.as_u16()),
    }
}

fn destination(to: &Destination) -> String {
    match to {
        Destination::Cluster(name) => format!("cluster {name}"),
        Destination::Module(name) => format!("module {name}"),
    }
}

fn describe_cluster(text: &mut String, part: &ClusterPart) {
    let timeouts = &part.config.timeouts;
    let show = |limit: Option<Duration>| limit.map_or("off".to_owned(), show_duration);
    let (one, head) = (show(timeouts.attempt_timeout), show(timeouts.response_head));
    let _ = writeln!(text, "{}", part.cluster.status());
    let connect = show_duration(timeouts.connect);
    let _ = writeln!(text, "  connect {connect}, try {one}, response_head {head}");
    if !part.config.verifies() {
        let _ = writeln!(text, "  dangerous_accept_any_certificate: whoever answers is believed");
    }
    if let Some(breaker) = &part.breaker {
        let status = breaker.status();
        let _ = writeln!(
            text,
            "  circuit_breaker {}: {} of {} failed, {:.0} %",
            status.state,
            status.failures,
            status.requests,
            status.failure_ratio * 100.0,
        );
    }
    if let Some(limit) = &part.limit {
        let status = limit.status();
        let (used, most, queued) = (status.in_use, status.limit, status.queued);
        let _ = writeln!(text, "  concurrency {used} of {most}, {queued} wait");
    }
    if let Some(sign) = &part.config.sign {
        let (label, id, algorithm) = (&sign.label, &sign.key.id, sign.key.algorithm);
        let _ = writeln!(text, "  sign {label} with {id}, {algorithm}");
    }
}
