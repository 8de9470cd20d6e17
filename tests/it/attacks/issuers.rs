//! Servers of keys that rotate, stall, lie, send without an end, or are not there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use gateway_tests::certs::{Authority, Files};
use gateway_tests::tokens::{ISSUER, Signer, claims, key_set};
use gateway_tests::{
    Admin, Answer, Failures, Gateway, GatewayBuilder, Reply, Seen, Step, Upstream, within,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ADMIN, MIB, OPEN, grown, rejected, shows, until};
use crate::routing::LISTENER;

const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than a fetch may take here, and much shorter than a stalled one would.
const SOON: Duration = Duration::from_secs(3);

/// What a server of keys says now, for a test to change.
#[derive(Clone)]
pub(super) struct Says(Arc<Mutex<Answer>>);

impl Says {
    pub(super) fn new(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new(answer)))
    }

    pub(super) fn now(&self, answer: Answer) {
        *self.0.lock().expect("a lock") = answer;
    }

    pub(super) async fn start(&self) -> Upstream {
        let says = Arc::clone(&self.0);
        let script = move |_: &Seen| says.lock().expect("a lock").clone();
        Upstream::http1().script(script).start().await
    }
}

pub(super) fn keys(keys: &[Value]) -> Answer {
    Answer::ok(key_set(keys)).header("content-type", "application/json")
}

/// Routes `/NAME`, each for tokens by keys that are fetched as `keys` says.
pub(super) fn document(upstream: &Upstream, providers: &[(&str, String)]) -> GatewayBuilder {
    let mut text =
        format!("{LISTENER}[clusters.upstream]\nendpoints = [{:?}]\n{OPEN}{ADMIN}", upstream.url());
    for (name, keys) in providers {
        text.push_str(&format!(
            "[identity.jwt.{name}]\nissuer = {ISSUER:?}\naudience = \"orders\"\n{keys}\n\
             forward = {{ x-user-id = \"sub\" }}\n\
             [[routes]]\nid = {name:?}\nmatch = {{ prefix = \"/{name}\" }}\n\
             target = {{ cluster = \"upstream\" }}\npolicy.jwt = {name:?}\n"
        ));
    }
    Gateway::document(text).knows(upstream)
}

pub(super) fn at(server: &Upstream, more: &str) -> String {
    format!("keys = {{ url = \"{}/jwks.json\", {more} }}", server.url())
}

async fn provider(admin: Admin, name: &str) -> Value {
    admin.get("/identity").await.json()["jwt"][name].clone()
}

pub(super) async fn fresh(gateway: &Gateway, signer: &Signer, id: &str, number: usize) -> Reply {
    let mut claims = claims("ada");
    claims["jti"] = number.to_string().into();
    shows(gateway, "/main", &signer.token(id, &claims)).await
}

