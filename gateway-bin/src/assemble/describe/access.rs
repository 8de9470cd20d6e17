//! Who may use a route, and how often, in the order of the route ring.

use gateway_layers::auth::authorize::Requirements;
use gateway_layers::rate_limit::KeyPart;

use crate::config::{
    Access, Destination, ExternalAuth, IdentityMode, LimitStore, Policy, RateLimit, show_duration,
};

/// A line for each guard. `known`: the document knows callers at all.
pub(super) fn describe(policy: &Policy, known: bool) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(identity(&policy.access, known));
    let external = policy.external_auth.as_ref();
    // In the order of the ring: it says who is calling, or decides last.
    let says_who = external.filter(|external| external.knows_callers());
    lines.extend(says_who.map(external_auth));
    lines.extend(policy.rate_limit.as_ref().map(rate_limit));
    lines.extend(policy.requirements().iter().map(authorize));
    lines.extend(external.filter(|external| !external.knows_callers()).map(external_auth));
    lines
}

fn identity(access: &Access, known: bool) -> Option<String> {
    if access.identities.is_empty() {
        return match (access.public, known) {
            (true, true) => Some("public".to_owned()),
            (false, true) => Some("identity nobody: every request is rejected".to_owned()),
            (_, false) => None,
        };
    }
    let kinds = access.identities.iter();
    let kinds: Vec<_> =
        kinds.map(|used| format!("{} {}", used.kind.name(), used.providers.join(", "))).collect();
    let between = if access.mode == Some(IdentityMode::All) { " and " } else { " or " };
    let principal = match access.principal {
        Some(kind) => format!(", principal by {}", kind.name()),
        None => String::new(),
    };
    let nobody = if access.public { ", or nobody" } else { "" };
    Some(format!("identity {}{principal}{nobody}", kinds.join(between)))
}

fn rate_limit(limit: &RateLimit) -> String {
    let limits = limit.settings.limits.iter().map(|one| {
        let per = if one.algorithm.is_quota() {
            one.algorithm.name().to_owned()
        } else {
            show_duration(one.per)
        };
        let shadow = if one.shadow { ", in shadow" } else { "" };
        let key: Vec<_> = one.key.iter().map(KeyPart::name).collect();
        let by = if key.is_empty() { "everybody".to_owned() } else { key.join(" and ") };
        format!("{} in {per} by {by}{shadow}", one.limit)
    });
    let limits: Vec<_> = limits.collect();
    let place = match limit.store {
        LimitStore::Memory => "memory",
        LimitStore::Redis => "redis",
    };
    format!("rate_limit {}, counted in {place}", limits.join("; "))
}

fn external_auth(external: &ExternalAuth) -> String {
    let (Destination::Cluster(name) | Destination::Module(name)) = &external.to;
    let cached = match external.cache {
        Some((ttl, _)) => format!(", kept for {}", show_duration(ttl)),
        None => String::new(),
    };
    let timeout = show_duration(external.timeout);
    format!("external_auth {name} {}, {timeout}{cached}", external.path)
}

/// What is asked of callers; of claims the names alone.
fn authorize(requirements: &Requirements) -> String {
    let lists = [
        ("roles_any", &requirements.roles_any),
        ("roles_all", &requirements.roles_all),
        ("scopes_any", &requirements.scopes_any),
        ("scopes_all", &requirements.scopes_all),
    ];
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    let mut asked: Vec<_> =
        lists.map(|(key, names)| format!("{key} {}", names.join(", "))).collect();
    asked.extend(requirements.claims.iter().map(|(name, _)| format!("claim {name}")));
    #[cfg(feature = "cel")]
    asked.extend(requirements.expression.as_ref().map(|one| one.source().to_owned()));
    format!("authorize {}", asked.join("; "))
}
