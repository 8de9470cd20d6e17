//! [`KeyRecord`] and [`KeyGrant`]: what is known of a key, and what it gives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use gateway_core::context::{Claim, Principal};
use ipnet::IpNet;

use super::fault::ApiKeyRejection;
use crate::auth::SecretDigest;

/// How its holder was known, in [`Principal::method`].
pub(super) const METHOD: &str = "api_key";

/// What a key gives to whoever shows it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct KeyGrant {
    /// Whose key it is: the subject of its principal. Keys of one owner are counted together by
    /// limits that go by `principal` or `api_key`.
    pub owner: String,
    /// What it is for, for people. Default: empty.
    pub name: String,
    /// The class that limits and priorities go by. Default: none.
    pub tier: Option<String>,
    /// The organisation on whose behalf. Default: none.
    pub tenant: Option<String>,
    /// What its holder is. Default: nothing.
    pub roles: Vec<String>,
    /// What its holder may do. Default: nothing.
    pub scopes: Vec<String>,
    /// Numbers of its own, by name, for limits that go by them: the claim `quota`. Default: none.
    pub quota: BTreeMap<String, i64>,
    /// What else is known of its holder. Default: nothing.
    pub claims: BTreeMap<String, Claim>,
    /// It is not taken before. Default: from now on.
    pub not_before: Option<SystemTime>,
    /// It is not taken from then on. Default: for ever.
    pub expires: Option<SystemTime>,
    /// It is only taken from addresses in one of these networks. Default: from everywhere.
    pub networks: Vec<IpNet>,
    /// It is only taken on routes with one of these ids. Default: on all.
    pub routes: Vec<String>,
}

impl KeyGrant {
    /// A key of `owner`, with nothing but that.
    pub fn new(owner: impl Into<String>) -> Self {
        Self { owner: owner.into(), ..Self::default() }
    }

    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`tier`](Self::tier).
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// Sets [`tenant`](Self::tenant).
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets [`roles`](Self::roles).
    pub fn roles<N: Into<String>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`scopes`](Self::scopes).
    pub fn scopes<N: Into<String>>(mut self, scopes: impl IntoIterator<Item = N>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds the number `name` to [`quota`](Self::quota).
    pub fn quota(mut self, name: impl Into<String>, number: i64) -> Self {
        self.quota.insert(name.into(), number);
        self
    }

    /// Sets [`expires`](Self::expires).
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Sets [`not_before`](Self::not_before).
    pub fn not_before(mut self, not_before: SystemTime) -> Self {
        self.not_before = Some(not_before);
        self
    }

    /// Sets [`networks`](Self::networks).
    pub fn networks(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// Sets [`routes`](Self::routes).
    pub fn routes<N: Into<String>>(mut self, routes: impl IntoIterator<Item = N>) -> Self {
        self.routes = routes.into_iter().map(Into::into).collect();
        self
    }
}

/// A key as a store has it: everything but the key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyRecord {
    /// Its name in lists and logs.
    pub id: String,
    /// What it is found by.
    pub digest: SecretDigest,
    /// What it gives.
    pub grant: KeyGrant,
    /// It is not taken any more.
    pub disabled: bool,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// The key that takes its place.
    pub replaced_by: Option<String>,
    /// Counts its changes, from 1. Who writes a record says with it which one he has seen.
    pub revision: u64,
}

impl KeyRecord {
    /// A new key with this digest.
    pub fn new(id: impl Into<String>, digest: SecretDigest, grant: KeyGrant) -> Self {
        Self {
            id: id.into(),
            digest,
            grant,
            disabled: false,
            created: None,
            replaced_by: None,
            revision: 1,
        }
    }

    /// Whether it is taken at `now`, from `client` on `route`.
    pub(super) fn permits(
        &self,
        now: impl FnOnce() -> SystemTime,
        client: Option<IpAddr>,
        route: Option<&str>,
    ) -> Result<(), ApiKeyRejection> {
        let grant = &self.grant;
        if self.disabled {
            return Err(ApiKeyRejection::Revoked);
        }
        if grant.not_before.is_some() || grant.expires.is_some() {
            let now = now();
            if grant.expires.is_some_and(|expires| now >= expires) {
                return Err(ApiKeyRejection::Expired);
            }
            if grant.not_before.is_some_and(|start| now < start) {
                return Err(ApiKeyRejection::NotYet);
            }
        }
        if !grant.networks.is_empty() {
            let client = client.ok_or(ApiKeyRejection::AddressUnknown)?.to_canonical();
            if !grant.networks.iter().any(|net| net.contains(&client)) {
                return Err(ApiKeyRejection::Network);
            }
        }
        let on = |own: &String| route.is_some_and(|route| own == route);
        if !grant.routes.is_empty() && !grant.routes.iter().any(on) {
            return Err(ApiKeyRejection::Route);
        }
        Ok(())
    }

