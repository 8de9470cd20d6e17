//! What happens, counted.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::certs::{Authority, Files};
use gateway_tests::tokens::{Signer, claims, key_set};
use gateway_tests::{Answer, Client, Gateway, Load, Raw, Upstream};
use http::Request;

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

fn requests(route: &str, method: &str, status: u16) -> String {
    format!("http_requests_total{{route={route:?},method={method:?},status=\"{status}\"}}")
}

fn failures(route: &str, reason: &str) -> String {
    format!("gateway_failures_total{{route={route:?},reason={reason:?}}}")
}

#[tokio::test]
async fn what_several_workers_do_is_counted_once_while_it_is_read() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).top("workers = 3").with_admin().start().await;
    let admin = gateway.admin();
    let series = requests("all", "GET", 200);
    let before = admin.metrics().await.value(&series);
    let load = Load::start(gateway.addr(), 6, "/orders?token=planted-in-the-query");
    let mut last = before;
    for _ in 0..20 {
        let now = admin.metrics().await.value(&series);
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    let report = load.stop().await;
    assert_eq!(report.failed, [] as [String; 0]);
    let expected = before + report.requests as f64;
    let scrape = admin.counted(&series, expected).await;
    scrape.assert("http_request_duration_seconds_count{route=\"all\"}", expected);
    scrape.assert("http_request_duration_seconds_bucket{le=\"+Inf\",route=\"all\"}", expected);
    let outcome = "gateway_upstream_attempts_total{cluster=\"upstream\",outcome=\"2xx\"}";
    scrape.assert(outcome, expected);
    assert!(scrape.value("http_response_bytes_total{route=\"all\"}") >= 5.0 * expected);
    scrape.assert("gateway_endpoints{cluster=\"upstream\",state=\"available\"}", 1.0);
    scrape.assert("gateway_upstream_requests_in_flight{cluster=\"upstream\"}", 0.0);
    scrape.assert("gateway_metrics_overflowed_total", 0.0);
    let text = admin.get("/metrics").await.text();
    assert!(!text.contains("planted"), "{text}");
}

/// A gateway with a route for each way to fail.
async fn failing(upstream: &Upstream, signer: &Signer) -> Gateway {
    let route = |id: &str, more: &str| {
        format!(
            "[[routes]]\nid = {id:?}\nmatch = {{ prefix = \"/{id}\", methods = [\"GET\"] }}\n\
             target = {{ cluster = \"upstream\" }}\n{more}\n"
        )
    };
    let text = format!(
        "[[listeners]]\nname = \"public\"\naddress = \"{{listen}}\"\n{ADMIN}\
         [clusters.upstream]\nendpoints = [{:?}]\n\
         [clusters.nobody]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [identity.jwt.house]\nissuer = \"house\"\naudience = \"orders\"\n\
         algorithms = [{:?}]\nkeys = {{ inline = {:?} }}\n{}{}{}{}{}",
        upstream.url(),
        signer.algorithm(),
        key_set(&[signer.jwk("a")]),
        route("known", "policy.jwt = \"house\""),
        route("admins", "policy.jwt = { provider = \"house\", roles = [\"admin\"] }"),
        route("few", "policy.public = true\npolicy.rate_limit = { limit = 2, per = \"1h\" }"),
        route("here", "policy.public = true\npolicy.ip = { deny = [\"127.0.0.1\"] }"),
        route("gone", "policy.public = true")
            .replace("cluster = \"upstream\"", "cluster = \"nobody\""),
    );
    let open = "[[routes]]\nid = \"open\"\nmatch = { prefix = \"/fresh-check\" }\n\
                target = { cluster = \"upstream\" }\npolicy.public = true\n";
    Gateway::document(format!("{text}{open}")).knows(upstream).start().await
}

