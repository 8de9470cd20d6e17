//! [`Affinity`]: what requests are kept together by.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::cookie;
use super::hash::stable_hash;
use crate::context::RequestContext;

/// What requests are kept together by: the first of its keys that a request has.
///
/// A cluster hands it to its balancer; [`ConsistentHash`](super::balance::ConsistentHash) is the
/// one that goes by it. Also the share of endpoints of another zone or priority is cut by it, so
/// that a key stays on its side.
///
/// ```
/// use gateway_core::upstream::{Affinity, HashKey, balance::ConsistentHash};
/// use gateway_core::Cluster;
///
/// let keys = Affinity::new(["header:x-user".parse()?, HashKey::ClientIp]);
/// let cluster = Cluster::builder("carts")
///     .endpoint("http://127.0.0.1:9000".parse()?)
///     .endpoint("http://127.0.0.1:9001".parse()?)
///     .balance(ConsistentHash::new())
///     .affinity(keys)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    keys: Vec<HashKey>,
}

impl Affinity {
    /// Keeps together by the first of `keys` that a request has. Without any, nothing is.
    pub fn new(keys: impl IntoIterator<Item = HashKey>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// The keys in the order in which they are tried.
    pub fn keys(&self) -> &[HashKey] {
        &self.keys
    }

    /// The hash of the first key that the request has; `None` when it has none. The same in every
    /// gateway, after every restart and update.
    pub fn hash(&self, headers: &HeaderMap, context: Option<&RequestContext>) -> Option<u64> {
        self.keys.iter().find_map(|key| key.hash(headers, context))
    }
}

/// A part of a request that a hash is made of.
///
/// As text, in documents: `header:NAME`, `cookie:NAME`, `param:NAME`, `principal`, `ip`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashKey {
    /// The first line of a header field, unless it is empty.
    Header(HeaderName),
    /// The value of a cookie, unless it is empty.
    Cookie(String),
    /// A parameter of the route's path, as it stands in the path.
    Param(String),
    /// The subject of who is calling, once somebody has found out
    /// ([`RequestContext::principal`]).
    Principal,
    /// The client's address, as trusted proxies tell it; of an IPv6 address the network (/64), in
    /// which one client has many.
    ClientIp,
}

/// A hash key is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no hash key, expected `header:NAME`, `cookie:NAME`, `param:NAME`, `principal` or \
     `ip`"
)]
#[non_exhaustive]
pub struct HashKeyError {
    /// What was found.
    pub found: String,
}

impl HashKey {
    /// The hash of this part of a request; `None` when the request does not have it.
    pub fn hash(&self, headers: &HeaderMap, context: Option<&RequestContext>) -> Option<u64> {
        let full = |value: &&[u8]| !value.is_empty();
        match self {
            Self::Header(name) => {
                headers.get(name).map(HeaderValue::as_bytes).filter(full).map(stable_hash)
            }
            Self::Cookie(name) => cookie::value(headers, name).filter(full).map(stable_hash),
            Self::Param(name) => {
                let value = context?.param(name)?;
                Some(value.as_bytes()).filter(full).map(stable_hash)
            }
            Self::Principal => Some(stable_hash(context?.principal()?.subject.as_bytes())),
            Self::ClientIp => context?.client_ip().map(of_address),
        }
    }
}

