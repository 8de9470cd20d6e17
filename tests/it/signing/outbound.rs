//! What upstreams get.

use gateway_core::{Body, ConnectionInfo, ListenerInfo, Request, RequestContext};
use gateway_layers::auth::signature::{
    SignatureAlgorithm, SignatureKey, SignatureVerifier, TrustedKey,
};
use gateway_tests::{Answer, Client, Gateway, Payload, Seen, Upstream};
use http_body_util::BodyExt;

use super::{PRIVATE, PUBLIC, SECRET, partners, settings, signed};

/// Lines of a cluster that signs.
fn signs(more: &str) -> String {
    format!("sign = {{ id = \"out\", algorithm = \"ed25519\", key = {PRIVATE:?}{more} }}")
}

fn verifier() -> SignatureVerifier {
    let key = SignatureKey::pem(SignatureAlgorithm::Ed25519, PUBLIC).expect("a key");
    SignatureVerifier::new([TrustedKey::new("out", key).owner("the gateway")]).expect("a verifier")
}

/// As whom an upstream takes what it saw.
async fn taken(verifier: &SignatureVerifier, seen: &Seen) -> Result<String, String> {
    let connection = ConnectionInfo::new(std::sync::Arc::new(ListenerInfo::default()), None, None);
    let mut request: Request = http::Request::new(Body::full(seen.body.clone()));
    *request.method_mut() = seen.method.parse().expect("a method");
    *request.uri_mut() = seen.target.parse().expect("a target");
    for (name, value) in &seen.headers {
        let name: http::HeaderName = name.parse().expect("a name");
        request.headers_mut().append(name, value.parse().expect("a value"));
    }
    request.headers_mut().insert("host", seen.authority.parse().expect("a host"));
    let context = RequestContext::new(std::sync::Arc::new(connection), tokio::time::Instant::now());
    request.extensions_mut().insert(context);
    let found = verifier.verify(&request).await.map_err(|error| error.to_string())?;
    verifier.admit(&mut request);
    request.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok(found.map(|found| found.principal.subject.to_string()).unwrap_or_default())
}

fn gateway() -> Result<String, String> {
    Ok("the gateway".to_owned())
}

#[tokio::test]
async fn upstreams_can_verify_what_they_get() {
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        for host in ["preserve", "endpoint", "orders.internal"] {
            let builder = Gateway::to(&upstream).cluster(&signs(
                ", covered = [\"@method\", \"@path\", \"@query\", \"content-digest\"]",
            ));
            let gateway_process = builder.cluster(&format!("host = {host:?}")).start().await;
            let mut client = Client::http1(gateway_process.addr());
            let verifier = SignatureVerifier::builder("upstream");
            let key = SignatureKey::pem(SignatureAlgorithm::Ed25519, PUBLIC).expect("a key");
            let verifier = verifier.key(TrustedKey::new("out", key).owner("the gateway"));
            let covered = ["@method", "@path", "@query", "content-digest"];
            let covered = covered.map(|name| name.parse().expect("a component"));
            let verifier = verifier.covered(covered).build().expect("a verifier");
            assert_eq!(client.get("/orders?state=new").await.status, 200);
            let seen = upstream.seen().pop().expect("a request");
            assert_eq!(taken(&verifier, &seen).await, gateway(), "{host}");
            assert_eq!(client.post("/orders", "hello").await.status, 200);
            let seen = upstream.seen().pop().expect("a request");
            assert_eq!(taken(&verifier, &seen).await, gateway(), "{host}");
            gateway_process.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn the_host_that_is_signed_is_the_one_that_arrives() {
    let upstream = Upstream::http1().start().await;
    for (host, arrives) in
        [("preserve", "gateway.test"), ("orders.internal:81", "orders.internal:81")]
    {
        let builder = Gateway::to(&upstream).cluster(&signs(""));
        let gateway_process = builder.cluster(&format!("host = {host:?}")).start().await;
        let mut client = Client::http1(gateway_process.addr());
        let chunked = Payload::with_trailers("hello", &[("x-sum", "1")]);
        let request = http::Request::post("/orders").header("trailer", "x-sum");
        let reply = client.send(request.body(chunked).expect("a request")).await;
        assert_eq!(reply.status, 200);
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.authority, arrives);
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "1".to_owned())]);
        assert_eq!(taken(&verifier(), &seen).await, gateway());
        gateway_process.assert_quiet().await;
    }
}

#[tokio::test]
async fn each_try_has_a_nonce_of_its_own() {
    let upstream = Upstream::http1()
        .script(|seen: &Seen| match seen.target.as_str() {
            "/orders" => Answer::status(503, ""),
            _ => Answer::ok("fresh"),
        })
        .start()
        .await;
    let gateway_process = Gateway::to(&upstream)
        .cluster(&signs(""))
        .route("policy.retry = { max_retries = 2, statuses = [503] }")
        .start()
        .await;
    let reply = Client::http1(gateway_process.addr()).get("/orders").await;
    assert_eq!(reply.status, 503);
    let tries: Vec<_> =
        upstream.seen().into_iter().filter(|seen| seen.target == "/orders").collect();
    assert_eq!(tries.len(), 3);
    // One verifier: none of them is a replay.
    let verifier = verifier();
    for seen in &tries {
        assert_eq!(taken(&verifier, seen).await, gateway());
    }
    gateway_process.assert_quiet_without_healing().await;
}

