//! [`Counts`]: what one thread has counted, or all of them together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{
    AttemptFinished, End, HandshakeFailed, RequestFinished, RequestRejected, StateChanged,
};
use http::{Method, StatusCode};

use super::Reason;
use super::calls::{self, Calls};

/// The name that stands for those there is no room for.
pub(super) const OTHERS: &str = "(others)";

/// Of one route so many methods and statuses are counted each by itself: many times what is usual,
/// and what an upstream that makes them up can have.
const MOST_SERIES: usize = 200;

pub(super) type Named<T> = HashMap<Box<str>, T, BuildHasherDefault<Words>>;

/// What was counted. Names are those of a document, never of a client.
#[derive(Clone, Default)]
pub(super) struct Counts {
    pub(super) bounds: Arc<[Duration]>,
    names: usize,
    pub(super) routes: Named<OfRoute>,
    pub(super) clusters: Named<OfCluster>,
    pub(super) calls: Calls,
    pub(super) rejected: HashMap<(Box<str>, Reason), u64>,
    pub(super) handshakes: HashMap<Box<str>, u64>,
    pub(super) states: HashMap<(&'static str, &'static str), u64>,
    pub(super) overflowed: u64,
}

#[derive(Clone, Default)]
pub(super) struct OfRoute {
    pub(super) requests: Tally<(&'static str, u16)>,
    pub(super) failures: Tally<Reason>,
    pub(super) broken: u64,
    pub(super) dropped: u64,
    pub(super) bytes: u64,
    pub(super) durations: Histogram,
}

#[derive(Clone, Default)]
pub(super) struct OfCluster {
    pub(super) attempts: Tally<&'static str>,
    pub(super) durations: Histogram,
}

/// A few different things, each with how often it was. The usual ones come to stand in front.
#[derive(Clone)]
pub(super) struct Tally<K>(Vec<(K, u64)>);

/// How many took so long.
#[derive(Clone, Default)]
pub(super) struct Histogram {
    /// For each bound, and above all of them.
    pub(super) buckets: Box<[u64]>,
    pub(super) sum: Duration,
}

impl Counts {
    pub(super) fn new(bounds: &[Duration], names: usize) -> Self {
        Self { bounds: bounds.into(), names, ..Self::default() }
    }

    pub(super) fn request(&mut self, event: &RequestFinished<'_>) {
        if let Some(status) = event.grpc_status {
            self.overflowed += u64::from(!self.calls.count(event, status, &self.bounds));
        }
        let route = event.context.route().map_or("", |route| &route.id);
        let found = named(&mut self.routes, route, self.names, &mut self.overflowed);
        let Some(found) = found else { return };
        found.requests.count((method(event.method), event.status.as_u16()), ("other", 0));
        if let Some(reason) = event.reason {
            found.failures.count(reason, reason);
        }
        match event.end {
            End::Complete => {}
            End::Broken(_) => found.broken += 1,
            End::Dropped => found.dropped += 1,
        }
        found.bytes += event.bytes;
        found.durations.count(&self.bounds, event.duration);
    }

    pub(super) fn attempt(&mut self, event: &AttemptFinished<'_>) {
        let found = named(&mut self.clusters, event.cluster, self.names, &mut self.overflowed);
        let Some(found) = found else { return };
        let outcome = match (event.outcome, event.grpc_status) {
            (Err(reason), _) => reason.code(),
            (Ok(status), Some(grpc)) if status == StatusCode::OK => calls::outcome(grpc),
            (Ok(status), _) => class(status.as_u16()),
        };
        found.attempts.count(outcome, "other");
        found.durations.count(&self.bounds, event.duration);
    }

    pub(super) fn rejected(&mut self, event: &RequestRejected<'_>) {
        let listener = event.connection.listener.name.as_str().into();
        *self.rejected.entry((listener, event.error.reason())).or_default() += 1;
    }

    pub(super) fn handshake(&mut self, event: &HandshakeFailed<'_>) {
        let listener = event.connection.listener.name.as_str().into();
        *self.handshakes.entry(listener).or_default() += 1;
    }

    pub(super) fn state(&mut self, event: &StateChanged<'_>) {
        *self.states.entry((event.subject, event.to)).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        // There may be more names in all than there is room for in a part.
        for (name, one) in &other.routes {
            let own = self.routes.entry(name.clone()).or_default();
            own.requests.add(&one.requests);
            own.failures.add(&one.failures);
            own.broken += one.broken;
            own.dropped += one.dropped;
            own.bytes += one.bytes;
            own.durations.add(&one.durations);
        }
        for (name, one) in &other.clusters {
            let own = self.clusters.entry(name.clone()).or_default();
            own.attempts.add(&one.attempts);
            own.durations.add(&one.durations);
        }
        self.calls.add(&other.calls);
        add(&mut self.rejected, &other.rejected);
        add(&mut self.handshakes, &other.handshakes);
        add(&mut self.states, &other.states);
        self.overflowed += other.overflowed;
    }
}

fn add<K: Clone + Eq + std::hash::Hash>(to: &mut HashMap<K, u64>, from: &HashMap<K, u64>) {
    for (key, count) in from {
        *to.entry(key.clone()).or_default() += count;
    }
}

/// What is counted under `name`, or under [`OTHERS`] where there is no room for it.
fn named<'m, T: Default>(
    map: &'m mut Named<T>,
    name: &str,
    most: usize,
    overflowed: &mut u64,
) -> Option<&'m mut T> {
    let mut name = name;
    if !map.contains_key(name) {
        if map.len() >= most {
            *overflowed += 1;
            name = OTHERS;
        }
        map.entry(name.into()).or_default();
    }
    map.get_mut(name)
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + PartialEq> Tally<K> {
    /// Counts one, as `other` where there is no room for it.
    fn count(&mut self, key: K, other: K) {
        let find = |key: K| self.0.iter().position(|(own, _)| *own == key);
        let full = self.0.len() >= MOST_SERIES;
        let (key, place) = match find(key) {
            None if full => (other, find(other)),
            place => (key, place),
        };
        match place {
            None => self.0.push((key, 1)),
            Some(place) => {
                if let Some((_, count)) = self.0.get_mut(place) {
                    *count += 1;
                }
                if place > 0 {
                    self.0.swap(place, place - 1);
                }
            }
        }
    }

    fn add(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            match self.0.iter_mut().find(|(own, _)| own == key) {
                Some((_, own)) => *own += count,
                None => self.0.push((*key, *count)),
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        self.0.iter().copied()
    }
}

impl Histogram {
    /// How many were counted.
    pub(super) fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(super) fn count(&mut self, bounds: &[Duration], took: Duration) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; bounds.len() + 1].into();
        }
        let place = bounds.iter().position(|bound| took <= *bound).unwrap_or(bounds.len());
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(took);
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, one)| *own += one);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// A method that has a name of its own; clients make up others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

fn class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

/// Names are few, and nobody chooses them to fall together: a multiplication for eight bytes.
#[derive(Clone, Default)]
pub(super) struct Words(u64);

impl Words {
    fn mix(&mut self, word: u64) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(ODD);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
