//! Debian's ACME authority for tests, with a name server that sends every name to this machine.

use std::collections::HashSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::certs::{Authority, ClientTls, Files};
use crate::client::Client;
use crate::record::lock;

/// A program that takes longer to start is none.
const START: Duration = Duration::from_secs(30);

/// Describes an authority before it starts.
#[derive(Clone, Debug)]
#[must_use]
pub struct PebbleBuilder {
    tls_port: u16,
    http_port: u16,
    lifetime: u64,
    nonce_reject: u8,
    external_account: Option<(String, String)>,
}

impl PebbleBuilder {
    /// Where it checks names by TLS.
    pub fn tls_port(mut self, port: u16) -> Self {
        self.tls_port = port;
        self
    }

    /// Where it checks names in plain text.
    pub fn http_port(mut self, port: u16) -> Self {
        self.http_port = port;
        self
    }

    /// How many seconds its certificates are good.
    pub fn lifetime(mut self, seconds: u64) -> Self {
        self.lifetime = seconds;
        self
    }

    /// How many of a hundred good nonces it rejects.
    pub fn nonce_reject(mut self, percent: u8) -> Self {
        self.nonce_reject = percent;
        self
    }

    /// Takes nobody without this account.
    pub fn external_account(mut self, key_id: &str, key: &str) -> Self {
        self.external_account = Some((key_id.to_owned(), key.to_owned()));
        self
    }

    /// Starts it; `None`, said, where there is none.
    pub fn start(self) -> Option<Pebble> {
        let files = Files::new();
        let authority = Authority::new("directory of the tests");
        let pair = authority.server(&["127.0.0.1", "localhost"]);
        let ca = files.write("directory.pem", &authority.pem());
        let (cert, key) =
            (files.write("server.pem", &pair.cert), files.write("server.key", &pair.key));
        let [port, management, dns, dns_management] = [(); 4].map(|()| free_port());
        let mut config = serde_json::json!({
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": cert,
            "privateKey": key,
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self.external_account.is_some(),
            "certificateValidityPeriod": self.lifetime,
        });
        if let Some((id, key)) = &self.external_account {
            config["externalAccountMACKeys"] = serde_json::json!({ id: key });
        }
        files.write("pebble.json", &serde_json::json!({ "pebble": config }).to_string());
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-dns01", &format!("127.0.0.1:{dns}")]);
        names.args(["-management", &format!("127.0.0.1:{dns_management}")]);
        names.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(names) = names.spawn() else {
            eprintln!("skipped: pebble cannot be started");
            return None;
        };
        let mut pebble = Pebble {
            process: None,
            names,
            files,
            authority,
            ca: ca.into(),
            port,
            management,
            dns,
            nonce_reject: self.nonce_reject,
            starts: 0,
        };
        pebble.wait_for(dns_management);
        if !pebble.run() {
            eprintln!("skipped: pebble cannot be started");
            return None;
        }
        Some(pebble)
    }
}

/// An ACME authority that runs; it ends with this.
pub struct Pebble {
    process: Option<Child>,
    names: Child,
    files: Files,
    authority: Authority,
    ca: PathBuf,
    port: u16,
    management: u16,
    dns: u16,
    nonce_reject: u8,
    starts: usize,
}

impl Pebble {
    /// One whose certificates are good for a day, and that checks names where nobody is.
    pub fn builder() -> PebbleBuilder {
        PebbleBuilder {
            tls_port: free_port(),
            http_port: free_port(),
            lifetime: 24 * 60 * 60,
            nonce_reject: 0,
            external_account: None,
        }
    }

    /// Runs it again, as new: it remembers nothing. False: it cannot be started.
    pub fn run(&mut self) -> bool {
        self.starts += 1;
        let log = File::create(self.log_file()).expect("a log");
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.files.folder().join("pebble.json"));
        command.args(["-strict", "-dnsserver", &format!("127.0.0.1:{}", self.dns)]);
        command.env("PEBBLE_VA_NOSLEEP", "1");
        command.env("PEBBLE_AUTHZREUSE", "0");
        command.env("PEBBLE_WFE_NONCEREJECT", self.nonce_reject.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let Ok(process) = command.spawn() else { return false };
        self.process = Some(process);
        self.wait_for(self.port);
        true
    }

    fn wait_for(&self, port: u16) {
        let until = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "port {port} does not open:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A file with the authority of its own listener.
    pub fn ca(&self) -> String {
        self.ca.display().to_string()
    }

    /// Believes its listener.
    pub fn trusting(&self) -> ClientTls {
        ClientTls::new(&self.authority, "127.0.0.1")
    }

    /// The root of the certificates that it issues, in PEM.
    pub async fn root(&self) -> String {
        let addr = ([127, 0, 0, 1], self.management).into();
        Client::http1(addr).over(&self.trusting()).get("/roots/0").await.text()
    }

    /// A client that believes the certificates that it issues, and asks for `name`.
    pub async fn client(&self, name: &str) -> ClientTls {
        ClientTls::trusting(&self.root().await, name)
    }

    /// What it said since it was started last.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// How many certificates it has issued since it was started last.
    pub fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    /// How many orders it has taken since it was started last.
    pub fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }

    /// How many accounts were made since it was started last.
    pub fn accounts(&self) -> usize {
        self.log().matches("accounts in memory").count()
    }

    fn log_file(&self) -> PathBuf {
        self.files.folder().join(format!("pebble-{}.log", self.starts))
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        let _ = self.names.kill();
        let _ = self.names.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.lines().rev().take(40).collect::<Vec<_>>();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            eprintln!("--- the authority said\n{tail}");
        }
    }
}

/// A port that was free a moment ago, for TCP and UDP, and that this process hands out once.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let both = UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if both && lock(&GIVEN).get_or_insert_default().insert(port) {
            return port;
        }
    }
}
