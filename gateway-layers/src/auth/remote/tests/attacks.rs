//! Servers that lie, stall or flood, and clients that try to use it.

use super::*;

async fn unusable(does: Does) {
    let server = Server::new(does);
    let tokens = introspection(&server).build().unwrap();
    assert_eq!(said(&tokens, "t").await, Err(Reason::IdentityUnavailable));
    assert!(!tokens.status().well);
    // Nobody is let in by what was kept of it, and it is asked again.
    server.now(Does::says(&ada()));
    assert_eq!(said(&tokens, "t").await.as_deref(), Ok("ada"));
    assert!(tokens.status().well);
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_or_none_lets_nobody_in() {
    for text in [
        r#"{"active":"true","sub":"ada"}"#,
        r#"{"active":1,"sub":"ada"}"#,
        r#"{"active":null,"sub":"ada"}"#,
        r#"{"sub":"ada"}"#,
        r#"{"active":false,"active":true,"sub":"ada"}"#,
        r#"{"active":true,"sub":"ada","sub":"root"}"#,
        r#"{"active":true,"s\u0075b":"ada","sub":"root"}"#,
        r#"[{"active":true,"sub":"ada"}]"#,
        r#"{"active":true,"sub":"ada"}{"active":false}"#,
        r#"{"active":true,"sub":"ada""#,
        r#"{"active":true,"sub":"ada","exp":1e400}"#,
        r#"<html>active: true</html>"#,
        "",
        "true",
    ] {
        unusable(Does::raw(text)).await;
    }
    unusable(Does::Says(200, "application/json", b"{\"active\":true,\"sub\":\"\xff\"}"[..].into()))
        .await;
}

#[tokio::test]
async fn members_of_the_wrong_type_let_nobody_in() {
    for (name, value) in [
        ("sub", json!(7)),
        ("sub", json!(["ada"])),
        ("iss", json!(["https://issuer.example"])),
        ("aud", json!({"orders": true})),
        ("aud", json!(["orders", 7])),
        ("exp", json!("1900000000")),
        ("exp", json!(-1)),
        ("exp", json!(true)),
        ("nbf", json!([])),
        ("iat", json!("now")),
        ("scope", json!(["orders:read"])),
        ("client_id", json!(1)),
        ("username", json!({})),
    ] {
        unusable(Does::says(&ada_with(name, value))).await;
    }
}

#[tokio::test]
async fn what_does_not_say_once_that_it_is_json_is_none() {
    for kind in ["text/html", "text/plain", "application/jsonp", "application/x+xml", ""] {
        unusable(Does::Says(200, kind, ada().to_string().into())).await;
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/x+json"] {
        let server = Server::new(Does::Says(200, kind, ada().to_string().into()));
        let tokens = introspection(&server).build().unwrap();
        assert_eq!(said(&tokens, "t").await.as_deref(), Ok("ada"), "{kind}");
    }
}

#[tokio::test]
async fn only_a_200_is_an_answer() {
    for status in [201, 204, 206, 301, 302, 307, 400, 401, 403, 404, 429, 500, 503] {
        unusable(Does::Says(status, "application/json", ada().to_string().into())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_or_floods_costs_its_deadline_and_no_more() {
    for does in [Does::Stalls, Does::StallsInTheBody] {
        let server = Server::new(does);
        let tokens = introspection(&server).build().unwrap();
        let began = Instant::now();
        assert_eq!(said(&tokens, "t").await, Err(Reason::IdentityUnavailable));
        assert_eq!(began.elapsed(), DEFAULT_TIMEOUT);
        assert_eq!(server.under_way.load(Ordering::Relaxed), 0);
    }
    let server = Server::new(Does::Floods);
    let tokens = introspection(&server).build().unwrap();
    let began = Instant::now();
    assert_eq!(said(&tokens, "t").await, Err(Reason::IdentityUnavailable));
    assert!(began.elapsed() < DEFAULT_TIMEOUT);
    assert_eq!(tokens.status().failure.as_deref(), Some("its answer is larger than 65536 bytes"));
}

#[tokio::test]
async fn a_server_that_panics_leaves_nobody_waiting() {
    let server = Server::new(Does::Panics);
    let tokens = introspection(&server).build().unwrap();
    assert_eq!(said(&tokens, "t").await, Err(Reason::IdentityUnavailable));
    server.now(Does::says(&ada()));
    assert_eq!(said(&tokens, "t").await.as_deref(), Ok("ada"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_tokens_pushes_out_no_good_one() {
    let server = Server::new(Does::says(&ada()));
    let mut settings = RemoteConfig::default();
    (settings.cache.entries, settings.cache.negative_entries) = (100, 50);
    let tokens = introspection(&server).settings(settings).build().unwrap();
    for number in 0..20 {
        said(&tokens, &format!("good-{number}")).await.unwrap();
    }
    server.now(Does::says(&json!({"active": false})));
    for number in 0..5000 {
        assert_eq!(said(&tokens, &format!("bad-{number}")).await, Err(Reason::TokenInvalid));
    }
    let status = tokens.status();
    assert!(status.rejected <= 64, "{status:?}");
    let before = server.asked();
    for number in 0..20 {
        said(&tokens, &format!("good-{number}")).await.unwrap();
    }
    assert_eq!(server.asked(), before);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_upsets_the_server_locks_nobody_else_out() {
    let server = Server::new(Does::Says(500, "", Bytes::new()));
    let tokens = introspection(&server).build().unwrap();
    for number in 0..20 {
        assert_eq!(said(&tokens, &format!("odd-{number}")).await, Err(Reason::IdentityUnavailable));
    }
    assert_eq!(server.asked(), 20);
    server.now(Does::says(&ada()));
    assert_eq!(said(&tokens, "good").await.as_deref(), Ok("ada"));
}

#[tokio::test(start_paused = true)]
async fn more_questions_than_can_wait_are_rejected_at_once() {
    let server = Server::new(Does::Stalls);
    let settings = RemoteConfig { concurrency: 4, ..RemoteConfig::default() };
    let tokens = introspection(&server).settings(settings).build().unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..1028 {
        let request = request(&[("authorization", &format!("Bearer t{number}"))]);
        match tokens.authenticate(&request) {
            Authentication::Pending(pending) => drop(waiting.spawn(pending)),
            other => panic!("{number}: {other:?}"),
        }
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(said(&tokens, "one-more").await, Err(Reason::IdentityUnavailable));
    assert!(waiting.try_join_next().is_none(), "rejected at once, behind nobody");
    assert_eq!(server.most_under_way.load(Ordering::Relaxed), 4);
    while let Some(pending) = waiting.join_next().await {
        let Authentication::Rejected(error) = pending.unwrap() else { panic!("not rejected") };
        assert_eq!(error.reason(), Reason::IdentityUnavailable);
    }
}
