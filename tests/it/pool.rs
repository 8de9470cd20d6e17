//! Connections to endpoints: how many there are, and for how long.

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gate, Gateway, Payload, Step, Stream, Upstream, WebSocket, eventually_within,
    within,
};
use http::Request;

const PATIENCE: Duration = Duration::from_secs(20);

fn request(path: &str) -> Request<Payload> {
    Request::get(path).body(Payload::empty()).expect("a request")
}

#[tokio::test]
async fn tunnels_and_event_streams_do_not_count() {
    let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
    let upstream = Upstream::http1()
        .script(move |seen| match seen.target.as_str() {
            "/ws" => Answer::unread().then(Step::WebSocket(Vec::new())),
            "/events" => Answer::raw(events).then(Step::Hang),
            _ => Answer::ok("ok"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).cluster("pool.total = 2").start().await;
    let (mut sockets, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        sockets.push(WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket"));
        let mut client = Client::http1(gateway.addr());
        let mut stream = client.open(request("/events")).await.expect("an event stream");
        assert!(stream.next().await.is_some_and(|piece| piece.is_ok()));
        streams.push((client, stream));
    }
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    drop((sockets, streams));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn old_http2_connections_do_not_count() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::http2()
        .concurrent_streams(1)
        .script(move |seen| match seen.target.as_str() {
            "/events" => Stream::Hold(held.clone(), "late".into()),
            _ => Stream::ok("ok"),
        })
        .start()
        .await;
    let lines = "pool = { total = 1, max_age = \"200ms\" }";
    let gateway = Gateway::to(&upstream).cluster(lines).start().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        // Older than `max_age`, and in use: it takes nothing more, and does not count.
        let mut client = Client::http1(gateway.addr());
        streams.push((client.open(request("/events")).await.expect("a head"), client));
        tokio::time::sleep(Duration::from_millis(300)).await;
        Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    }
    gate.open_for_all();
    for (stream, _client) in streams {
        assert_eq!(stream.rest().await.text(), "late");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn idle_connections_are_kept_up_to_the_total() {
    let gate = Gate::new();
    let upstream = Upstream::http1()
        .answer(Answer::unread().then(Step::Gate(gate.clone())).then(Step::Reply(
            200,
            Vec::new(),
            "ok".into(),
        )))
        .start()
        .await;
    let gateway = Gateway::to(&upstream).top("workers = 1").start().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..150 {
        let mut client = Client::http1(gateway.addr());
        asking.spawn(async move { client.get("/").await });
    }
    let all = |seen: &usize| *seen == 150;
    eventually_within(PATIENCE, "every request", || upstream.seen().len(), all).await;
    gate.open_for_all();
    for reply in asking.join_all().await {
        reply.assert_ok("ok");
    }
    assert_eq!(upstream.open(), 150, "none was closed");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn streams_allowed_by_the_upstream_are_not_exceeded() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::http2()
        .concurrent_streams(2)
        .script(move |seen| match seen.target.as_str() {
            "/held" => Stream::Hold(held.clone(), "late".into()),
            _ => Stream::ok("ok"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..21 {
        let mut client = Client::http1(gateway.addr());
        asking.spawn(async move { (client.open(request("/held")).await, client) });
    }
    let streams = within(PATIENCE, "every head", asking.join_all()).await;
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    assert_eq!(upstream.connections(), 11);
    gate.open_for_all();
    for (stream, _client) in streams {
        assert_eq!(stream.expect("a head").rest().await.text(), "late");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn requests_beyond_the_total_wait_for_a_stream() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::http2()
        .concurrent_streams(1)
        .script(move |seen| match seen.target.as_str() {
            "/held" => Stream::Hold(held.clone(), "late".into()),
            _ => Stream::ok("ok"),
        })
        .start()
        .await;
    let pool = "pool = { total = 1, pending_timeout = \"500ms\" }";
    let gateway = Gateway::to(&upstream).cluster(pool).start().await;
    let mut holder = Client::http1(gateway.addr());
    let stream = holder.open(request("/held")).await.expect("a head");
    let reply = Client::http1(gateway.addr()).get("/").await;
    reply.assert_by_gateway(&[503]);
    let mut waiter = Client::http1(gateway.addr());
    let waiting = tokio::spawn(async move { waiter.get("/").await });
    gate.open_for_all();
    assert_eq!(stream.rest().await.text(), "late");
    waiting.await.expect("a reply").assert_ok("ok");
    assert_eq!(upstream.connections(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn stalled_readers_do_not_hold_up_others() {
    let upstream = Upstream::http2()
        .script(|seen| match seen.target.as_str() {
            "/endless" => Stream::Pattern(64 << 20),
            _ => Stream::Pattern(100_000),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut stalled = Vec::new();
    for _ in 0..12 {
        // A client of its own, whose windows fill up.
        let mut client = Client::http2(gateway.addr());
        stalled.push((client.open(request("/endless")).await.expect("a head"), client));
    }
    let mut sent = upstream.bytes_sent();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        match upstream.bytes_sent() {
            now if now == sent => break,
            now => sent = now,
        }
    }
    let mut neighbour = Client::http1(gateway.addr());
    let reply = within(PATIENCE, "the neighbour", neighbour.get("/")).await;
    assert_eq!((reply.status, reply.body.len()), (200, 100_000));
    drop(stalled);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn idle_http2_connections_are_closed() {
    let upstream = Upstream::http2().start().await;
    let pool = "pool.idle_timeout = \"300ms\"";
    let gateway = Gateway::to(&upstream).cluster(pool).start().await;
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    eventually_within(PATIENCE, "no connection", || upstream.open(), |open| *open == 0).await;
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
}
