//! [`RequestContext`]: what is known about one request.
//!
//! It is the only extension the gateway puts into a request, written on the way in and read by
//! everyone inside: layers, modules, the forwarder, observers.

mod challenges;
mod connection;
mod interim;
mod owned;
mod params;
mod principal;
mod record;
mod response_edits;
mod route;
mod tls;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::time::Instant;

pub(crate) use self::challenges::BELOW as ACME_CHALLENGE;
pub use self::challenges::HttpChallenges;
pub use self::connection::{ConnectionInfo, HttpsRedirect, ListenerInfo, PeerAddr, Scheme};
pub use self::interim::{Interim, InterimSink};
pub use self::params::PathParams;
pub use self::principal::{Claim, Principal};
pub use self::record::{Attempt, Fallback, Record};
pub use self::response_edits::ResponseEdit;
use self::response_edits::ResponseEdits;
pub use self::route::{Metadata, RouteInfo};
pub use self::tls::{ClientIdentity, ServedNames, TlsInfo, TlsVersion};
use crate::body::Body;
use crate::error::Reason;
use crate::forwarded::Peer;
pub use crate::grpc::GRPC_TIMEOUT;
use crate::upload::Upload;

/// The header field in which any caller may state its time, in milliseconds.
pub static REQUEST_DEADLINE_MS: HeaderName = HeaderName::from_static("x-request-deadline-ms");

/// What is known about one request. Cheap to clone; clones are the same context.
#[derive(Clone)]
pub struct RequestContext {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Arc<ConnectionInfo>,
    started: Instant,
    watched: bool,
    interim: Option<Interim>,
    admitted: OnceLock<Admitted>,
    /// The context of the gateway around this one, which keeps what belongs to the whole request.
    outer: Option<RequestContext>,
    deadline: OnceLock<Deadline>,
    attempt_timeout: OnceLock<Duration>,
    response_head_timeout: OnceLock<Option<Duration>>,
    upload: OnceLock<Arc<Upload>>,
    retried: AtomicBool,
    principal: OnceLock<Arc<Principal>>,
    response_edits: ResponseEdits,
    record: Record,
}

impl RequestContext {
    /// The context of a request whose head was complete on `connection` at `started`.
    pub fn new(connection: Arc<ConnectionInfo>, started: Instant) -> Self {
        Self::with(connection, started, false, None)
    }

    /// The same for a server that polls the request's future at its deadline, and to which interim
    /// answers can be sent.
    pub(crate) fn watched(
        connection: Arc<ConnectionInfo>,
        started: Instant,
        interim: Option<Interim>,
    ) -> Self {
        Self::with(connection, started, true, interim)
    }

