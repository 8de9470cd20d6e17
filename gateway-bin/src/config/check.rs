//! What no part of a document can see alone: names that are used and not there, names twice,
//! routes in each other's way.

use gateway_core::route::{self, RouteMatch, RouteTable, TableProblem};
use gateway_core::upstream::Transport;
use gateway_core::{Address, Modules};
use gateway_layers::concurrency::Priority;
use http::{HeaderMap, HeaderName};

use super::problem::{Problem, Severity};
use super::value::Places;
use super::{Cluster, Destination, Discover, Parts, Route, Target, hint, quote, show_duration};

/// Everything that is wrong or strange between the parts of a document.
pub(super) fn check(parts: &Parts, modules: &Modules, places: &Places) -> Vec<Problem> {
    let mut check = Check { parts, places, problems: Vec::new() };
    check.listeners();
    check.clusters();
    check.asked();
    check.ids();
    for (path, route) in &parts.routes {
        check.listener_names(path, route);
        check.target(path, route, modules);
        check.destinations(path, route, modules);
        check.class(path, route);
        check.budget(path, route);
        check.access(path, route);
        check.combined(path, route);
        check.counting(path, route);
        check.effects(path, route);
        check.preflights(path, route);
    }
    check.shares();
    check.table();
    check.problems
}

const NO_REGISTRY: &str = "there is no [registry] in the document";

pub(super) struct Check<'d> {
    pub(super) parts: &'d Parts,
    pub(super) places: &'d Places,
    problems: Vec<Problem>,
}

