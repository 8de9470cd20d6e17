//! Slow and stopped parties: bounded memory, and everyone else is served (hardening 32 to 41).

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::{
    Answer, Client, Ended, Gateway, Pattern, Payload, Raw, Step, Stream, Upstream,
    eventually_within, within,
};
use http::Request;
use tokio::net::TcpStream;
use tokio::time::Instant;

const MIB: usize = 1 << 10;
const LARGE: u64 = 128 << 20;
const SENT: u64 = 64 << 20;
const SOON: Duration = Duration::from_secs(4);

fn get(path: &str) -> Request<Payload> {
    Request::builder().uri(path).body(Payload::empty()).expect("a request")
}

fn large_answer() -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
    Answer::raw(head).then(Step::Pattern(LARGE))
}

/// Fails when the gateway grew by more than `limit` MiB at any time since its start.
fn assert_bounded(gateway: &Gateway, before: usize, limit: usize, what: &str) {
    let grown = gateway.usage().peak_kib.saturating_sub(before);
    assert!(grown < limit * MIB, "{what}: {grown} KiB more");
}

#[tokio::test]
async fn a_client_that_stops_reading_holds_back_the_upstream() {
    let http1 = Upstream::http1().answer(large_answer()).start().await;
    let http2 = Upstream::http2().answer(Stream::Pattern(LARGE)).start().await;
    for upstream in [http1, http2] {
        let gateway = Gateway::to(&upstream)
            .timeout("60s")
            .route("policy.body_limit = \"1GiB\"")
            .start()
            .await;
        let before = gateway.usage().peak_kib;
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let sent = upstream.bytes_sent();
            let mut answer = client.open(get("/")).await.expect("a head");
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            assert!(upstream.bytes_sent() - sent < SENT, "{} sent", upstream.bytes_sent() - sent);
            assert_bounded(&gateway, before, 16, "an answer nobody reads");
            let mut verifier = Pattern::new(1).verifier();
            while let Some(piece) = answer.next().await {
                verifier.feed(&piece.expect("no error"));
            }
            assert!(verifier.exact() && verifier.length() == LARGE, "{}", verifier.length());
        }
        assert_bounded(&gateway, before, 16, "an answer read late");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_holds_back_the_client() {
    let upstream = Upstream::http1().answer(Answer::unread().then(Step::Deaf)).start().await;
    let gateway =
        Gateway::to(&upstream).timeout("60s").route("policy.body_limit = \"1GiB\"").start().await;
    let before = gateway.usage().peak_kib;
    let mut sending = tokio::task::JoinSet::new();
    for length in [true, false] {
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let body = match length {
                true => Payload::pattern(LARGE),
                false => Payload::unsized_pattern(LARGE),
            };
            sending.spawn(async move { client.post("/", body).await });
        }
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(sending.try_join_next().is_none(), "an answer to an unread upload");
    assert_bounded(&gateway, before, 4 * 16, "four uploads nobody reads");
    sending.shutdown().await;
    gateway.assert_quiet().await;
}

/// Asks for 50 answers on one HTTP/2 connection with this window, and then does not read.
async fn fifty_unread(gateway: &Gateway, window: u32, keep_polling: bool) {
    let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 30);
    let (mut sender, connection) = builder.handshake::<_, Bytes>(socket).await.expect("h2");
    tokio::pin!(connection);
    let mut answers = Vec::new();
    for _ in 0..50 {
        let request = Request::get("http://gateway.test/").body(()).expect("a request");
        let ready = std::future::poll_fn(|cx| {
            // The connection moves only when it is polled.
            let _ = std::future::Future::poll(connection.as_mut(), cx);
            sender.poll_ready(cx)
        });
        ready.await.expect("a stream");
        answers.push(sender.send_request(request, true).expect("a stream").0);
    }
    let wait = tokio::time::sleep(Duration::from_millis(1_500));
    if keep_polling {
        let _ = tokio::time::timeout(Duration::from_millis(1_500), connection.as_mut()).await;
    } else {
        // Just long enough to write the requests.
        let _ = tokio::time::timeout(Duration::from_millis(30), connection.as_mut()).await;
        wait.await;
    }
}

#[tokio::test]
async fn fifty_answers_without_a_reader_are_bounded() {
    let upstream = Upstream::http1().answer(large_answer()).start().await;
    for (what, window, keep_polling) in
        [("no window", 0, true), ("small windows", 65_535, true), ("huge windows", 1 << 30, false)]
    {
        let gateway = Gateway::to(&upstream)
            .timeout("60s")
            .route("policy.body_limit = \"1GiB\"")
            .start()
            .await;
        Client::http2(gateway.addr()).get(gateway_tests::FRESH).await.assert_ok("fresh");
        let before = gateway.usage().peak_kib;
        fifty_unread(&gateway, window, keep_polling).await;
        assert_bounded(&gateway, before, 32, what);
        let open = || upstream.open();
        eventually_within(SOON, "streams given up", open, |open| *open <= 1).await;
        gateway.assert_quiet_without_healing().await;
    }
}

