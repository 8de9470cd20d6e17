//! What is said to and by etcd, in the JSON form of its API: bytes are base64, large numbers are
//! texts, and what has its default is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use serde_json::json;

use crate::discovery::MAX_ENDPOINTS;

pub(super) const RANGE: &str = "/v3/kv/range";
pub(super) const WATCH: &str = "/v3/watch";
pub(super) const AUTHENTICATE: &str = "/v3/auth/authenticate";

/// The question for all keys that begin with `prefix`.
pub(super) fn range(prefix: &str) -> String {
    let (key, end) = bounds(prefix);
    json!({ "key": key, "range_end": end, "limit": MAX_ENDPOINTS + 1 }).to_string()
}

/// The question for what becomes of them from `revision` on.
pub(super) fn watch(prefix: &str, revision: i64) -> String {
    let (key, end) = bounds(prefix);
    let request = json!({ "key": key, "range_end": end, "start_revision": revision.to_string() });
    json!({ "create_request": request }).to_string()
}

pub(super) fn authenticate(user: &str, password: &str) -> String {
    json!({ "name": user, "password": password }).to_string()
}

/// The first key with `prefix`, and the first one after all of them.
fn bounds(prefix: &str) -> (String, String) {
    let mut end = prefix.as_bytes().to_vec();
    // No byte of UTF-8 is the last there is.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    (STANDARD.encode(prefix), STANDARD.encode(end))
}

#[derive(Deserialize)]
pub(super) struct Token {
    pub(super) token: String,
}

#[derive(Deserialize)]
pub(super) struct Range {
    pub(super) header: Header,
    #[serde(default)]
    pub(super) kvs: Vec<Pair>,
}

#[derive(Default, Deserialize)]
pub(super) struct Header {
    #[serde(default, deserialize_with = "number")]
    pub(super) revision: i64,
}

#[derive(Deserialize)]
pub(super) struct Pair {
    #[serde(deserialize_with = "bytes")]
    pub(super) key: Bytes,
    #[serde(default, deserialize_with = "bytes")]
    pub(super) value: Bytes,
}

/// One line of a watch.
#[derive(Deserialize)]
pub(super) struct Line {
    pub(super) result: Option<Watched>,
    pub(super) error: Option<Rejected>,
}

#[derive(Deserialize)]
pub(super) struct Watched {
    #[serde(default)]
    pub(super) canceled: bool,
    #[serde(default, deserialize_with = "number")]
    pub(super) compact_revision: i64,
    #[serde(default)]
    pub(super) cancel_reason: String,
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type", default)]
    pub(super) kind: Kind,
    pub(super) kv: Pair,
}

#[derive(Default, Deserialize)]
pub(super) enum Kind {
    #[default]
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
}

#[derive(Deserialize)]
pub(super) struct Rejected {
    #[serde(default)]
    pub(super) message: String,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map(Bytes::from).map_err(de::Error::custom)
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_bounds_hold_what_begins_so_and_nothing_else(
            prefix in "[a-z/é]{1,4}", key in "[a-z/é]{0,6}",
        ) {
            let (first, end) = bounds(&prefix);
            let (first, end) = (STANDARD.decode(first).unwrap(), STANDARD.decode(end).unwrap());
            let within = key.as_bytes() >= &first[..] && key.as_bytes() < &end[..];
            prop_assert_eq!(within, key.starts_with(&prefix));
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let line = r#"{"result":{"header":{"revision":"7"},"events":[{"kv":{"key":"YQ=="}}]}}"#;
        let watched = serde_json::from_str::<Line>(line).unwrap().result.unwrap();
        assert!(!watched.canceled && watched.compact_revision == 0);
        let event = &watched.events[0];
        assert!(matches!(event.kind, Kind::Put));
        assert_eq!((&event.kv.key[..], &event.kv.value[..]), (&b"a"[..], &b""[..]));
        assert!(serde_json::from_str::<Line>(r#"{"result":{"events":[{"kv":{}}]}}"#).is_err());
        assert!(serde_json::from_str::<Pair>(r#"{"key":"%"}"#).is_err());
    }
}
