//! Stores of Debian's packages, each on a port of its own with a folder of its own; both end with
//! the value.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// A server that takes longer to start is none.
const START: Duration = Duration::from_secs(60);

/// A store that runs.
#[derive(Debug)]
pub struct StoreServer {
    process: Option<Child>,
    port: u16,
    folder: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Redis,
    Postgres { programs: PathBuf, user: Option<(u32, u32)> },
}

impl StoreServer {
    /// Redis; `None`, said, where there is none.
    pub fn redis() -> Option<Self> {
        Self::start(Kind::Redis)
    }

    /// Postgres, with a database `postgres` of the user `gateway`; `None`, said, where there is none.
    pub fn postgres() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: there is no postgresql");
            return None;
        };
        Self::start(Kind::Postgres { programs, user: user() })
    }

    fn start(kind: Kind) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("store-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut server = Self { process: None, port, folder, kind };
        if let Kind::Postgres { user: Some((uid, gid)), .. } = &server.kind {
            chown(&server.folder, Some(*uid), Some(*gid)).expect("chown");
        }
        if matches!(server.kind, Kind::Postgres { .. }) {
            let mut make = server.program("initdb");
            make.args(["--auth=trust", "--username=gateway", "--encoding=UTF8", "--no-sync", "-D"]);
            assert!(make.arg("data").status().expect("initdb").success(), "initdb");
        }
        if !server.run() {
            eprintln!("skipped: {:?} cannot be started", server.kind);
            return None;
        }
        Some(server)
    }

    /// Starts again what was stopped. What it was told is still there.
    pub fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let mut command = self.program(match self.kind {
            Kind::Redis => "redis-server",
            Kind::Postgres { .. } => "postgres",
        });
        match self.kind {
            Kind::Redis => command.args(["--bind", "127.0.0.1", "--save", ""]).args([
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
                "--port",
                &port,
            ]),
            Kind::Postgres { .. } => {
                command.args(["-D", "data", "-k", ".", "-h", "127.0.0.1", "-F", "-p", &port])
            }
        };
        let Ok(process) = command.spawn() else { return false };
        self.process = Some(process);
        let until = Instant::now() + START;
        while !self.answers() {
            assert!(Instant::now() < until, "{:?} does not start", self.kind);
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        let mut asked = match &self.kind {
            Kind::Redis => {
                let mut asked = Command::new("redis-cli");
                asked.args(["-p", &port, "-e", "PING"]);
                asked
            }
            Kind::Postgres { programs, .. } => {
                let mut asked = Command::new(programs.join("pg_isready"));
                asked.args(["-h", "127.0.0.1", "-p", &port]);
                asked
            }
        };
        quiet(&mut asked).status().is_ok_and(|status| status.success())
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        match self.kind {
            Kind::Redis => drop(process.kill()),
            // With all its children, without waiting for those who are connected.
            Kind::Postgres { .. } => {
                let id = process.id().to_string();
                let _ = Command::new("kill").args(["-QUIT", &id]).status();
            }
        }
        let _ = process.wait();
    }

    /// Where it is.
    pub fn url(&self) -> String {
        match self.kind {
            Kind::Redis => format!("redis://127.0.0.1:{}", self.port),
            Kind::Postgres { .. } => {
                format!("postgresql://gateway:planted@127.0.0.1:{}/postgres", self.port)
            }
        }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = match &self.kind {
            Kind::Redis => Command::new(name),
            Kind::Postgres { programs, user } => {
                let mut command = Command::new(programs.join(name));
                if let Some((uid, gid)) = user {
                    command.uid(*uid).gid(*gid);
                }
                command
            }
        };
        command.current_dir(&self.folder).env("LC_ALL", "C");
        quiet(&mut command);
        command
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Where the programs are that Debian does not put on the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql")).ok()?;
    let bins = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

/// Its server does not run as root: then as the user that the package has made.
fn user() -> Option<(u32, u32)> {
    let own = Command::new("id").arg("-u").output().ok()?;
    if own.stdout != b"0\n" {
        return None;
    }
    let number = |what: &str| {
        let output = Command::new("id").args([what, "postgres"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    Some((number("-u")?, number("-g")?))
}
