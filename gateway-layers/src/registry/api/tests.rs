use std::sync::{Arc, Mutex};

use gateway_core::{Gateway, Module, Observer, RequestFinished, Route, RouteMatch, respond};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::registry::{AllowList, Capabilities, Check, Place, Registration};

const TOKEN_OF_TODAY: &str = "a-token-of-today!";
const ADDRESS: &str = "http://10.0.0.1:80";

struct Well;

impl Check for Well {
    async fn check(&self, _: &gateway_core::EndpointAddress, _: &str) -> Result<(), String> {
        Ok(())
    }
}

fn registry() -> Registry {
    let allow = AllowList::new(["10.0.0.0/8"]).unwrap();
    Registry::builder().allow(allow).with_check(Well).build()
}

/// The registry's API below `/registry` of a gateway.
fn api(registry: &Registry) -> Module {
    let tokens = ServiceTokens::new(["a-token-of-the-past", TOKEN_OF_TODAY]).unwrap();
    let api = Module::new(RegistryModule::new(registry, tokens));
    let route = Route::new("registry", api).matching(RouteMatch::prefix("/registry").unwrap());
    Module::new(Gateway::builder().route(route).build().unwrap())
}

fn request(method: &str, path: &str, body: &str) -> Request {
    http::Request::builder()
        .method(method)
        .uri(format!("/registry{path}"))
        .header("host", "gateway")
        .header("x-service-token", TOKEN_OF_TODAY)
        .header("content-type", "application/json")
        .body(Body::full(body.to_owned()))
        .unwrap()
}

fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

async fn answered(outcome: Outcome) -> (u16, HeaderMap, Value) {
    let response = outcome.unwrap_or_else(|error| respond::problem(&error));
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&body).unwrap_or_default();
    (head.status.as_u16(), head.headers, value)
}

async fn send(api: &Module, request: Request) -> (u16, HeaderMap, Value) {
    answered(ModuleService::call(api, request).await).await
}

async fn post(api: &Module, body: &str) -> (u16, HeaderMap, Value) {
    send(api, request("POST", "/services", body)).await
}

