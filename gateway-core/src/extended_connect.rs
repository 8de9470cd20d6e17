//! Extended CONNECT (RFC 8441): WebSocket over HTTP/2.
//!
//! Inside of the gateway there is one form of upgrade, that of HTTP/1.1 (`GET` with `Upgrade`), so
//! routes, layers and modules see one kind of request. This file translates at the door.

use std::time::Duration;

use bytes::BytesMut;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::error::{Error, Reason};
use crate::message::{Response, Tunnel};
use crate::task;
use crate::tunnel;
use crate::websocket;

/// The client's end of a tunnel that is yet to be.
pub(crate) struct Pending {
    upgrade: OnUpgrade,
}

/// Turns an extended CONNECT into the upgrade it stands for; rejects an ordinary CONNECT.
pub(crate) fn accept(request: &mut http::Request<Incoming>) -> Result<Option<Pending>, Error> {
    if request.method() != Method::CONNECT {
        return Ok(None);
    }
    let Some(protocol) = request.extensions().get::<Protocol>().cloned() else {
        return Err(Reason::ConnectNotAllowed.into());
    };
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return Err(Error::new(Reason::ConnectNotAllowed).with_detail("an unknown protocol"));
    }
    let upgrade = hyper::upgrade::on(&mut *request);
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.remove(header::CONTENT_LENGTH);
    // A fixed key is enough: it only proves to us that the upstream read the request.
    headers.insert(header::SEC_WEBSOCKET_KEY, WEBSOCKET_KEY);
    headers.entry(header::SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    Ok(Some(Pending { upgrade }))
}

/// The key towards upstreams.
const WEBSOCKET_KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");

impl Pending {
    /// Turns the response to the upgrade into that to the CONNECT, and joins both ends. The tunnel
    /// takes what is `held` until it ends.
    pub(crate) fn connect<H: Send + 'static>(
        self,
        mut response: Response,
        idle: Duration,
        held: &mut Option<H>,
    ) -> Response {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        let tunnel = response.extensions().get::<Tunnel>();
        let idle = tunnel.and_then(Tunnel::idle).unwrap_or(idle);
        let tunnel = tunnel.and_then(Tunnel::take);
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        let valid = accepted.is_some() && accepted == websocket::accept(&WEBSOCKET_KEY).as_ref();
        let (Some(far), true) = (tunnel, valid) else {
            let error = Error::new(Reason::UpstreamUpgrade).with_detail("a wrong accept key");
            return crate::respond::problem(&error);
        };
        for name in [header::UPGRADE, header::CONNECTION, header::SEC_WEBSOCKET_ACCEPT] {
            response.headers_mut().remove::<HeaderName>(name);
        }
        *response.status_mut() = StatusCode::OK;
        let (upgrade, held) = (self.upgrade, held.take());
        task::spawn_detached(async move {
            let _held = held;
            match upgrade.await {
                Ok(near) => tunnel::join(TokioIo::new(near), BytesMut::new(), far, idle).await,
                Err(error) => tracing::debug!(%error, "the client did not take its tunnel"),
            }
        });
        response.map(|_| Body::empty())
    }
}
