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

/// Settings that are often written in another table, and the one they belong in.
const TABLES: &[(&[&str], &str, &str)] = &[
    (
        &[
            "timeout",
            "try_timeout",
            "retry",
            "hedge",
            "mirror",
            "fallback",
            "request_headers",
            "response_headers",
            "cors",
            "csrf",
            "body_limit",
            "public",
            "jwt",
            "api_key",
            "basic",
            "signature",
            "authorize",
            "rate_limit",
            "security_headers",
            "ip",
            "content_types",
            "external_auth",
        ],
        "policy",
        "`policy` of the route",
    ),
    (&["host", "path", "prefix", "headers", "query", "methods"], "match", "`match` of the route"),
    (&["cluster", "module", "redirect", "respond", "split"], "target", "`target` of the route"),
    (&["rewrite", "metadata", "priority"], "routes", "[[routes]]"),
    (
        &[
            "endpoints",
            "balance",
            "pool",
            "health",
            "ejection",
            "circuit_breaker",
            "concurrency",
            "discover",
        ],
        "clusters",
        "[clusters.NAME]",
    ),
    (&["certificates", "client_auth", "client_ca", "acme"], "tls", "`tls` of the listener"),
    (&["connections", "header_count", "uri"], "limits", "`limits` of the listener"),
    (&["body_idle", "max_age", "min_body_rate", "tunnel_idle"], "timeouts", "`timeouts`"),
    (&["proxy_protocol", "forwarded"], "listeners", "[[listeners]]"),
    (&["lame_duck"], "drain", "[drain]"),
    (&["issuer", "audience", "required_claims"], "identity", "[identity.jwt.NAME]"),
];

/// The table that the setting `key` belongs in, where that is not the one that it stands in.
pub(super) fn table_of(key: &str, path: &str) -> Option<&'static str> {
    let tables = path.rsplit_once('.').map_or("", |(tables, _)| tables);
    let stands_in = |name: &str| {
        tables.rsplit('.').next().is_some_and(|last| last.split('[').next() == Some(name))
    };
    let found = TABLES.iter().find(|(keys, ..)| keys.contains(&key));
    // Elsewhere such a name may mean anything.
    let is_near = |name: &str| {
        !matches!(name, "policy" | "match" | "target" | "routes") || path.starts_with("routes[")
    };
    let found = found.filter(|(_, name, _)| !stands_in(name) && is_near(name));
    found.map(|(.., table)| *table)
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
        assert_eq!(table_of("timeout", "routes[0].timeout"), Some("`policy` of the route"));
        assert_eq!(table_of("timeout", "routes[0].policy.timeout"), None);
        assert_eq!(table_of("prefix", "routes[0].prefix"), Some("`match` of the route"));
        assert_eq!(table_of("prefix", "routes[0].match[1].prefix"), None);
        assert_eq!(table_of("prefix", "metrics.prefix"), None);
        assert_eq!(table_of("lame_duck", "lame_duck"), Some("[drain]"));
        assert_eq!(table_of("other", "routes[0].other"), None);
    }
}
