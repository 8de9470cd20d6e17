//! `Keep-Alive` of responses over HTTP/1.1 (RFC 2068, section 19.7.1): how long an upstream keeps
//! an idle connection.

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;

pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The shortest `timeout` that `Keep-Alive` names; `None` where it names none that can be read.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(KEEP_ALIVE).iter().filter_map(|line| line.to_str().ok());
    let parameters = lines.flat_map(|line| line.split(','));
    let seconds = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("timeout").then_some(seconds)
    });
    seconds.min().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_timeout_counts() {
        for (lines, expected) in [
            (&["timeout=5"][..], Some(5)),
            (&["max=100, Timeout = 15"], Some(15)),
            (&["timeout=\"7\", timeout=9"], Some(7)),
            (&["timeout=30", "timeout=20"], Some(20)),
            (&["timeout=0"], Some(0)),
            (&["max=5"], None),
            (&["timeout=-1, timeout=, timeout, timeout=x"], None),
            (&["timeout=99999999999999999999999"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(KEEP_ALIVE, line.parse().unwrap());
            }
            assert_eq!(timeout(&headers), expected.map(Duration::from_secs), "{lines:?}");
        }
    }
}
