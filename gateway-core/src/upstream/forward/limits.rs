//! [`Limits`]: until when an attempt may wait, and whose failure it is after that.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Reason;

/// The limits of one attempt, from the choice of the endpoint to the head of its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// When the attempt is over, without the time in which the gateway waited for the client.
    pub(super) attempt_by: Option<Instant>,
    /// For the head of the response once the whole request has been sent.
    pub(super) response_head: Option<Duration>,
    /// How long either side may stand still.
    pub(super) idle: Duration,
    /// When the whole exchange must be over.
    pub(super) deadline: Option<Instant>,
}

/// How far the request of an attempt has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The client has sent no more of the body since then, and the upstream has all that came.
    WaitsForClient(Instant),
    /// The upstream has taken nothing more since then.
    Sending(Instant),
    /// All of it was sent at the first moment; nothing has moved since the second.
    Sent(Instant, Instant),
}

impl Limits {
    /// The next moment at which a limit is reached, and the failure after it.
    ///
    /// `waited` is for how long the attempt has waited for its client in all: an upstream is not
    /// blamed for that time.
    pub(super) fn next(&self, progress: Progress, waited: Duration) -> (Instant, Reason) {
        let (mut next, out_of_time) = match progress {
            Progress::WaitsForClient(since) => {
                ((since + self.idle, Reason::RequestTimeout), Reason::RequestTimeout)
            }
            Progress::Sending(since) | Progress::Sent(_, since) => {
                ((since + self.idle, Reason::StreamIdle), Reason::RouteTimeout)
            }
        };
        let mut limit = |at: Instant, reason| {
            if at < next.0 {
                next = (at, reason);
            }
        };
        if let Some(deadline) = self.deadline {
            limit(deadline, out_of_time);
        }
        if matches!(progress, Progress::WaitsForClient(_)) {
            return next;
        }
        if let Some(by) = self.attempt_by {
            limit(by + waited, Reason::AttemptTimeout);
        }
        if let (Progress::Sent(at, _), Some(head)) = (progress, self.response_head) {
            limit(at + head, Reason::ResponseHeadTimeout);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn clock_of_an_attempt_stands_still_for_the_client() {
        let start = Instant::now();
        let limits = Limits {
            attempt_by: Some(start + seconds(10)),
            response_head: Some(seconds(8)),
            idle: seconds(60),
            deadline: Some(start + seconds(40)),
        };
        let at = |time| start + seconds(time);
        for (progress, waited, expected) in [
            (Progress::Sending(at(0)), 0, (at(10), Reason::AttemptTimeout)),
            (Progress::Sending(at(0)), 5, (at(15), Reason::AttemptTimeout)),
            (Progress::Sent(at(1), at(1)), 0, (at(9), Reason::ResponseHeadTimeout)),
            (Progress::Sent(at(12), at(12)), 11, (at(20), Reason::ResponseHeadTimeout)),
            (Progress::Sent(at(14), at(14)), 11, (at(21), Reason::AttemptTimeout)),
            (Progress::Sent(at(38), at(38)), 37, (at(40), Reason::RouteTimeout)),
            (Progress::WaitsForClient(at(1)), 20, (at(40), Reason::RequestTimeout)),
        ] {
            assert_eq!(limits.next(progress, seconds(waited)), expected, "{progress:?}");
        }
        let idle = Limits { attempt_by: None, response_head: None, idle: seconds(5), ..limits };
        for (progress, expected) in [
            (Progress::Sending(at(2)), (at(7), Reason::StreamIdle)),
            (Progress::Sent(at(1), at(3)), (at(8), Reason::StreamIdle)),
            (Progress::WaitsForClient(at(2)), (at(7), Reason::RequestTimeout)),
        ] {
            assert_eq!(idle.next(progress, seconds(0)), expected);
        }
    }
}
