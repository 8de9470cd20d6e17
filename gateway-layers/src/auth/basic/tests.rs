//! Names and passwords through the layer.

use crate::auth::credentials::CredentialHandling;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use gateway_core::{
    Body, ConnectionInfo, Error, Module, Reason, Request, RequestContext, RequestExt, Response,
    module_fn,
};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::{Instant, advance};
use tower::{Layer, Service};

use super::*;
use crate::auth::{Authenticate, Forward};

/// Cheap, for tests.
fn hash(password: &str) -> PasswordHash {
    PasswordHash::parse(&bcrypt::hash(password, 4).unwrap()).unwrap()
}

fn users() -> BasicUsers {
    let alice = BasicUser::new("alice", hash("open sesame")).roles(["admin"]).tier("gold");
    let bob = BasicUser::new("bob", hash("another")).tenant(" north");
    BasicUsers::new([alice, bob]).unwrap()
}

fn verifier() -> BasicVerifierBuilder {
    BasicVerifier::builder("staff", users())
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn request(lines: &[&str]) -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    for line in lines {
        request.headers_mut().append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
    }
    request
}

/// Answers with who is calling, and what the upstream sees of it.
fn echo() -> Module {
    Module::new(module_fn(|request: Request| async move {
        let known = request.context().and_then(RequestContext::principal);
        let subject = known.map_or("nobody", |known| &known.subject).to_owned();
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("x-subject", HeaderValue::from_str(&subject).unwrap());
        for name in ["authorization", "x-roles"] {
            if let Some(value) = request.headers().get(name) {
                response.headers_mut().insert(HeaderName::from_static(name), value.clone());
            }
        }
        Ok::<_, Error>(response)
    }))
}

async fn call(authenticator: &BasicAuthenticator, request: Request) -> Result<Response, Error> {
    Authenticate::new(authenticator.clone()).layer(echo()).call(request).await
}

#[tokio::test]
async fn a_user_is_known_by_name_and_password_and_the_upstream_gets_neither() {
    let forward = Forward::new().field(HeaderName::from_static("x-roles"), "roles");
    let authenticator = BasicAuthenticator::new(verifier().forward(forward).build().unwrap());
    for _ in 0..2 {
        let response = call(&authenticator, request(&[&basic("alice", "open sesame")])).await;
        let response = response.unwrap();
        assert_eq!(response.headers()["x-subject"], "alice");
        assert_eq!(response.headers()["x-roles"], "admin");
        assert_eq!(response.headers().get(AUTHORIZATION), None);
    }
    // It was paid for once.
    assert_eq!(authenticator.verifier().status().verified, 1);
    let kept = authenticator.credentials(CredentialHandling::Keep);
    let line = basic("alice", "open sesame");
    let response = call(&kept, request(&[&line])).await.unwrap();
    assert_eq!(response.headers()[AUTHORIZATION], line);
}

#[tokio::test]
async fn who_is_wrong_is_not_told_what_is_wrong_and_is_challenged_in_utf_8() {
    let authenticator = BasicAuthenticator::new(verifier().build().unwrap()).realm("staff \"x\"");
    let rejected = async |lines: &[&str]| {
        let error = call(&authenticator, request(lines)).await.map(drop).unwrap_err();
        let challenge = error.fields().iter().find(|(name, _)| name == WWW_AUTHENTICATE);
        assert_eq!(challenge.unwrap().1, "Basic realm=\"staff x\", charset=\"UTF-8\"");
        let printed = format!("{error:?} {error} {authenticator:?}");
        assert!(!printed.contains("planted") && !printed.contains("$2"), "{printed}");
        (error.reason(), error.detail().to_owned())
    };
    assert_eq!(rejected(&[]).await.0, Reason::Unauthenticated);
    assert_eq!(rejected(&["Bearer x"]).await.0, Reason::Unauthenticated);
    let invalid = |fault: BasicAuthRejection| (Reason::CredentialsInvalid, fault.text().to_owned());
    let password = rejected(&[&basic("alice", "planted-secret")]).await;
    let name = rejected(&[&basic("carol", "planted-secret")]).await;
    assert_eq!(password, invalid(BasicAuthRejection::Wrong));
    assert_eq!(name, password);
    assert_eq!(rejected(&["Basic !"]).await, invalid(BasicAuthRejection::Malformed));
    let line = basic("alice", "open sesame");
    assert_eq!(rejected(&[&line, &line]).await, invalid(BasicAuthRejection::Several));
    assert_eq!(rejected(&[&format!("{line}, {line}")]).await, invalid(BasicAuthRejection::Several));
}

#[tokio::test]
async fn a_name_that_nobody_has_costs_a_verification_and_is_never_right() {
    let verifier = verifier().build().unwrap();
    // The password of every user, since one of their hashes stands in.
    for password in ["open sesame", "another"] {
        for number in 0..8 {
            let name = format!("nobody-{number}");
            assert_eq!(verifier.verify(&name, password).await, Err(BasicAuthRejection::Wrong));
        }
    }
    assert_eq!(verifier.status().verified, 16);
}

