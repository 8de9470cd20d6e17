//! How often a request allocates on its way, counted exactly: a number that goes up has its reason
//! beside it.
//!
//! This is a binary of its own because its allocator counts, and one test because a count would
//! take in what others do meanwhile.
#![allow(clippy::expect_used, clippy::panic)]

use std::alloc::System;
use std::borrow::Cow;
use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use gateway_core::path::{PathOptions, normalize};
use gateway_core::route::{Found, Lookup, ValueMatch};
use gateway_core::{
    AttemptFinished, Body, ConnectionInfo, FixedResponse, Gateway, ListenerInfo, Module,
    ModuleService, Observer, Observers, Request, RequestContext, Response, Route, RouteMatch,
    RouteTable,
};
use gateway_layers::auth::Authenticate;
use gateway_layers::auth::authorize::{AuthorizeFilter, Requirements};
use gateway_layers::auth::jwt::{Algorithm, JwtAuthenticator, JwtProvider, JwtVerifier, Keys};
use gateway_layers::content_type::ContentTypeFilter;
use gateway_layers::cors::{self, CorsFilter};
use gateway_layers::csrf::{self, CsrfFilter};
use gateway_layers::filter::{Filter, FilterChain, Flow};
use gateway_layers::guard::{Checked, Guard, GuardChain};
use gateway_layers::ip_filter::IpFilter;
use gateway_layers::method_filter::MethodFilter;
use gateway_layers::metrics::Metrics;
use gateway_layers::rate_limit::{Limit, RateLimiter};
use gateway_layers::retry::RetryLayer;
use gateway_layers::security_headers::{self, SecurityHeadersFilter};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::Instant;
use tower::{Layer, Service};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The first rounds fill what is made once; the runner's own thread may allocate during others.
const ROUNDS: usize = 8;

/// How often `work` allocates, what grows in place included. What `prepare` does is not counted,
/// nor is dropping what comes out.
fn count<T, R>(mut prepare: impl FnMut() -> T, mut work: impl FnMut(T) -> R) -> usize {
    let rounds = (0..ROUNDS).map(|_| {
        let input = prepare();
        let region = Region::new(ALLOCATOR);
        let output = black_box(work(input));
        let change = region.change();
        drop(output);
        change.allocations + change.reallocations
    });
    rounds.min().expect("a round")
}

#[test]
fn allocations_are_as_few_as_they_were() {
    the_counter_counts();
    a_clean_path_costs_nothing();
    a_lookup_costs_nothing();
    dispatch_costs_what_it_did();
    a_request_that_may_be_retried_costs_its_head();
    who_may_and_how_much_costs_what_the_answer_says_of_it();
    what_a_head_suffices_for_costs_what_is_kept_for_the_answer();
    to_be_counted_costs_nothing();
}

fn the_counter_counts() {
    assert_eq!(count(|| (), |()| Box::new(black_box(1_u64))), 1);
}

fn a_clean_path_costs_nothing() {
    let options = PathOptions::default();
    for path in ["/", "/api/v1/orders/7/items", "/.well-known/x", "/a%20b", "/a;x=1/{b}"] {
        let normalized = count(|| path, |path| normalize(path, &options));
        assert_eq!(normalized, 0, "{path}");
        assert!(matches!(normalize(path, &options), Ok(Cow::Borrowed(_))), "{path}");
    }
}

fn a_lookup_costs_nothing() {
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", HeaderValue::from_static("seven"));
    for size in [10, 10_000] {
        let table = table(size);
        let number = size / KINDS.len() / 2;
        let path = |kind: &str| match kind {
            "prefix" => format!("/prefix/{number}/and/more"),
            "param" => format!("/param/{number}/orders/7/items/8"),
            other => format!("/{other}/{number}"),
        };
        for kind in KINDS {
            let path = path(kind);
            let host = if kind == "wildcard" { "a.example.com" } else { "gateway.test:8080" };
            let lookup = Lookup::new(&Method::GET, &path, &headers).host(host);
            let lookup = lookup.query("a=b&page=7&c");
            let Found::Route(hit) = table.find(&lookup) else { panic!("no route for {path}") };
            assert_eq!(hit.route.id, format!("{kind} {number}"));
            let found = count(|| lookup, |lookup| table.find(&lookup));
            assert_eq!(found, 0, "{kind} among {size}");
        }
        let nowhere = Lookup::new(&Method::GET, "/nowhere", &headers).host("gateway.test");
        assert!(matches!(table.find(&nowhere), Found::NotFound));
        assert_eq!(count(|| nowhere, |lookup| table.find(&lookup)), 0, "none among {size}");
    }
}