impl Check<'_> {
    pub(super) fn error(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(self.places.problem(Severity::Error, path, message));
    }

    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(self.places.problem(Severity::Warning, path, message));
    }

    fn listeners(&mut self) {
        let listeners = &self.parts.listeners;
        for (path, listener) in listeners {
            if listener.tls.is_some() && !cfg!(feature = "tls") {
                self.error(&format!("{path}.tls"), "this build speaks no TLS");
            } else if let Some(tls) = &listener.tls {
                self.acme(path, tls);
            }
        }
        for (index, (path, listener)) in listeners.iter().enumerate() {
            let mut before = listeners.iter().take(index);
            let any_port = matches!(&listener.address, Address::Tcp(tcp) if tcp.port() == 0);
            let twin = before.find(|(_, other)| {
                other.name == listener.name || (!any_port && other.address == listener.address)
            });
            let Some((twin_path, twin)) = twin else {
                continue;
            };
            if twin.name == listener.name {
                let message = format!(
                    "found {}, which is the name of {twin_path} already, expected one of its own",
                    quote(&listener.name)
                );
                self.error(&format!("{path}.name"), message);
            } else {
                let message = format!(
                    "found {}, which is the address of {twin_path} already",
                    quote(&listener.address.to_string())
                );
                self.error(&format!("{path}.address"), message);
            }
        }
    }

    fn clusters(&mut self) {
        for (path, cluster) in &self.parts.clusters {
            for (index, endpoint) in cluster.endpoints.iter().enumerate() {
                if endpoint.address.transport() == Transport::Https && !cfg!(feature = "tls") {
                    let message = format!(
                        "found {}, expected http, h2c or unix: this build speaks no TLS",
                        quote(&endpoint.address.to_string())
                    );
                    self.error(&format!("{path}.endpoints[{index}]"), message);
                }
            }
            if matches!(cluster.discovery, Some(Discover::Registry(_))) && !self.has_registry() {
                self.error(&format!("{path}.discovery.registry"), NO_REGISTRY);
            }
            self.cluster_tls(path, cluster);
            let given = &cluster.endpoints;
            if !given.is_empty() && given.iter().all(|endpoint| endpoint.weight == 0) {
                let message = "every weight is 0: no endpoint takes a request";
                self.warn(&format!("{path}.endpoints"), message);
            }
            let mut routes = self.parts.routes.iter();
            let used = routes.any(|(_, route)| leads_to(route, cluster)) || self.is_asked(cluster);
            if !used {
                self.warn(path, "no route leads to this cluster");
            }
        }
    }

    fn cluster_tls(&mut self, path: &str, cluster: &Cluster) {
        let Some(tls) = &cluster.tls else {
            return;
        };
        if tls.dangerous_accept_any_certificate {
            let message = "whoever answers is believed: anybody on the way can read and change \
                           everything; give `ca` or `server_name` instead";
            self.warn(&format!("{path}.tls.dangerous_accept_any_certificate"), message);
        }
        if !cluster.speaks_tls() {
            self.warn(&format!("{path}.tls"), "no endpoint is `https`: it is used for nothing");
        }
    }

    /// True where a provider asks this cluster about tokens.
    fn is_asked(&self, cluster: &Cluster) -> bool {
        let remotes = self.parts.identities.iter().filter_map(|one| one.settings.remote());
        let mut names = remotes.filter_map(|remote| remote.to.cluster());
        names.any(|name| name == cluster.name)
    }

    /// The clusters that providers ask about tokens.
    fn asked(&mut self) {
        for provider in &self.parts.identities {
            let remote = provider.settings.remote();
            if let Some(name) = remote.and_then(|remote| remote.to.cluster()) {
                self.cluster(&provider.path(), name);
                self.signable(&provider.path(), name);
            }
        }
    }

    fn ids(&mut self) {
        for (index, (path, route)) in self.parts.routes.iter().enumerate() {
            let mut before = self.parts.routes.iter().take(index);
            if let Some((twin, _)) = before.find(|(_, other)| other.id == route.id) {
                let message = format!(
                    "found {}, which is the id of {twin} already, expected one of its own",
                    quote(&route.id)
                );
                self.error(&format!("{path}.id"), message);
            }
        }
        if self.parts.routes.is_empty() && !self.places.is_written("routes") {
            self.warn("", "no routes: every request is answered with 404");
        }
    }

    fn listener_names(&mut self, path: &str, route: &Route) {
        if !self.parts.all_listeners {
            return;
        }
        let known = || self.parts.listeners.iter().map(|(_, listener)| listener.name.as_str());
        for (index, name) in route.listeners.iter().enumerate() {
            if !known().any(|known| known == name) {
                let list = format!("{path}.listener[{index}]");
                let path = format!("{path}.listener");
                let path = if self.places.is_written(&list) { list } else { path };
                self.error(&path, unknown(name, "a listener", known()));
            }
        }
    }

    fn target(&mut self, path: &str, route: &Route, modules: &Modules) {
        match &route.target {
            Target::Cluster(name) => self.cluster(&format!("{path}.target"), name),
            Target::Module(name) => self.module(&format!("{path}.target"), name, modules),
            Target::Split(split) => {
                for (index, entry) in split.entries.iter().enumerate() {
                    self.destination(&format!("{path}.target.split[{index}]"), &entry.to, modules);
                }
                if !split.entries.is_empty() && split.entries.iter().all(|entry| entry.weight == 0)
                {
                    let message = "every weight is 0: requests are answered with 500";
                    self.warn(&format!("{path}.target.split"), message);
                }
            }
            Target::Registry if !self.has_registry() => {
                self.error(&format!("{path}.target.registry"), NO_REGISTRY);
            }
            Target::Capability(_) if !self.has_registry() => {
                self.error(&format!("{path}.target.capability"), NO_REGISTRY);
            }
            Target::Redirect(redirect) if redirect.prefix.is_some() && !only_prefixes(route) => {
                let path = format!("{path}.target.redirect.prefix");
                self.error(&path, "needs every match of the route to be a prefix");
            }
            _ => {}
        }
    }

    /// True also for one that could not be read.
    fn has_registry(&self) -> bool {
        self.parts.registry.is_some() || self.places.is_written("registry")
    }

    /// Where a policy leads.
    fn destinations(&mut self, path: &str, route: &Route, modules: &Modules) {
        let policy = &route.policy;
        for (index, mirror) in policy.mirrors.iter().enumerate() {
            let list = format!("{path}.policy.mirror[{index}]");
            let one = format!("{path}.policy.mirror");
            let path = if self.places.is_written(&list) { list } else { one };
            self.destination(&path, &mirror.to, modules);
        }
        let fallback = policy.fallback.as_ref();
        if let Some(to) = fallback.and_then(|fallback| fallback.to.destination()) {
            self.destination(&format!("{path}.policy.fallback"), to, modules);
        }
        if let Some(external) = &policy.external_auth {
            let at = format!("{path}.policy.external_auth");
            self.destination(&at, &external.to, modules);
            if let Destination::Cluster(name) = &external.to {
                self.signable(&at, name);
            }
        }
    }

    fn destination(&mut self, path: &str, to: &Destination, modules: &Modules) {
        match to {
            Destination::Cluster(name) => self.cluster(path, name),
            Destination::Module(name) => self.module(path, name, modules),
        }
    }

    fn cluster(&mut self, path: &str, name: &str) {
        if !self.parts.cluster_names.iter().any(|known| known == name) {
            let known = self.parts.cluster_names.iter().map(String::as_str);
            let message = unknown(name, "a cluster", known);
            self.error(&format!("{path}.cluster"), message);
        }
    }

    fn module(&mut self, path: &str, name: &str, modules: &Modules) {
        if modules.find(name).is_none() {
            let message = unknown(name, "a module of this program", modules.names());
            self.error(&format!("{path}.module"), message);
        }
    }

    /// The class that a route says it is of, where a cluster sheds by class.
    fn class(&mut self, path: &str, route: &Route) {
        let class = route.metadata.value("priority");
        if let Some(class) = class
            && class.parse::<Priority>().is_err()
        {
            let known = Priority::ALL.iter().map(|class| class.as_str());
            let message = unknown(class, "a class", known);
            self.warn(&format!("{path}.metadata.priority"), message);
        }
    }

    /// Warns about attempts that may take longer than their whole request may.
    fn budget(&mut self, path: &str, route: &Route) {
        let Some(total) = route.policy.timeout else {
            return;
        };
        let own = route.policy.attempt_timeout;
        let clusters = self.parts.clusters.iter().filter(|(_, cluster)| is_target(route, cluster));
        let longest = clusters.filter_map(|(path, cluster)| {
            let one = own.into_iter().chain(cluster.timeouts.attempt_timeout).min()?;
            Some((one, path.as_str()))
        });
        let longest = longest.max_by_key(|(one, _)| *one);
        // What is no cluster has no limit but the route's.
        let Some((one, of)) = longest.or_else(|| Some((own?, "the target"))) else {
            return;
        };
        let tries = route.policy.retry.as_ref().map_or(0, |retry| retry.config.max_retries) + 1;
        let all = one.saturating_mul(tries);
        if all <= total {
            return;
        }
        let path = format!("{path}.policy.timeout");
        let [shown, all, total] = [one, all, total].map(show_duration);
        let message = if tries > 1 {
            // Attempts may end long before their limit: this is what somebody may want.
            format!(
                "{tries} attempts of {shown} may take {all}, longer than the {total} of the whole \
                 request"
            )
        } else {
            format!("a try of {of} may take {shown}, longer than the {total} of the whole request")
        };
        self.warn(&path, message);
    }

    /// Preflights carry no header of the request that they ask for.
    fn preflights(&mut self, path: &str, route: &Route) {
        let nothing = HeaderMap::new();
        let lacks = |matching: &RouteMatch| {
            let mut headers = matching.headers.iter();
            headers.any(|header| !header.takes(&nothing) && !is_sent_by_browsers(&header.name))
        };
        let none = !route.matches.is_empty() && route.matches.iter().all(lacks);
        if route.policy.cors.is_some() && none {
            let message = "no preflight gets here: it has none of the headers that every match of \
                           the route asks for";
            self.warn(&format!("{path}.policy.cors"), message);
        }
    }

    /// Problems of the route table, which knows routes by their ids and counts their matches.
    fn table(&mut self) {
        let bare = |(_, route): &(String, Route)| bare(route);
        let problems: Vec<TableProblem> =
            match RouteTable::build(self.parts.routes.iter().map(bare).collect()) {
                Ok(table) => table.warnings().to_vec(),
                Err(problems) => problems.into_iter().collect(),
            };
        for problem in problems {
            let severity = match problem.severity() {
                route::Severity::Warning => Severity::Warning,
                _ => Severity::Error,
            };
            let path = match &problem {
                // Said above with both paths, or by whoever read the route.
                TableProblem::DuplicateId { .. } | TableProblem::NoMatch { .. } => continue,
                TableProblem::Identical { route, matched, .. }
                | TableProblem::Shadowed { route, matched, .. } => self.match_path(route, *matched),
                TableProblem::RewriteWithoutPrefix { route, .. } => {
                    format!("{}.rewrite.prefix", self.route_path(route))
                }
                TableProblem::UnknownParameter { route, .. } => {
                    format!("{}.rewrite.path", self.route_path(route))
                }
                _ => String::new(),
            };
            self.problems.push(self.places.problem(severity, &path, problem.to_string()));
        }
    }

    fn route_path(&self, id: &str) -> &str {
        let mut routes = self.parts.routes.iter();
        routes.find(|(_, route)| route.id == id).map_or("routes", |(path, _)| path)
    }

    fn match_path(&self, id: &str, matched: usize) -> String {
        let path = format!("{}.match", self.route_path(id));
        let element = format!("{path}[{matched}]");
        if self.places.is_written(&element) { element } else { path }
    }
}

