//! The index against the rule, over random tables; and what is reported of a table.

use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::route::{Considered, MatchOutcome, Rewrite, ValueMatch};

/// A small generator, so that a thousand routes come from one number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

const SEGMENTS: [&str; 7] = ["a", "b", "ab", "abc", "v1", "", "a.b"];
const PATTERNS: [&str; 10] = ["a", "b", "ab", "v1", "", "{x}", "{x}", "a{x}", "{x}b", "a{x}c"];
const HOSTS: [&str; 6] = ["a.test", "b.a.test", "*.a.test", "*.test", "*.b.a.test", "c.test"];
const REQUEST_HOSTS: [&str; 8] =
    ["a.test", "B.A.test:80", "x.b.a.test", "x.test.", "c.test", "other", "", ".a.test"];
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS];

fn random_path_match(dice: &mut Dice) -> RouteMatch {
    let depth = dice.roll(4);
    let kind = dice.roll(4);
    let mut path = String::new();
    for at in 0..depth {
        let segment = match kind {
            0 => dice.pick(&SEGMENTS),
            1 => dice.pick(&SEGMENTS[..5]),
            _ => dice.pick(&PATTERNS),
        };
        path.push('/');
        path.push_str(&segment.replace('x', &format!("x{at}")));
    }
    match kind {
        0 if path.is_empty() => RouteMatch::path("/").unwrap(),
        0 => RouteMatch::path(&path).unwrap(),
        1 => RouteMatch::prefix(&format!("{path}/")).unwrap(),
        2 => RouteMatch::path(&format!("{path}/{{*rest}}")).unwrap(),
        _ if path.is_empty() => random_regex(dice),
        _ => RouteMatch::path(&path).unwrap(),
    }
}

#[cfg(feature = "regex")]
fn random_regex(dice: &mut Dice) -> RouteMatch {
    RouteMatch::regex(dice.pick(&["/a.*", "/[ab]+/?", "/a|/b", "/v[0-9]/.+"])).unwrap()
}

#[cfg(not(feature = "regex"))]
fn random_regex(_: &mut Dice) -> RouteMatch {
    RouteMatch::any()
}

fn random_match(dice: &mut Dice) -> RouteMatch {
    let mut matching = random_path_match(dice);
    if dice.roll(2) == 0 {
        matching = matching.host(dice.pick(&HOSTS)).unwrap();
    }
    for method in METHODS {
        if dice.roll(4) == 0 {
            matching = matching.method(method);
        }
    }
    if dice.roll(4) == 0 {
        let value = match dice.roll(3) {
            0 => ValueMatch::exact("1"),
            1 => ValueMatch::present(true),
            _ => ValueMatch::not(ValueMatch::exact("1")),
        };
        matching = matching.header(dice.pick(&["x-a", "x-b"]), value).unwrap();
    }
    if dice.roll(5) == 0 {
        matching = matching.query("q", ValueMatch::exact(dice.pick(&["1", "2"])));
    }
    matching
}

fn random_routes(size: usize, dice: &mut Dice) -> Vec<Route<usize>> {
    let priorities = [1, 3, 50][dice.roll(3)];
    (0..size)
        .map(|number| {
            let priority = i32::try_from(dice.roll(priorities)).unwrap();
            let mut route = Route::new(format!("r{number}"), number)
                .priority(priority)
                .enabled(dice.roll(10) != 0)
                .preflight(dice.roll(3) == 0);
            for _ in 0..=dice.roll(5) / 4 {
                route = route.matching(random_match(dice));
            }
            if dice.roll(6) == 0 {
                route = route.listener(dice.pick(&["public", "private"]));
            }
            route
        })
        .collect()
}

/// What a request asks, owned.
#[derive(Debug)]
struct Ask {
    host: Option<&'static str>,
    path: String,
    query: Option<&'static str>,
    method: Method,
    preflight: Option<Method>,
    headers: HeaderMap,
    listener: &'static str,
}

