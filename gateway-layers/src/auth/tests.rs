//! Several kinds of credentials at one route.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::context::Principal;
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Module, Outcome, Reason, Request, RequestContext,
    RequestExt, Response, module_fn,
};
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use super::*;

/// Knows whoever says who he is in a field; `bad` is not good, and a name that does not begin with
/// `prefix` is of another kind.
struct Says {
    field: HeaderName,
    sources: [CredentialSource; 1],
    owned: [HeaderName; 1],
    prefix: &'static str,
    waits: bool,
}

fn says(field: &'static str) -> Says {
    let owned = HeaderName::try_from(format!("{field}-known")).unwrap();
    let field = HeaderName::from_static(field);
    let sources = [CredentialSource::Header(field.clone())];
    Says { field, sources, owned: [owned], prefix: "", waits: false }
}

/// The same field read by another kind.
fn reads(field: &'static str, prefix: &'static str, owned: &'static str) -> Says {
    Says { prefix, owned: [HeaderName::from_static(owned)], ..says(field) }
}

fn waits(field: &'static str) -> Says {
    Says { waits: true, ..says(field) }
}

impl Says {
    fn known(&self, name: &str) -> Authentication {
        if !name.starts_with(self.prefix) {
            let error = Error::new(Reason::CredentialsInvalid).with_detail(self.prefix);
            return Authentication::Unrecognized(error);
        }
        if name.ends_with("bad") {
            return Authentication::Rejected(Reason::CredentialsInvalid.into());
        }
        let fields = [(self.owned[0].clone(), HeaderValue::from_str(name).unwrap())];
        Authentication::Known(Identity::new(Principal::new(name, "says")).with_fields(fields))
    }
}

impl Authenticator for Says {
    fn authenticate(&self, request: &Request) -> Authentication {
        let Some(name) = request.headers().get(&self.field) else {
            return Authentication::Missing;
        };
        let found = self.known(name.to_str().unwrap());
        if !self.waits {
            return found;
        }
        Authentication::Pending(Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            found
        }))
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        request.headers_mut().remove(&self.field);
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(Challenge::new("Says", self.field.as_str()).value())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        &self.sources
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        &self.owned
    }
}

fn kinds<const N: usize>(kinds: [Says; N]) -> [Arc<dyn Authenticator>; N] {
    kinds.map(|kind| Arc::new(kind) as Arc<dyn Authenticator>)
}

/// Answers with who it is, and with every field it got.
fn echo() -> Module {
    Module::new(module_fn(|request: Request| async move {
        let who = request.context().and_then(RequestContext::principal);
        let who = who.map_or_else(String::new, |known| known.subject.to_string());
        let mut response = Response::new(Body::full(who));
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Error>(response)
    }))
}

async fn sends(layer: Authenticate, fields: &[(&str, &str)]) -> Outcome {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let mut request = Request::new(Body::empty());
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    layer.layer(echo()).oneshot(request).await
}

/// Who it was, and which fields arrived.
async fn passes(layer: Authenticate, fields: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut answer = sends(layer, fields).await.unwrap();
    let who = answer.body_mut().take_full().unwrap_or_default();
    let fields = answer.headers().iter();
    let fields = fields.map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
    (String::from_utf8(who.to_vec()).unwrap(), fields.collect())
}

async fn rejected(layer: Authenticate, fields: &[(&str, &str)]) -> Reason {
    sends(layer, fields).await.unwrap_err().reason()
}

