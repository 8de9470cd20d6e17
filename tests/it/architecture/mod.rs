//! The house keeps its shape: who may import whom, read from the sources.
//!
//! Dependencies point one way, between crates and between the levels inside of a crate. Whoever
//! needs an import against it has found a thing in the wrong room: move the thing.

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use self::source::Source;
pub(crate) use self::source::files;

/// The levels of `gateway-core`, lowest first: a module imports from lower ones only.
const CORE: &[&[&str]] = &[
    // Values and small mechanisms that know nothing of requests.
    &[
        "budget",
        "clock",
        "error",
        "forwarded",
        "keep_alive",
        "media_type",
        "path",
        "swap",
        "task",
        "timer",
        "tunnel",
        "upload",
    ],
    &["hop_headers", "validation"],
    &["trailers"],
    &["body", "http1", "websocket"],
    &["grpc", "replay", "stripped", "watched"],
    // What is known about a request.
    &["context"],
    &["message", "observe"],
    &["module", "respond", "stream"],
    &["extended_connect", "route", "upstream"],
    &["split"],
    &["gateway"],
    &["server"],
];

/// The levels of `gateway-layers`. All capabilities are on one level, so none imports another.
const LAYERS: &[&[&str]] = &[
    &["civil", "filter", "head_copy", "http_client", "origin", "secret", "testing", "watched_file"],
    &["guard"],
    &[
        "access_log",
        "acme",
        "audit",
        "auth",
        "body_limit",
        "circuit_breaker",
        "concurrency",
        "content_type",
        "cors",
        "csrf",
        "discovery",
        "fallback",
        "hedge",
        "ip_filter",
        "method_filter",
        "metrics",
        "mirror",
        "registry",
        "rate_limit",
        "retry",
        "security_headers",
        "timeout",
    ],
];

/// The levels of `gateway-bin`, library and binary.
const BIN: &[&[&str]] = &[
    &["args", "config", "descriptors", "signals", "telemetry", "terminal"],
    &["rings"],
    &["assemble"],
    &["admin", "keys"],
    &["workers"],
    &["commands"],
];

/// Crates, lowest first, and those above each.
const CRATES: [(&str, &[&str]); 3] = [
    ("gateway-core", &["gateway-layers", "gateway-bin"]),
    ("gateway-layers", &["gateway-bin"]),
    ("gateway-bin", &[]),
];

/// Nobody builds on what is not published.
const UNPUBLISHED: [&str; 2] = ["gateway-examples", "gateway-tests"];

/// A file of more lines than this, unit tests left out, is two files.
const MOST_LINES: usize = 500;

/// Longer files that are one thing all the same, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn crates_depend_in_one_direction() {
    let mut problems = Vec::new();
    for (name, above) in CRATES {
        let forbidden = || above.iter().copied().chain(UNPUBLISHED);
        let manifest = read(&format!("{name}/Cargo.toml"));
        for line in manifest.lines().map(str::trim) {
            let key = line.split(['.', ' ', '=']).next().unwrap_or_default().trim_matches('"');
            let renamed = |other: &str| line.contains(&format!("package = \"{other}\""));
            if let Some(other) = forbidden().find(|other| key == *other || renamed(other)) {
                problems.push(format!("{name}/Cargo.toml depends on {other}, which is above it"));
            }
        }
        for folder in ["src", "benches", "tests"].map(|folder| format!("{name}/{folder}")) {
            // Not there, or with nothing but data in it.
            let path = root().join(&folder);
            if !path.is_dir() || source::files(&path, "rs").is_empty() {
                continue;
            }
            for source in source::sources(&root(), &folder) {
                let mut others = forbidden().map(|other| other.replace('-', "_"));
                if let Some(other) = others.find(|other| !source.names_under(other).is_empty()) {
                    problems.push(format!("{} imports {other}, which is above it", source.path));
                }
            }
        }
    }
    report(&problems);
}

#[test]
fn levels_of_core() {
    check_levels("gateway-core", CORE);
}

#[test]
fn levels_of_layers_and_no_siblings() {
    check_levels("gateway-layers", LAYERS);
}

#[test]
fn levels_of_bin() {
    check_levels("gateway-bin", BIN);
}

fn check_levels(name: &str, levels: &[&[&str]]) {
    let sources = source::sources(&root(), &format!("{name}/src"));
    let exported = exports(&sources);
    report(
        &sources.iter().flat_map(|source| upward(source, levels, &exported)).collect::<Vec<_>>(),
    );
}