#[tokio::test]
async fn each_failure_is_found_under_its_reason() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let signer = Signer::ed();
    let gateway = failing(&upstream, &signer).await;
    let good = format!("Bearer {}", signer.token("a", &claims("ada")));
    let ask = |path: &str, token: &str| {
        let mut request = Request::builder().uri(path);
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        let request = request.body(gateway_tests::Payload::empty()).expect("a request");
        let mut client = Client::http1(gateway.addr());
        async move { client.send(request).await.status }
    };
    let cases = [
        ("/known", "", 401, "known", "unauthenticated"),
        ("/known", "Bearer planted.wrong.token", 401, "known", "token_invalid"),
        ("/admins", &*good, 403, "admins", "forbidden"),
        ("/here", "", 403, "here", "address_denied"),
        ("/gone", "", 502, "gone", "connect_failed"),
        ("/nowhere", "", 404, "", "route_not_found"),
    ];
    for (path, token, status, ..) in cases {
        assert_eq!(ask(path, token).await, status, "{path}");
    }
    assert_eq!(ask("/known", &good).await, 200);
    for status in [200, 200, 429, 429, 429] {
        assert_eq!(ask("/few", "").await, status);
    }
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await;
    assert!(raw.ends_within(Duration::from_secs(5)).await);
    let admin = gateway.admin();
    let framing = "gateway_requests_rejected_total{listener=\"public\",reason=\"framing_invalid\"}";
    let scrape = admin.counted(framing, 1.0).await;
    for (.., status, route, reason) in cases {
        scrape.assert(&failures(route, reason), 1.0);
        assert!(scrape.value(&requests(route, "GET", status)) >= 1.0, "{route} {status}");
    }
    scrape.assert(&failures("few", "rate_limited"), 3.0);
    scrape.assert(&requests("few", "GET", 429), 3.0);
    scrape.assert(&requests("known", "GET", 200), 1.0);
    let rejected = "gateway_rate_limit_requests_total{route=\"few\",outcome=\"rejected\"}";
    scrape.assert(rejected, 3.0);
    let failed = "gateway_upstream_attempts_total{cluster=\"nobody\",outcome=\"connect_failed\"}";
    assert!(scrape.value(failed) >= 1.0);
    scrape.assert("gateway_token_keys{provider=\"house\",state=\"fresh\"}", 1.0);
    let text = admin.get("/metrics").await.text();
    let token = good.trim_start_matches("Bearer ");
    assert!(!text.contains("planted") && !text.contains(token), "{text}");
}

#[tokio::test]
async fn a_handshake_that_fails_is_counted() {
    let upstream = Upstream::http1().start().await;
    let (authority, files) = (Authority::new("house"), Files::new());
    let pair = files.pair("server", &authority.server(&["gateway.test"]));
    let gateway = Gateway::document(format!(
        "[[listeners]]\nname = \"public\"\naddress = \"{{listen}}\"\n\
         tls = {{ certificates = [{pair}] }}\n{ADMIN}\
         [clusters.a]\nendpoints = [{:?}]\n[[routes]]\nid = \"a\"\nmatch = {{}}\n\
         target = {{ cluster = \"a\" }}\n",
        upstream.url()
    ))
    .start()
    .await;
    let admin = gateway.admin();
    let before = admin.metrics().await;
    let series = "gateway_handshakes_failed_total{listener=\"public\"}";
    // Probes of a load balancer, which say nothing, are no failures.
    Raw::connect(gateway.addr()).await.reset();
    let mut probe = Raw::connect(gateway.addr()).await;
    probe.finish().await;
    assert!(probe.ends_within(Duration::from_secs(5)).await);
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(raw.ends_within(Duration::from_secs(5)).await);
    let expected = before.value(series) + 1.0;
    let scrape = admin.counted(series, expected).await;
    let expiry = "gateway_certificate_expiry_timestamp_seconds\
                  {listener=\"public\",name=\"gateway.test\"}";
    assert!(scrape.value(expiry) > 1.7e9, "{scrape:?}");
}

