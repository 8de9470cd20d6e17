//! Tokens by keys that nobody has: each may cost the issuer a question, and must not.

use std::sync::Arc;
use std::time::Duration;

use gateway_tests::tokens::{Signer, claims};
use gateway_tests::{Answer, Client, Upstream};
use tokio::time::Instant;

use super::issuers::{Says, at, document, fresh, keys};
use super::{MIB, grown, request};

#[tokio::test]
async fn ten_thousand_unknown_keys_ask_the_server_a_few_times_and_lock_nobody_out() {
    const STRANGERS: usize = 40;
    const TOKENS: usize = 250;
    let (signer, stranger) = (Signer::ed(), Signer::ed());
    let says = Says::new(keys(&[signer.jwk("a")]));
    let (server, upstream) = (says.start().await, Upstream::http1().start().await);
    let main = at(&server, "cooldown = \"1s\"");
    let gateway = document(&upstream, &[("main", main)]).start().await;
    fresh(&gateway, &signer, "a", 0).await.assert_ok("ok");
    // Each fetch takes a while from now on, in which everybody may come.
    says.now(
        keys(&[signer.jwk("a")]).steps_after(Answer::unread().pause(Duration::from_millis(100))),
    );
    // The cooldown that the first fetch began.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (before, fetched, began) = (gateway.usage().peak_kib, server.seen().len(), Instant::now());
    let (addr, stranger) = (gateway.addr(), Arc::new(stranger));
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..STRANGERS {
        let stranger = Arc::clone(&stranger);
        storm.spawn(async move {
            let mut client = Client::http1(addr);
            let mut wrong = Vec::new();
            for token in 0..TOKENS {
                let token = stranger.token(&format!("{number}-{token}"), &claims("eve"));
                let bearer = format!("Bearer {token}");
                let reply = client.send(request("/main", &[("authorization", &bearer)])).await;
                if reply.reason().as_deref() != Some("token_invalid") {
                    wrong.push(reply);
                }
            }
            wrong
        });
    }
    let (mut number, mut client) = (1, Client::http1(addr));
    let wrong = loop {
        // Those whose key is known pass all the time, with a token that is new each time.
        let mut claims = claims("ada");
        claims["jti"] = number.to_string().into();
        let bearer = format!("Bearer {}", signer.token("a", &claims));
        client.send(request("/main", &[("authorization", &bearer)])).await.assert_ok("ok");
        number += 1;
        if let Ok(wrong) = tokio::time::timeout(Duration::ZERO, storm.join_next()).await {
            let Some(wrong) = wrong else { break Vec::new() };
            let wrong = wrong.expect("no panic");
            if !wrong.is_empty() {
                break wrong;
            }
        }
    };
    assert!(wrong.is_empty(), "{} such as {:?}", wrong.len(), wrong[0]);
    let fetches = server.seen().len() - fetched;
    let allowed = began.elapsed().as_secs() as usize + 2;
    assert!((1..=allowed).contains(&fetches), "{fetches} fetches in {:?}", began.elapsed());
    assert!(grown(&gateway, before) < 16 * MIB, "{} KiB", grown(&gateway, before));
    assert!(number > 20, "only {number} passed");
    eprintln!("{fetches} fetches, {number} passed, {:?}", began.elapsed());
    assert!(upstream.seen().iter().all(|seen| seen.header("x-user-id") == Some("ada")));
    gateway.assert_quiet().await;
}
