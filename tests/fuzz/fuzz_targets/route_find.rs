//! The table's lookup finds what looking at every route finds.
//!
//! The input is lines. A route is `kind pattern host method header query`, where the kind is `=`
//! (path), `^` (prefix), `~` (expression) or `*` (any), and `-` leaves a part out. A question is
//! `? path host method header query`.

#![no_main]

use gateway_core::path::{PathOptions, normalize};
use gateway_core::route::{
    Found, Lookup, Route, RouteError, RouteMatch, RouteTable, ValueMatch, MatchOutcome,
};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (questions, routes): (Vec<_>, Vec<_>) =
        input.lines().map(|line| line.split(' ')).partition(|words| {
            let mut words = words.clone();
            words.next() == Some("?")
        });
    let routes = routes.into_iter().filter_map(|words| matching(words).ok());
    let routes = routes
        .enumerate()
        .map(|(number, matching)| Route::new(number.to_string(), number).matching(matching));
    let Ok(table) = RouteTable::build(routes.collect()) else { return };
    for words in questions {
        ask(&table, words);
    }
});

fn matching<'w>(mut words: impl Iterator<Item = &'w str>) -> Result<RouteMatch, RouteError> {
    let kind = words.next();
    let pattern = words.next().unwrap_or_default();
    let mut matching = match kind {
        Some("=") => RouteMatch::path(pattern)?,
        Some("^") => RouteMatch::prefix(pattern)?,
        Some("~") => RouteMatch::regex(pattern)?,
        _ => RouteMatch::any(),
    };
    let mut part = || words.next().filter(|word| *word != "-");
    if let Some(host) = part() {
        matching = matching.host(host)?;
    }
    if let Some(method) = part().and_then(|method| method.parse::<Method>().ok()) {
        matching = matching.method(method);
    }
    if let Some(value) = part() {
        matching = matching.header("x-part", ValueMatch::exact(value))?;
    }
    if let Some(value) = part() {
        matching = matching.query("q", ValueMatch::exact(value));
    }
    Ok(matching)
}

fn ask<'w>(table: &RouteTable<usize>, words: impl Iterator<Item = &'w str>) {
    let mut words = words.skip(1);
    let Ok(path) = normalize(words.next().unwrap_or("/"), &PathOptions::default()) else { return };
    let mut part = || words.next().filter(|word| *word != "-");
    let (host, method, header, query) = (part(), part(), part(), part());
    let method = method.and_then(|method| method.parse().ok()).unwrap_or(Method::GET);
    let value = header.and_then(|value| HeaderValue::from_str(value).ok());
    let headers: HeaderMap =
        value.map(|value| ("x-part".parse().unwrap(), value)).into_iter().collect();
    let query = query.map(|value| format!("q={value}"));
    let mut lookup = Lookup::new(&method, &path, &headers);
    lookup.host = host;
    lookup.query = query.as_deref();
    let found = match table.find(&lookup) {
        Found::Route(hit) => Some((hit.index, hit.matched)),
        _ => None,
    };
    let considered = table.explain(&lookup);
    let won = considered.iter().find_map(|route| match route.verdict {
        MatchOutcome::Won { matched, .. } => Some((route.index, matched)),
        _ => None,
    });
    assert_eq!(found, won, "{lookup:?}");
}
