//! What nobody has seen before, again and again: each may be remembered somewhere, and every such
//! place has an end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_tests::tokens::{ISSUER, Signer, claims, key_set, sha256};
use gateway_tests::{Answer, Client, Gateway, GatewayBuilder, Seen, Upstream, within};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{ADMIN, MIB, asks, grown, request};
use crate::routing::LISTENER;

const CONNECTIONS: usize = 8;

/// Requests on the way of one connection; more wait for their answers.
const AT_ONCE: usize = 64;

/// Sends `count` requests, the lines of each from its number, as fast as it can; gives how many
/// were answered with each status.
async fn flood(
    addr: SocketAddr,
    count: usize,
    line: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Vec<(u16, usize)> {
    let line = Arc::new(line);
    let mut connections = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let line = Arc::clone(&line);
        let numbers = (connection..count).step_by(CONNECTIONS).collect::<Vec<_>>();
        connections.spawn(async move {
            let mut socket = TcpStream::connect(addr).await.expect("connect");
            let (mut found, mut buffer) = (Vec::new(), Vec::new());
            for numbers in numbers.chunks(AT_ONCE) {
                let heads = numbers.iter().map(|number| {
                    format!("GET /a HTTP/1.1\r\nHost: gateway.test\r\n{}\r\n\r\n", line(*number))
                });
                socket.write_all(heads.collect::<String>().as_bytes()).await.expect("a gateway");
                buffer.clear();
                let mut statuses = Vec::new();
                while statuses.len() < numbers.len() {
                    let read = socket.read_buf(&mut buffer).await.expect("an answer");
                    assert!(read > 0, "{} of {}", statuses.len(), numbers.len());
                    statuses = answered(&buffer);
                }
                found.append(&mut statuses);
            }
            found
        });
    }
    let all = within(Duration::from_secs(60), "all answers", connections.join_all()).await.concat();
    let mut counts: Vec<(u16, usize)> = Vec::new();
    for status in all {
        match counts.iter_mut().find(|one| one.0 == status) {
            Some(one) => one.1 += 1,
            None => counts.push((status, 1)),
        }
    }
    counts
}

/// The statuses of the answers in `bytes`.
fn answered(bytes: &[u8]) -> Vec<u16> {
    const START: &[u8] = b"HTTP/1.1 ";
    let starts = bytes.windows(START.len() + 3).filter(|window| window.starts_with(START));
    let status = |window: &[u8]| std::str::from_utf8(&window[START.len()..]).ok()?.parse().ok();
    starts.filter_map(status).collect()
}

/// A gateway whose route `/a` has this policy, and answers by itself.
fn gateway(policy: &str, more: &str) -> GatewayBuilder {
    let answers = "target = { respond = { status = 200, body = \"ok\" } }";
    Gateway::document(format!(
        "{LISTENER}forwarded = {{ trusted = [\"127.0.0.0/8\"] }}\n\
         [[routes]]\nid = \"a\"\nmatch = {{ prefix = \"/a\" }}\n{answers}\npolicy = {{ {policy} }}\n\
         [[routes]]\nid = \"open\"\nmatch = {{ prefix = \"/fresh-check\" }}\n{answers}\n\
         policy.public = true\n{ADMIN}{more}"
    ))
}

/// What a flood came to, with somebody honest beside it.
struct Flooded {
    /// How many were answered with each status.
    counts: Vec<(u16, usize)>,
    grown: usize,
}

