//! The certificates of listeners, as JSON.

use std::time::SystemTime;

use serde_json::Value;
#[cfg(feature = "tls")]
use serde_json::json;

#[cfg(feature = "acme")]
use crate::assemble::AcmePart;
use crate::assemble::Parts;

/// Every certificate, with where it is from and how it is.
#[cfg(feature = "tls")]
pub(super) fn certificates(parts: &Parts) -> Value {
    let files = parts.listeners.iter().flat_map(|listener| {
        let failure = listener.failure();
        let files = listener.file_certificates().into_iter();
        files.map(move |certificate| {
            json!({
                "source": "file",
                "listeners": [listener.name],
                "names": certificate.names(),
                "not_before": date(certificate.not_before()),
                "not_after": date(certificate.not_after()),
                "last_error": failure,
            })
        })
    });
    let unusable = parts.listeners.iter().flat_map(|listener| {
        let problems = listener.problems().into_iter();
        problems.map(move |problem| {
            json!({
                "source": "file",
                "listeners": [listener.name],
                "names": [],
                "not_before": null,
                "not_after": null,
                "last_error": problem.to_string(),
            })
        })
    });
    let files = files.chain(unusable);
    #[cfg(feature = "acme")]
    let files = files.chain(parts.acme.iter().map(ordered));
    files.collect()
}

/// None: this build speaks no TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn certificates(_: &Parts) -> Value {
    Value::Array(Vec::new())
}

/// The files of each listener that cannot be used, by listener.
pub(super) fn unusable(parts: &Parts) -> Vec<(String, Vec<String>)> {
    #[cfg(feature = "tls")]
    {
        let listeners = parts.listeners.iter();
        let problems = listeners.map(|listener| {
            let problems = listener.problems().iter().map(ToString::to_string).collect();
            (listener.name.clone(), problems)
        });
        problems.collect()
    }
    #[cfg(not(feature = "tls"))]
    {
        let _ = parts;
        Vec::new()
    }
}

/// When each certificate of each listener ends: the listener, the first of its names, the time.
pub(super) fn expiries(parts: &Parts) -> Vec<(String, String, SystemTime)> {
    #[cfg(feature = "tls")]
    {
        let first = |names: &[String]| names.first().cloned().unwrap_or_default();
        let files = parts.listeners.iter().flat_map(|listener| {
            let files = listener.file_certificates().into_iter();
            files.map(move |one| (listener.name.clone(), first(one.names()), one.not_after()))
        });
        #[cfg(feature = "acme")]
        let files = files.chain(parts.acme.iter().flat_map(|part| {
            let status = part.acme.status();
            let name = first(&status.domains);
            let listeners = part.listeners.iter();
            let ends = listeners.zip(std::iter::repeat(status.not_after));
            let ends = ends.map(|(listener, end)| Some((listener.to_string(), name.clone(), end?)));
            ends.flatten().collect::<Vec<_>>()
        }));
        files.collect()
    }
    #[cfg(not(feature = "tls"))]
    {
        let _ = parts;
        Vec::new()
    }
}

/// Names whose handshakes are rejected, since there is no certificate for them yet.
pub(super) fn missing(parts: &Parts) -> Vec<String> {
    #[cfg(feature = "acme")]
    {
        let missing = parts.acme.iter().filter(|part| part.is_missing());
        missing.flat_map(|part| part.acme.status().domains).collect()
    }
    #[cfg(not(feature = "acme"))]
    {
        let _ = parts;
        Vec::new()
    }
}

#[cfg(feature = "acme")]
fn ordered(part: &AcmePart) -> Value {
    let status = part.acme.status();
    json!({
        "source": "acme",
        "listeners": part.listeners,
        "names": status.domains,
        "not_before": status.not_before.map(date),
        "not_after": status.not_after.map(date),
        "directory": status.directory,
        "challenge": status.challenge.as_str(),
        "state": status.state.as_str(),
        "failures": status.failures,
        "last_error": status.last_error,
        "next_try": status.next_try.map(date),
    })
}

#[cfg(feature = "tls")]
fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}
