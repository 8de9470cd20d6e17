//! The program under test as a child process.

mod builder;
mod directory;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Child;

pub use self::builder::GatewayBuilder;
use self::builder::Start;
use self::directory::Directory;
use crate::admin::Admin;
use crate::client::Client;
use crate::document::Document;
use crate::process::{Usage, cpu_share};
use crate::record::{Recorder, lock};
use crate::upstream::Upstream;
use crate::wait::{eventually_within, within};

/// A path that every harness upstream answers with a plain 200 whatever its script says.
pub const FRESH: &str = "/fresh-check";

const SLACK: usize = 10;
const IDLE_SHARE: f64 = 0.05;

/// A running gateway; its process ends when this is dropped.
pub struct Gateway {
    child: Mutex<Child>,
    pid: u32,
    addr: SocketAddr,
    directory: Directory,
    baseline: Usage,
    known: Vec<Arc<Recorder>>,
    answering: bool,
}

impl Gateway {
    /// A gateway that sends everything to one upstream, by a document.
    pub fn to(upstream: &Upstream) -> GatewayBuilder {
        Self::to_cluster().and(upstream)
    }

    /// A gateway that sends everything to one cluster, whose endpoints are still to be added.
    pub fn to_cluster() -> GatewayBuilder {
        let document = Document { timeout: Some("5s".to_owned()), ..Document::default() };
        Self::with(Start::Built(Box::new(document)))
    }

    /// A gateway by its own document; `{listen}` in it stands for the address.
    pub fn document(text: impl Into<String>) -> GatewayBuilder {
        Self::with(Start::Text(text.into()))
    }

    /// A gateway without a document: `gateway proxy`.
    pub fn proxy(upstream: &Upstream) -> GatewayBuilder {
        Self::with(Start::Proxy(upstream.url())).knows(upstream)
    }

    fn with(start: Start) -> GatewayBuilder {
        GatewayBuilder {
            start,
            known: Vec::new(),
            answering: false,
            descriptors: None,
            environment: Vec::new(),
            at: None,
            log_unread: false,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What the process uses now.
    #[track_caller]
    pub fn usage(&self) -> Usage {
        let usage = Usage::of(self.pid);
        usage.unwrap_or_else(|| panic!("the gateway is gone:\n{}", self.log()))
    }

    /// What it wrote to its standard streams.
    pub fn log(&self) -> String {
        // Lines of the access log wait for each other for 50 ms.
        std::thread::park_timeout(Duration::from_millis(120));
        self.directory.log()
    }

    /// Reads the log of a gateway with [`GatewayBuilder::log_unread`] until `found` is in it.
    pub async fn read_log(&self, found: &str) -> String {
        let pipe = lock(&self.child).stderr.take();
        let mut pipe = pipe.expect("a log that nobody has read");
        let mut log = Vec::new();
        let reading = async {
            loop {
                log.reserve(64 * 1024);
                let more = pipe.read_buf(&mut log).await.expect("read the log");
                let tail = log.len().saturating_sub(more + found.len());
                let tail = String::from_utf8_lossy(&log[tail..]);
                assert!(more > 0, "the log ended without {found:?}");
                if tail.contains(found) {
                    return String::from_utf8_lossy(&log).into_owned();
                }
            }
        };
        within(Duration::from_secs(20), found, reading).await
    }

    /// Where its document is.
    pub fn document_path(&self) -> PathBuf {
        self.directory.document()
    }

    /// Its admin listener; [`GatewayBuilder::with_admin`] gives it one.
    #[track_caller]
    pub fn admin(&self) -> Admin {
        let log = self.log();
        Admin::said_in(&log).unwrap_or_else(|| panic!("no admin listener:\n{log}"))
    }

    /// Its document as it is now.
    pub fn document_text(&self) -> String {
        std::fs::read_to_string(self.document_path()).expect("read the document")
    }

    /// Writes its document anew; it takes effect with a reload.
    pub fn rewrite_document(&self, text: &str) {
        std::fs::write(self.document_path(), text).expect("write the document");
    }

    /// Replaces a piece of its document, which must be there.
    #[track_caller]
    pub fn edit_document(&self, from: &str, to: &str) {
        let text = self.document_text();
        assert!(text.contains(from), "no {from:?} in\n{text}");
        self.rewrite_document(&text.replace(from, to));
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("run kill").success(), "kill -s {name}");
    }

    /// Waits for the end of the process.
    pub async fn ended_within(&self, limit: Duration) -> ExitStatus {
        let end = || lock(&self.child).try_wait().expect("wait");
        let status = eventually_within(limit, "the end of the gateway", end, Option::is_some);
        status.await.expect("it has ended")
    }

    /// Fails unless the gateway is as well as at its start: fresh requests work, descriptors are
    /// back, and the processor is idle. The last line of nearly every test.
    pub async fn assert_quiet(&self) {
        self.known.iter().for_each(|upstream| upstream.heal());
        self.assert_quiet_without_healing().await;
    }

    /// Like [`Gateway::assert_quiet`], and the upstreams keep their scripts for what follows.
    pub async fn assert_quiet_without_healing(&self) {
        assert_fresh(self.addr, self.answering).await;
        let expected = || self.known.iter().map(|upstream| upstream.open()).sum::<usize>();
        let limit = self.baseline.descriptors + SLACK;
        eventually_within(
            Duration::from_secs(10),
            "descriptors back",
            || self.usage().descriptors.saturating_sub(expected()),
            |descriptors| *descriptors <= limit,
        )
        .await;
        let mut shares = Vec::new();
        for _ in 0..10 {
            let share = cpu_share(self.pid, Duration::from_millis(200)).await;
            shares.push(share.unwrap_or_else(|| panic!("the gateway is gone:\n{}", self.log())));
            if shares.last().is_some_and(|share| *share < IDLE_SHARE) {
                return;
            }
        }
        panic!("not idle: {shares:?}");
    }
}

/// Fails unless three requests on connections of their own are answered.
pub async fn assert_fresh(addr: SocketAddr, answering: bool) {
    for _ in 0..3 {
        let mut client = Client::http1(addr);
        let reply = within(Duration::from_secs(5), "a fresh request", client.get(FRESH)).await;
        match answering {
            true => reply.assert_ok("fresh"),
            false => assert!(matches!(reply.status, 502 | 503), "{reply:?}"),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(4_000);
            let tail = (tail..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("--- the gateway said\n{}", &log[tail..]);
        }
    }
}
