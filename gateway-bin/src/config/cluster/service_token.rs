//! `[clusters.NAME] service_token`: a token of our own for its endpoints.

use gateway_layers::auth::service_token::ServiceTokenFilter;
use http::HeaderName;

use crate::config::reader::Field;
use gateway_layers::secret::Secret;

/// A token that endpoints are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundToken {
    /// `header` in which it stands. Default: `x-service-token`.
    pub header: HeaderName,
    /// `token`. Required.
    pub token: Secret,
}

impl OutboundToken {
    /// `token` in `x-service-token`.
    pub fn new(token: Secret) -> Self {
        Self { header: HeaderName::from_static("x-service-token"), token }
    }

    /// A secret, or a table with one.
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        if !field.has_key("token") && !field.has_key("header") {
            return Self::checked(&field);
        }
        let mut table = field.table("{ token = { file = \"token\" } }")?;
        let mut header = HeaderName::from_static("x-service-token");
        table.set("header", &mut header, |field| {
            field.parse("the name of a header field such as \"x-service-token\"")
        });
        let token = table.require("token", "a secret").and_then(|field| Self::checked(&field));
        table.finish();
        Some(Self { header, ..token? })
    }

    fn checked(field: &Field<'_>) -> Option<Self> {
        let token = field.secret()?;
        if ServiceTokenFilter::new(token.reveal()).is_err() {
            return field.note("the token is none, expected 16 to 1024 visible characters".into());
        }
        Some(Self::new(token))
    }
}
