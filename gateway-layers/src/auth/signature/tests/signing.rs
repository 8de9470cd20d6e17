//! What upstreams get.

use std::sync::Mutex;

use bytes::Bytes;
use gateway_core::context::Scheme;
use gateway_core::{HostPolicy, Module, Outcome, Response, module_fn};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt};

use super::*;

/// A request, and its body as far as it could be read.
type Seen = (Request, Result<Bytes, Error>);

/// The requests that an upstream got.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<Vec<Seen>>>);

impl Upstream {
    async fn gets(&self, layer: &SignLayer, request: Request) -> Outcome {
        let seen = Arc::clone(&self.0);
        let module = Module::new(module_fn(move |request: Request| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                seen.lock().unwrap().push((Request::from_parts(head, Body::empty()), body));
                Ok::<_, Error>(Response::new(Body::empty()))
            }
        }));
        layer.layer(module).oneshot(request).await
    }

    fn last(&self) -> Seen {
        self.0.lock().unwrap().pop().expect("it got something")
    }
}

fn settings() -> SignConfig {
    SignConfig::new("k1", secret())
}

fn layer(settings: SignConfig) -> SignLayer {
    SignLayer::with_clock(settings, FakeClock::new()).unwrap()
}

/// What an upstream gets, and as whom it takes it with its body.
async fn sent(settings: SignConfig, request: Request) -> (Request, Result<String, String>) {
    let upstream = Upstream::default();
    upstream.gets(&layer(settings), request).await.unwrap();
    let (mut got, body) = upstream.last();
    *got.body_mut() = Body::full(body.unwrap());
    let verifier = verifier();
    let mut found = said(&verifier, &got).await;
    verifier.admit(&mut got);
    if let Err(error) = std::mem::take(got.body_mut()).collect().await {
        found = Err(error.to_string());
    }
    (got, found)
}

fn streamed(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes()))))
        .collect();
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn what_is_sent_is_signed() {
    for request in [
        get("/orders?state=new"),
        get("/orders"),
        request(Method::POST, "/orders", "hello"),
        request(Method::POST, "/orders", streamed(&["hel", "lo"])),
        request(Method::POST, "/orders", streamed(&[])),
    ] {
        let (_, found) = sent(settings(), request).await;
        assert_eq!(found, ada());
    }
}

#[tokio::test]
async fn ed25519_signs_too() {
    let seed = r#"{"kty":"OKP","crv":"Ed25519","d":"n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU",
        "x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;
    let key = SignatureKey::jwk(SignatureAlgorithm::Ed25519, seed).unwrap();
    let upstream = Upstream::default();
    let settings = SignConfig::new("ed", key.clone()).tag("orders").label("a.b");
    upstream.gets(&layer(settings), get("/")).await.unwrap();
    let (got, _) = upstream.last();
    let verifier = SignatureVerifier::builder("ed").key(TrustedKey::new("ed", key)).tag("orders");
    let verifier = verifier.with_clock(FakeClock::new()).build().unwrap();
    assert_eq!(said(&verifier, &got).await, Ok("ed".to_owned()));
    assert!(value(&got, "signature").starts_with("a.b=:"));
}

#[tokio::test]
async fn each_try_is_signed_anew() {
    let upstream = Upstream::default();
    let layer = layer(settings());
    let verifier = verifier();
    for _ in 0..3 {
        upstream.gets(&layer, get("/orders")).await.unwrap();
        assert_eq!(said(&verifier, &upstream.last().0).await, ada());
    }
}

