//! The HTTP/1 upstream: a raw socket and a script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::Upstream;
use super::wire::Wire;
use crate::answer::Answer;
use crate::framing::{BodyReader, parse_head};
use crate::gateway::FRESH;
use crate::record::{Seen, lock};

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;
type Accepted = dyn Fn(usize) -> Answer + Send + Sync;

/// Describes an HTTP/1 upstream before it starts.
#[derive(Clone)]
pub struct Http1Builder {
    script: Arc<Script>,
    accepted: Arc<Accepted>,
    reads_first: bool,
    idle: Option<Duration>,
    requests: usize,
    at: Option<SocketAddr>,
}

impl Default for Http1Builder {
    fn default() -> Self {
        Self {
            script: Arc::new(|_| Answer::ok("ok")),
            accepted: Arc::new(|_| Answer::unread()),
            reads_first: false,
            idle: None,
            requests: usize::MAX,
            at: None,
        }
    }
}

impl Http1Builder {
    /// Does the same with every request.
    #[must_use]
    pub fn answer(self, answer: Answer) -> Self {
        self.script(move |_| answer.clone())
    }

    /// Does these one after the other over all connections, the last one again and again.
    #[must_use]
    pub fn answers(self, answers: Vec<Answer>) -> Self {
        let next = std::sync::atomic::AtomicUsize::new(0);
        self.script(move |_| {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answers[index.min(answers.len() - 1)].clone()
        })
    }

    /// Decides for each request.
    #[must_use]
    pub fn script(mut self, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        self.script = Arc::new(script);
        self
    }

    /// Decides for each request once its body is there.
    #[must_use]
    pub fn script_after_body(
        self,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self { reads_first: true, ..self.script(script) }
    }

    /// Does this with every new connection, before its first request.
    #[must_use]
    pub fn on_accept(mut self, steps: Answer) -> Self {
        self.accepted = Arc::new(move |_| steps.clone());
        self
    }

    /// Closes a connection that has had no request for this long after an answer.
    #[must_use]
    pub fn closes_idle_after(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// Closes a connection after that many answers, without having announced it.
    #[must_use]
    pub fn closes_after_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Listens at this address, for one that comes back after it was killed.
    #[must_use]
    pub fn at(mut self, addr: SocketAddr) -> Self {
        self.at = Some(addr);
        self
    }

    /// Starts to listen on a free port of the loopback.
    pub async fn start(self) -> Upstream {
        let at = self.at;
        Upstream::listen("http", at, move |socket, recorder, number| {
            serve(Wire::new(socket, recorder), self.clone(), number)
        })
        .await
    }
}

async fn serve(mut wire: Wire, builder: Http1Builder, connection: usize) {
    if !wire.recorder.is_healed() {
        let steps = (builder.accepted)(connection).steps;
        let nothing = Mutex::new(Seen::new(connection, 0, "", Vec::new()));
        if wire.run(&steps, &mut BodyReader::for_request(&[]), &nothing).await.is_break() {
            return;
        }
    }
    for request in 0..builder.requests {
        let idle = builder.idle.filter(|_| request > 0);
        let Some(head) = wire.head(idle).await else {
            return;
        };
        let (start, headers) = parse_head(&head);
        let mut body = BodyReader::for_request(&headers);
        let mut seen = Seen::new(connection, request, &start, headers);
        seen.head = head.to_vec();
        seen.complete = body.is_done();
        let fresh = seen.target.ends_with(FRESH);
        let seen = match fresh {
            true => Arc::new(Mutex::new(seen)),
            false => wire.recorder.begin(seen),
        };
        if builder.reads_first && !wire.body(&mut body, &seen).await {
            return;
        }
        let steps = match fresh || wire.recorder.is_healed() {
            true => Answer::ok("fresh").steps,
            false => {
                let seen = lock(&seen).clone();
                (builder.script)(&seen).steps
            }
        };
        let flow = wire.run(&steps, &mut body, &seen).await;
        if flow.is_break() || !wire.body(&mut body, &seen).await {
            let mut seen = lock(&seen);
            seen.left = seen.left.or(Some(Instant::now()));
            return;
        }
    }
}
