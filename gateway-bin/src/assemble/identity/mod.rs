//! How callers are known, out of a document.

mod callers;

use std::sync::Arc;

use gateway_core::BoxError;
use gateway_layers::auth::api_key::{ApiKeyAuthenticator, ApiKeysStatus};
use gateway_layers::auth::authorize::Restricted;
use gateway_layers::auth::basic::{BasicAuthenticator, BasicStatus};
use gateway_layers::auth::jwt::{
    JwtAuthenticator, JwtProvider, JwtVerifier, KeyStores, Keys, KeysStatus,
};
use gateway_layers::auth::mtls::MtlsAuthenticator;
use gateway_layers::auth::remote::{RemoteAuthenticator, RemoteStatus};
use gateway_layers::auth::service_token::ServiceTokenAuthenticator;
use gateway_layers::auth::signature::SignatureVerifier;
use gateway_layers::auth::{Authenticate, Authenticator};

pub(crate) use self::callers::keys as open_keys;
#[cfg(feature = "postgres")]
pub(crate) use self::callers::postgres as open_postgres;
use super::parts::Leads;
use super::remote;
use super::signature::SignatureParts;
use crate::config::{
    self, Access, IdentityConfig, IdentityKind, IdentityMode, IdentityProvider, IdentityUse,
    JwtKeysFrom, Redis,
};

/// Why somebody who is to find out who is calling cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct IdentityProblem {
    /// Where the document has them.
    pub(super) path: String,
    error: BoxError,
}

/// Everybody who finds out who is calling.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentityParts {
    providers: Vec<IdentityProvider>,
    /// Issuers that routes take tokens of together, and what verifies those.
    verifiers: Vec<(Vec<String>, JwtAuthenticator)>,
    /// Who asks a server about tokens, by its place in the document.
    remotes: Vec<(String, RemoteAuthenticator)>,
    keys: KeyStores,
    /// Those of other kinds that routes use, by their names.
    callers: Vec<(String, Known)>,
    signatures: SignatureParts,
}

/// Who finds out who is calling by credentials that do not say whose they are.
#[derive(Clone, Debug)]
enum Known {
    ApiKey(ApiKeyAuthenticator),
    Basic(BasicAuthenticator),
    ServiceToken(ServiceTokenAuthenticator),
}

impl Known {
    fn build(name: &str, settings: &IdentityConfig) -> Result<Self, BoxError> {
        match settings {
            IdentityConfig::ApiKey(config) => callers::api_key(name, config).map(Self::ApiKey),
            IdentityConfig::Basic(config) => callers::basic(name, config).map(Self::Basic),
            IdentityConfig::ServiceToken(config) => {
                callers::service_token(name, config).map(Self::ServiceToken)
            }
            _ => Err("is known in another way".into()),
        }
    }

    const fn kind(&self) -> IdentityKind {
        match self {
            Self::ApiKey(_) => IdentityKind::ApiKey,
            Self::Basic(_) => IdentityKind::Basic,
            Self::ServiceToken(_) => IdentityKind::ServiceToken,
        }
    }

    fn authenticator(&self) -> Arc<dyn Authenticator> {
        match self {
            Self::ApiKey(one) => Arc::new(one.clone()),
            Self::Basic(one) => Arc::new(one.clone()),
            Self::ServiceToken(one) => Arc::new(one.clone()),
        }
    }

    fn start(&self) {
        match self {
            Self::ApiKey(one) => one.keys().start(),
            Self::Basic(one) => one.verifier().start(),
            Self::ServiceToken(_) => {}
        }
    }
}

impl IdentityParts {
    /// What `providers` say, to be built where routes use it. What is the same as in `before` is
    /// taken from there, with its keys and the tokens it has verified; not what asks one of the
    /// clusters that have `changed`.
    pub(super) fn new(
        providers: &[IdentityProvider],
        redis: Option<&Redis>,
        before: &Self,
        changed: &[&str],
    ) -> Self {
        let mut parts = Self {
            providers: providers.to_vec(),
            verifiers: Vec::new(),
            remotes: Vec::new(),
            keys: before.keys.clone(),
            callers: Vec::new(),
            signatures: SignatureParts::new(redis, &before.signatures),
        };
        let kept = before.callers.iter().filter(|(name, one)| {
            let settings = parts.settings(one.kind(), name);
            settings.is_some() && settings == before.settings(one.kind(), name)
        });
        parts.callers = kept.cloned().collect();
        let same = |name: &String| parts.provider(name) == before.provider(name);
        let kept = before.verifiers.iter().filter(|(names, _)| names.iter().all(same));
        parts.verifiers = kept.cloned().collect();
        let kept = before.remotes.iter().filter(|(path, _)| {
            let provider = parts.at(path);
            provider == before.at(path) && !provider.is_some_and(|one| asks(one, changed))
        });
        parts.remotes = kept.cloned().collect();
        parts
    }

