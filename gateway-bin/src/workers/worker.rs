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

/// The stages that the workers go through together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Stage {
    /// Serves clients.
    Serve,
    /// Drains, then keeps its runtime going until all workers have drained: connections to
    /// upstreams belong to the worker that opened them and carry requests of the others.
    Drain,
    /// Ends now.
    End,
}

/// What became of the worker of this number.
pub(super) type End = (usize, Result<Drained, String>);

/// Waits until all `count` workers have drained and ended; where one fails, drains the others.
pub(super) async fn wait(
    count: usize,
    mut ends: mpsc::UnboundedReceiver<End>,
    stage: &watch::Sender<Stage>,
) -> Result<Drained, ServeError> {
    let mut total = Drained::default();
    let mut failed = None;
    let mut drained = 0;
    while let Some((worker, outcome)) = ends.recv().await {
        drained += 1;
        if drained == count {
            stage.send_replace(Stage::End);
        }
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
        let report = |outcome| drop(ended.send((number, outcome)));
        let work = AssertUnwindSafe(|| runtime.block_on(work(server, stage, report)));
        if catch_unwind(work).is_err() {
            report(Err("it panicked".to_owned()));
        }
    };
    thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
    Ok(())
}

/// Serves and drains, reports that, and goes on until the end.
async fn work(
    server: Server<Gateway>,
    stage: watch::Receiver<Stage>,
    report: impl Fn(Result<Drained, String>),
) {
    let mut drain = stage.clone();
    let (mut cut, mut end) = (stage.clone(), stage);
    let stop = async move {
        // An error means that nobody is left to tell: stop as well.
        let _ = drain.wait_for(|stage| *stage >= Stage::Drain).await;
    };
    let work = async {
        let drained = tokio::select! {
            drained = server.serve(stop) => drained,
            _ = cut.wait_for(|stage| *stage == Stage::End) => Ok(Drained::default()),
        };
        report(drained.map_err(|error| error.to_string()));
        let _ = end.wait_for(|stage| *stage == Stage::End).await;
    };
    tokio::select! {
        () = work => {}
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
