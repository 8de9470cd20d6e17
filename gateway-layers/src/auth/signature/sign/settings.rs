//! [`SignConfig`]: what requests are signed with, and what of them.

use std::time::Duration;

use gateway_core::HostPolicy;
use gateway_core::context::Scheme;
use http::HeaderName;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRAILER, VIA};

use super::super::builder::check_covered;
use super::super::component::{Component, Name};
use super::super::digest::DigestAlgorithm;
use super::super::key::SignatureKey;

/// Signatures are good for so long. Default: 5 minutes.
pub const DEFAULT_EXPIRES: Duration = Duration::from_secs(5 * 60);

/// Bodies of up to so many bytes are read before their request is sent, to hash them. Default:
/// 64 KiB, as many as are kept for sending them again.
pub const DEFAULT_BODY_LIMIT: usize = 64 * 1024;

/// Such a body must be there within this time. Default: 10 s.
pub const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What becomes of bodies that are too large to be read before they are sent, or that have no end
/// (gRPC), where `content-digest` is covered.
///
/// One that comes with a `Content-Digest` of its own is signed by that, and checked on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LargeBodies {
    /// They are rejected: [`BodyTooLarge`](gateway_core::Reason::BodyTooLarge).
    #[default]
    Reject,
    /// They are sent, and not covered.
    Uncovered,
}

/// What requests are signed with, and what of them.
#[derive(Clone, Debug)]
#[must_use]
pub struct SignConfig {
    pub(super) id: String,
    pub(super) key: SignatureKey,
    covered: Option<Vec<Component>>,
    pub(super) label: String,
    pub(super) expires: Option<Duration>,
    pub(super) tag: Option<String>,
    pub(super) digest: DigestAlgorithm,
    pub(super) body_limit: usize,
    pub(super) body_timeout: Duration,
    pub(super) large_bodies: LargeBodies,
    pub(super) host: HostPolicy,
    pub(super) scheme: Option<Scheme>,
    pub(super) keep: bool,
}

/// What cannot be meant, or cannot be signed here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is a public one.
    #[error("the key can only verify, expected a secret or a private key")]
    KeyPublic,
    /// The id cannot stand in a signature.
    #[error("`{0}` is no id of a key, expected 1 to 256 printable letters")]
    KeyId(String),
    /// The label cannot stand in a signature.
    #[error("`{0}` is no label, expected lower-case letters, digits, `_`, `-`, `.` and `*`")]
    Label(String),
    /// See [`SignatureError`](super::super::SignatureError).
    #[error(transparent)]
    Covered(#[from] super::super::SignatureError),
    /// Which host the endpoint sees depends on the endpoint, which is chosen later.
    #[error("`{0}` cannot be signed where each endpoint is told its own host")]
    Host(Component),
    /// Some endpoints are spoken to over TLS and others are not, or nobody knows.
    #[error("`{0}` cannot be signed where the scheme is not the same for all endpoints")]
    Scheme(Component),
    /// The field is written later, when the request is sent.
    #[error("`{0}` cannot be signed: it is written when the request is sent")]
    Later(Component),
}

/// Fields that whoever sends the request writes, after it has been signed.
const WRITTEN_LATER: [HeaderName; 6] = [CONTENT_LENGTH, EXPECT, TRAILER, VIA, COOKIE, HOST];

impl SignConfig {
    /// Signs with `key`, which the verifier knows as `id`.
    pub fn new(id: impl Into<String>, key: SignatureKey) -> Self {
        Self {
            id: id.into(),
            key,
            covered: None,
            label: "gateway".to_owned(),
            expires: Some(DEFAULT_EXPIRES),
            tag: None,
            digest: DigestAlgorithm::default(),
            body_limit: DEFAULT_BODY_LIMIT,
            body_timeout: DEFAULT_BODY_TIMEOUT,
            large_bodies: LargeBodies::default(),
            host: HostPolicy::Preserve,
            scheme: Some(Scheme::Http),
            keep: false,
        }
    }

    /// What is covered. Fields that a request does not have are left out, and so is
    /// `content-digest` where there is no body. Default: `@method`, `@authority`, `@path`,
    /// `@query` and `content-digest`; without `@authority` where each endpoint is told its own
    /// [`host`](Self::host).
    pub fn covered(mut self, covered: impl IntoIterator<Item = Component>) -> Self {
        self.covered = Some(covered.into_iter().collect());
        self
    }

    /// What the signature is called. Default: `gateway`.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// How long a signature is good; `None`: it does not say. Default: 5 minutes.
    pub fn expires(mut self, expires: Option<Duration>) -> Self {
        self.expires = expires;
        self
    }

    /// What the signature is for. Default: it does not say.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// How bodies are hashed. Default: `sha-256`.
    pub fn digest(mut self, digest: DigestAlgorithm) -> Self {
        self.digest = digest;
        self
    }

    /// Bodies of up to so many bytes are read to hash them. Default: 64 KiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long is waited for such a body. Default: 10 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// What becomes of larger ones. Default: they are rejected.
    pub fn large_bodies(mut self, large_bodies: LargeBodies) -> Self {
        self.large_bodies = large_bodies;
        self
    }

    /// Which host the endpoint is told, as its cluster has it. Default: the request's.
    pub fn host(mut self, host: HostPolicy) -> Self {
        self.host = host;
        self
    }

    /// How endpoints are spoken to; `None` where that is not known. Default: `http`.
    pub fn scheme(mut self, scheme: Option<Scheme>) -> Self {
        self.scheme = scheme;
        self
    }

    /// Whether signatures of the client stay beside ours, but for one of our label. Default: they
    /// go.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Checks all of it. What is covered.
    pub(super) fn check(&self) -> Result<Vec<Component>, SignError> {
        if !self.key.can_sign() {
            return Err(SignError::KeyPublic);
        }
        let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=256).contains(&self.id.len()) || !printable(&self.id) {
            return Err(SignError::KeyId(self.id.clone()));
        }
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        };
        let starts = self.label.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        if !starts || self.label.len() > 64 || !self.label.bytes().all(plain) {
            return Err(SignError::Label(self.label.clone()));
        }
        let covered = self.covered.clone().unwrap_or_else(|| self.default_covered());
        check_covered(&covered)?;
        for component in &covered {
            self.check_component(component)?;
        }
        Ok(covered)
    }

    fn default_covered(&self) -> Vec<Component> {
        let mut covered = vec![Component::METHOD];
        if self.host != HostPolicy::Endpoint {
            covered.push(Component::AUTHORITY);
        }
        covered.extend([Component::PATH, Component::QUERY, Component::CONTENT_DIGEST]);
        covered
    }

    fn check_component(&self, component: &Component) -> Result<(), SignError> {
        let unknown_host = self.host == HostPolicy::Endpoint;
        match &component.name {
            Name::Authority | Name::TargetUri if unknown_host => {
                Err(SignError::Host(component.clone()))
            }
            Name::Scheme | Name::TargetUri if self.scheme.is_none() => {
                Err(SignError::Scheme(component.clone()))
            }
            Name::Field(name) if is_written_later(name) => Err(SignError::Later(component.clone())),
            _ => Ok(()),
        }
    }
}

fn is_written_later(name: &HeaderName) -> bool {
    let of_the_hop = [
        "connection",
        "grpc-timeout",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "signature",
        "signature-input",
        "te",
        "transfer-encoding",
        "upgrade",
        "x-request-deadline-ms",
    ];
    WRITTEN_LATER.contains(name) || of_the_hop.contains(&name.as_str())
}