/// What the crate's own file exports by another path, and the module that it comes from.
fn exports(sources: &[Source]) -> BTreeMap<String, String> {
    let mut exported = BTreeMap::new();
    let files = sources.iter().filter(|source| source.module.is_empty());
    for statement in files.flat_map(|source| source.code.split(';')) {
        let Some((_, path)) = statement.split_once("use self::") else {
            continue;
        };
        let Some((module, names)) = path.split_once("::") else {
            continue;
        };
        for name in names.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            exported.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    exported
}

/// Imports of `source` that do not go down.
fn upward(source: &Source, levels: &[&[&str]], exported: &BTreeMap<String, String>) -> Vec<String> {
    let own = source.top();
    let level = |module: &str| levels.iter().position(|level| level.contains(&module));
    if own.is_empty() {
        // The crate's own file imports and exports everything.
        return Vec::new();
    }
    let Some(here) = level(own) else {
        return vec![format!("{}: `{own}` has no level yet; give it one", source.path)];
    };
    let mut problems = Vec::new();
    for name in source.own_modules() {
        let module = exported.get(&name).unwrap_or(&name);
        if module == own {
            continue;
        }
        match level(module) {
            Some(there) if there < here => {}
            Some(there) if there == here => problems.push(format!(
                "{}: `{own}` imports `{module}`, which is beside it: move what both need down",
                source.path
            )),
            Some(_) => problems
                .push(format!("{}: `{own}` imports `{module}`, which is above it", source.path)),
            None => problems
                .push(format!("{}: `{own}` imports `{module}`, which has no level", source.path)),
        }
    }
    problems
}

#[test]
fn every_module_has_one_level() {
    let mut problems = Vec::new();
    for (name, levels) in [("gateway-core", CORE), ("gateway-layers", LAYERS), ("gateway-bin", BIN)]
    {
        let sources = source::sources(&root(), &format!("{name}/src"));
        for module in levels.iter().copied().flatten() {
            let count = levels.iter().copied().flatten().filter(|other| *other == module).count();
            if count > 1 || !sources.iter().any(|source| source.top() == *module) {
                problems.push(format!("{name}: `{module}` has {count} levels, or is gone"));
            }
        }
    }
    report(&problems);
}

#[test]
fn nothing_is_unsafe() {
    let mut problems = Vec::new();
    for member in ["gateway-core", "gateway-layers", "gateway-bin", "examples", "tests"] {
        let manifest = read(&format!("{member}/Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true") {
            problems.push(format!("{member}/Cargo.toml does not take the workspace's lints"));
        }
        let unsafe_files = source::sources(&root(), member);
        let unsafe_files = unsafe_files.iter().filter(|source| source.has_word("unsafe"));
        problems.extend(unsafe_files.map(|source| format!("{} says unsafe", source.path)));
    }
    if !read("Cargo.toml").contains("unsafe_code = \"forbid\"") {
        problems.push("Cargo.toml does not forbid unsafe code".to_owned());
    }
    report(&problems);
}

#[test]
fn no_file_is_too_long() {
    let mut problems = Vec::new();
    for (name, _) in CRATES {
        for source in source::sources(&root(), &format!("{name}/src")) {
            let excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
            let (path, lines) = (&source.path, source.lines);
            if lines > MOST_LINES && !excused {
                problems.push(format!("{path} has {lines} lines, expected {MOST_LINES} at most"));
            }
            if lines <= MOST_LINES && excused {
                problems.push(format!("{path} has {lines} lines and needs no excuse"));
            }
        }
    }
    report(&problems);
}

#[test]
fn imports_are_found_however_they_are_written() {
    let text = r##"
        //! use crate::comment;
        use crate::{a::{B, C}, d, e as f};
        use crate::g::H;
        use super::super::i::J;
        use super::beside::K;
        fn f<'a>(c: char) -> &'a str {
            let _ = ('"', '\'', "crate::text", r#"crate::"raw""#, c);
            let _ = crate :: l::m() + other::crate_::n() /* crate::comment */;
            "unsafe"
        }
        pub(in crate::inner) struct Unsafe;
    "##;
    let source = Source::new("a/b.rs", &["a", "b"], text);
    let found = source.own_modules();
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        ["a", "d", "e", "g", "i", "inner", "l"]
    );
    assert!(!source.has_word("unsafe"));
    assert!(Source::new("a.rs", &["a"], "fn f() { unsafe {} }").has_word("unsafe"));
}

#[test]
fn an_import_against_the_direction_is_found() {
    let levels: &[&[&str]] = &[&["low", "beside"], &["high"]];
    let exported = exports(&[Source::new("lib.rs", &[], "pub use self::high::{Thing, other};")]);
    let problems = |text: &str| upward(&Source::new("low.rs", &["low"], text), levels, &exported);
    assert!(problems("use crate::low::part; use std::fmt;").is_empty());
    for text in [
        "use crate::high::Part;",
        "use crate::{low, high};",
        "use super::high;",
        "fn f() { crate::high::part() }",
        "use crate::Thing;",
        "fn f() -> crate::other {}",
        "use crate::beside;",
        "use crate::unknown;",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}");
    }
    let unknown = Source::new("new.rs", &["new"], "");
    assert_eq!(upward(&unknown, levels, &exported).len(), 1);
    let core = Source::new("gateway-core/src/a.rs", &["a"], "use gateway_layers::timeout;");
    assert!(!core.names_under("gateway_layers").is_empty());
    assert!(core.names_under("gateway_bin").is_empty());
}
