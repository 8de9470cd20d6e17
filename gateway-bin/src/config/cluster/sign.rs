//! `sign` of a cluster: what its requests are signed with.

use std::time::Duration;

use gateway_layers::auth::signature::{
    Component, DEFAULT_BODY_LIMIT, DEFAULT_BODY_TIMEOUT, DEFAULT_EXPIRES, DigestAlgorithm,
    LargeBodies,
};

use crate::config::identity::{KeyConfig, covered};
use crate::config::reader::Field;
use crate::config::units::{duration, some_duration, some_size};

/// What the requests of a cluster are signed with, and what of them (RFC 9421).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sign {
    /// `id`, `algorithm`, `key` and `encoding`: of `hmac-sha256` or `ed25519`.
    pub key: KeyConfig,
    /// `covered`. Default: `@method`, `@authority`, `@path`, `@query` and `content-digest`,
    /// without `@authority` where `host` is `endpoint`.
    pub covered: Option<Vec<Component>>,
    /// `label` of the signature. Default: `gateway`.
    pub label: String,
    /// `expires`: how long a signature is good; `"0s"`: it does not say. Default: 5 min.
    pub expires: Option<Duration>,
    /// `tag`. Default: none.
    pub tag: Option<String>,
    /// `digest`: `sha-256` or `sha-512`. Default: `sha-256`.
    pub digest: DigestAlgorithm,
    /// `body_limit`: bodies of up to so many bytes are read before they are sent. Default: 64 KiB.
    pub body_limit: usize,
    /// `body_timeout`: how long is waited for such a body. Default: 10 s.
    pub body_timeout: Duration,
    /// `large_bodies`: `reject` or `uncovered`. Default: `reject`.
    pub large_bodies: LargeBodies,
    /// `keep`: whether signatures of the client stay beside ours. Default: `false`.
    pub keep: bool,
}

impl Sign {
    /// Signs with `key` and every default.
    pub fn new(key: KeyConfig) -> Self {
        Self {
            key,
            covered: None,
            label: "gateway".to_owned(),
            expires: Some(DEFAULT_EXPIRES),
            tag: None,
            digest: DigestAlgorithm::default(),
            body_limit: DEFAULT_BODY_LIMIT,
            body_timeout: DEFAULT_BODY_TIMEOUT,
            large_bodies: LargeBodies::default(),
            keep: false,
        }
    }

    /// True when the host that an endpoint is told is signed as well.
    pub(in crate::config) fn covers_host(&self) -> bool {
        self.covered.as_ref().is_none_or(|covered| covered.iter().any(Component::says_host))
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table(
            "{ id = \"gateway\", algorithm = \"ed25519\", key = { file = \"sign.pem\" } }",
        )?;
        let key = KeyConfig::read(&mut table);
        let mut sign = Self::new(KeyConfig::new(
            "",
            gateway_layers::auth::signature::SignatureAlgorithm::HmacSha256,
            crate::config::Secret::new(""),
        ));
        table.set("covered", &mut sign.covered, |field| covered(&field).map(Some));
        table.set("label", &mut sign.label, |field| field.name("a label such as \"gateway\""));
        table.set("expires", &mut sign.expires, |field| {
            Some(Some(duration(&field)?).filter(|expires| !expires.is_zero()))
        });
        table.set("tag", &mut sign.tag, |field| field.name("the name of an application").map(Some));
        table.set("digest", &mut sign.digest, |field| {
            let (short, long) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha512);
            field.choice(&[("sha-256", short), ("sha-512", long)])
        });
        table.set("body_limit", &mut sign.body_limit, |field| some_size(&field));
        table.set("body_timeout", &mut sign.body_timeout, |field| some_duration(&field));
        table.set("large_bodies", &mut sign.large_bodies, |field| {
            let (reject, uncovered) = (LargeBodies::Reject, LargeBodies::Uncovered);
            field.choice(&[("reject", reject), ("uncovered", uncovered)])
        });
        table.set("keep", &mut sign.keep, |field| field.boolean());
        table.finish();
        sign.key = key?;
        Some(sign)
    }
}
