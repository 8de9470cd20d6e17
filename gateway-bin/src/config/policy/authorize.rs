//! `authorize`: what callers must be.

use gateway_core::context::Claim;
#[cfg(feature = "cel")]
use gateway_layers::auth::authorize::Expression;
use gateway_layers::auth::authorize::{ClaimTest, Requirements};

use crate::config::reader::Field;

/// The most names that a list has: each is looked for among all that the caller has.
const MOST_NAMES: usize = 100;

/// What callers must be: an expression, or a table of requirements that must all hold.
pub(super) fn read(field: Field<'_>) -> Option<Requirements> {
    if field.peek_text().is_some() {
        return expression(&field, Requirements::new());
    }
    let mut table = field.table("{ roles_any = [\"admin\"], scopes_all = [] }")?;
    let mut requirements = Requirements::new();
    let mut sound = true;
    for (key, to) in [
        ("roles_any", &mut requirements.roles_any),
        ("roles_all", &mut requirements.roles_all),
        ("scopes_any", &mut requirements.scopes_any),
        ("scopes_all", &mut requirements.scopes_all),
    ] {
        if let Some(field) = table.take(key) {
            // None of no names could be had, but it is hardly what is meant.
            if key.ends_with("_any") && field.is_empty_list() {
                field.reject::<()>("at least one name");
                sound = false;
            }
            *to = names(&field);
        }
    }
    if let Some(field) = table.take("claims") {
        for (name, field) in field.entries("a table such as { email_verified = true }") {
            match claim(&field) {
                Some(test) => requirements.claims.push((name.to_owned(), test)),
                None => sound = false,
            }
        }
    }
    if let Some(field) = table.take("expression") {
        match expression(&field, requirements.clone()) {
            Some(with_it) => requirements = with_it,
            None => sound = false,
        }
    }
    if sound && requirements.is_empty() {
        table.field().note::<()>("asks for nothing, expected at least one requirement".to_owned());
    }
    table.finish();
    Some(requirements)
}

/// `asked`, and that an expression is true.
#[cfg(feature = "cel")]
fn expression(field: &Field<'_>, asked: Requirements) -> Option<Requirements> {
    let expected = "an expression such as \"principal.roles.exists(r, r == 'admin')\"";
    match Expression::new(&field.name(expected)?) {
        Ok(expression) => Some(asked.expression(expression)),
        Err(error) => field.note(error.to_string()),
    }
}

#[cfg(not(feature = "cel"))]
fn expression(field: &Field<'_>, _: Requirements) -> Option<Requirements> {
    field.note("an expression, for which this program was built without the feature `cel`".into())
}

fn names(field: &Field<'_>) -> Vec<String> {
    let names = field.one_or_list(|field| field.name("a name"));
    if names.len() > MOST_NAMES {
        field.note::<()>(format!("found {} names, expected {MOST_NAMES} at most", names.len()));
    }
    names
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
        field.reject::<()>("at least one value");
    }
    field.one_or_list(|field| match field.peek_text() {
        Some(text) => Some(Claim::Text(text.into())),
        None => scalar(&field),
    })
}

fn scalar(field: &Field<'_>) -> Option<Claim> {
    match field.json()? {
        serde_json::Value::Bool(value) => Some(Claim::Boolean(value)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Claim::Integer(whole)),
            None => number.as_f64().map(Claim::Number),
        },
        _ => field.reject("text, a number, true or false"),
    }
}
