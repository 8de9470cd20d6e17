//! Heads: the start line and the header section.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};

/// How much of a head is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of the request target.
    pub(crate) uri: usize,
    /// Bytes of the whole head.
    pub(crate) bytes: usize,
    /// Number of fields.
    pub(crate) fields: usize,
}

/// Why a head is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not HTTP/1, or malformed; says what was found.
    Malformed(&'static str),
    /// The request target is over its limit.
    UriTooLong,
    /// The head is over its limit of bytes or fields.
    TooLarge,
}

/// A request's head.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// An answer's head.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// Finds the end of a head, byte by byte only once however it arrives.
///
/// Lines end with CR LF; a CR or LF alone is rejected at once (RFC 9112, section 2.2, lets a
/// recipient accept a bare LF, and that leniency is what smuggling is made of).
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    scanned: usize,
    line_start: usize,
}

impl HeadScanner {
    /// The length of the head in `buffer` with its final empty line, once it is all there.
    pub(crate) fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        while let Some(found) =
            memchr::memchr2(b'\r', b'\n', buffer.get(self.scanned..).unwrap_or_default())
        {
            let at = self.scanned + found;
            if buffer[at] == b'\n' {
                return Err(HeadError::Malformed("a line feed without carriage return"));
            }
            match buffer.get(at + 1) {
                None => {
                    self.scanned = at;
                    return Ok(None);
                }
                Some(b'\n') => {}
                Some(_) => {
                    return Err(HeadError::Malformed("a carriage return without line feed"));
                }
            }
            self.scanned = at + 2;
            if at == self.line_start {
                return Ok(Some(self.scanned));
            }
            self.line_start = self.scanned;
        }
        self.scanned = self.scanned.max(buffer.len());
        Ok(None)
    }

    /// True while the first line has not ended.
    pub(crate) fn in_first_line(&self) -> bool {
        self.line_start == 0
    }
}

/// Heads with at most this many fields are parsed on the stack.
const STACK_FIELDS: usize = 100;

/// Parses the request head that fills `head` whole.
pub(crate) fn parse_request(head: BytesMut, limits: &HeadLimits) -> Result<RequestHead, HeadError> {
    let head = head.freeze();
    // Here and not in a function of its own: returning the room would copy it.
    let mut few = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let mut many = Vec::new();
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(&head, pick(&mut few, &mut many, limits.fields)) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HeadError::Malformed("an empty line")),
        Err(error) => return Err(parse_error(error)),
    }
    let target = parsed.path.unwrap_or_default();
    if target.len() > limits.uri {
        return Err(HeadError::UriTooLong);
    }
    if target.as_bytes().contains(&b'#') {
        // The URI type would drop it silently.
        return Err(HeadError::Malformed("a fragment in the request target"));
    }
    let method = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes())
        .map_err(|_| HeadError::Malformed("an invalid method"))?;
    let uri = Uri::from_maybe_shared(head.slice_ref(target.as_bytes()))
        .or_else(|_| escape_unwise(target).parse())
        .map_err(|_| HeadError::Malformed("an invalid request target"))?;
    let version = version(parsed.version);
    let headers = header_map(&head, parsed.headers)?;
    Ok(RequestHead { method, uri, version, headers })
}

/// Percent-encodes what clients leave raw in targets and the URI type takes in a path alone, in a
/// query alone or nowhere (RFC 3986 allows none of it), so that it passes everywhere.
fn escape_unwise(target: &str) -> String {
    let mut escaped = String::with_capacity(target.len() + 8);
    for character in target.chars() {
        match character {
            '"' => escaped.push_str("%22"),
            '<' => escaped.push_str("%3C"),
            '>' => escaped.push_str("%3E"),
            '`' => escaped.push_str("%60"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Parses the answer's head that fills `head` whole.
pub(crate) fn parse_response(
    head: BytesMut,
    limits: &HeadLimits,
) -> Result<ResponseHead, HeadError> {
    let head = head.freeze();
    // Here and not in a function of its own: returning the room would copy it.
    let mut few = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let mut many = Vec::new();
    let fields = pick(&mut few, &mut many, limits.fields);
    let mut parsed = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        &head,
        fields,
    ) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HeadError::Malformed("an empty line")),
        Err(error) => return Err(parse_error(error)),
    }
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default())
        .map_err(|_| HeadError::Malformed("an invalid status"))?;
    if status.as_u16() >= 600 {
        return Err(HeadError::Malformed("a status above 599"));
    }
    let version = version(parsed.version);
    let headers = header_map(&head, parsed.headers)?;
    Ok(ResponseHead { status, version, headers })
}

