use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::upstream::Transport;
use gateway_core::{Cluster, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{DnsConfig, DnsDiscovery};
use crate::discovery::testing::{
    names, until, until_failure, until_names, until_true, until_well, watched,
};
use crate::discovery::{Backoff, Family};

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// The largest answer over UDP; a longer one is cut, and asked for over TCP.
const MAX_UDP: usize = 1200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    ServFail,
    Silent,
}

/// What a name has of one type: the type of the record itself, its time to live, its data.
type Records = Vec<(u16, u32, Vec<u8>)>;

struct Zone {
    mood: Mood,
    /// For questions of one type alone.
    moods: HashMap<u16, Mood>,
    records: HashMap<(String, u16), Records>,
    asked: usize,
    over_tcp: usize,
}

/// A name server, written by hand (RFC 1035, section 4).
struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: Tasks,
}

impl NameServer {
    async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // Whether the number is free for TCP too is a matter of luck.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let zone = Zone {
            mood: Mood::Well,
            moods: HashMap::new(),
            records: HashMap::new(),
            asked: 0,
            over_tcp: 0,
        };
        let zone = Arc::new(Mutex::new(zone));
        let (tasks, connections) = (Tasks::new(), Tasks::new());
        let shared = Arc::clone(&zone);
        tasks.spawn("udp", async move {
            let mut buffer = [0; 4096];
            while let Ok((size, from)) = udp.recv_from(&mut buffer).await {
                let answer = shared.lock().unwrap().answer(&buffer[..size], MAX_UDP);
                if let Some(answer) = answer {
                    let _ = udp.send_to(&answer, from).await;
                }
            }
        });
        let shared = Arc::clone(&zone);
        tasks.spawn("tcp", async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let shared = Arc::clone(&shared);
                connections.spawn("connection", async move {
                    let _ = serve(stream, &shared).await;
                });
            }
        });
        Self { address, zone, _tasks: tasks }
    }

    fn set(&self, name: &str, kind: u16, records: Records) {
        self.zone.lock().unwrap().records.insert((name.to_owned(), kind), records);
    }

    /// `name` has these addresses, which hold for `ttl` seconds.
    fn addresses(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let mut kinds: HashMap<u16, Records> = HashMap::from([(A, vec![]), (AAAA, vec![])]);
        for address in addresses {
            let (kind, data) = match address.parse().unwrap() {
                IpAddr::V4(address) => (A, address.octets().to_vec()),
                IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
            };
            kinds.get_mut(&kind).unwrap().push((kind, ttl, data));
        }
        for (kind, records) in kinds {
            self.set(name, kind, records);
        }
    }

    fn gone(&self, name: &str) {
        self.zone.lock().unwrap().records.retain(|(other, _), _| other != name);
    }

    fn feel(&self, mood: Mood) {
        self.zone.lock().unwrap().mood = mood;
    }

    fn feel_about(&self, kind: u16, mood: Mood) {
        self.zone.lock().unwrap().moods.insert(kind, mood);
    }

    fn asked(&self) -> usize {
        self.zone.lock().unwrap().asked
    }

    fn quick(&self, mut config: DnsConfig) -> DnsConfig {
        config.servers = vec![self.address];
        config.min_ttl = Duration::from_millis(20);
        config.max_ttl = Duration::from_millis(50);
        config.timeout = Duration::from_millis(500);
        config.backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(50));
        config
    }

    fn watched(&self) -> Cluster {
        let config = self.quick(DnsConfig::new("orders.test.", 9000));
        watched(DnsDiscovery::new(config).unwrap())
    }

    fn watched_srv(&self) -> Cluster {
        let config = self.quick(DnsConfig::srv("_http._tcp.orders.test."));
        watched(DnsDiscovery::new(config).unwrap())
    }
}

async fn serve(mut stream: TcpStream, zone: &Mutex<Zone>) -> std::io::Result<()> {
    loop {
        let mut question = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut question).await?;
        zone.lock().unwrap().over_tcp += 1;
        let answer = zone.lock().unwrap().answer(&question, usize::from(u16::MAX));
        if let Some(answer) = answer {
            stream.write_u16(answer.len().try_into().unwrap()).await?;
            stream.write_all(&answer).await?;
        }
    }
}

