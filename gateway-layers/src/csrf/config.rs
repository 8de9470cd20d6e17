//! What can be set.

use std::fmt;

use crate::origin::OriginPattern;

/// Whose requests are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsrfConfig {
    /// Origins of others that may ask. Default: none.
    pub trusted_origins: Vec<OriginPattern>,
    /// Whether other origins of the same site (another subdomain) may ask. Default: `false`.
    pub same_site: bool,
    /// Cookies that are worth the check: requests without any of them pass. Default: none are named,
    /// and every request is checked.
    pub cookies: Vec<String>,
}

impl CsrfConfig {
    /// Origins of others that may ask.
    #[must_use]
    pub fn trusted_origins(mut self, origins: impl IntoIterator<Item = OriginPattern>) -> Self {
        self.trusted_origins = origins.into_iter().collect();
        self
    }

    /// Whether other origins of the same site may ask.
    #[must_use]
    pub fn same_site(mut self, allowed: bool) -> Self {
        self.same_site = allowed;
        self
    }

    /// Cookies that are worth the check.
    #[must_use]
    pub fn cookies<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.cookies = names.into_iter().map(Into::into).collect();
        self
    }

    /// What makes it no protection.
    pub(super) fn fault(&self) -> Option<CsrfConfigError> {
        let every = |origin: &&OriginPattern| origin.takes_every_host() || origin.is_null();
        self.trusted_origins
            .iter()
            .find(every)
            .map(|origin| CsrfConfigError { origin: origin.clone() })
    }
}

/// An origin to be trusted that every site can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrfConfigError {
    origin: OriginPattern,
}

impl CsrfConfigError {
    /// What was expected.
    pub const EXPECTED: &'static str = "origins that not every site can have";
}

impl fmt::Display for CsrfConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trusted_origins: found `{}`, expected {}", self.origin, Self::EXPECTED)
    }
}

impl std::error::Error for CsrfConfigError {}
