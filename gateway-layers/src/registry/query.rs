//! Names and values of a query string (`application/x-www-form-urlencoded`).

/// Names and values, decoded; `None` for what cannot be.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = Option<(String, String)>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name, true)?, decoded(value, true)?))
    })
}

/// `text` without its percent-encoding, and with blanks for `+` where `plus` says so. `None` when
/// an escape is broken or the result is no UTF-8.
pub(super) fn decoded(text: &str, plus: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_or_rejected() {
        for (text, expected) in [
            ("a", Some("a")),
            ("a+b%20c", Some("a b c")),
            ("%C3%a9", Some("é")),
            ("%", None),
            ("%4", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(text, true).as_deref(), expected, "{text}");
        }
        assert_eq!(decoded("a+b", false).as_deref(), Some("a+b"));
        let pairs: Vec<_> = pairs("a=1&&b&c=%zz&d==").collect();
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(pairs, [pair("a", "1"), pair("b", ""), None, pair("d", "=")]);
    }
}
