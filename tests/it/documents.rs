//! What is written down is true: documents load, keys and reasons are all described, links lead
//! somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use gateway::Assembly;
use gateway::config::Source;
use gateway_core::{FixedResponse, Reason};
use gateway_tests::certs::{Authority, Files};
use http::StatusCode;

use crate::architecture::files;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every page with its name, relative to the root.
fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<_> = files(&root(), "md")
        .into_iter()
        .map(|page| page.strip_prefix(root()).expect("below").display().to_string())
        .map(|page| (read(&page), page))
        .map(|(text, page)| (page, text))
        .collect();
    pages.sort();
    assert!(pages.len() > 10, "{}", pages.len());
    pages
}

/// The fenced blocks of a page in the language `language`.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let blocks = text.split(&start).skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The files that the pages call `certificates/...`.
fn certificates() -> Files {
    let (files, authority) = (Files::new(), Authority::new("pages"));
    files.pair("gateway", &authority.server(&["gateway.example"]));
    files.pair("client", &authority.client("gateway"));
    for name in ["clients.pem", "upstreams.pem"] {
        files.write(name, &authority.pem());
    }
    files.write("clients.crl", &authority.crl(&[]));
    files
}

/// Loads a document for a program with the modules that the pages speak of.
fn load(name: &str, text: &str) -> Result<(), String> {
    let files = text.contains("\"certificates/").then(certificates);
    let folder = files.as_ref().map(|files| format!("\"{}/", files.folder().display()));
    let text = &folder.map_or(text.to_owned(), |to| text.replace("\"certificates/", &to));
    let module = || FixedResponse::new(StatusCode::NO_CONTENT);
    let assembly = Assembly::from(Source::text(name, text));
    let assembly = assembly.module("users", module()).module("hello", module());
    assembly.assemble().map(drop).map_err(|problems| format!("{problems}\nin\n{text}"))
}

/// A part of a document, with the least that it needs to be a whole one.
fn completed(part: &str) -> String {
    let mut text = part.to_owned();
    if !part.contains("[[listeners]]") {
        text.push_str("\n[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n");
    }
    for cluster in ["orders", "pictures"] {
        let used = part.contains(&format!("cluster = \"{cluster}\""));
        if used && !part.contains(&format!("[clusters.{cluster}]")) {
            text.push_str(&format!("\n[clusters.{cluster}]\nendpoints = [\"http://a:9000\"]\n"));
        }
    }
    text
}

#[test]
fn every_document_of_the_pages_loads() {
    let mut count = 0;
    let mut problems = Vec::new();
    for (page, text) in pages() {
        for (index, block) in blocks(&text, "toml").into_iter().enumerate() {
            if block.starts_with("# Cargo.toml") {
                continue;
            }
            count += 1;
            let name = format!("{page}, document {}", index + 1);
            problems.extend(load(&name, &completed(&block)).err());
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(count >= 10, "{count} documents");
}

#[test]
fn every_example_of_a_document_loads() {
    let found = files(&root().join("examples/config"), "toml");
    assert!(found.len() >= 7);
    for file in found {
        let text = fs::read_to_string(&file).expect("an example can be read");
        load(&file.display().to_string(), &text).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn every_key_is_described() {
    // Names that documents choose themselves, and those of a JWK.
    const CHOSEN: [&str; 19] = [
        "blocked",
        "crv",
        "email_verified",
        "gold",
        "groups",
        "kid",
        "kty",
        "month",
        "region",
        "resource_type",
        "silver",
        "team",
        "x",
        "x-a",
        "x-c",
        "x-partner",
        "x-service",
        "x-user-id",
        "x-user-roles",
    ];
    let page = read("docs/reference/configuration.md");
    let full = read("examples/config/full.toml");
    let lines = full.lines().map(unquoted);
    let lines: Vec<_> =
        lines.map(|line| line.split('#').next().unwrap_or_default().to_owned()).collect();
    let mut keys: Vec<_> = lines
        .iter()
        .flat_map(|line| line.split('=').rev().skip(1))
        .filter_map(|before| before.trim_end().rsplit([' ', '{', ',', '[', '.']).next())
        .filter(|key| !CHOSEN.contains(key))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert!(keys.len() > 40, "{keys:?}");
    keys.retain(|key| {
        let forms = [format!("`{key}`"), format!("`{key}."), format!(".{key}`")];
        !forms.iter().any(|form| page.contains(form))
    });
    assert!(keys.is_empty(), "docs/reference/configuration.md does not describe {keys:?}");
}

/// The line without what is in quotes, which may look like keys.
fn unquoted(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

#[test]
fn every_reason_is_described() {
    let page = read("docs/request-lifecycle.md");
    let mut reasons = Reason::ALL.to_vec();
    reasons.retain(|reason| {
        let row = format!("| `{}` | {} |", reason.code(), reason.status().as_u16());
        !page.contains(&row)
    });
    assert!(reasons.is_empty(), "docs/request-lifecycle.md has no row for {reasons:?}");
}

#[test]
fn every_link_leads_to_a_file() {
    let mut problems = Vec::new();
    for (page, text) in pages() {
        let folder = root().join(&page).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let inside = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            let is_path = target.contains('.') || target.contains('/');
            if inside && is_path && !target.contains("::") && !folder.join(target).exists() {
                problems.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_commands_of_the_readme_are_those_that_are_checked() {
    let readme = read("README.md");
    let commands: Vec<String> = blocks(&readme, "sh").concat().lines().map(str::to_owned).collect();
    assert!(commands.iter().any(|line| line == "tests/run"), "{commands:?}");
    assert!(commands.iter().any(|line| line == "cargo run --release -p gateway-bin -- demo"));
    assert!(read(".ci/run").lines().any(|line| line == "tests/run"));
}
