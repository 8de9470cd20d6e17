//! The door: a request is understood in one way here, or rejected.
//!
//! Everything behind reads what is left after this: one normal path, one host, the fields of this
//! hop gone, the fields the gateway owns set by the gateway.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{Method, Version};

use super::reserved::ReservedHeaders;
use super::target_edits::{self, Matched};
use super::{Choice, Snapshot, decide};
use crate::context::{ACME_CHALLENGE, Admitted, ConnectionInfo, RequestContext, Scheme};
use crate::error::{Error, Reason};
use crate::forwarded::{Hop, Peer, original_host, resolve_client, said_host, said_proto};
use crate::message::Request;
use crate::path::{PathOptions, normalize};
use crate::route::{Lookup, RouteHit, preflight_method};
use crate::{hop_headers, validation};

/// Admits the request and chooses what answers it.
pub(super) fn admit(
    request: &mut Request,
    context: &RequestContext,
    snapshot: &Snapshot,
) -> Result<Choice, Error> {
    let connection = context.connection();
    let listener = &connection.listener;
    let client =
        resolve_client(connection.hop().map(Peer::ip), request.headers(), &listener.trusted);
    let mut admitted = Admitted {
        target: request.uri().clone(),
        client_ip: client.ip,
        scheme: listener.scheme,
        requested_host: None,
        has_body: !http_body::Body::is_end_stream(request.body()),
        from_trusted_peer: client.trusted_peer,
        generation: snapshot.generation,
        route: None,
        params: crate::context::PathParams::default(),
        after_prefix: None,
    };
    if client.trusted_peer {
        admitted.scheme = said_scheme(request.headers()).unwrap_or(listener.scheme);
        admitted.requested_host = said_host(request.headers());
    }
    let choice = choose(request, connection, snapshot, &mut admitted);
    context.admit(admitted);
    choice
}

fn choose(
    request: &mut Request,
    connection: &ConnectionInfo,
    snapshot: &Snapshot,
    admitted: &mut Admitted,
) -> Result<Choice, Error> {
    understand(request, &connection.listener.path)?;
    is_served(request, connection)?;
    admitted.target = request.uri().clone();
    if let Some(proof) = proof(request, connection) {
        return Ok(Choice::Proof(proof));
    }
    if is_redirected(request.uri().path(), connection) {
        return Ok(Choice::Redirect);
    }
    clean_fields(request, connection, &snapshot.owned, admitted.from_trusted_peer);
    let asked = preflight_method(request.method(), request.headers());
    let Some(hit) = decide(snapshot, &lookup(request, connection, asked.as_ref()))? else {
        return Ok(Choice::Fallback);
    };
    admitted.route = snapshot.infos.get(hit.index).cloned();
    let choice = Choice::Route(hit.index);
    prepare(request, hit, admitted)?;
    Ok(choice)
}

/// What the route table is asked about `request`, a preflight for the method `asked`.
pub(super) fn lookup<'r, B>(
    request: &'r http::Request<B>,
    connection: &'r ConnectionInfo,
    asked: Option<&'r Method>,
) -> Lookup<'r> {
    Lookup {
        host: request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
        path: request.uri().path(),
        query: request.uri().query(),
        method: request.method(),
        preflight: asked,
        headers: request.headers(),
        listener: &connection.listener.name,
    }
}

/// Writes down how the route matched, and edits the request unless its target does.
fn prepare(
    request: &mut Request,
    hit: RouteHit<'_, crate::module::Module>,
    admitted: &mut Admitted,
) -> Result<(), Error> {
    let route = hit.route;
    let path = admitted.target.path();
    let matching = route.matches.get(hit.matched);
    let rest = matching.and_then(|matching| matching.path.after_prefix(path));
    let after_prefix = rest.map(|rest| path.len() - rest.len());
    if route.rewrite.as_ref().is_some_and(|rewrite| rewrite.host.is_some()) {
        let host = || request.headers().get(header::HOST).cloned();
        admitted.requested_host = admitted.requested_host.take().or_else(host);
    }
    if !route.target_applies_edits {
        let matched = Matched { target: &admitted.target, params: &hit.params, after_prefix };
        target_edits::apply(route.rewrite.as_ref(), &route.request_headers, &matched, request)?;
    }
    admitted.after_prefix = after_prefix;
    admitted.params = hit.params;
    Ok(())
}

