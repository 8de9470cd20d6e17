//! Which endpoints are picked, as checks and requests say how they are.

mod ejection;
mod probes;
mod recovery;

use std::sync::{Arc, Mutex};

use crate::Cluster;
use crate::observe::{Observer, Observers, StateChanged};
use crate::upstream::ClusterBuilder;

/// The names of those that are picked, by their ports.
pub(super) fn picked(cluster: &Cluster) -> Vec<u16> {
    let available = cluster.shared.available();
    let mut ports: Vec<_> =
        available.candidates().map(|one| one.endpoint.address().port()).collect();
    ports.sort_unstable();
    ports
}

/// A cluster with endpoints on the ports 1 to `count`, that nobody listens on.
pub(super) fn cluster(count: u16) -> ClusterBuilder {
    (1..=count).fold(Cluster::builder("orders"), |builder, port| {
        builder.endpoint(format!("http://127.0.0.1:{port}").parse().unwrap())
    })
}

/// Remembers what became of endpoints, as `port from to`.
#[derive(Default)]
pub(super) struct Seen(Mutex<Vec<String>>);

impl Seen {
    pub(super) fn observers(self: &Arc<Self>) -> Observers {
        Observers::new(vec![Arc::clone(self) as Arc<dyn Observer>])
    }

    /// What was seen since this was asked last.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Seen {
    fn state_changed(&self, event: &StateChanged<'_>) {
        assert_eq!(event.within, Some("orders"));
        if event.subject == "endpoint" {
            let port = event.name.rsplit(':').next().unwrap();
            self.0.lock().unwrap().push(format!("{port} {} {}", event.from, event.to));
        }
    }
}
