//! What is done with values: arithmetic, comparison, text.

use std::cmp::Ordering;

use super::evaluate::{Evaluation, Failure};
use super::node::{Binary, Unary};
use super::value::{List, Map, Value};
use crate::auth::claims::order;

impl<'a> Evaluation<'a> {
    pub(super) fn binary(
        &mut self,
        binary: Binary,
        one: &Value<'a>,
        other: &Value<'a>,
    ) -> Result<Value<'a>, Failure> {
        let truth = match binary {
            Binary::Equal => self.equal(one, other)?,
            Binary::Unequal => !self.equal(one, other)?,
            Binary::Less => self.compare(one, other)? == Some(Ordering::Less),
            Binary::Greater => self.compare(one, other)? == Some(Ordering::Greater),
            Binary::LessOrEqual => {
                matches!(self.compare(one, other)?, Some(Ordering::Less | Ordering::Equal))
            }
            Binary::GreaterOrEqual => {
                matches!(self.compare(one, other)?, Some(Ordering::Greater | Ordering::Equal))
            }
            Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
                self.finds(binary, one, other)?
            }
            Binary::Add => return self.add(one, other),
            _ => return arithmetic(binary, one, other),
        };
        Ok(Value::Bool(truth))
    }

    pub(super) fn equal(&mut self, one: &Value<'a>, other: &Value<'a>) -> Result<bool, Failure> {
        self.spend(1)?;
        Ok(match (one, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Int(one), Value::Int(other)) => one == other,
            (Value::Double(one), Value::Double(other)) => one == other,
            (Value::Int(whole), Value::Double(number))
            | (Value::Double(number), Value::Int(whole)) => {
                order(*whole, *number) == Some(Ordering::Equal)
            }
            (Value::Text(one), Value::Text(other)) => {
                let (one, other) = (one.as_str(), other.as_str());
                if one.len() != other.len() {
                    return Ok(false);
                }
                self.spend_bytes(one.len())?;
                one == other
            }
            (Value::List(one), Value::List(other)) => return self.equal_lists(one, other),
            (Value::Map(one), Value::Map(other)) => return self.equal_maps(one, other),
            _ => false,
        })
    }

    fn equal_lists(&mut self, one: &List<'a>, other: &List<'a>) -> Result<bool, Failure> {
        if one.len() != other.len() {
            return Ok(false);
        }
        for (one, other) in one.iter().zip(other.iter()) {
            if !self.equal(&one, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, one: &Map<'a>, other: &Map<'a>) -> Result<bool, Failure> {
        self.spend_bytes(one.breadth() + other.breadth())?;
        let names = one.names()?;
        self.spend(names.len())?;
        if names.len() != other.names()?.len() {
            return Ok(false);
        }
        for name in names {
            let Value::Text(name) = name else { return Err(Failure::Type) };
            self.spend_bytes(one.breadth() + other.breadth())?;
            let same = match (one.get(name.as_str())?, other.get(name.as_str())?) {
                (Some(one), Some(other)) => self.equal(&one, &other)?,
                _ => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `None`: one of both is no number at all.
    fn compare(&mut self, one: &Value<'a>, other: &Value<'a>) -> Result<Option<Ordering>, Failure> {
        Ok(match (one, other) {
            (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
            (Value::Double(one), Value::Double(other)) => one.partial_cmp(other),
            (Value::Int(whole), Value::Double(number)) => order(*whole, *number),
            (Value::Double(number), Value::Int(whole)) => {
                order(*whole, *number).map(Ordering::reverse)
            }
            (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
            (Value::Text(one), Value::Text(other)) => {
                let (one, other) = (one.as_str(), other.as_str());
                self.spend_bytes(one.len().min(other.len()))?;
                Some(one.cmp(other))
            }
            _ => return Err(Failure::Type),
        })
    }

    fn finds(
        &mut self,
        binary: Binary,
        one: &Value<'a>,
        other: &Value<'a>,
    ) -> Result<bool, Failure> {
        let (Value::Text(text), Value::Text(part)) = (one, other) else {
            return Err(Failure::Type);
        };
        let (text, part) = (text.as_str(), part.as_str());
        self.spend_bytes(text.len())?;
        Ok(match binary {
            Binary::StartsWith => text.starts_with(part),
            Binary::EndsWith => text.ends_with(part),
            _ => text.contains(part),
        })
    }

    fn add(&mut self, one: &Value<'a>, other: &Value<'a>) -> Result<Value<'a>, Failure> {
        match (one, other) {
            (Value::Text(one), Value::Text(other)) => {
                let (one, other) = (one.as_str(), other.as_str());
                self.spend_bytes(one.len() + other.len())?;
                Ok(Value::made([one, other].concat()))
            }
            (Value::List(one), Value::List(other)) => {
                self.spend(one.len() + other.len())?;
                Ok(Value::list(one.iter().chain(other.iter()).collect()))
            }
            _ => arithmetic(Binary::Add, one, other),
        }
    }

    pub(super) fn unary(&mut self, unary: Unary, value: &Value<'a>) -> Result<Value<'a>, Failure> {
        if let Value::Text(text) = value {
            self.spend_bytes(text.as_str().len())?;
        }
        match (unary, value) {
            (Unary::Size, Value::Text(text)) => whole(text.as_str().chars().count()),
            (Unary::Size, Value::List(list)) => whole(list.len()),
            (Unary::Size, Value::Map(map)) => {
                self.spend_bytes(map.breadth())?;
                let names = map.names()?.len();
                self.spend(names)?;
                whole(names)
            }
            (Unary::Lower, Value::Text(text)) => {
                Ok(Value::made(text.as_str().to_ascii_lowercase()))
            }
            (Unary::Upper, Value::Text(text)) => {
                Ok(Value::made(text.as_str().to_ascii_uppercase()))
            }
            (Unary::ToInt, value) => to_int(value),
            (Unary::ToDouble, value) => to_double(value),
            (Unary::ToText, Value::Text(_)) => Ok(value.clone()),
            (Unary::ToText, Value::Int(value)) => Ok(Value::made(value.to_string())),
            (Unary::ToText, Value::Double(value)) => Ok(Value::made(value.to_string())),
            (Unary::ToText, Value::Bool(value)) => Ok(Value::made(value.to_string())),
            _ => Err(Failure::Type),
        }
    }
}

fn arithmetic<'a>(
    binary: Binary,
    one: &Value<'a>,
    other: &Value<'a>,
) -> Result<Value<'a>, Failure> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => {
            if *other == 0 && matches!(binary, Binary::Divide | Binary::Remainder) {
                return Err(Failure::DivisionByZero);
            }
            let result = match binary {
                Binary::Add => one.checked_add(*other),
                Binary::Subtract => one.checked_sub(*other),
                Binary::Multiply => one.checked_mul(*other),
                Binary::Divide => one.checked_div(*other),
                Binary::Remainder => one.checked_rem(*other),
                _ => return Err(Failure::Type),
            };
            result.map(Value::Int).ok_or(Failure::Overflow)
        }
        (Value::Double(one), Value::Double(other)) => Ok(Value::Double(match binary {
            Binary::Add => one + other,
            Binary::Subtract => one - other,
            Binary::Multiply => one * other,
            Binary::Divide => one / other,
            _ => return Err(Failure::Type),
        })),
        _ => Err(Failure::Type),
    }
}

fn whole<'a>(count: usize) -> Result<Value<'a>, Failure> {
    i64::try_from(count).map(Value::Int).map_err(|_| Failure::Overflow)
}

#[allow(clippy::cast_possible_truncation, reason = "looked at first")]
fn to_int<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Int(value) => Ok(Value::Int(*value)),
        Value::Double(value) => {
            let whole = value.trunc() as i64;
            let fits = order(whole, value.trunc()) == Some(Ordering::Equal);
            if fits { Ok(Value::Int(whole)) } else { Err(Failure::Overflow) }
        }
        Value::Text(text) => text.as_str().parse().map(Value::Int).map_err(|_| Failure::Conversion),
        _ => Err(Failure::Type),
    }
}

#[allow(clippy::cast_precision_loss, reason = "that is what was asked for")]
fn to_double<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Int(value) => Ok(Value::Double(*value as f64)),
        Value::Double(value) => Ok(Value::Double(*value)),
        Value::Text(text) => {
            text.as_str().parse().map(Value::Double).map_err(|_| Failure::Conversion)
        }
        _ => Err(Failure::Type),
    }
}
