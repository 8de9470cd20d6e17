//! Every key of those who know callers is read, and what is shown as a default is one.

use gateway_layers::auth::Forward;
use gateway_layers::auth::introspection::DEFAULT_SKEW;
use gateway_layers::auth::service_token::ServiceToken;
use gateway_layers::auth::signature::SignatureAlgorithm;
use gateway_layers::rate_limit::{Algorithm, KeyPart, Limit, RateLimitConfig, Tier};

use super::full::{full, route, seconds};
use super::*;

fn settings(kind: IdentityKind, name: &str) -> IdentityConfig {
    let mut all = full().identities.into_iter();
    let found = all.find(|one| one.settings.kind() == kind && one.name == name);
    found.unwrap_or_else(|| panic!("{kind:?} {name}")).settings
}

fn forward(field: &'static str, attribute: &str) -> Forward {
    Forward::new().field(http::HeaderName::from_static(field), attribute)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn tokens() {
    let IdentityConfig::Jwt(main) = settings(IdentityKind::Jwt, "main") else { panic!() };
    let url = JwtKeysFrom::Url("https://issuer.example/jwks.json".to_owned());
    let audience = vec!["orders".to_owned()];
    let mut expected = JwtProvider::new("https://issuer.example", audience, JwtKeys::new(url));
    expected.token_type = text("at+jwt");
    expected.claims.subject = text("sub");
    expected.claims.roles = vec!["roles".to_owned()];
    expected.claims.scopes = vec!["scope".to_owned(), "scp".to_owned()];
    (expected.claims.tier, expected.claims.tenant) = (text("plan"), text("org"));
    let field = http::HeaderName::from_static("x-user-roles");
    expected.forward = forward("x-user-id", "sub").field(field, "roles");
    assert_eq!(*main, expected);
    let from = |name| match settings(IdentityKind::Jwt, name) {
        IdentityConfig::Jwt(provider) => provider.keys.from,
        other => panic!("{other:?}"),
    };
    assert!(matches!(from("discovered"), JwtKeysFrom::Discovery(_)));
    assert!(matches!(from("discovered-in-time"), JwtKeysFrom::Discovery(_)));
    assert_eq!(from("from-file"), JwtKeysFrom::File("jwks.json".to_owned()));
    assert!(matches!(from("inline"), JwtKeysFrom::Inline(_)));
    assert!(matches!(from("shared"), JwtKeysFrom::Secret(_)));
}

/// With what both examples of a remote provider say.
fn remote(to: RemoteTo) -> RemoteProvider {
    let mut remote = RemoteProvider::new(to);
    (remote.claims.tier, remote.claims.tenant) = (text("plan"), text("org"));
    remote.claims.scopes = vec!["scope".to_owned()];
    remote
}

#[test]
fn tokens_that_somebody_is_asked_about() {
    let kind = IdentityKind::Introspection;
    let IdentityConfig::Introspection(main) = settings(kind, "main") else { panic!() };
    let url = "https://issuer.example/introspect".to_owned();
    let mut expected = IntrospectionProvider::new(RemoteTo::Url { url: url.clone(), ca: None });
    expected.remote = remote(RemoteTo::Url { url, ca: None });
    expected.remote.required_claims = vec!["client_id".to_owned()];
    expected.remote.claims.subject = text("sub");
    expected.remote.claims.roles = vec!["roles".to_owned()];
    expected.remote.forward = forward("x-user-id", "sub");
    let secret = Secret::new("secret");
    expected.credentials = IntrospectionCredentials::Client("gateway".to_owned(), secret.clone());
    expected.issuer = text("https://issuer.example");
    expected.audience = vec!["orders".to_owned()];
    assert_eq!((expected.skew, *main), (DEFAULT_SKEW, expected));
    let IdentityConfig::Introspection(other) = settings(kind, "by-cluster") else { panic!() };
    assert_eq!(other.credentials, IntrospectionCredentials::Token(secret));

    let kind = IdentityKind::Delegated;
    let IdentityConfig::Delegated(users) = settings(kind, "users") else { panic!() };
    let (cluster, path) = ("carts".to_owned(), "/auth/verify".to_owned());
    let to = RemoteTo::Cluster { cluster, path };
    let mut expected = DelegatedProvider::new(to.clone());
    expected.remote = remote(to);
    expected.remote.claims.subject = text("user.id");
    expected.remote.claims.roles = vec!["user.roles".to_owned()];
    expected.remote.forward = forward("x-user-id", "subject");
    expected.active = text("valid");
    assert_eq!(*users, expected);
}

#[test]
fn keys_of_callers() {
    let kind = IdentityKind::ApiKey;
    let IdentityConfig::ApiKey(partners) = settings(kind, "partners") else { panic!() };
    let KeysFrom::Inline(records) = &partners.keys else { panic!("{partners:?}") };
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.id.as_str(), record.disabled), ("acme-2026", false));
    let grant = &record.grant;
    assert_eq!((grant.owner.as_str(), grant.name.as_str()), ("acme", "billing"));
    assert_eq!((grant.tier.as_deref(), grant.tenant.as_deref()), (Some("gold"), Some("north")));
    assert_eq!((grant.roles.len(), grant.scopes.len()), (1, 1));
    assert_eq!((grant.quota["month"], grant.claims.len()), (100_000, 1));
    assert!(grant.not_before < grant.expires && grant.not_before.is_some());
    assert_eq!((grant.networks.len(), grant.routes.len()), (1, 1));
    let mut expected = ApiKeyProvider::new(partners.keys.clone());
    assert_eq!(partners.from.len(), 4);
    expected.from.clone_from(&partners.from);
    expected.forward = forward("x-user-id", "subject");
    assert_eq!(partners, expected);
    let keys = |name| match settings(kind, name) {
        IdentityConfig::ApiKey(provider) => provider.keys,
        other => panic!("{other:?}"),
    };
    assert_eq!(keys("from-file"), KeysFrom::File("keys.toml".to_owned()));
    assert!(matches!(keys("from-redis"), KeysFrom::Redis { prefix, .. } if prefix == "gateway"));
    let KeysFrom::Postgres { table, .. } = keys("from-postgres") else { panic!() };
    assert_eq!(table, "gateway_api_keys");
}

