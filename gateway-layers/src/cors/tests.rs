//! The protocol as a browser walks through it.

use gateway_core::{
    Body, Error, Gateway, Module, Reason, Request, Response, Route, RouteMatch, module_fn,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower::Layer;

use super::*;
use crate::filter::FilterLayer;
use crate::origin::OriginPattern;

type Line = (&'static str, &'static str);

const ORIGIN: Line = ("origin", "https://app.example.com");

fn config(origins: &[&str]) -> CorsConfig {
    CorsConfig::new(origins.iter().map(|origin| origin.parse::<OriginPattern>().unwrap()))
}

/// What a gateway answers whose target says `lines`, or fails without any.
async fn answer(
    config: CorsConfig,
    method: &str,
    lines: &[Line],
    target: Option<&'static [Line]>,
) -> Response {
    let answers = Module::new(module_fn(move |_: Request| async move {
        let mut response = Response::new(Body::empty());
        for (name, value) in target.ok_or(Error::new(Reason::ConnectFailed))? {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        Ok::<_, Error>(response)
    }));
    let filter = FilterLayer::new(CorsFilter::new(config).unwrap());
    let route = Route::new("all", Module::from_service(filter.layer(answers)));
    let route = route.matching(RouteMatch::any()).preflight(true);
    let gateway = Gateway::builder().route(route).build().unwrap();
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.parse().unwrap();
    for (name, value) in [("host", "api.test")].iter().chain(lines) {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    gateway.handle(request).await
}

async fn plain(config: CorsConfig, lines: &[Line], target: &'static [Line]) -> HeaderMap {
    answer(config, "GET", lines, Some(target)).await.headers().clone()
}

async fn preflight(
    config: CorsConfig,
    origin: &'static str,
    method: &'static str,
    names: &[&'static str],
) -> Response {
    let mut lines = vec![("origin", origin), ("access-control-request-method", method)];
    lines.extend(names.iter().map(|name| ("access-control-request-headers", *name)));
    answer(config, "OPTIONS", &lines, None).await
}

fn cors_fields(headers: &HeaderMap) -> Vec<&str> {
    let names = headers.keys().map(HeaderName::as_str);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn an_allowed_origin_may_read_the_answer() {
    let headers = plain(config(&["https://*.example.com"]), &[ORIGIN], &[]).await;
    assert_eq!(text(&headers, "access-control-allow-origin"), Some(ORIGIN.1));
    assert_eq!(cors_fields(&headers), ["access-control-allow-origin"]);
    assert_eq!(text(&headers, "vary"), Some("Origin"));
}

#[tokio::test]
async fn a_plain_request_of_a_foreign_origin_passes_without_the_fields() {
    let exact = || config(&["https://app.example.com"]);
    for lines in [
        &[][..],
        &[("origin", "https://app.example.com.evil.com")],
        &[("origin", "null")],
        &[ORIGIN, ORIGIN],
        &[ORIGIN, ("origin", "https://evil.com")],
        &[("origin", "https://app.example.com, https://evil.com")],
    ] {
        let answer = answer(exact(), "GET", lines, Some(&[])).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(cors_fields(answer.headers()).is_empty(), "{lines:?}");
        assert_eq!(text(answer.headers(), "vary"), Some("Origin"), "{lines:?}");
    }
}

#[tokio::test]
async fn what_the_target_says_of_cors_is_forgotten() {
    const SAID: &[Line] = &[
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-secret"),
        ("access-control-max-age", "86400"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "*"),
        ("access-control-allow-private-network", "true"),
    ];
    let exact = || config(&["https://app.example.com"]);
    let headers = plain(exact(), &[("origin", "https://evil.com")], SAID).await;
    assert!(cors_fields(&headers).is_empty(), "{headers:?}");
    let headers = plain(exact(), &[ORIGIN], SAID).await;
    assert_eq!(cors_fields(&headers), ["access-control-allow-origin"]);
    assert_eq!(text(&headers, "access-control-allow-origin"), Some(ORIGIN.1));
}

#[tokio::test]
async fn vary_keeps_what_the_target_says_in_one_line() {
    for (said, expected) in [
        (&[][..], "Origin"),
        (&[("vary", "Accept-Encoding")], "Accept-Encoding, Origin"),
        (&[("vary", "A"), ("vary", "B")], "A, B, Origin"),
        (&[("vary", "A, origin")], "A, origin"),
        (&[("vary", "*")], "*"),
        (&[("vary", "X-Origin")], "X-Origin, Origin"),
        (&[("vary", "")], "Origin"),
    ] {
        let headers = plain(config(&["*"]), &[], said).await;
        let lines: Vec<_> = headers.get_all("vary").iter().collect();
        let together = lines.iter().map(|line| line.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(together.join(", "), expected, "{said:?}");
    }
}

#[tokio::test]
async fn failures_of_the_gateway_can_be_read_too() {
    let cors = || config(&["https://*.example.com"]).allow_credentials(true);
    let failed = answer(cors(), "POST", &[ORIGIN], None).await;
    assert_eq!(failed.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(text(failed.headers(), "access-control-allow-origin"), Some(ORIGIN.1));
    assert_eq!(text(failed.headers(), "access-control-allow-credentials"), Some("true"));
    assert_eq!(text(failed.headers(), "vary"), Some("Origin"));
}

#[tokio::test]
async fn every_origin_is_said_with_a_star() {
    let headers = plain(config(&["*"]), &[ORIGIN], &[]).await;
    assert_eq!(text(&headers, "access-control-allow-origin"), Some("*"));
    assert_eq!(text(&headers, "vary"), Some("Origin"));
    let headers = plain(config(&["*"]), &[("origin", "null")], &[]).await;
    assert!(cors_fields(&headers).is_empty(), "null has to be written");
    let headers = plain(config(&["null"]), &[("origin", "null")], &[]).await;
    assert_eq!(text(&headers, "access-control-allow-origin"), Some("null"));
}

#[tokio::test]
async fn scripts_may_read_the_fields_that_are_exposed() {
    let cors = config(&["*"]).expose_headers([header::ETAG, "x-total".parse().unwrap()]);
    let headers = plain(cors, &[ORIGIN], &[]).await;
    assert_eq!(text(&headers, "access-control-expose-headers"), Some("etag, x-total"));
    let headers = plain(config(&["*"]).expose_headers(Allowed::any()), &[ORIGIN], &[]).await;
    assert_eq!(text(&headers, "access-control-expose-headers"), Some("*"));
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_filter() {
    let cors = config(&["https://app.example.com"])
        .allow_methods([Method::PUT, Method::GET])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .max_age(std::time::Duration::from_secs(300));
    let answer = preflight(cors, ORIGIN.1, "PUT", &["content-type,Authorization"]).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let headers = answer.headers();
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN.1),
        ("access-control-allow-methods", "PUT, GET"),
        ("access-control-allow-headers", "content-type, authorization"),
        ("access-control-max-age", "300"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ("x-gateway-origin", "gateway"),
    ] {
        assert_eq!(text(headers, name), Some(value), "{name}");
    }
    assert!(!headers.contains_key("access-control-allow-credentials"));
    assert!(!headers.contains_key("access-control-expose-headers"));
}

#[tokio::test]
async fn a_rejected_preflight_has_no_cors_field() {
    let cors = || {
        config(&["https://app.example.com"])
            .allow_methods([Method::GET])
            .allow_headers(["x-a".parse().unwrap()])
            .allow_credentials(true)
    };
    for (origin, method, names) in [
        ("https://app.example.com.evil.com", "GET", &["x-a"][..]),
        ("null", "GET", &[]),
        (ORIGIN.1, "PUT", &[]),
        (ORIGIN.1, "POST", &[]),
        (ORIGIN.1, "get", &[]),
        (ORIGIN.1, "GET", &["x-b"]),
        (ORIGIN.1, "GET", &["x-a", "x-b"]),
        (ORIGIN.1, "GET", &["x-a,x-b"]),
        (ORIGIN.1, "GET", &["x a"]),
        (ORIGIN.1, "GET", &["*"]),
    ] {
        let rejected = preflight(cors(), origin, method, names).await;
        let text = format!("{origin} {method} {names:?}");
        assert_eq!(rejected.status(), StatusCode::FORBIDDEN, "{text}");
        assert!(cors_fields(rejected.headers()).is_empty(), "{text}");
        assert!(rejected.headers()["vary"].to_str().unwrap().starts_with("Origin, "), "{text}");
        let reason =
            rejected.extensions().get::<gateway_core::respond::GatewayGenerated>().unwrap().0;
        assert_eq!(reason, Reason::PreflightRejected);
    }
}

#[tokio::test]
async fn two_origins_are_none() {
    let lines = [ORIGIN, ORIGIN, ("access-control-request-method", "GET")];
    let rejected = answer(config(&["*"]), "OPTIONS", &lines, None).await;
    assert_eq!(rejected.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn stars_are_said_where_there_are_no_credentials() {
    let cors = || config(&["*"]).allow_methods(Allowed::any()).allow_headers(Allowed::any());
    let answer = preflight(cors(), ORIGIN.1, "PURGE", &["x-a, x-b"]).await;
    let headers = answer.headers();
    assert_eq!(text(headers, "access-control-allow-origin"), Some("*"));
    assert_eq!(text(headers, "access-control-allow-methods"), Some("*"));
    assert_eq!(text(headers, "access-control-allow-headers"), Some("*"));
    let rejected = preflight(cors(), ORIGIN.1, "GET", &["authorization"]).await;
    assert_eq!(rejected.status(), StatusCode::FORBIDDEN, "a star is not this field");
    let named = Allowed { any: true, listed: vec![header::AUTHORIZATION] };
    let answer = preflight(cors().allow_headers(named), ORIGIN.1, "GET", &["Authorization"]).await;
    assert_eq!(text(answer.headers(), "access-control-allow-headers"), Some("*, authorization"));
}

#[tokio::test]
async fn with_credentials_what_is_asked_for_is_said_and_never_a_star() {
    let cors = config(&["https://*.example.com"])
        .allow_methods(Allowed::any())
        .allow_headers(Allowed::any())
        .allow_credentials(true);
    let answer = preflight(cors, ORIGIN.1, "PURGE", &["X-A", "x-b,,x-c"]).await;
    let headers = answer.headers();
    assert_eq!(text(headers, "access-control-allow-origin"), Some(ORIGIN.1));
    assert_eq!(text(headers, "access-control-allow-credentials"), Some("true"));
    assert_eq!(text(headers, "access-control-allow-methods"), Some("PURGE"));
    assert_eq!(text(headers, "access-control-allow-headers"), Some("x-a, x-b, x-c"));
}

#[tokio::test]
async fn an_options_that_is_no_preflight_goes_to_the_target() {
    for lines in [&[][..], &[ORIGIN], &[("access-control-request-method", "GET")]] {
        let answer = answer(config(&["*"]), "OPTIONS", lines, Some(&[])).await;
        assert_eq!(answer.status(), StatusCode::OK, "{lines:?}");
    }
}

#[test]
fn what_would_let_every_site_act_as_its_visitor_is_rejected() {
    let fault = |origins: &[&str]| {
        CorsFilter::new(config(origins).allow_credentials(true)).unwrap_err().to_string()
    };
    for origins in [&["*"][..], &["https://*"], &["https://a.test", "http://*:*"], &["null"]] {
        let text = fault(origins);
        assert!(text.contains("every site could act as its visitor"), "{origins:?}: {text}");
    }
    let exposes = config(&["https://a.test"]).expose_headers(Allowed::any());
    let error = CorsFilter::new(exposes.allow_credentials(true)).unwrap_err();
    assert_eq!(error.key(), "expose_headers");
    assert_eq!(CorsFilter::new(config(&[])).unwrap_err().key(), "allow_origins");
}
