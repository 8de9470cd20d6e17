//! Queues, batches, tries, and the end.

use super::*;

#[tokio::test(start_paused = true)]
async fn events_that_come_together_go_together() {
    let hand = Hand::default();
    let audit = started(&hand, |settings| settings.batch = 10);
    reject(&audit, 3);
    sleep(Duration::from_millis(900)).await;
    assert_eq!(hand.tries(), 0, "more may come");
    sleep(Duration::from_millis(200)).await;
    assert_eq!(hand.batches(), [3]);
    let began = Instant::now();
    reject(&audit, 25);
    while hand.batches().len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(began.elapsed() < Duration::from_millis(100), "whole batches do not wait");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(hand.batches(), [3, 10, 10, 5]);
    assert_eq!(counts(&audit), [28, 28, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_no_more_bytes_than_it_may_and_one_event_at_least() {
    let hand = Hand::default();
    let audit = started(&hand, |settings| settings.batch_bytes = 10);
    reject(&audit, 3);
    audit.drain(Duration::from_secs(1)).await;
    assert_eq!(hand.batches(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_later_and_later_and_comes_once_in_its_order() {
    let hand = Hand::first([Does::Fails, Does::Fails, Does::Stalls, Does::Fails]);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    reject(&audit, 1);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(audit.status()[0].failure.as_deref(), Some("is away"));
    reject(&audit, 2);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(hand.batches(), [1, 2]);
    let ids: Vec<_> = hand.events().iter().map(|event| event["id"].clone()).collect();
    let numbers = ids.iter().map(|id| id.as_str().unwrap().split_once('-').unwrap().1.to_owned());
    assert_eq!(numbers.collect::<Vec<_>>(), ["1", "2", "3"]);
    let tries = hand.tries.lock().unwrap().clone();
    let waits: Vec<_> = tries.windows(2).map(|two| (two[1] - two[0]).as_millis()).collect();
    for (wait, (least, most)) in
        waits.iter().zip([(100, 210), (200, 410), (5400, 5810), (800, 1610)])
    {
        assert!((least..=most).contains(wait), "{waits:?}");
    }
    assert_eq!(counts(&audit), [3, 3, 0, 0, 0]);
    assert_eq!(audit.status()[0].failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_asks_for_time_gets_it_within_bounds() {
    let hand =
        Hand::first([Does::Asks(Duration::from_secs(7)), Does::Asks(Duration::from_secs(100_000))]);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    reject(&audit, 1);
    sleep(Duration::from_secs(60)).await;
    let tries = hand.tries.lock().unwrap().clone();
    let waits: Vec<_> = tries.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert_eq!(waits, [7, 30]);
    assert_eq!(counts(&audit), [1, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_counted_and_told_once_the_sink_takes_events_again() {
    let hand = Hand::always(Does::Fails);
    let audit = started(&hand, |settings| {
        settings.retries = 3;
        settings.interval = Duration::ZERO;
    });
    reject(&audit, 2);
    sleep(Duration::from_secs(60)).await;
    assert_eq!((hand.tries(), counts(&audit)), (4, [2, 0, 0, 0, 2]));
    hand.now(None);
    reject(&audit, 1);
    sleep(Duration::from_secs(1)).await;
    let events = hand.events();
    let told: Vec<_> = events.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(told, ["request_malformed", "events_dropped"]);
    assert_eq!((&events[1]["kind"], &events[1]["dropped"]), (&"audit".into(), &2.into()));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(counts(&audit), [4, 2, 0, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_an_event_about_losses_told_is_told_again_where_it_is_lost_itself() {
    let hand = Hand::first([Does::Rejects, Does::Takes, Does::Rejects, Does::Takes]);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    for count in [5, 1, 1] {
        reject(&audit, count);
        sleep(Duration::from_secs(1)).await;
    }
    let events = hand.events();
    let dropped: Vec<_> = events.iter().filter_map(|event| event["dropped"].as_u64()).collect();
    assert_eq!(dropped, [6], "five, and the event that told of them");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_is_tried_again_like_any_that_fails() {
    let hand = Hand::first([Does::Panics, Does::Panics]);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    reject(&audit, 1);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(audit.status()[0].failure.as_deref(), Some("the sink panicked"));
    sleep(Duration::from_secs(10)).await;
    assert_eq!((hand.tries(), counts(&audit)), (3, [1, 1, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_is_not_tried_again() {
    let hand = Hand::first([Does::Rejects]);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    reject(&audit, 5);
    sleep(Duration::from_secs(60)).await;
    assert_eq!((hand.tries(), counts(&audit)), (1, [5, 0, 0, 0, 5]));
    assert_eq!(audit.status()[0].failure.as_deref(), Some("answered 400"));
}

#[tokio::test(start_paused = true)]
async fn beyond_its_bounds_a_queue_drops_what_is_newest_and_nothing_before() {
    let hand = Hand::always(Does::Fails);
    let audit = started(&hand, |settings| settings.queue = 10);
    reject(&audit, 14);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(counts(&audit), [10, 0, 10, 4, 0]);
    hand.now(None);
    sleep(Duration::from_secs(60)).await;
    let events = hand.events();
    let numbers =
        events.iter().map(|event| event["id"].as_str().unwrap().split_once('-').unwrap().1);
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "15"]
    );
    assert_eq!(events[10]["dropped"], 4);
    assert_eq!(counts(&audit), [11, 11, 0, 4, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_by_bytes_as_well() {
    let hand = Hand::always(Does::Fails);
    let audit = started(&hand, |settings| settings.queue_bytes = 8 * 1024);
    reject(&audit, 100);
    let status = audit.status().remove(0);
    assert!(status.queued_bytes <= 8 * 1024 && (5..40).contains(&status.queued), "{status:?}");
    assert_eq!(status.taken + status.dropped, 100);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_holds_up_nobody_else() {
    let (slow, quick) = (Hand::always(Does::Stalls), Hand::default());
    let audit = Audit::builder().sink(slow.clone()).sink(quick.clone()).build().unwrap();
    audit.start();
    reject(&audit, 100);
    sleep(Duration::from_secs(2)).await;
    assert_eq!((quick.batches(), slow.batches()), (vec![100], vec![]));
    assert_eq!(audit.drain(Duration::from_secs(1)).await, 100);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_delivered_at_once() {
    let hand = Hand::default();
    let audit = started(&hand, |settings| settings.interval = Duration::from_secs(3600));
    reject(&audit, 250);
    let began = Instant::now();
    assert_eq!(audit.drain(Duration::from_secs(5)).await, 0);
    assert!(began.elapsed() < Duration::from_millis(50));
    assert_eq!(hand.batches(), [100, 100, 50]);
    reject(&audit, 1);
    assert_eq!(counts(&audit), [250, 250, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_nobody_waits_for_the_next_try() {
    let hand = Hand::first([Does::Asks(Duration::from_secs(30))]);
    let audit = started(&hand, |settings| settings.interval = Duration::ZERO);
    reject(&audit, 1);
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    assert_eq!(audit.drain(Duration::from_secs(5)).await, 0);
    assert!(began.elapsed() < Duration::from_millis(50));
    assert_eq!(counts(&audit), [1, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_in_time_and_what_is_left_counts_as_failed() {
    for does in [Does::Stalls, Does::Fails] {
        let hand = Hand::always(does);
        let audit = started(&hand, |_| {});
        reject(&audit, 7);
        let began = Instant::now();
        assert_eq!(audit.drain(Duration::from_secs(5)).await, 7);
        assert_eq!(began.elapsed().as_secs(), 5);
        assert_eq!(counts(&audit), [7, 0, 0, 0, 7]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_is_dropped_leaves_no_task() {
    let hand = Hand::default();
    let audit = started(&hand, |_| {});
    reject(&audit, 1);
    let took = Arc::downgrade(&hand.took);
    drop((audit, hand));
    advance(Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    assert!(took.upgrade().is_none(), "the sink is still there");
}

#[test]
fn what_cannot_be_meant_is_rejected() {
    assert_eq!(Audit::builder().build().err(), Some(AuditError::NoSink));
    let changes: [fn(&mut SinkConfig); 6] = [
        |settings| settings.queue = 0,
        |settings| settings.batch = 0,
        |settings| settings.queue_bytes = 0,
        |settings| settings.timeout = Duration::ZERO,
        |settings| settings.backoff = Duration::ZERO,
        |settings| settings.interval = Duration::MAX,
    ];
    for change in changes {
        let built = Audit::builder().sink_with(LogSink::new(), settings(change)).build();
        assert!(matches!(built, Err(AuditError::Setting(_))));
    }
}
