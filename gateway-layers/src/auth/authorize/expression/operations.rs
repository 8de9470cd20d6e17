//! Operators and functions: which there are, and what they take.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use regex::RegexBuilder;

use super::node::{Binary, Node, Unary};
use super::schema::Type;
use super::translate::{Fault, Translator, Typed, fault};

/// The most bytes that a regular expression takes, compiled, and what it keeps while it matches:
/// enough for any that people write, and not for counted repetitions of repetitions.
const PATTERN_LIMIT: usize = 256 * 1024;

/// The functions there are, for an error.
const FUNCTIONS: &str = "`has`, `size`, `contains`, `startsWith`, `endsWith`, `matches`, \
                         `lowerAscii`, `upperAscii`, `int`, `double`, `string`, `all`, `exists`, \
                         `exists_one`, `filter`, `map`";

impl Translator {
    pub(super) fn operation(&mut self, part: &IdedExpr, call: &CallExpr) -> Result<Typed, Fault> {
        let name = call.func_name.as_str();
        // What stands in front of a function is its first argument.
        let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let method = call.target.is_some();
        match (name, args.as_slice()) {
            (operators::HAS, [of]) if !method => self.has(part, of),
            (operators::LOGICAL_NOT, [of]) => {
                let of = self.expect(of, &Type::Bool)?;
                Ok((Node::Not(Box::new(of)), Type::Bool))
            }
            (operators::LOGICAL_AND, [one, other]) => {
                Ok((Node::And(Box::new(self.truths(one, other)?)), Type::Bool))
            }
            (operators::LOGICAL_OR, [one, other]) => {
                Ok((Node::Or(Box::new(self.truths(one, other)?)), Type::Bool))
            }
            (operators::NEGATE, [of]) => {
                let (node, found) = self.expression(of)?;
                if !found.is_number() && found != Type::Any {
                    return fault(of, format!("found {found}, expected a number"));
                }
                Ok((Node::Negate(Box::new(node)), found))
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.expect(condition, &Type::Bool)?;
                let (yes, one) = self.expression(yes)?;
                let (no, other) = self.expression(no)?;
                Ok((Node::Choose(Box::new((condition, yes, no))), one.or(&other)))
            }
            (operators::INDEX, [of, by]) => self.index(part, of, by),
            ("matches", [text, pattern]) => self.matches(text, pattern),
            (_, [of]) if unary(name, method).is_some() => self.unary_of(part, name, of),
            (_, [one, other]) => match binary(name, method) {
                Some(binary) => self.binary_of(part, binary, one, other),
                None => unknown(part, name),
            },
            _ => unknown(part, name),
        }
    }

    fn truths(&mut self, one: &IdedExpr, other: &IdedExpr) -> Result<(Node, Node), Fault> {
        Ok((self.expect(one, &Type::Bool)?, self.expect(other, &Type::Bool)?))
    }

