//! The door: a request is understood in one way here, or refused.
//!
//! Everything behind reads what is left after this: one normal path, one host, the fields of this
//! hop gone, the fields the gateway owns set by the gateway.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version, request};

use super::{Choice, Snapshot, decide};
use crate::context::{Admitted, ConnectionInfo, RequestContext};
use crate::error::{Error, Reason};
use crate::forwarded::{Hop, original_host, resolve_client, strip_owned};
use crate::message::Request;
use crate::path::{PathOptions, normalize};
use crate::route::{Lookup, RouteHit};
use crate::{hop_headers, hygiene, respond};

/// Admits the request and chooses what answers it. A refused request comes back with its head.
pub(super) fn admit(
    request: Request,
    context: &mut RequestContext,
    snapshot: &Snapshot,
) -> Result<(Request, Choice), (request::Parts, Error)> {
    let (mut head, body) = request.into_parts();
    match admit_head(&mut head, context, snapshot) {
        Ok(choice) => {
            head.extensions.insert(context.clone());
            Ok((Request::from_parts(head, body), choice))
        }
        Err(error) => Err((head, error)),
    }
}

fn admit_head(
    head: &mut request::Parts,
    context: &mut RequestContext,
    snapshot: &Snapshot,
) -> Result<Choice, Error> {
    let connection = Arc::clone(context.connection());
    hygiene::authority(head.version, &head.method, &head.uri, &head.headers)?;
    let client = resolve_client(
        connection.hop().ip(),
        &head.headers,
        &connection.listener.trusted,
    );
    let mut admitted = Admitted {
        client_ip: client.ip,
        from_trusted_peer: client.trusted_peer,
        generation: snapshot.generation,
        route: None,
        params: crate::context::PathParams::default(),
        after_prefix: None,
    };
    normalize_uri(head, &connection.listener.path)?;
    clean_fields(head, &connection, client.trusted_peer);
    let decided = decide(snapshot, &lookup(head, &connection));
    let choice = match decided {
        Ok(Some(hit)) => {
            admitted.route = snapshot.infos.get(hit.index).cloned();
            let choice = Choice {
                route: Some(hit.index),
            };
            let rewritten = prepare(head, hit, &mut admitted);
            rewritten.map(|()| choice)
        }
        Ok(None) => Ok(Choice { route: None }),
        Err(error) => Err(error),
    };
    context.admit(admitted);
    choice
}

/// What the route table is asked about `head`.
pub(super) fn lookup<'h>(head: &'h request::Parts, connection: &'h ConnectionInfo) -> Lookup<'h> {
    Lookup {
        host: head
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
        path: head.uri.path(),
        query: head.uri.query(),
        method: &head.method,
        headers: &head.headers,
        listener: &connection.listener.name,
    }
}

/// Rewrites and edits the head for the target of its route.
fn prepare(
    head: &mut request::Parts,
    hit: RouteHit<'_, crate::module::Module>,
    admitted: &mut Admitted,
) -> Result<(), Error> {
    let route = hit.route;
    let path = head.uri.path();
    let matching = route.matches.get(hit.matched);
    let rest = matching.and_then(|matching| matching.path.after_prefix(path));
    admitted.after_prefix = rest.map(|rest| path.len() - rest.len());
    if let Some(rewrite) = &route.rewrite {
        let rewritten = rewrite.apply(path, &hit).map_err(|problem| {
            Error::new(Reason::RewriteFailed).with_detail(problem.to_string())
        })?;
        let uri = match rewritten {
            Cow::Borrowed(same) if same == path => None,
            rewritten => Some(with_path(&head.uri, &rewritten)?),
        };
        if let Some(uri) = uri {
            head.uri = uri;
        }
        if let Some(host) = &rewrite.host {
            let host = HeaderValue::from_str(host.as_str())
                .map_err(|_| Error::new(Reason::RewriteFailed))?;
            head.headers.insert(header::HOST, host);
        }
    }
    admitted.params = hit.params;
    route.request_headers.apply(&mut head.headers);
    Ok(())
}

/// Brings the request target into origin-form with a normal path, and the host into `Host`.
pub(super) fn normalize_uri(head: &mut request::Parts, options: &PathOptions) -> Result<(), Error> {
    if head.uri.authority().is_some() && !head.headers.contains_key(header::HOST) {
        let host = head.uri.authority().map(|authority| authority.as_str());
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
            head.headers.insert(header::HOST, host);
        }
    }
    let path = head.uri.path();
    if head.method == Method::OPTIONS && (path == "*" || path.is_empty()) {
        return Ok(());
    }
    let normal = normalize(path, options)
        .map_err(|problem| Error::new(Reason::PathInvalid).with_detail(problem.to_string()))?;
    if head.uri.authority().is_none() && matches!(normal, Cow::Borrowed(_)) {
        return Ok(());
    }
    head.uri = with_path(&head.uri, &normal)?;
    Ok(())
}

/// `uri` in origin-form with `path`, its query kept.
fn with_path(uri: &Uri, path: &str) -> Result<Uri, Error> {
    let target = match uri.query() {
        None => PathAndQuery::try_from(path),
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    target
        .map(Uri::from)
        .map_err(|problem| Error::new(Reason::PathInvalid).with_source(problem))
}

/// Removes the fields of the client's hop and those the gateway owns, and writes ours.
fn clean_fields(head: &mut request::Parts, connection: &ConnectionInfo, trusted_peer: bool) {
    let hop = hop_headers::strip_request(&mut head.headers);
    strip_owned(&mut head.headers, &[respond::ORIGIN], trusted_peer);
    let host = original_host(&head.headers, &head.uri);
    connection.listener.forwarded.apply(
        &mut head.headers,
        Hop {
            peer: connection.hop(),
            trusted_peer,
            scheme: connection.listener.scheme.as_str(),
            host,
            local: connection.local,
        },
    );
    if hop.te_trailers {
        head.headers
            .insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = hop.upgrade
        && head.version == Version::HTTP_11
    {
        offer_upgrade(&mut head.headers, protocol);
    }
}

/// The client's wish to switch protocols, in the one form everything behind the door knows.
fn offer_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}
