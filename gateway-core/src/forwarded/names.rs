//! [`Via`] and [`OriginHeader`]: what the gateway says about itself.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Version, uri::Authority};

/// Says who made a response: `gateway` or `upstream`.
pub const ORIGIN: HeaderName = HeaderName::from_static("x-gateway-origin");

/// The `Via` that is added to requests (RFC 9110, section 7.6.3). Default: the name `gateway`.
///
/// Some servers, nginx among them, do not compress responses to requests with a `Via`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// For HTTP/1.0, HTTP/1.1 and HTTP/2; made once. `None`: no `Via` is added.
    values: Option<[HeaderValue; 3]>,
}

impl Via {
    /// Adds no `Via`.
    #[must_use]
    pub const fn off() -> Self {
        Self { values: None }
    }

    /// The gateway is called `name`: a pseudonym, or a host with or without a port. `None` for what
    /// is neither.
    ///
    /// ```
    /// use gateway_core::forwarded::Via;
    ///
    /// assert!(Via::named("edge-1").is_some());
    /// assert!(Via::named("edge 1, edge 2").is_none());
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is_pseudonym = HeaderName::from_bytes(name.as_bytes()).is_ok();
        // What hosts and ports are made of, without what separates elements of the list.
        let is_host =
            || name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        if !(is_pseudonym || (is_host() && name.parse::<Authority>().is_ok())) {
            return None;
        }
        let of = |protocol: &str| HeaderValue::from_str(&format!("{protocol} {name}")).ok();
        Some(Self { values: Some([of("1.0")?, of("1.1")?, of("2")?]) })
    }

    /// The value for a message that was received in this protocol.
    pub(crate) fn value(&self, version: Version) -> Option<HeaderValue> {
        let [http10, http11, http2] = self.values.as_ref()?;
        Some(match version {
            Version::HTTP_2 => http2.clone(),
            Version::HTTP_10 => http10.clone(),
            _ => http11.clone(),
        })
    }
}

impl Default for Via {
    fn default() -> Self {
        let values = ["1.0 gateway", "1.1 gateway", "2 gateway"].map(HeaderValue::from_static);
        Self { values: Some(values) }
    }
}

/// The header that says whether the gateway or an upstream made a response. Default:
/// `x-gateway-origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginHeader {
    name: Option<HeaderName>,
}

impl OriginHeader {
    /// Responses do not say it.
    #[must_use]
    pub const fn off() -> Self {
        Self { name: None }
    }

    /// Responses say it in the header `name`.
    #[must_use]
    pub const fn named(name: HeaderName) -> Self {
        Self { name: Some(name) }
    }

    /// Gives the header of a response its name, or removes it.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if self.name.as_ref() == Some(&ORIGIN) {
            return;
        }
        if let (Some(origin), Some(name)) = (headers.remove(ORIGIN), &self.name) {
            headers.insert(name.clone(), origin);
        }
    }
}

impl Default for OriginHeader {
    fn default() -> Self {
        Self::named(ORIGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn via_names_the_gateway() {
        let value =
            |via: &Via, version| via.value(version).map(|it| it.to_str().unwrap().to_owned());
        let default = Via::default();
        assert_eq!(value(&default, Version::HTTP_2).as_deref(), Some("2 gateway"));
        assert_eq!(value(&default, Version::HTTP_10).as_deref(), Some("1.0 gateway"));
        for name in ["edge", "edge-1.example", "edge.example:8080", "[::1]:80"] {
            let via = Via::named(name).unwrap();
            assert_eq!(value(&via, Version::HTTP_11), Some(format!("1.1 {name}")));
        }
        for wrong in ["", "a b", "a,b", "a\r\nb", "u@a", "a/b", "ä"] {
            assert_eq!(Via::named(wrong), None, "{wrong:?}");
        }
        assert_eq!(value(&Via::off(), Version::HTTP_11), None);
    }

    #[test]
    fn origin_is_renamed_or_removed() {
        let left = |origin: &OriginHeader| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static("upstream"));
            origin.apply(&mut headers);
            origin.apply(&mut headers);
            let left =
                headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone()));
            left.collect::<Vec<_>>()
        };
        let said = |name: &str| vec![(name.to_owned(), HeaderValue::from_static("upstream"))];
        assert_eq!(left(&OriginHeader::default()), said("x-gateway-origin"));
        let named = OriginHeader::named(HeaderName::from_static("x-made-by"));
        assert_eq!(left(&named), said("x-made-by"));
        assert_eq!(left(&OriginHeader::off()), []);
    }
}
