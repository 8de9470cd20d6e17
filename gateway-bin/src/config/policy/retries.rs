//! `retry` and `hedge`: what is asked for again.

use gateway_core::budget;
use gateway_layers::retry::{Backoff, Condition, MOST_RETRIES};
use gateway_layers::{hedge, retry};
use http::{Method, StatusCode};

use crate::config::reader::{Field, Table};
use crate::config::units::{duration, some_duration, some_size};

const MOST: i64 = 1_000_000;

/// What is retried, and how many more requests that may make.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Retry {
    /// `max_retries` (1), `on` (`["connect", "reset"]`), `statuses` (`[503]`), `methods` (none that
    /// is not idempotent), `backoff` (25 ms to 250 ms), `max_wait` (1 s), `replay_limit` (64 KiB).
    pub config: retry::RetryConfig,
    /// `budget`: `ratio` (0.2), `min_per_second` (10), `window` (10 s). Hedges draw from it too.
    pub budget: budget::RetryBudgetConfig,
}

impl Retry {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ max_retries = 1, on = [\"connect\", \"reset\"] }")?;
        let mut retry = Self::default();
        let config = &mut retry.config;
        table.set("max_retries", &mut config.max_retries, |field| {
            field.number(0, i64::from(MOST_RETRIES))
        });
        let words: Vec<_> = Condition::ALL.iter().map(|one| (one.word(), *one)).collect();
        table.set("on", &mut config.on, |field| {
            field.list("a list such as [\"connect\", \"reset\"]", |field| field.choice(&words))
        });
        table.set("statuses", &mut config.statuses, |field| {
            field.list("a list of statuses such as [503]", |field| {
                StatusCode::from_u16(field.number(400, 599)?).ok()
            })
        });
        methods(&mut table, &mut config.methods);
        table.set("backoff", &mut config.backoff, backoff);
        table.set("max_wait", &mut config.max_wait, |field| duration(&field));
        table.set("replay_limit", &mut config.replay_limit, |field| some_size(&field));
        table.set("budget", &mut retry.budget, read_budget);
        table.finish();
        Some(retry)
    }
}

fn methods(table: &mut Table<'_>, to: &mut Vec<Method>) {
    table.set("methods", to, |field| {
        field.list("a list of methods such as [\"POST\"]", |field| {
            field.parse("a method such as \"POST\"")
        })
    });
}

fn backoff(field: Field<'_>) -> Option<Backoff> {
    let mut table = field.table("{ base = \"25ms\", max = \"250ms\" }")?;
    let mut backoff = Backoff::default();
    table.set("base", &mut backoff.base, |field| duration(&field));
    table.set("max", &mut backoff.max, |field| duration(&field));
    table.finish();
    Some(backoff)
}

fn read_budget(field: Field<'_>) -> Option<budget::RetryBudgetConfig> {
    let mut table = field.table("{ ratio = 0.2, min_per_second = 10 }")?;
    let mut config = budget::RetryBudgetConfig::default();
    table.set("ratio", &mut config.ratio, |field| field.fraction(0.0, 10.0));
    table.set("min_per_second", &mut config.min_per_second, |field| field.number(0, MOST));
    table.set("window", &mut config.window, |field| some_duration(&field));
    table.finish();
    Some(config)
}

pub(super) fn hedge(field: Field<'_>) -> Option<hedge::HedgeConfig> {
    let mut table = field.table("{ delay = \"50ms\" }")?;
    let mut config = hedge::HedgeConfig::default();
    match table.only_one(&["delay", "percentile"]) {
        Some(("delay", field)) => {
            if let Some(delay) = some_duration(&field) {
                config.delay = hedge::Delay::Fixed(delay);
            }
        }
        Some((_, field)) => {
            if let Some(percentile) = field.fraction(1.0, 100.0) {
                config.delay = hedge::Delay::Percentile(percentile);
            }
        }
        None => {}
    }
    table.set("max_extra", &mut config.max_extra, |field| {
        field.number(0, i64::from(hedge::MOST_EXTRA))
    });
    table.set("min_samples", &mut config.min_samples, |field| field.number(1, MOST));
    methods(&mut table, &mut config.methods);
    table.finish();
    Some(config)
}
