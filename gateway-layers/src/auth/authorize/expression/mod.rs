//! [`Expression`]: a policy in the Common Expression Language.
//!
//! The crate `cel` reads it; everything else is here: what its names mean and what types they have
//! ([`schema`]), the check of it ([`translate`]), and its evaluation ([`evaluate`]), which borrows
//! what it looks at and has a budget. Nothing is built for what an expression does not name.

mod evaluate;
mod node;
mod operate;
mod operations;
mod query;
mod read;
mod schema;
mod subject;
#[cfg(test)]
mod tests;
mod translate;
mod value;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gateway_core::context::Principal;

pub(super) use self::evaluate::Failure;
use self::evaluate::evaluate;
use self::node::Node;
pub(super) use self::subject::Subject;

/// The most bytes that an expression has: what is longer nobody understands.
pub const MOST_BYTES: usize = 4096;

/// How deep an expression may be nested; a chain of `+` is as deep as it is long.
pub const MOST_DEPTH: usize = 64;

/// How many variables of `exists`, `all` and the like may be in use at the same place.
pub const MOST_VARIABLES: usize = 4;

/// The steps that one evaluation may take: about a millisecond. A step is an operation, an element
/// that is looked at, or some bytes of text. A request that needs more is rejected.
pub const MOST_STEPS: usize = 50_000;

/// A policy in the Common Expression Language, checked and ready to be evaluated; see the
/// [module](super::super::authorize).
///
/// What may stand in it is what the guide `docs/guides/authorization.md` lists. It is true, or the request
/// is rejected: by `false`, and by everything that cannot be evaluated (a claim that is not there,
/// a text that is compared with a number, a division by zero). Cheap to clone. Two are equal when
/// they were written the same.
#[derive(Clone)]
pub struct Expression {
    compiled: Arc<Compiled>,
}

struct Compiled {
    source: String,
    node: Node,
}

impl Expression {
    /// Reads and checks `source`.
    ///
    /// # Errors
    ///
    /// It is no expression, names what there is not, compares what is never equal, is too long or
    /// nested too deeply, or is no truth: with the place.
    pub fn new(source: &str) -> Result<Self, ExpressionError> {
        let translated = read::read(source)?;
        if !translated.looks_at_something {
            try_it(source, &translated.node)?;
        }
        let compiled = Compiled { source: source.to_owned(), node: translated.node };
        Ok(Self { compiled: Arc::new(compiled) })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.compiled.source
    }

    /// Whether it is true of `subject`.
    pub(super) fn allows(&self, subject: &Subject<'_>) -> Result<bool, Failure> {
        evaluate(&self.compiled.node, subject)
    }
}

/// What looks at no request has one result, which is not to be a failure.
fn try_it(source: &str, node: &Node) -> Result<(), ExpressionError> {
    let (head, ()) = http::Request::new(()).into_parts();
    let principal = Principal::new("", "");
    let subject = Subject { principal: &principal, head: &head, context: None };
    match evaluate(node, &subject) {
        Ok(_) => Ok(()),
        Err(failure) => Err(ExpressionError::at(source, 0, &format!("fails: {}", failure.text()))),
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(source: &str) -> Result<Self, ExpressionError> {
        Self::new(source)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.compiled.source == other.compiled.source
    }
}

impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.compiled.source)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.compiled.source).finish()
    }
}

/// Why a text is no [`Expression`].
///
/// Displays as one line: ``line 1, column 11: `principal` has no `role`, expected one of ...; near
/// "role == 'admin'"``.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpressionError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, counted in characters.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
    /// What stands there, cut where it is long; empty at the end.
    pub excerpt: String,
}

impl ExpressionError {
    /// `message` about what begins at the byte `offset` of `source`.
    fn at(source: &str, offset: usize, message: &str) -> Self {
        /// The characters of an excerpt.
        const SHOWN: usize = 32;
        let offset = source.floor_char_boundary(offset);
        let (before, after) = source.split_at(offset);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        let mut excerpt: String = after.chars().take(SHOWN).collect();
        if after.chars().nth(SHOWN).is_some() {
            excerpt.push_str("...");
        }
        Self { line, column, message: printable(message), excerpt: printable(&excerpt) }
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, message, excerpt } = self;
        write!(f, "line {line}, column {column}: {message}")?;
        match excerpt.as_str() {
            "" => Ok(()),
            excerpt => write!(f, "; near \"{excerpt}\""),
        }
    }
}

/// With what would be no line any more written as an escape.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            shown.extend(letter.escape_debug());
        } else {
            shown.push(letter);
        }
    }
    shown
}

impl std::error::Error for ExpressionError {}
