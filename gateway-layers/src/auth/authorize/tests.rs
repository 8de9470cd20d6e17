use std::sync::Arc;

use gateway_core::context::{Claim, Metadata, Principal};
use gateway_core::{
    Body, ConnectionInfo, Error, FixedResponse, Gateway, ListenerInfo, Module, Outcome, Reason,
    Request, RequestContext, Response, Route, RouteMatch,
};
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{StatusCode, request};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use super::*;
use crate::auth::{Authenticate, Authentication, Authenticator, Identity};
use crate::filter::{Filter, FilterLayer, Flow, filter_fn};

fn ada() -> Principal {
    let mut principal = Principal::new("ada", "jwt");
    principal.roles = vec!["admin".into(), "clerk".into()];
    principal.scopes = vec!["read".into(), "write".into()];
    principal.claims.insert("verified".to_owned(), true.into());
    principal.claims.insert("level".to_owned(), 3.into());
    principal.claims.insert("groups".to_owned(), Claim::List(vec!["dev".into(), 7.into()]));
    principal.claims.insert("one".to_owned(), "dev".into());
    principal.claims.insert("nothing".to_owned(), Claim::Null);
    let inner = [("plan".to_owned(), "gold".into())];
    principal.claims.insert("account".to_owned(), Claim::Map(inner.into()));
    principal
}

fn head(principal: Option<Principal>) -> request::Parts {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    if let Some(principal) = principal {
        context.set_principal(Arc::new(principal));
    }
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.extensions.insert(context);
    head
}

fn ask(filter: &AuthorizeFilter, principal: Option<Principal>) -> Result<(), Error> {
    match filter.apply(&mut head(principal)) {
        Flow::Continue => Ok(()),
        Flow::Reject(error) => Err(error),
        Flow::Answer(_) => panic!("a filter of its own"),
    }
}

fn rejection(requirements: Requirements, principal: Principal) -> Error {
    ask(&AuthorizeFilter::new(requirements), Some(principal)).unwrap_err()
}

fn allows(requirements: Requirements) -> bool {
    match ask(&AuthorizeFilter::new(requirements), Some(ada())) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.reason(), Reason::Forbidden);
            false
        }
    }
}

fn challenges(error: &Error) -> Vec<&str> {
    let fields = error.fields().iter().filter(|(name, _)| *name == WWW_AUTHENTICATE);
    fields.map(|(_, value)| value.to_str().unwrap()).collect()
}

#[test]
fn nobody_is_asked_who_he_is() {
    let filter = AuthorizeFilter::new(Requirements::new());
    assert!(filter.requirements().is_empty());
    let rejected = ask(&filter, None).unwrap_err();
    assert_eq!(rejected.reason(), Reason::Unauthenticated);
    assert_eq!(challenges(&rejected), ["Bearer realm=\"gateway\""]);
    let basic = HeaderValue::from_static("Basic realm=\"a\"");
    let key = HeaderValue::from_static("ApiKey");
    let rejected = ask(&filter.challenges([basic, key]), None).unwrap_err();
    assert_eq!(challenges(&rejected), ["Basic realm=\"a\"", "ApiKey"]);
    let filter = AuthorizeFilter::new(Requirements::new().roles_any(["admin"])).realm("a\"b");
    let rejected = ask(&filter, None).unwrap_err();
    assert_eq!(challenges(&rejected), ["Bearer realm=\"ab\""]);
    // What never met a gateway of ours is nobody's either.
    let (mut bare, ()) = http::Request::new(()).into_parts();
    let Flow::Reject(rejected) = filter.apply(&mut bare) else { panic!("let through") };
    assert_eq!(rejected.reason(), Reason::Unauthenticated);
}

#[test]
fn who_is_known_may_where_nothing_is_asked() {
    assert!(allows(Requirements::new()));
}