#[tokio::test(start_paused = true)]
async fn one_of_several_kinds_is_enough_and_the_first_decides() {
    for second in [says("x-b"), waits("x-b")] {
        let layer = Authenticate::any_of(kinds([says("x-a"), second]));
        let (who, fields) = passes(layer.clone(), &[("x-b", "bo"), ("x-a", "al")]).await;
        assert_eq!((who.as_str(), fields), ("al", vec!["x-a-known=al".into()]));
        let (who, fields) = passes(layer.clone(), &[("x-b", "bo")]).await;
        assert_eq!((who.as_str(), fields), ("bo", vec!["x-b-known=bo".into()]));
        assert_eq!(rejected(layer.clone(), &[("x-b", "bad")]).await, Reason::CredentialsInvalid);
        let bad_first = [("x-a", "bad"), ("x-b", "bo")];
        assert_eq!(rejected(layer.clone(), &bad_first).await, Reason::CredentialsInvalid);
        let error = sends(layer, &[]).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Unauthenticated);
        let challenges = error.fields().iter().filter(|(name, _)| *name == WWW_AUTHENTICATE);
        let challenges: Vec<_> = challenges.map(|(_, value)| value.to_str().unwrap()).collect();
        assert_eq!(challenges, ["Says realm=\"x-a\"", "Says realm=\"x-b\""]);
    }
}