/// The scheme by which the client asked, as a trusted proxy says.
fn said_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let said = said_proto(headers)?;
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|scheme| said.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
}

/// Rejects what can be read in two ways, and brings the rest into its normal form.
pub(super) fn understand<B>(
    request: &mut http::Request<B>,
    options: &PathOptions,
) -> Result<(), Error> {
    validation::authority(request.version(), request.method(), request.uri(), request.headers())?;
    normalize_target(request, options)
}

/// Rejects what came over a connection that was made for others (RFC 9110, section 15.5.20).
///
/// Over HTTP/2 alone: there clients put requests for several hosts on one connection, and have to
/// be told when they guessed wrong. Over HTTP/1.1 a host that no certificate has is a client that
/// did not look at it, such as a probe that knows only the address; no route takes it, or one does.
fn is_served<B>(request: &http::Request<B>, connection: &ConnectionInfo) -> Result<(), Error> {
    let Some(tls) = connection.tls.as_ref().filter(|_| request.version() >= Version::HTTP_2) else {
        return Ok(());
    };
    let (version, method) = (request.version(), request.method());
    let host = validation::authority(version, method, request.uri(), request.headers())?;
    match host {
        Some(host) if !tls.served.contains(host.host) => Err(Reason::MisdirectedRequest.into()),
        _ => Ok(()),
    }
}

/// What proves to an authority that the host is ours (RFC 8555, section 8.3); `None`: nobody asks
/// for that.
pub(super) fn proof<B>(request: &http::Request<B>, connection: &ConnectionInfo) -> Option<Bytes> {
    let challenges = connection.listener.challenges.as_ref()?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    challenges.find(request.uri().path())
}

/// True when the listener sends requests for `path` to `https`.
pub(super) fn is_redirected(path: &str, connection: &ConnectionInfo) -> bool {
    connection.listener.redirect.is_some() && !path.starts_with(ACME_CHALLENGE) && path != "*"
}

/// Brings the request target into origin-form with a normal path, and the host into `Host`.
fn normalize_target<B>(request: &mut http::Request<B>, options: &PathOptions) -> Result<(), Error> {
    let authority = request.uri().authority().map(Authority::as_str);
    let absolute = authority.is_some();
    if let Some(authority) = authority
        && !request.headers().contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(authority)
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path();
    if request.method() == Method::OPTIONS && (path == "*" || path.is_empty()) {
        return Ok(());
    }
    let normal = normalize(path, options)
        .map_err(|problem| Error::new(Reason::PathInvalid).with_detail(problem.to_string()))?;
    if absolute || matches!(normal, Cow::Owned(_)) {
        *request.uri_mut() = with_path(request.uri(), &normal)?;
    }
    Ok(())
}

/// `uri` in origin-form with `path`, its query kept.
pub(super) fn with_path(uri: &Uri, path: &str) -> Result<Uri, Error> {
    let target = match uri.query() {
        None => PathAndQuery::try_from(path),
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    target.map(Uri::from).map_err(|problem| Error::new(Reason::PathInvalid).with_source(problem))
}

/// Removes the fields of the client's hop and those the gateway owns, and writes ours.
fn clean_fields(
    request: &mut Request,
    connection: &ConnectionInfo,
    owned: &ReservedHeaders,
    trusted_peer: bool,
) {
    let hop = hop_headers::strip_request(request.headers_mut());
    if let Some(named) = hop.named() {
        request.body_mut().strip_trailers(&named);
    }
    owned.strip(request, trusted_peer);
    let host = original_host(request.headers(), request.uri());
    let version = request.version();
    let headers = request.headers_mut();
    connection.listener.forwarded.apply(
        headers,
        Hop {
            peer: connection.hop(),
            trusted_peer,
            scheme: connection.listener.scheme.as_str(),
            host,
            local: connection.local,
        },
    );
    if hop.te_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    // HTTP/2 has no such field: there it is what the door made of an extended CONNECT.
    if let Some(protocol) = hop.upgrade
        && version >= Version::HTTP_11
    {
        offer_upgrade(headers, protocol);
    }
}

/// The client's wish to switch protocols, in the one form everything behind the door knows.
fn offer_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}
