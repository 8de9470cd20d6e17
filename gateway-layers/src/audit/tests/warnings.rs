//! What the log is told of trouble.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::{Interest, set_default};

use super::*;

/// Keeps the warnings of the audit, as `name=value`.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Warnings {
    fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().contains("audit")
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn losses_are_told_once_a_minute_with_how_many_and_none_is_left_untold() {
    let warnings = Warnings::default();
    let _guard = set_default(warnings.clone());
    let hand = Hand::always(Does::Refuses);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    for _ in 0..150 {
        refuse(&audit, 2);
        sleep(Duration::from_secs(1)).await;
    }
    let told = warnings.take();
    let lost = told.iter().map(|line| {
        let count = line.split("lost=").nth(1).and_then(|rest| rest.split(' ').next());
        count.map_or(0, |count| count.parse::<u64>().unwrap())
    });
    let lost: Vec<_> = lost.filter(|lost| *lost > 0).collect();
    assert_eq!(lost.len(), 3, "{told:?}");
    assert_eq!((lost[0], told.len()), (2, 3), "what was lost is told at once, {told:?}");
    // Those of the minute that has begun are told when it is over, though nothing more happens.
    sleep(Duration::from_secs(70)).await;
    let last = warnings.take();
    assert_eq!(last.len(), 1, "{last:?}");
    let rest = 300 - lost.iter().sum::<u64>();
    assert!(rest > 0 && last[0].contains(&format!("lost={rest} ")), "{rest} {last:?}");
}

#[tokio::test(start_paused = true)]
async fn trouble_is_told_at_once_and_the_end_tells_what_was_not_told() {
    let warnings = Warnings::default();
    let _guard = set_default(warnings.clone());
    let hand = Hand::always(Does::Fails);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    refuse(&audit, 3);
    sleep(Duration::from_secs(1)).await;
    let [one] = warnings.take().try_into().unwrap();
    assert!(one.contains("cannot be delivered") && one.contains("is away"), "{one}");
    assert_eq!(audit.drain(Duration::from_secs(1)).await, 3);
    let [end] = warnings.take().try_into().unwrap();
    assert!(end.contains("lost=3 ") && end.contains("sink=\"hand\""), "{end}");
}
