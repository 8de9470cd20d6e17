//! Requests as clients send them, and what the upstream gets.

use crate::auth::credentials::CredentialHandling;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Module, Outcome, Reason, Request, RequestContext,
    RequestExt, Response, module_fn,
};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, WWW_AUTHENTICATE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use super::*;
use crate::auth::{Authenticate, CredentialSource};

const USER: HeaderName = HeaderName::from_static("x-user-id");
const ROLES: HeaderName = HeaderName::from_static("x-user-roles");

/// Fields, and who is said to send them.
type Seen = (HeaderMap, Option<String>);

/// What the upstream got last.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<Vec<Seen>>>);

impl Upstream {
    fn module(&self) -> Module {
        let seen = Arc::clone(&self.0);
        Module::new(module_fn(move |request: Request| {
            let who = request.context().and_then(RequestContext::principal);
            let who = who.map(|principal| principal.subject.to_string());
            seen.lock().unwrap().push((request.headers().clone(), who));
            async move { Ok::<_, Error>(Response::new(request.into_body())) }
        }))
    }

    fn last(&self) -> Seen {
        self.0.lock().unwrap().pop().expect("it got something")
    }
}

fn request(fields: &[(&str, &str)]) -> Request {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let mut request = Request::new(Body::empty());
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

struct House {
    signer: Signer,
    authenticator: JwtAuthenticator,
    optional: bool,
    upstream: Upstream,
}

impl House {
    fn new() -> Self {
        let signer = Signer::ed();
        let provider = provider(Keys::inline(set(&[signer.jwk("a")])))
            .forward(USER, "sub")
            .forward(ROLES, "roles");
        let authenticator = JwtAuthenticator::new(verifier(provider));
        Self { signer, authenticator, optional: false, upstream: Upstream::default() }
    }

    fn with(mut self, change: impl FnOnce(JwtAuthenticator) -> JwtAuthenticator) -> Self {
        self.authenticator = change(self.authenticator);
        self
    }

    fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    fn token(&self) -> String {
        self.signer.sign("a", &claims())
    }

    async fn sends(&self, request: Request) -> Outcome {
        let layer = Authenticate::new(self.authenticator.clone()).optional(self.optional);
        layer.layer(self.upstream.module()).oneshot(request).await
    }

    async fn rejects(&self, fields: &[(&str, &str)]) -> (Reason, String) {
        let error = self.sends(request(fields)).await.expect_err("it is rejected");
        assert!(self.upstream.0.lock().unwrap().is_empty());
        let challenge = error.fields().iter().find(|(name, _)| *name == WWW_AUTHENTICATE);
        let said = challenge.map_or(String::new(), |(_, value)| value.to_str().unwrap().to_owned());
        (error.reason(), said)
    }
}

#[tokio::test]
async fn a_token_makes_the_request_somebodys() {
    let house = House::new();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let value = format!("{scheme} {}", house.token());
        house.sends(request(&[("authorization", &value)])).await.unwrap();
        let (headers, who) = house.upstream.last();
        assert_eq!(who.as_deref(), Some("ada"));
        assert_eq!(headers[USER], "ada");
        assert_eq!(headers[ROLES], "reader,writer");
        assert_eq!(headers[AUTHORIZATION], value.as_str());
    }
}

#[tokio::test]
async fn others_have_their_turn_once_a_token_was_verified_and_none_when_it_was_before() {
    let house = House::new();
    let value = format!("Bearer {}", house.token());
    let sends = || house.sends(request(&[("authorization", &value)]));
    let mut first = Box::pin(sends());
    assert!((&mut first).now_or_never().is_none());
    first.await.unwrap();
    sends().now_or_never().expect("at once").unwrap();
}

