//! Keys as requests show them.

use crate::auth::credentials::CredentialHandling;
use gateway_core::{
    Body, ConnectionInfo, Error, Module, Reason, Request, RequestContext, RequestExt, Response,
    module_fn,
};
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use tower::{Layer, Service};

use super::*;
use crate::auth::{Authenticate, CredentialSource, Forward};

/// Answers with who is calling, and what the upstream sees of the request.
fn echo() -> Module {
    Module::new(module_fn(|request: Request| async move {
        let known = request.context().and_then(RequestContext::principal);
        let subject = known.map_or("nobody", |known| &known.subject).to_owned();
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert("x-subject", HeaderValue::from_str(&subject).unwrap());
        headers.insert("x-uri", HeaderValue::from_str(&request.uri().to_string()).unwrap());
        for name in ["x-api-key", "authorization", "cookie", "x-user-tier"] {
            if let Some(value) = request.headers().get(name) {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
        Ok::<_, Error>(response)
    }))
}

fn request(uri: &str, fields: &[(&str, &str)]) -> Request {
    let connection = ConnectionInfo::unix(Arc::default());
    let context = RequestContext::new(Arc::new(connection), tokio::time::Instant::now());
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(context);
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

async fn call(authenticator: &ApiKeyAuthenticator, request: Request) -> Result<Response, Error> {
    Authenticate::new(authenticator.clone()).layer(echo()).call(request).await
}

async fn one_key() -> (ApiKeys, String) {
    let forward = Forward::new().field(HeaderName::from_static("x-user-tier"), "tier");
    let keys = ApiKeys::builder("partners", MemoryKeyStore::new()).forward(forward).build();
    let (key, _) = keys.issue(KeyGrant::new("acme").tier("gold")).await.unwrap();
    (keys, key.reveal().to_owned())
}

#[tokio::test]
async fn a_key_is_taken_from_each_place_that_is_named_and_does_not_go_on() {
    let (keys, key) = one_key().await;
    let authenticator = ApiKeyAuthenticator::new(keys).from([
        CredentialSource::Header(HeaderName::from_static("x-api-key")),
        CredentialSource::Authorization("ApiKey".into()),
        CredentialSource::Cookie("key".to_owned()),
        CredentialSource::Query("key".to_owned()),
    ]);
    let scheme = format!("apikey {key}");
    let cookie = format!("a=b; key={key}");
    let query = format!("/orders?a=b&key={key}");
    for request in [
        request("/orders", &[("x-api-key", &key)]),
        request("/orders", &[("authorization", &scheme)]),
        request("/orders", &[("cookie", &cookie)]),
        request(&query, &[]),
    ] {
        let response = call(&authenticator, request).await.unwrap();
        assert_eq!(response.headers()["x-subject"], "acme");
        assert_eq!(response.headers()["x-user-tier"], "gold");
        assert!(!format!("{response:?}").contains(&key), "{response:?}");
    }
    // Somebody else's `Authorization` is left alone.
    let fields = [("x-api-key", &*key), ("authorization", "Bearer another")];
    let response = call(&authenticator, request("/orders", &fields)).await.unwrap();
    assert_eq!(response.headers()["authorization"], "Bearer another");
    let kept = authenticator.credentials(CredentialHandling::Keep);
    let response = call(&kept, request("/orders", &[("x-api-key", &key)])).await.unwrap();
    assert_eq!(response.headers()["x-api-key"], *key);
}

#[tokio::test]
async fn what_is_no_key_is_rejected_with_its_reason() {
    let (keys, key) = one_key().await;
    let authenticator = ApiKeyAuthenticator::new(keys.clone()).realm("partners").from([
        CredentialSource::Header(HeaderName::from_static("x-api-key")),
        CredentialSource::Query("key".to_owned()),
    ]);
    let rejected = async |request: Request| {
        let error = call(&authenticator, request).await.map(drop).unwrap_err();
        assert!(!format!("{error:?} {error}").contains(&key));
        let challenge = error.fields().iter().find(|(name, _)| name == WWW_AUTHENTICATE).cloned();
        let challenged = challenge.is_some_and(|(_, value)| value == "ApiKey realm=\"partners\"");
        assert_eq!(challenged, error.reason().status() == http::StatusCode::UNAUTHORIZED);
        (error.reason(), error.detail().to_owned())
    };
    let none = rejected(request("/", &[])).await;
    assert_eq!(none, (Reason::Unauthenticated, String::new()));
    let invalid = |fault: ApiKeyRejection| (Reason::CredentialsInvalid, fault.text().to_owned());
    let two = rejected(request("/", &[("x-api-key", &key), ("x-api-key", &key)])).await;
    assert_eq!(two, invalid(ApiKeyRejection::Several));
    let both = rejected(request(&format!("/?key={key}"), &[("x-api-key", &key)])).await;
    assert_eq!(both, invalid(ApiKeyRejection::Several));
    let empty = rejected(request("/", &[("x-api-key", "")])).await;
    assert_eq!(empty, invalid(ApiKeyRejection::Malformed));
    let unknown = rejected(request("/", &[("x-api-key", "nobody-has-this-key")])).await;
    assert_eq!(unknown, invalid(ApiKeyRejection::Unknown));
    let long = rejected(request("/", &[("x-api-key", &"x".repeat(MAX_KEY + 1))])).await;
    assert_eq!(long, invalid(ApiKeyRejection::Malformed));
    let near = keys.issue(KeyGrant::new("b").networks(["10.0.0.0/8".parse().unwrap()])).await;
    let near = near.unwrap().0;
    let far = rejected(request("/", &[("x-api-key", near.reveal())])).await;
    assert_eq!(far, (Reason::AddressDenied, ApiKeyRejection::Network.text().to_owned()));
    let mut unknown = request("/", &[("x-api-key", near.reveal())]);
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let context = RequestContext::new(Arc::new(connection), tokio::time::Instant::now());
    unknown.extensions_mut().insert(context);
    let text = ApiKeyRejection::AddressUnknown.text().to_owned();
    assert_eq!(rejected(unknown).await, (Reason::ClientAddressUnknown, text));
    let routed = keys.issue(KeyGrant::new("b").routes(["users"])).await.unwrap().0;
    let elsewhere = rejected(request("/", &[("x-api-key", routed.reveal())])).await;
    assert_eq!(elsewhere, (Reason::Forbidden, ApiKeyRejection::Route.text().to_owned()));
    let odd = keys.issue(KeyGrant::new("b").tier(" gold")).await.unwrap().0;
    let untold = rejected(request("/", &[("x-api-key", odd.reveal())])).await;
    assert_eq!(untold, invalid(ApiKeyRejection::Untold));
}
