//! [`ResettableTimer`]: a deadline that moves cheaply.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer whose deadline may move at every poll.
///
/// A timer registered and removed for every request costs more than matching its route. Deadlines
/// on a connection almost always move forward, so the timer stays registered where it is, and only
/// when it rings is it looked up where the deadline has moved to: one registration per timeout
/// period instead of one per request.
#[derive(Default)]
pub(crate) struct ResettableTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl ResettableTimer {
    /// Ready once `deadline` has passed. The task is woken then, whatever the last polls said.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

impl fmt::Debug for ResettableTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResettableTimer")
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rings_at_the_deadline_however_it_moved() {
        let start = Instant::now();
        let mut alarm = ResettableTimer::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = vec![at(10), at(30), at(5)];
        let mut last = at(0);
        poll_fn(|cx| {
            while let Some(deadline) = (!deadlines.is_empty()).then(|| deadlines.remove(0)) {
                last = deadline;
                assert!(alarm.poll(cx, deadline).is_pending());
            }
            alarm.poll(cx, last)
        })
        .await;
        assert_eq!(Instant::now(), at(5));
        poll_fn(|cx| alarm.poll(cx, at(40))).await;
        assert_eq!(Instant::now(), at(40));
    }
}
