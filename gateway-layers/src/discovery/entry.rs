//! Endpoints as JSON: a URL, or an object with all that is said about one.

use std::collections::HashSet;
use std::fmt;

use gateway_core::upstream::{EndpointAddress, EndpointError, EndpointSpec, MAX_WEIGHT};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::MAX_ENDPOINTS;
use super::failure::Failure;

/// A list of endpoints: strict, and of every address one.
pub(super) fn list(text: &[u8]) -> Result<Vec<EndpointSpec>, Failure> {
    let List(endpoints) = serde_json::from_slice(text)
        .map_err(|problem| Failure::unreadable("the list", &problem))?;
    Ok(endpoints)
}

/// One endpoint: JSON, or a URL as it is.
#[cfg(any(feature = "etcd", test))]
pub(super) fn one(text: &[u8]) -> Result<EndpointSpec, String> {
    let text = text.trim_ascii();
    if text.starts_with(b"{") || text.starts_with(b"\"") {
        let entry: Entry = serde_json::from_slice(text).map_err(|problem| problem.to_string())?;
        return Ok(entry.0);
    }
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    address(text).map(EndpointSpec::new).map_err(|problem| problem.to_string())
}

/// The endpoint at `host` and `port`, spoken to as said.
#[cfg(any(feature = "dns", feature = "consul", feature = "kubernetes"))]
pub(super) fn at(
    transport: gateway_core::upstream::Transport,
    host: &str,
    port: u16,
) -> Result<EndpointAddress, EndpointError> {
    use gateway_core::upstream::Transport;

    let scheme = match transport {
        Transport::Https => "https",
        Transport::H2c => "h2c",
        Transport::Http => "http",
        // A host is no path of a socket: the parser says so.
        _ => "socket",
    };
    let bracketed = host.contains(':') && !host.starts_with('[');
    let host = if bracketed { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{port}").parse()
}

fn address(text: &str) -> Result<EndpointAddress, EndpointError> {
    text.parse()
}

/// One endpoint.
struct Entry(EndpointSpec);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: String,
    #[serde(default = "one_share")]
    weight: u32,
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    priority: u32,
}

fn one_share() -> u32 {
    1
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL or an object with `url`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
        address(text).map(|address| Entry(EndpointSpec::new(address))).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let address = address(&table.url).map_err(de::Error::custom)?;
        if table.weight > MAX_WEIGHT {
            let problem = format!("weight {}, expected {MAX_WEIGHT} at most", table.weight);
            return Err(de::Error::custom(problem));
        }
        let spec = EndpointSpec::new(address).weight(table.weight).priority(table.priority);
        Ok(Entry(match table.zone {
            Some(zone) => spec.zone(zone),
            None => spec,
        }))
    }
}

struct List(Vec<EndpointSpec>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of endpoints")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
        let mut endpoints = Vec::new();
        let mut seen = HashSet::new();
        while let Some(Entry(spec)) = seq.next_element()? {
            if !seen.insert(spec.address.to_string()) {
                let problem = format!("endpoint `{}` is given twice", spec.address);
                return Err(de::Error::custom(problem));
            }
            if endpoints.len() == MAX_ENDPOINTS {
                let problem = format!("more endpoints than {MAX_ENDPOINTS}");
                return Err(de::Error::custom(problem));
            }
            endpoints.push(spec);
        }
        Ok(List(endpoints))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_and_objects_are_endpoints() {
        let text = br#"[
            { "url": "http://10.0.0.1:9000", "weight": 3, "zone": "a", "priority": 2 },
            "h2c://10.0.0.2:9000",
            { "url": "unix:/run/a.sock", "weight": 0, "zone": null }
        ]"#;
        let found = list(text).unwrap();
        let spec = |url: &str| EndpointSpec::new(url.parse().unwrap());
        assert_eq!(
            found,
            [
                spec("http://10.0.0.1:9000").weight(3).zone("a").priority(2),
                spec("h2c://10.0.0.2:9000"),
                spec("unix:/run/a.sock").weight(0),
            ]
        );
        assert_eq!(list(b" [] ").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, problem) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("[\"http://a\",\n", "EOF while parsing"),
            ("{}", "expected a list of endpoints at line 1 column 0"),
            ("[7]", "expected a URL or an object with `url` at line 1 column 2"),
            ("[\n{\"url\": \"http://a\", \"wait\": 1}]", "unknown field `wait`"),
            ("[\n{\"url\": \"http://a\", \"wait\": 1}]", "at line 2 column 26"),
            ("[{\"weight\": 1}]", "missing field `url` at line 1"),
            ("[\"http://a\",\n\"a\"]", "`a` is no endpoint"),
            ("[\"http://a\",\n\"a\"]", "at line 2 column"),
            (
                "[{\"url\": \"http://a\", \"weight\": 10001}]",
                "weight 10001, expected 10000 at most",
            ),
            ("[{\"url\": \"http://a\", \"weight\": -1}]", "invalid value"),
            ("[\"http://a\", \"http://a:80\"]", "endpoint `http://a:80` is given twice"),
            ("[\"http://a\"] x", "trailing characters at line 1 column 14"),
        ] {
            let found = list(text.as_bytes()).unwrap_err().to_string();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }

    #[test]
    fn more_than_the_limit_is_rejected_while_it_is_read() {
        let text = |count: usize| {
            let urls: Vec<_> = (0..count).map(|index| format!("\"http://a{index}\"")).collect();
            format!("[{}]", urls.join(","))
        };
        assert_eq!(list(text(MAX_ENDPOINTS).as_bytes()).unwrap().len(), MAX_ENDPOINTS);
        let problem = list(text(MAX_ENDPOINTS + 1).as_bytes()).unwrap_err().to_string();
        assert!(problem.contains("more endpoints than 10000 at line 1"), "{problem}");
    }

    #[test]
    fn one_endpoint_is_json_or_a_bare_url() {
        let spec = EndpointSpec::new("http://a:9000".parse().unwrap());
        for text in [
            "http://a:9000",
            " http://a:9000\n",
            "\"http://a:9000\"",
            "{\"url\":\"http://a:9000\"}",
        ] {
            assert_eq!(one(text.as_bytes()).as_ref(), Ok(&spec), "{text}");
        }
        for text in ["", "a", "[]", "{", "\u{ff}", "{\"url\":\"http://a\",\"x\":1}"] {
            assert!(one(text.as_bytes()).is_err(), "{text}");
        }
        assert!(one(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (list(&bytes), one(&bytes));
        }

        #[test]
        fn a_list_is_read_whole_or_not_at_all(cut in 0_usize..120) {
            let text = br#"[{"url":"http://a:1","weight":3,"zone":"z","priority":1},"http://b","h2c://c:2","unix:/d"]"#;
            let cut = cut.min(text.len());
            prop_assert_eq!(list(&text[..cut]).is_ok(), cut == text.len());
        }
    }
}
