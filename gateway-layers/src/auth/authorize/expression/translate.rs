//! [`translate`]: what the parser found becomes a checked [`Node`].

use cel::IdedExpr;
use cel::common::ast::operators;
use cel::common::ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr};

use super::node::{Each, Loop, Node};
use super::schema::{Field, Type, VARIABLES, fields, quoted};
use super::{MOST_DEPTH, MOST_VARIABLES};

/// What is wrong with the part `id` of an expression.
pub(super) struct Fault {
    pub(super) id: u64,
    pub(super) message: String,
}

/// A checked expression.
pub(super) struct Translated {
    pub(super) node: Node,
    /// Whether its result depends on the request.
    pub(super) looks_at_something: bool,
}

/// A part of an expression, and what type it has.
pub(super) type Typed = (Node, Type);

/// Checks `tree`, which is to be true or false.
pub(super) fn translate(tree: &IdedExpr) -> Result<Translated, Fault> {
    let mut translator = Translator { locals: Vec::new(), depth: 0, looks_at_something: false };
    let (node, found) = translator.expression(tree)?;
    if !found.may_be(&Type::Bool) {
        return fault(tree, format!("the result is {found}, expected true or false"));
    }
    Ok(Translated { node, looks_at_something: translator.looks_at_something })
}

/// Something is wrong with `part`.
pub(super) fn fault<T>(part: &IdedExpr, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { id: part.id, message: message.into() })
}

pub(super) struct Translator {
    /// The variables of the macros around, the outermost first.
    locals: Vec<(String, Type)>,
    depth: usize,
    looks_at_something: bool,
}

impl Translator {
    pub(super) fn expression(&mut self, part: &IdedExpr) -> Result<Typed, Fault> {
        if self.depth == MOST_DEPTH {
            return fault(part, format!("nested more than {MOST_DEPTH} deep"));
        }
        self.depth += 1;
        let translated = match &part.expr {
            Expr::Literal(value) => literal(part, value),
            Expr::Ident(name) => self.variable(part, name),
            Expr::Select(select) => self.select(part, select),
            Expr::List(list) => self.list(part, list),
            Expr::Map(map) => self.map(part, map),
            Expr::Call(call) => self.call(part, call),
            Expr::Struct(_) => fault(part, "messages are not taken"),
            _ => fault(part, "this is not taken"),
        };
        self.depth -= 1;
        translated
    }

    /// A part that must be of the type `expected`, as far as anybody knows.
    pub(super) fn expect(&mut self, part: &IdedExpr, expected: &Type) -> Result<Node, Fault> {
        let (node, found) = self.expression(part)?;
        if found.may_be(expected) {
            return Ok(node);
        }
        fault(part, format!("found {found}, expected {expected}"))
    }

    fn local(&self, name: &str) -> Option<usize> {
        self.locals.iter().rposition(|(known, _)| known == name)
    }

    fn variable(&self, part: &IdedExpr, name: &str) -> Result<Typed, Fault> {
        if let Some(place) = self.local(name)
            && let Some((_, of)) = self.locals.get(place)
        {
            return Ok((Node::Local(place), of.clone()));
        }
        match fields(name) {
            Some(fields) => {
                let fields = quoted(fields.iter().map(|(field, _)| *field));
                fault(part, format!("`{name}` is no value, expected one of its fields {fields}"))
            }
            None => {
                let known = quoted(VARIABLES.iter().map(|(name, _)| *name));
                fault(part, format!("there is no variable `{name}`, expected one of {known}"))
            }
        }
    }

    /// The field that `select` names, where it is one of a variable.
    fn field(&mut self, part: &IdedExpr, select: &SelectExpr) -> Result<Option<Field>, Fault> {
        let Expr::Ident(variable) = &select.operand.expr else { return Ok(None) };
        if self.local(variable).is_some() {
            return Ok(None);
        }
        let Some(known) = fields(variable) else { return Ok(None) };
        match known.iter().find(|(name, _)| *name == select.field) {
            Some((_, field)) => {
                self.looks_at_something = true;
                Ok(Some(*field))
            }
            None => {
                let names = quoted(known.iter().map(|(name, _)| *name));
                let name = &select.field;
                fault(part, format!("`{variable}` has no `{name}`, expected one of {names}"))
            }
        }
    }

    fn select(&mut self, part: &IdedExpr, select: &SelectExpr) -> Result<Typed, Fault> {
        if let Some(field) = self.field(part, select)? {
            return Ok((Node::Field(field), field.type_of()));
        }
        let (of, found) = self.expression(&select.operand)?;
        let value = match found {
            Type::Map(value) => *value,
            Type::Any => Type::Any,
            other => return fault(part, format!("found {other}, which has no `{}`", select.field)),
        };
        Ok((Node::Select(Box::new(of), select.field.as_str().into()), value))
    }