    fn provider(&self, name: &str) -> Option<&config::JwtProvider> {
        self.providers.iter().find_map(|provider| match &provider.settings {
            IdentityConfig::Jwt(settings) if provider.name == name => Some(&**settings),
            _ => None,
        })
    }

    /// The provider at this place of the document.
    fn at(&self, path: &str) -> Option<&IdentityProvider> {
        self.providers.iter().find(|provider| provider.path() == path)
    }

    fn settings(&self, kind: IdentityKind, name: &str) -> Option<&IdentityConfig> {
        let all = self.providers.iter().filter(|provider| provider.name == name);
        all.map(|provider| &provider.settings).find(|settings| settings.kind() == kind)
    }

    /// True where nobody is ever known.
    pub(super) fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// The names of the providers whose settings are not as in `before`, or who ask one of the
    /// `clusters`, which have changed.
    pub(super) fn changed<'p>(
        &'p self,
        before: &'p Self,
        clusters: &'p [&str],
    ) -> impl Iterator<Item = &'p str> {
        let all = self.providers.iter().chain(&before.providers);
        let moved = |one: &IdentityProvider| match &one.settings {
            IdentityConfig::Signature(settings) => {
                self.signatures.moved(&before.signatures, settings)
            }
            _ => asks(one, clusters),
        };
        let same = |one| self.providers.contains(one) && before.providers.contains(one);
        all.filter(move |one| !same(*one) || moved(one)).map(|provider| provider.name.as_str())
    }

    /// Who lets requests pass to a route; `None` where callers need not be known.
    pub(super) fn guard(
        &mut self,
        access: &Access,
        leads: &Leads<'_>,
    ) -> Result<Option<Authenticate>, IdentityProblem> {
        if self.providers.is_empty() || (access.public && access.identities.is_empty()) {
            return Ok(None);
        }
        let mut authenticators: Vec<Arc<dyn Authenticator>> = Vec::new();
        for used in access.in_order() {
            let authenticator = self.authenticator(used, leads).map_err(|error| {
                let name = used.providers.first().map_or("", String::as_str);
                IdentityProblem { path: config::identity_path(used.kind, name), error }
            })?;
            let asked = used.requirements().filter(|_| access.has_several_kinds());
            authenticators.push(match asked {
                Some(asked) => Arc::new(Restricted::new(authenticator, asked)),
                None => authenticator,
            });
        }
        let guard = match access.mode {
            Some(IdentityMode::All) => Authenticate::all_of(authenticators),
            _ => Authenticate::any_of(authenticators),
        };
        // The door removes what only we may say, on every route.
        Ok(Some(guard.optional(access.public).strips(false)))
    }

    fn authenticator(
        &mut self,
        used: &IdentityUse,
        leads: &Leads<'_>,
    ) -> Result<Arc<dyn Authenticator>, BoxError> {
        match used.kind {
            IdentityKind::Mtls => Ok(Arc::new(self.mtls(&used.providers)?)),
            IdentityKind::Jwt => Ok(Arc::new(self.jwt(&used.providers)?)),
            IdentityKind::Introspection | IdentityKind::Delegated => {
                Ok(Arc::new(self.remote(used, leads)?))
            }
            IdentityKind::Signature => Ok(Arc::new(self.signature(&used.providers)?)),
            kind => {
                let name = used.providers.first().ok_or("names nobody")?;
                self.caller(kind, name)
            }
        }
    }

    /// Who asks a server about tokens.
    fn remote(
        &mut self,
        used: &IdentityUse,
        leads: &Leads<'_>,
    ) -> Result<RemoteAuthenticator, BoxError> {
        let [name] = used.providers.as_slice() else {
            return Err("a token does not say whom to ask, expected one provider".into());
        };
        let path = config::identity_path(used.kind, name);
        if let Some((_, known)) = self.remotes.iter().find(|(known, _)| *known == path) {
            return Ok(known.clone());
        }
        let provider = self.at(&path).ok_or("leads to nobody who could be built")?;
        let built = remote::build(&provider.settings, leads)?;
        self.remotes.push((path, built.clone()));
        Ok(built)
    }

    /// What knows callers by the provider `name`, built once for all routes.
    fn caller(
        &mut self,
        kind: IdentityKind,
        name: &str,
    ) -> Result<Arc<dyn Authenticator>, BoxError> {
        let same = |(own, one): &&(String, Known)| own == name && one.kind() == kind;
        if let Some((_, known)) = self.callers.iter().find(same) {
            return Ok(known.authenticator());
        }
        let settings = self.settings(kind, name).ok_or("leads to nobody who could be built")?;
        let built = Known::build(name, settings)?;
        let authenticator = built.authenticator();
        self.callers.push((name.to_owned(), built));
        Ok(authenticator)
    }

    /// What verifies tokens of these issuers.
    fn jwt(&mut self, names: &[String]) -> Result<JwtAuthenticator, BoxError> {
        if let Some((_, known)) = self.verifiers.iter().find(|(known, _)| known == names) {
            return Ok(known.clone());
        }
        let mut builder = JwtVerifier::builder().stores(&self.keys).idle();
        let mut first = None;
        for name in names {
            let settings = self.provider(name).ok_or("leads to nobody who could be built")?;
            builder = builder.provider(provider(settings)?);
            first.get_or_insert(settings);
        }
        let first = first.ok_or("names nobody")?;
        let builder = builder.cached_tokens(first.cache).token_limit(first.token_limit);
        let verifier = builder.build()?;
        let built = JwtAuthenticator::new(verifier)
            .from(first.from.iter().cloned())
            .credentials(first.credentials)
            .realm(first.realm.as_str());
        self.verifiers.push((names.to_vec(), built.clone()));
        Ok(built)
    }

    /// What knows callers by their certificates.
    fn mtls(&self, names: &[String]) -> Result<MtlsAuthenticator, BoxError> {
        let [name] = names else {
            return Err("names several providers of certificates, expected one".into());
        };
        let settings = self.providers.iter().find_map(|provider| match &provider.settings {
            IdentityConfig::Mtls(settings) if provider.name == *name => Some(settings),
            _ => None,
        });
        let settings = settings.ok_or("leads to nobody who could be built")?;
        let mtls = MtlsAuthenticator::new().forwards(settings.forward.clone());
        Ok(match &settings.allow {
            Some(names) => mtls.allow(names.iter().cloned()),
            None => mtls,
        })
    }

    /// What verifies signatures by the keys of this provider.
    fn signature(&mut self, names: &[String]) -> Result<SignatureVerifier, BoxError> {
        let [name] = names else {
            return Err("names several providers of signatures, expected one".into());
        };
        let settings = self.providers.iter().find_map(|provider| match &provider.settings {
            IdentityConfig::Signature(settings) if provider.name == *name => Some(settings),
            _ => None,
        });
        let settings = settings.ok_or("leads to nobody who could be built")?;
        self.signatures.verifier(name, settings)
    }

    /// Forgets what no route uses any more.
    pub(super) fn retain(&mut self, used: &[&Access]) {
        let uses = || used.iter().flat_map(|access| &access.identities);
        self.verifiers.retain(|(names, _)| uses().any(|one| one.providers == *names));
        let names = |one: &IdentityUse, path: &str| {
            one.providers.iter().any(|name| config::identity_path(one.kind, name) == *path)
        };
        self.remotes.retain(|(path, _)| uses().any(|one| names(one, path)));
        self.callers.retain(|(name, known)| {
            uses().any(|one| one.kind == known.kind() && one.providers.contains(name))
        });
    }

    /// The fields that upstreams are told of callers: nobody else may say them.
    pub(super) fn reserved_headers(&self) -> Vec<http::HeaderName> {
        let fields = self.providers.iter().flat_map(|one| one.settings.forward().names());
        fields.cloned().collect()
    }

    /// Fetches keys in the background from now on, and follows files and stores.
    pub(super) fn start(&self) {
        self.callers.iter().for_each(|(_, one)| one.start());
        self.verifiers.iter().for_each(|(_, one)| one.verifier().start());
    }

    /// Waits until keys were fetched, or could not be, once.
    pub(crate) async fn ready(&self) {
        for (_, one) in &self.verifiers {
            one.verifier().ready().await;
        }
    }

    /// How it goes with each server that is asked about tokens, by its place in the document.
    pub(crate) fn remotes(&self) -> Vec<(String, RemoteStatus)> {
        self.remotes.iter().map(|(path, one)| (path.clone(), one.status())).collect()
    }

    /// How the stores of API keys are.
    pub(crate) fn api_keys(&self) -> Vec<ApiKeysStatus> {
        let all = self.callers.iter().filter_map(|(_, one)| match one {
            Known::ApiKey(one) => Some(one.keys().status()),
            _ => None,
        });
        all.collect()
    }

    /// How those who verify passwords are.
    pub(crate) fn passwords(&self) -> Vec<BasicStatus> {
        let all = self.callers.iter().filter_map(|(_, one)| match one {
            Known::Basic(one) => Some(one.verifier().status()),
            _ => None,
        });
        all.collect()
    }

    /// How good the keys of each issuer are, by its name.
    pub(crate) fn keys(&self) -> Vec<(String, KeysStatus)> {
        let all = self
            .verifiers
            .iter()
            .flat_map(|(names, one)| names.iter().cloned().zip(one.verifier().status()));
        let mut found: Vec<(String, KeysStatus)> = Vec::new();
        for (name, status) in all {
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, status));
            }
        }
        found
    }
}