#[tokio::test(start_paused = true)]
async fn all_of_several_kinds_are_wanted_and_the_first_is_the_principal() {
    for (first, second) in
        [(says("x-a"), says("x-b")), (waits("x-a"), waits("x-b")), (says("x-a"), waits("x-b"))]
    {
        let layer = Authenticate::all_of(kinds([first, second]));
        let (who, fields) = passes(layer.clone(), &[("x-a", "al"), ("x-b", "bo")]).await;
        assert_eq!((who.as_str(), fields), ("al", vec!["x-a-known=al".to_owned()]));
        for some in [[("x-a", "al")], [("x-b", "bo")]] {
            assert_eq!(rejected(layer.clone(), &some).await, Reason::Unauthenticated);
            let optional = layer.clone().optional(true);
            assert_eq!(rejected(optional, &some).await, Reason::Unauthenticated);
        }
        let bad = [("x-a", "al"), ("x-b", "bad")];
        assert_eq!(rejected(layer.clone(), &bad).await, Reason::CredentialsInvalid);
        assert_eq!(passes(layer.optional(true), &[]).await, (String::new(), vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_kind_reads_what_the_first_does_not_recognize() {
    for wait in [[false, false], [true, true], [false, true], [true, false]] {
        let kinds = || {
            let [first, second] = [reads("x-a", "1-", "x-first"), reads("x-a", "2-", "x-second")];
            kinds([
                Says { waits: wait[0], ..first },
                Says { waits: wait[1], ..second },
                says("x-b"),
            ])
        };
        let layer = Authenticate::any_of(kinds());
        let (who, fields) = passes(layer.clone(), &[("x-a", "1-al")]).await;
        assert_eq!((who.as_str(), fields), ("1-al", vec!["x-first=1-al".to_owned()]));
        let (who, fields) = passes(layer.clone(), &[("x-a", "2-bo"), ("x-b", "eve")]).await;
        assert_eq!((who.as_str(), fields), ("2-bo", vec!["x-second=2-bo".to_owned()]));
        assert_eq!(rejected(layer.clone(), &[("x-a", "2-bad")]).await, Reason::CredentialsInvalid);
        // What no kind knows is no lack of credentials, and the first kind says why.
        for layer in [layer.clone(), layer.clone().optional(true)] {
            let error = sends(layer, &[("x-a", "3-cy")]).await.unwrap_err();
            assert_eq!(error.reason(), Reason::CredentialsInvalid);
            assert_eq!(error.detail(), "1-");
        }
        // Something else the request has is enough.
        let (who, fields) = passes(layer, &[("x-a", "3-cy"), ("x-b", "bo")]).await;
        assert_eq!((who.as_str(), fields), ("bo", vec!["x-b-known=bo".to_owned()]));
        let all = Authenticate::all_of(kinds());
        let both = [("x-a", "1-al"), ("x-b", "bo")];
        assert_eq!(rejected(all, &both).await, Reason::CredentialsInvalid);
    }
}

#[tokio::test]
async fn two_kinds_may_verify_the_same_credential() {
    let kinds = kinds([reads("x-a", "", "x-first"), reads("x-a", "", "x-second")]);
    let (who, fields) = passes(Authenticate::all_of(kinds), &[("x-a", "al")]).await;
    assert_eq!((who.as_str(), fields), ("al", vec!["x-first=al".to_owned()]));
}

#[tokio::test]
async fn where_nobody_need_be_known_bad_credentials_are_rejected_all_the_same() {
    let layer = Authenticate::new(says("x-a")).optional(true);
    assert_eq!(passes(layer.clone(), &[]).await, (String::new(), vec![]));
    assert_eq!(rejected(layer, &[("x-a", "bad")]).await, Reason::CredentialsInvalid);
}

#[tokio::test]
async fn nobody_else_says_what_only_authenticators_say() {
    let layer = Authenticate::any_of(kinds([says("x-a"), says("x-b")])).optional(true);
    assert_eq!(layer.reserved_headers().len(), 2);
    let forged = [("x-a-known", "eve"), ("X_B-Known", "eve"), ("x-c", "1")];
    assert_eq!(passes(layer.clone(), &forged).await, (String::new(), vec!["x-c=1".into()]));
    let at_the_door = layer.strips(false);
    let left = passes(at_the_door, &forged).await.1;
    assert_eq!(left.len(), 3);
}

#[test]
fn what_cannot_be_told_in_a_field_is_not_told_as_something_else() {
    let mut principal = Principal::new("ada", "says");
    principal.roles = vec!["reader".into(), "writer".into()];
    principal.tier = Some("gold".into());
    principal.claims.insert("n".into(), gateway_core::context::Claim::Integer(7));
    let name = HeaderName::from_static;
    let forward = Forward::new()
        .field(name("x-user-id"), "subject")
        .field(name("x-user-roles"), "roles")
        .field(name("x-tier"), "tier")
        .field(name("x-tenant"), "tenant")
        .field(name("x-method"), "method")
        .field(name("x-n"), "n");
    let told = forward.of(&principal).unwrap();
    let told: Vec<_> = told.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    let wanted = [
        ("x-user-id", "ada"),
        ("x-user-roles", "reader,writer"),
        ("x-tier", "gold"),
        ("x-method", "says"),
        ("x-n", "7"),
    ];
    assert_eq!(told, wanted);
    assert_eq!(forward.reserved(), None);
    for hostile in ["a\r\nb", " a", "a ", "a\0"] {
        principal.subject = hostile.into();
        assert_eq!(forward.of(&principal), Err(Unsafe), "{hostile:?}");
    }
    principal.subject = "ada".into();
    let roles = Forward::new().field(name("x-roles"), "roles");
    let told = |principal: &Principal| roles.of(principal).unwrap()[0].1.clone();
    principal.roles = vec!["reader,admin".into(), "100%".into(), "writer".into()];
    assert_eq!(told(&principal), "reader%2Cadmin,100%25,writer");
    // The claim that the only role comes from is the list, too.
    let text = |text: &str| gateway_core::context::Claim::Text(text.into());
    principal.roles = vec!["reader,admin".into()];
    principal.claims.insert("roles".into(), text("reader,admin"));
    assert_eq!(told(&principal), "reader%2Cadmin");
    // A text that is no role is what it is.
    let names = Forward::new().field(name("x-name"), "name");
    principal.claims.insert("name".into(), text("Lovelace, Ada (100%)"));
    assert_eq!(names.of(&principal).unwrap()[0].1, "Lovelace, Ada (100%)");
    let reserved = Forward::new().field(name("host"), "subject");
    assert_eq!(reserved.reserved(), Some(&name("host")));
    let reserved = Forward::new().field(name("x-forwarded-for"), "subject");
    assert!(reserved.reserved().is_some());
}

#[test]
fn a_challenge_holds_nothing_that_ends_it() {
    let challenge = Challenge::new("Be\"arer", "or\"de\\rs\r\n").parameter("error", "a\"b\nc");
    assert_eq!(challenge.value(), "Bearer realm=\"orders\", error=\"abc\"");
}