#[test]
fn passwords_and_service_tokens() {
    let IdentityConfig::Basic(staff) = settings(IdentityKind::Basic, "staff") else { panic!() };
    assert!(matches!(staff.users, UsersFrom::Inline(_)));
    let mut expected = BasicProvider::new(staff.users.clone());
    expected.jobs = Some(2);
    expected.forward = forward("x-user-id", "subject");
    assert_eq!(staff, expected);

    let kind = IdentityKind::ServiceToken;
    let IdentityConfig::ServiceToken(internal) = settings(kind, "internal") else { panic!() };
    let [token, _] = internal.tokens.as_slice() else { panic!("{internal:?}") };
    let first = ServiceToken::new("billing", "a-token-of-16-characters-or-more").unwrap();
    let mut first = first.roles(["internal"]).scopes(["orders"]);
    (first.tier, first.tenant) = (text("gold"), text("north"));
    assert_eq!(*token, first);
    let mut expected = ServiceTokenProvider::new(internal.tokens.clone());
    expected.forward = forward("x-service", "subject");
    assert_eq!(internal, expected);
    let token = full().clusters.into_iter().find_map(|cluster| cluster.service_token).unwrap();
    assert_eq!(token, OutboundToken::new(Secret::new("a-token-of-16-characters-or-more")));
}

