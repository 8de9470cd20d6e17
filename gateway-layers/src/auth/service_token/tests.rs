//! Tokens through the layer.

use crate::auth::credentials::CredentialHandling;
use std::sync::Arc;

use gateway_core::{
    Body, ConnectionInfo, Error, Module, Reason, Request, RequestContext, RequestExt, Response,
    module_fn,
};
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use tower::{Layer, Service, ServiceBuilder};

use super::*;
use crate::auth::{Authenticate, Forward, SecretDigest};
use crate::filter::FilterLayer;

const OLD: &str = "a-token-of-the-past-planted";
const NEW: &str = "a-token-of-today-planted";
const OTHER: &str = "a-token-of-shipping-planted";

fn tokens() -> ServiceTokenAuthenticator {
    let shipping = ServiceToken::hashed("shipping", SecretDigest::of(OTHER.as_bytes())).unwrap();
    let tokens = [
        ServiceToken::new("billing", OLD).unwrap().roles(["internal"]),
        ServiceToken::new("billing", NEW).unwrap().roles(["internal"]).scopes(["read"]),
        shipping.tenant(" untold"),
    ];
    ServiceTokenAuthenticator::new("services", tokens).unwrap()
}

/// Answers with who is calling, and what the upstream sees of it.
fn echo() -> Module {
    Module::new(module_fn(|request: Request| async move {
        let known = request.context().and_then(RequestContext::principal);
        let known = known.map_or("nobody".to_owned(), |known| {
            format!("{} {} {}", known.method, known.subject, known.roles.join(","))
        });
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("x-known", HeaderValue::from_str(&known).unwrap());
        for name in ["x-service-token", "x-service"] {
            if let Some(value) = request.headers().get(name) {
                response.headers_mut().insert(HeaderName::from_static(name), value.clone());
            }
        }
        Ok::<_, Error>(response)
    }))
}

fn request(tokens: &[&str]) -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let mut request = Request::new(Body::empty());
    let context = RequestContext::new(Arc::new(connection), tokio::time::Instant::now());
    request.extensions_mut().insert(context);
    for token in tokens {
        request.headers_mut().append(HEADER, HeaderValue::from_str(token).unwrap());
    }
    request
}

async fn call(known: &ServiceTokenAuthenticator, request: Request) -> Result<Response, Error> {
    Authenticate::new(known.clone()).layer(echo()).call(request).await
}

#[tokio::test]
async fn a_service_is_known_by_each_of_its_tokens_and_they_do_not_go_on() {
    let tokens = tokens();
    for token in [OLD, NEW, OTHER] {
        let response = call(&tokens, request(&[token])).await.unwrap();
        let service = if token == OTHER { "shipping " } else { "billing internal" };
        assert_eq!(response.headers()["x-known"], format!("service_token {service}"));
        assert_eq!(response.headers().get(HEADER), None);
    }
    let kept = tokens.credentials(CredentialHandling::Keep);
    let response = call(&kept, request(&[NEW])).await.unwrap();
    assert_eq!(response.headers()[HEADER], NEW);
}

#[tokio::test]
async fn what_is_no_token_is_rejected_and_never_printed() {
    let forward = Forward::new().field(HeaderName::from_static("x-tenant"), "tenant");
    let tokens = tokens().forward(forward).realm("services");
    let rejected = async |sent: &[&str]| {
        let error = call(&tokens, request(sent)).await.map(drop).unwrap_err();
        let challenge = error.fields().iter().find(|(name, _)| name == WWW_AUTHENTICATE);
        assert_eq!(challenge.unwrap().1, "ServiceToken realm=\"services\"");
        assert!(!format!("{error:?} {error} {tokens:?}").contains("planted"));
        (error.reason(), error.detail().to_owned())
    };
    assert_eq!(rejected(&[]).await.0, Reason::Unauthenticated);
    let invalid = |detail: &str| (Reason::CredentialsInvalid, detail.to_owned());
    assert_eq!(rejected(&[NEW, NEW]).await, invalid("there is not one token"));
    assert_eq!(rejected(&[""]).await, invalid("there is not one token"));
    for wrong in ["x", &NEW[1..], &format!("{NEW}x"), &NEW.to_uppercase()] {
        assert_eq!(rejected(&[wrong]).await, invalid("the token is not known"), "{wrong}");
    }
    assert_eq!(rejected(&[&"x".repeat(MAX_TOKEN + 1)]).await, invalid("the token is too long"));
    let untold = "what the service is cannot be told in a header field";
    assert_eq!(rejected(&[OTHER]).await, invalid(untold));
}

#[test]
fn tokens_that_protect_nothing_are_rejected_and_not_repeated() {
    let short = ServiceToken::new("billing", "planted").unwrap_err();
    assert_eq!(short, ServiceTokenError::Text("billing".to_owned()));
    assert!(!format!("{short} {short:?}").contains("planted"));
    for wrong in ["0123456789 abcdef", "0123456789abcdé", &"x".repeat(MAX_TOKEN + 1)] {
        assert!(ServiceToken::new("billing", wrong).is_err(), "{wrong}");
        assert!(ServiceTokenFilter::new(wrong).is_err(), "{wrong}");
    }
    assert_eq!(ServiceToken::new("", NEW).unwrap_err(), ServiceTokenError::Service);
    let none = ServiceTokenAuthenticator::new("services", []).map(drop);
    assert_eq!(none.unwrap_err(), ServiceTokenError::None);
    let same = ["billing", "shipping"].map(|service| ServiceToken::new(service, NEW).unwrap());
    let twice = ServiceTokenAuthenticator::new("services", same).map(drop).unwrap_err();
    assert_eq!(twice, ServiceTokenError::Twice("billing".to_owned(), "shipping".to_owned()));
}

#[tokio::test]
async fn our_own_token_takes_the_place_of_whatever_was_sent() {
    let filter = ServiceTokenFilter::new(NEW).unwrap();
    assert!(!format!("{filter:?}").contains("planted"));
    let mut service = ServiceBuilder::new().layer(FilterLayer::new(filter.clone())).service(echo());
    let response = service.call(request(&[OLD, OTHER])).await.unwrap();
    assert_eq!(response.headers()[HEADER], NEW);
    assert!(response.headers()[HEADER].is_sensitive());
    let named = filter.header(HeaderName::from_static("x-service"));
    let mut service = ServiceBuilder::new().layer(FilterLayer::new(named)).service(echo());
    let response = service.call(request(&[])).await.unwrap();
    assert_eq!(response.headers()["x-service"], NEW);
}
