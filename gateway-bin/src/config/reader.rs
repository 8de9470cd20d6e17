//! Reads values as what a key needs, and notes every problem instead of stopping at the first.

use std::cell::RefCell;
use std::sync::Arc;

use super::near::{near_miss, table_beside, table_elsewhere};
use super::problem::{Place, Problem, Severity};
use super::source::text_of;
use super::value::{Data, Entry, Value, index_path, key_path, quote, variable_of};

/// Where the problems of one document are gathered.
pub(super) struct Notes {
    file: Arc<str>,
    problems: RefCell<Vec<Problem>>,
}

impl Notes {
    pub(super) fn new(file: Arc<str>) -> Self {
        Self { file, problems: RefCell::default() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn add(&self, place: &Place, path: &str, message: String) {
        self.put(Severity::Error, place, path, message);
    }

    fn put(&self, severity: Severity, place: &Place, path: &str, message: String) {
        self.problems.borrow_mut().push(Problem {
            severity,
            file: Arc::clone(&self.file),
            place: place.clone(),
            path: path.to_owned(),
            message,
        });
    }
}

/// Tells how the setting at `path` is taken from the environment.
pub(super) fn no_variables(path: &str) -> String {
    format!(
        "`${{...}}` is not replaced in the configuration: leave the setting out, and set the \
         environment variable `{}`",
        variable_of(path)
    )
}

/// A value on the way to being read, with its path.
#[derive(Clone)]
pub(super) struct Field<'d> {
    value: &'d Value,
    path: String,
    notes: &'d Notes,
}

impl<'d> Field<'d> {
    pub(super) fn root(value: &'d Value, notes: &'d Notes) -> Self {
        Self { value, path: String::new(), notes }
    }

    /// Notes that something else was expected here. Always `None`, to end a reading with.
    pub(super) fn reject<T>(&self, expected: impl std::fmt::Display) -> Option<T> {
        let hint = match self.peek_text() {
            Some(text) if text.contains("${") => {
                format!("; {}", no_variables(&self.path))
            }
            _ => String::new(),
        };
        self.note(format!("found {}, expected {expected}{hint}", self.value.describe()))
    }

    /// Notes a value that works, but probably not as intended.
    pub(super) fn warn(&self, message: impl Into<String>) {
        self.notes.put(Severity::Warning, &self.value.place, &self.path, message.into());
    }

    /// Notes a problem here. Always `None`.
    pub(super) fn note<T>(&self, message: String) -> Option<T> {
        self.notes.add(&self.value.place, &self.path, message);
        None
    }

    /// The value when it is text; notes nothing.
    pub(super) fn peek_text(&self) -> Option<&'d str> {
        match &self.value.data {
            Data::Text(text) | Data::Raw(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value.data, Data::Table(_))
    }

    /// True for a table with this key.
    pub(super) fn has_key(&self, key: &str) -> bool {
        match &self.value.data {
            Data::Table(entries) => entries.iter().any(|entry| entry.name == key),
            _ => false,
        }
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.value.data, Data::List(values) if values.is_empty())
    }

