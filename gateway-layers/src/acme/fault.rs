//! [`Fault`]: why there is no certificate this time.

use std::time::Duration;

/// What an authority says is shown up to this many characters.
const MOST_SHOWN: usize = 500;

/// What a fault says about the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Nobody was there, or it was not well: soon again.
    Away,
    /// It was there and rejected. Authorities count what they reject: not soon.
    Rejected,
}

/// Why there is no certificate this time. Its message holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) message: String,
    /// How long the authority wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Fault {
    pub(super) fn away(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Away, message: message.into(), retry_after: None }
    }

    pub(super) fn rejected(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Rejected, message: message.into(), retry_after: None }
    }
}

/// The words of others as they may stand in a log: one line, not long.
pub(super) fn said(text: &str) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut said: String = plain.take(MOST_SHOWN).collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        said.push_str("...");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_others_are_one_line_and_not_long() {
        assert_eq!(said("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(said(&"ü".repeat(600)).chars().count(), 503);
    }
}
