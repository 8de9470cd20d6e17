//! JSON as tokens, and what is said about them, may have it: one meaning, or none.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use gateway_core::context::Claim;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Values inside of values, the outermost counted. Real tokens have three or four.
const MAX_DEPTH: u8 = 16;

/// Values by name.
pub(in crate::auth) type Object = BTreeMap<String, Claim>;

/// The object that `bytes` are. `None` where they are none, where it is UTF-8 only in parts, where
/// a name stands twice, in whatever spelling, where a number is none that can be kept, and where
/// it is too deep.
pub(in crate::auth) fn object(bytes: &[u8]) -> Option<Object> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Depth(MAX_DEPTH).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Claim::Map(object) => Some(object),
        _ => None,
    }
}

/// So many levels are left.
#[derive(Clone, Copy)]
struct Depth(u8);

impl Depth {
    fn next<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Claim;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Claim, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Claim;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Claim, E> {
        Ok(Claim::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Claim, E> {
        Ok(Claim::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Claim, E> {
        Ok(Claim::Integer(value))
    }

    #[allow(clippy::cast_precision_loss, reason = "what is beyond 63 bits is no integer here")]
    fn visit_u64<E>(self, value: u64) -> Result<Claim, E> {
        Ok(i64::try_from(value).map_or(Claim::Number(value as f64), Claim::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Claim, E> {
        if value.is_finite() { Ok(Claim::Number(value)) } else { Err(E::custom("no number")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Claim, E> {
        Ok(Claim::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Claim, A::Error> {
        let inner = self.next()?;
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Claim::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Claim, A::Error> {
        let inner = self.next()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            match object.entry(name) {
                Entry::Occupied(_) => return Err(A::Error::custom("a name stands twice")),
                Entry::Vacant(entry) => entry.insert(members.next_value_seed(inner)?),
            };
        }
        Ok(Claim::Map(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_object_with_one_meaning_is_read() {
        let object = object(br#" {"a":1,"b":[true,null,-1.5],"c":{"d":"\u00e9"}} "#).unwrap();
        assert_eq!(object["a"], Claim::Integer(1));
        assert_eq!(object["c"], Claim::Map([("d".to_owned(), Claim::Text("é".into()))].into()));
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_rejected() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":1}}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":1e400}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1,}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1}x"#,
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":\"\n\"}",
            "/**/{}",
            "[]",
            "1",
            "null",
            "",
        ] {
            assert_eq!(object(text.as_bytes()), None, "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(object(b"{\"a\":\"\xc0\x80\"}"), None);
    }

    #[test]
    fn sixteen_levels_are_read_and_one_more_is_not() {
        let nested = |levels: usize| {
            format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
        };
        assert!(object(nested(16).as_bytes()).is_some());
        assert!(object(nested(17).as_bytes()).is_none());
        assert!(object("{\"a\":".repeat(5000).as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_object_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = object(&bytes);
        }
    }
}
