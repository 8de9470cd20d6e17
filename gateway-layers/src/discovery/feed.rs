//! [`Feed`]: what a source found on its way to its cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_core::upstream::{EndpointSpec, Publisher};

use super::failure::Failure;
use super::{Backoff, MAX_ENDPOINTS};

/// A set of endpoints, as a source found it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) endpoints: Vec<EndpointSpec>,
    /// What was found beside them and cannot be understood, if there is any.
    pub(super) left_out: Option<String>,
}

impl From<Vec<EndpointSpec>> for Found {
    fn from(endpoints: Vec<EndpointSpec>) -> Self {
        Self { endpoints, left_out: None }
    }
}

/// So much is said of a failure: what peers send may be part of it.
const MAX_SAID: usize = 500;

/// Publishes sets that differ from the one before, and failures, and knows how long to wait after
/// them.
pub(super) struct Feed {
    publisher: Publisher,
    backoff: Backoff,
    failures: u32,
    published: Option<Vec<EndpointSpec>>,
    /// What is said to be wrong at present.
    said: Option<String>,
}

impl Feed {
    pub(super) fn new(publisher: Publisher, backoff: Backoff) -> Self {
        Self { publisher, backoff, failures: 0, published: None, said: None }
    }

    /// Publishes what was found. A set in another order is the same set.
    pub(super) fn publish(&mut self, found: impl Into<Found>) -> Result<(), Failure> {
        let Found { endpoints, left_out } = found.into();
        let left_out = left_out.map(|text| sayable(&text));
        let endpoints = in_order(endpoints);
        if endpoints.len() > MAX_ENDPOINTS {
            return Err(Failure::TooMany(endpoints.len()));
        }
        if let Some(left_out) = &left_out
            && endpoints.is_empty()
        {
            return Err(Failure::Other(left_out.clone()));
        }
        self.failures = 0;
        if self.published.as_ref() == Some(&endpoints) && self.said == left_out {
            return Ok(());
        }
        self.publisher.publish(endpoints.clone());
        self.published = Some(endpoints);
        if let Some(left_out) = &left_out {
            self.publisher.failed(left_out.clone());
        }
        self.said = left_out;
        Ok(())
    }

    /// Says what failed, and how long to wait before the next try.
    pub(super) fn failed(&mut self, failure: &Failure) -> Duration {
        let text = sayable(&failure.to_string());
        self.publisher.failed(text.clone());
        self.said = Some(text);
        self.failures = self.failures.saturating_add(1);
        self.backoff.delay(self.failures)
    }
}

/// `text` as one line that is not too long.
fn sayable(text: &str) -> String {
    let letters = text.chars().take(MAX_SAID);
    letters.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The first of each address, in an order of their own: sources answer in any.
fn in_order(endpoints: Vec<EndpointSpec>) -> Vec<EndpointSpec> {
    let mut ordered = BTreeMap::new();
    for spec in endpoints {
        ordered.entry(spec.address.to_string()).or_insert(spec);
    }
    ordered.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, names};
    use super::*;

    fn specs(urls: &[&str]) -> Vec<EndpointSpec> {
        urls.iter().map(|url| EndpointSpec::new(url.parse().unwrap())).collect()
    }

    fn failure(cluster: &gateway_core::Cluster) -> Option<String> {
        cluster.status().discovery.unwrap().failure
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_set_in_another_order_is_not_published_again() {
        let (cluster, publisher) = testing::published().await;
        let mut feed = Feed::new(publisher, Backoff::default());
        feed.publish(specs(&["http://a", "http://b"])).unwrap();
        let published = || cluster.status().discovery.unwrap().published;
        let first = published();
        tokio::time::advance(Duration::from_secs(1)).await;
        feed.publish(specs(&["http://b", "http://a", "http://b"])).unwrap();
        assert_eq!(published(), first);
        feed.publish(specs(&["http://b"])).unwrap();
        assert_ne!(published(), first);
    }

    #[tokio::test]
    async fn recovery_is_said_though_nothing_has_changed() {
        let (cluster, publisher) = testing::published().await;
        let mut feed = Feed::new(publisher, Backoff::default());
        feed.publish(specs(&["http://a"])).unwrap();
        feed.failed(&Failure::Other("away".to_owned()));
        assert_eq!(failure(&cluster).as_deref(), Some("away"));
        assert_eq!(names(&cluster), ["http://a:80"]);
        feed.publish(specs(&["http://a"])).unwrap();
        assert_eq!(failure(&cluster), None);
    }

    #[tokio::test]
    async fn what_is_left_out_is_said_beside_the_rest() {
        let (cluster, publisher) = testing::published().await;
        let mut feed = Feed::new(publisher, Backoff::default());
        let left_out = || Some("one cannot be read".to_owned());
        feed.publish(Found { endpoints: specs(&["http://a"]), left_out: left_out() }).unwrap();
        assert_eq!(names(&cluster), ["http://a:80"]);
        assert_eq!(failure(&cluster), left_out());
        let failed = feed.publish(Found { endpoints: Vec::new(), left_out: left_out() });
        assert!(matches!(failed, Err(Failure::Other(_))));
        assert_eq!(names(&cluster), ["http://a:80"]);
        feed.publish(specs(&["http://a"])).unwrap();
        assert_eq!(failure(&cluster), None);
    }

    #[tokio::test]
    async fn what_peers_say_stays_one_short_line() {
        let (cluster, publisher) = testing::published().await;
        let mut feed = Feed::new(publisher, Backoff::default());
        feed.failed(&Failure::Other(format!("a\nb\u{1b}c{}", "x".repeat(10_000))));
        let said = failure(&cluster).unwrap();
        assert!(said.starts_with("a b cxxx") && said.len() == MAX_SAID, "{said}");
    }

    #[tokio::test]
    async fn more_endpoints_than_the_limit_are_no_set() {
        let (cluster, publisher) = testing::published().await;
        let mut feed = Feed::new(publisher, Backoff::default());
        let many = |count: usize| {
            let urls = (0..count).map(|index| format!("http://a{index}"));
            urls.map(|url| EndpointSpec::new(url.parse().unwrap())).collect::<Vec<_>>()
        };
        assert!(matches!(feed.publish(many(MAX_ENDPOINTS + 1)), Err(Failure::TooMany(_))));
        assert_eq!(cluster.endpoints().len(), 0);
        feed.publish(many(MAX_ENDPOINTS)).unwrap();
        assert_eq!(cluster.endpoints().len(), MAX_ENDPOINTS);
    }
}