#[tokio::test]
async fn what_a_signature_says_of_itself() {
    let (got, _) = sent(settings(), request(Method::POST, "/orders", "hello")).await;
    let input = value(&got, "signature-input");
    let covered = r#"gateway=("@method" "@authority" "@path" "@query" "content-digest")"#;
    assert!(
        input.starts_with(&format!("{covered};created={NOW};expires={};nonce=", NOW + 300)),
        "{input}"
    );
    assert!(input.ends_with(r#";keyid="k1";alg="hmac-sha256""#), "{input}");
    assert_eq!(value(&got, "content-digest"), sha256("hello"));
    let (got, _) = sent(settings().expires(None), get("/orders")).await;
    let input = value(&got, "signature-input");
    assert!(!input.contains("expires") && !input.contains("content-digest"), "{input}");
}

#[tokio::test]
async fn the_host_is_the_one_that_the_endpoint_is_told() {
    let fixed = HostPolicy::Fixed("orders.internal:8080".parse().unwrap());
    let upstream = Upstream::default();
    upstream.gets(&layer(settings().host(fixed)), get("/orders")).await.unwrap();
    let (mut got, _) = upstream.last();
    assert_eq!(said(&verifier(), &got).await, fault(SignatureRejection::Wrong));
    set(&mut got, "host", "orders.internal:8080");
    assert_eq!(said(&verifier(), &got).await, ada());
    // Where it is not known it is not signed.
    let (got, _) = sent(settings().host(HostPolicy::Endpoint), get("/orders")).await;
    assert!(!value(&got, "signature-input").contains("@authority"));
    let rejected = settings().host(HostPolicy::Endpoint).covered([Component::AUTHORITY]);
    assert_eq!(SignLayer::new(rejected).unwrap_err(), SignError::Host(Component::AUTHORITY));
    let mut nowhere = get("/orders");
    nowhere.headers_mut().remove("host");
    let error = upstream.gets(&layer(settings()), nowhere).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RequestMalformed);
}

#[tokio::test]
async fn signatures_of_the_client_go_or_stay() {
    let client = || {
        let mut request = get("/orders");
        set(&mut request, "signature-input", "theirs=(\"@method\");created=1");
        set(&mut request, "signature", "theirs=:AAAA:");
        request
    };
    let (got, found) = sent(settings(), client()).await;
    assert_eq!(got.headers().get_all("signature").iter().count(), 1);
    assert_eq!(found, ada());
    let (got, found) = sent(settings().keep(true), client()).await;
    assert_eq!(got.headers().get_all("signature").iter().count(), 2);
    assert_eq!(found, ada());
    // Ours is not to be taken for theirs.
    for (input, signature) in
        [("gateway=(\"@method\");created=1", "gateway=:AAAA:"), ("broken", "=:")]
    {
        let mut request = get("/orders");
        set(&mut request, "signature-input", input);
        set(&mut request, "signature", signature);
        let (got, found) = sent(settings().keep(true), request).await;
        let count = |name: &str| got.headers().get_all(name).iter().count();
        assert!(input == "broken" || count("signature") == 1);
        assert_eq!(found, ada(), "{input}");
    }
}

#[tokio::test]
async fn large_bodies_are_rejected_or_not_covered() {
    let large = || request(Method::POST, "/orders", streamed(&["hello ", "world"]));
    let small = settings().body_limit(10);
    let upstream = Upstream::default();
    let error = upstream.gets(&layer(small.clone()), large()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BodyTooLarge);
    let known = request(Method::POST, "/orders", "hello world");
    let error = upstream.gets(&layer(small.clone()), known).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BodyTooLarge);
    let uncovered = small.clone().large_bodies(LargeBodies::Uncovered);
    upstream.gets(&layer(uncovered), large()).await.unwrap();
    let (got, body) = upstream.last();
    assert_eq!(body.unwrap(), "hello world");
    assert!(!value(&got, "signature-input").contains("content-digest"));
    // As much as may be is read.
    let (_, found) = sent(settings().body_limit(11), large()).await;
    assert_eq!(found, ada());
}

#[tokio::test]
async fn a_large_body_with_a_digest_of_its_own_is_signed_by_that_and_checked() {
    let upstream = Upstream::default();
    for (digest, right) in [("hello world", true), ("hello there", false)] {
        let mut request = request(Method::POST, "/orders", streamed(&["hello ", "world"]));
        set(&mut request, "content-digest", &sha256(digest));
        upstream.gets(&layer(settings().body_limit(10)), request).await.unwrap();
        let (got, body) = upstream.last();
        assert!(value(&got, "signature-input").contains("content-digest"));
        assert_eq!(value(&got, "content-digest"), sha256(digest));
        assert_eq!(body.is_ok(), right);
    }
}