#[tokio::test]
async fn without_a_token_the_answer_says_which_kind_is_wanted() {
    let house = House::new().with(|tokens| tokens.realm("or\"de\\rs\r\n"));
    let missing = (Reason::Unauthenticated, "Bearer realm=\"orders\"".to_owned());
    assert_eq!(house.rejects(&[]).await, missing);
    assert_eq!(house.rejects(&[("authorization", "Basic YWRhOng=")]).await, missing);
    assert_eq!(house.rejects(&[("cookie", "token=x")]).await, missing);
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_rejected_and_not_quoted() {
    let house = House::new();
    let (reason, said) = house.rejects(&[("authorization", "Bearer not.a.token")]).await;
    assert_eq!(reason, Reason::TokenInvalid);
    let wanted = "Bearer realm=\"gateway\", error=\"invalid_token\", \
                  error_description=\"the token is malformed\"";
    assert_eq!(said, wanted);
}

#[tokio::test]
async fn two_credentials_are_rejected() {
    let house = House::new().with(|tokens| {
        tokens.from([
            CredentialSource::bearer(),
            CredentialSource::Cookie("token".to_owned()),
            CredentialSource::Query("token".to_owned()),
        ])
    });
    let token = house.token();
    let bearer = format!("Bearer {token}");
    let cookie = format!("token={token}");
    for fields in [
        vec![("authorization", bearer.clone()), ("authorization", bearer.clone())],
        vec![("authorization", bearer.clone()), ("authorization", "Basic YQ==".to_owned())],
        vec![("authorization", format!("{bearer}, {bearer}"))],
        vec![("authorization", format!("{bearer},Basic YQ=="))],
        vec![("authorization", format!("Basic YQ==, {bearer}"))],
        vec![("authorization", format!("Basic, {bearer}"))],
        vec![("authorization", format!("{bearer} {token}"))],
        vec![("authorization", bearer.clone()), ("cookie", cookie.clone())],
        vec![("cookie", format!("{cookie}; {cookie}"))],
        vec![("cookie", cookie.clone()), ("cookie", cookie.clone())],
    ] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (reason, said) = house.rejects(&fields).await;
        assert_eq!(reason, Reason::TokenInvalid, "{fields:?}");
        assert!(said.contains("error=\"invalid_request\""), "{fields:?} {said}");
    }
}

