//! Each class of failure is one event, and no secret is in any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_layers::auth::basic::PasswordHash;
use gateway_tests::certs::{Authority, Files};
use gateway_tests::tokens::{ISSUER, Signer, base64url, claims, sha256};
use gateway_tests::{Client, Payload, Raw, run_gateway};
use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::attacks::secrets::{assert_clean, secret};
use crate::routing::LISTENER;

/// Every way to be known, every limit, and all sinks.
fn document(upstream: &Upstream, receiver: &Upstream, files: &Files) -> String {
    let authority = Authority::new("tests");
    let pair = files.pair("a", &authority.server(&["gateway.test"]));
    let hash = PasswordHash::make(&secret("password")).expect("a hash").to_string();
    let identities = format!(
        "[identity.jwt.main]\nissuer = {ISSUER:?}\nalgorithms = \"HS256\"\n\
         audience = \"orders\"\nkeys = {{ secret = {:?} }}\n\
         [identity.api_key.here.keys.one]\nsha256 = {:?}\nowner = \"acme\"\n\
         [identity.basic.staff]\nusers.ada.hash = {hash:?}\n\
         [identity.signature.partners]\n\
         keys = [{{ id = \"k1\", algorithm = \"hmac-sha256\", key = {:?}, owner = \"ada\" }}]\n",
        secret("jwt"),
        sha256(&secret("api-key")),
        secret("signature"),
    );
    let route = |name: &str, policy: &str| {
        format!(
            "[[routes]]\nid = {name:?}\nmatch = {{ prefix = \"/{name}\" }}\n\
             target = {{ cluster = \"upstream\" }}\npolicy = {{ {policy} }}\n"
        )
    };
    let routes = [
        route("jwt", "jwt = \"main\""),
        route("roles", "jwt = { provider = \"main\", roles = [\"admin\"] }"),
        route("key", "api_key = \"here\""),
        route("basic", "basic = \"staff\""),
        route("signed", "signature = \"partners\""),
        route("denied", "public = true, ip = { deny = [\"127.0.0.0/8\"] }"),
        route("csrf", "public = true, csrf = true"),
        route("limit", "public = true, rate_limit = { limit = 1, per = \"1h\" }"),
        route("fresh-check", "public = true"),
    ];
    let audit = format!(
        "[audit]\nlog = true\nfile = \"{}/audit.jsonl\"\n\
         [audit.http]\nurl = \"{}/events?key={}\"\ntoken = {:?}\ninterval = \"20ms\"\n",
        files.folder().display(),
        receiver.url(),
        secret("url"),
        secret("sink"),
    );
    format!(
        "{LISTENER}[[listeners]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\n\
         tls = {{ certificates = [{pair}] }}\n\
         [clusters.upstream]\nendpoints = [{:?}]\n{identities}{}{audit}\
         [admin]\naddress = \"127.0.0.1:0\"\n",
        upstream.url(),
        routes.concat()
    )
}

