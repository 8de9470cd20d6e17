use std::thread;

use futures_util::FutureExt;
use gateway_core::{
    Error, FixedResponse, Gateway, Module, Request, Response, Route, RouteMatch, module_fn,
};
use http::StatusCode;
use http_body_util::BodyExt;

use super::*;

/// Sends `request` and takes its answer to the end.
fn send(gateway: &Gateway, request: Request) -> StatusCode {
    let response = gateway.handle(request).now_or_never().expect("an answer at once");
    let status = response.status();
    drop(response.into_body().collect().now_or_never());
    status
}

fn get(path: &str) -> Request {
    let mut request = Request::new(gateway_core::Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("host", "gateway.test".parse().unwrap());
    request
}

fn gateway(metrics: &Metrics, routes: impl IntoIterator<Item = Route<Module>>) -> Gateway {
    let builder = Gateway::builder().observer(metrics.clone());
    builder.routes(routes).build().unwrap()
}

fn route(id: &str, module: Module) -> Route<Module> {
    Route::new(id, module).matching(RouteMatch::prefix("/").unwrap())
}

fn answers(status: u16) -> Module {
    Module::new(FixedResponse::new(StatusCode::from_u16(status).unwrap()))
}

#[track_caller]
fn assert_shows(text: &str, line: &str) {
    assert!(text.lines().any(|own| own == line), "no {line} in\n{text}");
}

#[test]
fn every_reason_has_its_series() {
    for reason in Reason::ALL {
        let metrics = Metrics::new();
        let fails =
            module_fn(move |_: Request| async move { Err::<Response, _>(Error::new(*reason)) });
        let status = send(&gateway(&metrics, [route("all", Module::new(fails))]), get("/"));
        let (text, code) = (metrics.encode(), reason.code());
        let failures = format!("gateway_failures_total{{route=\"all\",reason=\"{code}\"}} 1");
        assert_shows(&text, &failures);
        let status = status.as_u16();
        let requests =
            format!("http_requests_total{{route=\"all\",method=\"GET\",status=\"{status}\"}} 1");
        assert_shows(&text, &requests);
    }
}

#[test]
fn all_that_threads_count_is_there_once() {
    let metrics = Metrics::new();
    let gateway = gateway(&metrics, [route("all", answers(204))]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|_| assert_eq!(send(&gateway, get("/a")), 204)));
        }
        // While others count, what is shown never goes back.
        let shown = |text: String| {
            let line = text.lines().find(|line| line.starts_with("http_requests_total"));
            line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        };
        let mut before = 0;
        for _ in 0..20 {
            let now = shown(metrics.encode());
            assert!(now >= before);
            before = now;
        }
    });
    let text = metrics.encode();
    assert_shows(&text, "http_requests_total{route=\"all\",method=\"GET\",status=\"204\"} 4000");
    assert_shows(&text, "http_request_duration_seconds_count{route=\"all\"} 4000");
    assert_shows(&text, "http_request_duration_seconds_bucket{le=\"+Inf\",route=\"all\"} 4000");
}

#[test]
fn no_client_makes_a_series_of_its_own() {
    let metrics = Metrics::new();
    let gateway = gateway(
        &metrics,
        [Route::new("a", answers(204)).matching(RouteMatch::path("/a").unwrap())],
    );
    for number in 0..50 {
        let mut request = get(&format!("/nowhere/{number}?token=secret"));
        *request.method_mut() = format!("MADE-UP-{number}").parse().unwrap();
        request.headers_mut().insert("x-user", "secret".parse().unwrap());
        send(&gateway, request);
    }
    let text = metrics.encode();
    assert_shows(&text, "http_requests_total{route=\"\",method=\"other\",status=\"404\"} 50");
    assert_shows(&text, "gateway_failures_total{route=\"\",reason=\"route_not_found\"} 50");
    assert!(!text.contains("secret") && !text.contains("nowhere") && !text.contains("MADE"));
}

#[test]
fn names_that_there_is_no_room_for_are_counted_together() {
    let metrics = Metrics::builder().names(2).build();
    let routes = (0..5).map(|number| {
        let matching = RouteMatch::path(&format!("/{number}")).unwrap();
        Route::new(format!("r{number}"), answers(204)).matching(matching)
    });
    let gateway = gateway(&metrics, routes);
    for number in [0, 1, 2, 3, 4, 4, 0] {
        send(&gateway, get(&format!("/{number}")));
    }
    let text = metrics.encode();
    let requests = |name: &str| {
        format!("http_requests_total{{route=\"{name}\",method=\"GET\",status=\"204\"}}")
    };
    assert_shows(&text, &format!("{} 2", requests("r0")));
    assert_shows(&text, &format!("{} 4", requests("(others)")));
    assert_shows(&text, "gateway_metrics_overflowed_total 4");
    assert!(!text.contains("r2"));
}

