//! [`ContentTypeFilter`]: which kinds of body a route takes.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::content_type::ContentTypeFilter;
//! use gateway_layers::filter::FilterLayer;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let json = ContentTypeFilter::new(["application/json".parse()?, "application/*+json".parse()?]);
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let api = Module::from_service(
//!     ServiceBuilder::new().layer(FilterLayer::new(json)).service(module),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! A request with a body of another kind, without `Content-Type`, or with one that could be read in
//! two ways (several lines, a list, broken parameters) fails with [`Reason::MediaTypeNotAllowed`]
//! (415) and with the kinds that would be taken in `Accept` (RFC 9110, section 12.5.1), for `POST` in
//! `Accept-Post` and for `PATCH` in `Accept-Patch` (RFC 5789) too. Requests without a body pass.

use std::fmt;
use std::str::FromStr;

use gateway_core::{Error, Reason, RequestContext, RequestExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, request};

use crate::filter::{Filter, Flow};

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Rejects bodies by their kind; see the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentTypeFilter {
    ranges: Vec<MediaRange>,
    accept: HeaderValue,
}

impl ContentTypeFilter {
    /// Takes bodies of a kind that one of `ranges` takes.
    pub fn new(ranges: impl IntoIterator<Item = MediaRange>) -> Self {
        let ranges: Vec<_> = ranges.into_iter().collect();
        let list: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        let accept = HeaderValue::from_str(&list.join(", "));
        Self { accept: accept.unwrap_or_else(|_| HeaderValue::from_static("")), ranges }
    }

    /// What it takes.
    pub fn ranges(&self) -> &[MediaRange] {
        &self.ranges
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
        let line = lines.next().ok_or("the body has no Content-Type")?;
        if lines.next().is_some() {
            return Err("there is more than one Content-Type");
        }
        let (kind, subtype) = line
            .to_str()
            .ok()
            .and_then(media_type)
            .ok_or("the Content-Type is not one media type")?;
        let taken = self.ranges.iter().any(|range| range.takes(kind, subtype));
        if taken { Ok(()) } else { Err("") }
    }

    fn rejection(&self, method: &Method, detail: &'static str) -> Error {
        let error = Error::new(Reason::MediaTypeNotAllowed)
            .with_detail(detail)
            .with_field(header::ACCEPT, self.accept.clone());
        match *method {
            Method::POST => error.with_field(ACCEPT_POST, self.accept.clone()),
            Method::PATCH => error.with_field(ACCEPT_PATCH, self.accept.clone()),
            _ => error,
        }
    }
}

impl Filter for ContentTypeFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        let known = head.context().and_then(RequestContext::has_body);
        if !known.unwrap_or_else(|| says_body(&head.headers)) {
            return Flow::Continue;
        }
        match self.check(&head.headers) {
            Ok(()) => Flow::Continue,
            Err(detail) => Flow::Reject(self.rejection(&head.method, detail)),
        }
    }
}

/// Where no gateway of ours has looked at the body: what the head says of it.
fn says_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Kinds of bodies: `application/json`, `image/*`, `application/*+json` or `*/*`. Case does not
/// count, and parameters are no part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRange {
    /// `None`: any.
    kind: Option<Box<str>>,
    subtype: Subtype,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subtype {
    Any,
    Exact(Box<str>),
    /// The structured suffix with its plus sign (RFC 6838, section 4.2.8).
    Suffix(Box<str>),
}

impl MediaRange {
    fn takes(&self, kind: &str, subtype: &str) -> bool {
        let kind_fits = self.kind.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(kind));
        kind_fits
            && match &self.subtype {
                Subtype::Any => true,
                Subtype::Exact(own) => own.eq_ignore_ascii_case(subtype),
                Subtype::Suffix(suffix) => {
                    let start = subtype.len().saturating_sub(suffix.len());
                    start > 0
                        && subtype.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
                }
            }
    }
}

impl FromStr for MediaRange {
    type Err = MediaRangeError;

    fn from_str(text: &str) -> Result<Self, MediaRangeError> {
        let error = || MediaRangeError { found: text.to_owned() };
        let lower = text.to_ascii_lowercase();
        let (kind, subtype) = lower.split_once('/').ok_or_else(error)?;
        let plain = |part: &str| is_token(part) && !part.contains('*');
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) if suffix.len() > 1 && suffix.starts_with('+') && plain(suffix) => {
                Subtype::Suffix(suffix.into())
            }
            None if plain(subtype) => Subtype::Exact(subtype.into()),
            _ => return Err(error()),
        };
        let kind = match kind {
            "*" if subtype == Subtype::Any => None,
            kind if plain(kind) => Some(kind.into()),
            _ => return Err(error()),
        };
        Ok(Self { kind, subtype })
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind.as_deref().unwrap_or("*"))?;
        match &self.subtype {
            Subtype::Any => f.write_str("*"),
            Subtype::Exact(name) => f.write_str(name),
            Subtype::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// A text that is no kind of body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRangeError {
    found: String,
}

impl MediaRangeError {
    /// What was expected.
    pub const EXPECTED: &'static str =
        "a media type such as \"application/json\", \"application/*+json\" or \"image/*\"";
}

impl fmt::Display for MediaRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found `{}`, expected {}", self.found, Self::EXPECTED)
    }
}