#[tokio::test]
async fn the_same_credentials_at_once_are_verified_once() {
    let verifier = verifier().build().unwrap();
    let all = join_all((0..50).map(|_| verifier.verify("alice", "open sesame"))).await;
    assert!(all.into_iter().all(|one| one.is_ok()));
    assert_eq!(verifier.status().verified, 1);
    // And one client that has an old password and does not stop.
    let all = join_all((0..50).map(|_| verifier.verify("alice", "old"))).await;
    assert!(all.into_iter().all(|one| one == Err(BasicAuthRejection::Wrong)));
    assert_eq!(verifier.verify("alice", "old").await, Err(BasicAuthRejection::Wrong));
    assert_eq!(verifier.status().verified, 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_right_is_verified_again_when_its_time_is_over() {
    let verifier = verifier().build().unwrap();
    verifier.verify("alice", "open sesame").await.unwrap();
    advance(DEFAULT_TTL - Duration::from_secs(1)).await;
    verifier.verify("alice", "open sesame").await.unwrap();
    assert_eq!(verifier.status().verified, 1);
    advance(Duration::from_secs(1)).await;
    verifier.verify("alice", "open sesame").await.unwrap();
    assert_eq!(verifier.status().verified, 2);
}

#[tokio::test]
async fn a_flood_waits_in_a_short_queue_and_known_users_pass_it() {
    let slow =
        BasicUser::new("alice", PasswordHash::parse(&bcrypt::hash("a", 11).unwrap()).unwrap());
    let users = BasicUsers::new([slow]).unwrap();
    let verifier = BasicVerifier::builder("staff", users).jobs(1).queue(3).build().unwrap();
    verifier.verify("alice", "a").await.unwrap();
    let flood: Vec<_> = (0..100).map(|number| format!("wrong-{number}")).collect();
    let flood = join_all(flood.iter().map(|password| verifier.verify("alice", password)));
    let (flood, known) = tokio::join!(flood, verifier.verify("alice", "a"));
    assert!(known.is_ok());
    let busy = flood.iter().filter(|one| **one == Err(BasicAuthRejection::Busy)).count();
    let wrong = flood.iter().filter(|one| **one == Err(BasicAuthRejection::Wrong)).count();
    assert_eq!((busy, wrong), (96, 4));
    assert_eq!(verifier.status().rejected, 96);
    let error = Error::from(BasicAuthRejection::Busy);
    assert_eq!(error.reason(), Reason::IdentityUnavailable);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    // And those who have given up keep nobody out.
    drop(join_all((0..4).map(|number| {
        let password = format!("gone-{number}");
        let verifier = verifier.clone();
        async move { verifier.verify("alice", &password).await }
    })));
    assert_eq!(verifier.verify("alice", "late").await, Err(BasicAuthRejection::Wrong));
}

#[tokio::test]
async fn what_was_tried_is_kept_within_bounds_and_under_no_password() {
    let verifier = verifier().cached(8).build().unwrap();
    verifier.verify("alice", "open sesame").await.unwrap();
    for number in 0..200 {
        let wrong = verifier.verify("alice", &format!("planted-{number}")).await;
        assert_eq!(wrong, Err(BasicAuthRejection::Wrong));
    }
    // Wrong ones push out none that is right.
    verifier.verify("alice", "open sesame").await.unwrap();
    assert_eq!(verifier.status().verified, 201);
    assert_eq!(verifier.status().cached, 1);
    // One hash for one pair, however the two are cut.
    let known = verifier.verify("alic", "eopen sesame").await;
    assert_eq!(known, Err(BasicAuthRejection::Wrong));
}

#[tokio::test]
async fn a_user_who_cannot_be_told_is_rejected() {
    let forward = Forward::new().field(HeaderName::from_static("x-tenant"), "tenant");
    let verifier = verifier().forward(forward).build().unwrap();
    assert_eq!(verifier.verify("bob", "another").await, Err(BasicAuthRejection::Untold));
    assert!(verifier.verify("alice", "open sesame").await.is_ok());
}

#[tokio::test]
async fn a_file_of_users_is_followed_as_a_whole_and_who_is_taken_out_is_forgotten() {
    let path = std::env::temp_dir().join(format!("gateway-users-{}", std::process::id()));
    let line = |name: &str| format!("{name}:{}:staff\n", bcrypt::hash("secret", 4).unwrap());
    std::fs::write(&path, line("alice")).unwrap();
    let verifier = BasicVerifier::from_file("staff", &path).unwrap().negative_ttl(Duration::ZERO);
    let verifier = verifier.build().unwrap();
    let alice = verifier.verify("alice", "secret").await.unwrap();
    assert!(alice.has_role("staff"));
    std::fs::write(&path, format!("{}planted-secret", line("bob"))).unwrap();
    let until = async |wanted: &dyn Fn(&BasicStatus) -> bool| {
        let there = async {
            while !wanted(&verifier.status()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), there).await.unwrap();
    };
    until(&|status| status.trouble.is_some()).await;
    assert!(!verifier.status().trouble.unwrap().contains("planted"));
    assert!(verifier.verify("alice", "secret").await.is_ok());
    std::fs::write(&path, format!("{}{}", line("bob"), line("carol"))).unwrap();
    until(&|status| status.users == 2).await;
    assert_eq!(verifier.verify("alice", "secret").await, Err(BasicAuthRejection::Wrong));
    assert!(verifier.verify("bob", "secret").await.is_ok());
    std::fs::remove_file(&path).unwrap();
    assert!(BasicVerifier::from_file("staff", &path).is_err());
}
