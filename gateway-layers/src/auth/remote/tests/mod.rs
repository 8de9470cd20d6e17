mod answers;
mod attacks;
mod questions;
mod secrets;
mod times;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{
    Body, ConnectionInfo, Error, Module, Reason, Request, RequestContext, Response, module_fn,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::auth::authenticator::{Authentication, Authenticator, Identity};
use crate::auth::credentials::CredentialSource;
use crate::auth::delegated::{self, Delegated};
use crate::auth::fake_clock::{FakeClock, NOW};
use crate::auth::forward::Forward;
use crate::auth::introspection::{ClientCredentials, Introspection};

const USER: HeaderName = HeaderName::from_static("x-user-id");

/// What a server does.
#[derive(Clone)]
enum Does {
    Says(u16, &'static str, Bytes),
    /// As it says, a while later.
    Takes(Duration, Value),
    Fails(Reason),
    Panics,
    Stalls,
    StallsInTheBody,
    Floods,
}

impl Does {
    fn says(value: &Value) -> Self {
        Self::Says(200, "application/json", value.to_string().into())
    }

    fn raw(text: &'static str) -> Self {
        Self::Says(200, "application/json", text.into())
    }
}

/// What a server was asked.
struct Asked {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: String,
}

/// A server of the tests, in this process.
#[derive(Clone)]
struct Server {
    does: Arc<Mutex<Does>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    under_way: Arc<AtomicUsize>,
    most_under_way: Arc<AtomicUsize>,
}

impl Server {
    fn new(does: Does) -> Self {
        Self {
            does: Arc::new(Mutex::new(does)),
            asked: Arc::default(),
            under_way: Arc::default(),
            most_under_way: Arc::default(),
        }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn last(&self) -> Asked {
        self.asked.lock().unwrap().pop().expect("it was asked")
    }

    fn place(&self) -> RemoteServer {
        let server = self.clone();
        let module = Module::new(module_fn(move |request: Request| {
            let server = server.clone();
            async move { server.answer(request).await }
        }));
        RemoteServer::module(module, "/verify?v=1")
    }

    async fn answer(&self, request: Request) -> Result<Response, Error> {
        let _counted = Counted::new(self);
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.asked.lock().unwrap().push(Asked {
            method: head.method,
            target: head.uri.to_string(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let does = self.does.lock().unwrap().clone();
        let endless = |chunk: &'static [u8], times: usize, then_stalls: bool| {
            let frames = std::iter::repeat_n(chunk, times)
                .map(|chunk| Ok::<_, Error>(Frame::data(Bytes::from_static(chunk))));
            let frames = futures_util::stream::iter(frames);
            let rest = futures_util::stream::pending();
            let frames = futures_util::StreamExt::chain(frames, rest);
            let frames =
                futures_util::StreamExt::take(frames, if then_stalls { usize::MAX } else { times });
            Body::new(StreamBody::new(frames))
        };
        let response = |status: u16, kind: &'static str, body: Body| {
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if !kind.is_empty() {
                response.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
            }
            response
        };
        match does {
            Does::Says(status, kind, text) => Ok(response(status, kind, Body::full(text))),
            Does::Takes(time, value) => {
                sleep(time).await;
                Ok(response(200, "application/json", Body::full(value.to_string())))
            }
            Does::Fails(reason) => Err(Error::new(reason)),
            Does::Panics => panic!("as it was told"),
            Does::Stalls => std::future::pending().await,
            Does::StallsInTheBody => {
                Ok(response(200, "application/json", endless(b"{\"active\":true,", 1, true)))
            }
            Does::Floods => {
                Ok(response(200, "application/json", endless(&[b' '; 4096], 2000, false)))
            }
        }
    }
}

/// A question that the server has not answered yet.
struct Counted<'a>(&'a Server);

impl<'a> Counted<'a> {
    fn new(server: &'a Server) -> Self {
        let now = server.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        server.most_under_way.fetch_max(now, Ordering::Relaxed);
        Self(server)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is said of a token that is in order.
fn ada() -> Value {
    json!({
        "active": true, "sub": "ada", "iss": "https://issuer.example", "aud": "orders",
        "exp": NOW + 300, "iat": NOW, "nbf": NOW, "client_id": "app", "username": "ada@example",
        "scope": "orders:read orders:write", "roles": ["reader"],
    })
}

fn ada_with(name: &str, value: Value) -> Value {
    let mut said = ada();
    match value {
        Value::Null => drop(said.as_object_mut().unwrap().remove(name)),
        value => said[name] = value,
    }
    said
}

fn introspection(server: &Server) -> Introspection {
    Introspection::new(server.place(), ClientCredentials::basic("gateway", "s3cret"))
        .issuer("https://issuer.example")
        .audience("orders")
        .with_clock(FakeClock::new())
}

/// Who it is, or why nobody.
async fn said(authenticator: &RemoteAuthenticator, token: &str) -> Result<String, Reason> {
    let verified = authenticator.verify(token).await;
    verified.map(|identity| identity.principal.subject.to_string()).map_err(|error| error.reason())
}

fn request(fields: &[(&str, &str)]) -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let mut request = Request::new(Body::empty());
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

/// What becomes of a request, once whoever has to be asked has answered.
async fn found(
    authenticator: &RemoteAuthenticator,
    request: &Request,
) -> Option<Result<Identity, Error>> {
    let mut found = authenticator.authenticate(request);
    while let Authentication::Pending(pending) = found {
        found = pending.await;
    }
    match found {
        Authentication::Known(identity) => Some(Ok(identity)),
        Authentication::Rejected(error) | Authentication::Unrecognized(error) => Some(Err(error)),
        _ => None,
    }
}
