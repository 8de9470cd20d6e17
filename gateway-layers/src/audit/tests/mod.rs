mod delivery;
mod events;
mod files;
mod property;
mod receiver;
mod warnings;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gateway_core::context::Principal;
use gateway_core::{
    Body, Clock, ConnectionInfo, Error, Gateway, ListenerInfo, Module, Observer, Reason, Request,
    RequestContext, RequestRejected, Response, Route, RouteMatch, module_fn,
};
use serde_json::Value;
use tokio::time::{Instant, advance, sleep};

use super::*;

/// What a sink does with a batch.
#[derive(Clone)]
enum Does {
    Takes,
    Fails,
    Rejects,
    Stalls,
    Panics,
    Asks(Duration),
}

/// A sink of the tests: does what it was told for each batch, and then takes all.
#[derive(Clone, Default)]
struct Hand {
    does: Arc<Mutex<VecDeque<Does>>>,
    always: Arc<Mutex<Option<Does>>>,
    tries: Arc<Mutex<Vec<Instant>>>,
    took: Arc<Mutex<Vec<Vec<Arc<AuditEvent>>>>>,
}

impl Hand {
    fn first(does: impl IntoIterator<Item = Does>) -> Self {
        let hand = Self::default();
        hand.does.lock().unwrap().extend(does);
        hand
    }

    fn always(does: Does) -> Self {
        let hand = Self::default();
        hand.now(Some(does));
        hand
    }

    fn now(&self, does: Option<Does>) {
        *self.always.lock().unwrap() = does;
    }

    fn tries(&self) -> usize {
        self.tries.lock().unwrap().len()
    }

    /// How many events each batch had.
    fn batches(&self) -> Vec<usize> {
        self.took.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// The events as a reader sees them.
    fn events(&self) -> Vec<Value> {
        let took = self.took.lock().unwrap();
        took.iter().flatten().map(|event| read(event.json())).collect()
    }
}

impl AuditSink for Hand {
    fn name(&self) -> String {
        "hand".to_owned()
    }

    async fn deliver(&self, events: &[Arc<AuditEvent>]) -> Result<(), Undelivered> {
        self.tries.lock().unwrap().push(Instant::now());
        let next = self.does.lock().unwrap().pop_front();
        let does = next.or_else(|| self.always.lock().unwrap().clone()).unwrap_or(Does::Takes);
        match does {
            Does::Takes => {
                self.took.lock().unwrap().push(events.to_vec());
                Ok(())
            }
            Does::Fails => Err(Undelivered::again("is away")),
            Does::Rejects => Err(Undelivered::never("answered 400")),
            Does::Stalls => std::future::pending().await,
            Does::Panics => panic!("as it was told"),
            Does::Asks(wait) => Err(Undelivered::again("is busy").not_before(wait)),
        }
    }
}

/// It is always the same moment.
struct Still;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(1_795_683_669, 45_000_000)
    }
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn settings(change: impl FnOnce(&mut SinkConfig)) -> SinkConfig {
    let mut settings = SinkConfig::default();
    change(&mut settings);
    settings
}

/// An audit that has begun, and its only sink.
fn started(hand: &Hand, change: impl FnOnce(&mut SinkConfig)) -> Audit {
    let audit = Audit::builder().sink_with(hand.clone(), settings(change)).build().unwrap();
    audit.start();
    audit
}

/// Bytes that are no request, so many times.
fn reject(audit: &Audit, times: usize) {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let error = Error::new(Reason::RequestMalformed);
    for _ in 0..times {
        audit.request_rejected(&RequestRejected::new(&connection, &error));
    }
}

fn counts(audit: &Audit) -> [u64; 5] {
    let status = audit.status().remove(0);
    [status.taken, status.sent, status.queued as u64, status.dropped, status.failed]
}
