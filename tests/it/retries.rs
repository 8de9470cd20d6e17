//! Retries and hedges around a cluster: nothing doubled, no storm, nothing left behind (hardening
//! 15, 17, 25, 26, 47).

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_core::budget::{RetryBudget, RetryBudgetConfig};
use gateway_core::{Body, Cluster, Error, Module, Outcome, Request};
use gateway_layers::hedge::{Delay, HedgeLayer};
use gateway_layers::retry::{Backoff, RetryLayer};
use gateway_tests::{Answer, Failures, Seen, Upstream, eventually};
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt};

use crate::corpus::deaths;

fn cluster(upstream: &Upstream) -> Module {
    let address = upstream.url().parse().expect("an address");
    Module::new(Cluster::builder("upstream").endpoint(address).build().expect("a cluster"))
}

fn request(method: &str, target: &str, body: Body) -> Request {
    let request = http::Request::builder().method(method).uri(target);
    request.header("host", "upstream.test").body(body).expect("a request")
}

/// A body that comes in pieces.
fn pieces() -> Body {
    let pieces = ["ab", "cd"].map(|piece| Ok::<_, Error>(Frame::data(Bytes::from(piece))));
    Body::new(StreamBody::new(stream::iter(pieces)))
}

async fn text(outcome: Outcome) -> String {
    match outcome {
        Ok(response) => {
            let body = response.into_body().collect().await.expect("a whole body").to_bytes();
            String::from_utf8_lossy(&body).into_owned()
        }
        Err(error) => error.reason().code().to_owned(),
    }
}

/// The first request of every target dies, later ones are answered with what came.
fn dies_once() -> impl Fn(&Seen) -> Answer + Send + Sync {
    let (deaths, known) = (deaths(), Mutex::new(HashSet::new()));
    move |seen| {
        let number = seen.target.split('/').nth(1).and_then(|number| number.parse::<usize>().ok());
        let is_first = known.lock().expect("a lock").insert(seen.target.clone());
        let death = number.and_then(|number| deaths.get(number)).filter(|_| is_first);
        death.map_or_else(Answer::echo, |(_, answer)| answer.clone())
    }
}

#[tokio::test]
async fn what_died_is_sent_again_and_nothing_unsafe_is() {
    let upstream = Upstream::http1().script(dies_once()).start().await;
    let service = RetryLayer::new().layer(cluster(&upstream));
    let mut failures = Failures::new();
    for (index, (name, _)) in deaths().iter().enumerate() {
        for method in ["PUT", "POST"] {
            for (kind, body) in [("full", Body::full("abcd")), ("pieces", pieces())] {
                let target = format!("/{index}/{method}/{kind}");
                let outcome = service.clone().oneshot(request(method, &target, body)).await;
                let text = text(outcome).await;
                let seen = upstream.seen();
                let seen: Vec<_> = seen.iter().filter(|seen| seen.target == target).collect();
                let good = match method {
                    "PUT" => text == "abcd" && seen.len() == 2,
                    _ => text.starts_with("upstream_") && seen.len() == 1,
                };
                let whole = seen.iter().all(|seen| b"abcd".starts_with(&seen.body));
                failures.check(good && whole, || format!("{name} {target}: {text}, {seen:?}"));
            }
        }
    }
    failures.assert_none();
}

#[tokio::test]
async fn an_answer_that_broke_off_is_not_asked_for_again() {
    let cut = Answer::raw("HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\nhalf");
    let cut = cut.pause(Duration::from_millis(50)).then(gateway_tests::Step::Close);
    let upstream = Upstream::http1().answer(cut).start().await;
    let service = RetryLayer::new().statuses([]).layer(cluster(&upstream));
    let response = service.oneshot(request("GET", "/", Body::empty())).await.expect("a head");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_fails_everything_gets_little_more_than_its_load() {
    const REQUESTS: usize = 500;
    let busy = Answer::status(503, "busy").header("retry-after", "0");
    let upstream = Upstream::http1().answer(busy).start().await;
    let mut budget = RetryBudgetConfig::default();
    budget.min_per_second = 0;
    let retry = RetryLayer::new()
        .max_retries(3)
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
        .budget(RetryBudget::new(&budget));
    let service = retry.layer(cluster(&upstream));
    for _ in 0..REQUESTS {
        let outcome = service.clone().oneshot(request("GET", "/", Body::empty())).await;
        // The upstream's own answer, as it is.
        assert_eq!(outcome.as_ref().expect("an answer").headers()["retry-after"], "0");
        assert_eq!(text(outcome).await, "busy");
    }
    let seen = upstream.seen().len();
    assert!(seen > REQUESTS && seen * 10 <= REQUESTS * 12, "{seen} of {REQUESTS}");
    // What was not passed on had come whole: its connection was used again.
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn who_loses_a_hedge_sees_its_client_go() {
    let upstream = Upstream::http1().script(|seen| match seen.connection {
        0 => Answer::hang(),
        _ => Answer::ok("second"),
    });
    let upstream = upstream.start().await;
    let hedge = HedgeLayer::new().delay(Delay::Fixed(Duration::from_millis(20)));
    let service = hedge.layer(cluster(&upstream));
    let outcome = service.oneshot(request("GET", "/", Body::empty())).await;
    assert_eq!(text(outcome).await, "second");
    let left = || upstream.seen().first().is_some_and(|seen| seen.left.is_some());
    eventually("the first one is given up", left, |left| *left).await;
    assert_eq!(upstream.seen().len(), 2);
}
