//! A document as a tree of values that know where they were written, whatever its format.

mod environment;
mod toml;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) use self::environment::overlay;
pub(super) use self::toml::parse_toml;
use super::problem::{Place, Problem, Severity};

/// Longest piece of a found text that an error repeats, in characters.
const SHOWN: usize = 60;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) place: Place,
    pub(super) data: Data,
}

/// What a value can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Text(String),
    /// From the environment, where a number and a text look the same: what it is, the reader says.
    Raw(String),
    Integer(i64),
    Fraction(f64),
    Boolean(bool),
    /// A kind of value that no key takes (a date, a number beyond all), described.
    Other(String),
    List(Vec<Value>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) value: Value,
}

impl Value {
    /// The same as JSON; `None` for what JSON does not have.
    pub(super) fn to_json(&self) -> Option<serde_json::Value> {
        Some(match &self.data {
            Data::Text(text) | Data::Raw(text) => text.as_str().into(),
            Data::Integer(number) => (*number).into(),
            Data::Fraction(number) => serde_json::Number::from_f64(*number)?.into(),
            Data::Boolean(value) => (*value).into(),
            Data::Other(_) => return None,
            Data::List(values) => {
                values.iter().map(Self::to_json).collect::<Option<Vec<_>>>()?.into()
            }
            Data::Table(entries) => {
                let entries =
                    entries.iter().map(|entry| Some((entry.name.clone(), entry.value.to_json()?)));
                entries.collect::<Option<serde_json::Map<_, _>>>()?.into()
            }
        })
    }

    /// What an error says was found.
    pub(super) fn describe(&self) -> String {
        match &self.data {
            Data::Text(text) | Data::Raw(text) => quote(text),
            Data::Integer(number) => number.to_string(),
            Data::Fraction(number) => number.to_string(),
            Data::Boolean(value) => value.to_string(),
            Data::Other(description) => description.clone(),
            Data::List(values) if values.is_empty() => "an empty list".to_owned(),
            Data::List(_) => "a list".to_owned(),
            Data::Table(_) => "a table".to_owned(),
        }
    }
}

/// `text` in quotes, control characters escaped, cut where it is long. What may be a name and a
/// password in front of a host is not shown.
pub(super) fn quote(text: &str) -> String {
    let text = without_password(text);
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        shown.push_str("...");
    }
    format!("\"{shown}\"")
}

/// A password may hold slashes, and `@` itself, where somebody forgot to escape them.
fn without_password(text: &str) -> Cow<'_, str> {
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let (scheme, rest) = text.split_at(start);
    match rest.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("{scheme}***@{host}").into(),
        _ => text.into(),
    }
}

/// The environment variable that overrides the setting at `path`.
pub(super) fn variable_of(path: &str) -> String {
    let mut name = "GATEWAY__".to_owned();
    for letter in path.chars().filter(|letter| !matches!(letter, ']' | '"')) {
        match letter {
            '.' | '[' => name.push_str("__"),
            '-' => name.push('_'),
            letter => name.push(letter.to_ascii_uppercase()),
        }
    }
    name
}

/// The path of the key `name` below `parent`.
pub(super) fn key_path(parent: &str, name: &str) -> String {
    let bare = !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    let name = if bare { name.to_owned() } else { quote(name) };
    if parent.is_empty() { name } else { format!("{parent}.{name}") }
}

/// The path of the element `index` of the list at `parent`.
pub(super) fn index_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// Where every path of a document was written, for problems that are seen later.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) file: Arc<str>,
    by_path: HashMap<String, Place>,
}

impl Places {
    pub(super) fn new(file: Arc<str>, root: &Value) -> Self {
        let mut by_path = HashMap::new();
        collect(root, String::new(), &mut by_path);
        Self { file, by_path }
    }

    /// Of a document that nobody wrote down.
    pub(super) fn empty(name: &str) -> Self {
        Self { file: name.into(), by_path: HashMap::new() }
    }

    /// The path of an element, where a list may also be its only element.
    pub(super) fn element(&self, list: &str, index: usize) -> String {
        let element = index_path(list, index);
        if self.is_written(&element) { element } else { list.to_owned() }
    }

    /// True when the document says something at `path`.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// A problem at `path`, or at the nearest written part above it.
    pub(super) fn problem(
        &self,
        severity: Severity,
        path: &str,
        message: impl Into<String>,
    ) -> Problem {
        let mut nearest = path;
        let place = loop {
            if let Some(place) = self.by_path.get(nearest) {
                break place.clone();
            }
            match nearest.rfind(['.', '[']) {
                Some(end) => nearest = &nearest[..end],
                None => break Place::Whole,
            }
        };
        Problem {
            severity,
            file: Arc::clone(&self.file),
            place,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

fn collect(value: &Value, path: String, places: &mut HashMap<String, Place>) {
    match &value.data {
        Data::List(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, index_path(&path, index), places);
            }
        }
        Data::Table(entries) => {
            for entry in entries {
                collect(&entry.value, key_path(&path, &entry.name), places);
            }
        }
        _ => {}
    }
    places.insert(path, value.place.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_quote_what_is_not_bare() {
        assert_eq!(key_path("", "clusters"), "clusters");
        assert_eq!(key_path("clusters", "a-b"), "clusters.a-b");
        assert_eq!(key_path("clusters", "a b"), "clusters.\"a b\"");
        assert_eq!(index_path("routes", 2), "routes[2]");
    }

    #[test]
    fn found_text_is_escaped_and_cut() {
        assert_eq!(quote("a\u{1b}[2J\n"), "\"a\\u{1b}[2J\\n\"");
        assert_eq!(quote(&"x".repeat(61)), format!("\"{}...\"", "x".repeat(60)));
        for (text, shown) in [
            ("http://user:pass@host:80/a", "http://***@host:80/a"),
            ("http://user:p/a@ss@host", "http://***@host"),
            ("user:pass@host", "***@host"),
            ("user@host", "user@host"),
            ("http://host:80", "http://host:80"),
        ] {
            assert_eq!(quote(text), format!("{shown:?}"));
        }
    }
}
