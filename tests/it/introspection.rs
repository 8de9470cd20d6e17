//! Callers known by asking somebody else, through the whole program: an issuer by introspection, and
//! a service that verifies tokens in its own way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gate, Gateway, GatewayBuilder, Payload, Reply, Seen, Step, Upstream, within,
};
use http::Request;
use tokio::time::Instant;

use crate::routing::LISTENER;

/// The gateway's own password at the issuer.
const PASSWORD: &str = "planted-password-of-the-gateway";

/// Part of every token of the tests.
const PLANTED: &str = "planted-token";

const PATIENCE: Duration = Duration::from_secs(10);

fn json(text: &str) -> Answer {
    Answer::ok(text.to_owned()).header("content-type", "application/json")
}

/// An issuer: it knows `ada`, forgets `old`, and does something wrong with what else it is asked
/// about, as `wrong` says.
async fn issuer(wrong: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Upstream {
    let script = move |seen: &Seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        if body.starts_with(&format!("token={PLANTED}-ada")) {
            let said =
                r#"{"active":true,"sub":"ada","iss":"house","aud":["orders"],"scope":"read"}"#;
            return json(said);
        }
        if body.starts_with(&format!("token={PLANTED}-old")) {
            return json(r#"{"active":false}"#);
        }
        wrong(seen)
    };
    Upstream::http1().script_after_body(script).start().await
}

fn document(issuer: &Upstream, upstream: &Upstream, keys: &str) -> GatewayBuilder {
    let (issuer_url, url) = (issuer.url(), upstream.url());
    let text = format!(
        "{LISTENER}\n[clusters.upstream]\nendpoints = [{url:?}]\n\
         [identity.introspection.house]\nurl = \"{issuer_url}/introspect\"\n\
         client_id = \"gateway\"\nclient_secret = {PASSWORD:?}\n\
         issuer = \"house\"\naudience = [\"orders\"]\ncredentials = \"drop\"\n\
         forward = {{ x-user-id = \"sub\" }}\n{keys}\n\
         [[routes]]\nid = \"orders\"\nmatch = {{ prefix = \"/orders\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.introspection = \"house\"\n\
         [[routes]]\nid = \"rest\"\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.public = true\n\
         [admin]\naddress = \"127.0.0.1:0\"\n"
    );
    Gateway::document(text).knows(issuer).knows(upstream)
}

fn request(target: &str, token: &str) -> Request<Payload> {
    let request = Request::builder().uri(target).header("host", "a.test");
    let request = request.header("authorization", format!("Bearer {token}"));
    let request = request.header("x-user-id", "root").header("x_user_id", "root");
    request.body(Payload::empty()).expect("a request")
}

async fn asks(gateway: &Gateway, token: &str) -> Reply {
    let token = format!("{PLANTED}-{token}");
    Client::http1(gateway.addr()).send(request("/orders/7", &token)).await
}

/// The gateway itself has rejected it, for this reason.
fn rejected(reply: &Reply, status: u16, reason: &str) {
    reply.assert_by_gateway(&[status]);
    assert_eq!(reply.reason().as_deref(), Some(reason), "{reply:?}");
}

#[tokio::test]
async fn an_issuer_is_asked_once_about_a_token_and_upstreams_are_told_who_it_is() {
    let issuer = issuer(|_| Answer::status(500, "")).await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&issuer, &upstream, "").start().await;
    for _ in 0..3 {
        asks(&gateway, "ada").await.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header_all("x-user-id"), ["ada"]);
        assert_eq!((seen.header("x_user_id"), seen.header("authorization")), (None, None));
    }
    let asked = issuer.seen();
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/introspect"));
    let form = format!("token={PLANTED}-ada&token_type_hint=access_token");
    assert_eq!(String::from_utf8_lossy(&asked.body), form);
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    // gateway:planted-password-of-the-gateway
    let basic = "Basic Z2F0ZXdheTpwbGFudGVkLXBhc3N3b3JkLW9mLXRoZS1nYXRld2F5";
    assert_eq!(asked.header("authorization"), Some(basic));
    let missing = Client::http1(gateway.addr()).get("/orders/7").await;
    rejected(&missing, 401, "unauthenticated");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"gateway\""));
    for _ in 0..3 {
        let old = asks(&gateway, "old").await;
        rejected(&old, 401, "token_invalid");
        let said = old.header("www-authenticate").expect("a challenge");
        assert!(said.contains("error=\"invalid_token\""), "{said}");
    }
    assert_eq!((issuer.seen().len(), upstream.seen().len()), (2, 3));
    // Over HTTP/2 it is the same token.
    let token = format!("{PLANTED}-ada");
    Client::http2(gateway.addr()).send(request("/orders/7", &token)).await.assert_ok("ok");
    assert_eq!(issuer.seen().len(), 2);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_issuer_that_lies_or_floods_lets_nobody_in() {
    let elsewhere = Upstream::http1().start().await;
    let location = format!("{}/introspect", elsewhere.url());
    let good = r#"{"active":true,"sub":"eve","iss":"house","aud":"orders"}"#;
    let answers = vec![
        Answer::ok(good).header("content-type", "text/html"),
        Answer::ok(good),
        json(r#"{"active":"true","sub":"eve","iss":"house","aud":"orders"}"#),
        json(r#"{"active":false,"active":true,"sub":"eve","iss":"house","aud":"orders"}"#),
        json(r#"{"active":true,"sub":["eve"],"iss":"house","aud":"orders"}"#),
        json(r#"{"active":true,"sub":"eve","iss":"house","aud":"orders","exp":"9999999999"}"#),
        json("<html>active</html>"),
        json(""),
        Answer::status(302, "").header("location", &location),
        Answer::status(307, "").header("location", &location),
        Answer::status(500, good).header("content-type", "application/json"),
        Answer::raw(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900000\r\n\r\n{",
        )
        .then(Step::Repeat(" ".repeat(60_000).into(), 15)),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
            .then(Step::Endless(" ".repeat(60_000).into())),
    ];
    let count = answers.len();
    let mut left = answers.into_iter();
    let left = std::sync::Mutex::new(move || left.next());
    let issuer = issuer(move |_| {
        let next = (left.lock().expect("a lock"))();
        next.unwrap_or_else(|| Answer::status(500, ""))
    })
    .await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&issuer, &upstream, "timeout = \"5s\"").start().await;
    for number in 0..count {
        let began = Instant::now();
        let reply = asks(&gateway, &format!("odd-{number}")).await;
        rejected(&reply, 503, "identity_unavailable");
        assert!(reply.header("retry-after").is_some());
        assert!(!reply.text().contains("eve"), "{}", reply.text());
        assert!(began.elapsed() < Duration::from_secs(4), "{number}: {:?}", began.elapsed());
        // Nobody else is locked out by it.
        asks(&gateway, &format!("ada-{number}")).await.assert_ok("ok");
    }
    assert!(elsewhere.seen().is_empty(), "a redirect was followed");
    assert_eq!(upstream.seen().len(), count);
    assert_eq!(issuer.seen().len(), 2 * count);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_issuer_that_is_away_costs_nobody_the_deadline_again_and_again() {
    let well = Arc::new(AtomicBool::new(false));
    let issuer = {
        let well = Arc::clone(&well);
        issuer(move |_| match well.load(Ordering::SeqCst) {
            true => json(r#"{"active":true,"sub":"bo","iss":"house","aud":"orders"}"#),
            false => Answer::hang(),
        })
        .await
    };
    let upstream = Upstream::http1().start().await;
    let keys = "timeout = \"300ms\"\ncooldown = \"1s\"";
    let gateway = document(&issuer, &upstream, keys).start().await;
    asks(&gateway, "ada").await.assert_ok("ok");
    for number in 0..3 {
        rejected(&asks(&gateway, &format!("slow-{number}")).await, 503, "identity_unavailable");
    }
    let began = Instant::now();
    for number in 0..50 {
        rejected(&asks(&gateway, &format!("late-{number}")).await, 503, "identity_unavailable");
    }
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    // Who is known goes on.
    asks(&gateway, "ada").await.assert_ok("ok");
    let shown = gateway.admin().get("/identity").await.json();
    let shown = shown["asked"]["identity.introspection.house"].clone();
    assert!(shown["well"] == false && shown["failed"] == 3 && shown["known"] == 1, "{shown}");
    assert_eq!(shown["failure"], "it does not answer in time");
    well.store(true, Ordering::SeqCst);
    let back = async {
        while asks(&gateway, "slow-0").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(PATIENCE, "the issuer is asked again", back).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn many_requests_with_one_token_ask_once_also_when_the_first_client_leaves() {
    let gate = Gate::new();
    let behind = gate.clone();
    let script = move |_: &Seen| {
        let said = r#"{"active":true,"sub":"ada","iss":"house","aud":"orders"}"#;
        json(said).steps_after(Answer::unread().then(Step::Gate(behind.clone())))
    };
    let issuer = Upstream::http1().script(script).start().await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&issuer, &upstream, "").start().await;
    let addr = gateway.addr();
    let token = format!("{PLANTED}-x");
    let first = {
        let request = request("/orders/1", &token);
        tokio::spawn(async move { Client::http1(addr).send(request).await })
    };
    let asked = async {
        while issuer.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(PATIENCE, "the issuer is asked", asked).await;
    let others: Vec<_> = (0..20)
        .map(|_| {
            let request = request("/orders/2", &token);
            tokio::spawn(async move { Client::http1(addr).send(request).await })
        })
        .collect();
    first.abort();
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open_for_all();
    for other in others {
        other.await.expect("an answer").assert_ok("ok");
    }
    assert_eq!(issuer.seen().len(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn what_is_known_outlives_a_reload_that_does_not_concern_it() {
    let issuer = issuer(|_| Answer::status(500, "")).await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&issuer, &upstream, "realm = \"one\"").start().await;
    asks(&gateway, "ada").await.assert_ok("ok");
    gateway.edit_document("id = \"rest\"", "id = \"other\"");
    assert_eq!(gateway.admin().reload().await.status, 200);
    asks(&gateway, "ada").await.assert_ok("ok");
    assert_eq!(issuer.seen().len(), 1);
    gateway.edit_document("realm = \"one\"", "realm = \"two\"");
    assert_eq!(gateway.admin().reload().await.status, 200);
    asks(&gateway, "ada").await.assert_ok("ok");
    assert_eq!(issuer.seen().len(), 2);
    let missing = Client::http1(gateway.addr()).get("/orders/7").await;
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"two\""));
}

#[tokio::test]
async fn no_secret_is_in_what_the_gateway_says() {
    let issuer = issuer(|_| json(&format!("{{\"active\":\"{PLANTED}\"}}"))).await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&issuer, &upstream, "").start().await;
    let mut said = String::new();
    for token in ["ada", "old", "odd", "b\"d"] {
        let reply = asks(&gateway, token).await;
        said.push_str(&format!("{:?} {}", reply.headers, reply.text()));
    }
    let admin = gateway.admin();
    for path in ["/identity", "/clusters", "/status", "/explain?url=http://a.test/orders/7"] {
        said.push_str(&admin.get(path).await.text());
    }
    // A document that is wrong elsewhere, and one whose secret cannot be sent.
    gateway.edit_document("issuer = \"house\"", "issuer = \"house\"\nissure = 1");
    said.push_str(&admin.reload().await.text());
    gateway.edit_document("\nissure = 1", "");
    gateway.edit_document(PASSWORD, &format!("\\u0001{PASSWORD}"));
    said.push_str(&admin.reload().await.text());
    said.push_str(&gateway.log());
    for secret in [PASSWORD, PLANTED, "Z2F0ZXdheTpwbGFudGVk"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

/// The document of the examples, with these services.
fn users_service(users: &Upstream, others: &Upstream) -> GatewayBuilder {
    let text = include_str!("../../examples/config/users-service.toml")
        .replace("127.0.0.1:8000", "{listen}")
        .replace("http://user-service:8001", &users.url())
        .replace("http://task-service:8002", &others.url())
        .replace("http://notification-service:8003", &others.url());
    Gateway::document(text).knows(users).knows(others)
}

/// A service that knows two users, of whom one is an admin, and a third that once was.
async fn users() -> Upstream {
    let script = |seen: &Seen| match (seen.target.as_str(), seen.header("authorization")) {
        ("/health", _) => Answer::ok("well"),
        ("/auth/verify", Some("Bearer ada")) => {
            json(r#"{"valid":true,"user":{"id":7,"roles":["user","admin"]}}"#)
        }
        ("/auth/verify", Some("Bearer bo")) => {
            json(r#"{"valid":true,"user":{"id":8,"roles":["user"]}}"#)
        }
        ("/auth/verify", Some("Bearer cy")) => {
            json(r#"{"valid":true,"user":{"id":9,"roles":["admin"]}}"#)
        }
        ("/auth/verify", Some("Bearer di")) => json(r#"{"valid":false,"user":{"id":10}}"#),
        ("/auth/verify", _) => Answer::status(401, r#"{"detail":"no"}"#),
        ("/users/7/context", _) => json(r#"{"admin":true}"#),
        ("/users/9/context", _) => Answer::status(403, "no admin any more"),
        _ => Answer::ok("from the users"),
    };
    Upstream::http1().script(script).start().await
}

#[tokio::test]
async fn the_users_service_verifies_tokens_and_says_who_is_an_admin() {
    let (users, others) = (users().await, Upstream::http1().start().await);
    let gateway = users_service(&users, &others).start().await;
    let ask = async |target: &str, token: &str| {
        Client::http1(gateway.addr()).send(request(target, token)).await
    };
    ask("/tasks/1", "ada").await.assert_ok("ok");
    let seen = others.seen_for("/tasks/1").pop().expect("a request");
    assert_eq!(seen.header_all("x-user-id"), ["7"]);
    assert_eq!(seen.header_all("x-user-roles"), ["user,admin"]);
    // The services get the token as well.
    assert_eq!(seen.header("authorization"), Some("Bearer ada"));
    ask("/tasks/2", "ada").await.assert_ok("ok");
    let verified = users.seen_for("/auth/verify");
    assert_eq!((verified.len(), verified[0].method.as_str()), (1, "POST"));
    for token in ["eve", "di"] {
        rejected(&ask("/tasks/3", token).await, 401, "token_invalid");
    }
    ask("/notifications", "ada").await.assert_ok("ok");
    let context = users.seen_for("/users/7/context").pop().expect("a question");
    assert_eq!(
        (context.method.as_str(), context.header("x-original-uri")),
        ("GET", Some("/notifications"))
    );
    rejected(&ask("/notifications", "bo").await, 403, "forbidden");
    assert!(users.seen_for("/users/8/context").is_empty());
    let reply = ask("/notifications", "cy").await;
    assert_eq!((reply.status, reply.text().as_str()), (403, "no admin any more"));
    assert_eq!(others.seen_for("/notifications").len(), 1);
    // Whoever wants a token has none yet.
    Client::http1(gateway.addr()).post("/auth/login", "{}").await.assert_ok("from the users");
    rejected(&Client::http1(gateway.addr()).get("/users").await, 401, "unauthenticated");
}
