//! [`Value`]: what an expression is made of while it is evaluated. It borrows what it can.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use gateway_core::context::{Claim, Metadata};
use http::HeaderMap;

use super::evaluate::Failure;
use super::query::Pairs;

/// A value of an evaluation that lives for `'a`.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
}

/// A text.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

/// Several values.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Names(&'a [Arc<str>]),
    Claims(&'a [Claim]),
    Made(Rc<[Value<'a>]>),
}

/// Values by name.
#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    Claims(&'a BTreeMap<String, Claim>),
    Metadata(&'a Metadata),
    /// All lines of each.
    Headers(&'a HeaderMap),
    /// All values of each.
    Query(&'a str),
    /// Of the path.
    Params(Pairs<'a>),
    Made(Rc<[(Text<'a>, Value<'a>)]>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn made(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(super) fn list(values: Vec<Self>) -> Self {
        Self::List(List::Made(values.into()))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }
}

impl<'a> From<&'a Claim> for Value<'a> {
    fn from(claim: &'a Claim) -> Self {
        match claim {
            Claim::Boolean(value) => Self::Bool(*value),
            Claim::Integer(value) => Self::Int(*value),
            Claim::Number(value) => Self::Double(*value),
            Claim::Text(text) => Self::from(&**text),
            Claim::List(list) => Self::List(List::Claims(list)),
            Claim::Map(map) => Self::Map(Map::Claims(map)),
            _ => Self::Null,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Names(list) => list.len(),
            Self::Claims(list) => list.len(),
            Self::Made(list) => list.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Names(list) => list.get(index).map(|name| Value::from(&**name)),
            Self::Claims(list) => list.get(index).map(Value::from),
            Self::Made(list) => list.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    /// What a look at it costs, in bytes that are gone through.
    pub(super) fn breadth(&self) -> usize {
        match self {
            Self::Query(query) => query.len(),
            Self::Params(params) => params.breadth(),
            Self::Made(map) => map.len(),
            Self::Headers(_) | Self::Claims(_) | Self::Metadata(_) => 0,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Claims(map) => map.contains_key(name),
            Self::Metadata(map) => map.value(name).is_some(),
            Self::Headers(map) => map.contains_key(name),
            Self::Query(query) => Pairs::query(query).any(name),
            Self::Params(params) => params.any(name),
            Self::Made(map) => map.iter().any(|(known, _)| known.as_str() == name),
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Value<'a>>, Failure> {
        Ok(match self {
            Self::Claims(map) => map.get(name).map(Value::from),
            Self::Metadata(map) => map.value(name).map(Value::from),
            Self::Headers(map) => {
                let lines = map.get_all(name).iter().map(|line| {
                    str::from_utf8(line.as_bytes()).map(Value::from).map_err(|_| Failure::NoText)
                });
                let lines = lines.collect::<Result<Vec<_>, _>>()?;
                (!lines.is_empty()).then(|| Value::list(lines))
            }
            Self::Query(query) => {
                let values = Pairs::query(query).values(name)?;
                (!values.is_empty()).then(|| Value::list(values))
            }
            Self::Params(params) => params.values(name)?.into_iter().next(),
            Self::Made(map) => {
                let mut found = map.iter().filter(|(known, _)| known.as_str() == name);
                found.next().map(|(_, value)| value.clone())
            }
        })
    }

    /// Its names, each once.
    pub(super) fn names(&self) -> Result<Vec<Value<'a>>, Failure> {
        Ok(match self {
            Self::Claims(map) => map.keys().map(|name| Value::from(name.as_str())).collect(),
            Self::Metadata(map) => map.iter().map(|(name, _)| Value::from(name)).collect(),
            Self::Headers(map) => map.keys().map(|name| Value::from(name.as_str())).collect(),
            Self::Query(query) => Pairs::query(query).names()?,
            Self::Params(params) => params.names()?,
            Self::Made(map) => map.iter().map(|(name, _)| Value::Text(name.clone())).collect(),
        })
    }
}
