//! What servers are asked, and where tokens come from.

use super::*;
use crate::auth::credentials::CredentialHandling;

#[tokio::test]
async fn introspection_asks_with_a_form_and_says_who_it_is() {
    let server = Server::new(Does::says(&ada()));
    let credentials = ClientCredentials::basic("gate way", "s3:cr&et");
    let tokens = Introspection::new(server.place(), credentials).with_clock(FakeClock::new());
    assert_eq!(said(&tokens.build().unwrap(), "a+b/c==").await.as_deref(), Ok("ada"));
    let asked = server.last();
    assert_eq!((asked.method, &*asked.target), (Method::POST, "/verify?v=1"));
    assert_eq!(asked.body, "token=a%2Bb%2Fc%3D%3D&token_type_hint=access_token");
    assert_eq!(asked.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(asked.headers["accept"], "application/json");
    // RFC 6749, section 2.3.1: each part is encoded before they are joined.
    assert_eq!(asked.headers[AUTHORIZATION], "Basic Z2F0ZSUyMHdheTpzMyUzQWNyJTI2ZXQ=");
    assert!(asked.headers[AUTHORIZATION].is_sensitive());
}

#[tokio::test]
async fn a_gateway_may_have_a_token_of_its_own_or_nothing() {
    let server = Server::new(Does::says(&ada()));
    for (credentials, wanted) in
        [(ClientCredentials::bearer("own"), Some("Bearer own")), (ClientCredentials::none(), None)]
    {
        let tokens = Introspection::new(server.place(), credentials).with_clock(FakeClock::new());
        said(&tokens.build().unwrap(), "t").await.unwrap();
        let asked = server.last();
        let own = asked.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(own.as_deref(), wanted);
    }
}

#[tokio::test]
async fn a_service_gets_the_token_where_it_looks_for_it() {
    let server = Server::new(Does::says(&json!({"sub": "ada"})));
    let delegated = || Delegated::new(server.place()).with_clock(FakeClock::new());
    for (presentation, name, value, body) in [
        (delegated::Presentation::Bearer, "authorization", "Bearer t\"k", ""),
        (delegated::Presentation::Header("x-session".parse().unwrap()), "x-session", "t\"k", ""),
        (delegated::Presentation::Cookie("session".to_owned()), "cookie", "session=t\"k", ""),
        (
            delegated::Presentation::Json("token".to_owned()),
            "content-type",
            "application/json",
            r#"{"token":"t\"k"}"#,
        ),
    ] {
        let tokens = delegated().send(presentation).build().unwrap();
        said(&tokens, "t\"k").await.unwrap();
        let asked = server.last();
        assert_eq!((asked.method, &*asked.target), (Method::POST, "/verify?v=1"));
        assert_eq!((asked.headers[name].to_str().unwrap(), &*asked.body), (value, body));
        assert_eq!(asked.headers.contains_key(AUTHORIZATION), name == "authorization");
    }
    let tokens = delegated().method(Method::GET).build().unwrap();
    said(&tokens, "t").await.unwrap();
    assert_eq!(server.last().method, Method::GET);
}

#[tokio::test]
async fn tokens_come_from_where_they_may_and_go_on_as_it_is_said() {
    let server = Server::new(Does::says(&ada()));
    let sources = || [CredentialSource::bearer(), CredentialSource::Cookie("session".to_owned())];
    let tokens = introspection(&server)
        .from(sources())
        .credentials(CredentialHandling::Drop)
        .build()
        .unwrap();
    for fields in [[("authorization", "bearer t")], [("cookie", "a=b; session=t")]] {
        let mut request = request(&fields);
        let identity = found(&tokens, &request).await.unwrap().unwrap();
        tokens.admitted(&mut request, &identity);
        assert!(!format!("{:?}", request.headers()).contains("=t"), "{request:?}");
        assert!(!request.headers().contains_key(AUTHORIZATION));
    }
    assert_eq!(server.asked(), 1);
    let kept = introspection(&server).build().unwrap();
    let mut request = request(&[("authorization", "bearer t")]);
    let identity = found(&kept, &request).await.unwrap().unwrap();
    kept.admitted(&mut request, &identity);
    assert_eq!(request.headers()[AUTHORIZATION], "bearer t");
}

#[tokio::test]
async fn without_a_token_nobody_is_asked() {
    let server = Server::new(Does::says(&ada()));
    let tokens = introspection(&server).realm("or\"de\\rs\r\n").build().unwrap();
    for fields in [&[][..], &[("authorization", "Basic YWRhOng=")], &[("cookie", "token=t")]] {
        assert!(found(&tokens, &request(fields)).await.is_none());
    }
    assert_eq!(tokens.challenge().unwrap(), "Bearer realm=\"orders\"");
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn what_can_be_no_token_is_shown_to_nobody() {
    let server = Server::new(Does::says(&ada()));
    let tokens = introspection(&server).build().unwrap();
    let long = format!("Bearer {}", "x".repeat(DEFAULT_TOKEN_LIMIT + 1));
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("authorization", &long)], "invalid_token"),
        (&[("authorization", "Bearer ")], "invalid_token"),
        (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], "invalid_request"),
        (&[("authorization", "Bearer a, Bearer b")], "invalid_request"),
    ];
    for (fields, code) in cases {
        let error = found(&tokens, &request(fields)).await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Reason::TokenInvalid, "{fields:?}");
        let (name, value) = &error.fields()[0];
        assert_eq!(name, WWW_AUTHENTICATE);
        assert!(value.to_str().unwrap().contains(&format!("error=\"{code}\"")), "{value:?}");
    }
    assert_eq!(said(&tokens, "a\u{7f}b").await, Err(Reason::TokenInvalid));
    assert_eq!(said(&tokens, "a b").await, Err(Reason::TokenInvalid));
    assert_eq!(said(&tokens, "é").await, Err(Reason::TokenInvalid));
    assert_eq!(server.asked(), 0);
}

