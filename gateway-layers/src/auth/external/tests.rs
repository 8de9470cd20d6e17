use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::context::Principal;
use gateway_core::{
    Body, ConnectionInfo, Error, Module, Outcome, Reason, Request, RequestContext, RequestExt,
    Response, module_fn,
};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, LOCATION,
    WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, ServiceExt};

use super::*;
use crate::auth::forward::Forward;

const USER: HeaderName = HeaderName::from_static("x-user-id");
const ROLES: HeaderName = HeaderName::from_static("x-user-roles");

/// What a service answers.
type Answer = Arc<dyn Fn(&Request) -> Outcome + Send + Sync>;

/// A service that decides, in this process, and an upstream behind it.
#[derive(Clone)]
struct House {
    answer: Arc<Mutex<Answer>>,
    takes: Duration,
    asked: Arc<Mutex<Vec<Request>>>,
    passed: Arc<Mutex<Vec<Request>>>,
}

impl House {
    fn new(answer: impl Fn(&Request) -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(Mutex::new(Arc::new(answer))),
            takes: Duration::ZERO,
            asked: Arc::default(),
            passed: Arc::default(),
        }
    }

    fn says(status: u16, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self::new(move |_| Ok(response(status, fields, "")))
    }

    fn now(&self, answer: impl Fn(&Request) -> Outcome + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    fn service(&self) -> Module {
        let house = self.clone();
        Module::new(module_fn(move |request: Request| {
            let house = house.clone();
            async move {
                if !house.takes.is_zero() {
                    sleep(house.takes).await;
                }
                let answer = house.answer.lock().unwrap().clone();
                let outcome = answer(&request);
                house.asked.lock().unwrap().push(request);
                outcome
            }
        }))
    }

    fn builder(&self) -> ExternalAuthBuilder {
        ExternalAuth::builder(self.service(), "/check")
    }

    async fn sends(&self, external: &ExternalAuth, request: Request) -> Outcome {
        let passed = Arc::clone(&self.passed);
        let upstream = Module::new(module_fn(move |request: Request| {
            passed.lock().unwrap().push(request);
            async { Ok::<_, Error>(Response::new(Body::full("from the upstream"))) }
        }));
        external.layer(upstream).oneshot(request).await
    }

    fn question(&self) -> Request {
        self.asked.lock().unwrap().pop().expect("it was asked")
    }

    fn upstream(&self) -> Request {
        self.passed.lock().unwrap().pop().expect("it passed")
    }

    fn nothing_passed(&self) -> bool {
        self.passed.lock().unwrap().is_empty()
    }
}

