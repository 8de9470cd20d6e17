//! [`Sticky`]: clients come back to the endpoint that answered them, by a cookie.

use std::fmt::{self, Write};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use sha1_smol::Sha1;

use super::cookie;

/// Clients come back to the endpoint that answered them, by a cookie that the gateway sets.
///
/// The cookie names the endpoint by a keyed hash (HMAC-SHA-1, 128 bits of it), so that it says
/// nothing about addresses and nobody makes one up. Gateways with the same secret agree about it.
/// It is read and set by the gateway; it passes to the endpoint like any other cookie.
///
/// The cookie's endpoint takes the request if it may be picked, has room and was not tried for this
/// request already. Otherwise [`OnUnavailable`] says what happens.
///
/// ```
/// use gateway_core::upstream::Sticky;
/// use gateway_core::Cluster;
///
/// let cluster = Cluster::builder("carts")
///     .endpoint("http://127.0.0.1:9000".parse()?)
///     .endpoint("http://127.0.0.1:9001".parse()?)
///     .sticky(Sticky::new("gw")?.secret("what gateways of this cluster share"))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Sticky {
    cookie: String,
    path: String,
    max_age: Option<Duration>,
    secure: Option<bool>,
    http_only: bool,
    same_site: SameSite,
    on_unavailable: OnUnavailable,
    secret: Vec<u8>,
}

/// What happens when the endpoint that a cookie names cannot take the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// Another endpoint takes it, and the client gets another cookie.
    #[default]
    Redistribute,
    /// The request is rejected for
    /// [`Reason::StickyEndpointGone`](crate::Reason::StickyEndpointGone). Another try of the same
    /// request goes to the same endpoint.
    Reject,
}

/// To which requests from other sites a browser adds the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SameSite {
    /// To none.
    Strict,
    /// To those that follow a link.
    #[default]
    Lax,
    /// To all. Browsers want `Secure` with it, so it is added.
    None,
}

/// A sticky cookie is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StickyError {
    /// Its name is no token.
    #[error("`{found}` is no name of a cookie, expected letters, digits, `-` and `_`")]
    Name {
        /// What was found.
        found: String,
    },
    /// Its path is none.
    #[error("`{found}` is no path of a cookie, expected one that begins with `/`, without `;`")]
    Path {
        /// What was found.
        found: String,
    },
}

/// How an endpoint is called in a cookie: 32 hexadecimal digits.
pub(super) type Token = [u8; 32];

impl Sticky {
    /// By a cookie called `cookie`.
    ///
    /// # Errors
    ///
    /// When `cookie` is no token (RFC 6265, section 4.1.1).
    pub fn new(cookie: impl Into<String>) -> Result<Self, StickyError> {
        let cookie = cookie.into();
        if !cookie::is_name(&cookie) {
            return Err(StickyError::Name { found: cookie });
        }
        Ok(Self {
            cookie,
            path: "/".to_owned(),
            max_age: None,
            secure: None,
            http_only: true,
            same_site: SameSite::default(),
            on_unavailable: OnUnavailable::default(),
            secret: Vec::new(),
        })
    }

    /// Below which path the client sends the cookie. Default: `/`.
    ///
    /// # Errors
    ///
    /// When `path` does not begin with `/`, or could end the attribute.
    pub fn path(mut self, path: impl Into<String>) -> Result<Self, StickyError> {
        let path = path.into();
        let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
        if !path.starts_with('/') || !path.bytes().all(plain) {
            return Err(StickyError::Path { found: path });
        }
        self.path = path;
        Ok(self)
    }