#[test]
fn roles_and_scopes() {
    let none: [&str; 0] = [];
    for (requirements, expected) in [
        (Requirements::new().roles_any(["root", "clerk"]), true),
        (Requirements::new().roles_any(["root"]), false),
        (Requirements::new().roles_any(["ADMIN"]), false),
        (Requirements::new().roles_any([""]), false),
        (Requirements::new().roles_any(none), true),
        (Requirements::new().roles_all(["admin", "clerk"]), true),
        (Requirements::new().roles_all(["admin", "root"]), false),
        (Requirements::new().scopes_any(["admin", "read"]), true),
        (Requirements::new().scopes_any(["admin"]), false),
        (Requirements::new().scopes_all(["read", "write"]), true),
        (Requirements::new().scopes_all(["read", "delete"]), false),
        (Requirements::new().roles_any(["admin"]).scopes_all(["read"]), true),
        (Requirements::new().roles_any(["admin"]).scopes_all(["delete"]), false),
        (Requirements::new().roles_any(["root"]).scopes_all(["read"]), false),
        (Requirements::new().roles_any(["admin"]).roles_all(["root"]), false),
    ] {
        assert_eq!(allows(requirements.clone()), expected, "{requirements:?}");
    }
}

#[test]
fn claims() {
    for (name, test, expected) in [
        ("verified", ClaimTest::one_of([true]), true),
        ("verified", ClaimTest::one_of([false]), false),
        ("verified", ClaimTest::one_of(["true"]), false),
        ("level", ClaimTest::one_of([1, 3]), true),
        ("level", ClaimTest::one_of([3.0]), true),
        ("level", ClaimTest::one_of(["3"]), false),
        ("one", ClaimTest::one_of(["ops", "dev"]), true),
        ("account.plan", ClaimTest::one_of(["gold"]), true),
        ("account.plan", ClaimTest::one_of(["free"]), false),
        ("account.x", ClaimTest::one_of(["gold"]), false),
        ("groups", ClaimTest::one_of(["dev"]), false),
        ("groups", ClaimTest::contains(["ops", "dev"]), true),
        ("groups", ClaimTest::contains([7]), true),
        ("groups", ClaimTest::contains(["7"]), false),
        ("one", ClaimTest::contains(["dev"]), true),
        ("one", ClaimTest::contains(["de"]), false),
        ("missing", ClaimTest::contains(["dev"]), false),
        ("missing", ClaimTest::OneOf(vec![Claim::Null]), false),
        ("verified", ClaimTest::Present(true), true),
        ("nothing", ClaimTest::Present(true), false),
        ("missing", ClaimTest::Present(true), false),
        ("verified", ClaimTest::Present(false), false),
        ("nothing", ClaimTest::Present(false), true),
        ("missing", ClaimTest::Present(false), true),
    ] {
        let requirements = Requirements::new().claim(name, test);
        assert!(!requirements.is_empty());
        assert_eq!(allows(requirements.clone()), expected, "{requirements:?}");
    }
    let both = |level: i64| {
        let verified = Requirements::new().claim("verified", ClaimTest::one_of([true]));
        verified.claim("level", ClaimTest::one_of([level]))
    };
    assert!(allows(both(3)));
    assert!(!allows(both(4)), "all of them must hold");
}

#[test]
fn who_lacks_scopes_is_told_which() {
    let all = Requirements::new().scopes_all(["read", "delete"]);
    let rejected = rejection(all.clone(), ada());
    assert_eq!(rejected.detail(), "the scopes do not suffice");
    assert_eq!(
        challenges(&rejected),
        ["Bearer realm=\"gateway\", error=\"insufficient_scope\", scope=\"read delete\""],
    );
    let any = Requirements::new().scopes_any(["delete", "del\"ete"]);
    assert_eq!(
        challenges(&rejection(any.clone(), ada())),
        ["Bearer realm=\"gateway\", error=\"insufficient_scope\", scope=\"delete delete\""],
    );
    let both = all.clone().scopes_any(["sweep"]);
    assert!(challenges(&rejection(both, ada()))[0].contains("scope=\"read delete sweep\""));
    let met = all.clone().scopes_any(["write"]);
    assert!(challenges(&rejection(met, ada()))[0].contains("scope=\"read delete\""));
    // Scopes are of tokens: a key cannot be had with more of them.
    let mut key = ada();
    key.method = "api_key";
    assert!(challenges(&rejection(all, key)).is_empty());
    let roles = Requirements::new().roles_any(["root"]).scopes_all(["read"]);
    let rejected = rejection(roles, ada());
    assert!(challenges(&rejected).is_empty());
    assert_eq!(rejected.detail(), "the roles do not suffice");
}