/// Floods a gateway, while somebody with `honest` goes on and has to be let in each time.
async fn flooded(
    gateway: &Gateway,
    count: usize,
    honest: (&'static str, String),
    line: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Flooded {
    let (addr, stopped) = (gateway.addr(), Arc::new(AtomicBool::new(false)));
    asks(gateway, "/a", &[(honest.0, &honest.1)]).await;
    let before = gateway.usage().peak_kib;
    let beside = Arc::clone(&stopped);
    let honest = tokio::spawn(async move {
        let (mut client, mut passed) = (Client::http1(addr), 0);
        while !beside.load(Ordering::Relaxed) {
            let reply = client.send(request("/a", &[(honest.0, &honest.1)])).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            passed += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        passed
    });
    let counts = flood(addr, count, line).await;
    stopped.store(true, Ordering::Relaxed);
    let passed = honest.await.expect("somebody honest is let in");
    assert!(passed >= 3, "{passed}");
    let grown = grown(gateway, before);
    eprintln!("{counts:?}, {passed} beside them, {grown} KiB more");
    Flooded { counts, grown }
}

impl Flooded {
    #[track_caller]
    fn assert(&self, counts: &[(u16, usize)], most_kib: usize) {
        assert_eq!(self.counts, counts);
        assert!(self.grown < most_kib, "{} KiB", self.grown);
    }
}

async fn limits(gateway: &Gateway) -> Value {
    gateway.admin().get("/limits").await.json()["a"].clone()
}

const LIMITED: &str = "public = true, rate_limit = { limit = 100, per = \"10h\", \
     burst = 100000, key = [KEY] }";

fn limited(key: &str, keys: usize) -> GatewayBuilder {
    let key = format!("{key:?}");
    gateway(&LIMITED.replace("KEY", &key), &format!("[stores.memory]\nkeys = {keys}\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_a_field_fill_no_more_than_the_room_for_keys() {
    let gateway = limited("header:x-user", 2_000).start().await;
    let honest = ("x-user", "ada".to_owned());
    // Values of a kilobyte: not they are kept.
    let long = "x".repeat(1_000);
    let line = move |number| format!("x-user: {number}-{long}");
    let flooded = flooded(&gateway, 8_000, honest, line).await;
    flooded.assert(&[(200, 8_000)], 8 * MIB);
    let shown = limits(&gateway).await;
    assert!(shown["keys"].as_u64() <= Some(2_000), "{shown}");
    assert!(shown["evicted"].as_u64() > Some(5_500), "{shown}");
    // It is said once.
    let said = gateway.log().lines().filter(|line| line.contains(" WARN ")).count();
    assert_eq!(said, 1);
}

/// Nobody gets rid of what he has used up by bringing others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_over_his_limit_is_not_forgotten_in_a_flood_of_others() {
    let policy =
        "public = true, rate_limit = { limit = 20, per = \"10h\", key = [\"header:x-user\"] }";
    let gateway = gateway(policy, "[stores.memory]\nkeys = 2000\n").start().await;
    let mut client = Client::http1(gateway.addr());
    let mut eve = async || client.send(request("/a", &[("x-user", "eve")])).await.status;
    for _ in 0..20 {
        assert_eq!(eve().await, 200);
    }
    assert_eq!(eve().await, 429);
    let counts = flood(gateway.addr(), 6_000, |number| format!("x-user: {number}")).await;
    assert_eq!(counts, [(200, 6_000)]);
    assert_eq!(eve().await, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_one_network_are_one_key_and_those_of_many_fill_only_the_room() {
    let gateway = limited("ip", 2_000).start().await;
    let honest = ("x-forwarded-for", "198.51.100.7".to_owned());
    let line = |number| format!("x-forwarded-for: 2001:db8:1:2:{:x}:{number:x}::1", number % 7);
    let one = flooded(&gateway, 5_000, honest.clone(), line).await;
    one.assert(&[(200, 5_000)], 8 * MIB);
    let shown = limits(&gateway).await;
    assert_eq!((&shown["keys"], &shown["evicted"]), (&2.into(), &0.into()), "{shown}");
    let line = |number| format!("x-forwarded-for: 2001:db8:{:x}:{number:x}::1", number % 7);
    let many = flooded(&gateway, 5_000, honest, line).await;
    many.assert(&[(200, 5_000)], 8 * MIB);
    let shown = limits(&gateway).await;
    assert!(shown["keys"].as_u64() <= Some(2_000), "{shown}");
    assert!(shown["evicted"].as_u64() > Some(2_500), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_that_nobody_has_push_out_none_that_somebody_has() {
    let key = "a-key-of-the-tests-that-is-long";
    let digest = sha256(key);
    let keys = format!(
        "[identity.api_key.partners]\ncache = {{ entries = 500, ttl = \"1h\", negative_ttl = \"1h\" }}\n\
         [identity.api_key.partners.keys.one]\nsha256 = {digest:?}\nowner = \"acme\"\n"
    );
    let gateway = gateway("api_key = \"partners\"", &keys).start().await;
    let line = |number| format!("x-api-key: somebody-elses-key-{number}");
    let flooded = flooded(&gateway, 6_000, ("x-api-key", key.to_owned()), line).await;
    flooded.assert(&[(401, 6_000)], 8 * MIB);
    let shown = gateway.admin().get("/identity").await.json()["api_key"]["partners"].clone();
    // Its parts are rounded up.
    let unknown = shown["cached_unknown"].as_u64().expect("a number");
    assert!((100..=550).contains(&unknown), "{shown}");
    // Whose key it is was asked once, and never again.
    assert_eq!(shown["cached"], 1, "{shown}");
    assert_eq!(shown["lookups"], 6_001, "{shown}");
}

/// bcrypt of `open sesame`, at the lowest cost: a flood has many of them to verify.
pub(super) const CHEAP: &str = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_that_are_wrong_cost_no_memory_and_nobodys_time() {
    let users = format!(
        "[identity.basic.staff]\nusers.ada.hash = {CHEAP:?}\njobs = 1\nqueue = 2\n\
         cache = {{ entries = 100 }}\n"
    );
    let gateway = gateway("basic = \"staff\"", &users).start().await;
    let ada = format!("Basic {}", STANDARD.encode("ada:open sesame"));
    let line = |number| {
        let name = if number % 2 == 0 { "ada" } else { "eve" };
        format!("authorization: Basic {}", STANDARD.encode(format!("{name}:wrong-{number}")))
    };
    let flooded = flooded(&gateway, 1_500, ("authorization", ada), line).await;
    assert!(flooded.counts.iter().all(|(status, _)| matches!(status, 401 | 503)));
    assert!(flooded.grown < 32 * MIB, "{} KiB", flooded.grown);
    let shown = gateway.admin().get("/identity").await.json()["basic"]["staff"].clone();
    assert_eq!(shown["cached"], 1, "{shown}");
    assert!(shown["rejected"].as_u64() > Some(0), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_verified_fill_no_more_than_the_room_for_them() {
    let signer = Arc::new(Signer::ed());
    let set = key_set(&[signer.jwk("a")]);
    let issuer = format!(
        "[identity.jwt.main]\nissuer = {ISSUER:?}\naudience = \"orders\"\ncache = {{ entries = 100 }}\n\
         keys = {{ inline = '''{set}''' }}\n"
    );
    let gateway = gateway("jwt = \"main\"", &issuer).start().await;
    let ada = format!("Bearer {}", signer.token("a", &claims("ada")));
    // Nothing is kept of those that are wrong, and of the others the last hundred.
    for (right, expected) in [(false, 401), (true, 200)] {
        let (signer, eve) = (Arc::clone(&signer), Signer::ed());
        let filler = "x".repeat(8_000);
        let line = move |number: usize| {
            let mut claims = claims("eve");
            claims["jti"] = number.to_string().into();
            claims["filler"] = filler.as_str().into();
            let token = if right { signer.token("a", &claims) } else { eve.token("a", &claims) };
            format!("authorization: Bearer {token}")
        };
        let flooded = flooded(&gateway, 2_500, ("authorization", ada.clone()), line).await;
        flooded.assert(&[(expected, 2_500)], 16 * MIB);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_somebody_is_asked_about_fill_no_more_than_the_room_for_them() {
    let script = |seen: &Seen| {
        let body = String::from_utf8_lossy(&seen.body);
        let answer = match body.contains("token=eve") {
            true => json!({ "active": false }),
            false => json!({ "active": true, "sub": "ada", "filler": "x".repeat(16_000) }),
        };
        Answer::ok(answer.to_string()).header("content-type", "application/json")
    };
    let server = Upstream::http1().script_after_body(script).start().await;
    let issuer = format!(
        "[identity.introspection.main]\nurl = \"{}/introspect\"\nclient_id = \"gateway\"\n\
         client_secret = \"a secret\"\ncache = {{ entries = 100, negative_entries = 200, ttl = \"1h\", \
         negative_ttl = \"1h\" }}\nconcurrency = 8\n",
        server.url()
    );
    let gateway = gateway("introspection = \"main\"", &issuer).start().await;
    let honest = ("authorization", "Bearer ada".to_owned());
    let line = |number| format!("authorization: Bearer eve-{number}");
    let rejected = flooded(&gateway, 1_500, honest.clone(), line).await;
    rejected.assert(&[(401, 1_500)], 16 * MIB);
    let line = |number| format!("authorization: Bearer bo-{number}");
    let known = flooded(&gateway, 1_500, honest, line).await;
    known.assert(&[(200, 1_500)], 16 * MIB);
    let shown = gateway.admin().get("/identity").await.json()["asked"].clone();
    let shown = &shown["identity.introspection.main"];
    assert!(shown["known"].as_u64() <= Some(100), "{shown}");
    assert!(shown["rejected"].as_u64() <= Some(200), "{shown}");
    assert!(shown["known"].as_u64() > Some(20) && shown["rejected"].as_u64() > Some(50), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_somebody_who_decides_fill_no_more_than_the_room_for_them() {
    let script = |_: &Seen| Answer::ok("").header("x-user-id", &"x".repeat(16_000));
    let server = Upstream::http1().script(script).start().await;
    let cluster = format!("[clusters.auth]\nendpoints = [{:?}]\n", server.url());
    let policy = "public = true, external_auth = { cluster = \"auth\", path = \"/check\", \
                  upstream_headers = [\"x-user-id\"], cache = { ttl = \"1h\", entries = 50 } }";
    let gateway = gateway(policy, &cluster).start().await;
    let honest = ("authorization", "Bearer ada".to_owned());
    let line = |number| format!("authorization: Bearer {number}");
    flooded(&gateway, 1_500, honest, line).await.assert(&[(200, 1_500)], 16 * MIB);
}
