//! Things by number, in memory: what a small service does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateway_core::{Body, ModuleService, Outcome, Request, Response};
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// The demo forgets what comes after this many things.
const MOST: usize = 1000;

/// Things of one kind: list, add, show, change, delete, and one action where it has a name.
pub(super) struct Collection {
    kind: &'static str,
    action: &'static str,
    things: Mutex<BTreeMap<u64, Value>>,
}

impl Collection {
    pub(super) fn new(kind: &'static str, action: &'static str) -> Self {
        Self { kind, action, things: Mutex::default() }
    }

    fn things(&self) -> MutexGuard<'_, BTreeMap<u64, Value>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self, method: &Method, path: &str, sent: &Value) -> Response {
        let mut things = self.things();
        match *method {
            Method::GET => answer(StatusCode::OK, &things.values().cloned().collect()),
            Method::POST if things.len() >= MOST => {
                problem(StatusCode::INSUFFICIENT_STORAGE, "the demo holds no more")
            }
            Method::POST => {
                let id = things.last_key_value().map_or(1, |(last, _)| last + 1);
                let thing = self.thing(id, sent);
                things.insert(id, thing.clone());
                let mut response = answer(StatusCode::CREATED, &thing);
                let place = format!("{}/{id}", path.trim_end_matches('/'));
                if let Ok(place) = HeaderValue::from_str(&place) {
                    response.headers_mut().insert(LOCATION, place);
                }
                response
            }
            _ => not_allowed("GET, POST"),
        }
    }

    fn one(&self, method: &Method, id: u64, sent: &Value) -> Response {
        let mut things = self.things();
        if !things.contains_key(&id) {
            return problem(StatusCode::NOT_FOUND, &format!("no {} {id}", self.kind));
        }
        match *method {
            Method::GET => {}
            Method::PUT => {
                things.insert(id, self.thing(id, sent));
            }
            Method::DELETE => {
                things.remove(&id);
            }
            _ => return not_allowed("GET, PUT, DELETE"),
        }
        match things.get(&id) {
            Some(thing) => answer(StatusCode::OK, thing),
            None => empty(StatusCode::NO_CONTENT),
        }
    }

    fn act(&self, method: &Method, id: u64) -> Response {
        if method != Method::POST {
            return not_allowed("POST");
        }
        match self.things().get_mut(&id) {
            Some(thing) => {
                thing["done"] = json!(true);
                answer(StatusCode::OK, thing)
            }
            None => problem(StatusCode::NOT_FOUND, &format!("no {} {id}", self.kind)),
        }
    }

    fn thing(&self, id: u64, sent: &Value) -> Value {
        json!({ "id": id, "kind": self.kind, "data": sent })
    }
}

impl ModuleService for Collection {
    async fn call(&self, request: Request) -> Outcome {
        let (head, body) = request.into_parts();
        let sent = body.collect().await?.to_bytes();
        let sent = match serde_json::from_slice(&sent) {
            Ok(sent) => sent,
            Err(_) if sent.is_empty() => Value::Null,
            Err(error) => return Ok(problem(StatusCode::BAD_REQUEST, &error.to_string())),
        };
        let path = head.uri.path();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(1).collect();
        let id = parts.first().and_then(|part| part.parse().ok());
        Ok(match (parts.len(), id) {
            (0, _) => self.all(&head.method, path, &sent),
            (1, Some(id)) => self.one(&head.method, id, &sent),
            (2, Some(id)) if parts.last() == Some(&self.action) => self.act(&head.method, id),
            _ => problem(StatusCode::NOT_FOUND, "no such thing"),
        })
    }
}

/// `value` as JSON with a newline, for terminals.
pub(super) fn answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::full(format!("{value}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem(status: StatusCode, detail: &str) -> Response {
    answer(status, &json!({ "status": status.as_u16(), "detail": detail }))
}

fn not_allowed(methods: &'static str) -> Response {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
