//! What the registry's API answers.

use std::time::Duration;

use gateway_core::respond::{self, PROBLEM_TYPE};
use gateway_core::{Body, Error, Reason, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::registry::registration::quoted;
use crate::registry::settings::heartbeat_every;
use crate::registry::{
    Fault, InstanceState, InstanceStatus, Registered, RegistryError, address::AddressError,
};

/// A shared store that is away is asked again after this time.
const STORE_AGAIN: &str = "1";

/// `value` as the answer, never to be cached: it changes, and may hold a secret.
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::full(format!("{value}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn registered(registered: &Registered, state: InstanceState) -> Value {
    json!({
        "id": &*registered.id,
        "secret": registered.secret.reveal(),
        "state": state.name(),
        "lease_seconds": registered.lease.map(seconds),
        "heartbeat_seconds": registered.heartbeat().map(seconds),
    })
}

pub(super) fn renewed(state: InstanceState, lease: Duration) -> Value {
    json!({
        "state": state.name(),
        "lease_seconds": seconds(lease),
        "heartbeat_seconds": seconds(heartbeat_every(lease)),
    })
}

/// An instance in a list.
pub(super) fn short(instance: &InstanceStatus) -> Value {
    json!({
        "id": &*instance.id,
        "service": &*instance.service,
        "address": instance.address.as_ref().map(ToString::to_string),
        "state": instance.state.name(),
        "problem": instance.problem.as_deref(),
        "expires_in_seconds": instance.expires.map(|at| {
            seconds(at.saturating_duration_since(Instant::now()))
        }),
    })
}

/// An instance with everything it says about itself.
pub(super) fn long(instance: &InstanceStatus) -> Value {
    let mut value = short(instance);
    let capabilities = instance.capabilities.iter();
    let capabilities: Map<_, _> =
        capabilities.map(|(name, values)| (name.to_owned(), values.collect())).collect();
    let metadata = instance.metadata.iter();
    let metadata: Map<_, _> =
        metadata.map(|(name, value)| (name.to_owned(), value.into())).collect();
    value["capabilities"] = capabilities.into();
    value["metadata"] = metadata.into();
    value
}

/// Seconds, with a fraction only where there is one.
fn seconds(duration: Duration) -> Value {
    match duration.subsec_nanos() {
        0 => duration.as_secs().into(),
        _ => ((duration.as_secs_f64() * 1000.0).round() / 1000.0).into(),
    }
}

/// A problem document (RFC 9457) with what is wrong, each with its place.
pub(super) fn problem(
    status: StatusCode,
    code: &str,
    title: &str,
    detail: &str,
    faults: &[Fault],
) -> Response {
    let mut value = json!({
        "type": format!("{PROBLEM_TYPE}{code}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    if !faults.is_empty() {
        let fault = |fault: &Fault| {
            let Fault { at, found, expected } = fault;
            json!({ "at": at, "found": found, "expected": expected })
        };
        value["errors"] = faults.iter().map(fault).collect();
    }
    let mut response = json(status, &value);
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

pub(super) fn faulty(faults: &[Fault]) -> Response {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let title = "What was sent is not valid";
    problem(status, "registry_invalid", title, "see `errors`", faults)
}

pub(super) fn no_json(error: &str) -> Response {
    let title = "What was sent is not JSON";
    problem(StatusCode::BAD_REQUEST, "registry_json", title, error, &[])
}

pub(super) fn wrong_kind() -> Response {
    let title = "The content type is not taken";
    let detail = "expected `content-type: application/json`";
    problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "registry_content_type", title, detail, &[])
}

pub(super) fn not_found() -> Response {
    let title = "There is no such resource";
    let detail = "expected /services, /services/ID, /services/ID/heartbeat, /compatible or /health";
    problem(StatusCode::NOT_FOUND, "registry_not_found", title, detail, &[])
}

pub(super) fn not_allowed(methods: &'static str) -> Response {
    let title = "The method is not allowed here";
    let detail = format!("expected {methods}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = problem(status, "registry_method", title, &detail, &[]);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

pub(super) fn unauthenticated(reason: Reason, detail: &'static str) -> Response {
    let title = "Services show a token";
    let status = StatusCode::UNAUTHORIZED;
    let mut response = problem(status, "registry_token", title, detail, &[]);
    let challenge = HeaderValue::from_static("Bearer realm=\"registry\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    respond::mark(&mut response, Error::new(reason).with_detail(detail));
    response
}

/// The token is bound to other services than `name`.
pub(super) fn wrong_service(name: &str) -> Response {
    let detail = format!("the token does not register the service {}", quoted(name));
    let title = "The token is not for this service";
    forbidden("registry_service", title, detail, &[])
}

fn forbidden(code: &str, title: &str, detail: String, faults: &[Fault]) -> Response {
    let mut response = problem(StatusCode::FORBIDDEN, code, title, &detail, faults);
    respond::mark(&mut response, Error::new(Reason::Forbidden).with_detail(detail));
    response
}

pub(super) fn no_secret() -> Response {
    let title = "Only its holder changes a registration";
    let detail = "expected one `x-registration-secret` with the secret of the registration";
    forbidden("registry_secret", title, detail.to_owned(), &[])
}

/// The answer to a rejection.
pub(super) fn rejected(error: &RegistryError) -> Response {
    let detail = error.to_string();
    match error {
        RegistryError::Invalid(faults) => faulty(faults),
        RegistryError::Address(error) => address(error),
        RegistryError::Full { .. } => {
            let title = "The registry is full";
            problem(StatusCode::INSUFFICIENT_STORAGE, "registry_full", title, &detail, &[])
        }
        RegistryError::NameTaken(..) => {
            problem(StatusCode::CONFLICT, "registry_name_taken", "The name is taken", &detail, &[])
        }
        RegistryError::Unknown => {
            let title = "There is no such registration";
            problem(StatusCode::NOT_FOUND, "registry_unknown", title, &detail, &[])
        }
        RegistryError::NotTheHolder => no_secret(),
        RegistryError::StoreAway(_) => {
            let title = "The registry's store is away";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let mut response = problem(status, "registry_store_away", title, &detail, &[]);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(STORE_AGAIN));
            response
        }
    }
}

fn address(error: &AddressError) -> Response {
    let detail = error.to_string();
    let fault = |expected: &str| [Fault::new("/address", &*detail, expected)];
    match error {
        AddressError::Malformed(_) | AddressError::Scheme(..) | AddressError::Spelling(_) => {
            faulty(&fault("http://HOST[:PORT] or h2c://HOST[:PORT]"))
        }
        AddressError::NotFound(_) | AddressError::NotFoundInTime(_) => {
            faulty(&fault("an address, or a name that has one"))
        }
        _ => {
            let title = "The address is not allowed";
            let expected = fault("an address that the gateway allows");
            forbidden("registry_address", title, detail, &expected)
        }
    }
}