    fn with(
        connection: Arc<ConnectionInfo>,
        started: Instant,
        watched: bool,
        interim: Option<Interim>,
    ) -> Self {
        let inner = Inner {
            connection,
            started,
            watched,
            interim,
            admitted: OnceLock::new(),
            outer: None,
            deadline: OnceLock::new(),
            attempt_timeout: OnceLock::new(),
            response_head_timeout: OnceLock::new(),
            upload: OnceLock::new(),
            retried: AtomicBool::new(false),
            principal: OnceLock::new(),
            response_edits: ResponseEdits::default(),
            record: Record::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The connection the request came on.
    pub fn connection(&self) -> &Arc<ConnectionInfo> {
        &self.inner.connection
    }

    /// The connection, where each has one client whose requests follow one another (HTTP/1);
    /// `None` where it may carry the requests of several.
    pub(crate) fn owner(&self) -> Option<&Arc<ConnectionInfo>> {
        self.inner.watched.then_some(&self.inner.connection)
    }

    /// When the request's head was complete.
    pub fn started(&self) -> Instant {
        self.inner.started
    }

    /// The address of the client: the peer's, or the one that trusted proxies in front of the
    /// gateway pass on. `127.0.0.1` for a peer on a Unix socket. `None` when it is unknown, because
    /// the server around the gateway passed no [`PeerAddr`]: a policy that needs
    /// the address rejects the request with [`Reason::ClientAddressUnknown`].
    ///
    /// [`Reason::ClientAddressUnknown`]: crate::Reason::ClientAddressUnknown
    pub fn client_ip(&self) -> Option<IpAddr> {
        match self.inner.admitted.get() {
            Some(admitted) => admitted.client_ip,
            None => self.inner.connection.hop().map(Peer::ip),
        }
    }

    /// The scheme by which the client asks: the listener's, or what a trusted proxy in front of
    /// the gateway says in `X-Forwarded-Proto`.
    pub fn scheme(&self) -> Scheme {
        let admitted = self.inner.admitted.get().map(|admitted| admitted.scheme);
        admitted.unwrap_or(self.inner.connection.listener.scheme)
    }

    /// The host that the client asks for, where the request's `Host` is another one: the route's
    /// rewrite replaced it, or a trusted proxy in front of the gateway did and says so in
    /// `X-Forwarded-Host`.
    pub fn requested_host(&self) -> Option<&HeaderValue> {
        self.inner.admitted.get()?.requested_host.as_ref()
    }

    /// True when a body comes behind the request's head, whether its length is known or not;
    /// `None` before a gateway read the request.
    pub fn has_body(&self) -> Option<bool> {
        self.inner.admitted.get().map(|admitted| admitted.has_body)
    }

    /// True when the peer is a proxy whose `X-Forwarded-*` fields are believed.
    pub fn from_trusted_peer(&self) -> bool {
        self.inner.admitted.get().is_some_and(|admitted| admitted.from_trusted_peer)
    }

    /// The generation of the snapshot that decides about this request; 0 before one did.
    pub fn generation(&self) -> u64 {
        self.inner.admitted.get().map_or(0, |admitted| admitted.generation)
    }

    /// The route that took the request.
    pub fn route(&self) -> Option<&Arc<RouteInfo>> {
        self.inner.admitted.get()?.route.as_ref()
    }

    /// The request's target in its normal form, before any rewrite; `None` before a gateway read it.
    pub fn target(&self) -> Option<&Uri> {
        self.inner.admitted.get().map(|admitted| &admitted.target)
    }

    /// The value of the path parameter `name`, still percent-encoded: a part of the path of
    /// [`target`](Self::target), which a rewrite does not change.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params()?.value(self.target()?.path(), name)
    }

    /// The path parameters; `None` before a route took the request.
    pub fn params(&self) -> Option<&PathParams> {
        self.inner.admitted.get().map(|admitted| &admitted.params)
    }

    /// Where interim answers (103) to this request's client go; `None` when its protocol cannot
    /// carry them.
    pub fn interim(&self) -> Option<&Interim> {
        self.inner.interim.as_ref()
    }

    /// The moment at which the request is out of time; `None` without a timeout.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.whole().deadline.get()?.at)
    }

    /// Sets the deadline, unless an outer layer has set one: the first one holds.
    pub fn set_deadline(&self, deadline: Instant) -> Instant {
        self.whole().deadline.get_or_init(|| Deadline { at: deadline, stated: false }).at
    }

    /// As [`set_deadline`](Self::set_deadline), for a deadline that the client stated and that is
    /// nearer than the gateway's own.
    pub fn set_stated_deadline(&self, deadline: Instant) -> Instant {
        self.whole().deadline.get_or_init(|| Deadline { at: deadline, stated: true }).at
    }

    /// True when the time that the gateway itself gives the request is over, and the upstream had
    /// it. That says something about the upstream; that a client was in a hurry does not, nor that
    /// the time passed while the gateway waited for the client's body.
    pub fn is_overdue(&self, now: Instant) -> bool {
        let deadline = self.whole().deadline.get();
        let Some(deadline) = deadline.filter(|deadline| !deadline.stated && now >= deadline.at)
        else {
            return false;
        };
        let total = deadline.at.saturating_duration_since(self.inner.started);
        !self.waits_for_client() && self.waited_for_client() * 2 <= total
    }

    /// Why a request whose deadline has passed fails: what it waited for was the upstream, or the
    /// rest of the client's body.
    pub fn overdue_reason(&self) -> Reason {
        if self.waits_for_client() { Reason::RequestTimeout } else { Reason::RouteTimeout }
    }

