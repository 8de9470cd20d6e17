//! When what happens: pure functions of dates, so that tests can ask about years.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use super::fault::{Fault, FaultKind};

/// The first wait after an authority that was away. It doubles with every further failure.
const AWAY_FIRST: Duration = Duration::from_secs(5);

/// The longest wait for an authority that is away.
const AWAY_MOST: Duration = Duration::from_secs(30 * 60);

/// The first wait after a rejection. Authorities bear a few of these an hour (Let's Encrypt: five
/// for a name and account).
const REFUSED_FIRST: Duration = Duration::from_secs(10 * 60);

/// The longest wait after rejections.
const REFUSED_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// Longer than this no authority makes us wait.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often an authority is asked when a certificate should be renewed: what it says, within these.
const WINDOW_SOONEST: Duration = Duration::from_secs(60);
const WINDOW_LATEST: Duration = Duration::from_secs(24 * 60 * 60);

/// When an authority is asked again that did not say (RFC 9773, section 4.3.3).
pub(super) const WINDOW_UNSAID: Duration = Duration::from_secs(6 * 60 * 60);

/// When an authority is asked again that has no such thing.
pub(super) const WINDOW_UNKNOWN: Duration = WINDOW_LATEST;

/// Between two orders for the same certificate.
const REST: Duration = Duration::from_secs(6 * 60 * 60);

/// When an authority wants a certificate to be renewed (RFC 9773, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Validity {
    fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// When it is renewed. `share`, from 0 to 1, was drawn once for the certificate, so that not
    /// everybody comes at once.
    ///
    /// With a `window` that is a moment in it, without one `renew_before` the end (a third of the
    /// lifetime, unless said) or a little earlier; of both the earlier where both are said.
    pub(super) fn renewal(
        &self,
        renew_before: Option<Duration>,
        window: Option<Window>,
        share: f64,
    ) -> SystemTime {
        let lifetime = self.lifetime();
        let own = {
            let before = renew_before.unwrap_or(lifetime / 3);
            // A certificate that is due as soon as it comes would be ordered for ever.
            let before = before.min(lifetime * 2 / 3);
            let jitter = (lifetime / 30).mul_f64(share);
            earlier(self.not_after, before.saturating_add(jitter))
        };
        let Some(window) = window else {
            return own;
        };
        let length = window.end.duration_since(window.start).unwrap_or_default();
        let drawn = window.start.checked_add(length.mul_f64(share)).unwrap_or(window.start);
        // Whatever the authority says: not when it is too late.
        let drawn = drawn.min(earlier(self.not_after, lifetime / 20));
        if renew_before.is_some() { drawn.min(own) } else { drawn }
    }
}

impl Validity {
    /// The next order after one that came at `since`, at the earliest: an authority that wants
    /// everything to be renewed at once, the new one as well, would get an order a second.
    pub(super) fn not_again_until(&self, since: SystemTime) -> SystemTime {
        let pause = REST.min(self.lifetime() / 3);
        since.checked_add(pause).unwrap_or(since)
    }
}

