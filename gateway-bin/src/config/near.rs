//! What somebody may have meant.

/// A longer text, in bytes, is no slip of any name.
const LONGEST: usize = 64;

/// The name among `known` that `found` is nearest to, where it is near enough to be meant.
pub(super) fn near_miss<'k>(
    found: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    if found.len() > LONGEST {
        return None;
    }
    let allowed = (found.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(found, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A table, and settings of it that are often written in another one.
struct Home {
    /// The part of the document: `clusters`, `listeners`, `routes`, or none.
    scope: &'static str,
    /// The table below an element of it; empty: the element itself.
    table: &'static str,
    keys: &'static [&'static str],
}

const HOMES: &[Home] = &[
    home("clusters", "", &["endpoints", "discovery", "balance", "sticky", "pool", "timeouts"]),
    home(
        "clusters",
        "",
        &["limits", "tls", "health_check", "outlier_detection", "circuit_breaker"],
    ),
    home("clusters", "", &["concurrency", "slow_start", "panic_threshold", "endpoint_limit"]),
    home("clusters", "endpoints", &["weight", "url"]),
    home("clusters", "pool", &["idle", "total", "pending", "pending_timeout", "idle_timeout"]),
    home("clusters", "pool", &["max_age"]),
    home("clusters", "timeouts", &["connect", "attempt", "response_head", "idle"]),
    home("clusters", "limits", &["headers", "header_count"]),
    home("clusters", "health_check", &["rise", "fall", "interval", "unhealthy_interval", "jitter"]),
    home(
        "clusters",
        "outlier_detection",
        &["consecutive_failures", "interval", "base_ejection_time", "max_ejected_ratio"],
    ),
    home("clusters", "outlier_detection", &["success_rate"]),
    home("clusters", "circuit_breaker", &["consecutive_failures", "failure_ratio", "min_requests"]),
    home("clusters", "circuit_breaker", &["open", "open_max", "half_open", "probe_timeout"]),
    home("clusters", "concurrency", &["queue", "queue_timeout", "adaptive", "shed"]),
    home("clusters", "tls", &["server_name", "client_cert", "client_key", "ca"]),
    home("listeners", "", &["proxy_protocol", "forwarded", "limits", "timeouts", "tls"]),
    home("listeners", "tls", &["certificates", "client_auth", "client_ca", "acme"]),
    home("listeners", "limits", &["connections", "headers", "header_count", "uri"]),
    home("listeners", "timeouts", &["header", "idle", "body_idle", "min_body_rate"]),
    home("listeners", "timeouts", &["tunnel_idle", "max_age"]),
    home("listeners", "forwarded", &["trusted", "hops", "x_forwarded", "rfc7239", "via"]),
    home("listeners", "path", &["encoded_slashes", "merge_slashes", "allow_non_utf8"]),
    home("routes", "", &["match", "target", "policy", "rewrite", "metadata", "priority"]),
    home("routes", "match", &["host", "path", "prefix", "headers", "query", "methods"]),
    home("routes", "target", &["cluster", "module", "redirect", "respond", "split"]),
    home(
        "routes",
        "policy",
        &["timeout", "attempt_timeout", "response_head_timeout", "tunnel_idle"],
    ),
    home("routes", "policy", &["honor_client_deadline", "retry", "hedge", "mirror", "fallback"]),
    home("routes", "policy", &["request_headers", "response_headers", "security_headers"]),
    home("routes", "policy", &["cors", "csrf", "ip", "content_types", "body_limit"]),
    home("routes", "policy", &["public", "jwt", "api_key", "basic", "signature", "authorize"]),
    home("routes", "policy", &["rate_limit", "external_auth"]),
    home("routes", "policy.retry", &["max_retries", "backoff", "max_wait", "budget"]),
    home("routes", "policy.hedge", &["delay", "percentile", "max_extra", "min_samples"]),
    home("", "drain", &["lame_duck"]),
    home("", "identity.jwt.NAME", &["issuer", "audience", "required_claims"]),
];

const fn home(scope: &'static str, table: &'static str, keys: &'static [&'static str]) -> Home {
    Home { scope, table, keys }
}

impl Home {
    /// True where `tables` leads to it, so that it has no such setting after all.
    fn is(&self, tables: &str) -> bool {
        let ends = |tables: &str| tables.ends_with(&format!(".{}", self.table));
        let table = tables.strip_suffix(']').and_then(|tables| tables.rsplit_once('['));
        let tables = table.map_or(tables, |(list, _)| list);
        !self.table.is_empty() && (tables == self.table || ends(tables))
    }
}

/// The table in the same cluster, listener or route that the setting at `path` belongs in.
pub(super) fn table_beside(key: &str, path: &str) -> Option<String> {
    let scope = scope_of(path);
    describe(key, path, |home| !scope.is_empty() && home.scope == scope)
}

/// The table elsewhere that the setting at `path` belongs in.
pub(super) fn table_elsewhere(key: &str, path: &str) -> Option<String> {
    let scope = scope_of(path);
    // Elsewhere such a name may mean anything.
    let is_known = !path.contains('.') || ["clusters", "listeners", "routes"].contains(&scope);
    let in_match = |home: &Home| !scope.is_empty() && matches!(home.table, "match" | "target");
    describe(key, path, |home| {
        home.scope.is_empty() || (is_known && home.scope != scope && !in_match(home))
    })
}

/// The part of the document that `path` leads into; empty for what stands in none.
fn scope_of(path: &str) -> &str {
    path.split_once('.').map_or("", |(first, _)| first.split('[').next().unwrap_or_default())
}

