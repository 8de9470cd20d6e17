use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_core::{
    Body, ConnectionInfo, Error, FixedResponse, ListenerInfo, Module, Outcome, Reason, Request,
    RequestContext, Response, context, module_fn,
};
use http::{HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use super::{FALLBACK, FailureKind, FallbackConfig, FallbackLayer};

/// What a module was asked: method, target, a header and the body.
type Asked = Arc<Mutex<Vec<String>>>;

/// Reads the request to its end and keeps it, then answers so.
fn asked(answer: fn() -> Outcome) -> (Module, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let module = module_fn(move |request: Request| {
        let seen = Arc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let header = head.headers.get("x-a").map_or("-", |value| value.to_str().unwrap());
            let body = String::from_utf8_lossy(&body[..body.len().min(16)]).into_owned();
            seen.lock().unwrap().push(format!("{} {} {header} {body}", head.method, head.uri));
            answer()
        }
    });
    (Module::new(module), asked)
}

fn fails(reason: Reason) -> Module {
    Module::new(module_fn(move |_: Request| async move { Err::<Response, Error>(reason.into()) }))
}

fn answers(status: StatusCode) -> Module {
    Module::new(FixedResponse::new(status).body(HeaderValue::from_static("text/plain"), "first"))
}

fn legacy() -> Outcome {
    Ok(Response::new("legacy".into()))
}

fn broken() -> Outcome {
    Err(Error::new(Reason::ConnectFailed).with_source(std::io::Error::other("rejected")))
}

fn sorry() -> FallbackLayer {
    let answer = FixedResponse::new(StatusCode::OK);
    let answer = answer.body(HeaderValue::from_static("text/plain"), "sorry");
    FallbackLayer::respond(answer).name("sorry")
}

fn request(method: Method, body: impl Into<Body>) -> (Request, RequestContext) {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    let request = http::Request::builder().method(method).uri("/a?b=c").header("x-a", "1");
    let mut request = request.body(body.into()).unwrap();
    request.extensions_mut().insert(context.clone());
    (request, context)
}

fn get() -> Request {
    request(Method::GET, Body::empty()).0
}

async fn call(layer: FallbackLayer, module: Module, request: Request) -> Outcome {
    layer.layer(module).oneshot(request).await
}

async fn text(outcome: Outcome) -> Bytes {
    outcome.unwrap().into_body().collect().await.unwrap().to_bytes()
}

fn streamed(pieces: Vec<Result<Bytes, Reason>>) -> Body {
    let frames = pieces.into_iter().map(|piece| piece.map(Frame::data).map_err(Error::new));
    Body::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())))
}

#[tokio::test]
async fn an_answer_passes_unmarked() {
    let (module, asked) = asked(legacy);
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let layer = FallbackLayer::new(module.clone());
        let response = call(layer, answers(status), get()).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key(FALLBACK));
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_module_is_asked_the_same_and_its_answer_is_marked() {
    let (module, asked) = asked(legacy);
    let layer = FallbackLayer::new(module).name("legacy");
    let (request, context) = request(Method::POST, "body");
    let response = call(layer, fails(Reason::CircuitOpen), request).await.unwrap();
    assert_eq!(response.headers()[FALLBACK], "legacy");
    assert_eq!(text(Ok(response)).await, "legacy");
    assert_eq!(*asked.lock().unwrap(), ["POST /a?b=c 1 body"]);
    let note = context.record().fallback();
    let expected = context::Fallback::new("legacy".into(), Err(Reason::CircuitOpen));
    assert_eq!(note.as_deref(), Some(&expected));
}

#[tokio::test]
async fn a_fixed_answer_stands_in_for_statuses_too() {
    let (request, context) = request(Method::GET, Body::empty());
    let outcome = call(sorry(), answers(StatusCode::BAD_GATEWAY), request).await;
    assert_eq!(text(outcome).await, "sorry");
    let note = context.record().fallback().unwrap();
    assert_eq!(note.failed, Ok(StatusCode::BAD_GATEWAY));
}

#[tokio::test]
async fn what_the_client_did_stands() {
    for reason in [
        Reason::RequestIncomplete,
        Reason::BodyTooLarge,
        Reason::ClientGone,
        Reason::RequestTimeout,
        Reason::RouteNotFound,
        Reason::LoadShed,
    ] {
        let (request, context) = request(Method::GET, Body::empty());
        let outcome = call(sorry(), fails(reason), request).await;
        assert_eq!(outcome.unwrap_err().reason(), reason);
        assert_eq!(context.record().fallback(), None);
    }
}

