//! Keys that come from somewhere else, and may not come.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use gateway_core::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{advance, sleep};

use super::*;

/// What a server of keys does.
#[derive(Clone)]
enum Does {
    Answers(u16, String),
    Sends(Vec<u8>),
    Stalls,
    Closes,
    Floods,
}

/// A server of keys written for the tests.
struct KeyServer {
    address: std::net::SocketAddr,
    does: Arc<Mutex<Does>>,
    asked: Arc<AtomicUsize>,
    _tasks: Tasks,
}

impl KeyServer {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (does, asked) = (Arc::new(Mutex::new(does)), Arc::new(AtomicUsize::new(0)));
        let tasks = Tasks::new();
        let (behaviour, count) = (Arc::clone(&does), Arc::clone(&asked));
        let connections = Tasks::new();
        tasks.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (does, asked) = (Arc::clone(&behaviour), Arc::clone(&count));
                connections.spawn("serve", async move {
                    let _ = serve(stream, &does, &asked).await;
                });
            }
        });
        Self { address, does, asked, _tasks: tasks }
    }

    async fn with_keys(keys: &[Value]) -> Self {
        Self::start(Does::Answers(200, set(keys))).await
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut stream: TcpStream,
    does: &Mutex<Does>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).await? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let does = does.lock().unwrap().clone();
        match does {
            Does::Answers(status, body) => {
                let head = format!("HTTP/1.1 {status} X\r\nlocation: /other\r\ncontent-length:");
                let whole = format!("{head} {}\r\n\r\n{body}", body.len());
                stream.write_all(whole.as_bytes()).await?;
            }
            Does::Sends(bytes) => return stream.write_all(&bytes).await,
            Does::Stalls => std::future::pending().await,
            Does::Closes => return Ok(()),
            Does::Floods => {
                stream.write_all(b"HTTP/1.1 200 X\r\n\r\n{\"keys\":[").await?;
                loop {
                    stream.write_all(&[b' '; 65536]).await?;
                }
            }
        }
    }
}

