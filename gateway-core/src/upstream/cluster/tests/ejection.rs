//! What requests say about endpoints.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::{Seen, cluster, picked};
use crate::body::Body;
use crate::context::{ConnectionInfo, RequestContext};
use crate::error::{HealthSignal, Reason};
use crate::message::Request;
use crate::module::ModuleService;
use crate::observe::{Observer, Observers, StateChanged};
use crate::task::Tasks;
use crate::upstream::health::{OutlierDetectionConfig, SuccessRateConfig};
use crate::upstream::{Cluster, PickMode};

fn note(cluster: &Cluster, port: u16, signal: HealthSignal, count: u32) {
    note_reason(cluster, port, signal, None, count);
}

fn note_reason(
    cluster: &Cluster,
    port: u16,
    signal: HealthSignal,
    reason: Option<Reason>,
    count: u32,
) {
    let endpoints = cluster.endpoints();
    let endpoint = endpoints.iter().find(|one| one.address().port() == port).unwrap();
    for _ in 0..count {
        cluster.shared.note(endpoint, signal, reason);
    }
}

fn fail(cluster: &Cluster, port: u16, count: u32) {
    note(cluster, port, HealthSignal::Failure, count);
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_in_a_row_is_left_out_for_longer_each_time() {
    let seen = Arc::new(Seen::default());
    let cluster =
        cluster(3).outlier_detection(OutlierDetectionConfig::default()).observers(seen.observers());
    let cluster = cluster.build().unwrap();
    cluster.start();
    for out in [30, 60, 90] {
        fail(&cluster, 2, 4);
        note(&cluster, 2, HealthSignal::Success, 1);
        fail(&cluster, 2, 4);
        assert_eq!(picked(&cluster), [1, 2, 3], "a success ends the row");
        fail(&cluster, 2, 1);
        assert_eq!(picked(&cluster), [1, 3]);
        // Requests that were on their way still fail.
        fail(&cluster, 2, 7);
        assert_eq!(seen.take(), ["2 in ejected"]);
        seconds(out - 1).await;
        assert_eq!(picked(&cluster), [1, 3]);
        seconds(2).await;
        assert_eq!(picked(&cluster), [1, 2, 3]);
        assert_eq!(seen.take(), ["2 ejected in"], "what failed meanwhile does not count");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_in_is_forgiven() {
    let cluster = cluster(3).outlier_detection(OutlierDetectionConfig::default()).build().unwrap();
    cluster.start();
    for _ in 0..3 {
        fail(&cluster, 1, 5);
        assert_eq!(picked(&cluster), [2, 3]);
        seconds(31).await;
        assert_eq!(picked(&cluster), [1, 2, 3]);
        seconds(25).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_their_share_are_left_out_and_one_always_stays() {
    for (count, max_ejected_ratio, stay) in [(1, 1.0, 1), (2, 0.5, 1), (4, 0.5, 2), (4, 1.0, 1)] {
        let settings =
            OutlierDetectionConfig { max_ejected_ratio, ..OutlierDetectionConfig::default() };
        let cluster = cluster(count).outlier_detection(settings).build().unwrap();
        for port in 1..=count {
            fail(&cluster, port, 5);
        }
        assert_eq!(picked(&cluster).len(), stay, "{count} {max_ejected_ratio}");
        assert_eq!(cluster.status().mode, PickMode::Healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_who_are_in_fail_those_left_out_are_taken_back() {
    let seen = Arc::new(Seen::default());
    let cluster =
        cluster(2).outlier_detection(OutlierDetectionConfig::default()).observers(seen.observers());
    let cluster = cluster.build().unwrap();
    cluster.start();
    let down = Instant::now();
    fail(&cluster, 1, 5);
    fail(&cluster, 2, 4);
    seconds(2).await;
    assert_eq!(picked(&cluster), [2], "it does not fail in a row yet");
    fail(&cluster, 2, 1);
    // The first one has returned; the second one goes on failing.
    seconds(2).await;
    assert!(picked(&cluster).contains(&1));
    note(&cluster, 1, HealthSignal::Success, 1);
    fail(&cluster, 2, 1);
    assert_eq!(picked(&cluster), [1]);
    assert_eq!(seen.take(), ["1 in ejected", "1 ejected in", "2 in ejected"]);
    seconds(20).await;
    assert_eq!(picked(&cluster), [1]);
    assert!(down.elapsed() < OutlierDetectionConfig::default().base_ejection_time);
}

#[tokio::test]
async fn ejected_endpoint_is_tried_before_a_request_fails() {
    let tasks = Tasks::new();
    let address = serve("127.0.0.1:0", &tasks).await;
    for threshold in [Some(0.0), None] {
        let cluster = Cluster::builder("orders")
            .endpoint(format!("http://{address}").parse().unwrap())
            .endpoint("http://127.0.0.1:1".parse().unwrap())
            .outlier_detection(OutlierDetectionConfig::default())
            .panic_threshold(threshold)
            .build()
            .unwrap();
        fail(&cluster, address.port(), 5);
        assert_eq!(picked(&cluster), [1]);
        for _ in 0..3 {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = "/".parse().unwrap();
            let connection = ConnectionInfo::new(Arc::default(), None, None);
            let context = RequestContext::new(Arc::new(connection), Instant::now());
            request.extensions_mut().insert(context);
            assert_eq!(cluster.call(request).await.unwrap().status(), 200);
        }
    }
}

/// Answers every request on a connection with 200 until it is dropped.
async fn serve(address: &str, tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn("serve", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_cluster_that_was_down_answers_the_first_request_after_its_return() {
    let tasks = Tasks::new();
    let one = serve("127.0.0.1:0", &tasks).await;
    let other = serve("127.0.0.1:0", &tasks).await;
    let addresses = [one, other].map(|address| format!("http://{address}"));
    let builder = addresses.iter().fold(Cluster::builder("orders"), |builder, address| {
        builder.endpoint(address.parse().unwrap())
    });
    let cluster = builder.outlier_detection(OutlierDetectionConfig::default()).build().unwrap();
    let status = async || {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "/".parse().unwrap();
        cluster.call(request).await.map(|answer| answer.status().as_u16())
    };
    assert_eq!(status().await.unwrap(), 200);
    tasks.abort();
    for address in [one, other] {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..30 {
        let error = status().await.unwrap_err();
        assert_eq!(error.reason(), Reason::ConnectFailed);
    }
    assert_eq!(cluster.status().mode, PickMode::Healthy, "one always stays");
    serve(&one.to_string(), &tasks).await;
    serve(&other.to_string(), &tasks).await;
    for _ in 0..5 {
        assert_eq!(status().await.unwrap(), 200);
    }
}

fn by_rate() -> OutlierDetectionConfig {
    let success_rate = Some(SuccessRateConfig::default());
    OutlierDetectionConfig {
        consecutive_failures: None,
        success_rate,
        ..OutlierDetectionConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_rate_far_below_the_others_is_left_out() {
    let cluster = cluster(4).outlier_detection(by_rate()).build().unwrap();
    cluster.start();
    for port in 1..=4 {
        note(&cluster, port, HealthSignal::Success, 100);
    }
    fail(&cluster, 3, 60);
    assert_eq!(picked(&cluster), [1, 2, 3, 4]);
    seconds(11).await;
    assert_eq!(picked(&cluster), [1, 2, 4]);
    let status = cluster.status();
    let cause = &status.endpoints[2].ejected.as_ref().unwrap().cause;
    assert!(cause.starts_with("62.5 %"), "{cause}");
    seconds(25).await;
    // Requests that were on their way still fail: that says nothing new.
    for port in [1, 2, 4] {
        note(&cluster, port, HealthSignal::Success, 100);
    }
    fail(&cluster, 3, 100);
    seconds(5).await;
    assert_eq!(picked(&cluster), [1, 2, 3, 4]);
    seconds(30).await;
    assert_eq!(picked(&cluster), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_left_out_where_all_do_alike_or_few_were_asked() {
    let fails = |rates: [u32; 3], requests: u32| async move {
        let cluster = cluster(3).outlier_detection(by_rate()).build().unwrap();
        cluster.start();
        for (port, share) in (1..=3).zip(rates) {
            let failures = requests * share / 100;
            fail(&cluster, port, failures);
            note(&cluster, port, HealthSignal::Success, requests - failures);
        }
        seconds(11).await;
        picked(&cluster).len()
    };
    assert_eq!(fails([0, 0, 0], 200).await, 3);
    assert_eq!(fails([100, 100, 100], 200).await, 3);
    assert_eq!(fails([0, 4, 0], 200).await, 3);
    assert_eq!(fails([0, 50, 0], 99).await, 3);
    assert_eq!(fails([0, 50, 0], 100).await, 2);
}

/// Whatever happens at once, what was published last is what is true, and the share holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_published_is_never_older_than_what_is_known() {
    let settings = OutlierDetectionConfig {
        base_ejection_time: Duration::from_secs(300),
        ..Default::default()
    };
    for _ in 0..50 {
        let cluster = cluster(8).outlier_detection(settings).build().unwrap();
        std::thread::scope(|scope| {
            for port in 1..=8 {
                let cluster = &cluster;
                scope.spawn(move || fail(cluster, port, 20));
            }
            scope.spawn(|| {
                for round in 0..20 {
                    let mut specs: Vec<_> =
                        cluster.shared.members().iter().map(|one| one.spec.clone()).collect();
                    specs.rotate_left(round % 8);
                    cluster.replace_endpoints(specs);
                }
            });
        });
        let status = cluster.status();
        let ejected = status.endpoints.iter().filter(|one| one.ejected.is_some()).count();
        assert_eq!(ejected, 4);
        assert!(status.endpoints.iter().all(|one| one.pickable == one.ejected.is_none()));
    }
}

/// The modes that were told of, each with the one before.
#[derive(Default)]
struct Modes(Mutex<Vec<[&'static str; 2]>>);

impl Observer for Modes {
    fn state_changed(&self, event: &StateChanged<'_>) {
        if event.subject == "cluster" {
            self.0.lock().unwrap().push([event.from, event.to]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_everyone_was_told_last_is_what_is_true() {
    for _ in 0..50 {
        let modes = Arc::new(Modes::default());
        let observers = Observers::new(vec![Arc::clone(&modes) as Arc<dyn Observer>]);
        let cluster = cluster(2).observers(observers).build().unwrap();
        let specs: Vec<_> = cluster.shared.members().iter().map(|one| one.spec.clone()).collect();
        std::thread::scope(|scope| {
            for at in 0..4 {
                let (cluster, specs) = (&cluster, &specs);
                scope.spawn(move || {
                    for round in at..at + 20 {
                        let some = if round % 2 == 0 { Vec::new() } else { specs.clone() };
                        cluster.replace_endpoints(some);
                    }
                });
            }
        });
        let told = modes.0.lock().unwrap();
        assert!(told.windows(2).all(|two| two[0][1] == two[1][0]), "{told:?}");
        let last = told.last().map_or("healthy", |last| last[1]);
        assert_eq!(last, cluster.status().mode.name());
    }
}