#[tokio::test]
async fn two_gateways_in_a_row_know_each_other() {
    let upstream = Upstream::http1().answer(Answer::echo()).start().await;
    let inner = Gateway::to(&upstream)
        .route("policy.signature = \"partners\"")
        .more(&partners("credentials = \"drop\""))
        .start()
        .await;
    let outer = format!(
        "[[listeners]]\nname = \"public\"\naddress = \"{{listen}}\"\n\
         [clusters.inner]\nendpoints = [\"http://{}\"]\n\
         sign = {{ id = \"k1\", algorithm = \"hmac-sha256\", key = {SECRET:?} }}\n\
         [[routes]]\nid = \"all\"\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ cluster = \"inner\" }}\n",
        inner.addr(),
    );
    let outer = Gateway::document(outer).knows(&upstream).start().await;
    let mut client = Client::http1(outer.addr());
    for body in ["", "hello"] {
        // What the client has signed itself does not reach the inner one.
        let request = signed(settings(), "POST", "/orders?a=b", body).await;
        let payload = if body.is_empty() { Payload::empty() } else { Payload::from(body) };
        let reply = client.send(request.body(payload).expect("a request")).await;
        reply.assert_ok(body);
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header("x-partner"), Some("ada"));
        assert_eq!(seen.header("signature"), None);
    }
    outer.assert_quiet().await;
    inner.assert_quiet().await;
}

#[tokio::test]
async fn large_bodies_are_rejected_or_sent_without_a_digest() {
    let upstream = Upstream::http1().start().await;
    let large = "x".repeat(70_000);
    for (more, status) in
        [("", 413), (", large_bodies = \"uncovered\"", 200), (", body_limit = \"1MiB\"", 200)]
    {
        let gateway_process = Gateway::to(&upstream).cluster(&signs(more)).start().await;
        let mut client = Client::http1(gateway_process.addr());
        let reply = client.post("/orders", Payload::from(large.clone())).await;
        assert_eq!(reply.status, status, "{more}");
        if status == 200 {
            let seen = upstream.seen().pop().expect("a request");
            assert_eq!(seen.body_length, 70_000);
            let input = seen.header("signature-input").expect("a signature");
            assert_eq!(input.contains("content-digest"), more.contains("body_limit"));
        }
        gateway_process.assert_quiet().await;
    }
}

#[tokio::test]
async fn documents_that_cannot_be_signed_are_rejected() {
    let upstream = Upstream::http1().start().await;
    let cases = [
        (format!("host = \"endpoint\"\n{}", signs(", covered = [\"@authority\"]")), "@authority"),
        (signs(", covered = [\"via\"]"), "via"),
        (signs(", covered = [\"@status\"]"), "expected a component"),
        (signs(", covered = []"), "at least one component"),
        (signs(", lable = \"a\""), "did you mean"),
        (
            format!("sign = {{ id = \"a\", algorithm = \"ed25519\", key = {PUBLIC:?} }}"),
            "only verify",
        ),
        (
            format!("sign = {{ id = \"a\", algorithm = \"hmac-sha256\", key = \"{}\" }}", "short"),
            "32 bytes",
        ),
    ];
    for (line, expected) in cases {
        let (status, said) = Gateway::to(&upstream).cluster(&line).rejected().await;
        assert!(!status.success() && said.contains(expected), "{line}: {said}");
        assert!(!said.contains("MC4CAQAw"), "{said}");
    }
}

/// What the gateway asks by itself has no host of a client.
#[tokio::test]
async fn a_question_of_the_gateway_is_signed_where_its_host_is_known() {
    let upstream = Upstream::http1().start().await;
    let policy = "policy.external_auth = { cluster = \"auth\", path = \"/check\" }";
    let cluster = |service: &Upstream, more: &str| {
        format!("[clusters.auth]\nendpoints = [{:?}]\n{}\n", service.url(), signs(more))
    };
    for (more, host) in
        [("", "host = \"orders.internal\"\n"), (", covered = [\"@method\", \"@path\"]", "")]
    {
        let service = Upstream::http1().start().await;
        let auth = format!("{}{host}", cluster(&service, more));
        let gateway_process = Gateway::to(&upstream).route(policy).more(&auth).start().await;
        Client::http1(gateway_process.addr()).get("/orders").await.assert_ok("ok");
        let asked = service.seen();
        assert_eq!(asked.len(), 1, "{more} {host}");
        assert!(asked.iter().all(|seen| seen.header("signature").is_some()));
    }
    let auth = cluster(&upstream, "");
    let (_, said) = Gateway::to(&upstream).route(policy).more(&auth).rejected().await;
    assert!(said.contains("has none, expected `host = \"endpoint\"`"), "{said}");
}
