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
    let listener = listener(arguments, &assembled);
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
/// the first.
fn listener(arguments: &Explain, assembled: &Assembled) -> String {
    let listeners = &assembled.document().listeners;
    let scheme = arguments.url.scheme_str();
    let speaks = |tls: bool| scheme.is_some_and(|scheme| (scheme == "https") == tls);
    let spoken = listeners.iter().find(|one| speaks(one.tls.is_some()));
    let usual = spoken.or(listeners.first()).map(|one| one.name.as_str());
    arguments.listener.as_deref().or(usual).unwrap_or_default().to_owned()
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
        let names = assembled.document().listeners.iter().map(|one| one.name.as_str());
        let names = names.collect::<Vec<_>>().join(", ");
        format!("--listener: found `{name}`, expected the name of a listener: {names}")
    })?;
    let connection = ConnectionInfo::new(Arc::new(info), None, None);
    head.extensions.insert(RequestContext::new(Arc::new(connection), Instant::now()));
    Ok(head)
}