fn users() -> String {
    json!({
        "service": "users",
        "address": ADDRESS,
        "capabilities": { "resource_type": ["users", "groups"], "region": "*" },
        "metadata": { "version": "1.4", "build": 7 },
        "lease_seconds": 60,
        "health_path": "/ready",
        "weight": 2,
        "zone": "a",
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn a_service_registers_renews_is_found_and_ends() {
    let registry = registry();
    let api = api(&registry);
    let (status, headers, own) = post(&api, &users()).await;
    assert_eq!(status, 201);
    assert_eq!(headers["cache-control"], "no-store");
    let id = own["id"].as_str().unwrap();
    assert_eq!(headers["location"], format!("/registry/services/{id}"));
    assert_eq!(own["state"], "active");
    assert_eq!((&own["lease_seconds"], &own["heartbeat_seconds"]), (&json!(60), &json!(20)));
    let secret = own["secret"].as_str().unwrap();

    let one = format!("/services/{id}");
    let (status, _, shown) = send(&api, request("GET", &one, "")).await;
    assert_eq!((status, &shown["address"]), (200, &json!(ADDRESS)));
    let capabilities = json!({ "resource_type": ["groups", "users"], "region": ["*"] });
    assert_eq!(shown["capabilities"], capabilities);
    assert_eq!(shown["metadata"], json!({ "version": "1.4", "build": "7" }));
    assert_eq!(shown["expires_in_seconds"], 60);
    let (_, _, list) = send(&api, request("GET", "/services", "")).await;
    assert_eq!(list["services"][0]["id"], id);
    assert!(!format!("{list}{shown}").contains(secret));

    let found = json!({ "services": ["users"] });
    let none = json!({ "services": [] });
    for (query, expected) in [
        ("resource_type=users", &found),
        ("resource_type=users&region=%65u", &found),
        ("resource_type=products", &none),
        ("owner=ada", &none),
    ] {
        let (status, _, value) =
            send(&api, request("GET", &format!("/compatible?{query}"), "")).await;
        assert_eq!((status, &value), (200, expected), "{query}");
    }
    let body = r#"{"resource_type": "groups", "region": 7}"#;
    assert_eq!(send(&api, request("POST", "/compatible", body)).await.2, found);
    assert_eq!(send(&api, request("GET", "/health", "")).await.2, json!({ "users": true }));

    let beat = || request("PUT", &format!("{one}/heartbeat"), "");
    assert_eq!(send(&api, beat()).await.0, 403);
    assert_eq!(send(&api, with(beat(), "x-registration-secret", "x")).await.0, 403);
    let (status, _, value) = send(&api, with(beat(), "x-registration-secret", secret)).await;
    assert_eq!(
        (status, &value["state"], &value["lease_seconds"]),
        (200, &json!("active"), &json!(60))
    );
    let end = || request("DELETE", &one, "");
    assert_eq!(send(&api, end()).await.0, 403);
    assert_eq!(send(&api, with(end(), "x-registration-secret", secret)).await.0, 204);
    assert_eq!(send(&api, with(end(), "x-registration-secret", secret)).await.0, 404);
    assert_eq!(send(&api, request("GET", &one, "")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_without_one_of_the_tokens() {
    let registry = registry();
    let api = api(&registry);
    let bare = |path: &str| {
        let mut request = request("GET", path, "");
        request.headers_mut().remove("x-service-token");
        request
    };
    for path in ["/health", "/services", "/nowhere"] {
        let (status, headers, value) = send(&api, bare(path)).await;
        assert_eq!(
            (status, &headers["www-authenticate"]),
            (401, &"Bearer realm=\"registry\"".parse().unwrap())
        );
        assert_eq!(value["type"], "urn:gateway:problem:registry_token");
    }
    for (name, value, expected) in [
        ("x-service-token", TOKEN_OF_TODAY, 200),
        ("x-service-token", "a-token-of-the-past", 200),
        ("x-service-token", "a-token-of-the-futur", 401),
        ("x-service-token", "", 401),
        ("authorization", "Bearer a-token-of-today!", 200),
        ("authorization", "bearer a-token-of-today!", 200),
        ("authorization", "Basic a-token-of-today!", 401),
        ("authorization", "Bearer", 401),
    ] {
        let request = with(bare("/health"), name, value);
        assert_eq!(send(&api, request).await.0, expected, "{name}: {value}");
    }
    let both = with(request("GET", "/health", ""), "authorization", "Bearer a-token-of-today!");
    assert_eq!(send(&api, both).await.0, 401);
    let open = Module::new(RegistryModule::without_authentication(&registry));
    let request = http::Request::get("/health").body(Body::empty()).unwrap();
    assert_eq!(send(&open, request).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn bound_token_registers_no_other_service() {
    let registry = registry();
    let bound = ServiceToken::new(TOKEN_OF_TODAY).unwrap().services(["orders", "users-*"]);
    let tokens = ServiceTokens::of([bound.unwrap()]).unwrap();
    let seen = Reasons::default();
    let api = Module::new(RegistryModule::new(&registry, tokens));
    let route = Route::new("registry", api).matching(RouteMatch::prefix("/registry").unwrap());
    let gateway = Gateway::builder().route(route).observer(seen.clone()).build().unwrap();
    let api = Module::new(gateway);
    let body = |name: &str| json!({ "service": name, "address": "http://10.0.0.1" }).to_string();
    for name in ["orders", "users-eu"] {
        assert_eq!(post(&api, &body(name)).await.0, 201, "{name}");
    }
    let (status, _, value) = post(&api, &body("users")).await;
    assert_eq!((status, &value["type"]), (403, &json!("urn:gateway:problem:registry_service")));
    let wrong = with(request("GET", "/health", ""), "x-service-token", "a-token-of-others");
    assert_eq!(send(&api, wrong).await.0, 401);
    let mut bare = request("GET", "/health", "");
    bare.headers_mut().remove("x-service-token");
    assert_eq!(send(&api, bare).await.0, 401);
    assert_eq!(send(&api, request("DELETE", "/services/none", "")).await.0, 403);
    let reasons = seen.0.lock().unwrap().clone();
    let expected = "forbidden: the token does not register the service `users`";
    assert_eq!(reasons[0], expected);
    let codes: Vec<_> = reasons.iter().map(|told| told.split(':').next().unwrap()).collect();
    assert_eq!(codes, ["forbidden", "credentials_invalid", "unauthenticated", "forbidden"]);
}

/// Writes down why requests were rejected.
#[derive(Clone, Default)]
struct Reasons(Arc<Mutex<Vec<String>>>);

impl Observer for Reasons {
    fn request_finished(&self, event: &RequestFinished<'_>) {
        if let (Some(reason), Some(error)) = (event.reason, event.error) {
            assert_eq!(reason, error.reason());
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_in_a_body_is_said_with_its_place() {
    let registry = registry();
    let api = api(&registry);
    let wrong = r#"{"service": 7, "address": null, "capabilities": {"a": [1]}, "metadata": [],
        "lease_seconds": -1, "weight": 1.5, "zone": {}, "sercret": ""}"#;
    let (status, headers, value) = post(&api, wrong).await;
    assert_eq!(
        (status, headers["content-type"].as_bytes()),
        (422, &b"application/problem+json"[..])
    );
    let places: Vec<_> =
        value["errors"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    let expected = [
        "/service",
        "/address",
        "/capabilities/a/0",
        "/metadata",
        "/lease_seconds",
        "/weight",
        "/zone",
        "/sercret",
    ];
    assert_eq!(places, expected);
    for (body, status, kind) in [
        ("{}", 422, "registry_invalid"),
        ("[]", 422, "registry_invalid"),
        ("", 400, "registry_json"),
        (r#"{"service":"a","service":"b"}"#, 400, "registry_json"),
        (r#"{"metadata":{"a":{"b":{"c":{"d":1}}}}}"#, 400, "registry_json"),
        (r#"{"service":"a","address":"http://127.0.0.1"}"#, 403, "registry_address"),
        (r#"{"service":"a","address":"http://11.0.0.1"}"#, 403, "registry_address"),
        (r#"{"service":"a","address":"http://2130706433"}"#, 422, "registry_invalid"),
        (
            r#"{"service":"a","address":"http://10.0.0.1","lease_seconds":1}"#,
            422,
            "registry_invalid",
        ),
    ] {
        let (found, _, value) = post(&api, body).await;
        assert_eq!((found, &value["status"]), (status, &json!(status)), "{body}");
        assert_eq!(value["type"], format!("urn:gateway:problem:{kind}"), "{body}");
    }
    let long = format!("\"{}\"", "x".repeat(MAX_BODY));
    assert_eq!(post(&api, &long).await.0, 413);
    let text = with(request("POST", "/services", &users()), "content-type", "text/plain");
    assert_eq!(send(&api, text).await.0, 415);
    let charset = "application/json; charset=utf-8";
    let request = with(request("POST", "/services", &users()), "content-type", charset);
    assert_eq!(send(&api, request).await.0, 201);
    assert_eq!(registry.instances().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_methods_and_paths_are_rejected() {
    let api = api(&registry());
    for (method, path, allow) in [
        ("PUT", "/services", "GET, POST"),
        ("POST", "/services/x", "GET, DELETE"),
        ("GET", "/services/x/heartbeat", "PUT"),
        ("DELETE", "/compatible", "GET, POST"),
        ("POST", "/health", "GET"),
    ] {
        let (status, headers, _) = send(&api, request(method, path, "")).await;
        assert_eq!(
            (status, headers["allow"].as_bytes()),
            (405, allow.as_bytes()),
            "{method} {path}"
        );
    }
    for path in ["", "/", "/services/x/y", "/healthy", "/health/x"] {
        assert_eq!(send(&api, request("GET", path, "")).await.0, 404, "{path}");
    }
    for query in ["a=1&a=2", "a=%zz"] {
        let request = request("GET", &format!("/compatible?{query}"), "");
        assert_eq!(send(&api, request).await.0, 422, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_confirmed_in_time_is_accepted() {
    struct Never;
    impl Check for Never {
        async fn check(&self, _: &gateway_core::EndpointAddress, _: &str) -> Result<(), String> {
            Err("not yet".to_owned())
        }
    }
    let allow = AllowList::new(["10.0.0.0/8"]).unwrap();
    let registry = Registry::builder().allow(allow).with_check(Never).build();
    let (status, _, value) = post(&api(&registry), &users()).await;
    assert_eq!((status, &value["state"]), (202, &json!("pending")));
    let (_, _, list) = send(&api(&registry), request("GET", "/services", "")).await;
    assert_eq!(list["services"][0]["problem"], "not yet");
}

#[tokio::test(start_paused = true)]
async fn modules_of_this_process_are_in_the_same_list() {
    let registry = registry();
    let module = Module::new(gateway_core::FixedResponse::new(StatusCode::OK));
    let takes = Capabilities::new().with("resource_type", ["local"]);
    let place = Place::Module(module);
    registry.register(Registration::new("local", place).capabilities(takes)).await.unwrap();
    registry.changed().await;
    let api = api(&registry);
    let (_, _, list) = send(&api, request("GET", "/services", "")).await;
    assert_eq!(list["services"][0]["address"], Value::Null);
    let (_, _, found) = send(&api, request("GET", "/compatible?resource_type=local", "")).await;
    assert_eq!(found, json!({ "services": ["local"] }));
}

#[tokio::test]
async fn the_gateway_itself_asks_the_address_that_was_registered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        (String::from_utf8(head).unwrap(), stream)
    };
    let allow = AllowList::new(["127.0.0.1"]).unwrap();
    let registry = Registry::builder().allow(allow).build();
    let api = api(&registry);
    let body = json!({ "service": "users", "address": address, "health_path": "/ready?x" });
    let body = body.to_string();
    let ((head, _stream), (status, _, value)) = tokio::join!(asked, post(&api, &body));
    assert!(head.starts_with("GET /ready?x HTTP/1.1\r\n"), "{head}");
    assert_eq!((status, &value["state"]), (201, &json!("active")));
}
