//! Which nonces were used before.

use tokio::task::JoinSet;

use super::*;

fn nonce_of(owner: &str, nonce: &str, now: u64, remember: u64) -> Nonce {
    let seconds = Duration::from_secs;
    Nonce::new(owner, nonce, seconds(now), seconds(remember))
}

fn remembered(store: &MemoryNonces, nonce: &Nonce) -> Result<bool, Reason> {
    match store.remember(nonce) {
        Remembered::Now(found) => found.map_err(|error| error.reason()),
        Remembered::Later(_) => panic!("memory answers at once"),
    }
}

/// What these verifiers say about these requests, all at the same time.
async fn at_once(
    asked: impl Iterator<Item = (SignatureVerifier, Request)>,
) -> Vec<Result<String, String>> {
    let mut asking = JoinSet::new();
    for (verifier, request) in asked {
        asking.spawn(async move {
            let said = said(&verifier, &request);
            drop(request);
            said.await
        });
    }
    asking.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_copies_at_once_one_passes() {
    for _ in 0..50 {
        let verifier = verifier();
        let request = signed(get("/orders"));
        let found = at_once((0..10).map(|_| (verifier.clone(), copy(&request)))).await;
        assert_eq!(found.iter().filter(|one| one.is_ok()).count(), 1, "{found:?}");
        let used = found.iter().filter(|one| **one == fault(SignatureRejection::NonceUsed));
        assert_eq!(used.count(), 9, "{found:?}");
    }
}

#[tokio::test]
async fn a_nonce_is_remembered_while_its_signature_is_young_enough() {
    let clock = FakeClock::new();
    let nonces = MemoryNonces::default();
    let verifier = builder().with_clock(clock.clone()).with_nonces(nonces.clone()).build().unwrap();
    // Made as late as it may be: it is good for as long as possible.
    let mut request = get("/");
    let created = NOW + 60;
    let input = format!(r#"({COVERED});created={created};keyid="k1";nonce="abcdefgh""#);
    sign_as(&mut request, "sig", &secret(), &input);
    assert_eq!(said(&verifier, &request).await, ada());
    for _ in 0..=420 {
        assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::NonceUsed));
        clock.advance(1);
    }
    assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::Expired));
    assert_eq!(nonces.len(), 1);
    clock.advance(300);
    // The next one takes its place.
    let now = clock.seconds();
    let mut next = get("/");
    let input = format!(r#"({COVERED});created={now};keyid="k1";nonce="abcdefgh""#);
    sign_as(&mut next, "sig", &secret(), &input);
    assert_eq!(said(&verifier, &next).await, ada());
    assert_eq!(nonces.len(), 1);
}

#[test]
fn a_full_store_rejects_instead_of_forgetting() {
    let store = MemoryNonces::new(3);
    for place in 0..3 {
        assert_eq!(remembered(&store, &nonce_of("a", &place.to_string(), 0, 10)), Ok(true));
    }
    let full = Err(Reason::IdentityUnavailable);
    assert_eq!(remembered(&store, &nonce_of("a", "3", 10, 10)), full);
    // Known ones are told from new ones, and other keys have room of their own.
    assert_eq!(remembered(&store, &nonce_of("a", "0", 10, 10)), Ok(false));
    assert_eq!(remembered(&store, &nonce_of("b", "0", 10, 10)), Ok(true));
    // When they are over there is room again.
    assert_eq!(remembered(&store, &nonce_of("a", "3", 11, 10)), Ok(true));
    assert_eq!(store.len(), 2);
}

#[test]
fn a_flood_of_nonces_costs_a_bounded_memory() {
    let store = MemoryNonces::new(1000);
    let rejected = (0..20_000)
        .filter(|place| remembered(&store, &nonce_of("a", &place.to_string(), 0, 600)).is_err())
        .count();
    assert_eq!((store.len(), rejected), (1000, 19_000));
}