#[test]
fn what_cannot_be_meant_is_said_at_once() {
    let place = || Server::new(Does::Stalls).place();
    let built = |introspection: Introspection| introspection.build().map(|_| ()).unwrap_err();
    let with = |server: RemoteServer| Introspection::new(server, ClientCredentials::none());
    for url in ["", "issuer.example", "ftp://issuer.example/", "http://a:b@issuer.example/"] {
        assert!(matches!(built(with(RemoteServer::url(url))), RemoteError::Server(_)), "{url}");
    }
    let server = Server::new(Does::Stalls);
    let module = Module::new(module_fn(move |request: Request| {
        let server = server.clone();
        async move { server.answer(request).await }
    }));
    for path in ["", "verify", "/vérify", "http://elsewhere/"] {
        let server = RemoteServer::module(module.clone(), path);
        assert!(matches!(built(with(server)), RemoteError::Server(_)), "{path}");
    }
    let unsendable = ClientCredentials::bearer("a\nb");
    let error = built(Introspection::new(place(), unsendable));
    assert_eq!(error, RemoteError::Credentials);
    let reserved = Forward::new().field(http::header::HOST, "sub");
    assert!(matches!(built(with(place()).forward(reserved)), RemoteError::Forward(_)));
    let settings = |change: fn(&mut RemoteConfig)| {
        let mut settings = RemoteConfig::default();
        change(&mut settings);
        built(with(place()).settings(settings))
    };
    for wrong in [
        settings(|settings| settings.timeout = Duration::ZERO),
        settings(|settings| settings.cooldown = Duration::ZERO),
        settings(|settings| settings.concurrency = 0),
        settings(|settings| settings.cache.ttl = Duration::MAX),
        built(with(place()).skew(Duration::from_secs(601))),
    ] {
        assert!(matches!(wrong, RemoteError::Setting(_)), "{wrong}");
    }
}
