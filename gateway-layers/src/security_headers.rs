//! [`SecurityHeadersFilter`]: what browsers are told to be careful about.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::filter::FilterLayer;
//! use gateway_layers::security_headers::{SecurityHeadersConfig, SecurityHeadersFilter};
//! use http::HeaderValue;
//! use tower::ServiceBuilder;
//!
//! let framed = HeaderValue::from_static("SAMEORIGIN");
//! let config = SecurityHeadersConfig { frame_options: Some(framed), ..SecurityHeadersConfig::default() };
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let careful = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(FilterLayer::new(SecurityHeadersFilter::new(config)))
//!         .service(module),
//! );
//! ```
//!
//! The fields are put into every answer of the route, into those that the gateway makes of a failure
//! as well. What the target says itself is kept, unless [`SecurityHeadersConfig::replace`] is set.

use std::fmt;
use std::sync::Arc;

use gateway_core::context::Scheme;
use gateway_core::{RequestExt, ResponseEdit};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request;

use crate::filter::{Filter, Flow};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");

/// Which fields are added, each with its value; `None`: not this one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made with what differs from the default")]
pub struct SecurityHeadersConfig {
    /// `Strict-Transport-Security` (RFC 6797), said over HTTPS only: by scheme of the
    /// [listener](gateway_core::RequestContext::scheme) or of a trusted proxy in front. Default: a
    /// year, this host alone.
    pub hsts: Option<HeaderValue>,
    /// `X-Content-Type-Options` (Fetch). Default: `nosniff`.
    pub content_type_options: Option<HeaderValue>,
    /// `X-Frame-Options` (RFC 7034). Default: `DENY`.
    pub frame_options: Option<HeaderValue>,
    /// `Content-Security-Policy`. Left out as well where the target says `X-Frame-Options`, which
    /// `frame-ancestors` would overrule. Default: no frames around, no plugins, no foreign base.
    pub content_security_policy: Option<HeaderValue>,
    /// `Referrer-Policy`. Default: `strict-origin-when-cross-origin`.
    pub referrer_policy: Option<HeaderValue>,
    /// `Permissions-Policy`. Default: no camera, location, microphone.
    pub permissions_policy: Option<HeaderValue>,
    /// `Cross-Origin-Opener-Policy` (HTML). Default: `same-origin`.
    pub cross_origin_opener_policy: Option<HeaderValue>,
    /// `Cross-Origin-Resource-Policy` (Fetch). What CORS allows is not touched by it. Default:
    /// `same-origin`.
    pub cross_origin_resource_policy: Option<HeaderValue>,
    /// `Cross-Origin-Embedder-Policy` (HTML). Default: none, as it breaks pages that embed others.
    pub cross_origin_embedder_policy: Option<HeaderValue>,
    /// Whether they replace what the target says. Default: `false`.
    pub replace: bool,
    /// Whether `Server` and `X-Powered-By` are taken away. Default: `false`.
    pub hide_server: bool,
}

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        let value = |text| Some(HeaderValue::from_static(text));
        Self {
            hsts: value("max-age=31536000"),
            content_type_options: value("nosniff"),
            frame_options: value("DENY"),
            content_security_policy: value(
                "base-uri 'self'; frame-ancestors 'none'; object-src 'none'",
            ),
            referrer_policy: value("strict-origin-when-cross-origin"),
            permissions_policy: value("camera=(), geolocation=(), microphone=()"),
            cross_origin_opener_policy: value("same-origin"),
            cross_origin_resource_policy: value("same-origin"),
            cross_origin_embedder_policy: None,
            replace: false,
            hide_server: false,
        }
    }
}

impl SecurityHeadersConfig {
    /// The fields that are added, in the order of the settings.
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
        let fields = [
            (header::STRICT_TRANSPORT_SECURITY, &self.hsts),
            (header::X_CONTENT_TYPE_OPTIONS, &self.content_type_options),
            // Before the frame options: it is left out where the target has said those.
            (header::CONTENT_SECURITY_POLICY, &self.content_security_policy),
            (header::X_FRAME_OPTIONS, &self.frame_options),
            (header::REFERRER_POLICY, &self.referrer_policy),
            (PERMISSIONS_POLICY, &self.permissions_policy),
            (OPENER_POLICY, &self.cross_origin_opener_policy),
            (RESOURCE_POLICY, &self.cross_origin_resource_policy),
            (EMBEDDER_POLICY, &self.cross_origin_embedder_policy),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
    }
}

/// Adds fields to answers; see the [module](self).
#[derive(Clone)]
pub struct SecurityHeadersFilter {
    config: Arc<SecurityHeadersConfig>,
    plain: Arc<dyn ResponseEdit>,
    secure: Arc<dyn ResponseEdit>,
}

impl SecurityHeadersFilter {
    /// Adds what `config` says.
    pub fn new(config: SecurityHeadersConfig) -> Self {
        let config = Arc::new(config);
        let edit = |secure: bool| {
            let fields = config.fields();
            let fields =
                fields.filter(|(name, _)| secure || name != header::STRICT_TRANSPORT_SECURITY);
            let fields = fields.map(|(name, value)| (name, value.clone())).collect();
            Arc::new(Fields { config: Arc::clone(&config), fields }) as Arc<dyn ResponseEdit>
        };
        Self { plain: edit(false), secure: edit(true), config }
    }

