//! What checks say about endpoints.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::{Seen, cluster, picked};
use crate::error::HealthSignal;
use crate::module::{Health, ModuleService};
use crate::upstream::health::{CheckHealth, HealthCheck, OutlierDetectionConfig};
use crate::upstream::{Cluster, EndpointAddress, EndpointSpec, PickMode};

/// Endpoints that answer as they are told to, by their ports; well unless told otherwise.
#[derive(Default)]
struct Told {
    bad: Mutex<HashMap<u16, Bad>>,
    asked: Mutex<Vec<u16>>,
    asking: AtomicUsize,
    most_asking: AtomicUsize,
    takes: Duration,
}

#[derive(Clone, Copy)]
enum Bad {
    Rejects,
    Hangs,
    Panics,
}

impl Told {
    fn fails(&self, port: u16, how: impl Into<Option<Bad>>) {
        let mut bad = self.bad.lock().unwrap();
        match how.into() {
            Some(how) => bad.insert(port, how),
            None => bad.remove(&port),
        };
    }

    /// How often `port` was asked since this was asked last.
    fn asked(&self, port: u16) -> usize {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.len();
        asked.retain(|one| *one != port);
        before - asked.len()
    }
}

struct Check(Arc<Told>);

impl CheckHealth for Check {
    async fn check(&self, endpoint: &EndpointAddress) -> Result<(), String> {
        let told = &self.0;
        told.asked.lock().unwrap().push(endpoint.port());
        let asking = told.asking.fetch_add(1, Ordering::Relaxed) + 1;
        told.most_asking.fetch_max(asking, Ordering::Relaxed);
        sleep(told.takes).await;
        told.asking.fetch_sub(1, Ordering::Relaxed);
        let bad = told.bad.lock().unwrap().get(&endpoint.port()).copied();
        match bad {
            None => Ok(()),
            Some(Bad::Rejects) => Err("it rejects".to_owned()),
            Some(Bad::Hangs) => pending().await,
            Some(Bad::Panics) => panic!("told to panic"),
        }
    }
}

fn check(told: &Arc<Told>) -> HealthCheck {
    HealthCheck::new(Check(Arc::clone(told))).jitter(0.0)
}

async fn ready(cluster: &Cluster) {
    timeout(Duration::from_secs(60), cluster.ready()).await.expect("everyone was asked");
}

