//! What one pick of an endpoint costs, with each balancer, over 10 and 1,000 idle endpoints.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway_core::upstream::balance::{
    Balance, Candidate, ConsistentHash, LeastRequests, PeakEwma, PickContext, PowerOfTwo, Random,
    RoundRobin, WeightedRoundRobin,
};
use gateway_core::{Endpoint, PoolConfig};

const SIZES: [usize; 2] = [10, 1_000];

/// Endpoints of which every tenth has three times the weight, if weights are to differ.
fn candidates(size: usize, even: bool) -> Arc<[Candidate]> {
    let weight = |number| if even || number % 10 != 0 { 100 } else { 300 };
    let address = |number| format!("http://10.0.{}.{}:9000", number / 250, number % 250);
    (0..size)
        .map(|number| {
            let address = address(number).parse().expect("an address of the bench");
            let endpoint = Endpoint::new(address, PoolConfig::default());
            Candidate::new(Arc::new(endpoint), weight(number))
        })
        .collect()
}

fn pick(criterion: &mut Criterion) {
    let balancers: [Box<dyn Balance>; 7] = [
        Box::new(RoundRobin::default()),
        Box::new(WeightedRoundRobin::default()),
        Box::new(Random::with_seed(7)),
        Box::new(LeastRequests::with_seed(7)),
        Box::new(PowerOfTwo::with_seed(7)),
        Box::new(PeakEwma::with_seed(7)),
        Box::new(ConsistentHash::new().seed(7)),
    ];
    let mut group = criterion.benchmark_group("pick");
    group.throughput(Throughput::Elements(1));
    for balance in &balancers {
        for size in SIZES {
            for (kind, even) in [("even", true), ("weighted", false)] {
                let pick = balance.over(candidates(size, even));
                let name = BenchmarkId::new(format!("{}/{kind}", balance.name()), size);
                let mut key = 0_u64;
                group.bench_function(name, |bencher| {
                    bencher.iter(|| {
                        key = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
                        let wanted = PickContext::default().hash(Some(key));
                        black_box(pick.pick(black_box(&wanted)).is_some())
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, pick);
criterion_main!(benches);
