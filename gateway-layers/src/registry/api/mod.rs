//! [`RegistryModule`]: the registry's HTTP API.

mod answer;
mod json;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::context::Metadata;
use gateway_core::{
    Body, Error, Health, ModuleService, Outcome, Reason, Request, RequestExt, Response, media_type,
};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use self::json::Json;
use super::error::{Fault, RegistryError};
use super::query;
use super::registration::quoted;
use super::registry::Registry;
use super::state::InstanceState;
use super::token::{ServiceToken, ServiceTokens};

/// In this field services show their token, unless they do in `Authorization`.
const TOKEN: HeaderName = HeaderName::from_static("x-service-token");

/// In this field the holder of a registration shows its secret.
const SECRET: HeaderName = HeaderName::from_static("x-registration-secret");

/// A body is at most this long: a registration's capabilities and metadata, escaped at worst.
const MAX_BODY: usize = 64 * 1024;

/// A body comes within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A registration is answered at once, but a service that is well at once is confirmed with that.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

/// The registry's HTTP API: a module like any other, for a route that matches a prefix. Paths are
/// relative to that prefix.
///
/// | | |
/// | --- | --- |
/// | `POST /services` | registers: 201 when confirmed, else 202; id, secret, lease, state |
/// | `PUT /services/ID/heartbeat` | renews: state, lease |
/// | `DELETE /services/ID` | ends: 204 |
/// | `GET /services`, `GET /services/ID` | what is registered, and how it is |
/// | `GET /compatible?NAME=VALUE` | names of services that are well and take this |
/// | `POST /compatible` | the same for a JSON object of names and values |
/// | `GET /health` | whether each service has an instance that is well |
///
/// Everybody shows a token, in `x-service-token` or as `Authorization: Bearer`; one that is bound to
/// [services](ServiceToken::services) registers no others (403). Who renews or ends
/// a registration shows its secret in `x-registration-secret` as well: a token alone does not do.
/// Rejections are problem documents (RFC 9457); what is wrong in a body is listed in `errors`, with
/// its place, what was found and what was expected.
///
/// ```
/// use gateway_core::{Module, Route, RouteMatch};
/// use gateway_layers::registry::{AllowList, Registry, RegistryModule, ServiceTokens};
///
/// let registry = Registry::builder().allow(AllowList::new(["10.0.0.0/8"])?).build();
/// let tokens = ServiceTokens::new(["a-token-of-16-bytes-or-more"])?;
/// let api = Module::new(RegistryModule::new(&registry, tokens));
/// let route = Route::new("registry", api).matching(RouteMatch::prefix("/registry")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RegistryModule {
    registry: Registry,
    tokens: Option<ServiceTokens>,
}

impl RegistryModule {
    /// The API of `registry`, for those who show one of `tokens`.
    pub fn new(registry: &Registry, tokens: ServiceTokens) -> Self {
        Self { registry: registry.clone(), tokens: Some(tokens) }
    }

    /// The API of `registry` for **everybody** who reaches it: only behind a layer that lets
    /// nobody pass but those who may register services.
    pub fn without_authentication(registry: &Registry) -> Self {
        Self { registry: registry.clone(), tokens: None }
    }

    async fn answer(&self, request: Request) -> Outcome {
        let (head, body) = request.into_parts();
        let token = match self.authenticate(&head.headers) {
            Ok(token) => token,
            Err((reason, detail)) => return Ok(answer::unauthenticated(reason, detail)),
        };
        self.registry.start();
        let path = path(&head);
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let method = &head.method;
        match (segments.as_slice(), method) {
            (["services"], &Method::GET) => Ok(self.list()),
            (["services"], &Method::POST) => self.register(token, &head, body).await,
            (["services"], _) => Ok(answer::not_allowed("GET, POST")),
            (["services", id], &Method::GET) => Ok(self.show(id)),
            (["services", id], &Method::DELETE) => Ok(self.deregister(id, &head.headers).await),
            (["services", _], _) => Ok(answer::not_allowed("GET, DELETE")),
            (["services", id, "heartbeat"], &Method::PUT) => {
                Ok(self.heartbeat(id, &head.headers).await)
            }
            (["services", _, "heartbeat"], _) => Ok(answer::not_allowed("PUT")),
            (["compatible"], &Method::GET) => Ok(self.compatible_by_query(&head)),
            (["compatible"], &Method::POST) => self.compatible_by_body(&head, body).await,
            (["compatible"], _) => Ok(answer::not_allowed("GET, POST")),
            (["health"], &Method::GET) => Ok(self.health_of_all()),
            (["health"], _) => Ok(answer::not_allowed("GET")),
            _ => Ok(answer::not_found()),
        }
    }