    fn index(&mut self, part: &IdedExpr, of: &IdedExpr, by: &IdedExpr) -> Result<Typed, Fault> {
        let (of, found) = self.expression(of)?;
        let (by, index) = match &found {
            Type::List(_) => (self.expect(by, &Type::Int)?, Type::Int),
            Type::Map(_) => (self.expect(by, &Type::Text)?, Type::Text),
            Type::Any => self.expression(by)?,
            other => return fault(part, format!("found {other}, expected a list or a map")),
        };
        if !index.may_be(&Type::Int) && !index.may_be(&Type::Text) {
            return fault(part, format!("found {index}, expected a whole number or text"));
        }
        let value = match found {
            Type::List(value) | Type::Map(value) => *value,
            _ => Type::Any,
        };
        Ok((Node::Index(Box::new((of, by))), value))
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Result<Typed, Fault> {
        let text = self.expect(text, &Type::Text)?;
        let Expr::Literal(LiteralValue::String(source)) = &pattern.expr else {
            // One that comes with a request would be its sender's.
            return fault(pattern, "expected a regular expression as it stands");
        };
        let built = RegexBuilder::new(source.inner())
            .size_limit(PATTERN_LIMIT)
            .dfa_size_limit(PATTERN_LIMIT)
            .build();
        match built {
            Ok(regex) => Ok((Node::Matches(Box::new(text), Arc::new(regex)), Type::Bool)),
            Err(regex::Error::CompiledTooBig(_)) => {
                let message = format!("a regular expression of more than {PATTERN_LIMIT} bytes");
                fault(pattern, message)
            }
            Err(error) => {
                // Its last line says it; those before show where, on lines of their own.
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default();
                let last = last.strip_prefix("error: ").unwrap_or(last);
                fault(pattern, format!("no regular expression: {last}"))
            }
        }
    }

    fn unary_of(&mut self, part: &IdedExpr, name: &str, of: &IdedExpr) -> Result<Typed, Fault> {
        let Some(unary) = unary(name, false).or(unary_method(name)) else {
            return unknown(part, name);
        };
        let (node, found) = self.expression(of)?;
        let (fits, expected, made) = match unary {
            Unary::Size => (
                matches!(found, Type::Any | Type::Text | Type::List(_) | Type::Map(_)),
                "text, a list or a map",
                Type::Int,
            ),
            Unary::Lower | Unary::Upper => (found.may_be(&Type::Text), "text", Type::Text),
            Unary::ToInt => (converts(&found), "a number or text", Type::Int),
            Unary::ToDouble => (converts(&found), "a number or text", Type::Double),
            Unary::ToText => {
                (converts(&found) || found == Type::Bool, "a number, a truth or text", Type::Text)
            }
        };
        if !fits {
            return fault(of, format!("found {found}, expected {expected}"));
        }
        Ok((Node::Unary(unary, Box::new(node)), made))
    }

    fn binary_of(
        &mut self,
        part: &IdedExpr,
        binary: Binary,
        one: &IdedExpr,
        other: &IdedExpr,
    ) -> Result<Typed, Fault> {
        let (left, found) = self.expression(one)?;
        let (right, with) = self.expression(other)?;
        let made = match result(binary, &found, &with) {
            Ok(made) => made,
            Err(message) => return fault(part, message),
        };
        Ok((Node::Binary(binary, Box::new((left, right))), made))
    }
}

/// What comes of two values; an error: nothing does.
fn result(binary: Binary, one: &Type, other: &Type) -> Result<Type, String> {
    let any = *one == Type::Any || *other == Type::Any;
    let alike = std::mem::discriminant(one) == std::mem::discriminant(other);
    match binary {
        Binary::Equal | Binary::Unequal if one.may_equal(other) => Ok(Type::Bool),
        Binary::Equal | Binary::Unequal => Err(format!("{one} is never equal to {other}")),
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
            let ordered = |one: &Type| {
                matches!(one, Type::Any | Type::Bool | Type::Int | Type::Double | Type::Text)
            };
            let numbers = one.is_number() && other.is_number();
            if ordered(one) && ordered(other) && (any || alike || numbers) {
                return Ok(Type::Bool);
            }
            Err(format!("{one} is neither before nor behind {other}"))
        }
        Binary::In => match other {
            Type::List(of) if one.may_equal(of) => Ok(Type::Bool),
            Type::List(of) => Err(format!("{one} is never in a list whose elements are {of}")),
            Type::Map(_) if one.may_be(&Type::Text) => Ok(Type::Bool),
            Type::Any => Ok(Type::Bool),
            _ => Err(format!("{one} is never in {other}")),
        },
        Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
            let texts = one.may_be(&Type::Text) && other.may_be(&Type::Text);
            if texts {
                Ok(Type::Bool)
            } else {
                Err(format!("found {one} and {other}, expected texts"))
            }
        }
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
            let takes = |one: &Type| match one {
                Type::Any | Type::Int => true,
                Type::Double => binary != Binary::Remainder,
                Type::Text | Type::List(_) => binary == Binary::Add,
                _ => false,
            };
            if !takes(one) || !takes(other) || !(any || alike) {
                return Err(format!("{one} and {other} do not go together here"));
            }
            Ok(match (one, other) {
                (Type::Any, known) | (known, Type::Any) => known.clone(),
                (Type::List(one), Type::List(other)) => Type::list((**one).clone().or(other)),
                (one, _) => one.clone(),
            })
        }
    }
}

fn converts(found: &Type) -> bool {
    matches!(found, Type::Any | Type::Text) || found.is_number()
}

fn unknown<T>(part: &IdedExpr, name: &str) -> Result<T, Fault> {
    fault(part, format!("there is no function `{name}` of that, expected one of {FUNCTIONS}"))
}

/// The function of one value that is called `name`, in front of it or behind it.
fn unary(name: &str, method: bool) -> Option<Unary> {
    if method {
        return unary_method(name);
    }
    match name {
        "size" => Some(Unary::Size),
        "int" => Some(Unary::ToInt),
        "double" => Some(Unary::ToDouble),
        "string" => Some(Unary::ToText),
        _ => None,
    }
}

fn unary_method(name: &str) -> Option<Unary> {
    match name {
        "size" => Some(Unary::Size),
        "lowerAscii" => Some(Unary::Lower),
        "upperAscii" => Some(Unary::Upper),
        _ => None,
    }
}

/// The operator or function of two values that is called `name`.
fn binary(name: &str, method: bool) -> Option<Binary> {
    Some(match (name, method) {
        (operators::ADD, false) => Binary::Add,
        (operators::SUBSTRACT, false) => Binary::Subtract,
        (operators::MULTIPLY, false) => Binary::Multiply,
        (operators::DIVIDE, false) => Binary::Divide,
        (operators::MODULO, false) => Binary::Remainder,
        (operators::EQUALS, false) => Binary::Equal,
        (operators::NOT_EQUALS, false) => Binary::Unequal,
        (operators::LESS, false) => Binary::Less,
        (operators::LESS_EQUALS, false) => Binary::LessOrEqual,
        (operators::GREATER, false) => Binary::Greater,
        (operators::GREATER_EQUALS, false) => Binary::GreaterOrEqual,
        (operators::IN, false) => Binary::In,
        ("contains", true) => Binary::Contains,
        ("startsWith", true) => Binary::StartsWith,
        ("endsWith", true) => Binary::EndsWith,
        _ => return None,
    })
}
