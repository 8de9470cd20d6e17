//! `csrf`: no requests that another site makes a browser send.

use gateway_layers::csrf::{CsrfConfig, CsrfConfigError, CsrfFilter};

use super::cors::origins;
use crate::config::reader::Field;

pub(super) fn read(field: Field<'_>) -> Option<Option<CsrfFilter>> {
    if let Some(on) = field.peek_boolean() {
        return Some(if on { CsrfFilter::new(CsrfConfig::default()).ok() } else { None });
    }
    let mut table = field.table_or("{ cookies = [\"session\"] }", "true")?;
    let mut config = CsrfConfig::default();
    let trusted = table.take("trusted_origins");
    config.trusted_origins = trusted.as_ref().and_then(origins).unwrap_or_default();
    table.set("same_site", &mut config.same_site, |field| field.boolean());
    table.set("cookies", &mut config.cookies, |field| {
        if field.is_empty_list() {
            field.reject::<()>("at least one name; leave it out to check every request");
        }
        field.list("a list of names such as [\"session\"]", |field| cookie_name(&field))
    });
    table.finish();
    match CsrfFilter::new(config) {
        Ok(filter) => Some(Some(filter)),
        Err(_) => trusted.and_then(|field| field.reject(CsrfConfigError::EXPECTED)),
    }
}

/// RFC 6265, section 4.1.1: a token.
fn cookie_name(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "the name of a cookie";
    let name = field.name(EXPECTED)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    if name.bytes().all(plain) { Some(name) } else { field.reject(EXPECTED) }
}
