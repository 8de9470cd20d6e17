//! The end of a process (hardening 63).

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Frame, Gate, Gateway, GatewayBuilder, Payload, Raw, Step, Upstream, WebSocket,
    eventually, eventually_within, within,
};
use http::Request;
use tokio::net::TcpStream;

const END: Duration = Duration::from_secs(10);

fn drains(upstream: &Upstream) -> GatewayBuilder {
    Gateway::to(upstream).timeout("60s").more("[drain]\nlame_duck = \"0s\"\ndeadline = \"3s\"")
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
        .more("[drain]\nlame_duck = \"0s\"\ndeadline = \"60s\"")
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
