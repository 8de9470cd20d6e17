//! `policy`: what stands between a route and its target.

mod authorize;
mod content;
mod cors;
mod csrf;
mod external_auth;
mod fallback;
pub(super) mod header_edits;
mod identity;
mod ip;
mod mirror;
mod rate_limit;
mod retries;
mod security_headers;

use std::time::Duration;

use gateway_core::route::HeaderEdits;
use gateway_layers::auth::authorize::Requirements;
use gateway_layers::body_limit::BodyLimitLayer;
use gateway_layers::content_type::ContentTypeFilter;
use gateway_layers::cors::CorsFilter;
use gateway_layers::csrf::CsrfFilter;
use gateway_layers::hedge;
use gateway_layers::ip_filter::IpFilter;
use gateway_layers::method_filter::MethodFilter;
use gateway_layers::security_headers::SecurityHeadersFilter;
use gateway_layers::timeout::TimeoutLayer;

pub use self::external_auth::ExternalAuth;
pub use self::fallback::{Fallback, FallbackTo};
pub use self::identity::{Access, IdentityMode, IdentityUse};
pub use self::mirror::Mirror;
pub use self::rate_limit::{LimitStore, RateLimit};
pub use self::retries::Retry;
use super::destination::Destination;
use super::reader::{Field, Table};
use super::units::{duration, size, timeout};

/// What stands between a route and its target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// `public`, `identity`, and the kinds of credentials that callers are known by.
    pub access: Access,
    /// `authorize`: an expression, or a table of `roles_any`, `roles_all`, `scopes_any`,
    /// `scopes_all`, `claims` and `expression`. Default: whoever is known may.
    pub authorize: Option<Requirements>,
    /// `external_auth`. Default: nobody else is asked.
    pub external_auth: Option<ExternalAuth>,
    /// `rate_limit`. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// `security_headers`: `true` or a table. Default: none.
    pub security_headers: Option<SecurityHeadersFilter>,
    /// `cors`. Default: none.
    pub cors: Option<CorsFilter>,
    /// `ip`: `allow`, `deny`, `allow_file`, `deny_file`. Default: every address.
    pub ip: Option<IpFilter>,
    /// `methods`. Default: every one that the match lets through.
    pub methods: Option<MethodFilter>,
    /// `content_types`. Default: any.
    pub content_types: Option<ContentTypeFilter>,
    /// `csrf`: `true` or a table. Default: none.
    pub csrf: Option<CsrfFilter>,
    /// `timeout`: the total, from the request's head to the end of the response's body. `"0s"` is
    /// off. Default: off; `timeouts` of clusters and listeners end what makes no progress.
    pub timeout: Option<Duration>,
    /// `honor_client_deadline`: whether a client may state a nearer deadline with `grpc-timeout` or
    /// `x-request-deadline-ms`. Default: true.
    pub honor_client_deadline: bool,
    /// `attempt_timeout`: for one try at an endpoint, until the head of its answer. `"0s"` is off.
    /// Default: none of the route's own.
    pub attempt_timeout: Option<Duration>,
    /// `response_head_timeout`: for the head of the response once the whole request has been sent, in
    /// place of the cluster's `timeouts.response_head`. `Some(None)`: `"0s"`, off. Default: the
    /// cluster's.
    pub response_head_timeout: Option<Option<Duration>>,
    /// `tunnel_idle`: how long a tunnel (WebSocket) may be idle. `"0s"` is off, which is a year.
    /// Default: `timeouts.tunnel_idle` of the listener.
    pub tunnel_idle: Option<Duration>,
    /// `retry`. Default: none of the route's own; the cluster alone tries once more what was not
    /// sent, or may be sent again.
    pub retry: Option<Retry>,
    /// `hedge`. Default: none.
    pub hedge: Option<hedge::HedgeConfig>,
    /// `mirror`: one or a list. Default: none.
    pub mirrors: Vec<Mirror>,
    /// `fallback`. Default: none.
    pub fallback: Option<Fallback>,
    /// `request_headers`: `set`, `add`, `remove`.
    pub request_headers: HeaderEdits,
    /// `response_headers`: `set`, `add`, `remove`.
    pub response_headers: HeaderEdits,
    /// `body_limit`: the most bytes of a request body; `"off"`: any number. Default: 10 MiB, and
    /// any number for gRPC.
    pub body_limit: Option<BodyLimitLayer>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access: Access::default(),
            authorize: None,
            external_auth: None,
            rate_limit: None,
            security_headers: None,
            cors: None,
            ip: None,
            methods: None,
            content_types: None,
            csrf: None,
            timeout: None,
            honor_client_deadline: true,
            attempt_timeout: None,
            response_head_timeout: None,
            tunnel_idle: None,
            retry: None,
            hedge: None,
            mirrors: Vec::new(),
            fallback: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            body_limit: Some(BodyLimitLayer::default()),
        }
    }
}

