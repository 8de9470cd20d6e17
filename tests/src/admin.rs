//! The admin listener of a gateway, as an operator uses it.

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use serde_json::Value;

use crate::client::Client;
use crate::payload::Payload;
use crate::reply::Reply;
use crate::scrape::Scrape;
use crate::wait::within;

const PREFIX: &str = "admin on http://";

/// Asks the admin listener; every question has a connection of its own.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    addr: SocketAddr,
}

impl Admin {
    /// Where the process said in `log` that its admin listener is.
    pub(crate) fn said_in(log: &str) -> Option<Self> {
        let shown = log.lines().find_map(|line| line.strip_prefix(PREFIX))?;
        Some(Self { addr: shown.trim().parse().ok()? })
    }

    /// `GET` of any path.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).await
    }

    /// What was counted.
    pub async fn metrics(&self) -> Scrape {
        let reply = self.get("/metrics").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        Scrape::of(&reply.text())
    }

    /// What was counted, once `series` has this value: an answer is counted when its end has been
    /// taken.
    #[track_caller]
    pub fn counted(&self, series: &str, value: f64) -> impl Future<Output = Scrape> {
        let reads = async move {
            loop {
                let scrape = self.metrics().await;
                if scrape.value(series) == value {
                    return scrape;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(Duration::from_secs(10), series, reads)
    }

    /// All clusters with their endpoints.
    pub async fn clusters(&self) -> Value {
        self.get("/clusters").await.json()
    }

    /// The cluster of that name.
    pub async fn cluster(&self, name: &str) -> Value {
        let clusters = self.clusters().await;
        let found = clusters.as_array().into_iter().flatten().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no cluster {name} in {clusters:#}")).clone()
    }

    /// The endpoint of a cluster whose address is `url`.
    pub async fn endpoint(&self, cluster: &str, url: &str) -> Value {
        let cluster = self.cluster(cluster).await;
        let mut endpoints = cluster["endpoints"].as_array().into_iter().flatten();
        let found = endpoints.find(|one| one["address"] == url);
        found.unwrap_or_else(|| panic!("no endpoint {url} in {cluster:#}")).clone()
    }

    /// How many requests all endpoints have in flight together.
    pub async fn in_flight(&self) -> u64 {
        let clusters = self.clusters().await;
        let clusters = clusters.as_array().into_iter().flatten();
        let endpoints = clusters.flat_map(|one| one["endpoints"].as_array().into_iter().flatten());
        endpoints.map(|one| one["in_flight"].as_u64().expect("a number")).sum()
    }

    /// Version, generation, and why the latest reload was rejected.
    pub async fn status(&self) -> Value {
        self.get("/status").await.json()
    }

    /// The certificate for `name`, as it is shown.
    pub async fn certificate(&self, name: &str) -> Value {
        let shown = self.get("/certificates").await.json();
        let has =
            |one: &&Value| one["names"].as_array().into_iter().flatten().any(|other| other == name);
        let found = shown.as_array().into_iter().flatten().find(has);
        found.unwrap_or_else(|| panic!("no certificate for {name} in {shown:#}")).clone()
    }

    /// Whether every cluster has somebody to send to: 200 or 503.
    pub async fn ready(&self) -> Reply {
        self.get("/ready").await
    }

    /// What would become of a GET of `url`.
    pub async fn explain(&self, url: &str) -> String {
        self.get(&format!("/explain?method=GET&url={url}")).await.text()
    }

    /// Reads the document again; 200, or 409 with what is wrong.
    pub async fn reload(&self) -> Reply {
        self.ask("POST", "/reload").await
    }

    /// Changes the weights of a split: `body` is JSON.
    pub async fn set_weights(&self, route: &str, body: &str) -> Reply {
        self.send("PUT", &format!("/splits/{route}"), Payload::from(body.to_owned())).await
    }

    /// Reloads as a proxy would pass it on, with the header `name` that proxies add.
    pub async fn reload_through(&self, name: &str) -> Reply {
        let request = Request::post("/reload").header(HOST, "localhost").header(name, "1.1 proxy");
        let request = request.header(CONTENT_TYPE, "application/json");
        Client::http1(self.addr).send(request.body(Payload::empty()).expect("a request")).await
    }

    async fn ask(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, Payload::empty()).await
    }

    async fn send(&self, method: &str, path: &str, body: Payload) -> Reply {
        let request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.body(body).expect("a request");
        Client::http1(self.addr).send(request).await
    }
}