fn of_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => stable_hash(&address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments().map(u16::to_be_bytes);
            stable_hash([a, b, c, d].as_flattened())
        }
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        let key = match text.split_once(':') {
            None if text == "principal" => Some(Self::Principal),
            None if text == "ip" => Some(Self::ClientIp),
            Some(("header", name)) => name.parse().ok().map(Self::Header),
            Some(("cookie", name)) if cookie::is_name(name) => Some(Self::Cookie(name.to_owned())),
            Some(("param", name)) if !name.is_empty() => Some(Self::Param(name.to_owned())),
            _ => None,
        };
        key.ok_or_else(|| HashKeyError { found: text.to_owned() })
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Param(name) => write!(f, "param:{name}"),
            Self::Principal => f.write_str("principal"),
            Self::ClientIp => f.write_str("ip"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Uri;
    use tokio::time::Instant;

    use super::*;
    use crate::context::{Admitted, ConnectionInfo, PathParams, Principal, Scheme};

    fn key(text: &str) -> HashKey {
        text.parse().unwrap()
    }

    fn context(ip: &str) -> RequestContext {
        let connection = ConnectionInfo::new(Arc::default(), None, None);
        let context = RequestContext::new(Arc::new(connection), Instant::now());
        let mut params = PathParams::named([Arc::from("id")].into());
        params.push(8..10);
        context.admit(Admitted {
            target: Uri::from_static("/orders/77/items"),
            client_ip: ip.parse().ok(),
            scheme: Scheme::Http,
            requested_host: None,
            has_body: false,
            from_trusted_peer: false,
            generation: 1,
            route: None,
            params,
            after_prefix: None,
        });
        context
    }

    #[test]
    fn a_caller_is_its_subject_and_nobody_before_it_is_known() {
        let context = context("192.0.2.1");
        let hash = || key("principal").hash(&HeaderMap::new(), Some(&context));
        assert_eq!(hash(), None);
        assert!(context.set_principal(Arc::new(Principal::new("alice", "jwt"))));
        assert_eq!(hash(), Some(stable_hash(b"alice")));
        assert_eq!(key("principal").to_string(), "principal");
    }

    #[test]
    fn keys_are_read_and_printed() {
        for text in ["header:x-user", "cookie:session", "param:id", "ip"] {
            assert_eq!(key(text).to_string(), text);
        }
        assert_eq!(key("header:X-User"), HashKey::Header(HeaderName::from_static("x-user")));
        for wrong in
            ["", "header", "header:", "header:a b", "cookie:", "cookie:a;b", "param:", "IP"]
        {
            let error = wrong.parse::<HashKey>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{wrong}` is no hash key")));
        }
    }

    #[test]
    fn each_part_of_a_request_can_be_a_key() {
        let context = context("192.0.2.1");
        let mut headers = HeaderMap::new();
        headers.insert("x-user", "ada".parse().unwrap());
        headers.insert("cookie", "a=b; session=s1".parse().unwrap());
        let hash = |text| key(text).hash(&headers, Some(&context));
        assert_eq!(hash("header:x-user"), Some(stable_hash(b"ada")));
        assert_eq!(hash("cookie:session"), Some(stable_hash(b"s1")));
        assert_eq!(hash("param:id"), Some(stable_hash(b"77")));
        assert_eq!(hash("ip"), Some(stable_hash(&[192, 0, 2, 1])));
        for absent in ["header:x-other", "cookie:other", "param:other"] {
            assert_eq!(hash(absent), None);
        }
        assert_eq!(key("ip").hash(&headers, None), None);
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let hash = |ip| key("ip").hash(&HeaderMap::new(), Some(&context(ip)));
        assert_eq!(hash("2001:db8::1"), hash("2001:db8::ffff:1"));
        assert_ne!(hash("2001:db8::1"), hash("2001:db8:0:1::1"));
        assert_eq!(hash("::ffff:192.0.2.1"), hash("192.0.2.1"));
        assert_eq!(hash("unknown"), None);
    }

    #[test]
    fn the_first_key_that_is_there_counts() {
        let affinity = Affinity::new([key("header:x-user"), key("cookie:session")]);
        let mut headers = HeaderMap::new();
        assert_eq!(affinity.hash(&headers, None), None);
        headers.insert("cookie", "session=s1".parse().unwrap());
        assert_eq!(affinity.hash(&headers, None), Some(stable_hash(b"s1")));
        headers.insert("x-user", "".parse().unwrap());
        assert_eq!(affinity.hash(&headers, None), Some(stable_hash(b"s1")));
        headers.insert("x-user", "ada".parse().unwrap());
        assert_eq!(affinity.hash(&headers, None), Some(stable_hash(b"ada")));
    }
}
