//! How long answers hold, and how a server that is away is spared.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_holds_for_its_time() {
    let server = Server::new(Does::says(&ada()));
    let tokens = introspection(&server).build().unwrap();
    for _ in 0..3 {
        assert_eq!(said(&tokens, "t").await.as_deref(), Ok("ada"));
    }
    assert_eq!(server.asked(), 1);
    advance(DEFAULT_TTL).await;
    server.now(Does::says(&json!({"active": false})));
    assert_eq!(said(&tokens, "t").await, Err(Reason::TokenInvalid));
    assert_eq!(server.asked(), 2);
    assert_eq!((tokens.status().known, tokens.status().rejected), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_no_longer_than_the_token() {
    let server = Server::new(Does::says(&ada_with("exp", json!(NOW + 10))));
    let clock = FakeClock::new();
    let tokens = introspection(&server).with_clock(clock.clone()).build().unwrap();
    said(&tokens, "t").await.unwrap();
    clock.advance(9);
    said(&tokens, "t").await.unwrap();
    assert_eq!(server.asked(), 1);
    clock.advance(1);
    // Within the skew, and asked about each time.
    said(&tokens, "t").await.unwrap();
    said(&tokens, "t").await.unwrap();
    assert_eq!(server.asked(), 3);
    clock.advance(60);
    assert_eq!(said(&tokens, "t").await, Err(Reason::TokenInvalid));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_holds_for_a_shorter_time() {
    let server = Server::new(Does::says(&json!({"active": false})));
    let tokens = introspection(&server).build().unwrap();
    for _ in 0..3 {
        assert_eq!(said(&tokens, "t").await, Err(Reason::TokenInvalid));
    }
    assert_eq!(server.asked(), 1);
    server.now(Does::says(&ada()));
    advance(DEFAULT_REFUSED_TTL).await;
    assert_eq!(said(&tokens, "t").await.as_deref(), Ok("ada"));
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_the_server_is_asked_each_time() {
    let server = Server::new(Does::says(&ada()));
    let mut settings = RemoteConfig::default();
    (settings.cache.entries, settings.cache.negative_entries) = (0, 0);
    let tokens = introspection(&server).settings(settings).build().unwrap();
    for _ in 0..3 {
        said(&tokens, "t").await.unwrap();
    }
    server.now(Does::says(&json!({"active": false})));
    for _ in 0..3 {
        said(&tokens, "t").await.unwrap_err();
    }
    assert_eq!(server.asked(), 6);
}

#[tokio::test(start_paused = true)]
async fn many_requests_with_one_token_ask_once() {
    let server = Server::new(Does::Takes(Duration::from_secs(1), ada()));
    let tokens = introspection(&server).build().unwrap();
    let asking = (0..100).map(|_| said(&tokens, "t"));
    for outcome in futures_util::future::join_all(asking).await {
        assert_eq!(outcome.as_deref(), Ok("ada"));
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_nobody_elses_answer_along() {
    let server = Server::new(Does::Takes(Duration::from_secs(1), ada()));
    let tokens = introspection(&server).build().unwrap();
    let first = said(&tokens, "t");
    let second = said(&tokens, "t");
    let left = tokio::time::timeout(Duration::from_millis(500), first).await;
    assert!(left.is_err());
    assert_eq!(second.await.as_deref(), Ok("ada"));
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn not_more_is_asked_at_a_time_than_may_be() {
    let server = Server::new(Does::Takes(Duration::from_millis(100), ada()));
    let settings = RemoteConfig { concurrency: 4, ..RemoteConfig::default() };
    let tokens = introspection(&server).settings(settings).build().unwrap();
    let names: Vec<_> = (0..40).map(|number| format!("t{number}")).collect();
    let asking = names.iter().map(|name| said(&tokens, name));
    for outcome in futures_util::future::join_all(asking).await {
        assert_eq!(outcome.as_deref(), Ok("ada"));
    }
    assert_eq!(server.most_under_way.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_does_not_cost_each_request_the_deadline() {
    let server = Server::new(Does::Stalls);
    let tokens = introspection(&server).build().unwrap();
    for number in 0..FAILURES {
        let began = Instant::now();
        said(&tokens, &format!("t{number}")).await.unwrap_err();
        assert_eq!(began.elapsed(), DEFAULT_TIMEOUT);
    }
    let began = Instant::now();
    for number in 0..1000 {
        let error = tokens.verify(&format!("later-{number}")).await.unwrap_err();
        assert_eq!(error.reason(), Reason::IdentityUnavailable);
        assert_eq!(error.retry_after(), Some(DEFAULT_COOLDOWN));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(server.asked(), FAILURES as usize);
}

#[tokio::test(start_paused = true)]
async fn cooldown_doubles_once_per_outage() {
    let server = Server::new(Does::Stalls);
    let tokens = introspection(&server).build().unwrap();
    // All in flight when the server goes away: they fail one after the other.
    let queries = (0..12_u64).map(|number| {
        let tokens = tokens.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(10 * number)).await;
            tokens.verify(&format!("t{number}")).await.unwrap_err()
        }
    });
    futures_util::future::join_all(queries).await;
    let asked = server.asked();
    assert_eq!(asked, 12);
    server.now(Does::Takes(Duration::ZERO, ada()));
    advance(DEFAULT_COOLDOWN).await;
    assert_eq!(said(&tokens, "probe").await.as_deref(), Ok("ada"));
}

#[tokio::test(start_paused = true)]
async fn one_request_finds_out_whether_the_server_is_back() {
    let server = Server::new(Does::Fails(Reason::ConnectFailed));
    let tokens = introspection(&server).build().unwrap();
    for number in 0..FAILURES {
        said(&tokens, &format!("t{number}")).await.unwrap_err();
    }
    let mut pause = DEFAULT_COOLDOWN;
    let mut asked = FAILURES as usize;
    for _ in 0..8 {
        advance(pause - Duration::from_millis(1)).await;
        said(&tokens, "early").await.unwrap_err();
        assert_eq!(server.asked(), asked);
        advance(Duration::from_millis(1)).await;
        said(&tokens, "probe").await.unwrap_err();
        asked += 1;
        assert_eq!(server.asked(), asked);
        pause = (pause * 2).min(MAX_COOLDOWN);
    }
    assert_eq!(pause, MAX_COOLDOWN);
    advance(pause).await;
    server.now(Does::Takes(Duration::from_secs(1), ada()));
    let (probe, other) = tokio::join!(said(&tokens, "probe"), said(&tokens, "other"));
    assert_eq!((probe.as_deref(), other), (Ok("ada"), Err(Reason::IdentityUnavailable)));
    assert_eq!(said(&tokens, "other").await.as_deref(), Ok("ada"));
    assert_eq!(server.asked(), asked + 2);
}

#[tokio::test(start_paused = true)]
async fn known_tokens_go_on_while_the_server_is_away() {
    let server = Server::new(Does::says(&ada()));
    let tokens = introspection(&server).build().unwrap();
    said(&tokens, "known").await.unwrap();
    server.now(Does::Stalls);
    for number in 0..5 {
        said(&tokens, &format!("t{number}")).await.unwrap_err();
    }
    assert_eq!(said(&tokens, "known").await.as_deref(), Ok("ada"));
    advance(DEFAULT_TTL).await;
    assert_eq!(said(&tokens, "known").await, Err(Reason::IdentityUnavailable));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_rejects_the_gateway_is_not_asked_on_and_on() {
    let server = Server::new(Does::Says(401, "", Bytes::new()));
    let tokens = introspection(&server).build().unwrap();
    for number in 0..10 {
        assert_eq!(said(&tokens, &format!("t{number}")).await, Err(Reason::IdentityUnavailable));
    }
    assert_eq!(server.asked(), FAILURES as usize);
    assert_eq!(tokens.status().failure.as_deref(), Some("it rejects the gateway: 401"));
}
