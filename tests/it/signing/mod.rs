//! Signed requests, in and out, through real sockets.

mod foreign;
mod inbound;
mod outbound;

use std::sync::{Arc, Mutex};

use gateway_core::{Body, Error, Module, Request, Response, module_fn};
use gateway_layers::auth::signature::{SignConfig, SignLayer, SignatureAlgorithm, SignatureKey};
use gateway_tests::{Gateway, GatewayBuilder, Upstream};
use tower::{Layer, ServiceExt};

const SECRET: &str = "a secret of 32 letters and of 64!";

/// RFC 9421, appendix B.1.4.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
    -----END PRIVATE KEY-----\n";

/// The public half of it.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n\
    -----END PUBLIC KEY-----\n";

/// What clients of the harness call the gateway.
const HOST: &str = "gateway.test";

/// A route that anybody may use, to see that the gateway is well.
const OPEN: &str = "[[routes]]\nid = \"open\"\nmatch = { prefix = \"/fresh-check\" }\n\
     target = { cluster = \"upstream\" }\npolicy.public = true\n";

/// Partners, and a table for more settings of theirs.
fn partners(settings: &str) -> String {
    format!(
        "{OPEN}[identity.signature.partners]\n\
         keys = [{{ id = \"k1\", algorithm = \"hmac-sha256\", key = {SECRET:?}, owner = \"ada\" }},\n\
         {{ id = \"k2\", algorithm = \"ed25519\", key = {PUBLIC:?}, owner = \"bob\" }}]\n\
         forward = {{ x-partner = \"subject\" }}\n{settings}\n"
    )
}

/// A gateway for partners only.
fn for_partners(upstream: &Upstream, settings: &str) -> GatewayBuilder {
    Gateway::to(upstream).route("policy.signature = \"partners\"").more(&partners(settings))
}

fn settings() -> SignConfig {
    SignConfig::new("k1", SignatureKey::secret(SECRET.as_bytes()).expect("a secret"))
}

fn ed25519() -> SignConfig {
    let key = SignatureKey::pem(SignatureAlgorithm::Ed25519, PRIVATE).expect("a key");
    SignConfig::new("k2", key)
}

/// A request as a partner signs it, for clients of the harness; its body is to be sent with it.
async fn signed(
    settings: SignConfig,
    method: &str,
    target: &str,
    body: &'static str,
) -> http::request::Builder {
    let request = http::Request::builder().method(method).uri(target).header("host", HOST);
    signed_as(settings, request.body(Body::full(body)).expect("a request")).await
}

async fn signed_as(settings: SignConfig, request: Request) -> http::request::Builder {
    let seen = Arc::new(Mutex::new(None));
    let last = Arc::clone(&seen);
    let module = Module::new(module_fn(move |request: Request| {
        *last.lock().expect("a lock") = Some(request.into_parts().0);
        async { Ok::<_, Error>(Response::new(Body::empty())) }
    }));
    let layer = SignLayer::new(settings).expect("settings");
    layer.layer(module).oneshot(request).await.expect("an answer");
    let head = seen.lock().expect("a lock").take().expect("a request");
    let mut builder = http::Request::builder().method(head.method).uri(head.uri);
    for (name, value) in &head.headers {
        builder = builder.header(name, value);
    }
    builder
}