/// Parses a trailer section that fills `section` whole, its final empty line included.
pub(crate) fn parse_trailers(section: BytesMut, fields: usize) -> Result<HeaderMap, HeadError> {
    let section = section.freeze();
    let mut parsed = vec![httparse::EMPTY_HEADER; fields];
    match httparse::parse_headers(&section, &mut parsed) {
        Ok(httparse::Status::Complete((_, fields))) => header_map(&section, fields),
        Ok(httparse::Status::Partial) => Err(HeadError::Malformed("an unfinished trailer")),
        Err(error) => Err(parse_error(error)),
    }
}

type Room<'b> = MaybeUninit<httparse::Header<'b>>;

/// Picks the room on the stack, unless somebody wants very many fields.
fn pick<'r, 'b>(
    few: &'r mut [Room<'b>],
    many: &'r mut Vec<Room<'b>>,
    limit: usize,
) -> &'r mut [Room<'b>] {
    if let Some(few) = few.get_mut(..limit) {
        return few;
    }
    many.resize(limit, MaybeUninit::uninit());
    many
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

fn header_map(head: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(fields.len() + SPARE_FIELDS);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| HeadError::Malformed("an invalid field name"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value))
            .map_err(|_| HeadError::Malformed("an invalid field value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Room for the fields the gateway adds, so that the map does not grow for them.
const SPARE_FIELDS: usize = 6;

fn parse_error(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::HeaderName => HeadError::Malformed("an invalid field name"),
        httparse::Error::HeaderValue => HeadError::Malformed("an invalid field value"),
        httparse::Error::NewLine => HeadError::Malformed("an invalid line end"),
        httparse::Error::Status => HeadError::Malformed("an invalid status line"),
        httparse::Error::Version => HeadError::Malformed("an unknown HTTP version"),
        httparse::Error::Token => HeadError::Malformed("an invalid start line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { uri: 64, bytes: 1024, fields: 4 };

    fn scan(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        HeadScanner::default().scan(bytes)
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(scan(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nrest"), Ok(Some(27)));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nhost: a\r\n\r"), Ok(None));
    }

    #[test]
    fn arriving_byte_by_byte_changes_nothing() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut scanner = HeadScanner::default();
        for end in 0..head.len() {
            assert_eq!(scanner.scan(&head[..end]), Ok(None));
        }
        assert_eq!(scanner.scan(head), Ok(Some(head.len())));
    }

    #[test]
    fn lone_line_ends_are_rejected() {
        assert!(scan(b"GET / HTTP/1.1\nhost: a\n\n").is_err());
        assert!(scan(b"GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n").is_err());
    }

    #[test]
    fn requests_are_parsed_strictly() {
        let parse = |text: &str| parse_request(BytesMut::from(text), &LIMITS);
        let head = parse("GET /a?b HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\n\r\n").unwrap();
        assert_eq!(head.uri.path_and_query().unwrap(), "/a?b");
        assert_eq!(head.headers.get_all("a").iter().count(), 2);
        for malformed in [
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\n: x\r\n\r\n",
            "GET / HTTP/1.1\r\nA: x\0y\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
        ] {
            assert!(parse(malformed).is_err(), "{malformed:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64));
        assert_eq!(parse(&long).unwrap_err(), HeadError::UriTooLong);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5));
        assert_eq!(parse(&many).unwrap_err(), HeadError::TooLarge);
    }

    #[test]
    fn answers_are_parsed_strictly() {
        let parse = |text: &str| parse_response(BytesMut::from(text), &LIMITS);
        assert_eq!(parse("HTTP/1.1 204 No\r\n\r\n").unwrap().status, 204);
        for malformed in [
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 999 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        ] {
            assert!(parse(malformed).is_err(), "{malformed:?}");
        }
    }
}
