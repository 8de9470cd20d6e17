//! A route of a document into one of the table.

use gateway_core::{FixedResponse, Module, Redirection, Route};

use super::parts::Leads;
use crate::config::{self, Respond, Target};

/// What the target is, out of what was built; `None`: it was not.
pub(super) fn target(route: &config::Route, leads: &Leads<'_>) -> Option<Module> {
    match &route.target {
        Target::Cluster(name) => leads.cluster(name),
        Target::Module(name) => leads.module(name),
        Target::Redirect(redirect) => Some(Module::new(Redirection::new(redirect.clone()))),
        Target::Respond(respond) => Some(Module::new(fixed(respond))),
    }
}

fn fixed(respond: &Respond) -> FixedResponse {
    let answer = FixedResponse::new(respond.status);
    if respond.body.is_empty() {
        return answer;
    }
    answer.body(respond.content_type.clone(), respond.body.clone())
}

/// The route for the table, with its ring as the target.
pub(super) fn build(route: &config::Route, ring: Module) -> Route<Module> {
    let mut built = Route::new(&route.id, ring)
        .priority(route.priority)
        .enabled(route.enabled)
        .metadata(route.metadata.clone())
        .request_headers(route.policy.request_headers.clone())
        .response_headers(route.policy.response_headers.clone());
    built.matches.clone_from(&route.matches);
    built.listeners.clone_from(&route.listeners);
    built.rewrite.clone_from(&route.rewrite);
    built
}
