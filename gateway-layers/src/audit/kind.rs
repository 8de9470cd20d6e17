//! [`AuditKind`]: what an event is about.

use gateway_core::Reason;

/// What an event is about. The [names](Self::name) are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditKind {
    /// Who calls is not known, or could not be found out.
    Authentication,
    /// Who calls may not do this.
    Authorization,
    /// Too many requests, or nobody could count them.
    Limit,
    /// What came is no request that could be handed on, or none that the route takes, or its client
    /// left before the response.
    Request,
    /// A client did not come through the TLS handshake.
    Connection,
    /// The document, weights of a split or certificates were replaced, or were to be.
    Configuration,
    /// About the audit itself: events were lost. Never left out.
    Audit,
}

impl AuditKind {
    /// Every kind there is.
    pub const ALL: &'static [Self] = &[
        Self::Authentication,
        Self::Authorization,
        Self::Limit,
        Self::Request,
        Self::Connection,
        Self::Configuration,
        Self::Audit,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Limit => "limit",
            Self::Request => "request",
            Self::Connection => "connection",
            Self::Configuration => "configuration",
            Self::Audit => "audit",
        }
    }

    /// The kind of the events about answers for `reason`; `None`: there are none, since the reason
    /// says nothing about who called or what was sent.
    pub fn of(reason: Reason) -> Option<Self> {
        decided(reason).flatten()
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// `None`: nobody has decided yet.
pub(super) fn decided(reason: Reason) -> Option<Option<AuditKind>> {
    Some(match reason {
        Reason::Unauthenticated
        | Reason::TokenInvalid
        | Reason::CredentialsInvalid
        | Reason::SignatureInvalid
        | Reason::KeysUnavailable
        | Reason::IdentityUnavailable => Some(AuditKind::Authentication),
        Reason::Forbidden
        | Reason::AddressDenied
        | Reason::PreflightRejected
        | Reason::CrossSite => Some(AuditKind::Authorization),
        Reason::RateLimited | Reason::QuotaExceeded | Reason::LimiterUnavailable => {
            Some(AuditKind::Limit)
        }
        Reason::RequestMalformed
        | Reason::FramingInvalid
        | Reason::HostInvalid
        | Reason::MisdirectedRequest
        | Reason::PathInvalid
        | Reason::UriTooLong
        | Reason::HeadersTooLarge
        | Reason::BodyTooLarge
        | Reason::ConnectNotAllowed
        | Reason::RequestTimeout
        | Reason::RequestIncomplete
        | Reason::ClientGone
        | Reason::MediaTypeNotAllowed => Some(AuditKind::Request),
        // Mistakes of people who may.
        Reason::RouteNotFound
        | Reason::MethodNotAllowed
        | Reason::ExpectationFailed
        | Reason::ClientAddressUnknown => None,
        // Upstreams and modules, and the gateway itself: the access log and metrics have them.
        Reason::NoEndpoint
        | Reason::PendingOverflow
        | Reason::PendingTimeout
        | Reason::ConnectFailed
        | Reason::ConnectTimeout
        | Reason::TlsFailed
        | Reason::UpstreamClosed
        | Reason::UpstreamProtocol
        | Reason::UpstreamHeadersTooLarge
        | Reason::UpstreamUpgrade
        | Reason::UpstreamInterim
        | Reason::UpstreamIncomplete
        | Reason::AttemptTimeout
        | Reason::ResponseHeadTimeout
        | Reason::StreamIdle
        | Reason::RouteTimeout
        | Reason::CircuitOpen
        | Reason::ConcurrencyLimit
        | Reason::QueueTimeout
        | Reason::LoadShed
        | Reason::EndpointsBusy
        | Reason::StickyEndpointGone
        | Reason::SplitEmpty
        | Reason::ModuleUnhealthy
        | Reason::ModuleFailed
        | Reason::Panicked
        | Reason::RewriteFailed
        | Reason::ShutDown => None,
        _ => return None,
    })
}

/// Several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) fn has(self, kind: AuditKind) -> bool {
        self.0 & kind.bit() != 0
    }
}

impl FromIterator<AuditKind> for Kinds {
    fn from_iter<I: IntoIterator<Item = AuditKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(AuditKind::Audit.bit(), |all, kind| all | kind.bit()))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn it_is_decided_for_every_reason_whether_it_is_audited() {
        for reason in Reason::ALL {
            assert!(decided(*reason).is_some(), "{reason} is neither audited nor left out");
        }
    }

    #[test]
    fn whoever_is_not_let_in_or_sends_hostile_bytes_is_audited() {
        for reason in Reason::ALL {
            let kind = AuditKind::of(*reason);
            let barred = matches!(
                reason.status(),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
            );
            let must = barred || reason.closes_connection();
            assert!(!must || kind.is_some(), "{reason}");
            assert!(reason.status() != StatusCode::BAD_GATEWAY || kind.is_none(), "{reason}");
            assert!(reason.status() != StatusCode::GATEWAY_TIMEOUT || kind.is_none(), "{reason}");
        }
        for (reason, kind) in [
            (Reason::KeysUnavailable, AuditKind::Authentication),
            (Reason::IdentityUnavailable, AuditKind::Authentication),
            (Reason::LimiterUnavailable, AuditKind::Limit),
            (Reason::TokenInvalid, AuditKind::Authentication),
            (Reason::CrossSite, AuditKind::Authorization),
            (Reason::QuotaExceeded, AuditKind::Limit),
            (Reason::FramingInvalid, AuditKind::Request),
        ] {
            assert_eq!(AuditKind::of(reason), Some(kind), "{reason}");
        }
    }

    #[test]
    fn kinds_are_kept_apart() {
        let kinds: Kinds = [AuditKind::Limit].into_iter().collect();
        let kept: Vec<_> = AuditKind::ALL.iter().filter(|kind| kinds.has(**kind)).collect();
        assert_eq!(kept, [&AuditKind::Limit, &AuditKind::Audit]);
        let names: Vec<_> = AuditKind::ALL.iter().map(|kind| kind.name()).collect();
        let mut unique = names.clone();
        unique.dedup();
        assert_eq!((names.len(), names), (unique.len(), unique));
    }
}
