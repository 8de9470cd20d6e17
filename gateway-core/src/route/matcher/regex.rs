//! Regular expressions that must match the whole text.

use crate::route::error::{Place, RouteError};

/// Bytes that one compiled expression may take.
const COMPILED_SIZE_LIMIT: usize = 1 << 20;

/// A regular expression in the syntax of the `regex` crate, matched against the whole text.
#[derive(Debug, Clone)]
pub struct RegexMatch {
    pattern: Box<str>,
    whole: regex::Regex,
}

impl RegexMatch {
    /// Compiles `pattern`.
    ///
    /// # Errors
    ///
    /// When `pattern` is not a regular expression, or compiles to more than 1 MiB.
    pub fn new(pattern: &str) -> Result<Self, RouteError> {
        // Alone first: `a)|(?:b` would compile inside the anchors and escape from them.
        compile(pattern).and_then(|_| compile(&format!(r"\A(?:{pattern})\z"))).map_or_else(
            |error| {
                let expected = format!("a regular expression ({error})");
                Err(RouteError::new(Place::Regex, pattern, expected))
            },
            |whole| Ok(Self { pattern: pattern.into(), whole }),
        )
    }

    /// The expression as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// True when all of `text` matches.
    #[must_use]
    pub fn takes(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

fn compile(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(COMPILED_SIZE_LIMIT).build()
}

impl PartialEq for RegexMatch {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for RegexMatch {}

impl std::fmt::Display for RegexMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.pattern)
    }
}
