//! Conditions on query parameters.

use smallvec::SmallVec;

use super::ValueMatch;

/// Bytes of a decoded value that are kept without allocating.
const INLINE_VALUE_LENGTH: usize = 128;

/// A condition on one parameter of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryMatch {
    /// The decoded name; compared with regard to case.
    pub name: String,
    /// The condition on the decoded value of its first occurrence.
    pub value: ValueMatch,
}

impl QueryMatch {
    /// A condition on the parameter `name`, written decoded.
    pub fn new(name: impl Into<String>, value: ValueMatch) -> Self {
        Self { name: name.into(), value }
    }

    /// True when the condition holds for `query`, the text after `?`.
    ///
    /// Names and values are percent-decoded and `+` is a blank; of a repeated parameter the first
    /// counts. An escape that is none stands for its own text.
    #[must_use]
    pub fn takes(&self, query: Option<&str>) -> bool {
        let value = first_value(query.unwrap_or_default(), &self.name);
        if matches!(self.value, ValueMatch::Present(_)) || value.is_none() {
            return self.value.holds(value.map(str::as_bytes));
        }
        let raw = value.unwrap_or_default();
        if !raw.contains(['%', '+']) {
            return self.value.holds([raw.as_bytes()]);
        }
        let decoded: SmallVec<[u8; INLINE_VALUE_LENGTH]> = Decoded::new(raw).collect();
        self.value.holds([decoded.as_slice()])
    }
}

impl std::fmt::Display for QueryMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.name, self.value)
    }
}

/// The raw value of the first parameter whose decoded name is `name`; empty where it has no `=`.
fn first_value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(raw, _)| Decoded::new(raw).eq(name.bytes()))
        .map(|(_, value)| value)
}

/// The decoded bytes of a name or value.
struct Decoded<'q> {
    rest: &'q [u8],
}

impl<'q> Decoded<'q> {
    const fn new(raw: &'q str) -> Self {
        Self { rest: raw.as_bytes() }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.rest {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                self.rest = rest;
                return u8::try_from(high << 4 | low).ok();
            }
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(if *first == b'+' { b' ' } else { *first })
    }
}
