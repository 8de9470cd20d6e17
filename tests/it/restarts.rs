//! Endpoints that are restarted one after the other, under requests that do not stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_tests::{Answer, Client, Gateway, Upstream, eventually};
use tokio::time::sleep;

/// How long a process is away.
const AWAY: Duration = Duration::from_millis(700);

async fn started(at: Option<SocketAddr>) -> Upstream {
    let builder = Upstream::http1().answer(Answer::ok("hello"));
    match at {
        Some(at) => builder.at(at).start().await,
        None => builder.start().await,
    }
}

/// Sends requests until `stop`. Returns how many succeeded, and the first failure.
async fn send_requests(gateway: SocketAddr, stop: Arc<AtomicBool>) -> (usize, Option<String>) {
    let mut client = Client::http1(gateway);
    let mut succeeded = 0;
    while !stop.load(Ordering::SeqCst) {
        let reply = client.get("/").await;
        if reply.status != 200 || !reply.is_complete() {
            return (succeeded, Some(format!("{reply:?}")));
        }
        succeeded += 1;
        sleep(Duration::from_millis(2)).await;
    }
    (succeeded, None)
}

#[tokio::test]
async fn rolling_restart_loses_no_request() {
    for line in ["", "policy.retry = { max_retries = 1 }"] {
        let mut upstreams = [started(None).await, started(None).await];
        let [first, second] = &upstreams;
        let gateway = Gateway::to(first).and(second).route(line).start().await;
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..8)
            .map(|_| tokio::spawn(send_requests(gateway.addr(), Arc::clone(&stop))))
            .collect();
        for round in 0..4 {
            let upstream = &mut upstreams[round % 2];
            let addr = upstream.addr();
            sleep(Duration::from_millis(100)).await;
            upstream.kill();
            sleep(AWAY).await;
            *upstream = started(Some(addr)).await;
        }
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            let (succeeded, failure) = client.await.expect("a client");
            assert_eq!(failure, None, "after {succeeded} requests with {line:?}");
            assert!(succeeded > 0);
        }
    }
}

#[tokio::test]
async fn endpoint_that_accepts_connections_again_is_used() {
    let mut upstreams = [started(None).await, started(None).await];
    let [first, second] = &upstreams;
    let gateway = Gateway::to(first).and(second).with_admin().start().await;
    let mut client = Client::http1(gateway.addr());
    client.get("/").await.assert_ok("hello");
    let addr = upstreams[0].addr();
    upstreams[0].kill();
    let ejected = async {
        loop {
            client.get("/").await.assert_ok("hello");
            let shown = gateway.admin().cluster("upstream").await["endpoints"].clone();
            if shown.as_array().expect("endpoints").iter().any(|one| !one["ejected"].is_null()) {
                return;
            }
        }
    };
    gateway_tests::within(Duration::from_secs(10), "an ejection", ejected).await;
    // By default for 30 s.
    upstreams[0] = started(Some(addr)).await;
    let (gateway_addr, back) = (gateway.addr(), &upstreams[0]);
    let requests = tokio::spawn(async move {
        let mut client = Client::http1(gateway_addr);
        loop {
            client.get("/").await.assert_ok("hello");
            sleep(Duration::from_millis(10)).await;
        }
    });
    eventually("requests at the first one", || back.seen().len(), |seen| *seen > 10).await;
    requests.abort();
}
