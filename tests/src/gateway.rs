//! The program under test as a child process.

use std::collections::HashSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::client::Client;
use crate::document::Document;
use crate::process::{Usage, cpu_share};
use crate::record::{Recorder, lock};
use crate::upstream::Upstream;
use crate::wait::{eventually_within, within};
use crate::{binary, document};

/// A path that every harness upstream answers with a plain 200 whatever its script says.
pub const FRESH: &str = "/fresh-check";

const START: Duration = Duration::from_secs(10);
const ATTEMPTS: usize = 5;
const SLACK: usize = 10;
const IDLE_SHARE: f64 = 0.05;

enum Start {
    Built(Box<document::Document>),
    Text(String),
    Proxy(String),
}

/// Describes a gateway before it starts.
pub struct GatewayBuilder {
    start: Start,
    known: Vec<Arc<Recorder>>,
    answering: bool,
    descriptors: Option<usize>,
    environment: Vec<(String, String)>,
}

impl GatewayBuilder {
    /// Adds an endpoint to the cluster.
    #[must_use]
    pub fn and(mut self, upstream: &Upstream) -> Self {
        self.document_mut().endpoints.push(upstream.url());
        self.knows(upstream)
    }

    /// Counts connections to this upstream as expected ones, and heals it in the last check.
    #[must_use]
    pub fn knows(mut self, upstream: &Upstream) -> Self {
        self.answering |= !upstream.is_refusing();
        self.known.push(upstream.recorder());
        self
    }

    /// The route's total timeout; 5 s unless said.
    #[must_use]
    pub fn timeout(mut self, timeout: &str) -> Self {
        self.document_mut().timeout = Some(timeout.to_owned());
        self
    }

    /// Adds a line at the top of the document.
    #[must_use]
    pub fn top(mut self, line: &str) -> Self {
        self.document_mut().top.push(line.to_owned());
        self
    }

    /// Adds a line to the listener's table.
    #[must_use]
    pub fn listener(mut self, line: &str) -> Self {
        self.document_mut().listener.push(line.to_owned());
        self
    }

    /// Adds a line to the cluster's table.
    #[must_use]
    pub fn cluster(mut self, line: &str) -> Self {
        self.document_mut().cluster.push(line.to_owned());
        self
    }

    /// Adds a line to the route's table.
    #[must_use]
    pub fn route(mut self, line: &str) -> Self {
        self.document_mut().route.push(line.to_owned());
        self
    }

    /// Adds lines at the end of the document.
    #[must_use]
    pub fn more(mut self, lines: &str) -> Self {
        self.document_mut().more.push(lines.to_owned());
        self
    }

    /// Lets the process open no more than that many descriptors.
    #[must_use]
    pub fn descriptors(mut self, limit: usize) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Sets an environment variable of the process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn document_mut(&mut self) -> &mut Document {
        match &mut self.start {
            Start::Built(document) => document,
            _ => panic!("only the document made by Gateway::to can be added to"),
        }
    }

    /// Starts the process and waits until it accepts connections.
    pub async fn start(self) -> Gateway {
        let directory = Directory::new();
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            let addr = free_address();
            let mut child = self.spawn(&directory, addr);
            match accepts(&mut child, addr).await {
                Ok(()) => return self.running(child, addr, directory).await,
                Err(reason) => {
                    log = format!("{reason}\n{}", directory.log());
                    // Somebody else may have taken the port between our look and its bind.
                    if !log.contains("in use") {
                        break;
                    }
                }
            }
        }
        let document = std::fs::read_to_string(directory.document()).unwrap_or_default();
        panic!("the gateway did not start: {log}\n--- document\n{document}");
    }

    /// Runs the process to its end and gives its status and what it said; for documents that must
    /// not start.
    pub async fn refused(self) -> (ExitStatus, String) {
        let directory = Directory::new();
        let mut child = self.spawn(&directory, free_address());
        let status = within(START, "the end of the process", child.wait()).await;
        (status.expect("wait"), directory.log())
    }

    fn spawn(&self, directory: &Directory, addr: SocketAddr) -> Child {
        let mut arguments: Vec<std::ffi::OsString> = Vec::new();
        let text = match &self.start {
            Start::Built(document) => document.text(),
            Start::Text(text) => text.clone(),
            Start::Proxy(_) => String::new(),
        };
        match &self.start {
            Start::Proxy(url) => {
                let listen = addr.to_string();
                arguments.extend(["proxy", "--listen", &listen, "--to", url].map(Into::into));
            }
            _ => {
                let text = text.replace("{listen}", &addr.to_string());
                std::fs::write(directory.document(), text).expect("write the document");
                arguments.extend(["run".into(), "--config".into(), directory.document().into()]);
            }
        }
        let mut command = match self.descriptors {
            None => Command::new(binary::gateway()),
            Some(limit) => {
                let mut shell = Command::new("sh");
                let line = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
                shell.arg("-c").arg(line).arg(binary::gateway());
                shell
            }
        };
        let log = File::create(directory.0.join("log")).expect("create a log");
        command
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("start the gateway")
    }

    async fn running(self, child: Child, addr: SocketAddr, directory: Directory) -> Gateway {
        let pid = child.id().expect("a running child");
        // The connection that proved it accepts is closed by now or counts as slack.
        let baseline = Usage::of(pid).expect("a running child");
        Gateway {
            child: Mutex::new(child),
            pid,
            addr,
            directory,
            baseline,
            known: self.known,
            answering: self.answering,
        }
    }
}

async fn accepts(child: &mut Child, addr: SocketAddr) -> Result<(), String> {
    let deadline = Instant::now() + START;
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return Err(format!("it ended with {status}"));
        }
        if TcpStream::connect(addr).await.is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("it does not accept on {addr}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port that was free a moment ago and that this process hands out once.
fn free_address() -> SocketAddr {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
        let addr = listener.local_addr().expect("address");
        if lock(&GIVEN).get_or_insert_default().insert(addr.port()) {
            return addr;
        }
    }
}

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
        let document = Document {
            timeout: Some("5s".to_owned()),
            ..Document::default()
        };
        Self::with(Start::Built(Box::new(document))).and(upstream)
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
        self.directory.log()
    }

    /// Where its document is.
    pub fn document_path(&self) -> PathBuf {
        self.directory.document()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
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
        let expected = || {
            self.known
                .iter()
                .map(|upstream| upstream.open())
                .sum::<usize>()
        };
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
            let tail = (tail..log.len())
                .find(|at| log.is_char_boundary(*at))
                .unwrap_or(0);
            eprintln!("--- the gateway said\n{}", &log[tail..]);
        }
    }
}

/// A directory for one child, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-tests-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("create a directory");
        Self(path)
    }

    fn document(&self) -> PathBuf {
        self.0.join("gateway.toml")
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.0.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
