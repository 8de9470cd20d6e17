//! Endpoints that were ejected because they could not be reached.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

use super::{Seen, cluster, picked};
use crate::error::{HealthSignal, Reason};
use crate::message::Stream;
use crate::upstream::health::OutlierDetectionConfig;
use crate::upstream::{Cluster, Connect, EndpointAddress};

/// A network in which single ports refuse connections.
#[derive(Clone, Default)]
struct Network {
    rejected: Arc<Mutex<HashMap<u16, u32>>>,
}

impl Network {
    fn reject(&self, port: u16) {
        self.rejected.lock().unwrap().insert(port, 0);
    }

    /// Accepts connections again. Returns how many were rejected.
    fn accept(&self, port: u16) -> u32 {
        self.rejected.lock().unwrap().remove(&port).unwrap()
    }
}

impl Connect for Network {
    async fn connect(&self, address: &EndpointAddress) -> io::Result<Box<dyn Stream>> {
        if let Some(count) = self.rejected.lock().unwrap().get_mut(&address.port()) {
            *count += 1;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Box::new(tokio::io::duplex(64).0))
    }
}

fn fail(cluster: &Cluster, port: u16, reason: Reason) {
    let endpoints = cluster.endpoints();
    let endpoint = endpoints.iter().find(|one| one.address().port() == port).unwrap();
    for _ in 0..5 {
        cluster.shared.note(endpoint, HealthSignal::Failure, Some(reason));
    }
}

fn three(network: &Network, seen: &Arc<Seen>) -> Cluster {
    let builder =
        cluster(3).outlier_detection(OutlierDetectionConfig::default()).connector(network.clone());
    let cluster = builder.observers(seen.observers()).build().unwrap();
    cluster.start();
    cluster
}

#[tokio::test(start_paused = true)]
async fn refused_endpoint_returns_when_it_accepts_connections() {
    let (network, seen) = (Network::default(), Arc::new(Seen::default()));
    let cluster = three(&network, &seen);
    for reason in [Reason::ConnectFailed, Reason::ConnectTimeout, Reason::UpstreamClosed] {
        network.reject(2);
        fail(&cluster, 2, reason);
        assert_eq!(picked(&cluster), [1, 3]);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(picked(&cluster), [1, 3]);
        let probes = network.accept(2);
        assert!((2..=10).contains(&probes), "{probes} probes");
        sleep(Duration::from_secs(4)).await;
        assert_eq!(picked(&cluster), [1, 2, 3], "{reason}");
        assert_eq!(seen.take(), ["2 in ejected", "2 ejected in"]);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_another_kind_keep_their_time() {
    let (network, seen) = (Network::default(), Arc::new(Seen::default()));
    let cluster = three(&network, &seen);
    for (reason, time) in [(Reason::UpstreamClosed, 30), (Reason::AttemptTimeout, 60)] {
        fail(&cluster, 2, reason);
        sleep(Duration::from_secs(time - 1)).await;
        assert_eq!(picked(&cluster), [1, 3], "{reason}");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(picked(&cluster), [1, 2, 3], "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_accepts_and_fails_is_away_for_longer_each_time() {
    let (network, seen) = (Network::default(), Arc::new(Seen::default()));
    let cluster = three(&network, &seen);
    let mut times = Vec::new();
    for _ in 0..4 {
        let ejected = tokio::time::Instant::now();
        fail(&cluster, 2, Reason::ConnectFailed);
        while picked(&cluster).len() < 3 {
            sleep(Duration::from_millis(10)).await;
        }
        times.push(ejected.elapsed());
    }
    assert!(times.is_sorted() && times[3] > times[0] * 4, "{times:?}");
    assert!(times[3] < Duration::from_secs(2), "{times:?}");
}
