//! How many files this process may have open, which bounds its connections.

/// Kept for everything that is no connection: runtimes, listeners, logs, files.
const RESERVED: usize = 64;

/// The soft limit of open files, where the system tells.
pub(crate) fn soft_limit() -> Option<usize> {
    parse(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn parse(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many client connections fit under `soft_limit` when upstreams may take `upstream` of it:
/// at least half of it stays for clients.
pub(crate) fn client_connections(soft_limit: usize, upstream: usize) -> usize {
    let usable = soft_limit.saturating_sub(RESERVED);
    usable.saturating_sub(upstream.min(usable / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             127235               127235               items\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(parse(limits), Some(1024));
        assert_eq!(parse("Max open files            unlimited  unlimited  files"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn clients_keep_at_least_half() {
        assert_eq!(client_connections(1024, 256), 704);
        assert_eq!(client_connections(1024, 5000), 480);
        assert_eq!(client_connections(10, 5000), 1);
    }
}
