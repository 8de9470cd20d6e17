//! What the log is told of trouble.

use super::*;
use crate::testing::Logged;

/// The warnings of the audit.
fn warned() -> (Logged, tracing::subscriber::DefaultGuard) {
    Logged::of(|metadata| {
        *metadata.level() == tracing::Level::WARN && metadata.target().contains("audit")
    })
}

#[tokio::test(start_paused = true)]
async fn losses_are_told_once_a_minute_with_how_many_and_none_is_left_untold() {
    let (warnings, _guard) = warned();
    let hand = Hand::always(Does::Rejects);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    for _ in 0..150 {
        reject(&audit, 2);
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
    let (warnings, _guard) = warned();
    let hand = Hand::always(Does::Fails);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    reject(&audit, 3);
    sleep(Duration::from_secs(1)).await;
    let [one] = warnings.take().try_into().unwrap();
    assert!(one.contains("cannot be delivered") && one.contains("is away"), "{one}");
    assert_eq!(audit.drain(Duration::from_secs(1)).await, 3);
    let [end] = warnings.take().try_into().unwrap();
    assert!(end.contains("lost=3 ") && end.contains("sink=\"hand\""), "{end}");
}
