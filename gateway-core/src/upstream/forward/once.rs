//! One request on a connection of its own, for nobody but the gateway itself.

use std::sync::Arc;
use std::time::Duration;

use http::Version;
use tokio::time::Instant;

use super::limits::Limits;
use super::{Call, http1, http2};
use crate::body::Body;
use crate::message::Outcome;
use crate::replay::Replay;
use crate::upstream::address::EndpointAddress;
use crate::upstream::cluster::ResponseLimits;
use crate::upstream::connect::Connector;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pool::PoolConfig;

/// Sends `request` to `address` on a connection of its own, which ends with the answer's body,
/// and waits for the answer's head until `by`. Nobody is told, and nothing is counted.
pub(in crate::upstream) async fn send_once(
    connector: &Connector,
    address: &EndpointAddress,
    request: http::Request<Body>,
    version: Version,
    by: Instant,
) -> Outcome {
    let pool = PoolConfig { idle: 0, total: 1, max_age: Duration::ZERO, ..Default::default() };
    // It goes with the answer, and with it whatever drives its connection.
    let in_flight = Arc::new(Endpoint::new(address.clone(), pool)).enter();
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let mut call = Call {
        head,
        context: None,
        upgrade: false,
        grpc: None,
        started,
        connect_by: by,
        limits: Limits {
            attempt_by: Some(by),
            response_head: None,
            idle: by.saturating_duration_since(started),
            deadline: None,
        },
        head_limits: ResponseLimits::default().head(),
        answered: false,
        tries: 1,
        cluster: None,
        bound: None,
    };
    let replay = Replay::new(body);
    let body = replay.first();
    match version {
        Version::HTTP_2 => http2::forward(connector, in_flight, &mut call, &replay, body).await,
        _ => http1::forward(connector, in_flight, &mut call, &replay, body).await,
    }
}
