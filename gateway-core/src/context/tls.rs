//! What is known about the TLS of a client's connection.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// How a connection is secured, and by whom.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version that was agreed.
    pub version: TlsVersion,
    /// The cipher suite by its name in the registry, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
    /// The protocol that was agreed by ALPN (RFC 7301): `h2` or `http/1.1`. `None`: the client
    /// offered none.
    pub alpn: Option<&'static str>,
    /// The name the client asked for (RFC 6066, section 3), in lower case.
    pub server_name: Option<Arc<str>>,
    /// True when an earlier session was taken up again.
    pub resumed: bool,
    /// Who the client is, by a certificate that was verified. `None`: it showed none.
    pub client: Option<ClientIdentity>,
    /// What the listener's certificates were good for when the connection was made.
    pub served: Arc<ServedNames>,
}

impl TlsInfo {
    /// A connection of `version` with `cipher_suite` to a listener that serves `served`.
    pub fn new(version: TlsVersion, cipher_suite: &'static str, served: Arc<ServedNames>) -> Self {
        Self {
            version,
            cipher_suite,
            alpn: None,
            server_name: None,
            resumed: false,
            client: None,
            served,
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// `1.2` or `1.3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a client is by its certificate, which was verified. No name in it has control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientIdentity {
    /// The last common name of the subject.
    pub common_name: Option<Arc<str>>,
    /// The DNS names among the subject's alternative names (RFC 5280, section 4.2.1.6).
    pub dns_names: Vec<Arc<str>>,
    /// The URIs among them.
    pub uris: Vec<Arc<str>>,
    /// The mail addresses among them.
    pub emails: Vec<Arc<str>>,
    /// The SPIFFE ID: the one URI of an X.509-SVID, as `spiffe://example.org/orders`.
    pub spiffe_id: Option<Arc<str>>,
    /// The serial number, in hexadecimal.
    pub serial: Arc<str>,
    /// The SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
    /// When the certificate expires.
    pub not_after: SystemTime,
}

impl ClientIdentity {
    /// A certificate with this `serial` and `fingerprint` that names nobody yet.
    pub fn new(serial: impl Into<Arc<str>>, fingerprint: [u8; 32], not_after: SystemTime) -> Self {
        Self {
            common_name: None,
            dns_names: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            spiffe_id: None,
            serial: serial.into(),
            fingerprint,
            not_after,
        }
    }

    /// The fingerprint in hexadecimal.
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint.iter().fold(String::with_capacity(64), |mut text, byte| {
            text.push_str(&format!("{byte:02x}"));
            text
        })
    }

    /// The name it goes by: its SPIFFE ID, or else its first DNS name, URI, mail address, or its
    /// common name.
    pub fn subject(&self) -> Option<&Arc<str>> {
        let alternative = self.dns_names.iter().chain(&self.uris).chain(&self.emails);
        self.spiffe_id.iter().chain(alternative).chain(&self.common_name).next()
    }
}

/// The names that a set of certificates is good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedNames {
    exact: HashSet<Box<str>>,
    /// What follows `*.`.
    wildcards: HashSet<Box<str>>,
    addresses: HashSet<IpAddr>,
}

impl ServedNames {
    /// No names at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name as a certificate has it: exact, or `*.` with what follows.
    pub fn insert(&mut self, name: &str) {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcards.insert(parent.into()),
            None => self.exact.insert(name.into()),
        };
    }

    /// Adds an address.
    pub fn insert_address(&mut self, address: IpAddr) {
        self.addresses.insert(address.to_canonical());
    }

    /// True when `host` (without port, an IPv6 address with or without brackets) is among them. A
    /// wildcard stands for one label (RFC 9525, section 6.3).
    pub fn contains(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.addresses.contains(&address.to_canonical());
        }
        let lower;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            &lower
        } else {
            host
        };
        if self.exact.contains(host) {
            return true;
        }
        let parent = host.split_once('.').filter(|(label, _)| !label.is_empty());
        parent.is_some_and(|(_, parent)| self.wildcards.contains(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let mut names = ServedNames::new();
        names.insert("A.example.");
        names.insert("*.b.example");
        names.insert_address("192.0.2.1".parse().unwrap());
        names.insert_address("2001:db8::1".parse().unwrap());
        for host in ["a.example", "A.EXAMPLE.", "x.b.example", "192.0.2.1", "[2001:db8::1]"] {
            assert!(names.contains(host), "{host}");
        }
        for host in ["b.example", "x.y.b.example", ".b.example", "x.a.example", "192.0.2.2", ""] {
            assert!(!names.contains(host), "{host}");
        }
    }

    #[test]
    fn the_subject_is_the_most_telling_name() {
        let mut identity = ClientIdentity::new("01", [0xab; 32], SystemTime::UNIX_EPOCH);
        assert_eq!(identity.subject(), None);
        assert_eq!(identity.fingerprint_hex(), "ab".repeat(32));
        identity.common_name = Some("cn".into());
        assert_eq!(identity.subject().map(|name| &**name), Some("cn"));
        identity.emails = vec!["a@b".into()];
        assert_eq!(identity.subject().map(|name| &**name), Some("a@b"));
        identity.uris = vec!["spiffe://a/b".into()];
        identity.dns_names = vec!["a".into()];
        assert_eq!(identity.subject().map(|name| &**name), Some("a"));
        identity.spiffe_id = Some("spiffe://a/b".into());
        assert_eq!(identity.subject().map(|name| &**name), Some("spiffe://a/b"));
    }
}