#[tokio::test]
async fn what_is_dangerous_in_shadow_or_away_shows() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream)
        .with_admin()
        .route(
            "policy.rate_limit = [{ limit = 1, per = \"1h\", shadow = true, name = \"soon\", \
             store = \"redis\" }]",
        )
        .more(
            "[stores.redis]\nurl = \"redis://127.0.0.1:1\"\non_unavailable = \"share\"\n\
             [clusters.careless]\nendpoints = [\"https://127.0.0.1:1\"]\n\
             tls = { dangerous_accept_any_certificate = true }\n\
             [clusters.careful]\nendpoints = [\"https://127.0.0.1:1\"]\n",
        )
        .start()
        .await;
    let admin = gateway.admin();
    let scrape = admin.metrics().await;
    scrape.assert("gateway_upstream_tls_unverified{cluster=\"careless\"}", 1.0);
    scrape.assert("gateway_upstream_tls_unverified{cluster=\"careful\"}", 0.0);
    assert!(!scrape.has("gateway_upstream_tls_unverified{cluster=\"upstream\"}"));
    let mut client = Client::http1(gateway.addr());
    for _ in 0..4 {
        client.get("/orders").await.assert_ok("hello");
    }
    let away = "gateway_rate_limit_store_unavailable{route=\"all\",store=\"redis\"}";
    admin.counted(away, 1.0).await;
    let over = "gateway_rate_limit_over_total{route=\"all\",limit=\"soon\",shadow=\"true\"}";
    assert!(admin.metrics().await.value(over) >= 3.0);
}

#[tokio::test]
async fn a_document_that_is_rejected_shows_until_the_next_good_one() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).with_admin().start().await;
    let admin = gateway.admin();
    admin.metrics().await.assert("gateway_reload_failed", 0.0);
    gateway.edit_document("[clusters.upstream]", "[clusters.upstream]\nnothing = 1");
    assert_eq!(admin.reload().await.status, 409);
    let scrape = admin.metrics().await;
    scrape.assert("gateway_reload_failed", 1.0);
    scrape.assert("gateway_generation", 1.0);
    scrape.assert("gateway_state_changes_total{subject=\"snapshot\",to=\"kept\"}", 1.0);
    gateway.edit_document("\nnothing = 1", "");
    assert_eq!(admin.reload().await.status, 200);
    let scrape = admin.metrics().await;
    scrape.assert("gateway_reload_failed", 0.0);
    scrape.assert("gateway_generation", 2.0);
}

#[tokio::test]
async fn a_listener_for_scrapes_answers_nothing_else() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"\nbuckets = [\"10s\", \"1s\"]\n";
    let gateway = Gateway::to(&upstream).more(metrics).start().await;
    let log = gateway.log();
    let shown = log.lines().find_map(|line| line.strip_prefix("metrics on http://"));
    let shown = shown.unwrap_or_else(|| panic!("no listener for metrics:\n{log}"));
    let addr: SocketAddr = shown.trim().trim_end_matches("/metrics").parse().expect("an address");
    Client::http1(gateway.addr()).get("/orders").await.assert_ok("hello");
    let mut client = Client::http1(addr);
    let bucket = "http_request_duration_seconds_bucket{le=\"10.0\",route=\"all\"}";
    // A request is counted when its end has been taken.
    let counted = async {
        loop {
            let reply = client.get("/metrics").await;
            if gateway_tests::Scrape::of(&reply.text()).has(bucket) {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reply = gateway_tests::within(Duration::from_secs(5), bucket, counted).await;
    assert_eq!(reply.status, 200);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.header("content-type"), Some(kind));
    let scrape = gateway_tests::Scrape::of(&reply.text());
    scrape.assert(bucket, 1.0);
    assert!(!scrape.has("http_request_duration_seconds_bucket{le=\"5.0\",route=\"all\"}"));
    for path in ["/", "/status", "/metrics/", "/reload"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    let post = client.post("/metrics", gateway_tests::Payload::empty()).await;
    assert_eq!(post.status, 405);
}
