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
    let head = head(arguments, &assembled)?;
    let explanation = assembled.gateway().explain(&head);
    say(explanation.to_string().trim_end());
    if let Ok(id) = &explanation.decision {
        say(assembled.describe(id).trim_end());
    }
    Ok(())
}

/// The head as a client of HTTP/1.1 would send it.
fn head(arguments: &Explain, assembled: &Assembled) -> Result<request::Parts, Failure> {
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
    let names: Vec<_> =
        assembled.document().listeners.iter().map(|one| one.name.as_str()).collect();
    let name = arguments.listener.as_deref().or(names.first().copied()).unwrap_or_default();
    let info = assembled.listener_info(name).ok_or_else(|| {
        let names = names.join(", ");
        format!("--listener: found `{name}`, expected the name of a listener: {names}")
    })?;
    let connection = ConnectionInfo::new(Arc::new(info), None, None);
    head.extensions.insert(RequestContext::new(Arc::new(connection), Instant::now()));
    Ok(head)
}