/// Says who is calling, as a layer of authentication does.
fn knows(principal: Principal) -> impl Filter {
    let principal = Arc::new(principal);
    filter_fn(move |head| {
        let context: &RequestContext = head.extensions.get().unwrap();
        context.set_principal(Arc::clone(&principal));
        Flow::Continue
    })
}

async fn through_gateway(requirements: Requirements, uri: &str) -> Outcome {
    let answer = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let stack = ServiceBuilder::new()
        .layer(FilterLayer::new(knows(ada())))
        .layer(FilterLayer::new(AuthorizeFilter::new(requirements)))
        .service(answer);
    let metadata = Metadata::from_iter([("owner", "ada")]);
    let route = Route::new("orders", Module::from_service(stack)).metadata(metadata);
    let route = route.matching(RouteMatch::path("/orders/{user}").unwrap());
    let gateway = Gateway::builder().route(route).build().unwrap();
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.parse().unwrap();
    request.headers_mut().insert("host", HeaderValue::from_static("a.example"));
    Module::new(gateway).oneshot(request).await
}

fn status(outcome: Outcome) -> StatusCode {
    outcome.map_or_else(|error| error.reason().status(), |response: Response| response.status())
}

#[tokio::test]
async fn a_filter_stands_in_a_stack() {
    let admins = Requirements::new().roles_any(["admin"]);
    let roots = Requirements::new().roles_any(["root"]);
    assert_eq!(status(through_gateway(admins, "/orders/ada").await), StatusCode::NO_CONTENT);
    assert_eq!(status(through_gateway(roots, "/orders/ada").await), StatusCode::FORBIDDEN);
}

/// Knows Ada by her name, at once or later.
struct Knows {
    later: bool,
}

impl Authenticator for Knows {
    fn authenticate(&self, request: &Request) -> Authentication {
        match request.headers().get("x-name") {
            None => Authentication::Missing,
            Some(name) if name != "ada" => {
                Authentication::Rejected(Reason::CredentialsInvalid.into())
            }
            Some(_) if self.later => Authentication::Pending(Box::pin(async {
                Authentication::Known(Identity::new(ada()))
            })),
            Some(_) => Authentication::Known(Identity::new(ada())),
        }
    }
}

async fn restricted(later: bool, requirements: Requirements, name: Option<&str>) -> Outcome {
    let restricted = Restricted::new(Knows { later }, requirements).realm("orders");
    let answer = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let mut request = Request::new(Body::empty());
    if let Some(name) = name {
        request.headers_mut().insert("x-name", name.parse().unwrap());
    }
    Authenticate::new(restricted).layer(answer).oneshot(request).await
}

#[tokio::test]
async fn credentials_of_one_kind_are_of_some_only() {
    for later in [false, true] {
        let may = Requirements::new().scopes_all(["read"]).roles_any(["admin"]);
        let passed = restricted(later, may.clone(), Some("ada")).await;
        assert_eq!(passed.unwrap().status(), StatusCode::NO_CONTENT);
        let rejected =
            restricted(later, Requirements::new().roles_any(["root"]), Some("ada")).await;
        assert_eq!(rejected.unwrap_err().reason(), Reason::Forbidden);
        let scopes = Requirements::new().scopes_all(["delete"]);
        let rejected = restricted(later, scopes, Some("ada")).await.unwrap_err();
        let expected = "Bearer realm=\"orders\", error=\"insufficient_scope\", scope=\"delete\"";
        assert_eq!(challenges(&rejected), [expected]);
        let rejected = restricted(later, may.clone(), Some("eve")).await.unwrap_err();
        assert_eq!(rejected.reason(), Reason::CredentialsInvalid);
        let rejected = restricted(later, may, None).await.unwrap_err();
        assert_eq!(rejected.reason(), Reason::Unauthenticated);
    }
}

