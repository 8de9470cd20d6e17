//! [`Pairs`]: names and values with escapes in them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use gateway_core::RequestContext;

use super::evaluate::Failure;
use super::value::Value;

/// Names and values, percent-encoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pairs<'a> {
    /// Of a query, in which `+` is a blank.
    Query(&'a str),
    /// The parameters that the route's template found in a path.
    Path(&'a str, Option<&'a RequestContext>),
}

impl<'a> Pairs<'a> {
    pub(super) fn query(query: &'a str) -> Self {
        Self::Query(query)
    }

    /// The bytes that are gone through for one name.
    pub(super) fn breadth(self) -> usize {
        match self {
            Self::Query(text) | Self::Path(text, _) => text.len(),
        }
    }

    /// Whether one is called `name`.
    pub(super) fn any(self, name: &str) -> bool {
        self.raw().any(|(raw, _)| self.decode(raw).as_deref() == Ok(name))
    }

    /// The values of `name`, in their order.
    pub(super) fn values(self, name: &str) -> Result<Vec<Value<'a>>, Failure> {
        let mut raw = self.raw().filter(|(raw, _)| self.decode(raw).as_deref() == Ok(name));
        let mut values = Vec::new();
        raw.try_for_each(|(_, value)| {
            values.push(value_of(self.decode(value)?));
            Ok(())
        })?;
        Ok(values)
    }

    /// The names, each once, in their order.
    pub(super) fn names(self) -> Result<Vec<Value<'a>>, Failure> {
        let mut seen = BTreeSet::new();
        let mut names = Vec::new();
        for (raw, _) in self.raw() {
            let name = self.decode(raw)?;
            if seen.insert(name.clone()) {
                names.push(value_of(name));
            }
        }
        Ok(names)
    }

    fn raw(self) -> Box<dyn Iterator<Item = (&'a str, &'a str)> + 'a> {
        match self {
            Self::Query(query) => {
                let pairs = query.split('&').filter(|pair| !pair.is_empty());
                Box::new(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))))
            }
            Self::Path(path, context) => {
                let params = context.and_then(RequestContext::params);
                Box::new(params.into_iter().flat_map(|params| params.iter(path)))
            }
        }
    }

    /// As routes are matched: an escape that is none stands for its own text.
    fn decode(self, raw: &'a str) -> Result<Cow<'a, str>, Failure> {
        let plus = matches!(self, Self::Query(_));
        if !raw.contains(['%', '+']) || (!plus && !raw.contains('%')) {
            return Ok(Cow::Borrowed(raw));
        }
        let mut decoded = Vec::with_capacity(raw.len());
        let mut rest = raw.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            let byte = match (first, behind) {
                (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                    (Some(high), Some(low)) => {
                        rest = behind;
                        high << 4 | low
                    }
                    _ => b'%',
                },
                (b'+', _) if plus => b' ',
                (other, _) => *other,
            };
            decoded.push(byte);
        }
        String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Failure::NoText)
    }
}

fn value_of(text: Cow<'_, str>) -> Value<'_> {
    match text {
        Cow::Borrowed(text) => Value::from(text),
        Cow::Owned(text) => Value::made(text),
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
