//! `cors`: which other origins may ask, and read what is answered.

use std::str::FromStr;

use gateway_core::route::MethodMatch;
use gateway_layers::cors::{Allowed, CorsConfig, CorsFilter};
use gateway_layers::origin::OriginPattern;
use http::{HeaderName, Method};

use crate::config::reader::{Field, Table};
use crate::config::units::duration;

const EXAMPLE: &str = "{ allow_origins = [\"https://*.example.com\"] }";

pub(super) fn read(field: Field<'_>) -> Option<CorsFilter> {
    let mut table = field.table(EXAMPLE)?;
    let allow_origins =
        table.require("allow_origins", "a list such as [\"https://*.example.com\"]");
    let read = allow_origins.as_ref().and_then(origins);
    let mut config = CorsConfig::new(read.clone().unwrap_or_default());
    let methods = "a list of methods such as [\"GET\"], or \"*\"";
    table.set("allow_methods", &mut config.allow_methods, |field| {
        allowed(&field, methods, |field| method(&field))
    });
    for (key, names) in [
        ("allow_headers", &mut config.allow_headers),
        ("expose_headers", &mut config.expose_headers),
    ] {
        table.set(key, names, |field| {
            let expected = "a list of header names such as [\"x-a\"], or \"*\"";
            allowed(&field, expected, |field| field.parse::<HeaderName>("a header name"))
        });
    }
    table.set("allow_credentials", &mut config.allow_credentials, |field| field.boolean());
    table.set("max_age", &mut config.max_age, |field| duration(&field).map(Some));
    // What could not be read is said already.
    let empty = allow_origins.is_some_and(|list| list.is_empty_list());
    let known = read.is_some_and(|read| !read.is_empty() || empty);
    let filter = if known {
        CorsFilter::new(config).map_err(|error| reject(&mut table, &error)).ok()
    } else {
        None
    };
    table.finish();
    filter
}

fn reject(table: &mut Table<'_>, error: &gateway_layers::cors::CorsConfigError) {
    if let Some(field) = table.take(error.key()) {
        field.reject::<()>(error.expected());
    }
}

/// Patterns of origins; `None`: it is no list.
pub(super) fn origins(field: &Field<'_>) -> Option<Vec<OriginPattern>> {
    field.list("a list of origins such as [\"https://app.example.com\"]", |field| {
        let text = field.text("an origin such as \"https://app.example.com\"")?;
        OriginPattern::from_str(text).map_err(|error| field.reject::<()>(error.expected())).ok()
    })
}

/// A list, in which `*` is any.
fn allowed<T>(
    field: &Field<'_>,
    expected: &str,
    read: impl Fn(Field<'_>) -> Option<T>,
) -> Option<Allowed<T>> {
    if field.peek_text() == Some("*") {
        return Some(Allowed::any());
    }
    let mut any = false;
    let listed = field.list(expected, |field| {
        if field.peek_text() == Some("*") {
            any = true;
            return None;
        }
        read(field)
    });
    listed.map(|listed| Allowed { any, listed })
}

/// One method, as it is written in requests.
pub(super) fn method(field: &Field<'_>) -> Option<Method> {
    let token = field.text("a method such as \"GET\"")?;
    MethodMatch::parse(token).map_err(|error| field.reject::<()>(error.expected())).ok()
}
