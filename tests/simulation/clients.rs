//! [`Clients`]: requests that come at their rate, however long the answers take.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_core::{Body, ConnectionInfo, ListenerInfo, Module, Request, RequestContext, Tasks};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::draws::Draws;
use crate::tally::{Ended, Tally};

/// Who sends requests, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clients {
    /// Requests a second, each at a moment of its own within its part of the second.
    pub(crate) per_second: u32,
    /// For how long.
    pub(crate) lasts: Duration,
    /// The share of clients that give up,
    pub(crate) give_up: f64,
    /// at a moment within this time.
    pub(crate) give_up_within: Duration,
}

impl Clients {
    /// So many requests a second for so many seconds, and nobody gives up.
    pub(crate) const fn new(per_second: u32, seconds: u64) -> Self {
        let lasts = Duration::from_secs(seconds);
        Self { per_second, lasts, give_up: 0.0, give_up_within: Duration::ZERO }
    }

    /// Sends everything and waits for all of the answers.
    pub(crate) async fn run(self, module: &Module, seed: u64) -> Tally {
        let mut draws = Draws::new(seed, 1);
        let began = Instant::now();
        let slot = Duration::from_secs(1) / self.per_second;
        let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
        let connection = Arc::new(connection);
        let tally = Arc::new(Mutex::new(Tally::default()));
        let tasks = Tasks::new();
        let (under_way, mut over) = mpsc::channel::<()>(1);
        for number in 0.. {
            let opens = slot * number;
            if opens >= self.lasts {
                break;
            }
            sleep_until(began + opens + draws.part_of(slot)).await;
            let patience = draws.chance(self.give_up).then(|| draws.part_of(self.give_up_within));
            let request = request(&connection);
            let (module, tally, under_way) =
                (module.clone(), Arc::clone(&tally), under_way.clone());
            tasks.spawn("client", async move {
                let ended = send(&module, request, patience, began).await;
                tally.lock().unwrap_or_else(PoisonError::into_inner).all.push(ended);
                drop(under_way);
            });
        }
        drop(under_way);
        over.recv().await;
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.clone()
    }
}

fn request(connection: &Arc<ConnectionInfo>) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/orders/7".parse().expect("a target");
    let context = RequestContext::new(Arc::clone(connection), Instant::now());
    request.extensions_mut().insert(context);
    request
}

/// One request until the end of its answer, or of the client's patience.
async fn send(
    module: &Module,
    request: Request,
    patience: Option<Duration>,
    began: Instant,
) -> Ended {
    let came = Instant::now();
    let answered = async {
        match module.call(request).await {
            Err(error) => error.reason().code().to_owned(),
            Ok(answer) => {
                let status = answer.status().as_str().to_owned();
                match answer.into_body().collect().await {
                    Ok(_) => status,
                    Err(error) => format!("{status}, then {}", error.reason().code()),
                }
            }
        }
    };
    let how = match patience {
        None => answered.await,
        Some(patience) => timeout(patience, answered).await.unwrap_or("cancelled".to_owned()),
    };
    Ended { came: came - began, took: came.elapsed(), how }
}
