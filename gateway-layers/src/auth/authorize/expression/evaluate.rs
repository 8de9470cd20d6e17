//! [`evaluate`]: whether an expression is true of a request.

use std::rc::Rc;

use super::MOST_STEPS;
use super::MOST_VARIABLES;
use super::node::{Binary, Each, Loop, Node};
use super::subject::Subject;
use super::value::{List, Map, Text, Value};

/// Why an evaluation came to no result. It says no values: it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth::authorize) enum Failure {
    /// It took more than [`MOST_STEPS`].
    TooLong,
    NoSuchKey,
    OutOfBounds,
    Type,
    Overflow,
    DivisionByZero,
    Conversion,
    /// Bytes that are no text.
    NoText,
    /// A text that is longer than a regular expression is let loose on.
    TextTooLong,
}

impl Failure {
    pub(in crate::auth::authorize) const fn text(self) -> &'static str {
        match self {
            Self::TooLong => "it takes too many steps",
            Self::NoSuchKey => "there is no value of that name",
            Self::OutOfBounds => "the list is shorter",
            Self::Type => "a value is of another type",
            Self::Overflow => "a number is too large",
            Self::DivisionByZero => "a division by zero",
            Self::Conversion => "a value cannot be converted",
            Self::NoText => "bytes are no text",
            Self::TextTooLong => "a text is too long for `matches`",
        }
    }
}

/// Bytes of text that are as much work as an operation.
pub(super) const BYTES_PER_STEP: usize = 16;

/// The longest text that a regular expression is let loose on: as long as a request's target.
const MOST_MATCHED: usize = 8 * 1024;

/// Whether `node` is true of `subject`.
pub(super) fn evaluate(node: &Node, subject: &Subject<'_>) -> Result<bool, Failure> {
    let locals = [const { Value::Null }; MOST_VARIABLES];
    Evaluation { subject, left: MOST_STEPS, locals }.truth(node)
}

/// One evaluation. `'a` is as long as it takes.
pub(super) struct Evaluation<'a> {
    subject: &'a Subject<'a>,
    left: usize,
    locals: [Value<'a>; MOST_VARIABLES],
}

