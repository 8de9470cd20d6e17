//! [`Calls`]: calls of gRPC, by method and status.

use std::time::Duration;

use gateway_core::{GrpcStatus, RequestFinished};

use super::count::{Histogram, Named, OTHERS};

/// Methods that are counted each by itself. A server has a few hundred; what clients make up has an
/// end here.
const MOST_METHODS: usize = 1_000;

/// The longest path of a method that is counted by itself, in bytes.
const MOST_BYTES: usize = 256;

/// Calls of gRPC.
#[derive(Clone, Default)]
pub(super) struct Calls {
    /// By path, without its first slash.
    methods: Named<OfMethod>,
}

#[derive(Clone, Default)]
struct OfMethod(Vec<(GrpcStatus, Histogram)>);

/// What is shown of the calls of one method with one status.
pub(super) struct Shown<'c> {
    pub(super) service: &'c str,
    pub(super) method: &'c str,
    pub(super) status: GrpcStatus,
    pub(super) durations: &'c Histogram,
}

impl Calls {
    /// Counts a call that ended with `status`. False when there is no room for its method.
    ///
    /// A method is counted by itself once an upstream has answered it in a way that shows that it
    /// has it: paths are made up by clients.
    pub(super) fn count(
        &mut self,
        event: &RequestFinished<'_>,
        status: GrpcStatus,
        bounds: &[Duration],
    ) -> bool {
        let path = event.path.strip_prefix('/').unwrap_or_default();
        let is_known = self.methods.contains_key(path);
        let is_new = !is_known && event.reason.is_none() && shows(status) && is_method(path);
        let has_room = !is_new || self.methods.len() < MOST_METHODS;
        let name = if is_known || (is_new && has_room) { path } else { OTHERS };
        if !self.methods.contains_key(name) {
            self.methods.insert(name.into(), OfMethod::default());
        }
        if let Some(method) = self.methods.get_mut(name) {
            method.with(status, |durations| durations.count(bounds, event.duration));
        }
        has_room
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (name, one) in &other.methods {
            let own = self.methods.entry(name.clone()).or_default();
            for (status, durations) in &one.0 {
                own.with(*status, |own| own.add(durations));
            }
        }
    }

    /// Everything, in an order that stays.
    pub(super) fn shown(&self) -> Vec<Shown<'_>> {
        let methods = self.methods.iter().flat_map(|(name, one)| {
            let (service, method) = name.split_once('/').unwrap_or((OTHERS, OTHERS));
            one.0.iter().map(move |(status, durations)| Shown {
                service,
                method,
                status: *status,
                durations,
            })
        });
        let mut shown: Vec<_> = methods.collect();
        shown.sort_unstable_by_key(|one| (one.service, one.method, one.status.code()));
        shown
    }
}

impl OfMethod {
    fn with(&mut self, status: GrpcStatus, edit: impl FnOnce(&mut Histogram)) {
        match self.0.iter_mut().find(|(own, _)| *own == status) {
            Some((_, durations)) => edit(durations),
            None => {
                let mut durations = Histogram::default();
                edit(&mut durations);
                self.0.push((status, durations));
            }
        }
    }
}

/// True for a status with which a server shows that it has the method. `UNAUTHENTICATED` and the
/// like come before a server looks, and `UNKNOWN` is what no status is.
fn shows(status: GrpcStatus) -> bool {
    !matches!(
        status,
        GrpcStatus::Cancelled
            | GrpcStatus::Unknown
            | GrpcStatus::PermissionDenied
            | GrpcStatus::Unimplemented
            | GrpcStatus::Unauthenticated
    )
}

/// True for `package.Service/Method`.
fn is_method(path: &str) -> bool {
    path.len() <= MOST_BYTES
        && path.bytes().all(|byte| byte.is_ascii_graphic())
        && path.split_once('/').is_some_and(|(service, method)| {
            !service.is_empty() && !method.is_empty() && !method.contains('/')
        })
}

/// The outcome of an attempt that was a call with `status`.
pub(super) fn outcome(status: GrpcStatus) -> &'static str {
    match status {
        GrpcStatus::Ok => "2xx",
        GrpcStatus::Cancelled => "grpc_cancelled",
        GrpcStatus::InvalidArgument => "grpc_invalid_argument",
        GrpcStatus::DeadlineExceeded => "grpc_deadline_exceeded",
        GrpcStatus::NotFound => "grpc_not_found",
        GrpcStatus::AlreadyExists => "grpc_already_exists",
        GrpcStatus::PermissionDenied => "grpc_permission_denied",
        GrpcStatus::ResourceExhausted => "grpc_resource_exhausted",
        GrpcStatus::FailedPrecondition => "grpc_failed_precondition",
        GrpcStatus::Aborted => "grpc_aborted",
        GrpcStatus::OutOfRange => "grpc_out_of_range",
        GrpcStatus::Unimplemented => "grpc_unimplemented",
        GrpcStatus::Internal => "grpc_internal",
        GrpcStatus::Unavailable => "grpc_unavailable",
        GrpcStatus::DataLoss => "grpc_data_loss",
        GrpcStatus::Unauthenticated => "grpc_unauthenticated",
        _ => "grpc_unknown",
    }
}
