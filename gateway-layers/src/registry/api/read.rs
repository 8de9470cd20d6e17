//! What is sent, from JSON: everything that is wrong is said at once, each with its place.

use std::time::Duration;

use gateway_core::context::Metadata;

use super::json::Json;
use crate::registry::registration::{escaped, quoted};
use crate::registry::{Capabilities, Fault, Registration};

const MEMBERS: &str = "`service`, `address`, `capabilities`, `metadata`, `lease_seconds`, \
                       `health_path`, `weight` or `zone`";

/// A registration.
pub(super) fn registration(json: Json) -> Result<Registration, Vec<Fault>> {
    let Json::Object(members) = json else {
        return Err(vec![Fault::new("", json.kind(), "an object")]);
    };
    let mut faults = Vec::new();
    let (mut service, mut address) = (None, None);
    let mut rest = Registration::new("", "");
    for (name, value) in members {
        match name.as_str() {
            "service" => service = text("/service", value, &mut faults),
            "address" => address = text("/address", value, &mut faults),
            "capabilities" => rest = rest.capabilities(capabilities(value, &mut faults)),
            "metadata" => rest = rest.metadata(pairs("/metadata", value, &mut faults)),
            "lease_seconds" => {
                if let Some(seconds) = number("/lease_seconds", &value, &mut faults) {
                    rest = rest.lease(Duration::from_secs(seconds.into()));
                }
            }
            "health_path" => {
                if let Some(path) = text("/health_path", value, &mut faults) {
                    rest = rest.health_path(path);
                }
            }
            "weight" => {
                if let Some(weight) = number("/weight", &value, &mut faults) {
                    rest = rest.weight(weight);
                }
            }
            "zone" => {
                if let Some(zone) = text("/zone", value, &mut faults) {
                    rest = rest.zone(zone);
                }
            }
            unknown => {
                let at = format!("/{}", escaped(unknown));
                faults.push(Fault::new(at, quoted(unknown), MEMBERS));
            }
        }
    }
    for (at, found) in [("/service", &service), ("/address", &address)] {
        if found.is_none() && !faults.iter().any(|fault| fault.at == at) {
            faults.push(Fault::new(at, "nothing", "a string"));
        }
    }
    match (service, address) {
        (Some(service), Some(address)) if faults.is_empty() => {
            rest.service = service;
            rest.place = address.into();
            Ok(rest)
        }
        _ => Err(faults),
    }
}

/// What is asked for: names with one value each.
pub(super) fn asked(json: Json) -> Result<Metadata, Vec<Fault>> {
    let mut faults = Vec::new();
    let asked = pairs("", json, &mut faults);
    if faults.is_empty() { Ok(asked) } else { Err(faults) }
}

fn text(at: &str, value: Json, faults: &mut Vec<Fault>) -> Option<String> {
    match value {
        Json::Text(text) => Some(text),
        other => {
            faults.push(Fault::new(at, other.kind(), "a string"));
            None
        }
    }
}

fn number(at: &str, value: &Json, faults: &mut Vec<Fault>) -> Option<u32> {
    let whole = match value {
        Json::Number(number) => number.as_u64().and_then(|whole| u32::try_from(whole).ok()),
        _ => None,
    };
    if whole.is_none() {
        let found = match value {
            Json::Number(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        faults.push(Fault::new(at, found, "a whole number"));
    }
    whole
}

/// Names with one value each: strings, or numbers and booleans as they are written.
fn pairs(at: &str, value: Json, faults: &mut Vec<Fault>) -> Metadata {
    let mut pairs = Metadata::default();
    let Json::Object(members) = value else {
        faults.push(Fault::new(at, value.kind(), "an object"));
        return pairs;
    };
    for (name, value) in members {
        let text = match value {
            Json::Text(text) => text,
            Json::Number(number) => number.to_string(),
            Json::Bool(value) => value.to_string(),
            other => {
                let at = format!("{at}/{}", escaped(&name));
                faults.push(Fault::new(at, other.kind(), "a string, a number or a boolean"));
                continue;
            }
        };
        pairs.insert(name, text);
    }
    pairs
}

/// Names, each with one value or a list of them.
fn capabilities(value: Json, faults: &mut Vec<Fault>) -> Capabilities {
    let mut capabilities = Capabilities::new();
    let Json::Object(members) = value else {
        faults.push(Fault::new("/capabilities", value.kind(), "an object"));
        return capabilities;
    };
    for (name, value) in members {
        let at = format!("/capabilities/{}", escaped(&name));
        let values = match value {
            Json::Text(value) => vec![value],
            Json::List(items) => items
                .into_iter()
                .enumerate()
                .filter_map(|(index, item)| text(&format!("{at}/{index}"), item, faults))
                .collect(),
            other => {
                faults.push(Fault::new(at, other.kind(), "a string or an array of strings"));
                continue;
            }
        };
        capabilities = capabilities.with(name, values);
    }
    capabilities
}
