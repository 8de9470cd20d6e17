//! Methods, as exact tokens.

use http::Method;

use crate::route::error::{Place, RouteError};

/// The methods that a match takes; none means every method.
///
/// Tokens are compared exactly (RFC 9110, section 9.1): `GET` does not imply `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodMatch {
    /// Sorted by token, each once.
    methods: Vec<Method>,
}

impl MethodMatch {
    /// Adds `method`.
    pub fn insert(&mut self, method: Method) {
        let place = self.methods.binary_search_by(|known| known.as_str().cmp(method.as_str()));
        if let Err(place) = place {
            self.methods.insert(place, method);
        }
    }

    /// Reads one token of a document.
    ///
    /// # Errors
    ///
    /// When `token` is not a token, or not upper-case although a standard method: `get` would never
    /// match.
    pub fn parse(token: &str) -> Result<Method, RouteError> {
        const STANDARD: [&str; 9] =
            ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
        let upper = token.to_ascii_uppercase();
        if token != upper && STANDARD.contains(&upper.as_str()) {
            return Err(RouteError::new(Place::Methods, token, format!("`{upper}`")));
        }
        Method::from_bytes(token.as_bytes())
            .map_err(|_| RouteError::new(Place::Methods, token, "a method such as `GET`"))
    }

    /// True when it takes `method`.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// True when it takes every method.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    /// The methods, sorted by token.
    pub fn iter(&self) -> std::slice::Iter<'_, Method> {
        self.methods.iter()
    }

    /// True when every method that `other` takes is taken.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.is_empty() || !other.is_empty() && other.iter().all(|method| self.takes(method))
    }
}

impl<'m> IntoIterator for &'m MethodMatch {
    type Item = &'m Method;
    type IntoIter = std::slice::Iter<'m, Method>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Display for MethodMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, method) in self.methods.iter().enumerate() {
            write!(formatter, "{}{method}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
