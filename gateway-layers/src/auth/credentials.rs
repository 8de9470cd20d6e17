//! [`CredentialSource`]: where in a request a credential stands.

use std::borrow::Cow;

use gateway_core::Request;
use http::Uri;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use memchr::memchr3;

/// Where in a request a credential stands.
///
/// There is one in a request, in one place: two are rejected, since nobody could say which of them
/// others look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialSource {
    /// `Authorization` with this scheme, whose case does not count (RFC 9110, section 11.1).
    Authorization(Cow<'static, str>),
    /// The field of this name.
    Header(HeaderName),
    /// The cookie of this name. Whoever takes credentials from cookies has to keep other sites from
    /// sending them.
    Cookie(String),
    /// The parameter of this name in the query, however the name is percent-encoded there. Addresses
    /// are logged and passed on; where there is a choice, take another place.
    Query(String),
}

/// Whether a verified credential is forwarded to the upstream.
///
/// Tokens and signatures are kept by default, because an upstream may verify them again. Secrets
/// (API keys, passwords, service tokens) are dropped by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialHandling {
    /// Forwards the credential to the upstream.
    Keep,
    /// Removes the credential, wherever it was found, before the request is forwarded.
    Drop,
}

/// Why a credential cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialRejection {
    /// There are several.
    #[error("more than one credential")]
    Several,
    /// It is empty, or no text.
    #[error("the credential is malformed")]
    Malformed,
}

impl CredentialSource {
    /// `Authorization: Bearer` (RFC 6750, section 2.1).
    pub const fn bearer() -> Self {
        Self::Authorization(Cow::Borrowed("Bearer"))
    }

    /// The credential that stands there; `None`: none does.
    ///
    /// # Errors
    ///
    /// When there are several, or it is no text.
    pub fn find<'a>(&self, request: &'a Request) -> Result<Option<&'a str>, CredentialRejection> {
        match self {
            Self::Authorization(scheme) => authorization(request, scheme),
            Self::Header(name) => header(request, name),
            Self::Cookie(name) => one(cookies(request), |own| own == name),
            Self::Query(name) => {
                let pairs = request.uri().query().unwrap_or_default().split('&');
                one(pairs.map(Ok), |own| is_parameter(own, name))
            }
        }
    }

    /// True where a credential that stands at one of the two may be the one of the other, whatever
    /// its scheme: a request has one `Authorization`.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self == other || (self.is_authorization() && other.is_authorization())
    }

    fn is_authorization(&self) -> bool {
        match self {
            Self::Authorization(_) => true,
            Self::Header(name) => name == AUTHORIZATION,
            Self::Cookie(_) | Self::Query(_) => false,
        }
    }

    /// Removes what stands there, so that nobody behind sees it.
    pub fn remove(&self, request: &mut Request) {
        match self {
            Self::Authorization(_) => drop(request.headers_mut().remove(AUTHORIZATION)),
            Self::Header(name) => drop(request.headers_mut().remove(name)),
            Self::Cookie(name) => remove_cookie(request, name),
            Self::Query(name) => remove_parameter(request, name),
        }
    }
}

/// The one credential that stands in one of `sources`, and its place.
///
/// # Errors
///
/// When there are several, or it is no text.
pub fn find_credential<'a, 's>(
    sources: &'s [CredentialSource],
    request: &'a Request,
) -> Result<Option<(&'s CredentialSource, &'a str)>, CredentialRejection> {
    let mut found = None;
    for source in sources {
        if let Some(credential) = source.find(request)? {
            if found.is_some() {
                return Err(CredentialRejection::Several);
            }
            found = Some((source, credential));
        }
    }
    Ok(found)
}

/// Removes what stands in `sources`, and not an `Authorization` that is somebody else's.
pub(super) fn remove_credentials(sources: &[CredentialSource], request: &mut Request) {
    for source in sources {
        if !matches!(source.find(request), Ok(None)) {
            source.remove(request);
        }
    }
}

fn authorization<'a>(
    request: &'a Request,
    wanted: &str,
) -> Result<Option<&'a str>, CredentialRejection> {
    let mut lines = request.headers().get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(CredentialRejection::Several);
    }
    let line = text(line)?;
    let (scheme, credential) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case(wanted) {
        // Somebody else's credentials, unless ours follow in the same line.
        let mut rest = line.split(',').skip(1);
        let hidden = rest.any(|part| {
            let start = part.trim_ascii_start().get(..wanted.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
        });
        let joined = scheme.contains(',');
        return if hidden || joined { Err(CredentialRejection::Several) } else { Ok(None) };
    }
    let credential = credential.trim_ascii_start();
    if memchr3(b',', b' ', b'\t', credential.as_bytes()).is_some() {
        return Err(CredentialRejection::Several);
    }
    if credential.is_empty() { Err(CredentialRejection::Malformed) } else { Ok(Some(credential)) }
}