fn earlier(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_sub(by).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// How long to wait after `failures` in a row, of which `fault` is the latest.
pub(super) fn wait_after(fault: &Fault, failures: u32, share: f64) -> Duration {
    let (first, most) = match fault.kind {
        FaultKind::Away => (AWAY_FIRST, AWAY_MOST),
        FaultKind::Rejected => (REFUSED_FIRST, REFUSED_MOST),
    };
    // More doublings than this pass any limit there is.
    let doublings = failures.saturating_sub(1).min(20);
    let limit = first.saturating_mul(1 << doublings).min(most);
    // Never less than half: what the doubling is for would be lost.
    let drawn = limit.mul_f64(0.5 + share / 2.0);
    let asked = fault.retry_after.unwrap_or_default().min(RETRY_AFTER_MOST);
    drawn.max(asked)
}

/// When to ask about the window again, after an authority said `after`.
pub(super) fn ask_again(after: Duration) -> Duration {
    after.clamp(WINDOW_SOONEST, WINDOW_LATEST)
}

/// A random number from 0 to 1. It spreads waits, and guards nothing.
pub(super) fn random_share() -> f64 {
    f64::from(RandomState::new().hash_one(0_u8) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn at(days: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000 + DAY * days
    }

    const fn validity_of(not_before: SystemTime, not_after: SystemTime) -> Validity {
        Validity { not_before, not_after }
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let validity = validity_of(at(0), at(90));
        assert_eq!(validity.renewal(None, None, 0.0), at(60));
        assert_eq!(validity.renewal(None, None, 1.0), at(57));
        assert_eq!(validity.renewal(Some(DAY * 20), None, 0.0), at(70));
    }

    #[test]
    fn what_would_always_be_due_is_not() {
        let validity = validity_of(at(0), at(90));
        assert_eq!(validity.renewal(Some(DAY * 365), None, 0.0), at(30));
    }

    #[test]
    fn the_authority_says_when() {
        let validity = validity_of(at(0), at(90));
        let window = Some(Window { start: at(70), end: at(80) });
        assert_eq!(validity.renewal(None, window, 0.0), at(70));
        assert_eq!(validity.renewal(None, window, 0.5), at(75));
        // What it revokes it wants to be replaced now.
        let past = Some(Window { start: at(1), end: at(2) });
        assert_eq!(validity.renewal(None, past, 1.0), at(2));
        // Of both the earlier.
        assert_eq!(validity.renewal(Some(DAY * 40), window, 0.0), at(50));
        assert_eq!(validity.renewal(Some(DAY * 5), window, 0.0), at(70));
        // Not when it is too late, and not by a window that is none.
        let late = Some(Window { start: at(95), end: at(99) });
        assert_eq!(validity.renewal(None, late, 0.0), at(90) - DAY * 90 / 20);
        let inverted = Some(Window { start: at(70), end: at(60) });
        assert_eq!(validity.renewal(None, inverted, 1.0), at(70));
    }

    #[test]
    fn a_new_certificate_is_left_alone_for_a_while() {
        let hour = Duration::from_secs(3600);
        assert_eq!(validity_of(at(0), at(90)).not_again_until(at(0) + hour), at(0) + hour * 7);
        let short = validity_of(at(0), at(0) + Duration::from_secs(60));
        assert_eq!(short.not_again_until(at(0)), at(0) + Duration::from_secs(20));
    }

    #[test]
    fn waits_double_and_rejections_wait_longer() {
        let waits = |fault: &Fault| {
            let waits = (1..=10).map(|failures| wait_after(fault, failures, 1.0).as_secs());
            waits.collect::<Vec<_>>()
        };
        assert_eq!(waits(&Fault::away("")), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800]);
        let rejected = waits(&Fault::rejected(""));
        assert_eq!(rejected[..4], [600, 1200, 2400, 4800]);
        assert_eq!(rejected[9], 86_400);
        assert_eq!(wait_after(&Fault::rejected(""), 1, 0.0), Duration::from_secs(300));
    }

    #[test]
    fn what_the_authority_asks_for_is_honoured_and_not_without_limit() {
        let mut fault = Fault::rejected("");
        fault.retry_after = Some(Duration::from_secs(7200));
        assert_eq!(wait_after(&fault, 1, 0.0), Duration::from_secs(7200));
        fault.retry_after = Some(Duration::from_secs(1));
        assert_eq!(wait_after(&fault, 1, 0.0), Duration::from_secs(300));
        fault.retry_after = Some(Duration::MAX);
        assert_eq!(wait_after(&fault, 1, 0.0), RETRY_AFTER_MOST);
    }

    #[test]
    fn the_window_is_asked_for_neither_all_the_time_nor_never() {
        assert_eq!(ask_again(Duration::ZERO), Duration::from_secs(60));
        assert_eq!(ask_again(DAY / 4), DAY / 4);
        assert_eq!(ask_again(Duration::MAX), DAY);
    }

    proptest! {
        #[test]
        fn a_renewal_is_in_the_life_of_the_certificate(
            life in 1_u64..=40_000_000,
            before in proptest::option::of(0_u64..=100_000_000),
            share in 0.0..=1.0,
        ) {
            let validity = validity_of(at(0), at(0) + Duration::from_secs(life));
            let renewal = validity.renewal(before.map(Duration::from_secs), None, share);
            prop_assert!(renewal >= at(0) + Duration::from_secs(life) / 4);
            prop_assert!(renewal <= validity.not_after);
        }

        #[test]
        fn a_wait_is_never_nothing_nor_for_ever(failures in any::<u32>(), share in 0.0..=1.0) {
            for fault in [Fault::away(""), Fault::rejected("")] {
                let wait = wait_after(&fault, failures, share);
                prop_assert!(wait >= AWAY_FIRST / 2 && wait <= REFUSED_MOST);
            }
        }
    }
}
