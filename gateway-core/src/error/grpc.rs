//! [`GrpcStatus`]: the status codes of gRPC.

use http::{HeaderMap, HeaderName, StatusCode};

/// The header, or trailer, with the status of a gRPC call.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

macro_rules! statuses {
    ($($(#[doc = $doc:literal])+ $status:ident = $code:literal $name:literal $word:literal $http:literal;)+) => {
        /// A status of the gRPC protocol, as sent in `grpc-status`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum GrpcStatus {
            $($(#[doc = $doc])+ $status = $code,)+
        }

        impl GrpcStatus {
            /// Every status, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$status),+];

            /// The name in the words of `go-grpc-prometheus`, such as `DeadlineExceeded`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$status => $name,)+ }
            }

            /// The name in `snake_case`, such as `deadline_exceeded`.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$status => $word,)+ }
            }

            /// The HTTP status that means the same, as Envoy and gRPC gateways translate it.
            pub const fn http_status(self) -> StatusCode {
                match self { $(Self::$status => super::reason::status($http),)+ }
            }
        }
    };
}

statuses! {
    /// The call succeeded.
    Ok = 0 "OK" "ok" 200;
    /// The caller went away.
    Cancelled = 1 "Canceled" "cancelled" 499;
    /// An error without a status of its own, and every code that is not defined.
    Unknown = 2 "Unknown" "unknown" 500;
    /// The arguments are wrong, whatever the state of the server.
    InvalidArgument = 3 "InvalidArgument" "invalid_argument" 400;
    /// Out of time.
    DeadlineExceeded = 4 "DeadlineExceeded" "deadline_exceeded" 504;
    /// The requested entity does not exist.
    NotFound = 5 "NotFound" "not_found" 404;
    /// The entity to be created exists.
    AlreadyExists = 6 "AlreadyExists" "already_exists" 409;
    /// The caller is authenticated and not authorized.
    PermissionDenied = 7 "PermissionDenied" "permission_denied" 403;
    /// A quota or another resource is used up.
    ResourceExhausted = 8 "ResourceExhausted" "resource_exhausted" 429;
    /// The state of the server does not allow the call.
    FailedPrecondition = 9 "FailedPrecondition" "failed_precondition" 400;
    /// The call was aborted, as in a conflict of transactions.
    Aborted = 10 "Aborted" "aborted" 409;
    /// The arguments are beyond the valid range.
    OutOfRange = 11 "OutOfRange" "out_of_range" 400;
    /// No such method.
    Unimplemented = 12 "Unimplemented" "unimplemented" 501;
    /// Something is broken.
    Internal = 13 "Internal" "internal" 500;
    /// Try again later.
    Unavailable = 14 "Unavailable" "unavailable" 503;
    /// Data is lost or corrupted.
    DataLoss = 15 "DataLoss" "data_loss" 500;
    /// The caller is not authenticated.
    Unauthenticated = 16 "Unauthenticated" "unauthenticated" 401;
}

impl GrpcStatus {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status with this number; [`Unknown`](Self::Unknown) for one that is not defined.
    pub fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Unknown)
    }

    /// The status of a call whose response has this HTTP status and no status of its own, as clients
    /// read it (gRPC, "HTTP to gRPC Status Code Mapping").
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The status in `fields`: trailers, or the head of a response that has no messages. `None`
    /// where there is none; [`Unknown`](Self::Unknown) for what is not a number.
    pub fn in_fields(fields: &HeaderMap) -> Option<Self> {
        let text = fields.get(&GRPC_STATUS)?.to_str().unwrap_or_default().trim();
        Some(text.parse().map_or(Self::Unknown, Self::from_code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<GrpcStatus> {
        let mut fields = HeaderMap::new();
        fields.insert(&GRPC_STATUS, http::HeaderValue::from_static(text));
        GrpcStatus::in_fields(&fields)
    }

    #[test]
    fn codes_are_positions() {
        for (place, status) in GrpcStatus::ALL.iter().enumerate() {
            assert_eq!(usize::from(status.code()), place);
            assert_eq!(GrpcStatus::from_code(status.code()), *status);
        }
        assert_eq!(GrpcStatus::ALL.len(), 17);
    }

    #[test]
    fn undefined_codes_are_unknown() {
        assert_eq!(GrpcStatus::in_fields(&HeaderMap::new()), None);
        assert_eq!(read("0"), Some(GrpcStatus::Ok));
        assert_eq!(read("14"), Some(GrpcStatus::Unavailable));
        for text in ["", "17", "255", "256", "-1", "OK", "14, 14"] {
            assert_eq!(read(text), Some(GrpcStatus::Unknown), "{text}");
        }
    }
}
