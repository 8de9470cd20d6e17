//! [`Url`]: an address that is asked.

use http::Uri;

/// An address with a scheme that we speak.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    origin: String,
    target: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "no URL")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("no absolute URL");
        };
        if !matches!(scheme, "http" | "https") {
            return Err("neither https nor http");
        }
        if authority.as_str().contains('@') {
            return Err("a URL with a user in it");
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self { origin: format!("{scheme}://{authority}"), target: target.to_owned() })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn whole(&self) -> String {
        format!("{}{}", self.origin, self.target)
    }

    /// Without its query, which may hold a key.
    pub(crate) fn shown(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{}{path}", self.origin)
    }
}
