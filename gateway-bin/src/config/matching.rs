//! `match`: what a request must be like.

use gateway_core::route::{HeaderMatch, HostMatch, MethodMatch, PathMatch};
use gateway_core::route::{QueryMatch, RouteMatch, ValueMatch};

use super::reader::{Field, Table};

const KINDS: [&str; 7] = ["exact", "prefix", "suffix", "contains", "regex", "present", "not"];

/// Reads one `match` table, as a match for each of its hosts. An empty one takes every request.
pub(super) fn read(field: Field<'_>) -> Option<Vec<RouteMatch>> {
    let mut table = field.table("{ prefix = \"/\" }")?;
    let mut matching = RouteMatch::on(path(&mut table).unwrap_or_else(PathMatch::any));
    let hosts = table.take("host").map(|field| {
        if field.is_empty_list() {
            field.reject::<()>("at least one host; leave it out for every host");
        }
        field.one_or_list(|field| {
            let host = field.text("a host name or \"*.REST\"")?;
            HostMatch::parse(host).map_err(|error| field.reject::<()>(error.expected())).ok()
        })
    });
    if let Some(methods) = table.take("methods") {
        let read = methods.list("a list of methods such as [\"GET\"]", |field| {
            let token = field.text("a method such as \"GET\"")?;
            MethodMatch::parse(token).map_err(|error| field.reject::<()>(error.expected())).ok()
        });
        if methods.is_empty_list() {
            methods.reject::<()>("at least one method; leave it out for every method");
        }
        matching = matching.methods(read.unwrap_or_default());
    }
    matching.headers = conditions(&mut table, "headers", "x-env", |name, value, field| {
        HeaderMatch::new(name, value).map_err(|error| field.reject::<()>(error.expected())).ok()
    });
    matching.query =
        conditions(&mut table, "query", "v", |name, value, _| Some(QueryMatch::new(name, value)));
    table.finish();
    let Some(hosts) = hosts else { return Some(vec![matching]) };
    let of = |host| {
        let mut matching = matching.clone();
        matching.host = Some(host);
        matching
    };
    Some(hosts.into_iter().map(of).collect())
}

fn path(table: &mut Table<'_>) -> Option<PathMatch> {
    let (key, field) = table.only_one(&["path", "prefix", "regex"])?;
    let text = field.text("a path such as \"/orders\"")?;
    let parsed = match key {
        "path" => PathMatch::path(text),
        "prefix" => PathMatch::prefix(text),
        _ => PathMatch::regex(text),
    };
    if key != "regex" && text.split('/').any(|segment| matches!(segment, "*" | "**")) {
        let (before, _) = text.split_once("/*").unwrap_or((text, ""));
        let before = if before.is_empty() { "/" } else { before };
        field.warn(format!(
            "`*` is an ordinary character here and takes no other: expected `prefix = \"{before}\"` \
             for everything below"
        ));
    }
    parsed.map_err(|error| field.reject::<()>(error.expected())).ok()
}

/// Reads the list `key`, each element with a name and one kind of condition.
fn conditions<T>(
    table: &mut Table<'_>,
    key: &'static str,
    example: &str,
    make: impl Fn(&str, ValueMatch, &Field<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(list) = table.take(key) else {
        return Vec::new();
    };
    let example = format!("{{ name = \"{example}\", exact = \"a\" }}");
    let read = list.list(&format!("a list of tables such as [{example}]"), |field| {
        let mut table = field.table(&example)?;
        let name = table.require("name", "a name");
        let text = name.as_ref().and_then(|name| name.name("a name"));
        let value = condition(&mut table);
        table.finish();
        make(&text?, value?, &name?)
    });
    read.unwrap_or_default()
}

fn condition(table: &mut Table<'_>) -> Option<ValueMatch> {
    let Some((key, field)) = table.only_one(&KINDS) else {
        return table.field().note(format!("no condition, expected one of {}", kinds()));
    };
    match key {
        "present" => field.boolean().map(ValueMatch::present),
        "not" => {
            let mut table = field.table("{ exact = \"a\" }")?;
            let inner = condition(&mut table);
            table.finish();
            inner.map(ValueMatch::not)
        }
        "regex" => {
            let pattern = field.text("a regular expression")?;
            ValueMatch::regex(pattern).map_err(|error| field.reject::<()>(error.expected())).ok()
        }
        _ => {
            let text = field.text("text")?;
            Some(match key {
                "exact" => ValueMatch::exact(text),
                "prefix" => ValueMatch::prefix(text),
                "suffix" => ValueMatch::suffix(text),
                _ => ValueMatch::contains(text),
            })
        }
    }
}

fn kinds() -> String {
    KINDS.map(|kind| format!("`{kind}`")).join(", ")
}
