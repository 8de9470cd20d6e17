use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::{RetryBudget, RetryBudgetConfig};

const SECOND: Duration = Duration::from_secs(1);

fn config(ratio: f64, min_per_second: u32, window: Duration) -> RetryBudgetConfig {
    RetryBudgetConfig { ratio, min_per_second, window }
}

fn withdrawn(budget: &RetryBudget, most: usize) -> usize {
    (0..most).take_while(|_| budget.withdraw()).count()
}

#[tokio::test(start_paused = true)]
async fn few_requests_have_the_reserve() {
    let budget = RetryBudget::default();
    assert_eq!(budget.available(), 100);
    assert_eq!(withdrawn(&budget, 1_000), 100);
    assert_eq!(budget.available(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_requests_is_added() {
    let budget = RetryBudget::new(&config(0.2, 0, 10 * SECOND));
    for _ in 0..99 {
        budget.deposit();
    }
    assert_eq!(withdrawn(&budget, 1_000), 19);
    budget.deposit();
    assert_eq!(withdrawn(&budget, 1_000), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_and_extra_attempts_are_forgotten_after_a_window() {
    let budget = RetryBudget::new(&config(1.0, 1, 10 * SECOND));
    (0..5).for_each(|_| budget.deposit());
    assert_eq!(withdrawn(&budget, 1_000), 15);
    // The requests of the first second no longer count, what they paid for still does.
    advance(10 * SECOND).await;
    assert_eq!(budget.available(), 0);
    advance(SECOND).await;
    assert_eq!(budget.available(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_the_same_budget_and_a_spender_counts_no_requests() {
    let budget = RetryBudget::new(&config(1.0, 0, 10 * SECOND));
    let spender = budget.spender();
    spender.deposit();
    assert!(!budget.withdraw());
    budget.clone().deposit();
    assert!(spender.withdraw());
    assert!(!budget.withdraw());
}

#[test]
fn nonsense_is_no_budget() {
    for ratio in [-1.0, f64::NAN, 0.0] {
        let budget = RetryBudget::new(&config(ratio, 0, Duration::ZERO));
        (0..100).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
    }
    let endless = RetryBudget::new(&config(f64::INFINITY, u32::MAX, Duration::MAX));
    endless.deposit();
    assert!(endless.withdraw());
}

#[test]
fn threads_together_get_what_one_would() {
    let budget = RetryBudget::new(&config(0.0, 100, 3_600 * SECOND));
    let most = 100 * 3_600;
    let granted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| withdrawn(&budget, most))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Two that ask for the last one may see each other and both go without; the next one gets it.
    assert_eq!(granted + withdrawn(&budget, most), most);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Deposit(u8),
    Withdraw(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..3_000).prop_map(Step::Wait),
        (1u8..40).prop_map(Step::Deposit),
        (1u8..20).prop_map(Step::Withdraw),
    ]
}

/// Events with their times.
#[derive(Default)]
struct History(Vec<Instant>);

impl History {
    fn since(&self, now: Instant, span: Duration) -> u64 {
        self.0.iter().filter(|&&at| now - at < span).count() as u64
    }
}

async fn holds_in(steps: Vec<Step>, ratio: u64, min_per_second: u32) -> Result<(), TestCaseError> {
    let window = 10 * SECOND;
    let budget = RetryBudget::new(&config(ratio as f64 / 100.0, min_per_second, window));
    let allowed = |requests: u64| requests * ratio / 100 + u64::from(min_per_second) * 10;
    let (mut requests, mut extra) = (History::default(), History::default());
    for step in steps {
        let now = Instant::now();
        match step {
            Step::Wait(milliseconds) => advance(Duration::from_millis(milliseconds)).await,
            Step::Deposit(count) => (0..count).for_each(|_| {
                budget.deposit();
                requests.0.push(now);
            }),
            Step::Withdraw(count) => {
                for _ in 0..count {
                    let before = extra.since(now, window * 11 / 10);
                    if budget.withdraw() {
                        extra.0.push(now);
                        let most = allowed(requests.since(now, window));
                        prop_assert!(extra.since(now, window) <= most);
                    } else {
                        // And no stingier than a bucket's length explains.
                        prop_assert!(before + 1 > allowed(requests.since(now, window * 9 / 10)));
                    }
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn extra_attempts_of_any_window_are_within_the_budget(
        steps in proptest::collection::vec(step(), 1..120),
        ratio in 0u64..150,
        min_per_second in 0u32..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(holds_in(steps, ratio, min_per_second))?;
    }
}
