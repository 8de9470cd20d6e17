//! What an upstream saw, for the test to ask afterwards.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use crate::framing::{Headers, get, get_all};
use crate::pattern::{Pattern, Verifier};

const KEPT_BODY: usize = 1 << 20;

/// The seed of every large body that a test sends; [`Seen::exact`] compares to it.
pub(crate) const SEED: u64 = 1;

/// One request as an upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection it came on, counted from zero.
    pub connection: usize,
    /// Which request of that connection (or which stream) it was, counted from zero.
    pub request: usize,
    /// The method.
    pub method: String,
    /// The target of the request line, or `:path`.
    pub target: String,
    /// `:authority` or the `host` line.
    pub authority: String,
    /// `:protocol` of an extended CONNECT (RFC 8441).
    pub protocol: Option<String>,
    /// Header lines in order, names in lower case.
    pub headers: Headers,
    /// The raw head (HTTP/1 only).
    pub head: Vec<u8>,
    /// The decoded body, at most the first MiB.
    pub body: Vec<u8>,
    /// How many body bytes came.
    pub body_length: u64,
    /// Whether those bytes were the harness' own pattern.
    pub exact: bool,
    /// Whether the end of the body was seen.
    pub complete: bool,
    /// Trailer lines.
    pub trailers: Headers,
    /// When the head was read.
    pub at: Instant,
    /// When the peer was seen to leave, or to reset this stream.
    pub left: Option<Instant>,
    verifier: Verifier,
}

impl Seen {
    pub(crate) fn new(connection: usize, request: usize, start: &str, headers: Headers) -> Self {
        let mut words = start.split(' ');
        Self {
            connection,
            request,
            method: words.next().unwrap_or_default().to_owned(),
            target: words.next().unwrap_or_default().to_owned(),
            authority: get(&headers, "host").unwrap_or_default().to_owned(),
            protocol: None,
            headers,
            head: Vec::new(),
            body: Vec::new(),
            body_length: 0,
            exact: true,
            complete: false,
            trailers: Vec::new(),
            at: Instant::now(),
            left: None,
            verifier: Pattern::new(SEED).verifier(),
        }
    }

    pub(crate) fn body_piece(&mut self, piece: &[u8]) {
        let room = KEPT_BODY - self.body.len();
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
        self.body_length += piece.len() as u64;
        self.verifier.feed(piece);
        self.exact = self.verifier.exact();
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        get(&self.headers, name)
    }

    /// Every value of a header, one for each line.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        get_all(&self.headers, name)
    }
}

/// The shared memory of one upstream.
#[derive(Debug, Default)]
pub struct Recorder {
    requests: Mutex<Vec<Arc<Mutex<Seen>>>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    received: AtomicU64,
    sent: AtomicU64,
    healed: AtomicBool,
}

impl Recorder {
    pub(crate) fn connected(&self) -> usize {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.connections.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn disconnected(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn begin(&self, seen: Seen) -> Arc<Mutex<Seen>> {
        let seen = Arc::new(Mutex::new(seen));
        lock(&self.requests).push(Arc::clone(&seen));
        seen
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::SeqCst)
    }

    /// Every request so far, in the order of arrival. Fresh checks of the harness are not listed.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.requests).iter().map(|seen| lock(seen).clone()).collect()
    }

    /// Every request with this target so far.
    pub fn seen_for(&self, target: &str) -> Vec<Seen> {
        let requests = lock(&self.requests);
        let requests = requests.iter().map(|seen| lock(seen));
        requests.filter(|seen| seen.target == target).map(|seen| seen.clone()).collect()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of them are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// How many bytes were received on all connections.
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// How many bytes were written to all connections.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