const KINDS: [&str; 6] = ["exact", "prefix", "param", "wildcard", "header", "query"];

/// A table of `size` routes of every kind in turn.
fn table(size: usize) -> RouteTable<()> {
    let routes = (0..size).map(|number| {
        let (kind, number) = (KINDS[number % KINDS.len()], number / KINDS.len());
        Route::new(format!("{kind} {number}"), ()).matching(matching(kind, number))
    });
    RouteTable::build(routes.collect()).expect("a table")
}

fn matching(kind: &str, number: usize) -> RouteMatch {
    let path = |path: String| RouteMatch::path(&path).expect("a path");
    match kind {
        "exact" => path(format!("/exact/{number}")),
        "prefix" => RouteMatch::prefix(&format!("/prefix/{number}")).expect("a prefix"),
        "param" => path(format!("/param/{number}/orders/{{order}}/items/{{item}}")),
        "wildcard" => path(format!("/wildcard/{number}")).host("*.example.com").expect("a host"),
        "header" => path(format!("/header/{number}"))
            .header("x-tenant", ValueMatch::exact("seven"))
            .expect("a header"),
        _ => path(format!("/query/{number}")).query("page", ValueMatch::exact("7")),
    }
}

fn dispatch_costs_what_it_did() {
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let matching = RouteMatch::path("/orders/{id}").expect("a path");
    let route = Route::new("orders", module).matching(matching);
    let gateway = Gateway::builder().route(route).build().expect("a gateway");
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    let served = || {
        let mut request = request();
        let context = RequestContext::new(Arc::clone(&connection), Instant::now());
        request.extensions_mut().insert(context);
        request
    };
    let handle = |request| {
        let response = gateway.handle(request).now_or_never().expect("an answer at once");
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        response
    };
    let call = |request| {
        let called = ModuleService::call(&gateway, request);
        called.now_or_never().expect("an answer at once").expect("an answer")
    };
    // The module's future in its box; the target's buffer, which is shared from then on.
    assert_eq!(count(served, handle), 2, "behind a server of ours");
    assert_eq!(count(served, call), 2, "as a module");
    // The context, and the extensions of the request that it is put into (three).
    assert_eq!(count(request, handle), 2 + 4, "behind another server");
}

fn a_request_that_may_be_retried_costs_its_head() {
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    let served = |method: Method| {
        let mut request = request();
        *request.method_mut() = method;
        let context = RequestContext::new(Arc::clone(&connection), Instant::now());
        request.extensions_mut().insert(context);
        request
    };
    let answers = tower::service_fn(|_: Request| ready(Ok(Response::new(Body::empty()))));
    let retry = RetryLayer::new();
    let call = |layer: &RetryLayer, method: Method| {
        let service = layer.layer(answers);
        count(
            || (service.clone(), served(method.clone())),
            |(mut service, request)| {
                let called = service.call(request).now_or_never();
                called.expect("an answer at once").expect("an answer")
            },
        )
    };
    // The copy of the head: its fields (two), and the target's buffer, which is shared from then on.
    assert_eq!(call(&retry, Method::GET), 3, "idempotent");
    assert_eq!(call(&retry, Method::POST), 3, "if it was not sent");
    let never = retry.on([]);
    assert_eq!(call(&never, Method::POST), 0, "not to be retried");
}