/// True for what is in a preflight too.
fn is_sent_by_browsers(name: &HeaderName) -> bool {
    let name = name.as_str();
    let prefixes = ["accept", "access-control-request-", "sec-", "x-forwarded-"];
    matches!(name, "host" | "origin" | "referer" | "user-agent" | "forwarded")
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn leads_to(route: &Route, cluster: &Cluster) -> bool {
    route.clusters().any(|name| name == cluster.name)
}

/// True where the requests themselves go there, not their copies or what others left.
fn is_target(route: &Route, cluster: &Cluster) -> bool {
    route.target.clusters().any(|name| name == cluster.name)
}

fn only_prefixes(route: &Route) -> bool {
    route.matches.iter().all(|matching| matching.path.is_prefix())
}

/// The route as far as the table looks at it.
fn bare(route: &Route) -> route::Route<()> {
    let mut bare = route::Route::new(&route.id, ())
        .priority(route.priority)
        .enabled(route.enabled)
        .preflight(route.policy.cors.is_some());
    bare.matches.clone_from(&route.matches);
    bare.listeners.clone_from(&route.listeners);
    bare.rewrite.clone_from(&route.rewrite);
    bare
}

pub(super) fn unknown<'k>(found: &str, what: &str, known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.collect();
    let hint = hint(found, known.iter().copied());
    let names: Vec<_> = known.into_iter().map(quote).collect();
    let names = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
    format!("found {}, expected the name of {what} ({names}){hint}", quote(found))
}
