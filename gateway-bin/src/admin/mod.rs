//! The admin listener: a gateway of its own, whose routes show the running one and change it.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /ready` | 200 while the gateway serves and every cluster has somebody to send to, else 503, with the names of those that have not |
//! | `GET /status` | version, generation, why the latest reload was rejected, TLS of listeners, what became of audit events |
//! | `GET /metrics` | what happened, counted, and how what lasts is now, for Prometheus |
//! | `GET /certificates` | certificates of listeners: names, expiry, where from, what fails, the next try |
//! | `GET /clusters` | endpoints with health, ejections, requests in flight; circuit breakers, limits |
//! | `GET /splits` | weights of every split, and what each entry took |
//! | `PUT /splits/ROUTE` | changes weights while requests come: `{ "orders": 0, "next": 100 }` |
//! | `GET /mirrors` | what the copies of requests came to, and the first differences |
//! | `GET /identity` | keys of every issuer of tokens (fresh, stale or unavailable), stores of API keys, passwords |
//! | `GET /limits` | rate limits of every route: what passed, what was over, where it is counted |
//! | `GET /explain?method=GET&url=...` | what would become of a request, and why |
//! | `POST /reload` | reads the document again |
//!
//! It listens on a loopback address only. A page in an operator's browser must not reach it
//! either: the host has to be the address itself or `localhost`, and what changes something is a
//! `POST` or `PUT` with `content-type: application/json`. Nor must a client through a proxy, this
//! gateway included: what carries `Via`, `Forwarded` or `X-Forwarded-For` is rejected.

mod access;
mod certificates;
mod metrics;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_core::route::TableProblems;
use gateway_core::{
    Body, ConnectionInfo, Gateway, Module, ModuleService, Outcome, Readiness, Request,
    RequestContext, Response, Route, RouteMatch, StateChanged, media_type,
};
use gateway_layers::metrics::{Metrics, MetricsModule};
use http::header::{ALLOW, CONTENT_TYPE, FORWARDED, HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) use self::metrics::scrapes;
use crate::assemble::Reloader;

/// The gateway of the admin listener for `gateway`, which shows `metrics`.
///
/// # Errors
///
/// Never: there is nothing to get wrong in one route that takes everything.
pub(crate) fn gateway(
    gateway: &Gateway,
    reloader: &Reloader,
    metrics: &Metrics,
    readiness: Vec<Readiness>,
) -> Result<Direct, TableProblems> {
    let admin = Admin {
        gateway: gateway.clone(),
        reloader: reloader.clone(),
        readiness,
        metrics: metrics::module(metrics, gateway, reloader),
    };
    let everything = Route::new("admin", Module::new(admin)).matching(RouteMatch::any());
    Gateway::builder().route(everything).build().map(Direct)
}

/// Rejects requests that a proxy passes on. That proxy could be this gateway: service discovery may
/// have named the admin listener as an endpoint, and any client would reach it.
#[derive(Clone)]
pub(crate) struct Direct(Gateway);

impl ModuleService for Direct {
    async fn call(&self, request: Request) -> Outcome {
        // The gateway behind removes these headers.
        if FORWARDED_BY.iter().any(|name| request.headers().contains_key(name)) {
            let detail = "the admin listener takes no request that a proxy passes on";
            return Ok(problem(StatusCode::FORBIDDEN, detail));
        }
        ModuleService::call(&self.0, request).await
    }
}

/// Headers that proxies add (RFC 9110, section 7.6.3; RFC 7239).
const FORWARDED_BY: [HeaderName; 3] = [VIA, FORWARDED, HeaderName::from_static("x-forwarded-for")];

/// The longest body that changes weights, in bytes.
const MOST_WEIGHTS: usize = 64 * 1024;

struct Admin {
    gateway: Gateway,
    reloader: Reloader,
    /// One of each worker.
    readiness: Vec<Readiness>,
    metrics: MetricsModule,
}

