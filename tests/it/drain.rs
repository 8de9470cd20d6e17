//! The end of a process (hardening 63).

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Frame, Gate, Gateway, GatewayBuilder, Payload, Raw, Step, Stream, Upstream,
    WebSocket, eventually, eventually_within, within,
};
use http::Request;
use tokio::net::TcpStream;

const END: Duration = Duration::from_secs(10);

fn drains(upstream: &Upstream) -> GatewayBuilder {
    Gateway::to(upstream).timeout("60s").more("[drain]\nlame_duck = \"0s\"\ntimeout = \"3s\"")
}

fn gated(gate: &Gate) -> Answer {
    Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst")
        .then(Step::Gate(gate.clone()))
        .send("after")
}

async fn no_longer_accepts(gateway: &Gateway) {
    let addr = gateway.addr();
    for _ in 0..500 {
        if TcpStream::connect(addr).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still accepts");
}

#[tokio::test]
async fn an_idle_process_ends_at_once_and_well() {
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::http1().start().await;
        let gateway = drains(&upstream).start().await;
        let mut client = Client::http1(gateway.addr());
        client.get("/").await.assert_ok("ok");
        gateway.signal(signal);
        let status = gateway.ended_within(Duration::from_secs(2)).await;
        assert!(status.success(), "{signal}: {status}");
    }
}

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let gate = Gate::new();
    let upstream = Upstream::http1().answer(gated(&gate)).start().await;
    let gateway = drains(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        asking.spawn(async move { client.get("/").await });
    }
    eventually("requests upstream", || upstream.seen().len(), |seen| *seen == 2).await;
    gateway.signal("TERM");
    no_longer_accepts(&gateway).await;
    gate.open_for_all();
    for reply in within(END, "answers", asking.join_all()).await {
        reply.assert_ok("firstafter");
    }
    assert!(gateway.ended_within(END).await.success());
}

#[tokio::test]
async fn requests_whose_answer_has_not_begun_are_finished() {
    let gate = Gate::new();
    let answer = Answer::ok("late").steps_after(Answer::unread().then(Step::Gate(gate.clone())));
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = drains(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        asking.spawn(async move { client.post("/", Payload::pattern(100_000)).await });
    }
    eventually("requests upstream", || upstream.seen().len(), |seen| *seen == 2).await;
    gateway.signal("TERM");
    no_longer_accepts(&gateway).await;
    gate.open_for_all();
    for reply in within(END, "answers", asking.join_all()).await {
        reply.assert_ok("late");
    }
    assert!(gateway.ended_within(END).await.success());
}

#[tokio::test]
async fn an_http1_connection_is_told_that_it_ends() {
    let gate = Gate::new();
    let answer = Answer::ok("late").steps_after(Answer::unread().then(Step::Gate(gate.clone())));
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = drains(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    eventually("a request upstream", || upstream.seen().len(), |seen| *seen == 1).await;
    gateway.signal("TERM");
    no_longer_accepts(&gateway).await;
    gate.open_for_all();
    let answer = raw.answer("GET").await.expect("an answer");
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("late", Some("close")));
    assert!(raw.ends_within(Duration::from_secs(2)).await);
    assert!(gateway.ended_within(END).await.success());
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = drains(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        asking.spawn(async move { client.get("/").await });
    }
    eventually("requests upstream", || upstream.seen().len(), |seen| *seen == 2).await;
    gateway.signal("TERM");
    gateway.ended_within(Duration::from_secs(3 + 2)).await;
    for reply in within(END, "ends", asking.join_all()).await {
        assert_ne!(reply.status, 200, "{reply:?}");
    }
    eventually_within(END, "nothing upstream", || upstream.open(), |open| *open == 0).await;
}

#[tokio::test]
async fn open_streams_of_events_and_websockets_do_not_hold_the_end_up() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/ws" => Answer::unread().then(Step::WebSocket(vec![Frame::text("hello")])),
            _ => Answer::raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata\n\n")
                .then(Step::Hang),
        })
        .start()
        .await;
    let gateway = drains(&upstream).start().await;
    let mut socket = WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket");
    assert_eq!(socket.next().await, Some(Frame::text("hello")));
    let mut client = Client::http1(gateway.addr());
    let request = Request::builder().uri("/events").body(Payload::empty()).expect("a request");
    let events = client.open(request).await.expect("a head");
    gateway.signal("TERM");
    gateway.ended_within(Duration::from_secs(3 + 2)).await;
    drop(events);
}

#[tokio::test]
async fn a_second_signal_ends_it_now() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream)
        .timeout("60s")
        .more("[drain]\nlame_duck = \"0s\"\ntimeout = \"60s\"")
        .start()
        .await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    eventually("a request upstream", || upstream.seen().len(), |seen| *seen == 1).await;
    gateway.signal("TERM");
    no_longer_accepts(&gateway).await;
    gateway.signal("TERM");
    gateway.ended_within(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn clients_are_asked_to_leave_with_the_lame_duck() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream)
        .with_admin()
        .more("[drain]\nlame_duck = \"60s\"\ntimeout = \"1s\"")
        .start()
        .await;
    let mut http2 = Client::http2(gateway.addr());
    http2.get("/").await.assert_ok("ok");
    assert_eq!(gateway.admin().ready().await.status, 200);
    gateway.signal("TERM");
    for _ in 0..500 {
        if gateway.admin().ready().await.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(gateway.admin().ready().await.status, 503);
    // New connections are served until the drain, each with a single response over HTTP/1.
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    let response = raw.answer("GET").await.expect("a response");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    // The connection of before got a GOAWAY, and the client opens another one.
    for _ in 0..500 {
        http2.get("/").await.assert_ok("ok");
        if http2.connections() > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(http2.connections(), 2);
    http2.get("/").await.assert_ok("ok");
    assert_eq!(http2.connections(), 2, "a connection of the lame duck is kept until the drain");
    gateway.signal("TERM");
    gateway.ended_within(END).await;
}

/// The workers share HTTP/2 connections to upstreams, each of which lives on one worker.
#[tokio::test]
async fn responses_over_h2c_outlive_the_other_workers() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::http2()
        .script(move |seen| match seen.target.as_str() {
            "/held" => Stream::Hold(held.clone(), "held".into()),
            _ => Stream::ok("ok"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream)
        .top("workers = 8")
        .more("[drain]\nlame_duck = \"0s\"\ntimeout = \"20s\"")
        .start()
        .await;
    // Opens the connection to the upstream, most likely on another worker than the next client's.
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    let mut client = Client::http1(gateway.addr());
    let request = Request::builder().uri("/held").body(Payload::empty()).expect("a request");
    let response = client.open(request).await.expect("a head");
    gateway.signal("TERM");
    no_longer_accepts(&gateway).await;
    // Idle workers have long drained by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.open_for_all();
    within(END, "the response", response.rest()).await.assert_ok("held");
    assert!(gateway.ended_within(END).await.success());
}
