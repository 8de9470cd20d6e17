//! Against another implementation of RFC 9421: `http-message-signatures`, in Python.

use std::process::{Command, Output};

use gateway_tests::{Client, Gateway, Seen, Upstream};

use super::{PRIVATE, PUBLIC, SECRET, for_partners};

/// Keys and messages, for both scripts.
const COMMON: &str = r#"
import json, sys, types
from http_message_signatures import (
    HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver, algorithms)

given = json.loads(sys.argv[1])
secret, private, public = (given[name].encode() for name in ("secret", "private", "public"))
keys = MappingKeyResolver(
    public_keys={"k1": secret, "k2": public}, private_keys={"k1": secret, "k2": private})
ALGORITHMS = {"k1": algorithms.HMAC_SHA256, "k2": algorithms.ED25519}
"#;

/// Signs requests and sends them to the gateway: each once, and once again as a replay.
const CLIENT: &str = r#"
import http.client, uuid
host, port = given["address"].rsplit(":", 1)
for key in ("k1", "k2"):
    for method, target, body in (
            ("GET", "/orders", None), ("GET", "/orders?a=b%20c&d=", None),
            ("POST", "/orders", b"hello"), ("PUT", "/orders?x=1", b"")):
        headers = {"X-Tenant": "  acme "}
        message = types.SimpleNamespace(
            method=method, url=f"http://{given['address']}{target}", headers=headers)
        covered = ["@method", "@authority", "@path", "@query", "@target-uri", "x-tenant"]
        if "d=" in target:
            covered.append('"@query-param";name="a"')
        signer = HTTPMessageSigner(signature_algorithm=ALGORITHMS[key], key_resolver=keys)
        signer.sign(message, key_id=key, nonce=str(uuid.uuid4()),
                    covered_component_ids=covered, body=body)
        for expected in (200, 401):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == expected, (key, method, target, answer.status, text, headers)
            connection.close()
print("done")
"#;

/// Verifies what an upstream has seen.
const UPSTREAM: &str = r#"
import datetime
for seen in given["upstream"]["seen"]:
    url = f"http://{seen['authority']}{seen['target']}"
    message = types.SimpleNamespace(
        method=seen["method"], url=url, headers={name: value for name, value in seen["headers"]})
    key = given["upstream"]["key"]
    verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[key], key_resolver=keys)
    body = seen["body"].encode() or None
    required = ["@method", "@authority", "@path", "@query"]
    if body:
        required.append("content-digest")
    results = verifier.verify(
        message, max_age=datetime.timedelta(minutes=1), require_components=required, body=body)
    assert len(results) == 1 and results[0].parameters["keyid"] == key, results
print("done")
"#;

/// Runs a script with what it is given; `None`, said, where there is nothing to run it with.
async fn run(script: &str, given: serde_json::Value) -> Option<Output> {
    let python = std::env::var("GATEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let known = Command::new(&python).args(["-c", "import http_message_signatures"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: {python} has no module http_message_signatures (see GATEWAY_TEST_PYTHON)"
        );
        return None;
    }
    let script = format!("{COMMON}{script}");
    let run = move || Command::new(&python).args(["-c", &script, &given.to_string()]).output();
    Some(tokio::task::spawn_blocking(run).await.expect("no panic").expect("run python"))
}

/// The keys, and one more thing under `name`.
fn given(name: &str, more: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "secret": SECRET, "private": PRIVATE, "public": PUBLIC, name: more })
}

fn assert_done(output: &Output) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.ends_with(b"done\n"), "{error}");
}

#[tokio::test]
async fn what_a_foreign_client_signs_is_taken_once() {
    let upstream = Upstream::http1().start().await;
    let gateway = for_partners(&upstream, "").start().await;
    let given = given("address", &gateway.addr().to_string().into());
    let Some(output) = run(CLIENT, given).await else {
        return;
    };
    assert_done(&output);
    let seen = upstream.seen();
    let partners: Vec<_> = seen.iter().filter_map(|seen| seen.header("x-partner")).collect();
    assert_eq!(partners, ["ada", "ada", "ada", "ada", "bob", "bob", "bob", "bob"]);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn what_the_gateway_signs_a_foreign_upstream_takes() {
    let upstream = Upstream::http1().start().await;
    for (key, algorithm, material) in [("k1", "hmac-sha256", SECRET), ("k2", "ed25519", PRIVATE)] {
        let sign =
            format!("sign = {{ id = {key:?}, algorithm = {algorithm:?}, key = {material:?} }}");
        let gateway = Gateway::to(&upstream).cluster(&sign).start().await;
        let before = upstream.seen().len();
        let mut client = Client::http1(gateway.addr());
        assert_eq!(client.get("/orders").await.status, 200);
        assert_eq!(client.get("/orders?a=b%20c&d=").await.status, 200);
        assert_eq!(client.post("/orders", "hello").await.status, 200);
        let seen: Vec<_> = upstream.seen().drain(before..).map(|seen| printed(&seen)).collect();
        assert_eq!(seen.len(), 3);
        let Some(output) =
            run(UPSTREAM, given("upstream", &serde_json::json!({ "key": key, "seen": seen })))
                .await
        else {
            return;
        };
        assert_done(&output);
        gateway.assert_quiet().await;
    }
}

fn printed(seen: &Seen) -> serde_json::Value {
    serde_json::json!({
        "method": seen.method,
        "target": seen.target,
        "authority": seen.authority,
        "headers": seen.headers,
        "body": String::from_utf8_lossy(&seen.body),
    })
}