/// The value of `RateLimit`, and the list of what is added to the answer. The token was verified
/// before.
fn who_may_and_how_much_costs_what_the_answer_says_of_it() {
    const SECRET: &str = "a secret of the tests, 32 bytes or more";
    const TOKEN: &str = "Bearer eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCA\
                         iYXVkIjogIm9yZGVycyIsICJzdWIiOiAiYm8iLCAiZXhwIjogNDEwMjQ0NDgwMCwgInJvbG\
                         VzIjogWyJhZG1pbiJdfQ.JpDqwohi37gkj00565wgDkqZXm7KlQiptTXVVO-DwSY";
    let provider = JwtProvider::new("house", Keys::secret(SECRET, Algorithm::HS256))
        .algorithms([Algorithm::HS256])
        .audience("orders")
        .forward(HeaderName::from_static("x-user-id"), "sub");
    let verifier = JwtVerifier::new(provider).expect("a verifier");
    let limiter = RateLimiter::new(Limit::per_minute(1_000_000).by_principal()).expect("a limit");
    let asked = Requirements::new().roles_any(["admin"]);
    let guards = GuardChain::new()
        .then(Authenticate::new(JwtAuthenticator::new(verifier)))
        .then(limiter)
        .then(AuthorizeFilter::new(asked));
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    let with_token = || {
        let mut request = request();
        let context = RequestContext::new(Arc::clone(&connection), Instant::now());
        request.extensions_mut().insert(context);
        // As it comes from a client: with fields, and room for more.
        request.headers_mut().reserve(8);
        request.headers_mut().insert("authorization", HeaderValue::from_static(TOKEN));
        request
    };
    let through = count(with_token, |mut request| {
        assert!(matches!(guards.check(&mut request), Checked::Pass), "it passes");
        request
    });
    assert_eq!(through, 2, "identity, a limit and a role");
}

fn what_a_head_suffices_for_costs_what_is_kept_for_the_answer() {
    let connection = Arc::new(ConnectionInfo::unix(Arc::new(ListenerInfo::default())));
    let head = || {
        let mut request = request();
        *request.method_mut() = Method::POST;
        let lines = [("origin", "https://a.test"), ("content-type", "text/plain")];
        for (name, value) in lines.into_iter().chain([("content-length", "2")]) {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let context = RequestContext::new(Arc::clone(&connection), Instant::now());
        request.extensions_mut().insert(context);
        request.into_parts().0
    };
    let cost = |chain: FilterChain| {
        count(head, |mut head| {
            assert!(matches!(chain.apply(&mut head), Flow::Continue));
            head
        })
    };
    let origin = || "https://a.test".parse().expect("an origin");
    let csrf = csrf::CsrfConfig::default().trusted_origins([origin()]);
    let checks = FilterChain::new()
        .then(IpFilter::new().deny(["10.0.0.0/8".parse().expect("a network")]))
        .then(MethodFilter::new([Method::POST]))
        .then(CsrfFilter::new(csrf).expect("a filter"))
        .then(ContentTypeFilter::new(["text/plain".parse().expect("a media type")]));
    assert_eq!(cost(checks), 0, "checks");
    let answers = FilterChain::new()
        .then(SecurityHeadersFilter::new(security_headers::SecurityHeadersConfig::default()))
        .then(CorsFilter::new(cors::CorsConfig::new([origin()])).expect("a filter"));
    // The list of edits; the origin that is said again.
    assert_eq!(cost(answers), 2, "what is said in the answer");
}

fn to_be_counted_costs_nothing() {
    /// Looks away.
    struct Blind;
    impl Observer for Blind {}

    let metrics = Metrics::new();
    let answered = |observer: Arc<dyn Observer>| {
        let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
        let route = Route::new("orders", module).matching(RouteMatch::any());
        let observers = Observers::new(vec![observer]);
        let gateway = Gateway::builder().route(route).observer(observers).build();
        let gateway = gateway.expect("a gateway");
        count(request, |request| {
            // An answer that is dropped has ended.
            drop(gateway.handle(request).now_or_never().expect("an answer at once"));
        })
    };
    let counted = answered(Arc::new(metrics.clone()));
    assert_eq!(counted, answered(Arc::new(Blind)), "a request");
    let event = AttemptFinished::new("orders", "http://a:1", Ok(StatusCode::OK), Duration::ZERO);
    assert_eq!(count(|| (), |()| metrics.attempt_finished(&event)), 0, "a try");
    assert!(metrics.encode().contains("http_requests_total{route=\"orders\""));
}

/// What a small client sends.
fn request() -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/orders/7?page=2".parse().expect("a target");
    for (name, value) in [("host", "gateway.test"), ("user-agent", "test"), ("accept", "*/*")] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    request
}
