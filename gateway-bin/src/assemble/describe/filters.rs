//! What looks at the head of a request, in the order of the route ring.

use gateway_layers::cors::{self, Allowed};
use gateway_layers::csrf;
use gateway_layers::ip_filter::IpFilter;
use gateway_layers::security_headers;

use crate::config::{Policy, show_duration};

/// A line for each filter.
pub(super) fn describe(policy: &Policy) -> Vec<String> {
    let security = policy.security_headers.as_ref().map(|filter| security(filter.config()));
    let cors = policy.cors.as_ref().map(|filter| cors(filter.config()));
    let ip = policy.ip.as_ref().map(ip);
    let methods =
        policy.methods.as_ref().map(|filter| format!("methods {}", list(filter.methods())));
    let csrf = policy.csrf.as_ref().map(|filter| csrf(filter.config()));
    let content_types = policy.content_types.as_ref();
    let content_types =
        content_types.map(|filter| format!("content_types {}", list(filter.ranges())));
    [security, cors, ip, methods, csrf, content_types].into_iter().flatten().collect()
}

fn security(config: &security_headers::SecurityHeadersConfig) -> String {
    let names: Vec<_> = config.fields().map(|(name, _)| name).collect();
    let how = if config.replace { ", whatever the target says" } else { "" };
    let hidden = if config.hide_server { "; hides the server" } else { "" };
    format!("security_headers {}{how}{hidden}", list(&names))
}

fn cors(config: &cors::CorsConfig) -> String {
    let mut text = format!(
        "cors {}, methods {}, headers {}",
        list(&config.allow_origins),
        allowed(&config.allow_methods),
        allowed(&config.allow_headers),
    );
    if config.allow_credentials {
        text.push_str(", with credentials");
    }
    if config.expose_headers != Allowed::only([]) {
        text.push_str(&format!(", exposes {}", allowed(&config.expose_headers)));
    }
    if let Some(age) = config.max_age {
        text.push_str(&format!(", for {}", show_duration(age)));
    }
    text
}

fn ip(filter: &IpFilter) -> String {
    let networks = |count: usize| format!("{count} network{}", if count == 1 { "" } else { "s" });
    let allow = filter.allowed().map_or("everybody".to_owned(), |allow| networks(allow.len()));
    format!("ip allows {allow}, denies {}", networks(filter.denied().len()))
}

fn csrf(config: &csrf::CsrfConfig) -> String {
    let site = if config.same_site { "same site" } else { "same origin" };
    let mut text = format!("csrf {site}");
    if !config.trusted_origins.is_empty() {
        text.push_str(&format!(" or {}", list(&config.trusted_origins)));
    }
    if !config.cookies.is_empty() {
        text.push_str(&format!(", with cookie {}", config.cookies.join(" or ")));
    }
    text
}

fn allowed<T: ToString>(allowed: &Allowed<T>) -> String {
    let star = allowed.any.then(|| "*".to_owned());
    let names: Vec<_> = star.into_iter().chain(allowed.listed.iter().map(T::to_string)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
