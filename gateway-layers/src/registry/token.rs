//! [`ServiceTokens`]: what services show to register themselves.

use std::fmt;

use super::secret::Fingerprint;

/// A shorter token is guessed.
const MIN_TOKEN: usize = 16;

/// The tokens that services show to be let in: several, so that they can be changed one after the
/// other. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceTokens(Vec<ServiceToken>);

/// One token that services show, and the services that it registers. Never printed.
///
/// ```
/// use gateway_layers::registry::{ServiceToken, ServiceTokens};
///
/// let tokens = ServiceTokens::of([
///     ServiceToken::new("a-token-for-operators")?,
///     ServiceToken::new("a-token-of-the-orders-team")?.services(["orders", "orders-*"])?,
/// ])?;
/// # Ok::<(), gateway_layers::registry::TokenError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceToken {
    fingerprint: Fingerprint,
    /// `None`: any service.
    services: Option<Vec<String>>,
}

/// Why tokens are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none, so nobody could be let in.
    #[error("no token, expected one at least")]
    None,
    /// One of them is too short.
    #[error("token {0} (counted from 1) is shorter than {MIN_TOKEN} bytes")]
    Short(usize),
    /// One of them cannot stand in a header field.
    #[error("token {0} (counted from 1) is not made of visible ASCII characters")]
    Characters(usize),
    /// Two are the same: it would be open which services it registers.
    #[error("token {0} (counted from 1) is there twice")]
    Twice(usize),
    /// A token that registers nothing.
    #[error("no service, expected the name of one at least, or a pattern such as `orders-*`")]
    NoService,
    /// What services a token registers is no name and no pattern.
    #[error("`{0}` is no name of a service and no pattern with one `*`, such as `orders-*`")]
    Pattern(String),
}

impl TokenError {
    /// The same about the token at `index` of a list.
    #[must_use]
    pub fn of(self, index: usize) -> Self {
        match self {
            Self::Short(_) => Self::Short(index + 1),
            Self::Characters(_) => Self::Characters(index + 1),
            other => other,
        }
    }
}

impl ServiceToken {
    /// A token that registers any service.
    ///
    /// # Errors
    ///
    /// For one of less than 16 bytes or with other than visible ASCII characters.
    pub fn new(token: &str) -> Result<Self, TokenError> {
        let token = token.as_bytes();
        if token.len() < MIN_TOKEN {
            return Err(TokenError::Short(1));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Characters(1));
        }
        Ok(Self { fingerprint: Fingerprint::of(token), services: None })
    }

    /// Registers only services whose names are among `names`, each a name or a pattern in which
    /// one `*` stands for any text.
    ///
    /// # Errors
    ///
    /// Without names, and for an empty one, one with blanks or with more than one `*`.
    pub fn services<T: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<Self, TokenError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let is_wrong = |name: &&String| {
            let blank = |letter: char| letter.is_whitespace() || letter.is_control();
            name.is_empty() || name.contains(blank) || name.matches('*').count() > 1
        };
        if let Some(wrong) = names.iter().find(is_wrong) {
            return Err(TokenError::Pattern(wrong.clone()));
        }
        if names.is_empty() {
            return Err(TokenError::NoService);
        }
        self.services = Some(names);
        Ok(self)
    }

    /// True when it registers the service called `name`.
    pub(super) fn registers(&self, name: &str) -> bool {
        let Some(services) = &self.services else {
            return true;
        };
        services.iter().any(|pattern| match pattern.split_once('*') {
            None => pattern == name,
            Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        })
    }
}

impl ServiceTokens {
    /// Any of `tokens` lets in, and registers any service.
    ///
    /// # Errors
    ///
    /// Without tokens, for one that is there twice, and for one of less than 16 bytes or with other
    /// than visible ASCII characters.
    pub fn new<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, TokenError> {
        let tokens = tokens.into_iter().enumerate().map(|(index, token)| {
            ServiceToken::new(token.as_ref()).map_err(|error| error.of(index))
        });
        Self::of(tokens.collect::<Result<Vec<_>, _>>()?)
    }

    /// Any of `tokens` lets in, and registers its own services.
    ///
    /// # Errors
    ///
    /// Without tokens, and for one that is there twice.
    pub fn of(tokens: impl IntoIterator<Item = ServiceToken>) -> Result<Self, TokenError> {
        let mut known: Vec<ServiceToken> = Vec::new();
        for (index, token) in tokens.into_iter().enumerate() {
            if known.iter().any(|other| other.fingerprint.is(&token.fingerprint)) {
                return Err(TokenError::Twice(index + 1));
            }
            known.push(token);
        }
        if known.is_empty() { Err(TokenError::None) } else { Ok(Self(known)) }
    }

    /// The one that is `token`. All are compared, in the same time whichever it is.
    pub(super) fn find(&self, token: &[u8]) -> Option<&ServiceToken> {
        let shown = Fingerprint::of(token);
        self.0.iter().fold(
            None,
            |found, known| {
                if known.fingerprint.is(&shown) { Some(known) } else { found }
            },
        )
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken").field("services", &self.services).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceTokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_tokens_lets_in_and_none_is_printed() {
        let tokens = ServiceTokens::new(["a-token-of-the-past", "a-token-of-today!"]).unwrap();
        for right in ["a-token-of-the-past", "a-token-of-today!"] {
            assert!(tokens.find(right.as_bytes()).unwrap().registers("anything"), "{right}");
        }
        for wrong in ["", "a-token-of-today", "a-token-of-today!!", "A-token-of-today!"] {
            assert!(tokens.find(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert_eq!(format!("{tokens:?}"), "ServiceTokens(2)");
    }

    #[test]
    fn tokens_that_protect_nothing_are_rejected() {
        let none: [&str; 0] = [];
        assert_eq!(ServiceTokens::new(none).unwrap_err(), TokenError::None);
        let long = "0123456789abcdef";
        assert_eq!(ServiceTokens::new([long, "short"]).unwrap_err(), TokenError::Short(2));
        let blank = "0123456789 abcdef";
        assert_eq!(ServiceTokens::new([blank]).unwrap_err(), TokenError::Characters(1));
        assert_eq!(ServiceTokens::new([long, long]).unwrap_err(), TokenError::Twice(2));
        assert!(!TokenError::Short(2).to_string().contains("short\""));
    }

    #[test]
    fn bound_token_registers_its_own_services() {
        let token = ServiceToken::new("0123456789abcdef").unwrap();
        let bound = token.clone().services(["orders", "orders-*", "*.shop", "a*z"]).unwrap();
        for name in ["orders", "orders-", "orders-eu", "cart.shop", ".shop", "az", "abcz"] {
            assert!(bound.registers(name), "{name}");
        }
        for name in ["", "order", "orderseu", "Orders", "users", "cart.shop.org", "a", "z"] {
            assert!(!bound.registers(name), "{name}");
        }
        assert!(token.clone().services(["*"]).unwrap().registers("anything"));
        let none: [&str; 0] = [];
        assert_eq!(token.clone().services(none), Err(TokenError::NoService));
        for wrong in ["", "a b", "*a*"] {
            let error = token.clone().services([wrong]).unwrap_err();
            assert_eq!(error, TokenError::Pattern(wrong.to_owned()));
        }
    }
}
