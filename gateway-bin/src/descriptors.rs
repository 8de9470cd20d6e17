//! How many files this process may have open, which bounds its connections.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for everything that is no connection: runtimes, listeners, logs, files.
const RESERVED: usize = 64;

/// Raises the limit of open files of this process to the hard limit (`RLIMIT_NOFILE`).
///
/// # Errors
///
/// When the system does not allow it; the limit is as before then.
pub(crate) fn raise() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// The soft limit of open files; `None`: there is none.
pub(crate) fn soft_limit() -> Option<usize> {
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
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
    fn clients_keep_at_least_half() {
        assert_eq!(client_connections(1024, 256), 704);
        assert_eq!(client_connections(1024, 5000), 480);
        assert_eq!(client_connections(10, 5000), 1);
    }
}
