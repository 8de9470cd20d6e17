//! [`ClientCredentials`]: how the gateway says who it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::auth::remote::Unsendable;
use crate::http_client::{encoded, hidden};
use crate::secret::Secret;

/// How the gateway says to an issuer who it is (RFC 7662, section 2.1).
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientCredentials {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Basic(String, Secret),
    Bearer(Secret),
    None,
}

impl ClientCredentials {
    /// As this client with this password (RFC 6749, section 2.3.1).
    pub fn basic(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { kind: Kind::Basic(id.into(), secret.into()) }
    }

    /// With a token of its own.
    pub fn bearer(token: impl Into<Secret>) -> Self {
        Self { kind: Kind::Bearer(token.into()) }
    }

    /// Not at all: for issuers that know the gateway by its address or certificate.
    pub const fn none() -> Self {
        Self { kind: Kind::None }
    }

    /// The value of `Authorization`; an error where there is none that could be sent.
    pub(super) fn into_value(self) -> Result<Option<HeaderValue>, Unsendable> {
        let text = match self.kind {
            Kind::None => return Ok(None),
            Kind::Basic(id, secret) => {
                let pair = format!("{}:{}", encoded(&id), encoded(secret.reveal()));
                format!("Basic {}", STANDARD.encode(pair))
            }
            Kind::Bearer(token) => format!("Bearer {}", token.reveal()),
        };
        hidden(&text).map(Some).ok_or(Unsendable)
    }
}
