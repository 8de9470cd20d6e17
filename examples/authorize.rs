//! Authorization: callers are known by a token of this house, and a policy says who of them may.
//!
//! `curl 127.0.0.1:8080/users/ada` is rejected with 401. With `-H "authorization: Bearer TOKEN"`, a
//! token signed with the secret below, everybody gets his own
//! page (204), and an admin everybody's.

use std::time::Duration;

use gateway_core::{
    BoundListener, FixedResponse, Gateway, Listener, Module, Route, RouteMatch, Server,
};
use gateway_examples::{Result, stopped};
use gateway_layers::auth::Authenticate;
use gateway_layers::auth::authorize::{AuthorizeFilter, Expression, Requirements};
use gateway_layers::auth::jwt::{Algorithm, JwtAuthenticator, JwtProvider, JwtVerifier, Keys};
use gateway_layers::filter::FilterLayer;
use gateway_layers::timeout::TimeoutLayer;
use http::StatusCode;
use tower::ServiceBuilder;

/// What house and gateway know; at least 32 bytes.
pub const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener).await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener) -> Result {
    let house = JwtProvider::new("house", Keys::secret(SECRET, Algorithm::HS256))
        .algorithms([Algorithm::HS256])
        .audience("users");
    let own_or_admin =
        Expression::new("request.params.user == principal.subject || 'admin' in principal.roles")?;
    let requirements = Requirements::new().scopes_all(["users:read"]).expression(own_or_admin);

    let target = ServiceBuilder::new()
        .layer(Authenticate::new(JwtAuthenticator::new(JwtVerifier::new(house)?)))
        // Behind who is calling: whether that one may.
        .layer(FilterLayer::new(AuthorizeFilter::new(requirements)))
        .layer(TimeoutLayer::new(Duration::from_secs(10)))
        .service(Module::new(FixedResponse::new(StatusCode::NO_CONTENT)));
    let route = Route::new("users", Module::from_service(target));
    let gateway = Gateway::builder().route(route.matching(RouteMatch::path("/users/{user}")?));
    Server::new(gateway.build()?).listen(listener).serve(stopped()).await?;
    Ok(())
}