#[tokio::test]
async fn a_key_that_is_new_is_taken_and_one_that_is_gone_is_not() {
    let (old, new) = (Signer::ed(), Signer::ed());
    let says = Says::new(keys(&[old.jwk("old")]));
    let (server, upstream) = (says.start().await, Upstream::http1().start().await);
    let main = at(&server, "cooldown = \"100ms\"");
    let gateway = document(&upstream, &[("main", main)]).start().await;
    let (old_token, new_token) =
        (old.token("old", &claims("ada")), new.token("new", &claims("ada")));
    shows(&gateway, "/main", &old_token).await.assert_ok("ok");
    rejected(&shows(&gateway, "/main", &new_token).await, 401, "token_invalid");
    says.now(keys(&[new.jwk("new")]));
    // Somebody comes with the new one: that is reason enough to ask.
    until(PATIENCE, 200, || shows(&gateway, "/main", &new_token)).await;
    // What was verified by the old one is not good any more either.
    rejected(&shows(&gateway, "/main", &old_token).await, 401, "token_invalid");
    assert!(server.seen().len() <= 4, "{}", server.seen().len());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_with_the_next_refresh() {
    let (old, new) = (Signer::ed(), Signer::ed());
    let says = Says::new(keys(&[old.jwk("one")]));
    let (server, upstream) = (says.start().await, Upstream::http1().start().await);
    let main = at(&server, "ttl = \"500ms\", cooldown = \"100ms\"");
    let gateway = document(&upstream, &[("main", main)]).start().await;
    let token = old.token("one", &claims("ada"));
    shows(&gateway, "/main", &token).await.assert_ok("ok");
    // Another key under the same name: nobody asks for a name that is not known.
    says.now(keys(&[new.jwk("one")]));
    until(SOON, 401, || shows(&gateway, "/main", &token)).await;
    shows(&gateway, "/main", &new.token("one", &claims("ada"))).await.assert_ok("ok");
    gateway.assert_quiet().await;
}

/// A server that says nothing, begins and says no more, or says a byte in a second.
fn stalls() -> Vec<Answer> {
    let body = key_set(&[Signer::ed().jwk("a")]);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let drip = |text: String| Step::Drip(text.into(), Duration::from_secs(1));
    vec![
        Answer::hang(),
        Answer::unread().then(Step::Deaf),
        Answer::raw(format!("{head}{{\"keys\":")).then(Step::Hang),
        Answer::raw(head.clone()).then(drip(body.clone())),
        Answer::unread().then(drip(format!("{head}{body}"))),
    ]
}

#[tokio::test]
async fn a_server_that_stalls_is_waited_for_no_longer_than_is_said() {
    let signer = Signer::ed();
    let upstream = Upstream::http1().start().await;
    let case = async |stall: Answer| {
        let says = Says::new(stall);
        let server = says.start().await;
        let main = at(&server, "timeout = \"300ms\", cooldown = \"100ms\"");
        let gateway = document(&upstream, &[("main", main)]).start().await;
        for number in 0..3 {
            let reply = within(SOON, "an answer", fresh(&gateway, &signer, "a", number)).await;
            rejected(&reply, 503, "keys_unavailable");
        }
        assert_eq!(provider(gateway.admin(), "main").await["freshness"], "unavailable");
        let ready = gateway.admin().get("/ready").await;
        assert_eq!((ready.status, &ready.json()["keys"]["main"]), (200, &"unavailable".into()));
        // It finds its voice again.
        says.now(keys(&[signer.jwk("a")]));
        until(PATIENCE, 200, || fresh(&gateway, &signer, "a", 4)).await;
    };
    join_all(stalls().into_iter().map(case)).await;
    assert!(upstream.seen().iter().all(|seen| seen.header("x-user-id") == Some("ada")));
}

#[tokio::test]
async fn whose_key_is_known_does_not_wait_for_a_server_that_stalls() {
    let (signer, stranger) = (Signer::ed(), Signer::ed());
    let upstream = Upstream::http1().start().await;
    let case = async |stall: Answer| {
        let says = Says::new(keys(&[signer.jwk("a")]));
        let server = says.start().await;
        let main = at(&server, "timeout = \"2s\", cooldown = \"50ms\"");
        let gateway = document(&upstream, &[("main", main)]).start().await;
        fresh(&gateway, &signer, "a", 0).await.assert_ok("ok");
        says.now(stall);
        tokio::time::sleep(Duration::from_millis(60)).await;
        // Somebody makes the gateway ask, and waits; others pass meanwhile.
        let mut unknown = std::pin::pin!(fresh(&gateway, &stranger, "b", 1));
        let known = async {
            let asked = || server.seen().len();
            gateway_tests::eventually("a fetch", asked, |asked| *asked > 1).await;
            for number in 2..12 {
                fresh(&gateway, &signer, "a", number).await.assert_ok("ok");
            }
        };
        tokio::select! {
            reply = &mut unknown => panic!("somebody has waited longer: {reply:?}"),
            () = known => {}
        }
        rejected(&within(PATIENCE, "a rejection", unknown).await, 401, "token_invalid");
        gateway.assert_quiet_without_healing().await;
    };
    join_all(stalls().into_iter().map(case)).await;
}

/// Answers in which there is no set of keys, each with a name.
fn lies(signer: &Signer, secret: &Signer, elsewhere: &Upstream) -> Vec<(&'static str, Answer)> {
    let good = key_set(&[signer.jwk("a")]);
    let json = |text: String| Answer::ok(text).header("content-type", "application/json");
    let many = |count: usize| key_set(&(0..count).map(|_| signer.jwk("a")).collect::<Vec<_>>());
    let with = |name: &str, value: &str| {
        let mut key = signer.jwk("a");
        key[name] = value.into();
        keys(&[key])
    };
    let moved = format!("{}/jwks.json", elsewhere.url());
    let pem = Signer::secret(signer.public_pem());
    vec![
        ("html", Answer::ok("<html>{\"keys\":[]}</html>").header("content-type", "text/html")),
        ("html-said-to-be-json", json("<html></html>".to_owned())),
        ("cut", json(good[..good.len() - 2].to_owned())),
        ("more", json(format!("{good}{good}"))),
        ("no-utf-8", Answer::ok(&b"{\"keys\":[\"\xff\"]}"[..])),
        ("deep", json(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
        ("deep-keys", json(format!("{{\"keys\":[{}]}}", "[".repeat(50_000)))),
        ("twice", json(format!("{{\"keys\":[],{}", &good[1..]))),
        ("empty", keys(&[])),
        ("nothing", json(String::new())),
        ("secrets", keys(&[secret.jwk("a")])),
        ("public-key-as-secret", keys(&[pem.jwk("a")])),
        ("another-family", with("alg", "ES256")),
        ("no-algorithm", with("alg", "none")),
        ("for-encryption", with("use", "enc")),
        ("private", with("d", "AAAA")),
        ("too-many", json(many(101))),
        ("thousands", json(many(3_000))),
        ("moved", Answer::status(302, good.clone()).header("location", &moved)),
        ("moved-for-good", Answer::status(308, good.clone()).header("location", &moved)),
        ("failed", Answer::status(500, good.clone())),
        ("part", Answer::status(206, good.clone())),
        ("nothing-new", Answer::raw("HTTP/1.1 304 Not Modified\r\n\r\n")),
        ("short", Answer::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{good}"))),
        ("packed", Answer::ok(&b"\x1f\x8b\x08\0"[..]).header("content-encoding", "gzip")),
        ("closed", Answer::unread().then(Step::Close)),
        ("no-http", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n")),
    ]
}

#[tokio::test]
async fn a_server_that_lies_lets_nobody_in() {
    let (signer, secret) = (Signer::rsa(), Signer::secret([7; 64]));
    let elsewhere = Upstream::http1().answer(keys(&[signer.jwk("a")])).start().await;
    let cases = lies(&signer, &secret, &elsewhere);
    let answers = cases.clone();
    let server = Upstream::http1()
        .script(move |seen: &Seen| {
            let found = answers.iter().find(|(name, _)| seen.target == format!("/{name}"));
            found.map_or_else(|| Answer::status(404, ""), |(_, answer)| answer.clone())
        })
        .start()
        .await;
    let upstream = Upstream::http1().start().await;
    let keys = |name: &str| {
        format!(
            "keys = {{ url = \"{}/{name}\", timeout = \"1s\", cooldown = \"5s\" }}",
            server.url()
        )
    };
    let providers: Vec<_> = cases.iter().map(|(name, _)| (*name, keys(name))).collect();
    let gateway = document(&upstream, &providers).start().await;
    let mut failures = Failures::new();
    let forged = Signer::secret(signer.public_pem());
    let admin = gateway.admin();
    for (name, _) in &cases {
        for (signer, status, reason) in [
            (&signer, 503, "keys_unavailable"),
            (&secret, 401, "token_invalid"),
            (&forged, 401, "token_invalid"),
        ] {
            let token = signer.token("a", &claims("eve"));
            let reply = shows(&gateway, &format!("/{name}"), &token).await;
            let good = reply.is_rejection(&[status]) && reply.reason().as_deref() == Some(reason);
            failures.check(good, || format!("{name}: {reply:?}"));
        }
        let shown = provider(admin, name).await;
        let good = shown["freshness"] == "unavailable" && shown["failure"].is_string();
        failures.check(good, || format!("{name}: {shown}"));
    }
    failures.assert_none();
    assert_eq!((elsewhere.connections(), upstream.seen().len()), (0, 0));
    // What lies is asked as seldom as what is right: not for each of those requests.
    assert!(server.seen().len() <= cases.len() * 2, "{}", server.seen().len());
}

#[tokio::test]
async fn what_is_good_in_a_set_is_used_whatever_stands_beside_it() {
    let (one, other, secret) = (Signer::rsa(), Signer::ed(), Signer::secret([7; 64]));
    let (mut wrong, mut other_padding) = (one.jwk("wrong"), one.jwk("pss"));
    (wrong["alg"], other_padding["alg"]) = ("ES256".into(), "PS256".into());
    // Two keys of one name, a secret, one of another family, one that nobody knows.
    let strange = json!({ "kty": "XYZ", "kid": "a" });
    let set =
        key_set(&[strange, one.jwk("a"), secret.jwk("a"), wrong, other_padding, other.jwk("a")]);
    let server = Upstream::http1()
        // Many serve their keys as text.
        .answer(Answer::ok(set).header("content-type", "text/plain"))
        .start()
        .await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&upstream, &[("main", at(&server, ""))]).start().await;
    for signer in [&one, &other] {
        shows(&gateway, "/main", &signer.token("a", &claims("ada"))).await.assert_ok("ok");
    }
    for (signer, id) in [(&secret, "a"), (&one, "wrong"), (&one, "pss"), (&Signer::ed(), "a")] {
        let reply = shows(&gateway, "/main", &signer.token(id, &claims("eve"))).await;
        rejected(&reply, 401, "token_invalid");
    }
    let shown = provider(gateway.admin(), "main").await;
    assert_eq!((&shown["keys"], &shown["skipped"]), (&json!(3), &json!(3)));
}

#[tokio::test]
async fn megabytes_are_not_read_and_not_kept() {
    let upstream = Upstream::http1().start().await;
    let signer = Signer::ed();
    let piece = bytes::Bytes::from(" ".repeat(60_000));
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}");
    let chunk = bytes::Bytes::from(format!("{:x}\r\n{}\r\n", 60_000, " ".repeat(60_000)));
    let floods = [
        ("a length", head("content-length: 200000000\r\n\r\n{"), piece.clone()),
        ("chunks", head("transfer-encoding: chunked\r\n\r\n"), chunk),
        ("no end", head("\r\n{"), piece),
        ("a head", head("x: "), bytes::Bytes::from("a".repeat(60_000))),
        ("fields", head(""), bytes::Bytes::from("x-a: b\r\n".repeat(8_000))),
    ];
    for (what, head, more) in floods {
        let says = Says::new(keys(&[signer.jwk("a")]));
        let server = says.start().await;
        // Long enough for hundreds of megabytes.
        let main = at(&server, "timeout = \"2s\", cooldown = \"50ms\", max_bytes = \"64KiB\"");
        let gateway = document(&upstream, &[("main", main)]).start().await;
        fresh(&gateway, &signer, "a", 0).await.assert_ok("ok");
        let (before, sent) = (gateway.usage().peak_kib, server.bytes_sent());
        says.now(Answer::raw(head).then(Step::Endless(more)));
        tokio::time::sleep(Duration::from_millis(60)).await;
        let reply = fresh(&gateway, &Signer::ed(), "b", 1).await;
        rejected(&reply, 401, "token_invalid");
        let shown = provider(gateway.admin(), "main").await;
        assert!(shown["failure"].is_string(), "{what}: {shown}");
        let open = || server.open();
        gateway_tests::eventually("the end of the flood", open, |open| *open == 0).await;
        // Both sides have buffers in the kernel.
        let sent = server.bytes_sent() - sent;
        assert!(sent < 16 << 20, "{what}: {sent} bytes were sent");
        assert!(grown(&gateway, before) < 16 * MIB, "{what}: {} KiB", grown(&gateway, before));
        fresh(&gateway, &signer, "a", 2).await.assert_ok("ok");
        gateway.assert_quiet_without_healing().await;
    }
}

#[tokio::test]
async fn keys_of_a_server_that_is_away_are_used_for_a_time_and_come_back_with_it() {
    let signer = Signer::ed();
    let answer = keys(&[signer.jwk("a")]);
    let upstream = Upstream::http1().start().await;
    let mut server = Upstream::http1().answer(answer.clone()).start().await;
    let addr = server.addr();
    let times = "ttl = \"400ms\", stale = \"1200ms\", cooldown = \"100ms\", timeout = \"500ms\"";
    let main = at(&server, times);
    server.kill();
    // Away at the start: everybody else is served.
    let gateway = document(&upstream, &[("main", main)]).start().await;
    rejected(&fresh(&gateway, &signer, "a", 0).await, 503, "keys_unavailable");
    gateway_tests::assert_fresh(gateway.addr(), true).await;
    let mut server = Upstream::http1().answer(answer.clone()).at(addr).start().await;
    until(SOON, 200, || fresh(&gateway, &signer, "a", 1)).await;
    assert_eq!(provider(gateway.admin(), "main").await["freshness"], "fresh");
    // Away later: not noticed for a while, and then nobody is let in, known or not.
    let known = signer.token("a", &claims("ada"));
    shows(&gateway, "/main", &known).await.assert_ok("ok");
    server.kill();
    let (gone, admin) = (Instant::now(), gateway.admin());
    let (mut number, mut stale) = (10, 0);
    let last = loop {
        let reply = fresh(&gateway, &signer, "a", number).await;
        if reply.status != 200 {
            break reply;
        }
        stale += usize::from(provider(admin, "main").await["freshness"] == "stale");
        number += 1;
        assert!(gone.elapsed() < SOON, "keys are used for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    rejected(&last, 503, "keys_unavailable");
    rejected(&shows(&gateway, "/main", &known).await, 503, "keys_unavailable");
    assert!(stale > 0 && gone.elapsed() > Duration::from_millis(1_100), "{:?}", gone.elapsed());
    assert_eq!(provider(gateway.admin(), "main").await["freshness"], "unavailable");
    let server = Upstream::http1().answer(answer).at(addr).start().await;
    until(PATIENCE, 200, || shows(&gateway, "/main", &known)).await;
    drop(server);
    assert!(upstream.seen().iter().all(|seen| seen.header("x-user-id") == Some("ada")));
}

/// What an issuer says of itself at its well-known place, and its keys beside it.
async fn issuer(signer: &Signer, described: Arc<Mutex<Value>>) -> Upstream {
    let keys = keys(&[signer.jwk("a")]);
    let script = move |seen: &Seen| match seen.target.as_str() {
        "/.well-known/openid-configuration" => {
            Answer::ok(described.lock().expect("a lock").to_string())
        }
        "/jwks.json" => keys.clone(),
        _ => Answer::status(404, ""),
    };
    Upstream::http1().script(script).start().await
}

#[tokio::test]
async fn an_issuer_that_says_another_name_or_leads_to_an_open_road_is_not_believed() {
    let (signer, upstream) = (Signer::ed(), Upstream::http1().start().await);
    let described = Arc::new(Mutex::new(Value::Null));
    let plain = issuer(&signer, Arc::clone(&described)).await;
    // The same behind TLS.
    let (authority, files) = (Authority::new("tests"), Files::new());
    let pair = files.pair("issuer", &authority.server(&["127.0.0.1"]));
    let tls = format!("tls = {{ certificates = [{pair}] }}");
    let secure = Gateway::to(&plain).listener(&tls).start().await;
    let ca = files.write("ca.pem", &authority.pem());
    let (open, safe) = (plain.url(), format!("https://{}", secure.addr()));
    let good = |url: &str| json!({ "issuer": ISSUER, "jwks_uri": format!("{url}/jwks.json") });
    let with = |name: &str, value: Value| {
        let mut description = good(&safe);
        description[name] = value;
        description
    };
    let cases = [
        ("good", good(&safe), true),
        ("another issuer", with("issuer", "https://eve.test".into()), false),
        ("nearly the issuer", with("issuer", "House".into()), false),
        ("with a slash", with("issuer", "house/".into()), false),
        ("a list of issuers", with("issuer", json!([ISSUER])), false),
        ("no issuer", with("issuer", Value::Null), false),
        ("an open road", good(&open), false),
        ("a file", with("jwks_uri", "file:///etc/passwd".into()), false),
        ("somebody's name", with("jwks_uri", format!("{open}@eve.test/").into()), false),
        ("a list of addresses", with("jwks_uri", json!([format!("{safe}/jwks.json")])), false),
        ("no address", with("jwks_uri", Value::Null), false),
    ];
    let mut failures = Failures::new();
    for (name, description, expected) in cases {
        *described.lock().expect("a lock") = description;
        let before = plain.seen_for("/jwks.json").len();
        let main = format!("keys = {{ discovery = {safe:?}, ca = {ca:?}, cooldown = \"5s\" }}");
        let gateway = document(&upstream, &[("main", main)]).start().await;
        let reply = fresh(&gateway, &signer, "a", 1).await;
        let fetched = plain.seen_for("/jwks.json").len() - before;
        let good = match expected {
            true => (reply.status, fetched) == (200, 1),
            false => {
                reply.is_rejection(&[503])
                    && reply.reason().as_deref() == Some("keys_unavailable")
                    && fetched == 0
            }
        };
        failures.check(good, || format!("{name}: {fetched} {reply:?}"));
    }
    // Somebody else's certificate is not the issuer's.
    *described.lock().expect("a lock") = good(&safe);
    let other = files.write("other.pem", &Authority::new("tests").pem());
    let main = format!("keys = {{ discovery = {safe:?}, ca = {other:?}, cooldown = \"5s\" }}");
    let gateway = document(&upstream, &[("main", main)]).start().await;
    rejected(&fresh(&gateway, &signer, "a", 1).await, 503, "keys_unavailable");
    failures.assert_none();
    assert_eq!(upstream.seen().len(), 1);
}
