//! Where a message ends.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

use super::HeadProblem;

/// Where a request ends (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// With its head: HTTP/1 without a word about a body.
    None,
    /// After this number of body bytes. Over HTTP/2 the stream has to end there too.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With its stream: HTTP/2 without a promised length.
    Stream,
}

/// Where an answer ends (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// With its head: answers to `HEAD`, 1xx, 204, 304, and 2xx to `CONNECT`, whatever their
    /// fields say about a body.
    Empty,
    /// After this number of body bytes. Over HTTP/2 the stream has to end there too.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection: HTTP/1 without a word about the body. A cut cannot be told from an
    /// end, except by a reset.
    UntilClose,
    /// With its stream: HTTP/2 without a promised length.
    Stream,
}

/// Says where a request ends.
///
/// Called before connection-level fields are stripped. Stricter than the standard: one line of
/// either field, even where several would agree, and no coding but `chunked`.
///
/// # Errors
///
/// A [`HeadProblem`] of `Content-Length` or `Transfer-Encoding`; each is a 400 and the end of the
/// connection.
///
/// ```
/// use gateway_core::validation::{framing, Framing, HeadProblem};
/// use http::{HeaderMap, HeaderValue, Version, header};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
/// assert_eq!(framing(Version::HTTP_11, &headers), Ok(Framing::Length(5)));
/// headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
/// assert_eq!(framing(Version::HTTP_11, &headers), Err(HeadProblem::LengthAndEncoding));
/// ```
pub fn framing(version: Version, headers: &HeaderMap) -> Result<Framing, HeadProblem> {
    Ok(match declared(version, headers)? {
        Declared::Chunked => Framing::Chunked,
        Declared::Length(length) => Framing::Length(length),
        Declared::Nothing if version >= Version::HTTP_2 => Framing::Stream,
        Declared::Nothing => Framing::None,
    })
}

/// Says where an upstream's answer ends.
///
/// The fields of an answer without a body are judged too: who cannot frame a `HEAD` cannot be
/// trusted with a `GET`.
///
/// # Errors
///
/// A [`HeadProblem`] of `Content-Length` or `Transfer-Encoding`; each is a 502, and the upstream
/// connection must not be used again.
pub fn response_framing(
    request_method: &Method,
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
) -> Result<ResponseFraming, HeadProblem> {
    let declared = declared(version, headers)?;
    let tunnel = *request_method == Method::CONNECT && status.is_success();
    let no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if *request_method == Method::HEAD || status.is_informational() || no_body || tunnel {
        return Ok(ResponseFraming::Empty);
    }
    Ok(match declared {
        Declared::Chunked => ResponseFraming::Chunked,
        Declared::Length(length) => ResponseFraming::Length(length),
        Declared::Nothing if version >= Version::HTTP_2 => ResponseFraming::Stream,
        Declared::Nothing => ResponseFraming::UntilClose,
    })
}

enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

fn declared(version: Version, headers: &HeaderMap) -> Result<Declared, HeadProblem> {
    let (encoding, encodings) = lines(headers, TRANSFER_ENCODING);
    let (length, lengths) = lines(headers, CONTENT_LENGTH);
    match (encoding, length) {
        (None, None) => Ok(Declared::Nothing),
        (Some(_), _) if version != Version::HTTP_11 => Err(HeadProblem::TransferEncodingVersion),
        (Some(_), Some(_)) => Err(HeadProblem::LengthAndEncoding),
        (Some(encoding), None) => {
            let chunked = !encodings && encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if chunked { Ok(Declared::Chunked) } else { Err(HeadProblem::TransferEncodingUnknown) }
        }
        (None, Some(_)) if lengths => Err(HeadProblem::ContentLengthRepeated),
        (None, Some(length)) => parse_length(length.as_bytes())
            .map(Declared::Length)
            .ok_or(HeadProblem::ContentLengthInvalid),
    }
}

/// The first line of a field and whether there are more.
fn lines(headers: &HeaderMap, name: http::HeaderName) -> (Option<&HeaderValue>, bool) {
    let mut lines = headers.get_all(name).iter();
    (lines.next(), lines.next().is_some())
}