    /// `has(of.name)`.
    pub(super) fn has(&mut self, part: &IdedExpr, of: &IdedExpr) -> Result<Typed, Fault> {
        let Expr::Select(select) = &of.expr else {
            return fault(of, "`has` takes a field, such as principal.claims.email");
        };
        if let Some(field) = self.field(part, select)? {
            return Ok((Node::HasField(field), Type::Bool));
        }
        let map = self.expect(&select.operand, &Type::map(Type::Any))?;
        Ok((Node::Has(Box::new(map), select.field.as_str().into()), Type::Bool))
    }

    fn list(&mut self, part: &IdedExpr, list: &ListExpr) -> Result<Typed, Fault> {
        if !list.optional_indices.is_empty() {
            return fault(part, "optional elements are not taken");
        }
        let mut of: Option<Type> = None;
        let mut nodes = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            let (node, found) = self.expression(element)?;
            of = Some(match of {
                None => found,
                Some(before) => before.or(&found),
            });
            nodes.push(node);
        }
        Ok((Node::List(nodes), Type::list(of.unwrap_or(Type::Any))))
    }

    fn map(&mut self, part: &IdedExpr, map: &MapExpr) -> Result<Typed, Fault> {
        let mut of: Option<Type> = None;
        let mut nodes: Vec<(Box<str>, Node)> = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return fault(part, "messages are not taken");
            };
            let Expr::Literal(LiteralValue::String(name)) = &entry.key.expr else {
                return fault(&entry.key, "the names of a map are texts as they stand");
            };
            let name: Box<str> = name.inner().into();
            if nodes.iter().any(|(known, _)| *known == name) {
                return fault(&entry.key, "the map has this name already");
            }
            let (node, found) = self.expression(&entry.value)?;
            of = Some(match of {
                None => found,
                Some(before) => before.or(&found),
            });
            nodes.push((name, node));
        }
        Ok((Node::Map(nodes), Type::map(of.unwrap_or(Type::Any))))
    }

    /// `range.exists(variable, body)` and its like.
    pub(super) fn each(
        &mut self,
        part: &IdedExpr,
        each: Each,
        call: &CallExpr,
    ) -> Result<Typed, Fault> {
        let (Some(range), [variable, body]) = (&call.target, call.args.as_slice()) else {
            let name = &call.func_name;
            return fault(part, format!("expected LIST.{name}(variable, expression)"));
        };
        let Expr::Ident(name) = &variable.expr else {
            return fault(variable, "expected the name of a variable");
        };
        if fields(name).is_some() {
            return fault(variable, format!("`{name}` is a variable already"));
        }
        let (range, found) = self.expression(range)?;
        let of = match found {
            Type::List(of) => *of,
            Type::Map(_) => Type::Text,
            Type::Any => Type::Any,
            other => return fault(part, format!("found {other}, expected a list or a map")),
        };
        let local = self.locals.len();
        if local == MOST_VARIABLES {
            let message = format!("more than {MOST_VARIABLES} variables in use at one place");
            return fault(variable, message);
        }
        self.locals.push((name.clone(), of.clone()));
        let body = match each {
            Each::Map => self.expression(body),
            _ => self.expect(body, &Type::Bool).map(|node| (node, Type::Bool)),
        };
        self.locals.pop();
        let (body, made) = body?;
        let result = match each {
            Each::All | Each::Exists | Each::ExistsOne => Type::Bool,
            Each::Filter => Type::list(of),
            Each::Map => Type::list(made),
        };
        Ok((Node::Each(each, Box::new(Loop { range, local, body })), result))
    }

    fn call(&mut self, part: &IdedExpr, call: &CallExpr) -> Result<Typed, Fault> {
        let each = match call.func_name.as_str() {
            operators::ALL => Each::All,
            operators::EXISTS => Each::Exists,
            operators::EXISTS_ONE => Each::ExistsOne,
            operators::FILTER => Each::Filter,
            operators::MAP => Each::Map,
            _ => return self.operation(part, call),
        };
        self.each(part, each, call)
    }
}

fn literal(part: &IdedExpr, value: &LiteralValue) -> Result<Typed, Fault> {
    Ok(match value {
        LiteralValue::Null => (Node::Null, Type::Null),
        LiteralValue::Boolean(value) => (Node::Bool(*value.inner()), Type::Bool),
        LiteralValue::Int(value) => (Node::Int(*value.inner()), Type::Int),
        LiteralValue::Double(value) => (Node::Double(*value.inner()), Type::Double),
        LiteralValue::String(value) => (Node::Text(value.inner().into()), Type::Text),
        LiteralValue::UInt(_) => return fault(part, "numbers without a sign are not taken"),
        LiteralValue::Bytes(_) => return fault(part, "bytes are not taken"),
    })
}
