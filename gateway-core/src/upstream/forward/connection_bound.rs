//! Authentication that holds for a connection: NTLM, and Negotiate (RFC 4559).

use http::header::{AUTHORIZATION, HeaderName, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use crate::http1::head::ResponseHead;

/// True when the exchange may have authenticated the connection, or has begun to.
pub(super) fn authenticates(request: &HeaderMap, response: &ResponseHead) -> bool {
    let challenge = match response.status {
        StatusCode::UNAUTHORIZED => Some(WWW_AUTHENTICATE),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some(PROXY_AUTHENTICATE),
        _ => None,
    };
    names_scheme(request, &AUTHORIZATION)
        || challenge.is_some_and(|name| names_scheme(&response.headers, &name))
}

/// True when an element of the header begins with one of the schemes.
fn names_scheme(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().split(|&byte| byte == b',').any(|element| {
            let scheme = element.trim_ascii().split(|&byte| byte == b' ').next();
            scheme.is_some_and(|scheme| {
                scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn finds_schemes_among_others() {
        let names = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
            names_scheme(&headers, &WWW_AUTHENTICATE)
        };
        for value in ["NTLM", "ntlm TlRM", "Basic realm=\"a\", Negotiate", "negotiate a=="] {
            assert!(names(value), "{value}");
        }
        for value in ["Basic realm=\"NTLM\"", "NTLMv9", "Digest a=\"Negotiate\""] {
            assert!(!names(value), "{value}");
        }
    }
}
