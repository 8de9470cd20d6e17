//! `gateway explain`: says what would become of a request, and why.

use std::sync::Arc;

use gateway::Assembled;
use gateway_core::{ConnectionInfo, RequestContext};
use http::header::HOST;
use http::{HeaderValue, Request, Uri, request};
use tokio::time::Instant;

use super::{Failure, warn};
use crate::args::Explain;
use crate::terminal::say;

pub(crate) fn explain(arguments: &Explain) -> Result<(), Failure> {
    let assembled = gateway::load(&arguments.document.config).assemble()?;
    warn(&assembled);
    let listener = listener(arguments, &assembled)?;
    if let Some(line) = assembled.describe_listener(&listener) {
        say(&line);
    }
    let head = head(arguments, &listener, &assembled)?;
    let explanation = assembled.gateway().explain(&head);
    say(explanation.to_string().trim_end());
    if let Ok(id) = &explanation.decision
        && !explanation.redirected
    {
        say(assembled.describe(id).trim_end());
    }
    Ok(())
}

/// The name of the listener: the one given, else the first that speaks the scheme of the URL, else
/// the first for a URL without one.
fn listener(arguments: &Explain, assembled: &Assembled) -> Result<String, Failure> {
    if let Some(name) = &arguments.listener {
        return Ok(name.clone());
    }
    let listeners = &assembled.document().listeners;
    let spoken = match arguments.url.scheme_str() {
        None => listeners.first(),
        Some(scheme) => listeners.iter().find(|one| one.tls.is_some() == (scheme == "https")),
    };
    let spoken = spoken.map(|one| one.name.clone());
    Ok(spoken.ok_or_else(|| {
        let (found, lacks, other) = match arguments.url.scheme_str() {
            Some("https") => ("https", "TLS", "http"),
            _ => ("http", "plain HTTP", "https"),
        };
        format!(
            "found a URL of `{found}`, and no listener speaks {lacks}; expected one of `{other}`, \
             or `--listener` with the name of a listener: {}",
            names(assembled)
        )
    })?)
}

fn names(assembled: &Assembled) -> String {
    let names = assembled.document().listeners.iter().map(|one| one.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// The head as a client of HTTP/1.1 would send it.
fn head(arguments: &Explain, name: &str, assembled: &Assembled) -> Result<request::Parts, Failure> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = arguments.method.clone();
    head.uri = match arguments.url.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    };
    let authority = arguments.url.authority().map_or("localhost", |authority| authority.as_str());
    head.headers.insert(HOST, HeaderValue::from_str(authority)?);
    for (name, value) in &arguments.headers {
        if name == HOST {
            head.headers.insert(name, value.clone());
        } else {
            head.headers.append(name, value.clone());
        }
    }
    let info = assembled.listener_info(name).ok_or_else(|| {
        let names = names(assembled);
        format!("--listener: found `{name}`, expected the name of a listener: {names}")
    })?;
    let connection = ConnectionInfo::new(Arc::new(info), None, None);
    head.extensions.insert(RequestContext::new(Arc::new(connection), Instant::now()));
    Ok(head)
}