    /// Text; `expected` says which.
    pub(super) fn text(&self, expected: &str) -> Option<&'d str> {
        self.peek_text().or_else(|| self.reject(expected))
    }

    /// Text that is not empty, such as a name.
    pub(super) fn name(&self, expected: &str) -> Option<String> {
        match self.peek_text() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => self.reject(expected),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.value.data {
            Data::Boolean(value) => Some(*value),
            Data::Raw(text) if text == "true" => Some(true),
            Data::Raw(text) if text == "false" => Some(false),
            _ => self.reject("true or false"),
        }
    }

    /// The value when it is true or false; notes nothing.
    pub(super) fn peek_boolean(&self) -> Option<bool> {
        match &self.value.data {
            Data::Boolean(value) => Some(*value),
            Data::Raw(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A number from `least` to `most`.
    pub(super) fn number<N: TryFrom<i64>>(&self, least: i64, most: i64) -> Option<N> {
        let number = match &self.value.data {
            Data::Integer(number) => Some(*number),
            Data::Raw(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        number
            .and_then(|number| N::try_from(number).ok())
            .or_else(|| self.reject(format_args!("a number from {least} to {most}")))
    }

    /// A number from `least` to `most`, whole or not.
    pub(super) fn fraction(&self, least: f64, most: f64) -> Option<f64> {
        let number = self.peek_fraction(least, most);
        number.or_else(|| self.reject(format_args!("a number from {least} to {most}")))
    }

    /// As [`fraction`](Self::fraction); `"off"` is `None`.
    pub(super) fn fraction_or_off(&self, least: f64, most: f64) -> Option<Option<f64>> {
        if self.peek_text() == Some("off") {
            return Some(None);
        }
        let number = self.peek_fraction(least, most);
        number
            .or_else(|| self.reject(format_args!("a number from {least} to {most}, or \"off\"")))
            .map(Some)
    }

    fn peek_fraction(&self, least: f64, most: f64) -> Option<f64> {
        let number = match &self.value.data {
            Data::Integer(number) => Some(*number as f64),
            Data::Fraction(number) => Some(*number),
            Data::Raw(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| (least..=most).contains(number))
    }

    /// One of `choices`, by name.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let chosen = self.peek_text().and_then(|text| {
            choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
        });
        chosen.or_else(|| {
            let names = choices.iter().map(|(name, _)| *name);
            let hint = hint(self.peek_text().unwrap_or_default(), names.clone());
            let names: Vec<_> = names.map(quote).collect();
            self.reject(format_args!("one of {}{hint}", names.join(", ")))
        })
    }

    /// The value as JSON: a table, or a text that is JSON already.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        match self.peek_text() {
            Some(text) => {
                serde_json::from_str(text).ok().or_else(|| self.note("is no JSON".to_owned()))
            }
            None => self.value.to_json().or_else(|| self.note("is no JSON".to_owned())),
        }
    }

    /// The text of the file that it names.
    pub(super) fn file(&self) -> Option<String> {
        let path = self.name("the path of a file")?;
        let read = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
        match read.and_then(|bytes| text_of(&bytes)) {
            Ok(text) => Some(text),
            Err(message) => self.note(format!("{} {message}", quote(&path))),
        }
    }

    /// What `T` reads out of a text; `expected` says which text.
    pub(super) fn parse<T: std::str::FromStr>(&self, expected: &str) -> Option<T> {
        let parsed = self.peek_text().and_then(|text| text.parse().ok());
        parsed.or_else(|| self.reject(expected))
    }

    /// The elements of a list that `read` could read.
    pub(super) fn list<T>(
        &self,
        expected: &str,
        read: impl FnMut(Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        match &self.value.data {
            Data::List(_) => Some(self.elements().filter_map(read).collect()),
            _ => self.reject(expected),
        }
    }

    /// As [`list`](Self::list); a value that is no list is its only element.
    pub(super) fn one_or_list<T>(&self, mut read: impl FnMut(Self) -> Option<T>) -> Vec<T> {
        match &self.value.data {
            Data::List(_) => self.elements().filter_map(read).collect(),
            _ => read(self.clone()).into_iter().collect(),
        }
    }

    fn elements(&self) -> impl Iterator<Item = Self> {
        let values = match &self.value.data {
            Data::List(values) => values.as_slice(),
            _ => &[],
        };
        values.iter().enumerate().map(|(index, value)| Self {
            value,
            path: index_path(&self.path, index),
            notes: self.notes,
        })
    }

    /// Names of the document's choosing with their values.
    pub(super) fn entries(&self, expected: &str) -> Vec<(&'d str, Self)> {
        let Data::Table(entries) = &self.value.data else {
            self.reject::<()>(expected);
            return Vec::new();
        };
        entries.iter().map(|entry| (entry.name.as_str(), self.below(entry))).collect()
    }

    /// A table of known keys, such as `example`.
    pub(super) fn table(self, example: &str) -> Option<Table<'d>> {
        match &self.value.data {
            Data::Table(entries) => Some(Table { field: self, entries, known: Vec::new() }),
            _ => self.reject(format_args!("a table such as {example}")),
        }
    }

    /// As [`table`](Self::table), where `other` could stand in its place.
    pub(super) fn table_or(self, example: &str, other: &str) -> Option<Table<'d>> {
        if self.is_table() {
            return self.table(example);
        }
        self.reject(format_args!("{other} or a table such as {example}"))
    }

    fn below(&self, entry: &'d Entry) -> Self {
        Self { value: &entry.value, path: key_path(&self.path, &entry.name), notes: self.notes }
    }
}

