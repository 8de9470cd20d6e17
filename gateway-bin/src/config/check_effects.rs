//! Settings that have no effect, or another one than they seem to have.

use gateway_layers::fallback::FailureKind;
use gateway_layers::rate_limit::{KeyPart, Limit, OnUnavailable};

use super::check::Check;
use super::identity::IdentityKind;
use super::units::is_off;
use super::{LimitStore, Route, Target};

impl Check<'_> {
    pub(super) fn effects(&mut self, path: &str, route: &Route) {
        self.public(path, route);
        self.limit_costs(path, route);
        self.limit_keys(path, route);
        self.fallback_kinds(path, route);
    }

    fn public(&mut self, path: &str, route: &Route) {
        let access = &route.policy.access;
        let asks = |roles: &[String], scopes: &[String]| !roles.is_empty() || !scopes.is_empty();
        let asked = access.identities.iter().any(|used| asks(&used.roles, &used.scopes));
        if access.public && asked {
            let message = "callers without credentials pass, whatever `roles` and `scopes` the \
                           route asks others for: leave out `public`, or the roles and scopes";
            self.warn(&format!("{path}.policy.public"), message);
        }
    }

    /// A request that costs more than a limit ever holds never passes.
    fn limit_costs(&mut self, path: &str, route: &Route) {
        let Some(limits) = &route.policy.rate_limit else { return };
        for limit in &limits.settings.limits {
            let tiers = limit.tiers.iter();
            let tiers = tiers
                .map(|(name, tier)| (format!("tier `{name}`"), tier.burst.unwrap_or(tier.limit)));
            let own = ("the limit".to_owned(), limit.burst.unwrap_or(limit.limit));
            for (of, most) in std::iter::once(own).chain(tiers) {
                if limit.cost > most {
                    let message = format!(
                        "a request costs {}, and {of} never holds more than {most}: no request \
                         passes, expected a `cost` of at most {most}, or a larger `burst`",
                        limit.cost
                    );
                    self.error(&format!("{path}.policy.rate_limit"), message);
                }
            }
        }
    }

    /// A key that no request has is replaced by the address.
    fn limit_keys(&mut self, path: &str, route: &Route) {
        let Some(limits) = &route.policy.rate_limit else { return };
        let uses = &route.policy.access.identities;
        let external = route.policy.external_auth.as_ref();
        let says_who = external.is_some_and(super::ExternalAuth::knows_callers);
        let by = |limit: &Limit, part: &KeyPart| limit.key.contains(part);
        let limits = &limits.settings.limits;
        let keys = uses.iter().any(|used| used.kind == IdentityKind::ApiKey);
        let missing = if limits.iter().any(|limit| by(limit, &KeyPart::ApiKey)) && !keys {
            Some(("api_key", "no `policy.api_key`"))
        } else if limits.iter().any(|limit| by(limit, &KeyPart::Principal))
            && uses.is_empty()
            && !says_who
        {
            Some(("principal", "no way to authenticate callers"))
        } else {
            None
        };
        if let Some((key, lacks)) = missing {
            let message = format!(
                "counts by `{key}`, and the route has {lacks}: every request is counted by the \
                 client's address"
            );
            self.warn(&format!("{path}.policy.rate_limit"), message);
        }
    }

    /// Failures that are fallen back from and never happen.
    fn fallback_kinds(&mut self, path: &str, route: &Route) {
        let Some(fallback) = &route.policy.fallback else { return };
        let config = &fallback.config;
        let path = format!("{path}.policy.fallback");
        let on = format!("{path}.on");
        // By default it is every kind, and nobody expects each of them.
        let is_asked = self.places.is_written(&on) || config.on.len() == 1;
        let own = match &route.target {
            Target::Respond(respond) => Some(respond.status),
            Target::Redirect(redirect) => Some(redirect.status),
            _ => None,
        };
        if let Some(status) = own {
            let made =
                "the gateway makes the response of the target itself, so that it never fails";
            if !config.statuses.contains(&status) {
                let status = status.as_u16();
                let message =
                    format!("{made}, and {status} is none of `statuses`: it never answers");
                self.warn(&path, message);
            } else if is_asked && !config.on.is_empty() {
                let never: Vec<_> =
                    config.on.iter().map(|kind| format!("`{}`", kind.name())).collect();
                self.warn(&on, format!("{made}; what never happens: {}", never.join(", ")));
            }
        } else if is_asked && config.on.contains(&FailureKind::Timeout) && !self.is_timed(route) {
            let message = if matches!(route.target, Target::Module(_)) {
                "a module has no timeout of its own: `timeout` never happens, expected \
                 `policy.timeout` beside it"
            } else {
                "every timeout of the route and of its target is off: `timeout` never happens, \
                 expected `policy.timeout` beside it (a connection that takes too long is \
                 `connect`, and a deadline of the client is no failure)"
            };
            self.warn(&on, message);
        }
    }

    /// True where the gateway ends a request whose target takes too long.
    fn is_timed(&self, route: &Route) -> bool {
        let policy = &route.policy;
        if policy.timeout.is_some() || policy.attempt_timeout.is_some() {
            return true;
        }
        // What is registered has the timeouts that clusters have by default.
        if matches!(route.target, Target::Capability(_)) {
            return true;
        }
        route.target.clusters().any(|name| {
            let mut clusters = self.parts.clusters.iter().map(|(_, cluster)| cluster);
            // Of one that is not there, or not good, nothing is known.
            clusters.find(|cluster| cluster.name == name).is_none_or(|cluster| {
                let limits = &cluster.timeouts;
                let head = policy.response_head_timeout.unwrap_or(limits.response_head);
                limits.attempt_timeout.is_some() || head.is_some() || !is_off(limits.idle)
            })
        })
    }

    /// One replica that shares limits has the whole of them, and so has every other.
    pub(super) fn shares(&mut self) {
        let Some(redis) = &self.parts.stores.redis else { return };
        let mut limits =
            self.parts.routes.iter().filter_map(|(_, route)| route.policy.rate_limit.as_ref());
        let counts = limits.any(|limit| limit.store == LimitStore::Redis);
        if counts && redis.on_unavailable == OnUnavailable::Share && redis.replicas == 1 {
            let path = "stores.redis.replicas";
            let (path, is) = match self.places.is_written(path) {
                true => (path, "1"),
                false => ("stores.redis", "not set"),
            };
            let message = format!(
                "`on_unavailable` is \"share\" and `replicas` is {is}: while Redis is unavailable, every \
                 gateway allows the whole limit; expected the number of gateways in `replicas`"
            );
            self.warn(path, message);
        }
    }
}
