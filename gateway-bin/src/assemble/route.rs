//! A route of a document into one of the table.

use gateway_core::split::{Split, SplitEntry, SplitError};
use gateway_core::{BoxError, FixedResponse, Module, Redirection, Route, TargetEdits};
use gateway_layers::auth::external::ExternalAuthError;
use gateway_layers::fallback::FallbackLayer;
use gateway_layers::mirror::{Mirror, MirrorLayer};
use gateway_layers::registry::{CapabilityModule, Choice, Registry};

use super::external_auth;
use super::identity::{IdentityParts, IdentityProblem};
use super::parts::{Leads, RoutePart};
use crate::config::{
    self, CapabilityTarget, Destination, FallbackTo, Policy, Respond, SplitTarget, Target,
};
use crate::rings::{self, Asides};

/// Why a route could not be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteProblem {
    #[error("leads to nothing that could be built")]
    Nowhere,
    #[error(transparent)]
    Split(#[from] SplitError),
    #[error(transparent)]
    Identity(#[from] IdentityProblem),
    #[error("{0}")]
    Limits(BoxError),
    #[error(transparent)]
    External(#[from] ExternalAuthError),
}

impl RouteProblem {
    /// Where in the document it is, of a route at `route`.
    pub(super) fn path(&self, route: &str) -> String {
        let key = match self {
            Self::Nowhere | Self::Split(_) => "target",
            Self::Identity(problem) => return problem.path.clone(),
            Self::Limits(_) => "policy.rate_limit",
            Self::External(_) => "policy.external_auth",
        };
        format!("{route}.{key}")
    }
}

/// Builds `config` with its ring.
pub(super) fn part(
    config: &config::Route,
    leads: &Leads<'_>,
    identity: &mut IdentityParts,
) -> Result<RoutePart, RouteProblem> {
    let mut split = None;
    let target = match &config.target {
        Target::Split(entries) => {
            let built = build_split(entries, leads)?;
            split = Some(built.clone());
            Module::new(built)
        }
        _ => target(config, leads).ok_or(RouteProblem::Nowhere)?,
    };
    let mut asides = asides(&config.policy, leads).ok_or(RouteProblem::Nowhere)?;
    let limit = config.policy.rate_limit.as_ref();
    let limiter = limit.map(|limit| leads.limits.limiter(&config.id, limit)).transpose();
    asides.rate_limit = limiter.map_err(RouteProblem::Limits)?;
    let access = &config.policy.access;
    asides.identity = identity.guard(access, leads)?;
    if let Some(external) = &config.policy.external_auth {
        let built = external_auth::build(external, leads).ok_or(RouteProblem::Nowhere)?;
        asides.external_auth = Some(built?);
    }
    let limiter = asides.rate_limit.clone();
    let mirrors: Vec<Mirror> = asides.mirrors.iter().map(MirrorLayer::handle).collect();
    let edits = TargetEdits::new(config.rewrite.clone(), config.policy.request_headers.clone());
    asides.edits = Some(edits).filter(|edits| !edits.is_empty());
    let (module, applies_edits) = rings::route(&config.policy, target, &asides);
    Ok(RoutePart { config: config.clone(), module, applies_edits, split, mirrors, limiter })
}

fn build_split(split: &SplitTarget, leads: &Leads<'_>) -> Result<Split, RouteProblem> {
    let mut builder = Split::builder().by(split.by.iter().cloned());
    for entry in &split.entries {
        let module = leads.destination(&entry.to).ok_or(RouteProblem::Nowhere)?;
        let built = SplitEntry::new(entry.name.as_str(), module, entry.weight);
        builder = builder.entry(built.request_headers(entry.request_headers.clone()));
    }
    if let Some(name) = &split.force_header {
        builder = builder.force_header(name.clone());
    }
    Ok(builder.build()?)
}

/// What a policy leads to beside the target; `None`: it could not be built.
fn asides(policy: &Policy, leads: &Leads<'_>) -> Option<Asides> {
    let mirrors = policy.mirrors.iter().map(|mirror| {
        let layer = MirrorLayer::new(leads.destination(&mirror.to)?);
        Some(layer.settings(mirror.settings.clone()))
    });
    let mut asides = Asides { mirrors: mirrors.collect::<Option<_>>()?, ..Asides::default() };
    if let Some(fallback) = &policy.fallback {
        let layer = match &fallback.to {
            FallbackTo::Destination(to) => {
                let (Destination::Cluster(name) | Destination::Module(name)) = to;
                FallbackLayer::new(leads.destination(to)?).name(name.as_str())
            }
            FallbackTo::Respond(respond) => FallbackLayer::respond(fixed(respond)),
        };
        asides.fallback = Some(layer.config(fallback.config.clone()));
    }
    Some(asides)
}

/// What the target is, out of what was built; `None`: it was not.
fn target(route: &config::Route, leads: &Leads<'_>) -> Option<Module> {
    match &route.target {
        Target::Cluster(name) => leads.cluster(name),
        Target::Module(name) => leads.module(name),
        Target::Registry => leads.registry.map(|part| Module::new(part.module())),
        Target::Capability(target) => {
            leads.registry.map(|part| Module::new(capability(target, &part.registry)))
        }
        // Built with its handle, above.
        Target::Split(_) => None,
        Target::Redirect(redirect) => Some(Module::new(Redirection::new(redirect.clone()))),
        Target::Respond(respond) => Some(Module::new(fixed(respond))),
    }
}

fn capability(target: &CapabilityTarget, registry: &Registry) -> CapabilityModule {
    let mut module = CapabilityModule::new(registry);
    for name in &target.metadata {
        module = module.metadata(name);
    }
    for (name, param) in &target.param {
        module = module.param(name, param);
    }
    for (name, header) in &target.header {
        module = module.header(name, header.clone());
    }
    for (name, parameter) in &target.query {
        module = module.query(name, parameter);
    }
    module.choice(if target.first { Choice::First } else { Choice::LeastLoaded })
}

fn fixed(respond: &Respond) -> FixedResponse {
    let answer = FixedResponse::new(respond.status);
    if respond.body.is_empty() {
        return answer;
    }
    answer.body(respond.content_type.clone(), respond.body.clone())
}

/// The route for the table, with its ring as the target.
pub(super) fn build(part: &RoutePart) -> Route<Module> {
    let route = &part.config;
    let mut built = Route::new(&route.id, part.module.clone())
        .target_applies_edits(part.applies_edits)
        .priority(route.priority)
        .enabled(route.enabled)
        .preflight(route.policy.cors.is_some())
        .metadata(route.metadata.clone())
        .request_headers(route.policy.request_headers.clone())
        .response_headers(route.policy.response_headers.clone());
    built.matches.clone_from(&route.matches);
    built.listeners.clone_from(&route.listeners);
    built.rewrite.clone_from(&route.rewrite);
    built.tunnel_idle = route.policy.tunnel_idle;
    built
}