fn header<'a>(
    request: &'a Request,
    name: &HeaderName,
) -> Result<Option<&'a str>, CredentialRejection> {
    let mut lines = request.headers().get_all(name).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(CredentialRejection::Several);
    }
    let text = text(line)?;
    if text.is_empty() { Err(CredentialRejection::Malformed) } else { Ok(Some(text)) }
}

/// A line without blanks at its ends. Of control characters there is none but the tab in a field.
fn text(line: &HeaderValue) -> Result<&str, CredentialRejection> {
    let text = std::str::from_utf8(line.as_bytes()).ok().filter(|text| text.is_ascii());
    text.map(str::trim_ascii).ok_or(CredentialRejection::Malformed)
}

fn cookies(request: &Request) -> impl Iterator<Item = Result<&str, CredentialRejection>> {
    let lines = request.headers().get_all(COOKIE).iter();
    lines.flat_map(|line| {
        let text = line.to_str().map_err(|_| CredentialRejection::Malformed);
        let (pairs, broken) = match text {
            Ok(text) => (text, None),
            Err(fault) => ("", Some(Err(fault))),
        };
        broken.into_iter().chain(pairs.split(';').map(|pair| Ok(pair.trim_ascii())))
    })
}

/// The value of the pair with the name that is looked for, which stands once.
fn one<'a>(
    pairs: impl Iterator<Item = Result<&'a str, CredentialRejection>>,
    is_name: impl Fn(&str) -> bool,
) -> Result<Option<&'a str>, CredentialRejection> {
    let mut found = None;
    let mut broken = None;
    for pair in pairs {
        match pair {
            Err(fault) => broken = Some(fault),
            Ok(pair) => match pair.split_once('=') {
                Some((own, _)) if is_name(own) && found.is_some() => {
                    return Err(CredentialRejection::Several);
                }
                Some((own, value)) if is_name(own) => found = Some(value),
                _ => {}
            },
        }
    }
    match (found, broken) {
        // A line that cannot be read may hold a second one.
        (Some(_), Some(fault)) => Err(fault),
        (Some(""), None) => Err(CredentialRejection::Malformed),
        (found, _) => Ok(found),
    }
}

fn is_cookie(pair: &str, name: &str) -> bool {
    pair.trim_ascii().split_once('=').is_some_and(|(own, _)| own == name)
}

/// Whether `found` of a query is `name` once its percent-encoding and its `+` are decoded.
fn is_parameter(found: &str, name: &str) -> bool {
    fn digit(byte: Option<&u8>) -> Option<u8> {
        let digit = char::from(*byte?).to_digit(16)?;
        u8::try_from(digit).ok()
    }
    if found == name {
        return true;
    }
    let mut left = found.as_bytes();
    let mut decoded = std::iter::from_fn(|| {
        let (byte, rest) = left.split_first()?;
        let encoded = (*byte == b'%').then(|| digit(rest.first()).zip(digit(rest.get(1))));
        Some(match encoded.flatten() {
            Some((high, low)) => {
                left = rest.get(2..).unwrap_or_default();
                high << 4 | low
            }
            None => {
                left = rest;
                if *byte == b'+' { b' ' } else { *byte }
            }
        })
    });
    name.bytes().all(|byte| decoded.next() == Some(byte)) && decoded.next().is_none()
}

fn is_pair(pair: &str, name: &str) -> bool {
    pair.split_once('=').is_some_and(|(own, _)| is_parameter(own, name))
}

fn remove_cookie(request: &mut Request, name: &str) {
    let lines = request.headers().get_all(COOKIE);
    let holds = |line: &HeaderValue| {
        line.to_str().is_ok_and(|text| text.split(';').any(|pair| is_cookie(pair, name)))
    };
    if !lines.iter().any(holds) {
        return;
    }
    let without = |line: &HeaderValue| -> Option<HeaderValue> {
        let Ok(text) = line.to_str() else { return Some(line.clone()) };
        let left = text.split(';').map(str::trim_ascii).filter(|pair| !is_cookie(pair, name));
        let left = left.collect::<Vec<_>>().join("; ");
        if left.is_empty() { None } else { HeaderValue::try_from(left).ok() }
    };
    let left: Vec<HeaderValue> = lines.iter().filter_map(without).collect();
    let headers = request.headers_mut();
    headers.remove(COOKIE);
    for line in left {
        headers.append(COOKIE, line);
    }
}