fn response(status: u16, fields: &[(&str, &str)], body: &'static str) -> Response {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

fn request(fields: &[(&str, &str)]) -> Request {
    let connection = ConnectionInfo::unix(Arc::default());
    let mut request = Request::new(Body::full("what the upstream gets"));
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = "/orders/7?full=yes".parse().unwrap();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

fn known(fields: &[(&str, &str)], subject: &str) -> Request {
    let request = request(fields);
    let mut principal = Principal::new(subject, "jwt");
    principal.roles = vec!["admin".into()];
    request.context().unwrap().set_principal(Arc::new(principal));
    request
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

async fn text(response: Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn the_service_is_told_the_head_and_not_the_body() {
    let house = House::says(200, &[]);
    let external = house.builder().headers([AUTHORIZATION, COOKIE]).build().unwrap();
    let sent = request(&[
        ("host", "shop.example"),
        ("authorization", "Bearer t"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("content-length", "22"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("x-secret", "1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-request-id", "r1"),
        ("x-original-uri", "/public"),
        ("x_original_uri", "/public"),
        ("x-original-method", "GET"),
    ]);
    house.sends(&external, sent).await.unwrap();
    let asked = house.question();
    assert_eq!((asked.method(), &*asked.uri().to_string()), (&Method::GET, "/check"));
    let headers = asked.headers();
    assert_eq!(all(headers, "authorization"), ["Bearer t"]);
    assert_eq!(all(headers, "cookie"), ["a=b", "c=d"]);
    assert_eq!(all(headers, "x-original-method"), ["PUT"]);
    assert_eq!(all(headers, "x-original-uri"), ["/orders/7?full=yes"]);
    assert_eq!(all(headers, "x-original-host"), ["shop.example"]);
    assert_eq!(all(headers, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(all(headers, "x-request-id"), ["r1"]);
    for name in ["host", "connection", "upgrade", "te", "x-secret", "x_original_uri"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert!(!headers.contains_key(CONTENT_LENGTH));
    assert!(http_body::Body::is_end_stream(asked.body()));
    assert_eq!(text(Response::new(house.upstream().into_body())).await, "what the upstream gets");
}

#[tokio::test]
async fn the_service_can_be_asked_in_other_words() {
    let house = House::says(204, &[]);
    let original = OriginalFields {
        uri: Some(HeaderName::from_static("x-uri")),
        method: None,
        address: Some(HeaderName::from_static("x-client")),
        ..OriginalFields::default()
    };
    let external = ExternalAuth::builder(house.service(), "/users/{subject}/context")
        .method(Method::POST)
        .original(original)
        .identity(Forward::new().field(USER, "subject").field(ROLES, "roles"))
        .build()
        .unwrap();
    let sent = known(&[("x-user-id", "root"), ("x-user-roles", "root")], "ada lovelace");
    house.sends(&external, sent).await.unwrap();
    let asked = house.question();
    assert_eq!(asked.method(), Method::POST);
    assert_eq!(asked.uri(), "/users/ada%20lovelace/context");
    let headers = asked.headers();
    assert_eq!(
        (all(headers, "x-user-id"), all(headers, "x-user-roles")),
        (vec!["ada lovelace"], vec!["admin"])
    );
    assert_eq!(all(headers, "x-uri"), ["/orders/7?full=yes"]);
    assert_eq!(all(headers, "x-client"), ["127.0.0.1"]);
    assert!(!headers.contains_key("x-original-method") && !headers.contains_key("x-original-uri"));
}

#[tokio::test]
async fn nobody_is_asked_about_at_an_address_that_names_somebody() {
    let house = House::says(200, &[]);
    let external = ExternalAuth::builder(house.service(), "/users/{subject}").build().unwrap();
    let error = house.sends(&external, request(&[])).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Unauthenticated);
    let error = house.sends(&external, known(&[], "..")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Forbidden);
    let identity = Forward::new().field(USER, "subject");
    let external = house.builder().identity(identity).build().unwrap();
    let error = house.sends(&external, known(&[], "a\r\nb: c")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Forbidden);
    assert!(house.asked.lock().unwrap().is_empty() && house.nothing_passed());
}

#[tokio::test]
async fn what_the_service_says_goes_on_and_nothing_that_it_did_not_say() {
    let house = House::says(
        200,
        &[("x-user-roles", "a"), ("x-user-roles", "b, c"), ("x-other", "1"), ("set-cookie", "s=1")],
    );
    let external = house.builder().upstream_headers([USER, ROLES]).build().unwrap();
    let sent = request(&[
        ("x-user-id", "root"),
        ("x_user_id", "root"),
        ("X-User_Id", "root"),
        ("x-user-roles", "root"),
        ("x_user_roles", "root"),
        ("x-kept", "1"),
    ]);
    house.sends(&external, sent).await.unwrap();
    let passed = house.upstream();
    let headers = passed.headers();
    assert_eq!(all(headers, "x-user-roles"), ["a", "b, c"]);
    assert_eq!(all(headers, "x-kept"), ["1"]);
    for name in ["x-user-id", "x_user_id", "x-user_id", "x_user_roles", "x-other", "set-cookie"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(external.reserved_headers(), [USER, ROLES]);
}

#[tokio::test]
async fn what_the_service_says_cannot_be_said_behind_the_body() {
    let house = House::says(200, &[]);
    let external = house.builder().upstream_headers([USER]).build().unwrap();
    let mut trailers = HeaderMap::new();
    for name in ["x-user-id", "x_user_id", "x-sum"] {
        trailers.insert(HeaderName::from_static(name), "1".parse().unwrap());
    }
    let frames: [Result<_, Error>; 2] =
        [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
    let mut sent = request(&[]);
    *sent.body_mut() = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    house.sends(&external, sent).await.unwrap();
    let whole = house.upstream().into_body().collect().await.unwrap();
    let left: Vec<_> = whole.trailers().unwrap().keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["x-sum"]);
}

#[tokio::test]
async fn a_rejection_is_the_services_answer() {
    for status in [401, 403, 302, 303, 307] {
        let house = House::new(move |_| {
            let fields = [
                ("location", "https://login.example/"),
                ("www-authenticate", "Bearer realm=\"a\""),
                ("www-authenticate", "Basic realm=\"b\""),
                ("content-type", "text/plain"),
                ("set-cookie", "a=b"),
                ("x-internal", "1"),
                ("transfer-encoding", "chunked"),
            ];
            Ok(response(status, &fields, "not you"))
        });
        let external = house.builder().build().unwrap();
        let answer = house.sends(&external, request(&[])).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let headers = answer.headers();
        assert_eq!(headers[LOCATION], "https://login.example/");
        assert_eq!(all(headers, "www-authenticate").len(), 2);
        assert_eq!(headers[CONTENT_TYPE], "text/plain");
        assert_eq!(headers.len(), 4, "{headers:?}");
        assert_eq!(text(answer).await, "not you");
        assert!(house.nothing_passed());
    }
}

#[tokio::test]
async fn a_grpc_caller_gets_a_rejection_that_it_can_read() {
    for (status, reason) in
        [(401, Reason::Unauthenticated), (302, Reason::Unauthenticated), (403, Reason::Forbidden)]
    {
        let house = House::new(move |_| {
            Ok(response(status, &[("www-authenticate", "Bearer")], "<html>not you</html>"))
        });
        let external = house.builder().build().unwrap();
        let mut sent = request(&[("content-type", "application/grpc")]);
        *sent.method_mut() = Method::POST;
        let error = house.sends(&external, sent).await.unwrap_err();
        assert_eq!(error.reason(), reason);
        assert_eq!(error.fields()[0].0, WWW_AUTHENTICATE);
    }
}

#[tokio::test]
async fn anything_else_lets_nobody_in() {
    for status in [100, 101, 300, 301, 304, 308, 400, 404, 407, 418, 429, 500, 502, 503, 504] {
        let house = House::says(status, &[]);
        let external = house.builder().build().unwrap();
        let error = house.sends(&external, request(&[])).await.unwrap_err();
        assert_eq!(error.reason(), Reason::IdentityUnavailable, "{status}");
        assert!(house.nothing_passed());
    }
    let house = House::new(|_| {
        let retry = Duration::from_secs(7);
        Err(Error::new(Reason::CircuitOpen).with_retry_after(retry))
    });
    let external = house.builder().build().unwrap();
    let error = house.sends(&external, request(&[])).await.unwrap_err();
    assert_eq!(error.reason(), Reason::IdentityUnavailable);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

/// An answer whose body never ends, or breaks off.
fn endless(status: u16, breaks: bool) -> impl Fn(&Request) -> Outcome + Send + Sync + 'static {
    move |_| {
        let start = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"start")))]);
        let body = if breaks {
            let end = Err(Error::new(Reason::UpstreamIncomplete));
            let rest = futures_util::stream::iter([end]);
            Body::new(StreamBody::new(futures_util::StreamExt::chain(start, rest)))
        } else {
            let rest = futures_util::stream::pending::<Result<Frame<Bytes>, Error>>();
            Body::new(StreamBody::new(futures_util::StreamExt::chain(start, rest)))
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stalls_or_breaks_off_lets_nobody_in() {
    let mut slow = House::says(200, &[]);
    slow.takes = Duration::from_secs(3600);
    for house in [slow, House::new(endless(200, false)), House::new(endless(403, false))] {
        let external = house.builder().build().unwrap();
        let began = Instant::now();
        let error = house.sends(&external, request(&[])).await.unwrap_err();
        assert_eq!(error.reason(), Reason::IdentityUnavailable);
        assert_eq!(began.elapsed(), DEFAULT_TIMEOUT);
        assert!(house.nothing_passed());
    }
    let house = House::new(endless(200, true));
    let external = house.builder().build().unwrap();
    let error = house.sends(&external, request(&[])).await.unwrap_err();
    assert_eq!(error.reason(), Reason::IdentityUnavailable);
    house.now(endless(403, true));
    let answer = house.sends(&external, request(&[])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(text(answer).await, "");
    assert!(house.nothing_passed());
}

#[tokio::test]
async fn a_rejection_with_megabytes_is_one_without_a_body() {
    let house = House::new(|_| {
        let mut response = Response::new(Body::full(vec![b'x'; MAX_BODY + 1]));
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
        Ok(response)
    });
    let external = house.builder().build().unwrap();
    let answer = house.sends(&external, request(&[])).await.unwrap();
    assert_eq!((answer.status(), answer.headers().len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(text(answer).await, "");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_question_is_part_of_the_requests() {
    let mut house = House::says(200, &[]);
    house.takes = Duration::from_secs(3600);
    let external = house.builder().build().unwrap();
    let sent = request(&[]);
    sent.context().unwrap().set_deadline(Instant::now() + Duration::from_millis(300));
    let began = Instant::now();
    let error = house.sends(&external, sent).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RouteTimeout);
    assert_eq!(began.elapsed(), Duration::from_millis(300));
}

#[tokio::test]
async fn the_service_may_say_who_it_is_where_nobody_is_known() {
    let house = House::says(
        200,
        &[
            ("x-user-id", "ada"),
            ("x-user-roles", "a, b"),
            ("x-user-roles", "c,a"),
            ("x-tier", "gold"),
        ],
    );
    let fields = PrincipalFields {
        subject: Some(USER),
        roles: Some(ROLES),
        tier: Some(HeaderName::from_static("x-tier")),
        ..PrincipalFields::default()
    };
    let external = house.builder().principal(fields).build().unwrap();
    let sent = request(&[]);
    let context = sent.context().unwrap().clone();
    house.sends(&external, sent).await.unwrap();
    let principal = context.principal().unwrap();
    assert_eq!((&*principal.subject, principal.method), ("ada", "external"));
    let roles: Vec<_> = principal.roles.iter().map(|role| &**role).collect();
    assert_eq!((roles, principal.tier.as_deref()), (vec!["a", "b", "c"], Some("gold")));
    let sent = known(&[], "grace");
    let context = sent.context().unwrap().clone();
    house.sends(&external, sent).await.unwrap();
    assert_eq!(&*context.principal().unwrap().subject, "grace");
    house.now(|_| Ok(response(200, &[("x-user-id", "ada"), ("x-user-id", "root")], "")));
    let error = house.sends(&external, request(&[])).await.unwrap_err();
    assert_eq!(error.reason(), Reason::IdentityUnavailable);
    house.now(|_| Ok(response(200, &[("x-user-id", "")], "")));
    let error = house.sends(&external, request(&[])).await.unwrap_err();
    assert_eq!(error.reason(), Reason::IdentityUnavailable);
}

#[tokio::test(start_paused = true)]
async fn what_was_allowed_holds_for_the_same_question_alone() {
    let house = House::says(200, &[("x-user-id", "ada")]);
    let external = house
        .builder()
        .upstream_headers([USER])
        .cache(Duration::from_secs(10), 100)
        .build()
        .unwrap();
    let asked = || house.asked.lock().unwrap().len();
    let sent = |token: &'static str| request(&[("authorization", token), ("x-request-id", "1")]);
    for _ in 0..3 {
        house.sends(&external, sent("Bearer a")).await.unwrap();
        assert_eq!(house.upstream().headers()[USER], "ada");
    }
    assert_eq!(asked(), 1);
    house.sends(&external, sent("Bearer b")).await.unwrap();
    let mut other = sent("Bearer a");
    *other.uri_mut() = "/orders/8?full=yes".parse().unwrap();
    house.sends(&external, other).await.unwrap();
    let mut other = sent("Bearer a");
    *other.method_mut() = Method::DELETE;
    house.sends(&external, other).await.unwrap();
    let mut other = sent("Bearer a");
    other.headers_mut().insert(HOST, "elsewhere".parse().unwrap());
    house.sends(&external, other).await.unwrap();
    assert_eq!(asked(), 5);
    // Two fields do not make the same question as one with both in it.
    house
        .sends(&external, request(&[("authorization", "a"), ("authorization", "b")]))
        .await
        .unwrap();
    house.sends(&external, request(&[("authorization", "ab")])).await.unwrap();
    assert_eq!(asked(), 7);
    advance(Duration::from_secs(10)).await;
    house.sends(&external, sent("Bearer a")).await.unwrap();
    assert_eq!(asked(), 8);
}

#[tokio::test(start_paused = true)]
async fn rejections_and_what_is_meant_for_one_client_are_not_kept() {
    let house = House::says(403, &[]);
    let cached = |house: &House| house.builder().cache(Duration::from_secs(10), 100);
    let external = cached(&house).build().unwrap();
    for _ in 0..3 {
        house.sends(&external, request(&[])).await.unwrap();
    }
    house.now(|_| Ok(response(500, &[], "")));
    house.sends(&external, request(&[])).await.unwrap_err();
    assert_eq!(house.asked.lock().unwrap().len(), 4);
    house.now(|_| Ok(response(200, &[("set-cookie", "session=1")], "")));
    let external = cached(&house).response_headers([http::header::SET_COOKIE]).build().unwrap();
    for _ in 0..3 {
        house.sends(&external, request(&[])).await.unwrap();
    }
    assert_eq!(house.asked.lock().unwrap().len(), 7);
}

#[tokio::test]
async fn the_question_leaves_no_trace_in_the_record_of_the_request() {
    let house = House::new(|asked| {
        let context = asked.context().unwrap();
        assert!(context.deadline().is_some() && context.principal().is_none());
        context.record().retry();
        context.set_principal(Arc::new(Principal::new("mallory", "x")));
        Ok(response(200, &[], ""))
    });
    let external = house.builder().build().unwrap();
    let sent = request(&[]);
    let context = sent.context().unwrap().clone();
    house.sends(&external, sent).await.unwrap();
    assert_eq!(context.record().retries(), 0);
    assert!(context.principal().is_none() && context.deadline().is_none());
}

#[test]
fn what_cannot_be_meant_is_said_at_once() {
    let house = House::says(200, &[]);
    let fails = |builder: ExternalAuthBuilder| builder.build().map(drop).unwrap_err();
    let at = |path: &str| ExternalAuth::builder(house.service(), path);
    assert!(matches!(fails(at("check")), ExternalAuthError::Path(_)));
    assert!(matches!(fails(at("/{who}")), ExternalAuthError::Path(_)));
    assert!(matches!(fails(at("/").method(Method::DELETE)), ExternalAuthError::Method(_)));
    let name = HeaderName::from_static;
    for builder in [
        at("/").headers([name("content-length")]),
        at("/").headers([name("connection")]),
        at("/").headers([name("x-forwarded-for")]),
        at("/").upstream_headers([name("host")]),
        at("/").upstream_headers([name("x-gateway-origin")]),
        at("/").response_headers([name("transfer-encoding")]),
        at("/").rejection_headers([name("content-length")]),
        at("/").identity(Forward::new().field(name("te"), "sub")),
    ] {
        assert!(matches!(fails(builder), ExternalAuthError::Field(..)));
    }
    for builder in [
        at("/").timeout(Duration::ZERO),
        at("/").timeout(Duration::MAX),
        at("/").cache(Duration::ZERO, 1),
        at("/").cache(Duration::from_secs(1), 0),
    ] {
        assert!(matches!(fails(builder), ExternalAuthError::Setting(_)));
    }
}

#[tokio::test]
async fn no_secret_is_in_anything_that_is_printed() {
    const PLANTED: &str = "open-sesame";
    let house = House::new(|_| Ok(response(500, &[("x-note", PLANTED)], PLANTED)));
    let external = house.builder().cache(Duration::from_secs(1), 1).build().unwrap();
    let error = house.sends(&external, request(&[("authorization", PLANTED)])).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    let printed = format!("{error} {error:?} {source} {external:?}");
    assert!(!printed.contains(PLANTED), "{printed}");
}