/// A directory of this test alone.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jwt-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("jwks.json")
    }

    fn write(&self, keys: &[Value]) {
        std::fs::write(self.file(), set(keys)).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for keys as a request would.
async fn asks(verifier: &JwtVerifier, token: &str) -> Result<(), VerifyError> {
    verifier.verify(token).await.map(drop)
}

const UNKNOWN: Result<(), VerifyError> = Err(VerifyError::Token(TokenRejection::KeyUnknown));

fn unavailable(outcome: Result<(), VerifyError>) -> bool {
    matches!(outcome, Err(VerifyError::KeysUnavailable(_)))
}

#[tokio::test]
async fn everybody_waits_for_one_first_fetch() {
    let signer = Signer::ed();
    let server = KeyServer::with_keys(&[signer.jwk("a")]).await;
    let verifier = verifier(provider(Keys::url(&server.url())));
    let token = signer.sign("a", &claims());
    let all = futures_util::future::join_all((0..50).map(|_| asks(&verifier, &token))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(server.asked(), 1);
    assert_eq!(verifier.status()[0].freshness, Freshness::Fresh);
}

#[tokio::test]
async fn verifiers_with_the_same_stores_fetch_once() {
    let signer = Signer::ed();
    let server = KeyServer::with_keys(&[signer.jwk("a")]).await;
    let stores = KeyStores::new();
    let token = signer.sign("a", &claims());
    let mut all = Vec::new();
    for _ in 0..3 {
        let verifier = JwtVerifier::builder()
            .provider(provider(Keys::url(&server.url())))
            .with_clock(FakeClock::new())
            .stores(&stores)
            .build()
            .unwrap();
        assert_eq!(asks(&verifier, &token).await, Ok(()));
        all.push(verifier);
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_server_that_lies_lets_nobody_in() {
    let signer = Signer::ed();
    let token = signer.sign("a", &claims());
    let many: Vec<Value> = (0..10_000).map(|_| json!({"kty": "XYZ"})).collect();
    let secret = vec![7; 32];
    let good = set(&[signer.jwk("a")]);
    for does in [
        Does::Answers(500, good.clone()),
        Does::Answers(302, good.clone()),
        Does::Answers(204, String::new()),
        Does::Answers(200, "<html>".to_owned()),
        Does::Answers(200, "{}".to_owned()),
        Does::Answers(200, r#"{"keys":[]}"#.to_owned()),
        Does::Answers(200, r#"{"keys":{}}"#.to_owned()),
        Does::Answers(200, r#"{"keys":["#.to_owned()),
        Does::Answers(200, set(&many)),
        Does::Answers(200, set(&[Signer::Secret(secret.clone()).jwk("a")])),
        Does::Sends(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        Does::Sends(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n{\"keys\":[".to_vec()),
        Does::Stalls,
        Does::Closes,
        Does::Floods,
    ] {
        let server = KeyServer::start(does).await;
        let keys = Keys::url(&server.url()).timeout(Duration::from_millis(300));
        let verifier = verifier(provider(keys));
        assert!(unavailable(asks(&verifier, &token).await));
        let forged = Signer::Secret(secret.clone()).sign("a", &claims());
        assert!(asks(&verifier, &forged).await.is_err());
        // The next one does not ask again before the cool-down is over.
        assert!(unavailable(asks(&verifier, &token).await));
        assert!(server.asked() <= 1);
        let status = &verifier.status()[0];
        assert_eq!(status.freshness, Freshness::Unavailable);
        assert!(status.failure.is_some());
    }
}

#[tokio::test]
async fn a_server_that_begins_to_lie_locks_nobody_out() {
    let signer = Signer::ed();
    let server = KeyServer::with_keys(&[signer.jwk("a")]).await;
    let keys = Keys::url(&server.url()).cooldown(Duration::from_millis(20));
    let verifier = verifier(provider(keys));
    assert_eq!(asks(&verifier, &signer.sign("a", &claims())).await, Ok(()));
    server.now(Does::Answers(200, "<html>".to_owned()));
    // A key that is not known makes it ask, and be lied to.
    while verifier.status()[0].failure.is_none() {
        sleep(Duration::from_millis(5)).await;
        let stranger = Signer::ed();
        assert_eq!(asks(&verifier, &stranger.sign("b", &claims())).await, UNKNOWN);
    }
    let fresh_token = signer.sign("a", &claims_with("x", json!(1)));
    assert_eq!(asks(&verifier, &fresh_token).await, Ok(()));
}

#[tokio::test]
async fn keys_that_rotate_under_load_lock_nobody_out() {
    let (old, new) = (Signer::ed(), Signer::ed());
    let server = KeyServer::with_keys(&[old.jwk("old")]).await;
    let keys = Keys::url(&server.url()).cooldown(Duration::from_millis(1));
    let verifier = verifier(provider(keys));
    assert_eq!(asks(&verifier, &old.sign("old", &claims())).await, Ok(()));
    sleep(Duration::from_millis(10)).await;
    server.now(Does::Answers(200, set(&[old.jwk("old"), new.jwk("new")])));
    let tokens: Vec<String> = (0..100)
        .map(|number| {
            let claims = claims_with("jti", number.to_string().into());
            if number % 2 == 0 { old.sign("old", &claims) } else { new.sign("new", &claims) }
        })
        .collect();
    let all = futures_util::future::join_all(tokens.iter().map(|one| asks(&verifier, one))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn an_issuer_describes_where_its_keys_are() {
    let signer = Signer::ed();
    let server = KeyServer::with_keys(&[signer.jwk("a")]).await;
    let describes = async |description: Value| {
        let issuer = KeyServer::start(Does::Answers(200, description.to_string())).await;
        let keys = Keys::discovery(&format!("http://{}", issuer.address));
        let verifier = verifier(provider(keys));
        asks(&verifier, &signer.sign("a", &claims())).await
    };
    let url = server.url();
    assert_eq!(describes(json!({"issuer": ISSUER, "jwks_uri": url})).await, Ok(()));
    for wrong in [
        json!({"issuer": "https://eve.example", "jwks_uri": url}),
        json!({"jwks_uri": url}),
        json!({"issuer": ISSUER}),
        json!({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}),
    ] {
        assert!(unavailable(describes(wrong).await));
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_names_fetch_once_in_a_cool_down_and_harm_nobody() {
    let (signer, stranger) = (Signer::ed(), Signer::ed());
    let place = Place::new("storm");
    place.write(&[signer.jwk("a")]);
    let verifier = verifier(provider(Keys::file(place.file())));
    assert_eq!(asks(&verifier, &signer.sign("a", &claims())).await, Ok(()));
    let before = verifier.status()[0].fetches;
    for number in 0..1000 {
        let token = stranger.sign(&format!("random-{number}"), &claims());
        assert_eq!(asks(&verifier, &token).await, UNKNOWN);
        let claims = claims_with("jti", number.to_string().into());
        assert_eq!(asks(&verifier, &signer.sign("a", &claims)).await, Ok(()));
        advance(Duration::from_millis(100)).await;
    }
    let fetches = verifier.status()[0].fetches - before;
    assert!((5..=10).contains(&fetches), "{fetches}");
}

#[tokio::test(start_paused = true)]
async fn one_unknown_name_is_not_asked_for_in_every_cool_down() {
    let (signer, stranger) = (Signer::ed(), Signer::ed());
    let place = Place::new("same");
    place.write(&[signer.jwk("a")]);
    let verifier = verifier(provider(Keys::file(place.file())));
    assert_eq!(asks(&verifier, &signer.sign("a", &claims())).await, Ok(()));
    let token = stranger.sign("b", &claims());
    for _ in 0..300 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(asks(&verifier, &token).await, UNKNOWN);
    }
    let fetches = verifier.status()[0].fetches;
    assert!((5..=11).contains(&fetches), "{fetches}");
    // But it is found once it is there.
    place.write(&[signer.jwk("a"), stranger.jwk("b")]);
    advance(Duration::from_secs(31)).await;
    assert_eq!(asks(&verifier, &token).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_was_verified_ends_with_its_key_and_not_with_a_refresh() {
    let (signer, next) = (Signer::ed(), Signer::ed());
    let place = Place::new("retire");
    place.write(&[signer.jwk("a")]);
    let verifier = verifier(provider(Keys::file(place.file())));
    let token = signer.sign("a", &claims());
    let first = verifier.verify(&token).await.unwrap();
    for _ in 0..3 {
        let fetches = verifier.status()[0].fetches;
        while verifier.status()[0].fetches == fetches {
            sleep(Duration::from_secs(10)).await;
        }
        let again = verifier.verify(&token).await.unwrap();
        assert!(Arc::ptr_eq(first.principal(), again.principal()));
    }
    place.write(&[next.jwk("b")]);
    while asks(&verifier, &next.sign("b", &claims())).await.is_err() {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(asks(&verifier, &token).await, UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_before_they_are_old() {
    let signer = Signer::ed();
    let place = Place::new("refresh");
    place.write(&[signer.jwk("a")]);
    let verifier = verifier(provider(Keys::file(place.file())));
    assert_eq!(asks(&verifier, &signer.sign("a", &claims())).await, Ok(()));
    for _ in 0..100 {
        sleep(Duration::from_secs(60)).await;
        assert_eq!(verifier.status()[0].freshness, Freshness::Fresh);
    }
    let fetches = verifier.status()[0].fetches;
    assert!((12..=14).contains(&fetches), "{fetches}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_had_again_are_used_for_a_day_and_not_longer() {
    let signer = Signer::ed();
    let place = Place::new("stale");
    place.write(&[signer.jwk("a")]);
    let verifier = verifier(provider(Keys::file(place.file())));
    let token = signer.sign("a", &claims());
    assert_eq!(asks(&verifier, &token).await, Ok(()));
    std::fs::remove_file(place.file()).unwrap();
    sleep(Duration::from_secs(23 * 3600)).await;
    assert_eq!(verifier.status()[0].freshness, Freshness::Stale);
    assert_eq!(asks(&verifier, &token).await, Ok(()));
    sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(verifier.status()[0].freshness, Freshness::Unavailable);
    assert!(unavailable(asks(&verifier, &token).await));
    place.write(&[signer.jwk("a")]);
    sleep(Duration::from_secs(61)).await;
    assert_eq!(asks(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn who_goes_away_while_waiting_leaves_the_fetch_to_others() {
    let signer = Signer::ed();
    let server = KeyServer::start(Does::Stalls).await;
    let keys = Keys::url(&server.url()).timeout(Duration::from_millis(300));
    let verifier = verifier(provider(keys.cooldown(Duration::from_millis(10))));
    let token = signer.sign("a", &claims());
    let waiting = tokio::time::timeout(Duration::from_millis(50), asks(&verifier, &token)).await;
    assert!(waiting.is_err());
    server.now(Does::Answers(200, set(&[signer.jwk("a")])));
    while asks(&verifier, &token).await.is_err() {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(verifier.status()[0].failure.is_none());
}

#[tokio::test]
async fn with_the_last_verifier_the_fetching_ends() {
    let signer = Signer::ed();
    let server = KeyServer::with_keys(&[signer.jwk("a")]).await;
    let (ttl, cooldown) = (Duration::from_millis(20), Duration::from_millis(10));
    let verifier = verifier(provider(Keys::url(&server.url()).ttl(ttl).cooldown(cooldown)));
    while server.asked() < 3 {
        sleep(Duration::from_millis(5)).await;
    }
    drop(verifier);
    sleep(Duration::from_millis(50)).await;
    let asked = server.asked();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_no_set() {
    let place = Place::new("large");
    let signer = Signer::ed();
    place.write(&[signer.jwk("a")]);
    let verifier = verifier(provider(Keys::file(place.file()).max_bytes(20)));
    assert!(unavailable(asks(&verifier, &signer.sign("a", &claims())).await));
    assert_eq!(verifier.status()[0].failure.as_deref(), Some("is larger than 20 bytes"));
}