    /// What it adds.
    pub fn config(&self) -> &SecurityHeadersConfig {
        &self.config
    }
}

impl Filter for SecurityHeadersFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        if let Some(context) = head.context() {
            let secure = context.scheme() == Scheme::Https;
            context.edit_response(Arc::clone(if secure { &self.secure } else { &self.plain }));
        }
        Flow::Continue
    }
}

struct Fields {
    config: Arc<SecurityHeadersConfig>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl ResponseEdit for Fields {
    fn edit(&self, headers: &mut HeaderMap) {
        if self.config.hide_server {
            headers.remove(header::SERVER);
            headers.remove(&POWERED_BY);
        }
        for (name, value) in &self.fields {
            let overruled = name == header::CONTENT_SECURITY_POLICY
                && headers.contains_key(header::X_FRAME_OPTIONS);
            if self.config.replace || !(overruled || headers.contains_key(name)) {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl PartialEq for SecurityHeadersFilter {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl fmt::Debug for SecurityHeadersFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecurityHeadersFilter").field(&self.config).finish()
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::{
        Body, ConnectionInfo, Error, Gateway, ListenerInfo, Module, Reason, Request,
        RequestContext, Response, Route, RouteMatch, module_fn,
    };
    use tower::Layer;

    use super::*;
    use crate::filter::FilterLayer;

    /// The answer's fields, where the target says `lines` or fails.
    async fn answer(
        config: SecurityHeadersConfig,
        scheme: Scheme,
        lines: Option<&[(&str, &str)]>,
    ) -> HeaderMap {
        let lines = lines.map(|lines| {
            let line = |(name, value): &(&str, &str)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            };
            lines.iter().map(line).collect::<HeaderMap>()
        });
        let target = Module::new(module_fn(move |_: Request| {
            let lines = lines.clone();
            async move {
                let mut response = Response::new(Body::empty());
                *response.headers_mut() = lines.ok_or(Error::new(Reason::ConnectFailed))?;
                Ok::<_, Error>(response)
            }
        }));
        let filter = FilterLayer::new(SecurityHeadersFilter::new(config));
        let route = Route::new("all", Module::from_service(filter.layer(target)));
        let gateway = Gateway::builder().route(route.matching(RouteMatch::any())).build().unwrap();
        let mut listener = ListenerInfo::default();
        listener.scheme = scheme;
        let connection = ConnectionInfo::new(Arc::new(listener), None, None);
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("a.test"));
        let context = RequestContext::new(Arc::new(connection), tokio::time::Instant::now());
        request.extensions_mut().insert(context);
        gateway.handle(request).await.headers().clone()
    }

    #[tokio::test]
    async fn the_preset_is_on_answers_and_on_failures() {
        for lines in [Some(&[][..]), None] {
            let headers = answer(SecurityHeadersConfig::default(), Scheme::Https, lines).await;
            for (name, value) in SecurityHeadersConfig::default().fields() {
                assert_eq!(headers.get_all(&name).iter().collect::<Vec<_>>(), [value], "{name}");
            }
            assert_eq!(SecurityHeadersConfig::default().fields().count(), 8);
        }
    }

    #[tokio::test]
    async fn hsts_is_said_over_https_only() {
        let headers = answer(SecurityHeadersConfig::default(), Scheme::Http, Some(&[])).await;
        assert!(!headers.contains_key("strict-transport-security"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }

    #[tokio::test]
    async fn what_the_target_says_is_kept_unless_it_is_to_be_replaced() {
        let said = [("referrer-policy", "no-referrer"), ("server", "x"), ("x-powered-by", "y")];
        let headers = answer(SecurityHeadersConfig::default(), Scheme::Http, Some(&said)).await;
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(
            (&headers["server"], &headers["x-powered-by"]),
            (&"x".parse().unwrap(), &"y".parse().unwrap())
        );
        let config = SecurityHeadersConfig {
            replace: true,
            hide_server: true,
            ..SecurityHeadersConfig::default()
        };
        let headers = answer(config, Scheme::Http, Some(&said)).await;
        assert_eq!(headers["referrer-policy"], "strict-origin-when-cross-origin");
        assert!(!headers.contains_key("server") && !headers.contains_key("x-powered-by"));
    }

    #[tokio::test]
    async fn a_target_that_allows_frames_is_not_overruled() {
        let said = [("x-frame-options", "SAMEORIGIN")];
        let headers = answer(SecurityHeadersConfig::default(), Scheme::Http, Some(&said)).await;
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
        assert!(!headers.contains_key("content-security-policy"));
    }

    #[tokio::test]
    async fn fields_can_be_left_out() {
        let config = SecurityHeadersConfig {
            frame_options: None,
            content_security_policy: None,
            ..SecurityHeadersConfig::default()
        };
        let headers = answer(config, Scheme::Http, Some(&[])).await;
        assert!(!headers.contains_key("x-frame-options"));
        assert!(!headers.contains_key("content-security-policy"));
    }
}
