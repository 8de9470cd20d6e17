//! [`Node`]: a checked expression.

use std::sync::Arc;

use regex::Regex;

use super::schema::Field;

/// A checked expression. What it names is found, and what types it can be known to have fits.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
    List(Vec<Self>),
    Map(Vec<(Box<str>, Self)>),
    Field(Field),
    /// The variable of the macro that is this far from the outermost.
    Local(usize),
    Select(Box<Self>, Box<str>),
    Index(Box<(Self, Self)>),
    /// Whether there is such a value.
    HasField(Field),
    Has(Box<Self>, Box<str>),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Box<(Self, Self)>),
    Or(Box<(Self, Self)>),
    Choose(Box<(Self, Self, Self)>),
    Binary(Binary, Box<(Self, Self)>),
    Unary(Unary, Box<Self>),
    Matches(Box<Self>, Arc<Regex>),
    Each(Each, Box<Loop>),
}

/// What is done with two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
}

/// What is done with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Size,
    Lower,
    Upper,
    ToInt,
    ToDouble,
    ToText,
}

/// What is done with every element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// The elements of something, and what is asked of each.
#[derive(Debug)]
pub(super) struct Loop {
    /// Of what: a list, or the names of a map.
    pub(super) range: Node,
    /// The place of the element; see [`Node::Local`].
    pub(super) local: usize,
    pub(super) body: Node,
}
