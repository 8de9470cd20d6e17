//! [`TokenSource`]: where in a request a token stands.

use gateway_core::Request;
use http::header::{AUTHORIZATION, COOKIE};

use super::fault::TokenFault;

/// Where in a request a token stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenSource {
    /// `Authorization: Bearer` (RFC 6750, section 2.1).
    Header,
    /// The cookie of this name. Whoever takes tokens from cookies has to keep other sites from
    /// sending them.
    Cookie(String),
    /// The parameter of this name in the query (RFC 6750, section 2.3), as it stands there.
    /// Addresses are logged and passed on; where there is a choice, take another place.
    Query(String),
}

impl TokenSource {
    fn find<'a>(&self, request: &'a Request) -> Result<Option<&'a str>, TokenFault> {
        match self {
            Self::Header => bearer(request),
            Self::Cookie(name) => one(cookies(request), name),
            Self::Query(name) => {
                let pairs = request.uri().query().unwrap_or_default().split('&');
                one(pairs.map(Ok), name)
            }
        }
    }
}

/// The one token of a request, which may not say two (RFC 6750, section 2), and its place.
pub(super) fn find<'a, 's>(
    sources: &'s [TokenSource],
    request: &'a Request,
) -> Result<Option<(&'s TokenSource, &'a str)>, TokenFault> {
    let mut found = None;
    for source in sources {
        if let Some(token) = source.find(request)? {
            if found.is_some() {
                return Err(TokenFault::Several);
            }
            found = Some((source, token));
        }
    }
    Ok(found)
}

fn bearer(request: &Request) -> Result<Option<&str>, TokenFault> {
    const SCHEME: &str = "bearer";
    let mut lines = request.headers().get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(TokenFault::Several);
    }
    let line = line.to_str().map_err(|_| TokenFault::Malformed)?.trim_ascii();
    let (scheme, token) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        // Somebody else's credentials, unless a token follows in the same line.
        let mut rest = line.split(',').skip(1);
        let hidden = rest.any(|part| {
            let start = part.trim_ascii_start().get(..SCHEME.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
        });
        let joined = scheme.contains(',');
        return if hidden || joined { Err(TokenFault::Several) } else { Ok(None) };
    }
    let token = token.trim_ascii_start();
    if token.contains([',', ' ', '\t']) {
        return Err(TokenFault::Several);
    }
    if token.is_empty() { Err(TokenFault::Malformed) } else { Ok(Some(token)) }
}

fn cookies(request: &Request) -> impl Iterator<Item = Result<&str, TokenFault>> {
    let lines = request.headers().get_all(COOKIE).iter();
    lines.flat_map(|line| {
        let text = line.to_str().map_err(|_| TokenFault::Malformed);
        let (pairs, broken) = match text {
            Ok(text) => (text, None),
            Err(fault) => ("", Some(Err(fault))),
        };
        broken.into_iter().chain(pairs.split(';').map(|pair| Ok(pair.trim_ascii())))
    })
}

/// The value of the pair called `name`, which stands once.
fn one<'a>(
    pairs: impl Iterator<Item = Result<&'a str, TokenFault>>,
    name: &str,
) -> Result<Option<&'a str>, TokenFault> {
    let mut found = None;
    let mut broken = None;
    for pair in pairs {
        match pair {
            Err(fault) => broken = Some(fault),
            Ok(pair) => match pair.split_once('=') {
                Some((own, _)) if own == name && found.is_some() => {
                    return Err(TokenFault::Several);
                }
                Some((own, value)) if own == name => found = Some(value),
                _ => {}
            },
        }
    }
    match (found, broken) {
        // A line that cannot be read may hold a second one.
        (Some(_), Some(fault)) => Err(fault),
        (Some(""), None) => Err(TokenFault::Malformed),
        (found, _) => Ok(found),
    }
}
