//! Signed requests, in and out, out of a document.

use std::collections::HashMap;

use gateway_core::BoxError;
use gateway_core::context::Scheme;
use gateway_core::upstream::Transport;
use gateway_layers::auth::signature::{
    MemoryNonces, RedisNonces, RedisNoncesConfig, SignConfig, SignLayer, SignatureVerifier,
    TrustedKey,
};

use crate::config::{self, LimitStore, Redis, SignatureProvider};

/// Who knows partners by their signatures, and which of those were used.
#[derive(Clone, Debug, Default)]
pub(super) struct SignatureParts {
    redis: Option<Redis>,
    verifiers: HashMap<String, (SignatureProvider, SignatureVerifier)>,
    /// Of all providers, by the id of the key. They outlive every reload, also one that renames a
    /// provider: what was forgotten could be used again.
    nonces: MemoryNonces,
}

impl SignatureParts {
    /// With what can stay of `before`.
    pub(super) fn new(redis: Option<&Redis>, before: &Self) -> Self {
        let mut parts = Self {
            redis: redis.cloned(),
            verifiers: before.verifiers.clone(),
            nonces: before.nonces.clone(),
        };
        if parts.redis != before.redis {
            parts.verifiers.retain(|_, (settings, _)| settings.store != LimitStore::Redis);
        }
        parts
    }

    /// True where nonces are kept elsewhere than before.
    pub(super) fn moved(&self, before: &Self, settings: &SignatureProvider) -> bool {
        settings.store == LimitStore::Redis && self.redis != before.redis
    }

    /// What verifies the signatures of `name`.
    pub(super) fn verifier(
        &mut self,
        name: &str,
        settings: &SignatureProvider,
    ) -> Result<SignatureVerifier, BoxError> {
        if let Some((same, verifier)) = self.verifiers.get(name)
            && same == settings
        {
            return Ok(verifier.clone());
        }
        let mut builder = SignatureVerifier::builder(name)
            .max_age(settings.max_age)
            .skew(settings.skew)
            .nonce(settings.nonce)
            .credentials(settings.credentials)
            .forward(settings.forward.clone())
            .realm(settings.realm.as_str());
        if let Some(covered) = &settings.covered {
            builder = builder.covered(covered.iter().cloned());
        }
        if let Some(tag) = &settings.tag {
            builder = builder.tag(tag.as_str());
        }
        for key in &settings.keys {
            builder = builder.key(trusted(key)?);
        }
        let builder = match (settings.store, &self.redis) {
            (LimitStore::Redis, Some(redis)) => builder.with_nonces(connected(redis)?),
            (LimitStore::Redis, None) => return Err("there is no [stores.redis]".into()),
            (LimitStore::Memory, _) => builder.with_nonces(self.nonces.with_room(settings.nonces)),
        };
        let verifier = builder.build()?;
        self.verifiers.insert(name.to_owned(), (settings.clone(), verifier.clone()));
        Ok(verifier)
    }
}

fn trusted(settings: &config::PartnerKey) -> Result<TrustedKey, BoxError> {
    let mut key = TrustedKey::new(settings.key.id.as_str(), settings.key.build()?)
        .roles(settings.roles.iter().map(String::as_str))
        .scopes(settings.scopes.iter().map(String::as_str));
    if let Some(owner) = &settings.owner {
        key = key.owner(owner.as_str());
    }
    if let Some(tier) = &settings.tier {
        key = key.tier(tier.as_str());
    }
    if let Some(tenant) = &settings.tenant {
        key = key.tenant(tenant.as_str());
    }
    Ok(key)
}

fn connected(redis: &Redis) -> Result<RedisNonces, BoxError> {
    let mut settings = RedisNoncesConfig::default();
    redis.url.reveal().clone_into(&mut settings.url);
    settings.prefix.clone_from(&redis.prefix);
    settings.timeout = redis.timeout;
    Ok(RedisNonces::new(settings)?)
}

/// What signs the requests of `cluster`.
pub(super) fn signer(cluster: &config::Cluster) -> Result<Option<SignLayer>, BoxError> {
    let Some(sign) = &cluster.sign else {
        return Ok(None);
    };
    let mut settings = SignConfig::new(sign.key.id.as_str(), sign.key.build()?)
        .label(sign.label.as_str())
        .expires(sign.expires)
        .digest(sign.digest)
        .body_limit(sign.body_limit)
        .body_timeout(sign.body_timeout)
        .large_bodies(sign.large_bodies)
        .keep(sign.keep)
        .host(cluster.host.clone())
        .scheme(scheme(cluster));
    if let Some(covered) = &sign.covered {
        settings = settings.covered(covered.iter().cloned());
    }
    if let Some(tag) = &sign.tag {
        settings = settings.tag(tag.as_str());
    }
    Ok(Some(SignLayer::new(settings)?))
}

/// How all endpoints are spoken to; `None` where they differ, or are found later.
fn scheme(cluster: &config::Cluster) -> Option<Scheme> {
    if cluster.discovery.is_some() {
        return None;
    }
    let secure =
        |spec: &gateway_core::upstream::EndpointSpec| spec.address.transport() == Transport::Https;
    match cluster.endpoints.iter().filter(|spec| secure(spec)).count() {
        0 => Some(Scheme::Http),
        all if all == cluster.endpoints.len() => Some(Scheme::Https),
        _ => None,
    }
}
