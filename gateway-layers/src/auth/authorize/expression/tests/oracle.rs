//! The evaluation agrees with another one: that of the crate whose parser reads the expressions.

use std::collections::HashMap;

use cel::{Context, Program, Value};
use gateway_core::context::Claim;
use proptest::prelude::*;

use super::*;

fn value(claim: &Claim) -> Value {
    match claim {
        Claim::Boolean(value) => Value::Bool(*value),
        Claim::Integer(value) => Value::Int(*value),
        Claim::Number(value) => Value::Float(*value),
        Claim::Text(text) => Value::from(&**text),
        Claim::List(list) => Value::from(list.iter().map(value).collect::<Vec<_>>()),
        Claim::Map(map) => map_of(map.iter().map(|(name, claim)| (name.as_str(), value(claim)))),
        _ => Value::Null,
    }
}

fn map_of<'n>(entries: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    let entries = entries.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::from(entries.collect::<HashMap<String, Value>>())
}

fn texts<T: AsRef<str>>(list: &[T]) -> Value {
    Value::from(list.iter().map(|text| Value::from(text.as_ref())).collect::<Vec<_>>())
}

/// What the other one finds; `None`: a failure, or no truth.
fn other(source: &str) -> Option<bool> {
    let principal = principal();
    let claims = principal.claims.iter().map(|(name, claim)| (name.as_str(), value(claim)));
    let known = map_of([
        ("subject", Value::from(&*principal.subject)),
        ("method", Value::from(principal.method)),
        ("issuer", Value::from(principal.issuer.as_deref().unwrap())),
        ("tenant", Value::from(principal.tenant.as_deref().unwrap())),
        ("roles", texts(&principal.roles)),
        ("scopes", texts(&principal.scopes)),
        ("claims", map_of(claims)),
    ]);
    let headers = [
        ("host", texts(&["Shop.Example:8080"])),
        ("x-tenant", texts(&["acme"])),
        ("x-many", texts(&["1", "2"])),
    ];
    let query = [
        ("page", texts(&["2"])),
        ("tag", texts(&["a", "b c", "d e"])),
        ("empty", texts(&[""])),
        ("%zz", texts(&["1"])),
    ];
    let request = map_of([
        ("method", Value::from("POST")),
        ("path", Value::from("/orders/7")),
        ("host", Value::from("shop.example")),
        ("scheme", Value::from("https")),
        ("client_ip", Value::from("192.0.2.1")),
        ("headers", map_of(headers)),
        ("query", map_of(query)),
    ]);
    let mut context = Context::default();
    context.add_variable_from_value("principal", known);
    context.add_variable_from_value("request", request);
    match Program::compile(source).ok()?.execute(&context) {
        Ok(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// Texts, lists, numbers and truths that fit together more often than not.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "true",
            "false",
            "principal.claims.email_verified",
            "principal.claims.missing",
            "has(principal.claims.age)",
            "has(principal.claims.missing)",
            "has(principal.tenant)",
            "has(principal.claims.realm_access.roles)",
            "principal.claims.nothing == null",
            "'admin' in principal.roles",
            "'a' in principal.claims.realm_access.roles",
            "'page' in request.query",
            "'x-other' in request.headers",
            "principal.claims.email",
            "principal.claims.age / 0 == 1",
            "principal.claims.mixed.exists(m, m > 0)",
            "principal.claims.mixed.all(m, m > 0)",
        ])
        .prop_map(str::to_owned),
        (number(), relation(), number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), relation(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), finds(), text()).prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
        (list(), quantifier(), text())
            .prop_map(|(list, name, text)| format!("{list}.{name}(x, x == {text})")),
        (list(), quantifier(), relation(), text())
            .prop_map(|(list, name, op, text)| format!("{list}.{name}(x, x {op} {text})")),
        (list(), list()).prop_map(|(a, b)| format!("{a} == {b}")),
        (list(), list()).prop_map(|(a, b)| format!("{a}.filter(x, x in {b}) != []")),
        (list(), list()).prop_map(|(a, b)| format!("{a}.map(x, size(x)) == {b}.map(x, size(x))")),
        (text(), list()).prop_map(|(a, b)| format!("{a} in {b}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) == ({b})")),
            (list(), quantifier(), inner)
                .prop_map(|(list, name, body)| format!("{list}.{name}(y, {body})")),
        ]
    })
}

fn choose(from: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    prop::sample::select(from.to_vec())
}

fn number() -> impl Strategy<Value = &'static str> {
    choose(&[
        "0",
        "1",
        "36",
        "-1",
        "0.5",
        "36.0",
        "9223372036854775807",
        "principal.claims.age",
        "principal.claims.score",
        "(principal.claims.age + 1)",
        "(principal.claims.age * 2)",
        "(principal.claims.age % 5)",
        "(principal.claims.age - 40) / 3",
        "size(principal.roles)",
        "-principal.claims.age",
        "principal.claims.mixed[1]",
        "(principal.claims.score * 2.0)",
        "size(principal.claims.email)",
        "int(request.query.page[0])",
        "(principal.claims.age + 9223372036854775807)",
        "principal.claims.missing",
    ])
}

fn text() -> impl Strategy<Value = &'static str> {
    choose(&[
        "'a'",
        "'admin'",
        "''",
        "'ops'",
        "principal.subject",
        "principal.tenant",
        "principal.tier",
        "principal.claims.email",
        "principal.roles[1]",
        "principal.roles[5]",
        "request.method",
        "request.headers['x-tenant'][0]",
        "request.headers['x-other'][0]",
        "(request.path + 'a')",
        "request.query.tag[2]",
        "principal.claims.groups[0]",
        "principal.claims['issuer']",
        "principal.claims.mixed[0]",
        "string(principal.claims.age)",
    ])
}

fn list() -> impl Strategy<Value = &'static str> {
    choose(&[
        "principal.roles",
        "principal.scopes",
        "principal.claims.groups",
        "principal.claims.mixed",
        "['a', 'admin']",
        "['ops', 'dev']",
        "request.headers['x-many']",
        "request.query.tag",
        "(principal.roles + ['x'])",
        "principal.claims.missing",
        "principal.claims.realm_access",
        "principal.roles.filter(r, r != 'admin')",
        "principal.claims.realm_access.roles",
    ])
}

fn relation() -> impl Strategy<Value = &'static str> {
    choose(&["==", "!=", "<", "<=", ">", ">="])
}

fn finds() -> impl Strategy<Value = &'static str> {
    choose(&["contains", "startsWith", "endsWith"])
}

fn quantifier() -> impl Strategy<Value = &'static str> {
    choose(&["all", "exists", "exists_one"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn both_find_the_same(source in expression()) {
        // What cannot be true or false of any request is rejected at once, here alone.
        if let Ok(expression) = Expression::new(&source) {
            let (principal, head, context) = (principal(), head(), context());
            let subject = Subject { principal: &principal, head: &head, context: Some(&context) };
            prop_assert_eq!(expression.allows(&subject).ok(), other(&source), "{}", source);
        }
    }
}

#[test]
fn the_other_one_finds_something() {
    for (source, expected) in [
        ("'admin' in principal.roles", Some(true)),
        ("principal.claims.age == 36", Some(true)),
        ("request.query.tag[2] == 'd e'", Some(true)),
        ("request.headers['x-many'].exists(v, v == '3')", Some(false)),
        ("principal.tier == 'gold'", None),
    ] {
        assert_eq!(other(source), expected, "{source}");
    }
}
