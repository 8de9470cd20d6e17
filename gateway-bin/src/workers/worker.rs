//! One worker: its thread, what it is told, and its end.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use gateway_core::{Drained, Gateway, Server};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::ServeError;

/// What the workers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Stage {
    Serve,
    Drain,
    Cut,
}

/// What became of the worker of this number.
pub(super) type End = (usize, Result<Drained, String>);

/// Waits for every worker; where one fails, drains the others.
pub(super) async fn wait(
    mut ends: mpsc::UnboundedReceiver<End>,
    stage: &watch::Sender<Stage>,
) -> Result<Drained, ServeError> {
    let mut total = Drained::default();
    let mut failed = None;
    while let Some((worker, outcome)) = ends.recv().await {
        match outcome {
            Ok(drained) => {
                total.open += drained.open;
                total.cut += drained.cut;
            }
            Err(cause) => {
                tracing::error!(worker, cause, "a worker failed; draining the others");
                stage.send_if_modified(|stage| {
                    let serving = *stage == Stage::Serve;
                    if serving {
                        *stage = Stage::Drain;
                    }
                    serving
                });
                failed.get_or_insert(ServeError::Worker { worker, cause });
            }
        }
    }
    failed.map_or(Ok(total), Err)
}

pub(super) fn spawn(
    number: usize,
    server: Server<Gateway>,
    stage: watch::Receiver<Stage>,
    ended: mpsc::UnboundedSender<End>,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let work = AssertUnwindSafe(|| runtime.block_on(work(server, stage)));
        let outcome = match catch_unwind(work) {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err("it panicked".to_owned()),
        };
        let _ = ended.send((number, outcome));
    };
    thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
    Ok(())
}

async fn work(server: Server<Gateway>, stage: watch::Receiver<Stage>) -> io::Result<Drained> {
    let mut drain = stage.clone();
    let mut cut = stage;
    let stop = async move {
        // An error means that nobody is left to tell: stop as well.
        let _ = drain.wait_for(|stage| *stage >= Stage::Drain).await;
    };
    tokio::select! {
        drained = server.serve(stop) => drained,
        _ = cut.wait_for(|stage| *stage == Stage::Cut) => Ok(Drained::default()),
        never = let_the_allocator_look() => match never {},
    }
}

/// Asks for some memory, untouched, and gives it back, once a second.
///
/// The allocator keeps what was freed for a moment, in case it is wanted again, and looks for what
/// it may return to the system only when it is used for something large. After a burst nobody does
/// that: without this, thousands of connections that fell quiet would keep what they needed while
/// they were busy. It costs nothing while there is work.
async fn let_the_allocator_look() -> Infallible {
    const SOME: usize = 10 * 1024 * 1024;
    loop {
        sleep(Duration::from_secs(1)).await;
        drop(black_box(Vec::<u8>::with_capacity(SOME)));
    }
}
