//! Reading cookies of a request (RFC 6265, section 4.2).

use http::HeaderMap;
use http::header::COOKIE;

/// The value of the first cookie called `name`.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(unquoted(value))
    })
}

/// True for what may be the name of a cookie: a token (RFC 9110, section 5.6.2).
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// A value may stand in quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cookie_of_a_name_is_found_in_any_line() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; bb=2 ;b=\"3\"; b=4".parse().unwrap());
        headers.append(COOKIE, "c=5=6;d=".parse().unwrap());
        for (name, expected) in
            [("a", Some("1")), ("b", Some("3")), ("bb", Some("2")), ("c", Some("5=6")), ("e", None)]
        {
            assert_eq!(value(&headers, name), expected.map(str::as_bytes), "{name}");
        }
        assert_eq!(value(&headers, "d"), Some(&b""[..]));
    }
}
