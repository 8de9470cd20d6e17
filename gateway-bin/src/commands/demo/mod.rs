//! `gateway demo`: modules in the process, an upstream behind, and what to try.

mod collection;
mod events;
mod upstream;

use std::ffi::OsString;

use gateway::config::Source;
use gateway::{Assembly, Bound};

use self::collection::Collection;
use self::events::Events;
use super::{Failure, serve};
use crate::args::Demo;
use crate::telemetry;
use crate::terminal::say;

const DOCUMENT: &str = include_str!("demo.toml");

pub(crate) fn demo(arguments: &Demo, log: Option<&str>) -> Result<(), Failure> {
    telemetry::start(log, "info")?;
    let upstream = upstream::start()?;
    let listen = arguments.listen.to_string();
    let overrides = [
        ("GATEWAY__LISTENERS__0__ADDRESS", listen.clone()),
        ("GATEWAY__CLUSTERS__REMOTE__ENDPOINTS__0", format!("http://{upstream}")),
    ];
    let overrides = overrides.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let source = Source::text("demo.toml", DOCUMENT).variables(overrides);
    let assembly = Assembly::from(source)
        .module("users", Collection::new("user", ""))
        .module("tasks", Collection::new("task", "complete"))
        .module("notifications", Collection::new("notification", "send"))
        .module("events", Events);
    serve(&telemetry::observed(assembly).assemble()?, |bound| {
        introduce(bound, &upstream.to_string());
    })
}

fn introduce(bound: &Bound, upstream: &str) {
    let Some((_, address)) = bound.addresses().first() else {
        return;
    };
    say(&format!("an upstream listens on http://{upstream}; try:"));
    for command in [
        "curl -i http://{}/health",
        "curl -i http://{}/users -d '{\"name\":\"Ada\"}'",
        "curl -i http://{}/users/1",
        "curl -i http://{}/tasks -d '{\"title\":\"write it down\"}'",
        "curl -i -X POST http://{}/tasks/1/complete",
        "curl -i http://{}/notifications",
        "curl -i http://{}/remote/any/path?a=1      # through the upstream",
        "curl -N http://{}/events                   # server-sent events",
        "curl -iL http://{}/people/1                # a redirect",
        "curl -i http://{}/nowhere                  # an answer of the gateway itself",
    ] {
        say(&format!("  {}", command.replace("{}", &address.to_string())));
    }
}
