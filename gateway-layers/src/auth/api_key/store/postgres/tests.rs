//! Against a real server, which each test starts for itself.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;

use super::super::super::record::KeyGrant;
use super::super::super::tests::verify;
use super::super::super::{ApiKeyRejection, ApiKeys};
use super::*;

/// A server on a port of its own with a folder of its own; both end with it.
struct Postgres {
    process: Option<Child>,
    port: u16,
    folder: PathBuf,
    programs: PathBuf,
    user: Option<(u32, u32)>,
}

/// Where the programs are that Debian does not put on the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

/// Its server does not run as root: then as the user that the package has made.
fn user() -> Option<(u32, u32)> {
    let own = std::process::Command::new("id").arg("-u").output().ok()?;
    if own.stdout != b"0\n" {
        return None;
    }
    let number = |what: &str| {
        let output = std::process::Command::new("id").args([what, "postgres"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    Some((number("-u")?, number("-g")?))
}

impl Postgres {
    /// `None`, said, where there is no server to start.
    async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: there is no postgresql");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("keys-pg-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let user = user();
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).unwrap();
        }
        let mut server = Self { process: None, port, folder, programs, user };
        let mut initdb = server.program("initdb");
        initdb.args(["--auth=trust", "--username=gateway", "--encoding=UTF8", "--no-sync", "-D"]);
        let made = initdb.arg(server.folder.join("data")).status().await.unwrap();
        assert!(made.success());
        server.run().await;
        Some(server)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = std::process::Command::new(self.programs.join(name));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(&self.folder).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Command::from(command)
    }

    async fn run(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        command.args(["-h", "127.0.0.1", "-F", "-c", "max_connections=20", "-p"]);
        command.arg(self.port.to_string());
        self.process = Some(command.kill_on_drop(true).spawn().unwrap());
        let there = async {
            while tokio_postgres::connect(&self.url(), NoTls).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(60), there).await.unwrap();
    }

    async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        // At once, without waiting for those who are connected, and with all its children.
        let id = process.id().unwrap().to_string();
        Command::new("kill").args(["-QUIT", &id]).status().await.unwrap();
        process.wait().await.unwrap();
    }

    fn url(&self) -> String {
        format!("postgresql://gateway:secret@127.0.0.1:{}/postgres", self.port)
    }

    fn store(&self) -> PostgresKeyStore {
        let settings = PostgresKeyConfig { url: self.url(), ..PostgresKeyConfig::default() };
        PostgresKeyStore::new(settings).unwrap()
    }

    /// The keys as one gateway has them.
    fn gateway(&self) -> ApiKeys {
        // The machine that runs the tests may be busy.
        ApiKeys::builder("partners", self.store()).timeout(Duration::from_secs(5)).build()
    }

    /// Does what somebody does by hand.
    async fn by_hand(&self, statement: &str) {
        let (client, wire) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        let done = async move { client.batch_execute(statement).await };
        let (wire, done) = tokio::join!(wire, done);
        wire.unwrap();
        done.unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(id) = self.process.as_ref().and_then(Child::id) {
            let _ = std::process::Command::new("kill").args(["-QUIT", &id.to_string()]).status();
            // Its folder goes when it does.
            let pid = self.folder.join("data/postmaster.pid");
            for _ in 0..200 {
                if !Path::new(&pid).exists() {
                    break;
                }
                #[allow(clippy::disallowed_methods, reason = "at the end of a test")]
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn within_a_second(keys: &ApiKeys, key: &str, wanted: Result<(), ApiKeyRejection>) {
    let began = Instant::now();
    loop {
        let found = verify(keys, key).await;
        if found == wanted {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{found:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_at_one_gateway_is_rejected_at_the_other_within_a_second() {
    let Some(server) = Postgres::start().await else { return };
    server.store().create().await.unwrap();
    // Again, it changes nothing.
    server.store().create().await.unwrap();
    let (one, other) = (server.gateway(), server.gateway());
    let (key, record) = one.issue(KeyGrant::new("acme").tier("gold")).await.unwrap();
    let key = key.reveal();
    assert_eq!(verify(&other, key).await, Ok(()));
    assert_eq!(verify(&other, key).await, Ok(()));
    assert_eq!(other.status().lookups, 1);
    one.revoke(&record.id).await.unwrap();
    assert_eq!(verify(&one, key).await, Err(ApiKeyRejection::Revoked));
    within_a_second(&other, key, Err(ApiKeyRejection::Revoked)).await;
    // And by hand, in all the ways there are.
    let again = "UPDATE gateway_api_keys SET record = record - 'disabled'";
    server.by_hand(again).await;
    within_a_second(&other, key, Ok(())).await;
    server.by_hand("DELETE FROM gateway_api_keys").await;
    within_a_second(&other, key, Err(ApiKeyRejection::Unknown)).await;
    let (key, _) = one.issue(KeyGrant::new("acme")).await.unwrap();
    within_a_second(&other, key.reveal(), Ok(())).await;
    server.by_hand("TRUNCATE gateway_api_keys").await;
    within_a_second(&other, key.reveal(), Err(ApiKeyRejection::Unknown)).await;
}

#[tokio::test]
async fn keys_are_issued_listed_rotated_and_removed() {
    let Some(server) = Postgres::start().await else { return };
    server.store().create().await.unwrap();
    let (one, other) = (server.gateway(), server.gateway());
    let mut grant = KeyGrant::new("acme").quota("month", 5).roles(["it's", "a \\ \"b\""]);
    let claim = gateway_core::context::Claim::Text("'); DROP TABLE gateway_api_keys; --".into());
    grant.claims.insert("text".to_owned(), claim);
    let (key, record) = one.issue(grant.clone()).await.unwrap();
    assert_eq!(other.load(&record.id).await.unwrap().grant, grant);
    assert_eq!(verify(&other, key.reveal()).await, Ok(()));
    let (next, new) = other.rotate(&record.id, Duration::from_secs(60)).await.unwrap();
    within_a_second(&one, next.reveal(), Ok(())).await;
    assert_eq!(verify(&one, key.reveal()).await, Ok(()));
    assert_eq!(one.list().await.unwrap().len(), 2);
    let old = one.load(&record.id).await.unwrap();
    assert_eq!((old.replaced_by, old.revision), (Some(new.id.clone()), 2));
    // Somebody who has seen an older one writes nothing, and nothing of a batch with it.
    let store = server.store();
    let fresh = KeyRecord::new("x", SecretDigest::of(b"x"), KeyGrant::new("x"));
    assert_eq!(store.put(&[fresh, record.clone()]).await, Err(StoreError::Changed));
    assert_eq!(store.load("x").await, Ok(None));
    let twin = KeyRecord { id: "twin".to_owned(), ..record.clone() };
    assert_eq!(store.put(&[twin]).await, Err(StoreError::Changed));
    one.remove(&record.id).await.unwrap();
    assert!(one.remove(&record.id).await.is_err());
    assert_eq!(one.list().await.unwrap(), [new]);
    within_a_second(&other, key.reveal(), Err(ApiKeyRejection::Unknown)).await;
}

#[tokio::test]
async fn known_keys_pass_while_postgres_is_away_and_what_changed_is_seen_when_it_is_back() {
    let Some(mut server) = Postgres::start().await else { return };
    server.store().create().await.unwrap();
    let keys = server.gateway();
    let (key, record) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let (other, _) = keys.issue(KeyGrant::new("other")).await.unwrap();
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    server.stop().await;
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    assert_eq!(verify(&keys, other.reveal()).await, Err(ApiKeyRejection::Unavailable));
    server.run().await;
    server.gateway().revoke(&record.id).await.unwrap();
    let seen = async {
        while verify(&keys, key.reveal()).await != Err(ApiKeyRejection::Revoked) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.unwrap();
    assert_eq!(verify(&keys, other.reveal()).await, Ok(()));
    assert_eq!(keys.status().trouble, None);
}

#[tokio::test]
async fn without_its_table_nobody_is_let_in_and_it_is_said() {
    let Some(server) = Postgres::start().await else { return };
    let keys = server.gateway();
    assert_eq!(verify(&keys, "a-key-of-somebody").await, Err(ApiKeyRejection::Unavailable));
    assert_eq!(keys.status().trouble.as_deref(), Some("its table is not there"));
    assert!(keys.issue(KeyGrant::new("acme")).await.is_err());
    server.store().create().await.unwrap();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let there = async {
        while verify(&keys, key.reveal()).await != Ok(()) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), there).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_the_deadline_and_lets_nobody_in() {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgresql://gateway@{}/postgres", silent.local_addr().unwrap());
    let store = PostgresKeyStore::new(PostgresKeyConfig { url, ..Default::default() });
    let keys = ApiKeys::builder("partners", store.unwrap());
    let keys = keys.timeout(Duration::from_millis(50)).build();
    let began = Instant::now();
    assert_eq!(verify(&keys, "a-key-of-somebody").await, Err(ApiKeyRejection::Unavailable));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn addresses_and_tables_are_checked_and_passwords_not_told() {
    let settings =
        |url: &str, table: &str| PostgresKeyConfig { url: url.to_owned(), table: table.to_owned() };
    for table in ["", "a b", "a\"b", "A", "a.b.c", "1a", "a;drop", &"a".repeat(41)] {
        let store = PostgresKeyStore::new(settings("postgresql://h/d", table));
        assert!(store.is_err(), "{table}");
    }
    assert!(PostgresKeyStore::new(settings("postgresql://h/d", "auth.keys")).is_ok());
    for url in ["http://u:secret@h", "postgresql://u:secret@h/d?sslmode=require", "password=secret"]
    {
        let wrong = settings(url, "keys");
        assert!(!format!("{wrong:?}").contains("secret"));
        let error = PostgresKeyStore::new(wrong).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
    }
    let store = PostgresKeyStore::new(settings("postgresql://u:secret@h/d", "keys")).unwrap();
    assert!(!format!("{store:?}").contains("secret"));
    let schema = PostgresKeyStore::schema("auth.keys");
    assert!(schema.contains("TABLE IF NOT EXISTS auth.keys (") && schema.contains("'auth_keys'"));
    assert!(!schema.contains('{'), "{schema}");
}
