//! Whatever comes and goes, every event is counted once.

use proptest::prelude::*;

use super::*;
use crate::audit::queue::Queue;
use crate::audit::stamp::Stamp;

#[derive(Clone, Copy, Debug)]
enum Step {
    Offer,
    Sent(usize),
    Failed(usize),
    Tell,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Offer),
        2 => (0_usize..6).prop_map(Step::Sent),
        2 => (0_usize..6).prop_map(Step::Failed),
        1 => Just(Step::Tell),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn every_event_is_sent_failed_dropped_or_waits(steps in steps(), most in 1_usize..20) {
        let stamp = Stamp::new(Arc::new(Still));
        let queue = Queue::new(most, 1 << 20, 4);
        let (mut offered, mut told, mut closed) = (0, 0, false);
        for step in steps {
            match step {
                Step::Offer => {
                    offered += 1;
                    queue.offer(&Arc::new(AuditEvent::lost(&stamp, 0)));
                }
                Step::Sent(count) => queue.sent(queue.first(count).len()),
                Step::Failed(count) => queue.failed(queue.first(count).len()),
                Step::Tell => queue.tell(|lost| {
                    told += 1;
                    AuditEvent::lost(&stamp, lost)
                }),
                Step::Close => {
                    closed = true;
                    queue.close();
                }
            }
            let (waiting, bytes) = queue.len();
            let counts = queue.counts();
            prop_assert_eq!(counts.taken, counts.sent + counts.failed + waiting as u64);
            prop_assert_eq!(counts.taken + counts.dropped, offered + told);
            prop_assert!(waiting <= most + told as usize);
            prop_assert_eq!(bytes == 0, waiting == 0);
            prop_assert!(counts.dropped == 0 || closed || offered > most as u64);
        }
        queue.fail_all();
        prop_assert_eq!(queue.len(), (0, 0));
    }
}
