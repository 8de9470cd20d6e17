//! [`RegistryError`]: why a registry rejects.

use std::fmt;

use gateway_core::BoxError;

use super::address::AddressError;

/// What is wrong in what was sent: where, what was found, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into the registration.
    pub at: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl Fault {
    /// `found` at `at`, where `expected` was.
    pub fn new(
        at: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { at: at.into(), found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() { "/" } else { &self.at };
        write!(f, "{at}: found {}, expected {}", self.found, self.expected)
    }
}

/// Why a registry rejects.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registration is wrong: everything that is, at once.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Fault>),
    /// The address is not taken.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is no room.
    #[error("the registry is full: {limit} {what} at most")]
    Full {
        /// Of what there are too many.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The name is that of a module in this process, or of services at addresses.
    #[error("the name `{0}` is taken by {1}")]
    NameTaken(String, &'static str),
    /// There is no such registration, or none any more.
    #[error("there is no such registration, or it has ended")]
    Unknown,
    /// The secret is not the registration's.
    #[error("the secret is not that of the registration")]
    NotTheHolder,
    /// What is shared with other gateways cannot be reached.
    #[error("the registry's store cannot be reached")]
    StoreAway(#[source] BoxError),
}