#[test]
fn signatures() {
    let kind = IdentityKind::Signature;
    let IdentityConfig::Signature(partners) = settings(kind, "partners") else { panic!() };
    let secret = Secret::new("32 letters or more that both know");
    let key = KeyConfig::new("acme-2026", SignatureAlgorithm::HmacSha256, secret);
    let mut key = PartnerKey::new(key);
    key.owner = text("acme");
    (key.roles, key.scopes) = (vec!["partner".to_owned()], vec!["orders".to_owned()]);
    (key.tier, key.tenant) = (text("gold"), text("north"));
    let mut expected = SignatureProvider::new(vec![key]);
    assert_eq!(partners.covered.as_ref().map(Vec::len), Some(5));
    expected.covered.clone_from(&partners.covered);
    expected.tag = text("orders");
    expected.forward = forward("x-partner", "subject");
    assert_eq!(partners, expected);
}

#[test]
fn who_may_use_routes() {
    let access = route("orders").policy.access;
    assert_eq!((access.public, access.mode), (false, Some(IdentityMode::Any)));
    let [jwt, api_key] = access.identities.as_slice() else { panic!("{access:?}") };
    assert_eq!((jwt.kind, api_key.kind), (IdentityKind::Jwt, IdentityKind::ApiKey));
    assert_eq!(jwt.providers, ["main", "inline"]);
    assert_eq!((jwt.scopes.len(), jwt.roles.len()), (1, 2));
    for (id, kind) in [
        ("sessions", IdentityKind::Introspection),
        ("tasks", IdentityKind::Delegated),
        ("back-office", IdentityKind::Basic),
        ("billing", IdentityKind::ServiceToken),
        ("partners", IdentityKind::Signature),
    ] {
        let identities = route(id).policy.access.identities;
        assert!(matches!(identities.as_slice(), [one] if one.kind == kind), "{id}");
    }
    assert!(route("pictures").policy.access.public);
    let asked = route("orders").policy.authorize.unwrap();
    assert_eq!((asked.roles_any.len(), asked.roles_all.len()), (3, 0));
    assert_eq!((asked.scopes_any.len(), asked.scopes_all.len()), (2, 1));
    assert_eq!(asked.claims.len(), 3);
    assert!(asked.expression.is_some());
    let external = route("pictures").policy.external_auth.unwrap();
    let mut expected = ExternalAuth::new(external.to.clone(), "/check/{subject}");
    expected.identity = forward("x-user-id", "subject");
    expected.upstream_headers = vec!["x-user-plan".parse().unwrap()];
    expected.response_headers = vec![http::header::SET_COOKIE];
    expected.principal = external.principal.clone();
    assert!(external.knows_callers());
    expected.cache = Some((seconds(10), 10_000));
    assert_eq!(external, expected);
}

#[test]
fn limits_and_stores() {
    let limits = route("orders").policy.rate_limit.unwrap();
    assert_eq!((limits.store, limits.settings.headers), (LimitStore::Redis, true));
    let [address, day] = limits.settings.limits.as_slice() else { panic!("{limits:?}") };
    let mut gold = Tier::new(1000);
    (gold.per, gold.burst) = (Some(seconds(60)), Some(200));
    let mut expected = Limit::default().burst(100).name("address");
    expected.tiers.extend([("gold".to_owned(), gold), ("silver".to_owned(), Tier::new(500))]);
    assert_eq!(*address, expected);
    assert_eq!((day.algorithm, day.key.as_slice()), (Algorithm::Day, &[KeyPart::Principal][..]));
    let preset = RateLimitConfig::from(Limit::per_minute(100).by_ip());
    assert_eq!(route("pictures").policy.rate_limit.unwrap().settings, preset);
    let shop = route("carts").policy.rate_limit.unwrap();
    assert_eq!((shop.store, shop.settings.limits.len()), (LimitStore::Memory, 1));
    let url = Secret::new("redis://127.0.0.1:6379");
    let redis = Redis { replicas: 3, ..Redis::new(url) };
    let expected = Stores { redis: Some(redis), ..Stores::default() };
    assert_eq!(full().stores, expected);
}
