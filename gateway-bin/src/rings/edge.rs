//! The edge ring: every request, whatever its route.

use gateway_core::route::TableProblems;
use gateway_core::{Gateway, Module, Observers, Route};
use http::HeaderName;

pub(crate) fn edge(
    routes: Vec<Route<Module>>,
    owned: Vec<HeaderName>,
    observers: &Observers,
) -> Result<Gateway, TableProblems> {
    let builder = Gateway::builder();
    // Outermost, so that it sees what became of everything below: rejections, panics, answers.
    let builder = if observers.is_empty() { builder } else { builder.observer(observers.clone()) };
    // Panics are caught and failures become answers inside the gateway, around the route ring.
    // What only we may say is removed at the door, before anything else sees the request.
    builder.routes(routes).reserved_headers(owned).build()
}
