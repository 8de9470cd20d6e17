//! What browsers send, what others make them send, and what only looks like it.

use std::sync::Arc;

use gateway_core::context::Scheme;
use gateway_core::{Body, ConnectionInfo, ListenerInfo, Reason, Request, RequestContext};
use http::{HeaderName, HeaderValue, Method};
use tokio::time::Instant;

use super::*;
use crate::filter::{Filter, Flow};

type Line = (&'static str, &'static str);

fn filter(config: CsrfConfig) -> CsrfFilter {
    CsrfFilter::new(config).unwrap()
}

/// Whether a request over `https` to `shop.test` passes.
fn passes(filter: &CsrfFilter, method: Method, lines: &[Line]) -> bool {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    for (name, value) in [("host", "shop.test")].iter().chain(lines) {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    let mut listener = ListenerInfo::default();
    listener.scheme = Scheme::Https;
    let connection = ConnectionInfo::new(Arc::new(listener), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    request.extensions_mut().insert(context);
    match filter.apply(&mut request.into_parts().0) {
        Flow::Continue => true,
        Flow::Reject(error) => {
            assert_eq!(error.reason(), Reason::CrossSite);
            false
        }
        Flow::Answer(_) => panic!("an answer"),
    }
}

const OWN: Line = ("origin", "https://shop.test");
const FOREIGN: Line = ("origin", "https://evil.test");
const CROSS: Line = ("sec-fetch-site", "cross-site");
const UPGRADE: Line = ("upgrade", "websocket");

#[test]
fn safe_methods_pass_unless_they_switch_protocols() {
    let filter = filter(CsrfConfig::default());
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        assert!(passes(&filter, method, &[CROSS, FOREIGN]));
    }
    assert!(!passes(&filter, Method::GET, &[CROSS, FOREIGN, UPGRADE]));
    assert!(!passes(&filter, Method::GET, &[UPGRADE]));
    assert!(passes(&filter, Method::GET, &[OWN, UPGRADE]));
}

#[test]
fn fetch_metadata_decides_where_it_is_there() {
    let filter = filter(CsrfConfig::default());
    for (site, expected) in [
        ("same-origin", true),
        ("none", true),
        ("same-site", false),
        ("cross-site", false),
        ("Same-Origin", false),
        ("same-origin, cross-site", false),
        ("", false),
    ] {
        for other in [None, Some(OWN), Some(("referer", "https://shop.test/"))] {
            let lines: Vec<_> = [("sec-fetch-site", site)].into_iter().chain(other).collect();
            assert_eq!(passes(&filter, Method::POST, &lines), expected, "{lines:?}");
        }
    }
    let twice = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
    assert!(!passes(&filter, Method::POST, &twice));
}

#[test]
fn the_same_site_passes_where_it_may() {
    let filter = filter(CsrfConfig::default().same_site(true));
    assert!(passes(&filter, Method::POST, &[("sec-fetch-site", "same-site")]));
    assert!(!passes(&filter, Method::POST, &[CROSS]));
}

#[test]
fn then_the_origin_is_the_one_that_is_asked() {
    let filter = filter(CsrfConfig::default());
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert!(passes(&filter, method.clone(), &[OWN]), "{method}");
        assert!(!passes(&filter, method, &[FOREIGN]));
    }
    for origin in [
        "http://shop.test",
        "https://shop.test:8443",
        "https://shop.test.evil.test",
        "https://evilshop.test",
        "https://shop.test@evil.test",
        "https://shop.test.",
        "https://SHOP.test",
        "https://shöp.test",
        "null",
        "",
    ] {
        assert!(!passes(&filter, Method::POST, &[("origin", origin)]), "{origin}");
    }
    assert!(!passes(&filter, Method::POST, &[OWN, OWN]), "two lines");
    assert!(!passes(&filter, Method::POST, &[OWN, FOREIGN]), "two lines");
}

#[test]
fn then_the_referer() {
    let filter = filter(CsrfConfig::default());
    for (url, expected) in [
        ("https://shop.test/cart?x=1", true),
        ("https://shop.test", true),
        ("http://shop.test/", false),
        ("https://evil.test/https://shop.test/", false),
        ("https://shop.test.evil.test/", false),
        ("https://shop.test@evil.test/", false),
        ("https://evil.test#https://shop.test", false),
        ("about:blank", false),
        ("", false),
    ] {
        assert_eq!(passes(&filter, Method::POST, &[("referer", url)]), expected, "{url}");
    }
    let lines = [("origin", "null"), ("referer", "https://shop.test/")];
    assert!(!passes(&filter, Method::POST, &lines), "an origin that is there decides");
}

#[test]
fn what_says_nothing_is_rejected() {
    assert!(!passes(&filter(CsrfConfig::default()), Method::POST, &[]));
}

#[test]
fn trusted_origins_pass_whatever_the_site() {
    let trusted = ["https://app.test", "https://*.partner.test"].map(|one| one.parse().unwrap());
    let filter = filter(CsrfConfig::default().trusted_origins(trusted));
    for origin in ["https://app.test", "https://a.partner.test"] {
        assert!(passes(&filter, Method::POST, &[CROSS, ("origin", origin)]), "{origin}");
    }
    for origin in ["http://app.test", "https://partner.test", "https://x.app.test", "null"] {
        assert!(!passes(&filter, Method::POST, &[CROSS, ("origin", origin)]), "{origin}");
    }
}

#[test]
fn what_every_site_can_be_is_not_trusted() {
    for origin in ["*", "https://*", "null"] {
        let config = CsrfConfig::default().trusted_origins([origin.parse().unwrap()]);
        let error = CsrfFilter::new(config).unwrap_err().to_string();
        assert!(error.starts_with(&format!("trusted_origins: found `{origin}`")), "{error}");
    }
}

#[test]
fn only_requests_with_the_cookies_are_checked_where_they_are_named() {
    let filter = filter(CsrfConfig::default().cookies(["session", "sid"]));
    for (cookie, checked) in [
        ("session=1", true),
        ("a=b; sid=2", true),
        ("a=b;sid=2", true),
        (" session =1", true),
        ("session", true),
        ("sessions=1", false),
        ("Session=1", false),
        ("a=session", false),
        ("", false),
    ] {
        let passed = passes(&filter, Method::POST, &[("cookie", cookie), CROSS]);
        assert_eq!(!passed, checked, "{cookie:?}");
    }
    assert!(passes(&filter, Method::POST, &[CROSS]));
    let lines = [("cookie", "a=b"), ("cookie", "session=1"), CROSS];
    assert!(!passes(&filter, Method::POST, &lines), "in any line");
}
