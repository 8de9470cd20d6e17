//! Keys as they come and go.

use tokio::time::{advance, sleep};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_taken_until_its_overlap_ends_and_the_new_one_at_once() {
    let store = Moody::default();
    let keys = store.gateway().with_clock(PausedClock::new()).ttl(2 * HOUR).build();
    let (old, record) = keys.issue(KeyGrant::new("acme").roles(["admin"])).await.unwrap();
    assert_eq!(verify(&keys, old.reveal()).await, Ok(()));
    let (new, next) = keys.rotate(&record.id, HOUR).await.unwrap();
    assert_eq!((next.grant.owner.as_str(), &*next.grant.roles), ("acme", &record.grant.roles[..]));
    assert_eq!(next.grant.expires, None);
    assert_eq!(verify(&keys, new.reveal()).await, Ok(()));
    assert_eq!(verify(&keys, old.reveal()).await, Ok(()));
    advance(HOUR - Duration::from_secs(1)).await;
    assert_eq!(verify(&keys, old.reveal()).await, Ok(()));
    advance(Duration::from_secs(1)).await;
    assert_eq!(verify(&keys, old.reveal()).await, Err(ApiKeyRejection::Expired));
    assert_eq!(verify(&keys, new.reveal()).await, Ok(()));
    let replaced = keys.load(&record.id).await.unwrap().replaced_by;
    assert_eq!(replaced.as_deref(), Some(new.id()));
}

#[tokio::test(start_paused = true)]
async fn an_overlap_makes_no_key_live_longer_and_what_is_over_is_not_rotated() {
    let store = Moody::default();
    let clock = PausedClock::new();
    let keys = store.gateway().with_clock(clock.clone()).build();
    let soon = clock.now() + HOUR;
    let (_, record) = keys.issue(KeyGrant::new("acme").expires(soon)).await.unwrap();
    keys.rotate(&record.id, 10 * HOUR).await.unwrap();
    assert_eq!(keys.load(&record.id).await.unwrap().grant.expires, Some(soon));
    advance(HOUR).await;
    let again = keys.rotate(&record.id, HOUR).await.map(drop);
    assert_eq!(again, Err(KeyManagementError::Over(record.id.clone())));
    let (_, other) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    keys.revoke(&other.id).await.unwrap();
    let revoked = keys.rotate(&other.id, HOUR).await.map(drop);
    assert_eq!(revoked, Err(KeyManagementError::Over(other.id)));
    let unknown = keys.rotate("nobody", HOUR).await.map(drop);
    assert_eq!(unknown, Err(KeyManagementError::Unknown("nobody".to_owned())));
    assert_eq!(keys.list().await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_rejected_at_once_although_it_was_remembered() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let other = store.gateway().build();
    let (key, record) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    assert_eq!(verify(&other, key.reveal()).await, Ok(()));
    assert_eq!(store.asked(), 2);
    other.revoke(&record.id).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Err(ApiKeyRejection::Revoked));
    assert_eq!(verify(&other, key.reveal()).await, Err(ApiKeyRejection::Revoked));
    keys.remove(&record.id).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Err(ApiKeyRejection::Unknown));
    assert_eq!(keys.remove(&record.id).await, Err(KeyManagementError::Unknown(record.id)));
}

#[tokio::test(start_paused = true)]
async fn a_key_revoked_while_it_is_looked_up_does_not_stay() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let (key, record) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    // The store has read the record when somebody revokes the key.
    *store.lie.lock().unwrap() = Some(record.clone());
    let asking = tokio::time::timeout(Duration::from_secs(1), verify(&keys, key.reveal()));
    let revoking = async {
        sleep(Duration::from_millis(5)).await;
        keys.revoke(&record.id).await.unwrap();
    };
    let (asked, ()) = tokio::join!(asking, revoking);
    assert_eq!(asked.unwrap(), Ok(()));
    *store.lie.lock().unwrap() = None;
    assert_eq!(verify(&keys, key.reveal()).await, Err(ApiKeyRejection::Revoked));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_tried_before_it_was_imported_is_taken_at_once() {
    let store = Moody::default();
    let keys = store.gateway().build();
    let foreign = "sk_live_51H8aBcDeFgHiJkLmN";
    assert_eq!(verify(&keys, foreign).await, Err(ApiKeyRejection::Unknown));
    keys.import("stripe-like", foreign, KeyGrant::new("acme")).await.unwrap();
    assert_eq!(verify(&keys, foreign).await, Ok(()));
    for wrong in
        ["short", "gk_000000000000_0123456789012345678901234567890123456", &"x".repeat(1025)]
    {
        let import = keys.import("wrong", wrong, KeyGrant::new("acme")).await.map(drop);
        assert_eq!(import, Err(KeyManagementError::Foreign), "{wrong}");
    }
    let own_only = store.gateway().any_format(false).build();
    let asked = store.asked();
    assert_eq!(verify(&own_only, foreign).await, Err(ApiKeyRejection::Unknown));
    assert_eq!(store.asked(), asked);
}

#[tokio::test]
async fn who_changes_a_key_at_the_same_time_takes_nothing_back() {
    let store = Arc::new(MemoryKeyStore::new());
    let record = KeyRecord::new("a", SecretDigest::of(b"key"), KeyGrant::new("acme"));
    store.put(std::slice::from_ref(&record)).await.unwrap();
    assert_eq!(store.put(std::slice::from_ref(&record)).await, Err(StoreError::Changed));
    let mut revoked = record.clone();
    (revoked.disabled, revoked.revision) = (true, 2);
    store.put(&[revoked.clone()]).await.unwrap();
    // Somebody who has read it before would bring it back.
    let mut late = record.clone();
    late.revision = 2;
    assert_eq!(store.put(&[late]).await, Err(StoreError::Changed));
    assert_eq!(store.load("a").await.unwrap(), Some(revoked));
    // And a second key with the same digest, or a batch of which one is wrong, changes nothing.
    let twin = KeyRecord::new("b", record.digest, KeyGrant::new("other"));
    let good = KeyRecord::new("c", SecretDigest::of(b"c"), KeyGrant::new("other"));
    assert_eq!(store.put(&[good, twin]).await, Err(StoreError::Changed));
    assert_eq!(store.list().await.unwrap().len(), 1);
}
