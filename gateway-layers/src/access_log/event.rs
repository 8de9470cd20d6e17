//! What is logged, as events of `tracing`.

use std::fmt;
use std::time::Duration;

use gateway_core::{GrpcStatus, Reason, RequestRejected};
use tracing::field::{DisplayValue, display};

use super::escape::Escaped;
use super::{Finished, TARGET, detail, failed};

pub(super) fn finished(finished: &Finished<'_>) {
    let Finished { event, attempt, variant, fallback } = finished;
    let context = event.context;
    let attempt = attempt.as_ref();
    let fallback = fallback.as_deref();
    tracing::info!(
        target: TARGET,
        method = escaped(event.method),
        path = escaped(event.path),
        status = event.status.as_u16(),
        grpc_status = event.grpc_status.map(GrpcStatus::code),
        reason = event.reason.map(Reason::code).map(escaped),
        detail = finished.detail().map(escaped),
        cause = finished.cause().map(escaped),
        route = context.route().map(|route| escaped(&*route.id)),
        variant = variant.as_deref().map(escaped),
        cluster = attempt.map(|attempt| escaped(&*attempt.cluster)),
        endpoint = attempt.map(|attempt| escaped(&*attempt.endpoint)),
        attempts = context.record().attempts(),
        fallback = fallback.map(|fallback| escaped(&*fallback.name)),
        fallback_for = fallback.map(|fallback| escaped(failed(fallback))),
        fallback_failure = fallback.and_then(|fallback| fallback.failure.as_ref()).map(escaped),
        client = context.client_ip().map(display),
        duration_ms = milliseconds(event.duration),
        head_ms = event.head_after.map(milliseconds),
        bytes = event.bytes,
        end = %finished.end(),
        generation = context.generation(),
        "request"
    );
}

pub(super) fn rejected(event: &RequestRejected<'_>) {
    tracing::info!(
        target: TARGET,
        status = event.error.reason().status().as_u16(),
        reason = event.error.reason().code(),
        detail = detail(event.error).map(escaped),
        client = event.connection.peer_ip().map(display),
        "rejected"
    );
}

fn escaped<T: fmt::Display>(text: T) -> DisplayValue<Escaped<T>> {
    display(Escaped(text))
}

/// With three places: short answers take less than one.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
