//! `circuit_breaker` and `concurrency` of a cluster.

use gateway_layers::circuit_breaker::{self, SlowCalls};
use gateway_layers::concurrency::{AdaptiveConfig, ConcurrencyConfig, ShedConfig};

use crate::config::reader::Field;
use crate::config::units::{duration, some_duration};

const MOST: i64 = 4_194_303;
const MOST_WAITING: i64 = 65_535;

pub(super) fn circuit_breaker(field: &Field<'_>) -> Option<circuit_breaker::CircuitBreakerConfig> {
    let mut table = field.clone().table("{ failure_ratio = 0.5, min_requests = 20 }")?;
    let mut config = circuit_breaker::CircuitBreakerConfig::default();
    table.set("failure_ratio", &mut config.failure_ratio, |field| field.fraction_or_off(0.0, 1.0));
    table.set("window", &mut config.window, |field| some_duration(&field));
    table.set("min_requests", &mut config.min_requests, |field| field.number(1, MOST));
    table.set("consecutive_failures", &mut config.consecutive_failures, |field| {
        field.number(1, MOST).map(Some)
    });
    table.set("slow", &mut config.slow, |field| slow(field).map(Some));
    table.set("open", &mut config.open, |field| some_duration(&field));
    table.set("open_max", &mut config.open_max, |field| some_duration(&field));
    table.set("half_open", &mut config.half_open, |field| field.number(1, MOST));
    table.set("probe_timeout", &mut config.probe_timeout, |field| some_duration(&field));
    table.finish();
    if let Err(error) = config.validate() {
        for problem in error.problems() {
            field.note::<()>(problem.to_string());
        }
    }
    Some(config)
}

fn slow(field: Field<'_>) -> Option<SlowCalls> {
    let mut table = field.table("{ threshold = \"1s\", ratio = 0.5 }")?;
    let expected = "a duration such as \"1s\"";
    let threshold = table.require("threshold", expected).and_then(|field| some_duration(&field));
    let mut ratio = 0.5;
    table.set("ratio", &mut ratio, |field| field.fraction(0.0, 1.0));
    table.finish();
    Some(SlowCalls { threshold: threshold?, ratio })
}

pub(super) fn concurrency(field: Field<'_>) -> Option<ConcurrencyConfig> {
    let mut table = field.table("{ limit = 512, queue = 128, queue_timeout = \"100ms\" }")?;
    let mut settings = ConcurrencyConfig::default();
    table.set("limit", &mut settings.limit, |field| field.number(1, MOST));
    table.set("queue", &mut settings.queue, |field| field.number(0, MOST_WAITING));
    table.set("queue_timeout", &mut settings.queue_timeout, |field| duration(&field));
    table.set("adaptive", &mut settings.adaptive, |field| adaptive(field).map(Some));
    table.set("shed", &mut settings.shed, |field| shed(field).map(Some));
    table.finish();
    Some(settings)
}

fn adaptive(field: Field<'_>) -> Option<AdaptiveConfig> {
    let mut table = field.table("{ min = 10, max = 1000 }")?;
    let mut adaptive = AdaptiveConfig::default();
    table.set("min", &mut adaptive.min, |field| field.number(1, MOST));
    table.set("max", &mut adaptive.max, |field| field.number(1, MOST));
    table.set("smoothing", &mut adaptive.smoothing, |field| field.fraction(0.01, 1.0));
    table.set("tolerance", &mut adaptive.tolerance, |field| field.fraction(1.0, 100.0));
    table.set("window", &mut adaptive.window, |field| some_duration(&field));
    table.set("window_requests", &mut adaptive.window_requests, |field| field.number(1, MOST));
    if adaptive.max < adaptive.min
        && let Some(field) = table.take("max").or_else(|| table.take("min"))
    {
        field.note::<()>("`max` is less than `min`, expected at least as much".to_owned());
    }
    table.finish();
    Some(adaptive)
}

fn shed(field: Field<'_>) -> Option<ShedConfig> {
    let mut table = field.table("{ normal = 0.9, low = 0.7 }")?;
    let mut shed = ShedConfig::default();
    table.set("critical", &mut shed.critical, |field| field.fraction(0.0, 1.0));
    table.set("high", &mut shed.high, |field| field.fraction(0.0, 1.0));
    table.set("normal", &mut shed.normal, |field| field.fraction(0.0, 1.0));
    table.set("low", &mut shed.low, |field| field.fraction(0.0, 1.0));
    table.finish();
    Some(shed)
}
