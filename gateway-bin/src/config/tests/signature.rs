//! Signed requests, in and out.

use gateway_core::context::Principal;
use gateway_layers::auth::CredentialHandling;
use gateway_layers::auth::signature::{
    DigestAlgorithm, LargeBodies, NonceRule, SignatureAlgorithm,
};

use super::*;

const KEY: &str =
    "{ id = \"a\", algorithm = \"hmac-sha256\", key = \"0123456789abcdef0123456789abcdef\" }";

fn provider(lines: &str) -> String {
    let route = "[[routes]]\nid = \"r\"\nmatch = {}\ntarget = { module = \"users\" }\n\
                 policy.signature = \"partners\"\n";
    format!("{LISTENER}[identity.signature.partners]\n{lines}\n{route}")
}

fn read_provider(text: &str) -> SignatureProvider {
    let document = read(text).document;
    match &document.identities[0].settings {
        IdentityConfig::Signature(provider) => provider.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_of_partners() {
    let document = read(include_str!("../../../../examples/config/signing.toml")).document;
    let IdentityConfig::Signature(partners) = &document.identities[0].settings else {
        panic!("{document:?}");
    };
    let [acme, globex] = partners.keys.as_slice() else { panic!("{partners:?}") };
    assert_eq!((acme.owner.as_deref(), acme.tier.as_deref()), (Some("acme"), Some("gold")));
    assert_eq!((acme.roles.as_slice(), acme.scopes.len()), (&["partner".to_owned()][..], 0));
    assert_eq!(acme.key.algorithm, SignatureAlgorithm::HmacSha256);
    assert_eq!(globex.key.algorithm, SignatureAlgorithm::Ed25519);
    assert!(globex.key.build().is_ok_and(|key| !key.can_sign()));
    assert_eq!(partners.covered.as_ref().map(Vec::len), Some(5));
    assert_eq!(partners.credentials, CredentialHandling::Drop);
    let mut told = Principal::new("acme", "signature");
    told.issuer = None;
    let told = partners.forward.of(&told).unwrap();
    assert_eq!((told[0].0.as_str(), told[0].1.as_bytes()), ("x-partner", &b"acme"[..]));
    let sign = document.clusters[0].sign.as_ref().unwrap();
    assert_eq!(*sign, Sign::new(sign.key.clone()));
    assert_eq!((sign.digest, sign.large_bodies), (DigestAlgorithm::Sha256, LargeBodies::Reject));
}

#[test]
fn defaults_of_partners() {
    let found = read_provider(&provider(&format!("keys = {KEY}")));
    let expected = SignatureProvider::new(found.keys.clone());
    assert_eq!(found, expected);
    assert_eq!((found.nonce, found.nonces), (NonceRule::Required, 100_000));
    assert_eq!((found.max_age.as_secs(), found.skew.as_secs()), (300, 60));
}

#[test]
fn keys_are_read_in_each_of_their_forms() {
    let base64 = KEY.replace(
        "0123456789abcdef0123456789abcdef\"",
        "bm90aGluZyBidXQgMzIgYnl0ZXMgb2YgYSBzZWNyZXQ=\", encoding = \"base64\"",
    );
    let found = read_provider(&provider(&format!("keys = {base64}")));
    assert!(found.keys[0].key.build().is_ok());
    let jwk = "keys = { id = \"a\", algorithm = \"hmac-sha256\", key = '{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}' }";
    assert!(read_provider(&provider(jwk)).keys[0].key.build().is_ok());
}

#[test]
fn what_cannot_be_meant_is_rejected_with_its_place() {
    let cases = [
        (
            "max_age = \"5m\"".to_owned(),
            "g.toml:3:1: identity.signature.partners.keys: missing, expected a list of keys",
        ),
        (
            "keys = []".to_owned(),
            "g.toml:4:8: identity.signature.partners.keys: found an empty list, expected at least \
             one key",
        ),
        (
            format!("keys = {}", KEY.replace("0123456789abcdef\"", "\"")),
            "g.toml:4:53: identity.signature.partners.keys.key: the secret is shorter than 32 bytes",
        ),
        (
            format!("keys = {}", KEY.replace("hmac-sha256", "ed25519")),
            "g.toml:4:49: identity.signature.partners.keys.key: no PEM of one key, expected \
             `BEGIN PUBLIC KEY` or `BEGIN PRIVATE KEY`",
        ),
        (
            format!("keys = {KEY}\nnonce = \"never\""),
            "g.toml:5:9: identity.signature.partners.nonce: found \"never\", expected one of \
             \"required\", \"optional\"",
        ),
        (
            format!("keys = {KEY}\ncovered = []"),
            "g.toml:5:11: identity.signature.partners.covered: found an empty list, expected at \
             least one component",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(errors(&provider(&lines)), [expected], "{lines}");
    }
    let unknown = errors(&provider(&format!("keys = {KEY}\ncovered = [\"@pth\"]")));
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].contains("partners.covered[0]: found \"@pth\", expected a component"));
}

#[test]
fn no_secret_is_printed() {
    let text = provider(&format!("keys = {KEY}"));
    assert!(!format!("{:?}", read(&text).document).contains("0123456789abcdef"));
}

#[test]
fn what_the_gateway_asks_by_itself_has_no_host_to_sign() {
    let document = |cluster: &str| {
        format!(
            "{LISTENER}[clusters.asked]\nendpoints = [\"http://b:1\"]\n{cluster}\n[[routes]]\n\
             id = \"r\"\nmatch = {{}}\ntarget = {{ module = \"users\" }}\n\
             policy.external_auth = {{ cluster = \"asked\", path = \"/may\" }}\n"
        )
    };
    let sign = KEY.replace(" }", "");
    let keeps = document(&format!("sign = {sign} }}"));
    assert_eq!(
        errors(&keeps),
        [
            "g.toml:10:24: routes[0].policy.external_auth: clusters.asked signs the host that clients \
          ask for, and what the gateway asks by itself has none, expected `host = \"endpoint\"` \
          or a name there, or `sign.covered` without the host"
        ]
    );
    for good in [
        format!("sign = {sign} }}\nhost = \"endpoint\""),
        format!("sign = {sign} }}\nhost = \"asked.internal\""),
        format!("sign = {sign}, covered = [\"@method\", \"@path\"] }}"),
        String::new(),
    ] {
        assert_eq!(read(&document(&good)).warnings, [], "{good}");
    }
    let target = format!("sign = {sign}, covered = [\"@target-uri\"] }}");
    assert_eq!(errors(&document(&target)).len(), 1);
}
