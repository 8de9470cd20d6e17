//! Clients that ask without a pause until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::client::Client;
use crate::reply::Reply;

type Good = dyn Fn(&Reply) -> bool + Send + Sync;

/// GETs under way; they end with [`Load::stop`].
pub struct Load {
    stopped: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    asking: JoinSet<Vec<String>>,
}

/// What became of a load.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// How many requests were answered, or were not.
    pub requests: usize,
    /// Those whose answer was not good, with what came instead.
    pub failed: Vec<String>,
}

impl Load {
    /// Starts `clients` that ask for `path` again and again; every second one speaks HTTP/2. A
    /// good answer is a whole 200.
    pub fn start(addr: SocketAddr, clients: usize, path: &str) -> Self {
        Self::start_with(addr, clients, path, |reply| reply.status == 200 && reply.is_complete())
    }

    /// Like [`Load::start`], with another idea of good.
    pub fn start_with(
        addr: SocketAddr,
        clients: usize,
        path: &str,
        good: impl Fn(&Reply) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (stopped, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let good: Arc<Good> = Arc::new(good);
        let mut asking = JoinSet::new();
        for number in 0..clients {
            let client = match number.is_multiple_of(2) {
                true => Client::http1(addr),
                false => Client::http2(addr),
            };
            let (stopped, answered) = (Arc::clone(&stopped), Arc::clone(&answered));
            asking.spawn(ask(client, path.to_owned(), Arc::clone(&good), stopped, answered));
        }
        Self { stopped, answered, asking }
    }

    /// How many answers came so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits for that many more answers.
    pub async fn continues_for(&self, answers: usize) {
        let goal = self.answered() + answers;
        crate::wait::eventually_within(
            std::time::Duration::from_secs(20),
            "more answers",
            || self.answered(),
            |answered| *answered >= goal,
        )
        .await;
    }

    /// Lets every client finish its request, and gives what became of all.
    pub async fn stop(self) -> LoadReport {
        self.stopped.store(true, Ordering::SeqCst);
        let failed = self.asking.join_all().await.into_iter().flatten().collect();
        LoadReport { requests: self.answered.load(Ordering::SeqCst), failed }
    }
}

impl LoadReport {
    /// Fails unless all was well.
    #[track_caller]
    pub fn assert_good(&self) {
        assert!(self.requests > 0, "nothing was asked");
        let (count, first) = (self.failed.len(), self.failed.first());
        assert!(count == 0, "{count} of {} failed, such as {first:?}", self.requests);
    }
}

async fn ask(
    mut client: Client,
    path: String,
    good: Arc<Good>,
    stopped: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut failed = Vec::new();
    while !stopped.load(Ordering::SeqCst) {
        let reply = client.get(&path).await;
        if !good(&reply) {
            failed.push(format!("{reply:?}"));
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
    failed
}