/// True where `provider` asks one of these clusters.
fn asks(provider: &IdentityProvider, clusters: &[&str]) -> bool {
    let asked = provider.settings.remote().and_then(|remote| remote.to.cluster());
    asked.is_some_and(|asked| clusters.contains(&asked))
}

/// An issuer as the layer has it.
fn provider(settings: &config::JwtProvider) -> Result<JwtProvider, BoxError> {
    let mut provider = JwtProvider::new(settings.issuer.as_str(), keys(settings)?)
        .algorithms(settings.algorithms.iter().copied())
        .skew(settings.skew)
        .required_claims(settings.required_claims.iter().map(String::as_str))
        .forwards(settings.forward.clone());
    for audience in &settings.audience {
        provider = match audience.as_str() {
            "any" => provider.any_audience(),
            audience => provider.audience(audience),
        };
    }
    if let Some(token_type) = &settings.token_type {
        provider = provider.token_type(token_type.as_str());
    }
    let claims = &settings.claims;
    if let Some(name) = &claims.subject {
        provider = provider.subject_claim(name.as_str());
    }
    if !claims.roles.is_empty() {
        provider = provider.roles_claims(claims.roles.iter().map(String::as_str));
    }
    if !claims.scopes.is_empty() {
        provider = provider.scopes_claims(claims.scopes.iter().map(String::as_str));
    }
    if let Some(name) = &claims.tier {
        provider = provider.tier_claim(name.as_str());
    }
    if let Some(name) = &claims.tenant {
        provider = provider.tenant_claim(name.as_str());
    }
    Ok(provider)
}

