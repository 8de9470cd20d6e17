//! `fallback`: who answers when the target cannot.

use gateway_layers::fallback;

use crate::config::place::Place;
use crate::config::reader::Field;
use crate::config::target::Respond;

/// Who answers when the target cannot.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fallback {
    /// `cluster`, `module` or `respond`. Required.
    pub to: FallbackTo,
    /// `on` and `statuses`: for which failures.
    pub config: fallback::Config,
}

/// Who answers instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FallbackTo {
    /// A cluster or a module.
    Place(Place),
    /// Always the same answer.
    Respond(Respond),
}

impl FallbackTo {
    /// The cluster or module, where it is one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Place(place) => Some(place),
            Self::Respond(_) => None,
        }
    }
}
