//! What a decision about one request takes: roles and scopes, claims, an expression.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_core::context::Principal;
use gateway_core::{ConnectionInfo, ListenerInfo, RequestContext};
use gateway_layers::auth::authorize::{AuthorizeFilter, ClaimTest, Expression, Requirements};
use gateway_layers::filter::{Filter, Flow};
use http::request;
use tokio::time::Instant;

fn head() -> request::Parts {
    let mut principal = Principal::new("3f8e0c9a-user", "jwt");
    principal.roles = ["viewer", "editor", "admin"].map(Into::into).to_vec();
    principal.scopes = ["orders:read", "orders:write"].map(Into::into).to_vec();
    principal.claims.insert("email_verified".to_owned(), true.into());
    principal.claims.insert("plan".to_owned(), "gold".into());
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    context.set_principal(Arc::new(principal));
    let request = http::Request::get("/orders/7?page=2").header("x-tenant", "acme");
    let (mut head, ()) = request.body(()).expect("a request").into_parts();
    head.extensions.insert(context);
    head
}

fn measure(criterion: &mut Criterion, name: &str, requirements: Requirements) {
    let filter = AuthorizeFilter::new(requirements);
    let mut head = head();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let flow = black_box(&filter).apply(black_box(&mut head));
            assert!(matches!(flow, Flow::Continue));
        });
    });
}

fn expression(source: &str) -> Requirements {
    Requirements::new().expression(Expression::new(source).expect("an expression"))
}

fn benches(criterion: &mut Criterion) {
    measure(criterion, "authorize/known", Requirements::new());
    let names = Requirements::new().roles_any(["admin"]).scopes_all(["orders:read"]);
    measure(criterion, "authorize/roles_and_scopes", names);
    let claims = Requirements::new()
        .claim("email_verified", ClaimTest::one_of([true]))
        .claim("plan", ClaimTest::one_of(["gold", "platinum"]));
    measure(criterion, "authorize/claims", claims);
    for (name, source) in [
        ("cel_role", "principal.roles.exists(r, r == 'admin')"),
        ("cel_in", "'admin' in principal.roles"),
        ("cel_claims", "principal.claims.email_verified && principal.claims.plan == 'gold'"),
        ("cel_header", "request.headers['x-tenant'] == ['acme']"),
        ("cel_query", "int(request.query.page[0]) < 10"),
        (
            "cel_long",
            "request.method == 'GET' && request.path.startsWith('/orders/') && \
             (principal.roles.exists(r, r in ['editor', 'admin']) || principal.tier == 'gold')",
        ),
    ] {
        measure(criterion, &format!("authorize/{name}"), expression(source));
    }
    criterion.bench_function("authorize/compile", |bencher| {
        bencher.iter(|| Expression::new(black_box("principal.roles.exists(r, r == 'admin')")));
    });
}

criterion_group!(all, benches);
criterion_main!(all);