fn describe(key: &str, path: &str, fits: impl Fn(&Home) -> bool) -> Option<String> {
    let tables = path.rsplit_once('.').map_or("", |(tables, _)| tables);
    let found = HOMES.iter().filter(|home| home.keys.contains(&key) && !home.is(tables));
    let found: Vec<_> = found.filter(|home| fits(home)).collect();
    let shown = ["listeners", "clusters", "routes", ""].into_iter().filter_map(|scope| {
        let homes: Vec<_> = found.iter().filter(|home| home.scope == scope).collect();
        let own = homes.iter().any(|home| home.table.is_empty());
        let names: Vec<_> = homes.iter().map(|home| format!("`{}`", home.table)).collect();
        let names = names.join(" or ");
        Some(match (homes.first()?.scope, own) {
            ("listeners", true) => "[[listeners]]".to_owned(),
            ("listeners", false) => format!("{names} of the listener"),
            ("clusters", true) => "[clusters.NAME]".to_owned(),
            ("clusters", false) => format!("{names} of the cluster"),
            ("routes", true) => "[[routes]]".to_owned(),
            ("routes", false) => format!("{names} of the route"),
            _ => format!("[{}]", homes.first()?.table),
        })
    });
    Some(shown.collect::<Vec<_>>().join(" or ")).filter(|shown| !shown.is_empty())
}

/// Letters to insert, delete, change or swap with their neighbour to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().collect();
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let width = other.len() + 1;
    let mut rows = vec![0; (one.len() + 1) * width];
    for row in 0..=one.len() {
        for column in 0..width {
            rows[row * width + column] = if row == 0 || column == 0 {
                row + column
            } else {
                let changed = usize::from(one[row - 1] != other[column - 1]);
                let mut least = (rows[(row - 1) * width + column] + 1)
                    .min(rows[row * width + column - 1] + 1)
                    .min(rows[(row - 1) * width + column - 1] + changed);
                if row > 1
                    && column > 1
                    && one[row - 1] == other[column - 2]
                    && one[row - 2] == other[column - 1]
                {
                    least = least.min(rows[(row - 2) * width + column - 2] + 1);
                }
                least
            };
        }
    }
    rows.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use gateway_core::Modules;

    use super::super::Source;
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let known = ["address", "name", "protocol", "path"];
        for (found, meant) in [
            ("adress", Some("address")),
            ("addresss", Some("address")),
            ("protcool", Some("protocol")),
            ("Name", Some("name")),
            ("pth", Some("path")),
            ("tls", None),
            ("", None),
        ] {
            assert_eq!(near_miss(found, known), meant, "{found}");
        }
    }

    #[test]
    fn settings_are_sent_to_their_table() {
        for (path, table) in [
            ("routes[0].timeout", Some("`policy` of the route")),
            ("routes[0].policy.timeout", None),
            ("routes[0].prefix", Some("`match` of the route")),
            ("routes[0].match[1].prefix", None),
            ("routes[0].policy.max_retries", Some("`policy.retry` of the route")),
            ("metrics.prefix", None),
            ("metrics.max_age", None),
            ("lame_duck", Some("[drain]")),
            ("admin.lame_duck", Some("[drain]")),
            ("drain.lame_duck", None),
            ("clusters.b.max_age", Some("`pool` of the cluster")),
            ("listeners[0].max_age", Some("`timeouts` of the listener")),
            ("clusters.b.timeouts.max_age", Some("`pool` of the cluster")),
            ("clusters.b.connect", Some("`timeouts` of the cluster")),
            ("clusters.b.response_head", Some("`timeouts` of the cluster")),
            ("clusters.b.idle_timeout", Some("`pool` of the cluster")),
            ("clusters.b.idle", Some("`pool` or `timeouts` of the cluster")),
            (
                "clusters.b.consecutive_failures",
                Some("`outlier_detection` or `circuit_breaker` of the cluster"),
            ),
            ("clusters.b.max_retries", Some("`policy.retry` of the route")),
            ("clusters.b.prefix", None),
            ("policy", Some("[[routes]]")),
            ("timeouts", Some("[[listeners]] or [clusters.NAME]")),
            ("pool", Some("[clusters.NAME]")),
            ("routes[0].other", None),
        ] {
            let key = path.rsplit('.').next().unwrap();
            let found = table_beside(key, path).or_else(|| table_elsewhere(key, path));
            assert_eq!(found.as_deref(), table, "{path}");
        }
    }

    #[test]
    fn every_table_has_the_settings_that_are_sent_there() {
        for Home { scope, table, keys } in HOMES {
            let dot = if table.is_empty() || scope.is_empty() { "" } else { "." };
            let header = match (*scope, *table) {
                ("clusters", "endpoints") => "[[clusters.a.endpoints]]".to_owned(),
                ("clusters", table) => format!("[clusters.a{dot}{table}]"),
                ("", table) => format!("[{table}]"),
                (list, "") => format!("[[{list}]]"),
                (list, table) => format!("[[{list}]]\n[{list}.{table}]"),
            };
            let problems = Source::text("g.toml", format!("{header}\nunknown-key = 1\n"));
            let problems = problems.read(&Modules::default()).unwrap_err().to_string();
            let line = problems.lines().find(|line| line.contains("unknown-key: unknown key"));
            let line = line.unwrap_or_else(|| panic!("{header}: {problems}"));
            for key in *keys {
                assert!(line.contains(&format!("`{key}`")), "{header} {key}: {line}");
            }
        }
    }
}
