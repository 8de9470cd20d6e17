//! [`EndpointAddress`]: where an endpoint is and how it is spoken to.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::HeaderValue;
use http::uri::{Authority, Uri};

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP/1.1 over TCP: `http://`.
    Http,
    /// HTTP/1.1 over TLS: `https://`.
    Https,
    /// HTTP/2 over TCP with prior knowledge: `h2c://`.
    H2c,
    /// HTTP/1.1 over a Unix socket: `unix:/path`.
    Unix,
}

/// The address of an endpoint: `http://HOST[:PORT]`, `https://HOST[:PORT]`, `h2c://HOST[:PORT]` or
/// `unix:/PATH`.
///
/// Two are equal when they lead to the same place: `http://a` is `http://a:80`.
#[derive(Clone, Debug)]
pub struct EndpointAddress {
    transport: Transport,
    host: String,
    port: u16,
    path: PathBuf,
    host_header: HeaderValue,
}

impl PartialEq for EndpointAddress {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for EndpointAddress {}

impl Hash for EndpointAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

impl EndpointAddress {
    /// What is connected to, however it was written.
    fn place(&self) -> (Transport, &str, u16, &Path) {
        (self.transport, &self.host, self.port, &self.path)
    }

    /// How it is spoken to.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The host: a name or an IP address without brackets; empty for a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of a Unix socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `Host` is for this endpoint when it is not the client's; `localhost` on a Unix socket.
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }
}

/// What was found is no address of an endpoint.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no endpoint ({problem}): expected http://HOST[:PORT], https://HOST[:PORT], \
     h2c://HOST[:PORT] or unix:/PATH"
)]
pub struct EndpointError {
    found: String,
    problem: &'static str,
}

/// As `Display`, for a `main` that returns the error.
impl fmt::Debug for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EndpointAddress {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = |problem| EndpointError { found: text.to_owned(), problem };
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(wrong("the path is not absolute"));
            }
            return Ok(Self {
                transport: Transport::Unix,
                host: String::new(),
                port: 0,
                path: path.into(),
                host_header: HeaderValue::from_static("localhost"),
            });
        }
        let uri: Uri = text.parse().map_err(|_| wrong("not a URL"))?;
        let (transport, default_port) = match uri.scheme_str() {
            Some("http") => (Transport::Http, 80),
            Some("https") => (Transport::Https, 443),
            Some("h2c") => (Transport::H2c, 80),
            Some(_) => return Err(wrong("an unknown scheme")),
            None => return Err(wrong("no scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("no host"))?;
        if uri.path() != "/" && !uri.path().is_empty() || uri.query().is_some() {
            return Err(wrong("a path; routes rewrite paths"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("user information"));
        }
        let (host, port) = host_and_port(authority, default_port).map_err(wrong)?;
        let host_header =
            HeaderValue::from_str(authority.as_str()).map_err(|_| wrong("an invalid host"))?;
        Ok(Self { transport, host, port, path: PathBuf::new(), host_header })
    }
}

fn host_and_port(authority: &Authority, default_port: u16) -> Result<(String, u16), &'static str> {
    let host = authority.host();
    let port = match authority.as_str().get(host.len()..) {
        None | Some("") => default_port,
        Some(_) => authority.port_u16().filter(|port| *port > 0).ok_or("an invalid port")?,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() {
        return Err("no host");
    }
    Ok((bare.to_owned(), port))
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Http => "http",
            Transport::Https => "https",
            Transport::H2c => "h2c",
            Transport::Unix => return write!(f, "unix:{}", self.path.display()),
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_printed() {
        for (text, printed) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://a.example/", "http://a.example:80"),
            ("https://[::1]", "https://[::1]:443"),
            ("h2c://b:1", "h2c://b:1"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(text.parse::<EndpointAddress>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn a_place_is_the_same_however_it_is_written() {
        let address = |text: &str| text.parse::<EndpointAddress>().unwrap();
        assert_eq!(address("http://a"), address("http://a:80/"));
        assert_ne!(address("http://a"), address("https://a:80"));
        assert_ne!(address("http://a"), address("h2c://a"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            ("127.0.0.1:9000", "no scheme"),
            ("ftp://a", "an unknown scheme"),
            ("http://a/b", "a path"),
            ("http://u@a", "user information"),
            ("http://a:0", "an invalid port"),
            ("unix:a", "not absolute"),
            ("", "not a URL"),
        ] {
            let error = text.parse::<EndpointAddress>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("expected"), "{text}: {error}");
        }
    }
}