async fn seconds(count: f64) {
    sleep(Duration::from_secs_f64(count)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_decides_and_ready_waits_for_it() {
    let told = Arc::new(Told { takes: Duration::from_secs(1), ..Told::default() });
    told.fails(2, Bad::Rejects);
    let cluster = cluster(3).health_check(check(&told)).build().unwrap();
    assert_eq!(cluster.health().await, Health::Unknown);
    assert_eq!(picked(&cluster), [1, 2, 3], "nobody is known to be better");
    cluster.start();
    seconds(0.5).await;
    assert!(cluster.ready().now_or_never().is_none());
    ready(&cluster).await;
    assert_eq!(cluster.health().await, Health::Healthy);
    assert_eq!(picked(&cluster), [1, 3]);
    let status = cluster.status().to_string();
    assert!(status.contains("not picked, unhealthy (it rejects)"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn three_bad_probes_end_it_and_two_good_ones_bring_it_back() {
    let (told, seen) = (Arc::new(Told::default()), Arc::new(Seen::default()));
    let check = check(&told);
    let cluster = cluster(2).health_check(check).observers(seen.observers()).build().unwrap();
    cluster.start();
    ready(&cluster).await;
    seen.take();
    for bad in [Bad::Rejects, Bad::Hangs, Bad::Panics] {
        told.fails(1, bad);
        seconds(20.5).await;
        assert_eq!(picked(&cluster), [1, 2]);
        // A probe that hangs is bad once its time is over.
        seconds(12.0).await;
        assert_eq!(picked(&cluster), [2]);
        assert_eq!(seen.take(), ["1 healthy unhealthy"]);
        told.fails(1, None);
        seconds(10.0).await;
        assert_eq!(picked(&cluster), [2]);
        seconds(10.0).await;
        assert_eq!(picked(&cluster), [1, 2]);
        assert_eq!(seen.take(), ["1 unhealthy healthy"]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_cluster_that_is_down_the_first_to_return_is_picked_at_once() {
    let told = Arc::new(Told::default());
    let cluster = cluster(3).health_check(check(&told)).panic_threshold(None).build().unwrap();
    cluster.start();
    ready(&cluster).await;
    for port in 1..=3 {
        told.fails(port, Bad::Rejects);
    }
    seconds(35.0).await;
    assert_eq!(cluster.status().mode, PickMode::Nobody);
    told.asked(2);
    seconds(10.0).await;
    assert!((9..=11).contains(&told.asked(2)), "a cluster that is down is searched");
    told.fails(2, None);
    let returned = Instant::now();
    while picked(&cluster).is_empty() {
        cluster.changed().await;
    }
    assert_eq!(picked(&cluster), [2]);
    assert!(returned.elapsed() <= Duration::from_secs(1));
    told.asked(1);
    seconds(30.0).await;
    assert!(told.asked(1) <= 4, "the search is over");
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_well_all_are_picked_unless_told_otherwise() {
    let told = Arc::new(Told::default());
    told.fails(1, Bad::Rejects);
    told.fails(2, Bad::Rejects);
    let cluster = cluster(2).health_check(check(&told)).build().unwrap();
    cluster.start();
    ready(&cluster).await;
    assert_eq!(cluster.status().mode, PickMode::Panic);
    assert_eq!(picked(&cluster), [1, 2]);
    assert_eq!(cluster.health().await, Health::Unhealthy);
}

fn specs(ports: &[u16]) -> Vec<EndpointSpec> {
    let address = |port: &u16| format!("http://127.0.0.1:{port}").parse().unwrap();
    ports.iter().map(|port| EndpointSpec::new(address(port))).collect()
}

#[tokio::test(start_paused = true)]
async fn who_is_discovered_is_probed_at_once_and_who_is_gone_no_more() {
    let told = Arc::new(Told::default());
    let cluster = cluster(2).health_check(check(&told)).build().unwrap();
    cluster.start();
    ready(&cluster).await;
    told.fails(3, Bad::Rejects);
    cluster.replace_endpoints(specs(&[2, 3, 4]));
    assert_eq!(picked(&cluster), [2], "nobody has asked the new ones yet");
    let before = Instant::now();
    ready(&cluster).await;
    assert!(before.elapsed() <= Duration::from_millis(100));
    assert_eq!(picked(&cluster), [2, 4]);
    told.asked(1);
    seconds(60.0).await;
    assert_eq!(told.asked(1), 0);
    // Whoever returns is somebody new.
    cluster.replace_endpoints(specs(&[1, 2]));
    ready(&cluster).await;
    assert_eq!(told.asked(1), 1);
    // Also when nobody saw that it was gone.
    cluster.replace_endpoints(specs(&[1]));
    cluster.replace_endpoints(specs(&[1, 2]));
    told.asked(2);
    ready(&cluster).await;
    assert_eq!((told.asked(1), told.asked(2)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_that_is_well_is_not_left_out() {
    let told = Arc::new(Told::default());
    told.fails(1, Bad::Rejects);
    let builder =
        cluster(2).health_check(check(&told)).outlier_detection(OutlierDetectionConfig::default());
    let cluster = builder.build().unwrap();
    cluster.start();
    ready(&cluster).await;
    let endpoints = cluster.endpoints();
    for _ in 0..10 {
        cluster.shared.note(&endpoints[1], HealthSignal::Failure, None);
    }
    assert_eq!(picked(&cluster), [2]);
    assert_eq!(cluster.status().mode, PickMode::Healthy);
    told.fails(1, None);
    seconds(25.0).await;
    assert_eq!(picked(&cluster), [1], "now somebody else is well");
}

#[tokio::test(start_paused = true)]
async fn ejected_endpoints_are_picked_when_no_other_is_left() {
    let told = Arc::new(Told::default());
    let time = Duration::from_secs(300);
    let settings = OutlierDetectionConfig {
        base_ejection_time: time,
        max_ejection_time: time,
        ..OutlierDetectionConfig::default()
    };
    let builder = cluster(3).health_check(check(&told)).outlier_detection(settings);
    let cluster = builder.panic_threshold(None).build().unwrap();
    cluster.start();
    ready(&cluster).await;
    let endpoints = cluster.endpoints();
    for _ in 0..10 {
        cluster.shared.note(&endpoints[1], HealthSignal::Failure, None);
    }
    assert_eq!(picked(&cluster), [1, 3]);
    told.fails(1, Bad::Rejects);
    told.fails(3, Bad::Rejects);
    seconds(35.0).await;
    assert_eq!((picked(&cluster), cluster.status().mode), (vec![2], PickMode::Ejected));
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_known_and_asks_when_it_was_to_be_asked() {
    let told = Arc::new(Told::default());
    told.fails(1, Bad::Rejects);
    let before = cluster(2).health_check(check(&told)).build().unwrap();
    before.start();
    ready(&before).await;
    seconds(5.0).await;
    let after = cluster(3).health_check(check(&told)).inherit(&before).build().unwrap();
    assert_eq!(picked(&after), [2]);
    drop(before);
    after.start();
    told.asked(2);
    ready(&after).await;
    assert_eq!(picked(&after), [2, 3]);
    seconds(4.0).await;
    assert_eq!(told.asked(2), 0);
    seconds(1.5).await;
    assert_eq!(told.asked(2), 1);
    let unchecked = cluster(2).inherit(&after).build().unwrap();
    drop(after);
    unchecked.start();
    assert_eq!(picked(&unchecked), [1, 2]);
    assert!(unchecked.endpoints().iter().all(|one| one.health() == Health::Unknown));
}

#[tokio::test(start_paused = true)]
async fn no_more_endpoints_are_probed_at_once_than_may_be() {
    let told = Arc::new(Told { takes: Duration::from_secs(1), ..Told::default() });
    let cluster = cluster(20).health_check(check(&told).concurrency(4)).build().unwrap();
    cluster.start();
    ready(&cluster).await;
    assert_eq!(told.most_asking.load(Ordering::Relaxed), 4);
    assert_eq!(picked(&cluster).len(), 20, "who waited was not late");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_one_probe_at_a_time() {
    let told = Arc::new(Told { takes: Duration::from_secs(3), ..Told::default() });
    let check = check(&told).interval(Duration::from_secs(1)).timeout(Duration::from_secs(9));
    let cluster = cluster(1).health_check(check).build().unwrap();
    cluster.start();
    seconds(31.0).await;
    assert_eq!(told.most_asking.load(Ordering::Relaxed), 1);
    assert!((10..=11).contains(&told.asked(1)));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_recovered_begins_with_a_part_of_its_share() {
    let told = Arc::new(Told::default());
    told.fails(1, Bad::Rejects);
    let builder = cluster(2).health_check(check(&told)).slow_start(Duration::from_secs(100));
    let cluster = builder.build().unwrap();
    cluster.start();
    seconds(205.0).await;
    told.fails(1, None);
    while picked(&cluster).len() < 2 {
        cluster.changed().await;
    }
    let weights = |cluster: &Cluster| {
        let available = cluster.shared.available();
        let weight = |port| {
            let mut all = available.candidates();
            all.find(|one| one.endpoint.address().port() == port).unwrap().weight
        };
        (weight(1), weight(2))
    };
    assert_eq!(weights(&cluster), (10, 100));
    seconds(50.0).await;
    assert!((40..=50).contains(&weights(&cluster).0));
    seconds(62.0).await;
    assert_eq!(weights(&cluster), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_once_the_cluster_is_gone() {
    let told = Arc::new(Told::default());
    told.fails(1, Bad::Hangs);
    let cluster = cluster(2).health_check(check(&told)).build().unwrap();
    cluster.start();
    seconds(0.5).await;
    let shared = Arc::downgrade(&cluster.shared);
    drop(cluster);
    assert!(shared.upgrade().is_none(), "a probe under way does not keep it");
    seconds(0.0).await;
    told.asked(1);
    told.asked(2);
    seconds(60.0).await;
    assert_eq!((told.asked(1), told.asked(2)), (0, 0));
}