    /// True while somebody reads the request's body and the client has not sent more of it.
    pub fn waits_for_client(&self) -> bool {
        self.upload().is_some_and(|upload| upload.now().waits_since().is_some())
    }

    /// For how long the gateway has waited for the client's body in all.
    pub fn waited_for_client(&self) -> Duration {
        self.upload().map_or(Duration::ZERO, |upload| upload.now().waited())
    }

    /// How far the body has come; `None` for one that came with its head.
    pub(crate) fn upload(&self) -> Option<&Arc<Upload>> {
        self.whole().upload.get()
    }

    /// Notes from now on how far `body`, the request's, has come.
    pub(crate) fn follow_upload(&self, body: &mut Body) {
        if !body.is_in_memory() && self.upload().is_none() {
            let upload = self.whole().upload.get_or_init(Arc::default);
            body.noted_in(Arc::clone(upload));
        }
    }

    /// How long one try at an endpoint may take until the head of its answer; `None` without such
    /// a limit of the route.
    pub fn attempt_timeout(&self) -> Option<Duration> {
        self.whole().attempt_timeout.get().copied()
    }

    /// Limits each try at an endpoint, unless an outer layer has done so: the first one holds. A
    /// cluster's own limit holds beside it.
    pub fn set_attempt_timeout(&self, limit: Duration) -> Duration {
        *self.whole().attempt_timeout.get_or_init(|| limit)
    }

    /// How long an upstream may take to begin its response once it has the whole request: `None`
    /// where the cluster's own limit holds, `Some(None)` for no limit.
    pub fn response_head_timeout(&self) -> Option<Option<Duration>> {
        self.whole().response_head_timeout.get().copied()
    }

    /// Replaces the limit of the cluster on the head of the response, unless an outer layer has done
    /// so: the first one holds. `None`: no limit.
    pub fn set_response_head_timeout(&self, limit: Option<Duration>) {
        let _ = self.whole().response_head_timeout.set(limit);
    }

    /// Says that a layer decides what of this request is sent again: nobody behind it does, but
    /// for connections that turn out to be dead.
    pub fn claim_retries(&self) {
        self.whole().retried.store(true, Ordering::Relaxed);
    }

    /// True when a layer [decides](Self::claim_retries) what is sent again.
    pub fn is_retried(&self) -> bool {
        self.whole().retried.load(Ordering::Relaxed)
    }

