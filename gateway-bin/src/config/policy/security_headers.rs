//! `security_headers`: what browsers are told to be careful about.

use gateway_layers::security_headers::{SecurityHeadersConfig, SecurityHeadersFilter};
use http::HeaderValue;

use crate::config::reader::Field;

pub(super) fn read(field: Field<'_>) -> Option<Option<SecurityHeadersFilter>> {
    let preset = SecurityHeadersConfig::default();
    if let Some(on) = field.peek_boolean() {
        return Some(on.then(|| SecurityHeadersFilter::new(preset)));
    }
    let mut table = field.table_or("{ frame_options = \"SAMEORIGIN\" }", "true")?;
    let mut config = preset;
    for (key, slot) in [
        ("hsts", &mut config.hsts),
        ("content_type_options", &mut config.content_type_options),
        ("frame_options", &mut config.frame_options),
        ("content_security_policy", &mut config.content_security_policy),
        ("referrer_policy", &mut config.referrer_policy),
        ("permissions_policy", &mut config.permissions_policy),
        ("cross_origin_opener_policy", &mut config.cross_origin_opener_policy),
        ("cross_origin_resource_policy", &mut config.cross_origin_resource_policy),
        ("cross_origin_embedder_policy", &mut config.cross_origin_embedder_policy),
    ] {
        table.set(key, slot, |field| value(&field));
    }
    table.set("replace", &mut config.replace, |field| field.boolean());
    table.set("hide_server", &mut config.hide_server, |field| field.boolean());
    table.finish();
    Some(Some(SecurityHeadersFilter::new(config)))
}

/// The value of a field, or `"off"`.
fn value(field: &Field<'_>) -> Option<Option<HeaderValue>> {
    const EXPECTED: &str = "the value of a header field, or \"off\"";
    match field.text(EXPECTED)? {
        "off" => Some(None),
        text if !text.is_empty() && text.is_ascii() => match HeaderValue::from_str(text) {
            Ok(value) => Some(Some(value)),
            Err(_) => field.reject(EXPECTED),
        },
        _ => field.reject(EXPECTED),
    }
}