/// A table of known keys. What nobody asked for is unknown, and said so by
/// [`finish`](Self::finish).
pub(super) struct Table<'d> {
    field: Field<'d>,
    entries: &'d [Entry],
    known: Vec<&'static str>,
}

impl<'d> Table<'d> {
    /// The table itself, to note problems about.
    pub(super) fn field(&self) -> &Field<'d> {
        &self.field
    }

    /// The place of the table in the document, as problems name it.
    pub(super) fn path(&self) -> &str {
        &self.field.path
    }

    /// The value at `key`, where there is one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'d>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let entry = self.entries.iter().find(|entry| entry.name == key)?;
        Some(self.field.below(entry))
    }

    /// The value at `key`; notes that it is missing.
    pub(super) fn require(&mut self, key: &'static str, expected: &str) -> Option<Field<'d>> {
        let taken = self.take(key);
        if taken.is_none() {
            let path = key_path(&self.field.path, key);
            let message = format!("missing, expected {expected}");
            self.field.notes.add(&self.field.value.place, &path, message);
        }
        taken
    }

    /// Puts what `read` makes of the value at `key` into `slot`; without a value the default stays.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        slot: &mut T,
        read: impl FnOnce(Field<'d>) -> Option<T>,
    ) {
        if let Some(value) = self.take(key).and_then(read) {
            *slot = value;
        }
    }

    /// The only one of `keys` that is there; notes where there are several.
    pub(super) fn only_one(&mut self, keys: &[&'static str]) -> Option<(&'static str, Field<'d>)> {
        let mut found = keys.iter().filter_map(|key| Some((*key, self.take(key)?)));
        let first = found.next();
        let others: Vec<_> = found.collect();
        if let Some((key, _)) = &first {
            for (other, field) in others {
                field.note::<()>(format!("`{other}` together with `{key}`, expected only one"));
            }
        }
        first
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        let unknown = self.entries.iter().filter(|entry| !self.known.contains(&&*entry.name));
        for entry in unknown {
            let path = key_path(&self.field.path, &entry.name);
            let hint = self.hint(&entry.name, &path);
            let known: Vec<_> = self.known.iter().map(|key| format!("`{key}`")).collect();
            let message = match known.as_slice() {
                [] => "unknown key, expected none".to_owned(),
                known => format!("unknown key, expected one of {}{hint}", known.join(", ")),
            };
            self.field.notes.add(&entry.place, &path, message);
        }
    }

    /// What may be meant by the unknown key `name` at `path`: first what is near to it.
    fn hint(&self, name: &str, path: &str) -> String {
        let belongs = |table: String| format!("; it belongs in {table}");
        if let Some(table) = table_beside(name, path) {
            return belongs(table);
        }
        match hint(name, self.known.iter().copied()) {
            meant if meant.is_empty() => table_elsewhere(name, path).map_or(meant, belongs),
            meant => meant,
        }
    }
}

/// `; did you mean "...?"`, where one of `known` is near.
pub(super) fn hint<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    match near_miss(found, known) {
        Some(meant) => format!("; did you mean {}?", quote(meant)),
        None => String::new(),
    }
}
