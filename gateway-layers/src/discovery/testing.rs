//! What the tests of the sources share: a cluster to watch, and a server to ask.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::upstream::{ClusterStatus, Discover, Publisher};
use gateway_core::{Cluster, EndpointAddress, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Tests that wait for something fail after this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A source that hands out its publisher.
struct Handed(Mutex<Option<tokio::sync::oneshot::Sender<Publisher>>>);

impl Discover for Handed {
    fn name(&self) -> &str {
        "handed"
    }

    async fn run(&self, publisher: Publisher) {
        if let Some(sender) = self.0.lock().unwrap().take() {
            let _ = sender.send(publisher);
        }
        pending::<()>().await;
    }
}

/// A cluster, and what publishes to it.
pub(super) async fn published() -> (Cluster, Publisher) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let cluster = watched(Handed(Mutex::new(Some(sender))));
    (cluster, receiver.await.unwrap())
}

/// A cluster whose endpoints `source` finds.
pub(super) fn watched(source: impl Discover) -> Cluster {
    let cluster = Cluster::builder("test").discovery(source).build().unwrap();
    cluster.start();
    cluster
}

/// Its endpoints, in order.
pub(super) fn names(cluster: &Cluster) -> Vec<String> {
    let mut names: Vec<_> =
        cluster.endpoints().iter().map(|endpoint| endpoint.name().to_string()).collect();
    names.sort();
    names
}

/// What is said to be wrong.
pub(super) fn failure(cluster: &Cluster) -> Option<String> {
    cluster.status().discovery.unwrap().failure
}

/// Waits until the status is as wanted.
#[track_caller]
pub(super) fn until(
    cluster: &Cluster,
    wanted: impl Fn(&ClusterStatus) -> bool,
) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let seen = async {
            while !wanted(&cluster.status()) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(PATIENCE, seen).await.is_err() {
            panic!("{place}: waited in vain for it: {}", cluster.status());
        }
    }
}

/// Waits until exactly these are its endpoints.
#[track_caller]
pub(super) fn until_names(cluster: &Cluster, wanted: &[&str]) -> impl Future<Output = ()> {
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    until(cluster, move |_| names(cluster) == wanted)
}

/// Waits until the source says that it fails, with `text` in what it says.
#[track_caller]
pub(super) fn until_failure(cluster: &Cluster, text: &str) -> impl Future<Output = ()> {
    until(cluster, move |_| failure(cluster).is_some_and(|said| said.contains(text)))
}

/// Waits until the source works.
#[track_caller]
pub(super) fn until_well(cluster: &Cluster) -> impl Future<Output = ()> {
    until(cluster, |status| {
        let discovery = status.discovery.as_ref().unwrap();
        discovery.published.is_some() && discovery.failure.is_none()
    })
}

/// Waits until something counts far enough.
#[track_caller]
pub(super) fn until_true(wanted: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let seen = async {
            while !wanted() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, seen).await.is_ok(), "{place}: waited in vain");
    }
}

/// What a [`FakeServer`] was asked.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) head: String,
    pub(super) body: String,
}

impl Asked {
    /// The value of a field, whose name is in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a [`FakeServer`] does about it.
pub(super) enum Reply {
    Full {
        status: u16,
        headers: String,
        body: String,
    },
    /// Chunk after chunk, until the sender is dropped.
    Stream(mpsc::Receiver<String>),
    /// The same chunk again and again.
    Endless(String),
    /// Nothing, and the connection stays open.
    Hang,
    /// Nothing, and the connection is closed.
    Close,
}

impl Reply {
    pub(super) fn json(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    pub(super) fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Full { status, headers: String::new(), body: body.into() }
    }

    pub(super) fn endless(chunk: impl Into<String>) -> Self {
        Self::Endless(chunk.into())
    }
}

/// A server of HTTP/1.1 written for the tests: what it does depends on nothing that is tested.
pub(super) struct FakeServer {
    address: std::net::SocketAddr,
    _tasks: Tasks,
}

impl FakeServer {
    pub(super) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, connections) = (Tasks::new(), Tasks::new());
        let answer = Arc::new(answer);
        tasks.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                connections.spawn("serve", async move {
                    let _ = serve(stream, &*answer).await;
                });
            }
        });
        Self { address, _tasks: tasks }
    }

    pub(super) fn address(&self) -> EndpointAddress {
        format!("http://{}", self.address).parse().unwrap()
    }
}

async fn serve<F, A>(mut stream: TcpStream, answer: &F) -> std::io::Result<()>
where
    F: Fn(Asked) -> A,
    A: Future<Output = Reply>,
{
    while let Some(asked) = receive(&mut stream).await? {
        // Whoever hangs up has no interest in the answer.
        let mut probe = [0_u8; 1];
        let reply = tokio::select! {
            reply = answer(asked) => reply,
            _ = stream.peek(&mut probe) => return Ok(()),
        };
        const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        match reply {
            Reply::Full { status, headers, body } => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}");
                stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
            }
            Reply::Stream(mut chunks) => {
                stream.write_all(CHUNKED).await?;
                loop {
                    let text = tokio::select! {
                        text = chunks.recv() => text,
                        _ = stream.peek(&mut probe) => return Ok(()),
                    };
                    let Some(text) = text else { break };
                    stream.write_all(chunk(&text).as_bytes()).await?;
                }
                stream.write_all(b"0\r\n\r\n").await?;
            }
            Reply::Endless(text) => {
                stream.write_all(CHUNKED).await?;
                loop {
                    stream.write_all(chunk(&text).as_bytes()).await?;
                }
            }
            Reply::Hang => pending().await,
            Reply::Close => return Ok(()),
        }
    }
    Ok(())
}

/// The next request; `None` at the end of the connection.
async fn receive(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0_u8; 1];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut asked = Asked { method, target, head, body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    asked.body = String::from_utf8(body).unwrap();
    Ok(Some(asked))
}