impl ModuleService for Admin {
    async fn call(&self, request: Request) -> Outcome {
        if !is_ours(request.headers()) {
            return Ok(problem(StatusCode::MISDIRECTED_REQUEST, "the host is not this listener's"));
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if changes && !is_json(request.headers()) {
            let detail = "expected content-type: application/json";
            return Ok(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let split = path.strip_prefix("/splits/").map(decoded);
        let allowed = match path {
            "/ready" | "/status" | "/metrics" | "/certificates" | "/identity" | "/limits"
            | "/clusters" | "/splits" | "/mirrors" | "/explain" => "GET",
            "/reload" => "POST",
            _ if split.is_some() => "PUT",
            _ => return Ok(problem(StatusCode::NOT_FOUND, "nothing is here; try GET /status")),
        };
        let method = if head.method == Method::HEAD { "GET" } else { head.method.as_str() };
        if method != allowed {
            return Ok(not_allowed(allowed));
        }
        Ok(match path {
            "/ready" => self.ready(),
            "/status" => self.status(),
            "/metrics" => self.metrics.answer(),
            "/certificates" => {
                json_answer(StatusCode::OK, &certificates::certificates(&self.reloader.parts()))
            }
            "/clusters" => json_answer(StatusCode::OK, &status::clusters(&self.reloader.parts())),
            "/identity" => json_answer(StatusCode::OK, &access::identity(&self.reloader.parts())),
            "/limits" => json_answer(StatusCode::OK, &access::limits(&self.reloader.parts())),
            "/splits" => json_answer(StatusCode::OK, &status::splits(&self.reloader.parts())),
            "/mirrors" => json_answer(StatusCode::OK, &status::mirrors(&self.reloader.parts())),
            "/explain" => self.explain(&head.uri),
            _ => match split {
                Some(route) => self.set_weights(&route, body).await?,
                None => self.reload(),
            },
        })
    }
}

impl Admin {
    fn ready(&self) -> Response {
        let parts = self.reloader.parts();
        let unready = status::unready(&parts);
        let unusable =
            certificates::unusable(&parts).into_iter().flat_map(|(_, problems)| problems);
        let unusable: Vec<_> = unusable.collect();
        // Not from the signal on: balancers have the time of the lame duck to notice.
        let serving = self.readiness.iter().all(Readiness::is_ready);
        let ready = serving && unready.is_empty();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let shown = json!({
            "ready": ready,
            "serving": serving,
            "without_endpoint": unready,
            // Said and not counted: an authority that checks the name must be let through to here,
            // and routes that ask for no token are served without keys.
            "without_certificate": certificates::missing(&parts),
            "unusable_certificate_files": unusable,
            "keys": access::keys(&parts),
        });
        json_answer(status, &shown)
    }

    fn status(&self) -> Response {
        json_answer(
            StatusCode::OK,
            &json!({
                "version": env!("CARGO_PKG_VERSION"),
                "generation": self.gateway.snapshot().generation(),
                "reload_rejected": self.reloader.failure(),
                "tls_listeners": status::listeners(&self.reloader.parts()),
                "audit": status::audit(&self.reloader.parts()),
            }),
        )
    }

    fn reload(&self) -> Response {
        match self.reloader.reload() {
            Ok(reloaded) => {
                let warnings: Vec<_> = reloaded.warnings.iter().map(ToString::to_string).collect();
                let generation = reloaded.generation;
                let shown = json!({ "generation": generation, "warnings": warnings });
                json_answer(StatusCode::OK, &shown)
            }
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                json_answer(StatusCode::CONFLICT, &json!({ "problems": problems }))
            }
        }
    }

    /// Changes the weights of a split: all that are named, or none.
    async fn set_weights(&self, route: &str, body: Body) -> Outcome {
        let parts = self.reloader.parts();
        let found = parts.routes.iter().find(|part| part.config.id == route);
        let Some(split) = found.and_then(|part| part.split.as_ref()) else {
            return Ok(problem(StatusCode::NOT_FOUND, "no route of this name has a split"));
        };
        let body = match Limited::new(body, MOST_WEIGHTS).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Ok(problem(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string())),
        };
        let weights: BTreeMap<String, u32> = match serde_json::from_slice(&body) {
            Ok(weights) => weights,
            Err(error) => {
                let detail = format!("expected names and weights: {error}");
                return Ok(problem(StatusCode::BAD_REQUEST, &detail));
            }
        };
        let weights: Vec<_> = weights.iter().map(|(name, weight)| (&**name, *weight)).collect();
        Ok(match split.set_weights(&weights) {
            Ok(()) => {
                tracing::info!(route, ?weights, "weights of a split changed");
                let cause = format!("by the admin listener: {weights:?}");
                let event = StateChanged::new("split", route, "current", "replaced", &cause);
                self.reloader.tell(&event);
                json_answer(StatusCode::OK, &status::splits(&parts))
            }
            Err(error) => problem(StatusCode::CONFLICT, &error.to_string()),
        })
    }

    /// What would become of the request that the query describes.
    fn explain(&self, uri: &Uri) -> Response {
        let query = uri.query().unwrap_or_default();
        let mut head = http::Request::new(()).into_parts().0;
        let mut headers = HeaderMap::new();
        for (name, value) in pairs(query) {
            let understood = match &*name {
                "method" => value.parse().map(|method| head.method = method).is_ok(),
                "url" => value.parse().map(|uri| head.uri = uri).is_ok(),
                "header" => header(&value, &mut headers).is_some(),
                _ => false,
            };
            if !understood {
                let detail =
                    format!("`{name}`: expected method=GET, url=http://a/b, header=x-a: 1");
                return problem(StatusCode::BAD_REQUEST, &detail);
            }
        }
        let authority = head.uri.authority().map_or("localhost", |authority| authority.as_str());
        if let Ok(host) = HeaderValue::from_str(authority) {
            headers.entry(HOST).or_insert(host);
        }
        let path = head.uri.path_and_query().cloned();
        head.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        head.headers = headers;
        let connection = ConnectionInfo::new(Arc::default(), None, None);
        head.extensions.insert(RequestContext::new(Arc::new(connection), Instant::now()));
        let explanation = self.gateway.explain(&head);
        let mut text = explanation.to_string();
        if let Ok(id) = &explanation.decision {
            text.push_str(&self.reloader.parts().describe(id));
        }
        let mut response = Response::new(Body::full(text));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}

/// A name that leads here only for somebody on this machine. Any other could be a name of
/// somebody else's page that was made to lead here.
fn is_ours(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type::is(headers, "application/json")
}

fn header(line: &str, headers: &mut HeaderMap) -> Option<()> {
    let (name, value) = line.split_once(':')?;
    let name: http::HeaderName = name.trim().parse().ok()?;
    headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    Some(())
}

/// Names and values of a query, percent-decoded.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digits = || -> Option<u8> {
            let mut ahead = bytes.clone();
            let pair = [ahead.next()?, ahead.next()?];
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()
        };
        match (byte, digits()) {
            (b'%', Some(value)) => {
                out.push(value);
                bytes.nth(1);
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn json_answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::full(format!("{value:#}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A problem document (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let value = json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = json_answer(status, &value);
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn not_allowed(allowed: &'static str) -> Response {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &format!("expected {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