    /// Whoever shows the key, as `store` says.
    pub(super) fn principal(&self, store: &Arc<str>) -> Principal {
        let grant = &self.grant;
        let shared = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        let mut claims = grant.claims.clone();
        let text = |text: &str| Claim::Text(text.into());
        claims.insert("key_id".to_owned(), text(&self.id));
        if !grant.name.is_empty() {
            claims.insert("key_name".to_owned(), text(&grant.name));
        }
        if !grant.quota.is_empty() {
            let quota = grant.quota.iter();
            let quota = quota.map(|(name, number)| (name.clone(), Claim::Integer(*number)));
            claims.insert("quota".to_owned(), Claim::Map(quota.collect()));
        }
        let mut principal = Principal::new(grant.owner.as_str(), METHOD);
        principal.issuer = Some(Arc::clone(store));
        principal.tier = grant.tier.as_deref().map(Into::into);
        principal.tenant = grant.tenant.as_deref().map(Into::into);
        principal.roles = shared(&grant.roles);
        principal.scopes = shared(&grant.scopes);
        principal.claims = claims;
        principal
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn record(grant: KeyGrant) -> KeyRecord {
        KeyRecord::new("id", SecretDigest::of(b"key"), grant)
    }

    #[test]
    fn a_key_is_taken_in_its_time_and_its_places_only() {
        let grant = KeyGrant::new("acme").not_before(at(10)).expires(at(20));
        let grant = grant.networks(["10.0.0.0/8".parse().unwrap()]).routes(["orders"]);
        let record = record(grant);
        let inside: Option<IpAddr> = "10.1.2.3".parse().ok();
        let permits = |seconds, client, route| record.permits(|| at(seconds), client, route);
        assert_eq!(permits(9, inside, Some("orders")), Err(ApiKeyRejection::NotYet));
        assert_eq!(permits(10, inside, Some("orders")), Ok(()));
        assert_eq!(permits(19, inside, Some("orders")), Ok(()));
        assert_eq!(permits(20, inside, Some("orders")), Err(ApiKeyRejection::Expired));
        let mapped = "::ffff:10.1.2.3".parse().ok();
        assert_eq!(permits(10, mapped, Some("orders")), Ok(()));
        let outside = "11.1.2.3".parse().ok();
        assert_eq!(permits(10, outside, Some("orders")), Err(ApiKeyRejection::Network));
        assert_eq!(permits(10, None, Some("orders")), Err(ApiKeyRejection::AddressUnknown));
        assert_eq!(permits(10, inside, Some("users")), Err(ApiKeyRejection::Route));
        assert_eq!(permits(10, inside, None), Err(ApiKeyRejection::Route));
        let disabled = KeyRecord { disabled: true, ..record.clone() };
        let fault = disabled.permits(|| at(10), inside, Some("orders"));
        assert_eq!(fault, Err(ApiKeyRejection::Revoked));
    }

    #[test]
    fn its_principal_says_all_that_it_gives() {
        let mut grant = KeyGrant::new("acme").name("billing").tier("gold").tenant("north");
        grant = grant.roles(["admin"]).scopes(["read", "write"]).quota("month", 1000);
        grant.claims.insert("key_id".to_owned(), Claim::Text("another".into()));
        let principal = record(grant).principal(&"partners".into());
        assert_eq!((&*principal.subject, principal.method), ("acme", "api_key"));
        assert_eq!(principal.issuer.as_deref(), Some("partners"));
        assert_eq!(principal.tier.as_deref(), Some("gold"));
        assert_eq!(principal.tenant.as_deref(), Some("north"));
        assert!(principal.has_role("admin") && principal.has_scope("write"));
        assert_eq!(principal.claims["key_id"], Claim::Text("id".into()));
        let quota = BTreeMap::from([("month".to_owned(), Claim::Integer(1000))]);
        assert_eq!(principal.claims["quota"], Claim::Map(quota));
    }
}