    /// Lets pass who shows one credential, which is one of the tokens. `None`: nobody has to.
    fn authenticate(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<&ServiceToken>, (Reason, &'static str)> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        let shown = headers.get_all(TOKEN).iter().map(|value| Some(value.as_bytes()));
        let bearer = headers.get_all(AUTHORIZATION).iter().map(bearer);
        let mut shown = shown.chain(bearer);
        let expected = "expected one `x-service-token` or one `Authorization: Bearer`";
        match (shown.next(), shown.next()) {
            (Some(Some(token)), None) => tokens
                .find(token)
                .map(Some)
                .ok_or((Reason::CredentialsInvalid, "the token is not one of the registry's")),
            _ => Err((Reason::Unauthenticated, expected)),
        }
    }

    async fn register(
        &self,
        token: Option<&ServiceToken>,
        head: &request::Parts,
        body: Body,
    ) -> Outcome {
        let json = match json_body(&head.headers, body).await? {
            Ok(json) => json,
            Err(rejection) => return Ok(rejection),
        };
        let registered = match read::registration(json) {
            Ok(registration) if token.is_some_and(|own| !own.registers(&registration.service)) => {
                return Ok(answer::wrong_service(&registration.service));
            }
            Ok(registration) => self.registry.register(registration).await,
            Err(faults) => Err(RegistryError::Invalid(faults)),
        };
        let registered = match registered {
            Ok(registered) => registered,
            Err(error) => return Ok(answer::rejected(&error)),
        };
        let state = self.registry.confirmed(&registered.id, CONFIRM_WITHIN).await;
        let state = state.unwrap_or(InstanceState::Pending);
        let status = match state {
            InstanceState::Active => StatusCode::CREATED,
            _ => StatusCode::ACCEPTED,
        };
        let mut response = answer::json(status, &answer::registered(&registered, state));
        let own = head.context().and_then(|context| context.target()).unwrap_or(&head.uri);
        let place = format!("{}/{}", own.path().trim_end_matches('/'), registered.id);
        if let Ok(place) = HeaderValue::from_str(&place) {
            response.headers_mut().insert(LOCATION, place);
        }
        Ok(response)
    }

    async fn heartbeat(&self, id: &str, headers: &HeaderMap) -> Response {
        let Some(secret) = secret(headers) else {
            return answer::no_secret();
        };
        match self.registry.heartbeat(id, secret).await {
            Ok((state, lease)) => answer::json(StatusCode::OK, &answer::renewed(state, lease)),
            Err(error) => answer::rejected(&error),
        }
    }

    async fn deregister(&self, id: &str, headers: &HeaderMap) -> Response {
        let Some(secret) = secret(headers) else {
            return answer::no_secret();
        };
        match self.registry.deregister(id, secret).await {
            Ok(()) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Err(error) => answer::rejected(&error),
        }
    }

    fn list(&self) -> Response {
        let instances = self.registry.instances();
        let list: Value = instances.iter().map(answer::short).collect();
        answer::json(StatusCode::OK, &json!({ "services": list }))
    }

    fn show(&self, id: &str) -> Response {
        match self.registry.instance(id) {
            Some(instance) => answer::json(StatusCode::OK, &answer::long(&instance)),
            None => answer::rejected(&RegistryError::Unknown),
        }
    }

    fn compatible_by_query(&self, head: &request::Parts) -> Response {
        let mut asked = Metadata::default();
        let mut faults = Vec::new();
        for pair in query::pairs(head.uri.query().unwrap_or_default()) {
            match pair {
                None => faults.push(Fault::new("", "a broken escape", "percent-encoded UTF-8")),
                Some((name, value)) => {
                    if asked.insert(name.clone(), value).is_some() {
                        faults.push(Fault::new("", format!("{} twice", quoted(&name)), "once"));
                    }
                }
            }
        }
        if faults.is_empty() { self.compatible(&asked) } else { answer::faulty(&faults) }
    }

    async fn compatible_by_body(&self, head: &request::Parts, body: Body) -> Outcome {
        let json = match json_body(&head.headers, body).await? {
            Ok(json) => json,
            Err(rejection) => return Ok(rejection),
        };
        Ok(match read::asked(json) {
            Ok(asked) => self.compatible(&asked),
            Err(faults) => answer::faulty(&faults),
        })
    }

    fn compatible(&self, asked: &Metadata) -> Response {
        let names = self.registry.compatible_services(asked);
        let names: Value = names.iter().map(|name| &**name).collect();
        answer::json(StatusCode::OK, &json!({ "services": names }))
    }

    fn health_of_all(&self) -> Response {
        let health = self.registry.health_check();
        let health: Map<_, _> =
            health.into_iter().map(|(name, well)| (name.to_string(), well.into())).collect();
        answer::json(StatusCode::OK, &health.into())
    }
}

impl ModuleService for RegistryModule {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        self.answer(request)
    }

    async fn health(&self) -> Health {
        Health::Healthy
    }
}

impl fmt::Debug for RegistryModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryModule")
            .field("registry", &self.registry)
            .field("tokens", &self.tokens)
            .finish()
    }
}

/// The path behind the prefix that the route matched, unless it was rewritten.
fn path(head: &request::Parts) -> &str {
    let path = head.uri.path();
    let Some(context) = head.context() else {
        return path;
    };
    let rewritten = context.target().is_none_or(|target| target.path() != path);
    let rest = context.after_prefix().filter(|_| !rewritten);
    rest.and_then(|place| path.get(place..)).unwrap_or(path)
}

/// The credential of an `Authorization` field; `None`: it is of another scheme.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// The secret that is shown, when it is one.
fn secret(headers: &HeaderMap) -> Option<&str> {
    let mut shown = headers.get_all(SECRET).iter();
    let only = shown.next().filter(|_| shown.next().is_none())?;
    only.to_str().ok()
}

/// The body as JSON, or what to answer. What could not be received is an error.
async fn json_body(headers: &HeaderMap, body: Body) -> Result<Result<Json, Response>, Error> {
    if !media_type::is(headers, "application/json") {
        return Ok(Err(answer::wrong_kind()));
    }
    let bytes = received(body).await?;
    Ok(Json::read(&bytes).map_err(|error| answer::no_json(&error)))
}

async fn received(body: Body) -> Result<Bytes, Error> {
    let collected = timeout(BODY_WITHIN, Limited::new(body, MAX_BODY).collect()).await;
    let collected = collected.map_err(|_| Error::new(Reason::RequestTimeout))?;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let detail = format!("{MAX_BODY} bytes at most");
            return Error::new(Reason::BodyTooLarge).with_detail(detail);
        }
        match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::new(Reason::RequestIncomplete).with_source(error),
        }
    });
    Ok(collected?.to_bytes())
}