#[test]
fn statuses_that_an_upstream_makes_up_have_an_end() {
    let metrics = Metrics::new();
    for status in 200..=599 {
        send(&gateway(&metrics, [route("all", answers(status))]), get("/"));
    }
    let text = metrics.encode();
    assert_eq!(text.matches("http_requests_total{").count(), 201);
    let others = "http_requests_total{route=\"all\",method=\"other\",status=\"other\"} 200";
    assert_shows(&text, others);
}

#[test]
fn buckets_hold_what_took_no_longer() {
    let metrics = Metrics::builder()
        .buckets([Duration::from_secs(1), Duration::ZERO, Duration::from_secs(1)])
        .build();
    let upstream = |took| {
        let event = AttemptFinished::new("up", "http://a:1", Ok(StatusCode::OK), took);
        metrics.attempt_finished(&event);
    };
    upstream(Duration::from_millis(250));
    upstream(Duration::from_secs(1));
    upstream(Duration::from_secs(3));
    let failed = Err(Reason::ConnectFailed);
    metrics.attempt_finished(&AttemptFinished::new("up", "http://a:1", failed, Duration::ZERO));
    let text = metrics.encode();
    let bucket = |le: &str, count: u64| {
        let name = "gateway_upstream_attempt_duration_seconds";
        assert_shows(&text, &format!("{name}_bucket{{le=\"{le}\",cluster=\"up\"}} {count}"));
    };
    bucket("0.0", 1);
    bucket("1.0", 3);
    bucket("+Inf", 4);
    assert_shows(&text, "gateway_upstream_attempt_duration_seconds_sum{cluster=\"up\"} 4.25");
    assert_shows(&text, "gateway_upstream_attempts_total{cluster=\"up\",outcome=\"2xx\"} 3");
    let failed = "gateway_upstream_attempts_total{cluster=\"up\",outcome=\"connect_failed\"} 1";
    assert_shows(&text, failed);
}

#[test]
fn names_cannot_leave_their_quotes() {
    let metrics = Metrics::new();
    let event = AttemptFinished::new("a\"} 1\nb\\", "", Ok(StatusCode::OK), Duration::ZERO);
    metrics.attempt_finished(&event);
    metrics.state_changed(&StateChanged::new("endpoint", "x", "healthy", "unhealthy", "y"));
    let text = metrics.encode();
    let escaped = r#"gateway_upstream_attempts_total{cluster="a\"} 1\nb\\",outcome="2xx"} 1"#;
    assert_shows(&text, escaped);
    assert_shows(&text, "gateway_state_changes_total{subject=\"endpoint\",to=\"unhealthy\"} 1");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_module_answers_scrapes_and_nothing_else() {
    let metrics = Metrics::new();
    let shown = Module::new(MetricsModule::new(&metrics));
    let gateway = gateway(&metrics, [route("metrics", shown)]);
    assert_eq!(send(&gateway, get("/")), StatusCode::OK);
    let response = gateway.handle(get("/")).now_or_never().unwrap();
    assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
    let body = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert_shows(text, "http_requests_total{route=\"metrics\",method=\"GET\",status=\"200\"} 1");
    let mut post = get("/");
    *post.method_mut() = http::Method::POST;
    let response = gateway.handle(post).now_or_never().unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, HEAD");
}

#[test]
fn methods_of_grpc_have_an_end() {
    let metrics = Metrics::new();
    let answers = |status: &'static str| {
        let module = module_fn(move |_: Request| async move {
            let mut response = Response::new(gateway_core::Body::empty());
            response.headers_mut().insert("grpc-status", status.parse().unwrap());
            Ok::<_, Error>(response)
        });
        gateway(&metrics, [route("all", Module::new(module))])
    };
    let call = |path: &str| {
        let mut request = get(path);
        *request.method_mut() = http::Method::POST;
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        request
    };
    let (knows, lacks) = (answers("0"), answers("12"));
    for number in 0..1_100 {
        send(&lacks, call(&format!("/made.Up/M{number}")));
        send(&knows, call(&format!("/shop.Orders/M{number}")));
    }
    for path in ["/", "/one", "/a/b/c", "//b", &format!("/a/{}", "x".repeat(300))] {
        send(&knows, call(path));
    }
    let text = metrics.encode();
    let series = |method: &str, code: &str| {
        let (service, method) = method.split_once('/').unwrap_or((method, method));
        format!(
            "grpc_server_handled_total{{grpc_type=\"unknown\",grpc_service={service:?},\
             grpc_method={method:?},grpc_code={code:?}}}"
        )
    };
    assert_shows(&text, &format!("{} 1", series("shop.Orders/M0", "OK")));
    assert_shows(&text, &format!("{} 1100", series("(others)", "Unimplemented")));
    // The first to be counted under it takes a place as well.
    assert_shows(&text, &format!("{} 106", series("(others)", "OK")));
    assert_eq!(text.matches("grpc_server_handled_total{").count(), 999 + 2);
    assert!(!text.contains("made.Up"), "{text}");
    assert_shows(&text, "gateway_metrics_overflowed_total 101");
}
