//! `[identity.mtls.NAME]`: callers known by the certificate of their connection.

use gateway_layers::auth::Forward;
use gateway_layers::auth::mtls::NamePattern;

use crate::config::reader::Field;

const NAME: &str =
    "a name such as \"spiffe://example.org/*\", \"dns:orders.internal\" or \"cn:orders\"";

/// Callers known by the certificate of their connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MtlsProvider {
    /// `allow`: one or a list of names, one of which the certificate must have. Default: anybody
    /// whom the listener took.
    pub allow: Option<Vec<NamePattern>>,
    /// `forward`: attributes for upstreams by header field.
    pub forward: Forward,
}

impl MtlsProvider {
    pub(super) fn read(_: &str, field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ allow = [\"spiffe://example.org/*\"] }")?;
        let mut provider = Self::default();
        table.set("allow", &mut provider.allow, |field| {
            if field.is_empty_list() {
                return field.reject(NAME);
            }
            Some(Some(field.one_or_list(|field| field.parse(NAME))))
        });
        table.set("forward", &mut provider.forward, |field| super::forward(&field));
        table.finish();
        Some(provider)
    }
}