impl Zone {
    fn answer(&mut self, question: &[u8], most: usize) -> Option<Vec<u8>> {
        self.asked += 1;
        let mut labels = Vec::new();
        let mut at = 12;
        while question[at] > 0 {
            let length = usize::from(question[at]);
            labels.push(String::from_utf8_lossy(&question[at + 1..][..length]).to_lowercase());
            at += 1 + length;
        }
        let name = labels.join(".") + ".";
        let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
        let end = at + 5;
        let mood = self.moods.get(&kind).copied().unwrap_or(self.mood);
        if mood == Mood::Silent {
            return None;
        }
        let records = self.records.get(&(name.clone(), kind)).cloned().unwrap_or_default();
        let code = match mood {
            Mood::ServFail => 2,
            _ if self.records.keys().any(|(known, _)| *known == name) => 0,
            _ => 3,
        };
        let records = if code == 0 { records } else { Vec::new() };
        let mut answer = question[..2].to_vec();
        // An answer, recursion asked for and available.
        answer.extend([0x81, 0x80 | code, 0, 1]);
        answer.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(&question[12..end]);
        for (kind, ttl, data) in records {
            // The name is that of the question.
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(ttl.to_be_bytes());
            answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            answer.extend(data);
        }
        if answer.len() > most {
            answer[2] |= 0x02;
            answer[6..8].fill(0);
            answer.truncate(end);
        }
        Some(answer)
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len().try_into().unwrap());
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> (u16, u32, Vec<u8>) {
    let mut data: Vec<u8> =
        [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
    data.extend(wire_name(target));
    (SRV, 1, data)
}

#[tokio::test]
async fn addresses_are_endpoints_and_changes_are_seen() {
    let server = NameServer::start().await;
    server.addresses("orders.test.", 1, &["10.0.0.2", "10.0.0.1"]);
    let cluster = server.watched();
    until_names(&cluster, &["http://10.0.0.1:9000", "http://10.0.0.2:9000"]).await;
    server.addresses("orders.test.", 1, &["10.0.0.3"]);
    until_names(&cluster, &["http://10.0.0.3:9000"]).await;
    until_well(&cluster).await;
    assert_eq!(cluster.status().discovery.unwrap().source, "dns orders.test.:9000");
}

#[tokio::test]
async fn an_alias_is_followed() {
    let server = NameServer::start().await;
    // The answer to an A question is the alias and what it leads to, both under one name here.
    let alias = (CNAME, 1, wire_name("orders.test."));
    server.set("orders.test.", A, vec![alias, (A, 1, vec![10, 0, 0, 9])]);
    let cluster = server.watched();
    until(&cluster, |status| status.discovery.as_ref().unwrap().published.is_some()).await;
    assert_eq!(names(&cluster), ["http://10.0.0.9:9000"]);
}

#[tokio::test]
async fn of_two_kinds_of_address_one_is_taken() {
    let server = NameServer::start().await;
    server.addresses("orders.test.", 1, &["10.0.0.1", "fd00::1"]);
    let (four, six) = ("h2c://10.0.0.1:9000", "h2c://[fd00::1]:9000");
    for (family, expected) in [
        (Family::V4, &[four][..]),
        (Family::V6, &[six]),
        (Family::V4First, &[four]),
        (Family::V6First, &[six]),
        (Family::Both, &[four, six]),
    ] {
        let mut config = server.quick(DnsConfig::new("orders.test.", 9000));
        (config.family, config.transport) = (family, Transport::H2c);
        let cluster = watched(DnsDiscovery::new(config).unwrap());
        until_names(&cluster, expected).await;
    }
    let cluster = server.watched();
    until_names(&cluster, &["http://10.0.0.1:9000"]).await;
    server.addresses("orders.test.", 1, &["fd00::2"]);
    until_names(&cluster, &["http://[fd00::2]:9000"]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn a_family_that_fails_leaves_the_other() {
    let (four, six) = ("http://10.0.0.1:9000", "http://[fd00::1]:9000");
    for mood in [Mood::ServFail, Mood::Silent] {
        for (fails, failure, left) in
            [(AAAA, "AAAA of `orders.test.`", four), (A, "A of `orders.test.`", six)]
        {
            let server = NameServer::start().await;
            server.addresses("orders.test.", 1, &["10.0.0.1", "fd00::1"]);
            server.set("_http._tcp.orders.test.", SRV, vec![srv(0, 1, 9000, "orders.test.")]);
            server.feel_about(fails, mood);
            for family in [Family::V4First, Family::V6First, Family::Both] {
                for config in [
                    DnsConfig::new("orders.test.", 9000),
                    DnsConfig::srv("_http._tcp.orders.test."),
                ] {
                    let mut config = server.quick(config);
                    (config.family, config.timeout) = (family, Duration::from_millis(50));
                    let cluster = watched(DnsDiscovery::new(config).unwrap());
                    until_names(&cluster, &[left]).await;
                    let asks_first = match family {
                        Family::V4First => A,
                        Family::V6First => AAAA,
                        _ => fails,
                    };
                    if asks_first == fails {
                        until_failure(&cluster, failure).await;
                    }
                }
            }
            // One family alone has nothing to fall back to.
            let mut config = server.quick(DnsConfig::new("orders.test.", 9000));
            config.family = if fails == A { Family::V4 } else { Family::V6 };
            let cluster = watched(DnsDiscovery::new(config).unwrap());
            until_failure(&cluster, failure).await;
            assert_eq!(names(&cluster), [""; 0]);
        }
    }
}

#[tokio::test]
async fn every_failure_keeps_the_last_set() {
    let server = NameServer::start().await;
    let well = || server.addresses("orders.test.", 1, &["10.0.0.1"]);
    well();
    let cluster = server.watched();
    until_names(&cluster, &["http://10.0.0.1:9000"]).await;
    for (mood, said) in [
        (Some(Mood::ServFail), "A of `orders.test.`"),
        (Some(Mood::Silent), "A of `orders.test.`"),
        (None, "`orders.test.` has no address"),
    ] {
        match mood {
            Some(mood) => server.feel(mood),
            None => server.gone("orders.test."),
        }
        until_failure(&cluster, said).await;
        assert_eq!(names(&cluster), ["http://10.0.0.1:9000"]);
        server.feel(Mood::Well);
        well();
        until_well(&cluster).await;
    }
    // The name is there, and has no address.
    server.addresses("orders.test.", 1, &[]);
    until_failure(&cluster, "`orders.test.` has no address").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:9000"]);
    server.addresses("orders.test.", 1, &["10.0.0.2"]);
    until_names(&cluster, &["http://10.0.0.2:9000"]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn answers_hold_neither_too_short_nor_too_long() {
    for ttl in [0, 7 * 24 * 3600] {
        let server = NameServer::start().await;
        server.addresses("orders.test.", ttl, &["10.0.0.1"]);
        let _cluster = server.watched();
        // At most 50 ms, here.
        until_true(|| server.asked() >= 4).await;
    }
    let config = DnsConfig::new("orders.test.", 9000);
    let held = [0, 1, 30, 300, 301, u32::MAX].map(|ttl| config.hold(ttl).as_secs());
    assert_eq!(held, [1, 1, 30, 300, 300, 300]);
}

#[tokio::test]
async fn what_holds_is_not_asked_for() {
    let server = NameServer::start().await;
    server.addresses("orders.test.", 0, &["10.0.0.1"]);
    let mut config = server.quick(DnsConfig::new("orders.test.", 9000));
    (config.min_ttl, config.max_ttl) = (Duration::from_secs(60), Duration::from_secs(60));
    let cluster = watched(DnsDiscovery::new(config).unwrap());
    until_names(&cluster, &["http://10.0.0.1:9000"]).await;
    let asked = server.asked();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let server = NameServer::start().await;
    // As many as one message takes.
    let many =
        (0..4000_u32).map(|index| (A, 1, Ipv4Addr::from(0x0a00_0000 + index).octets().into()));
    server.set("orders.test.", A, many.collect());
    let cluster = server.watched();
    until(&cluster, |status| status.endpoints.len() == 4000).await;
    assert!(server.zone.lock().unwrap().over_tcp > 0);
}

#[tokio::test]
async fn srv_records_say_port_priority_and_weight() {
    let server = NameServer::start().await;
    server.addresses("a.test.", 1, &["10.0.0.1"]);
    server.addresses("b.test.", 1, &["10.0.0.2", "10.0.0.3"]);
    let records = vec![srv(1, 5, 8080, "a.test."), srv(2, 0, 8081, "b.test.")];
    server.set("_http._tcp.orders.test.", SRV, records);
    let cluster = server.watched_srv();
    let expected = ["http://10.0.0.1:8080", "http://10.0.0.2:8081", "http://10.0.0.3:8081"];
    until_names(&cluster, &expected).await;
    let said = cluster.status().endpoints.into_iter().map(|one| (one.weight, one.priority));
    assert_eq!(said.collect::<Vec<_>>(), [(5, 1), (1, 2), (1, 2)]);
}

#[tokio::test]
async fn a_target_without_address_is_left_out_and_one_that_fails_changes_nothing() {
    let server = NameServer::start().await;
    server.addresses("a.test.", 1, &["10.0.0.1"]);
    let records = vec![srv(0, 1, 80, "a.test."), srv(0, 1, 80, "b.test.")];
    server.set("_http._tcp.orders.test.", SRV, records);
    let cluster = server.watched_srv();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    until_failure(&cluster, "target `b.test.` is left out: it has no address").await;
    server.addresses("b.test.", 1, &["10.0.0.2"]);
    until_names(&cluster, &["http://10.0.0.1:80", "http://10.0.0.2:80"]).await;
    until_well(&cluster).await;
    server.gone("_http._tcp.orders.test.");
    until_failure(&cluster, "has no SRV record").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:80", "http://10.0.0.2:80"]);
    // A target that is the root: nobody is there, and that is said on purpose.
    server.set("_http._tcp.orders.test.", SRV, vec![srv(0, 0, 0, ".")]);
    until_names(&cluster, &[]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn more_than_the_limits_are_no_set() {
    let server = NameServer::start().await;
    let addresses: Vec<_> = (1..=25).map(|index| format!("10.0.0.{index}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    server.addresses("all.test.", 1, &["10.0.0.1"]);
    server.set("_http._tcp.orders.test.", SRV, vec![srv(0, 1, 80, "all.test.")]);
    let cluster = server.watched_srv();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    // Ports make endpoints of one address several.
    server.addresses("all.test.", 1, &addresses);
    let ports = (1..=1000).map(|port| srv(0, 1, port, "all.test."));
    server.set("_http._tcp.orders.test.", SRV, ports.collect());
    until_failure(&cluster, "endpoints, expected 10000 at most").await;
    let targets = (0..1001).map(|index| srv(0, 1, 80, &format!("t{index}.")));
    server.set("_http._tcp.orders.test.", SRV, targets.collect());
    until_failure(&cluster, "1001 targets, expected 1000 at most").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:80"]);
}

#[test]
fn what_cannot_be_asked_for_is_rejected() {
    for (name, port) in [("10.0.0.1", 80), ("::1", 80), ("", 80), (".", 80), ("a..b", 80), ("a", 0)]
    {
        assert!(DnsDiscovery::new(DnsConfig::new(name, port)).is_err(), "{name}:{port}");
    }
    assert!(DnsDiscovery::new(DnsConfig::new("orders.svc", 80)).is_ok());
    let mut config = DnsConfig::srv("_http._tcp.orders.svc");
    config.transport = Transport::Unix;
    assert!(DnsDiscovery::new(config).is_err());
}
