//! Rate limits: ten requests in a minute for an address, a hundred in a day for who is known by name
//! and password, more for who pays; and an end to guessing.
//!
//! `curl -i -u ada:lovelace 127.0.0.1:8080` says in `RateLimit` what is left. A wrong password is
//! answered with 401 and counted by address; beyond the limit everything is 429.

use gateway_core::{
    BoundListener, FixedResponse, Gateway, Listener, Module, Route, RouteMatch, Server,
};
use gateway_examples::{Result, stopped};
use gateway_layers::auth::Authenticate;
use gateway_layers::auth::basic::{
    BasicAuthenticator, BasicUser, BasicUsers, BasicVerifier, PasswordHash,
};
use gateway_layers::guard::{CheckRejected, GuardChain, GuardLayer};
use gateway_layers::rate_limit::{Limit, RateLimitConfig, RateLimiter};
use http::StatusCode;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener) -> Result {
    // In earnest only the hash is here, as `htpasswd -nB ada` prints it.
    let hash = PasswordHash::make("lovelace").ok_or("no randomness")?;
    let ada = BasicUser::new("ada", PasswordHash::parse(&hash)?).tier("gold");
    let verifier = BasicVerifier::builder("staff", BasicUsers::new([ada])?);
    let verifier = verifier.build().ok_or("no randomness")?;
    let identity = Authenticate::new(BasicAuthenticator::new(verifier));

    let minute = Limit::per_minute(10).by_ip().name("minute");
    let day = Limit::per_day(100).by_principal().tier("gold", 1_000).name("day");
    let limiter = RateLimiter::new(RateLimitConfig::new("orders", [minute, day]))?;
    let guards = GuardChain::new()
        // Who is not known is counted as well.
        .then(CheckRejected::new(identity, limiter.clone()))
        .then(limiter);

    let target = ServiceBuilder::new()
        .layer(GuardLayer::new(guards))
        .service(Module::new(FixedResponse::new(StatusCode::NO_CONTENT)));
    let route = Route::new("orders", Module::from_service(target));
    let gateway = Gateway::builder().route(route.matching(RouteMatch::any())).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
