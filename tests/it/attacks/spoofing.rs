//! Clients that say themselves who they are, or from where they come.

use gateway_tests::tokens::{ISSUER, Signer, claims, key_set};
use gateway_tests::{Client, Failures, Gateway, Payload, Raw, Seen, Upstream};
use http::Request;

use super::{OPEN, asks, rejected, request};
use crate::routing::LISTENER;

/// What a client would like to be.
const EVE: &str = "eve-7f3a";

fn spellings(name: &str) -> [String; 5] {
    let first = name.replacen('-', "_", 1);
    let titled = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    let titled = titled.collect::<Vec<_>>().join("-");
    [name.to_owned(), name.to_uppercase(), titled, name.replace('-', "_"), first.to_uppercase()]
}

/// A gateway that says two things of who has a token, on routes that ask for one, take one, or
/// want none.
async fn gateway(upstream: &Upstream, signer: &Signer) -> Gateway {
    let (url, set) = (upstream.url(), key_set(&[signer.jwk("a")]));
    let route = |name: &str, policy: &str| {
        format!(
            "[[routes]]\nid = {name:?}\nmatch = {{ prefix = \"/{name}\" }}\n\
             target = {{ cluster = \"upstream\" }}\npolicy = {{ {policy} }}\n"
        )
    };
    let routes = [
        route("token", "jwt = \"main\""),
        route("either", "jwt = \"main\", public = true"),
        route("public", "public = true"),
    ];
    let text = format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{url:?}]\n{OPEN}\
         [identity.jwt.main]\nissuer = {ISSUER:?}\naudience = \"orders\"\n\
         keys = {{ inline = '''{set}''' }}\n\
         forward = {{ x-user-id = \"sub\", x-user-roles = \"roles\" }}\n\
         [identity.service_token.inner]\nforward = {{ x-service = \"subject\" }}\n\
         tokens = [{{ service = \"billing\", token = \"a-token-of-sixteen-letters\" }}]\n{}",
        routes.concat()
    );
    Gateway::document(text).knows(upstream).start().await
}

fn evil(seen: &Seen) -> Option<String> {
    let lines = seen.headers.iter().chain(&seen.trailers);
    let mut evil = lines.filter(|(_, value)| value.contains(EVE));
    evil.next().map(|(name, value)| format!("{name}: {value}"))
}

/// Whether the upstream was told who it is by us, and by nobody else.
fn told(seen: Option<Seen>, known: bool) -> bool {
    let Some(seen) = seen else { return false };
    let expected: &[&str] = if known { &["ada"] } else { &[] };
    seen.header_all("x-user-id") == expected
        && seen.header("x-user-roles").is_none()
        && seen.header("x-service").is_none()
        && evil(&seen).is_none()
}

const OWNED: [&str; 3] = ["x-user-id", "x-user-roles", "x-service"];

