//! [`RedisServer`]: a Redis that a test starts for itself.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use redis::{Client, cmd};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A Redis on a port of its own with a folder of its own; both end with it.
pub(crate) struct RedisServer {
    process: Option<Child>,
    port: u16,
    folder: PathBuf,
    lasting: bool,
}

impl RedisServer {
    /// One that has forgotten everything when it runs again. `None`, said, where there is no server
    /// to start.
    pub(crate) async fn start() -> Option<Self> {
        Self::started(false).await
    }

    /// One that knows what it was told when it runs again.
    #[cfg(feature = "api_key")]
    pub(crate) async fn start_lasting() -> Option<Self> {
        Self::started(true).await
    }

    async fn started(lasting: bool) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = Self { process: None, port, folder, lasting };
        if !server.run().await {
            eprintln!("skipped: redis-server cannot be started");
            return None;
        }
        Some(server)
    }

    /// Runs it, for the first time or again; false: it cannot be started.
    pub(crate) async fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendfsync", "always"]);
        command.args(["--appendonly", if self.lasting { "yes" } else { "no" }, "--port"]);
        command.arg(self.port.to_string()).arg("--dir").arg(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = command.kill_on_drop(true).spawn() else { return false };
        self.process = Some(process);
        let there = async {
            // It takes connections while it still reads what it knew.
            let client = Client::open(self.url()).unwrap();
            while !answers(&client).await {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), there).await.unwrap();
        true
    }

    pub(crate) async fn stop(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn answers(client: &Client) -> bool {
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
    cmd("PING").query_async::<()>(&mut connection).await.is_ok()
}
