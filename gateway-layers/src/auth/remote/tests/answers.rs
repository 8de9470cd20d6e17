//! What servers say, and what is made of it.

use super::*;

/// What is made of an answer to an introspection.
async fn made_of(does: Does) -> Result<String, Reason> {
    said(&introspection(&Server::new(does)).build().unwrap(), "t").await
}

#[tokio::test]
async fn what_an_issuer_says_becomes_the_principal() {
    let server = Server::new(Does::says(&ada()));
    let forward = Forward::new().field(USER, "sub");
    let tokens = introspection(&server).forward(forward).tenant_claim("client_id").build().unwrap();
    let identity = tokens.verify("t").await.unwrap();
    let principal = &identity.principal;
    assert_eq!((&*principal.subject, principal.method), ("ada", "introspection"));
    assert_eq!(principal.issuer.as_deref(), Some("https://issuer.example"));
    assert_eq!(principal.tenant.as_deref(), Some("app"));
    assert!(principal.has_scope("orders:read") && principal.has_scope("orders:write"));
    assert!(principal.has_role("reader"));
    assert_eq!(*identity.fields, [(USER, "ada".parse().unwrap())]);
    assert_eq!(tokens.reserved_headers(), [USER]);
}

#[tokio::test]
async fn a_token_for_somebody_else_is_rejected() {
    let rejected = [
        json!({"active": false}),
        ada_with("active", json!(false)),
        ada_with("iss", json!("https://other.example")),
        ada_with("iss", Value::Null),
        ada_with("aud", json!("payments")),
        ada_with("aud", json!([])),
        ada_with("aud", Value::Null),
        ada_with("exp", json!(NOW - 61)),
        ada_with("nbf", json!(NOW + 61)),
        ada_with("iat", json!(NOW + 61)),
        ada_with("sub", Value::Null),
        ada_with("sub", json!("")),
    ];
    for said in rejected {
        assert_eq!(made_of(Does::says(&said)).await, Err(Reason::TokenInvalid), "{said}");
    }
    let taken = [
        ada_with("aud", json!(["payments", "orders"])),
        ada_with("exp", json!(NOW - 59)),
        ada_with("exp", Value::Null),
        ada_with("nbf", json!(NOW + 59)),
        ada_with("extension_field", json!({"a": [1, 2]})),
    ];
    for said in taken {
        assert_eq!(made_of(Does::says(&said)).await.as_deref(), Ok("ada"), "{said}");
    }
}

#[tokio::test]
async fn what_is_required_has_to_be_there() {
    let server = Server::new(Does::says(&ada()));
    let with = |name: &str| introspection(&server).required_claims([name]).build().unwrap();
    assert_eq!(said(&with("username"), "t").await.as_deref(), Ok("ada"));
    assert_eq!(said(&with("acr"), "t").await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn a_name_that_no_field_can_carry_is_rejected() {
    let server = Server::new(Does::says(&ada_with("sub", json!("ada\r\nx-role: admin"))));
    let forward = Forward::new().field(USER, "sub");
    let tokens = introspection(&server).forward(forward).build().unwrap();
    assert_eq!(said(&tokens, "t").await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn a_service_says_who_it_is_in_its_own_words() {
    let answer = json!({
        "valid": true, "user": {"id": 42, "roles": ["admin", "user"], "plan": "gold"},
        "exp": NOW + 60, "aud": 7, "iat": "yesterday",
    });
    let server = Server::new(Does::says(&answer));
    let tokens = Delegated::new(server.place())
        .subject_claim("user.id")
        .roles_claims(["user.roles"])
        .tier_claim("user.plan")
        .with_clock(FakeClock::new());
    let identity = tokens.clone().build().unwrap().verify("t").await.unwrap();
    let principal = &identity.principal;
    assert_eq!((&*principal.subject, principal.method), ("42", "delegated"));
    assert!(principal.has_role("admin") && principal.has_role("user"));
    assert_eq!(principal.tier.as_deref(), Some("gold"));
    let elsewhere = tokens.clone().subject_claim("user.name").build().unwrap();
    assert_eq!(said(&elsewhere, "t").await, Err(Reason::TokenInvalid));
    server.now(Does::says(&json!({"user": {"id": 42}, "exp": NOW})));
    assert_eq!(said(&tokens.clone().build().unwrap(), "t").await, Err(Reason::TokenInvalid));
    server.now(Does::says(&json!({"user": {"id": 42}, "exp": "tomorrow"})));
    let unread = tokens.clone().build().unwrap();
    assert_eq!(said(&unread, "t").await, Err(Reason::IdentityUnavailable));
    let timeless = tokens.expires_claim(None).build().unwrap();
    assert_eq!(said(&timeless, "t").await.as_deref(), Ok("42"));
}

#[tokio::test]
async fn a_service_that_answers_200_about_a_bad_token_is_understood() {
    for (answer, wanted) in [
        (json!({"sub": "ada", "valid": false}), Err(Reason::TokenInvalid)),
        (json!({"sub": "ada", "active": false}), Err(Reason::TokenInvalid)),
        (json!({"sub": "ada", "active": true, "valid": false}), Err(Reason::TokenInvalid)),
        (json!({"sub": "ada", "valid": "true"}), Err(Reason::IdentityUnavailable)),
        (json!({"sub": "ada", "valid": 1}), Err(Reason::IdentityUnavailable)),
        (json!({"sub": "ada", "valid": null}), Err(Reason::IdentityUnavailable)),
        (json!({"sub": "ada"}), Ok("ada")),
    ] {
        let server = Server::new(Does::says(&answer));
        let tokens = Delegated::new(server.place()).build().unwrap();
        assert_eq!(said(&tokens, "t").await.as_deref(), wanted.as_deref(), "{answer}");
    }
    let server = Server::new(Does::says(&json!({"sub": "ada", "valid": true})));
    let tokens = Delegated::new(server.place()).active_claim("ok").build().unwrap();
    assert_eq!(said(&tokens, "t").await, Err(Reason::IdentityUnavailable));
}

#[tokio::test]
async fn the_statuses_of_a_service_mean_what_they_say() {
    for (status, wanted) in [
        (401, Reason::TokenInvalid),
        (403, Reason::TokenInvalid),
        (404, Reason::IdentityUnavailable),
        (302, Reason::IdentityUnavailable),
        (204, Reason::IdentityUnavailable),
        (500, Reason::IdentityUnavailable),
    ] {
        let server = Server::new(Does::Says(status, "application/json", ada().to_string().into()));
        let tokens = Delegated::new(server.place()).build().unwrap();
        assert_eq!(said(&tokens, "t").await, Err(wanted), "{status}");
    }
    let server = Server::new(Does::Says(422, "", Bytes::new()));
    let statuses = [StatusCode::UNAUTHORIZED, StatusCode::UNPROCESSABLE_ENTITY];
    let tokens = Delegated::new(server.place()).rejected_statuses(statuses).build().unwrap();
    assert_eq!(said(&tokens, "t").await, Err(Reason::TokenInvalid));
}