/// `1*DIGIT` (RFC 9110, 8.6), below 2^64. The standard library's parser would take a sign.
fn parse_length(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use HeadProblem::{
        ContentLengthInvalid, ContentLengthRepeated, LengthAndEncoding, TransferEncodingUnknown,
        TransferEncodingVersion,
    };
    use proptest::prelude::*;

    use super::*;

    fn map(lengths: &[&str], encodings: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, lines) in [(CONTENT_LENGTH, lengths), (TRANSFER_ENCODING, encodings)] {
            for line in lines {
                headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
        }
        headers
    }

    type Case = (&'static [&'static str], &'static [&'static str], Result<Framing, HeadProblem>);

    /// `Content-Length` lines, `Transfer-Encoding` lines, verdict over HTTP/1.1.
    const HTTP_11: &[Case] = &[
        (&[], &[], Ok(Framing::None)),
        (&["0"], &[], Ok(Framing::Length(0))),
        (&["5"], &[], Ok(Framing::Length(5))),
        (&["0005"], &[], Ok(Framing::Length(5))),
        (&["18446744073709551615"], &[], Ok(Framing::Length(u64::MAX))),
        (&["18446744073709551616"], &[], Err(ContentLengthInvalid)),
        (&["99999999999999999999999"], &[], Err(ContentLengthInvalid)),
        (&[""], &[], Err(ContentLengthInvalid)),
        (&["+5"], &[], Err(ContentLengthInvalid)),
        (&["-5"], &[], Err(ContentLengthInvalid)),
        (&["-0"], &[], Err(ContentLengthInvalid)),
        (&[" 5"], &[], Err(ContentLengthInvalid)),
        (&["5 "], &[], Err(ContentLengthInvalid)),
        (&["5 6"], &[], Err(ContentLengthInvalid)),
        (&[" 5 6"], &[], Err(ContentLengthInvalid)),
        (&["5,5"], &[], Err(ContentLengthInvalid)),
        (&["5, 5"], &[], Err(ContentLengthInvalid)),
        (&["5;q=1"], &[], Err(ContentLengthInvalid)),
        (&["0x5"], &[], Err(ContentLengthInvalid)),
        (&["1e3"], &[], Err(ContentLengthInvalid)),
        (&["5.0"], &[], Err(ContentLengthInvalid)),
        (&["1_000"], &[], Err(ContentLengthInvalid)),
        (&["\u{665}"], &[], Err(ContentLengthInvalid)),
        (&["5", "5"], &[], Err(ContentLengthRepeated)),
        (&["5", "6"], &[], Err(ContentLengthRepeated)),
        (&["x", "5"], &[], Err(ContentLengthRepeated)),
        (&[], &["chunked"], Ok(Framing::Chunked)),
        (&[], &["Chunked"], Ok(Framing::Chunked)),
        (&[], &[""], Err(TransferEncodingUnknown)),
        (&[], &["identity"], Err(TransferEncodingUnknown)),
        (&[], &["gzip"], Err(TransferEncodingUnknown)),
        (&[], &["xchunked"], Err(TransferEncodingUnknown)),
        (&[], &["chunkedx"], Err(TransferEncodingUnknown)),
        (&[], &["chunked;q=1"], Err(TransferEncodingUnknown)),
        (&[], &["chunked, chunked"], Err(TransferEncodingUnknown)),
        (&[], &["chunked, identity"], Err(TransferEncodingUnknown)),
        (&[], &["gzip, chunked"], Err(TransferEncodingUnknown)),
        (&[], &["chunked, gzip"], Err(TransferEncodingUnknown)),
        (&[], &["chunked,"], Err(TransferEncodingUnknown)),
        (&[], &[",chunked"], Err(TransferEncodingUnknown)),
        (&[], &[" chunked"], Err(TransferEncodingUnknown)),
        (&[], &["chunked\t"], Err(TransferEncodingUnknown)),
        (&[], &["\"chunked\""], Err(TransferEncodingUnknown)),
        (&[], &["chun\u{212a}ed"], Err(TransferEncodingUnknown)),
        (&[], &["chunked", "chunked"], Err(TransferEncodingUnknown)),
        (&[], &["gzip", "chunked"], Err(TransferEncodingUnknown)),
        (&[], &["chunked", "identity"], Err(TransferEncodingUnknown)),
        (&["5"], &["chunked"], Err(LengthAndEncoding)),
        (&["0"], &["identity"], Err(LengthAndEncoding)),
        (&["x"], &["x"], Err(LengthAndEncoding)),
    ];

    #[test]
    fn requests() {
        for (lengths, encodings, expected) in HTTP_11 {
            let headers = map(lengths, encodings);
            let found = framing(Version::HTTP_11, &headers);
            assert_eq!(found, *expected, "{lengths:?} {encodings:?}");
        }
    }

    #[test]
    fn other_versions() {
        for version in [Version::HTTP_10, Version::HTTP_2] {
            let one = map(&["5"], &[]);
            assert_eq!(framing(version, &one), Ok(Framing::Length(5)));
            assert_eq!(framing(version, &map(&["5", "5"], &[])), Err(ContentLengthRepeated));
            for headers in [map(&[], &["chunked"]), map(&[], &["x"]), map(&["5"], &["chunked"])] {
                assert_eq!(framing(version, &headers), Err(TransferEncodingVersion));
                let answer = response_framing(&Method::GET, StatusCode::OK, version, &headers);
                assert_eq!(answer, Err(TransferEncodingVersion));
            }
        }
        let none = HeaderMap::new();
        assert_eq!(framing(Version::HTTP_10, &none), Ok(Framing::None));
        assert_eq!(framing(Version::HTTP_2, &none), Ok(Framing::Stream));
    }

    #[test]
    fn answers_are_judged_like_requests() {
        for (lengths, encodings, expected) in HTTP_11 {
            let headers = map(lengths, encodings);
            let expected = expected.map(|framing| match framing {
                Framing::Length(length) => ResponseFraming::Length(length),
                Framing::Chunked => ResponseFraming::Chunked,
                Framing::None | Framing::Stream => ResponseFraming::UntilClose,
            });
            let answer = response_framing(&Method::GET, StatusCode::OK, Version::HTTP_11, &headers);
            assert_eq!(answer, expected, "{lengths:?} {encodings:?}");
            let head = response_framing(&Method::HEAD, StatusCode::OK, Version::HTTP_11, &headers);
            assert_eq!(head, expected.map(|_| ResponseFraming::Empty));
        }
    }

    #[test]
    fn answers_without_a_body() {
        let (get, head, connect) = (Method::GET, Method::HEAD, Method::CONNECT);
        let cases = [
            (&get, 100, true),
            (&get, 101, true),
            (&get, 103, true),
            (&get, 204, true),
            (&get, 304, true),
            (&get, 200, false),
            (&get, 205, false),
            (&get, 404, false),
            (&head, 200, true),
            (&head, 404, true),
            (&connect, 200, true),
            (&connect, 299, true),
            (&connect, 407, false),
        ];
        for (method, status, empty) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            for (headers, otherwise) in [
                (map(&["5"], &[]), ResponseFraming::Length(5)),
                (map(&[], &["chunked"]), ResponseFraming::Chunked),
                (map(&[], &[]), ResponseFraming::UntilClose),
            ] {
                let expected = if empty { ResponseFraming::Empty } else { otherwise };
                let found = response_framing(method, status, Version::HTTP_11, &headers);
                assert_eq!(found, Ok(expected), "{method} {status} {headers:?}");
            }
        }
        let over_2 = response_framing(&get, StatusCode::OK, Version::HTTP_2, &HeaderMap::new());
        assert_eq!(over_2, Ok(ResponseFraming::Stream));
    }

    proptest! {
        #[test]
        fn lengths_are_what_the_standard_library_reads(text in "[0-9+ ,-]{0,22}") {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let expected = if plain { text.parse().ok() } else { None };
            prop_assert_eq!(parse_length(text.as_bytes()), expected);
        }
    }
}