#[tokio::test]
async fn a_stalled_stream_does_not_stop_its_neighbours() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/large" => large_answer(),
            _ => Answer::ok("ok"),
        })
        .start()
        .await;
    let gateway =
        Gateway::to(&upstream).timeout("60s").route("policy.body_limit = \"1GiB\"").start().await;
    let mut client = Client::http2(gateway.addr());
    client.connect().await;
    let mut neighbour = client.neighbour();
    let stalled = client.open(get("/large")).await.expect("a head");
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..200 {
        within(SOON, "a neighbour", neighbour.get("/small")).await.assert_ok("ok");
    }
    drop(stalled);
    drop((client, neighbour));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn slow_heads_are_cut_and_nobody_else_waits() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).listener("timeouts = { header = \"1s\" }").start().await;
    let mut slow = tokio::task::JoinSet::new();
    for number in 0..300 {
        let addr = gateway.addr();
        slow.spawn(async move {
            let mut raw = Raw::connect(addr).await;
            let parts: &[&str] = match number % 4 {
                0 => &[],
                1 => &["GET / HT"],
                2 => &["PRI * HTTP/2.0\r\n\r\n"],
                _ => &["GET / HTTP/1.1\r\n", "a: 1\r\n", "b: 1\r\n", "c: 1\r\n", "d: 1\r\n"],
            };
            for part in parts {
                raw.send(part).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            (number % 4, raw.ends_within(SOON).await)
        });
    }
    let mut client = Client::http1(gateway.addr());
    for _ in 0..50 {
        within(SOON, "another request", client.get("/")).await.assert_ok("ok");
    }
    for (kind, cut) in slow.join_all().await {
        assert!(cut, "kind {kind} is still open");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream)
        .listener("timeouts = { idle = \"1s\", header = \"3s\" }")
        .start()
        .await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    assert_eq!(raw.answer("GET").await.expect("an answer").status, 200);
    assert_eq!(raw.read_to_end(SOON).await, (Vec::new(), Ended::Closed));
    // A settled HTTP/2 connection without a stream.
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0").await;
    assert!(raw.ends_within(Duration::from_secs(6)).await);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_leave_no_trace() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let before = gateway.usage();
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
        assert_eq!(raw.answer("GET").await.expect("an answer").status, 200);
        idle.push(raw);
    }
    let grown = gateway.usage().resident_kib.saturating_sub(before.resident_kib);
    eprintln!("{:.1} KiB for each idle connection", grown as f64 / 1_000.0);
    assert!(grown < 100 * MIB, "{grown} KiB for 1,000 connections");
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    drop(idle);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_process_without_descriptors_serves_on_and_recovers() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).descriptors(256).start().await;
    let mut old = Raw::connect(gateway.addr()).await;
    old.send("GET /old HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    assert_eq!(old.answer("GET").await.expect("an answer").status, 200);
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(Raw::connect(gateway.addr()).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (ticks, time) = (gateway.usage().cpu_ticks, Instant::now());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let used = (gateway.usage().cpu_ticks - ticks) as f64 / 100.0;
    let share = used / time.elapsed().as_secs_f64();
    assert!(share < 0.5, "{share} of a processor while nothing can be accepted");
    old.send("GET /old HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    assert_eq!(old.answer("GET").await.expect("an answer").status, 200);
    drop(crowd);
    let mut client = Client::http1(gateway.addr());
    within(Duration::from_secs(10), "a new client", client.get("/")).await.assert_ok("ok");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn workers_share_the_limit_of_connections() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream)
        .top("workers = 4")
        .listener("limits = { connections = 4 }")
        .start()
        .await;
    // The kernel spreads connections unevenly: with a share for each worker some of four would wait.
    for _ in 0..6 {
        let mut open = Vec::new();
        for _ in 0..4 {
            let mut raw = Raw::connect(gateway.addr()).await;
            raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
            assert_eq!(raw.answer("GET").await.expect("a response").status, 200);
            open.push(raw);
        }
        let mut fifth = Raw::connect(gateway.addr()).await;
        fifth.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
        assert!(fifth.answer_within(Duration::from_millis(200), "GET").await.is_none());
        open.pop();
        assert_eq!(fifth.answer("GET").await.expect("a response").status, 200);
        drop((open, fifth));
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn raises_the_limit_of_open_files() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).soft_descriptors(64).start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid()));
    let limits = limits.expect("the limits of a process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let numbers: Vec<_> = line.expect("a limit of files").split_whitespace().collect();
    assert_eq!(numbers[0], numbers[1], "{line:?}");
    assert_ne!(numbers[0], "64");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_upload_that_stalls_is_cut() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream)
        .timeout("30s")
        .listener("timeouts = { body_idle = \"1s\" }")
        .start()
        .await;
    for head in
        ["Content-Length: 100\r\n\r\nten bytes.", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
    {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("POST / HTTP/1.1\r\nHost: gateway.test\r\n{head}")).await;
        let (bytes, ended) = raw.read_to_end(SOON).await;
        assert_ne!(ended, Ended::Open, "{head}");
        assert!(!bytes.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(upstream.seen().iter().all(|seen| !seen.complete), "{:?}", upstream.seen());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_upload_that_drips_is_cut_by_the_total_time() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100\r\n\r\n").await;
    let dripping = async {
        while raw.send("x").await {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if raw.read_until(Duration::from_millis(1), "HTTP/1.1").await {
                return;
            }
        }
    };
    within(SOON, "the end of a dripping upload", dripping).await;
    assert!(upstream.seen().iter().all(|seen| !seen.complete), "{:?}", upstream.seen());
    gateway.assert_quiet().await;
}
