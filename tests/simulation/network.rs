//! [`Network`]: simulated upstreams, and the way to them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_core::message::Stream;
use gateway_core::upstream::Connect;
use gateway_core::{EndpointAddress, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::draws::Draws;

/// What lies between both ends of a connection.
const BUFFER: usize = 16 * 1024;

/// How the requests of health checks begin.
const PROBE: &[u8] = b"GET /healthz ";

/// How an upstream answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// The mean time until the head of an answer.
    pub(crate) latency: Duration,
    /// The mean time from there until the end of its body; zero: it comes with the head.
    pub(crate) body: Duration,
    /// The share of requests that are answered with 503.
    pub(crate) unavailable: f64,
    /// The share of requests whose connection is closed instead of an answer.
    pub(crate) resets: f64,
}

impl Behaviour {
    /// Answers well, after `milliseconds` or so.
    pub(crate) const fn good(milliseconds: u64) -> Self {
        let latency = Duration::from_millis(milliseconds);
        Self { latency, body: Duration::ZERO, unavailable: 0.0, resets: 0.0 }
    }
}

/// Whether an upstream is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is.
    Up,
    /// Nobody listens: connections are refused, and those there were are gone.
    Rejects,
    /// Connections are accepted, and closed with the first request.
    Resets,
}

/// What an upstream saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When it was asked: a request came, or a connection was refused.
    pub(crate) asked: Vec<Duration>,
    /// When the head of a good answer was sent.
    pub(crate) answered: Vec<Duration>,
    /// When a probe was answered.
    pub(crate) probed: Vec<Duration>,
}

/// Simulated upstreams, and connections to them.
#[derive(Clone)]
pub(crate) struct Network {
    upstreams: Arc<[Arc<Upstream>]>,
    tasks: Tasks,
}

struct Upstream {
    behaviour: Behaviour,
    presence: watch::Sender<Presence>,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    draws: Draws,
    seen: Seen,
}

impl Network {
    /// One upstream for each of `behaviours`.
    pub(crate) fn new(seed: u64, behaviours: &[Behaviour]) -> Self {
        let upstream = |(number, behaviour): (u64, &Behaviour)| {
            let state = State { draws: Draws::new(seed, number), seen: Seen::default() };
            Arc::new(Upstream {
                behaviour: *behaviour,
                presence: watch::Sender::new(Presence::Up),
                began: Instant::now(),
                state: Mutex::new(state),
            })
        };
        Self { upstreams: (100..).zip(behaviours).map(upstream).collect(), tasks: Tasks::new() }
    }

    /// Where the upstreams are.
    pub(crate) fn addresses(&self) -> Vec<EndpointAddress> {
        let address = |number| format!("http://upstream-{number}").parse().expect("an address");
        (0..self.upstreams.len()).map(address).collect()
    }

    /// From now on all upstreams are so.
    pub(crate) fn all(&self, presence: Presence) {
        for upstream in &*self.upstreams {
            upstream.presence.send_replace(presence);
        }
    }

    /// What each upstream saw.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.upstreams.iter().map(|upstream| upstream.lock().seen.clone()).collect()
    }

    /// Connections that are open, as the upstreams see it.
    pub(crate) fn connections(&self) -> usize {
        self.tasks.names().len()
    }

    /// When any upstream was asked, in order.
    pub(crate) fn attempts(&self) -> Vec<Duration> {
        let mut attempts: Vec<_> = self.seen().into_iter().flat_map(|seen| seen.asked).collect();
        attempts.sort_unstable();
        attempts
    }
}

impl Connect for Network {
    async fn connect(&self, address: &EndpointAddress) -> io::Result<Box<dyn Stream>> {
        let number = address.host().strip_prefix("upstream-").and_then(|it| it.parse().ok());
        let upstream = number.and_then(|number: usize| self.upstreams.get(number));
        let upstream = Arc::clone(upstream.ok_or(io::ErrorKind::NotFound)?);
        if *upstream.presence.borrow() == Presence::Rejects {
            upstream.asked();
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = duplex(BUFFER);
        self.tasks.spawn("connection", upstream.serve(far));
        Ok(Box::new(near))
    }
}

/// How one request is answered.
struct Answer {
    status: u16,
    head_after: Duration,
    body_after: Duration,
}

impl Upstream {
    async fn serve(self: Arc<Self>, mut stream: DuplexStream) {
        let mut presence = self.presence.subscribe();
        let before = *presence.borrow_and_update();
        // The order of both is fixed, for the run to be the same each time.
        tokio::select! {
            biased;
            // Who has gone away has no connections left.
            _ = presence.wait_for(|now| *now != before) => {}
            _ = self.answer_all(&mut stream, before) => {}
        }
    }

    /// Answers requests until the connection is closed, on which side ever.
    async fn answer_all(&self, stream: &mut DuplexStream, presence: Presence) -> Option<()> {
        let mut read = Vec::new();
        loop {
            while !read.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut read).await.ok()? == 0 {
                    return None;
                }
            }
            if read.starts_with(PROBE) && presence == Presence::Up {
                let now = self.began.elapsed();
                self.lock().seen.probed.push(now);
                stream.write_all(b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n").await.ok()?;
                return None;
            }
            read.clear();
            self.asked();
            let answer = (presence == Presence::Up).then(|| self.draw()).flatten()?;
            wait(stream, answer.head_after).await?;
            if answer.status == 200 {
                let now = self.began.elapsed();
                self.lock().seen.answered.push(now);
            }
            let head = format!("HTTP/1.1 {} \r\ncontent-length: 4\r\n\r\n", answer.status);
            if answer.body_after.is_zero() {
                stream.write_all(format!("{head}body").as_bytes()).await.ok()?;
                continue;
            }
            stream.write_all(head.as_bytes()).await.ok()?;
            wait(stream, answer.body_after).await?;
            stream.write_all(b"body").await.ok()?;
        }
    }

    /// How the next request is answered; `None`: not at all.
    fn draw(&self) -> Option<Answer> {
        let Behaviour { latency, body, unavailable, resets } = self.behaviour;
        let draws = &mut self.lock().draws;
        let drawn = draws.fraction();
        let head_after = draws.around(latency);
        let body_after = draws.around(body);
        let status = if drawn < unavailable { 503 } else { 200 };
        (drawn < unavailable || drawn >= unavailable + resets).then_some(Answer {
            status,
            head_after,
            body_after,
        })
    }

    fn asked(&self) {
        let now = self.began.elapsed();
        self.lock().seen.asked.push(now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits, unless the other side closes the connection meanwhile, which gives `None`.
async fn wait(stream: &mut DuplexStream, time: Duration) -> Option<()> {
    timeout(time, stream.read_u8()).await.err().map(drop)
}