type Fields = Vec<(&'static str, String)>;

/// What is asked, and what the event about it says.
fn questions() -> Vec<(&'static str, &'static str, Fields, &'static str, &'static str)> {
    let jwt = Signer::secret(secret("jwt"));
    let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
    let mut expired = claims("ada");
    expired["exp"] = json!(1_000_000_000);
    let none = format!(
        "{}.{}.",
        base64url(r#"{"alg":"none","typ":"JWT"}"#),
        base64url(claims("ada").to_string())
    );
    let forged = Signer::secret(secret("forged")).token("a", &claims("ada"));
    let password = STANDARD.encode(format!("ada:{}", secret("wrong-password")));
    let mac = format!("sig=:{}:", STANDARD.encode(secret("mac")));
    let input = "sig=(\"@method\");created=1;keyid=\"k1\";nonce=\"pLaNtEd-sEcReT\"".to_owned();
    let (who, may) = ("authentication", "authorization");
    vec![
        ("GET", "/jwt", bearer(&forged), who, "token_invalid"),
        ("GET", "/jwt", bearer(&jwt.token("a", &expired)), who, "token_invalid"),
        ("GET", "/jwt", bearer(&none), who, "token_invalid"),
        ("GET", "/jwt", bearer(&secret("no-token")), who, "token_invalid"),
        ("GET", "/jwt", vec![("cookie", secret("cookie"))], who, "unauthenticated"),
        ("GET", "/key", vec![("x-api-key", secret("other-key"))], who, "credentials_invalid"),
        (
            "GET",
            "/basic",
            vec![("authorization", format!("Basic {password}"))],
            who,
            "credentials_invalid",
        ),
        (
            "GET",
            "/signed",
            vec![("signature-input", input), ("signature", mac)],
            who,
            "signature_invalid",
        ),
        ("GET", "/roles", bearer(&jwt.token("a", &claims("ada"))), may, "forbidden"),
        ("GET", "/denied", vec![], may, "address_denied"),
        ("POST", "/csrf", vec![("sec-fetch-site", "cross-site".to_owned())], may, "cross_site"),
        ("GET", "/limit", vec![], "", ""),
        ("GET", "/limit", vec![], "limit", "rate_limited"),
        ("GET", "/jwt", bearer(&jwt.token("a", &claims("ada"))), "", ""),
        ("GET", "/nowhere", vec![], "", ""),
    ]
}

/// Bytes that are no request, and a handshake that is none.
async fn hostile(gateway: &Gateway) -> Vec<(&'static str, &'static str)> {
    for bytes in [
        "GET /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "\u{1}\u{2}pLaNtEd-sEcReT\r\n\r\n",
    ] {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(bytes).await;
        assert!(raw.ends_within(PATIENCE).await);
    }
    let log = gateway.log();
    let line = log.lines().find(|line| line.starts_with("listening on https://"));
    let address = line.expect("a secure listener").split(['/', ' ']).nth(4).expect("an address");
    let mut socket = TcpStream::connect(address).await.expect("connect");
    socket.write_all(b"GET /pLaNtEd-sEcReT HTTP/1.1\r\n\r\n").await.expect("sent");
    let _ = socket.read_to_end(&mut Vec::new()).await;
    vec![
        ("request", "framing_invalid"),
        ("request", "request_malformed"),
        ("connection", "handshake_failed"),
    ]
}

/// The event about somebody who is known and may not says all there is to say.
#[track_caller]
fn assert_told_in_full(events: &[Value]) {
    let forbidden = events.iter().find(|event| event["reason"] == "forbidden").expect("one");
    for (name, value) in [
        ("method", json!("GET")),
        ("path", json!("/roles")),
        ("status", json!(403)),
        ("route", json!("roles")),
        ("listener", json!("public")),
        ("client", json!("127.0.0.1")),
        ("principal", json!("ada")),
        ("principal_method", json!("jwt")),
    ] {
        assert_eq!(forbidden[name], value, "{forbidden}");
    }
}

#[tokio::test]
async fn each_class_of_failure_is_one_event_in_every_sink_and_no_secret_is_in_any() {
    let upstream = Upstream::http1().start().await;
    let receiver = Upstream::http1().start().await;
    let files = Files::new();
    let document = document(&upstream, &receiver, &files);
    let gateway = Gateway::document(document).knows(&upstream).environment("RUST_LOG", "trace");
    let gateway = gateway.start().await;
    let mut expected = hostile(&gateway).await;
    for (method, path, fields, kind, reason) in questions() {
        let target = format!("{path}?token={}", secret("query"));
        let mut request = Request::builder().method(method).uri(target).header("host", "a.test");
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let request = request.body(Payload::empty()).expect("a request");
        let reply = Client::http1(gateway.addr()).send(request).await;
        if reason.is_empty() {
            assert!(matches!(reply.status, 200 | 404), "{path}: {reply:?}");
            continue;
        }
        assert_eq!(reply.reason().as_deref(), Some(reason), "{path}: {reply:?}");
        expected.push((kind, reason));
    }
    expected.sort_unstable();
    let events = receives(&receiver, expected.len()).await;
    assert_eq!(told(&events), expected);
    let file = files.folder().join("audit.jsonl");
    let lines = eventually_within(
        PATIENCE,
        "lines",
        || written(&file),
        |lines| lines.len() >= expected.len(),
    );
    assert_eq!(told(&lines.await), expected);
    let logged = |log: &str| log.matches("INFO gateway::audit: {\"time\":").count();
    let in_log = || logged(&gateway.log().replace("task{name=\"audit\"}: ", ""));
    eventually_within(PATIENCE, "lines of the log", in_log, |count| *count == expected.len()).await;

    assert_told_in_full(&events);
    // What the receiver is shown is a secret, and was there: this could have failed.
    let seen = receiver.seen().pop().expect("a batch");
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {}", secret("sink"))));
    assert!(seen.target.contains(&secret("url")), "{}", seen.target);

    let mut said = format!("{events:?}\n{}\n", gateway.log());
    said.push_str(&std::fs::read_to_string(&file).expect("events"));
    let status = gateway.admin().status().await;
    let sinks = status["audit"].as_array().expect("sinks");
    assert_eq!(sinks.len(), 3, "{status}");
    for sink in sinks {
        assert_eq!(sink["sent"], expected.len(), "{status}");
    }
    let explained = gateway.admin().explain("http://a.test/roles").await;
    assert!(explained.contains("\naudit log: taken "), "{explained}");
    said.push_str(&format!("{status}\n{explained}\n"));
    let path = gateway.document_path();
    let config = path.to_str().expect("a path");
    for arguments in [
        vec!["check", "--config", config],
        vec!["explain", "--config", config, "GET", "http://a.test/roles"],
    ] {
        let output = run_gateway(&arguments, "");
        assert!(output.status.success(), "{output:?}");
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    assert_clean(&said);
}
