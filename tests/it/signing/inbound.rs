//! What comes from partners.

use std::time::Duration;

use gateway_layers::auth::signature::{SignConfig, SignatureKey};
use gateway_tests::{Answer, Client, Failures, Gateway, Payload, Raw, Reply, Upstream, get};
use http::request::Builder;

use super::{for_partners, partners, settings, signed};

fn send(builder: Builder, body: &'static str) -> http::Request<Payload> {
    let body = if body.is_empty() { Payload::empty() } else { Payload::from(body) };
    builder.body(body).expect("a request")
}

/// Why the gateway rejected.
fn rejection(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn partners_are_known_and_upstreams_are_told() {
    for (upstream, http2) in
        [(Upstream::http1().start().await, false), (Upstream::http2().start().await, true)]
    {
        let gateway = for_partners(&upstream, "").start().await;
        let mut client = match http2 {
            true => Client::http2(gateway.addr()),
            false => Client::http1(gateway.addr()),
        };
        for (settings, name) in [(settings(), "ada"), (super::ed25519(), "bob")] {
            for (method, target, body) in
                [("GET", "/orders?state=new", ""), ("GET", "/", ""), ("POST", "/orders", "hello")]
            {
                let request = signed(settings.clone(), method, target, body).await;
                client.send(send(request, body)).await.assert_ok("ok");
                let seen = upstream.seen().pop().expect("a request");
                assert_eq!(seen.header("x-partner"), Some(name), "{method} {target}");
                assert_eq!(seen.body, body.as_bytes());
                assert!(seen.complete && seen.header("signature").is_some());
            }
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn nobody_else_is() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "").start().await;
    let mut client = Client::http1(gateway.addr());
    let reply = client.get("/orders").await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Signature realm=\"gateway\""));
    assert_eq!(reply.json()["type"], "urn:gateway:problem:unauthenticated");

    let request = signed(settings(), "GET", "/orders", "").await;
    let replayed = send(request, "");
    let (head, _) = replayed.into_parts();
    let copy = || http::Request::from_parts(head.clone(), Payload::empty());
    client.send(copy()).await.assert_ok("ok");
    let reply = client.send(copy()).await;
    assert_eq!(rejection(&reply), (401, "the signature was used before".to_owned()));
    assert!(reply.header("accept-signature").is_some_and(|line| line.starts_with("sig=(")));
    assert_eq!(reply.json()["type"], "urn:gateway:problem:signature_invalid");

    let mut moved = send(signed(settings(), "GET", "/orders", "").await, "");
    *moved.uri_mut() = "/invoices".parse().expect("a target");
    let reply = client.send(moved).await;
    assert_eq!(rejection(&reply), (401, "the signature is wrong".to_owned()));
    assert_eq!(upstream.seen().len(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn of_ten_copies_at_once_one_reaches_the_upstream() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "").start().await;
    for _ in 0..10 {
        let before = upstream.seen().len();
        let (head, _) = send(signed(settings(), "GET", "/orders", "").await, "").into_parts();
        let copies = (0..10).map(|_| {
            let request = http::Request::from_parts(head.clone(), Payload::empty());
            let addr = gateway.addr();
            async move { Client::http1(addr).send(request).await.status }
        });
        let mut statuses = futures_util::future::join_all(copies).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401, 401, 401]);
        assert_eq!(upstream.seen().len(), before + 1);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn no_upstream_sees_all_of_a_body_that_was_not_signed() {
    let upstream = Upstream::http1().answer(Answer::echo()).start().await;
    let gateway = for_partners(&upstream, "").start().await;
    let mut failures = Failures::new();
    // In one piece, in several, of unknown length; changed, longer, shorter.
    for (what, sent) in [
        ("changed", "hello there"),
        ("longer", "hello world!"),
        ("shorter", "hello worl"),
        ("as it was", "hello world"),
    ] {
        for chunked in [false, true] {
            let request = signed(settings(), "POST", "/orders", "hello world").await;
            let mut head = String::from("POST /orders HTTP/1.1\r\n");
            for (name, value) in request.headers_ref().expect("a request") {
                let value = value.to_str().expect("text");
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let (first, second) = sent.split_at(5);
            let mut raw = Raw::connect(gateway.addr()).await;
            if chunked {
                raw.send(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
                for piece in [first, second] {
                    raw.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                raw.send("0\r\n\r\n").await;
            } else {
                raw.send(format!("{head}content-length: {}\r\n\r\n{first}", sent.len())).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                raw.send(second).await;
            }
            let answer = raw.answer("POST").await.expect("an answer");
            let seen = upstream.seen();
            let whole = seen.iter().any(|seen| seen.complete && seen.body == sent.as_bytes());
            let good = match what {
                "as it was" => answer.status == 200 && whole,
                _ => {
                    answer.status == 401
                        && get(&answer.headers, "www-authenticate").is_some()
                        && !seen.iter().any(|seen| {
                            seen.complete && seen.body != b"hello world" && !seen.body.is_empty()
                        })
                }
            };
            failures.check(good, || format!("{what} {chunked}: {answer:?} {seen:?}"));
        }
    }
    failures.assert_none();
    let bare = signed(settings(), "POST", "/orders", "").await;
    let reply = Client::http1(gateway.addr()).send(send(bare, "hello")).await;
    assert_eq!(rejection(&reply), (401, "the body has no digest".to_owned()));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn what_was_signed_is_the_request_before_any_rewrite() {
    let upstream = Upstream::http1().start().await;
    let text = format!(
        "[[listeners]]\nname = \"public\"\naddress = \"{{listen}}\"\n\
         [clusters.upstream]\nendpoints = [{:?}]\n\
         [[routes]]\nid = \"orders\"\nmatch = {{ prefix = \"/orders\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.signature = \"partners\"\n\
         rewrite = {{ prefix = \"/v2\", host = \"inner.test\" }}\n{}",
        upstream.url(),
        partners(""),
    );
    let gateway = Gateway::document(text).knows(&upstream).start().await;
    let mut client = Client::http1(gateway.addr());
    let request = signed(settings(), "GET", "/orders/1?all", "").await;
    client.send(send(request, "")).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.target.as_str(), seen.authority.as_str()), ("/v2/1?all", "inner.test"));
    // A path that is brought into another form at the door is not what was signed.
    for target in ["/orders/./1", "/orders//1", "/orders/%31"] {
        let request = signed(settings(), "GET", target, "").await;
        let reply = client.send(send(request, "")).await;
        assert_eq!(rejection(&reply), (401, "the signature is wrong".to_owned()), "{target}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_nonce_outlives_a_reload() {
    let upstream = Upstream::http1().start().await;
    let builder = for_partners(&upstream, "max_age = \"4m\"").with_admin();
    let gateway = builder.start().await;
    let mut client = Client::http1(gateway.addr());
    let (head, _) = send(signed(settings(), "GET", "/orders", "").await, "").into_parts();
    let copy = || http::Request::from_parts(head.clone(), Payload::empty());
    client.send(copy()).await.assert_ok("ok");
    for (from, to) in [
        ("\"4m\"", "\"5m\""),
        ("owner = \"ada\"", "owner = \"eve\""),
        // The provider has another name now.
        ("[identity.signature.partners]", "[identity.signature.friends]"),
    ] {
        if to.contains("friends") {
            let text = gateway.document_text();
            let used =
                text.replace("policy.signature = \"partners\"", "policy.signature = \"friends\"");
            gateway.rewrite_document(&used);
        }
        gateway.edit_document(from, to);
        assert_eq!(gateway.admin().reload().await.status, 200);
        let reply = client.send(copy()).await;
        assert_eq!(rejection(&reply), (401, "the signature was used before".to_owned()));
    }
    let request = signed(settings(), "GET", "/orders", "").await;
    client.send(send(request, "")).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!(seen.header("x-partner"), Some("eve"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_signature_goes_no_further_where_that_is_said() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "credentials = \"drop\"").start().await;
    let request = signed(settings(), "GET", "/orders", "").await;
    Client::http1(gateway.addr()).send(send(request, "")).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert!(seen.header("signature").is_none() && seen.header("signature-input").is_none());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn no_secret_is_in_what_the_gateway_says() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "").with_admin().start().await;
    let mut client = Client::http1(gateway.addr());
    let request = send(signed(settings(), "GET", "/orders", "").await, "");
    let signature = request.headers()["signature"].to_str().expect("text").to_owned();
    client.send(request).await.assert_ok("ok");
    let status = gateway.admin().status().await.to_string();
    let said = format!("{}{status}", gateway.log());
    let bytes = signature.split_once('=').expect("a label").1;
    assert!(!said.contains(super::SECRET) && !said.contains(bytes), "{said}");
    gateway.assert_quiet().await;
}

/// Whoever has a key fills the room of that key, and of no other; who has none, no room at all.
#[tokio::test]
async fn a_flood_of_nonces_takes_nobody_elses_room() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "nonces = 60").start().await;
    let mut client = Client::http1(gateway.addr());
    // As of the key, with a nonce of its own each, and a signature of somebody else.
    let stranger = SignatureKey::secret(b"a secret that nobody has trusted, ever").expect("a key");
    for _ in 0..300 {
        let request = signed(SignConfig::new("k1", stranger.clone()), "GET", "/orders", "").await;
        let reply = client.send(send(request, "")).await;
        assert_eq!(rejection(&reply), (401, "the signature is wrong".to_owned()));
    }
    let mut replies = Vec::new();
    for _ in 0..80 {
        replies.push(client.send(send(signed(settings(), "GET", "/", "").await, "")).await);
    }
    let (passed, full) = replies.split_at(60);
    passed.iter().for_each(|reply| reply.assert_ok("ok"));
    for reply in full {
        reply.assert_by_gateway(&[503]);
        assert_eq!(reply.reason().as_deref(), Some("identity_unavailable"));
        assert!(reply.header("retry-after").is_some());
    }
    let request = signed(super::ed25519(), "GET", "/orders", "").await;
    client.send(send(request, "")).await.assert_ok("ok");
    assert_eq!(upstream.seen().len(), 61);
    gateway.assert_quiet().await;
}

/// What is left of a signature that was cut, or of what it says it covers, is none.
#[tokio::test]
async fn a_signature_that_was_cut_anywhere_is_none() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "").start().await;
    let mut client = Client::http1(gateway.addr());
    let mut failures = Failures::new();
    for settings in [settings(), super::ed25519()] {
        let (head, _) = send(signed(settings, "GET", "/orders", "").await, "").into_parts();
        for name in ["signature", "signature-input"] {
            let whole = head.headers[name].to_str().expect("text").to_owned();
            let mut cuts: Vec<_> = (0..whole.len()).map(|end| whole[..end].to_owned()).collect();
            // Whole by its form, and shorter by some bytes.
            if let Some((start, bytes)) = whole.split_once("=:") {
                let bytes = bytes.trim_end_matches(':');
                cuts.extend([0, 4, 8, 20].map(|length| format!("{start}=:{}:", &bytes[..length])));
                let fewer = &bytes[..bytes.len() - 4];
                cuts.push(format!("{start}=:{fewer}:"));
            }
            for cut in cuts {
                let mut head = head.clone();
                head.headers.insert(name, cut.parse().expect("a value"));
                let request = http::Request::from_parts(head, Payload::empty());
                let reply = client.send(request).await;
                failures.check(reply.is_rejection(&[401]), || format!("{name}: {cut}: {reply:?}"));
            }
            let mut without = head.clone();
            without.headers.remove(name);
            let reply = client.send(http::Request::from_parts(without, Payload::empty())).await;
            failures.check(reply.is_rejection(&[401]), || format!("without {name}: {reply:?}"));
        }
        // None of it has used up what it was cut from.
        let reply = client.send(http::Request::from_parts(head, Payload::empty())).await;
        failures.check(reply.status == 200, || format!("whole: {reply:?}"));
    }
    failures.assert_none();
    assert_eq!(upstream.seen().len(), 2);
    gateway.assert_quiet().await;
}