    /// How long the client keeps the cookie, in whole seconds. Default: until its session ends.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether the client sends the cookie over TLS only. Default: if the request came on an
    /// `https` listener.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = Some(secure);
        self
    }

    /// Whether scripts are kept from the cookie. Default: true.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// To which requests from other sites the cookie is added. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// What happens when the cookie's endpoint cannot take the request. Default:
    /// [`OnUnavailable::Redistribute`].
    #[must_use]
    pub fn on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.on_unavailable = on_unavailable;
        self
    }

    /// What names of endpoints are hashed with: the same in all gateways of the cluster. Default:
    /// the cluster's name, by which somebody who guesses an address can find out that he is right.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = secret.into();
        self
    }

    /// With a secret, whatever was given.
    pub(super) fn for_cluster(mut self, name: &str) -> Self {
        if self.secret.is_empty() {
            self.secret = name.as_bytes().to_vec();
        }
        self
    }

    pub(super) fn rejects(&self) -> bool {
        self.on_unavailable == OnUnavailable::Reject
    }

    /// How the endpoint called `name` is called in cookies.
    pub(super) fn token(&self, name: &str) -> Token {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mac = hmac_sha1(&self.secret, name.as_bytes());
        let mut token = Token::default();
        for (pair, byte) in token.chunks_exact_mut(2).zip(mac) {
            let digits = [byte >> 4, byte & 0xF].map(|digit| DIGITS.get(usize::from(digit)));
            for (place, digit) in pair.iter_mut().zip(digits.into_iter().flatten()) {
                *place = *digit;
            }
        }
        token
    }

    /// The token that a request brings. What does not look like one is no cookie of ours.
    pub(super) fn token_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a Token> {
        let token: &Token = cookie::value(headers, &self.cookie)?.try_into().ok()?;
        token.iter().all(u8::is_ascii_hexdigit).then_some(token)
    }

    /// `Set-Cookie` for the endpoint called `name`; `https`: over which the request came.
    pub(super) fn set_cookie(&self, name: &str, https: bool) -> Option<HeaderValue> {
        let token = self.token(name);
        let token = str::from_utf8(&token).ok()?;
        let mut line = format!("{}={token}; Path={}", self.cookie, self.path);
        if let Some(age) = self.max_age {
            let _ = write!(line, "; Max-Age={}", age.as_secs());
        }
        if self.http_only {
            line.push_str("; HttpOnly");
        }
        if self.secure.unwrap_or(https) || self.same_site == SameSite::None {
            line.push_str("; Secure");
        }
        line.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        HeaderValue::try_from(line).ok()
    }
}

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sticky")
            .field("cookie", &self.cookie)
            .field("on_unavailable", &self.on_unavailable)
            .finish_non_exhaustive()
    }
}

/// RFC 2104. What is wrong with SHA-1 is collisions, which do not matter here.
fn hmac_sha1(key: &[u8], text: &[u8]) -> [u8; 20] {
    let mut block = [0_u8; 64];
    let hashed;
    let key = if key.len() > block.len() {
        hashed = Sha1::from(key).digest().bytes();
        &hashed[..]
    } else {
        key
    };
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut inner = Sha1::from(block.map(|byte| byte ^ 0x36));
    inner.update(text);
    let mut outer = Sha1::from(block.map(|byte| byte ^ 0x5C));
    outer.update(&inner.digest().bytes());
    outer.digest().bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, section 3.
    #[test]
    fn the_mac_is_the_standard_one() {
        let hex = |mac: [u8; 20]| mac.map(|byte| format!("{byte:02x}")).concat();
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0B; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
            (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                &[0xAA; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
        ];
        for (key, text, expected) in cases {
            assert_eq!(hex(hmac_sha1(key, text)), expected);
        }
    }

    #[test]
    fn the_cookie_has_its_attributes() {
        let sticky = Sticky::new("gw").unwrap().for_cluster("carts");
        let value = |sticky: &Sticky, https| {
            let line = sticky.set_cookie("http://10.0.0.1", https).unwrap();
            line.to_str().unwrap().to_owned()
        };
        let token = sticky.token("http://10.0.0.1");
        let token = str::from_utf8(&token).unwrap();
        assert_eq!(value(&sticky, false), format!("gw={token}; Path=/; HttpOnly; SameSite=Lax"));
        assert_eq!(
            value(&sticky, true),
            format!("gw={token}; Path=/; HttpOnly; Secure; SameSite=Lax")
        );
        let other = sticky
            .path("/shop")
            .unwrap()
            .max_age(Duration::from_secs(90))
            .http_only(false)
            .same_site(SameSite::None);
        assert_eq!(
            value(&other, false),
            format!("gw={token}; Path=/shop; Max-Age=90; Secure; SameSite=None")
        );
    }

    #[test]
    fn a_token_depends_on_the_secret_and_says_no_address() {
        let sticky = || Sticky::new("gw").unwrap();
        let token = |sticky: Sticky| sticky.for_cluster("carts").token("http://10.0.0.1");
        assert_eq!(token(sticky()), token(sticky()));
        assert_ne!(token(sticky()), token(sticky().secret("s")));
        assert_eq!(token(sticky().secret("carts")), token(sticky()));
        assert!(!format!("{:?}", sticky().secret("hidden")).contains("hidden"));
        assert!(token(sticky()).iter().all(u8::is_ascii_hexdigit));
    }

    #[test]
    fn what_a_cookie_cannot_be_is_rejected() {
        for name in ["", "a b", "a=b", "a;b", "\u{e9}"] {
            assert_eq!(Sticky::new(name), Err(StickyError::Name { found: name.to_owned() }));
        }
        for path in ["", "shop", "/a;b", "/a\r\nb"] {
            assert!(Sticky::new("gw").unwrap().path(path).is_err(), "{path}");
        }
    }
}