fn remove_parameter(request: &mut Request, name: &str) {
    let Some(query) = request.uri().query() else { return };
    if !query.split('&').any(|pair| is_pair(pair, name)) {
        return;
    }
    let left = query.split('&').filter(|pair| !is_pair(pair, name)).collect::<Vec<_>>();
    let path = request.uri().path();
    let target =
        if left.is_empty() { path.to_owned() } else { format!("{path}?{}", left.join("&")) };
    let mut parts = request.uri().clone().into_parts();
    // A part of what was an address is one.
    if let Ok(target) = PathAndQuery::try_from(target) {
        parts.path_and_query = Some(target);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::Body;

    use super::*;

    fn request(uri: &str, fields: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    fn sources() -> [CredentialSource; 4] {
        [
            CredentialSource::bearer(),
            CredentialSource::Header(HeaderName::from_static("x-api-key")),
            CredentialSource::Cookie("key".to_owned()),
            CredentialSource::Query("key".to_owned()),
        ]
    }

    #[test]
    fn each_place_is_found_and_its_credential_removed() {
        let everywhere = [
            request("/a?x=1", &[("authorization", "bEARER  s3cret")]),
            request("/a?x=1", &[("x-api-key", "s3cret ")]),
            request("/a?x=1", &[("cookie", "a=b; key=s3cret;c=d"), ("cookie", "e=f")]),
            request("/a?x=1&key=s3cret", &[]),
        ];
        for (place, mut request) in everywhere.into_iter().enumerate() {
            let sources = sources();
            let (source, credential) = find_credential(&sources, &request).unwrap().unwrap();
            assert_eq!((source, credential), (&sources[place], "s3cret"));
            source.remove(&mut request);
            assert_eq!(find_credential(&sources, &request), Ok(None));
            assert_eq!(request.uri(), "/a?x=1");
            assert!(!format!("{request:?}").contains("s3cret"));
        }
    }

    #[test]
    fn what_is_beside_a_removed_credential_stays() {
        let mut asked = request("/?key=s", &[("cookie", "a=b; key=s;c=d"), ("cookie", "key=s")]);
        sources().iter().for_each(|source| source.remove(&mut asked));
        assert_eq!(asked.uri(), "/");
        let left: Vec<_> = asked.headers().get_all(COOKIE).iter().collect();
        assert_eq!(left, ["a=b; c=d"]);
    }

    #[test]
    fn an_encoded_name_is_the_same_parameter() {
        let source = CredentialSource::Query("api_key".to_owned());
        for encoded in ["api_key", "api%5Fkey", "api%5fkey", "%61%70%69%5F%6B%65%79"] {
            let mut asked = request(&format!("/a?x=1&{encoded}=s3cret&api_ke=2"), &[]);
            assert_eq!(source.find(&asked), Ok(Some("s3cret")), "{encoded}");
            let twice = request(&format!("/a?{encoded}=s3cret&api_key=s3cret"), &[]);
            assert_eq!(source.find(&twice), Err(CredentialRejection::Several), "{encoded}");
            source.remove(&mut asked);
            assert_eq!(asked.uri(), "/a?x=1&api_ke=2");
        }
        for other in ["api%5Fke", "api%5Fkeys", "api%5", "api%", "api%255Fkey", "api%GFkey", ""] {
            let asked = request(&format!("/a?{other}=s3cret"), &[]);
            assert_eq!(source.find(&asked), Ok(None), "{other}");
        }
        let blank = CredentialSource::Query("api key".to_owned());
        assert_eq!(blank.find(&request("/a?api+key=s", &[])), Ok(Some("s")));
    }

    #[test]
    fn two_of_them_are_none() {
        let several = [
            request("/", &[("x-api-key", "a"), ("x-api-key", "a")]),
            request("/?key=a", &[("x-api-key", "a")]),
            request("/?key=a&key=b", &[]),
            request("/", &[("cookie", "key=a; key=b")]),
            request("/", &[("authorization", "Bearer a, Bearer b")]),
            request("/", &[("authorization", "Bearer a"), ("authorization", "Basic b")]),
        ];
        for request in several {
            let found = find_credential(&sources(), &request).map(|_| ());
            assert_eq!(found, Err(CredentialRejection::Several), "{request:?}");
        }
        for empty in [request("/?key=", &[]), request("/", &[("x-api-key", " ")])] {
            let found = find_credential(&sources(), &empty).map(|_| ());
            assert_eq!(found, Err(CredentialRejection::Malformed), "{empty:?}");
        }
    }
}
