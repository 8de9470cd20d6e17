//! `authorize`: what callers must be.

use gateway_core::context::Claim;
use gateway_layers::auth::authorize::{ClaimTest, Expression, Requirements};

use crate::config::reader::Field;

const EXPRESSION: &str = "an expression such as \"principal.roles.exists(r, r == 'admin')\"";

/// What callers must be: an expression, or a table of requirements that must all hold.
pub(super) fn read(field: Field<'_>) -> Option<Requirements> {
    if field.peek_text().is_some() {
        return Some(Requirements::new().expression(expression(&field)?));
    }
    let mut table = field.table("{ roles_any = [\"admin\"], scopes_all = [] }")?;
    let mut requirements = Requirements::new();
    for (key, to) in [
        ("roles_any", &mut requirements.roles_any),
        ("roles_all", &mut requirements.roles_all),
        ("scopes_any", &mut requirements.scopes_any),
        ("scopes_all", &mut requirements.scopes_all),
    ] {
        table.set(key, to, |field| Some(field.one_or_list(|field| field.name("a name"))));
    }
    if let Some(field) = table.take("claims") {
        for (name, field) in field.entries("a table such as { email_verified = true }") {
            requirements.claims.extend(claim(&field).map(|test| (name.to_owned(), test)));
        }
    }
    table.set("expression", &mut requirements.expression, |field| expression(&field).map(Some));
    if requirements.is_empty() {
        table.field().note::<()>("asks for nothing, expected at least one requirement".to_owned());
    }
    table.finish();
    Some(requirements)
}

fn expression(field: &Field<'_>) -> Option<Expression> {
    let source = field.name(EXPRESSION)?;
    Expression::new(&source).map_err(|error| field.note::<()>(error.to_string())).ok()
}

/// A value or a list of them, one of which the claim must be; or `{ contains = ... }` and
/// `{ present = false }`.
fn claim(field: &Field<'_>) -> Option<ClaimTest> {
    if !field.is_table() {
        return Some(ClaimTest::one_of(values(field)));
    }
    let mut table = field.clone().table("{ contains = \"reader\" }")?;
    let test = match table.only_one(&["contains", "present"]) {
        Some(("contains", field)) => Some(ClaimTest::contains(values(&field))),
        Some((_, field)) => field.boolean().map(ClaimTest::Present),
        None => table.field().note("says nothing, expected `contains` or `present`".to_owned()),
    };
    table.finish();
    test
}

fn values(field: &Field<'_>) -> Vec<Claim> {
    if field.is_empty_list() {
        field.refuse::<()>("at least one value");
    }
    field.one_or_list(|field| match field.json()? {
        serde_json::Value::Bool(value) => Some(Claim::Boolean(value)),
        serde_json::Value::String(text) => Some(Claim::Text(text.into())),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Claim::Integer(whole)),
            None => number.as_f64().map(Claim::Number),
        },
        _ => field.refuse("text, a number, true or false"),
    })
}
