//! More than there is for one, by asking several gateways that count together, also while what
//! they count in is away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use gateway_tests::{Admin, Client, Gateway, GatewayBuilder, Reply, StoreServer, Upstream};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{ADMIN, asks, rejected, request};

const SOON: Duration = Duration::from_secs(10);

/// A gateway that counts in Redis, under this prefix.
fn gateway(upstream: &Upstream, redis: &StoreServer, store: &str, limits: &str) -> GatewayBuilder {
    let stores = format!("[stores.redis]\nurl = {:?}\n{store}\n{ADMIN}", redis.url());
    Gateway::to(upstream).route(&format!("policy.rate_limit = [{limits}]")).more(&stores)
}

/// One that passed: whose it was, and when it was asked and answered.
type Passed = (usize, Instant, Instant);

/// The most that were decided in one window, for certain: asked and answered in it.
fn most_within(passed: &[Passed], window: Duration) -> usize {
    let inside = |end: Instant| {
        let inside = |one: &&Passed| one.2 <= end && one.1 + window >= end;
        passed.iter().filter(inside).count()
    };
    passed.iter().map(|one| inside(one.2)).max().unwrap_or(0)
}

async fn floods(addr: SocketAddr, user: usize, until: Instant) -> Vec<Passed> {
    let mut client = Client::http1(addr);
    let name = format!("user-{user}");
    let mut passed = Vec::new();
    while Instant::now() < until {
        let asked = Instant::now();
        let reply = client.send(request("/", &[("x-user", &name)])).await;
        match reply.status {
            200 => passed.push((user, asked, Instant::now())),
            _ => rejected(&reply, 429, "rate_limited"),
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_together_let_no_more_pass_than_each_of_several_limits() {
    const USERS: usize = 3;
    let Some(redis) = StoreServer::redis() else { return };
    let upstream = Upstream::http1().start().await;
    let window = Duration::from_secs(1);
    let limits = "{ name = \"all\", limit = 60, per = \"1s\", burst = 20, key = [], store = \"redis\" }, \
         { name = \"user\", limit = 25, per = \"1s\", key = [\"header:x-user\"], \
         algorithm = \"sliding_window\", store = \"redis\" }";
    let store = "timeout = \"5s\"\non_unavailable = \"closed\"";
    let gateways = [
        gateway(&upstream, &redis, store, limits).start().await,
        gateway(&upstream, &redis, store, limits).start().await,
    ];
    let until = Instant::now() + Duration::from_millis(3_500);
    let clients = (0..12).map(|number| floods(gateways[number % 2].addr(), number % USERS, until));
    let passed = join_all(clients).await.concat();
    let most = most_within(&passed, window);
    assert!(most <= 80, "{most} of 80 in a second");
    // It is the limit that held them back, and not what they asked.
    assert!(most >= 20 && passed.len() > 80, "{most} in a second, {} in all", passed.len());
    for user in 0..USERS {
        let own: Vec<_> = passed.iter().filter(|one| one.0 == user).copied().collect();
        let most = most_within(&own, window);
        assert!((1..=25).contains(&most), "{most} of 25 in a second");
    }
    let mut admitted = 0;
    for gateway in &gateways {
        let shown = gateway.admin().get("/limits").await.json()["all"].clone();
        assert_eq!((&shown["store"], &shown["away"]), (&"redis".into(), &false.into()), "{shown}");
        assert!(shown["admitted"].as_u64() > Some(0) && shown["failed"] == 0, "{shown}");
        admitted += shown["admitted"].as_u64().expect("a number");
    }
    assert_eq!(admitted, passed.len() as u64);
    assert_eq!(upstream.seen().len(), passed.len());
}

async fn shown(admin: Admin) -> Value {
    admin.get("/limits").await.json()["all"].clone()
}

/// Two gateways that count together, with what to do when they cannot.
struct Pair {
    gateways: [Gateway; 2],
    admins: [Admin; 2],
}

impl Pair {
    async fn new(upstream: &Upstream, redis: &StoreServer, on_unavailable: &str) -> Self {
        let store = format!(
            "prefix = {on_unavailable:?}\non_unavailable = {on_unavailable:?}\nreplicas = 2\ntimeout = \"2s\""
        );
        let limits = "{ limit = 20, per = \"10h\", key = [\"header:x-user\"], store = \"redis\" }";
        let one = gateway(upstream, redis, &store, limits).start().await;
        let other = gateway(upstream, redis, &store, limits).start().await;
        let admins = [one.admin(), other.admin()];
        Self { gateways: [one, other], admins }
    }

    /// Asks both, many times at once; gives all answers of each.
    async fn floods(&self) -> [Vec<Reply>; 2] {
        let flood = async |gateway: &Gateway| {
            let clients = (0..4).map(|_| async {
                let mut client = Client::http1(gateway.addr());
                let mut replies = Vec::new();
                for _ in 0..12 {
                    replies.push(client.send(request("/", &[("x-user", "ada")])).await);
                }
                replies
            });
            join_all(clients).await.concat()
        };
        let (one, other) = futures_util::join!(flood(&self.gateways[0]), flood(&self.gateways[1]));
        [one, other]
    }

    /// Waits until both say so.
    async fn until_away(&self, away: bool) {
        for admin in self.admins {
            let end = Instant::now() + SOON;
            while shown(admin).await["away"] != away {
                assert!(Instant::now() < end, "not away = {away}: {}", shown(admin).await);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// How many passed, and why the others did not.
#[track_caller]
fn count(replies: &[Reply], status: u16, reason: &str) -> usize {
    let (passed, others): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    others.iter().for_each(|reply| rejected(reply, status, reason));
    passed.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_holds_what_was_chosen_and_nothing_is_given_twice_afterwards() {
    let Some(mut redis) = StoreServer::redis() else { return };
    let upstream = Upstream::http1().start().await;
    let share = Pair::new(&upstream, &redis, "share").await;
    let open = Pair::new(&upstream, &redis, "open").await;
    let closed = Pair::new(&upstream, &redis, "closed").await;
    let pairs = [&share, &open, &closed];
    for pair in pairs {
        for gateway in &pair.gateways {
            for _ in 0..3 {
                asks(gateway, "/", &[("x-user", "ada")]).await.assert_ok("ok");
            }
        }
        pair.until_away(false).await;
    }
    // Others ask all the time: nobody waits, and nobody gets anything else than was chosen.
    let stopped = Arc::new(AtomicBool::new(false));
    let mut asking = JoinSet::new();
    for (pair, wrong) in pairs.iter().zip([429, 429, 503]) {
        for gateway in &pair.gateways {
            asking.spawn(keeps_asking(gateway.addr(), wrong, Arc::clone(&stopped)));
        }
    }
    redis.stop();
    for pair in pairs {
        pair.until_away(true).await;
    }
    stopped.store(true, Ordering::Relaxed);
    for slowest in asking.join_all().await {
        // Within the deadline, and what a busy machine takes.
        assert!(slowest < Duration::from_secs(4), "{slowest:?}");
    }
    for replies in open.floods().await {
        assert_eq!(count(&replies, 0, ""), replies.len());
    }
    for replies in closed.floods().await {
        assert_eq!(count(&replies, 503, "limiter_unavailable"), 0);
    }
    for replies in share.floods().await {
        assert_eq!(count(&replies, 429, "rate_limited"), 10);
    }
    assert!(redis.run());
    for pair in pairs {
        pair.until_away(false).await;
    }
    // It has forgotten nothing: 6 of 20 were spent.
    for pair in pairs {
        let [one, other] = pair.floods().await.map(|all| count(&all, 429, "rate_limited"));
        assert_eq!(one + other, 14);
    }
}

/// Asks until it is told to stop; gives the longest time that an answer took.
async fn keeps_asking(addr: SocketAddr, wrong: u16, stopped: Arc<AtomicBool>) -> Duration {
    let mut client = Client::http1(addr);
    let mut slowest = Duration::ZERO;
    while !stopped.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let reply = client.send(request("/", &[("x-user", "other")])).await;
        assert!([200, 429, wrong].contains(&reply.status), "{reply:?}");
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    slowest
}