#[tokio::test]
async fn a_token_may_stand_where_it_was_said() {
    let house = House::new().with(|tokens| {
        tokens.from([
            CredentialSource::Cookie("t".to_owned()),
            CredentialSource::Query("q".to_owned()),
        ])
    });
    let token = house.token();
    house.sends(request(&[("cookie", &format!("a=b; t={token};c=d"))])).await.unwrap();
    assert_eq!(house.upstream.last().1.as_deref(), Some("ada"));
    let mut asked = request(&[]);
    *asked.uri_mut() = format!("/path?a=b&q={token}&qq=1").parse().unwrap();
    house.sends(asked).await.unwrap();
    assert_eq!(house.upstream.last().1.as_deref(), Some("ada"));
    // And nowhere else.
    let (reason, _) = house.rejects(&[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(reason, Reason::Unauthenticated);
    let mut asked = request(&[]);
    *asked.uri_mut() = format!("/path?q={token}&q={token}").parse().unwrap();
    assert_eq!(house.sends(asked).await.unwrap_err().reason(), Reason::TokenInvalid);
}

#[tokio::test]
async fn what_only_we_may_say_is_removed_in_every_spelling() {
    let house = House::new().optional();
    let claimed = [
        ("x-user-id", "eve"),
        ("X_User_Id", "eve"),
        ("x-user_id", "eve"),
        ("x_user-roles", "admin"),
        ("x-user-roles", "admin"),
    ];
    house.sends(request(&claimed)).await.unwrap();
    let (headers, who) = house.upstream.last();
    assert!(headers.is_empty(), "{headers:?}");
    assert_eq!(who, None);
    let mut with_token = claimed.to_vec();
    let value = format!("Bearer {}", house.token());
    with_token.push(("authorization", &value));
    house.sends(request(&with_token)).await.unwrap();
    let (headers, _) = house.upstream.last();
    assert_eq!(headers.len(), 3, "{headers:?}");
    assert_eq!(headers[USER], "ada");
}

#[tokio::test]
async fn nor_may_it_be_said_behind_the_body() {
    let house = House::new();
    let mut trailers = HeaderMap::new();
    for name in ["x-user-id", "x_user_id", "x-other"] {
        trailers.insert(HeaderName::from_static(name), "eve".parse().unwrap());
    }
    let frames: [Result<_, Error>; 2] =
        [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
    let mut asked = request(&[("authorization", &format!("Bearer {}", house.token()))]);
    *asked.body_mut() = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let answer = house.sends(asked).await.unwrap();
    let whole = answer.into_body().collect().await.unwrap();
    let trailers = whole.trailers().cloned().unwrap();
    assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-other"]);
    assert_eq!(whole.to_bytes(), "body");
}

#[tokio::test]
async fn a_claim_that_would_be_something_else_in_a_field_rejects_the_token() {
    let house = House::new();
    let rejected = async |name: &str, value: Value| {
        let token = house.signer.sign("a", &claims_with(name, value));
        house.rejects(&[("authorization", &format!("Bearer {token}"))]).await.0
    };
    for hostile in ["a\r\nx-admin: 1", "a\nb", "a\0b", "a\u{7f}", " a", "a ", "a\u{85}", ""] {
        assert_eq!(rejected("sub", json!(hostile)).await, Reason::TokenInvalid, "{hostile:?}");
        assert_eq!(rejected("roles", json!([hostile])).await, Reason::TokenInvalid);
    }
    for hostile in [json!([["a"]]), json!({"a": 1})] {
        assert_eq!(rejected("roles", hostile.clone()).await, Reason::TokenInvalid, "{hostile}");
    }
}

#[tokio::test]
async fn a_role_with_a_comma_is_one_role() {
    let house = House::new();
    for (roles, told) in [
        (json!(["reader,admin"]), "reader%2Cadmin"),
        (json!(["a", ",b"]), "a,%2Cb"),
        (json!("reader,admin"), "reader%2Cadmin"),
        (json!(["50%", "a"]), "50%25,a"),
    ] {
        let token = house.signer.sign("a", &claims_with("roles", roles));
        house.sends(request(&[("authorization", &format!("Bearer {token}"))])).await.unwrap();
        assert_eq!(house.upstream.last().0[ROLES], told);
    }
}

#[tokio::test]
async fn a_claim_that_is_not_there_makes_no_field() {
    let house = House::new();
    for value in [Value::Null, json!([])] {
        let token = house.signer.sign("a", &claims_with("roles", value));
        let fields =
            [("authorization", format!("Bearer {token}")), ("x-user-roles", "admin".to_owned())];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        house.sends(request(&fields)).await.unwrap();
        assert!(!house.upstream.last().0.contains_key(ROLES));
    }
}

#[tokio::test]
async fn the_upstream_need_not_get_the_token() {
    let house = House::new().with(|tokens| tokens.credentials(CredentialHandling::Drop));
    let value = format!("Bearer {}", house.token());
    house.sends(request(&[("authorization", &value)])).await.unwrap();
    assert!(!house.upstream.last().0.contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn what_authorizes_somebody_else_stays_where_the_token_was_in_a_cookie() {
    let places = [CredentialSource::bearer(), CredentialSource::Cookie("session".to_owned())];
    let house =
        House::new().with(|tokens| tokens.from(places).credentials(CredentialHandling::Drop));
    let cookie = format!("a=b; session={}", house.token());
    let fields = [("authorization", "Basic YWRhOng="), ("cookie", cookie.as_str())];
    house.sends(request(&fields)).await.unwrap();
    let (headers, _) = house.upstream.last();
    assert_eq!(headers[AUTHORIZATION], "Basic YWRhOng=");
    assert_eq!(headers["cookie"], "a=b");
}

#[tokio::test]
async fn where_tokens_are_optional_a_bad_one_is_rejected_all_the_same() {
    let house = House::new().optional();
    house.sends(request(&[])).await.unwrap();
    assert_eq!(house.upstream.last().1, None);
    for value in ["Bearer x", "Bearer ", "Bearer", "bearer\ta.b"] {
        let (reason, _) = house.rejects(&[("authorization", value)]).await;
        assert_eq!(reason, Reason::TokenInvalid, "{value:?}");
    }
    house.sends(request(&[("authorization", "Basic YWRhOng=")])).await.unwrap();
    assert_eq!(house.upstream.last().1, None);
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_is_let_in_and_with_them_whoever_has_waited() {
    let signer = Signer::ed();
    let place = std::env::temp_dir().join(format!("jwt-waits-{}", std::process::id()));
    let _ = std::fs::remove_file(&place);
    let upstream = Upstream::default();
    let layer = Authenticate::new(JwtAuthenticator::new(verifier(provider(Keys::file(&place)))));
    let value = format!("Bearer {}", signer.sign("a", &claims()));
    let sends = || layer.layer(upstream.module()).oneshot(request(&[("authorization", &value)]));
    let error = sends().await.unwrap_err();
    assert_eq!(error.reason(), Reason::KeysUnavailable);
    let error = sends().await.unwrap_err();
    assert!(error.retry_after().is_some());
    assert!(upstream.0.lock().unwrap().is_empty());
    std::fs::write(&place, set(&[signer.jwk("a")])).unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    sends().await.unwrap();
    assert_eq!(upstream.last().1.as_deref(), Some("ada"));
    let _ = std::fs::remove_file(&place);
}