#[test]
fn owners_and_nonces_are_not_mixed_up() {
    let a = nonce_of("ab", "c", 0, 1);
    let b = nonce_of("a", "bc", 0, 1);
    assert_ne!(a.fingerprint, b.fingerprint);
    assert_ne!(a.owner, b.owner);
}

#[cfg(feature = "redis")]
mod redis {

    use ::redis::{Client, cmd};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::testing::RedisServer;

    /// What gateways share.
    struct Server {
        redis: RedisServer,
    }

    impl Server {
        async fn start() -> Option<Self> {
            RedisServer::start().await.map(|redis| Self { redis })
        }

        /// The verifier of one gateway.
        fn gateway(&self) -> SignatureVerifier {
            gateway(self.redis.url(), Duration::from_secs(5))
        }
    }

    fn gateway(url: String, deadline: Duration) -> SignatureVerifier {
        let settings = RedisNoncesConfig { url, timeout: deadline, ..RedisNoncesConfig::default() };
        builder().with_nonces(RedisNonces::new(settings).unwrap()).build().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_ten_copies_at_two_gateways_one_passes() {
        let Some(server) = Server::start().await else {
            return;
        };
        let gateways = [server.gateway(), server.gateway()];
        for _ in 0..20 {
            let request = signed(get("/orders"));
            let copies = (0..10).map(|place| (gateways[place % 2].clone(), copy(&request)));
            let found = at_once(copies).await;
            assert_eq!(found.iter().filter(|one| one.is_ok()).count(), 1, "{found:?}");
            let used = found.iter().filter(|one| **one == fault(SignatureRejection::NonceUsed));
            assert_eq!(used.count(), 9, "{found:?}");
        }
    }

    #[tokio::test]
    async fn nonces_expire_and_name_nobody() {
        let Some(server) = Server::start().await else {
            return;
        };
        assert_eq!(said(&server.gateway(), &signed(get("/"))).await, ada());
        let client = Client::open(server.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        assert_eq!(keys.len(), 1);
        assert!(keys[0].starts_with("gateway:nonce:") && !keys[0].contains("k1"), "{keys:?}");
        let left: i64 = cmd("PTTL").arg(&keys[0]).query_async(&mut connection).await.unwrap();
        // Greatest age, and clocks that are apart on both sides.
        assert!((415_000..=421_000).contains(&left), "{left}");
    }

    #[tokio::test]
    async fn nobody_passes_while_redis_is_away_and_all_do_when_it_is_back() {
        let Some(mut server) = Server::start().await else {
            return;
        };
        let verifier = gateway(server.redis.url(), Duration::from_millis(500));
        assert_eq!(said(&verifier, &signed(get("/"))).await, ada());
        server.redis.stop().await;
        let away = verifier.verify(&signed(get("/"))).await.unwrap_err();
        assert_eq!(away.reason(), Reason::IdentityUnavailable);
        assert!(server.redis.run().await);
        let back = async {
            while said(&verifier, &signed(get("/"))).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), back).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_costs_the_deadline() {
        // Takes connections and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", silent.local_addr().unwrap());
        let verifier = gateway(url, Duration::from_millis(50));
        let asked = Instant::now();
        let error = verifier.verify(&signed(get("/"))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::IdentityUnavailable);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }

    #[test]
    fn addresses_and_prefixes_are_checked_and_passwords_not_told() {
        let settings = |url: &str, prefix: &str| RedisNoncesConfig {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            ..RedisNoncesConfig::default()
        };
        assert!(RedisNonces::new(settings("redis://127.0.0.1", "a{b}")).is_err());
        let wrong = settings("http://user:secret@127.0.0.1", "gateway");
        assert!(!format!("{wrong:?}").contains("secret"));
        let error = RedisNonces::new(wrong).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        let store = RedisNonces::new(settings("redis://user:secret@127.0.0.1", "gateway")).unwrap();
        assert!(!format!("{store:?}").contains("secret"));
        let no_time = RedisNoncesConfig { timeout: Duration::ZERO, ..settings("redis://a", "a") };
        assert_eq!(RedisNonces::new(no_time).unwrap_err(), RedisNoncesError::Deadline);
    }
}