#[tokio::test]
async fn a_digest_of_the_client_is_not_believed_where_we_can_know() {
    let mut request = request(Method::POST, "/orders", streamed(&["hello"]));
    set(&mut request, "content-digest", &sha256("jello"));
    let (got, found) = sent(settings(), request).await;
    assert_eq!(value(&got, "content-digest"), sha256("hello"));
    assert_eq!(found, ada());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let stalled =
        Body::new(StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Error>>()));
    let asked = Instant::now();
    let upstream = Upstream::default();
    let request = request(Method::POST, "/orders", stalled);
    let error = upstream.gets(&layer(settings()), request).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RequestTimeout);
    assert_eq!(asked.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn calls_that_talk_both_ways_are_not_waited_for() {
    let stalled =
        Body::new(StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Error>>()));
    let mut request = request(Method::POST, "/orders.Orders/Watch", stalled);
    set(&mut request, "content-type", "application/grpc+proto");
    let upstream = Upstream::default();
    let error = upstream.gets(&layer(settings()), request).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BodyTooLarge);
}

#[tokio::test]
async fn hooks_of_a_body_that_was_read_ahead_still_run() {
    let ended = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&ended);
    let body = streamed(&["hel", "lo"]).on_ended(move |ended| {
        *seen.lock().unwrap() = Some((ended.end, ended.bytes));
    });
    let (_, found) = sent(settings(), request(Method::POST, "/orders", body)).await;
    assert_eq!(found, ada());
    assert_eq!(*ended.lock().unwrap(), Some((gateway_core::body::End::Complete, 5)));
}

#[tokio::test]
async fn fields_that_are_not_there_are_left_out() {
    let covered = [Component::METHOD, "x-tenant".parse().unwrap(), Component::query_param("id")];
    let with = settings().covered(covered);
    let (got, _) = sent(with.clone(), get("/orders")).await;
    assert!(value(&got, "signature-input").starts_with("gateway=(\"@method\");"));
    let mut request = get("/orders?id=1");
    set(&mut request, "x-tenant", "a");
    let (got, _) = sent(with, request).await;
    let expected = r#"gateway=("@method" "x-tenant" "@query-param";name="id");"#;
    assert!(value(&got, "signature-input").starts_with(expected));
}

#[test]
fn settings_that_cannot_be_signed_are_rejected() {
    let rejected = |settings: SignConfig| SignLayer::new(settings).map(drop).unwrap_err();
    let public =
        r#"{"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;
    let public = SignatureKey::jwk(SignatureAlgorithm::Ed25519, public).unwrap();
    assert_eq!(rejected(SignConfig::new("a", public)), SignError::KeyPublic);
    assert_eq!(rejected(SignConfig::new("", secret())), SignError::KeyId(String::new()));
    for label in ["", "A", "a b", "*a", "\u{e9}"] {
        assert_eq!(rejected(settings().label(label)), SignError::Label(label.to_owned()));
    }
    for name in ["via", "host", "content-length", "signature", "grpc-timeout", "te", "cookie"] {
        let component: Component = name.parse().unwrap();
        let found = rejected(settings().covered([component.clone()]));
        assert_eq!(found, SignError::Later(component));
    }
    let scheme = settings().scheme(None).covered([Component::TARGET_URI]);
    assert_eq!(rejected(scheme), SignError::Scheme(Component::TARGET_URI));
    let https = settings().scheme(Some(Scheme::Https)).covered([Component::TARGET_URI]);
    assert!(SignLayer::new(https).is_ok());
    let nothing = SignError::Covered(SignatureError::NothingCovered);
    assert_eq!(rejected(settings().covered([])), nothing);
}
