//! Upstreams that answer, or fail, as a test says; and remember what they saw.

mod http1;
mod http2;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

pub use http1::Http1Builder;
pub use http2::{Http2Builder, Stream};

use crate::record::Recorder;

/// A running upstream; it ends when dropped. Derefs to its [`Recorder`].
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    scheme: &'static str,
    recorder: Arc<Recorder>,
    task: Option<tokio::task::JoinHandle<()>>,
    // Bound but not listening: the port stays ours and connections are refused.
    _reserved: Option<TcpSocket>,
}

impl Upstream {
    /// An HTTP/1 upstream on a raw socket.
    #[must_use]
    pub fn http1() -> Http1Builder {
        Http1Builder::default()
    }

    /// An HTTP/2 upstream with prior knowledge (h2c).
    #[must_use]
    pub fn http2() -> Http2Builder {
        Http2Builder::default()
    }

    /// An address that refuses every connection.
    pub fn rejecting() -> Self {
        let socket = TcpSocket::new_v4().expect("socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("bind");
        let addr = socket.local_addr().expect("address");
        let recorder = Arc::default();
        Self { addr, scheme: "http", recorder, task: None, _reserved: Some(socket) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address as an endpoint of a document.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Forgets all scripted faults: from now on every request gets a plain 200.
    pub fn heal(&self) {
        self.recorder.heal();
    }

    /// Closes the listener and every connection, as a killed process would.
    pub fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// What it saw, for others to hold.
    pub fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder)
    }

    pub(crate) fn is_rejecting(&self) -> bool {
        self._reserved.is_some()
    }

    async fn listen<F, C>(scheme: &'static str, at: Option<SocketAddr>, serve: F) -> Self
    where
        F: Fn(tokio::net::TcpStream, Arc<Recorder>, usize) -> C + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let at = at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let listener = TcpListener::bind(at).await.expect("bind an upstream");
        let addr = listener.local_addr().expect("address");
        let recorder = Arc::new(Recorder::default());
        let shared = Arc::clone(&recorder);
        let task = tokio::spawn(async move {
            // Owned here, so that aborting this task ends every connection.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let number = shared.connected();
                let open = Open(Arc::clone(&shared));
                let connection = serve(socket, Arc::clone(&shared), number);
                connections.spawn(async move {
                    connection.await;
                    drop(open);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, scheme, recorder, task: Some(task), _reserved: None }
    }
}

impl Deref for Upstream {
    type Target = Recorder;

    fn deref(&self) -> &Recorder {
        &self.recorder
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Counts a connection as open until dropped, also when its task is aborted.
struct Open(Arc<Recorder>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.disconnected();
    }
}
