//! Two answers to one request, and what is kept of their differences.

use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::compare::{Found, canonical, differences};
use super::config::CompareConfig;
use super::layer::Shared;
use super::report::Difference;
use super::tee::Seen;

/// So many bytes of a value are shown, where values are shown.
const MOST_SHOWN: usize = 256;

/// The request that was answered twice.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) route: Option<Arc<str>>,
    pub(super) method: Method,
    pub(super) path: String,
}

/// Compares the answers to `subject`, and counts what comes of it.
pub(super) fn judge(
    shared: &Shared,
    settings: &CompareConfig,
    subject: &Subject,
    primary: Seen,
    mirror: Seen,
) {
    let counts = &shared.counts;
    let keep = |place: String, primary: String, mirror: String| Difference {
        route: subject.route.clone(),
        method: subject.method.clone(),
        path: subject.path.clone(),
        place,
        primary,
        mirror,
    };
    if primary.status != mirror.status {
        counts.differed_status.add(1);
        let [ours, theirs] = [&primary, &mirror].map(|seen| seen.status.as_str().to_owned());
        counts.keep([keep("status".to_owned(), ours, theirs)], settings.differences);
        return;
    }
    counts.time(primary.latency, mirror.latency);
    match compare(settings, primary, mirror) {
        Compared::Same => counts.matched.add(1),
        Compared::Unknown => counts.uncompared.add(1),
        Compared::Different(found) => {
            counts.differed_body.add(1);
            let found = found.into_iter().map(|found| {
                let [ours, theirs] =
                    [&found.primary, &found.mirror].map(|value| shown(value, shared, settings));
                keep(format!("body{}", found.place), ours, theirs)
            });
            counts.keep(found, settings.differences);
        }
    }
}

enum Compared {
    Same,
    Different(Vec<Found>),
    Unknown,
}

fn compare(settings: &CompareConfig, primary: Seen, mirror: Seen) -> Compared {
    let is_encoded = primary.is_encoded || mirror.is_encoded;
    let is_json = primary.is_json && mirror.is_json && !is_encoded;
    let (Some(ours), Some(theirs)) = (primary.body, mirror.body) else {
        return Compared::Unknown;
    };
    if ours == theirs {
        return Compared::Same;
    }
    if is_encoded {
        // The same content can be encoded in many ways.
        return Compared::Unknown;
    }
    // The parser rejects what nests deeper than 128 levels: then bytes are all there is.
    if is_json
        && let (Ok(ours), Ok(theirs)) =
            (serde_json::from_slice(&ours), serde_json::from_slice(&theirs))
    {
        let found = differences(ours, theirs, settings);
        return if found.is_empty() { Compared::Same } else { Compared::Different(found) };
    }
    let text = |bytes: &[u8]| Some(Value::from(String::from_utf8_lossy(bytes)));
    let (primary, mirror) = (text(&ours), text(&theirs));
    Compared::Different(vec![Found { place: String::new(), primary, mirror }])
}

/// A value for people: itself where that is wanted, else its kind, length and hash.
fn shown(value: &Option<Value>, shared: &Shared, settings: &CompareConfig) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    if settings.show_values {
        let text = value.to_string();
        let end = text.floor_char_boundary(MOST_SHOWN);
        return text.get(..end).unwrap_or_default().to_owned();
    }
    let mut text = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("string of {} bytes", text.len()),
        Value::Array(elements) => format!("array of {}", elements.len()),
        Value::Object(members) => format!("object of {}", members.len()),
    };
    let hash = shared.hashes.hash_one(canonical(value)) as u32;
    // Writing to a string does not fail.
    let _ = write!(text, ", #{hash:08x}");
    text
}