impl Policy {
    /// What every caller must be: by `authorize`, and by what is asked of credentials where there
    /// is one kind of them. Of several kinds each is asked for its own, where it is known.
    pub(crate) fn requirements(&self) -> Vec<Requirements> {
        let asked = self.access.identities.iter().filter(|_| !self.access.has_several_kinds());
        asked.filter_map(IdentityUse::requirements).chain(self.authorize.clone()).collect()
    }

    /// The layer that holds requests to their total time; `None`: neither the route nor clients
    /// can set one.
    pub(crate) fn timeout_layer(&self) -> Option<TimeoutLayer> {
        let limit = self.timeout.map(TimeoutLayer::new);
        let layer = limit.or_else(|| self.honor_client_deadline.then(TimeoutLayer::unlimited))?;
        Some(layer.honor_client_deadline(self.honor_client_deadline))
    }

    /// The names of the clusters that it leads to.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        let mirrors = self.mirrors.iter().map(|mirror| &mirror.to);
        let fallback = self.fallback.iter().filter_map(|fallback| fallback.to.destination());
        let external = self.external_auth.iter().map(|external| &external.to);
        mirrors.chain(fallback).chain(external).filter_map(Destination::cluster)
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ timeout = \"30s\" }")?;
        let mut policy = Self { access: Access::read(&mut table), ..Self::default() };
        table.set("authorize", &mut policy.authorize, |field| authorize::read(field).map(Some));
        table.set("external_auth", &mut policy.external_auth, |field| {
            ExternalAuth::read(field).map(Some)
        });
        table.set("rate_limit", &mut policy.rate_limit, |field| RateLimit::read(&field).map(Some));
        table.set("timeout", &mut policy.timeout, |field| {
            Some(Some(duration(&field)?).filter(|timeout| !timeout.is_zero()))
        });
        table.set("honor_client_deadline", &mut policy.honor_client_deadline, |field| {
            field.boolean()
        });
        table.set("attempt_timeout", &mut policy.attempt_timeout, |field| {
            Some(Some(duration(&field)?).filter(|timeout| !timeout.is_zero()))
        });
        table.set("response_head_timeout", &mut policy.response_head_timeout, |field| {
            Some(Some(Some(duration(&field)?).filter(|timeout| !timeout.is_zero())))
        });
        table.set("tunnel_idle", &mut policy.tunnel_idle, |field| timeout(&field).map(Some));
        table.set("retry", &mut policy.retry, |field| Retry::read(field).map(Some));
        table.set("hedge", &mut policy.hedge, |field| retries::hedge(field).map(Some));
        if let Some(field) = table.take("mirror") {
            policy.mirrors = field.one_or_list(Mirror::read);
        }
        table.set("fallback", &mut policy.fallback, |field| Fallback::read(field).map(Some));
        table.set("request_headers", &mut policy.request_headers, header_edits::read);
        table.set("response_headers", &mut policy.response_headers, header_edits::read);
        table.set("body_limit", &mut policy.body_limit, |field| match field.peek_text() {
            Some("off") => Some(None),
            _ => size(&field).map(|limit| Some(BodyLimitLayer::new(limit))),
        });
        policy.read_filters(&mut table);
        table.finish();
        Some(policy)
    }

    /// What looks at the head of a request.
    fn read_filters(&mut self, table: &mut Table<'_>) {
        table.set("security_headers", &mut self.security_headers, security_headers::read);
        table.set("cors", &mut self.cors, |field| cors::read(field).map(Some));
        table.set("ip", &mut self.ip, |field| ip::read(field).map(Some));
        table.set("methods", &mut self.methods, |field| content::methods(&field).map(Some));
        table.set("content_types", &mut self.content_types, |field| {
            content::content_types(&field).map(Some)
        });
        table.set("csrf", &mut self.csrf, csrf::read);
    }
}
