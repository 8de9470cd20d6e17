//! What strangers try, and what stores do that are in trouble.

use futures_util::future::join_all;
use tokio::time::{Instant, advance};

use super::*;

fn wrong_key(number: u32) -> String {
    format!("a-key-that-nobody-has-{number}")
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wrong_keys_pushes_out_none_that_is_good_and_stays_within_its_bounds() {
    let store = Moody::default();
    let keys = store.gateway().cached_keys(64).build();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    for round in 0..20 {
        let flood = (0..200).map(|number| {
            let keys = keys.clone();
            async move { verify(&keys, &wrong_key(round * 200 + number)).await }
        });
        assert!(join_all(flood).await.into_iter().all(|one| one == Err(ApiKeyRejection::Unknown)));
    }
    // It is known still, without asking.
    store.set_away(true);
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    let status = keys.status();
    assert!(status.cached == 1 && status.cached_unknown <= 64, "{status:?}");
    assert_eq!(store.asked(), 1 + 4000);
}

#[tokio::test(start_paused = true)]
async fn more_look_ups_at_a_time_than_may_be_are_rejected_and_known_keys_pass() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    store.stalls.store(true, Ordering::Relaxed);
    let flood = (0..2000).map(|number| {
        let keys = keys.clone();
        async move { verify(&keys, &wrong_key(number)).await }
    });
    let began = Instant::now();
    let (flood, known) = tokio::join!(join_all(flood), verify(&keys, key.reveal()));
    assert_eq!(known, Ok(()));
    assert!(flood.into_iter().all(|one| one == Err(ApiKeyRejection::Unavailable)));
    // 256 at a time, each until the deadline; the others at once.
    assert_eq!(store.asked(), 1 + 256);
    assert_eq!(began.elapsed().as_millis() / 10, DEFAULT_TIMEOUT.as_millis() / 10);
}

#[tokio::test(start_paused = true)]
async fn one_key_that_many_show_at_once_is_looked_up_once() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let many = (0..100).map(|_| verify(&keys, key.reveal()));
    assert!(join_all(many).await.into_iter().all(|one| one.is_ok()));
    assert_eq!(store.asked(), 1);
    // And not again for one that is not there, until it may have come.
    let wrong = wrong_key(1);
    for _ in 0..10 {
        assert_eq!(verify(&keys, &wrong).await, Err(ApiKeyRejection::Unknown));
    }
    assert_eq!(store.asked(), 2);
    advance(DEFAULT_NEGATIVE_TTL).await;
    assert_eq!(verify(&keys, &wrong).await, Err(ApiKeyRejection::Unknown));
    assert_eq!(store.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_known_keys_pass_until_their_time_and_nobody_else() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let (other, _) = keys.issue(KeyGrant::new("other")).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    store.set_away(true);
    assert_eq!(verify(&keys, other.reveal()).await, Err(ApiKeyRejection::Unavailable));
    advance(DEFAULT_TTL - Duration::from_secs(1)).await;
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    // Any key may have changed, nobody knows: it holds as long as nobody can tell.
    store.keys.changes().tell(KeyChange::Any);
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    advance(Duration::from_secs(1)).await;
    assert_eq!(verify(&keys, key.reveal()).await, Err(ApiKeyRejection::Unavailable));
    store.set_away(false);
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    assert_eq!(verify(&keys, other.reveal()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_with_another_key_lets_nobody_in() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (_, admin) = keys.issue(KeyGrant::new("admin")).await.unwrap();
    *store.lie.lock().unwrap() = Some(admin);
    assert_eq!(verify(&keys, &wrong_key(1)).await, Err(ApiKeyRejection::Unavailable));
    assert_eq!(keys.status().failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_typo_asks_nobody() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let last = if key.reveal().ends_with('0') { "1" } else { "0" };
    let typo = format!("{}{last}", &key.reveal()[..key.reveal().len() - 1]);
    assert_eq!(verify(&keys, &typo).await, Err(ApiKeyRejection::Malformed));
    assert_eq!(store.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_key_stands_in_what_is_printed() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (key, record) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let foreign = "planted-secret-of-a-partner";
    let imported = keys.import("foreign", foreign, KeyGrant::new("acme")).await.unwrap();
    verify(&keys, key.reveal()).await.unwrap();
    verify(&keys, foreign).await.unwrap();
    store.set_away(true);
    let fault = verify(&keys, "planted-secret-unknown").await.unwrap_err();
    let error = gateway_core::Error::from(fault);
    let authenticator = ApiKeyAuthenticator::new(keys.clone());
    let printed = format!(
        "{keys:?} {record:?} {imported:?} {key:?} {fault:?} {error:?} {authenticator:?} {:?} {:?}",
        keys.status(),
        keys.list().await.unwrap(),
    );
    let secret = key.reveal().rsplit('_').next().unwrap();
    assert!(!printed.contains(secret) && !printed.contains("planted"), "{printed}");
    // Nor what it is looked up by: who knows that cannot use it, and should not need to.
    assert!(!printed.contains(&record.digest.to_hex()), "{printed}");
}
