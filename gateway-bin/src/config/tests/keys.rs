//! The examples show every key that anything reads.

use std::collections::{BTreeMap, BTreeSet};

use super::super::reader::{Field, Notes};
use super::super::value::{Data, Entry, Value, index_path, key_path, parse_toml};
use super::super::{Parts, Place};

/// A key that nothing takes: whoever reads a table answers it with those that it knows.
const UNKNOWN: &str = "unknown-key";

/// Tables by their path, or by their shape, such as `clusters.*.health`, each with keys.
type Keys = BTreeMap<String, BTreeSet<String>>;

/// Keys in remarks: of files that have to be there, and of modules, which the program has none of.
const REMARKS: [&str; 14] = [
    "audit.http.ca",
    "clusters.*.discovery.consul.token_file",
    "clusters.*.discovery.etcd.password_file",
    "identity.delegated.*.ca",
    "identity.introspection.*.ca",
    "identity.jwt.*.keys.ca",
    "registry.token_file",
    "routes.policy.external_auth.module",
    "routes.policy.fallback.module",
    "routes.policy.ip.allow_file",
    "routes.policy.ip.deny_file",
    "routes.policy.mirror.module",
    "routes.target.module",
    "routes.target.split.module",
];

/// The keys of every table of a document: those that it has, and those that it could have.
#[derive(Default)]
struct Shown {
    has: Keys,
    could_have: Keys,
}

impl Shown {
    fn add(&mut self, text: &str) {
        let mut document = parse_toml(text, &"g.toml".into()).unwrap();
        ask(&mut document);
        let notes = Notes::new("g.toml".into());
        Parts::read(Field::root(&document, &notes));
        let end = key_path("", UNKNOWN);
        let known: Keys = notes
            .into_problems()
            .into_iter()
            .filter(|problem| problem.message.starts_with("unknown key"))
            .filter_map(|problem| {
                let table = problem.path.strip_suffix(&end)?;
                let table = table.strip_suffix('.').unwrap_or(table);
                Some((table.to_owned(), quoted(&problem.message)))
            })
            .collect();
        self.walk(&document, "", "", &known);
    }

    /// Walks what is below `path`. Of one shape are the elements of a list, and what stands alone
    /// in the place of a list.
    fn walk(&mut self, value: &Value, path: &str, shape: &str, known: &Keys) {
        match &value.data {
            Data::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.walk(value, &index_path(path, index), shape, known);
                }
            }
            Data::Table(entries) => {
                let keys = known.get(path);
                if let Some(keys) = keys {
                    self.could_have.entry(shape.to_owned()).or_default().extend(keys.clone());
                }
                for Entry { name, value, .. } in entries.iter().filter(|one| one.name != UNKNOWN) {
                    let below = match keys {
                        // A condition may hold a condition.
                        Some(_) if name == "not" => shape.to_owned(),
                        Some(_) => joined(shape, name),
                        // Who says nothing about an unknown key takes any: they are names.
                        None => joined(shape, "*"),
                    };
                    if keys.is_some() {
                        self.has.entry(shape.to_owned()).or_default().insert(name.clone());
                    }
                    self.walk(value, &key_path(path, name), &below, known);
                }
            }
            _ => {}
        }
    }

    /// What no example shows.
    fn missing(&self) -> Vec<String> {
        let all = self.could_have.iter().flat_map(|(table, keys)| {
            let has = self.has.get(table);
            let missing = keys.iter().filter(move |key| !has.is_some_and(|has| has.contains(*key)));
            missing.map(move |key| joined(table, key))
        });
        all.collect()
    }
}

fn joined(shape: &str, key: &str) -> String {
    if shape.is_empty() { key.to_owned() } else { format!("{shape}.{key}") }
}

/// Puts an unknown key into every table.
fn ask(value: &mut Value) {
    match &mut value.data {
        Data::List(values) => values.iter_mut().for_each(ask),
        Data::Table(entries) => {
            entries.iter_mut().for_each(|entry| ask(&mut entry.value));
            let value = Value { place: Place::Whole, data: Data::Boolean(true) };
            entries.push(Entry { name: UNKNOWN.to_owned(), place: Place::Whole, value });
        }
        _ => {}
    }
}

/// What stands between backticks.
fn quoted(message: &str) -> BTreeSet<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_that_is_read_is_shown() {
    let full = include_str!("../../../../examples/config/full.toml");
    let mut shown = Shown::default();
    shown.add(full);
    // What cannot be loaded without certificates, or comes from an authority.
    shown.add(include_str!("../../../../examples/config/tls.toml"));
    shown.add(include_str!("../../../../examples/config/acme.toml"));
    assert!(shown.could_have.len() > 80, "{:?}", shown.could_have.keys());
    let mut missing = shown.missing();
    missing.retain(|key| !REMARKS.contains(&key.as_str()));
    assert!(missing.is_empty(), "examples/config/full.toml does not show {missing:#?}");
    let remarks: String = full.lines().filter_map(|line| Some(line.split_once('#')?.1)).collect();
    for key in REMARKS.iter().filter_map(|key| key.rsplit('.').next()) {
        assert!(remarks.contains(key), "{key} stands in no remark");
    }
}