impl<'a> Evaluation<'a> {
    /// Takes `steps` from the budget.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Failure> {
        self.left = self.left.checked_sub(steps).ok_or(Failure::TooLong)?;
        Ok(())
    }

    /// Takes what it costs to go through `bytes`.
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.spend(bytes / BYTES_PER_STEP)
    }

    fn truth(&mut self, node: &'a Node) -> Result<bool, Failure> {
        match node {
            Node::And(both) => {
                self.spend(1)?;
                self.both(&both.0, &both.1, false)
            }
            Node::Or(both) => {
                self.spend(1)?;
                self.both(&both.0, &both.1, true)
            }
            Node::Not(inner) => {
                self.spend(1)?;
                Ok(!self.truth(inner)?)
            }
            Node::Each(each, each_of) if matches!(each, Each::All | Each::Exists) => {
                self.quantified(*each, each_of)
            }
            other => match self.value(other)? {
                Value::Bool(value) => Ok(value),
                _ => Err(Failure::Type),
            },
        }
    }

    /// `&&` where `decides` is false, `||` where it is true: what decides does so from either
    /// side, whatever becomes of the other.
    fn both(&mut self, one: &'a Node, other: &'a Node, decides: bool) -> Result<bool, Failure> {
        let one = self.truth(one);
        match one {
            Ok(value) if value == decides => Ok(decides),
            Err(Failure::TooLong) => one,
            _ => match self.truth(other)? {
                value if value == decides => Ok(decides),
                // The first one is not what decides, or it is a failure.
                value => one.map(|_| value),
            },
        }
    }

    /// As [`both`](Self::both), of all elements.
    fn quantified(&mut self, each: Each, each_of: &'a Loop) -> Result<bool, Failure> {
        let decides = each == Each::Exists;
        let mut failed = None;
        let mut found = false;
        self.each(each_of, |this, _| {
            match this.truth(&each_of.body) {
                Ok(value) if value == decides => found = true,
                Ok(_) => {}
                Err(Failure::TooLong) => return Err(Failure::TooLong),
                Err(failure) => failed = Some(failure),
            }
            Ok(!found)
        })?;
        match failed {
            _ if found => Ok(decides),
            Some(failure) => Err(failure),
            None => Ok(!decides),
        }
    }

    /// Calls `take` with every element in its place, until it has had enough.
    fn each(
        &mut self,
        each_of: &'a Loop,
        mut take: impl FnMut(&mut Self, &Value<'a>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let list = match self.value(&each_of.range)? {
            Value::List(list) => list,
            Value::Map(map) => {
                self.spend_bytes(map.breadth())?;
                List::Made(map.names()?.into())
            }
            _ => return Err(Failure::Type),
        };
        for element in list.iter() {
            self.spend(1)?;
            if let Some(local) = self.locals.get_mut(each_of.local) {
                *local = element.clone();
            }
            if !take(self, &element)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn value(&mut self, node: &'a Node) -> Result<Value<'a>, Failure> {
        self.spend(1)?;
        Ok(match node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Double(value) => Value::Double(*value),
            Node::Text(text) => Value::from(&**text),
            Node::List(nodes) => {
                let values = nodes.iter().map(|node| self.value(node));
                Value::list(values.collect::<Result<_, _>>()?)
            }
            Node::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(name, node)| Ok((Text::Borrowed(name), self.value(node)?)));
                Value::Map(Map::Made(entries.collect::<Result<Rc<[_]>, _>>()?))
            }
            Node::Field(field) => self.subject.look(*field).ok_or(Failure::NoSuchKey)?,
            Node::Local(place) => self.locals.get(*place).cloned().ok_or(Failure::NoSuchKey)?,
            Node::Select(of, name) => {
                let map = self.map(of)?;
                self.select(&map, name)?.ok_or(Failure::NoSuchKey)?
            }
            Node::Index(both) => self.index(&both.0, &both.1)?,
            Node::HasField(field) => Value::Bool(self.subject.look(*field).is_some()),
            Node::Has(of, name) => {
                let map = self.map(of)?;
                self.spend_bytes(map.breadth())?;
                Value::Bool(map.has(name))
            }
            Node::Negate(inner) => match self.value(inner)? {
                Value::Int(value) => Value::Int(value.checked_neg().ok_or(Failure::Overflow)?),
                Value::Double(value) => Value::Double(-value),
                _ => return Err(Failure::Type),
            },
            Node::Choose(three) => {
                let (condition, yes, no) = &**three;
                let chosen = if self.truth(condition)? { yes } else { no };
                self.value(chosen)?
            }
            Node::Binary(Binary::In, both) => Value::Bool(self.within(&both.0, &both.1)?),
            Node::Binary(binary, both) => {
                let one = self.value(&both.0)?;
                let other = self.value(&both.1)?;
                self.binary(*binary, &one, &other)?
            }
            Node::Unary(unary, inner) => {
                let value = self.value(inner)?;
                self.unary(*unary, &value)?
            }
            Node::Matches(inner, pattern) => match self.value(inner)? {
                Value::Text(text) if text.as_str().len() > MOST_MATCHED => {
                    return Err(Failure::TextTooLong);
                }
                Value::Text(text) => {
                    self.spend(text.as_str().len())?;
                    Value::Bool(pattern.is_match(text.as_str()))
                }
                _ => return Err(Failure::Type),
            },
            Node::Each(each, each_of) => self.made(*each, each_of)?,
            Node::Not(_) | Node::And(_) | Node::Or(_) => Value::Bool(self.truth(node)?),
        })
    }

    fn map(&mut self, node: &'a Node) -> Result<Map<'a>, Failure> {
        match self.value(node)? {
            Value::Map(map) => Ok(map),
            _ => Err(Failure::Type),
        }
    }

    fn select(&mut self, map: &Map<'a>, name: &str) -> Result<Option<Value<'a>>, Failure> {
        self.spend_bytes(map.breadth())?;
        map.get(name)
    }

    fn index(&mut self, of: &'a Node, by: &'a Node) -> Result<Value<'a>, Failure> {
        match (self.value(of)?, self.value(by)?) {
            (Value::List(list), Value::Int(index)) => {
                let index = usize::try_from(index).map_err(|_| Failure::OutOfBounds)?;
                list.get(index).ok_or(Failure::OutOfBounds)
            }
            (Value::Map(map), Value::Text(name)) => {
                self.select(&map, name.as_str())?.ok_or(Failure::NoSuchKey)
            }
            _ => Err(Failure::Type),
        }
    }

    fn within(&mut self, one: &'a Node, of: &'a Node) -> Result<bool, Failure> {
        let one = self.value(one)?;
        match (self.value(of)?, &one) {
            (Value::List(list), _) => {
                for element in list.iter() {
                    if self.equal(&one, &element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Value::Map(map), Value::Text(name)) => {
                self.spend_bytes(map.breadth())?;
                Ok(map.has(name.as_str()))
            }
            _ => Err(Failure::Type),
        }
    }

    /// What the elements come to where that is no question of any or all.
    fn made(&mut self, each: Each, each_of: &'a Loop) -> Result<Value<'a>, Failure> {
        let mut values = Vec::new();
        match each {
            Each::All | Each::Exists => return self.quantified(each, each_of).map(Value::Bool),
            Each::Map => self.each(each_of, |this, _| {
                values.push(this.value(&each_of.body)?);
                Ok(true)
            })?,
            Each::Filter | Each::ExistsOne => self.each(each_of, |this, element| {
                if this.truth(&each_of.body)? {
                    values.push(element.clone());
                }
                Ok(true)
            })?,
        }
        Ok(match each {
            Each::ExistsOne => Value::Bool(values.len() == 1),
            _ => Value::list(values),
        })
    }
}
