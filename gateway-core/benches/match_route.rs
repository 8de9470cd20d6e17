//! How long it takes to find the route of a request at 10, 1,000 and 10,000 routes.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway_core::path::{PathOptions, normalize};
use gateway_core::route::{Found, Lookup, Route, RouteMatch, RouteTable};
use http::{HeaderMap, Method};

const TABLE_SIZES: [usize; 3] = [10, 1_000, 10_000];

/// A lookup among the paths of a whole table would measure the cache of the machine.
const PATH_COUNT: usize = 64;

const RESOURCES: [&str; 8] =
    ["users", "orders", "invoices", "products", "sessions", "reports", "teams", "webhooks"];

fn matching(number: usize) -> RouteMatch {
    let resource = RESOURCES[number % RESOURCES.len()];
    let built = match number % 4 {
        0 => RouteMatch::path(&format!("/api/v1/{resource}-{number}")),
        1 => RouteMatch::path(&format!("/api/v1/{resource}-{number}/{{id}}")),
        2 => RouteMatch::path(&format!("/api/v1/{resource}-{number}/{{id}}/items/{{item}}")),
        _ => RouteMatch::prefix(&format!("/static/{resource}-{number}")),
    };
    built.expect("a pattern of the bench")
}

fn path(number: usize) -> String {
    let resource = RESOURCES[number % RESOURCES.len()];
    match number % 4 {
        0 => format!("/api/v1/{resource}-{number}"),
        1 => format!("/api/v1/{resource}-{number}/8f14e45f"),
        2 => format!("/api/v1/{resource}-{number}/8f14e45f/items/42"),
        _ => format!("/static/{resource}-{number}/img/logo.svg"),
    }
}

fn table(size: usize, host: Option<&str>) -> RouteTable<usize> {
    let routes = (0..size).map(|number| {
        let mut matching = matching(number);
        if let Some(host) = host {
            matching = matching.host(host).expect("a host of the bench");
        }
        Route::new(format!("route-{number}"), number).matching(matching)
    });
    RouteTable::build(routes.collect()).expect("a table without errors")
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    group.throughput(Throughput::Elements(1));
    let headers = HeaderMap::new();
    for (name, host) in
        [("any_host", None), ("host", Some("api.example.com")), ("wildcard", Some("*.example.com"))]
    {
        for size in TABLE_SIZES {
            let table = table(size, host);
            let step = (size / PATH_COUNT).max(1) | 1;
            let paths: Vec<String> = (0..PATH_COUNT).map(|at| path(at * step % size)).collect();
            let mut next = 0;
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    next = (next + 1) % paths.len();
                    let lookup = Lookup::new(&Method::GET, black_box(&paths[next]), &headers)
                        .host("api.example.com:8080");
                    match table.find(&lookup) {
                        Found::Route(hit) => hit.route.target,
                        _ => unreachable!("every path of the bench has a route"),
                    }
                });
            });
        }
    }
    group.finish();
}

fn kinds(criterion: &mut Criterion) {
    let table = table(10_000, None);
    let headers = HeaderMap::new();
    let mut group = criterion.benchmark_group("find_10000");
    for (kind, number) in [("exact", 4_000), ("one", 4_001), ("two", 4_002), ("prefix", 4_003)] {
        let path = path(number);
        let lookup = Lookup::new(&Method::GET, &path, &headers);
        group.bench_function(kind, |bencher| {
            bencher.iter(|| table.find(black_box(&lookup)));
        });
    }
    let lookup = Lookup::new(&Method::GET, "/api/v1/nothing/here", &headers);
    group.bench_function("none", |bencher| {
        bencher.iter(|| table.find(black_box(&lookup)));
    });
    group.finish();
}

fn clean_path(criterion: &mut Criterion) {
    let options = PathOptions::default();
    let path = path(2);
    criterion.bench_function("normalize/clean", |bencher| {
        bencher.iter(|| normalize(black_box(&path), &options).map(|path| path.len()));
    });
}

criterion_group!(benches, find, kinds, clean_path);
criterion_main!(benches);
