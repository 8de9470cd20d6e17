//! [`Reason`], and what follows from it.

use std::fmt;

use http::StatusCode;

use super::{GrpcStatus, HealthSignal};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $status:literal $grpc:ident $proxy:ident $title:literal;)+) => {
        /// Why the gateway made an answer itself: one entry for every such answer.
        ///
        /// The [`code`](Self::code) is stable. It is the last part of the problem document's
        /// `type` (RFC 9457, section 3.1.1), the `details` of `Proxy-Status` (RFC 9209, section
        /// 2.1.5), the field in the log and the label of the metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason there is, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name, in `snake_case`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status of the answer.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => status($status),)+ }
            }

            /// The status of the answer to a gRPC caller.
            pub const fn grpc_status(self) -> GrpcStatus {
                match self { $(Self::$name => GrpcStatus::$grpc,)+ }
            }

            /// The proxy error type of RFC 9209, section 2.3.
            pub const fn proxy_error(self) -> &'static str {
                match self { $(Self::$name => stringify!($proxy),)+ }
            }

            /// One line for people: the `title` of the problem document.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means and what to do about it.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

pub(super) const fn status(code: u16) -> StatusCode {
    match StatusCode::from_u16(code) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

reasons! {
    /// No route takes this host, path, header and query combination.
    RouteNotFound "route_not_found" 404 Unimplemented destination_not_found "No route takes this request";
    /// A route takes the path but not the method; `Allow` lists the methods that would be taken.
    MethodNotAllowed "method_not_allowed" 405 Unimplemented http_request_denied "The method is not allowed here";
    /// The bytes are not one well-formed HTTP request; the connection is closed.
    RequestMalformed "request_malformed" 400 Internal http_request_error "The request is malformed";
    /// `Content-Length` and `Transfer-Encoding` do not state one length (RFC 9112, section 6.3).
    FramingInvalid "framing_invalid" 400 Internal http_request_error "The request's length is ambiguous";
    /// `Host` is missing, repeated, malformed or contradicts the request target.
    HostInvalid "host_invalid" 400 Internal http_request_error "The request's host is invalid";
    /// The certificates of the connection are not for this host (RFC 9110, section 15.5.20): ask
    /// again on a connection that was made for it.
    MisdirectedRequest "misdirected_request" 421 Unavailable http_request_denied "This host is not served on this connection";
    /// The path cannot be understood in one way only.
    PathInvalid "path_invalid" 400 Internal http_request_error "The request's path is invalid";
    /// The request target is longer than the listener's limit.
    UriTooLong "uri_too_long" 414 Internal http_request_error "The request target is too long";
    /// The header section is larger than the listener's limit, or has too many fields.
    HeadersTooLarge "headers_too_large" 431 ResourceExhausted http_request_error "The request's headers are too large";
    /// The body is larger than the route's limit.
    BodyTooLarge "body_too_large" 413 ResourceExhausted http_request_denied "The request's body is too large";
    /// `CONNECT` without an extended protocol: the gateway is no forward proxy.
    ConnectNotAllowed "connect_not_allowed" 405 Unimplemented http_request_denied "CONNECT is not allowed";
    /// `Expect` asks for something else than `100-continue`.
    ExpectationFailed "expectation_failed" 417 Internal http_request_error "The expectation is not understood";
    /// The client took longer to send its request than the listener or the route allows.
    RequestTimeout "request_timeout" 408 DeadlineExceeded http_request_error "The request took too long to arrive";
    /// The client's connection or stream ended before the answer; nobody reads this answer.
    ClientGone "client_gone" 499 Cancelled http_request_error "The client went away";
    /// The gateway stopped, and the request had not ended within the time that the drain gives it.
    ShutDown "shut_down" 503 Unavailable proxy_internal_error "The gateway shut down";
    /// The request body could not be read to its end.
    RequestIncomplete "request_incomplete" 400 Cancelled http_request_error "The request broke off";
    /// The route wants to know who is calling, and the request has no credentials of the kind it
    /// takes. `WWW-Authenticate` says which.
    Unauthenticated "unauthenticated" 401 Unauthenticated http_request_denied "Credentials are missing";
    /// The token is malformed, expired, not for this audience, or not signed by a known key.
    TokenInvalid "token_invalid" 401 Unauthenticated http_request_denied "The token is not valid";
    /// The key or password is unknown, expired or revoked.
    CredentialsInvalid "credentials_invalid" 401 Unauthenticated http_request_denied "The credentials are not valid";
    /// The signature of the request is missing something, too old, used before, or wrong.
    SignatureInvalid "signature_invalid" 401 Unauthenticated http_request_denied "The signature is not valid";
    /// Who is calling is known, and may not do this.
    Forbidden "forbidden" 403 PermissionDenied http_request_denied "This is not allowed";
    /// The client's address may not call this.
    AddressDenied "address_denied" 403 PermissionDenied http_request_denied "The address is not allowed";
    /// A policy needs the client's address, and the server around the gateway did not pass it on:
    /// insert the extension `PeerAddr` into its requests, or set `GatewayBuilder::peer_from`, for
    /// axum to a function that reads `ConnectInfo<SocketAddr>`.
    ClientAddressUnknown "client_address_unknown" 500 Internal proxy_configuration_error "The client's address is unknown";
    /// The route's CORS does not allow this origin, method or header field.
    PreflightRejected "preflight_rejected" 403 PermissionDenied http_request_denied "Another origin may not ask for this";
    /// A request that another site made a browser send, or that does not say which site did.
    CrossSite "cross_site" 403 PermissionDenied http_request_denied "The request comes from another site";
    /// The body is of a kind that the route does not take.
    MediaTypeNotAllowed "media_type_not_allowed" 415 Internal http_request_denied "The content type is not allowed";
    /// More requests than may be in this time. `Retry-After` says when one passes again.
    RateLimited "rate_limited" 429 ResourceExhausted http_request_denied "Too many requests";
    /// As many requests as may be in this day or month.
    QuotaExceeded "quota_exceeded" 429 ResourceExhausted http_request_denied "The quota is used up";
    /// The keys that tokens are verified with could not be had: nobody is let in without them.
    KeysUnavailable "keys_unavailable" 503 Unavailable proxy_internal_error "Tokens cannot be verified now";
    /// Whoever knows the caller, or decides about it, does not answer: nobody is let in without it.
    IdentityUnavailable "identity_unavailable" 503 Unavailable proxy_internal_error "Callers cannot be verified now";
    /// Where limits are counted does not answer, and nobody is let in uncounted.
    LimiterUnavailable "limiter_unavailable" 503 Unavailable proxy_internal_error "Requests cannot be counted now";
    /// The cluster has no endpoint that may be used.
    NoEndpoint "no_endpoint" 503 Unavailable destination_unavailable "No endpoint is available";
    /// Every connection of the endpoint is busy and too many requests wait for one already.
    PendingOverflow "pending_overflow" 503 Unavailable connection_limit_reached "Too many requests wait for a connection";
    /// Every connection of the endpoint stayed busy for longer than a request may wait.
    PendingTimeout "pending_timeout" 503 Unavailable connection_limit_reached "No connection became free in time";
    /// The endpoint did not accept a connection.
    ConnectFailed "connect_failed" 502 Unavailable connection_refused "The upstream cannot be reached";
    /// The connection was not established in time.
    ConnectTimeout "connect_timeout" 504 Unavailable connection_timeout "Connecting to the upstream took too long";
    /// The TLS handshake with the endpoint failed.
    TlsFailed "tls_failed" 502 Unavailable tls_protocol_error "No secure connection to the upstream";
    /// The endpoint closed or reset the connection before it answered.
    UpstreamClosed "upstream_closed" 502 Unavailable connection_terminated "The upstream closed without an answer";
    /// The endpoint's answer is not HTTP, or ambiguous.
    UpstreamProtocol "upstream_protocol" 502 Unavailable http_protocol_error "The upstream's answer is not valid HTTP";
    /// The answer's header section is too large.
    UpstreamHeadersTooLarge "upstream_headers_too_large" 502 Unavailable http_response_header_section_size "The upstream's headers are too large";
    /// The endpoint switched protocols without being asked, or to another one than asked for.
    UpstreamUpgrade "upstream_upgrade" 502 Unavailable http_upgrade_failed "The upstream switched protocols wrongly";
    /// The endpoint sent interim answers without end.
    UpstreamInterim "upstream_interim" 502 Unavailable http_protocol_error "Too many interim answers";
    /// The answer broke off in its body.
    UpstreamIncomplete "upstream_incomplete" 502 Unavailable http_response_incomplete "The upstream's answer broke off";
    /// One attempt took longer than it may (`attempt_timeout`).
    AttemptTimeout "attempt_timeout" 504 DeadlineExceeded http_response_timeout "The upstream did not answer in time";
    /// The upstream had the whole request and did not begin its response in time: raise
    /// `timeouts.response_head` of the cluster where responses take longer by design.
    ResponseHeadTimeout "response_head_timeout" 504 DeadlineExceeded http_response_timeout "The upstream did not begin its response in time";
    /// The upstream sent or took nothing for longer than the idle timeout.
    StreamIdle "stream_idle" 504 DeadlineExceeded connection_read_timeout "The exchange stood still";
    /// The request took longer than its route allows (`timeout`).
    RouteTimeout "route_timeout" 504 DeadlineExceeded http_response_timeout "The request ran out of time";
    /// The cluster's circuit breaker is open: its endpoints failed too often, and nothing is sent
    /// until it lets probes through again. `Retry-After` says when.
    CircuitOpen "circuit_open" 503 Unavailable destination_unavailable "The circuit is open";
    /// As many requests are under way as may be, and as many wait as may wait.
    ConcurrencyLimit "concurrency_limit" 503 Unavailable connection_limit_reached "Too many requests are under way";
    /// The request waited as long as it may for another one to end.
    QueueTimeout "queue_timeout" 503 Unavailable connection_limit_reached "No request ended in time to begin this one";
    /// The gateway is short of room and keeps what is left of it for more important requests.
    LoadShed "load_shed" 503 Unavailable connection_limit_reached "The request was shed";
    /// Every endpoint has as many requests as one endpoint may have.
    EndpointsBusy "endpoints_busy" 503 Unavailable connection_limit_reached "Every endpoint is busy";
    /// The endpoint that the client's cookie names cannot be picked, and another one must not be.
    StickyEndpointGone "sticky_endpoint_gone" 503 Unavailable destination_unavailable "The session's endpoint is gone";
    /// Every entry of the split has the weight 0.
    SplitEmpty "split_empty" 500 Internal proxy_configuration_error "The split sends nothing anywhere";
    /// The module's own health check says that it cannot take requests.
    ModuleUnhealthy "module_unhealthy" 503 Unavailable destination_unavailable "The module is not well";
    /// A module failed.
    ModuleFailed "module_failed" 500 Internal proxy_internal_error "The module failed";
    /// A module or layer panicked while it handled this request.
    Panicked "panicked" 500 Internal proxy_internal_error "The gateway failed on this request";
    /// The route's rewrite or redirect does not fit this request.
    RewriteFailed "rewrite_failed" 500 Internal proxy_configuration_error "The request cannot be rewritten";
}

impl Reason {
    /// The reason with this [`code`](Self::code).
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// True when a failure for this reason comes before anything is sent.
    pub(super) const fn means_unsent(self) -> bool {
        matches!(
            self,
            Self::NoEndpoint
                | Self::PendingOverflow
                | Self::PendingTimeout
                | Self::ConnectFailed
                | Self::ConnectTimeout
                | Self::TlsFailed
                | Self::CircuitOpen
                | Self::ConcurrencyLimit
                | Self::QueueTimeout
                | Self::LoadShed
                | Self::EndpointsBusy
                | Self::StickyEndpointGone
                | Self::SplitEmpty
                | Self::ModuleUnhealthy
        )
    }

    /// What it says about whoever was to answer: see [`HealthSignal`].
    pub const fn health_signal(self) -> HealthSignal {
        match self {
            Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::TlsFailed
            | Self::UpstreamClosed
            | Self::UpstreamProtocol
            | Self::UpstreamHeadersTooLarge
            | Self::UpstreamUpgrade
            | Self::UpstreamInterim
            | Self::UpstreamIncomplete
            | Self::AttemptTimeout
            | Self::ResponseHeadTimeout
            | Self::StreamIdle
            | Self::ModuleFailed
            | Self::Panicked => HealthSignal::Failure,
            _ => HealthSignal::Neutral,
        }
    }

    /// True when the request's own bytes were at fault, so that nothing more on the connection
    /// can be trusted, or more of them are to come than anybody wants to read: the connection is
    /// closed after the answer.
    pub const fn closes_connection(self) -> bool {
        matches!(
            self,
            Self::RequestMalformed
                | Self::FramingInvalid
                | Self::HostInvalid
                | Self::PathInvalid
                | Self::UriTooLong
                | Self::HeadersTooLarge
                | Self::BodyTooLarge
                | Self::RequestTimeout
                | Self::RequestIncomplete
                | Self::ConnectNotAllowed
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