#[tokio::test]
async fn nobody_says_himself_who_he_is_in_a_field() {
    let signer = Signer::ed();
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let gateway = gateway(&upstream, &signer).await;
        let bearer = format!("Bearer {}", signer.token("a", &claims("ada")));
        let mut failures = Failures::new();
        let mut clients = [Client::http1(gateway.addr()), Client::http2(gateway.addr())];
        for (target, known) in
            [("/token", true), ("/either", true), ("/either", false), ("/public", false)]
        {
            for name in OWNED {
                for spelling in spellings(name) {
                    // Alone, in two lines, and before and behind one another.
                    let both = [(spelling.as_str(), EVE), (name, EVE), (&spelling, EVE)];
                    for lines in [&both[..1], &both[..]] {
                        let mut fields = lines.to_vec();
                        fields.extend(known.then_some(("authorization", bearer.as_str())));
                        for client in &mut clients {
                            let reply = client.send(request(target, &fields)).await;
                            let good = reply.status == 200 && told(upstream.seen().pop(), known);
                            failures.check(good, || {
                                format!("{target} {fields:?}: {:?}", upstream.seen().pop())
                            });
                        }
                    }
                }
            }
        }
        failures.assert_none();
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn nobody_takes_away_what_the_gateway_says() {
    let (signer, upstream) = (Signer::ed(), Upstream::http1().start().await);
    let gateway = gateway(&upstream, &signer).await;
    let token = signer.token("a", &claims("ada"));
    let mut failures = Failures::new();
    for connection in [
        "x-user-id",
        "X-User-ID, close",
        "x_user_id",
        "keep-alive, x-user-id, x-user-roles, x-service",
        "x-user-id, authorization, close",
        "\tx-user-id\t",
        ",,x-user-id,",
        "x-user-id\r\nConnection: x-user-id",
    ] {
        for (target, fields, known) in [
            ("/token", "", true),
            ("/token", "x-user-id: eve-7f3a\r\n", true),
            ("/public", "x-user-id: eve-7f3a\r\n", false),
        ] {
            let mut raw = Raw::connect(gateway.addr()).await;
            let before = upstream.seen().len();
            raw.send(format!(
                "GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: {connection}\r\n\
                 {fields}Authorization: Bearer {token}\r\n\r\n"
            ))
            .await;
            let status = raw.answer("GET").await.map(|answer| answer.status);
            let seen = upstream.seen();
            let good = match status {
                // Nobody who names his credentials so is known; that is his own loss.
                Some(401) if connection.contains("authorization") => seen.len() == before,
                status => status == Some(200) && told(seen.last().cloned(), known),
            };
            failures.check(good, || format!("{target} {connection:?}: {status:?} {seen:?}"));
        }
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn nobody_says_behind_his_body_who_he_is() {
    let signer = Signer::ed();
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let gateway = gateway(&upstream, &signer).await;
        let token = signer.token("a", &claims("ada"));
        let mut failures = Failures::new();
        for (target, known) in [("/token", true), ("/public", false)] {
            for spelling in OWNED.iter().flat_map(|name| spellings(name)) {
                let mut raw = Raw::connect(gateway.addr()).await;
                raw.send(format!(
                    "POST {target} HTTP/1.1\r\nHost: gateway.test\r\n\
                     Authorization: Bearer {token}\r\nTE: trailers\r\n\
                     Trailer: {spelling}, x-kept\r\nTransfer-Encoding: chunked\r\n\r\n\
                     4\r\nbody\r\n0\r\n{spelling}: {EVE}\r\nx-kept: yes\r\n{spelling}: {EVE}\r\n\r\n"
                ))
                .await;
                let answer = raw.answer("POST").await.map(|answer| answer.status);
                let seen = upstream.seen().pop();
                let kept = seen.as_ref().is_some_and(|seen| !seen.trailers.is_empty());
                let good = answer == Some(200) && kept && told(seen.clone(), known);
                failures.check(good, || format!("{target} {spelling}: {answer:?} {seen:?}"));
            }
            let trailers = [
                ("x-user-id", EVE),
                ("x_user_id", EVE),
                ("x-user_roles", EVE),
                ("x_service", EVE),
                ("x-kept", "yes"),
            ];
            let body = Payload::with_trailers("body", &trailers);
            let request = Request::post(target).header("authorization", format!("Bearer {token}"));
            let request = request.header("trailer", "x-user-id, x-kept");
            let request = request.body(body).expect("a request");
            let reply = Client::http2(gateway.addr()).send(request).await;
            let seen = upstream.seen().pop();
            let kept = seen.as_ref().is_some_and(|seen| !seen.trailers.is_empty());
            let good = reply.status == 200 && kept && told(seen.clone(), known);
            failures.check(good, || format!("{target} over h2: {reply:?} {seen:?}"));
        }
        failures.assert_none();
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_name_that_two_read_differently_is_no_name() {
    let (signer, upstream) = (Signer::ed(), Upstream::http1().start().await);
    let gateway = gateway(&upstream, &signer).await;
    let mut failures = Failures::new();
    for line in [
        "x-user-id : eve-7f3a",
        "x-user-id\t: eve-7f3a",
        " x-user-id: eve-7f3a",
        "x-a: b\r\n x-user-id: eve-7f3a",
        "x-a: b\nx-user-id: eve-7f3a",
        "x-a: b\rx-user-id: eve-7f3a",
        "x-user\0-id: eve-7f3a",
        "x-user-id\u{a0}: eve-7f3a",
        ": eve-7f3a",
        "x-user-id",
    ] {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("GET /public HTTP/1.1\r\nHost: gateway.test\r\n{line}\r\n\r\n")).await;
        let answer = raw.answer("GET").await;
        let good = answer.as_ref().is_some_and(|answer| answer.status == 400);
        failures.check(good, || format!("{line:?}: {answer:?}"));
        let seen = upstream.seen();
        let none = seen.is_empty() || seen.iter().all(|seen| evil(seen).is_none());
        failures.check(none, || format!("{line:?}: {seen:?}"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

fn limited(upstream: &Upstream, forwarded: &str) -> gateway_tests::GatewayBuilder {
    Gateway::to(upstream)
        .listener(forwarded)
        .route("policy.rate_limit = { limit = 2, per = \"1h\", key = [\"ip\"] }")
}

#[tokio::test]
async fn whom_nobody_trusts_is_counted_as_the_peer() {
    let upstream = Upstream::http1().start().await;
    for forwarded in ["", "forwarded = { trusted = [\"10.0.0.0/8\"] }"] {
        let gateway = limited(&upstream, forwarded).start().await;
        for number in 0..12 {
            let claimed = format!("198.51.100.{number}");
            let element = format!("for={claimed}");
            let fields = [
                ("x-forwarded-for", claimed.as_str()),
                ("x-forwarded-for", &claimed),
                ("x_forwarded_for", &claimed),
                ("forwarded", &element),
                ("x-real-ip", &claimed),
                ("x-client-ip", &claimed),
                ("true-client-ip", &claimed),
                ("cf-connecting-ip", &claimed),
            ];
            // All together, then each alone.
            let fields = match number {
                0..4 => &fields[..],
                number => &fields[number % 8..=number % 8],
            };
            let reply = asks(&gateway, "/", fields).await;
            match number {
                0 | 1 => reply.assert_ok("ok"),
                _ => rejected(&reply, 429, "rate_limited"),
            }
        }
    }
}

#[tokio::test]
async fn whom_a_trusted_proxy_names_is_counted_and_nobody_whom_its_client_names() {
    let upstream = Upstream::http1().start().await;
    let gateway = limited(&upstream, "forwarded = { trusted = [\"127.0.0.0/8\", \"10.0.0.0/8\"] }");
    let gateway = gateway.start().await;
    let mut client = Client::http1(gateway.addr());
    let mut count = async |fields: &[(&str, &str)]| {
        let reply = client.send(request("/", fields)).await;
        assert!(matches!(reply.status, 200 | 429), "{reply:?}");
        reply.status
    };
    // Two of one address, however its client and the proxies dress it up.
    for (address, forms) in [
        ("a", ["198.51.100.1", "1.2.3.4, 198.51.100.1", "9.9.9.9,8.8.8.8 , 198.51.100.1,10.1.2.3"]),
        ("b", ["198.51.100.2:4711", "::ffff:198.51.100.2", "[::ffff:198.51.100.2]:80"]),
        ("c", ["2001:db8:1:2::1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:443", "2001:db8:1:2:3::"]),
        ("d", ["10.0.0.1", "10.0.0.1, 10.0.0.1", "10.0.0.1 ,127.0.0.1"]),
        ("e", ["nonsense-1", "nonsense-2", "198.51.100.1, 1e3"]),
    ] {
        let mut statuses = Vec::new();
        for form in forms {
            statuses.push(count(&[("x-forwarded-for", form)]).await);
        }
        assert_eq!(statuses, [200, 200, 429], "{address}");
    }
    // Several lines are one list; what the client names beside it does not count.
    let lines = [("x-forwarded-for", "4.4.4.4"), ("x-forwarded-for", "198.51.100.1")];
    assert_eq!(count(&lines).await, 429);
    let lines = [("forwarded", "for=5.5.5.5"), ("x-forwarded-for", "198.51.100.1")];
    assert_eq!(count(&lines).await, 429);
    let lines = [("x_forwarded_for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.1")];
    assert_eq!(count(&lines).await, 429);
    // Another network of 64 bits is somebody else.
    assert_eq!(count(&[("x-forwarded-for", "2001:db8:1:3::1")]).await, 200);
}

#[tokio::test]
async fn where_proxies_are_counted_only_the_last_of_them_are_believed() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream)
        .listener("forwarded = { trusted = [\"127.0.0.0/8\"], hops = 1 }")
        .route("policy.ip = { allow = [\"203.0.113.0/24\"] }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for (said, status) in [
        ("203.0.113.5", 200),
        ("198.51.100.1, 203.0.113.5", 200),
        // What the client wrote before its proxy did.
        ("203.0.113.5, 198.51.100.1", 403),
        ("203.0.113.5, 203.0.113.5, 198.51.100.1", 403),
        ("203.0.113.5,", 403),
        ("203.0.113.5, nonsense", 403),
        ("", 403),
    ] {
        let reply = client.send(request("/", &[("x-forwarded-for", said)])).await;
        assert_eq!(reply.status, status, "{said:?}: {reply:?}");
    }
    rejected(&client.get("/").await, 403, "address_denied");
    let seen = upstream.seen().len();
    assert_eq!(seen, 2);
}