#[tokio::test]
async fn a_filter_outside_of_any_gateway_lets_nobody_pass() {
    let answer = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let service = FilterLayer::new(AuthorizeFilter::new(Requirements::new())).layer(answer);
    let rejected = service.oneshot(Request::new(Body::empty())).await.unwrap_err();
    assert_eq!(rejected.reason(), Reason::Unauthenticated);
}

#[cfg(feature = "cel")]
mod expressions {
    use super::*;

    fn expression(source: &str) -> Requirements {
        Requirements::new().expression(Expression::new(source).unwrap())
    }

    #[test]
    fn an_expression_is_one_more_requirement() {
        let admin = "principal.roles.exists(r, r == 'admin')";
        assert!(allows(expression(admin)));
        assert!(allows(expression(admin).scopes_all(["read"])));
        assert!(!allows(expression(admin).scopes_all(["delete"])));
        assert!(!allows(expression("principal.roles.exists(r, r == 'root')")));
        assert!(!expression(admin).is_empty());
    }

    #[test]
    fn what_cannot_be_evaluated_is_rejected_without_a_word() {
        let rejected = rejection(expression("principal.claims.secret == 'x'"), ada());
        assert_eq!(rejected.reason(), Reason::Forbidden);
        assert_eq!(rejected.detail(), "the policy does not allow it");
        assert!(challenges(&rejected).is_empty());
    }

    #[tokio::test]
    async fn an_expression_is_never_true_where_there_is_no_request() {
        let rejected = restricted(false, expression("true"), Some("ada")).await.unwrap_err();
        assert_eq!(rejected.reason(), Reason::Forbidden);
    }

    #[test]
    fn no_expression_lets_nobody_pass() {
        for source in ["true", "request.method == 'GET'", "!has(principal.claims.banned)"] {
            let rejected = ask(&AuthorizeFilter::new(expression(source)), None).unwrap_err();
            assert_eq!(rejected.reason(), Reason::Unauthenticated, "{source}");
        }
    }

    #[test]
    fn requirements_are_equal_when_they_were_written_the_same() {
        assert_eq!(expression("true"), expression("true"));
        assert_ne!(expression("true"), expression("true "));
        assert_ne!(expression("true"), Requirements::new());
    }

    #[tokio::test]
    async fn an_expression_sees_the_route_and_its_parameters() {
        for (source, uri, expected) in [
            ("route.id == 'orders'", "/orders/ada", StatusCode::NO_CONTENT),
            ("route.metadata.owner == principal.subject", "/orders/x", StatusCode::NO_CONTENT),
            ("has(route.metadata.x)", "/orders/x", StatusCode::FORBIDDEN),
            ("request.params.user == principal.subject", "/orders/ada", StatusCode::NO_CONTENT),
            ("request.params.user == principal.subject", "/orders/a%64a", StatusCode::NO_CONTENT),
            ("request.params.user == 'a@b+c'", "/orders/a%40b+c", StatusCode::NO_CONTENT),
            ("request.params.user == principal.subject", "/orders/eve", StatusCode::FORBIDDEN),
            ("request.params.id == principal.subject", "/orders/ada", StatusCode::FORBIDDEN),
            ("request.params.all(p, p == 'user')", "/orders/ada", StatusCode::NO_CONTENT),
            ("request.path == '/orders/ada'", "/x/../orders/a%64a", StatusCode::NO_CONTENT),
            ("request.host == 'a.example'", "/orders/ada", StatusCode::NO_CONTENT),
        ] {
            let outcome = through_gateway(expression(source), uri).await;
            assert_eq!(status(outcome), expected, "{source} {uri}");
        }
    }
}