fn keys(settings: &config::JwtProvider) -> Result<Keys, BoxError> {
    let from = &settings.keys;
    let keys = match &from.from {
        JwtKeysFrom::Url(url) => Keys::url(url),
        JwtKeysFrom::Discovery(url) => Keys::discovery(url),
        JwtKeysFrom::File(path) => Keys::file(path),
        JwtKeysFrom::Inline(set) => Keys::inline(set),
        JwtKeysFrom::Secret(secret) => {
            let algorithm = settings.algorithms.first().copied().ok_or("no algorithm")?;
            Keys::secret(secret.reveal(), algorithm)
        }
    };
    let keys = keys
        .ttl(from.ttl)
        .cooldown(from.cooldown)
        .timeout(from.timeout)
        .stale(from.stale)
        .max_keys(from.max_keys)
        .max_bytes(from.max_bytes);
    Ok(match &from.from {
        JwtKeysFrom::Url(_) | JwtKeysFrom::Discovery(_) => connected(keys, from.ca.as_deref())?,
        _ => keys,
    })
}

/// Connections to issuers, verified as those to upstreams are.
#[cfg(feature = "tls")]
fn connected(keys: Keys, ca: Option<&str>) -> Result<Keys, BoxError> {
    let tls = match ca {
        Some(ca) => super::tls::client_trusting(ca)?,
        None => super::tls::client()?,
    };
    Ok(keys.cluster(move || gateway_core::Cluster::builder("jwks").tls(Arc::clone(&tls))))
}

#[cfg(not(feature = "tls"))]
fn connected(keys: Keys, _: Option<&str>) -> Result<Keys, BoxError> {
    Ok(keys)
}