impl Ask {
    fn random(dice: &mut Dice) -> Self {
        let mut path = String::new();
        for _ in 0..=dice.roll(4) {
            path.push('/');
            path.push_str(dice.pick(&SEGMENTS));
        }
        let mut headers = HeaderMap::new();
        for name in ["x-a", "x-b"] {
            if dice.roll(2) == 0 {
                headers.append(name, HeaderValue::from_static(["0", "1"][dice.roll(2)]));
            }
        }
        let method = METHODS[dice.roll(4)].clone();
        let asks = method == Method::OPTIONS && dice.roll(2) == 0;
        Self {
            host: (dice.roll(5) != 0).then(|| dice.pick(&REQUEST_HOSTS)),
            path,
            query: [None, Some("q=1"), Some("q=2&q=1")][dice.roll(3)],
            method,
            preflight: asks.then(|| [Method::GET, Method::POST, Method::PUT][dice.roll(3)].clone()),
            headers,
            listener: ["public", "private", ""][dice.roll(3)],
        }
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup {
            host: self.host,
            path: &self.path,
            query: self.query,
            method: &self.method,
            preflight: self.preflight.as_ref(),
            headers: &self.headers,
            listener: self.listener,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Route(usize, usize),
    MethodNotAllowed(Vec<Method>),
    NotFound,
}

/// The rule, word by word: every match that fits, the smallest rank.
fn naive(routes: &[Route<usize>], lookup: &Lookup<'_>) -> Answer {
    let mut best: Option<(Rank, usize, usize)> = None;
    let mut allowed = MethodMatch::default();
    for (index, route) in routes.iter().enumerate() {
        for (matched, matching) in route.matches.iter().enumerate() {
            let fits = route.enabled
                && (route.listeners.is_empty()
                    || route.listeners.iter().any(|name| name == lookup.listener))
                && matching
                    .host
                    .as_ref()
                    .is_none_or(|host| lookup.host.is_some_and(|name| host.takes(name)))
                && matching.path.takes(lookup.path)
                && matching.headers.iter().all(|header| header.takes(lookup.headers))
                && matching.query.iter().all(|query| query.takes(lookup.query));
            if !fits {
                continue;
            }
            let method = lookup.preflight.filter(|_| route.preflight).unwrap_or(lookup.method);
            if !matching.methods.takes(method) {
                matching.methods.iter().for_each(|method| allowed.insert(method.clone()));
                continue;
            }
            let rank = Rank::of(route, index, matching, matched);
            if best.as_ref().is_none_or(|(known, ..)| rank < *known) {
                best = Some((rank, index, matched));
            }
        }
    }
    match best {
        Some((_, index, matched)) => Answer::Route(index, matched),
        None if allowed.is_empty() => Answer::NotFound,
        None => Answer::MethodNotAllowed(allowed.iter().cloned().collect()),
    }
}

fn fast(table: &RouteTable<usize>, lookup: &Lookup<'_>) -> Answer {
    match table.find(lookup) {
        Found::Route(hit) => Answer::Route(hit.index, hit.matched),
        Found::MethodNotAllowed(methods) => Answer::MethodNotAllowed(methods),
        Found::NotFound => Answer::NotFound,
    }
}

fn explained(table: &RouteTable<usize>, lookup: &Lookup<'_>) -> Option<(usize, usize)> {
    table.explain(lookup).into_iter().find_map(|Considered { index, verdict, .. }| match verdict {
        MatchOutcome::Won { matched, .. } => Some((index, matched)),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_warning_is_never_false(size in 2_usize..8, seed in 1_u64..) {
        let mut dice = Dice(seed);
        let routes = random_routes(size, &mut dice);
        let table = RouteTable::assemble(routes.clone());
        let shadowed = never_reached(&table);
        for _ in 0..if shadowed.is_empty() { 0 } else { 200 } {
            let ask = Ask::random(&mut dice);
            if let Answer::Route(index, matched) = naive(&routes, &ask.lookup()) {
                prop_assert!(!shadowed.contains(&(index, matched)), "{:?}", ask);
            }
        }
    }
}

/// The pattern that took the request, with the values of its parameters put in: the path again.
fn filled_in(table: &RouteTable<usize>, lookup: &Lookup<'_>) -> String {
    let hit = table.find(lookup).hit().unwrap();
    let pattern = &hit.route.matches[hit.matched].path;
    if hit.params.is_empty() {
        return lookup.path.to_owned();
    }
    let mut text = pattern.pattern().to_owned();
    for (name, value) in hit.params.iter(lookup.path) {
        assert!(!value.is_empty());
        text = text.replace(&format!("{{{name}}}"), value).replace(&format!("{{*{name}}}"), value);
    }
    text
}

/// Routes and matches by number, as a warning says they are never reached.
fn never_reached(table: &RouteTable<usize>) -> Vec<(usize, usize)> {
    shadow::in_table(table, &[])
        .into_iter()
        .filter_map(|problem| match problem {
            TableProblem::Shadowed { route, matched, .. } => {
                Some((table.route(&route)?.target, matched))
            }
            _ => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_index_finds_what_the_rule_says(
        size in prop_oneof![1_usize..20, 1_usize..200, 1_usize..1_000],
        seed in 1_u64..,
    ) {
        let mut dice = Dice(seed);
        let routes = random_routes(size, &mut dice);
        let table = RouteTable::assemble(routes.clone());
        let shadowed = never_reached(&table);
        for _ in 0..30 {
            let ask = Ask::random(&mut dice);
            let lookup = ask.lookup();
            let expected = naive(&routes, &lookup);
            prop_assert_eq!(&fast(&table, &lookup), &expected, "{:?}", ask);
            if let Answer::Route(index, matched) = expected {
                prop_assert_eq!(filled_in(&table, &lookup), &*ask.path);
                prop_assert!(!shadowed.contains(&(index, matched)), "false warning: {:?}", ask);
                if size < 50 {
                    prop_assert_eq!(explained(&table, &lookup), Some((index, matched)));
                }
            }
        }
    }
}

fn route(id: &str, matching: RouteMatch) -> Route<()> {
    Route::new(id, ()).matching(matching)
}

fn path(id: &str, pattern: &str) -> Route<()> {
    route(id, RouteMatch::path(pattern).unwrap())
}

fn prefix(id: &str, prefix: &str) -> Route<()> {
    route(id, RouteMatch::prefix(prefix).unwrap())
}

#[track_caller]
fn errors(routes: Vec<Route<()>>) -> Vec<String> {
    let problems = RouteTable::build(routes).map(|_| ()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// The shadowed routes and what takes everything before them.
#[track_caller]
fn shadows(routes: Vec<Route<()>>) -> Vec<(String, String)> {
    let table = RouteTable::build(routes).unwrap();
    table
        .warnings()
        .iter()
        .map(|problem| match problem {
            TableProblem::Shadowed { route, by, .. } => (route.clone(), by.clone()),
            other => panic!("{other}"),
        })
        .collect()
}

fn pair(route: &str, by: &str) -> (String, String) {
    (route.to_owned(), by.to_owned())
}

#[test]
fn all_problems_are_reported_at_once() {
    let twice = path("a", "/a");
    let found = errors(vec![
        twice.clone(),
        Route::new("a", ()).matching(RouteMatch::path("/b").unwrap()),
        Route::new("none", ()),
        path("same", "/a"),
        path("rewritten", "/c").rewrite(Rewrite::new().prefix("/d").unwrap()),
        path("named", "/e/{id}").rewrite(Rewrite::new().path("/f/{name}").unwrap()),
    ]);
    assert_eq!(
        found,
        [
            "route `a`: there are two routes of this id",
            "route `none`: has no match (the prefix `/` takes every path)",
            "route `rewritten`, match 1: rewrite.prefix needs a prefix match",
            "route `named`, match 1: rewrite.path asks for `{name}`, which the match does not have",
            "route `same`, match 1: the same as match 1 of route `a`, at the same rank",
        ]
    );
}

#[test]
fn names_of_parameters_do_not_tell_matches_apart() {
    let table = RouteTable::build(vec![path("a", "/x/{one}"), path("b", "/x/{two}")]).unwrap();
    let found: Vec<_> = table.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["route `b`, match 1: the same as match 1 of route `a`, at the same rank"]);
}

#[test]
fn matches_on_different_listeners_or_priorities_are_not_identical() {
    let one = path("one", "/a").listener("public");
    let two = path("two", "/a").listener("private");
    assert_eq!(shadows(vec![one, two]), []);
    let low = path("low", "/a");
    let high = path("high", "/a").priority(1);
    assert_eq!(shadows(vec![low, high]), [pair("low", "high")]);
}

#[test]
fn disabled_routes_neither_clash_nor_shadow() {
    let off = path("off", "/a").enabled(false);
    assert_eq!(shadows(vec![off, path("on", "/a")]), []);
}

#[test]
fn a_route_below_one_that_takes_everything_is_reported() {
    for (wide, narrow) in [
        (prefix("wide", "/a"), path("narrow", "/a")),
        (prefix("wide", "/a"), path("narrow", "/a/{x}/c")),
        (prefix("wide", "/a"), prefix("narrow", "/a/b")),
        (prefix("wide", "/a"), path("narrow", "/a/{*rest}")),
        (path("wide", "/a/{*rest}"), path("narrow", "/a/b")),
        (path("wide", "/a/{*rest}"), prefix("narrow", "/a/b")),
        (path("wide", "/{x}/b"), path("narrow", "/a/b")),
        (path("wide", "/v{x}"), path("narrow", "/v1{x}")),
        (path("wide", "/{x}"), path("narrow", "/v1{x}")),
        (route("wide", RouteMatch::any()), path("narrow", "/a")),
    ] {
        let text = format!("{} {}", wide.matches[0].path, narrow.matches[0].path);
        let found = shadows(vec![narrow, wide.priority(1)]);
        assert_eq!(found, [pair("narrow", "wide")], "{text}");
    }
}

#[test]
fn a_route_that_something_still_reaches_is_not_reported() {
    for (wide, narrow) in [
        (path("wide", "/a/{*rest}"), prefix("narrow", "/a")),
        (path("wide", "/a/{*rest}"), path("narrow", "/a/")),
        (path("wide", "/a/{x}"), path("narrow", "/a/{*rest}")),
        (path("wide", "/a{x}"), path("narrow", "/{x}")),
        (path("wide", "/{x}"), path("narrow", "/")),
        (path("wide", "/a{x}"), path("narrow", "/{x}b")),
        (path("wide", "/{x}b"), path("narrow", "/a{x}")),
        (path("wide", "/{x}/{*rest}"), path("narrow", "/{x}/")),
        (path("wide", "/{x}/{*rest}"), path("narrow", "/{x}")),
        (prefix("wide", "/a"), path("narrow", "/ab")),
    ] {
        let text = format!("{} {}", wide.matches[0].path, narrow.matches[0].path);
        assert_eq!(shadows(vec![narrow, wide.priority(1)]), [], "{text}");
    }
    let on = |host: &str| RouteMatch::any().host(host).unwrap();
    let wide = route("wide", on("*.a.test")).priority(1);
    assert_eq!(shadows(vec![wide.clone(), route("apex", on("a.test"))]), []);
    assert_eq!(shadows(vec![wide.clone(), route("up", on("*.test"))]), []);
    assert_eq!(shadows(vec![wide, route("down", on("*.b.a.test"))]), [pair("down", "wide")]);
}

#[test]
fn conditions_and_listeners_let_others_through() {
    let get = route("get", RouteMatch::any().method(Method::GET)).priority(1);
    assert_eq!(shadows(vec![get.clone(), path("all", "/a")]), []);
    let narrow = route("narrow", RouteMatch::path("/a").unwrap().method(Method::GET));
    assert_eq!(shadows(vec![get, narrow]), [pair("narrow", "get")]);
    let public = prefix("public", "/").listener("public").priority(1);
    assert_eq!(shadows(vec![public, path("all", "/a")]), []);
}

#[test]
fn who_takes_other_preflights_shadows_only_what_it_takes_all_of() {
    let on = |id: &str, methods: &[Method], preflight: bool| {
        let matching = RouteMatch::path("/a").unwrap().methods(methods.iter().cloned());
        route(id, matching).preflight(preflight)
    };
    let (get, options) = ([Method::GET], [Method::GET, Method::OPTIONS]);
    for (wide, narrow, expected) in [
        (on("wide", &get, true), on("narrow", &get, true), true),
        (on("wide", &get, false), on("narrow", &get, true), false),
        (on("wide", &options, false), on("narrow", &get, true), true),
        (on("wide", &options, true), on("narrow", &get, false), true),
        (on("wide", &options, true), on("narrow", &options, false), false),
        (on("wide", &[], true), on("narrow", &options, false), true),
        (on("wide", &[], false), on("narrow", &get, true), true),
    ] {
        let text = format!("{wide:?} {narrow:?}");
        let expected = if expected { vec![pair("narrow", "wide")] } else { Vec::new() };
        assert_eq!(shadows(vec![narrow, wide.priority(1)]), expected, "{text}");
    }
}

#[test]
fn a_match_can_be_shadowed_within_its_own_route() {
    let route = path("a", "/a").matching(RouteMatch::path("/a").unwrap());
    assert_eq!(shadows(vec![route]), [pair("a", "a")]);
}

#[test]
fn a_table_without_routes_finds_nothing() {
    let table = RouteTable::<()>::build(Vec::new()).unwrap();
    let headers = HeaderMap::new();
    for path in ["/", "/a", "*", ""] {
        let found = table.find(&Lookup::new(&Method::GET, path, &headers).host("a"));
        assert!(matches!(found, Found::NotFound));
    }
}
