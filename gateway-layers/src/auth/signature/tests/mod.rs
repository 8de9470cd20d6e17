mod attacks;
mod bodies;
mod nonces;
mod property;
mod requests;
mod secrets;
mod signing;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Algorithm, digest};
use gateway_core::{Body, ConnectionInfo, Error, ListenerInfo, Reason, Request, RequestContext};
use http::{HeaderName, HeaderValue, Method};
use tokio::time::Instant;

use super::message::Message;
use super::structured;
use super::*;
use crate::auth::fake_clock::{FakeClock, NOW};

const SECRET: [u8; 32] = [7; 32];

fn secret() -> SignatureKey {
    SignatureKey::secret(&SECRET).unwrap()
}

fn builder() -> SignatureVerifierBuilder {
    let key = TrustedKey::new("k1", secret()).owner("ada").roles(["partner"]);
    SignatureVerifier::builder("partners").key(key).with_clock(FakeClock::new())
}

fn verifier() -> SignatureVerifier {
    builder().build().unwrap()
}

fn request(method: Method, target: &str, body: impl Into<Body>) -> Request {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let mut request = Request::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().unwrap();
    set(&mut request, "host", "api.example");
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

fn get(target: &str) -> Request {
    request(Method::GET, target, Body::empty())
}

fn post(body: &'static str) -> Request {
    let mut request = request(Method::POST, "/orders?state=new", body);
    set(&mut request, "content-digest", &sha256(body));
    request
}

fn hashed(name: &str, algorithm: &'static Algorithm, body: &str) -> String {
    let mut text = format!("{name}=");
    structured::write_bytes(digest(algorithm, body.as_bytes()).as_ref(), &mut text);
    text
}

fn sha256(body: &str) -> String {
    hashed("sha-256", &aws_lc_rs::digest::SHA256, body)
}

fn set(request: &mut Request, name: &str, value: &str) {
    let name: HeaderName = name.parse().unwrap();
    request.headers_mut().insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
}

fn add(request: &mut Request, name: &str, value: &str) {
    let name: HeaderName = name.parse().unwrap();
    request.headers_mut().append(name, value.parse().unwrap());
}

fn value(request: &Request, name: &str) -> String {
    request.headers()[name].to_str().unwrap().to_owned()
}

/// What a client covers unless a test says otherwise.
const COVERED: &str = r#""@method" "@authority" "@path" "@query""#;
const WITH_BODY: &str = r#""@method" "@authority" "@path" "@query" "content-digest""#;

/// A nonce that was not used in this process.
fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("nonce-{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Parameters that are in order.
fn params() -> String {
    format!(r#";created={NOW};keyid="k1";nonce="{}""#, nonce())
}

/// Signs `request` as its client: `input` is all that stands behind the label.
fn sign_as(request: &mut Request, label: &str, key: &SignatureKey, input: &str) {
    let member = format!("{label}={input}");
    let members = structured::dictionary(&member).expect("an input");
    let structured::Member::Inner(items, _) = &members[0].1 else {
        panic!("no inner list");
    };
    let covered: Vec<_> = items.iter().map(|item| Component::from_item(item).unwrap()).collect();
    let base = Message::received(request).base(&covered, input).unwrap();
    let mut signature = format!("{label}=");
    structured::write_bytes(&key.sign(base.as_bytes()).unwrap(), &mut signature);
    add(request, "signature-input", &member);
    add(request, "signature", &signature);
}

/// A request that is in order.
fn signed(mut request: Request) -> Request {
    let covered =
        if request.headers().contains_key("content-digest") { WITH_BODY } else { COVERED };
    sign_as(&mut request, "sig", &secret(), &format!("({covered}){}", params()));
    request
}

/// As whom a verifier takes a request, or why it does not.
fn said(
    verifier: &SignatureVerifier,
    request: &Request,
) -> impl Future<Output = Result<String, String>> + Send + use<> {
    let verifying = verifier.verify(request);
    async move {
        match verifying.await {
            Ok(Some(owner)) => Ok(owner.principal.subject.to_string()),
            Ok(None) => Err("not signed".to_owned()),
            Err(error) if error.reason() == Reason::SignatureInvalid => {
                Err(error.detail().to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

fn fault(fault: SignatureRejection) -> Result<String, String> {
    Err(fault.text().to_owned())
}

fn ada() -> Result<String, String> {
    Ok("ada".to_owned())
}

/// A client's request with another copy of the head; bodies are not part of it.
fn copy(request: &Request) -> Request {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

fn broken(error: &Error) -> bool {
    error.reason() == Reason::SignatureInvalid
        && error.detail() == SignatureRejection::DigestWrong.text()
}
