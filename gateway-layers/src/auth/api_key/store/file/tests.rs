use std::sync::atomic::AtomicU32;

use super::super::super::record::KeyGrant;
use super::super::super::{ApiKeyRejection, ApiKeys};
use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-keys-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(id: &str, key: &str) -> String {
    let digest = SecretDigest::of(key.as_bytes()).to_hex();
    format!("[[keys]]\nid = \"{id}\"\nsha256 = \"{digest}\"\nowner = \"{id}\"\n")
}

async fn verify(keys: &ApiKeys, key: &str) -> Result<(), ApiKeyRejection> {
    keys.verify(key, "127.0.0.1".parse().ok(), None).await.map(drop)
}

/// Waits until the file has been looked at.
async fn until(keys: &ApiKeys, key: &str, wanted: Result<(), ApiKeyRejection>) {
    let there = async {
        while verify(keys, key).await != wanted {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), there).await.unwrap();
}

#[tokio::test]
async fn a_file_is_taken_as_a_whole_or_not_at_all_and_followed() {
    let directory = Directory::new();
    let path = directory.at("keys.toml");
    fs::write(&path, entry("a", "key-of-somebody-a")).unwrap();
    let keys = ApiKeys::new("file", FileKeyStore::open(&path).unwrap());
    assert_eq!(verify(&keys, "key-of-somebody-a").await, Ok(()));
    let both = format!("{}{}", entry("a", "key-of-somebody-a"), entry("b", "key-of-somebody-b"));
    fs::write(&path, format!("{both}\nplanted-secret = [")).unwrap();
    until_trouble(&keys).await;
    // Half a file is none: what was there holds, and nothing of the rest.
    assert_eq!(verify(&keys, "key-of-somebody-a").await, Ok(()));
    assert_eq!(verify(&keys, "key-of-somebody-b").await, Err(ApiKeyRejection::Unknown));
    fs::write(&path, both).unwrap();
    until(&keys, "key-of-somebody-b", Ok(())).await;
    assert_eq!(keys.status().trouble, None);
    fs::write(&path, entry("b", "key-of-somebody-b")).unwrap();
    until(&keys, "key-of-somebody-a", Err(ApiKeyRejection::Unknown)).await;
    assert_eq!(verify(&keys, "key-of-somebody-b").await, Ok(()));
    fs::remove_file(&path).unwrap();
    until_trouble(&keys).await;
    assert_eq!(verify(&keys, "key-of-somebody-b").await, Ok(()));
}

async fn until_trouble(keys: &ApiKeys) {
    let there = async {
        while keys.status().trouble.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), there).await.unwrap();
    let trouble = keys.status().trouble.unwrap();
    assert!(!trouble.contains("planted"), "{trouble}");
}

async fn issue_rotate_and_revoke(name: &str) {
    let directory = Directory::new();
    let path = directory.at(name);
    let writer = ApiKeys::new("file", FileKeyStore::open_or_create(&path).unwrap());
    let reader = ApiKeys::new("file", FileKeyStore::open(&path).unwrap());
    let mut grant = KeyGrant::new("acme").tier("gold").quota("month", 10).roles(["a", "b"]);
    let claim = gateway_core::context::Claim::Text("x = \"y\"".into());
    grant.claims.insert("plan".to_owned(), claim);
    let (key, record) = writer.issue(grant.clone()).await.unwrap();
    until(&reader, key.reveal(), Ok(())).await;
    assert_eq!(reader.load(&record.id).await.unwrap().grant, grant);
    let (next, _) = writer.rotate(&record.id, Duration::ZERO).await.unwrap();
    until(&reader, key.reveal(), Err(ApiKeyRejection::Expired)).await;
    assert_eq!(verify(&reader, next.reveal()).await, Ok(()));
    writer.revoke(next.id()).await.unwrap();
    until(&reader, next.reveal(), Err(ApiKeyRejection::Revoked)).await;
    // Nobody else may read it, and no key stands in it.
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(key.reveal()) && text.contains(&record.id), "{text}");
    writer.remove(next.id()).await.unwrap();
    assert_eq!(writer.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn keys_are_written_to_toml() {
    issue_rotate_and_revoke("keys.toml").await;
}

#[tokio::test]
async fn keys_are_written_to_json() {
    issue_rotate_and_revoke("keys.json").await;
}

#[tokio::test]
async fn two_who_write_at_the_same_time_lose_nothing() {
    let directory = Directory::new();
    let path = directory.at("keys.toml");
    let first = ApiKeys::new("file", FileKeyStore::open_or_create(&path).unwrap());
    let second = ApiKeys::new("file", FileKeyStore::open(&path).unwrap());
    let write = |keys: ApiKeys| async move {
        for _ in 0..10 {
            keys.issue(KeyGrant::new("acme")).await.unwrap();
        }
    };
    tokio::join!(write(first.clone()), write(second.clone()));
    let whole = FileKeyStore::open(&path).unwrap();
    assert_eq!(whole.list().await.unwrap().len(), 20);
}

#[test]
fn what_is_no_file_of_keys_is_rejected_and_not_repeated() {
    let directory = Directory::new();
    let path = directory.at("keys.toml");
    assert!(FileKeyStore::open(&path).is_err());
    let twice = format!("{}{}", entry("a", "planted-secret"), entry("a", "planted-other"));
    let same = format!("{}{}", entry("a", "planted-secret"), entry("b", "planted-secret"));
    for text in [
        "keys = \"planted-secret\"",
        "[[keys]]\nkey = \"planted-secret\"",
        "[planted-secret]",
        "planted-secret",
        &twice,
        &same,
    ] {
        fs::write(&path, text).unwrap();
        let error = FileKeyStore::open(&path).unwrap_err().to_string();
        assert!(!error.contains("planted"), "{error}");
    }
    fs::write(&path, "").unwrap();
    assert!(FileKeyStore::open(&path).is_ok());
}
