//! How a gateway is described and started.

use std::collections::HashSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::Gateway;
use super::directory::Directory;
use crate::binary;
use crate::document::Document;
use crate::process::Usage;
use crate::record::{Recorder, lock};
use crate::upstream::Upstream;
use crate::wait::within;

const START: Duration = Duration::from_secs(10);
const ATTEMPTS: usize = 5;

pub(super) enum Start {
    Built(Box<Document>),
    Text(String),
    Proxy(String),
}

/// Describes a gateway before it starts.
pub struct GatewayBuilder {
    pub(super) start: Start,
    pub(super) known: Vec<Arc<Recorder>>,
    pub(super) answering: bool,
    pub(super) descriptors: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) at: Option<SocketAddr>,
    pub(super) log_unread: bool,
}

impl GatewayBuilder {
    /// Adds an endpoint to the cluster.
    #[must_use]
    pub fn and(mut self, upstream: &Upstream) -> Self {
        self.document_mut().endpoints.push(format!("{:?}", upstream.url()));
        self.knows(upstream)
    }

    /// Adds an endpoint with keys of its own, such as `weight = 3`.
    #[must_use]
    pub fn and_with(mut self, upstream: &Upstream, keys: &str) -> Self {
        let endpoint = format!("{{ url = {:?}, {keys} }}", upstream.url());
        self.document_mut().endpoints.push(endpoint);
        self.knows(upstream)
    }

    /// Adds a process that answers as an endpoint to the cluster.
    #[must_use]
    pub fn and_process(mut self, addr: SocketAddr) -> Self {
        self.document_mut().endpoints.push(format!("\"http://{addr}\""));
        self.answering = true;
        self
    }

    /// Gives it an admin listener, for [`Gateway::admin`].
    #[must_use]
    pub fn with_admin(self) -> Self {
        self.more("[admin]\naddress = \"127.0.0.1:0\"")
    }

    /// Listens at this address, for one that comes back after it ended.
    #[must_use]
    pub fn at(mut self, addr: SocketAddr) -> Self {
        self.at = Some(addr);
        self
    }

    /// Counts connections to this upstream as expected ones, and heals it in the last check.
    #[must_use]
    pub fn knows(mut self, upstream: &Upstream) -> Self {
        self.answering |= !upstream.is_rejecting();
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
        self.descriptors = Some(format!("-n {limit}"));
        self
    }

    /// Starts the process with this soft limit of open descriptors, below the hard one.
    #[must_use]
    pub fn soft_descriptors(mut self, limit: usize) -> Self {
        self.descriptors = Some(format!("-Sn {limit}"));
        self
    }

    /// Sets an environment variable of the process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Nobody reads its standard error before [`Gateway::read_log`].
    #[must_use]
    pub fn log_unread(mut self) -> Self {
        self.log_unread = true;
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
            let addr = self.at.unwrap_or_else(free_address);
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
    pub async fn rejected(self) -> (ExitStatus, String) {
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
        let mut command = match &self.descriptors {
            None => Command::new(binary::gateway()),
            Some(limit) => {
                let mut shell = Command::new("sh");
                let line = format!("ulimit {limit}; exec \"$0\" \"$@\"");
                shell.arg("-c").arg(line).arg(binary::gateway());
                shell
            }
        };
        let log = File::create(directory.log_file()).expect("create a log");
        command
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(if self.log_unread { Stdio::piped() } else { log.into() })
            .kill_on_drop(true)
            .spawn()
            .expect("start the gateway")
    }

    async fn running(self, child: Child, addr: SocketAddr, directory: Directory) -> Gateway {
        let pid = child.id().expect("a running child");
        let baseline = settled(pid).await;
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

/// What the process uses once its workers have what they need: it accepts before they do. The
/// connection that proved it accepts is closed by then or counts as slack.
async fn settled(pid: u32) -> Usage {
    let look = || Usage::of(pid).expect("a running child");
    let mut before = look();
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = look();
        if now.descriptors == before.descriptors && now.threads == before.threads {
            return now;
        }
        before = now;
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