impl std::error::Error for MediaRangeError {}

/// Type and subtype of a `Content-Type` (RFC 9110, section 8.3.1); `None`: it is not one media type.
fn media_type(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_matches(BLANKS);
    let end = text.find(';').unwrap_or(text.len());
    let (essence, parameters) = text.split_at(end);
    let (kind, subtype) = essence.trim_end_matches(BLANKS).split_once('/')?;
    let fits = is_token(kind) && is_token(subtype) && are_parameters(parameters);
    fits.then_some((kind, subtype))
}

const BLANKS: [char; 2] = [' ', '\t'];

/// RFC 9110, section 5.6.6: each begins with its semicolon and may be empty.
fn are_parameters(mut text: &str) -> bool {
    while let Some(rest) = text.strip_prefix(';') {
        let rest = rest.trim_start_matches(BLANKS);
        let name = rest.find(|letter| !is_token_char(letter)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(name);
        let rest = match (name, rest.strip_prefix('=')) {
            ("", None) => rest,
            ("", Some(_)) | (_, None) => return false,
            (_, Some(value)) => match after_value(value) {
                Some(rest) => rest,
                None => return false,
            },
        };
        text = rest.trim_start_matches(BLANKS);
    }
    text.is_empty()
}

/// What follows a token or a quoted string; `None`: neither is there.
fn after_value(text: &str) -> Option<&str> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|letter| !is_token_char(letter)).unwrap_or(text.len());
        return if end == 0 { None } else { text.get(end..) };
    };
    loop {
        let at = rest.find(['"', '\\'])?;
        let skip = if rest[at..].starts_with('"') { 1 } else { 2 };
        rest = rest.get(at + skip..)?;
        if skip == 1 {
            return Some(rest);
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use gateway_core::{Body, Request};

    use super::*;

    fn json() -> ContentTypeFilter {
        let ranges = ["application/json", "application/*+json", "image/*"];
        ContentTypeFilter::new(ranges.map(|range| range.parse().unwrap()))
    }

    fn passes(lines: &[&str]) -> bool {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("2"));
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(header::CONTENT_TYPE, line);
        }
        match json().apply(&mut request.into_parts().0) {
            Flow::Continue => true,
            Flow::Reject(error) => {
                assert_eq!(error.reason(), Reason::MediaTypeNotAllowed);
                false
            }
            Flow::Answer(_) => panic!("an answer"),
        }
    }

    #[test]
    fn kinds_that_are_listed_pass() {
        for line in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json ; charset=\"utf-8\"; x=\"a\\\"b;,\"",
            "application/json;",
            "application/problem+json",
            "application/vnd.api+JSON; version=1",
            "image/png",
        ] {
            assert!(passes(&[line]), "{line}");
        }
    }

    #[test]
    fn everything_else_does_not() {
        for line in [
            "text/plain",
            "text/json",
            "application/jsonx",
            "application/xjson",
            "application/+json",
            "application/json+xml",
            "application/x-www-form-urlencoded; x=application/json",
            "application/json, text/plain",
            "application/json;, text/plain",
            "application/json text/plain",
            "application/json; charset",
            "application/json; =utf-8",
            "application/json; charset=\"utf-8",
            "application/json; charset=\"a\\",
            "application /json",
            "application",
            "image/",
            "/json",
            "*/*",
            "",
            "application/jsön",
        ] {
            assert!(!passes(&[line]), "{line:?}");
        }
    }

    #[test]
    fn a_body_has_one_kind() {
        assert!(!passes(&[]));
        assert!(!passes(&["application/json", "application/json"]));
        assert!(!passes(&["application/json", "text/plain"]));
    }

    #[test]
    fn without_a_body_there_is_no_kind() {
        for length in [None, Some("0")] {
            let mut request = Request::new(Body::empty());
            let length = length.map(HeaderValue::from_static);
            request.headers_mut().extend(length.map(|length| (header::CONTENT_LENGTH, length)));
            let flow = json().apply(&mut request.into_parts().0);
            assert!(matches!(flow, Flow::Continue));
        }
    }

    #[test]
    fn who_is_rejected_is_told_what_is_taken() {
        const LIST: &str = "application/json, application/*+json, image/*";
        for (method, field) in [
            (Method::POST, Some("accept-post")),
            (Method::PATCH, Some("accept-patch")),
            (Method::PUT, None),
        ] {
            let error = json().rejection(&method, "");
            let fields: Vec<_> = error
                .fields()
                .iter()
                .map(|(name, value)| {
                    assert_eq!(value, LIST);
                    name.as_str()
                })
                .collect();
            let expected: Vec<_> = ["accept"].into_iter().chain(field).collect();
            assert_eq!(fields, expected);
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        for (text, said) in [("IMAGE/*", "image/*"), ("*/*", "*/*"), ("a/*+B", "a/*+b")] {
            assert_eq!(text.parse::<MediaRange>().unwrap().to_string(), said);
        }
        for text in
            ["json", "*/json", "*/*+json", "a/b*", "a/**", "a/*b", "a/*+", "a/b;c=d", "a/", ""]
        {
            let error = text.parse::<MediaRange>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("found `{text}`, expected {}", MediaRangeError::EXPECTED)
            );
        }
    }
}
