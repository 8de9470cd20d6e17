//! [`Condition`]: the kinds of failure that may be retried.

use std::fmt;

use gateway_core::{Error, GrpcStatus, Reason, Response, grpc};

/// A kind of failure that may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// `connect`: nothing of the request reached an application. There was no connection, or the
    /// upstream said that it had not looked at the request (HTTP/2, RFC 9113, section 8.7).
    Connect,
    /// `reset`: the upstream closed or reset the connection before the head of its answer, or
    /// answered with something that is not HTTP.
    Reset,
    /// `timeout`: one try took longer than it may. Without a limit that somebody else has set,
    /// each try then gets its share of the time that the request has left.
    Timeout,
    /// `unavailable`: a gRPC answer that is nothing but the status 14, `UNAVAILABLE`.
    Unavailable,
}

impl Condition {
    /// Every condition.
    pub const ALL: &'static [Self] =
        &[Self::Connect, Self::Reset, Self::Timeout, Self::Unavailable];

    /// The word that documents use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }

    /// The condition called `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|condition| condition.word() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Some conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conditions(u8);

impl Conditions {
    pub(super) fn new(list: &[Condition]) -> Self {
        Self(list.iter().fold(0, |bits, condition| bits | condition.bit()))
    }

    pub(super) const fn contains(self, condition: Condition) -> bool {
        self.0 & condition.bit() != 0
    }

    /// True when a failure that left nothing behind can be among them.
    pub(super) const fn may_be_unsent(self) -> bool {
        self.0 & !Condition::Unavailable.bit() != 0
    }

    /// True when `error` is one of them.
    pub(super) fn hold_for(self, error: &Error) -> bool {
        let kind = match error.reason() {
            Reason::ConnectFailed | Reason::ConnectTimeout | Reason::TlsFailed => {
                Condition::Connect
            }
            Reason::UpstreamClosed | Reason::UpstreamProtocol => Condition::Reset,
            Reason::AttemptTimeout | Reason::ResponseHeadTimeout => Condition::Timeout,
            _ => return false,
        };
        self.contains(kind) || (error.is_unsent() && self.contains(Condition::Connect))
    }

    /// True when `response` is one of them.
    pub(super) fn hold_for_answer(self, response: &Response) -> bool {
        self.contains(Condition::Unavailable)
            && grpc::head_status(response) == Some(GrpcStatus::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_again() {
        for condition in Condition::ALL {
            assert_eq!(Condition::from_word(condition.word()), Some(*condition));
        }
        assert_eq!(Condition::from_word("always"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = Conditions::new(&[Condition::Reset, Condition::Timeout]);
        let held = Condition::ALL.iter().filter(|condition| set.contains(**condition));
        assert!(held.eq([&Condition::Reset, &Condition::Timeout]));
        assert!(!Conditions::new(&[Condition::Unavailable]).may_be_unsent());
    }

    #[test]
    fn rejections_of_our_own_are_no_condition() {
        let all = Conditions::new(Condition::ALL);
        let held = Reason::ALL.iter().filter(|reason| all.hold_for(&Error::new(**reason)));
        assert!(held.eq(&[
            Reason::ConnectFailed,
            Reason::ConnectTimeout,
            Reason::TlsFailed,
            Reason::UpstreamClosed,
            Reason::UpstreamProtocol,
            Reason::AttemptTimeout,
            Reason::ResponseHeadTimeout,
        ]));
    }

    #[test]
    fn a_reset_that_left_nothing_behind_is_as_good_as_no_connection() {
        let connect = Conditions::new(&[Condition::Connect]);
        assert!(!connect.hold_for(&Error::new(Reason::UpstreamClosed)));
        assert!(connect.hold_for(&Error::new(Reason::UpstreamClosed).with_unsent()));
    }
}
