//! A route of a document into one of the table.

use std::collections::HashMap;

use gateway_core::{FixedResponse, Module, Modules, Redirection, Route};

use crate::config::{self, Respond, Target};
use crate::rings;

/// What the target is, out of what was built; `None`: it was not.
pub(super) fn target(
    target: &Target,
    clusters: &HashMap<&str, Module>,
    modules: &Modules,
) -> Option<Module> {
    match target {
        Target::Cluster(name) => clusters.get(name.as_str()).cloned(),
        Target::Module(name) => modules.find(name).cloned(),
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

pub(super) fn build(route: &config::Route, target: Module) -> Route<Module> {
    let mut built = Route::new(&route.id, rings::route(&route.policy, target))
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