#[tokio::test]
async fn only_what_is_chosen_is_fallen_back_from() {
    let config = FallbackConfig {
        on: vec![FailureKind::Connect],
        statuses: vec![StatusCode::NOT_FOUND],
        ..FallbackConfig::default()
    };
    let layer = sorry().config(config);
    for (module, falls_back) in [
        (fails(Reason::ConnectFailed), true),
        (fails(Reason::CircuitOpen), false),
        (answers(StatusCode::NOT_FOUND), true),
        (answers(StatusCode::BAD_GATEWAY), false),
    ] {
        let outcome = call(layer.clone(), module, get()).await;
        let marked = outcome.is_ok_and(|response| response.headers().contains_key(FALLBACK));
        assert_eq!(marked, falls_back);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_counts_where_the_time_was_the_gateways() {
    for own in [true, false] {
        let (request, context) = request(Method::GET, Body::empty());
        let deadline = context.started() + Duration::from_secs(1);
        if own {
            context.set_deadline(deadline);
        } else {
            context.set_stated_deadline(deadline);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        let outcome = call(sorry(), fails(Reason::RouteTimeout), request).await;
        assert_eq!(outcome.is_ok(), own);
    }
}

#[tokio::test]
async fn when_both_fail_the_first_failure_stands_and_the_log_has_both() {
    for status in [None, Some(StatusCode::SERVICE_UNAVAILABLE)] {
        let (module, _) = asked(broken);
        let (request, context) = request(Method::GET, Body::empty());
        let first = status.map_or_else(|| fails(Reason::NoEndpoint), answers);
        match call(FallbackLayer::new(module), first, request).await {
            Err(error) => assert_eq!((error.reason(), status), (Reason::NoEndpoint, None)),
            Ok(response) => {
                assert_eq!(Some(response.status()), status);
                assert!(!response.headers().contains_key(FALLBACK));
                assert_eq!(text(Ok(response)).await, "first");
            }
        }
        let note = context.record().fallback().unwrap();
        assert_eq!(note.failure.as_deref(), Some("connect_failed: rejected"));
    }
}

#[tokio::test]
async fn nothing_is_done_twice_that_must_not_be() {
    for (method, reason, any_method, falls_back) in [
        (Method::PUT, Reason::UpstreamClosed, false, true),
        (Method::POST, Reason::ConnectFailed, false, true),
        (Method::POST, Reason::UpstreamClosed, false, false),
        (Method::POST, Reason::UpstreamClosed, true, true),
    ] {
        let (module, asked) = asked(legacy);
        let layer = FallbackLayer::new(module)
            .config(FallbackConfig { any_method, ..FallbackConfig::default() });
        let (request, context) = request(method, "body");
        let outcome = call(layer, fails(reason), request).await;
        assert_eq!(outcome.is_ok(), falls_back);
        assert_eq!(asked.lock().unwrap().len(), usize::from(falls_back));
        let failure = context.record().fallback().unwrap().failure.clone();
        assert_eq!(failure.is_none(), falls_back, "{failure:?}");
    }
}

/// Reads the body to its end before it fails.
fn reads() -> Module {
    asked(|| Err(Reason::UpstreamClosed.into())).0
}

#[tokio::test]
async fn a_body_that_passed_is_sent_again_and_one_that_is_gone_is_not() {
    for (size, falls_back) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let (module, asked) = asked(legacy);
        let body = streamed(vec![Ok(Bytes::from(vec![b'x'; size - 1])), Ok("y".into())]);
        let (request, context) = request(Method::PUT, body);
        let outcome = call(FallbackLayer::new(module), reads(), request).await;
        assert_eq!(outcome.is_ok(), falls_back);
        assert_eq!(asked.lock().unwrap().len(), usize::from(falls_back));
        let failure = context.record().fallback().unwrap().failure.clone();
        assert_eq!(failure.is_some_and(|text| text.contains("gone")), !falls_back);
    }
}

#[tokio::test]
async fn a_fixed_answer_needs_no_body() {
    let body = streamed(vec![Ok(Bytes::from(vec![b'x'; 100_000]))]);
    let (request, _) = request(Method::POST, body);
    assert_eq!(text(call(sorry(), reads(), request).await).await, "sorry");
}

#[tokio::test]
async fn a_body_that_broke_off_is_nobodys_failure() {
    let (module, asked) = asked(legacy);
    let body = streamed(vec![Ok("a".into()), Err(Reason::RequestIncomplete)]);
    let (request, _) = request(Method::PUT, body);
    let careless = module_fn(|request: Request| async move {
        let _ = request.into_body().collect().await;
        Err::<Response, Error>(Reason::UpstreamClosed.into())
    });
    let outcome = call(FallbackLayer::new(module), Module::new(careless), request).await;
    assert_eq!(outcome.unwrap_err().reason(), Reason::UpstreamClosed);
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_is_no_value_is_replaced_in_the_answer() {
    let outcome = call(sorry().name("a\nb"), fails(Reason::NoEndpoint), get()).await;
    assert_eq!(outcome.unwrap().headers()[FALLBACK], "fallback");
}
