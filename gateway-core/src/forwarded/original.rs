//! What a trusted proxy says about the request that it got itself.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// The scheme of the client's request, as it stands there; of several the first.
pub(crate) fn said_proto(headers: &HeaderMap) -> Option<&[u8]> {
    first(headers, &X_FORWARDED_PROTO).map(|(_, said)| said)
}

/// The host of the client's request, as it stands there; of several the first.
pub(crate) fn said_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let (line, said) = first(headers, &X_FORWARDED_HOST)?;
    if said.len() == line.len() { Some(line.clone()) } else { HeaderValue::from_bytes(said).ok() }
}

/// The first line, and the first element of its list.
fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<(&'h HeaderValue, &'h [u8])> {
    let line = headers.get(name)?;
    let first = line.as_bytes().split(|&byte| byte == b',').next()?.trim_ascii();
    (!first.is_empty()).then_some((line, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_list_is_the_clients() {
        for (line, expected) in [
            ("https", Some("https")),
            (" https , http", Some("https")),
            ("", None),
            (", http", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(X_FORWARDED_PROTO, HeaderValue::from_static(line));
            headers.append(X_FORWARDED_PROTO, HeaderValue::from_static("other"));
            headers.append(X_FORWARDED_HOST, HeaderValue::from_static(line));
            assert_eq!(said_proto(&headers), expected.map(str::as_bytes), "{line:?}");
            let host = expected.map(HeaderValue::from_static);
            assert_eq!(said_host(&headers), host, "{line:?}");
        }
        assert_eq!(said_proto(&HeaderMap::new()), None);
    }
}
