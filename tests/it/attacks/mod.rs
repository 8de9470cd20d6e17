//! What somebody tries who wants in, wants to be somebody else, wants more than there is for him,
//! or wants nobody to have anything: each by its class, through the whole program.

mod bodies;
mod comparison;
mod floods;
mod issuers;
pub(crate) mod secrets;
mod shared_limits;
mod spoofing;
mod storm;
mod tokens;

use std::time::Duration;

use gateway_tests::{Client, Gateway, Payload, Reply};
use http::Request;
use tokio::time::Instant;

/// A route that anybody may use, to see that the gateway is well.
const OPEN: &str = "[[routes]]\nid = \"open\"\nmatch = { prefix = \"/fresh-check\" }\n\
     target = { cluster = \"upstream\" }\npolicy.public = true\n";

/// Where operators look.
const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

const MIB: usize = 1024;

type Fields<'f> = &'f [(&'f str, &'f str)];

fn request(target: &str, fields: Fields<'_>) -> Request<Payload> {
    let mut request = Request::builder().uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Payload::empty()).expect("a request")
}

/// Asks with a connection of its own.
async fn asks(gateway: &Gateway, target: &str, fields: Fields<'_>) -> Reply {
    Client::http1(gateway.addr()).send(request(target, fields)).await
}

/// Asks with this token.
async fn shows(gateway: &Gateway, target: &str, token: &str) -> Reply {
    asks(gateway, target, &[("authorization", &format!("Bearer {token}"))]).await
}

/// The gateway itself has rejected it, for this reason.
#[track_caller]
fn rejected(reply: &Reply, status: u16, reason: &str) {
    reply.assert_by_gateway(&[status]);
    assert_eq!(reply.reason().as_deref(), Some(reason), "{reply:?}");
}

/// Asks again and again until the answer has this status.
#[track_caller]
fn until<F: Future<Output = Reply>>(
    limit: Duration,
    status: u16,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = Reply> {
    let place = std::panic::Location::caller();
    async move {
        let end = Instant::now() + limit;
        loop {
            let reply = ask().await;
            if reply.status == status {
                return reply;
            }
            assert!(Instant::now() < end, "{place}: not {status} within {limit:?}: {reply:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// By how many KiB the process has grown at its largest.
fn grown(gateway: &Gateway, before: usize) -> usize {
    gateway.usage().peak_kib.saturating_sub(before)
}
