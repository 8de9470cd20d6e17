#!/usr/bin/env bash
# What takes too long for every change: the behaviour tests many times over, every interleaving of
# hand-written atomics, the benches, and a minute of each fuzz target where there are any. ROUNDS says how often; default 20.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

step() { printf '\n=== %s\n' "$*"; }

step "tests, once with everything they need"
tests/run

step "behaviour tests, ${ROUNDS:-20} times"
for round in $(seq "${ROUNDS:-20}"); do
    echo "round $round"
    cargo test -q -p gateway-tests --all-features --test it
done

step "interleavings"
RUSTFLAGS="--cfg gateway_loom" CARGO_TARGET_DIR=target/loom \
    cargo test --release -p gateway-layers --lib circuit_breaker::interleavings

step "benches"
cargo bench -p gateway-core --all-features
cargo bench -p gateway-layers --all-features

step "fuzzing"
if [ ! -d tests/fuzz ]; then
    echo "skipped: there are no fuzz targets yet"
elif ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "skipped: cargo-fuzz is not installed"
else
    (cd tests && for target in $(cargo +nightly fuzz list); do
        cargo +nightly fuzz run "$target" -- -max_total_time=60
    done)
fi

step "passed"
