//! `gateway proxy`: everything to one place, without a document.

use std::time::Duration;

use gateway::Assembly;
use gateway::config::{Cluster, Document, Listener, Policy, Route, Target};
use gateway_core::route::RouteMatch;
use gateway_core::upstream::EndpointSpec;
use gateway_core::{DrainConfig, HostPolicy};
use gateway_layers::access_log::TARGET;

use super::{Failure, serve};
use crate::args::{Host, Proxy};
use crate::telemetry;

/// What is in flight at the signal gets this long.
const DRAIN: Duration = Duration::from_secs(30);

pub(crate) fn proxy(arguments: &Proxy, log: Option<&str>) -> Result<(), Failure> {
    let default = if arguments.access_log { format!("warn,{TARGET}=info") } else { "warn".into() };
    telemetry::start(log, &default)?;
    let assembly = Assembly::from(document(arguments));
    let assembly = if arguments.access_log { telemetry::observed(assembly) } else { assembly };
    serve(&assembly.assemble()?, |_| {})
}

fn document(arguments: &Proxy) -> Document {
    let mut cluster =
        Cluster::new("upstream", arguments.to.iter().cloned().map(EndpointSpec::new).collect());
    cluster.host = match arguments.host {
        Host::Preserve => HostPolicy::Preserve,
        Host::Endpoint => HostPolicy::Endpoint,
    };
    cluster.outlier_detection = None;
    let target = Target::Cluster(cluster.name.clone());
    let mut route = Route::new("everything", vec![RouteMatch::any()], target);
    // Nothing but forwarding: uploads and answers of any length and duration.
    let mut policy = Policy::default();
    policy.honor_client_deadline = false;
    policy.body_limit = None;
    route.policy = policy;
    let mut document = Document::new(vec![Listener::new(arguments.listen.clone())]);
    document.workers = arguments.workers.into();
    document.clusters.push(cluster);
    document.routes.push(route);
    let lame_duck = Duration::from_secs(arguments.lame_duck.into());
    document.drain = DrainConfig::new(lame_duck, DRAIN);
    document
}