    /// Who is calling; `None` when nobody has found out.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.whole().principal.get()
    }

    /// Says who is calling, unless somebody has said so: the first word holds, and false is given
    /// back.
    pub fn set_principal(&self, principal: Arc<Principal>) -> bool {
        self.whole().principal.set(principal).is_ok()
    }

    /// Adds a header field to the answer, whoever makes it: the target, or the gateway for a
    /// failure. It replaces a field of this name; see [`append_response_header`](Self::append_response_header).
    pub fn set_response_header(&self, name: HeaderName, value: HeaderValue) {
        self.whole().response_edits.set(name, value);
    }

    /// As [`set_response_header`](Self::set_response_header), beside fields of this name.
    pub fn append_response_header(&self, name: HeaderName, value: HeaderValue) {
        self.whole().response_edits.append(name, value);
    }

    /// Lets `edit` see the head of the answer, whoever makes it, and change its fields: what
    /// depends on the fields that are there, or takes some away. Edits and fields that are added
    /// come in the order in which layers asked for them.
    pub fn edit_response(&self, edit: Arc<dyn ResponseEdit>) {
        self.whole().response_edits.edit(edit);
    }

    /// Puts the fields that were added into the answer's.
    pub(crate) fn apply_response_edits(&self, headers: &mut HeaderMap) {
        self.inner.response_edits.apply(headers);
    }

    /// True when whoever polls this request's future polls it again at its deadline: a layer that
    /// waits for the deadline then needs no timer of its own.
    pub fn is_woken_at_deadline(&self) -> bool {
        self.inner.watched
    }

    /// What happened to the request so far.
    pub fn record(&self) -> &Record {
        &self.whole().record
    }

    /// Where in the path of [`target`](Self::target) the part behind the matched prefix begins;
    /// `None` when the route was not matched by a prefix.
    pub fn after_prefix(&self) -> Option<usize> {
        self.inner.admitted.get()?.after_prefix
    }

    /// Where that is kept which belongs to the request and not to one gateway.
    fn whole(&self) -> &Inner {
        let mut inner = &self.inner;
        while let Some(outer) = &inner.outer {
            inner = &outer.inner;
        }
        inner
    }

    /// The context for a gateway, which is the module of another one when this context has been
    /// written already.
    pub(crate) fn for_gateway(&self) -> Self {
        if self.inner.admitted.get().is_none() {
            return self.clone();
        }
        let inner = Inner {
            connection: Arc::clone(&self.inner.connection),
            started: self.inner.started,
            watched: self.inner.watched,
            interim: self.inner.interim.clone(),
            admitted: OnceLock::new(),
            outer: Some(self.clone()),
            deadline: OnceLock::new(),
            attempt_timeout: OnceLock::new(),
            response_head_timeout: OnceLock::new(),
            upload: OnceLock::new(),
            retried: AtomicBool::new(false),
            principal: OnceLock::new(),
            response_edits: ResponseEdits::default(),
            record: Record::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Writes down what the gateway found out about the request, once.
    pub(crate) fn admit(&self, admitted: Admitted) {
        let _ = self.inner.admitted.set(admitted);
    }
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// The client asked for it.
    stated: bool,
}

/// What the gateway finds out about a request before it hands it on.
pub(crate) struct Admitted {
    pub(crate) target: Uri,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) scheme: Scheme,
    pub(crate) requested_host: Option<HeaderValue>,
    pub(crate) has_body: bool,
    pub(crate) from_trusted_peer: bool,
    pub(crate) generation: u64,
    pub(crate) route: Option<Arc<RouteInfo>>,
    pub(crate) params: PathParams,
    pub(crate) after_prefix: Option<usize>,
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("client_ip", &self.client_ip())
            .field("route", &self.route())
            .field("record", &self.inner.record)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn admitted(route: &str) -> Admitted {
        Admitted {
            target: Uri::from_static("/"),
            client_ip: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            scheme: Scheme::Http,
            requested_host: None,
            has_body: false,
            from_trusted_peer: true,
            generation: 3,
            route: Some(Arc::new(RouteInfo::new(route, Metadata::default()))),
            params: PathParams::default(),
            after_prefix: None,
        }
    }

    fn context() -> RequestContext {
        let connection = ConnectionInfo::new(Arc::default(), None, None);
        RequestContext::new(Arc::new(connection), Instant::now())
    }

    #[test]
    fn whoever_holds_the_context_sees_what_the_gateway_found() {
        let context = context();
        let server = context.clone();
        assert_eq!((server.generation(), server.route()), (0, None));
        context.for_gateway().admit(admitted("orders"));
        assert_eq!(&*server.route().unwrap().id, "orders");
        assert_eq!(server.client_ip(), Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    }

    #[test]
    fn a_gateway_inside_of_another_shares_what_belongs_to_the_request() {
        let outer = context();
        outer.admit(admitted("outer"));
        let inner = outer.for_gateway();
        inner.admit(admitted("inner"));
        assert_eq!(&*outer.route().unwrap().id, "outer");
        assert_eq!(&*inner.route().unwrap().id, "inner");
        let deadline = inner.set_deadline(inner.started() + Duration::from_secs(1));
        assert_eq!(outer.deadline(), Some(deadline));
        inner.record().attempt(Attempt::new("orders".into(), "http://10.0.0.1".into()));
        assert_eq!(outer.record().attempts(), 1);
    }

    #[test]
    fn param_is_read_from_the_path_that_matched() {
        let context = context();
        let mut params = PathParams::named([Arc::from("id")].into());
        params.push(8..10);
        let target = Uri::from_static("/orders/77/items");
        context.admit(Admitted { target, params, ..admitted("orders") });
        assert_eq!(context.param("id"), Some("77"));
        assert_eq!(context.param("other"), None);
    }
}
