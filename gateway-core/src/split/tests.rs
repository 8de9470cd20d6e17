use std::sync::atomic::AtomicBool;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::body::Body;
use crate::context::ConnectionInfo;
use crate::message::Response;
use crate::module::module_fn;
use crate::upstream::HashKey;
use crate::upstream::hash::stable_hash;

/// A module that answers with its own name, and the fields it was sent.
fn named(name: &'static str) -> Module {
    Module::new(module_fn(move |request: Request| async move {
        tokio::task::yield_now().await;
        let mut answer = Response::new(Body::empty());
        *answer.headers_mut() = request.headers().clone();
        answer.headers_mut().insert("answered-by", name.parse().unwrap());
        Ok::<_, Error>(answer)
    }))
}

fn entry(name: &'static str, weight: u32) -> SplitEntry {
    SplitEntry::new(name, named(name), weight)
}

fn blue_green(blue: u32, green: u32) -> SplitBuilder {
    Split::builder().entry(entry("blue", blue)).entry(entry("green", green)).seed(7)
}

fn request(fields: &[(&'static str, &str)]) -> Request {
    let mut request = Request::new(Body::empty());
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    request.extensions_mut().insert(context);
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn answer(split: &Split, fields: &[(&'static str, &str)]) -> Result<HeaderMap, Reason> {
    let outcome = ModuleService::call(split, request(fields)).await;
    outcome.map(|answer| answer.headers().clone()).map_err(|error| error.reason())
}

async fn answered_by(split: &Split, fields: &[(&'static str, &str)]) -> String {
    let headers = answer(split, fields).await.unwrap();
    headers["answered-by"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_are_shared_by_weight() {
    let split = blue_green(900, 100).build().unwrap();
    for _ in 0..10_000 {
        answer(&split, &[]).await.unwrap();
    }
    let status = split.status();
    let [blue, green] = &*status.entries else {
        panic!("{status}");
    };
    assert_eq!(blue.taken + green.taken, 10_000);
    assert!((850..1150).contains(&green.taken), "{status}");
    assert!(status.to_string().starts_with("blue weight 900 took 9"), "{status}");
}

#[tokio::test]
async fn the_same_seed_draws_the_same() {
    let (one, other) = (blue_green(1, 1).build().unwrap(), blue_green(1, 1).build().unwrap());
    let mut greens = 0;
    for _ in 0..50 {
        let entry = answered_by(&one, &[]).await;
        assert_eq!(entry, answered_by(&other, &[]).await);
        greens += u32::from(entry == "green");
    }
    assert!((10..40).contains(&greens));
}

#[tokio::test]
async fn a_key_stays_with_its_entry() {
    let by = || [HashKey::Header(HeaderName::from_static("x-user"))];
    let split = blue_green(50, 50).by(by()).build().unwrap();
    let other = blue_green(50, 50).seed(8).by(by()).build().unwrap();
    let mut greens = 0;
    for user in 0..200 {
        let user = user.to_string();
        let fields = [("x-user", &*user)];
        let first = answered_by(&split, &fields).await;
        assert_eq!(first, answered_by(&split, &fields).await);
        assert_eq!(first, answered_by(&other, &fields).await);
        greens += u32::from(first == "green");
    }
    assert!((60..140).contains(&greens), "{greens}");
}

#[tokio::test]
async fn a_request_names_its_entry_even_one_of_weight_0() {
    let split = blue_green(100, 0).force_header(HeaderName::from_static("x-variant"));
    let split = split.build().unwrap();
    assert_eq!(answered_by(&split, &[("x-variant", "green")]).await, "green");
    assert_eq!(answered_by(&split, &[("x-variant", "red")]).await, "blue");
    assert_eq!(answered_by(&split, &[]).await, "blue");
    split.set_weights(&[("blue", 0), ("green", 0)]).unwrap();
    assert_eq!(answered_by(&split, &[("x-variant", "green")]).await, "green");
    let plain = blue_green(100, 0).build().unwrap();
    assert_eq!(answered_by(&plain, &[("x-variant", "green")]).await, "blue");
}

#[tokio::test]
async fn a_split_that_sends_nothing_anywhere_says_so() {
    let split = blue_green(0, 0).build().unwrap();
    assert_eq!(answer(&split, &[]).await.unwrap_err(), Reason::SplitEmpty);
    assert_eq!(ModuleService::health(&split).await, Health::Unhealthy);
}

#[tokio::test]
async fn an_entry_edits_its_requests_and_is_written_down() {
    let edits = HeaderEdits::new().set("x-canary", "1").unwrap();
    let split = Split::builder()
        .entry(entry("blue", 0))
        .entry(entry("green", 1).request_headers(edits))
        .build()
        .unwrap();
    let request = request(&[("x-canary", "0"), ("x-a", "b")]);
    let context = request.context().unwrap().clone();
    assert_eq!(context.record().variant(), None);
    let answer = ModuleService::call(&split, request).await.unwrap();
    assert_eq!(context.record().variant().as_deref(), Some("green"));
    let canary: Vec<_> = answer.headers().get_all("x-canary").iter().collect();
    assert_eq!(canary, ["1"]);
    assert_eq!(answer.headers()["x-a"], "b");
}

#[tokio::test]
async fn weights_change_all_or_none() {
    let split = blue_green(90, 10).build().unwrap();
    let before = split.status();
    let name = |name: &str| name.to_owned();
    for (weights, expected) in [
        (&[("blue", 1)][..], SplitError::Missing { name: name("green") }),
        (&[("blue", 1), ("red", 1)], SplitError::Unknown { name: name("red") }),
        (&[("blue", 1), ("blue", 1)], SplitError::Twice { name: name("blue") }),
        (&[("blue", 1), ("green", 2), ("red", 0)], SplitError::Unknown { name: name("red") }),
    ] {
        assert_eq!(split.set_weights(weights), Err(expected));
        assert_eq!(split.status(), before);
    }
    split.set_weights(&[("green", 30), ("blue", 70)]).unwrap();
    let weights: Vec<_> = split.status().entries.iter().map(|entry| entry.weight).collect();
    assert_eq!(weights, [70, 30]);
}

#[test]
fn what_is_no_split_is_rejected() {
    assert_eq!(Split::builder().build().unwrap_err(), SplitError::NoEntry);
    let twice = Split::builder().entry(entry("a", 1)).entry(entry("a", 2)).build();
    assert_eq!(twice.unwrap_err(), SplitError::Twice { name: "a".to_owned() });
    let many = (0..=MAX_ENTRIES).fold(Split::builder(), |split, place| {
        split.entry(SplitEntry::new(place.to_string(), named("a"), 1))
    });
    assert_eq!(many.build().unwrap_err(), SplitError::TooMany { count: MAX_ENTRIES + 1 });
}

#[tokio::test]
async fn a_split_is_as_well_as_its_best_entry_with_a_share() {
    struct Ill;
    impl ModuleService for Ill {
        async fn call(&self, _: Request) -> Outcome {
            Ok(Response::new(Body::empty()))
        }
        async fn health(&self) -> Health {
            Health::Unhealthy
        }
    }
    let ill = SplitEntry::new("ill", Module::new(Ill), 1);
    let split = Split::builder().entry(ill).entry(entry("well", 1)).build().unwrap();
    assert_eq!(ModuleService::health(&split).await, Health::Healthy);
    split.set_weights(&[("ill", 1), ("well", 0)]).unwrap();
    assert_eq!(ModuleService::health(&split).await, Health::Unhealthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_from_blue_to_green_fails_no_request() {
    let split = blue_green(100, 0).build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (tasks, mut workers) = (crate::task::Tasks::new(), Vec::new());
    for _ in 0..4 {
        let (split, over) = (split.clone(), Arc::clone(&over));
        let (done, wait) = tokio::sync::oneshot::channel();
        tasks.spawn("call", async move {
            let mut count = 0_u64;
            // Also after the last switch, so that all have seen green.
            while !over.load(Ordering::Relaxed) || count < 2000 {
                let outcome = ModuleService::call(&split, request(&[])).await;
                assert_eq!(outcome.unwrap().status(), StatusCode::OK);
                count += 1;
            }
            let _ = done.send(count);
        });
        workers.push(wait);
    }
    let taken = || split.status().entries.iter().map(|entry| entry.taken).sum::<u64>();
    for turn in 0..500 {
        let green = 100 * (turn % 2);
        split.set_weights(&[("blue", 100 - green), ("green", green)]).unwrap();
        // A few calls between any two switches, however many there were before.
        let enough = taken() + 10;
        while taken() < enough {
            tokio::task::yield_now().await;
        }
    }
    split.set_weights(&[("blue", 0), ("green", 100)]).unwrap();
    over.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for worker in workers {
        calls += worker.await.expect("no call failed");
    }
    let taken: Vec<_> = split.status().entries.iter().map(|entry| entry.taken).collect();
    assert_eq!(taken.iter().sum::<u64>(), calls);
    assert!(taken.iter().all(|taken| *taken > 0), "{taken:?}");
    assert_eq!(answered_by(&split, &[]).await, "green");
}

proptest! {
    #[test]
    fn moving_weight_moves_only_the_keys_between(
        blue in 0_u32..=100, next in 0_u32..=100, keys in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        let before = Weights::new(vec![blue, 100 - blue]);
        let after = Weights::new(vec![next, 100 - next]);
        let range = blue.min(next)..blue.max(next);
        for key in keys {
            let number = weights::scattered(stable_hash(&key.to_le_bytes()));
            let moved = before.place(number) != after.place(number);
            let share = ((u128::from(number) * 100) >> 64) as u32;
            prop_assert_eq!(moved, range.contains(&share));
        }
    }

    #[test]
    fn a_weight_of_0_takes_nothing(
        weights in prop::collection::vec(prop_oneof![Just(0), any::<u32>()], 1..10), number: u64,
    ) {
        let ranges = Weights::new(weights.clone());
        prop_assert_eq!(ranges.each().collect::<Vec<_>>(), weights.clone());
        match ranges.place(number) {
            Some(place) => prop_assert!(weights[place] > 0),
            None => prop_assert!(weights.iter().all(|weight| *weight == 0)),
        }
    }
}
